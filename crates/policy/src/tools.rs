//! The built-in table of coding agents' tools, so that a policy without a `tools` section judges their calls, and
//! the definition of a tool under a policy.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::document::{Access, ActionEffect, Meaning};
use crate::pointer::Pointer;
use crate::snapshot::{CompiledTool, Snapshot};

/// Tools with the same arguments.
struct BuiltIn {
    /// In lower case.
    names: &'static [&'static str],
    fields: &'static [(&'static str, Meaning)],
    access: Access,
}

const SHELL: &[(&str, Meaning)] = &[
    ("/command", Meaning::Command),
    ("/commands", Meaning::Command),
    ("/cmd", Meaning::Command),
    ("/CommandLine", Meaning::Command),
    ("/script", Meaning::Command),
    ("/chars", Meaning::Command),
    ("/input", Meaning::Command),
];

const PATHS: &[(&str, Meaning)] = &[
    ("/path", Meaning::Path),
    ("/paths", Meaning::Path),
    ("/file", Meaning::Path),
    ("/files/*/path", Meaning::Path),
    ("/file_path", Meaning::Path),
    ("/filePath", Meaning::Path),
    ("/filepath", Meaning::Path),
    ("/filename", Meaning::Path),
    ("/absolute_path", Meaning::Path),
    ("/AbsolutePath", Meaning::Path),
    ("/target_file", Meaning::Path),
    ("/TargetFile", Meaning::Path),
    ("/target_directory", Meaning::Path),
    ("/relative_workspace_path", Meaning::Path),
    ("/DirectoryPath", Meaning::Path),
    ("/dir_path", Meaning::Path),
    ("/directory", Meaning::Path),
    ("/notebook_path", Meaning::Path),
    ("/source", Meaning::Path),
    ("/destination", Meaning::Path),
    ("/old_path", Meaning::Path),
    ("/new_path", Meaning::Path),
    ("/edits/*/file_path", Meaning::Path),
    ("/edits/*/path", Meaning::Path),
    ("/replacements/*/filePath", Meaning::Path),
    ("/operations/*/path", Meaning::Path),
];

const ADDRESSES: &[(&str, Meaning)] = &[
    ("/url", Meaning::Url),
    ("/Url", Meaning::Url),
    ("/uri", Meaning::Url),
    ("/urls", Meaning::Url),
    ("/href", Meaning::Url),
];

/// Tools of Claude Code, Codex, Copilot, Cursor, Gemini CLI and Qwen Code, goose, opencode, OpenHands,
/// Cline, Windsurf, Zed and the reference MCP servers.
const BUILT_IN: &[BuiltIn] = &[
    BuiltIn {
        names: &[
            "bash",
            "bash_code_execution",
            "container.exec",
            "cmd",
            "exec",
            "exec_command",
            "execute_bash",
            "execute_command",
            "execute_shell_command",
            "local_shell",
            "powershell",
            "pwsh",
            "run_bash",
            "run_bash_command",
            "run_command",
            "run_commands",
            "run_in_terminal",
            "run_shell",
            "run_shell_command",
            "run_terminal_cmd",
            "run_terminal_command",
            "runinterminal",
            "runterminalcommand",
            "sh",
            "shell",
            "shell_command",
            "shell_exec",
            "shell_execute",
            "ssh_exec",
            "terminal",
            "terminal_exec",
            "unified_exec",
            "write_bash",
            "write_powershell",
            "write_stdin",
            "zsh",
        ],
        fields: SHELL,
        access: Access::Write,
    },
    BuiltIn {
        names: &[
            "append_file",
            "apply_diff",
            "create",
            "create_directory",
            "create_file",
            "create_text_file",
            "delete",
            "delete_file",
            "edit",
            "edit_block",
            "edit_file",
            "edit_notebook",
            "edit_notebook_file",
            "editfiles",
            "file_editor",
            "fs_write",
            "insert_edit_into_file",
            "insert_content",
            "move_file",
            "multi_edit",
            "multi_replace_string_in_file",
            "multiedit",
            "notebook_edit",
            "notebookedit",
            "remove_file",
            "rename_file",
            "replace",
            "replace_file_content",
            "replace_in_file",
            "replace_string_in_file",
            "save_file",
            "search_and_replace",
            "search_replace",
            "str_replace",
            "str_replace_based_edit_tool",
            "str_replace_editor",
            "text_editor",
            "text_editor_code_execution",
            "write",
            "write_file",
            "write_to_file",
        ],
        fields: PATHS,
        access: Access::Write,
    },
    BuiltIn {
        names: &[
            "codebase_search",
            "directory_tree",
            "file_search",
            "find_by_name",
            "find_path",
            "fs_read",
            "get_file_info",
            "glob",
            "grep",
            "grep_search",
            "list",
            "list_dir",
            "list_directory",
            "list_files",
            "ls",
            "notebookread",
            "open_file",
            "read",
            "read_directory",
            "read_file",
            "read_many_files",
            "read_media_file",
            "read_multiple_files",
            "read_text_file",
            "search_file_content",
            "search_files",
            "view",
            "view_file",
            "view_image",
        ],
        fields: PATHS,
        access: Access::Read,
    },
    BuiltIn {
        names: &[
            "browser_action",
            "browser_navigate",
            "fetch",
            "fetch_url",
            "fetch_webpage",
            "get_url",
            "http_get",
            "http_request",
            "navigate",
            "open_browser_page",
            "open_simple_browser",
            "open_url",
            "puppeteer_navigate",
            "read_url",
            "read_url_content",
            "url_fetch",
            "web_fetch",
            "webfetch",
        ],
        fields: ADDRESSES,
        access: Access::Read,
    },
];

