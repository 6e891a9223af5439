//! Settings keep what else is in them, and installing twice changes nothing.

use super::*;

const PROGRAM: &str = "/usr/local/bin/life-agent";

const WITH_FILES: [Dialect; 6] = [
    Dialect::ClaudeCode,
    Dialect::Codex,
    Dialect::Cursor,
    Dialect::Copilot,
    Dialect::Gemini,
    Dialect::Goose,
];

fn written(edit: Edit) -> String {
    match edit {
        Edit::Write(text) => text,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_new_file_is_complete_and_goes_away_again() {
    for dialect in WITH_FILES {
        for text in [None, Some(""), Some("{}\n")] {
            let installed = written(install(dialect, text, PROGRAM).unwrap());
            assert!(serde_json::from_str::<Value>(&installed).unwrap().is_object(), "{dialect}");
            assert_eq!(inspect(dialect, Some(&installed), PROGRAM), Ok(vec![]), "{dialect}");
            assert_eq!(install(dialect, Some(&installed), PROGRAM), Ok(Edit::Unchanged));
            assert_eq!(uninstall(dialect, &installed), Ok(Edit::Remove), "{dialect}\n{installed}");
        }
        let missing = inspect(dialect, None, PROGRAM).unwrap();
        assert!(missing.iter().all(|problem| matches!(problem, Problem::Missing(..))));
        assert!(!missing.is_empty());
    }
}

#[test]
fn everything_else_in_a_file_stays() {
    let own = r#"{
  "model": "opus",
  "hooks": {
    "PreToolUse": [
      {"matcher": "Bash", "hooks": [{"type": "command", "command": "./mine.sh"}]}
    ]
  },
  "zeta": [1,2 , 3]
}
"#;
    let installed = written(install(Dialect::ClaudeCode, Some(own), PROGRAM).unwrap());
    for kept in ["\"zeta\": [1,2 , 3]", "./mine.sh", "\"model\": \"opus\",\n  \"hooks\""] {
        assert!(installed.contains(kept), "{installed}");
    }
    let removed = written(uninstall(Dialect::ClaudeCode, &installed).unwrap());
    let value = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    assert_eq!(value(&removed), value(own));
    assert!(removed.contains("\"zeta\": [1,2 , 3]"), "{removed}");
    assert_eq!(uninstall(Dialect::ClaudeCode, &removed), Ok(Edit::Unchanged));
}

#[test]
fn comments_stay_where_the_host_reads_them_and_are_an_error_elsewhere() {
    let own = "{\n  // mine\n  \"ui\": {\"theme\": \"x\"}, /* why */\n}\n";
    let installed = written(install(Dialect::Gemini, Some(own), PROGRAM).unwrap());
    assert!(installed.contains("// mine") && installed.contains("/* why */"), "{installed}");
    assert_eq!(install(Dialect::Gemini, Some(&installed), PROGRAM), Ok(Edit::Unchanged));
    let strict = install(Dialect::ClaudeCode, Some(own), PROGRAM);
    assert!(matches!(strict, Err(SettingsError::Unreadable(_))), "{strict:?}");
}

#[test]
fn an_older_hook_is_replaced_and_actions_of_others_in_its_group_stay() {
    let old = r#"{"hooks": {"PreToolUse": [{"matcher": "Bash", "hooks": [
        {"type": "command", "command": "\"/old dir/life-agent\" hook claude-code"}]}]}}"#;
    let problems = inspect(Dialect::ClaudeCode, Some(old), PROGRAM).unwrap();
    assert_eq!(problems[0], Problem::Differs("PreToolUse", Dialect::ClaudeCode));
    let installed = written(install(Dialect::ClaudeCode, Some(old), PROGRAM).unwrap());
    assert!(!installed.contains("old dir"), "{installed}");
    assert_eq!(inspect(Dialect::ClaudeCode, Some(&installed), PROGRAM), Ok(vec![]));

    let mixed = r#"{"hooks": {"PreToolUse": [{"hooks": [
        {"type": "command", "command": "mine"},
        {"type": "command", "command": "life-agent hook claude-code"}]}]}}"#;
    let removed = written(uninstall(Dialect::ClaudeCode, mixed).unwrap());
    assert!(removed.contains("mine") && !removed.contains("life-agent"), "{removed}");
    // Another program of a similar name, and the hook of another host, are not ours.
    for other in ["not-life-agent hook claude-code", "life-agent hook codex", "life-agent hooks"] {
        let text =
            format!(r#"{{"hooks": {{"PreToolUse": [{{"hooks": [{{"command": "{other}"}}]}}]}}}}"#);
        assert_eq!(uninstall(Dialect::ClaudeCode, &text), Ok(Edit::Unchanged), "{other}");
    }
}

#[test]
fn a_file_in_another_shape_is_left_alone() {
    for (text, expected) in [
        ("[]", "the root"),
        ("{\"hooks\": []}", "hooks"),
        ("{\"hooks\": {\"PreToolUse\": {}}}", "hooks.PreToolUse"),
    ] {
        let found = install(Dialect::Codex, Some(text), PROGRAM);
        assert!(
            matches!(&found, Err(SettingsError::Shape(at, _)) if at == expected),
            "{text}: {found:?}"
        );
    }
    for text in ["{", "{\"a\": 1,}", "nonsense", "{\"a\": 'x'}"] {
        let found = install(Dialect::Codex, Some(text), PROGRAM);
        assert!(matches!(found, Err(SettingsError::Unreadable(_))), "{text}: {found:?}");
    }
    let large = " ".repeat(MAX_BYTES + 1);
    assert_eq!(install(Dialect::Codex, Some(&large), PROGRAM), Err(SettingsError::TooLarge));
    let generic = install(Dialect::Generic, None, PROGRAM);
    assert_eq!(generic, Err(SettingsError::NoSettings(Dialect::Generic)));
}

#[test]
fn a_switch_that_turns_hooks_off_is_a_problem() {
    let installed = written(install(Dialect::ClaudeCode, None, PROGRAM).unwrap());
    let off = installed.replacen('{', "{\"disableAllHooks\": true,", 1);
    let problems = inspect(Dialect::ClaudeCode, Some(&off), PROGRAM).unwrap();
    assert_eq!(problems, [Problem::SwitchedOff("/disableAllHooks")]);
}

#[test]
fn a_path_with_a_blank_is_quoted_and_recognized() {
    let program = "C:\\Program Files\\life-agent.exe";
    let installed = written(install(Dialect::Codex, None, program).unwrap());
    assert_eq!(inspect(Dialect::Codex, Some(&installed), program), Ok(vec![]));
    assert_eq!(uninstall(Dialect::Codex, &installed), Ok(Edit::Remove));
}
