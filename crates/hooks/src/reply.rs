//! Writes decisions in each host's own form.

use serde_json::{Value, json};

use crate::dialect::Dialect;
use crate::event::{Hook, HookEvent};

/// The decision about a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// The call may proceed.
    Allow,
    /// The call needs an approval.
    Ask {
        /// The reason, for the person and the agent.
        reason: String,
        /// The address at which the call can be approved, where there is one.
        url: Option<String>,
    },
    /// The call is refused.
    Deny {
        /// The reason and the permitted alternative, for the agent.
        reason: String,
    },
}

/// Why no decision was made. A call is refused then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The payload could not be read.
    #[error("life-agent could not read the hook's input: {0}")]
    Unparsable(String),
    /// The service did not accept a connection.
    #[error(
        "life-agent is not reachable ({0}); start it, or remove the hook with `life-agent hook uninstall`"
    )]
    Unreachable(String),
    /// The service did not respond in time.
    #[error("life-agent did not respond within {0} s")]
    Timeout(u64),
    /// The service responded with something other than a decision.
    #[error("life-agent did not decide: {0}")]
    NoDecision(String),
}

/// The reply of a hook command. An HTTP hook gets `stdout`, or `{}`, as its body.
#[derive(Debug, Clone, PartialEq)]
pub struct HookReply {
    /// The exit code of the command.
    pub exit_code: u8,
    /// The JSON on standard output; `None` for no output.
    pub stdout: Option<Value>,
    /// The text on standard error; may be empty.
    pub stderr: String,
}

impl HookReply {
    /// No output, which every host takes for no objection.
    fn silent() -> Self {
        Self { exit_code: 0, stdout: None, stderr: String::new() }
    }

    fn json(stdout: Value) -> Self {
        Self { exit_code: 0, stdout: Some(stdout), stderr: String::new() }
    }
}

/// The reply for a decision about a call. For other events, the reply has no effect on the host.
pub fn render(hook: &Hook, decision: &Decision) -> HookReply {
    if !matches!(hook.event, HookEvent::PreTool(_)) {
        return no_objection(hook);
    }
    let decision = for_host(hook, decision);
    match hook.dialect {
        Dialect::ClaudeCode => claude(hook, &decision),
        Dialect::Codex => codex(hook, &decision),
        Dialect::Copilot => copilot(hook, &decision),
        Dialect::Cursor => cursor(&decision),
        Dialect::Gemini => verdict("deny", &decision),
        Dialect::Goose => verdict("block", &decision),
        Dialect::Generic => generic(&decision),
    }
}

/// The reply when no decision was made: the call is refused. Without a readable payload, only an exit code
/// is understood by every host.
pub fn refuse(hook: Option<&Hook>, failure: &Failure) -> HookReply {
    let reason = failure.to_string();
    match hook {
        None => HookReply { exit_code: 2, stdout: None, stderr: reason },
        // An event after the fact cannot be refused any more; the person should learn of the failure.
        Some(hook) if !matches!(hook.event, HookEvent::PreTool(_)) => {
            HookReply { stderr: reason, ..no_objection(hook) }
        }
        Some(hook) => {
            let reply = render(hook, &Decision::Deny { reason: reason.clone() });
            HookReply { stderr: reason, ..reply }
        }
    }
}

/// Hosts without a prompt of their own get a refusal that says how to proceed.
fn for_host(hook: &Hook, decision: &Decision) -> Decision {
    let has_prompt = match hook.dialect {
        Dialect::ClaudeCode | Dialect::Copilot | Dialect::Generic => true,
        Dialect::Cursor => {
            matches!(hook.name.as_str(), "beforeShellExecution" | "beforeMCPExecution")
        }
        Dialect::Codex | Dialect::Gemini | Dialect::Goose => false,
    };
    match decision {
        Decision::Ask { reason, url } if !has_prompt => {
            let reason = match url {
                Some(url) => format!(
                    "{reason}. This call needs an approval: a person decides at {url}; repeat exactly \
                     the same call after that"
                ),
                None => {
                    format!("{reason}. This call needs an approval, which this host cannot ask for")
                }
            };
            Decision::Deny { reason }
        }
        // The person at the prompt need not be the one who approves.
        Decision::Ask { reason, url: Some(url) } if hook.dialect != Dialect::Generic => {
            let reason = format!("{reason}. A person can also approve the call at {url}");
            Decision::Ask { reason, url: None }
        }
        // Some hosts ignore a refusal without a reason.
        Decision::Deny { reason } if reason.trim().is_empty() => {
            Decision::Deny { reason: "the policy denies this call".to_owned() }
        }
        other => other.clone(),
    }
}

