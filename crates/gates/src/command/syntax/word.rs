//! Words of a POSIX shell: quotes, escapes, parameters and substitutions.

use super::posix::Parser;
use super::{Operation, Part, Word};
use crate::command::budget::Unparsed;

/// Where a word ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ends {
    /// At the end of the given range: the grammar knows the extent.
    Range,
    /// At the first unquoted blank or operator.
    Operator,
}

/// Parts under construction; neighboring text is merged.
#[derive(Default)]
struct Parts {
    parts: Vec<Part>,
}

impl Parts {
    fn text(&mut self, piece: &str, quoted: bool) {
        if let Some(Part::Text { text, quoted: last }) = self.parts.last_mut()
            && *last == quoted
        {
            text.push_str(piece);
            return;
        }
        self.parts.push(Part::Text { text: piece.to_owned(), quoted });
    }
}

impl Parser<'_, '_> {
    /// The word at `from`, and where it ends. Never looks beyond `end`.
    pub(crate) fn word(
        &mut self,
        from: usize,
        end: usize,
        ends: Ends,
    ) -> Result<(Word, usize), Unparsed> {
        let mut parts = Parts::default();
        let mut at = from;
        while at < end {
            self.budget.spend(1)?;
            let byte = self.bytes[at];
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' | b';' | b'&' | b'|' | b')' | b'(' | b'<' | b'>'
                    if ends == Ends::Operator =>
                {
                    if matches!(byte, b'<' | b'>') && self.bytes.get(at + 1) == Some(&b'(') {
                        at = self.process(at, end, &mut parts)?;
                        continue;
                    }
                    break;
                }
                b'<' | b'>' if at == from && self.bytes.get(at + 1) == Some(&b'(') => {
                    at = self.process(at, end, &mut parts)?;
                }
                b'\\' => at = self.escape(at, end, &mut parts),
                b'\'' => {
                    let close = self.find(at + 1, end, b'\'');
                    let text = self.text;
                    parts.text(&text[at + 1..close.unwrap_or(end)], true);
                    at = self.after(close, at + 1, end);
                }
                b'"' => at = self.double_quoted(at + 1, end, true, &mut parts)?,
                b'$' if self.bytes.get(at + 1) == Some(&b'\'') && at + 1 < end => {
                    at = self.ansi_c(at + 2, end, &mut parts);
                }
                b'$' if self.bytes.get(at + 1) == Some(&b'"') && at + 1 < end => at += 1,
                b'$' => at = self.dollar(at, end, false, &mut parts)?,
                b'`' => at = self.backticks(at, end, false, &mut parts)?,
                _ => at = self.plain(at, end, false, &mut parts),
            }
        }
        Ok((Word { parts: parts.parts, span: from + self.base..at + self.base }, at))
    }

    /// A here-document's body or an arithmetic expression: like double quotes, without their end.
    pub(crate) fn text_with_expansions(
        &mut self,
        from: usize,
        end: usize,
    ) -> Result<Word, Unparsed> {
        let mut parts = Parts::default();
        self.double_quoted(from, end, false, &mut parts)?;
        Ok(Word { parts: parts.parts, span: from + self.base..end + self.base })
    }

    fn find(&self, from: usize, end: usize, byte: u8) -> Option<usize> {
        memchr::memchr(byte, self.bytes.get(from..end)?).map(|at| from + at)
    }

    fn after(&mut self, close: Option<usize>, from: usize, end: usize) -> usize {
        match close {
            Some(close) => close + 1,
            None => {
                self.unfinished(from, end);
                end
            }
        }
    }

    /// Notes an element without an end. One that holds no letter or digit hides nothing, as in the
    /// first line of a command that goes on: a shell waits or refuses, and runs nothing of it.
    pub(crate) fn unfinished(&mut self, from: usize, end: usize) {
        let rest = self.bytes.get(from..end).unwrap_or_default();
        if rest.iter().any(|byte| byte.is_ascii_alphanumeric() || !byte.is_ascii()) {
            self.fault(Unparsed::Syntax);
        }
    }

    fn char_end(&self, at: usize) -> usize {
        let width = self.text[at..].chars().next().map_or(1, char::len_utf8);
        at + width
    }

    fn plain(&self, at: usize, end: usize, quoted: bool, parts: &mut Parts) -> usize {
        let next = self.char_end(at).min(end);
        parts.text(&self.text[at..next], quoted);
        next
    }

    fn escape(&mut self, at: usize, end: usize, parts: &mut Parts) -> usize {
        match self.bytes.get(at + 1).filter(|_| at + 1 < end) {
            Some(b'\n') => at + 2,
            Some(b'\r') if self.bytes.get(at + 2) == Some(&b'\n') && at + 2 < end => at + 3,
            Some(_) => self.plain(at + 1, end, true, parts),
            None => {
                parts.text("\\", true);
                end
            }
        }
    }

    /// Reads up to the closing quote, or up to `end` when there is none to expect.
    fn double_quoted(
        &mut self,
        from: usize,
        end: usize,
        closes: bool,
        parts: &mut Parts,
    ) -> Result<usize, Unparsed> {
        parts.text("", true);
        let mut at = from;
        while at < end {
            self.budget.spend(1)?;
            match self.bytes[at] {
                b'"' if closes => return Ok(at + 1),
                b'\\' => match self.bytes.get(at + 1).filter(|_| at + 1 < end) {
                    Some(b'\n') => at += 2,
                    Some(b'$' | b'`' | b'"' | b'\\') => {
                        at = self.plain(at + 1, end, true, parts);
                    }
                    _ => {
                        parts.text("\\", true);
                        at += 1;
                    }
                },
                b'$' => at = self.dollar(at, end, true, parts)?,
                b'`' => at = self.backticks(at, end, true, parts)?,
                _ => at = self.plain(at, end, true, parts),
            }
        }
        if closes {
            self.unfinished(from, end);
        }
        Ok(end)
    }

    fn ansi_c(&mut self, from: usize, end: usize, parts: &mut Parts) -> usize {
        let mut at = from;
        while at < end && self.bytes[at] != b'\'' {
            at += if self.bytes[at] == b'\\' { 2 } else { 1 };
        }
        let close = (at < end).then_some(at);
        let body = self.text.get(from..close.unwrap_or(end)).unwrap_or_default();
        parts.text(&unescape(body), true);
        self.after(close, from, end)
    }

    fn process(&mut self, at: usize, end: usize, parts: &mut Parts) -> Result<usize, Unparsed> {
        let (script, next) = self.substitution(at, at + 2, end)?;
        parts.parts.push(Part::Process { script });
        Ok(next)
    }

    fn backticks(
        &mut self,
        at: usize,
        end: usize,
        quoted: bool,
        parts: &mut Parts,
    ) -> Result<usize, Unparsed> {
        let mut inner = String::new();
        let mut next = at + 1;
        while next < end && self.bytes[next] != b'`' {
            self.budget.spend(1)?;
            if self.bytes[next] == b'\\'
                && matches!(self.bytes.get(next + 1), Some(b'`' | b'\\' | b'$'))
            {
                next += 1;
                if next >= end {
                    break;
                }
            }
            let stop = self.char_end(next).min(end);
            inner.push_str(&self.text[next..stop]);
            next = stop;
        }
        let close = (next < end).then_some(next);
        let script = self.nested(&inner, at)?;
        parts.parts.push(Part::Command { script, quoted });
        Ok(self.after(close, at + 1, end))
    }

    fn dollar(
        &mut self,
        at: usize,
        end: usize,
        quoted: bool,
        parts: &mut Parts,
    ) -> Result<usize, Unparsed> {
        let rest = &self.bytes[at + 1..end];
        match rest {
            [b'(', b'(', ..] => {
                if let Some(close) = self.arithmetic_end(at + 3, end) {
                    let inner = self.text_with_expansions(at + 3, close)?;
                    let substitutions = inner
                        .parts
                        .into_iter()
                        .filter(|part| matches!(part, Part::Command { .. } | Part::Process { .. }));
                    parts.parts.extend(substitutions);
                    parts.parts.push(Part::Number);
                    return Ok(close + 2);
                }
                self.command_substitution(at, end, quoted, parts)
            }
            [b'(', b')', ..] => {
                parts.parts.push(Part::Text { text: String::new(), quoted });
                Ok(at + 3)
            }
            [b'(', ..] => self.command_substitution(at, end, quoted, parts),
            [b'{', ..] => self.braced(at + 2, end, quoted, parts),
            [first, ..] if first.is_ascii_alphabetic() || *first == b'_' => {
                let length = rest
                    .iter()
                    .take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_')
                    .count();
                let name = self.text[at + 1..at + 1 + length].to_owned();
                parts.parts.push(Part::Variable { name, quoted, operation: Operation::Plain });
                Ok(at + 1 + length)
            }
            [first, ..] if first.is_ascii_digit() || b"@*#?$!-".contains(first) => {
                let name = char::from(*first).to_string();
                parts.parts.push(Part::Variable { name, quoted, operation: Operation::Plain });
                Ok(at + 2)
            }
            _ => Ok(self.plain(at, end, quoted, parts)),
        }
    }

    fn command_substitution(
        &mut self,
        at: usize,
        end: usize,
        quoted: bool,
        parts: &mut Parts,
    ) -> Result<usize, Unparsed> {
        let (script, next) = self.substitution(at, at + 2, end)?;
        parts.parts.push(Part::Command { script, quoted });
        Ok(next)
    }

    /// The position of the `))` that ends an arithmetic expression.
    fn arithmetic_end(&mut self, from: usize, end: usize) -> Option<usize> {
        let mut depth = 0usize;
        let mut at = from;
        while at < end {
            self.budget.spend(1).ok()?;
            match self.bytes[at] {
                b'(' => depth += 1,
                b')' if depth > 0 => depth -= 1,
                b')' => {
                    return (self.bytes.get(at + 1) == Some(&b')') && at + 1 < end).then_some(at);
                }
                b'\'' | b'"' | b'`' => {
                    let quote = self.bytes[at];
                    at = self.find(at + 1, end, quote)?;
                }
                b'\\' => at += 1,
                _ => {}
            }
            at += 1;
        }
        None
    }

    /// `${…}`, from after the brace.
    fn braced(
        &mut self,
        from: usize,
        end: usize,
        quoted: bool,
        parts: &mut Parts,
    ) -> Result<usize, Unparsed> {
        let close = self.brace_end(from, end)?;
        let stop = close.unwrap_or(end);
        let indirect = self.bytes.get(from) == Some(&b'!') && from < stop;
        let length = self.bytes.get(from) == Some(&b'#') && from + 1 < stop;
        let start = from + usize::from(indirect);
        let name_length = self.bytes[start..stop]
            .iter()
            .take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_')
            .count()
            .max(usize::from(
                self.bytes[start..stop].first().is_some_and(|byte| b"@*#?$!-".contains(byte)),
            ));
        let name = self.text[start..start + name_length].to_owned();
        let rest = start + name_length;
        let operation = match &self.bytes[rest..stop] {
            _ if length => Operation::Other,
            [] if indirect => Operation::Indirect,
            [] => Operation::Plain,
            [b':', b'-' | b'=', ..] => Operation::Default(self.operand(rest + 2, stop)?),
            [b'-' | b'=', ..] => Operation::Default(self.operand(rest + 1, stop)?),
            [b':', b'+', ..] => Operation::Alternative(self.operand(rest + 2, stop)?),
            [b'+', ..] => Operation::Alternative(self.operand(rest + 1, stop)?),
            [b':', ..] => slice(&self.text[rest + 1..stop]),
            [b'/', ..] => replacement(&self.text[rest + 1..stop]),
            _ => {
                let operand = self.operand(rest, stop)?;
                let commands = operand.into_iter().filter(|p| matches!(p, Part::Command { .. }));
                parts.parts.extend(commands);
                Operation::Other
            }
        };
        parts.parts.push(Part::Variable { name, quoted, operation });
        Ok(self.after(close, from, end))
    }

    fn operand(&mut self, from: usize, end: usize) -> Result<Vec<Part>, Unparsed> {
        self.descend()?;
        let word = self.word(from, end, Ends::Range);
        self.ascend();
        Ok(word?.0.parts)
    }

    fn brace_end(&mut self, from: usize, end: usize) -> Result<Option<usize>, Unparsed> {
        let mut depth = 0usize;
        let mut at = from;
        while at < end {
            self.budget.spend(1)?;
            match self.bytes[at] {
                b'{' => depth += 1,
                b'}' if depth == 0 => return Ok(Some(at)),
                b'}' => depth -= 1,
                b'\\' => at += 1,
                b'\'' => at = self.find(at + 1, end, b'\'').unwrap_or(at),
                _ => {}
            }
            at += 1;
        }
        Ok(None)
    }
}

