//! The command gate: the commands of a tool call, by what each of their invocations does.

use std::sync::Arc;

use life_agent_domain::governance::command::Subject;
use life_agent_domain::governance::gate::{
    Effect, Finding, Gate, GateInputs, Reason, Refusal, Verdict,
};
use life_agent_policy::document::{ActionEffect, Category};
use life_agent_policy::snapshot::Snapshot;

use super::matcher::class;
use super::view::CommandField;
use super::{Matchers, ToolView, finding_effect, refusal_reason, severity};
use crate::command::{CommandEffect, Invocation};
use crate::rules::exempt::Exemptions;

/// Most findings of one call; the severest are kept.
const MAX_FINDINGS: usize = 32;

/// Rules of the built-in pack about the surroundings of a program: its redirects, and the data that flows
/// into it. A policy's rule about the program alone does not make them milder.
const SURROUNDINGS: [&str; 10] = [
    "empties-file",
    "moves-to-null",
    "network-redirect",
    "persistence",
    "reads-credentials",
    "sends-credentials",
    "sends-file",
    "unknown-program",
    "unknown-script",
    "writes-system",
];

/// Judges commands under one policy.
#[derive(Debug)]
pub struct CommandGate {
    snapshot: Arc<Snapshot>,
    matchers: Matchers,
}

impl CommandGate {
    /// The effects and rules of one policy.
    pub fn new(snapshot: Arc<Snapshot>) -> Self {
        Self { matchers: Matchers::of(&snapshot), snapshot }
    }

    /// The effect of one invocation, and the rule that sets it.
    fn effect(&self, part: &Invocation) -> (ActionEffect, String) {
        let commands = &self.snapshot.policy.commands;
        let built_in = commands.effect(class(part.effect));
        let name = part.rule.clone().unwrap_or_else(|| part.effect.name().to_owned());
        let own = self.matchers.commands.iter().zip(&commands.rules).enumerate();
        let own = own
            .filter(|(_, (matcher, rule))| {
                let milder = rule.effect < built_in;
                matcher.matches(part)
                    && !(milder && is_surrounding(part) && !matcher.names_class(part.effect))
            })
            .max_by_key(|(index, (_, rule))| (rule.effect, std::cmp::Reverse(*index)));
        match own {
            Some((index, (_, rule))) => {
                let id = rule.id.clone().unwrap_or_else(|| format!("commands.rules.{index}"));
                (rule.effect, id)
            }
            None => (built_in, name),
        }
    }

    fn in_field(&self, field: &CommandField, exempt: &Exemptions<'_>) -> Vec<Finding> {
        let is_exempt = |part| exempt.covers(Category::CommandExec, Some(&field.pointer), part);
        let parts = field.assessment.parts.iter().filter(|part| !is_exempt(Some(part)));
        let mut findings: Vec<Finding> = parts
            .filter_map(|part| {
                let (effect, rule) = self.effect(part);
                let effect = finding_effect(effect)?;
                let (start, end) = span(field, part.span);
                Some(finding(field, rule, effect, part.effect, (start, end)))
            })
            .collect();
        if !field.assessment.unparsed.is_empty()
            && !is_exempt(None)
            && let Some(effect) = finding_effect(self.snapshot.policy.commands.unparsed)
        {
            let whole = (0, field.text.chars().count());
            let rule = CommandEffect::Unparsed.name().to_owned();
            findings.push(finding(field, rule, effect, CommandEffect::Unparsed, whole));
        }
        findings
    }
}

fn is_surrounding(part: &Invocation) -> bool {
    part.effect == CommandEffect::Unparsed
        || part.rule.as_deref().is_some_and(|rule| SURROUNDINGS.contains(&rule))
}

