//! `GET /policy`, `GET /policy/text`, `POST /policy/validate`, `POST /policy/reload`: the active policy, and its
//! replacement.

use actix_web::{HttpResponse, Responder, Route, web};
use life_agent_engine::{PolicyInForce, PolicyReport, PolicySource, PolicyText};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::http::endpoint::{Access, Description, Effect, Endpoint, Gpt, Tag, Verb};
use crate::http::errors::{ApiError, Code};
use crate::http::extract::{Authenticated, Body, Document, Faults};
use crate::state::AppState;

/// Longest path of a policy, in characters.
const MAX_PATH: usize = 1024;
/// Longest document, in characters; the parser has more exact limits.
const MAX_TEXT: usize = 256 * 1024;

/// The active policy.
#[derive(Serialize, ToSchema)]
struct PolicyAnswer {
    #[serde(flatten)]
    in_force: PolicyInForce,
    /// The document with defaults filled in; `policy/policy.schema.json` describes it.
    #[schema(value_type = Object)]
    policy: Value,
}

/// The policy to activate.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ReloadBody {
    /// A file in `POLICY_DIR`, or the file at `POLICY_PATH`, which is the default.
    #[schema(min_length = 1, max_length = 1024)]
    path: Option<String>,
}

/// The policy to validate.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ValidateBody {
    /// A file in `POLICY_DIR`, or the file at `POLICY_PATH`, which is the default without `text`.
    #[schema(min_length = 1, max_length = 1024)]
    path: Option<String>,
    /// A document, as YAML.
    text: Option<String>,
}

/// The result.
#[derive(Serialize, ToSchema)]
struct ReportAnswer {
    /// `reloaded` or `valid`.
    status: &'static str,
    /// When it was activated or validated: RFC 3339, UTC.
    loaded_at: String,
    /// Number of rules.
    rule_count: usize,
    /// SHA-256 of the document, lower-case hex.
    policy_hash: String,
}

impl Document for ReloadBody {
    type Checked = Option<String>;
    const OPTIONAL: bool = true;
    const BARE: Option<&'static str> = Some("path");
    fn check(self, faults: &mut Faults) -> Option<Option<String>> {
        match self.path {
            None => Some(None),
            Some(path) => faults.length("path", path, 1..=MAX_PATH).map(Some),
        }
    }
}

impl Document for ValidateBody {
    type Checked = PolicySource;
    const OPTIONAL: bool = true;
    fn check(self, faults: &mut Faults) -> Option<PolicySource> {
        source("text", self.path, self.text, faults)
    }
}

/// A policy named by `path`, or given in the field `name`; the configured policy by default.
pub(super) fn source(
    name: &str,
    path: Option<String>,
    text: Option<String>,
    faults: &mut Faults,
) -> Option<PolicySource> {
    match (path, text) {
        (None, None) => Some(PolicySource::Configured),
        (Some(path), None) => faults.length("path", path, 1..=MAX_PATH).map(PolicySource::Path),
        (None, Some(text)) => faults.length(name, text, 0..=MAX_TEXT).map(PolicySource::Text),
        (Some(_), Some(_)) => {
            faults.add(name, format!("give a path or a {name}, not both"));
            None
        }
    }
}

impl ReportAnswer {
    fn of(status: &'static str, report: PolicyReport) -> Self {
        let PolicyReport { loaded_at, rule_count, policy_hash } = report;
        Self { status, loaded_at, rule_count, policy_hash }
    }
}

/// `GET /policy`.
pub static POLICY: Endpoint =
    Endpoint::new("policy", Verb::Get, "/policy", Access::READ, Effect::Reads, || {
        Route::new().to(policy)
    })
    .or_act()
    .gpt(Gpt::reads("Call it to explain what is allowed and why a call was denied."))
    .described(describe_policy);

