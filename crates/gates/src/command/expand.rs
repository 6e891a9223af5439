//! Expansion of words: variables, substitutions, braces and field splitting, with unknown parts marked.

use std::rc::Rc;

use super::evaluate::{Evaluator, Output, Scope, Value, unknown};
use super::syntax::{Operation, Part, Word};
use super::targets::UNKNOWN;

/// Most values followed for one variable.
pub(crate) const MAX_CHOICES: usize = 8;
/// Longest field.
const MAX_FIELD: usize = 64 * 1024;
/// Most fields that braces make of one word.
const MAX_BRACES: usize = 64;

/// Unquoted characters with a meaning, until the field is complete.
const OPEN: char = '\u{e001}';
const COMMA: char = '\u{e002}';
const CLOSE: char = '\u{e003}';
const SPLIT: char = '\u{e004}';

/// One argument after expansion. Unknown parts begin with [`UNKNOWN`].
#[derive(Clone, Debug, Default)]
pub(crate) struct Field {
    pub(crate) text: String,
    /// Contains credentials.
    pub(crate) secret: bool,
    /// Contains text from another machine.
    pub(crate) network: bool,
    /// A process substitution with this output.
    pub(crate) content: Option<Rc<str>>,
    /// A process substitution.
    pub(crate) process: bool,
}

impl Field {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    pub(crate) fn is_known(&self) -> bool {
        !self.text.contains(UNKNOWN)
    }

    /// Whether it has the value of a variable that is named like a credential.
    pub(crate) fn names_token(&self) -> bool {
        self.text.split(UNKNOWN).skip(1).any(|rest| {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            super::secrets::token_variable(&rest[..end.unwrap_or(rest.len())])
        })
    }

    /// The text for records: unknown parts as variables.
    pub(crate) fn shown(&self) -> String {
        self.text.replace(UNKNOWN, "$")
    }
}

/// Values of variables that every environment sets to something of a known kind.
pub(crate) fn well_known(name: &str) -> Option<&'static str> {
    Some(match name {
        "HOME" | "USERPROFILE" => "~",
        "TMPDIR" | "TEMP" | "TMP" | "RUNNER_TEMP" | "XDG_RUNTIME_DIR" => "/tmp",
        "IFS" => " \t\n",
        "SHELL" | "0" | "BASH" => "sh",
        "GITHUB_WORKSPACE" | "CLAUDE_PROJECT_DIR" | "CI_PROJECT_DIR" | "PROJECT_DIR" => ".",
        "XDG_CACHE_HOME" => "~/.cache",
        "XDG_CONFIG_HOME" | "APPDATA" | "LOCALAPPDATA" => "~/.config",
        "SystemRoot" | "SYSTEMROOT" | "windir" | "WINDIR" => "C:/Windows",
        "SystemDrive" | "SYSTEMDRIVE" | "HOMEDRIVE" => "C:",
        "true" | "false" | "null" => "1",
        "?" | "#" | "$" | "!" => "0",
        // Parameters of a script that has none.
        "@" | "*" | "1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9" => "",
        _ => return None,
    })
}

/// A field under construction.
#[derive(Default)]
struct Draft {
    field: Field,
    quoted: bool,
}

impl Evaluator {
    pub(crate) fn expand(&mut self, word: &Word) -> Vec<Field> {
        let choices = self.choices(word);
        if choices == 1 {
            return self.expand_choice(word, None);
        }
        let mut fields: Vec<Field> = Vec::new();
        for choice in 0..choices {
            for field in self.expand_choice(word, Some(choice)) {
                if !fields.iter().any(|known| known.text == field.text) {
                    fields.push(field);
                }
            }
        }
        fields
    }

    /// How many values the word may have, by its variables.
    pub(crate) fn choices(&self, word: &Word) -> usize {
        let count = |part: &Part| match part {
            Part::Variable { name, .. } => self.variables.get(name).map_or(1, Vec::len),
            _ => 1,
        };
        word.parts.iter().map(count).max().unwrap_or(1).clamp(1, MAX_CHOICES)
    }

