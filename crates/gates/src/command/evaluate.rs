//! Follows a script without running it: variables, functions, pipes, redirects and the working directory.

use std::collections::HashMap;
use std::rc::Rc;

use super::assessment::Invocation;
use super::budget::{Budget, MAX_DEPTH, MAX_PARTS, Unparsed};
use super::effect::{CommandContext, Shell};
use super::expand::Field;
use super::syntax::{Command, Group, Redirect, RedirectKind, Statement, cmd, posix, powershell};
use super::targets::Place;

/// Steps that a statement and a redirect cost, whatever they hold.
const STATEMENT_STEPS: usize = 100;
const REDIRECT_STEPS: usize = 500;

/// What a command writes to its standard output, as far as it can be said without running it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Output {
    /// The exact text, when it follows from the command line alone.
    pub(crate) text: Option<String>,
    /// Comes from another machine.
    pub(crate) network: bool,
    /// Contains credentials.
    pub(crate) secret: bool,
    /// Was decoded from a text that hides its meaning.
    pub(crate) decoded: bool,
    /// Contains the value of a variable that is named like a credential.
    pub(crate) token: bool,
    /// Comes from a file of this machine.
    pub(crate) file: bool,
    /// Programs that wrote it.
    pub(crate) programs: Vec<String>,
}

impl Output {
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self { text: Some(text.into()), ..Self::default() }
    }

    /// Adds the output of a following command.
    fn append(&mut self, other: Output, first: bool) {
        self.text = match (self.text.take(), other.text) {
            (None, text) if first => text,
            (Some(mut text), Some(more)) => {
                text.push_str(&more);
                Some(text)
            }
            _ => None,
        };
        self.network |= other.network;
        self.secret |= other.secret;
        self.decoded |= other.decoded;
        self.token |= other.token;
        self.file |= other.file;
        self.programs.extend(other.programs);
    }
}

/// One possible value of a variable.
#[derive(Clone, Debug, Default)]
pub(crate) struct Value {
    pub(crate) text: String,
    pub(crate) secret: bool,
    pub(crate) network: bool,
}

/// How the command at hand is run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scope {
    /// What arrives on standard input.
    pub(crate) stdin: Option<Rc<Output>>,
    /// Programs that run this one.
    pub(crate) via: Vec<String>,
    /// The command's extent in the original text.
    pub(crate) span: (usize, usize),
    /// Assignments come in addition to earlier values.
    pub(crate) conditional: bool,
    /// Files that redirects write.
    pub(crate) writes: Vec<(RedirectKind, Field)>,
}

/// The state of one assessment.
pub(crate) struct Evaluator {
    pub(crate) place: Place,
    pub(crate) budget: Budget,
    pub(crate) parts: Vec<Invocation>,
    pub(crate) unparsed: Vec<Unparsed>,
    pub(crate) variables: HashMap<String, Vec<Value>>,
    pub(crate) functions: HashMap<String, Rc<Vec<Statement>>>,
    pub(crate) aliases: HashMap<String, String>,
    /// Files that the command has fetched from another machine.
    pub(crate) downloads: Vec<String>,
    pub(crate) depth: usize,
    /// Scripts within each other: in inner ones, commands have no place in the original text.
    scripts: usize,
    pub(crate) shell: Shell,
}

impl Evaluator {
    pub(crate) fn new(context: &CommandContext<'_>, shell: Shell, budget: Budget) -> Self {
        Self {
            place: Place::new(context),
            budget,
            parts: Vec::new(),
            unparsed: Vec::new(),
            variables: HashMap::new(),
            functions: HashMap::new(),
            aliases: HashMap::new(),
            downloads: Vec::new(),
            depth: 0,
            scripts: 0,
            shell,
        }
    }

    pub(crate) fn fault(&mut self, fault: Unparsed) {
        if !self.unparsed.contains(&fault) {
            self.unparsed.push(fault);
        }
    }

