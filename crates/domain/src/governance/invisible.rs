//! Characters that people do not see and programs read: one table for gates and displays.
//!
//! Three families hide text: tag characters (U+E0020 to U+E007E mirror ASCII), variation selectors (256 of them,
//! enough for bytes), and zero-width characters that are inserted into words. Bidirectional controls hide nothing
//! but show text in another order than the one in which a program reads it.

/// What an invisible character is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Invisible {
    /// A tag character, with the ASCII character that it mirrors.
    Tag(char),
    /// A variation selector, with its number from 0 to 255.
    Selector(u8),
    /// A bidirectional control.
    Bidi,
    /// Another character of no width.
    ZeroWidth,
}

/// What an invisible character is; `None` for a visible one.
pub fn invisible(c: char) -> Option<Invisible> {
    // Nearly every character of nearly every text is below the first of them.
    if c < '\u{ad}' {
        return None;
    }
    let number = |first: char, offset: u32| u8::try_from(u32::from(c) - u32::from(first) + offset);
    Some(match c {
        '\u{e0020}'..='\u{e007e}' => {
            Invisible::Tag(char::from_u32(u32::from(c) - 0xe0000).unwrap_or(' '))
        }
        '\u{fe00}'..='\u{fe0f}' => Invisible::Selector(number('\u{fe00}', 0).unwrap_or(0)),
        '\u{e0100}'..='\u{e01ef}' => Invisible::Selector(number('\u{e0100}', 16).unwrap_or(0)),
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
            Invisible::Bidi
        }
        '\u{ad}'
        | '\u{34f}'
        | '\u{115f}'
        | '\u{1160}'
        | '\u{17b4}'
        | '\u{17b5}'
        | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200d}'
        | '\u{2060}'..='\u{2065}'
        | '\u{206a}'..='\u{206f}'
        | '\u{2800}'
        | '\u{3164}'
        | '\u{feff}'
        | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}'
        | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}' => Invisible::ZeroWidth,
        _ => return None,
    })
}

/// The text as people should see it: each invisible character as `‹U+200B›`, a run of tag characters as
/// `‹tags:the text›`. Borrowed when the text holds none.
pub fn display(text: &str) -> std::borrow::Cow<'_, str> {
    if text.is_ascii() || !text.chars().any(|c| invisible(c).is_some()) {
        return std::borrow::Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    let mut in_tags = false;
    for c in text.chars() {
        let kind = invisible(c);
        if in_tags && !matches!(kind, Some(Invisible::Tag(_))) {
            shown.push('›');
            in_tags = false;
        }
        match kind {
            None => shown.push(c),
            Some(Invisible::Tag(ascii)) => {
                if !in_tags {
                    shown.push_str("‹tags:");
                    in_tags = true;
                }
                shown.push(ascii);
            }
            Some(_) => shown.push_str(&format!("‹U+{:04X}›", u32::from(c))),
        }
    }
    if in_tags {
        shown.push('›');
    }
    std::borrow::Cow::Owned(shown)
}

/// The bytes of the longest run of tag characters or of variation selectors that has at least `least`
/// characters: a message, not typography. An emoji's flag of a region, which is spelled in tags after a black
/// flag, is no message, and one selector after a character only chooses its form.
pub fn longest_message(text: &str, least: usize) -> Option<(usize, usize)> {
    if text.is_ascii() {
        return None;
    }
    let mut longest: Option<(usize, usize, usize)> = None;
    let mut run: Option<(usize, usize)> = None;
    let mut before = ' ';
    for (at, c) in text.char_indices().chain([(text.len(), ' ')]) {
        let spells = matches!(invisible(c), Some(Invisible::Tag(_) | Invisible::Selector(_)));
        match (&mut run, spells) {
            (Some((_, count)), true) => *count += 1,
            (None, true) if before == '\u{1f3f4}' => {}
            (None, true) => run = Some((at, 1)),
            (Some((start, count)), false) => {
                let is_longer = longest.is_none_or(|(_, _, most)| *count > most);
                if *count >= least && is_longer {
                    longest = Some((*start, at, *count));
                }
                run = None;
            }
            (None, false) => {}
        }
        if !spells {
            before = c;
        }
    }
    longest.map(|(start, end, _)| (start, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_family_is_known_and_letters_are_visible() {
        assert_eq!(invisible('\u{e0041}'), Some(Invisible::Tag('A')));
        assert_eq!(invisible('\u{fe0f}'), Some(Invisible::Selector(15)));
        assert_eq!(invisible('\u{e0100}'), Some(Invisible::Selector(16)));
        assert_eq!(invisible('\u{e01ef}'), Some(Invisible::Selector(255)));
        assert_eq!(invisible('\u{202e}'), Some(Invisible::Bidi));
        for c in ['\u{200b}', '\u{115f}', '\u{2800}', '\u{3164}', '\u{fff9}', '\u{1d173}'] {
            assert_eq!(invisible(c), Some(Invisible::ZeroWidth), "{c:?}");
        }
        for c in ['a', 'ä', '中', ' ', '\n', '👨'] {
            assert_eq!(invisible(c), None, "{c}");
        }
    }

    #[test]
    fn people_see_what_programs_read() {
        assert_eq!(display("plain ä"), "plain ä");
        assert_eq!(display("a\u{200b}b\u{202e}c"), "a‹U+200B›b‹U+202E›c");
        assert_eq!(display("x\u{e0068}\u{e0069}!"), "x‹tags:hi›!");
        assert_eq!(display("\u{e0068}"), "‹tags:h›");
    }

    #[test]
    fn a_message_is_a_run_and_typography_is_not() {
        let flag = "\u{1f3f4}\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}";
        assert_eq!(longest_message(flag, 4), None);
        assert_eq!(longest_message("✔\u{fe0f} ✔\u{fe0f} ✔\u{fe0f} ✔\u{fe0f}", 4), None);
        let hidden = "a\u{e0068}\u{e0069}\u{e0068}\u{e0069}b";
        assert_eq!(longest_message(hidden, 4), Some((1, 17)));
        assert_eq!(longest_message(hidden, 5), None);
    }
}
