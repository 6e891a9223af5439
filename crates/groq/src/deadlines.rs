//! The deadlines of one call, and reads that keep them.
//!
//! A deadline that expired is not followed by a retry, except for the connection: the provider may
//! still be at work on the first request.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::error::{ChatError, Phase};
use crate::events::broke_off;
use crate::retry::Failure;
use crate::settings::Timeouts;

/// The time after `wait`; a time too far away for the clock counts as 30 years from now.
pub(crate) fn after(now: Instant, wait: Duration) -> Instant {
    const YEARS: Duration = Duration::from_secs(30 * 365 * 24 * 3600);
    now + wait.min(YEARS)
}

/// When the waits of one call expire.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadlines {
    timeouts: Timeouts,
    deadline: Instant,
}

impl Deadlines {
    /// For a call that begins now.
    pub(crate) fn new(timeouts: Timeouts) -> Self {
        Self { timeouts, deadline: after(Instant::now(), timeouts.whole) }
    }

    /// Whether a pause leaves time for another attempt.
    pub(crate) fn allows(&self, pause: Duration) -> bool {
        Instant::now().checked_add(pause).is_some_and(|then| then < self.deadline)
    }

    /// The same deadlines without one for the whole call: only silence ends it.
    pub(crate) fn of_silence(timeouts: Timeouts) -> Self {
        Self::new(Timeouts { whole: Duration::MAX, ..timeouts })
    }

    /// Waits for the head of a response.
    pub(crate) async fn first_byte<T>(&self, head: impl Future<Output = T>) -> Result<T, Failure> {
        self.within(self.timeouts.first_byte, Phase::FirstByte, head).await
    }

    /// Waits for more of a response; `None` at its end.
    pub(crate) async fn read(
        &self,
        response: &mut reqwest::Response,
    ) -> Result<Option<Vec<u8>>, Failure> {
        self.read_within(self.timeouts.between_bytes, response).await
    }

    /// The same before anything of the response has arrived: a model may be silent for as long after
    /// the headers as before them.
    pub(crate) async fn read_first(
        &self,
        response: &mut reqwest::Response,
    ) -> Result<Option<Vec<u8>>, Failure> {
        let limit = self.timeouts.first_byte.max(self.timeouts.between_bytes);
        self.read_within(limit, response).await
    }

    async fn read_within(
        &self,
        limit: Duration,
        response: &mut reqwest::Response,
    ) -> Result<Option<Vec<u8>>, Failure> {
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
        timeout_at(until, future)
            .await
            .map_err(|_| Failure::of_provider(ChatError::Timeout { phase }))
    }
}
