//! Removes ended jobs and stored responses that have expired.

use jiff::SignedDuration;
use life_agent_observer::{ExpiryLimits, Journal, SideWrite};

use crate::error::EngineError;
use crate::recorder::Recorder;

/// Ended turns of the queue are kept for this time.
const JOBS_KEPT: SignedDuration = SignedDuration::from_hours(7 * 24);
/// Stored responses are kept for this time.
const ANSWERS_KEPT: SignedDuration = SignedDuration::from_hours(24);

/// Removes what has expired, in portions.
pub(crate) async fn expire(journal: &Journal, recorder: &Recorder) -> Result<(), EngineError> {
    let before = |age: SignedDuration| format!("{:.6}", journal.now() - age);
    let limits = ExpiryLimits {
        jobs_before: before(JOBS_KEPT),
        max_jobs: 100_000,
        records_before: before(ANSWERS_KEPT),
        max_records: 100_000,
        max_bytes: 256 << 20,
    };
    for expired in journal.expired(limits).await? {
        recorder.write(SideWrite::Expire(expired)).await?;
    }
    Ok(())
}
