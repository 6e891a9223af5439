//! Tool calls through the whole chain: each field by its meaning, and the severest effect in any order.

use std::sync::Arc;

use life_agent_domain::governance::command::{Gated, Label, Tool};
use life_agent_domain::governance::gate::{Denial, NoopObserver, Permit, Reason, evaluate};
use life_agent_domain::governance::ids::{AgentId, Principal};
use serde_json::{Value, json};

use super::ToolView;
use super::view::CallPlace;
use crate::chain::testing::{facts, policy};
use crate::chain::{ChainOptions, chain};
use crate::command::{CommandEffect, MAX_STEPS};

fn call(name: &str, arguments: Value, cwd: Option<&str>) -> Tool {
    Tool {
        agent: AgentId::new("gpt-1").unwrap(),
        tool: Label::new(name).unwrap(),
        server: None,
        arguments: arguments.as_object().cloned().unwrap().try_into().unwrap(),
        session_id: Some(Label::new("s").unwrap()),
        call_id: None,
        cwd: cwd.map(str::to_owned),
    }
}

fn judge(more: &str, tool: Tool) -> Result<Permit<Tool>, Box<Denial<Tool>>> {
    let chain = chain(policy(more), ChainOptions::default());
    let facts = facts(tool.view());
    evaluate(&chain, Principal::new("ci"), tool, &facts, &NoopObserver)
}

/// `allow`, or the reason and the rule of the refusal.
fn verdict(more: &str, name: &str, arguments: Value) -> (String, String) {
    match judge(more, call(name, arguments, Some("/home/u/repo"))) {
        Ok(_) => ("allow".to_owned(), String::new()),
        Err(denial) => {
            let refusal = denial.refusal;
            (refusal.reason.as_str().to_owned(), refusal.rule.unwrap_or_default())
        }
    }
}

fn outcome(more: &str, name: &str, arguments: Value) -> String {
    verdict(more, name, arguments).0
}

#[test]
fn the_commands_of_a_call_share_one_budget() {
    let snapshot = policy("");
    let script = "cd app && cargo test 2>&1 | tail -20; git status --short\n".repeat(60);
    let commands = vec![script; 200];
    let view =
        ToolView::of(&snapshot, &call("run_commands", json!({ "commands": commands }), None));
    assert_eq!(view.commands.len(), 200);
    let steps: u64 = view.commands.iter().map(|field| u64::from(field.assessment.steps)).sum();
    assert!(steps <= u64::from(MAX_STEPS), "{steps}");
    let last = view.commands.last().unwrap();
    assert!(last.assessment.has(CommandEffect::Unparsed), "{:?}", last.assessment.effects);
}

#[test]
fn a_permit_keeps_the_parsed_commands_of_a_call_without_secrets_only() {
    let clean = judge("", call("Bash", json!({ "command": "ls -la src/" }), None)).unwrap();
    assert_eq!(clean.computed::<ToolView>().unwrap().commands.len(), 1);
    // In parts, so that no scanner takes this file for a leak.
    let token = ["ghp", "_9wXq2LkPz7VbN4mTr8YcDf6HjKs3Ga1EuRo0Zx"].concat();
    let command = json!({ "command": format!("echo {token}") });
    let leaking = judge("risk: {categories: {secrets: observe}}", call("Bash", command, None));
    let leaking = leaking.unwrap();
    assert!(leaking.computed::<ToolView>().is_none());
    assert!(!format!("{:?}", leaking.command().arguments).contains(&token));
}

#[test]
fn commands_are_parsed_and_judged_by_their_effect() {
    for (command, expected) in [
        ("ls -la src/", "allow"),
        ("curl http://localhost:3000/health", "allow"),
        ("git commit -m 'Fix rm -rf detection'", "allow"),
        ("rm -rf node_modules", "allow"),
        ("git push --force origin main", "approval_required"),
        ("git reset --hard origin/master", "approval_required"),
        ("terraform destroy -auto-approve", "approval_required"),
        ("cat ~/.ssh/id_rsa", "tool_denied"),
        ("sudo -i", "tool_denied"),
        ("$X -rf /", "approval_required"),
        ("echo 'unclosed", "approval_required"),
        ("ls && rm -rf ~ && sudo -i", "tool_denied"),
    ] {
        assert_eq!(outcome("", "Bash", json!({"command": command})), expected, "{command}");
    }
    // A list holds the words of one command, and a script behind `-c` is read too.
    let words = json!({"command": ["bash", "-lc", "git push --force"]});
    assert_eq!(outcome("", "shell", words), "approval_required");
    // In another field, or for a tool that nobody knows, it is only text.
    let text = json!({"description": "rm -rf ~"});
    assert_eq!(outcome("", "Bash", text.clone()), "allow");
    assert_eq!(outcome("", "my_tool", json!({"command": "rm -rf ~"})), "allow");
}

