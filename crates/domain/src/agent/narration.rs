//! The sentence that answers a turn when no model tells it.

use std::fmt::Write;

use crate::agent::rules::TurnResult;

/// One sentence that begins `Processed`; it holds nothing that the caller wrote.
pub fn offline(turn: &TurnResult) -> String {
    let mut text =
        format!("Processed turn {} as `{}`: rolled {}", turn.number, turn.intent, turn.roll);
    // Writing into a String cannot fail.
    if turn.bonus != 0 {
        let _ = write!(text, " ({:+})", turn.bonus);
    }
    let _ =
        write!(text, " against {}, {}", turn.difficulty, turn.outcome.as_str().replace('_', " "));
    let changes = turn.deltas.named().into_iter().filter(|(_, points)| *points != 0);
    for (index, (name, points)) in changes.enumerate() {
        let separator = if index == 0 { "; " } else { ", " };
        let _ = write!(text, "{separator}{name} {points:+}");
    }
    text.push('.');
    text
}
