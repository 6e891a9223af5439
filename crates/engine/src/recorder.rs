//! The recorder: the only way from an event to the journal.
//!
//! It adds to every row what no call site may forget: the caller, the request, the policy's hash, the
//! timing, and the claim on an idempotency key if the row records an effect.

use life_agent_domain::governance::event::{Entry, Envelope, Record, without_large_parts};
use life_agent_domain::governance::ids::AgentId;
use life_agent_observer::{
    CommitHandle, Committed, Guard, Journal, JournalError, MAX_DATA, Precondition, RowTexts,
    SideWrite, WriteBatch, compact,
};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::context::RequestContext;
use crate::error::EngineError;
use crate::idempotency::mark::Mark;
use crate::trace::{Span, SpanKind};

/// Writes events. Clones share the journal.
#[derive(Clone)]
pub(crate) struct Recorder {
    journal: Journal,
}

/// The events of one request that are committed together or not at all.
pub(crate) struct Batch<'a> {
    context: &'a RequestContext,
    policy_hash: &'a str,
    work: WriteBatch,
    is_effect: bool,
    needs_permission: bool,
}

#[derive(Serialize)]
struct Data<'a, R> {
    #[serde(flatten)]
    record: &'a R,
    #[serde(flatten)]
    envelope: Envelope<'a>,
}

impl Recorder {
    pub(crate) fn new(journal: Journal) -> Self {
        Self { journal }
    }

    /// Queues a batch. The order of the calls is the order of the rows.
    pub(crate) fn append(&self, batch: Batch<'_>) -> Result<CommitHandle, EngineError> {
        Ok(self.journal.append(batch.finish())?)
    }

    /// Appends a batch and waits until it is durable.
    pub(crate) async fn commit(&self, batch: Batch<'_>) -> Result<Committed, EngineError> {
        let claim = FirstClaim::of(batch.context);
        let mut span = journal_span(batch.context);
        let committed = self.append(batch)?.await;
        committed_at(&mut span, committed.as_ref().ok());
        Ok(committed.inspect_err(|error| claim.failed(error))?)
    }

    /// The journal.
    pub(crate) fn journal(&self) -> &Journal {
        &self.journal
    }

    /// The control version, if several instances can change it.
    pub(crate) fn shared_control(&self) -> Option<u64> {
        self.journal.is_shared().then(|| self.journal.control())
    }

    /// Records one event with its side writes and returns the number of its row.
    pub(crate) async fn record<R: Record>(
        &self,
        context: &RequestContext,
        policy_hash: &str,
        agent: Option<&AgentId>,
        record: &R,
        extra: Vec<SideWrite>,
    ) -> Result<u64, EngineError> {
        let mut batch = Batch::new(context, policy_hash);
        batch.push(agent, record)?;
        batch.extend(extra);
        Ok(self.commit(batch).await?.id)
    }

    /// Writes data that no event describes: jobs, snapshots, answers.
    pub(crate) async fn write(&self, extra: SideWrite) -> Result<(), EngineError> {
        self.journal.append(WriteBatch::side(vec![extra]))?.await?;
        Ok(())
    }
}

impl<'a> Batch<'a> {
    /// An empty batch of a request that this policy judged.
    pub(crate) fn new(context: &'a RequestContext, policy_hash: &'a str) -> Self {
        let (work, is_effect, needs_permission) = (WriteBatch::default(), false, false);
        Self { context, policy_hash, work, is_effect, needs_permission }
    }

    /// Adds an event.
    pub(crate) fn push<R: Record>(
        &mut self,
        agent: Option<&AgentId>,
        record: &R,
    ) -> Result<(), EngineError> {
        let envelope = Envelope {
            v: None,
            policy_hash: self.policy_hash.into(),
            timing: self.context.timing(),
            trace_id: self.context.trace.as_ref().map(|trace| trace.id().to_string().into()),
        };
        let data = serde_json::value::to_raw_value(&Data { record, envelope });
        let mut texts = RowTexts::default();
        let data = data.and_then(|data| {
            if data.get().len() <= record.largest_shared()
                && let Some((compacted, shared)) = compact(&data)
                && compacted.get().len() <= MAX_DATA
            {
                texts = shared;
                return Ok(compacted);
            }
            match data.get().len() > MAX_DATA {
                // The verdict must be on the record, whatever the size of the texts that it is about.
                true if record.may_omit_texts() => without_large_parts(data.get()),
                _ => Ok::<Box<RawValue>, _>(data),
            }
        });
        let data = data.map_err(|error| {
            tracing::error!(%error, "an event cannot be serialized");
            EngineError::Unavailable
        })?;
        self.is_effect |= record.is_effect();
        self.needs_permission |= record.needs_permission();
        if !texts.is_empty() {
            self.work.side_writes.push(SideWrite::Texts(texts));
        }
        self.work.entries.push(Entry {
            kind: record.kind(),
            agent: agent.cloned(),
            principal: self.context.principal.as_str().to_owned(),
            request_id: self.context.request.clone(),
            data,
        });
        Ok(())
    }

