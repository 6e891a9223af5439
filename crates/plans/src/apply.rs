//! Applies hunks to a text: exactly where they say, or not at all.

use crate::fault::{Code, PlanFault, quoted};
use crate::patch::{Hunk, Line, Side};

/// The text after the hunks. The faults' lines are lines of the patch.
pub(crate) fn apply(text: &str, hunks: &[Hunk]) -> Result<String, PlanFault> {
    let old: Vec<&str> = text.split_inclusive('\n').collect();
    let mut new: Vec<&str> = Vec::with_capacity(old.len());
    let mut at = 0;
    for hunk in hunks {
        let Some(untouched) = old.get(at..hunk.start) else {
            return Err(beyond(hunk, old.len()));
        };
        new.extend(untouched);
        at = hunk.start;
        for line in &hunk.lines {
            if line.side != Side::New {
                match old.get(at) {
                    Some(found) if *found == line.text => at += 1,
                    found => return Err(differs(line, at + 1, found.copied())),
                }
            }
            if line.side != Side::Old {
                new.push(&line.text);
            }
        }
    }
    new.extend(&old[at..]);
    match new.split_last() {
        Some((_, above)) if above.iter().any(|line| !line.ends_with('\n')) => {
            let message = "a line without an ending would not be the last of the file";
            Err(PlanFault::new(Code::DoesNotApply, message))
        }
        _ => Ok(new.concat()),
    }
}

fn beyond(hunk: &Hunk, lines: usize) -> PlanFault {
    let message = format!(
        "the patch expects a hunk below line {}, the file has {lines} lines; create the patch again \
         from the file as it is",
        hunk.start
    );
    let fault = PlanFault::new(Code::DoesNotApply, message);
    match hunk.lines.first() {
        Some(line) => fault.line(line.number),
        None => fault,
    }
}

fn differs(line: &Line, number: usize, found: Option<&str>) -> PlanFault {
    let bare = |text: &str| text.trim_end_matches(['\n', '\r']).to_owned();
    let (code, message) = match found {
        Some(found) if bare(found) == bare(&line.text) => (
            Code::LineEndings,
            format!("line {number} of the file ends differently; keep the file's line endings"),
        ),
        Some(found) => (
            Code::DoesNotApply,
            format!(
                "the patch expects {}, line {number} of the file is {}; create the patch again from \
                 the file as it is",
                quoted(&line.text),
                quoted(found)
            ),
        ),
        None => (
            Code::DoesNotApply,
            format!("the patch expects {}, the file has no line {number}", quoted(&line.text)),
        ),
    };
    PlanFault::new(code, message).line(line.number)
}
