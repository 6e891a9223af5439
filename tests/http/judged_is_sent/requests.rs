//! Generated requests of every kind. Each text holds a marker, and some hold a credential.

use serde_json::{Value, json};

use super::random::{Planted, Random};

/// A request, and the credentials in it.
pub(super) struct Case {
    pub(super) path: &'static str,
    pub(super) body: Value,
    pub(super) planted: Vec<Planted>,
}

/// Makes up the texts of one request.
struct Texts<'r> {
    random: &'r mut Random,
    case: usize,
    count: usize,
    planted: Vec<Planted>,
}

const WORDS: [&str; 8] = [
    "the north gate",
    "größe und Maß",
    "please",
    "look\nagain",
    "a \"quoted\" word",
    "100 %",
    "\t",
    "é",
];

impl Texts<'_> {
    fn marker(&mut self, kind: &str) -> String {
        self.count += 1;
        format!("{kind}{}x{}z", self.case, self.count)
    }

    fn plain(&mut self) -> String {
        let words = self.random.pick(&WORDS);
        format!("{} {words}", self.marker("mk"))
    }

    fn plant(&mut self, is_pair: bool) -> Option<Vec<String>> {
        if !self.random.one_in(3) {
            return None;
        }
        let planted = self.random.planted(is_pair);
        let pieces = planted.pieces.clone();
        self.planted.push(planted);
        Some(pieces)
    }

    /// A text.
    fn text(&mut self) -> String {
        let plain = self.plain();
        match self.plant(false) {
            Some(pieces) => format!("{plain} {} {}", pieces[0], self.marker("mk")),
            None => plain,
        }
    }

    /// Two texts that follow one another.
    fn pair(&mut self) -> [String; 2] {
        let (first, second) = (self.plain(), self.plain());
        match self.plant(true).as_deref() {
            Some([one, two]) => [format!("{first} {one}"), format!("{two} {second}")],
            Some([one]) => [format!("{first} {one} "), second],
            _ => [first, second],
        }
    }

    fn name(&mut self) -> String {
        self.marker("mk")
    }

    /// Any JSON.
    fn value(&mut self, depth: usize) -> Value {
        match self.random.below(if depth == 0 { 3 } else { 5 }) {
            0 => json!(self.random.below(1000)),
            1 | 2 => json!(self.text()),
            3 => {
                let [one, two] = self.pair();
                json!([one, two, self.value(depth - 1)])
            }
            _ => {
                let (name, other) = (self.name(), self.text());
                json!({name: self.value(depth - 1), other: self.value(depth - 1)})
            }
        }
    }

    /// A conversation in OpenAI's form.
    fn messages(&mut self) -> Value {
        let [one, two] = self.pair();
        let [part, next] = self.pair();
        let mut last = json!({"role": "user", "content": [
            {"type": "text", "text": part}, {"type": "text", "text": next}]});
        if self.random.one_in(3) {
            last["content"][0]["refusal"] = json!(self.text());
            last["name"] = json!(self.text());
        }
        let mut first = json!({"role": "user", "content": one});
        if self.random.one_in(3) {
            first[self.name()] = self.value(1);
        }
        let arguments = json!({"command": self.text()}).to_string();
        let call = json!({"id": "c1", "type": "function",
            "function": {"name": "look", "arguments": arguments}});
        let mut messages = vec![first, json!({"role": "user", "content": two})];
        if self.random.one_in(2) {
            messages.push(json!({"role": "assistant", "content": null, "tool_calls": [call]}));
            messages.push(json!({"role": "tool", "tool_call_id": "c1", "content": self.text()}));
        }
        messages.push(last);
        messages.into()
    }

    fn tools(&mut self) -> Value {
        let (name, text) = (self.name(), self.text());
        json!([{"type": "function", "function": {"name": "look", "description": text,
            "parameters": {"type": "object", "properties": {name: {"enum": [self.text()]}}}}}])
    }
}

