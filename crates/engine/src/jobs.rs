//! Jobs: turns that run later. They are queued durably and run in order per agent, a few agents at a time.

mod leases;
mod scheduler;

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use life_agent_domain::governance::command::Turn;
use life_agent_domain::governance::event::Row;
use life_agent_domain::governance::ids::{AgentId, Principal};
use life_agent_domain::governance::redaction::Redact;
use life_agent_observer::{
    Filter, JobChange, JobRecord, JobStatus, Journal, JournalError, NewJob, SideWrite,
};
use metrics::{Gauge, Histogram, gauge, histogram};
use parking_lot::Mutex;
use serde_json::value::RawValue;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::agents::StepWrites;
use crate::clock::Timestamps;
use crate::context::RequestContext;
use crate::error::EngineError;
use crate::govern::{Governor, Metered};
use crate::narration::{MAX_CALLS, TurnOptions};
use crate::recorder::{Batch, Recorder};
use crate::steps::StepService;
use crate::trace::Trace;
use crate::views::TurnOutcome;
use scheduler::{Cancelled, Next, Scheduler};

/// The pause between two attempts.
const PAUSE: Duration = Duration::from_millis(500);

/// Renders the results of queued turns, which are stored: the output must be redacted.
#[derive(Debug, Clone, Copy)]
pub struct ResultRenderer {
    /// The response of a completed turn of this agent.
    pub completed: fn(&dyn Redact, &AgentId, TurnOutcome) -> Box<RawValue>,
    /// The error of a failed turn.
    pub failed: fn(&dyn Redact, EngineError) -> Box<RawValue>,
}

/// Knows the callers for whom queued turns run: a key may be removed while its turns wait.
pub trait Authority: Send + Sync {
    /// The caller of this name, if it may still act for this agent.
    fn actor(&self, principal: &str, agent: &AgentId) -> Option<Principal>;
}

/// A queued turn, as its caller sees it.
#[derive(Debug, Clone)]
pub struct QueuedTurn {
    /// The job.
    pub job: JobRecord,
    /// The outcome out of the turn's rows, unless retention has removed them.
    pub recovered: Option<TurnOutcome>,
}

/// Queues and runs turns.
pub(crate) struct JobService {
    steps: Arc<StepService>,
    governor: Arc<Governor>,
    journal: Journal,
    recorder: Recorder,
    timestamps: Timestamps,
    scheduler: Mutex<Scheduler>,
    bound: usize,
    workers: usize,
    renderer: OnceLock<ResultRenderer>,
    authority: OnceLock<Arc<dyn Authority>>,
    /// The runtime in which the engine was opened; a caller's runtime may end earlier.
    runtime: Handle,
    tasks: TaskTracker,
    /// Cancelled together with the running turns, for those that wait for the journal only.
    cut: CancellationToken,
    depth: Gauge,
    seconds: Histogram,
    /// The traces of the requests that queued the waiting turns of this process.
    traces: Mutex<HashMap<String, Arc<Trace>>>,
}

impl JobService {
    pub(crate) fn new(
        steps: Arc<StepService>,
        governor: Arc<Governor>,
        journal: Journal,
        recorder: Recorder,
        timestamps: Timestamps,
        (workers, bound): (usize, usize),
    ) -> Self {
        Self {
            steps,
            governor,
            journal,
            recorder,
            timestamps,
            scheduler: Mutex::default(),
            bound,
            workers: workers.max(1),
            renderer: OnceLock::new(),
            authority: OnceLock::new(),
            runtime: Handle::current(),
            tasks: TaskTracker::new(),
            cut: CancellationToken::new(),
            depth: gauge!("turn_queue_depth"),
            seconds: histogram!("turn_queue_seconds"),
            traces: Mutex::default(),
        }
    }

    /// Changes the schedule.
    fn with<T>(&self, change: impl FnOnce(&mut Scheduler) -> T) -> T {
        let mut scheduler = self.scheduler.lock();
        let changed = change(&mut scheduler);
        self.depth.set(scheduler.waiting() as f64);
        changed
    }

    pub(crate) fn set_authority(&self, authority: Arc<dyn Authority>) {
        let _ = self.authority.set(authority);
    }

    /// Ends the running turns.
    pub(crate) fn cancel_running(&self) {
        self.cut.cancel();
        self.with(Scheduler::cut);
    }

