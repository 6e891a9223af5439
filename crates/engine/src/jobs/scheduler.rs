//! The scheduler of queued turns: one queue per agent in the order of arrival, and a bounded number of
//! running turns.

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use life_agent_domain::governance::ids::AgentId;
use tokio_util::sync::CancellationToken;

/// The waiting and the running turns, by id.
#[derive(Default)]
pub(super) struct Scheduler {
    queues: HashMap<AgentId, AgentQueue>,
    /// Agents whose first turn may start, in the order in which they became ready.
    ready: VecDeque<AgentId>,
    running: HashMap<String, Running>,
    waiting: usize,
    /// Most running turns; 0 before the queue starts.
    workers: usize,
    paused: bool,
}

#[derive(Default)]
struct AgentQueue {
    waiting: VecDeque<Waiting>,
    /// Whether the agent is in `ready` or has a running turn, so that the next turn must wait.
    busy: bool,
}

struct Waiting {
    id: String,
    since: Instant,
    /// Whether the journal contains the job as waiting: not while it is being written or cancelled.
    settled: bool,
}

/// A running turn.
struct Running {
    cancel: CancellationToken,
    /// Whether its caller cancelled it.
    cancelled: bool,
}

/// The next turn to run.
pub(super) struct Next {
    pub(super) agent: AgentId,
    pub(super) id: String,
    pub(super) since: Instant,
    pub(super) cancel: CancellationToken,
}

/// The state of a turn that its caller cancels.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Cancelled {
    /// It waits and does not start before [`Scheduler::settle`].
    Waiting,
    /// It runs and is being cancelled.
    Running,
    /// Neither.
    Neither,
}

impl Scheduler {
    /// The number of waiting turns.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Starts the queue with this many workers.
    pub(super) fn open(&mut self, workers: usize) {
        self.workers = workers;
    }

    /// Whether the queue has started.
    pub(super) fn is_open(&self) -> bool {
        self.workers > 0
    }

    /// Adds a turn. Neither it nor a later turn of the agent starts before it is settled.
    pub(super) fn join(&mut self, agent: &AgentId, id: String, settled: bool) {
        let queue = self.queues.entry(agent.clone()).or_default();
        queue.waiting.push_back(Waiting { id, since: Instant::now(), settled });
        self.waiting += 1;
        self.wake(agent);
    }

    /// Whether the turn waits or runs here.
    pub(super) fn knows(&self, agent: &AgentId, id: &str) -> bool {
        let waiting = self.queues.get(agent).map(|queue| &queue.waiting);
        self.running.contains_key(id)
            || waiting.into_iter().flatten().any(|waiting| waiting.id == id)
    }

    /// Removes waiting turns that the journal no longer contains as waiting.
    pub(super) fn retain(&mut self, waits: impl Fn(&str) -> bool) {
        let gone: Vec<_> = self
            .queues
            .iter()
            .flat_map(|(agent, queue)| queue.waiting.iter().map(move |one| (agent, one)))
            .filter(|(_, one)| one.settled && !waits(&one.id))
            .map(|(agent, one)| (agent.clone(), one.id.clone()))
            .collect();
        for (agent, id) in gone {
            self.settle(&agent, &id, false);
        }
    }

    /// The journal contains the turn as waiting, or does not contain it.
    pub(super) fn settle(&mut self, agent: &AgentId, id: &str, stays: bool) {
        let Some(queue) = self.queues.get_mut(agent) else { return };
        let Some(place) = queue.waiting.iter().position(|waiting| waiting.id == id) else { return };
        if stays {
            queue.waiting[place].settled = true;
        } else {
            queue.waiting.remove(place);
            self.waiting -= 1;
        }
        self.wake(agent);
    }

    /// Cancels a turn.
    pub(super) fn cancel_job(&mut self, agent: &AgentId, id: &str) -> Cancelled {
        if let Some(running) = self.running.get_mut(id) {
            running.cancelled = true;
            running.cancel.cancel();
            return Cancelled::Running;
        }
        let waiting = self.queues.get_mut(agent).map(|queue| &mut queue.waiting);
        match waiting.into_iter().flatten().find(|waiting| waiting.id == id && waiting.settled) {
            Some(waiting) => {
                waiting.settled = false;
                Cancelled::Waiting
            }
            None => Cancelled::Neither,
        }
    }

