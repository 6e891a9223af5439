//! The deadlines of one call, and reads that keep them.
//!
//! A wait that was in vain is not tried again, that for a connection aside: the provider may still be
//! at work on the first request.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::error::{ChatError, Phase};
use crate::events::broke_off;
use crate::retry::Failure;
use crate::settings::Timeouts;

/// A point in time; one too far away to be told counts as years from now.
pub(crate) fn after(now: Instant, wait: Duration) -> Instant {
    const YEARS: Duration = Duration::from_secs(30 * 365 * 24 * 3600);
    now + wait.min(YEARS)
}

/// How long one call may still take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    timeouts: Timeouts,
    deadline: Instant,
}

impl Patience {
    /// For a call that begins now.
    pub(crate) fn new(timeouts: Timeouts) -> Self {
        Self { timeouts, deadline: after(Instant::now(), timeouts.whole) }
    }

    /// Whether a pause leaves time for another attempt.
    pub(crate) fn allows(&self, pause: Duration) -> bool {
        Instant::now().checked_add(pause).is_some_and(|then| then < self.deadline)
    }

    /// Waits for the head of an answer.
    pub(crate) async fn first_byte<T>(&self, head: impl Future<Output = T>) -> Result<T, Failure> {
        self.within(self.timeouts.first_byte, Phase::FirstByte, head).await
    }

    /// Waits for more of an answer; `None` at its end.
    pub(crate) async fn read(
        &self,
        response: &mut reqwest::Response,
    ) -> Result<Option<Vec<u8>>, Failure> {
        let limit = self.timeouts.between_bytes;
        let read = self.within(limit, Phase::BetweenBytes, response.chunk()).await?;
        Ok(read.map_err(|_| broke_off())?.map(Vec::from))
    }

    async fn within<T>(
        &self,
        limit: Duration,
        phase: Phase,
        future: impl Future<Output = T>,
    ) -> Result<T, Failure> {
        let limit = after(Instant::now(), limit);
        let (until, phase) =
            if limit < self.deadline { (limit, phase) } else { (self.deadline, Phase::Whole) };
        timeout_at(until, future).await.map_err(|_| Failure::ill(ChatError::Timeout { phase }))
    }
}
