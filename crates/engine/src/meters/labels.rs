//! Labels that the operator selects, with a bound on their values.

use std::collections::HashSet;

use life_agent_domain::governance::ids::AgentId;
use metrics::{Counter, Label, counter};
use parking_lot::Mutex;

use crate::context::RequestContext;

/// Most values of one label; each further value is `other`.
const MAX_VALUES: usize = 100;
/// Most pairs of a principal and an agent, if both are labels; the agent of each further pair is `other`. A counter has a
/// series for each pair and reason.
const MAX_PAIRS: usize = 400;
const OTHER: &str = "other";

/// The labels that metrics have in addition to the usual ones.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MetricLabels {
    /// The caller, on `actions_total` and `policy_denied_total`.
    pub principal: bool,
    /// The agent, on the same.
    pub agent: bool,
    /// Every model by its name, not only those of the policy.
    pub model: bool,
}

impl MetricLabels {
    /// Reads a list of names with commas between them; `None` if one is unknown.
    pub fn parse(text: &str) -> Option<Self> {
        let mut labels = Self::default();
        for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            match name {
                "principal" => labels.principal = true,
                "agent" => labels.agent = true,
                "model" => labels.model = true,
                _ => return None,
            }
        }
        Some(labels)
    }
}

/// The values of a label that have series of their own: the first that come.
#[derive(Default)]
pub(crate) struct BoundedValues(Mutex<HashSet<String>>);

impl BoundedValues {
    /// Whether the value has a series of its own.
    pub(crate) fn admit(&self, value: &str) -> bool {
        let mut values = self.0.lock();
        values.contains(value) || values.len() < MAX_VALUES && values.insert(value.to_owned())
    }

    fn label(&self, name: &'static str, value: &str) -> Label {
        let shown = if value.is_empty() || self.admit(value) { value } else { OTHER };
        Label::new(name, shown.to_owned())
    }
}

/// Whose request is counted.
#[derive(Clone, Copy)]
pub(crate) struct Whose<'a> {
    principal: &'a str,
    agent: &'a str,
}

impl<'a> Whose<'a> {
    /// The caller of a request, and its agent if it has one. The agent's id must be redacted.
    pub(crate) fn of(context: &'a RequestContext, agent: Option<&'a AgentId>) -> Self {
        let agent = agent.map_or("", AgentId::as_str);
        Self { principal: context.principal.as_str(), agent }
    }
}

/// Counters with the selected labels.
pub(super) struct Selected {
    principals: Option<BoundedValues>,
    agents: Option<BoundedValues>,
    /// The pairs that have series of their own: the first that come.
    pairs: Mutex<HashSet<(String, String)>>,
}

impl Selected {
    /// `None` if no label is selected that counters of requests have.
    pub(super) fn new(labels: MetricLabels) -> Option<Self> {
        let values = |selected: bool| selected.then(BoundedValues::default);
        let (principals, agents) = (values(labels.principal), values(labels.agent));
        let pairs = Mutex::default();
        (principals.is_some() || agents.is_some()).then_some(Self { principals, agents, pairs })
    }

    /// The labels of a request.
    fn of(&self, whose: Whose<'_>) -> [Option<Label>; 2] {
        let principal = self.principals.as_ref().map(|v| v.label("principal", whose.principal));
        let agent = self.agents.as_ref().map(|values| values.label("agent", whose.agent));
        match (principal, agent) {
            (Some(principal), Some(agent)) => {
                let pair = (principal.value().to_owned(), agent.value().to_owned());
                let mut pairs = self.pairs.lock();
                let admitted =
                    pairs.contains(&pair) || pairs.len() < MAX_PAIRS && pairs.insert(pair);
                let agent = if admitted { agent } else { Label::new("agent", OTHER) };
                [Some(principal), Some(agent)]
            }
            single => [single.0, single.1],
        }
    }

    /// The counter with these labels and the selected ones.
    pub(super) fn counter(
        &self,
        name: &'static str,
        mut labels: Vec<Label>,
        whose: Whose<'_>,
    ) -> Counter {
        labels.extend(self.of(whose).into_iter().flatten());
        counter!(name, labels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_labels_are_accepted() {
        let all = MetricLabels { principal: true, agent: true, model: true };
        assert_eq!(MetricLabels::parse(" agent,principal, model"), Some(all));
        assert_eq!(MetricLabels::parse(""), Some(MetricLabels::default()));
        for bad in ["route", "agent;model", "Agent", "agent principal"] {
            assert_eq!(MetricLabels::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn pairs_beyond_the_limit_count_for_the_agent_other() {
        let all = MetricLabels { principal: true, agent: true, model: true };
        let selected = Selected::new(all).unwrap();
        let mut series = HashSet::new();
        for nth in 0..50 * 60 {
            let (principal, agent) = (format!("p{}", nth / 60), format!("a{}", nth % 60));
            let [principal, agent] = selected.of(Whose { principal: &principal, agent: &agent });
            series.insert((principal.unwrap(), agent.unwrap()));
        }
        assert!(series.len() <= MAX_PAIRS + 50, "{}", series.len());
        let [_, agent] = selected.of(Whose { principal: "p0", agent: "a0" });
        assert_eq!(agent.unwrap().value(), "a0");
    }

    #[test]
    fn values_beyond_the_limit_are_other_and_the_first_ones_stay() {
        let values = BoundedValues::default();
        for nth in 0..MAX_VALUES {
            assert_eq!(values.label("l", &format!("v{nth}")).value(), format!("v{nth}"));
        }
        assert_eq!(values.label("l", "one more").value(), OTHER);
        assert_eq!(values.label("l", "v0").value(), "v0");
        assert_eq!(values.label("l", "").value(), "");
    }
}
