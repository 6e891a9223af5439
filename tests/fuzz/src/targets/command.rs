//! The command parser: it ends, within its budget, with spans in the text and the same judgment again.

use life_agent_gates::command::{CommandContext, CommandEffect, Shell, assess};

use super::{FIELD, Target, ensure};

pub(crate) const TARGET: Target = Target { name: "command", pieces: PIECES, run, bound: FIELD };

const PIECES: &[&str] = include!("../../../../crates/gates/src/command/tests/pieces.in");

fn run(bytes: &[u8]) -> Result<(), String> {
    let text = String::from_utf8_lossy(bytes);
    let shells = [None, Some(Shell::Posix), Some(Shell::PowerShell), Some(Shell::Cmd)];
    // One shell per input, so that its time is that of one judgment.
    let shell = shells[text.len() % shells.len()];
    let context = CommandContext { shell, ..CommandContext::default() };
    let judged = assess(&text, &context);
    for part in &judged.parts {
        let (start, end) = part.span;
        ensure(start <= end && end <= text.len(), || format!("has a part at {start}..{end}"))?;
    }
    let worst = judged.parts.iter().map(|part| part.effect).max().unwrap_or_default();
    ensure(judged.effect >= worst, || {
        format!("is {:?} with a part that is {worst:?}", judged.effect)
    })?;
    let says_unparsed = judged.effects.contains(&CommandEffect::Unparsed);
    ensure(judged.unparsed.is_empty() || says_unparsed, || "hides that it is unparsed".to_owned())?;
    if text.len() < 2_000 {
        let again = assess(&text, &context);
        let same = again.effects == judged.effects && again.steps == judged.steps;
        ensure(same, || format!("is judged {:?} and then {:?}", judged.effects, again.effects))?;
    }
    Ok(())
}
