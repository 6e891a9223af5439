//! What hides in an escape comes to light, and honest text stays as it is.

use proptest::prelude::*;

use super::*;

fn read(text: &str) -> String {
    decoded(text).map_or_else(|| text.to_owned(), |view| view.text().to_owned())
}

#[test]
fn escapes_are_read_by_table() {
    for (written, expected) in [
        ("%2e%2e%2f", "../"),
        ("%252e%252e%255c", "..\\"),
        ("%25252e", "."),
        ("%%32%65%%32%66", "./"),
        ("%c0%ae%c0%af", "./"),
        ("%c0%2e%c0%2f%c0%5c", "./\\"),
        ("%c1%9c%c1%1c", "\\\\"),
        ("%c0%ee", "."),
        ("%e0%80%ae%f0%80%80%af%f8%80%80%80%ae%fc%80%80%80%80%af", "././"),
        ("%c0%qf%bg%qf%c1%8s%c0%9v", "//\\/"),
        ("%u002e%uff0e%u2215%u2216", "../\\"),
        ("%uEFC8%uF025", "//"),
        ("&lt;&#47;&#x2E;&#x2e&bsol;&amp;lt;", "</..\\<"),
        ("．．／ｗｈｏａｍｉ　－ａ", "../whoami -a"),
        ("w\u{200b}h\u{feff}o\u{ad}am\u{202e}i", "whoami"),
        ("‥∕", "../"),
        ("%F0%9F%8C%B3 %C3%A4", "🌳 ä"),
        ("a%00b", "a\0b"),
    ] {
        assert_eq!(read(written), expected, "{written}");
    }
}

#[test]
fn honest_text_stays_as_it_is() {
    for text in [
        "",
        "100 % sure, 5%, %s and %d, 50%off",
        "Größe prüfen, naïve café, 观察",
        "AT&T; R&D & more, a&b",
        "--------------------------------",
        "it's \"quoted\" text",
    ] {
        assert_eq!(read(text), text, "{text}");
    }
}

#[test]
fn long_filler_becomes_a_line_break() {
    assert_eq!(read(&format!("{}whoami{}", "A".repeat(10_000), " ".repeat(100))), "\nwhoami\n");
}

#[test]
fn positions_lead_back_to_the_original() {
    let text = "see %252e%252e%252fx";
    let view = decoded(text).unwrap();
    let start = view.text().find("../").unwrap();
    let (start, end) = view.original_span(start, start + 3);
    assert_eq!(&text[start..end], "%252e%252e%252f");
}

proptest! {
    #[test]
    fn any_text_is_decoded_and_every_span_is_a_slice_of_it(
        text in "(%[0-9a-fA-F]{2}|%u[0-9a-f]{4}|&[a-z#0-9x;]{1,6}|\\PC|[%&./\\\\]){0,60}"
    ) {
        if let Some(view) = decoded(&text) {
            let len = view.text().len();
            for (start, end) in (0..=len).flat_map(|start| (start..=len).map(move |e| (start, e))) {
                let (from, to) = view.original_span(start, end);
                prop_assert!(from <= to && text.get(from..to).is_some(), "{start}..{end}");
            }
        }
    }

    #[test]
    fn a_percent_encoded_text_reads_as_itself(text in "[ -~]{0,40}", rounds in 1usize..4) {
        let mut encoded = text.clone();
        for _ in 0..rounds {
            encoded = encoded.bytes().map(|byte| format!("%{byte:02X}")).collect();
        }
        // Decoding may go on below the text itself, where that holds escapes of its own.
        prop_assert_eq!(read(&encoded), read(&text));
    }
}
