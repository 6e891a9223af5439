//! What [`assess`](super::assess) returns.

use serde::Serialize;

use super::budget::Unparsed;
use super::effect::{CommandEffect, TargetClass};

/// The judgment of one command line. Serialized, it is OPA's input and the `command` field of responses. Its words
/// may hold credentials that the text has in pieces, so it is redacted before it leaves.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Assessment {
    /// The severest effect.
    pub effect: CommandEffect,
    /// Every effect of the command, in order. A decision takes the strictest answer among them.
    pub effects: Vec<CommandEffect>,
    /// Every program that would run, after unwrapping.
    pub parts: Vec<Invocation>,
    /// Why something counts as unparsed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unparsed: Vec<Unparsed>,
    /// Steps of the budget used. The same for the same text, whatever the load.
    #[serde(skip)]
    pub steps: u32,
}

impl Assessment {
    /// Whether an effect occurs.
    pub fn has(&self, effect: CommandEffect) -> bool {
        self.effects.contains(&effect)
    }

    /// The invocation behind the summary, if any.
    pub fn severest(&self) -> Option<&Invocation> {
        self.parts.iter().max_by_key(|part| part.effect)
    }

    /// Every text taken from the command.
    pub(crate) fn words_mut(&mut self) -> impl Iterator<Item = &mut String> {
        self.parts.iter_mut().flat_map(|part| {
            let targets = part.targets.iter_mut().chain(&mut part.redirects);
            let lists = [
                &mut part.subcommand,
                &mut part.flags,
                &mut part.args,
                &mut part.pipe_from,
                &mut part.via,
            ];
            std::iter::once(&mut part.program)
                .chain(lists.into_iter().flatten())
                .chain(targets.map(|target| &mut target.text))
        })
    }

    /// The same to read.
    pub(crate) fn words(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().flat_map(|part| {
            let targets = part.targets.iter().chain(&part.redirects);
            std::iter::once(&part.program)
                .chain(&part.args)
                .chain(&part.pipe_from)
                .chain(&part.via)
                .chain(targets.map(|target| &target.text))
                .map(String::as_str)
        })
    }

    pub(crate) fn conclude(mut self) -> Self {
        self.effects = self.parts.iter().map(|part| part.effect).collect();
        if !self.unparsed.is_empty() {
            self.effects.push(CommandEffect::Unparsed);
        }
        self.effects.sort_unstable();
        self.effects.dedup();
        self.effect = self.effects.last().copied().unwrap_or_default();
        self
    }
}

/// One program that would run.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Invocation {
    /// The program's name without its folder.
    pub program: String,
    /// Arguments that are not options, in order: the subcommand, if any, comes first.
    pub subcommand: Vec<String>,
    /// Options as written, `--name=value` included.
    pub flags: Vec<String>,
    /// All arguments.
    pub args: Vec<String>,
    /// Paths and addresses among the arguments and redirects.
    pub targets: Vec<Target>,
    /// Files that redirects write.
    pub redirects: Vec<Target>,
    /// Programs whose output this one reads.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pipe_from: Vec<String>,
    /// Programs that run this one: `sudo`, `xargs`, `ssh`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub via: Vec<String>,
    /// What it does.
    pub effect: CommandEffect,
    /// The rule behind the effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// First byte and end of the command in the original text.
    pub span: (usize, usize),
}

impl Invocation {
    /// Raises the effect, and names the rule, unless a severer one applies already.
    pub(crate) fn raise(&mut self, effect: CommandEffect, rule: &str) {
        if effect > self.effect || (effect == self.effect && self.rule.is_none()) {
            self.effect = effect;
            self.rule = Some(rule.to_owned());
        }
    }
}

/// A path or address that a command names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Target {
    /// As written, after expansion.
    pub text: String,
    /// What it belongs to.
    pub class: TargetClass,
}
