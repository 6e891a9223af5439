//! The account at start: what the rows of the current day reserved and settled.

use std::collections::HashMap;
use std::sync::Arc;

use life_agent_domain::governance::budget::{Ledger, Price, Reservation, Tokens};
use life_agent_domain::governance::event::{
    BudgetReservedRecord, BudgetSettledRecord, EventKind, Row,
};
use life_agent_observer::{Filter, Journal, JournalError, MAX_PAGE_ROWS};
use parking_lot::Mutex;

use super::shared::SharedAccount;
use super::{Budgets, now, status};
use crate::recorder::Recorder;
use crate::shared_counters::SharedLimits;

/// Milliseconds of a day.
const DAY_MS: u64 = 24 * 60 * 60 * 1_000;
/// Tolerated difference between the clocks of rows and of reservations: rows may be a little later or earlier.
const SLACK_MS: u64 = 60_000;

/// Charges the reservations of other instances.
pub(crate) struct BudgetFollower {
    ledger: Arc<Mutex<Ledger>>,
    open: HashMap<u64, Reservation>,
    /// The last row of the account at start.
    upto: u64,
}

impl BudgetFollower {
    /// Applies a row of another instance.
    pub(crate) fn apply(&mut self, row: &Row) {
        if row.id > self.upto {
            replay(row, &mut self.ledger.lock(), &mut self.open);
        }
    }
}

impl Budgets {
    /// The account of a journal, and its part that follows the rows of other instances.
    pub(crate) async fn restored(
        journal: &Journal,
        recorder: Recorder,
        shared: Option<SharedLimits>,
    ) -> Result<(Self, BudgetFollower), JournalError> {
        let Account { ledger, open, upto } = account(journal, now(journal)).await?;
        let ledger = Arc::new(Mutex::new(ledger));
        let follower = BudgetFollower { ledger: Arc::clone(&ledger), open, upto };
        let shared = shared.map(|limits| Arc::new(SharedAccount::new(limits, journal.clone())));
        Ok((Self { ledger, recorder, shared }, follower))
    }
}

/// The account of a day.
pub(super) struct Account {
    pub(super) ledger: Ledger,
    /// The reservations without a settlement, by their rows.
    open: HashMap<u64, Reservation>,
    /// The last row that it includes. It includes every row up to this one.
    pub(super) upto: u64,
}

/// Reads the account of the day to which `now` belongs.
pub(super) async fn account(journal: &Journal, now: u64) -> Result<Account, JournalError> {
    let today = now / DAY_MS * DAY_MS;
    let mut after = first_row_since(journal, today.saturating_sub(SLACK_MS)).await?;
    let filter = Filter::new(Some("budget.*"), None).unwrap_or_default();
    let (mut ledger, mut open) = (Ledger::default(), HashMap::new());
    loop {
        let page = journal.page(after, MAX_PAGE_ROWS, filter.clone()).await?;
        for row in &page.rows {
            replay(row, &mut ledger, &mut open);
        }
        match page.next {
            Some(next) if next > after => after = next,
            _ => return Ok(Account { ledger, open, upto: page.scanned_to.max(after) }),
        }
    }
}

/// Applies one row. An unreadable one is left out: another release wrote it.
fn replay(row: &Row, ledger: &mut Ledger, open: &mut HashMap<u64, Reservation>) {
    if row.is(EventKind::BudgetReserved)
        && let Ok(reserved) = row.read::<BudgetReservedRecord<'_>>()
    {
        let most =
            Tokens { prompt: reserved.prompt_tokens, completion: reserved.completion_tokens };
        let price =
            Price { input_micros: reserved.input_micros, output_micros: reserved.output_micros };
        let budgets = reserved.budgets.into_owned();
        let reservation = Reservation::recorded(budgets, most, price, reserved.at_ms);
        ledger.charge_again(&reservation);
        open.insert(row.id, reservation);
    } else if row.is(EventKind::BudgetSettled)
        && let Ok(settled) = row.read::<BudgetSettledRecord>()
        && let Some(reservation) = open.remove(&settled.reserved)
    {
        let at = reservation.at();
        let real = Tokens { prompt: settled.prompt_tokens, completion: settled.completion_tokens };
        match settled.released {
            true => ledger.release(&reservation, at),
            false => ledger.settle(&reservation, Some(real), at),
        }
    }
}

/// The row before the first one at or after a time. Rows are in the order of their times, so a few reads find
/// it in a journal of any size.
async fn first_row_since(journal: &Journal, since_ms: u64) -> Result<u64, JournalError> {
    let since = status::text(since_ms);
    let (mut earlier, mut later) = (0, journal.head().id);
    while earlier < later {
        let middle = earlier + (later - earlier) / 2;
        // The first row after `middle`, which may be pruned.
        let page = journal.page(middle, 1, Filter::default()).await?;
        match page.rows.first() {
            Some(row) if row.ts < since => earlier = row.id,
            _ => later = middle,
        }
    }
    Ok(earlier)
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use serde_json::value::to_raw_value;

    use super::*;

    fn row(id: u64, kind: EventKind, data: &impl serde::Serialize) -> Row {
        Row {
            id,
            ts: String::new(),
            kind: kind.as_str().to_owned(),
            agent_id: None,
            principal: "p".to_owned(),
            request_id: String::new(),
            data: to_raw_value(data).unwrap(),
            prev_hash: String::new(),
            hash: String::new(),
        }
    }

    fn reserved(id: u64, completion_tokens: u64, at_ms: u64) -> Row {
        let record = BudgetReservedRecord {
            budgets: Cow::Owned(vec!["b".to_owned()]),
            model: "m".into(),
            prompt_tokens: 10,
            completion_tokens,
            input_micros: 1,
            output_micros: 2,
            at_ms,
        };
        row(id, EventKind::BudgetReserved, &record)
    }

    fn settled(id: u64, reserved: u64, released: bool, completion_tokens: u64) -> Row {
        let record =
            BudgetSettledRecord { reserved, released, prompt_tokens: 5, completion_tokens };
        row(id, EventKind::BudgetSettled, &record)
    }

    #[test]
    fn rows_give_the_account_that_they_were_written_from() {
        let (mut ledger, mut open) = (Ledger::default(), HashMap::new());
        let at = 3 * DAY_MS;
        for row in [
            reserved(1, 100, at),
            reserved(2, 200, at),
            reserved(3, 300, at),
            settled(4, 1, false, 7),
            settled(5, 2, true, 0),
            settled(6, 2, false, 1_000),
            settled(7, 99, false, 1_000),
        ] {
            replay(&row, &mut ledger, &mut open);
        }
        let used = ledger.used("b", at);
        assert_eq!((used.day_tokens, used.day_requests), (12 + 310, 2));
        assert_eq!(used.day_cost, (5 + 2 * 7) + (10 + 2 * 300));
        assert_eq!(ledger.used("b", at + DAY_MS).day_tokens, 0);
    }
}
