//! `GET /approvals`, `GET /approvals/{id}` and the decision about an approval.

use actix_web::{HttpResponse, Responder, Route, web};
use life_agent_engine::domain::governance::approval::Status;
use life_agent_engine::domain::governance::event::ApprovalDecision;
use life_agent_engine::domain::governance::ids::AgentId;
use life_agent_engine::{ApprovalSummary, ApprovalView, EngineError, RequestContext};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use crate::auth::grant::Grant;
use crate::http::endpoint::{Access, Description, Effect, Endpoint, Tag, Verb};
use crate::http::errors::{ApiError, Code};
use crate::http::extract::{Authenticated, Body, Document, Faults, Given, Parameters, Query};
use crate::state::AppState;

const USUAL_LIMIT: usize = 100;
const MAX_LIMIT: usize = 1000;
/// Longest note of a decision, in characters.
const MAX_NOTE: usize = 4096;

/// The filter of a list of approvals.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ApprovalsQuery {
    /// `pending`, `approved`, `denied`, `used` or `expired`; all by default.
    #[param(value_type = Option<String>, pattern = "^(pending|approved|denied|used|expired)?$")]
    status: Option<Status>,
    /// Approvals requested before this row.
    before: Option<u64>,
    /// Largest number of approvals, 1 to 1,000.
    #[param(value_type = Option<u64>, minimum = 1, maximum = 1000)]
    limit: usize,
}

impl Parameters for ApprovalsQuery {
    const NAMES: &'static [&'static str] = &["status", "before", "limit"];
    fn read(given: &Given, faults: &mut Faults) -> Option<Self> {
        let must = "must be `pending`, `approved`, `denied`, `used` or `expired`";
        let named = |text: &str| Status::ALL.into_iter().find(|status| status.as_str() == text);
        Some(Self {
            status: given.parsed("status", must, faults, named),
            before: given.row("before", faults),
            limit: given.limit(USUAL_LIMIT, MAX_LIMIT, faults),
        })
    }
}

/// A page of approvals, newest first.
#[derive(Serialize, ToSchema)]
struct ApprovalsAnswer {
    approvals: Vec<ApprovalSummary>,
    /// The value of `before` for older approvals.
    next: Option<u64>,
}

/// A decision.
#[derive(Debug, Deserialize, ToSchema)]
pub struct DecisionBody {
    /// The decision.
    #[schema(required, nullable = false)]
    decision: Option<ApprovalDecision>,
    /// The reason.
    #[schema(max_length = 4096)]
    note: Option<String>,
}

impl Document for DecisionBody {
    type Checked = (ApprovalDecision, String);
    fn check(self, faults: &mut Faults) -> Option<(ApprovalDecision, String)> {
        let decision = faults.required("decision", self.decision);
        let note = faults.length("note", self.note.unwrap_or_default(), 0..=MAX_NOTE);
        Some((decision?, note?))
    }
}

fn summary_example() -> Value {
    json!({
        "approval_id": 12, "status": "pending", "kind": "tool",
        "summary": "Bash {\"command\":\"git push --force\"}", "principal": "gpt", "person": "Ann Lee",
        "agent_id": "gpt-1", "created": "2026-11-22T20:51:10.000000Z",
        "expires_at": "2026-11-22T21:06:10.000000Z", "decided": null
    })
}

fn view_example() -> Value {
    let mut view = summary_example();
    let more = json!({
        "gate": "command", "rule": "publish", "message": "the policy requires an approval",
        "policy_hash": "9f86d081…", "digest": "5891b5b5…",
        "request": {"agent_id": "gpt-1", "tool": "Bash", "arguments": {"command": "git push --force"}},
        "request_text": "{\"agent_id\":\"gpt-1\",\"tool\":\"Bash\",\"arguments\":{\"command\":\"git push --force\"}}",
        "rest": null, "command": [], "score": 0.0, "findings": [], "applied_policies": [],
        "would_deny": [], "may_decide": true
    });
    if let (Some(view), Value::Object(more)) = (view.as_object_mut(), more) {
        view.extend(more);
    }
    view
}

/// `GET /approvals`.
pub static APPROVALS: Endpoint =
    Endpoint::new("approvals", Verb::Get, "/approvals", Access::READ, Effect::Reads, || {
        Route::new().to(approvals)
    })
    .or_act()
    .bounded()
    .errors(&[Code::ValidationError])
    .described(describe_approvals);