    /// Adds a condition without which nothing of the batch is committed.
    pub(crate) fn require(&mut self, precondition: Precondition) {
        self.work.preconditions.push(precondition);
    }

    /// Adds writes that are committed with the events.
    pub(crate) fn extend(&mut self, extra: impl IntoIterator<Item = SideWrite>) {
        self.work.side_writes.extend(extra);
    }

    /// Adds the write of a job, which is an effect of its own.
    pub(crate) fn push_job(&mut self, id: &str, extra: SideWrite) {
        self.work.side_writes.push(extra);
        let mark = self.context.idempotency.as_ref();
        self.work.preconditions.extend(mark.and_then(Mark::unclaimed));
        self.work.side_writes.extend(mark.map(|mark| mark.take(Some(id.to_owned()))));
    }

    /// Adds a condition on what this process knows, see [`WriteBatch::guard`].
    pub(crate) fn guard(&mut self, guard: Guard) {
        self.work.guard = Some(guard);
    }

    /// Adds the condition that neither the kill switch nor a stop forbids the request, and that its policy is active.
    pub(crate) fn require_permission(&mut self) {
        if let Some(judge) = self.context.judge() {
            self.work.guard =
                Some(judge.guard(&self.context.principal, &self.work, Some(self.policy_hash)));
        }
    }

    /// The finished write of a step, which only the active policy may permit.
    pub(crate) fn finish_step(mut self) -> WriteBatch {
        self.require_permission();
        self.finish()
    }

    /// The finished write. Claims the request's idempotency key if the batch has an effect.
    pub(crate) fn finish(mut self) -> WriteBatch {
        if self.needs_permission
            && let Some(judge) = self.context.judge()
            && self.work.guard.is_none()
        {
            self.work.guard = Some(judge.guard(&self.context.principal, &self.work, None));
        }
        if self.is_effect
            && let Some(mark) = &self.context.idempotency
        {
            self.work.preconditions.extend(mark.unclaimed());
            self.work.side_writes.push(mark.take(None));
        }
        self.work
    }
}

/// Begins the commit of a request's rows.
pub(crate) fn journal_span(context: &RequestContext) -> Span {
    context.span(SpanKind::Internal, || "journal commit")
}

/// Notes the rows of a commit, or its failure.
pub(crate) fn committed_at(span: &mut Span, committed: Option<&Committed>) {
    match committed {
        Some(committed) => span.set("life_agent.event_id", committed.id),
        None => span.fail("not_committed"),
    }
}

/// The claim of a request on its idempotency key before its first effect.
pub(crate) struct FirstClaim(Option<Mark>);

impl FirstClaim {
    pub(crate) fn of(context: &RequestContext) -> Self {
        let mark = context.idempotency.as_ref();
        Self(mark.filter(|mark| mark.unclaimed().is_some()).cloned())
    }

    /// Frees the key if the effect was rejected, and remembers whether another instance has it.
    pub(crate) fn failed(&self, error: &JournalError) {
        if let (Some(mark), JournalError::Rejected(rejection)) = (&self.0, error) {
            mark.rejected(rejection);
        }
    }
}

/// Serializes data that is kept next to the events.
pub(crate) fn raw_json(
    data: &impl Serialize,
) -> Result<Box<serde_json::value::RawValue>, EngineError> {
    serde_json::value::to_raw_value(data).map_err(|error| {
        tracing::error!(%error, "stored data cannot be serialized");
        EngineError::Unavailable
    })
}