/// A compiled built-in tool.
struct Known {
    fields: Vec<(Pointer, Meaning)>,
    access: Access,
}

static KNOWN: LazyLock<(Vec<Known>, HashMap<&'static str, usize>)> = LazyLock::new(|| {
    let compile = |tool: &BuiltIn| {
        let pointer =
            |(text, meaning): &(&str, Meaning)| Some((Pointer::new(text).ok()?, *meaning));
        Known { fields: tool.fields.iter().filter_map(pointer).collect(), access: tool.access }
    };
    let tools = BUILT_IN.iter().map(compile).collect();
    let names = BUILT_IN.iter().enumerate();
    (tools, names.flat_map(|(n, tool)| tool.names.iter().map(move |name| (*name, n))).collect())
});

/// The definition of one tool under one policy.
#[derive(Debug, Clone, Copy)]
pub struct Definition<'a> {
    /// The meaning of arguments. An argument without a meaning is data.
    pub fields: &'a [(Pointer, Meaning)],
    /// Whether the tool only reads its paths.
    pub access: Access,
    /// The effect of every call of the tool, and the index of the policy's entry that sets it.
    pub effect: Option<(usize, ActionEffect)>,
}

impl Snapshot {
    /// The definition of a tool: each attribute from the policy's first entry that matches the tool and
    /// sets the attribute, else from the built-in table.
    pub fn tool(&self, tool: &str, server: Option<&str>) -> Definition<'_> {
        let built_in = built_in(tool);
        let entries =
            || self.tools.iter().enumerate().filter(move |(_, entry)| entry.is_about(tool, server));
        let own = entries().find(|(_, entry)| !entry.fields.is_empty());
        let known = built_in.map_or(&[][..], |known| &known.fields);
        Definition {
            fields: own.map_or(known, |(_, entry)| &entry.fields),
            access: entries()
                .find_map(|(_, entry)| entry.access)
                .or(built_in.map(|known| known.access))
                .unwrap_or_default(),
            effect: entries().find_map(|(index, entry)| Some((index, entry.effect?))),
        }
    }
}

impl CompiledTool {
    fn is_about(&self, tool: &str, server: Option<&str>) -> bool {
        self.names.is_match(tool)
            && (self.servers.is_empty() || server.is_some_and(|name| self.servers.is_match(name)))
    }
}

/// The built-in tool with this name. Hosts prefix the server or extension, as in `mcp__files__write_file` or
/// `developer__shell`.
fn built_in(tool: &str) -> Option<&'static Known> {
    let (tools, names) = &*KNOWN;
    let name = tool.to_lowercase();
    let last = name.rsplit("__").next().unwrap_or(&name);
    let last = last.rsplit([':', '/']).next().unwrap_or(last);
    names.get(name.as_str()).or_else(|| names.get(last)).and_then(|index| tools.get(*index))
}

#[cfg(test)]
mod tests;
