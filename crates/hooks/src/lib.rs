//! Dialects of coding agents' hooks: host JSON to tool calls, and decisions to host replies.
//!
//! Every function is pure. The server calls them behind `POST /hooks/{dialect}`, and `life-agent hook`
//! calls them between standard input and standard output.
//!
//! ```
//! use life_agent_hooks::{Decision, Dialect, HookEvent, parse, render};
//!
//! let payload = serde_json::json!({
//!     "session_id": "s1", "cwd": "/repo", "hook_event_name": "PreToolUse",
//!     "tool_name": "Bash", "tool_input": {"command": "rm -rf ~"}, "tool_use_id": "toolu_1",
//! });
//! let hook = parse(Dialect::ClaudeCode, &payload)?;
//! let HookEvent::PreTool(call) = &hook.event else { panic!("a tool call") };
//! assert_eq!((call.tool.as_str(), call.call_id.as_deref()), ("Bash", Some("toolu_1")));
//!
//! let reply = render(&hook, &Decision::Deny { reason: "destroys the home folder".to_owned() });
//! assert_eq!(reply.exit_code, 0);
//! assert_eq!(reply.stdout.unwrap()["hookSpecificOutput"]["permissionDecision"], "deny");
//! # Ok::<(), life_agent_hooks::HookError>(())
//! ```

mod dialect;
mod event;
mod read;
mod reply;
pub mod settings;

pub use dialect::{Dialect, UnknownDialect};
pub use event::{BadCall, Hook, HookError, HookEvent, ToolCall, ToolResult};
pub use read::parse;
pub use reply::{Decision, Failure, HookReply, refuse, render};
