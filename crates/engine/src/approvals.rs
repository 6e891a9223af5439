//! Approvals: a request that the policy asks about waits for a person, and passes once when it is repeated.
//!
//! Every transition is a row. The inbox in memory follows the rows and is rebuilt from them at the start.
//! Transitions that record something are ordered by one lock, which is held until the row is durable.

mod desk;
mod expiry;
mod rebuild;
mod usage;
mod views;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use life_agent_domain::governance::approval::{
    ApprovalKey, BoundTo, Decider, DecisionError, RequestDigest, Status,
};
use life_agent_domain::governance::command::Gated;
use life_agent_domain::governance::event::{
    ApprovalDecidedRecord, ApprovalDecision, ApprovalRequestedRecord,
};
use life_agent_domain::governance::gate::{Denial, GateNotes};
use life_agent_domain::governance::ids::{AgentId, Principal};
use life_agent_domain::governance::principal::Scope;
use life_agent_domain::governance::request::RequestBody;
use life_agent_domain::governance::size::json_size;
use life_agent_observer::{
    CommitHandle, Committed, Guard, IdempotencyRecord, Journal, JournalError, Precondition,
    SideWrite, WriteBatch,
};
use parking_lot::Mutex;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::runtime::Handle;
use tokio::sync::{OwnedMutexGuard, watch};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::chat::text_extraction::clean;
use crate::clock::Timestamps;
use crate::context::RequestContext;
use crate::error::EngineError;
use crate::policy::{ActivePolicy, PolicyCell};
use crate::recorder::{Batch, Recorder};
use desk::Desk;
pub(crate) use rebuild::DeskFollower;
pub(crate) use usage::{ApprovalUse, record_use};
use views::summary_of;
pub use views::{ApprovalDecided, ApprovalSummary, ApprovalView, PendingApproval};

/// The journal's setting that stores the key of the digests.
const KEY: &str = "approval_key";
/// Longest request that people are asked about, in bytes of JSON; a row has room for it.
const MAX_REQUEST: usize = 1024 * 1024;

/// Requests, decides and uses approvals.
pub(crate) struct Approvals {
    key: ApprovalKey,
    desk: Arc<Mutex<Desk>>,
    /// Held from the decision about a transition until its row is durable.
    order: Arc<tokio::sync::Mutex<()>>,
    /// Signaled after every transition.
    changed: Arc<watch::Sender<()>>,
    stop: CancellationToken,
    journal: Journal,
    recorder: Recorder,
    policy: Arc<PolicyCell>,
    timestamps: Timestamps,
    /// The service's address for people, without a slash at the end.
    public_url: String,
    /// The runtime in which the engine was opened; a caller's runtime may end earlier.
    runtime: Handle,
}

/// A refusal that was recorded together with its request for an approval.
pub(crate) struct Requested {
    /// The row of the refusal.
    pub(crate) event_id: u64,
    /// The approval; `None` if none could be requested.
    pub(crate) approval: Option<PendingApproval>,
    /// The message for the caller.
    pub(crate) message: String,
}

impl Approvals {
    /// The approvals as the journal has them.
    pub(crate) async fn open(
        journal: Journal,
        recorder: Recorder,
        policy: Arc<PolicyCell>,
        timestamps: Timestamps,
        public_url: Option<&str>,
    ) -> Result<(Arc<Self>, DeskFollower), JournalError> {
        let key = stored_key(&journal, &recorder).await?;
        let (desk, upto) = rebuild::desk(&journal).await?;
        let (desk, changed) = (Arc::new(Mutex::new(desk)), Arc::new(watch::Sender::new(())));
        let follower = DeskFollower::new(Arc::clone(&desk), Arc::clone(&changed), upto);
        let approvals = Arc::new(Self {
            key,
            desk,
            order: Arc::default(),
            changed,
            stop: CancellationToken::new(),
            journal,
            recorder,
            policy,
            timestamps,
            public_url: public_url.unwrap_or_default().trim_end_matches('/').to_owned(),
            runtime: Handle::current(),
        });
        approvals.start_expiry();
        Ok((approvals, follower))
    }

    /// Records nothing more. Returns once the last transition is durable.
    pub(crate) async fn close(&self) {
        self.stop.cancel();
        let _last = self.order.lock().await;
    }

