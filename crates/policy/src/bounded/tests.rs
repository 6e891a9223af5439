//! Searches end for every pattern and text.

use proptest::prelude::*;

use super::*;

fn found(pattern: &str, text: &str) -> Found {
    BoundedRegex::new(pattern).unwrap().find(text)
}

fn refusal(pattern: &str) -> BadPattern {
    BoundedRegex::new(pattern).unwrap_err()
}

#[test]
fn matches_are_found_where_they_are() {
    for (pattern, text, expected) in [
        ("b+", "abbc", Found::At { start: 1, end: 3 }),
        ("b+", "acd", Found::No),
        ("(?i)grüß", "GRÜSSE, GRÜß", Found::At { start: 9, end: 15 }),
        (r"(?<!\w)token(?!s)", "tokens, stoken, token", Found::At { start: 16, end: 21 }),
        (r"(?<=ä)b", "bäb", Found::At { start: 3, end: 4 }),
        (r"(\w)\1", "abccd", Found::At { start: 2, end: 4 }),
        (r"(?:foo|bar)(?=\s{0,3}\()", "foo bar (", Found::At { start: 4, end: 7 }),
        (r"[0-9a-f]{64}", &format!("x{}", "0a".repeat(32)), Found::At { start: 1, end: 65 }),
    ] {
        assert_eq!(found(pattern, text), expected, "{pattern} in {text}");
    }
}

#[test]
fn a_search_can_start_anywhere() {
    for pattern in ["ä", "(?<!x)ä"] {
        let regex = BoundedRegex::new(pattern).unwrap();
        let text = "ää";
        assert_eq!(regex.find_from(text, 0), Found::At { start: 0, end: 2 }, "{pattern}");
        // A position within a character means the next character.
        assert_eq!(regex.find_from(text, 1), Found::At { start: 2, end: 4 }, "{pattern}");
        assert_eq!(regex.find_from(text, 4), Found::No, "{pattern}");
        assert_eq!(regex.find_from(text, 5), Found::No, "{pattern}");
    }
}

#[test]
fn what_lies_beyond_the_first_stretch_is_found_too() {
    let regex = BoundedRegex::new(r"(?<!\w)key(?!s)").unwrap();
    for before in [0, 1, 4090, 4094, 4096, 4097, 20_000] {
        let text = format!("keys {}key", "ä ".repeat(before));
        let start = text.len() - 3;
        assert_eq!(regex.find(&text), Found::At { start, end: start + 3 }, "{before}");
    }
}

#[test]
fn harmless_text_of_any_length_never_reaches_a_limit() {
    let text = "The cat sat on the mat; grüne Bäume. ".repeat(30_000);
    for pattern in [
        r"(?<!\w)dog",
        r"(?<![\w-])[0-9a-f]{40}(?![\w-])",
        r"(\w{3})\1x",
        r"(?<!\w)cats(?!\w)",
        r"the.{0,60}dog",
        r"[A-Z0-9]{100}",
    ] {
        assert_eq!(found(pattern, &text), Found::No, "{pattern}");
    }
}

#[test]
fn a_text_that_exhausts_a_search_counts_as_found() {
    let hostile = "a".repeat(65_536);
    for pattern in [r"(?:(?!b)a|(?!c)aa){1,50}(?!a)", r"(?<!x)(?:(?:a?){50}a{50})\d?(?!a)"] {
        let regex = BoundedRegex::new(pattern).unwrap();
        assert_eq!(regex.find(&hostile), Found::LimitReached, "{pattern}");
        assert!(regex.is_found(&hostile));
    }
    let mixed: String = (0..65_536_u64).map(|n| if n * n % 7 < 3 { 'a' } else { 'b' }).collect();
    let scattered: String = mixed
        .bytes()
        .scan(1_u32, |seed, byte| {
            *seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            Some(if *seed >> 31 == 0 { char::from(byte) } else { 'a' })
        })
        .collect();
    let regex = BoundedRegex::new("a.{200}c").unwrap();
    assert_eq!(regex.find(&scattered), Found::LimitReached);
    // A text that exhausts a search does not affect the next search.
    assert_eq!(regex.find("a harmless text"), Found::No);
    assert_eq!(regex.find(&scattered), Found::LimitReached);
}

