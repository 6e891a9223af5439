//! A tool call by the meaning of its fields, with its commands parsed. The gates share one view of a call.

use std::borrow::Cow;

use life_agent_domain::governance::command::{Command, Subject, Tool};
use life_agent_domain::governance::redaction::{Redact, redact_owned};
use life_agent_policy::document::{Access, ActionEffect, Meaning};
use life_agent_policy::snapshot::Snapshot;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::command::{Assessment, CommandContext, MAX_STEPS, assess_within};

/// Most values of one meaning that are judged one by one. A call with more of them is not judged at all,
/// and so refused.
const MAX_VALUES: usize = 256;

/// Arguments that hold the directory a command runs in, in any tool with a command.
const DIRECTORIES: [&str; 8] =
    ["cwd", "workdir", "Cwd", "working_directory", "workingDirectory", "directory", "dir", "cd"];

/// A tool call by the meaning of its fields.
#[derive(Debug)]
pub struct ToolView {
    /// The effect of any call of the tool, and the index of the policy's entry that sets it.
    pub effect: Option<(usize, ActionEffect)>,
    /// Whether the tool only reads its paths.
    pub access: Access,
    /// The commands, parsed.
    pub commands: Vec<CommandField>,
    /// The paths, with the JSON pointers of their arguments.
    pub paths: Vec<(String, String)>,
    /// The addresses, with the JSON pointers of their arguments.
    pub urls: Vec<(String, String)>,
    /// The fields of a declared meaning, for policies in other languages.
    pub meanings: Vec<(String, Meaning)>,
    /// Whether the call has more fields than can be judged.
    pub too_many: bool,
    /// The place that relative paths start from, and what counts as inside.
    pub place: CallPlace,
    /// Steps that the commands of the call may still take, all together.
    steps: u32,
}

/// A command and its judgment.
#[derive(Debug, Clone, Serialize)]
pub struct CommandField {
    /// The JSON pointer of the argument.
    pub pointer: String,
    /// The command's text. Positions count in it only if `is_text`.
    #[serde(skip)]
    pub text: String,
    /// Whether the argument is the text itself, and not a list of words.
    #[serde(skip)]
    pub is_text: bool,
    /// The judgment.
    #[serde(flatten)]
    pub assessment: Assessment,
}

/// Where a call happens, as far as the call says.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct CallPlace {
    /// The working directory.
    pub cwd: Option<String>,
    /// The working directory where it can be a workspace.
    pub workspace: Option<String>,
    /// The home folder that the working directory is in.
    pub home: Option<String>,
}

impl CallPlace {
    /// The place of a call that comes from this directory.
    pub fn of(cwd: Option<&str>) -> Self {
        let Some(cwd) = cwd.filter(|cwd| !cwd.is_empty()) else { return Self::default() };
        Self {
            cwd: Some(cwd.to_owned()),
            workspace: is_workspace(cwd).then(|| cwd.to_owned()),
            home: home_of(cwd),
        }
    }

    /// The place as the command parser takes it.
    pub fn context(&self) -> CommandContext<'_> {
        CommandContext {
            cwd: self.cwd.as_deref(),
            workspace: self.workspace.as_deref(),
            home: self.home.as_deref(),
            shell: None,
        }
    }
}

/// Whether a directory may be a project: not a root, a home folder or a folder of the system, in which
/// nothing would be outside.
fn is_workspace(cwd: &str) -> bool {
    let cwd = cwd.replace('\\', "/");
    let parts: Vec<&str> = cwd.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    if parts.contains(&"..") {
        return false;
    }
    match (cwd.starts_with('/'), parts.as_slice()) {
        (true, []) => false,
        (true, ["etc" | "bin" | "sbin" | "lib" | "lib32" | "lib64" | "boot" | "sys", ..]) => false,
        (true, ["proc" | "dev" | "System" | "Library", ..]) => false,
        (true, ["usr", "bin" | "sbin" | "lib" | "lib64" | "include" | "share", ..]) => false,
        (true, ["home" | "Users" | "root" | "usr" | "opt" | "var" | "srv" | "tmp"]) => false,
        (true, ["mnt" | "media" | "run" | "private" | "Applications"]) => false,
        (true, ["home" | "Users", _]) => false,
        (true, _) => true,
        // A drive, and at least `Users/name/project` or `projects/project` on it.
        (false, [drive, "Users" | "users", _, _, ..]) => drive.ends_with(':'),
        (false, [_, "Windows" | "windows" | "Users" | "users", ..]) => false,
        (false, [drive, _, _, ..]) => drive.ends_with(':'),
        (false, _) => false,
    }
}

fn home_of(cwd: &str) -> Option<String> {
    let parts: Vec<&str> = cwd.split('/').collect();
    match parts.as_slice() {
        ["", root @ ("home" | "Users"), name, ..] if !name.is_empty() => {
            Some(format!("/{root}/{name}"))
        }
        ["", "root", ..] => Some("/root".to_owned()),
        _ => None,
    }
}

impl ToolView {
    /// The view of a call under one policy.
    pub fn of(snapshot: &Snapshot, tool: &Tool) -> Self {
        let definition = snapshot.tool(tool.tool.as_str(), tool.server_name());
        let arguments = tool.arguments.as_object();
        let place = CallPlace::of(tool.cwd.as_deref());
        let mut view = Self {
            effect: definition.effect,
            access: definition.access,
            commands: Vec::new(),
            paths: Vec::new(),
            urls: Vec::new(),
            meanings: Vec::new(),
            too_many: false,
            place,
            steps: MAX_STEPS,
        };
        let in_directory = view.place.entered(arguments);
        for (pointer, meaning) in definition.fields {
            for (path, value) in pointer.resolve(arguments) {
                view.add(&path, value, *meaning, &in_directory);
                view.meanings.push((path, *meaning));
                if view.meanings.len() > MAX_VALUES {
                    view.too_many = true;
                    return view;
                }
            }
        }
        view
    }

