//! `GET /plans`, `GET /plans/{id}`, the patch and the review of a plan.

use actix_web::{HttpResponse, Responder, Route, web};
use life_agent_engine::domain::governance::ids::Principal;
use life_agent_engine::plans::life::{Decision, Status};
use life_agent_engine::{PlanSummary, PlanView, RequestContext};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

use crate::auth::grant::Grant;
use crate::http::endpoint::{Access, Description, Effect, Endpoint, Gpt, Tag, Verb};
use crate::http::errors::{ApiError, Code};
use crate::http::extract::{Authenticated, Body, Document, Faults, Given, Parameters, Query};
use crate::state::AppState;

const USUAL_LIMIT: usize = 100;
const MAX_LIMIT: usize = 1000;
/// Longest note of a review, in characters.
const MAX_NOTE: usize = 4096;

/// The filter of a list of plans.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PlansQuery {
    /// `created`, `approved`, `rejected` or `branched`; all by default.
    #[param(value_type = Option<String>, pattern = "^(created|approved|rejected|branched)?$")]
    status: Option<Status>,
    /// Plans created before this row.
    before: Option<u64>,
    /// Largest number of plans, 1 to 1,000.
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

/// A page of plans, newest first.
#[derive(Serialize, ToSchema)]
struct PlansAnswer {
    plans: Vec<PlanSummary>,
    /// The value of `before` for older plans.
    next: Option<u64>,
}

/// How to return a diff.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PatchQuery {
    /// Rejects a diff longer than this, in characters, 1,000 to 1,000,000. A truncated diff would be another change.
    #[param(value_type = Option<u64>, minimum = 1000, maximum = 1_000_000)]
    max_chars: Option<usize>,
}

impl Parameters for PatchQuery {
    const NAMES: &'static [&'static str] = &["max_chars"];
    fn read(given: &Given, faults: &mut Faults) -> Option<Self> {
        Some(Self { max_chars: given.max_chars(faults) })
    }
}

/// A review.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ReviewBody {
    /// The decision.
    #[schema(required, nullable = false)]
    decision: Option<Decision>,
    /// The reason.
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

/// `GET /plans`.
pub static PLANS: Endpoint =
    Endpoint::new("plans", Verb::Get, "/plans", Access::READ, Effect::Reads, || {
        Route::new().to(plans)
    })
    .or_act()
    .bounded()
    .errors(&[Code::ValidationError, Code::JournalUnavailable])
    .gpt(Gpt::reads("Call it to list drafted changes, newest first.").max_limit(15))
    .described(describe_plans);

fn describe_plans() -> Description {
    Description::new(Tag::Plans, "List plans").query::<PlansQuery>().json::<PlansAnswer>(
        200,
        "Plans, newest first.",
        Some(json!({
            "plans": [{"id": "k3v5q2xw7abc", "status": "created", "intent": "greet in German too",
                       "created": "2026-11-22T20:51:10.000000Z", "event_id": 9, "author": "default",
                       "stats": {"files": 1, "added": 2, "removed": 0}}],
            "next": null
        })),
    )
}
async fn plans(
    state: web::Data<AppState>,
    Authenticated { grant, .. }: Authenticated,
    query: Query<PlansQuery>,
) -> Result<impl Responder, ApiError> {
    let Query(PlansQuery { status, before, limit }) = query;
    let mut plans = state.engine.plans(status, before, limit).await?;
    let last = plans.last().map(|plan| plan.event_id);
    let next = last.filter(|_| plans.len() == limit);
    plans.retain(|plan| grant.may_read_plan(&plan.author));
    Ok(HttpResponse::Ok().json(PlansAnswer { plans, next }))
}

/// `GET /plans/{id}`.
pub static PLAN_VIEW: Endpoint =
    Endpoint::new("plan_view", Verb::Get, "/plans/{id}", Access::READ, Effect::Reads, || {
        Route::new().to(plan_view)
    })
    .or_act()
    .bounded()
    .errors(&[Code::NotFound, Code::Conflict, Code::JournalUnavailable])
    .gpt(Gpt::reads("Call it for one drafted change: its checks, its review, whether it is stale."))
    .described(describe_plan_view);

fn describe_plan_view() -> Description {
    Description::new(Tag::Plans, "Read a plan")
        .details("`stale` states whether files that the plan touches have changed since it was created.")
        .path_parameter("id", "The ID of the plan.")
        .json::<PlanView>(200, "The plan.", Some(json!({
            "id": "k3v5q2xw7abc", "status": "created", "intent": "greet in German too",
            "created": "2026-11-22T20:51:10.000000Z", "event_id": 9, "author": "default",
            "stats": {"files": 1, "added": 2, "removed": 0}, "context": "", "target_files": ["plans/greeting.txt"],
            "stale": false, "stale_files": [], "has_patch": true, "checks": [], "policy_hash": "9f86d081…",
            "applied_policies": [], "base_commit": null,
            "artifact": "plans/plan_20261122T205110Z_k3v5q2xw7abc.json", "drafted_by": null, "review": null
        })))
}
async fn plan_view(
    state: web::Data<AppState>,
    Authenticated { grant, .. }: Authenticated,
    id: web::Path<String>,
) -> Result<impl Responder, ApiError> {
    Ok(HttpResponse::Ok().json(readable(&state, &grant, &id).await?))
}

