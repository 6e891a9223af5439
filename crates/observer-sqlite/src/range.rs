//! Ranges of row numbers with a direction.

/// Ids of rows from `low` to `high`, in one direction.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Range {
    pub(crate) low: u64,
    pub(crate) high: u64,
    pub(crate) newest_first: bool,
}

impl Range {
    pub(crate) fn direction(self) -> &'static str {
        if self.newest_first { "DESC" } else { "ASC" }
    }

    /// The last id in this direction.
    pub(crate) fn end(self) -> u64 {
        if self.newest_first { self.low } else { self.high }
    }

    /// The ids after this one, in this direction.
    pub(crate) fn beyond(self, id: u64) -> Self {
        match self.newest_first {
            true => Self { high: id.saturating_sub(1), ..self },
            false => Self { low: id + 1, ..self },
        }
    }

    /// At most `count` ids from the start.
    pub(crate) fn first(self, count: u64) -> Self {
        match self.newest_first {
            true => Self { low: self.low.max(self.high.saturating_sub(count - 1)), ..self },
            false => Self { high: self.high.min(self.low.saturating_add(count - 1)), ..self },
        }
    }
}

/// Sorts ids in the direction of the range.
pub(crate) fn sort(ids: &mut [u64], range: Range) {
    ids.sort_unstable();
    if range.newest_first {
        ids.reverse();
    }
}
