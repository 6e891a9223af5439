//! Whatever the edits, git takes the patch and makes of it what was planned.

use std::collections::BTreeMap;

use life_agent_plans::edit::Edit;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::support::{Place, edits, patch};

/// A file and what becomes of it.
#[derive(Debug, Clone)]
struct Case {
    path: String,
    before: Option<String>,
    change: Change,
}

#[derive(Debug, Clone)]
enum Change {
    To(String),
    /// `search_replace` of the line with this index, where it is the only one of its kind.
    Line(usize, String),
    Gone,
}

impl Case {
    /// The edit, and the text after it; `None` where it would change nothing.
    fn edit(&self) -> Option<(Edit, Option<String>)> {
        let path = self.path.clone();
        match (&self.before, &self.change) {
            (None, Change::Gone) => None,
            (None, Change::To(content) | Change::Line(_, content)) => {
                let content = content.clone();
                Some((Edit::Create { path, content: content.clone() }, Some(content)))
            }
            (Some(_), Change::Gone) => Some((Edit::Delete { path }, None)),
            (Some(before), Change::Line(index, text)) => {
                let lines: Vec<_> = before.lines().collect();
                let search = *lines.get(index % lines.len().max(1))?;
                let unique = before.matches(search).count() == 1;
                let replace = text.lines().next().unwrap_or_default().to_owned();
                if search.is_empty() || !unique || replace == search {
                    return None;
                }
                let after = before.replacen(search, &replace, 1);
                let search = search.to_owned();
                Some((Edit::SearchReplace { path, search, replace }, Some(after)))
            }
            (Some(before), Change::To(content)) => {
                let content = content.clone();
                let edit = Edit::Replace { path, content: content.clone() };
                (*before != content).then_some((edit, Some(content)))
            }
        }
    }
}

/// Lines that look like something else to a reader of patches, and lines that are hard to show.
const LINES: &[&str] = &[
    "",
    "a",
    "b",
    "c",
    "fn main() {",
    "}",
    "ümlaut 漢字 🦀",
    "-- sql",
    "++i",
    "--- a/x",
    "+++ b/x",
    "@@ -1 +1 @@",
    "diff --git a/x b/x",
    "From 0000000000000000000000000000000000000000 Mon Sep 17 00:00:00 2001",
    "From: x <x@y>",
    ">From here",
    "\\ No newline at end of file",
    "  indented  ",
    "\ttab\t",
    "one\rtwo",
    "---",
    "Subject: x",
    "\u{feff}bom",
    "-- ",
];

fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => select(LINES).prop_map(str::to_owned),
        1 => "[a-z ]{0,12}",
        1 => "\\PC{1,8}".prop_map(|text| text.replace('\r', "")),
    ]
}

/// A text in one style of line endings, with or without one at its end.
fn text(style: u8) -> impl Strategy<Value = String> {
    (vec((line(), any::<bool>()), 0..14), any::<bool>()).prop_map(move |(lines, ended)| {
        // A mixed file has both from the start: one in a single style would have to keep to it.
        let mut text = if style == 2 { "lf\ncrlf\r\n".to_owned() } else { String::new() };
        let last = lines.len().saturating_sub(1);
        for (index, (line, crlf)) in lines.into_iter().enumerate() {
            text.push_str(&line);
            let crlf = style == 1 || style == 2 && crlf;
            if index < last || ended {
                text.push_str(if crlf { "\r\n" } else { "\n" });
            }
        }
        text
    })
}

fn case() -> impl Strategy<Value = Case> {
    let dir = select(vec!["", "src/", "a b/", "ä/ö/", "tab\there/", "\"quoted\"/", "-x/"]);
    let name = select(vec![
        "f",
        "naïve",
        "日本",
        "with space",
        "it's",
        "q\"q",
        "a\tb",
        "$x;&",
        "x'",
        "-f",
        "e\u{301}",
    ]);
    (dir, name, 0..3u8).prop_flat_map(|(dir, name, style)| {
        let change = prop_oneof![
            4 => text(style).prop_map(Change::To),
            2 => (0..14usize, line()).prop_map(|(index, line)| Change::Line(index, line)),
            1 => Just(Change::Gone),
        ];
        (Just(format!("{dir}{name}")), prop::option::weighted(0.8, text(style)), change)
            .prop_map(|(path, before, change)| Case { path, before, change })
    })
}

