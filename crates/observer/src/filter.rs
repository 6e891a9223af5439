//! Which rows someone wants to see.

use life_agent_domain::governance::event::{EventKind, Row};
use life_agent_domain::governance::ids::AgentId;

/// A kind that nobody records.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "no event is of the kind `{kind}`; there are {}, and `obs.*` for all that begin so",
    known()
)]
pub struct BadKind {
    kind: String,
}

fn known() -> String {
    EventKind::ALL.map(|kind| format!("`{}`", kind.as_str())).join(", ")
}

/// Rows of some kinds, of one agent, or both. The default is every row.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    kinds: Option<Vec<&'static str>>,
    agent: Option<AgentId>,
}

impl Filter {
    /// Rows of this kind (exact, or the beginning of some with a `*` at its end) and this agent.
    pub fn new(kind: Option<&str>, agent: Option<AgentId>) -> Result<Self, BadKind> {
        let kinds = match kind {
            None | Some("*") => None,
            Some(kind) => Some(matching(kind)?),
        };
        Ok(Self { kinds, agent })
    }

    /// Whether the row is one of them.
    pub fn takes(&self, row: &Row) -> bool {
        let kind = self.kinds.as_ref().is_none_or(|kinds| kinds.contains(&row.kind.as_str()));
        kind && self
            .agent
            .as_ref()
            .is_none_or(|agent| row.agent_id.as_deref() == Some(agent.as_str()))
    }

    pub(crate) fn takes_all(&self) -> bool {
        self.takes_all_kinds() && self.agent.is_none()
    }

    pub(crate) fn takes_all_kinds(&self) -> bool {
        self.kinds.is_none()
    }

    pub(crate) fn takes_kind(&self, kind: &str) -> bool {
        self.kinds.as_ref().is_none_or(|kinds| kinds.contains(&kind))
    }

    pub(crate) fn agent(&self) -> Option<&str> {
        self.agent.as_ref().map(AgentId::as_str)
    }
}

fn matching(kind: &str) -> Result<Vec<&'static str>, BadKind> {
    let matches = |name: &str| match kind.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => name == kind,
    };
    let names = EventKind::ALL.map(EventKind::as_str);
    let found: Vec<_> = names.into_iter().filter(|name| matches(name)).collect();
    if found.is_empty() { Err(BadKind { kind: kind.to_owned() }) } else { Ok(found) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_exact_or_a_beginning() {
        let kinds = |kind| Filter::new(Some(kind), None).map(|filter| filter.kinds);
        assert_eq!(kinds("*"), Ok(None));
        assert_eq!(kinds("obs.act"), Ok(Some(vec!["obs.act"])));
        assert_eq!(kinds("kill*"), Ok(Some(vec!["kill_switch.on", "kill_switch.off"])));
        for bad in ["", "obs", "obs.acts", "OBS.*", "*.act", "obs.*.x"] {
            let message = kinds(bad).unwrap_err().to_string();
            assert!(message.contains(&format!("`{bad}`")) && message.contains("`obs.turn`"));
        }
    }
}
