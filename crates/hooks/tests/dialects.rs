//! Each host's payloads are read, and each decision is written in the host's own form.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed test")]

use life_agent_hooks::{
    Decision, Dialect, Failure, Hook, HookError, HookEvent, parse, refuse, render,
};
use serde_json::{Value, json};

fn payload(name: &str) -> Value {
    let path = format!("{}/tests/data/{name}.json", env!("CARGO_MANIFEST_DIR"));
    #[expect(clippy::disallowed_methods, reason = "the crate reads no file; its tests do")]
    let text = std::fs::read_to_string(&path).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn hook(name: &str) -> Hook {
    let dialect: Dialect = name.split('.').next().unwrap().parse().unwrap();
    parse(dialect, &payload(name)).unwrap()
}

/// Agent, session, tool, server, arguments, call and directory of a call.
fn call(name: &str) -> Value {
    let HookEvent::PreTool(call) = hook(name).event else { panic!("{name} is no call") };
    json!([
        call.agent,
        call.session_id,
        call.tool,
        call.server,
        call.arguments,
        call.call_id,
        call.cwd
    ])
}

#[test]
fn calls_are_read() {
    let repo = "/home/u/repo";
    for (name, expected) in [
        (
            "claude-code.pre",
            json!([null, "4f1c0b52-0c5e-4c1a-9a55-2f2f5c3b7a10", "Bash", null, {"command": "rm -rf build", "description": "Remove the build folder"}, "toolu_01A", repo]),
        ),
        (
            "claude-code.mcp",
            json!(["sub agent/7", "s1", "mcp__github__create_issue", "github", {"title": "t"}, "toolu_02", repo]),
        ),
        (
            "claude-code.permission",
            json!([null, "s1", "Bash", null, {"command": "git push"}, null, repo]),
        ),
        (
            "codex.pre",
            json!([null, "019a", "Bash", null, {"command": "cargo test"}, "call_9", repo]),
        ),
        (
            "cursor.shell",
            json!([null, "c-1", "Shell", null, {"command": "npm publish"}, null, "/home/u/repo/pkg"]),
        ),
        ("cursor.mcp", json!([null, "c-1", "create_issue", null, {"title": "t"}, null, repo])),
        (
            "cursor.read",
            json!([null, "c-1", "Read", null, {"file_path": "/home/u/repo/.env"}, null, repo]),
        ),
        (
            "cursor.pre",
            json!([null, "c-1", "Write", null, {"file_path": "/home/u/repo/a", "content": "x"}, "t-1", repo]),
        ),
        (
            "copilot.pre",
            json!([null, "cp-1", "bash", null, {"command": "git push --force", "description": "push"}, null, repo]),
        ),
        (
            "gemini.pre",
            json!([null, "ge-1", "run_shell_command", "files", {"command": "ls"}, null, repo]),
        ),
        (
            "goose.pre",
            json!([null, "20261128_1", "developer__shell", null, {"command": "ls"}, "call_1", repo]),
        ),
        ("generic.pre", json!(["mine", "s", "run_command", "ops", {"command": "ls"}, "1", repo])),
    ] {
        assert_eq!(call(name), expected, "{name}");
    }
}

#[test]
fn results_are_read_and_other_events_pass() {
    for (name, call_id, is_error, duration) in [
        ("claude-code.post", Some("toolu_01A"), None, Some(12)),
        ("codex.post", Some("call_9"), None, None),
        ("copilot.post", None, Some(true), None),
        ("gemini.post", None, Some(true), None),
        ("generic.post", Some("1"), Some(false), Some(3)),
    ] {
        let HookEvent::PostTool(result) = hook(name).event else { panic!("{name}") };
        assert_eq!(
            (result.call_id.as_deref(), result.is_error, result.duration_ms),
            (call_id, is_error, duration),
            "{name}"
        );
    }
    for name in ["claude-code.other", "cursor.other", "copilot.other", "goose.other"] {
        assert_eq!(hook(name).event, HookEvent::Other, "{name}");
        let deny = Decision::Deny { reason: "no".to_owned() };
        assert_eq!(render(&hook(name), &deny).exit_code, 0, "{name}");
    }
}

#[test]
fn a_call_is_a_call_whatever_a_host_names_its_event() {
    let call = json!({"tool_name": "Bash", "tool_input": {"command": "ls"}});
    for (dialect, name) in [
        (Dialect::ClaudeCode, "pre_tool_use"),
        (Dialect::Codex, "PreToolUse "),
        (Dialect::Gemini, "before-tool"),
        (Dialect::Goose, "PreToolCall"),
        (Dialect::Cursor, "PreToolUse"),
        (Dialect::Cursor, "beforeToolExecution"),
        (Dialect::Generic, "PRE-tool"),
        (Dialect::Copilot, ""),
    ] {
        let mut payload = call.clone();
        if !name.is_empty() {
            payload["hook_event_name"] = json!(name);
        }
        let read = parse(dialect, &payload);
        assert!(matches!(&read, Ok(Hook { event: HookEvent::PreTool(_), .. })), "{name}: {read:?}");
    }
    for (dialect, name) in
        [(Dialect::ClaudeCode, "PreCompact"), (Dialect::Cursor, "beforeSubmitPrompt")]
    {
        let read = parse(dialect, &json!({"hook_event_name": name, "prompt": "ls"}));
        assert!(matches!(&read, Ok(Hook { event: HookEvent::Other, .. })), "{name}: {read:?}");
    }
}

#[test]
fn a_payload_without_what_a_decision_needs_is_an_error() {
    for (dialect, payload, expected) in [
        (Dialect::ClaudeCode, json!([]), HookError::NotAnObject),
        (Dialect::ClaudeCode, json!({}), HookError::Missing("hook_event_name")),
        (Dialect::Codex, json!({"hook_event_name": "PreToolUse"}), HookError::Missing("tool_name")),
        (
            Dialect::Cursor,
            json!({"hook_event_name": "beforeShellExecution"}),
            HookError::Missing("command"),
        ),
        (Dialect::Copilot, json!({"toolArgs": "{}"}), HookError::Missing("toolName")),
        (Dialect::Copilot, json!({"tool_input": {}}), HookError::Missing("toolName")),
        (Dialect::Copilot, json!({"tool_name": 5}), HookError::Missing("tool_name")),
        (Dialect::Generic, json!({}), HookError::Missing("tool_name")),
    ] {
        assert_eq!(parse(dialect, &payload), Err(expected), "{payload}");
    }
}

#[test]
fn arguments_of_any_form_are_kept() {
    let call = |input: Value| {
        let payload =
            json!({"hook_event_name": "PreToolUse", "tool_name": "t", "tool_input": input});
        let HookEvent::PreTool(call) = parse(Dialect::Codex, &payload).unwrap().event else {
            panic!("a call")
        };
        Value::Object(call.arguments)
    };
    assert_eq!(call(Value::Null), json!({}));
    assert_eq!(call(json!("{\"a\": 1}")), json!({"a": 1}));
    assert_eq!(call(json!("rm -rf /")), json!({"input": "rm -rf /"}));
    assert_eq!(call(json!(["rm", "-rf"])), json!({"input": ["rm", "-rf"]}));
}

#[test]
fn an_agent_is_named_by_its_host_or_its_session() {
    let agent = |name: &str| {
        let hook = hook(name);
        let HookEvent::PreTool(call) = hook.event else { panic!("{name}") };
        call.into_command(hook.dialect).unwrap().agent.as_str().to_owned()
    };
    assert_eq!(agent("claude-code.mcp"), "sub-agent-7");
    assert_eq!(agent("codex.pre"), "019a");
    let payload = json!({"tool": "x"});
    let HookEvent::PreTool(call) = parse(Dialect::Generic, &payload).unwrap().event else {
        panic!("a call")
    };
    assert_eq!(call.clone().into_command(Dialect::Generic).unwrap().agent.as_str(), "generic");
    let long = "x".repeat(300);
    assert!(
        life_agent_hooks::ToolCall { tool: long, ..call }.into_command(Dialect::Generic).is_err()
    );
}

fn decided(name: &str) -> [Value; 3] {
    let decisions = [
        Decision::Allow,
        Decision::Ask { reason: "why".to_owned(), url: Some("http://h/a/1".to_owned()) },
        Decision::Deny { reason: "no".to_owned() },
    ];
    decisions.map(|decision| {
        let reply = render(&hook(name), &decision);
        json!([reply.exit_code, reply.stdout])
    })
}

#[test]
fn decisions_are_written_in_each_hosts_form() {
    let asked = "why. This call needs an approval: a person decides at http://h/a/1; repeat exactly \
                 the same call after that";
    let prompt = "why. A person can also approve the call at http://h/a/1";
    let specific = |event: &str, fields: Value| {
        let mut fields = fields;
        fields["hookEventName"] = json!(event);
        json!([0, {"hookSpecificOutput": fields}])
    };
    let permission = |decision: &str, reason: &str| {
        specific(
            "PreToolUse",
            json!({"permissionDecision": decision, "permissionDecisionReason": reason}),
        )
    };
    let allow = specific("PreToolUse", json!({"permissionDecision": "allow"}));
    assert_eq!(
        decided("claude-code.pre"),
        [allow, permission("ask", prompt), permission("deny", "no")]
    );
    let behavior = |fields: Value| specific("PermissionRequest", json!({"decision": fields}));
    assert_eq!(
        decided("claude-code.permission"),
        [
            behavior(json!({"behavior": "allow"})),
            json!([0, null]),
            behavior(json!({"behavior": "deny", "message": "no", "interrupt": false})),
        ]
    );
    // Only a refusal takes effect; anything else would count as a failed hook.
    assert_eq!(
        decided("codex.pre"),
        [json!([0, null]), permission("deny", asked), permission("deny", "no")]
    );
    let copilot = |decision: &str, reason: &str| json!([0, {"permissionDecision": decision, "permissionDecisionReason": reason}]);
    assert_eq!(
        decided("copilot.pre"),
        [json!([0, null]), copilot("ask", prompt), copilot("deny", "no")]
    );
    let cursor = |permission: &str, reason: &str| json!([0, {"permission": permission, "user_message": reason, "agent_message": reason}]);
    let allow = || json!([0, {"permission": "allow"}]);
    for name in ["cursor.shell", "cursor.mcp"] {
        assert_eq!(decided(name), [allow(), cursor("ask", prompt), cursor("deny", "no")], "{name}");
    }
    for name in ["cursor.read", "cursor.pre"] {
        assert_eq!(decided(name), [allow(), cursor("deny", asked), cursor("deny", "no")], "{name}");
    }
    for (name, refusal) in [("gemini.pre", "deny"), ("goose.pre", "block")] {
        let refused = |reason: &str| json!([0, {"decision": refusal, "reason": reason}]);
        let allow = json!([0, {"decision": "allow"}]);
        assert_eq!(decided(name), [allow, refused(asked), refused("no")], "{name}");
    }
    assert_eq!(
        decided("generic.pre"),
        [
            json!([0, {"decision": "allow"}]),
            json!([2, {"decision": "ask", "reason": "why", "url": "http://h/a/1"}]),
            json!([2, {"decision": "deny", "reason": "no"}]),
        ]
    );
}

#[test]
fn a_refusal_always_has_a_reason() {
    for name in ["codex.pre", "goose.pre", "claude-code.pre"] {
        let reply = render(&hook(name), &Decision::Deny { reason: " ".to_owned() });
        assert!(reply.stdout.unwrap().to_string().contains("the policy denies this call"));
    }
}

#[test]
fn without_a_decision_the_call_is_refused() {
    let failures = [
        Failure::Unparsable("x".to_owned()),
        Failure::Unreachable("connection refused".to_owned()),
        Failure::Timeout(5),
        Failure::NoDecision("status 500".to_owned()),
    ];
    for failure in &failures {
        let reply = refuse(None, failure);
        assert_eq!((reply.exit_code, reply.stdout.is_none()), (2, true));
        assert!(reply.stderr.contains("life-agent"));
        for name in [
            "claude-code.pre",
            "codex.pre",
            "cursor.shell",
            "copilot.pre",
            "gemini.pre",
            "goose.pre",
            "generic.pre",
        ] {
            let reply = refuse(Some(&hook(name)), failure);
            let deny = render(&hook(name), &Decision::Deny { reason: failure.to_string() });
            assert_eq!(reply.stdout, deny.stdout, "{name}");
            assert!(reply.stdout.is_some() && !reply.stderr.is_empty(), "{name}");
        }
        // The call has run already: the host must not take this for a failed tool.
        assert_eq!(refuse(Some(&hook("codex.post")), failure).exit_code, 0);
    }
}
