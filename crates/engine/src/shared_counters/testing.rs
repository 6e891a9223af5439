//! Counters that never respond.

use super::*;

pub(crate) struct Unreachable {
    pub(crate) instances: usize,
}

fn never<'a, T: Send + 'a>() -> Counting<'a, T> {
    Box::pin(async { Err(CountersUnreachable) })
}

impl SharedCounters for Unreachable {
    fn bind(&self, _: &str) {}
    fn take<'a>(&'a self, _: &'a Bucket) -> Counting<'a, Taken> {
        never()
    }
    fn reserve<'a>(&'a self, _: &'a [BudgetLimits], _: Charge) -> Counting<'a, Reserved> {
        never()
    }
    fn confirm<'a>(
        &'a self,
        _: &'a [BudgetLimits],
        _: &'a SharedReservation,
        _: u64,
    ) -> Counting<'a, Reserved> {
        never()
    }
    fn settle<'a>(&'a self, _: &'a Settlement) -> Counting<'a, ()> {
        never()
    }
    fn rebuild<'a>(&'a self, _: &'a str, _: RebuiltUse) -> Counting<'a, ()> {
        never()
    }
    fn used<'a>(&'a self, _: &'a [String]) -> Counting<'a, Counted> {
        never()
    }
    fn status(&self) -> CountersStatus {
        let instance = |n: usize| Instance { id: n.to_string(), started_ms: 0, is_own: n == 0 };
        CountersStatus {
            is_reachable: false,
            instances: (0..self.instances).map(instance).collect(),
        }
    }
}
