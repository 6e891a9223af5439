//! Turns that are taken later: queued durably, in order for each agent, a few agents at once.

mod lanes;

use std::sync::OnceLock;
use std::time::Duration;

use life_agent_domain::governance::command::Turn;
use life_agent_domain::governance::event::Row;
use life_agent_domain::governance::ids::{AgentId, Principal};
use life_agent_observer::{Filter, JobChange, JobRecord, JobStatus, NewJob, SideWrite, WriteBatch};
use metrics::{Gauge, Histogram, gauge, histogram};
use parking_lot::Mutex;
use serde_json::value::RawValue;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::engine::{Caller, Engine, now};
use crate::error::EngineError;
use crate::facts::Metered;
use crate::llm::MAX_CALLS;
use crate::step::is_by_model;
use crate::told::Turned;
use crate::turn::How;
use lanes::{Lanes, Next, TakenBack};

/// Between two attempts at something that cannot be done at the moment.
const PAUSE: Duration = Duration::from_millis(500);

/// What callers are answered, worded by whoever serves them: without credentials, since it is kept.
#[derive(Debug, Clone, Copy)]
pub struct Wording {
    /// A turn of this agent that is on the record.
    pub turned: fn(&Engine, &AgentId, Turned) -> Box<RawValue>,
    /// Why there is none.
    pub failed: fn(&Engine, EngineError) -> Box<RawValue>,
}

/// A queued turn as its caller sees it.
#[derive(Debug, Clone)]
pub struct QueuedTurn {
    /// Where it stands.
    pub job: JobRecord,
    /// Its row and those of what the model did in it, where the process ended before the answer was kept.
    pub rows: Vec<Row>,
}

/// The turns that wait and those that are being taken.
pub(crate) struct Queue {
    lanes: Mutex<Lanes>,
    bound: usize,
    workers: usize,
    wording: OnceLock<Wording>,
    /// The runtime that the engine was opened in; a caller's may end earlier.
    runtime: Handle,
    tasks: TaskTracker,
    /// Cancelled with the turns that are being taken, for those of them that only wait for the journal.
    cut: CancellationToken,
    depth: Gauge,
    seconds: Histogram,
}

impl Queue {
    pub(crate) fn new(workers: usize, bound: usize) -> Self {
        Self {
            lanes: Mutex::default(),
            bound,
            workers: workers.max(1),
            wording: OnceLock::new(),
            runtime: Handle::current(),
            tasks: TaskTracker::new(),
            cut: CancellationToken::new(),
            depth: gauge!("turn_queue_depth"),
            seconds: histogram!("turn_queue_seconds"),
        }
    }

    /// Lets `act` change the lanes.
    fn with<T>(&self, act: impl FnOnce(&mut Lanes) -> T) -> T {
        let mut lanes = self.lanes.lock();
        let acted = act(&mut lanes);
        self.depth.set(lanes.waiting() as f64);
        acted
    }

    /// No turn begins any more; what waits is taken after the next start.
    pub(crate) fn hold(&self) {
        self.with(Lanes::hold);
    }

    /// Ends those that are being taken.
    pub(crate) fn cut(&self) {
        self.cut.cancel();
        self.with(Lanes::cut);
    }