/// The request of a number.
pub(super) fn case(random: &mut Random, number: usize) -> Case {
    let mut texts = Texts { random, case: number, count: 0, planted: Vec::new() };
    let (path, body) = match number % 11 {
        0 => {
            let payload = json!({"note": texts.text(), "more": texts.value(3), "list": texts.pair(),
                texts.text(): 1});
            ("/act", json!({"agent_id": "a", "action": "note", "payload": payload}))
        }
        1 => ("/turn", json!({"agent_id": "a", "input": texts.text()})),
        2 => {
            let text = texts.text();
            let arguments = json!({"command": format!("echo {text}"), "rest": texts.value(2)});
            (
                "/tool",
                json!({"agent_id": "a", "tool": "Bash", "arguments": arguments,
                "session_id": texts.name(), "cwd": format!("/home/{}", texts.name())}),
            )
        }
        3 => {
            let arguments =
                json!({"path": "notes.md", "content": texts.text(), "edits": texts.pair()});
            ("/tool", json!({"agent_id": "a", "tool": "Write", "arguments": arguments}))
        }
        4 => {
            let [one, two] = texts.pair();
            let messages =
                json!([{"role": "user", "content": one}, {"role": "user", "content": two}]);
            ("/llm/chat", json!({"messages": messages}))
        }
        5 | 6 => {
            let mut body = json!({"model": "m", "messages": texts.messages(), "stream": number.is_multiple_of(2)});
            if texts.random.one_in(2) {
                body["tools"] = texts.tools();
                body["metadata"] = json!({texts.name(): texts.text()});
            }
            if texts.random.one_in(2) {
                body[texts.name()] = texts.value(3);
            }
            ("/v1/chat/completions", body)
        }
        7 => {
            let [one, two] = texts.pair();
            let [part, next] = texts.pair();
            let result =
                json!({"type": "tool_result", "tool_use_id": "t", "content": texts.text()});
            let messages = json!([{"role": "user", "content": one}, {"role": "user", "content": two},
                {"role": "user", "content": [result, {"type": "text", "text": part},
                    {"type": "text", "text": next}]}]);
            (
                "/v1/messages",
                json!({"model": "m", "max_tokens": 9, "messages": messages,
                "system": texts.text(), "metadata": {"user_id": texts.text()}}),
            )
        }
        8 => {
            let [one, two] = texts.pair();
            let content = |text: String| json!([{"type": "input_text", "text": text}]);
            let input = json!([{"role": "user", "content": content(one)},
                {"role": "user", "content": content(two)},
                {"type": "function_call_output", "call_id": "c", "output": texts.text()}]);
            (
                "/v1/responses",
                json!({"model": "m", "input": input, "instructions": texts.text(),
                texts.name(): texts.value(2)}),
            )
        }
        9 => {
            let [intent, context] = texts.pair();
            // No gate but the one for credentials reads the contents of files.
            let content = format!("{} {}\n", texts.marker("ed"), texts.text().replace("mk", "ed"));
            let edit =
                json!({"path": format!("plans/p{number}.md"), "op": "create", "content": content});
            let edits = json!({"intent": intent, "context": context, "edits": [edit]});
            let draft = json!({"intent": edits["intent"], "context": edits["context"],
                "target_paths": [format!("plans/d{number}.md")]});
            ("/plan", if texts.random.one_in(2) { edits } else { draft })
        }
        _ => {
            let metadata = texts.text().replace("mk", "mt");
            let arguments =
                json!({"query": texts.text(), "list": texts.pair(), "x": texts.value(2)});
            let mut params = json!({"name": "search", "arguments": arguments,
                "_meta": {"note": metadata, "life-agent/idempotency-key": format!("k-{number}")}});
            if texts.random.one_in(3) {
                params[texts.name()] = texts.value(1);
            }
            (
                "/mcp/web",
                json!({"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params}),
            )
        }
    };
    let planted = texts.planted;
    Case { path, body, planted }
}
