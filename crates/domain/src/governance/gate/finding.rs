//! What the gates found in a request.

use serde::{Deserialize, Deserializer, Serialize};

use crate::governance::redaction::{Redact, redact_owned};

/// What a policy does about a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Effect {
    /// Refuses the request.
    Deny,
    /// Refuses the request until a person approves it.
    Ask,
    /// Only records the finding, which would otherwise have refused the request.
    Observe,
}

/// Aliases, because serde's derive would tie a plain `&'static str` to the input's lifetime.
type CategoryName = &'static str;
type GateName = &'static str;

/// A match in a text of the request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Finding {
    /// The gate; set by the chain. Empty in rows of older releases.
    #[serde(default, deserialize_with = "gate")]
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub gate: GateName,
    /// The risk category, or `rule` for the policy's own rules.
    #[serde(deserialize_with = "category")]
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub category: CategoryName,
    /// The id of the pattern or rule.
    pub rule: String,
    /// What the policy does about it.
    pub effect: Effect,
    /// The field of the request; see [`crate::governance::command::Command::field_name`].
    pub field: String,
    /// Start of the match in that field, in characters (Unicode scalar values).
    pub start: usize,
    /// End of the match, exclusive.
    pub end: usize,
    /// The finding's contribution to the score, 0 to 1. Not recorded.
    #[serde(skip)]
    pub weight: f64,
}

/// Every category that rows may contain.
const CATEGORIES: [&str; 7] =
    ["command_exec", "secrets", "url", "path_traversal", "prompt_injection", "rule", "tool"];

/// Every gate with findings.
const GATES: [&str; 5] = ["tools", "command", "risk", "paths", "rules"];

/// Reads a gate back. A gate of a newer release becomes empty.
fn gate<'de, D: Deserializer<'de>>(deserializer: D) -> Result<&'static str, D::Error> {
    let name = String::deserialize(deserializer)?;
    Ok(GATES.into_iter().find(|known| *known == name).unwrap_or_default())
}

/// Reads a category back. A category of a newer release becomes `other`.
fn category<'de, D: Deserializer<'de>>(deserializer: D) -> Result<&'static str, D::Error> {
    let name = String::deserialize(deserializer)?;
    Ok(CATEGORIES.into_iter().find(|known| *known == name).unwrap_or("other"))
}

/// Everything that the chain found out about a request.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Trace {
    /// 0 (harmless) to 1 (hostile), computed from the findings.
    pub score: f64,
    /// All findings, in the order of the gates.
    pub findings: Vec<Finding>,
    /// Ids of the rules that matched.
    pub applied_policies: Vec<String>,
    /// The approval that permitted the request, if it needed one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval_id: Option<u64>,
}

impl Trace {
    /// A field's name contains keys that the caller chose, which may be credentials themselves.
    pub(super) fn redacted(mut self, redactor: &dyn Redact) -> Self {
        for finding in &mut self.findings {
            finding.field = redact_owned(std::mem::take(&mut finding.field), redactor);
        }
        self
    }

    /// The rules that would have refused the request if all observed findings were enforced, each once.
    pub fn would_deny(&self) -> Vec<&str> {
        let mut rules = Vec::new();
        for finding in self.findings.iter().filter(|finding| finding.effect == Effect::Observe) {
            if !rules.contains(&finding.rule.as_str()) {
                rules.push(&finding.rule);
            }
        }
        rules
    }
}

/// A trace in the form that rows and responses carry.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct GateNotes {
    /// 0 (harmless) to 1 (hostile).
    pub score: f64,
    /// All findings.
    #[serde(default)]
    pub findings: Vec<Finding>,
    /// The policy rules that matched.
    #[serde(default)]
    pub applied_policies: Vec<String>,
    /// Rules and patterns that only observe and would have refused the request.
    #[serde(default)]
    pub would_deny: Vec<String>,
    /// The approval that permitted the request, if it needed one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval_id: Option<u64>,
}

impl GateNotes {
    /// Whether the decision depended on a credential, which the row does not keep.
    pub fn mention_secret(&self) -> bool {
        self.findings.iter().any(|finding| finding.category == "secrets")
    }
}

impl From<&Trace> for GateNotes {
    fn from(trace: &Trace) -> Self {
        Self {
            score: trace.score,
            findings: trace.findings.clone(),
            applied_policies: trace.applied_policies.clone(),
            would_deny: trace.would_deny().into_iter().map(str::to_owned).collect(),
            approval_id: trace.approval_id,
        }
    }
}