#[test]
fn known_evil_patterns_end_with_an_answer_or_are_refused() {
    // Families named by OWASP and regexploit, each with a text that makes other engines slow.
    let at_end = Found::At { start: 65_537, end: 65_537 };
    for (pattern, unit, expected) in [
        ("([a-zA-Z]+)*$", "a", Ok(at_end)),
        ("(.*a){12}$", "a", Ok(Found::No)),
        (r"v\w*_\w*_\w*$", "v_", Ok(Found::No)),
        ("(a*)*$", "a", Ok(at_end)),
        ("(a|aa)+$", "a", Ok(Found::No)),
        ("^(([a-z])+.)+[A-Z]([a-z])+$", "a", Ok(Found::No)),
        ("(?:(?:a{0,3}){0,3}){0,9}(?!a)b", "a", Ok(Found::No)),
        ("(?:(?!b)a|(?!c)aa){1,50}(?!a)", "a", Ok(Found::LimitReached)),
        (r#"(?:.*?,)*?[ \t]*([^ \t]+)[ \t]+realm=(["'])(.*?)\2"#, ",", Err(BadPattern::Unbounded)),
    ] {
        let text = unit.repeat(65_536 / unit.len()) + "!";
        let answer = BoundedRegex::new(pattern).map(|regex| regex.find(&text));
        assert_eq!(answer, expected, "{pattern}");
    }
}

#[test]
fn what_cannot_be_bounded_is_refused_with_the_reason() {
    assert_eq!(refusal(&"a".repeat(1_001)), BadPattern::TooLong(1_001));
    assert_eq!(refusal("(a"), BadPattern::Unreadable("unclosed group".to_owned()));
    assert_eq!(
        refusal("(?<!x)(a"),
        BadPattern::Unreadable("opening parenthesis without closing parenthesis".to_owned())
    );
    assert!(matches!(refusal(r"\p{Nonsense}"), BadPattern::Unreadable(_)));
    assert_eq!(refusal(r"\w{1000}"), BadPattern::TooLarge);
    assert_eq!(refusal(r"(?:a{100}){100}{100}"), BadPattern::TooLarge);
    assert_eq!(refusal(r"\bx.{0,80}y"), BadPattern::BoundaryBesideCounts);
    for pattern in [r"(?<!x)a+", r"(?=.*\d)x", r"(?<=a*)b", r"(a*)\1", r"(?:a(?!b))*c"] {
        assert_eq!(refusal(pattern), BadPattern::Unbounded, "{pattern}");
    }
    assert_eq!(refusal(r"(?<!x)a{1,300}"), BadPattern::TooFar(341));
    assert_eq!(refusal(r"(?:a(?=b)){9}"), BadPattern::TooFar(9 * 42));
    for pattern in [
        r"(?<!x)(?>a)",
        r"(?<!x)a{1,3}+",
        r"(?=a(?!b))a",
        r"(?<!x)a\Kb",
        r"(a\1)",
        r"(a)?(?(1)b|c)(?!d)",
        r"(?<!x)\R",
    ] {
        let refused = refusal(pattern);
        let understood = matches!(refused, BadPattern::Unsupported | BadPattern::Unreadable(_));
        assert!(understood, "{pattern}: {refused:?}");
    }
}

/// Patterns composed of small parts, with and without look-around.
fn patterns() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        "[abä]",
        Just(".".to_owned()),
        Just("[ab]".to_owned()),
        Just(r"\w".to_owned()),
        Just(r"\b".to_owned()),
        Just("^".to_owned()),
        Just("$".to_owned()),
    ];
    part.prop_recursive(4, 16, 4, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a}{b}")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("(?:{a}|{b})")),
            (inner.clone(), 0..3_u8, 0..3_u8)
                .prop_map(|(a, min, more)| format!("(?:{a}){{{min},{}}}", min + more)),
            (inner.clone(), prop::sample::select(vec!["=", "!", "<=", "<!"]))
                .prop_map(|(a, look)| format!("(?{look}{a})")),
            inner.prop_map(|a| format!("({a})\\1")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn bounded_search_finds_what_unbounded_search_finds(
        pattern in patterns(),
        text in "[abäc \n]{0,40}",
        padding in 0..5_000_usize,
    ) {
        let Ok(bounded) = BoundedRegex::new(&pattern) else { return Ok(()) };
        let text = format!("{}{text}", "c".repeat(padding));
        let exact = fancy_regex::RegexBuilder::new(&pattern).optimize(false).build();
        let expected = exact.unwrap().find(&text).unwrap();
        match (bounded.find(&text), expected) {
            (Found::No, None) | (Found::LimitReached, _) => {}
            (Found::At { start, .. }, Some(exact)) => prop_assert_eq!(start, exact.start()),
            (found, expected) => prop_assert!(false, "{:?} for {:?}", found, expected),
        }
    }

    #[test]
    fn no_pattern_makes_it_panic(pattern in r"[a-c\\()\[\]{}?*+|.^$<>=!:,0-9wdbkKRpPGzZA-]{0,24}", text in "\\PC{0,30}") {
        if let Ok(regex) = BoundedRegex::new(&pattern) {
            regex.find(&text);
        }
    }
}
