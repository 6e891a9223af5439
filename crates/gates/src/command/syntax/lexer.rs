//! A lenient reader of POSIX commands for texts in which the grammar finds an error.
//!
//! It splits at operators, reads words and redirects, and skips the keywords of compound commands: what
//! stands inside them is read as commands in sequence. A quote or parenthesis without an end is a fault,
//! and everything before it still counts.

use std::rc::Rc;

use super::posix::{Parser, attach};
use super::word::Ends;
use super::{Assignment, Command, Group, Redirect, RedirectKind, Statement, Word};
use crate::command::budget::Unparsed;

const KEYWORDS: &[&str] = &[
    "if", "then", "else", "elif", "fi", "do", "done", "while", "until", "esac", "!", "}", "coproc",
];

impl Parser<'_, '_> {
    pub(crate) fn script(&mut self, from: usize, end: usize) -> Result<Vec<Statement>, Unparsed> {
        Ok(self.statements(from, end, None)?.0)
    }

    /// The statements from `from` to the `)` that closes them, and the position after it.
    pub(crate) fn parenthesized(
        &mut self,
        from: usize,
        end: usize,
    ) -> Result<(Vec<Statement>, usize), Unparsed> {
        self.statements(from, end, Some(b')'))
    }

    fn statements(
        &mut self,
        from: usize,
        end: usize,
        close: Option<u8>,
    ) -> Result<(Vec<Statement>, usize), Unparsed> {
        let mut out = Vec::new();
        let mut stages: Vec<Vec<Statement>> = Vec::new();
        let mut piped = false;
        let mut at = from;
        while at < end {
            self.budget.spend(2)?;
            let byte = self.bytes[at];
            match byte {
                b' ' | b'\t' | b'\r' => at += 1,
                b'\\' if self.bytes.get(at + 1) == Some(&b'\n') => at += 2,
                b'\n' => {
                    at = self.skips.get(&at).copied().unwrap_or(at + 1);
                    finish(&mut stages, &mut out, &mut piped);
                }
                b'#' => at = memchr::memchr(b'\n', &self.bytes[at..end]).map_or(end, |n| at + n),
                b'|' if self.bytes.get(at + 1) == Some(&b'|') => {
                    finish(&mut stages, &mut out, &mut piped);
                    at += 2;
                }
                b'|' => {
                    piped = true;
                    at += if self.bytes.get(at + 1) == Some(&b'&') { 2 } else { 1 };
                }
                b';' | b'&' if self.bytes.get(at + 1) != Some(&b'>') => {
                    finish(&mut stages, &mut out, &mut piped);
                    at += 1;
                }
                b')' if close == Some(b')') => {
                    finish(&mut stages, &mut out, &mut piped);
                    return Ok((out, at + 1));
                }
                b')' => {
                    // The pattern of a `case`, or a stray one.
                    self.fault_unless_case();
                    stages.clear();
                    at += 1;
                }
                b'(' => {
                    self.descend()?;
                    let (body, next) = self.statements(at + 1, end, Some(b')'))?;
                    self.ascend();
                    let group = Group { body, isolated: true, ..Group::default() };
                    at = self.stage(
                        Statement::Group(group),
                        next,
                        end,
                        &mut stages,
                        &mut piped,
                        &mut out,
                    )?;
                }
                b'}' if close == Some(b'}') => {
                    finish(&mut stages, &mut out, &mut piped);
                    return Ok((out, at + 1));
                }
                _ => {
                    let keyword = self.keyword(at, end);
                    match keyword {
                        "{" => {
                            self.descend()?;
                            let (body, next) = self.statements(at + 1, end, Some(b'}'))?;
                            self.ascend();
                            let group = Statement::Group(Group { body, ..Group::default() });
                            at = self.stage(group, next, end, &mut stages, &mut piped, &mut out)?;
                        }
                        "for" | "select" => {
                            let (group, next) = self.loop_variable(at + keyword.len(), end)?;
                            out.push(Statement::Group(group));
                            at = next;
                        }
                        "case" => {
                            self.in_case = true;
                            at = self.case_head(at + 4, end, &mut out)?;
                        }
                        "function" => {
                            at = self.function(at + 8, end, &mut out)?;
                        }
                        word if KEYWORDS.contains(&word) => at += word.len(),
                        _ => {
                            let before = at;
                            let (command, next) = self.simple(at, end)?;
                            let definition = self.bytes.get(next) == Some(&b'(')
                                && next < end
                                && command.words.len() == 1
                                && command.redirects.is_empty();
                            if definition {
                                at = self.function(before, end, &mut out)?;
                                continue;
                            }
                            at = self.stage(
                                Statement::Command(command),
                                next,
                                end,
                                &mut stages,
                                &mut piped,
                                &mut out,
                            )?;
                            // A byte that no rule reads, such as a lone operator.
                            at = at.max(before + 1);
                        }
                    }
                }
            }
        }
        finish(&mut stages, &mut out, &mut piped);
        if close.is_some() {
            self.unfinished(from, end);
        }
        Ok((out, end))
    }

