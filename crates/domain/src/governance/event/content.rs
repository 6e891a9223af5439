//! What a search looks at in a row: outcome, rules, session, duration and words.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::outcome::{Outcome, OutcomeFacts};
use super::row::Row;

/// Upper bound on the different words of a row that a search finds.
const MAX_WORDS: usize = 4096;
/// Characters of a word beyond this number are ignored, in rows and in queries.
const MAX_WORD: usize = 64;
/// Fields that callers fill. Their names and numbers are words too.
const OF_CALLERS: [&str; 6] = ["payload", "arguments", "request", "parameters", "data", "result"];
/// A hash that differs in every row: no search needs it, and it would double an index of words.
const NOT_SEARCHED: &str = "state_hash";

/// A row with its parsed data.
#[derive(Debug)]
pub struct RowContent<'r> {
    row: &'r Row,
    data: Value,
}

impl<'r> RowContent<'r> {
    /// Parses the row's data.
    pub fn of(row: &'r Row) -> Self {
        // The journal stores only JSON; of anything else nothing is found.
        Self { row, data: serde_json::from_str(row.data.get()).unwrap_or_default() }
    }

    /// The outcome of the request; `None` for rows that record none.
    pub fn outcome(&self) -> Option<Outcome> {
        let has_rules = |list: &Value| list.as_array().is_some_and(|rules| !rules.is_empty());
        let would_deny = [&self.data["would_deny"], &self.data["answer"]["would_deny"]]
            .into_iter()
            .any(has_rules);
        Outcome::of(
            self.row.event_kind()?,
            &OutcomeFacts {
                decision: self.data["decision"].as_str(),
                outcome: self.data["outcome"].as_str(),
                is_error: self.data["is_error"] == true,
                would_deny,
            },
        )
    }

    /// The rules that decided, matched, or would have refused the request, some of them more than once.
    pub fn rules(&self) -> Vec<&str> {
        let mut rules: Vec<&str> = self.data["rule"].as_str().into_iter().collect();
        for notes in [&self.data, &self.data["answer"]] {
            for list in ["would_deny", "applied_policies"] {
                rules.extend(elements(&notes[list]).filter_map(Value::as_str));
            }
            rules.extend(elements(&notes["findings"]).filter_map(|found| found["rule"].as_str()));
        }
        rules
    }

    /// The session of a tool call.
    pub fn session_id(&self) -> Option<&str> {
        self.data["session_id"].as_str()
    }

    /// Microseconds from the request's arrival until its row was handed to the journal.
    pub fn elapsed_us(&self) -> Option<u64> {
        self.data["timing"]["elapsed_us"].as_u64()
    }

    /// The different words of the row's texts, agent and caller. Field names and numbers are words only where
    /// callers choose them.
    pub fn words(&self) -> HashSet<String> {
        let mut found = HashSet::new();
        collect_words(&self.row.principal, &mut found);
        collect_words(self.row.agent_id.as_deref().unwrap_or_default(), &mut found);
        if let Value::Object(fields) = &self.data {
            collect_fields(fields, false, &mut found);
        }
        found
    }
}

fn elements(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn collect_fields(fields: &Map<String, Value>, of_caller: bool, found: &mut HashSet<String>) {
    for (name, value) in fields {
        if of_caller {
            collect_words(name, found);
        }
        if name != NOT_SEARCHED {
            collect(value, of_caller || OF_CALLERS.contains(&name.as_str()), found);
        }
    }
}

fn collect(value: &Value, of_caller: bool, found: &mut HashSet<String>) {
    match value {
        Value::String(text) => collect_words(text, found),
        Value::Number(number) if of_caller => collect_words(&number.to_string(), found),
        Value::Array(elements) => {
            elements.iter().for_each(|element| collect(element, of_caller, found));
        }
        Value::Object(fields) => collect_fields(fields, of_caller, found),
        _ => {}
    }
}

fn collect_words(text: &str, found: &mut HashSet<String>) {
    for word in words(text) {
        if found.len() == MAX_WORDS {
            return;
        }
        found.insert(word);
    }
}

/// The words of a text in order: runs of letters and digits, in lower case, limited in length.
pub fn words(text: &str) -> impl Iterator<Item = String> {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(|word| word.chars().take(MAX_WORD).collect::<String>().to_lowercase())
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use serde_json::value::to_raw_value;

    use super::*;
    use crate::governance::event::EventKind;

    fn row(kind: EventKind, data: &Value) -> Row {
        Row {
            id: 1,
            ts: String::new(),
            kind: kind.as_str().to_owned(),
            agent_id: Some("hero-7".to_owned()),
            principal: "ci".to_owned(),
            request_id: String::new(),
            data: to_raw_value(data).unwrap(),
            prev_hash: String::new(),
            hash: String::new(),
        }
    }

    #[test]
    fn the_outcome_is_read_from_the_data() {
        use EventKind::{Act, Chat, ToolFinished, ToolRequested};
        for (kind, data, expected) in [
            (Act, json!({"would_deny": []}), Some("allowed")),
            (Act, json!({}), Some("allowed")),
            (Act, json!({"would_deny": ["r"]}), Some("would_deny")),
            (ToolRequested, json!({"decision": "ask"}), Some("denied")),
            (ToolFinished, json!({"is_error": true}), Some("failed")),
            (ToolFinished, json!({}), None),
            (
                Chat,
                json!({"outcome": "answered", "answer": {"would_deny": ["r"]}}),
                Some("would_deny"),
            ),
        ] {
            let row = row(kind, &data);
            let outcome = RowContent::of(&row).outcome().map(Outcome::as_str);
            assert_eq!(outcome, expected, "{kind:?} {data}");
        }
    }

    #[test]
    fn rules_are_those_that_decided_matched_or_observed() {
        let data = json!({"rule": "a", "would_deny": ["b"], "applied_policies": ["c"],
            "findings": [{"rule": "d"}, {}, 7], "answer": {"would_deny": ["e"]}});
        let row = row(EventKind::Chat, &data);
        assert_eq!(RowContent::of(&row).rules(), ["a", "b", "c", "d", "e"]);
        let row = self::row(EventKind::Chat, &json!({"rule": null, "answer": "x", "findings": {}}));
        assert!(RowContent::of(&row).rules().is_empty());
    }

    #[test]
    fn words_are_those_of_texts_and_of_what_callers_name() {
        let data = json!({
            "input": "Untersuche das TOR!", "state_hash": "5ee3e4", "score": 99, "state_version": 98,
            "payload": {"file_name": ["src/main.rs", 4711], "deep": {"x": true}},
        });
        let row = row(EventKind::Act, &data);
        let found = RowContent::of(&row).words();
        for word in
            ["untersuche", "tor", "file", "name", "main", "rs", "4711", "deep", "hero", "7", "ci"]
        {
            assert!(found.contains(word), "{word} {found:?}");
        }
        for word in ["TOR", "5ee3e4", "99", "98", "input", "score", "true", ""] {
            assert!(!found.contains(word), "{word}");
        }
        let many = (0..10_000).map(|n| format!("w{n} ")).collect::<String>();
        let row = self::row(EventKind::Act, &json!({"input": many}));
        assert_eq!(RowContent::of(&row).words().len(), MAX_WORDS);
    }
}