    /// Waits until none is being taken.
    pub(crate) async fn ended(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Engine {
    /// Begins to take queued turns: first those that an earlier process has left. What it was taking
    /// when it ended came to nothing, or would be on the record and done.
    pub async fn start_queue(&self, wording: Wording) -> Result<(), EngineError> {
        if self.queue.wording.set(wording).is_err() {
            return Ok(());
        }
        let left = self.journal.open_jobs().await?;
        let broken = left.iter().filter(|job| job.status == JobStatus::Running);
        for job in broken {
            let error = (wording.failed)(self, EngineError::Interrupted);
            self.end_job(&job.id, JobStatus::Failed, Some(error)).await?;
        }
        self.queue.with(|lanes| {
            for job in left.into_iter().filter(|job| job.status == JobStatus::Queued) {
                match AgentId::new(&job.agent_id) {
                    Ok(agent) => lanes.join(&agent, job.id, true),
                    Err(_) => tracing::error!(job = job.id, "a queued turn has no agent"),
                }
            }
            lanes.open(self.queue.workers);
        });
        self.take_queued();
        Ok(())
    }

    /// Queues a turn that passes the gates now; they judge it again when it is taken. The answer means
    /// that it is durable. Nothing is queued before [`Engine::start_queue`].
    pub async fn queue_turn(&self, caller: &Caller, turn: Turn) -> Result<QueuedTurn, EngineError> {
        let policy = self.policy.in_force();
        let permit = self.permit(caller, &policy, turn).await?;
        let Turn { agent, input } = permit.command();
        let job = NewJob {
            id: uuid::Uuid::now_v7().to_string(),
            agent: agent.clone(),
            principal: caller.principal.as_str().to_owned(),
            request_id: caller.request_id.clone(),
            input: input.clone(),
            created: now(),
        };
        let queued = QueuedTurn { job: record(&job), rows: Vec::new() };
        let (engine, agent, id) = (self.clone(), job.agent.clone(), job.id.clone());
        let extra = vec![SideWrite::Job(JobChange::Queued(Box::new(job)))];
        let work = WriteBatch::side(caller.marked_job(extra, &id));
        // In one breath, so that the order in the lane is the order in the journal.
        let pending = self.queue.with(|lanes| {
            if !lanes.is_open() {
                return Err(EngineError::Unavailable);
            }
            if lanes.waiting() >= self.queue.bound {
                return Err(EngineError::QueueFull);
            }
            let pending = self.journal.append(work)?;
            lanes.join(&agent, id.clone(), false);
            Ok(pending)
        })?;
        // A caller that leaves must not leave the lane waiting for word from the journal.
        let settled = self.queue.tasks.spawn_on(
            async move {
                let written = pending.await;
                engine.queue.with(|lanes| lanes.settle(&agent, &id, written.is_ok()));
                engine.take_queued();
                written
            },
            &self.queue.runtime,
        );
        settled.await.map_err(|_| EngineError::Unavailable)??;
        Ok(queued)
    }

    /// A turn that this caller has queued.
    pub async fn queued_turn(&self, caller: &Caller, id: &str) -> Result<QueuedTurn, EngineError> {
        let own = |job: &JobRecord| job.principal == caller.principal.as_str();
        let Some(job) = self.journal.job(id).await?.filter(own) else {
            let unknown = "there is no such turn; those that have ended are kept for 7 days";
            return Err(EngineError::NotFound(unknown.to_owned()));
        };
        let unanswered = job.event_id.filter(|_| job.result.is_none());
        let mut rows = match unanswered {
            Some(id) => {
                let after = id.saturating_sub(1);
                self.journal.page(after, 1 + MAX_CALLS, Filter::default()).await?.rows
            }
            None => Vec::new(),
        };
        // One batch wrote the turn and, directly after it, the acts of the model.
        let turn = rows.first().is_some_and(|row| Some(row.id) == job.event_id);
        let acts = rows.iter().skip(1).take_while(|row| is_by_model(row)).count();
        rows.truncate(if turn { 1 + acts } else { 0 });
        Ok(QueuedTurn { job, rows })
    }

    /// Takes a queued turn back. One that waits is cancelled; one that is being taken is told to end,
    /// which it does unless its turn is on the record before.
    pub async fn cancel_turn(&self, caller: &Caller, id: &str) -> Result<QueuedTurn, EngineError> {
        let found = self.queued_turn(caller, id).await?;
        not_ended(&found)?;
        let agent = AgentId::new(&found.job.agent_id).map_err(|_| EngineError::Unavailable)?;
        match self.queue.with(|lanes| lanes.take_back(&agent, id)) {
            TakenBack::Waiting => {
                let (engine, id) = (self.clone(), id.to_owned());
                let ended = self.queue.tasks.spawn_on(
                    async move {
                        let ended = engine.end_job(&id, JobStatus::Cancelled, None).await;
                        engine.queue.with(|lanes| lanes.settle(&agent, &id, ended.is_err()));
                        engine.take_queued();
                        ended
                    },
                    &self.queue.runtime,
                );
                ended.await.map_err(|_| EngineError::Unavailable)??;
            }
            TakenBack::Running => {}
            // It has ended since, or is being taken back already.
            TakenBack::Neither => {
                not_ended(&self.queued_turn(caller, id).await?)?;
                let why = "the turn is about to end; look at it again";
                return Err(EngineError::Conflict(why.to_owned()));
            }
        }
        let now = self.queued_turn(caller, id).await?;
        if now.job.status != JobStatus::Cancelled {
            not_ended(&now)?;
        }
        Ok(now)
    }

    /// Begins no queued turn any more. [`Engine::close`] does so too.
    pub fn hold_queue(&self) {
        self.queue.hold();
    }

    /// Begins as many turns as may begin.
    fn take_queued(&self) {
        while let Some(next) = self.queue.with(Lanes::begin) {
            let engine = self.clone();
            self.queue.tasks.spawn_on(
                async move {
                    let (agent, id) = (next.agent.clone(), next.id.clone());
                    // In a task of its own: whatever happens there, the lane goes on.
                    let taker = engine.clone();
                    let taken = tokio::spawn(async move { taker.take_next(next).await });
                    if let Err(error) = taken.await {
                        tracing::error!(%error, job = id, "a queued turn broke off");
                        engine.fail_job(&id, EngineError::Unavailable).await;
                    }
                    engine.queue.with(|lanes| lanes.end(&agent, &id));
                    engine.take_queued();
                },
                &self.queue.runtime,
            );
        }
    }

    async fn take_next(&self, next: Next) {
        self.queue.seconds.record(next.since.elapsed());
        let id = &next.id;
        let started = || JobChange::Started { id: id.clone(), at: now(), lease: None };
        if !self.persist(started).await {
            return;
        }
        match self.take_job(&next).await {
            Ok(turned) => {
                let Some(wording) = self.queue.wording.get() else { return };
                let result = (wording.turned)(self, &next.agent, turned);
                let answered = || JobChange::Answered { id: id.clone(), result: result.clone() };
                self.persist(answered).await;
            }
            Err(_) if self.queue.with(|lanes| lanes.is_taken_back(id)) => {
                let (id, at) = (id.clone(), now());
                let cancelled = || JobChange::Ended {
                    id: id.clone(),
                    status: JobStatus::Cancelled,
                    at: at.clone(),
                    error: None,
                };
                self.persist(cancelled).await;
            }
            Err(_) if self.queue.cut.is_cancelled() => {
                self.fail_job(id, EngineError::Interrupted).await;
            }
            Err(error) => self.fail_job(id, error).await,
        }
    }

    /// Takes the turn; for an agent or a journal that is busy, as soon as it can be.
    async fn take_job(&self, next: &Next) -> Result<Turned, EngineError> {
        let job = self.journal.job(&next.id).await?;
        // What has ended, or never was, is not taken whatever the lanes say.
        let running = |job: &JobRecord| job.status == JobStatus::Running;
        let job = job.filter(running).ok_or(EngineError::Interrupted)?;
        let caller = Caller::new(Principal::new(&job.principal), job.request_id);
        loop {
            if next.cancel.is_cancelled() {
                return Err(EngineError::Interrupted);
            }
            let turn = Turn { agent: next.agent.clone(), input: job.input.clone() };
            let how = How {
                metered: Metered::No,
                extra: vec![SideWrite::Job(JobChange::Done { id: next.id.clone() })],
                cancel: next.cancel.clone(),
                ..How::default()
            };
            match self.take_turn(&caller, turn, how).await {
                Err(EngineError::AgentBusy | EngineError::Overloaded) => {
                    let _ = tokio::time::timeout(PAUSE, next.cancel.cancelled()).await;
                }
                taken => return taken,
            }
        }
    }

    async fn fail_job(&self, id: &str, error: EngineError) {
        let Some(wording) = self.queue.wording.get() else { return };
        let (error, at) = ((wording.failed)(self, error), now());
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
        self.change_job(JobChange::Ended { id: id.to_owned(), status, at: now(), error }).await
    }

    /// Writes a change again and again until it is durable; false if the service stops before.
    async fn persist(&self, change: impl Fn() -> JobChange) -> bool {
        loop {
            if self.change_job(change()).await.is_ok() {
                return true;
            }
            let stopped = tokio::time::timeout(PAUSE, self.queue.cut.cancelled()).await.is_ok();
            if stopped || self.queue.lanes.lock().is_held() {
                return false;
            }
        }
    }

    async fn change_job(&self, change: JobChange) -> Result<(), EngineError> {
        let work = WriteBatch::side(vec![SideWrite::Job(change)]);
        self.journal.append(work)?.await?;
        Ok(())
    }
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