fn slice(text: &str) -> Operation {
    let mut numbers = text.split(':').map(|part| part.trim().parse::<usize>());
    match (numbers.next(), numbers.next()) {
        (Some(Ok(offset)), None) => Operation::Slice(offset, None),
        (Some(Ok(offset)), Some(Ok(length))) => Operation::Slice(offset, Some(length)),
        _ => Operation::Other,
    }
}

fn replacement(text: &str) -> Operation {
    let (text, all) = match text.strip_prefix('/') {
        Some(rest) => (rest, true),
        None => (text, false),
    };
    let (from, to) = text.split_once('/').unwrap_or((text, ""));
    let special = |c: char| "*?[]$`\\\"'(){}#%".contains(c);
    if from.is_empty() || from.contains(special) || to.contains(special) {
        return Operation::Other;
    }
    Operation::Replace(from.to_owned(), to.to_owned(), all)
}

/// Decodes the escapes of `$'…'`, `echo -e` and `printf`.
pub(crate) fn unescape(body: &str) -> String {
    let mut bytes = Vec::with_capacity(body.len());
    let mut rest = body.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        let Some((&escape, tail)) = rest.split_first() else {
            bytes.push(b'\\');
            break;
        };
        rest = tail;
        match escape {
            b'n' => bytes.push(b'\n'),
            b't' => bytes.push(b'\t'),
            b'r' => bytes.push(b'\r'),
            b'a' => bytes.push(7),
            b'b' => bytes.push(8),
            b'e' | b'E' => bytes.push(27),
            b'f' => bytes.push(12),
            b'v' => bytes.push(11),
            b'x' => number(&mut rest, 16, 2, &mut bytes),
            b'u' => number(&mut rest, 16, 4, &mut bytes),
            b'U' => number(&mut rest, 16, 8, &mut bytes),
            b'0'..=b'7' => {
                // `echo -e` and `printf %b` write `\0nnn`, `$'…'` writes `\nnn`.
                let digits = if escape == b'0' { 3 } else { 2 };
                let seed = u32::from(escape - b'0');
                octal(seed, &mut rest, digits, &mut bytes);
            }
            other => {
                if !matches!(other, b'\\' | b'\'' | b'"' | b'?') {
                    bytes.push(b'\\');
                }
                bytes.push(other);
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn octal(seed: u32, rest: &mut &[u8], digits: usize, out: &mut Vec<u8>) {
    let mut value = seed;
    for _ in 0..digits {
        let Some(digit) = rest.first().filter(|byte| (b'0'..=b'7').contains(byte)) else { break };
        value = value * 8 + u32::from(digit - b'0');
        *rest = &rest[1..];
    }
    out.push(u8::try_from(value & 0xff).unwrap_or(b'?'));
}

fn number(rest: &mut &[u8], radix: u32, digits: usize, out: &mut Vec<u8>) {
    let mut value = 0u32;
    let mut seen = 0;
    while seen < digits {
        let Some(digit) = rest.first().and_then(|byte| char::from(*byte).to_digit(radix)) else {
            break;
        };
        value = value.wrapping_mul(radix).wrapping_add(digit);
        *rest = &rest[1..];
        seen += 1;
    }
    match u8::try_from(value) {
        Ok(byte) if digits == 2 => out.push(byte),
        _ => {
            let mut buffer = [0; 4];
            let c = char::from_u32(value).unwrap_or('\u{fffd}');
            out.extend_from_slice(c.encode_utf8(&mut buffer).as_bytes());
        }
    }
}
