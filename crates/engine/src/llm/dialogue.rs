//! The conversation in which the model tells a turn: who speaks next, and when it is over. It asks
//! nobody, so that a replay holds the same conversation as the service.

use life_agent_groq::{ChatMessage, ChatReply, FunctionCall, ToolCall};
use serde_json::{Map, Value, json};

use super::window::BETWEEN_ANSWERS;

/// Most tools that the model may call in one turn.
pub(crate) const MAX_CALLS: usize = 5;

/// A conversation under way. It holds texts without credentials only.
pub(crate) struct Dialogue {
    /// Everything of a request but its messages.
    parameters: Map<String, Value>,
    messages: Vec<Value>,
    calls: usize,
    text: String,
}

/// What an answer of the model leads to.
#[derive(Debug, PartialEq)]
pub(crate) enum Next {
    /// It calls tools and waits for what they say.
    Calls(Vec<ToolCall>),
    /// It has told the turn.
    Told,
    /// It calls tools although none are left, or says nothing.
    Stuck(&'static str),
}

impl Dialogue {
    /// Begins with a request as it is sent.
    pub(crate) fn new(mut request: Map<String, Value>) -> Self {
        let messages = match request.remove("messages") {
            Some(Value::Array(messages)) => messages,
            _ => Vec::new(),
        };
        Self { parameters: request, messages, calls: 0, text: String::new() }
    }

    /// The next request. Once all calls are used up, the model can but speak.
    pub(crate) fn request(&self) -> Value {
        let mut request = self.parameters.clone();
        request.insert("messages".to_owned(), self.messages.clone().into());
        let choice = if self.calls < MAX_CALLS { "auto" } else { "none" };
        request.insert("tool_choice".to_owned(), choice.into());
        request.into()
    }

    /// Takes in what the model answers, without its credentials. What it says beside its calls is part
    /// of what it tells.
    pub(crate) fn hear(&mut self, reply: &ChatReply) -> Next {
        let calls: Vec<_> = reply.tool_calls.iter().enumerate().map(named).collect();
        let stuck = !calls.is_empty() && self.calls >= MAX_CALLS;
        if stuck && reply.content.trim().is_empty() {
            return Next::Stuck("the model went on calling tools instead of telling the turn");
        }
        self.text = joined(&self.text, &reply.content);
        if calls.is_empty() || stuck {
            return match self.text.trim() {
                "" => Next::Stuck("the model said nothing"),
                _ => Next::Told,
            };
        }
        let said = Some(reply.content.as_str()).filter(|said| !said.is_empty());
        let message =
            ChatMessage { content: said.map(Value::from), ..ChatMessage::calls(calls.clone()) };
        self.messages.push(json!(message));
        Next::Calls(calls)
    }

    /// Whether the model may call one tool more; counts it.
    pub(crate) fn admits_call(&mut self) -> bool {
        self.calls += 1;
        self.calls <= MAX_CALLS
    }

    /// What a tool that was called has to say.
    pub(crate) fn answer(&mut self, call: &ToolCall, result: &Value) {
        self.messages.push(json!(ChatMessage::tool(&call.id, result.to_string())));
    }

    /// What the model has told so far.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

/// What is told to a call beyond the last that is allowed.
pub(crate) fn no_calls_left() -> Value {
    json!({"status": "error", "message": "no calls are left in this turn; tell it now"})
}

/// Two texts that the model said one after the other.
pub(crate) fn joined(before: &str, more: &str) -> String {
    match (before, more) {
        (before, "") => before.to_owned(),
        ("", more) => more.to_owned(),
        (before, more) => format!("{before}{BETWEEN_ANSWERS}{more}"),
    }
}

/// The call with nothing but what its result needs, and an id that it can be referred to by.
fn named((index, call): (usize, &ToolCall)) -> ToolCall {
    let id = match call.id.as_str() {
        "" => format!("call_{}", index + 1),
        id => id.to_owned(),
    };
    let FunctionCall { name, arguments } = call.function.clone();
    let function = FunctionCall { name, arguments };
    ToolCall { id, kind: "function".to_owned(), function, ..ToolCall::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(content: &str, calls: usize) -> ChatReply {
        let call = json!({"id": "", "function": {"name": "act", "arguments": "{}"}});
        let message =
            json!({"role": "assistant", "content": content, "tool_calls": vec![call; calls]});
        ChatReply::from_raw(json!({"choices": [{"message": message}]})).unwrap()
    }

    fn dialogue() -> Dialogue {
        let request = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
        Dialogue::new(request.as_object().cloned().unwrap())
    }

    #[test]
    fn a_text_ends_it_and_what_was_said_before_belongs_to_it() {
        let mut dialogue = dialogue();
        let Next::Calls(calls) = dialogue.hear(&reply("First I look.", 2)) else { panic!() };
        assert_eq!((calls[0].id.as_str(), calls[1].id.as_str()), ("call_1", "call_2"));
        for call in &calls {
            assert!(dialogue.admits_call());
            dialogue.answer(call, &json!({"status": "done"}));
        }
        let request = dialogue.request();
        let roles: Vec<_> =
            request["messages"].as_array().unwrap().iter().map(|m| &m["role"]).collect();
        assert_eq!(roles, ["user", "assistant", "tool", "tool"]);
        assert_eq!(request["tool_choice"], "auto");
        assert_eq!(dialogue.hear(&reply("Then I go.", 0)), Next::Told);
        assert_eq!(dialogue.text(), "First I look.\n\nThen I go.");
    }

    #[test]
    fn after_five_calls_the_model_can_but_speak() {
        let mut dialogue = dialogue();
        assert!(matches!(dialogue.hear(&reply("", 7)), Next::Calls(_)));
        let admitted = (0..7).filter(|_| dialogue.admits_call()).count();
        assert_eq!(admitted, MAX_CALLS);
        assert_eq!(dialogue.request()["tool_choice"], "none");
        assert!(matches!(dialogue.hear(&reply("", 1)), Next::Stuck(_)));
        assert_eq!(dialogue.hear(&reply("Well then.", 1)), Next::Told);
    }

    #[test]
    fn silence_tells_nothing() {
        assert!(matches!(dialogue().hear(&reply(" \n", 0)), Next::Stuck(_)));
    }
}
