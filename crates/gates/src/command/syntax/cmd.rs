//! The Windows command prompt: carets, double quotes, `%NAME%` and its operators.

use super::{Assignment, Command, Operation, Part, Redirect, RedirectKind, Statement, Word};
use crate::command::budget::{Budget, Unparsed};
use crate::command::syntax::posix::Parsed;

/// Parses a command line of `cmd.exe`.
pub(crate) fn parse(text: &str, base: usize, budget: &mut Budget) -> Parsed {
    let mut parsed = Parsed::default();
    if let Err(fault) = budget.spend(text.len()) {
        parsed.faults.push(fault);
        return parsed;
    }
    let mut reader = Reader { chars: text.char_indices().collect(), at: 0, base, end: text.len() };
    let mut stages: Vec<Vec<Statement>> = Vec::new();
    let mut piped = false;
    while reader.at < reader.chars.len() {
        match reader.peek() {
            '|' if reader.next_is('|') => reader.at += 2,
            '|' => {
                piped = true;
                reader.at += 1;
                continue;
            }
            '&' | '\n' | '(' | ')' | ' ' | '\t' | '\r' | '@' | ';' | ',' => reader.at += 1,
            _ => {
                let command = reader.command(&mut parsed.faults);
                if !piped {
                    flush(&mut stages, &mut parsed.script);
                }
                piped = false;
                stages.push(vec![Statement::Command(command)]);
                continue;
            }
        }
    }
    flush(&mut stages, &mut parsed.script);
    parsed
}

fn flush(stages: &mut Vec<Vec<Statement>>, script: &mut Vec<Statement>) {
    match stages.len() {
        0 => {}
        1 => script.append(&mut stages.remove(0)),
        _ => script.push(Statement::Pipeline(std::mem::take(stages))),
    }
    stages.clear();
}

struct Reader {
    chars: Vec<(usize, char)>,
    at: usize,
    base: usize,
    end: usize,
}

impl Reader {
    fn peek(&self) -> char {
        self.chars.get(self.at).map_or('\0', |(_, c)| *c)
    }

    fn next_is(&self, c: char) -> bool {
        self.chars.get(self.at + 1).is_some_and(|(_, next)| *next == c)
    }

    fn position(&self) -> usize {
        self.base + self.chars.get(self.at).map_or(self.end, |(at, _)| *at)
    }

    fn command(&mut self, faults: &mut Vec<Unparsed>) -> Command {
        let start = self.position();
        let mut command = Command::default();
        while self.at < self.chars.len() {
            match self.peek() {
                '&' | '|' | '\n' | ')' => break,
                ' ' | '\t' | '\r' | ',' | ';' => self.at += 1,
                '<' | '>' => {
                    let write = self.peek() == '>';
                    self.at += 1;
                    let append = self.peek() == '>';
                    if append {
                        self.at += 1;
                    }
                    let kind = match (write, append, self.peek()) {
                        (_, _, '&') => {
                            self.at += 1;
                            RedirectKind::Duplicate
                        }
                        (true, true, _) => RedirectKind::Append,
                        (true, false, _) => RedirectKind::Write,
                        (false, ..) => RedirectKind::Input,
                    };
                    while matches!(self.peek(), ' ' | '\t') {
                        self.at += 1;
                    }
                    let word = self.word(faults);
                    command.redirects.push(Redirect { kind, word });
                }
                _ => {
                    let before = self.at;
                    let word = self.word(faults);
                    command.words.push(word);
                    self.at = self.at.max(before + 1);
                }
            }
        }
        command.span = start..self.position();
        set(&mut command);
        command
    }

    fn word(&mut self, faults: &mut Vec<Unparsed>) -> Word {
        let start = self.position();
        let mut parts = Vec::new();
        let mut text = String::new();
        let mut quoted = false;
        while self.at < self.chars.len() {
            let c = self.peek();
            match c {
                '"' => quoted = !quoted,
                '^' if !quoted => {
                    self.at += 1;
                    match self.peek() {
                        '\0' => break,
                        '\r' | '\n' => {}
                        escaped => text.push(escaped),
                    }
                }
                '%' | '!' => {
                    let name: String = self.chars[self.at + 1..]
                        .iter()
                        .map(|(_, c)| *c)
                        .take_while(|next| next.is_ascii_alphanumeric() || *next == '_')
                        .collect();
                    let close = self.chars.get(self.at + 1 + name.len());
                    if name.is_empty() || close.is_none_or(|(_, close)| *close != c) {
                        text.push(c);
                    } else {
                        parts.push(Part::Text { text: std::mem::take(&mut text), quoted: true });
                        self.at += name.len() + 1;
                        let operation = Operation::Plain;
                        parts.push(Part::Variable { name, quoted: true, operation });
                    }
                }
                ' ' | '\t' | '\r' | '\n' | '&' | '|' | '<' | '>' | ')' | '(' | ',' | ';'
                    if !quoted =>
                {
                    break;
                }
                _ => text.push(c),
            }
            self.at += 1;
        }
        if quoted && !faults.contains(&Unparsed::Syntax) {
            faults.push(Unparsed::Syntax);
        }
        // A trailing quote or nothing else is fine: cmd reads to the end of the line.
        parts.push(Part::Text { text, quoted: true });
        Word { parts, span: start..self.position() }
    }
}

/// `set NAME=value` assigns.
fn set(command: &mut Command) {
    let text = |word: &Word| match word.parts.as_slice() {
        [Part::Text { text, .. }] => text.clone(),
        _ => String::new(),
    };
    if !command.words.first().map(text).is_some_and(|name| name.eq_ignore_ascii_case("set")) {
        return;
    }
    let Some(word) = command.words.get(1) else { return };
    if let Some(Part::Text { text, .. }) = word.parts.first()
        && let Some((name, value)) = text.split_once('=')
    {
        let mut parts = word.parts.clone();
        parts[0] = Part::Text { text: value.to_owned(), quoted: true };
        let value = Word { parts, span: word.span.clone() };
        let name = name.trim().to_owned();
        command.assignments.push(Assignment { name, value, append: false });
        command.words.clear();
    }
}
