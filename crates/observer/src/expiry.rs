//! Limits on ended jobs and stored responses.

/// Upper bound on the records that one [`Expired`] removes, so that no commit takes long.
pub const EXPIRY_CHUNK: usize = 1_000;

/// Limits on ended jobs and idempotency records. Open jobs always stay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpiryLimits {
    /// Jobs that ended before this time expire: RFC 3339, UTC, microseconds.
    pub jobs_before: String,
    /// Ended jobs beyond the latest `max_jobs` jobs expire.
    pub max_jobs: u64,
    /// Records older than this expire: RFC 3339, UTC, microseconds.
    pub records_before: String,
    /// Records beyond the latest `max_records` expire.
    pub max_records: u64,
    /// Records expire once the responses of newer ones take more than this many bytes.
    pub max_bytes: u64,
}

/// Records to remove in one transaction, by order of arrival.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expired {
    /// Ended jobs.
    Jobs(Vec<u64>),
    /// Idempotency records.
    Records(Vec<u64>),
}

impl Expired {
    /// Splits the records to remove into chunks of [`EXPIRY_CHUNK`].
    pub fn chunks(jobs: &[u64], records: &[u64]) -> Vec<Self> {
        let jobs = jobs.chunks(EXPIRY_CHUNK).map(|some| Expired::Jobs(some.to_vec()));
        let records = records.chunks(EXPIRY_CHUNK).map(|some| Expired::Records(some.to_vec()));
        jobs.chain(records).collect()
    }
}