    fn fault_unless_case(&mut self) {
        if !self.in_case {
            self.fault(Unparsed::Syntax);
        }
    }

    fn keyword(&self, at: usize, end: usize) -> &str {
        let length = self.bytes[at..end]
            .iter()
            .take_while(|byte| !b" \t\r\n;&|()<>\"'$`\\".contains(byte))
            .count();
        self.text.get(at..at + length).unwrap_or_default()
    }

    /// Adds a statement with the redirects that follow it to the pipeline under way.
    fn stage(
        &mut self,
        statement: Statement,
        from: usize,
        end: usize,
        stages: &mut Vec<Vec<Statement>>,
        piped: &mut bool,
        out: &mut Vec<Statement>,
    ) -> Result<usize, Unparsed> {
        let mut body = vec![statement];
        let mut at = from;
        if matches!(body[0], Statement::Group(_)) {
            let (command, next) = self.simple(from, end)?;
            at = next;
            attach(&mut body, command.redirects, Vec::new());
        }
        if !*piped {
            let mut ended = true;
            finish(stages, out, &mut ended);
        }
        *piped = false;
        stages.push(body);
        Ok(at)
    }

    fn loop_variable(&mut self, from: usize, end: usize) -> Result<(Group, usize), Unparsed> {
        let (head, next) = self.simple(from, end)?;
        let name = head.words.first().map(plain_text).unwrap_or_default();
        let values = head.words.into_iter().skip(2).collect();
        Ok((Group { variable: Some((name, values)), conditional: true, ..Group::default() }, next))
    }

    fn case_head(
        &mut self,
        from: usize,
        end: usize,
        out: &mut Vec<Statement>,
    ) -> Result<usize, Unparsed> {
        let (word, next) = self.word(self.skip_blanks(from, end), end, Ends::Operator)?;
        let span = word.span.clone();
        let assignments = vec![Assignment { name: "_".to_owned(), value: word, append: false }];
        out.push(Statement::Command(Command { assignments, span, ..Command::default() }));
        let at = self.skip_blanks(next, end);
        Ok(if self.keyword(at, end) == "in" { at + 2 } else { at })
    }

    fn function(
        &mut self,
        from: usize,
        end: usize,
        out: &mut Vec<Statement>,
    ) -> Result<usize, Unparsed> {
        let start = self.skip_blanks(from, end);
        let name = self.keyword(start, end).to_owned();
        let mut at = self.skip_blanks(start + name.len(), end);
        if self.bytes.get(at..at + 2) == Some(b"()") {
            at += 2;
        } else if self.bytes.get(at) == Some(&b'(') {
            at += 1;
        }
        while at < end && self.bytes[at].is_ascii_whitespace() {
            at += 1;
        }
        if self.bytes.get(at) != Some(&b'{') || at >= end {
            return Ok(at.max(start + 1).min(end));
        }
        self.descend()?;
        let (body, next) = self.statements(at + 1, end, Some(b'}'))?;
        self.ascend();
        out.push(Statement::Function { name, body: Rc::new(body) });
        Ok(next)
    }

    fn skip_blanks(&self, from: usize, end: usize) -> usize {
        let blanks = self.bytes.get(from..end).unwrap_or_default();
        from + blanks.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r')).count()
    }

    /// One simple command: assignments, words, redirects.
    fn simple(&mut self, from: usize, end: usize) -> Result<(Command, usize), Unparsed> {
        let mut command =
            Command { span: from + self.base..from + self.base, ..Command::default() };
        let mut at = from;
        loop {
            at = self.skip_blanks(at, end);
            if at >= end {
                break;
            }
            self.budget.spend(1)?;
            match self.bytes[at] {
                b'\\' if self.bytes.get(at + 1) == Some(&b'\n') => at += 2,
                b'\n' | b';' | b'|' | b')' | b'(' => break,
                b'&' if self.bytes.get(at + 1) == Some(&b'>') => {
                    at = self.file_redirect(at + 1, end, &mut command)?;
                }
                b'&' => break,
                b'#' => break,
                b'<' | b'>' if self.bytes.get(at + 1) != Some(&b'(') => {
                    at = self.file_redirect(at, end, &mut command)?;
                }
                _ => {
                    let (word, next) = self.word(at, end, Ends::Operator)?;
                    let next = next.max(at + 1);
                    let number = self.bytes[at..next.min(end)].iter().all(u8::is_ascii_digit)
                        && matches!(self.bytes.get(next), Some(b'<' | b'>'));
                    if !number {
                        match assignment(&word).filter(|_| command.words.is_empty()) {
                            Some(assignment) => command.assignments.push(assignment),
                            None => command.words.push(word),
                        }
                    }
                    at = next;
                }
            }
        }
        command.span.end = at.min(end) + self.base;
        Ok((command, at))
    }

