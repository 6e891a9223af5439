//! `POST /tool` and `POST /tool/{event_id}/result`: the tool calls of agents, and their results.

use actix_web::{HttpResponse, Responder, Route, web};
use life_agent_engine::domain::governance::command::{Label, Tool};
use life_agent_engine::domain::governance::ids::AgentId;
use life_agent_engine::domain::governance::payload::Arguments;
use life_agent_engine::{ResultOutcome, ToolOutcome, ToolResult};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::http::endpoint::{Access, Description, Effect, Endpoint, Tag, Verb};
use crate::http::errors::{ApiError, Code};
use crate::http::extract::{Body, Document, Faults};
use crate::state::AppState;

/// Longest working directory, in bytes.
const MAX_CWD: usize = 4096;

/// A tool call that an agent is about to make.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ToolBody {
    /// The agent.
    #[schema(value_type = String, required, nullable = false, pattern = "^[A-Za-z0-9._:-]{1,64}$")]
    pub agent_id: Option<AgentId>,
    /// The tool, 1 to 256 characters, none of them a control character.
    #[schema(value_type = String, required, nullable = false, pattern = "^[^\\x00-\\x1F\\x7F-\\x9F]{1,256}$")]
    pub tool: Option<Label>,
    /// The arguments, exactly as the tool receives them; at most 1 MiB and 64 levels.
    #[schema(value_type = Object, required, nullable = false)]
    pub arguments: Option<Arguments>,
    /// The MCP server that provides the tool.
    #[schema(value_type = String, required = false, pattern = "^[^\\x00-\\x1F\\x7F-\\x9F]{1,256}$")]
    pub server: Option<Label>,
    /// The session of the agent's host.
    #[schema(value_type = String, required = false, pattern = "^[^\\x00-\\x1F\\x7F-\\x9F]{1,256}$")]
    pub session_id: Option<Label>,
    /// The host's id for the call. A repeated call with the same id gets the same row and response.
    #[schema(value_type = String, required = false, pattern = "^[^\\x00-\\x1F\\x7F-\\x9F]{1,256}$")]
    pub call_id: Option<Label>,
    /// The directory that relative paths in the arguments start from.
    #[schema(max_length = 4096)]
    pub cwd: Option<String>,
}

impl Document for ToolBody {
    type Checked = Tool;
    fn check(self, faults: &mut Faults) -> Option<Tool> {
        let agent = faults.required("agent_id", self.agent_id);
        let tool = faults.required("tool", self.tool);
        let arguments = faults.required("arguments", self.arguments);
        if self.cwd.as_ref().is_some_and(|cwd| cwd.len() > MAX_CWD) {
            faults.add("cwd", format!("must be at most {MAX_CWD} bytes long"));
        }
        let Self { server, session_id, call_id, cwd, .. } = self;
        Some(Tool {
            agent: agent?,
            tool: tool?,
            server,
            arguments: arguments?,
            session_id,
            call_id,
            cwd,
        })
    }
    fn agent(tool: &Tool) -> Option<&AgentId> {
        Some(&tool.agent)
    }
}

/// `POST /tool`.
pub static TOOL: Endpoint =
    Endpoint::new("tool", Verb::Post, "/tool", Access::ACT, Effect::Acts, || Route::new().to(tool))
        .names_agent()
        .bounded()
        .idempotent()
        .errors(&[Code::ToolDenied, Code::ApprovalRequired, Code::Conflict])
        .tool("tool_request")
        .described(describe);

fn describe() -> Description {
    Description::new(Tag::Agents, "Decide about a tool call before it is made")
        .details(
            "A host calls this before it runs a tool of an agent: a shell, an editor, an MCP server. The response \
             means that the decision is recorded. A refused call returns `tool_denied` or `approval_required` with \
             the gate, the rule and the findings.",
        )
        .body::<ToolBody>(json!({
            "agent_id": "gpt-1", "tool": "Bash", "arguments": {"command": "cargo test"},
            "session_id": "s-1", "call_id": "toolu_01", "cwd": "/home/ann/project"
        }))
        .json::<ToolOutcome>(
            200,
            "The call may proceed.",
            Some(json!({
                "decision": "allow", "event_id": 12,
                "command": [{"pointer": "/command", "effect": "change", "effects": ["change"], "parts": []}],
                "score": 0.0, "findings": [], "applied_policies": [], "would_deny": []
            })),
        )
}
async fn tool(
    state: web::Data<AppState>,
    body: Body<ToolBody>,
) -> Result<impl Responder, ApiError> {
    let judged =
        body.run(&state, |engine, caller, tool| async move { engine.tool(&caller, tool).await });
    Ok(HttpResponse::Ok().json(judged.await?))
}

/// The result of a tool call.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ResultBody {
    /// Whether the tool failed.
    is_error: Option<bool>,
    /// The result, in any form. The row keeps its digest and size; the text only if the policy says so.
    #[schema(value_type = Object)]
    result: Option<Value>,
    /// The duration of the call in milliseconds.
    duration_ms: Option<u64>,
}

impl Document for ResultBody {
    type Checked = ToolResult;
    fn check(self, _: &mut Faults) -> Option<ToolResult> {
        let Self { is_error, result, duration_ms } = self;
        Some(ToolResult { is_error, result, duration_ms })
    }
}

/// `POST /tool/{event_id}/result`.
pub static TOOL_RESULT: Endpoint = Endpoint::new(
    "tool_result",
    Verb::Post,
    "/tool/{event_id}/result",
    Access::ACT,
    Effect::Reads,
    || Route::new().to(tool_result),
)
.bounded()
.errors(&[Code::NotFound, Code::Conflict, Code::JournalUnavailable, Code::Overloaded])
.described(describe_result);

fn describe_result() -> Description {
    Description::new(Tag::Agents, "Record the result of a tool call")
        .details("Each call has one result. Patterns found in the result label its row and block nothing.")
        .path_parameter("event_id", "The row of the call.")
        .body::<ResultBody>(json!({"is_error": false, "result": "12 passed", "duration_ms": 830}))
        .json::<ResultOutcome>(
            200,
            "The result is recorded.",
            Some(json!({"event_id": 13, "labels": []})),
        )
}
async fn tool_result(
    state: web::Data<AppState>,
    body: Body<ResultBody>,
    event_id: web::Path<String>,
) -> Result<impl Responder, ApiError> {
    let unknown = || ApiError::new(Code::NotFound, "the path names no row of a tool call");
    let call = event_id.parse().map_err(|_| unknown())?;
    let recorded = body.run(&state, move |engine, caller, result| async move {
        engine.tool_result(&caller, call, result).await
    });
    Ok(HttpResponse::Ok().json(recorded.await?))
}