fn no_objection(hook: &Hook) -> HookReply {
    match (hook.dialect, hook.name.as_str()) {
        (Dialect::Cursor, "beforeSubmitPrompt") => HookReply::json(json!({"continue": true})),
        (Dialect::Cursor, _) | (Dialect::Gemini, _) => HookReply::json(json!({})),
        _ => HookReply::silent(),
    }
}

/// The name of a decision and its reason.
fn parts(decision: &Decision) -> (&'static str, &str) {
    match decision {
        Decision::Allow => ("allow", ""),
        Decision::Ask { reason, .. } => ("ask", reason),
        Decision::Deny { reason } => ("deny", reason),
    }
}

fn claude(hook: &Hook, decision: &Decision) -> HookReply {
    let (permission, reason) = parts(decision);
    if hook.name == "PermissionRequest" {
        let behavior = match decision {
            Decision::Allow => json!({"behavior": "allow"}),
            Decision::Deny { .. } => {
                json!({"behavior": "deny", "message": reason, "interrupt": false})
            }
            // The host is about to ask anyway.
            Decision::Ask { .. } => return HookReply::silent(),
        };
        return specific("PermissionRequest", json!({"decision": behavior}));
    }
    let mut fields = json!({"permissionDecision": permission});
    if !reason.is_empty() {
        fields["permissionDecisionReason"] = json!(reason);
    }
    specific("PreToolUse", fields)
}

/// Only a refusal with a reason takes effect; any other output is a failed hook, after which the call runs.
fn codex(hook: &Hook, decision: &Decision) -> HookReply {
    match decision {
        Decision::Deny { .. } => claude(hook, decision),
        Decision::Allow | Decision::Ask { .. } => HookReply::silent(),
    }
}

fn specific(event: &str, mut fields: Value) -> HookReply {
    fields["hookEventName"] = json!(event);
    HookReply::json(json!({ "hookSpecificOutput": fields }))
}

fn copilot(hook: &Hook, decision: &Decision) -> HookReply {
    let (permission, reason) = parts(decision);
    if permission == "allow" {
        return HookReply::silent();
    }
    let mut output = json!({"permissionDecision": permission, "permissionDecisionReason": reason});
    if !hook.name.is_empty() {
        // A payload in Claude Code's form: the reply in both forms.
        let claude = claude(hook, decision).stdout.unwrap_or_default();
        output["hookSpecificOutput"] = claude["hookSpecificOutput"].clone();
    }
    HookReply::json(output)
}

/// Cursor refuses a call when a hook that fails closed prints nothing.
fn cursor(decision: &Decision) -> HookReply {
    let (permission, reason) = parts(decision);
    if reason.is_empty() {
        return HookReply::json(json!({"permission": permission}));
    }
    HookReply::json(
        json!({"permission": permission, "user_message": reason, "agent_message": reason}),
    )
}

fn verdict(refusal: &str, decision: &Decision) -> HookReply {
    match decision {
        Decision::Deny { reason } => {
            HookReply::json(json!({"decision": refusal, "reason": reason}))
        }
        Decision::Allow | Decision::Ask { .. } => HookReply::json(json!({"decision": "allow"})),
    }
}

fn generic(decision: &Decision) -> HookReply {
    let (name, reason) = parts(decision);
    let mut output = json!({"decision": name});
    if !reason.is_empty() {
        output["reason"] = json!(reason);
    }
    if let Decision::Ask { url: Some(url), .. } = decision {
        output["url"] = json!(url);
    }
    // A host that reads only the exit code must not run the call.
    let exit_code = if name == "allow" { 0 } else { 2 };
    let stderr = reason.to_owned();
    HookReply { exit_code, stdout: Some(output), stderr }
}
