//! Idempotency keys: a repeated call gets the same response and has one effect.
//!
//! A repetition waits while the first call runs. The claim of the first call is written in the transaction
//! of its first row (see [`crate::recorder::Batch`]), so the key leads to that row even if the process
//! ends before it responds, and never to a second effect.

pub(crate) mod expiry;
pub(crate) mod mark;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use life_agent_observer::{
    IdempotencyEntry, IdempotencyRecord, Journal, JournalError, SideWrite, StoredResponse,
    WriteBatch,
};
use tokio::time::{Instant, timeout_at};

use mark::{Entered, PendingCalls, Seal};
pub use mark::{KeyedCall, Mark};

use crate::context::RequestContext;
use crate::error::EngineError;
use crate::recorder::Recorder;

/// The longest wait for the first call with a key; shorter than the shutdown timeout.
const WAIT: Duration = Duration::from_secs(8);
/// The longest wait for the response to a call that took effect at another instance.
const ELSEWHERE: Duration = Duration::from_secs(2);
/// The pause between two looks for it.
const LOOK: Duration = Duration::from_millis(50);
/// The longest stored response, in bytes.
const MAX_BODY: usize = 256 * 1024;
/// Stored responses between two expiries. One expiry takes a fifth of a second at the maximum number of
/// responses.
const EXPIRE_EVERY: u64 = 10_000;

/// Claims keys and stores responses.
pub(crate) struct Idempotency {
    journal: Journal,
    recorder: Recorder,
    pending: PendingCalls,
    answered: AtomicU64,
}

/// The state of a key.
#[derive(Debug)]
pub enum Claim {
    /// The key is new: carry out the call with this claim in its context.
    First(Mark),
    /// An earlier call had this response.
    Answered(StoredResponse),
    /// An earlier call had another body.
    OtherBody,
    /// The first call is still running after the longest wait.
    UnderWay,
    /// An earlier call took effect, but its response was lost.
    Unanswered(Effect),
}

/// The effect of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Rows from this one on.
    Row(u64),
    /// A queued turn.
    Job(String),
}

impl Idempotency {
    pub(crate) fn new(journal: Journal, recorder: Recorder) -> Self {
        Self { journal, recorder, pending: PendingCalls::default(), answered: AtomicU64::new(0) }
    }

    /// Looks up a key and claims it if it is new. Waits for a running call with the key.
    pub(crate) async fn claim(
        &self,
        context: &RequestContext,
        call: KeyedCall<'_>,
    ) -> Result<Claim, EngineError> {
        let (mark, seal) = call.mark(&context.principal);
        let deadline = Instant::now() + WAIT;
        let claim = loop {
            match self.pending.enter(&mark) {
                Entered::First(claim) => break claim,
                Entered::OtherBody => return Ok(Claim::OtherBody),
                Entered::Wait(mut ended) => {
                    if timeout_at(deadline, ended.changed()).await.is_err() {
                        return Ok(Claim::UnderWay);
                    }
                }
            }
        };
        // The rows of a call whose task was aborted may still be queued.
        self.journal.barrier().await?;
        let Some(known) = self.journal.idempotency(&mark.id).await? else {
            let is_shared = self.journal.is_shared();
            return Ok(Claim::First(Mark { kept: mark, seal, claim: Arc::new(claim), is_shared }));
        };
        self.claimed(context, (&mark, seal), known).await
    }

    /// What became of the call that claimed the key of this one at another instance.
    pub(crate) async fn elsewhere(
        &self,
        context: &RequestContext,
        mark: &Mark,
    ) -> Result<Claim, EngineError> {
        match self.journal.idempotency(&mark.kept.id).await? {
            Some(known) => self.claimed(context, (&mark.kept, mark.seal.clone()), known).await,
            None => Ok(Claim::UnderWay),
        }
    }

    async fn claimed(
        &self,
        context: &RequestContext,
        (mark, seal): (&IdempotencyRecord, Seal),
        mut known: IdempotencyEntry,
    ) -> Result<Claim, EngineError> {
        // An instance stores the response a moment after the effect.
        let deadline = Instant::now() + ELSEWHERE;
        while self.journal.is_shared() && known.response.is_none() && Instant::now() < deadline {
            tokio::time::sleep(LOOK).await;
            known = self.journal.idempotency(&mark.id).await?.unwrap_or(known);
        }
        // The table is not chained: an answer counts if the row of its call exists and is the caller's.
        if let (Some(id), Some(_)) = (known.event_id, &known.response)
            && !self.is_row_of(context, id).await?
        {
            tracing::error!(row = id, "a stored answer does not match its row and is not repeated");
            return Ok(Claim::Unanswered(Effect::Row(id)));
        }
        if known.record.digest != mark.digest {
            return Ok(Claim::OtherBody);
        }
        let answer = known.response.take().map(|stored| seal.open(stored));
        if let Some(None) = answer {
            tracing::error!(
                row = known.event_id,
                "a stored answer was changed and is not repeated"
            );
        }
        Ok(match (answer.flatten(), known.record.job) {
            (Some(answer), _) => Claim::Answered(answer),
            (None, Some(job)) => Claim::Unanswered(Effect::Job(job)),
            (None, None) => Claim::Unanswered(Effect::Row(known.event_id.unwrap_or_default())),
        })
    }

    async fn is_row_of(&self, context: &RequestContext, id: u64) -> Result<bool, EngineError> {
        Ok(match self.journal.row(id).await? {
            Some(row) => row.principal == context.principal.as_str(),
            None => self.journal.pruned().await?.is_some_and(|pruned| id <= pruned.id),
        })
    }

    /// The first row of the call with this key, whatever its body was.
    pub(crate) async fn row_of(
        &self,
        context: &RequestContext,
        call: KeyedCall<'_>,
    ) -> Result<Option<u64>, EngineError> {
        let (mark, _) = call.mark(&context.principal);
        Ok(self.journal.idempotency(&mark.id).await?.and_then(|known| known.event_id))
    }

    /// Stores the response to a call for its repetitions. The response must be redacted; one over 256 KiB
    /// is not stored.
    pub(crate) async fn keep_answer(
        &self,
        mark: Mark,
        answer: StoredResponse,
    ) -> Result<(), EngineError> {
        if answer.body.len() > MAX_BODY {
            return Ok(());
        }
        let answer = mark.seal.seal(answer);
        let mut batch = WriteBatch::side(vec![SideWrite::Response(mark.kept.clone(), answer)]);
        // The response to a refusal must not replace that to an effect at another instance.
        batch.preconditions.extend(mark.unclaimed());
        match self.journal.append(batch)?.await {
            Err(JournalError::Rejected(_)) => return Ok(()),
            kept => drop(kept?),
        }
        if self.answered.fetch_add(1, Ordering::Relaxed) % EXPIRE_EVERY == EXPIRE_EVERY - 1 {
            // In the background, so that the caller does not wait.
            let (journal, recorder) = (self.journal.clone(), self.recorder.clone());
            tokio::spawn(async move {
                if let Err(error) = expiry::expire(&journal, &recorder).await {
                    tracing::warn!(%error, "old answers to repeated calls could not be removed");
                }
            });
        }
        Ok(())
    }
}
