//! Records of calls that a caller may repeat: their effect and their response.

/// Identifies a call by digests. It holds neither the key nor the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyRecord {
    /// Digest of principal, call and key.
    pub id: String,
    /// Digest of the body.
    pub digest: String,
    /// The job that is the call's effect, if its effect is not a row.
    pub job: Option<String>,
}

/// A response that is returned again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredResponse {
    /// The status code.
    pub status: u16,
    /// The headers that belong to the response, each as `name: value` on its own line.
    pub headers: String,
    /// The body.
    pub body: Vec<u8>,
}

/// A recorded call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyEntry {
    /// The call.
    pub record: IdempotencyRecord,
    /// The first row of its effect.
    pub event_id: Option<u64>,
    /// Its response; `None` if the process ended before it was stored.
    pub response: Option<StoredResponse>,
}