proptest! {
    // 60 repositories of 1 to 11 edits.
    #![proptest_config(ProptestConfig { cases: 60, max_shrink_iters: 40, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn git_takes_the_patch_and_makes_of_it_what_was_planned(cases in vec(case(), 1..12)) {
        // Two cases of one name that differ in composition would collide; a number keeps them apart.
        let mut cases = cases;
        cases.iter_mut().enumerate().for_each(|(n, case)| case.path.push_str(&n.to_string()));
        let before: Vec<_> = cases.iter()
            .filter_map(|case| Some((case.path.as_str(), case.before.as_deref()?))).collect();
        let place = Place::with(&before);
        let planned: Vec<_> = cases.iter().filter_map(Case::edit).collect();
        prop_assume!(!planned.is_empty());
        let expected: BTreeMap<_, _> =
            planned.iter().map(|(edit, after)| (edit.path().to_owned(), after.clone())).collect();

        let untouched = place.snapshot();
        let artifact = place.plan(edits(planned.into_iter().map(|(edit, _)| edit)));
        prop_assert_eq!(&untouched, &place.snapshot());
        let record = &artifact.record;
        let base = place.head();
        prop_assert_eq!(record.base_commit.as_ref(), Some(&base));

        let mail = place.plans().join(&record.patch.as_ref().unwrap().file);
        let diff = place.store().diff(&artifact).unwrap().unwrap();
        let bare = place.plans().join("bare.diff");
        std::fs::write(&bare, &diff).unwrap();
        for file in [&mail, &bare] {
            place.git(["apply".as_ref(), "--check".as_ref(), file.as_os_str()]);
        }
        place.git(["am".as_ref(), "--quiet".as_ref(), "--keep-cr".as_ref(), mail.as_os_str()]);

        let hash = |text: &Option<String>| {
            text.as_ref().map(|text| blake3::hash(text.as_bytes()).to_hex().to_string())
        };
        for (path, after) in &expected {
            let found = std::fs::read(place.at(path)).ok();
            prop_assert_eq!(found.as_deref(), after.as_ref().map(|text| text.as_bytes()));
            let file = record.files.iter().find(|file| file.path == *path).unwrap();
            prop_assert_eq!(&file.after, &hash(after));
        }
        prop_assert_eq!(record.files.len(), expected.len());
        let changed = place.git(["diff", "--name-only", "-z", "--no-renames", &base, "HEAD"]);
        let changed: Vec<_> = changed.split_terminator('\0').collect();
        prop_assert_eq!(changed, expected.keys().collect::<Vec<_>>());
        let told = place.git(["log", "-1", "--format=%an|%s|%b"]);
        prop_assert!(told.starts_with("ann|Mend the gate|  It squeaks."), "{}", told);
        prop_assert!(told.contains(&format!("Base-commit: {base}")), "{}", told);

        // Git's own patch of the same change is the same plan, and its headers are ours.
        let theirs = place.git(["diff", "--no-renames", &base, "HEAD"]);
        prop_assert_eq!(headers(&theirs), headers(&diff));
        place.git(["checkout", "--quiet", &base]);
        let again = place.propose(patch(theirs)).unwrap();
        prop_assert_eq!(again.diff(), Some(diff.as_str()));
    }
}

/// What stands above the hunks, without the `index` lines that git alone has.
fn headers(diff: &str) -> Vec<&str> {
    let mut above = false;
    let is_header = |line: &&str| {
        above = line.starts_with("diff --git ") || above && !line.starts_with("@@");
        above && !line.starts_with("index ")
    };
    diff.lines().filter(is_header).collect()
}
