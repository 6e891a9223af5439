//! The sections about actions: forms, defaults and faults.

use crate::document::{
    ActionEffect, Category, CommandClass, CommandPattern, Commands, Meaning, RuleEffect,
    TargetClass,
};
use crate::snapshot::{Snapshot, Workspace, compile};

struct AnyDir;

impl Workspace for AnyDir {
    fn is_dir(&self, _relative: &str) -> bool {
        true
    }
}

fn with(rest: &str) -> String {
    format!("version: \"1\"\nallowed_dirs: [plans]\n{rest}")
}

fn valid(rest: &str) -> Snapshot {
    compile(&with(rest), &AnyDir).unwrap_or_else(|faults| panic!("{faults:#?}"))
}

fn faults(rest: &str) -> Vec<(String, String)> {
    let faults = compile(&with(rest), &AnyDir).err().unwrap_or_default();
    faults.into_iter().map(|fault| (fault.path, fault.message)).collect()
}

/// The sections as the documentation shows them.
const DOCUMENTED: &str = r#"
tools:
  - names: [Bash, shell, run_command, execute_command]
    fields: {/command: command, /cwd: path}
  - names: [Write, Edit, write_file, str_replace]
    fields: {/file_path: path, /path: path, /content: data, /new_string: data}
  - names: [WebFetch, fetch, browser_navigate]
    fields: {/url: url}
  - names: [delete_*]
    servers: [github]
    effect: deny
commands:
  read: allow
  change: allow
  destroy: ask
  publish: ask
  exfiltrate: deny
  escalate: deny
  unparsed: ask
  rules:
    - {program: git, subcommand: push, any: ["--force", "-f", "+*"], effect: deny}
    - {id: no-rm-outside, program: [rm, rmdir], target: [outside, system], effect: deny}
approvals:
  expire_seconds: 60
  webhook: https://hooks.example.com/T000/secret
rules:
  - id: prod
    match:
      kinds: [tool]
      tools: [Bash]
      servers: ['*']
      principals: [ci-*]
      agents: [gpt-?]
      fields: [/command]
      commands: [git push --force, {program: kubectl, class: destroy}]
    effect: ask
  - {id: ops, match: {agents: [ops-*]}, effect: allow, exempt: [command_exec, url]}
"#;

#[test]
fn the_documented_sections_are_read_and_shown_in_the_same_shape() {
    let snapshot = valid(DOCUMENTED);
    let policy = &snapshot.policy;
    assert_eq!(policy.tools.entries[0].fields["/command"], Meaning::Command);
    assert_eq!(policy.tools.entries[3].effect, Some(ActionEffect::Deny));
    let documented = Commands { rules: policy.commands.rules.clone(), ..Commands::default() };
    assert_eq!(policy.commands, documented);
    assert_eq!(policy.commands.rules[0].pattern.program, ["git"]);
    assert_eq!(
        policy.commands.rules[1].pattern.target,
        [TargetClass::Outside, TargetClass::System]
    );
    assert_eq!(policy.approvals.expire_seconds, 60);
    let rule = &snapshot.rules[0];
    assert_eq!(rule.effect, RuleEffect::Ask);
    let push = CommandPattern {
        program: vec!["git".to_owned()],
        subcommand: vec!["push".to_owned()],
        all: vec!["--force".to_owned()],
        ..CommandPattern::default()
    };
    assert_eq!(rule.commands[0], push);
    assert_eq!(rule.commands[1].class, [CommandClass::Destroy]);
    assert_eq!(snapshot.rules[1].exempt, [Category::CommandExec, Category::Url]);

    let shown = serde_yaml::to_string(&policy).unwrap();
    assert!(!shown.contains("T000"), "{shown}");
    let again = compile(&shown, &AnyDir).unwrap().policy;
    assert_eq!(again.approvals.webhook.as_deref(), Some("https://hooks.example.com/redacted"));
    assert_eq!((again.tools, again.commands, again.rules), {
        let policy = policy.clone();
        (policy.tools, policy.commands, policy.rules)
    });
}

#[test]
fn a_policy_without_the_sections_has_the_defaults() {
    let policy = valid("").policy;
    assert_eq!(policy.commands, Commands::default());
    assert_eq!(policy.commands.effect(CommandClass::Unparsed), ActionEffect::Ask);
    assert_eq!(policy.approvals.expire_seconds, 900);
    assert!(policy.tools.entries.is_empty() && !policy.tools.keep_results);
}

#[test]
fn the_tools_section_may_hold_settings() {
    let text = "tools: {keep_results: true, entries: [{names: [a], effect: ask}]}";
    let policy = valid(text).policy;
    assert!(policy.tools.keep_results);
    let shown = serde_yaml::to_string(&policy).unwrap();
    assert_eq!(compile(&shown, &AnyDir).unwrap().policy.tools, policy.tools);
    let found = faults("tools: {keep_result: true, entries: [{names: [a], effect: askk}]}");
    let paths: Vec<_> = found.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(paths, ["tools.keep_result", "tools.entries.0.effect"]);
}

