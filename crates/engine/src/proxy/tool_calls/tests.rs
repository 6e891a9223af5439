//! The calls of whole and streamed responses in each API.

use super::*;

fn call(name: &str, arguments: &str) -> ToolCall {
    ToolCall { name: name.to_owned(), arguments: arguments.to_owned() }
}

fn streamed(events: &[Value]) -> Vec<ToolCall> {
    let mut calls = ToolCalls::default();
    events.iter().for_each(|event| calls.push(event));
    calls.finish();
    calls.take()
}

const RUN: &str = r#"{"command":"ls"}"#;

#[test]
fn whole_responses_of_every_api_have_their_calls() {
    let function = json!({"name": "run", "arguments": RUN});
    for response in [
        json!({"choices": [{"message": {"tool_calls": [{"id": "c", "function": function}]}}]}),
        json!({"choices": [{"message": {"function_call": function}}]}),
        json!({"content": [{"type": "text", "text": "x"},
            {"type": "tool_use", "id": "t", "name": "run", "input": {"command": "ls"}}]}),
        json!({"output": [{"type": "function_call", "name": "run", "arguments": RUN}]}),
    ] {
        assert_eq!(ToolCalls::of(&response).take(), [call("run", RUN)], "{response}");
    }
    let shell = json!({"output": [{"type": "local_shell_call", "action": {"command": ["ls"]}}]});
    assert_eq!(ToolCalls::of(&shell).take(), [call("local_shell", r#"{"command":["ls"]}"#)]);
    let none = json!({"choices": [{"message": {"content": RUN, "tool_calls": null}}],
        "content": [{"type": "server_tool_use", "name": "run"}], "output": [{"type": "message"}]});
    assert!(ToolCalls::of(&none).take().is_empty());
}

#[test]
fn streamed_calls_are_complete_when_their_place_is() {
    let delta = |call: Value| json!({"choices": [{"delta": {"tool_calls": [call]}}]});
    let chat = [
        delta(json!({"index": 0, "id": "c", "function": {"name": "run", "arguments": "{\"comm"}})),
        delta(
            json!({"index": 0, "id": "", "function": {"name": "", "arguments": "and\":\"ls\"}"}}),
        ),
        json!({"choices": [{"delta": {}, "finish_reason": "tool_calls"}]}),
    ];
    let block = json!({"type": "tool_use", "name": "run", "input": {}});
    let piece = |text: &str| json!({"type": "input_json_delta", "partial_json": text});
    let messages = [
        json!({"type": "content_block_start", "index": 1, "content_block": block}),
        json!({"type": "content_block_delta", "index": 1, "delta": piece("{\"command\"")}),
        json!({"type": "content_block_delta", "index": 1, "delta": piece(":\"ls\"}")}),
        json!({"type": "content_block_stop", "index": 1}),
    ];
    let item = json!({"type": "function_call", "name": "run", "arguments": RUN});
    let responses = [
        json!({"type": "response.output_item.done", "item": item}),
        json!({"type": "response.completed", "response": {"output": [item]}}),
    ];
    for events in [&chat[..], &messages[..], &responses[..]] {
        assert_eq!(streamed(events), [call("run", RUN)]);
        let mut calls = ToolCalls::default();
        events[..events.len() - 1].iter().for_each(|event| calls.push(event));
        let before = calls.take().len();
        calls.push(&events[events.len() - 1]);
        assert_eq!(before + calls.take().len(), 1);
    }
}

#[test]
fn a_name_in_pieces_is_judged_in_every_way_that_clients_read_it() {
    let delta = |name: &str| json!({"choices": [{"delta": {"tool_calls": [{"function": {"name": name}}]}}]});
    let names: Vec<_> = streamed(&[delta("Ba"), delta("sh")]).into_iter().map(|c| c.name).collect();
    assert_eq!(names, ["Ba", "sh", "Bash"]);
}

#[test]
fn arguments_that_are_not_an_object_cannot_be_judged() {
    let agent = || AgentId::new("a").unwrap();
    for broken in ["{\"a\":", "[1]", "[", "1", "\"x\""] {
        assert!(call("run", broken).command(agent()).is_none(), "{broken}");
    }
    assert!(call("", "{}").command(agent()).is_none());
    let patch = call("apply_patch", "*** Begin Patch").command(agent()).unwrap();
    assert_eq!(patch.arguments.as_object()["input"], "*** Begin Patch");
    assert!(call("run", "").command(agent()).unwrap().arguments.as_object().is_empty());
}
