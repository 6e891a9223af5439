//! Selects rows by kind and agent.

use life_agent_domain::governance::event::{EventKind, Row};
use life_agent_domain::governance::ids::AgentId;

/// An unknown event kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "no event is of the kind `{kind}`; the kinds are {}, and `obs.*` matches a prefix",
    known()
)]
pub struct UnknownKind {
    kind: String,
}

fn known() -> String {
    EventKind::ALL.map(|kind| format!("`{}`", kind.as_str())).join(", ")
}

/// Selects rows of some kinds, of one agent, or both. The default selects every row.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    kinds: Option<Vec<&'static str>>,
    agent: Option<AgentId>,
}

impl Filter {
    /// Rows of this kind (exact, or a prefix followed by `*`) and this agent.
    pub fn new(kind: Option<&str>, agent: Option<AgentId>) -> Result<Self, UnknownKind> {
        let kinds = match kind {
            None | Some("*") => None,
            Some(kind) => Some(matching(kind)?),
        };
        Ok(Self { kinds, agent })
    }

    /// Rows of these kinds.
    pub fn of_kinds(kinds: impl IntoIterator<Item = EventKind>) -> Self {
        let kinds = kinds.into_iter().map(EventKind::as_str).collect();
        Self { kinds: Some(kinds), ..Self::default() }
    }

    /// Whether the filter selects the row.
    pub fn matches(&self, row: &Row) -> bool {
        let kind = self.kinds.as_ref().is_none_or(|kinds| kinds.contains(&row.kind.as_str()));
        kind && self
            .agent
            .as_ref()
            .is_none_or(|agent| row.agent_id.as_deref() == Some(agent.as_str()))
    }

    /// Whether the filter selects every row.
    pub fn matches_all(&self) -> bool {
        self.matches_all_kinds() && self.agent.is_none()
    }

    /// Whether the filter selects every kind.
    pub fn matches_all_kinds(&self) -> bool {
        self.kinds.is_none()
    }

    /// Whether the filter selects rows of this kind.
    pub fn matches_kind(&self, kind: &str) -> bool {
        self.kinds.as_ref().is_none_or(|kinds| kinds.contains(&kind))
    }

    /// The only agent whose rows the filter selects.
    pub fn agent(&self) -> Option<&str> {
        self.agent.as_ref().map(AgentId::as_str)
    }
}

fn matching(kind: &str) -> Result<Vec<&'static str>, UnknownKind> {
    let matches = |name: &str| match kind.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => name == kind,
    };
    let names = EventKind::ALL.map(EventKind::as_str);
    let found: Vec<_> = names.into_iter().filter(|name| matches(name)).collect();
    if found.is_empty() { Err(UnknownKind { kind: kind.to_owned() }) } else { Ok(found) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_exact_or_a_prefix() {
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