/// `GET /plans/{id}/patch`.
pub static PLAN_PATCH: Endpoint =
    Endpoint::new("plan_patch", Verb::Get, "/plans/{id}/patch", Access::READ, Effect::Reads, || {
        Route::new().to(plan_patch)
    })
    .or_act()
    .bounded()
    .errors(&[Code::ValidationError, Code::NotFound, Code::Conflict, Code::JournalUnavailable])
    .gpt(Gpt::reads(
        "Call it to show the diff of a drafted change. A diff that is too long is refused; people read it in the \
         dashboard.",
    ))
    .described(describe_plan_patch);

fn describe_plan_patch() -> Description {
    Description::new(Tag::Plans, "Read the diff of a plan")
        .details("A statement of intent has no diff; the response is 404.")
        .path_parameter("id", "The ID of the plan.")
        .query::<PatchQuery>()
        .text(
            "text/x-diff",
            "The diff, as `git diff` prints it.",
            json!("diff --git a/plans/greeting.txt b/plans/greeting.txt\n"),
        )
}
async fn plan_patch(
    state: web::Data<AppState>,
    Authenticated { grant, .. }: Authenticated,
    id: web::Path<String>,
    query: Query<PatchQuery>,
) -> Result<impl Responder, ApiError> {
    readable(&state, &grant, &id).await?;
    let patch = state.engine.plan_patch(&id).await?.ok_or_else(|| {
        ApiError::new(Code::NotFound, "the plan is a statement of intent and has no patch")
    })?;
    let length = patch.chars().count();
    let mut faults = Faults::default();
    if query.0.max_chars.is_some_and(|most| length > most) {
        faults.add(
            "max_chars",
            format!("the diff has {length} characters; read it without `max_chars`"),
        );
    }
    faults.result(Some(()))?;
    Ok(HttpResponse::Ok().content_type("text/x-diff; charset=utf-8").body(patch))
}

/// A plan that the key may read. A plan of another caller is not found, like a plan that does not exist.
async fn readable(
    state: &web::Data<AppState>,
    grant: &Grant,
    id: &str,
) -> Result<PlanView, ApiError> {
    let view = state.engine.plan_view(id).await?;
    if grant.may_read_plan(&view.summary.author) {
        return Ok(view);
    }
    Err(ApiError::new(
        Code::NotFound,
        "this key has no plan with this id; `GET /plans` lists its plans",
    ))
}

/// `POST /plans/{id}/review`.
pub static REVIEW_PLAN: Endpoint = Endpoint::new(
    "review_plan",
    Verb::Post,
    "/plans/{id}/review",
    Access::APPROVE,
    Effect::Decides,
    || Route::new().to(review_plan),
)
.bounded()
.idempotent()
.errors(&[Code::OwnRequest, Code::NotFound, Code::Conflict, Code::JournalUnavailable])
.described(describe_review_plan);

fn describe_review_plan() -> Description {
    Description::new(Tag::Plans, "Approve or reject a plan")
        .details(
            "A review is final. The author of a plan cannot approve it with the key that created it, unless the \
             policy allows self-review.",
        )
        .path_parameter("id", "The ID of the plan.")
        .body::<ReviewBody>(json!({"decision": "approve", "note": "reads well"}))
        .json::<PlanView>(200, "The plan with its review.", Some(json!({
            "id": "k3v5q2xw7abc", "status": "approved", "stale": false,
            "review": {"decision": "approve", "note": "reads well", "reviewer": "ci",
                       "at": "2026-11-22T20:52:10.000000Z"}
        })))
}
async fn review_plan(
    state: web::Data<AppState>,
    body: Body<ReviewBody>,
    id: web::Path<String>,
) -> Result<impl Responder, ApiError> {
    let (decision, note) = body.checked;
    four_eyes(&state, &body.caller, &id, decision).await?;
    let view = state.engine.review_plan(&body.caller, &id, decision, &note).await?;
    Ok(HttpResponse::Ok().json(view))
}

/// Refuses an approval by another key of the author's person. The engine refuses the author's own key.
async fn four_eyes(
    state: &web::Data<AppState>,
    reviewer: &RequestContext,
    id: &str,
    decision: Decision,
) -> Result<(), ApiError> {
    if decision != Decision::Approve || reviewer.principal.person().is_none() {
        return Ok(());
    }
    let (_, policy) = state.engine.policy();
    if policy.plans.self_review {
        return Ok(());
    }
    let plan = state.engine.plan_view(id).await?.summary;
    let mut author = match state.keys.named(&plan.author) {
        Some(known) => known.principal.clone(),
        None => Principal::new(&plan.author),
    };
    // The person of the row: a key may change hands, and an author's token may be gone.
    if let Some(person) = &plan.author_person {
        author = author.with_person(person);
    }
    if author != reviewer.principal && author.is_same_caller(&reviewer.principal) {
        return Err(ApiError::new(
            Code::OwnRequest,
            "the key that created this plan belongs to the same person; let another person review it",
        ));
    }
    Ok(())
}