    /// The next turn that may start; counts as running.
    pub(super) fn begin(&mut self) -> Option<Next> {
        while !self.paused && self.running.len() < self.workers {
            let agent = self.ready.pop_front()?;
            let Some(queue) = self.queues.get_mut(&agent) else { continue };
            // It may have been cancelled since the queue became ready.
            if queue.waiting.front().is_none_or(|first| !first.settled) {
                queue.busy = false;
                self.wake(&agent);
                continue;
            }
            let Some(Waiting { id, since, .. }) = queue.waiting.pop_front() else { continue };
            self.waiting -= 1;
            let cancel = CancellationToken::new();
            let running = Running { cancel: cancel.clone(), cancelled: false };
            self.running.insert(id.clone(), running);
            return Some(Next { agent, id, since, cancel });
        }
        None
    }

    /// Whether the caller cancelled a running turn.
    pub(super) fn was_cancelled(&self, id: &str) -> bool {
        self.running.get(id).is_some_and(|running| running.cancelled)
    }

    /// A turn has ended; the next turn of its agent may start.
    pub(super) fn end(&mut self, agent: &AgentId, id: &str) {
        self.running.remove(id);
        if let Some(queue) = self.queues.get_mut(agent) {
            queue.busy = false;
        }
        self.wake(agent);
    }

    /// Starts no further turns.
    pub(super) fn pause(&mut self) {
        self.paused = true;
    }

    /// Whether the queue is paused.
    pub(super) fn is_paused(&self) -> bool {
        self.paused
    }

    /// Cancels all running turns.
    pub(super) fn cut(&mut self) {
        self.running.values().for_each(|running| running.cancel.cancel());
    }

