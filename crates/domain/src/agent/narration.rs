//! The response to a turn without a model.

use std::fmt::Write;

use crate::agent::rules::TurnResult;

/// A sentence that starts with `Processed` and contains no text of the caller.
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