    /// The time in milliseconds since 1970.
    fn now(&self) -> u64 {
        self.timestamps.now().as_millisecond().try_into().unwrap_or_default()
    }

    /// Records a refusal with `refuse`, and requests an approval unless one for the same request is open.
    pub(crate) async fn request<C: Gated>(
        self: &Arc<Self>,
        context: &RequestContext,
        policy: &ActivePolicy,
        denial: &Denial<C>,
        rest: &Value,
        command: Option<Box<RawValue>>,
        refuse: &(dyn Fn(&mut Batch<'_>, &str) -> Result<(), EngineError> + Sync),
    ) -> Result<Requested, EngineError> {
        let hash = &policy.snapshot.hash;
        let order = Arc::clone(&self.order).lock_owned().await;
        self.journal.catch_up().await?;
        let now = self.now();
        let digest = self.digest(hash, denial, rest);
        let open = self.desk.lock().inbox.open_for(&digest, now).map(|a| (a.id, a.expires));
        let body = RequestBody::from(denial.command.view());
        let rest = (!rest.is_null()).then(|| clean(rest.clone(), policy.chain.redactor()));
        let has_room = self.desk.lock().inbox.has_room(context.principal.as_str());
        let too_long = json_size(&body) + json_size(&rest) > MAX_REQUEST;
        let advice = match (&open, has_room) {
            (None, Err(full)) => format!("no further approval can be requested: {full}"),
            (None, Ok(())) if too_long => {
                format!("it is longer than {MAX_REQUEST} bytes, too long for a person to approve")
            }
            _ => "a person can approve this request, which then passes once".to_owned(),
        };
        let message = format!("{}; {advice}", denial.refusal.message);
        let mut batch = Batch::new(context, hash);
        refuse(&mut batch, &message)?;
        if open.is_some() || has_room.is_err() || too_long {
            drop(order);
            let event_id = self.recorder.commit(batch).await?.id;
            let approval = open.map(|(id, expires)| self.pending(id, expires));
            return Ok(Requested { event_id, approval, message });
        }
        let seconds = policy.snapshot.policy.approvals.expire_seconds;
        let expires = now + u64::from(seconds) * 1000;
        let (view, notes) = (denial.command.view(), GateNotes::from(&denial.trace));
        let (caller, agent) = (&context.principal, view.agent());
        let key = self.key.fingerprint(caller);
        let summary = summary_of(view);
        let record = ApprovalRequestedRecord {
            principal: caller.as_str().into(),
            person: caller.person().map(Into::into),
            agent_id: agent.map(|agent| agent.as_str().into()),
            kind: view.kind(),
            summary: summary.as_str().into(),
            digest: digest.as_str().into(),
            key: key.as_deref().map(Into::into),
            expires_at: views::time(expires).into(),
            gate: denial.gate.into(),
            rule: denial.refusal.rule.as_deref().map(Into::into),
            message: denial.refusal.message.as_str().into(),
            request: body,
            rest: rest.map(Cow::Owned),
            command,
            notes: Cow::Owned(notes),
        };
        batch.push(agent, &record)?;
        let written = self.recorder.append(batch)?;
        let committed = self.settle(order, written).await?;
        let [refused, requested] = committed.rows.as_slice() else {
            return Err(EngineError::Unavailable);
        };
        let approval = Some(self.pending(requested.id, expires));
        Ok(Requested { event_id: refused.id, approval, message })
    }

    /// The approved approval of a denied command, taken out of the inbox so that it passes once.
    pub(crate) fn take<C: Gated>(
        self: &Arc<Self>,
        policy_hash: &str,
        denial: &Denial<C>,
        rest: &Value,
    ) -> Option<ApprovalUse> {
        let bound = bound(policy_hash, denial, rest)?;
        let now = self.now();
        let granted = self.desk.lock().inbox.take(&self.key, &bound, now)?;
        let agent = denial.command.view().agent().cloned();
        Some(ApprovalUse::new(Arc::clone(self), granted, agent, policy_hash))
    }

    /// Whether a denied command would pass now because a person has approved it.
    pub(crate) fn is_approved<C: Gated>(
        &self,
        policy_hash: &str,
        denial: &Denial<C>,
        rest: &Value,
    ) -> bool {
        let Some(bound) = bound(policy_hash, denial, rest) else { return false };
        let digest = RequestDigest::of(&self.key, &bound);
        self.desk.lock().inbox.is_approved(&digest, self.now())
    }

    /// Approves or denies a request. A decision is final.
    pub(crate) async fn decide(
        self: &Arc<Self>,
        context: &RequestContext,
        id: u64,
        decision: ApprovalDecision,
        note: &str,
    ) -> Result<ApprovalView, EngineError> {
        let order = Arc::clone(&self.order).lock_owned().await;
        self.journal.catch_up().await?;
        let agent = self.check_decider(&context.principal, id)?;
        // What is decided about must be what was recorded.
        rebuild::requested(&self.journal, id).await?;
        let note = self.policy.redact(note);
        let person = context.principal.person();
        let record = ApprovalDecidedRecord {
            approval_id: id,
            decision,
            note: note.as_str().into(),
            person: person.map(Into::into),
        };
        let policy = self.policy.active();
        let mut batch = Batch::new(context, &policy.snapshot.hash);
        batch.push(agent.as_ref(), &record)?;
        batch.guard(self.unchanged(vec![(id, Status::Pending)]));
        let written = self.recorder.append(batch)?;
        match self.settle(order, written).await {
            // Another instance was faster.
            Err(EngineError::Outdated) => {
                self.check_decider(&context.principal, id)?;
                return Err(EngineError::Outdated);
            }
            settled => drop(settled?),
        }
        self.view(&context.principal, id).await
    }

    /// Lets a batch pass if the approvals have these statuses when it is written.
    fn unchanged(&self, expected: Vec<(u64, Status)>) -> Guard {
        let desk = Arc::clone(&self.desk);
        Guard::new(move || {
            let desk = desk.lock();
            let is_at = |(id, status): &(u64, Status)| {
                desk.shown(*id).is_some_and(|shown| shown.status == *status)
            };
            expected.iter().all(is_at)
        })
    }

    /// The agent of an approval that this caller may decide.
    fn check_decider(
        &self,
        principal: &Principal,
        id: u64,
    ) -> Result<Option<AgentId>, EngineError> {
        let desk = self.desk.lock();
        let shown = desk.shown(id).ok_or_else(|| unknown(id))?;
        match self.may_decide(&desk, principal, id) {
            Ok(()) => Ok(shown.agent.clone()),
            Err(error @ DecisionError::OwnRequest) => {
                Err(EngineError::OwnRequest(error.to_string()))
            }
            Err(DecisionError::NotFound) => {
                let status = shown.status_at(self.now()).as_str();
                Err(EngineError::Conflict(format!("the approval is {status}")))
            }
            Err(error) => Err(EngineError::Conflict(error.to_string())),
        }
    }

    fn may_decide(&self, desk: &Desk, principal: &Principal, id: u64) -> Result<(), DecisionError> {
        let key = self.key.fingerprint(principal);
        let by = Decider {
            principal: principal.as_str(),
            person: principal.person(),
            key: key.as_deref(),
        };
        desk.inbox.may_decide(id, &by, self.now()).map(|_| ())
    }

    /// Approvals of one status or of all, newest first, older than `before`.
    pub(crate) fn list(
        &self,
        status: Option<Status>,
        before: Option<u64>,
        limit: usize,
    ) -> Vec<ApprovalSummary> {
        let (now, desk) = (self.now(), self.desk.lock());
        let all = desk.newest(before).map(|(id, shown)| shown.summary(id, now));
        all.filter(|one| status.is_none_or(|status| one.status == status)).take(limit).collect()
    }

    /// An approval with the request as it was recorded.
    pub(crate) async fn view(
        &self,
        principal: &Principal,
        id: u64,
    ) -> Result<ApprovalView, EngineError> {
        let (summary, may_decide) = {
            let desk = self.desk.lock();
            let shown = desk.shown(id).ok_or_else(|| unknown(id))?;
            let may =
                principal.has(Scope::Approve) && self.may_decide(&desk, principal, id).is_ok();
            (shown.summary(id, self.now()), may)
        };
        ApprovalView::of(summary, &rebuild::requested(&self.journal, id).await?, may_decide)
    }

    /// Waits until an approval is decided or expires, at most this long. Returns its status.
    pub(crate) async fn until_decided(&self, id: u64, longest: Duration) -> Option<Status> {
        let mut transitions = self.changed.subscribe();
        let deadline = Instant::now() + longest;
        loop {
            let status = self.desk.lock().shown(id).map(|shown| shown.status_at(self.now()));
            if status != Some(Status::Pending)
                || timeout_at(deadline, transitions.changed()).await.is_err()
            {
                return status;
            }
        }
    }

    fn pending(&self, id: u64, expires: u64) -> PendingApproval {
        let url = format!("{}/ui#/approvals/{id}", self.public_url);
        PendingApproval { approval_id: id, url, expires_at: views::time(expires) }
    }

    /// Holds the order until a transition's row is durable, even if the caller disconnects. The row changes the desk.
    async fn settle(
        self: &Arc<Self>,
        order: OwnedMutexGuard<()>,
        written: CommitHandle,
    ) -> Result<Committed, EngineError> {
        let settled = self.runtime.spawn(async move {
            let committed = written.await?;
            drop(order);
            Ok(committed)
        });
        settled.await.map_err(|_| EngineError::Unavailable)?
    }

    fn digest<C: Gated>(&self, hash: &str, denial: &Denial<C>, rest: &Value) -> RequestDigest {
        let bound = bound(hash, denial, rest);
        let none = || RequestDigest::recorded("");
        bound.map_or_else(none, |bound| RequestDigest::of(&self.key, &bound))
    }
}

impl Drop for Approvals {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// What an approval of a denied command is bound to; `None` if an approval would not permit it.
fn bound<'a, C: Gated>(
    policy_hash: &'a str,
    denial: &'a Denial<C>,
    rest: &'a Value,
) -> Option<BoundTo<'a>> {
    let content = denial.approvable()?;
    let view = denial.command.view();
    let agent = view.agent().map_or("", |agent| agent.as_str());
    let kind = view.kind().as_str();
    Some(BoundTo { principal: &denial.principal, agent, kind, policy_hash, content, rest })
}

fn unknown(id: u64) -> EngineError {
    EngineError::NotFound(format!(
        "there is no approval {id}; `GET /approvals` lists the open ones and those that were closed last"
    ))
}

/// The journal's key, made at its first start.
async fn stored_key(journal: &Journal, recorder: &Recorder) -> Result<ApprovalKey, JournalError> {
    let mut bytes = [0; 32];
    let stored = journal.setting(KEY).await?;
    if stored.is_some_and(|stored| hex::decode_to_slice(&stored, &mut bytes).is_ok()) {
        return Ok(ApprovalKey::new(bytes));
    }
    for half in bytes.chunks_exact_mut(16) {
        half.copy_from_slice(uuid::Uuid::new_v4().as_bytes());
    }
    let setting = SideWrite::Setting { key: KEY.to_owned(), value: hex::encode(bytes) };
    if !journal.is_shared() {
        let written = recorder.write(setting).await;
        let not_written = |_| JournalError::unavailable("the key of the approvals was not written");
        written.map_err(not_written)?;
        return Ok(ApprovalKey::new(bytes));
    }
    // The first of two instances that start together makes the key.
    let claim =
        IdempotencyRecord { id: format!("setting:{KEY}"), digest: String::new(), job: None };
    let mut batch = WriteBatch::side(vec![setting, SideWrite::Idempotency(claim.clone())]);
    batch.preconditions.push(Precondition::KeyUnclaimed { key: claim.id });
    match journal.append(batch)?.await {
        Ok(_) => Ok(ApprovalKey::new(bytes)),
        Err(JournalError::Rejected(_)) => {
            let stored = journal.setting(KEY).await?.unwrap_or_default();
            match hex::decode_to_slice(&stored, &mut bytes) {
                Ok(()) => Ok(ApprovalKey::new(bytes)),
                Err(_) => Err(JournalError::damaged("the key of the approvals cannot be read")),
            }
        }
        Err(error) => Err(error),
    }
}
