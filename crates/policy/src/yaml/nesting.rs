//! Rejects deep nesting before the parser runs, because the parser's time is quadratic in the nesting.

use super::MAX_DEPTH;

/// The maximum number of opening brackets anywhere in a text, because [`too_deep`] can misjudge quoted text (in a
/// block text, a quote is an ordinary character). This number costs the parser 60 ms.
const MAX_BRACKETS: usize = 4096;

/// The first line, from 1, that is nested too deep by brackets, indentation or `- - -`.
pub(super) fn too_deep(text: &str) -> Option<usize> {
    let mut brackets = 0;
    let mut open = 0_usize;
    let mut quote = None;
    let mut indents: Vec<usize> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if quote.is_none() && open == 0 {
            indent(line, &mut indents);
        }
        let mut before = b' ';
        let mut escaped = false;
        for byte in line.bytes() {
            brackets += usize::from(matches!(byte, b'[' | b'{'));
            match (quote, byte) {
                (Some(b'"'), b'\\') if !escaped => {
                    escaped = true;
                    continue;
                }
                (Some(end), byte) if byte == end && !escaped => quote = None,
                (Some(_), _) => {}
                (None, b'#') if before.is_ascii_whitespace() => break,
                // Within a word, it is an apostrophe.
                (None, b'"' | b'\'') if !before.is_ascii_alphanumeric() => quote = Some(byte),
                // Outside of brackets, a bracket within a word is an ordinary character.
                (None, b'[' | b'{') if open > 0 || before.is_ascii_whitespace() => open += 1,
                (None, b']' | b'}') => open = open.saturating_sub(1),
                _ => {}
            }
            escaped = false;
            before = byte;
            if open + indents.len() > MAX_DEPTH || brackets > MAX_BRACKETS {
                return Some(number + 1);
            }
        }
    }
    None
}

/// Tracks the columns of open blocks.
fn indent(line: &str, indents: &mut Vec<usize>) {
    let text = line.trim_start_matches(' ');
    if text.is_empty() || text.starts_with('#') {
        return;
    }
    let column = line.len() - text.len();
    indents.retain(|open| *open < column);
    indents.push(column);
    // Each `- ` of `- - - a` opens a block.
    let indicators = text.bytes().take_while(|byte| matches!(byte, b'-' | b'?' | b' '));
    let mut before = b' ';
    for (index, byte) in indicators.enumerate() {
        if byte == b' ' && before != b' ' {
            indents.push(column + index);
        }
        before = byte;
    }
}