    /// Parses and follows a script. Faults are noted, never returned.
    pub(crate) fn script(&mut self, text: &str, shell: Shell, scope: &Scope) -> Output {
        if self.depth >= MAX_DEPTH {
            self.fault(Unparsed::TooDeep);
            return Output::default();
        }
        self.depth += 1;
        self.scripts += 1;
        let parsed = match shell {
            Shell::Posix => posix::parse(text, 0, self.depth, &mut self.budget),
            Shell::PowerShell => powershell::parse(text, 0, self.depth, &mut self.budget),
            Shell::Cmd => cmd::parse(text, 0, &mut self.budget),
        };
        parsed.faults.into_iter().for_each(|fault| self.fault(fault));
        let outer = std::mem::replace(&mut self.shell, shell);
        let output = self.run(&parsed.script, scope);
        self.shell = outer;
        self.depth -= 1;
        self.scripts -= 1;
        output
    }

    pub(crate) fn run(&mut self, script: &[Statement], scope: &Scope) -> Output {
        let mut output = Output::default();
        for (index, statement) in script.iter().enumerate() {
            if self.budget.spend(STATEMENT_STEPS).is_err() || self.parts.len() > MAX_PARTS {
                self.fault(Unparsed::TooComplex);
                break;
            }
            let next = self.statement(statement, scope);
            output.append(next, index == 0);
        }
        output
    }

    fn statement(&mut self, statement: &Statement, scope: &Scope) -> Output {
        if self.depth >= MAX_DEPTH {
            self.fault(Unparsed::TooDeep);
            return Output::default();
        }
        self.depth += 1;
        let output = match statement {
            Statement::Command(command) => self.command(command, scope),
            Statement::Pipeline(stages) => {
                let mut stdin = scope.stdin.clone();
                let mut last = Output::default();
                for stage in stages {
                    let scope = Scope { stdin, ..scope.clone() };
                    last = self.run(stage, &scope);
                    stdin = Some(Rc::new(last.clone()));
                }
                last
            }
            Statement::Group(group) => self.group(group, scope),
            Statement::Function { name, body } => {
                self.functions.insert(name.clone(), Rc::clone(body));
                Output::default()
            }
        };
        self.depth -= 1;
        output
    }

    fn group(&mut self, group: &Group, scope: &Scope) -> Output {
        let mut scope = scope.clone();
        scope.conditional |= group.conditional;
        self.redirects(&group.redirects, &mut scope);
        if let Some((name, words)) = &group.variable {
            let mut values = Vec::new();
            for word in words {
                let fields = self.expand(word);
                values.extend(fields.into_iter().map(|field| Value {
                    text: field.text,
                    secret: field.secret,
                    network: field.network,
                }));
            }
            if words.is_empty() {
                values.push(Value { text: unknown(name), ..Value::default() });
            }
            self.variables.insert(name.clone(), values);
        }
        if !group.redirects.is_empty() {
            self.note_writes(&scope);
        }
        let saved = group.isolated.then(|| (self.place.clone(), self.variables.clone()));
        let output = self.run(&group.body, &scope);
        if let Some((place, variables)) = saved {
            self.place = place;
            self.variables = variables;
        }
        output
    }

    fn command(&mut self, command: &Command, scope: &Scope) -> Output {
        let own = (command.span.start, command.span.end);
        let span = if self.scripts > 1 { scope.span } else { own };
        let mut scope = Scope { span, ..scope.clone() };
        let persistent = command.words.is_empty() || declares(command);
        for assignment in &command.assignments {
            let fields = self.expand(&assignment.value);
            let value = Value {
                text: fields.iter().map(|f| f.text.as_str()).collect::<Vec<_>>().join(" "),
                secret: fields.iter().any(|field| field.secret),
                network: fields.iter().any(|field| field.network),
            };
            self.assign(
                &assignment.name,
                value,
                assignment.append,
                persistent && !scope.conditional,
            );
        }
        self.redirects(&command.redirects, &mut scope);
        if command.words.is_empty() {
            self.note_writes(&scope);
            return Output::text("");
        }
        let choices = self.choices(&command.words[0]);
        let mut output = Output::default();
        for choice in 0..choices {
            let mut fields = self.expand_choice(&command.words[0], Some(choice));
            for word in &command.words[1..] {
                fields.extend(self.expand(word));
            }
            output = self.invoke(fields, &scope);
        }
        self.environment(command, &scope);
        output
    }