    /// Makes the agent ready if its first turn may start; removes an empty queue.
    fn wake(&mut self, agent: &AgentId) {
        let Some(queue) = self.queues.get_mut(agent) else { return };
        if queue.busy {
            return;
        }
        match queue.waiting.front() {
            None => {
                self.queues.remove(agent);
            }
            Some(first) if first.settled => {
                queue.busy = true;
                self.ready.push_back(agent.clone());
            }
            Some(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn agent(name: &str) -> AgentId {
        AgentId::new(name).unwrap()
    }

    fn scheduler(workers: usize, jobs: &[(&str, &str)]) -> Scheduler {
        let mut scheduler = Scheduler::default();
        scheduler.open(workers);
        for (name, id) in jobs {
            scheduler.join(&agent(name), (*id).to_owned(), true);
        }
        scheduler
    }

    fn begun(scheduler: &mut Scheduler) -> Vec<String> {
        std::iter::from_fn(|| scheduler.begin()).map(|next| next.id).collect()
    }

    #[test]
    fn one_agents_turns_follow_each_other_and_others_do_not_wait_for_them() {
        let mut scheduler = scheduler(4, &[("a", "a1"), ("a", "a2"), ("b", "b1")]);
        assert_eq!(begun(&mut scheduler), ["a1", "b1"]);
        scheduler.end(&agent("a"), "a1");
        assert_eq!(begun(&mut scheduler), ["a2"]);
        assert_eq!(scheduler.waiting(), 0);
    }

    #[test]
    fn no_more_are_taken_at_once_than_there_are_workers() {
        let mut scheduler = scheduler(2, &[("a", "a1"), ("b", "b1"), ("c", "c1")]);
        assert_eq!(begun(&mut scheduler), ["a1", "b1"]);
        scheduler.end(&agent("b"), "b1");
        assert_eq!(begun(&mut scheduler), ["c1"]);
    }

    #[test]
    fn nothing_begins_before_the_journal_has_it() {
        let mut scheduler = scheduler(2, &[]);
        scheduler.join(&agent("a"), "a1".to_owned(), false);
        scheduler.join(&agent("a"), "a2".to_owned(), true);
        assert!(begun(&mut scheduler).is_empty(), "the second must not overtake the first");
        scheduler.settle(&agent("a"), "a1", true);
        assert_eq!(begun(&mut scheduler), ["a1"]);
        scheduler.end(&agent("a"), "a1");
        scheduler.join(&agent("a"), "a3".to_owned(), false);
        assert_eq!(begun(&mut scheduler), ["a2"]);
        scheduler.settle(&agent("a"), "a3", false);
        scheduler.end(&agent("a"), "a2");
        assert!(begun(&mut scheduler).is_empty() && scheduler.queues.is_empty());
    }

    #[test]
    fn what_was_cancelled_does_not_begin_unless_the_journal_could_not_say_so() {
        let mut scheduler = scheduler(1, &[("a", "a1"), ("a", "a2")]);
        assert_eq!(scheduler.cancel_job(&agent("a"), "a1"), Cancelled::Waiting);
        assert_eq!(scheduler.cancel_job(&agent("a"), "a1"), Cancelled::Neither, "only once");
        assert!(begun(&mut scheduler).is_empty());
        scheduler.settle(&agent("a"), "a1", true);
        assert_eq!(begun(&mut scheduler), ["a1"]);
        assert_eq!(scheduler.cancel_job(&agent("a"), "a1"), Cancelled::Running);
        assert!(scheduler.was_cancelled("a1"));
        assert_eq!(scheduler.cancel_job(&agent("a"), "a2"), Cancelled::Waiting);
        scheduler.settle(&agent("a"), "a2", false);
        scheduler.end(&agent("a"), "a1");
        assert!(begun(&mut scheduler).is_empty() && scheduler.queues.is_empty());
    }

    #[test]
    fn a_held_queue_begins_nothing() {
        let mut scheduler = scheduler(2, &[("a", "a1")]);
        scheduler.pause();
        assert!(begun(&mut scheduler).is_empty());
    }

    proptest! {
        /// Whatever arrives, is taken back and ends: each agent's turns begin one at a time and in the
        /// order of their arrival, and in the end all that were not taken back have begun.
        #[test]
        fn order_holds_whatever_happens(
            workers in 1_usize..4,
            happens in prop::collection::vec((0_u8..5, 0_usize..3, any::<prop::sample::Index>()), 0..200),
        ) {
            let agents = ["a", "b", "c"].map(agent);
            let mut scheduler = Scheduler::default();
            scheduler.open(workers);
            let mut arrived: Vec<(AgentId, String)> = Vec::new();
            let (mut unsettled, mut going): (Vec<usize>, Vec<(AgentId, String)>) = Default::default();
            let (mut order, mut gone) = (Vec::new(), 0);
            for (what, who, which) in happens {
                match what {
                    0 | 1 => {
                        let id = format!("{:04}", arrived.len());
                        scheduler.join(&agents[who], id.clone(), what == 0);
                        if what == 1 { unsettled.push(arrived.len()); }
                        arrived.push((agents[who].clone(), id));
                    }
                    2 if !unsettled.is_empty() => {
                        let (agent, id) = &arrived[unsettled.remove(which.index(unsettled.len()))];
                        let stays = who > 0;
                        gone += usize::from(!stays);
                        scheduler.settle(agent, id, stays);
                    }
                    3 if !arrived.is_empty() => {
                        let (agent, id) = &arrived[which.index(arrived.len())];
                        if scheduler.cancel_job(agent, id) == Cancelled::Waiting {
                            scheduler.settle(agent, id, false);
                            gone += 1;
                        }
                    }
                    4 if !going.is_empty() => {
                        let (agent, id) = going.remove(which.index(going.len()));
                        scheduler.end(&agent, &id);
                    }
                    _ => {}
                }
                while let Some(next) = scheduler.begin() {
                    prop_assert!(going.iter().all(|(agent, _)| *agent != next.agent));
                    going.push((next.agent.clone(), next.id.clone()));
                    order.push((next.agent, next.id));
                    prop_assert!(going.len() <= workers);
                }
            }
            for place in unsettled {
                scheduler.settle(&arrived[place].0, &arrived[place].1, true);
            }
            loop {
                while let Some(next) = scheduler.begin() {
                    going.push((next.agent.clone(), next.id.clone()));
                    order.push((next.agent, next.id));
                }
                let Some((agent, id)) = going.pop() else { break };
                scheduler.end(&agent, &id);
            }
            prop_assert_eq!(order.len() + gone, arrived.len());
            prop_assert_eq!(scheduler.waiting(), 0);
            prop_assert!(scheduler.queues.is_empty());
            for agent in &agents {
                let ids: Vec<_> = order.iter().filter(|(of, _)| of == agent).map(|(_, id)| id).collect();
                prop_assert!(ids.is_sorted(), "{:?}", ids);
            }
        }
    }
}