fn describe_approvals() -> Description {
    Description::new(Tag::Approvals, "List approvals")
        .details(
            "Lists the open approvals (`pending` and `approved`) and the 1,000 that were closed last. Older ones are \
             in the journal.",
        )
        .query::<ApprovalsQuery>()
        .json::<ApprovalsAnswer>(
            200,
            "Approvals, newest first.",
            Some(json!({"approvals": [summary_example()], "next": null})),
        )
}
async fn approvals(
    state: web::Data<AppState>,
    Authenticated { grant, .. }: Authenticated,
    query: Query<ApprovalsQuery>,
) -> impl Responder {
    let Query(ApprovalsQuery { status, before, limit }) = query;
    // Without the database, the answer is what this instance knows.
    let _ = state.engine.catch_up().await;
    let mut approvals = state.engine.approvals(status, before, limit);
    let last = approvals.last().map(|approval| approval.approval_id);
    let next = last.filter(|_| approvals.len() == limit);
    approvals.retain(|approval| may_read(&grant, approval));
    HttpResponse::Ok().json(ApprovalsAnswer { approvals, next })
}

/// `GET /approvals/{id}`.
pub static APPROVAL: Endpoint =
    Endpoint::new("approval", Verb::Get, "/approvals/{id}", Access::READ, Effect::Reads, || {
        Route::new().to(approval)
    })
    .or_act()
    .bounded()
    .errors(&[Code::NotFound, Code::JournalUnavailable])
    .tool("approval_status")
    .described(describe_approval);

fn describe_approval() -> Description {
    Description::new(Tag::Approvals, "Read an approval")
        .details(
            "Read it after `approval_required`, whose details state the ID, to find out whether a person has decided. \
             `request` is the request as it was recorded: complete, without credentials.",
        )
        .path_parameter("id", "The ID of the approval.")
        .json::<ApprovalView>(200, "The approval and its request.", Some(view_example()))
}
async fn approval(
    state: web::Data<AppState>,
    Authenticated { caller, grant }: Authenticated,
    id: web::Path<String>,
) -> Result<impl Responder, ApiError> {
    let view = readable(&state, &caller, &grant, number(&id)?).await?;
    Ok(HttpResponse::Ok().json(view))
}

/// `POST /approvals/{id}/decision`.
pub static DECIDE: Endpoint = Endpoint::new(
    "decide_approval",
    Verb::Post,
    "/approvals/{id}/decision",
    Access::APPROVE,
    Effect::Decides,
    || Route::new().to(decide),
)
.names_agent()
.bounded()
.idempotent()
.errors(&[Code::OwnRequest, Code::NotFound, Code::Conflict, Code::JournalUnavailable])
.described(describe_decide);

fn describe_decide() -> Description {
    Description::new(Tag::Approvals, "Approve or deny a request")
        .details(
            "A decision is final. An approved request passes once when its caller repeats it exactly, until \
             `expires_at`. The caller that made the request cannot decide about it; neither can another key of \
             the same person.",
        )
        .path_parameter("id", "The ID of the approval.")
        .body::<DecisionBody>(json!({"decision": "approve", "note": "agreed with the release"}))
        .json::<ApprovalView>(200, "The approval with its decision.", Some(view_example()))
}
async fn decide(
    state: web::Data<AppState>,
    Authenticated { grant, .. }: Authenticated,
    body: Body<DecisionBody>,
    id: web::Path<String>,
) -> Result<impl Responder, ApiError> {
    let (id, (decision, note)) = (number(&id)?, body.checked);
    let found = state.engine.approval(&body.caller, id).await?;
    match found.summary.agent_id.as_deref().map(AgentId::new) {
        Some(Ok(agent)) => grant.check_agent(&agent)?,
        // A request without an agent concerns the whole service.
        _ if grant.principal.agents().is_some() => return Err(unreadable(id)),
        _ => {}
    }
    let view = state.engine.decide_approval(&body.caller, id, decision, &note).await?;
    Ok(HttpResponse::Ok().json(view))
}

fn number(id: &str) -> Result<u64, ApiError> {
    id.parse().map_err(|_| ApiError::new(Code::NotFound, "the path names no approval"))
}

fn may_read(grant: &Grant, approval: &ApprovalSummary) -> bool {
    grant.may_read_row(approval.agent_id.as_deref(), &approval.principal)
}

/// An approval that the key may read. One of another caller is not found, like one that does not exist.
async fn readable(
    state: &AppState,
    caller: &RequestContext,
    grant: &Grant,
    id: u64,
) -> Result<ApprovalView, ApiError> {
    match state.engine.approval(caller, id).await {
        Ok(view) if may_read(grant, &view.summary) => Ok(view),
        Ok(_) => Err(unreadable(id)),
        Err(error) => Err(error.into()),
    }
}

fn unreadable(id: u64) -> ApiError {
    let message = format!(
        "there is no approval {id}; `GET /approvals` lists the open ones and those that were closed last"
    );
    EngineError::NotFound(message).into()
}