    /// Variables that make the program at hand load or run something else.
    fn environment(&mut self, command: &Command, scope: &Scope) {
        for assignment in &command.assignments {
            match assignment.name.as_str() {
                "LD_PRELOAD"
                | "LD_AUDIT"
                | "DYLD_INSERT_LIBRARIES"
                | "BASH_ENV"
                | "PERL5OPT"
                | "PYTHONSTARTUP" => {
                    self.raise_last(super::effect::CommandEffect::Escalate, "loads-code");
                }
                "GIT_SSH_COMMAND" | "GIT_SSH" | "GIT_PAGER" | "PAGER" | "EDITOR" | "GIT_EDITOR"
                | "VISUAL" | "GIT_EXTERNAL_DIFF" | "MANPAGER" | "PROMPT_COMMAND" => {
                    let script = self.expand_text(&assignment.value).text;
                    self.script(&script, Shell::Posix, scope);
                }
                _ => {}
            }
        }
    }

    fn assign(&mut self, name: &str, value: Value, append: bool, replaces: bool) {
        if name == "_" || self.budget.spend(value.text.len()).is_err() {
            return;
        }
        let values = self.variables.entry(name.to_owned()).or_default();
        if append && let Some(last) = values.last_mut() {
            last.text.push_str(&value.text);
            last.secret |= value.secret;
            last.network |= value.network;
            return;
        }
        if replaces {
            values.clear();
        } else if values.is_empty()
            && let Some(known) = super::expand::well_known(name)
        {
            values.push(Value { text: known.to_owned(), ..Value::default() });
        }
        if values.len() < super::expand::MAX_CHOICES {
            values.push(value);
        } else {
            // Too many to follow: the value counts as unknown.
            values.truncate(1);
            values[0] = Value { text: unknown(name), ..Value::default() };
        }
    }

    fn redirects(&mut self, redirects: &[Redirect], scope: &mut Scope) {
        for redirect in redirects {
            if self.budget.spend(REDIRECT_STEPS).is_err() {
                return self.fault(Unparsed::TooComplex);
            }
            match redirect.kind {
                RedirectKind::Text => {
                    let text = self.expand_text(&redirect.word);
                    scope.stdin = Some(Rc::new(Output {
                        text: (!text.text.contains(super::targets::UNKNOWN)).then_some(text.text),
                        secret: text.secret,
                        network: text.network,
                        ..Output::default()
                    }));
                }
                RedirectKind::Duplicate => {
                    let field = self.expand_text(&redirect.word);
                    // `>& file` writes a file, `>&2` does not.
                    if !field.text.chars().all(|c| c.is_ascii_digit() || c == '-') {
                        scope.writes.push((RedirectKind::Write, field));
                    }
                }
                RedirectKind::Input => {
                    let field = self.expand_text(&redirect.word);
                    let secret = field.secret || self.reads_secret(&field.text);
                    scope.stdin = Some(Rc::new(Output {
                        text: field.content.as_deref().map(str::to_owned),
                        secret,
                        network: field.network,
                        file: true,
                        ..Output::default()
                    }));
                }
                RedirectKind::Write | RedirectKind::Append => {
                    let field = self.expand_text(&redirect.word);
                    scope.writes.push((redirect.kind, field));
                }
            }
        }
    }
}

fn declares(command: &Command) -> bool {
    let [first, ..] = command.words.as_slice() else { return false };
    let [super::syntax::Part::Text { text, .. }] = first.parts.as_slice() else { return false };
    matches!(text.as_str(), "export" | "declare" | "local" | "readonly" | "typeset" | "set")
}

/// The placeholder for a value that only the run can tell.
pub(crate) fn unknown(name: &str) -> String {
    format!("{}{name}", super::targets::UNKNOWN)
}
