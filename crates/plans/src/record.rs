//! The record of a plan: the JSON half of its artifact.

pub use life_agent_domain::governance::event::{DraftedBy, Fallback, ModelTurn, Stats};
use serde::{Deserialize, Serialize};

/// A plan's record, written once and never changed; its review lives in the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// 12 characters of `a-z2-7`.
    pub id: String,
    /// When it was made: RFC 3339, UTC, microseconds.
    pub created: String,
    /// The name of the key that asked for it.
    pub author: String,
    /// The request that made it.
    pub request_id: String,
    /// The model that wrote the edits, if the author left that to one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub drafted_by: Option<DraftedBy>,
    /// The turn of the model that asked for it, if no caller did.
    #[serde(flatten, skip_serializing_if = "Option::is_none", default)]
    pub asked_by: Option<ModelTurn>,
    /// Why there is no draft although a model should have written one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub fallback: Option<Fallback>,
    /// What the change is for.
    pub intent: String,
    /// What a reviewer should know.
    pub context: String,
    /// The paths that it is about.
    pub targets: Vec<String>,
    /// SHA-256 of the policy it was made under, in hex.
    pub policy_hash: String,
    /// The ids of the policy's rules that matched.
    pub applied_policies: Vec<String>,
    /// The commit that the workspace was at, if it is a git tree; changes not yet committed are not
    /// part of it.
    pub base_commit: Option<String>,
    /// Its patch; `null` for a statement of intent.
    pub patch: Option<PatchRef>,
    /// Each touched file, before and after, by path.
    pub files: Vec<FileRecord>,
    /// Its size.
    pub stats: Stats,
    /// What was checked, and with which result.
    pub checks: Vec<Check>,
    /// `targets` under the name of the predecessor's artifacts.
    #[serde(default)]
    pub target_files: Vec<String>,
    /// `created` in whole seconds since 1970, as in the predecessor's artifacts.
    #[serde(default)]
    pub created_at: i64,
    /// `applied_policies` under the name of the predecessor's artifacts.
    #[serde(default)]
    pub policies: Vec<String>,
}

/// Where the patch is, and what proves that it is still the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PatchRef {
    /// The name of the `.patch` file next to the record.
    pub file: String,
    /// SHA-256 of that file, in hex.
    pub sha256: String,
    /// SHA-256 of the diff in it, which is what the API hands out, in hex.
    pub diff_sha256: String,
}

/// One file that a plan touches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    /// Relative to the workspace.
    pub path: String,
    /// The name it had, if the plan renames it; the old name has an entry of its own.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub renamed_from: Option<String>,
    /// BLAKE3 of the file before, in hex; `null` if it did not exist.
    pub before: Option<String>,
    /// BLAKE3 of the file after, in hex; `null` if it is gone.
    pub after: Option<String>,
}

/// One check that the plan passed; a plan that fails one is never kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = PlanCheck))]
pub struct Check {
    /// What was checked.
    pub check: String,
    /// `passed`, or `not_applicable` for a statement of intent.
    pub result: String,
    /// What it was checked against.
    pub detail: String,
}

/// BLAKE3 in lower-case hex.
pub(crate) fn blake3_hex(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

/// SHA-256 in lower-case hex.
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    use sha2::Digest;
    hex::encode(sha2::Sha256::digest(bytes))
}
