//! The paths gate: every target of a plan must lie under an allowed directory, both as it is written
//! and as the file system resolves it, and match no deny glob.

use std::sync::Arc;

use life_agent_domain::governance::command::{Command, Field, Subject};
use life_agent_domain::governance::gate::{
    Finding, Gate, GateInputs, Reason, Refusal, TargetFact, Verdict,
};
use life_agent_policy::document::Category;
use life_agent_policy::snapshot::Snapshot;

use crate::rules::exempt::Exemptions;
use crate::tool::{Matchers, ToolView, refusal_reason, severity};

mod normal;
mod tool;

pub use normal::{PathFault, normalize};

/// The share of the score of a path of a tool call that is stopped.
const TOOL_WEIGHT: f64 = 0.5;
/// Most findings of one tool call.
const MAX_FINDINGS: usize = 32;

/// Refuses plans with a target that the policy does not allow.
#[derive(Debug)]
pub struct PathsGate {
    snapshot: Arc<Snapshot>,
    matchers: Matchers,
}

impl PathsGate {
    /// The directories and globs of one policy.
    pub fn new(snapshot: Arc<Snapshot>) -> Self {
        Self { matchers: Matchers::of(&snapshot), snapshot }
    }

    /// Why the target is refused, and by which rule.
    pub(crate) fn fault(&self, raw: &str, fact: &TargetFact) -> Option<(String, String)> {
        let lexical = match normalize(raw) {
            Ok(path) => path,
            Err(fault) => return Some(("path".to_owned(), fault.to_string())),
        };
        let resolved = match fact {
            TargetFact::Inside { resolved } => resolved,
            TargetFact::Outside => {
                return Some(("allowed_dirs".to_owned(), "leaves the workspace".to_owned()));
            }
            TargetFact::Unreadable => {
                return Some(("allowed_dirs".to_owned(), "could not be looked at".to_owned()));
            }
        };
        // Globs first: they hold inside of the allowed directories too, and say more.
        [&lexical, resolved]
            .into_iter()
            .find_map(|path| {
                let glob = self.snapshot.deny_globs.matching(path);
                glob.map(|glob| (glob.to_owned(), format!("matches the deny glob `{glob}`")))
            })
            .or_else(|| {
                let outside = [&lexical, resolved].into_iter().any(|path| !self.is_allowed(path));
                outside
                    .then(|| ("allowed_dirs".to_owned(), "lies in no allowed directory".to_owned()))
            })
    }

    /// Whether a path is an allowed directory or lies below one. A statement of intent may name the directory;
    /// an edit of it fails, since it is no file.
    fn is_allowed(&self, path: &str) -> bool {
        let is_dir = |dir: &str| dir.trim_start_matches("./").trim_end_matches('/') == path;
        let dirs = &self.snapshot.policy.allowed_dirs;
        dirs.iter().any(|dir| is_below(dir, path) || is_dir(dir) && !path.is_empty())
    }

    /// Whether one allowed directory holds both paths.
    pub(crate) fn share_a_dir(&self, one: &str, other: &str) -> bool {
        let dirs = &self.snapshot.policy.allowed_dirs;
        dirs.iter().any(|dir| is_below(dir, one) && is_below(dir, other))
    }
}

impl PathsGate {
    /// The paths of a tool call: the severest effect decides.
    fn tool_call(&self, subject: &Subject<'_>, facts: &GateInputs) -> Verdict {
        let Some(view) = ToolView::shared(subject, &self.snapshot) else { return Verdict::pass() };
        let exempt = Exemptions::of(&self.snapshot, &self.matchers, subject, facts);
        let mut faults: Vec<_> = view
            .paths
            .iter()
            .filter(|(pointer, _)| !exempt.covers(Category::PathTraversal, Some(pointer), None))
            .filter_map(|(pointer, text)| {
                let fault = tool::judge(&self.snapshot, view, text)?;
                Some((format!("arguments{pointer}"), text, fault))
            })
            .collect();
        faults.sort_by_key(|(_, _, fault)| std::cmp::Reverse(severity(fault.effect)));
        let refusal = faults.first().and_then(|(field, _, fault)| {
            let reason = refusal_reason(fault.effect, Reason::PathForbidden)?;
            let verb = match reason {
                Reason::ApprovalRequired => "the policy requires an approval for it",
                _ => "name a path in the workspace or in a folder for temporary files",
            };
            let message = format!("`{field}` {}; {verb}", fault.why);
            Some(Refusal { reason, rule: Some(fault.rule.clone()), message, retry_after: None })
        });
        let finding = |(field, text, fault): (String, &String, tool::PlaceFault)| Finding {
            gate: "",
            category: Category::PathTraversal.as_str(),
            rule: fault.rule,
            effect: fault.effect,
            field,
            start: 0,
            end: text.chars().count(),
            weight: TOOL_WEIGHT,
        };
        let findings = faults.into_iter().take(MAX_FINDINGS).map(finding).collect();
        Verdict { findings, applied: Vec::new(), refusal }
    }
}

fn is_below(dir: &str, path: &str) -> bool {
    match dir.trim_end_matches('/') {
        "." | "" => !path.is_empty(),
        dir => {
            let dir = dir.strip_prefix("./").unwrap_or(dir);
            path.strip_prefix(dir).is_some_and(|rest| rest.len() > 1 && rest.starts_with('/'))
        }
    }
}

impl Gate for PathsGate {
    fn name(&self) -> &'static str {
        "paths"
    }

    fn check(&self, subject: &Subject<'_>, facts: &GateInputs) -> Verdict {
        let plan = match subject.command {
            Command::Plan(plan) => plan,
            Command::Tool(_) => return self.tool_call(subject, facts),
            _ => return Verdict::pass(),
        };
        let refuse = |rule, message| {
            let reason = Reason::PathForbidden;
            Verdict::refuse(Refusal { reason, rule, message, retry_after: None })
        };
        let known = facts.targets.as_ref().filter(|known| known.len() == plan.targets.len());
        let Some(known) = known else {
            let message = "it is not known where the targets lie; tell the operator".to_owned();
            return refuse(None, message);
        };
        let targets = plan.targets.iter().zip(known).enumerate();
        let fault = |(n, (raw, fact)): (usize, (&String, &TargetFact))| {
            self.fault(raw, fact).map(|fault| (n, fault))
        };
        match targets.into_iter().find_map(fault) {
            None => Verdict::pass(),
            Some((n, (rule, why))) => {
                let field = subject.command.field_name(Field::Target(n));
                let dirs = self.snapshot.policy.allowed_dirs.join("`, `");
                let message = format!("`{field}` {why}; allowed are relative paths below `{dirs}`");
                refuse(Some(rule), message)
            }
        }
    }
}

#[cfg(test)]
mod tests;
