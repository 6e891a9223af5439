//! The kinds of hostile requests, after the findings of an attack on an earlier build.

use serde_json::json;

use crate::load::server::KEY;

/// A kind of request.
pub(super) struct Kind {
    pub(super) name: &'static str,
    /// The request with a number, as bytes of HTTP.
    pub(super) make: fn(usize) -> Vec<u8>,
}

pub(super) const KINDS: &[Kind] = &[
    // A conversation of 1 MiB full of credentials.
    Kind { name: "large-body", make: large_body },
    // JSON within JSON within JSON.
    Kind { name: "deep-nesting", make: deep_nesting },
    // Responses that no peer reads.
    Kind { name: "slow-readers", make: unread },
    // A policy of patterns that compile to a lot.
    Kind { name: "patterns", make: patterns },
    // A plan whose context is full of near misses.
    Kind { name: "texts", make: texts },
    // A payload that a Rego module reads item by item.
    Kind { name: "rego", make: rego },
    // A plan of many wrong edits.
    Kind { name: "lists", make: lists },
    // A command that grows as it is expanded.
    Kind { name: "commands", make: commands },
    // A tool call with 1 MiB of commands.
    Kind { name: "arguments", make: arguments },
    // A body that never comes.
    Kind { name: "unfinished", make: unfinished },
];

fn post(path: &str, body: &str) -> Vec<u8> {
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEY}\r\nContent-Type: application/json\r\n\
         Connection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    (head + body).into_bytes()
}

fn large_body(nth: usize) -> Vec<u8> {
    let text = format!("AKIAQ3EGRVBOYZ7DK{:03} ", nth % 800 + 200).repeat(47_000);
    let messages = json!([{"role": "user", "content": text}]);
    post("/v1/chat/completions", &json!({"model": "m", "messages": messages}).to_string())
}

fn deep_nesting(nth: usize) -> Vec<u8> {
    match nth % 3 {
        0 => post("/act", &"[".repeat(1_000_000)),
        1 => {
            let mut value = json!("harmless text ".repeat(1500));
            for _ in 0..5 {
                value = json!([value]).to_string().into();
            }
            let messages = json!([{"role": "user", "content": "hi"}]);
            let body = json!({"model": "m", "messages": messages, "metadata": {"x": value}});
            post("/v1/chat/completions", &body.to_string())
        }
        _ => {
            let payload =
                (0..30).fold(json!({"k": "x"}), |inner, _| json!({"k": inner, "l": [1, 2]}));
            post(
                "/act",
                &json!({"agent_id": "deep", "action": "note", "payload": payload}).to_string(),
            )
        }
    }
}

fn unread(_: usize) -> Vec<u8> {
    b"GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n\r\n".repeat(8)
}

fn patterns(nth: usize) -> Vec<u8> {
    let pattern =
        |n: usize| format!("  - {{id: p{n}, category: url, pattern: '\\w{{18}}x{nth}y{n}'}}\n");
    let patterns: String = (0..128).map(pattern).collect();
    let text = format!("version: '1'\nallowed_dirs: [plans]\nrisk:\n  patterns:\n{patterns}");
    post("/policy/validate", &json!({"text": text}).to_string())
}

fn texts(nth: usize) -> Vec<u8> {
    let unit = [
        "rm -r -x ",
        "%2e%2e%2f",
        "password = ",
        "ignore all previous ",
        "http://0x7f.0.0.1/ ",
        "''\"\"\\\\ ",
    ];
    let context = unit[nth % unit.len()].repeat(1_000_000 / 12);
    let plan = json!({"intent": "x", "context": context, "target_paths": ["plans/a.md"]});
    post("/plan", &plan.to_string())
}

fn rego(nth: usize) -> Vec<u8> {
    let texts: Vec<String> = (0..6_000).map(|n| format!("t{n}x{nth}")).collect();
    let act = json!({"agent_id": "rego", "action": "note", "payload": {"texts": texts}});
    post("/act", &act.to_string())
}

fn lists(nth: usize) -> Vec<u8> {
    let edits: Vec<_> = (0..9_000)
        .map(|n| json!({"path": format!("../{n}/{nth}"), "op": "creat", "x": 1}))
        .collect();
    post("/plan", &json!({"intent": "x", "context": "y", "edits": edits}).to_string())
}

fn commands(nth: usize) -> Vec<u8> {
    let unit = [
        "x=a; x+=$x$x; x+=$x$x; eval $x\n",
        "{a,b,c}{d,e,f}{1..999}{g,h} ",
        "$($($($(",
        "f() { f; f; }; f; ",
        "bash -c 'bash -c \"",
        "cat <<EOF | sh\n",
    ];
    let command = unit[nth % unit.len()];
    let command = command.repeat(63_000 / command.len());
    call(&json!({"command": command}))
}

fn arguments(nth: usize) -> Vec<u8> {
    let commands: Vec<String> =
        (0..250).map(|n| format!("git push --force origin {n}-{nth} ").repeat(100)).collect();
    call(&json!({"commands": commands, "content": "sk-proj- ghp_ AKIA ".repeat(9_000)}))
}

fn call(arguments: &serde_json::Value) -> Vec<u8> {
    post("/tool", &json!({"agent_id": "shell", "tool": "Bash", "arguments": arguments}).to_string())
}

fn unfinished(_: usize) -> Vec<u8> {
    let head = format!(
        "POST /act HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEY}\r\nContent-Type: application/json\r\n\
         Content-Length: 1000000\r\n\r\n{{\"agent_id\":"
    );
    head.into_bytes()
}