#[test]
fn each_fault_is_found_in_its_place() {
    for (rest, path, message) in [
        ("tools: 7", "tools", "a list of tools"),
        ("tools: [{fields: {/a: command}}]", "tools.0.names", "is missing"),
        ("tools: [{names: ['']}]", "tools.0.names.0", "1 to 256"),
        ("tools: [{names: [a], fields: {a: path}}]", "tools.0.fields.a", "as in `/a`"),
        ("tools: [{names: [a], fields: {/a: shell}}]", "tools.0.fields./a", "`command`"),
        ("tools: [{names: [a], effects: deny}]", "tools.0.effects", "unknown key"),
        ("tools: [{names: [a], effect: block}]", "tools.0.effect", "`deny`"),
        ("tools: [{names: [a], access: execute}]", "tools.0.access", "`read`"),
        ("commands: git", "commands", "expected a map"),
        ("commands: {destroys: deny}", "commands.destroys", "unknown key"),
        ("commands: {destroy: maybe}", "commands.destroy", "`ask`"),
        ("commands: {rules: [{effect: deny}]}", "commands.rules.0", "at least one of"),
        ("commands: {rules: [{program: rm}]}", "commands.rules.0.effect", "is missing"),
        (
            "commands: {rules: [{program: rm -rf, effect: deny}]}",
            "commands.rules.0.program",
            "name alone",
        ),
        (
            "commands: {rules: [{program: rm, targets: root, effect: deny}]}",
            "commands.rules.0.targets",
            "unknown key",
        ),
        (
            "commands: {rules: [{program: rm, target: moon, effect: deny}]}",
            "commands.rules.0.target",
            "`root`",
        ),
        (
            "commands: {rules: [{program: [rm, 7], effect: deny}]}",
            "commands.rules.0.program.1",
            "expected a text",
        ),
        (
            "commands: {rules: [{id: A b, program: rm, effect: deny}]}",
            "commands.rules.0.id",
            "1 to 64",
        ),
        ("approvals: {expire_seconds: 0}", "approvals.expire_seconds", "lower than 1"),
        ("approvals: {webhook: http://x.example/}", "approvals.webhook", "this machine"),
        ("approvals: {webhook: http://localhost.x.example/}", "approvals.webhook", "this machine"),
        ("approvals: {webhook: http://10.0.0.1/}", "approvals.webhook", "this machine"),
        ("approvals: {webhook: 'https://u:p@x.example/'}", "approvals.webhook", "password"),
        ("approvals: {webhook: https://}", "approvals.webhook", "no host"),
        (
            "rules: [{id: a, match: {fields: [command]}, effect: ask}]",
            "rules.0.match.fields.0",
            "as in `/command`",
        ),
        (
            "rules: [{id: a, match: {agents: ['']}, effect: ask}]",
            "rules.0.match.agents.0",
            "1 to 256",
        ),
        (
            "rules: [{id: a, match: {commands: ['']}, effect: ask}]",
            "rules.0.match.commands.0",
            "at least one of",
        ),
        (
            "rules: [{id: a, match: {commands: [{programs: x}]}, effect: ask}]",
            "rules.0.match.commands.0.programs",
            "unknown key",
        ),
        (
            "rules: [{id: a, match: {kinds: [act]}, effect: deny, exempt: [url]}]",
            "rules.0.exempt",
            "needs the effect `allow`",
        ),
        (
            "rules: [{id: a, match: {kinds: [act]}, effect: allow, exempt: [urls]}]",
            "rules.0.exempt.0",
            "`url`",
        ),
    ] {
        let found = faults(rest);
        let hit = found.iter().any(|(at, why)| at == path && why.contains(message));
        assert!(hit, "{rest}: {found:#?}");
    }
}

#[test]
fn all_faults_are_reported_together_with_their_lines() {
    let text = with(
        "tools:
  - {names: [a], effect: askk}
  - {fields: {x: path}}
commands:
  destroy: never
  rules:
    - {program: rm}
approvals: {expire_seconds: 0, webhook: ftp://x}",
    );
    let found = compile(&text, &AnyDir).unwrap_err();
    let places: Vec<_> =
        found.iter().map(|fault| (fault.line.unwrap(), fault.path.as_str())).collect();
    let expected = [
        (4, "tools.0.effect"),
        (5, "tools.1.names"),
        (5, "tools.1.fields.x"),
        (7, "commands.destroy"),
        (9, "commands.rules.0.effect"),
        (10, "approvals.expire_seconds"),
        (10, "approvals.webhook"),
    ];
    assert_eq!(places, expected);
}