    /// Expands with one of the values of each variable.
    pub(crate) fn expand_choice(&mut self, word: &Word, choice: Option<usize>) -> Vec<Field> {
        let mut draft = self.draft(&word.parts, choice.unwrap_or(0));
        let text = std::mem::take(&mut draft.field.text);
        let texts = if text.contains(OPEN) { self.braces(&text) } else { vec![text] };
        let mut fields = Vec::new();
        for text in texts {
            let splits = text.contains(SPLIT);
            let pieces = text.split(SPLIT).filter(|piece| !splits || !piece.is_empty());
            for piece in pieces {
                if piece.is_empty() && !draft.quoted {
                    continue;
                }
                fields.push(Field { text: plain(piece), ..draft.field.clone() });
            }
        }
        fields
    }

    /// Expands without splitting: a redirect's target or a here-document.
    pub(crate) fn expand_text(&mut self, word: &Word) -> Field {
        let mut field = self.draft(&word.parts, 0).field;
        field.text = plain(&field.text.replace(SPLIT, " "));
        field
    }

    fn draft(&mut self, parts: &[Part], choice: usize) -> Draft {
        let mut draft = Draft::default();
        for part in parts {
            if draft.field.text.len() > MAX_FIELD || self.budget.spend(1).is_err() {
                self.fault(super::budget::Unparsed::TooComplex);
                draft.field.text.push(UNKNOWN);
                break;
            }
            self.part(part, choice, &mut draft);
        }
        draft
    }

    fn part(&mut self, part: &Part, choice: usize, draft: &mut Draft) {
        match part {
            Part::Text { text, quoted } => {
                draft.quoted |= *quoted;
                if *quoted {
                    draft
                        .field
                        .text
                        .extend(text.chars().map(|c| if reserved(c) { '\u{fffd}' } else { c }));
                } else {
                    draft.field.text.extend(text.chars().map(|c| match c {
                        '{' => OPEN,
                        ',' => COMMA,
                        '}' => CLOSE,
                        c if reserved(c) => '\u{fffd}',
                        c => c,
                    }));
                }
            }
            Part::Variable { name, quoted, operation } => {
                draft.quoted |= *quoted;
                let value = self.variable(name, operation, choice);
                let _ = self.budget.spend(value.text.len());
                draft.field.secret |= value.secret;
                draft.field.network |= value.network;
                // `"$@"` keeps its words apart, and each of them whole.
                push(&mut draft.field.text, &value.text, *quoted);
            }
            Part::Command { script, quoted } => {
                draft.quoted |= *quoted;
                let output = self.substitute(script);
                draft.field.secret |= output.secret;
                draft.field.network |= output.network;
                match &output.text {
                    Some(text) => push(&mut draft.field.text, text.trim_end_matches('\n'), *quoted),
                    None => draft.field.text.push_str(&unknown("(…)")),
                }
            }
            Part::Process { script, .. } => {
                let output = self.substitute(script);
                draft.field.secret |= output.secret;
                draft.field.network |= output.network;
                draft.field.process = true;
                draft.field.content = output.text.as_deref().map(Rc::from);
                draft.field.text.push_str("/dev/fd/63");
            }
            Part::Number => draft.field.text.push('0'),
        }
    }

    fn substitute(&mut self, script: &[super::syntax::Statement]) -> Output {
        if script.is_empty() {
            return Output::text("");
        }
        let scope = Scope::default();
        if self.budget.spend(100 + self.variables.len() * 30).is_err() {
            self.fault(super::budget::Unparsed::TooComplex);
            return Output::default();
        }
        let before = self.variables.clone();
        let output = self.run(script, &scope);
        self.variables = before;
        output
    }

    fn variable(&mut self, name: &str, operation: &Operation, choice: usize) -> Value {
        let value = self.lookup(name, choice);
        match operation {
            Operation::Plain => value.unwrap_or_else(|| Value {
                text: unknown(name),
                secret: super::secrets::secret_variable(name),
                ..Value::default()
            }),
            Operation::Default(parts) => match value {
                Some(value) if !value.text.is_empty() => value,
                _ => self.operand(parts, choice),
            },
            Operation::Alternative(parts) => self.operand(parts, choice),
            Operation::Slice(offset, length) => match value.filter(|v| !v.text.contains(UNKNOWN)) {
                Some(value) => {
                    let length = length.unwrap_or(usize::MAX);
                    let text = value.text.chars().skip(*offset).take(length).collect();
                    Value { text, ..value }
                }
                None => Value { text: unknown(name), ..Value::default() },
            },
            Operation::Replace(from, to, all) => match value {
                Some(value) => {
                    let count = if *all { usize::MAX } else { 1 };
                    Value { text: value.text.replacen(from.as_str(), to, count), ..value }
                }
                None => Value { text: unknown(name), ..Value::default() },
            },
            Operation::Indirect => match value {
                Some(value) => self
                    .lookup(&value.text, choice)
                    .unwrap_or_else(|| Value { text: unknown(&value.text), ..Value::default() }),
                None => Value { text: unknown(name), ..Value::default() },
            },
            Operation::Other => {
                let base = value.unwrap_or_default();
                Value { text: unknown(name), ..base }
            }
        }
    }

