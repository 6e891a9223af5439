//! The latest rows in memory, so that those who watch live do not read the disk for each of them.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::filter::Filter;
use crate::work::Recorded;

/// What a row costs besides its data, roughly.
const ROW_BYTES: usize = 512;

/// The last rows up to the head, without a gap, bounded in number and bytes.
#[derive(Debug)]
pub(crate) struct Ring {
    rows: VecDeque<Arc<Recorded>>,
    /// The number of the next row; everything before it that is not here is on the disk only.
    next: u64,
    bytes: usize,
    max_rows: usize,
    max_bytes: usize,
}

impl Ring {
    pub(crate) fn new(head: u64, max_rows: usize, max_bytes: usize) -> Self {
        Self { rows: VecDeque::new(), next: head + 1, bytes: 0, max_rows, max_bytes }
    }

    /// Forgets everything: the journal was opened anew and now ends at `head`.
    pub(crate) fn reset(&mut self, head: u64) {
        *self = Self::new(head, self.max_rows, self.max_bytes);
    }

    pub(crate) fn push(&mut self, row: Arc<Recorded>) {
        self.next = row.id + 1;
        self.bytes += cost(&row);
        self.rows.push_back(row);
        while self.rows.len() > self.max_rows || self.bytes > self.max_bytes {
            let Some(oldest) = self.rows.pop_front() else { break };
            self.bytes -= cost(&oldest);
        }
    }

    /// Up to `max` rows after `position` that the filter takes, and the position that reading them
    /// leads to. None if the ring no longer reaches back that far.
    pub(crate) fn after(
        &self,
        position: u64,
        max: usize,
        filter: &Filter,
    ) -> Option<(Vec<Arc<Recorded>>, u64)> {
        let first = self.next - self.rows.len() as u64;
        let skip = usize::try_from((position + 1).checked_sub(first)?).ok()?;
        let mut taken = Vec::new();
        for row in self.rows.range(skip.min(self.rows.len())..).filter(|row| filter.takes(row)) {
            taken.push(Arc::clone(row));
            if taken.len() == max {
                return Some((taken, row.id));
            }
        }
        Some((taken, position.max(self.next - 1)))
    }
}

fn cost(row: &Recorded) -> usize {
    // The data is there twice once someone has asked for the row's line.
    2 * row.data.get().len() + ROW_BYTES
}

#[cfg(test)]
mod tests {
    use life_agent_domain::governance::event::Row;
    use serde_json::value::RawValue;

    use super::*;

    fn row(id: u64, kind: &str, data: usize) -> Arc<Recorded> {
        let data = format!("{{\"x\":\"{}\"}}", "x".repeat(data));
        Recorded::new(Row {
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
    fn it_keeps_the_latest_rows_and_says_when_it_does_not_reach_back() {
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
    fn a_filter_moves_on_past_what_it_does_not_take() {
        let mut ring = Ring::new(0, 10, 1 << 20);
        (1..=4).for_each(|id| ring.push(row(id, "obs.act", 1)));
        let turns = Filter::new(Some("obs.turn"), None).unwrap();
        let (rows, position) = ring.after(0, 5, &turns).unwrap();
        assert!(rows.is_empty() && position == 4);
    }

    #[test]
    fn large_rows_push_out_more_of_the_small_ones() {
        let mut ring = Ring::new(0, 1000, 10_000);
        (1..=5).for_each(|id| ring.push(row(id, "obs.act", 2000)));
        assert_eq!(after(&ring, 3, 5), Some((vec![4, 5], 5)));
        assert_eq!(after(&ring, 2, 5), None);
        // One that is larger than the whole ring leaves it empty, and readers to the disk.
        ring.push(row(6, "obs.act", 20_000));
        assert_eq!(after(&ring, 5, 5), None);
        assert_eq!(after(&ring, 6, 5), Some((vec![], 6)));
    }
}
