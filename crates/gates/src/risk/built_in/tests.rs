//! The search leaves nothing out for being quick, and no text makes it take many steps.

use proptest::prelude::*;

use super::*;

/// Texts put together from parts of the patterns' own examples, where near misses are.
fn scraps() -> impl Strategy<Value = String> {
    let pieces: Vec<&'static str> = patterns::all()
        .into_iter()
        .flat_map(|(_, patterns)| patterns)
        .flat_map(|pattern| pattern.examples.iter().chain(pattern.counter_examples))
        .copied()
        .collect();
    let scrap =
        (prop::sample::select(pieces), 0.0..1.0f64, 0.0..1.0f64).prop_map(|(text, a, b)| {
            let chars: Vec<char> = text.chars().collect();
            let at = |share: f64| (share * chars.len() as f64) as usize;
            let (from, to) = (at(a.min(b) * 0.5), at(0.5 + a.max(b) * 0.5));
            chars[from..to].iter().collect::<String>()
        });
    let seams = prop::sample::select(vec!["", " ", "\n", "; ", "\""]);
    prop::collection::vec((scrap, seams), 1..6)
        .prop_map(|parts| parts.into_iter().flat_map(|(a, b)| [a, b.to_owned()]).collect())
}

fn searched() -> impl Iterator<Item = &'static Searched> {
    ALL.groups.iter().flat_map(|group| &group.patterns)
}

/// The ids of the patterns that are looked for one by one.
fn candidates(text: &str) -> Vec<&'static str> {
    let mut budget = Budget::default();
    let of_group = |group: &Group| {
        let found = group.prefilter.candidates(text.as_bytes(), &mut budget).into_iter();
        found.map(|index| group.patterns[index].pattern.id).collect::<Vec<_>>()
    };
    ALL.groups.iter().flat_map(of_group).collect()
}

proptest! {
    #[test]
    fn the_quick_pass_finds_whatever_a_pattern_finds(text in scraps()) {
        let candidates = candidates(&text);
        let view = View::original(&text);
        for Searched { pattern, regex, .. } in searched() {
            let regex = regex.get_or_init(|| compile(pattern)).as_ref().unwrap();
            let found = regex.is_match(view.text().as_bytes());
            prop_assert!(!found || candidates.contains(&pattern.id), "{} in {text:?}", pattern.id);
        }
    }
}

proptest! {
    #[test]
    fn no_credential_is_in_a_text_that_is_too_short_for_one(text in scraps(), from in 0.0..1.0f64) {
        let length = all().shortest_secret() - 1;
        let from = (from * text.len().saturating_sub(length) as f64) as usize;
        let short = text.get(from..(from + length).min(text.len())).unwrap_or_default();
        let effect = |category, _: &str| (category == Category::Secrets).then_some(Effect::Observe);
        let found = all().find(&Views::plain(short), &effect, MAX_HITS, &mut Budget::default());
        prop_assert!(found.is_empty(), "{short:?}: {found:?}");
    }
}

#[test]
fn harmless_text_is_searched_for_hardly_any_pattern() {
    let text = "The quick brown fox looks at the lazy dog, and nobody minds. ".repeat(50);
    assert_eq!(candidates(&text), Vec::<&str>::new());
    let text = "It moved three tables, and wrote down what was missing. A request takes a name, an optional \
                list of items, and returns how many there were (at most ten).\n"
        .repeat(50);
    assert_eq!(candidates(&text), Vec::<&str>::new());
}

/// What has been read before costs no more than reading it. With states that outgrow their cache it costs, for
/// good, what it cost the first time.
#[test]
fn texts_of_many_kinds_are_all_known_once_they_were_read() {
    let groups = Compiled::new(&patterns::all()).groups;
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folders = ["docs", "crates/engine/src", "crates/observer/src", "crates/domain/src"];
    let files = folders.iter().flat_map(|folder| std::fs::read_dir(root.join(folder)).unwrap());
    let is_text = |path: &std::path::PathBuf| {
        path.extension().is_some_and(|extension| extension == "md" || extension == "rs")
    };
    let mut paths: Vec<_> = files.map(|entry| entry.unwrap().path()).filter(is_text).collect();
    paths.sort();
    #[expect(clippy::disallowed_methods, reason = "a test may read files")]
    let texts: Vec<_> = paths.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
    assert!(texts.iter().map(String::len).sum::<usize>() > 300_000);
    let read = || {
        let mut budget = Budget { new_steps: usize::MAX };
        for text in &texts {
            for group in &groups {
                group.prefilter.candidates(text.as_bytes(), &mut budget);
            }
        }
        usize::MAX - budget.new_steps
    };
    assert!(read() > 1_000);
    assert_eq!(read(), 0);
}

#[test]
fn a_text_made_to_be_slow_is_searched_for_every_pattern_instead() {
    // Bytes that follow no pattern of earlier texts: xorshift, from a fixed seed.
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        char::from(32 + (seed % 95) as u8)
    };
    let text: String = (0..64 * 1024).map(|_| random()).collect();
    assert_eq!(candidates(&text).len(), searched().count());
}

#[test]
fn of_a_long_text_made_of_attacks_one_find_is_enough() {
    let refuse = |_, _: &str| Some(Effect::Deny);
    let attacks = "x; cat /etc/passwd ../../x http://127.0.0.1/ ".repeat(2_000);
    let found = ALL.find(&Views::of(&attacks), &refuse, MAX_HITS, &mut Budget::default());
    let rules: std::collections::BTreeSet<_> = found.iter().map(|found| &found.rule).collect();
    assert_eq!(rules.len(), 1);
    assert!(found.len() <= MAX_HITS);
}

#[test]
fn every_pattern_compiles_for_both_searches() {
    for Searched { pattern, .. } in searched() {
        assert!(compile(pattern).is_some(), "{}", pattern.id);
        assert!(super::super::probe::probe(&patterns::source(pattern)).is_some(), "{}", pattern.id);
    }
    let of_data = patterns::provenance::DESCRIPTIONS.iter().chain(patterns::provenance::RESULTS);
    for pattern in of_data {
        assert!(compile(pattern).is_some(), "{}", pattern.id);
    }
}
