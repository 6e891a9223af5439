//! The messages that wait, and when they are due. Bounded in number and time.

use std::collections::BTreeMap;

use super::message::Message;

/// Most messages that wait.
pub(super) const MAX_WAITING: usize = 1000;
/// The waits after failed attempts, in milliseconds; after the last one fails, no attempt follows.
const WAITS: [u64; 7] = [1_000, 5_000, 30_000, 120_000, 600_000, 3_600_000, 14_400_000];
/// The longest wait that a receiver can ask for, in milliseconds.
const MAX_ASKED: u64 = 3_600_000;

/// The messages that wait, by the row that they are about.
#[derive(Default)]
pub(super) struct Outbox {
    waiting: BTreeMap<u64, Message>,
    /// The rows and plans of the messages that are being sent.
    taken: BTreeMap<u64, Option<String>>,
}

impl Outbox {
    /// Adds a message. Returns it if there is no room.
    pub(super) fn add(&mut self, message: Message) -> Option<Message> {
        if self.waiting.len() >= MAX_WAITING {
            return Some(message);
        }
        self.waiting.insert(message.about, message);
        None
    }

    /// Removes the message about a row. If it is being sent, it is not sent again.
    pub(super) fn remove(&mut self, about: u64) -> Option<Message> {
        self.taken.remove(&about);
        self.waiting.remove(&about)
    }

    /// The same for the message about a plan.
    pub(super) fn remove_plan(&mut self, plan: &str) {
        self.taken.retain(|_, taken| taken.as_deref() != Some(plan));
        self.waiting.retain(|_, message| message.plan.as_deref() != Some(plan));
    }

    /// Puts a message back after an attempt, unless it was removed in the meantime.
    pub(super) fn put_back(&mut self, message: Message) {
        if self.taken.remove(&message.about).is_some() {
            self.waiting.insert(message.about, message);
        }
    }

    /// The message about a row is not sent again.
    pub(super) fn finish(&mut self, about: u64) {
        self.taken.remove(&about);
    }

    /// Takes a message that is due, the oldest first.
    pub(super) fn take_due(&mut self, now: u64) -> Option<Message> {
        let due = self.waiting.values().find(|message| message.due <= now)?.about;
        let message = self.waiting.remove(&due)?;
        self.taken.insert(due, message.plan.clone());
        Some(message)
    }

    /// When the next message is due.
    pub(super) fn next_due(&self) -> Option<u64> {
        self.waiting.values().map(|message| message.due).min()
    }
}

/// When a message is due again after an attempt that failed at `now`; `None` if no attempt follows.
/// `asked` is the wait that the receiver asked for, `jitter` a number from 0 to 1.
pub(super) fn next_attempt(
    message: &Message,
    now: u64,
    asked: Option<u64>,
    jitter: f64,
) -> Option<u64> {
    let wait = *WAITS.get(usize::try_from(message.attempts).ok()?.checked_sub(1)?)?;
    // Up to a fifth longer, so that the messages of an outage do not all come back at the same moment.
    let wait = wait + (wait as f64 / 5.0 * jitter.clamp(0.0, 1.0)) as u64;
    let due = now.saturating_add(wait.max(asked.unwrap_or_default().min(MAX_ASKED)));
    (due < message.until).then_some(due)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(about: u64, attempts: u32, due: u64) -> Message {
        let (plan, id, body) = (Some(format!("plan-{about}")), String::new(), String::new());
        Message { about, plan, id, trace: None, body, until: u64::MAX, attempts, due }
    }

    #[test]
    fn a_message_is_tried_eight_times_at_most() {
        let waits: Vec<_> = (1..=8)
            .map(|attempts| next_attempt(&message(1, attempts, 0), 100, None, 0.0))
            .collect();
        assert_eq!(waits.iter().flatten().count(), 7);
        assert_eq!((waits[0], waits[6], waits[7]), (Some(1_100), Some(14_400_100), None));
        assert_eq!(next_attempt(&message(1, 1, 0), 100, None, 1.0), Some(1_300));
        assert_eq!(next_attempt(&message(1, 0, 0), 100, None, 0.0), None);
    }

    #[test]
    fn no_attempt_follows_after_the_end_of_its_worth() {
        let short = Message { until: 1_100, ..message(1, 1, 0) };
        assert_eq!(next_attempt(&short, 100, None, 0.0), None);
        assert_eq!(next_attempt(&short, 99, None, 0.0), Some(1_099));
    }

    #[test]
    fn a_receiver_can_ask_for_a_longer_wait_within_a_bound() {
        let one = message(1, 1, 0);
        assert_eq!(next_attempt(&one, 0, Some(60_000), 0.0), Some(60_000));
        assert_eq!(next_attempt(&one, 0, Some(10), 0.0), Some(1_000));
        assert_eq!(next_attempt(&one, 0, Some(u64::MAX), 0.0), Some(MAX_ASKED));
    }

    #[test]
    fn what_was_settled_during_an_attempt_does_not_come_back() {
        let mut outbox = Outbox::default();
        for about in 1..=4 {
            outbox.add(message(about, 0, 0));
        }
        let taken: Vec<_> = std::iter::from_fn(|| outbox.take_due(0)).collect();
        assert!(outbox.remove(1).is_none());
        outbox.remove_plan("plan-2");
        outbox.finish(3);
        taken.into_iter().for_each(|message| outbox.put_back(message));
        assert_eq!(outbox.take_due(0).map(|message| message.about), Some(4));
        assert!(outbox.take_due(0).is_none());
    }

    #[test]
    fn the_outbox_is_bounded_and_returns_what_is_due() {
        let mut outbox = Outbox::default();
        for about in 0..MAX_WAITING as u64 {
            assert!(outbox.add(message(about, 0, 10 + about)).is_none());
        }
        assert!(outbox.add(message(9_999, 0, 0)).is_some());
        assert_eq!(outbox.next_due(), Some(10));
        assert!(outbox.take_due(9).is_none());
        assert_eq!(outbox.take_due(12).map(|message| message.about), Some(0));
        outbox.remove_plan("plan-1");
        assert!(outbox.remove(1).is_none() && outbox.remove(2).is_some());
        assert_eq!(outbox.next_due(), Some(13));
    }
}
