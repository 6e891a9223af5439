//! Faults that the YAML parser accepts and this crate rejects.

use serde_json::json;

use super::*;

fn fault(text: &str) -> Fault {
    read(text).unwrap_err()
}

fn faults(text: &str) -> Vec<(String, String)> {
    read(text).unwrap().1.into_iter().map(|fault| (fault.path, fault.message)).collect()
}

#[test]
fn values_are_read_as_yaml_means_them() {
    let text = "a: 1\nb: [x, 'y', \"z\", 1.5, true]\nc:\n  - d: |\n      [not a list\n    e: -7\n";
    let (value, faults) = read(text).unwrap();
    let c = json!([{"d": "[not a list\n", "e": -7}]);
    assert_eq!(value, json!({"a": 1, "b": ["x", "y", "z", 1.5, true], "c": c}));
    assert!(faults.is_empty());
}

#[test]
fn what_the_parser_would_let_pass_is_reported() {
    for (text, path, message) in [
        ("a: 1\na: 2", "a", "is given more than once"),
        ("a: {b: 1, c: {d: 1, d: 1}}", "a.c.d", "is given more than once"),
        ("a: [{b: 1}, {b: 1, b: 1}]", "a.1.b", "is given more than once"),
        ("a:\nb: 1", "a", "has no value"),
        ("a: [1, ~]", "a.1", "has no value"),
        ("a: {1: x}", "a", "has a key that is not a text"),
        ("a: {[x]: y}", "a", "has a key that is not a text"),
        ("a: !secret x", "a", "has the tag `!secret`"),
        ("a: [!x {b: c}]", "a.0", "has the tag `!x`"),
        ("a: .nan", "a", "must be a finite number"),
        ("a: 99999999999999999999999", "a", "must be a smaller number"),
    ] {
        let found = faults(text);
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        assert_eq!(found[0].0, path, "{text}");
        assert!(found[0].1.starts_with(message), "{text}: {}", found[0].1);
    }
}

#[test]
fn what_is_not_yaml_has_a_line_and_a_column() {
    let broken = fault("a: 1\nb: [1, 2\nc: 3\n");
    assert!(broken.message.starts_with("is not YAML: "), "{}", broken.message);
    assert_eq!((broken.line, broken.column), (Some(3), Some(2)), "{}", broken.message);
    let unquoted = fault("deny_globs:\n  - **/.git/**\n");
    assert!(unquoted.message.ends_with("needs quotes"), "{}", unquoted.message);
    assert_eq!(unquoted.line, Some(2));
    let two = fault("a: 1\n---\nb: 2\n");
    assert!(two.message.contains("more than one document"), "{}", two.message);
}

#[test]
fn size_is_bounded_before_anything_is_read() {
    let at = format!("a: {}", "x".repeat(MAX_BYTES - 3));
    assert!(read(&at).is_ok());
    assert!(fault(&format!("{at}x")).message.starts_with("must be at most 65536 bytes"));
}

#[test]
fn nesting_is_bounded_whatever_it_is_made_of() {
    let flow = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let blocks = |levels: usize| {
        (0..levels).map(|level| format!("{}a:\n", " ".repeat(level))).collect::<String>()
    };
    let dashes = |levels: usize| format!("{}x", "- ".repeat(levels));
    let same_column = |levels: usize| {
        (0..levels / 2).map(|n| format!("{}a:\n{0}-\n", " ".repeat(n))).collect::<String>()
    };
    let makers: [&dyn Fn(usize) -> String; 4] = [&flow, &blocks, &dashes, &same_column];
    for (number, make) in makers.into_iter().enumerate() {
        assert!(read(&make(MAX_DEPTH - 2)).is_ok(), "{number}");
        let refused = fault(&make(MAX_DEPTH + 2));
        assert_eq!(refused.message, too_deep(), "{number}");
        assert!(refused.line.is_some(), "{number}");
    }
}

#[test]
fn brackets_that_hide_behind_a_quote_are_counted_all_the_same() {
    // In a block text, a quote does not start a quoted text.
    let hidden = format!("a: |\n  it's 'quoted\nb: {}\n", "[".repeat(60_000));
    assert_eq!(fault(&hidden).message, too_deep());
}

#[test]
fn honest_texts_full_of_brackets_pass() {
    let line = "  - '(?i)[a-z]{1,9} \\[x\\] [^\\]]+'\n  - \"\\\"[\"\n  - a\\[b [c] # it's [\n";
    let text = format!("list:\n{}", line.repeat(200));
    assert_eq!(read(&text).unwrap().1, []);
}

#[test]
fn aliases_cannot_multiply_a_small_text() {
    let mut text = format!("a0: &a0 [{}]\n", vec!["x"; 1_000].join(","));
    for n in 1..4 {
        let previous = format!("*a{},", n - 1);
        text += &format!("a{n}: &a{n} [{}]\n", previous.repeat(40));
    }
    let refused = fault(&text).message;
    assert!(refused.contains("too many values") || refused.contains("limit"), "{refused}");
    let (value, faults) = read("a: &x [1]\nb: *x\n").unwrap();
    assert_eq!((value, faults.len()), (json!({"a": [1], "b": [1]}), 0));
}

#[test]
fn each_path_leads_to_its_line_and_column() {
    let text = "version: \"1\"\n# a comment\nrules:\n  - id: a\n    match: {kinds: [act, walk]}\n";
    for (path, place) in [
        ("version", (1, 1)),
        ("rules", (3, 1)),
        ("rules.0", (4, 5)),
        ("rules.0.id", (4, 5)),
        ("rules.0.match", (5, 5)),
        ("rules.0.match.kinds", (5, 13)),
        ("rules.0.match.kinds.1", (5, 26)),
        // A missing value has the place of its parent.
        ("rules.0.effect", (4, 5)),
    ] {
        let mut faults = [Fault::new(path, "")];
        locate_all(text, &mut faults);
        assert_eq!((faults[0].line, faults[0].column), (Some(place.0), Some(place.1)), "{path}");
    }
}
