//! What the tests of all gates share.

use std::sync::Arc;

use life_agent_domain::governance::command::{Command, Gated, Plan, Subject, Turn};
use life_agent_domain::governance::gate::{GateInputs, KillSwitch, Rate, TargetFact};
use life_agent_domain::governance::ids::{AgentId, Principal};
use life_agent_policy::snapshot::{Snapshot, Workspace, compile};

pub(crate) fn turn(input: &str) -> Turn {
    Turn { agent: AgentId::new("hero").unwrap(), input: input.to_owned() }
}

pub(crate) fn plan(intent: &str, context: &str, targets: &[&str]) -> Plan {
    let targets = targets.iter().map(|path| (*path).to_owned()).collect();
    Plan { intent: intent.to_owned(), context: context.to_owned(), targets }
}

pub(crate) fn subject<C: Gated>(command: &C) -> Subject<'_> {
    static PRINCIPAL: std::sync::LazyLock<Principal> =
        std::sync::LazyLock::new(|| Principal::new("tester"));
    Subject::new(&PRINCIPAL, command.view())
}

/// All facts as they are when nothing stands against a request; targets lie where they are written.
pub(crate) fn facts(command: Command<'_>) -> GateInputs {
    let inside = |raw: &String| TargetFact::Inside { resolved: raw.clone() };
    GateInputs {
        kill_switch: Some(KillSwitch::Off),
        rate: Some(Rate::Within),
        targets: Some(command.targets().iter().map(inside).collect()),
        ..GateInputs::default()
    }
}

struct AnyDir;

impl Workspace for AnyDir {
    fn is_dir(&self, _relative: &str) -> bool {
        true
    }
}

/// A policy that allows `docs` and `plans/open`, with more of the document appended.
pub(crate) fn policy(more: &str) -> Arc<Snapshot> {
    let text = format!("version: \"1\"\nallowed_dirs: [docs, plans/open]\n{more}");
    Arc::new(compile(&text, &AnyDir).unwrap())
}
