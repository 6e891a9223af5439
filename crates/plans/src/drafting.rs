//! Reads the edits out of what a model answers, which is meant to be JSON and need not be.

use life_agent_domain::governance::fault::{Fault, read_all};
use serde::Deserialize;
use serde_json::Value;

use crate::edit::Edit;
use crate::fault::{Code, PlanFault};

/// How a credential that was taken out of a text is shown there.
const PLACEHOLDER: &str = "[redacted:";
/// Longest message about one fault, in characters: it may quote the model.
const MAX_MESSAGE: usize = 200;

/// The answer that is asked for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    #[serde(default)]
    edits: Vec<Edit>,
}

/// The edits in a model's answer, `{"edits": [...]}`, also with words or a code fence around it and as
/// the bare list; or everything that is wrong with it, which may quote the answer. `cut` says that it
/// reached the longest answer before its end.
pub fn read_edits(answer: &str, cut: bool) -> Result<Vec<Edit>, Vec<PlanFault>> {
    let json = candidates(answer).find_map(|text| Some((text, any_json(text)?)));
    let Some((text, value)) = json else {
        return Err(vec![malformed(match cut {
            true => "the answer was too long and has no end; write fewer or smaller edits",
            false => "the answer is not JSON; write one object `{\"edits\": [...]}` and no more",
        })]);
    };
    let edits = strict(text, value)?;
    if edits.is_empty() {
        return Err(vec![malformed("there are no edits; write those that the task needs")]);
    }
    let faults: Vec<_> = edits.iter().enumerate().filter_map(placeholder).collect();
    if faults.is_empty() { Ok(edits) } else { Err(faults) }
}

/// Where the JSON may be, likeliest first.
fn candidates(answer: &str) -> impl Iterator<Item = &str> {
    let fenced = answer.split("```").skip(1).step_by(2).map(|block| {
        // The first line names the language, if anything.
        let (language, rest) = block.split_once('\n').unwrap_or(("", block));
        if language.trim().chars().all(char::is_alphanumeric) { rest } else { block }
    });
    let between = |open: char, close: char| answer.get(answer.find(open)?..=answer.rfind(close)?);
    let mut bare = [between('{', '}'), between('[', ']')];
    // The one that is inside the other comes second.
    bare.sort_by_key(|text| std::cmp::Reverse(text.map_or(0, str::len)));
    let bare = bare.into_iter().flatten();
    std::iter::once(answer).chain(fenced).chain(bare).map(str::trim)
}

/// An object or a list, whatever is in it.
fn any_json(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok().filter(|value: &Value| value.is_object() || value.is_array())
}

/// Reads the text itself as far as possible: a [`Value`] has forgotten which keys came twice.
fn strict(text: &str, value: Value) -> Result<Vec<Edit>, Vec<PlanFault>> {
    let is_list = value.is_array();
    let list = if is_list { Some(&value) } else { value.get("edits") };
    // serde would take a list for an edit, field by field.
    let no_objects =
        list.and_then(Value::as_array).into_iter().flatten().position(|edit| !edit.is_object());
    if let Some(index) = no_objects {
        return Err(vec![PlanFault {
            edit: Some(index),
            ..malformed("an edit must be an object")
        }]);
    }
    let read = match is_list {
        true => serde_json::from_str(text),
        false => serde_json::from_str(text).map(|answer: Answer| answer.edits),
    };
    let error = match read {
        Ok(edits) => return Ok(edits),
        Err(error) => error,
    };
    let whole = if is_list { serde_json::json!({ "edits": value }) } else { value };
    match read_all::<Answer>(whole) {
        Err(faults) => Err(faults.into_iter().map(fault).collect()),
        Ok(_) => {
            let message = error.to_string();
            Err(vec![malformed(message.split(" at line ").next().unwrap_or_default())])
        }
    }
}

fn fault(fault: Fault) -> PlanFault {
    let index =
        fault.path.strip_prefix("edits.").and_then(|rest| rest.split('.').next()?.parse().ok());
    PlanFault { edit: index, ..malformed(&fault.to_string()) }
}

fn malformed(message: &str) -> PlanFault {
    PlanFault::new(Code::DraftMalformed, message.chars().take(MAX_MESSAGE).collect::<String>())
}

