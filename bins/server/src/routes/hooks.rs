//! `POST /hooks/{dialect}`: the hooks of coding agents, in each host's own JSON.

use actix_web::{HttpResponse, Responder, Route, web};
use life_agent_engine::domain::governance::gate::Reason;
use life_agent_engine::{EngineError, RequestContext, ToolResult as Reported};
use life_agent_hooks::{Decision, Dialect, Hook, HookEvent, ToolCall, ToolResult, parse, render};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use crate::auth::grant::Grant;
use crate::http::endpoint::{Access, Description, Effect, Endpoint, Tag, Verb};
use crate::http::errors::{ApiError, Code};
use crate::http::extract::{Authenticated, Body, Document, Faults};
use crate::state::AppState;

/// The payload of a hook, in the host's own form.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = Object)]
pub struct HookBody(Map<String, Value>);

impl Document for HookBody {
    type Checked = Value;
    fn check(self, _: &mut Faults) -> Option<Value> {
        Some(Value::Object(self.0))
    }
}

/// `POST /hooks/{dialect}`.
pub static HOOK: Endpoint =
    Endpoint::new("hook", Verb::Post, "/hooks/{dialect}", Access::ACT, Effect::Reads, || {
        Route::new().to(hook)
    })
    .names_agent()
    .bounded()
    .errors(&[Code::NotFound, Code::Conflict, Code::JournalUnavailable, Code::Overloaded])
    .described(describe);

fn describe() -> Description {
    Description::new(Tag::Agents, "Answer a hook of a coding agent")
        .details(
            "Takes the payload of a host's hook and returns the decision in the host's own form, with status 200 \
             also for a refusal. Dialects: `claude-code`, `codex`, `cursor`, `copilot`, `gemini`, `goose`, `generic`.",
        )
        .path_parameter("dialect", "The host.")
        .body::<HookBody>(json!({
            "session_id": "s-1", "cwd": "/home/ann/project", "hook_event_name": "PreToolUse",
            "tool_name": "Bash", "tool_input": {"command": "cargo test"}, "tool_use_id": "toolu_01"
        }))
        .json::<Value>(
            200,
            "The decision, in the host's form.",
            Some(json!({
                "hookSpecificOutput": {"hookEventName": "PreToolUse", "permissionDecision": "allow"}
            })),
        )
}
async fn hook(
    state: web::Data<AppState>,
    Authenticated { grant, .. }: Authenticated,
    body: Body<HookBody>,
    dialect: web::Path<String>,
) -> Result<impl Responder, ApiError> {
    let dialect: Dialect = dialect.parse().map_err(|error: life_agent_hooks::UnknownDialect| {
        ApiError::new(Code::NotFound, error.to_string())
    })?;
    let hook = parse(dialect, &body.checked)
        .map_err(|error| ApiError::new(Code::ValidationError, error.to_string()))?;
    let decision = match &hook.event {
        HookEvent::PreTool(call) => decide(&state, &grant, &body, &hook, call.clone()).await?,
        HookEvent::PostTool(result) => {
            report(&state, &body.caller, result).await?;
            Decision::Allow
        }
        HookEvent::Other => Decision::Allow,
    };
    let reply = render(&hook, &decision).stdout.unwrap_or_else(|| json!({}));
    Ok(HttpResponse::Ok().json(reply))
}

/// The decision about a call. An error that is not a decision refuses the call through the host's own
/// handling of a failed hook.
async fn decide(
    state: &AppState,
    grant: &Grant,
    body: &Body<HookBody>,
    hook: &Hook,
    call: ToolCall,
) -> Result<Decision, ApiError> {
    let tool = match call.into_command(hook.dialect) {
        Ok(tool) => tool,
        Err(error) => {
            return Ok(Decision::Deny { reason: format!("the call is invalid: {error}") });
        }
    };
    grant.check_agent(&tool.agent)?;
    let (engine, caller) = (state.engine.clone(), body.caller.clone());
    let judged = async move { engine.tool(&caller, tool).await };
    match state.large.run(body.bytes, judged).await? {
        Ok(_) => Ok(Decision::Allow),
        Err(EngineError::Denied(report)) => {
            let reason = format!("{} (row {})", report.message, report.event_id);
            let url = report.approval.map(|approval| approval.url);
            Ok(match report.reason {
                Reason::ApprovalRequired => Decision::Ask { reason, url },
                _ => Decision::Deny { reason },
            })
        }
        Err(error) => Err(error.into()),
    }
}

/// Records a result whose call is known. Hosts without ids for calls report results that belong to none.
async fn report(
    state: &AppState,
    caller: &RequestContext,
    result: &ToolResult,
) -> Result<(), ApiError> {
    let Some(call_id) = &result.call_id else { return Ok(()) };
    let Some(call) = state.engine.tool_call(caller, call_id).await? else { return Ok(()) };
    let reported = Reported {
        is_error: result.is_error,
        result: Some(result.result.clone()),
        duration_ms: result.duration_ms,
    };
    match state.engine.tool_result(caller, call, reported).await {
        // The host ran a refused call after a prompt of its own, or reports a result twice.
        Ok(_) | Err(EngineError::Conflict(_) | EngineError::NotFound(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
