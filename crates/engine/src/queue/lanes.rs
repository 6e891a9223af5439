//! Whose queued turn is next: one lane an agent, in the order of arrival, and so many turns at once.

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use life_agent_domain::governance::ids::AgentId;
use tokio_util::sync::CancellationToken;

/// The turns that wait and those that are being taken. Knows nothing of what they are.
#[derive(Default)]
pub(super) struct Lanes {
    lanes: HashMap<AgentId, Lane>,
    /// Agents whose first turn may begin, in the order in which that became so.
    ready: VecDeque<AgentId>,
    running: HashMap<String, Running>,
    waiting: usize,
    /// How many may be taken at once; none before the queue is started.
    workers: usize,
    held: bool,
}

#[derive(Default)]
struct Lane {
    waiting: VecDeque<Waiting>,
    /// In `ready`, or being taken: the lane's next turn has to wait.
    busy: bool,
}

struct Waiting {
    id: String,
    since: Instant,
    /// Whether the journal agrees that it waits: not while it is only just being written, nor while
    /// it is being taken back.
    settled: bool,
}

/// A turn that is being taken.
struct Running {
    cancel: CancellationToken,
    /// Whether its caller has taken it back.
    taken_back: bool,
}

/// A turn that is to be taken now.
pub(super) struct Next {
    pub(super) agent: AgentId,
    pub(super) id: String,
    pub(super) since: Instant,
    pub(super) cancel: CancellationToken,
}

/// What a turn that its caller takes back was doing.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum TakenBack {
    /// It waited, and now begins neither before nor after [`Lanes::settle`].
    Waiting,
    /// It is being taken and was told to end.
    Running,
    /// Neither.
    Neither,
}

impl Lanes {
    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// From now on so many turns may be taken at once.
    pub(super) fn open(&mut self, workers: usize) {
        self.workers = workers;
    }

    /// Whether turns are taken at all, and so may arrive.
    pub(super) fn is_open(&self) -> bool {
        self.workers > 0
    }

    /// A turn arrives; it does not begin before it is settled, and neither does one behind it.
    pub(super) fn join(&mut self, agent: &AgentId, id: String, settled: bool) {
        let lane = self.lanes.entry(agent.clone()).or_default();
        lane.waiting.push_back(Waiting { id, since: Instant::now(), settled });
        self.waiting += 1;
        self.wake(agent);
    }

    /// The journal has an opinion: the turn waits, or it is not there.
    pub(super) fn settle(&mut self, agent: &AgentId, id: &str, stays: bool) {
        let Some(lane) = self.lanes.get_mut(agent) else { return };
        let Some(place) = lane.waiting.iter().position(|waiting| waiting.id == id) else { return };
        if stays {
            lane.waiting[place].settled = true;
        } else {
            lane.waiting.remove(place);
            self.waiting -= 1;
        }
        self.wake(agent);
    }

    /// Takes a turn back.
    pub(super) fn take_back(&mut self, agent: &AgentId, id: &str) -> TakenBack {
        if let Some(running) = self.running.get_mut(id) {
            running.taken_back = true;
            running.cancel.cancel();
            return TakenBack::Running;
        }
        let waiting = self.lanes.get_mut(agent).map(|lane| &mut lane.waiting);
        match waiting.into_iter().flatten().find(|waiting| waiting.id == id && waiting.settled) {
            Some(waiting) => {
                waiting.settled = false;
                TakenBack::Waiting
            }
            None => TakenBack::Neither,
        }
    }

    /// The next turn, if one may begin; it counts as being taken.
    pub(super) fn begin(&mut self) -> Option<Next> {
        while !self.held && self.running.len() < self.workers {
            let agent = self.ready.pop_front()?;
            let Some(lane) = self.lanes.get_mut(&agent) else { continue };
            // It may have been taken back since the lane became ready.
            if lane.waiting.front().is_none_or(|first| !first.settled) {
                lane.busy = false;
                self.wake(&agent);
                continue;
            }
            let Some(Waiting { id, since, .. }) = lane.waiting.pop_front() else { continue };
            self.waiting -= 1;
            let cancel = CancellationToken::new();
            let running = Running { cancel: cancel.clone(), taken_back: false };
            self.running.insert(id.clone(), running);
            return Some(Next { agent, id, since, cancel });
        }
        None
    }

    /// Whether a turn that is being taken was taken back by its caller.
    pub(super) fn is_taken_back(&self, id: &str) -> bool {
        self.running.get(id).is_some_and(|running| running.taken_back)
    }

    /// A turn has ended; its lane goes on.
    pub(super) fn end(&mut self, agent: &AgentId, id: &str) {
        self.running.remove(id);
        if let Some(lane) = self.lanes.get_mut(agent) {
            lane.busy = false;
        }
        self.wake(agent);
    }

    /// No turn begins any more.
    pub(super) fn hold(&mut self) {
        self.held = true;
    }

    /// Whether no turn begins any more.
    pub(super) fn is_held(&self) -> bool {
        self.held
    }

    /// Tells all that are being taken to end.
    pub(super) fn cut(&mut self) {
        self.running.values().for_each(|running| running.cancel.cancel());
    }

