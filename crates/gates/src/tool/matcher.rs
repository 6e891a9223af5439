//! The policy's patterns over invocations, compiled.

use life_agent_policy::document::{self, CommandClass};
use life_agent_policy::snapshot::Snapshot;

use crate::command::{CommandEffect, CommandPattern, Invocation, TargetClass};

/// One pattern.
#[derive(Debug)]
pub(crate) struct Matcher {
    pattern: CommandPattern,
    classes: Vec<CommandEffect>,
}

impl Matcher {
    fn of(pattern: &document::CommandPattern) -> Self {
        Self {
            pattern: CommandPattern {
                program: pattern.program.clone(),
                subcommand: pattern.subcommand.clone(),
                any: pattern.any.clone(),
                all: pattern.all.clone(),
                none: pattern.none.clone(),
                target: pattern.target.iter().map(|place| target(*place)).collect(),
            },
            classes: pattern.class.iter().map(|class| effect(*class)).collect(),
        }
    }

    /// Whether an invocation meets every condition.
    pub(crate) fn matches(&self, part: &Invocation) -> bool {
        (self.classes.is_empty() || self.classes.contains(&part.effect))
            && self.pattern.matches(part)
    }

    /// Whether the pattern names this class.
    pub(crate) fn names_class(&self, class: CommandEffect) -> bool {
        self.classes.contains(&class)
    }
}

/// The patterns of one policy, in the order of the document.
#[derive(Debug)]
pub(crate) struct Matchers {
    /// Of `commands.rules`.
    pub(crate) commands: Vec<Matcher>,
    /// Of each of `rules`.
    pub(crate) rules: Vec<Vec<Matcher>>,
}

impl Matchers {
    pub(crate) fn of(snapshot: &Snapshot) -> Self {
        let commands = snapshot.policy.commands.rules.iter();
        let rules = snapshot.rules.iter();
        Self {
            commands: commands.map(|rule| Matcher::of(&rule.pattern)).collect(),
            rules: rules.map(|rule| rule.commands.iter().map(Matcher::of).collect()).collect(),
        }
    }
}

/// The policy's name for an effect of commands.
pub(super) fn class(effect: CommandEffect) -> CommandClass {
    match effect {
        CommandEffect::Read => CommandClass::Read,
        CommandEffect::Change => CommandClass::Change,
        CommandEffect::Destroy => CommandClass::Destroy,
        CommandEffect::Publish => CommandClass::Publish,
        CommandEffect::Exfiltrate => CommandClass::Exfiltrate,
        CommandEffect::Escalate => CommandClass::Escalate,
        CommandEffect::Unparsed => CommandClass::Unparsed,
    }
}

fn effect(class: CommandClass) -> CommandEffect {
    match class {
        CommandClass::Read => CommandEffect::Read,
        CommandClass::Change => CommandEffect::Change,
        CommandClass::Destroy => CommandEffect::Destroy,
        CommandClass::Publish => CommandEffect::Publish,
        CommandClass::Exfiltrate => CommandEffect::Exfiltrate,
        CommandClass::Escalate => CommandEffect::Escalate,
        CommandClass::Unparsed => CommandEffect::Unparsed,
    }
}

fn target(place: document::TargetClass) -> TargetClass {
    match place {
        document::TargetClass::Root => TargetClass::Root,
        document::TargetClass::Home => TargetClass::Home,
        document::TargetClass::System => TargetClass::System,
        document::TargetClass::Outside => TargetClass::Outside,
        document::TargetClass::Workspace => TargetClass::Workspace,
        document::TargetClass::Build => TargetClass::Build,
        document::TargetClass::Temporary => TargetClass::Temporary,
        document::TargetClass::Remote => TargetClass::Remote,
        document::TargetClass::Device => TargetClass::Device,
        document::TargetClass::Unknown => TargetClass::Unknown,
    }
}
