//! PowerShell: its quotes, backticks, variables, pipes, script blocks and subexpressions.

use super::{Assignment, Command, Group, Operation, Part, Redirect, RedirectKind, Statement, Word};
use crate::command::budget::{Budget, MAX_DEPTH, Unparsed};
use crate::command::syntax::posix::Parsed;

/// Parses PowerShell.
pub(crate) fn parse(text: &str, base: usize, depth: usize, budget: &mut Budget) -> Parsed {
    let chars: Vec<_> = text.char_indices().collect();
    let mut reader = Reader { chars, at: 0, base, end: text.len(), depth, budget, faults: vec![] };
    let script = reader.statements(None).unwrap_or_else(|fault| {
        reader.faults.push(fault);
        Vec::new()
    });
    Parsed { script, faults: reader.faults }
}

struct Reader<'b> {
    chars: Vec<(usize, char)>,
    at: usize,
    base: usize,
    end: usize,
    depth: usize,
    budget: &'b mut Budget,
    faults: Vec<Unparsed>,
}

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.ahead(0)
    }

    fn ahead(&self, by: usize) -> Option<char> {
        self.chars.get(self.at + by).map(|(_, c)| *c)
    }

    fn position(&self) -> usize {
        self.base + self.chars.get(self.at).map_or(self.end, |(at, _)| *at)
    }

    fn statements(&mut self, close: Option<char>) -> Result<Vec<Statement>, Unparsed> {
        let mut out = Vec::new();
        let mut stages: Vec<Vec<Statement>> = Vec::new();
        let mut piped = false;
        while let Some(c) = self.peek() {
            self.budget.spend(2)?;
            match c {
                _ if close == Some(c) => {
                    self.at += 1;
                    flush(&mut stages, &mut out);
                    return Ok(out);
                }
                '|' => {
                    piped = self.ahead(1) != Some('|');
                    self.at += if piped { 1 } else { 2 };
                }
                // The call operator starts a command; two of them separate.
                '&' | '.' if self.ahead(1).is_some_and(|next| " \t'\"$({".contains(next)) => {
                    self.at += 1;
                }
                ';' | '\n' | '&' => {
                    if !piped {
                        flush(&mut stages, &mut out);
                    }
                    self.at += 1;
                }
                '}' | ')' | ']' | ',' | '=' => self.at += 1,
                '#' => self.skip_line(),
                _ if c.is_whitespace() => self.at += 1,
                '{' | '(' => {
                    let body = self.block(if c == '{' { '}' } else { ')' })?;
                    self.stage(Statement::Group(body), piped, &mut stages, &mut out);
                    piped = false;
                }
                _ => {
                    let before = self.at;
                    let command = self.command()?;
                    self.at = self.at.max(before + 1);
                    self.stage(Statement::Command(command), piped, &mut stages, &mut out);
                    piped = false;
                }
            }
        }
        flush(&mut stages, &mut out);
        if close.is_some() {
            self.fault();
        }
        Ok(out)
    }

    fn fault(&mut self) {
        if !self.faults.contains(&Unparsed::Syntax) {
            self.faults.push(Unparsed::Syntax);
        }
    }

    fn skip_line(&mut self) {
        while self.peek().is_some_and(|c| c != '\n') {
            self.at += 1;
        }
    }

    fn stage(
        &mut self,
        statement: Statement,
        piped: bool,
        stages: &mut Vec<Vec<Statement>>,
        out: &mut Vec<Statement>,
    ) {
        if !piped {
            flush(stages, out);
        }
        stages.push(vec![statement]);
    }

    /// A block or a subexpression, from its opening character.
    fn block(&mut self, close: char) -> Result<Group, Unparsed> {
        if self.depth >= MAX_DEPTH {
            return Err(Unparsed::TooDeep);
        }
        self.depth += 1;
        self.at += 1;
        let body = self.statements(Some(close));
        self.depth -= 1;
        Ok(Group { body: body?, ..Group::default() })
    }

    fn command(&mut self) -> Result<Command, Unparsed> {
        let start = self.position();
        let mut command = Command::default();
        while let Some(c) = self.peek() {
            self.budget.spend(1)?;
            match c {
                '|' | ';' | '\n' | ')' | '}' | '#' => break,
                '&' if self.ahead(1) == Some('&') => break,
                '`' if matches!(self.ahead(1), Some('\n' | '\r')) => self.at += 2,
                _ if c.is_whitespace() || c == ',' => self.at += 1,
                '>' | '<' => {
                    self.at += 1;
                    let append = self.peek() == Some('>');
                    if append {
                        self.at += 1;
                    }
                    let duplicate = self.peek() == Some('&');
                    while self.peek().is_some_and(|c| c == ' ' || c == '&') {
                        self.at += 1;
                    }
                    let kind = match (duplicate, append) {
                        (true, _) => RedirectKind::Duplicate,
                        (false, true) => RedirectKind::Append,
                        (false, false) => RedirectKind::Write,
                    };
                    let word = self.word()?;
                    command.redirects.push(Redirect { kind, word });
                }
                _ => {
                    let before = self.at;
                    let word = self.word()?;
                    self.at = self.at.max(before + 1);
                    command.words.push(word);
                }
            }
        }
        command.span = start..self.position();
        assign(&mut command);
        Ok(command)
    }

    fn word(&mut self) -> Result<Word, Unparsed> {
        let start = self.position();
        let mut parts = Vec::new();
        let mut text = String::new();
        while let Some(c) = self.peek() {
            self.budget.spend(1)?;
            match c {
                _ if c.is_whitespace() || "|;,)}<>".contains(c) => break,
                '\'' => self.single_quoted(&mut text),
                '"' => self.double_quoted(&mut text, &mut parts)?,
                '`' => {
                    self.at += 1;
                    if let Some(escaped) = self.peek() {
                        text.push(escaped);
                        self.at += 1;
                    }
                }
                '$' => self.variable(&mut text, &mut parts)?,
                '(' | '{' => {
                    let group = self.block(if c == '(' { ')' } else { '}' })?;
                    parts.push(Part::Text { text: std::mem::take(&mut text), quoted: true });
                    parts.push(Part::Command { script: group.body, quoted: true });
                }
                _ => {
                    text.push(c);
                    self.at += 1;
                }
            }
        }
        parts.push(Part::Text { text, quoted: true });
        parts.retain(|part| !matches!(part, Part::Text { text, .. } if text.is_empty()));
        if parts.is_empty() {
            parts.push(Part::Text { text: String::new(), quoted: true });
        }
        Ok(Word { parts, span: start..self.position() })
    }

    fn single_quoted(&mut self, text: &mut String) {
        self.at += 1;
        loop {
            match self.peek() {
                None => return self.fault(),
                Some('\'') if self.ahead(1) == Some('\'') => {
                    text.push('\'');
                    self.at += 2;
                }
                Some('\'') => {
                    self.at += 1;
                    return;
                }
                Some(c) => {
                    text.push(c);
                    self.at += 1;
                }
            }
        }
    }

    fn double_quoted(&mut self, text: &mut String, parts: &mut Vec<Part>) -> Result<(), Unparsed> {
        self.at += 1;
        loop {
            self.budget.spend(1)?;
            match self.peek() {
                None => {
                    self.fault();
                    return Ok(());
                }
                Some('"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some('`') => {
                    self.at += 1;
                    text.extend(self.peek());
                    self.at += 1;
                }
                Some('$') => self.variable(text, parts)?,
                Some(c) => {
                    text.push(c);
                    self.at += 1;
                }
            }
        }
    }

    fn variable(&mut self, text: &mut String, parts: &mut Vec<Part>) -> Result<(), Unparsed> {
        self.at += 1;
        let braced = self.peek() == Some('{');
        if self.peek() == Some('(') {
            let group = self.block(')')?;
            parts.push(Part::Text { text: std::mem::take(text), quoted: true });
            parts.push(Part::Command { script: group.body, quoted: true });
            return Ok(());
        }
        if braced {
            self.at += 1;
        }
        let mut name = String::new();
        while let Some(c) = self.peek() {
            if !(c.is_alphanumeric() || c == '_' || c == ':' || c == '?') {
                break;
            }
            name.push(c);
            self.at += 1;
        }
        if braced && self.peek() == Some('}') {
            self.at += 1;
        }
        if name.is_empty() {
            text.push('$');
            return Ok(());
        }
        let name = match name.split_once(':') {
            Some((scope, name)) if scope.eq_ignore_ascii_case("env") => name.to_owned(),
            _ => name,
        };
        parts.push(Part::Text { text: std::mem::take(text), quoted: true });
        parts.push(Part::Variable { name, quoted: true, operation: Operation::Plain });
        Ok(())
    }
}

fn flush(stages: &mut Vec<Vec<Statement>>, out: &mut Vec<Statement>) {
    match stages.len() {
        0 => {}
        1 => out.append(&mut stages.remove(0)),
        _ => out.push(Statement::Pipeline(std::mem::take(stages))),
    }
    stages.clear();
}

/// `$name = value` assigns.
fn assign(command: &mut Command) {
    let [Word { parts, .. }, equals, ..] = command.words.as_slice() else { return };
    let [Part::Variable { name, .. }] = parts.as_slice() else { return };
    let is_equals = matches!(equals.parts.as_slice(), [Part::Text { text, .. }] if text == "=");
    if !is_equals {
        return;
    }
    let name = name.clone();
    let mut words = command.words.split_off(2);
    if words.len() == 1
        && let Some(value) = words.pop()
    {
        command.words.clear();
        command.assignments.push(Assignment { name, value, append: false });
    } else {
        // The value is a command's output.
        command.words = words;
    }
}
