//! The conversation in which the model narrates a turn: its next request and its end. It makes no calls, so
//! that a replay holds the same conversation as the service.

use life_agent_groq::{ChatMessage, ChatReply, FunctionCall, ToolCall};
use serde_json::{Map, Value, json};

use crate::chat::stream_guard::BETWEEN_ANSWERS;

/// Most tool calls of the model in one turn.
pub(crate) const MAX_CALLS: usize = 5;

/// A running conversation. Contains redacted texts only.
pub(crate) struct Conversation {
    /// The fields of a request other than its messages.
    parameters: Map<String, Value>,
    messages: Vec<Value>,
    calls: usize,
    text: String,
}

/// The consequence of a reply.
#[derive(Debug, PartialEq)]
pub(crate) enum Next {
    /// The model calls tools.
    Calls(Vec<ToolCall>),
    /// The model has narrated the turn.
    Narrated,
    /// The model calls tools although no calls are left, or returns no text.
    Stuck(&'static str),
}

impl Conversation {
    /// Starts with the first request.
    pub(crate) fn new(mut request: Map<String, Value>) -> Self {
        let messages = match request.remove("messages") {
            Some(Value::Array(messages)) => messages,
            _ => Vec::new(),
        };
        Self { parameters: request, messages, calls: 0, text: String::new() }
    }

    /// The next request. It forbids tool calls once all are used.
    pub(crate) fn request(&self) -> Value {
        let mut request = self.parameters.clone();
        request.insert("messages".to_owned(), self.messages.clone().into());
        let choice = if self.calls < MAX_CALLS { "auto" } else { "none" };
        request.insert("tool_choice".to_owned(), choice.into());
        request.into()
    }

    /// Adds a redacted reply. Text next to tool calls is part of the narration.
    pub(crate) fn add_reply(&mut self, reply: &ChatReply) -> Next {
        let calls: Vec<_> = reply.tool_calls.iter().enumerate().map(named).collect();
        let stuck = !calls.is_empty() && self.calls >= MAX_CALLS;
        if stuck && reply.content.trim().is_empty() {
            return Next::Stuck("the model went on calling tools instead of telling the turn");
        }
        self.text = joined(&self.text, &reply.content);
        if calls.is_empty() || stuck {
            return match self.text.trim() {
                "" => Next::Stuck("the model said nothing"),
                _ => Next::Narrated,
            };
        }
        let said = Some(reply.content.as_str()).filter(|said| !said.is_empty());
        let message =
            ChatMessage { content: said.map(Value::from), ..ChatMessage::calls(calls.clone()) };
        self.messages.push(json!(message));
        Next::Calls(calls)
    }

    /// Counts a tool call and returns whether it is allowed.
    pub(crate) fn admits_call(&mut self) -> bool {
        self.calls += 1;
        self.calls <= MAX_CALLS
    }

    /// Adds the result of a tool call.
    pub(crate) fn answer(&mut self, call: &ToolCall, result: &Value) {
        self.messages.push(json!(ChatMessage::tool(&call.id, result.to_string())));
    }

    /// The text so far.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

/// The result of a call beyond the limit.
pub(crate) fn no_calls_left() -> Value {
    json!({"status": "error", "message": "no calls are left in this turn; tell it now"})
}

/// Joins two consecutive texts of the model.
pub(crate) fn joined(before: &str, more: &str) -> String {
    match (before, more) {
        (before, "") => before.to_owned(),
        ("", more) => more.to_owned(),
        (before, more) => format!("{before}{BETWEEN_ANSWERS}{more}"),
    }
}

/// The call with the fields that its result refers to, including an id.
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

    fn conversation() -> Conversation {
        let request = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
        Conversation::new(request.as_object().cloned().unwrap())
    }

    #[test]
    fn a_text_ends_it_and_what_was_said_before_belongs_to_it() {
        let mut conversation = conversation();
        let Next::Calls(calls) = conversation.add_reply(&reply("First I look.", 2)) else {
            panic!()
        };
        assert_eq!((calls[0].id.as_str(), calls[1].id.as_str()), ("call_1", "call_2"));
        for call in &calls {
            assert!(conversation.admits_call());
            conversation.answer(call, &json!({"status": "done"}));
        }
        let request = conversation.request();
        let roles: Vec<_> =
            request["messages"].as_array().unwrap().iter().map(|m| &m["role"]).collect();
        assert_eq!(roles, ["user", "assistant", "tool", "tool"]);
        assert_eq!(request["tool_choice"], "auto");
        assert_eq!(conversation.add_reply(&reply("Then I go.", 0)), Next::Narrated);
        assert_eq!(conversation.text(), "First I look.\n\nThen I go.");
    }

    #[test]
    fn after_five_calls_the_model_can_but_speak() {
        let mut conversation = conversation();
        assert!(matches!(conversation.add_reply(&reply("", 7)), Next::Calls(_)));
        let admitted = (0..7).filter(|_| conversation.admits_call()).count();
        assert_eq!(admitted, MAX_CALLS);
        assert_eq!(conversation.request()["tool_choice"], "none");
        assert!(matches!(conversation.add_reply(&reply("", 1)), Next::Stuck(_)));
        assert_eq!(conversation.add_reply(&reply("Well then.", 1)), Next::Narrated);
    }

    #[test]
    fn silence_tells_nothing() {
        assert!(matches!(conversation().add_reply(&reply(" \n", 0)), Next::Stuck(_)));
    }
}