    fn file_redirect(
        &mut self,
        at: usize,
        end: usize,
        command: &mut Command,
    ) -> Result<usize, Unparsed> {
        let rest = &self.bytes[at..end];
        let (kind, length) = match rest {
            [b'<', b'<', b'<', ..] => (RedirectKind::Text, 3),
            [b'<', b'<', ..] => return self.here_document_at(at + 2, end, command),
            [b'>', b'>', ..] => (RedirectKind::Append, 2),
            [b'<' | b'>', b'&', ..] => (RedirectKind::Duplicate, 2),
            [b'<', b'>', ..] | [b'>', b'|', ..] => (RedirectKind::Write, 2),
            [b'>', ..] => (RedirectKind::Write, 1),
            _ => (RedirectKind::Input, 1),
        };
        let start = self.skip_blanks(at + length, end);
        let (word, next) = self.word(start, end, Ends::Operator)?;
        command.redirects.push(Redirect { kind, word });
        Ok(next)
    }

    fn here_document_at(
        &mut self,
        from: usize,
        end: usize,
        command: &mut Command,
    ) -> Result<usize, Unparsed> {
        let dash = self.bytes.get(from) == Some(&b'-') && from < end;
        let start = self.skip_blanks(from + usize::from(dash), end);
        let (word, next) = self.word(start, end, Ends::Operator)?;
        let literal = self.text.get(start..next).unwrap_or_default().contains(['\'', '"', '\\']);
        let delimiter = plain_text(&word);
        let line = memchr::memchr(b'\n', &self.bytes[next..end]).map(|at| next + at);
        let Some(line) = line else {
            // Nothing follows: the document is empty.
            return Ok(next);
        };
        let body = self.skips.get(&line).copied().unwrap_or(line + 1);
        let mut at = body;
        let mut body_end = None;
        while at < end {
            let stop = memchr::memchr(b'\n', &self.bytes[at..end]).map_or(end, |n| at + n);
            self.budget.spend(stop - at + 1)?;
            let text = self.text.get(at..stop).unwrap_or_default();
            let text = if dash { text.trim_start_matches('\t') } else { text };
            if text.trim_end_matches('\r') == delimiter {
                body_end = Some(at);
                self.skips.insert(line, (stop + 1).min(end));
                break;
            }
            at = stop + 1;
        }
        let stop = body_end.unwrap_or_else(|| {
            // A shell warns and takes the rest for the document.
            self.skips.insert(line, end);
            end
        });
        let body = body.min(stop);
        let word = if literal {
            let text = self.text.get(body..stop).unwrap_or_default();
            Word::literal(text, body + self.base..stop + self.base)
        } else {
            self.text_with_expansions(body, stop)?
        };
        command.redirects.push(Redirect { kind: RedirectKind::Text, word });
        Ok(next)
    }
}

fn finish(stages: &mut Vec<Vec<Statement>>, out: &mut Vec<Statement>, piped: &mut bool) {
    *piped = false;
    match stages.len() {
        0 => {}
        1 => out.append(&mut stages.remove(0)),
        _ => out.push(Statement::Pipeline(std::mem::take(stages))),
    }
    stages.clear();
}

fn plain_text(word: &Word) -> String {
    let text = |part: &super::Part| match part {
        super::Part::Text { text, .. } => text.clone(),
        _ => String::new(),
    };
    word.parts.iter().map(text).collect()
}

/// `name=value` or `name+=value` as the first word.
fn assignment(word: &Word) -> Option<Assignment> {
    let Some(super::Part::Text { text, quoted: false }) = word.parts.first() else { return None };
    let (name, rest) = text.split_once('=')?;
    let (name, append) = match name.strip_suffix('+') {
        Some(name) => (name, true),
        None => (name, false),
    };
    let valid = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !valid {
        return None;
    }
    let mut parts = word.parts.clone();
    parts[0] = super::Part::Text { text: rest.to_owned(), quoted: false };
    let value = Word { parts, span: word.span.clone() };
    Some(Assignment { name: name.to_owned(), value, append })
}