/// An edit that would write the sign for a credential where the credential is.
fn placeholder((index, edit): (usize, &Edit)) -> Option<PlanFault> {
    let texts = match edit {
        Edit::Replace { path, content } | Edit::Create { path, content } => [path, content, ""],
        Edit::SearchReplace { path, search, replace } => [path.as_str(), search, replace],
        Edit::Delete { path } => [path, "", ""],
    };
    texts.iter().any(|text| text.contains(PLACEHOLDER)).then(|| {
        let message = "`[redacted:...]` stands for a credential that you are not shown; leave its \
                       line alone and use `search_replace` on others";
        PlanFault { edit: Some(index), ..malformed(message) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const EDITS: &str =
        r#"{"edits": [{"op": "create", "path": "a", "content": "x {y} ``` [z]\n"}]}"#;

    fn codes(answer: &str) -> Vec<(&'static str, Option<usize>)> {
        let faults = read_edits(answer, false).unwrap_err();
        faults.iter().map(|fault| (fault.code.as_str(), fault.edit)).collect()
    }

    #[test]
    fn edits_are_read_from_json_with_or_without_words_around_it() {
        let plain = r#"{"edits": [{"op": "delete", "path": "a"}]}"#;
        let list = r#"[{"op": "delete", "path": "a"}]"#;
        for json in [plain, list] {
            for answer in [
                json.to_owned(),
                format!("\n {json} \n"),
                format!("```json\n{json}\n```"),
                format!("```\n{json}\n```\nThat is all."),
                format!("Sure (see below):\n\n```json\n{json}\n```\nAnything else?"),
                format!("Here you are: {json} Good luck!"),
            ] {
                let edits = read_edits(&answer, false)
                    .unwrap_or_else(|faults| panic!("{answer}: {faults:?}"));
                assert_eq!(edits, [Edit::Delete { path: "a".to_owned() }], "{answer}");
            }
        }
        assert_eq!(read_edits(EDITS, false).unwrap().len(), 1);
        assert_eq!(read_edits(&format!("So: {EDITS}"), false).unwrap().len(), 1);
    }

    #[test]
    fn what_is_no_list_of_edits_is_refused_with_its_place() {
        let one = "draft_malformed";
        for (answer, expected) in [
            ("", vec![(one, None)]),
            ("I cannot do that.", vec![(one, None)]),
            ("{\"edits\": [{\"op\":", vec![(one, None)]),
            ("{\"edits\": []}", vec![(one, None)]),
            ("[]", vec![(one, None)]),
            ("{}", vec![(one, None)]),
            ("\"edits\"", vec![(one, None)]),
            (r#"{"edits": [], "approve": true}"#, vec![(one, None)]),
            (
                r#"[{"op": "delete", "path": "a"}, {"op": "chmod", "path": "a"}]"#,
                vec![(one, Some(1)), (one, Some(1))],
            ),
            (
                r#"{"edits": [{"op": "create", "path": "a"}, {"op": "delete", "path": 7}]}"#,
                vec![(one, Some(0)), (one, Some(1))],
            ),
            (r#"[["delete", "a"]]"#, vec![(one, Some(0))]),
            (r#"[{"op": "delete", "path": "a", "path": "b"}]"#, vec![(one, None)]),
        ] {
            assert_eq!(codes(answer), expected, "{answer}");
        }
        let long = format!(r#"[{{"op": "{}"}}]"#, "x".repeat(10_000));
        assert!(read_edits(&long, false).unwrap_err()[0].message.len() <= MAX_MESSAGE);
        let cut = read_edits(&EDITS[..60], true).unwrap_err().remove(0);
        assert!(cut.message.contains("fewer or smaller"), "{cut}");
        assert_eq!(codes(&"[".repeat(100_000)), [(one, None)]);
    }

    #[test]
    fn the_sign_for_a_credential_is_never_written_in_its_place() {
        let edit = r#"[{"op": "delete", "path": "b"},
            {"op": "replace", "path": "a", "content": "token = [redacted:github_token]\n"}]"#;
        assert_eq!(codes(edit), [("draft_malformed", Some(1))]);
    }
}