    fn operand(&mut self, parts: &[Part], choice: usize) -> Value {
        let draft = self.draft(parts, choice);
        Value {
            text: plain(&draft.field.text.replace(SPLIT, " ")),
            secret: draft.field.secret,
            network: draft.field.network,
        }
    }

    fn lookup(&self, name: &str, choice: usize) -> Option<Value> {
        if let Some(values) = self.variables.get(name).filter(|values| !values.is_empty()) {
            return Some(values[choice % values.len()].clone());
        }
        if name == "PWD" || name == "CD" {
            return Some(Value { text: self.place.cwd.clone(), ..Value::default() });
        }
        let text = well_known(name)?.to_owned();
        Some(Value { text, ..Value::default() })
    }

    fn braces(&mut self, text: &str) -> Vec<String> {
        let mut done = Vec::new();
        let mut open = vec![text.to_owned()];
        while let Some(text) = open.pop() {
            if self.budget.spend(text.len() + 1).is_err() || open.len() + done.len() > MAX_BRACES {
                self.fault(super::budget::Unparsed::TooComplex);
                break;
            }
            match alternatives(&text) {
                Some(mut texts) => {
                    texts.reverse();
                    texts.truncate(MAX_BRACES);
                    open.extend(texts);
                }
                None => done.push(text),
            }
        }
        done
    }
}

/// Expands the first pair of braces that has a comma or a range.
fn alternatives(text: &str) -> Option<Vec<String>> {
    // Each opening brace may cost a pass over the rest of the text.
    for (start, _) in text.match_indices(OPEN).take(MAX_BRACES / 4) {
        let mut depth = 0usize;
        let mut commas = Vec::new();
        let mut close = None;
        for (at, c) in text[start..].char_indices().map(|(at, c)| (at + start, c)) {
            match c {
                OPEN => depth += 1,
                CLOSE if depth == 1 => {
                    close = Some(at);
                    break;
                }
                CLOSE => depth = depth.saturating_sub(1),
                COMMA if depth == 1 => commas.push(at),
                _ => {}
            }
        }
        let Some(close) = close else { continue };
        let (before, after) = (&text[..start], &text[close + CLOSE.len_utf8()..]);
        let inner = start + OPEN.len_utf8();
        if commas.is_empty() {
            let Some((from, to)) = text[inner..close].split_once("..") else { continue };
            let ends = [from, to].map(|end| format!("{before}{end}{after}"));
            return Some(ends.to_vec());
        }
        let mut from = inner;
        let mut texts = Vec::new();
        for at in commas.into_iter().chain([close]) {
            texts.push(format!("{before}{}{after}", &text[from..at]));
            from = at + COMMA.len_utf8();
        }
        return Some(texts);
    }
    None
}

/// The parameters of a function or a script: all of them as `$@`, which keeps them apart, and as `$*`.
pub(crate) fn parameters(fields: &[Field]) -> [(&'static str, Value); 2] {
    let secret = fields.iter().any(|field| field.secret);
    let network = fields.iter().any(|field| field.network);
    let texts: Vec<&str> = fields.iter().map(|field| field.text.as_str()).collect();
    let value = |separator: &str| Value { text: texts.join(separator), secret, network };
    let mut apart = [0; 4];
    [("@", value(SPLIT.encode_utf8(&mut apart))), ("*", value(" "))]
}

fn push(out: &mut String, value: &str, quoted: bool) {
    if quoted {
        out.push_str(value);
    } else {
        out.extend(value.chars().map(|c| if c.is_ascii_whitespace() { SPLIT } else { c }));
    }
}

fn reserved(c: char) -> bool {
    ('\u{e000}'..='\u{e00f}').contains(&c)
}

fn plain(text: &str) -> String {
    if !text.contains(reserved) {
        return text.to_owned();
    }
    text.chars()
        .map(|c| match c {
            OPEN => '{',
            COMMA => ',',
            CLOSE => '}',
            c => c,
        })
        .collect()
}