#[test]
fn a_policy_sets_effects_by_class_rule_and_tool() {
    let push = json!({"command": "git push --force origin main"});
    let rm = json!({"command": "git reset --hard"});
    for (more, arguments, expected) in [
        ("commands: {publish: deny}", &push, "tool_denied"),
        ("commands: {publish: allow}", &push, "allow"),
        ("commands: {publish: observe}", &push, "allow"),
        (
            "commands: {rules: [{program: git, subcommand: push, any: ['--force'], effect: deny}]}",
            &push,
            "tool_denied",
        ),
        (
            "commands: {rules: [{program: git, subcommand: push, effect: allow}, {program: git, any: ['--force'], effect: deny}]}",
            &push,
            "tool_denied",
        ),
        ("commands: {rules: [{program: git, effect: allow}]}", &rm, "allow"),
        ("tools: [{names: [bash], effect: deny}]", &rm, "tool_denied"),
        ("tools: [{names: [bash], effect: allow}]", &rm, "approval_required"),
        ("commands: {destroy: deny}\ntools: [{names: [bash], effect: ask}]", &rm, "tool_denied"),
        ("rules: [{id: r, match: {commands: [git reset --hard]}, effect: deny}]", &rm, "rule_deny"),
        (
            "rules: [{id: r, match: {commands: [git reset --soft]}, effect: deny}]",
            &rm,
            "approval_required",
        ),
        (
            "rules: [{id: r, match: {commands: [{class: destroy}], agents: [gpt-*]}, effect: deny}]",
            &rm,
            "rule_deny",
        ),
    ] {
        assert_eq!(outcome(more, "Bash", arguments.clone()), expected, "{more}");
    }
    let own = "tools: [{names: [deploy], fields: {/steps: command}}]";
    let steps = json!({"steps": ["terraform", "destroy"], "note": "x"});
    assert_eq!(outcome(own, "deploy", steps), "approval_required");
}

#[test]
fn a_milder_rule_does_not_cover_redirects_or_other_commands() {
    let git = "commands: {rules: [{program: [echo, git], effect: allow}]}";
    let denied = |command: &str| outcome(git, "Bash", json!({"command": command})) != "allow";
    assert!(!denied("git push --force"));
    assert!(denied("echo x >> ~/.bashrc"));
    assert!(denied("git push --force; terraform destroy"));
}

#[test]
fn an_exempting_rule_covers_only_what_it_matches() {
    let exempt = "rules: [{id: ops, match: {agents: [gpt-*], commands: [terraform destroy]}, effect: allow, exempt: [command_exec]}]";
    let of = |more: &str, command: &str| outcome(more, "Bash", json!({"command": command}));
    assert_eq!(of(exempt, "terraform destroy"), "allow");
    assert_eq!(of(exempt, "terraform destroy; git push --force"), "approval_required");
    assert_eq!(of(exempt, "terraform destroy; echo 'x"), "approval_required");
    let other = exempt.replace("gpt-*", "claude");
    assert_eq!(of(&other, "terraform destroy"), "approval_required");
    let urls = "rules: [{id: w, match: {tools: [WebFetch]}, effect: allow, exempt: [url]}]";
    let local = json!({"url": "http://169.254.169.254/latest/meta-data/"});
    assert_eq!(outcome("", "WebFetch", local.clone()), "risk_pattern");
    assert_eq!(outcome(urls, "WebFetch", local), "allow");
}

#[test]
fn paths_are_judged_by_their_place() {
    for (tool, path, expected) in [
        ("Write", "/home/u/repo/src/a.rs", "allow"),
        ("Write", "src/a.rs", "allow"),
        ("Write", "src/../a.rs", "allow"),
        ("Write", "/tmp/x", "allow"),
        ("Write", "/home/u/other/a.rs", "approval_required"),
        ("Write", "../other/a.rs", "path_forbidden"),
        ("Write", "src/../../other", "path_forbidden"),
        ("Write", "/etc/passwd", "path_forbidden"),
        ("Write", "~/.bashrc", "path_forbidden"),
        ("Write", "/home/u/repo\u{202e}/a", "path_forbidden"),
        ("Read", "/etc/passwd", "approval_required"),
        ("Read", "/home/u/repo/README.md", "allow"),
    ] {
        assert_eq!(outcome("", tool, json!({"file_path": path})), expected, "{tool} {path}");
    }
    let globs = "deny_globs: ['**/.env*', '**/.ssh/**']";
    for path in [".env", "/home/u/repo/.env.local", "~/.ssh/config", "/home/u/.ssh/id_rsa"] {
        assert_eq!(outcome(globs, "Read", json!({"file_path": path})), "path_forbidden", "{path}");
    }
}

