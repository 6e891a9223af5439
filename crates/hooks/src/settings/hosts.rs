//! Where each host keeps its hooks, and the entries that the hook needs there.

use serde_json::{Value, json};

use crate::dialect::Dialect;

/// Seconds that a host waits for the hook.
const TIMEOUT: u32 = 30;

/// The settings files of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Location {
    /// For all projects, relative to the home folder.
    pub user: &'static str,
    /// For one project, relative to its root.
    pub project: &'static str,
}

/// Where the host keeps its hooks; `None` for a host without a settings file.
pub fn location(dialect: Dialect) -> Option<Location> {
    let (user, project) = match dialect {
        Dialect::ClaudeCode => (".claude/settings.json", ".claude/settings.json"),
        Dialect::Codex => (".codex/hooks.json", ".codex/hooks.json"),
        Dialect::Cursor => (".cursor/hooks.json", ".cursor/hooks.json"),
        Dialect::Copilot => (".copilot/hooks/life-agent.json", ".github/hooks/life-agent.json"),
        Dialect::Gemini => (".gemini/settings.json", ".gemini/settings.json"),
        Dialect::Goose => {
            let file = ".agents/plugins/life-agent/hooks/hooks.json";
            (file, file)
        }
        Dialect::Generic => return None,
    };
    Some(Location { user, project })
}

/// A further file that the host needs next to its hooks: its path relative to the folder of
/// [`location`]'s file, and its text.
pub fn companion(dialect: Dialect) -> Option<(&'static str, &'static str)> {
    let manifest = "{\n  \"name\": \"life-agent\",\n  \"version\": \"1.0.0\",\n  \"description\": \
                    \"Asks life-agent before each tool call\"\n}\n";
    (dialect == Dialect::Goose).then_some(("../plugin.json", manifest))
}

/// The form of a host's settings.
pub(super) struct Shape {
    /// Whether the host reads comments.
    pub(super) comments: bool,
    /// A key that the file must have besides the hooks.
    pub(super) version: Option<(&'static str, Value)>,
    /// Settings, as JSON pointers, that switch hooks off with this value.
    pub(super) switches: Vec<(&'static str, Value)>,
}

pub(super) fn shape(dialect: Dialect) -> Option<Shape> {
    let one = || Some(("version", json!(1)));
    let (comments, version, switches) = match dialect {
        Dialect::ClaudeCode => (false, None, vec![("/disableAllHooks", json!(true))]),
        Dialect::Codex | Dialect::Goose => (false, None, vec![]),
        Dialect::Cursor => (false, one(), vec![]),
        Dialect::Copilot => (false, one(), vec![("/disableAllHooks", json!(true))]),
        Dialect::Gemini => {
            let off = ["/hooksConfig/enabled", "/tools/enableHooks", "/hooks/enabled"];
            (true, None, off.map(|pointer| (pointer, json!(false))).to_vec())
        }
        Dialect::Generic => return None,
    };
    Some(Shape { comments, version, switches })
}

/// For each event, the entry that calls the hook.
pub(super) fn entries(dialect: Dialect, program: &str) -> Vec<(&'static str, Value)> {
    let program = if program.contains(' ') { format!("\"{program}\"") } else { program.to_owned() };
    let command = format!("{program} hook {dialect}");
    let group = |action: Value| json!({ "hooks": [action] });
    match dialect {
        Dialect::ClaudeCode => {
            let before = group(json!({
                "type": "command", "command": command, "timeout": TIMEOUT, "onFailure": "block",
            }));
            let after = group(json!({"type": "command", "command": command, "timeout": TIMEOUT}));
            vec![
                ("PreToolUse", before),
                ("PostToolUse", after.clone()),
                ("PostToolUseFailure", after),
            ]
        }
        Dialect::Codex => {
            let action = group(json!({"type": "command", "command": command, "timeout": TIMEOUT}));
            vec![("PreToolUse", action.clone()), ("PostToolUse", action)]
        }
        Dialect::Cursor => {
            let action = json!({"command": command, "failClosed": true, "timeout": TIMEOUT});
            // Shell, MCP and read calls have events of their own, whose prompt can ask.
            let mut others = action.clone();
            others["matcher"] = json!("^(?!Shell$|Read$|MCP)");
            vec![
                ("beforeShellExecution", action.clone()),
                ("beforeMCPExecution", action.clone()),
                ("beforeReadFile", action),
                ("preToolUse", others),
            ]
        }
        Dialect::Copilot => {
            let action = json!({
                "type": "command", "bash": command, "powershell": command, "timeoutSec": TIMEOUT,
            });
            vec![("preToolUse", action.clone()), ("postToolUse", action)]
        }
        Dialect::Gemini => {
            let action = json!({
                "type": "command", "name": "life-agent", "command": command,
                "timeout": TIMEOUT * 1000,
            });
            let group = json!({"matcher": ".*", "hooks": [action]});
            vec![("BeforeTool", group.clone()), ("AfterTool", group)]
        }
        Dialect::Goose => {
            let before = group(json!({
                "type": "command", "command": command, "timeout": TIMEOUT, "on_failure": "block",
            }));
            let after = group(json!({"type": "command", "command": command, "timeout": TIMEOUT}));
            vec![
                ("PreToolUse", before),
                ("PostToolUse", after.clone()),
                ("PostToolUseFailure", after),
            ]
        }
        Dialect::Generic => Vec::new(),
    }
}
