//! Calls that may be repeated: the same key and body get the same answer, and one effect.
//!
//! Whoever repeats a call while the first is under way waits for it. What the first has done is marked
//! in the transaction of its first row ([`Caller::marked`]), so that a process that ends before it has
//! answered leaves word: the key then leads to that row, and never to a second effect.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use blake3::Hasher;
use life_agent_observer::{
    IdempotencyRecord as Kept, SideWrite, StoredResponse as Answer, WriteBatch,
};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use crate::engine::{Caller, Engine};
use crate::error::EngineError;

/// Longest wait for the first call with a key, within what a stop of the service leaves.
const WAIT: Duration = Duration::from_secs(8);
/// Longest body that is kept, in bytes; a longer answer is given once.
const MAX_BODY: usize = 256 * 1024;
/// So many answers kept, and those that are too many are looked for, which takes a fifth of a second if there are
/// as many as there may be.
const TIDY_EVERY: u64 = 10_000;

/// A call as its caller named it.
#[derive(Debug, Clone, Copy)]
pub struct KeyedCall<'a> {
    /// Its method.
    pub method: &'a str,
    /// Its path.
    pub path: &'a str,
    /// The caller's key for it.
    pub key: &'a str,
    /// Its body, byte for byte.
    pub body: &'a [u8],
}

/// A call that is the first with its key. While one of its clones is there, others with the key wait.
#[derive(Debug, Clone)]
pub struct Mark {
    kept: Kept,
    under_way: Arc<UnderWay>,
}

/// What a key stands for.
#[derive(Debug)]
pub enum Claim {
    /// Nothing yet: carry the call out, its caller carrying the mark.
    First(Mark),
    /// A call that was answered like this.
    Answered(Answer),
    /// A call with another body.
    OtherBody,
    /// A call that takes longer than one that repeats it may wait.
    UnderWay,
    /// A call that took effect and whose answer is not there.
    Unanswered(Effect),
}

/// Where a call took effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// In rows, this one first.
    Row(u64),
    /// In a queued turn.
    Job(String),
}

/// The calls with a key that are under way.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    under_way: Arc<Mutex<HashMap<String, Call>>>,
    answered: AtomicU64,
}

#[derive(Debug)]
struct Call {
    digest: String,
    /// Closed when it has ended.
    ended: watch::Receiver<()>,
}

/// A place among the calls under way, given up with the last mark.
#[derive(Debug)]
struct UnderWay {
    calls: Arc<Mutex<HashMap<String, Call>>>,
    id: String,
    /// Whether the mark has gone to the journal with an effect.
    taken: AtomicBool,
    _end: watch::Sender<()>,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.calls.lock().remove(&self.id);
    }
}

enum Entered {
    First(UnderWay),
    OtherBody,
    Wait(watch::Receiver<()>),
}

impl Calls {
    fn enter(&self, mark: &Kept) -> Entered {
        match self.under_way.lock().entry(mark.id.clone()) {
            Entry::Vacant(place) => {
                let (end, ended) = watch::channel(());
                place.insert(Call { digest: mark.digest.clone(), ended });
                let (calls, id) = (Arc::clone(&self.under_way), mark.id.clone());
                Entered::First(UnderWay { calls, id, taken: AtomicBool::new(false), _end: end })
            }
            Entry::Occupied(call) if call.get().digest != mark.digest => Entered::OtherBody,
            Entry::Occupied(call) => Entered::Wait(call.get().ended.clone()),
        }
    }
}

impl KeyedCall<'_> {
    /// Digests of the call. That of the body depends on the key, which is kept nowhere, so that nobody
    /// can try out bodies against it.
    fn mark(&self, caller: &Caller) -> Kept {
        let digest = |context, body: Option<&[u8]>| {
            let mut hasher = Hasher::new_derive_key(context);
            let call = [caller.principal.as_str(), self.method, self.path, self.key];
            for part in call.map(str::as_bytes).into_iter().chain(body) {
                hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
            }
            hasher.finalize().to_hex().to_string()
        };
        Kept {
            id: digest("life-agent 2026-11-23 idempotency: call", None),
            digest: digest("life-agent 2026-11-23 idempotency: body", Some(self.body)),
            job: None,
        }
    }
}

impl Mark {
    fn take(&self, job: Option<String>) -> SideWrite {
        self.under_way.taken.store(true, Ordering::Relaxed);
        SideWrite::Idempotency(Kept { job, ..self.kept.clone() })
    }

    /// Whether the call may have had an effect, which must not be repeated then.
    pub fn is_taken(&self) -> bool {
        self.under_way.taken.load(Ordering::Relaxed)
    }
}

impl Caller {
    /// What is kept beside the rows of an effect, with the mark of the call that it comes from.
    pub(crate) fn marked(&self, mut extra: Vec<SideWrite>) -> Vec<SideWrite> {
        extra.extend(self.idempotency.as_ref().map(|mark| mark.take(None)));
        extra
    }

    /// The same for an effect that is a queued turn.
    pub(crate) fn marked_job(&self, mut extra: Vec<SideWrite>, id: &str) -> Vec<SideWrite> {
        extra.extend(self.idempotency.as_ref().map(|mark| mark.take(Some(id.to_owned()))));
        extra
    }
}

impl Engine {
    /// Looks up what a caller's key stands for, and claims it if that is nothing.
    pub async fn claim(&self, caller: &Caller, call: KeyedCall<'_>) -> Result<Claim, EngineError> {
        let mark = call.mark(caller);
        let deadline = Instant::now() + WAIT;
        let under_way = loop {
            match self.calls.enter(&mark) {
                Entered::First(under_way) => break under_way,
                Entered::OtherBody => return Ok(Claim::OtherBody),
                Entered::Wait(mut ended) => {
                    if timeout_at(deadline, ended.changed()).await.is_err() {
                        return Ok(Claim::UnderWay);
                    }
                }
            }
        };
        // The rows of a call whose task was cut off may still be queued.
        self.journal.barrier().await?;
        let Some(known) = self.journal.idempotency(&mark.id).await? else {
            return Ok(Claim::First(Mark { kept: mark, under_way: Arc::new(under_way) }));
        };
        Ok(match (known.response, known.record.job) {
            _ if known.record.digest != mark.digest => Claim::OtherBody,
            (Some(answer), _) => Claim::Answered(answer),
            (None, Some(job)) => Claim::Unanswered(Effect::Job(job)),
            (None, None) => Claim::Unanswered(Effect::Row(known.event_id.unwrap_or_default())),
        })
    }

    /// Keeps the answer to a call, so that whoever repeats it is answered the same. The answer must be
    /// without credentials; one that is too long is not kept.
    pub async fn keep_answer(&self, mark: Mark, answer: Answer) -> Result<(), EngineError> {
        if answer.body.len() > MAX_BODY {
            return Ok(());
        }
        let extra = vec![SideWrite::Response(mark.kept.clone(), answer)];
        self.journal.append(WriteBatch::side(extra))?.await?;
        if self.calls.answered.fetch_add(1, Ordering::Relaxed) % TIDY_EVERY == TIDY_EVERY - 1 {
            // The caller need not wait for that.
            let engine = self.clone();
            tokio::spawn(async move {
                if let Err(error) = engine.forget().await {
                    tracing::warn!(%error, "old answers to repeated calls could not be removed");
                }
            });
        }
        Ok(())
    }
}
