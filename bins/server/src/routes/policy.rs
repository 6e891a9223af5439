//! `GET /policy`, `POST /policy/validate`, `POST /policy/reload`: the policy in force, and its successor.

use actix_web::{HttpResponse, Responder, web};
use life_agent_engine::{PolicyInForce, PolicyReport, PolicySource};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::schemas;
use crate::app::AppState;
use crate::errors::{ApiError, Code};
use crate::extract::{Authenticated, Body, Document, Faults};

/// Longest path of a policy, in characters.
const MAX_PATH: usize = 1024;
/// Longest document, in characters; the parser says more exactly what it takes.
const MAX_TEXT: usize = 256 * 1024;

/// The policy in force.
#[derive(Serialize, ToSchema)]
struct PolicyAnswer {
    #[serde(flatten)]
    #[schema(value_type = schemas::PolicyInForce)]
    in_force: PolicyInForce,
    /// The document with its defaults filled in; `policy/policy.schema.json` describes it.
    #[schema(value_type = Object)]
    policy: Value,
}

/// Which policy to put into force.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ReloadBody {
    /// A file in `POLICY_DIR`, or the one at `POLICY_PATH`, which is meant without a path.
    #[schema(min_length = 1, max_length = 1024)]
    path: Option<String>,
}

/// Which policy to look at.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ValidateBody {
    /// A file in `POLICY_DIR`, or the one at `POLICY_PATH`, which is meant without a path and a text.
    #[schema(min_length = 1, max_length = 1024)]
    path: Option<String>,
    /// A document, as YAML.
    text: Option<String>,
}

/// What became of it.
#[derive(Serialize, ToSchema)]
struct ReportAnswer {
    /// `reloaded` or `valid`.
    status: &'static str,
    /// When it came into force, or was looked at: RFC 3339, UTC.
    loaded_at: String,
    /// How many rules it has.
    rule_count: usize,
    /// SHA-256 of its text, lower-case hex.
    policy_hash: String,
}

impl Document for ReloadBody {
    type Checked = Option<String>;
    const OPTIONAL: bool = true;
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

/// A policy named by `path`, or given whole in the field `name`; without both, the configured one.
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

/// The policy in force
#[utoipa::path(
    get, path = "/policy", tag = "policy", operation_id = "policy",
    responses((status = 200, body = PolicyAnswer, description = "The policy and its hash.", example = json!({
        "path": "policy/policy.yaml", "version": "1", "hash": "9f86d081…", "loaded_at": "2026-11-22T20:51:10.000000Z",
        "policy": {"version": "1", "allowed_dirs": ["plans"], "deny_globs": ["**/.env"], "max_diff_lines": 800}
    }))),
)]
pub async fn policy(
    state: web::Data<AppState>,
    _: Authenticated,
) -> Result<impl Responder, ApiError> {
    let (in_force, document) = state.engine.policy();
    let policy = serde_json::to_value(&document).map_err(|_| ApiError::bare(Code::Internal))?;
    Ok(HttpResponse::Ok().json(PolicyAnswer { in_force, policy }))
}

/// Look at a policy without putting it into force
///
/// Reports every fault at once, as a reload would, and changes nothing.
#[utoipa::path(
    post, path = "/policy/validate", tag = "policy", operation_id = "validate_policy",
    request_body(content = Option<ValidateBody>, example = json!({"path": "policies/valid.yaml"})),
    responses((status = 200, body = ReportAnswer, description = "It is valid.", example = json!({
        "status": "valid", "loaded_at": "2026-11-22T20:51:10.000000Z", "rule_count": 2, "policy_hash": "9f86d081…"
    }))),
)]
pub async fn validate(
    state: web::Data<AppState>,
    body: Body<ValidateBody>,
) -> Result<impl Responder, ApiError> {
    let report = state.engine.validate_policy(body.checked).await?;
    Ok(HttpResponse::Ok().json(ReportAnswer::of("valid", report)))
}

/// Put a policy into force
///
/// A document with faults is refused with all of them, and the policy in force stays.
#[utoipa::path(
    post, path = "/policy/reload", tag = "policy", operation_id = "reload_policy",
    request_body(content = Option<ReloadBody>, example = json!({"path": "policies/valid.yaml"})),
    responses((status = 200, body = ReportAnswer, description = "It is in force.", example = json!({
        "status": "reloaded", "loaded_at": "2026-11-22T20:51:10.000000Z", "rule_count": 2, "policy_hash": "9f86d081…"
    }))),
)]
pub async fn reload(
    state: web::Data<AppState>,
    body: Body<ReloadBody>,
) -> Result<impl Responder, ApiError> {
    let report = state.engine.reload_policy(&body.caller, body.checked).await?;
    Ok(HttpResponse::Ok().json(ReportAnswer::of("reloaded", report)))
}
