//! Text inside Base64 and hexadecimal, which a shell or a program decodes before it runs it.

use super::view::{Rewrite, View};

/// Shortest run of Base64 or hexadecimal digits that is decoded.
const MIN_RUN: usize = 20;
/// Shortest decoded text that is searched.
const MIN_TEXT: usize = 12;

/// The decoded texts of all such runs, each on a line of its own; `None` when there are none.
pub(super) fn embedded(text: &str) -> Option<View<'static>> {
    let original = View::original(text);
    let mut rewrite: Option<Rewrite<'_>> = None;
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some((start, end)) = next_run(bytes, at) {
        at = end;
        if let Some(decoded) = decode(&bytes[start..end]) {
            let rewrite = rewrite.get_or_insert_with(|| Rewrite::of(&original));
            decoded.chars().for_each(|c| rewrite.replace(c, start));
            // Ends the span of the text before.
            rewrite.replace('\n', end);
        }
    }
    rewrite?.finish()
}

/// The next run of at least [`MIN_RUN`] digits, which is found by looking at its end first: in ordinary
/// text, a word begins or ends in between, and all bytes before that need no look.
fn next_run(bytes: &[u8], mut from: usize) -> Option<(usize, usize)> {
    loop {
        let window = bytes.get(from..from + MIN_RUN)?;
        // A plain loop: this is on the way of every text.
        let mut left = MIN_RUN;
        while left > 0 && is_digit(window[left - 1]) {
            left -= 1;
        }
        if left > 0 {
            from += left;
            continue;
        }
        let rest = &bytes[from + MIN_RUN..];
        let more = rest.iter().position(|byte| !is_digit(*byte)).unwrap_or(rest.len());
        return Some((from, from + MIN_RUN + more));
    }
}

/// A digit of either alphabet of Base64, which have those of hexadecimal in them.
fn is_digit(byte: u8) -> bool {
    DIGITS[usize::from(byte)] < 64
}

/// The value of each digit; 255 for other bytes.
static DIGITS: [u8; 256] = {
    let mut digits = [255; 256];
    let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut value = 0;
    while value < letters.len() {
        digits[letters[value] as usize] = value as u8;
        value += 1;
    }
    digits[b'+' as usize] = 62;
    digits[b'-' as usize] = 62;
    digits[b'/' as usize] = 63;
    digits[b'_' as usize] = 63;
    digits
};

fn decode(run: &[u8]) -> Option<String> {
    let hex = run.strip_prefix(b"0x").unwrap_or(run);
    let is_hex = hex.len().is_multiple_of(2) && hex.iter().all(u8::is_ascii_hexdigit);
    if is_hex && let Some(text) = text(hex.chunks_exact(2).map(hex_byte)) {
        return Some(text);
    }
    text(run.chunks(4).flat_map(|group| {
        let value =
            |at: usize| group.get(at).map_or(0, |byte| u32::from(DIGITS[usize::from(*byte)]));
        let bits = value(0) << 18 | value(1) << 12 | value(2) << 6 | value(3);
        let [_, first, second, third] = bits.to_be_bytes();
        // A last group of two or three digits holds one byte less than it has digits.
        [first, second, third].into_iter().take(group.len().saturating_sub(1))
    }))
}

fn hex_byte(pair: &[u8]) -> u8 {
    let digit = |byte: u8| char::from(byte).to_digit(16).unwrap_or(0) as u8;
    digit(pair[0]) << 4 | digit(pair[1])
}

/// The bytes as text, if they are text: UTF-8, or UTF-16 of ASCII as PowerShell takes it, without control
/// characters. Nearly everything else fails within its first bytes.
fn text(bytes: impl Iterator<Item = u8>) -> Option<String> {
    let mut decoded = Vec::new();
    for (at, byte) in bytes.enumerate() {
        let is_half = byte == 0 && at % 2 == 1;
        if byte < b' ' && !matches!(byte, b'\t' | b'\n' | b'\r') && !is_half || byte == 0x7f {
            return None;
        }
        decoded.push(byte);
        // UTF-8 that goes wrong early is not worth reading to its end.
        if at == 32 && std::str::from_utf8(&decoded).is_err_and(|error| error.error_len().is_some())
        {
            return None;
        }
    }
    if decoded.contains(&0) {
        let is_wide = decoded.chunks_exact(2).all(|pair| pair[0] != 0 && pair[1] == 0);
        decoded = if is_wide { decoded.into_iter().step_by(2).collect() } else { return None };
    }
    String::from_utf8(decoded).ok().filter(|text| text.len() >= MIN_TEXT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<String> {
        embedded(text).map(|view| view.text().to_owned())
    }

    #[test]
    fn text_in_base64_and_hexadecimal_is_read() {
        for (written, expected) in [
            ("echo Y2F0IC9ldGMvcGFzc3dk | base64 -d", "cat /etc/passwd\n"),
            ("powershell -enc YwBhAHQAIAAvAGUAdABjAC8AcABhAHMAcwB3AGQA", "cat /etc/passwd\n"),
            ("x 636174202f6574632f706173737764 y", "cat /etc/passwd\n"),
            ("0x636174202f6574632f706173737764", "cat /etc/passwd\n"),
        ] {
            assert_eq!(read(written).as_deref(), Some(expected), "{written}");
        }
    }

    #[test]
    fn hashes_words_and_pictures_are_left() {
        for text in [
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "aVeryLongIdentifierInCamelCaseThatGoesOnAndOn",
            "crates/gates/src/risk/patterns/provenance",
            "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAUAAAAFCAYAAACNbyblAAAAHElEQVQI12P4",
            "short: Y2F0IC9ldGM",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn a_find_leads_back_to_the_whole_run() {
        let text = "a Y2F0IC9ldGMvcGFzc3dk b Y2F0IC9ldGMvcGFzc3dk";
        let view = embedded(text).unwrap();
        assert_eq!(view.original_span(4, 15), (2, 22));
        assert_eq!(view.original_span(20, 31), (25, 45));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read(text in "[A-Za-z0-9+/_=-]{0,80}|\\PC{0,60}") {
            read(&text);
        }
    }
}