    /// Lets the agent's first turn begin if nothing is in its way; forgets a lane that is empty.
    fn wake(&mut self, agent: &AgentId) {
        let Some(lane) = self.lanes.get_mut(agent) else { return };
        if lane.busy {
            return;
        }
        match lane.waiting.front() {
            None => {
                self.lanes.remove(agent);
            }
            Some(first) if first.settled => {
                lane.busy = true;
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

    fn lanes(workers: usize, jobs: &[(&str, &str)]) -> Lanes {
        let mut lanes = Lanes::default();
        lanes.open(workers);
        for (name, id) in jobs {
            lanes.join(&agent(name), (*id).to_owned(), true);
        }
        lanes
    }

    fn begun(lanes: &mut Lanes) -> Vec<String> {
        std::iter::from_fn(|| lanes.begin()).map(|next| next.id).collect()
    }

    #[test]
    fn one_agents_turns_follow_each_other_and_others_do_not_wait_for_them() {
        let mut lanes = lanes(4, &[("a", "a1"), ("a", "a2"), ("b", "b1")]);
        assert_eq!(begun(&mut lanes), ["a1", "b1"]);
        lanes.end(&agent("a"), "a1");
        assert_eq!(begun(&mut lanes), ["a2"]);
        assert_eq!(lanes.waiting(), 0);
    }

    #[test]
    fn no_more_are_taken_at_once_than_there_are_workers() {
        let mut lanes = lanes(2, &[("a", "a1"), ("b", "b1"), ("c", "c1")]);
        assert_eq!(begun(&mut lanes), ["a1", "b1"]);
        lanes.end(&agent("b"), "b1");
        assert_eq!(begun(&mut lanes), ["c1"]);
    }

    #[test]
    fn nothing_begins_before_the_journal_has_it() {
        let mut lanes = lanes(2, &[]);
        lanes.join(&agent("a"), "a1".to_owned(), false);
        lanes.join(&agent("a"), "a2".to_owned(), true);
        assert!(begun(&mut lanes).is_empty(), "the second must not overtake the first");
        lanes.settle(&agent("a"), "a1", true);
        assert_eq!(begun(&mut lanes), ["a1"]);
        lanes.end(&agent("a"), "a1");
        lanes.join(&agent("a"), "a3".to_owned(), false);
        assert_eq!(begun(&mut lanes), ["a2"]);
        lanes.settle(&agent("a"), "a3", false);
        lanes.end(&agent("a"), "a2");
        assert!(begun(&mut lanes).is_empty() && lanes.lanes.is_empty());
    }

    #[test]
    fn what_is_taken_back_does_not_begin_unless_the_journal_could_not_say_so() {
        let mut lanes = lanes(1, &[("a", "a1"), ("a", "a2")]);
        assert_eq!(lanes.take_back(&agent("a"), "a1"), TakenBack::Waiting);
        assert_eq!(lanes.take_back(&agent("a"), "a1"), TakenBack::Neither, "only once");
        assert!(begun(&mut lanes).is_empty());
        lanes.settle(&agent("a"), "a1", true);
        assert_eq!(begun(&mut lanes), ["a1"]);
        assert_eq!(lanes.take_back(&agent("a"), "a1"), TakenBack::Running);
        assert!(lanes.is_taken_back("a1"));
        assert_eq!(lanes.take_back(&agent("a"), "a2"), TakenBack::Waiting);
        lanes.settle(&agent("a"), "a2", false);
        lanes.end(&agent("a"), "a1");
        assert!(begun(&mut lanes).is_empty() && lanes.lanes.is_empty());
    }

    #[test]
    fn a_held_queue_begins_nothing() {
        let mut lanes = lanes(2, &[("a", "a1")]);
        lanes.hold();
        assert!(begun(&mut lanes).is_empty());
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
            let mut lanes = Lanes::default();
            lanes.open(workers);
            let mut arrived: Vec<(AgentId, String)> = Vec::new();
            let (mut unsettled, mut going): (Vec<usize>, Vec<(AgentId, String)>) = Default::default();
            let (mut order, mut gone) = (Vec::new(), 0);
            for (what, who, which) in happens {
                match what {
                    0 | 1 => {
                        let id = format!("{:04}", arrived.len());
                        lanes.join(&agents[who], id.clone(), what == 0);
                        if what == 1 { unsettled.push(arrived.len()); }
                        arrived.push((agents[who].clone(), id));
                    }
                    2 if !unsettled.is_empty() => {
                        let (agent, id) = &arrived[unsettled.remove(which.index(unsettled.len()))];
                        let stays = who > 0;
                        gone += usize::from(!stays);
                        lanes.settle(agent, id, stays);
                    }
                    3 if !arrived.is_empty() => {
                        let (agent, id) = &arrived[which.index(arrived.len())];
                        if lanes.take_back(agent, id) == TakenBack::Waiting {
                            lanes.settle(agent, id, false);
                            gone += 1;
                        }
                    }
                    4 if !going.is_empty() => {
                        let (agent, id) = going.remove(which.index(going.len()));
                        lanes.end(&agent, &id);
                    }
                    _ => {}
                }
                while let Some(next) = lanes.begin() {
                    prop_assert!(going.iter().all(|(agent, _)| *agent != next.agent));
                    going.push((next.agent.clone(), next.id.clone()));
                    order.push((next.agent, next.id));
                    prop_assert!(going.len() <= workers);
                }
            }
            for place in unsettled {
                lanes.settle(&arrived[place].0, &arrived[place].1, true);
            }
            loop {
                while let Some(next) = lanes.begin() {
                    going.push((next.agent.clone(), next.id.clone()));
                    order.push((next.agent, next.id));
                }
                let Some((agent, id)) = going.pop() else { break };
                lanes.end(&agent, &id);
            }
            prop_assert_eq!(order.len() + gone, arrived.len());
            prop_assert_eq!(lanes.waiting(), 0);
            prop_assert!(lanes.lanes.is_empty());
            for agent in &agents {
                let ids: Vec<_> = order.iter().filter(|(of, _)| of == agent).map(|(_, id)| id).collect();
                prop_assert!(ids.is_sorted(), "{:?}", ids);
            }
        }
    }
}