fn describe_policy() -> Description {
    Description::new(Tag::Policy, "Read the active policy").json::<PolicyAnswer>(
        200,
        "The policy and its hash.",
        Some(json!({
            "path": "policy/policy.yaml", "version": "1", "hash": "9f86d081…",
            "loaded_at": "2026-11-22T20:51:10.000000Z",
            "policy": {"version": "1", "allowed_dirs": ["plans"], "deny_globs": ["**/.env"], "max_diff_lines": 800}
        })),
    )
}
async fn policy(state: web::Data<AppState>, _: Authenticated) -> Result<impl Responder, ApiError> {
    // Without the database, the answer is what this instance knows.
    let _ = state.engine.catch_up().await;
    let (in_force, document) = state.engine.policy();
    let policy = serde_json::to_value(&document).map_err(|_| ApiError::bare(Code::Internal))?;
    Ok(HttpResponse::Ok().json(PolicyAnswer { in_force, policy }))
}

/// `GET /policy/text`.
pub static TEXT: Endpoint =
    Endpoint::new("policy_text", Verb::Get, "/policy/text", Access::READ, Effect::Reads, || {
        Route::new().to(text)
    })
    .described(describe_text);

fn describe_text() -> Description {
    Description::new(Tag::Policy, "Read the text of the active policy")
        .details("The document as it was loaded, with its comments. `/policy` returns it with defaults filled in.")
        .json::<PolicyText>(
            200,
            "The text and its hash.",
            Some(json!({
                "path": "policy/policy.yaml", "hash": "9f86d081…",
                "text": "version: \"1\"\nallowed_dirs:\n  - plans\n"
            })),
        )
}
async fn text(state: web::Data<AppState>, _: Authenticated) -> impl Responder {
    HttpResponse::Ok().json(state.engine.policy_text())
}

/// `POST /policy/validate`.
pub static VALIDATE: Endpoint = Endpoint::new(
    "validate_policy",
    Verb::Post,
    "/policy/validate",
    Access::POLICY,
    Effect::Reads,
    || Route::new().to(validate),
)
.bounded()
.errors(&[Code::PathForbidden, Code::NotFound, Code::PolicyInvalid])
.gpt(Gpt::reads("Call it to find the faults of a policy in `text`. It changes nothing."))
.described(describe_validate);

fn describe_validate() -> Description {
    Description::new(Tag::Policy, "Validate a policy")
        .details("Reports every fault at once, as a reload would, and changes nothing.")
        .optional_body::<ValidateBody>(json!({"path": "policies/valid.yaml"}))
        .json::<ReportAnswer>(
            200,
            "The policy is valid.",
            Some(json!({
                "status": "valid", "loaded_at": "2026-11-22T20:51:10.000000Z", "rule_count": 2,
                "policy_hash": "9f86d081…"
            })),
        )
}
async fn validate(
    state: web::Data<AppState>,
    body: Body<ValidateBody>,
) -> Result<impl Responder, ApiError> {
    let report = state.engine.validate_policy(body.checked).await?;
    Ok(HttpResponse::Ok().json(ReportAnswer::of("valid", report)))
}

/// `POST /policy/reload`.
pub static RELOAD: Endpoint = Endpoint::new(
    "reload_policy",
    Verb::Post,
    "/policy/reload",
    Access::POLICY,
    Effect::Operates,
    || Route::new().to(reload),
)
.bounded()
.idempotent()
.errors(&[Code::PathForbidden, Code::NotFound, Code::PolicyInvalid, Code::JournalUnavailable])
.described(describe_reload);

fn describe_reload() -> Description {
    Description::new(Tag::Policy, "Activate a policy")
        .details(
            "A document with faults is rejected with all of them, and the active policy stays.",
        )
        .optional_body::<ReloadBody>(json!({"path": "policies/valid.yaml"}))
        .json::<ReportAnswer>(
            200,
            "The policy is active.",
            Some(json!({
                "status": "reloaded", "loaded_at": "2026-11-22T20:51:10.000000Z", "rule_count": 2,
                "policy_hash": "9f86d081…"
            })),
        )
}
async fn reload(
    state: web::Data<AppState>,
    body: Body<ReloadBody>,
) -> Result<impl Responder, ApiError> {
    let report = state.engine.reload_policy(&body.caller, body.checked).await?;
    Ok(HttpResponse::Ok().json(ReportAnswer::of("reloaded", report)))
}