    /// Waits until no turn is running.
    pub(crate) async fn ended(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Starts the queue with the jobs of earlier processes. A job that was running then has failed; if its
    /// turn had become durable, the job would be done.
    pub(crate) async fn start(
        self: &Arc<Self>,
        renderer: ResultRenderer,
    ) -> Result<(), EngineError> {
        if self.renderer.set(renderer).is_err() {
            return Ok(());
        }
        if self.journal.is_shared() {
            self.with(|scheduler| scheduler.open(self.workers));
            self.follow_queue();
            return Ok(());
        }
        let left = self.journal.open_jobs().await?;
        let broken = left.iter().filter(|job| job.status == JobStatus::Running);
        for job in broken {
            let policy = self.governor.policy();
            let error = (renderer.failed)(policy.chain.redactor(), EngineError::Interrupted);
            self.end_job(&job.id, JobStatus::Failed, Some(error)).await?;
        }
        self.with(|scheduler| {
            for job in left.into_iter().filter(|job| job.status == JobStatus::Queued) {
                match AgentId::new(&job.agent_id) {
                    Ok(agent) => scheduler.join(&agent, job.id, true),
                    Err(_) => tracing::error!(job = job.id, "a queued turn has no agent"),
                }
            }
            scheduler.open(self.workers);
        });
        self.start_ready();
        Ok(())
    }

    /// Queues a turn that passes the gates. They judge it again when it runs. The job is durable. Fails before [`Self::start`].
    pub(crate) async fn enqueue(
        self: &Arc<Self>,
        context: &RequestContext,
        turn: Turn,
    ) -> Result<QueuedTurn, EngineError> {
        let policy = self.governor.policy();
        let turn = self.governor.admit_later(context, &policy, turn, Metered::Yes).await?;
        let Turn { agent, input } = &turn;
        let job = NewJob {
            id: uuid::Uuid::now_v7().to_string(),
            agent: agent.clone(),
            principal: context.principal.as_str().to_owned(),
            request_id: context.request.clone(),
            input: input.clone(),
            created: self.timestamps.text(),
        };
        let queued = QueuedTurn { job: record(&job), recovered: None };
        let (jobs, agent, id) = (Arc::clone(self), job.agent.clone(), job.id.clone());
        let mut batch = Batch::new(context, &policy.snapshot.hash);
        batch.push_job(&id, SideWrite::Job(JobChange::Queued(Box::new(job))));
        // Under one lock, so that the order in the queue is the order in the journal.
        let pending = self.with(|scheduler| {
            if !scheduler.is_open() {
                return Err(EngineError::Unavailable);
            }
            if scheduler.waiting() >= self.bound {
                return Err(EngineError::QueueFull);
            }
            let pending = self.recorder.append(batch)?;
            scheduler.join(&agent, id.clone(), false);
            if let Some(trace) = &context.trace {
                self.traces.lock().insert(id.clone(), Arc::clone(trace));
            }
            Ok(pending)
        })?;
        // In a task, so that a caller that disconnects does not block the queue.
        let settled = self.tasks.spawn_on(
            async move {
                let written = pending.await;
                if written.is_err() {
                    jobs.traces.lock().remove(&id);
                }
                jobs.with(|scheduler| scheduler.settle(&agent, &id, written.is_ok()));
                jobs.start_ready();
                written
            },
            &self.runtime,
        );
        settled.await.map_err(|_| EngineError::Unavailable)??;
        Ok(queued)
    }

    /// A turn that this caller queued.
    pub(crate) async fn get(
        &self,
        context: &RequestContext,
        id: &str,
    ) -> Result<QueuedTurn, EngineError> {
        let own = |job: &JobRecord| job.principal == context.principal.as_str();
        let Some(mut job) = self.journal.job(id).await?.filter(own) else {
            let unknown = "there is no such turn; those that have ended are kept for 7 days";
            return Err(EngineError::NotFound(unknown.to_owned()));
        };
        let Some(row) = job.event_id else { return Ok(QueuedTurn { job, recovered: None }) };
        // One batch wrote the turn and, directly after it, the acts of the model.
        let page = self.journal.page(row.saturating_sub(1), 1 + MAX_CALLS, Filter::default());
        let rows = page.await?.rows;
        let damaged = |why: String| {
            tracing::error!(job = id, row, why, "a queued turn cannot be shown");
            JournalError::damaged(why)
        };
        let recovered =
            TurnOutcome::read(row, &rows).map_err(|error| damaged(error.to_string()))?;
        if recovered.is_some() {
            if !rows.first().is_some_and(|row| is_of(row, &job)) {
                return Err(damaged("its row is that of another turn".to_owned()).into());
            }
            // The stored response is not chained, the row is.
            job.result = None;
        }
        Ok(QueuedTurn { job, recovered })
    }

    /// Cancels a queued turn. A waiting turn is cancelled immediately; a running one ends unless it becomes
    /// durable first.
    pub(crate) async fn cancel(
        self: &Arc<Self>,
        context: &RequestContext,
        id: &str,
    ) -> Result<QueuedTurn, EngineError> {
        let found = self.get(context, id).await?;
        not_ended(&found)?;
        let agent = AgentId::new(&found.job.agent_id).map_err(|_| EngineError::Unavailable)?;
        match self.with(|scheduler| scheduler.cancel_job(&agent, id)) {
            Cancelled::Waiting => {
                self.traces.lock().remove(id);
                let (jobs, id) = (Arc::clone(self), id.to_owned());
                let ended = self.tasks.spawn_on(
                    async move {
                        let ended = jobs.end_job(&id, JobStatus::Cancelled, None).await;
                        jobs.with(|scheduler| scheduler.settle(&agent, &id, ended.is_err()));
                        jobs.start_ready();
                        ended
                    },
                    &self.runtime,
                );
                ended.await.map_err(|_| EngineError::Unavailable)??;
            }
            Cancelled::Running => {}
            // It runs at another instance, which notices that it has ended.
            Cancelled::Neither if self.journal.is_shared() => {
                self.end_job(id, JobStatus::Cancelled, None).await?;
            }
            // It has ended meanwhile, or is being cancelled already.
            Cancelled::Neither => {
                not_ended(&self.get(context, id).await?)?;
                let why = "the turn is about to end; look at it again";
                return Err(EngineError::Conflict(why.to_owned()));
            }
        }
        let now = self.get(context, id).await?;
        if now.job.status != JobStatus::Cancelled {
            not_ended(&now)?;
        }
        Ok(now)
    }

    /// Starts no further turns. Waiting turns run after the next start.
    pub(crate) fn pause(&self) {
        self.with(Scheduler::pause);
    }

    /// Starts every turn that may start.
    fn start_ready(self: &Arc<Self>) {
        while let Some(next) = self.with(Scheduler::begin) {
            let jobs = Arc::clone(self);
            self.tasks.spawn_on(
                async move {
                    let (agent, id) = (next.agent.clone(), next.id.clone());
                    // In a task of its own, so that a panic does not stop the queue.
                    let runner = Arc::clone(&jobs);
                    let ended = tokio::spawn(async move { runner.run_next(next).await });
                    if let Err(error) = ended.await {
                        tracing::error!(%error, job = id, "a queued turn ended unexpectedly");
                        jobs.fail_job(&id, EngineError::Unavailable).await;
                    }
                    jobs.with(|scheduler| scheduler.end(&agent, &id));
                    jobs.start_ready();
                },
                &self.runtime,
            );
        }
    }

    async fn run_next(&self, next: Next) {
        self.seconds.record(next.since.elapsed());
        let id = &next.id;
        let lease = match self.journal.sharing() {
            None => {
                let at = || self.timestamps.text();
                let started = || JobChange::Started { id: id.clone(), at: at(), lease: None };
                if !self.persist(started).await {
                    return;
                }
                None
            }
            // Another instance has it, or an earlier turn of the agent is still open there.
            Some(sharing) => match self.start_leased(id, &sharing.instance).await {
                false => return,
                true => Some(self.keep_lease(&next, &sharing.instance)),
            },
        };
        let ran = self.run_job(&next).await;
        drop(lease);
        match ran {
            Ok(turned) => {
                let Some(renderer) = self.renderer.get() else { return };
                let policy = self.governor.policy();
                let result = (renderer.completed)(policy.chain.redactor(), &next.agent, turned);
                let answered = || JobChange::Answered { id: id.clone(), result: result.clone() };
                self.persist(answered).await;
            }
            Err(_) if self.with(|scheduler| scheduler.was_cancelled(id)) => {
                let (id, at) = (id.clone(), self.timestamps.text());
                let cancelled = || JobChange::Ended {
                    id: id.clone(),
                    status: JobStatus::Cancelled,
                    at: at.clone(),
                    error: None,
                };
                self.persist(cancelled).await;
            }
            Err(_) if self.cut.is_cancelled() => {
                self.fail_job(id, EngineError::Interrupted).await;
            }
            Err(error) => self.fail_job(id, error).await,
        }
    }

    /// Runs the turn; retries while the agent or the journal is busy.
    async fn run_job(&self, next: &Next) -> Result<TurnOutcome, EngineError> {
        let job = self.journal.job(&next.id).await?;
        // A job that has ended, or does not exist, never runs.
        let running = |job: &JobRecord| job.status == JobStatus::Running;
        let job = job.filter(running).ok_or(EngineError::Interrupted)?;
        let trace = self.traces.lock().remove(&next.id);
        loop {
            if next.cancel.is_cancelled() {
                return Err(EngineError::Interrupted);
            }
            // Checked before each attempt, so that a removed key does not act.
            let principal = match self.authority.get() {
                Some(authority) => authority.actor(&job.principal, &next.agent),
                None => Some(Principal::new(&job.principal)),
            };
            let principal = principal.ok_or(EngineError::KeyRemoved)?;
            let context = RequestContext::new(principal, job.request_id.clone());
            let context = context.with_trace(trace.clone());
            let turn = Turn { agent: next.agent.clone(), input: job.input.clone() };
            let options = TurnOptions {
                metered: Metered::No,
                with: StepWrites {
                    side: Vec::new(),
                    require: self.lease_of(&next.id).into_iter().collect(),
                    job: Some(next.id.clone()),
                },
                cancel: next.cancel.clone(),
                ..TurnOptions::default()
            };
            match self.steps.turn(&context, turn, options).await {
                Err(EngineError::AgentBusy | EngineError::Overloaded | EngineError::Outdated) => {
                    let _ = tokio::time::timeout(PAUSE, next.cancel.cancelled()).await;
                }
                taken => return taken,
            }
        }
    }

    async fn fail_job(&self, id: &str, error: EngineError) {
        let Some(renderer) = self.renderer.get() else { return };
        let policy = self.governor.policy();
        let (error, at) =
            ((renderer.failed)(policy.chain.redactor(), error), self.timestamps.text());
        let failed = || JobChange::Ended {
            id: id.to_owned(),
            status: JobStatus::Failed,
            at: at.clone(),
            error: Some(error.clone()),
        };
        self.persist(failed).await;
    }

    async fn end_job(
        &self,
        id: &str,
        status: JobStatus,
        error: Option<Box<RawValue>>,
    ) -> Result<(), EngineError> {
        self.change_job(JobChange::Ended {
            id: id.to_owned(),
            status,
            at: self.timestamps.text(),
            error,
        })
        .await
    }

    /// Retries a change until it is durable. Returns false if the service stops first.
    async fn persist(&self, change: impl Fn() -> JobChange) -> bool {
        loop {
            if self.change_job(change()).await.is_ok() {
                return true;
            }
            let stopped = tokio::time::timeout(PAUSE, self.cut.cancelled()).await.is_ok();
            if stopped || self.scheduler.lock().is_paused() {
                return false;
            }
        }
    }

    async fn change_job(&self, change: JobChange) -> Result<(), EngineError> {
        self.recorder.write(SideWrite::Job(change)).await
    }
}

/// Whether a row is the turn of a job.
fn is_of(row: &Row, job: &JobRecord) -> bool {
    row.principal == job.principal
        && row.request_id == job.request_id
        && row.agent_id.as_deref() == Some(job.agent_id.as_str())
}

fn not_ended(turn: &QueuedTurn) -> Result<(), EngineError> {
    let status = turn.job.status;
    let why = || EngineError::Conflict(format!("the turn has ended: it is {}", status.as_str()));
    if status.has_ended() { Err(why()) } else { Ok(()) }
}

fn record(job: &NewJob) -> JobRecord {
    JobRecord {
        id: job.id.clone(),
        status: JobStatus::Queued,
        agent_id: job.agent.as_str().to_owned(),
        principal: job.principal.clone(),
        request_id: job.request_id.clone(),
        input: job.input.clone(),
        created: job.created.clone(),
        started: None,
        finished: None,
        event_id: None,
        result: None,
        error: None,
    }
}
