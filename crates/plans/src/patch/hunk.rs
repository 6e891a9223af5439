//! The hunks of a file: what their headers count must be what follows.

use super::Reader;
use crate::fault::{Code, PlanFault};

/// A run of lines that changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hunk {
    /// How many lines of the old file come before it.
    pub(crate) start: usize,
    pub(crate) lines: Vec<Line>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) side: Side,
    /// With its ending, unless the file ends with it and without one.
    pub(crate) text: String,
    /// Its line in the patch, from 1.
    pub(crate) number: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Both,
    Old,
    New,
}

impl Side {
    fn counts(self) -> (usize, usize) {
        match self {
            Side::Both => (1, 1),
            Side::Old => (1, 0),
            Side::New => (0, 1),
        }
    }
}

/// Reads every hunk up to the next file; stops at the first fault, behind which nothing is sure.
pub(super) fn read_all(
    reader: &mut Reader<'_>,
    hunks: &mut Vec<Hunk>,
    faults: &mut Vec<PlanFault>,
) {
    let mut ends = (0, 0);
    while let Some(line) = reader.peek().filter(|line| line.starts_with("@@")) {
        let at = reader.number();
        reader.next();
        let read = header(line)
            .ok_or_else(|| {
                let message = "not a hunk header; expected `@@ -line,count +line,count @@`";
                PlanFault::new(Code::MalformedPatch, message)
            })
            .and_then(|header| in_place(&header, &mut ends).map(|()| header))
            .map_err(|fault| fault.line(at))
            .and_then(|header| body(reader, &header, at));
        match read {
            Ok(hunk) => hunks.push(hunk),
            Err(fault) => return faults.push(fault),
        }
    }
}

/// Start and count on either side; a start is how many lines come before.
struct Header {
    old: (usize, usize),
    new: (usize, usize),
}

fn header(line: &str) -> Option<Header> {
    let ranges = line.strip_prefix("@@ -")?;
    let (ranges, _section) = ranges.split_once(" @@")?;
    let (old, new) = ranges.split_once(" +")?;
    Some(Header { old: range(old)?, new: range(new)? })
}

fn range(text: &str) -> Option<(usize, usize)> {
    // Nine digits are beyond any file and below any overflow.
    let number = |text: &str| {
        let digits = text.bytes().all(|b| b.is_ascii_digit()) && text.len() <= 9;
        digits.then(|| text.parse::<usize>().ok()).flatten()
    };
    let (start, count) = text.split_once(',').unwrap_or((text, "1"));
    let (start, count) = (number(start)?, number(count)?);
    // An empty range names the line before it, any other its first line.
    Some((if count == 0 { start } else { start.checked_sub(1)? }, count))
}

/// Hunks follow each other, and the new starts follow from the old ones.
fn in_place(header: &Header, ends: &mut (usize, usize)) -> Result<(), PlanFault> {
    let Some(gap) = header.old.0.checked_sub(ends.0) else {
        let message = "the hunk overlaps the one before it or comes too late";
        return Err(PlanFault::new(Code::OverlappingHunks, message));
    };
    if header.new.0 != ends.1 + gap {
        let message = format!(
            "the new start does not follow from the hunks before, which put {} lines above it",
            ends.1 + gap
        );
        return Err(PlanFault::new(Code::HunkCounts, message));
    }
    *ends = (header.old.0 + header.old.1, header.new.0 + header.new.1);
    Ok(())
}

fn body(reader: &mut Reader<'_>, header: &Header, at: usize) -> Result<Hunk, PlanFault> {
    let wrong = |message: &str, line| PlanFault::new(Code::HunkCounts, message).line(line);
    let (mut old, mut new) = (header.old.1, header.new.1);
    let mut lines: Vec<Line> = Vec::new();
    while old > 0 || new > 0 || reader.peek().is_some_and(|line| line.starts_with('\\')) {
        let number = reader.number();
        let Some(line) = reader.peek() else {
            return Err(wrong("the patch ends before the hunk has the lines it counts", at));
        };
        let (side, text) = match line.as_bytes().first() {
            Some(b' ') => (Side::Both, &line[1..]),
            Some(b'-') => (Side::Old, &line[1..]),
            Some(b'+') => (Side::New, &line[1..]),
            // An empty line of context whose space an editor took away.
            Some(b'\n') => (Side::Both, line),
            Some(b'\\') => {
                no_newline(lines.last_mut()).map_err(|fault| fault.line(number))?;
                reader.next();
                continue;
            }
            // Not taken: it may well be the next file.
            _ => return Err(wrong("the hunk has fewer lines than its header counts", at)),
        };
        reader.next();
        let (takes_old, takes_new) = side.counts();
        match (old.checked_sub(takes_old), new.checked_sub(takes_new)) {
            (Some(old_left), Some(new_left)) => (old, new) = (old_left, new_left),
            _ => return Err(wrong("the hunk has other lines than its header counts", number)),
        }
        // The last line of a patch may have lost its ending on the way.
        let ending = if text.ends_with('\n') { "" } else { "\n" };
        lines.push(Line { side, text: format!("{text}{ending}"), number });
    }
    Ok(Hunk { start: header.old.0, lines })
}

/// `\ No newline at end of file`, in whatever language, is about the line before it.
fn no_newline(line: Option<&mut Line>) -> Result<(), PlanFault> {
    let stripped = line.is_some_and(|line| line.text.pop() == Some('\n'));
    if stripped {
        return Ok(());
    }
    let message = "`\\ No newline at end of file` follows no line of the file";
    Err(PlanFault::new(Code::MalformedPatch, message))
}
