//! What all the parsers produce: statements made of words, with quoting kept and nothing expanded.

pub(crate) mod cmd;
mod grammar;
pub(crate) mod lexer;
pub(crate) mod posix;
pub(crate) mod powershell;
pub(crate) mod word;

use std::ops::Range;
use std::rc::Rc;

/// One element of a script.
#[derive(Clone, Debug)]
pub(crate) enum Statement {
    Command(Command),
    /// Stages joined by `|`.
    Pipeline(Vec<Vec<Statement>>),
    /// Statements that share redirects: a subshell, a brace group, a loop's or a branch's body.
    Group(Group),
    Function {
        name: String,
        body: Rc<Vec<Statement>>,
    },
}

/// Statements that run together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Group {
    pub(crate) body: Vec<Statement>,
    pub(crate) redirects: Vec<Redirect>,
    /// Changes to variables and the working directory end with the group.
    pub(crate) isolated: bool,
    /// The body may not run: what it assigns comes in addition to the earlier value.
    pub(crate) conditional: bool,
    /// A `for` loop's variable and its values.
    pub(crate) variable: Option<(String, Vec<Word>)>,
}

/// A simple command.
#[derive(Clone, Debug, Default)]
pub(crate) struct Command {
    pub(crate) assignments: Vec<Assignment>,
    pub(crate) words: Vec<Word>,
    pub(crate) redirects: Vec<Redirect>,
    pub(crate) span: Range<usize>,
}

#[derive(Clone, Debug)]
pub(crate) struct Assignment {
    pub(crate) name: String,
    pub(crate) value: Word,
    pub(crate) append: bool,
}

/// A redirect with its target word; a here-document's body is the word.
#[derive(Clone, Debug)]
pub(crate) struct Redirect {
    pub(crate) kind: RedirectKind,
    pub(crate) word: Word,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RedirectKind {
    /// `<`
    Input,
    /// `>`, `>|`, `&>`, `<>`
    Write,
    /// `>>`
    Append,
    /// `<<`, `<<<`: the word is the text itself.
    Text,
    /// `>&2`, `2>&1`
    Duplicate,
}

/// A word as written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Word {
    pub(crate) parts: Vec<Part>,
    pub(crate) span: Range<usize>,
}

#[derive(Clone, Debug)]
pub(crate) enum Part {
    Text {
        text: String,
        quoted: bool,
    },
    Variable {
        name: String,
        quoted: bool,
        operation: Operation,
    },
    /// `$(…)` or backticks.
    Command {
        script: Vec<Statement>,
        quoted: bool,
    },
    /// `<(…)` or `>(…)`.
    Process {
        script: Vec<Statement>,
    },
    /// Arithmetic: a number.
    Number,
}

/// What `${name…}` does to the value.
#[derive(Clone, Debug)]
pub(crate) enum Operation {
    Plain,
    /// `${name:-word}` and `${name:=word}`.
    Default(Vec<Part>),
    /// `${name:+word}`.
    Alternative(Vec<Part>),
    /// `${name:offset:length}`.
    Slice(usize, Option<usize>),
    /// `${name/from/to}`; every match with `true`.
    Replace(String, String, bool),
    /// `${!name}`.
    Indirect,
    /// Any other; the result is unknown.
    Other,
}

impl Word {
    pub(crate) fn literal(text: impl Into<String>, span: Range<usize>) -> Self {
        Self { parts: vec![Part::Text { text: text.into(), quoted: true }], span }
    }
}
