//! `GET /plans`, `GET /plans/{id}`, its patch and its review: plans after they are made.

use actix_web::{HttpResponse, Responder, web};
use life_agent_engine::PlanSummary;
use life_agent_engine::plans::life::{Decision, Status};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::schemas;
use crate::app::AppState;
use crate::errors::{ApiError, Code};
use crate::extract::{Authenticated, Body, Document, Faults, Given, Parameters, Query};

const USUAL_LIMIT: usize = 100;
const MAX_LIMIT: usize = 1000;
/// Longest note of a review, in characters.
const MAX_NOTE: usize = 4096;

/// Which plans are asked for.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PlansQuery {
    /// `created`, `approved`, `rejected` or `branched`; without it, all.
    #[param(value_type = Option<String>, pattern = "^(created|approved|rejected|branched)?$")]
    status: Option<Status>,
    /// Plans that were made before this row.
    before: Option<u64>,
    /// At most so many, 1 to 1,000.
    #[param(value_type = Option<u64>, minimum = 1, maximum = 1000)]
    limit: usize,
}

impl Parameters for PlansQuery {
    const NAMES: &'static [&'static str] = &["status", "before", "limit"];
    fn read(given: &Given, faults: &mut Faults) -> Option<Self> {
        let must = "must be `created`, `approved`, `rejected` or `branched`";
        let named = |text: &str| Status::ALL.into_iter().find(|status| status.as_str() == text);
        Some(Self {
            status: given.parsed("status", must, faults, named),
            before: given.row("before", faults),
            limit: given.limit(USUAL_LIMIT, MAX_LIMIT, faults),
        })
    }
}

/// Some plans, newest first.
#[derive(Serialize, ToSchema)]
struct PlansAnswer {
    #[schema(value_type = Vec<schemas::PlanSummary>)]
    plans: Vec<PlanSummary>,
    /// What to ask for as `before` to get older plans.
    next: Option<u64>,
}

/// How a diff is asked for.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PatchQuery {
    /// Refuses a diff that is longer than this, in characters, 1,000 to 1,000,000; a part of one would be
    /// another change.
    #[param(value_type = Option<u64>, minimum = 1000, maximum = 1_000_000)]
    max_chars: Option<usize>,
}

impl Parameters for PatchQuery {
    const NAMES: &'static [&'static str] = &["max_chars"];
    fn read(given: &Given, faults: &mut Faults) -> Option<Self> {
        Some(Self { max_chars: given.max_chars(faults) })
    }
}

/// What a reviewer says.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ReviewBody {
    /// Whether the plan may be carried out.
    #[schema(value_type = schemas::PlanDecision, required, nullable = false)]
    decision: Option<Decision>,
    /// Why.
    #[schema(max_length = 4096)]
    note: Option<String>,
}

impl Document for ReviewBody {
    type Checked = (Decision, String);
    fn check(self, faults: &mut Faults) -> Option<(Decision, String)> {
        let decision = faults.required("decision", self.decision);
        let note = faults.length("note", self.note.unwrap_or_default(), 0..=MAX_NOTE);
        Some((decision?, note?))
    }
}

/// Plans, newest first
#[utoipa::path(
    get, path = "/plans", tag = "plans", operation_id = "plans", params(PlansQuery),
    responses((status = 200, body = PlansAnswer, description = "Plans, newest first.", example = json!({
        "plans": [{"id": "k3v5q2xw7abc", "status": "created", "intent": "greet in German too",
                   "created": "2026-11-22T20:51:10.000000Z", "event_id": 9, "author": "default",
                   "stats": {"files": 1, "added": 2, "removed": 0}}],
        "next": null
    }))),
)]
pub async fn plans(
    state: web::Data<AppState>,
    _: Authenticated,
    query: Query<PlansQuery>,
) -> Result<impl Responder, ApiError> {
    let Query(PlansQuery { status, before, limit }) = query;
    let plans = state.engine.plans(status, before, limit).await?;
    let last = plans.last().map(|plan| plan.event_id);
    let next = last.filter(|_| plans.len() == limit);
    Ok(HttpResponse::Ok().json(PlansAnswer { plans, next }))
}

/// A plan in full
///
/// `stale` says whether files that it touches have changed since it was made.
#[utoipa::path(
    get, path = "/plans/{id}", tag = "plans", operation_id = "plan_view",
    params(("id" = String, Path, description = "The plan.")),
    responses((status = 200, body = schemas::PlanView, description = "The plan.", example = json!({
        "id": "k3v5q2xw7abc", "status": "created", "intent": "greet in German too",
        "created": "2026-11-22T20:51:10.000000Z", "event_id": 9, "author": "default",
        "stats": {"files": 1, "added": 2, "removed": 0}, "context": "", "target_files": ["plans/greeting.txt"],
        "stale": false, "stale_files": [], "has_patch": true, "checks": [], "policy_hash": "9f86d081…",
        "applied_policies": [], "base_commit": null,
        "artifact": "plans/plan_20261122T205110Z_k3v5q2xw7abc.json", "drafted_by": null, "review": null
    }))),
)]
pub async fn plan_view(
    state: web::Data<AppState>,
    _: Authenticated,
    id: web::Path<String>,
) -> Result<impl Responder, ApiError> {
    Ok(HttpResponse::Ok().json(state.engine.plan_view(&id).await?))
}

/// A plan's diff
///
/// A statement of intent has none, which is 404.
#[utoipa::path(
    get, path = "/plans/{id}/patch", tag = "plans", operation_id = "plan_patch",
    params(("id" = String, Path, description = "The plan."), PatchQuery),
    responses((status = 200, body = String, content_type = "text/x-diff", description = "The diff, as `git diff` prints it.",
        example = json!("diff --git a/plans/greeting.txt b/plans/greeting.txt\n"))),
)]
pub async fn plan_patch(
    state: web::Data<AppState>,
    _: Authenticated,
    id: web::Path<String>,
    query: Query<PatchQuery>,
) -> Result<impl Responder, ApiError> {
    let patch = state.engine.plan_patch(&id).await?.ok_or_else(|| {
        ApiError::new(Code::NotFound, "the plan is a statement of intent and has no patch")
    })?;
    let length = patch.chars().count();
    let mut faults = Faults::default();
    if query.0.max_chars.is_some_and(|most| length > most) {
        faults.add("max_chars", format!("the diff has {length} characters; read it without this"));
    }
    faults.result(Some(()))?;
    Ok(HttpResponse::Ok().content_type("text/x-diff; charset=utf-8").body(patch))
}

/// Approve or reject a plan
///
/// Once and for all. Who made a plan with a key cannot approve it with the same, unless the policy says
/// so.
#[utoipa::path(
    post, path = "/plans/{id}/review", tag = "plans", operation_id = "review_plan",
    params(("id" = String, Path, description = "The plan.")),
    request_body(content = ReviewBody, example = json!({"decision": "approve", "note": "reads well"})),
    responses((status = 200, body = schemas::PlanView, description = "The plan with its review.", example = json!({
        "id": "k3v5q2xw7abc", "status": "approved", "stale": false,
        "review": {"decision": "approve", "note": "reads well", "reviewer": "ci", "at": "2026-11-22T20:52:10.000000Z"}
    }))),
)]
pub async fn review_plan(
    state: web::Data<AppState>,
    body: Body<ReviewBody>,
    id: web::Path<String>,
) -> Result<impl Responder, ApiError> {
    let (decision, note) = body.checked;
    let view = state.engine.review_plan(&body.caller, &id, decision, &note).await?;
    Ok(HttpResponse::Ok().json(view))
}