    /// Computes the view that [`crate::opa::input`] shows, for a redacted subject that no chain has judged.
    pub fn prepare(subject: &Subject<'_>, snapshot: &Snapshot, redactor: &dyn Redact) {
        if let Command::Tool(tool) = subject.command {
            subject.shared(|| Self::of(snapshot, tool).without_secrets(redactor));
        }
    }

    /// The commands of a redacted call for readers outside, as [`ToolView::without_secrets`] leaves them.
    pub fn commands_without_secrets(&self, redactor: &dyn Redact) -> Cow<'_, [CommandField]> {
        let is_clean = |field: &CommandField| {
            let joined = field.assessment.words().filter(|word| !field.text.contains(word));
            joined.map(|word| redactor.redact(word)).all(|word| matches!(word, Cow::Borrowed(_)))
        };
        if self.commands.iter().all(is_clean) {
            return Cow::Borrowed(&self.commands);
        }
        Cow::Owned(without_secrets(self.commands.clone(), redactor))
    }

    /// The view of a redacted call for readers outside: a parsed command may join what is cut in its text.
    pub fn without_secrets(mut self, redactor: &dyn Redact) -> Self {
        self.commands = without_secrets(self.commands, redactor);
        self
    }

    /// The view that the gates of one chain share; `None` for requests of other kinds.
    pub(crate) fn shared<'s>(subject: &'s Subject<'_>, snapshot: &Snapshot) -> Option<&'s Self> {
        let Command::Tool(tool) = subject.command else { return None };
        subject.shared(|| Self::of(snapshot, tool))
    }

    fn add(&mut self, pointer: &str, value: &Value, meaning: Meaning, place: &CallPlace) {
        match meaning {
            Meaning::Command => self.add_commands(pointer, value, place),
            Meaning::Path => self.too_many |= texts(pointer, value, &mut self.paths).is_none(),
            Meaning::Url => self.too_many |= texts(pointer, value, &mut self.urls).is_none(),
            Meaning::Data => {}
        }
    }

    fn add_commands(&mut self, pointer: &str, value: &Value, place: &CallPlace) {
        let words = value
            .as_array()
            .map(|items| items.iter().map(|item| item.as_str()).collect::<Option<Vec<_>>>());
        if let Some(Some(words)) = words.filter(|_| !is_list_of_commands(pointer)) {
            let text = words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ");
            self.command(pointer, text, false, place);
            return;
        }
        let mut found = Vec::new();
        self.too_many |= texts(pointer, value, &mut found).is_none();
        for (pointer, text) in found {
            self.command(&pointer, text, true, place);
        }
    }

    fn command(&mut self, pointer: &str, text: String, is_text: bool, place: &CallPlace) {
        let assessment = assess_within(&text, &place.context(), &mut self.steps);
        self.commands.push(CommandField { pointer: pointer.to_owned(), text, is_text, assessment });
    }
}

fn without_secrets(mut commands: Vec<CommandField>, redactor: &dyn Redact) -> Vec<CommandField> {
    for CommandField { text, assessment, .. } in &mut commands {
        for word in assessment.words_mut().filter(|word| !text.contains(word.as_str())) {
            *word = redact_owned(std::mem::take(word), redactor);
        }
    }
    commands
}

impl CallPlace {
    /// The place after the directory that the arguments name.
    fn entered(&self, arguments: &Map<String, Value>) -> Self {
        let named = DIRECTORIES.iter().find_map(|key| arguments.get(*key)?.as_str());
        let Some(named) = named.filter(|named| !named.is_empty()) else { return self.clone() };
        let cwd = match (&self.cwd, named.starts_with(['/', '~']) || named.contains(':')) {
            (Some(cwd), false) => format!("{cwd}/{named}"),
            _ => named.to_owned(),
        };
        let workspace = match &self.workspace {
            Some(workspace) => Some(workspace.clone()),
            None if self.cwd.is_none() => Self::of(Some(&cwd)).workspace,
            None => None,
        };
        let home = self.home.clone().or_else(|| home_of(&cwd));
        Self { cwd: Some(cwd), workspace, home }
    }
}

/// A list under `commands` has a command in each item; any other list has the words of one command.
fn is_list_of_commands(pointer: &str) -> bool {
    pointer.rsplit('/').next().is_some_and(|key| key.eq_ignore_ascii_case("commands"))
}

/// Every text in the value with its pointer; `None` for more than [`MAX_VALUES`].
fn texts(pointer: &str, value: &Value, found: &mut Vec<(String, String)>) -> Option<()> {
    match value {
        Value::String(text) => {
            found.push((pointer.to_owned(), text.clone()));
            (found.len() <= MAX_VALUES).then_some(())
        }
        Value::Array(items) => items
            .iter()
            .enumerate()
            .try_for_each(|(index, item)| texts(&format!("{pointer}/{index}"), item, found)),
        Value::Object(map) => map.iter().try_for_each(|(key, item)| {
            let key = key.replace('~', "~0").replace('/', "~1");
            texts(&format!("{pointer}/{key}"), item, found)
        }),
        _ => Some(()),
    }
}

/// A word as a POSIX shell reads it back.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=+,@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}