impl Gate for CommandGate {
    fn name(&self) -> &'static str {
        "command"
    }

    fn check(&self, subject: &Subject<'_>, facts: &GateInputs) -> Verdict {
        let Some(view) = ToolView::shared(subject, &self.snapshot) else { return Verdict::pass() };
        if view.commands.is_empty() {
            return Verdict::pass();
        }
        let exempt = Exemptions::of(&self.snapshot, &self.matchers, subject, facts);
        let mut findings: Vec<Finding> =
            view.commands.iter().flat_map(|field| self.in_field(field, &exempt)).collect();
        // Stable: among equally severe findings, the first in the command decides.
        findings.sort_by_key(|finding| std::cmp::Reverse(severity(finding.effect)));
        findings.truncate(MAX_FINDINGS);
        let refusal = findings.first().and_then(|worst| refusal(view, worst));
        Verdict { findings, applied: Vec::new(), refusal }
    }
}

fn finding(
    field: &CommandField,
    rule: String,
    effect: Effect,
    class: CommandEffect,
    (start, end): (usize, usize),
) -> Finding {
    Finding {
        gate: "",
        category: "command_exec",
        rule,
        effect,
        field: format!("arguments{}", field.pointer),
        start,
        end,
        weight: weight(class),
    }
}

/// The share of the score.
fn weight(class: CommandEffect) -> f64 {
    match class {
        CommandEffect::Read | CommandEffect::Change => 0.1,
        CommandEffect::Unparsed => 0.3,
        CommandEffect::Publish => 0.4,
        CommandEffect::Destroy => 0.6,
        CommandEffect::Escalate => 0.8,
        CommandEffect::Exfiltrate => 0.9,
    }
}

/// A span of bytes in characters; the whole of a list of words, whose joined text was never sent.
fn span(field: &CommandField, (start, end): (usize, usize)) -> (usize, usize) {
    if !field.is_text {
        return (0, 0);
    }
    let chars = |end: usize| field.text.get(..end).unwrap_or(&field.text).chars().count();
    (chars(start), chars(end))
}

/// Names the program, the rule and an alternative; never an argument, which may be a credential.
fn refusal(view: &ToolView, worst: &Finding) -> Option<Refusal> {
    let reason = refusal_reason(worst.effect, Reason::ToolDenied)?;
    let field =
        view.commands.iter().find(|field| worst.field == format!("arguments{}", field.pointer))?;
    let part = field.assessment.parts.iter().find(|part| {
        span(field, part.span) == (worst.start, worst.end)
            && (part.rule.as_deref() == Some(&worst.rule) || part.effect.name() == worst.rule)
    });
    let part = part.or_else(|| field.assessment.severest());
    let class = part.map_or(CommandEffect::Unparsed, |part| part.effect);
    let program = part.map(|part| part.program.chars().take(64).collect::<String>());
    let program = program.filter(|program| !program.is_empty());
    let subject =
        program.map_or_else(|| "the command".to_owned(), |program| format!("`{program}`"));
    let (does, instead) = match class {
        CommandEffect::Read => ("reads", "use a command that the policy allows"),
        CommandEffect::Change => ("changes something", "use a command that the policy allows"),
        CommandEffect::Destroy => (
            "destroys data, history, processes or infrastructure",
            "use a step that can be undone, or limit it to build and temporary folders",
        ),
        CommandEffect::Publish => (
            "publishes, or rewrites what others see",
            "prepare the change and leave publishing to a person",
        ),
        CommandEffect::Exfiltrate => (
            "reads or sends credentials or files",
            "refer to credentials by name, and keep files on this machine",
        ),
        CommandEffect::Escalate => (
            "gains rights, weakens protection or persists",
            "work inside the workspace without extra rights",
        ),
        CommandEffect::Unparsed => (
            "could not be resolved without running it",
            "write the command out plainly, in several calls if need be",
        ),
    };
    let verb =
        if reason == Reason::ApprovalRequired { "requires an approval" } else { "denies it" };
    Some(Refusal {
        reason,
        rule: Some(worst.rule.clone()),
        message: format!(
            "`{}`: {subject} {does} (rule `{}`), and the policy {verb}; {instead}",
            worst.field, worst.rule
        ),
        retry_after: None,
    })
}