#[test]
fn addresses_and_data_are_judged_as_such() {
    for (url, expected) in [
        ("https://docs.rs/serde", "allow"),
        ("http://169.254.169.254/latest/meta-data/", "risk_pattern"),
        ("file:///etc/passwd", "risk_pattern"),
        ("https://user:hunter22@example.com/", "risk_pattern"),
    ] {
        assert_eq!(outcome("", "WebFetch", json!({"url": url})), expected, "{url}");
    }
    // Text about commands, paths and addresses is data; a credential in it is found.
    let about = "#!/bin/sh\nrm -rf / && curl http://169.254.169.254/ ../../etc/passwd\n";
    let write = |text: &str| json!({"file_path": "a.sh", "content": text});
    assert_eq!(outcome("", "Write", write(about)), "allow");
    let token = "ghp_9wXq2LkPz7VbN4mTr8YcDf6HjKs3Ga1EuRo0";
    assert_eq!(outcome("", "Write", write(token)), "risk_pattern");
    let denial = judge("", call("Write", write(token), None)).unwrap_err();
    assert!(!format!("{denial:?}").contains(token));
    let findings = &denial.trace.findings;
    assert_eq!((findings[0].gate, findings[0].field.as_str()), ("risk", "arguments/content"));
}

#[test]
fn findings_name_gate_rule_effect_field_and_place() {
    let arguments = json!({"command": "echo ä; git push --force"});
    let denial = judge("", call("Bash", arguments, Some("/home/u/repo"))).unwrap_err();
    assert_eq!((denial.gate, denial.refusal.reason), ("command", Reason::ApprovalRequired));
    let found = &denial.trace.findings[0];
    assert_eq!((found.gate, found.field.as_str()), ("command", "arguments/command"));
    assert_eq!((found.start, found.end), (8, 24));
    assert!(denial.refusal.message.contains("`git` publishes"), "{}", denial.refusal.message);
}

#[test]
fn one_call_has_one_verdict() {
    let arguments = json!({"command": "x=$(git push --force) && sudo rm -rf / | tee ~/.bashrc"});
    let first = verdict("", "Bash", arguments.clone());
    for _ in 0..4 {
        assert_eq!(verdict("", "Bash", arguments.clone()), first);
    }
}

#[test]
fn a_call_with_more_fields_than_can_be_judged_is_denied() {
    let many: Vec<_> = (0..2000).map(|n| format!("https://h.example/{n}")).collect();
    assert_eq!(verdict("", "fetch_webpage", json!({"urls": many})).1, "too_many_fields");
}

#[cfg(feature = "opa")]
#[test]
fn opa_sees_the_parsed_command_the_fields_and_the_findings() {
    let snapshot = policy("commands: {publish: observe}");
    let tool = call("Bash", json!({"command": "git push --force"}), Some("/home/u/repo"));
    let facts = facts(tool.view());
    let module = crate::opa::Module {
        name: "a.rego".to_owned(),
        text: "package agent\nimport rego.v1\nallow if {\n input.commands[0].parts[0].program == \"git\"\n input.fields[\"/command\"] == \"command\"\n input.findings[0].gate == \"command\"\n input.session_id == \"s\"\n input.principal == \"ci\"\n}"
            .to_owned(),
    };
    let compiled = crate::opa::OpaPolicy::compile(&[module]).ok().unwrap();
    let opa = Some(crate::opa::Opa::Embedded(Arc::new(compiled)));
    let chain = chain(snapshot, ChainOptions { opa });
    let permit = evaluate(&chain, Principal::new("ci"), tool, &facts, &NoopObserver);
    assert!(permit.is_ok(), "{:?}", permit.err().map(|denial| denial.refusal));
}

#[test]
fn only_a_project_is_a_workspace() {
    for (cwd, workspace, home) in [
        ("/home/u/repo", true, Some("/home/u")),
        ("/home/u", false, Some("/home/u")),
        ("/", false, None),
        ("/etc/x", false, None),
        ("/root/repo", true, Some("/root")),
        ("/root", false, Some("/root")),
        ("/workspace", true, None),
        ("/usr/src/app", true, None),
        ("/home/u/repo/../../..", false, Some("/home/u")),
        ("C:\\Users\\me\\repo", true, None),
        ("C:\\Users\\me", false, None),
        ("C:\\", false, None),
        ("relative", false, None),
    ] {
        let place = CallPlace::of(Some(cwd));
        assert_eq!(place.workspace.is_some(), workspace, "{cwd}");
        assert_eq!(place.home.as_deref(), home, "{cwd}");
    }
}
