//! The reader of JSON bodies: what it accepts means the same to every reader, and edits change nothing else.

use life_agent_domain::governance::json_text;
use life_agent_groq::raw_json::{EditError, Role, repair_surrogates, rewrite, set_member};
use serde_json::Value;

use super::{FIELD, Target, ensure};

pub(crate) const TARGET: Target = Target { name: "json", pieces: PIECES, run, bound: FIELD };

const PIECES: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\"a\"",
    "\"\\u0061\"",
    "\"b\"",
    "\"a\":1,",
    "{\"a\":{\"a\":[",
    "\\",
    "\\\"",
    "\\u",
    "\\ud83d",
    "\\ude00",
    "\\u0000",
    "0",
    "-",
    "-0",
    "1.50",
    "1e3",
    "1E400",
    "12345678901234567890123",
    "0.1",
    "true",
    "false",
    "null",
    " ",
    "\n",
    "\t",
    "\u{feff}",
    "é",
    "\0",
    "\"messages\":",
    "[{\"role\":\"user\",\"content\":\"hi\"}]",
    "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"a\":1}",
    "[[[[[[[[[[[[[[[[",
    "]]]]]]]]]]]]]]]]",
    "{\"x\":",
];

fn run(bytes: &[u8]) -> Result<(), String> {
    let Ok(text) = std::str::from_utf8(bytes) else { return Ok(()) };
    let checked = json_text::check(text);
    let _ = repair_surrogates(text);
    let Ok(value) = serde_json::from_str::<Value>(text) else { return Ok(()) };
    let mut texts = 0;
    let kept = rewrite(text, &mut |_, _, _| {
        texts += 1;
        None
    });
    match (&checked, &kept) {
        (Err(fault), Ok(_)) => {
            ensure(fault.message.contains("digits"), || format!("only one reader sees {fault}"))?;
        }
        (Ok(()), Err(error)) => return Err(format!("only one reader sees {error}")),
        (Err(_), Err(error)) => {
            ensure(matches!(error, EditError::DuplicateKey(_)), || format!("is no JSON: {error}"))?;
        }
        (Ok(()), Ok(kept)) => ensure(kept == text, || "is changed by no edit".to_owned())?,
    }
    if kept.is_err() {
        return Ok(());
    }
    let edited =
        rewrite(text, &mut |_, role, old| (role == Role::Value).then(|| format!("{old}x")));
    let edited = edited.map_err(|error| format!("cannot be edited: {error}"))?;
    let reread: Value =
        serde_json::from_str(&edited).map_err(|error| format!("is edited to no JSON: {error}"))?;
    ensure(shape(&reread) == shape(&value), || "is edited to another document".to_owned())?;
    if value.is_object() {
        let set = set_member(text, "new\"key", "[1]")
            .map_err(|error| format!("takes no member: {error}"))?;
        let reread: Value =
            serde_json::from_str(&set).map_err(|error| format!("becomes no JSON: {error}"))?;
        ensure(reread.get("new\"key").is_some(), || "loses a new member".to_owned())?;
    }
    Ok(())
}

/// The number of values of each kind.
fn shape(value: &Value) -> [usize; 4] {
    let (own, inner): (usize, Vec<&Value>) = match value {
        Value::String(_) => (0, Vec::new()),
        Value::Array(items) => (1, items.iter().collect()),
        Value::Object(fields) => (2, fields.values().collect()),
        _ => (3, Vec::new()),
    };
    let mut counts = [0; 4];
    counts[own] = 1;
    for of_one in inner.into_iter().map(shape) {
        counts.iter_mut().zip(of_one).for_each(|(sum, count)| *sum += count);
    }
    counts
}
