//! The latest rows in memory, so that live followers do not read the store.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::committed::JournalRow;
use crate::filter::Filter;

/// Approximate size of a row without its data, in bytes.
const ROW_BYTES: usize = 512;

/// The last rows up to the head without a gap, bounded in number and bytes.
#[derive(Debug)]
pub(crate) struct Ring {
    rows: VecDeque<Arc<JournalRow>>,
    /// Id of the next row. Earlier rows that are not in the ring are in the store only.
    next: u64,
    bytes: usize,
    max_rows: usize,
    max_bytes: usize,
}

impl Ring {
    pub(crate) fn new(head: u64, max_rows: usize, max_bytes: usize) -> Self {
        Self { rows: VecDeque::new(), next: head + 1, bytes: 0, max_rows, max_bytes }
    }

    /// Empties the ring; the journal now ends at `head`.
    pub(crate) fn reset(&mut self, head: u64) {
        *self = Self::new(head, self.max_rows, self.max_bytes);
    }

    pub(crate) fn push(&mut self, row: Arc<JournalRow>) {
        self.next = row.id + 1;
        self.bytes += cost(&row);
        self.rows.push_back(row);
        while self.rows.len() > self.max_rows || self.bytes > self.max_bytes {
            let Some(oldest) = self.rows.pop_front() else { break };
            self.bytes -= cost(&oldest);
        }
    }

    /// Up to `max` rows after `position` that the filter selects, and the position after them. `None` if
    /// the ring does not reach back that far.
    pub(crate) fn after(
        &self,
        position: u64,
        max: usize,
        filter: &Filter,
    ) -> Option<(Vec<Arc<JournalRow>>, u64)> {
        let first = self.next - self.rows.len() as u64;
        let skip = usize::try_from((position + 1).checked_sub(first)?).ok()?;
        let mut taken = Vec::new();
        for row in self.rows.range(skip.min(self.rows.len())..).filter(|row| filter.matches(row)) {
            taken.push(Arc::clone(row));
            if taken.len() == max {
                return Some((taken, row.id));
            }
        }
        Some((taken, position.max(self.next - 1)))
    }
}

fn cost(row: &JournalRow) -> usize {
    // The row's cached line repeats the data.
    2 * row.data.get().len() + ROW_BYTES
}

#[cfg(test)]
mod tests {
    use life_agent_domain::governance::event::Row;
    use serde_json::value::RawValue;

    use super::*;

    fn row(id: u64, kind: &str, data: usize) -> Arc<JournalRow> {
        let data = format!("{{\"x\":\"{}\"}}", "x".repeat(data));
        JournalRow::new(Row {
            id,
            ts: String::new(),
            kind: kind.to_owned(),
            agent_id: None,
            principal: String::new(),
            request_id: String::new(),
            data: RawValue::from_string(data).unwrap(),
            prev_hash: String::new(),
            hash: String::new(),
        })
    }

    fn after(ring: &Ring, position: u64, max: usize) -> Option<(Vec<u64>, u64)> {
        let found = ring.after(position, max, &Filter::default());
        found.map(|(rows, position)| (rows.iter().map(|row| row.id).collect(), position))
    }

    #[test]
    fn it_keeps_the_latest_rows_and_reports_a_position_out_of_reach() {
        let mut ring = Ring::new(10, 3, 1 << 20);
        assert_eq!(after(&ring, 10, 5), Some((vec![], 10)));
        assert_eq!(after(&ring, 9, 5), None);
        (11..=15).for_each(|id| ring.push(row(id, "obs.act", 1)));
        assert_eq!(after(&ring, 11, 5), None);
        assert_eq!(after(&ring, 12, 5), Some((vec![13, 14, 15], 15)));
        assert_eq!(after(&ring, 12, 2), Some((vec![13, 14], 14)));
        assert_eq!(after(&ring, 15, 5), Some((vec![], 15)));
    }

    #[test]
    fn a_filter_advances_past_rows_that_it_does_not_select() {
        let mut ring = Ring::new(0, 10, 1 << 20);
        (1..=4).for_each(|id| ring.push(row(id, "obs.act", 1)));
        let turns = Filter::new(Some("obs.turn"), None).unwrap();
        let (rows, position) = ring.after(0, 5, &turns).unwrap();
        assert!(rows.is_empty() && position == 4);
    }

    #[test]
    fn large_rows_evict_several_small_ones() {
        let mut ring = Ring::new(0, 1000, 10_000);
        (1..=5).for_each(|id| ring.push(row(id, "obs.act", 2000)));
        assert_eq!(after(&ring, 3, 5), Some((vec![4, 5], 5)));
        assert_eq!(after(&ring, 2, 5), None);
        // A row larger than the ring leaves it empty.
        ring.push(row(6, "obs.act", 20_000));
        assert_eq!(after(&ring, 5, 5), None);
        assert_eq!(after(&ring, 6, 5), Some((vec![], 6)));
    }
}
