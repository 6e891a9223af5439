//! The built-in table covers the tools of the common hosts, and a policy's entries precede it.

use super::*;
use crate::snapshot::{Workspace, compile};

struct AnyDir;

impl Workspace for AnyDir {
    fn is_dir(&self, _relative: &str) -> bool {
        true
    }
}

fn policy(rest: &str) -> Snapshot {
    compile(&format!("version: \"1\"\nallowed_dirs: [plans]\n{rest}"), &AnyDir).unwrap()
}

fn meaning(snapshot: &Snapshot, tool: &str, server: Option<&str>, field: &str) -> Option<Meaning> {
    let definition = snapshot.tool(tool, server);
    let found = definition.fields.iter().find(|(pointer, _)| pointer.covers(field));
    found.map(|(_, meaning)| *meaning)
}

#[test]
fn every_built_in_pointer_and_name_is_usable() {
    let (tools, names) = &*KNOWN;
    let written: usize = BUILT_IN.iter().map(|tool| tool.fields.len()).sum();
    assert_eq!(tools.iter().map(|tool| tool.fields.len()).sum::<usize>(), written);
    let named: usize = BUILT_IN.iter().map(|tool| tool.names.len()).sum();
    assert_eq!(names.len(), named, "a name is given twice");
    assert!(names.keys().all(|name| *name == name.to_lowercase()));
}

#[test]
fn the_tools_of_common_hosts_are_known() {
    let snapshot = policy("");
    for (tool, field, expected) in [
        ("Bash", "/command", Some(Meaning::Command)),
        ("exec_command", "/cmd", Some(Meaning::Command)),
        ("developer__shell", "/command", Some(Meaning::Command)),
        ("run_shell_command", "/command", Some(Meaning::Command)),
        ("runTerminalCommand", "/command", Some(Meaning::Command)),
        ("Write", "/file_path", Some(Meaning::Path)),
        ("Write", "/content", None),
        ("write", "/filePath", Some(Meaning::Path)),
        ("mcp__files__write_file", "/path", Some(Meaning::Path)),
        ("MCP:read_file", "/path", Some(Meaning::Path)),
        ("WebFetch", "/url", Some(Meaning::Url)),
        ("fetch_webpage", "/urls/3", Some(Meaning::Url)),
        // Its `command` is a verb such as `view`.
        ("str_replace_editor", "/command", None),
        ("my_shell", "/command", None),
    ] {
        assert_eq!(meaning(&snapshot, tool, None, field), expected, "{tool} {field}");
    }
    assert_eq!(snapshot.tool("Read", None).access, Access::Read);
    assert_eq!(snapshot.tool("unknown", None).access, Access::Write);
}

#[test]
fn attributes_come_from_the_first_entry_that_sets_them() {
    let snapshot = policy(
        "tools:
  - {names: [deploy*], effect: ask}
  - {names: [deploy_now], servers: [ops], fields: {/script: command}, effect: deny}
  - {names: [Bash], effect: allow, access: read}
  - {names: ['*'], effect: deny}",
    );
    let effect = |tool, server| snapshot.tool(tool, server).effect;
    assert_eq!(effect("Deploy_now", None), Some((0, ActionEffect::Ask)));
    assert_eq!(effect("bash", None), Some((2, ActionEffect::Allow)));
    assert_eq!(effect("other", Some("x")), Some((3, ActionEffect::Deny)));
    let script = |server| meaning(&snapshot, "deploy_now", server, "/script");
    assert_eq!((script(Some("OPS")), script(None)), (Some(Meaning::Command), None));
    // An entry without fields keeps the fields of the built-in table.
    assert_eq!(meaning(&snapshot, "Bash", None, "/command"), Some(Meaning::Command));
    // A glob of the policy matches the whole name; only the built-in table ignores the server's prefix.
    assert_eq!(effect("mcp__evil__Bash", None), Some((3, ActionEffect::Deny)));
}
