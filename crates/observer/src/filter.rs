//! Selects rows: by kind and agent, by what they record, and by who may read them.

use std::fmt;
use std::sync::Arc;

use life_agent_domain::governance::event::{EventKind, Outcome, Row, RowContent};
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
    let names: Vec<_> = EventKind::ALL.iter().map(|kind| format!("`{}`", kind.as_str())).collect();
    names.join(", ")
}

/// Conditions of a search in addition to kind and agent. All of them must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Criteria {
    /// Rows from this time on: RFC 3339, UTC, microseconds, as in rows.
    pub since: Option<String>,
    /// Rows before this time.
    pub until: Option<String>,
    /// Rows of this caller.
    pub principal: Option<String>,
    /// Rows of this request.
    pub request_id: Option<String>,
    /// Tool calls of this session, and their results.
    pub session_id: Option<String>,
    /// Rows with this outcome.
    pub outcome: Option<Outcome>,
    /// Rows that this rule decided, matched, or would have refused.
    pub rule: Option<String>,
    /// Rows that contain all of these words, as [`life_agent_domain::governance::event::words`] splits them.
    pub words: Vec<String>,
    /// Rows of requests that took at least this many microseconds.
    pub min_elapsed_us: Option<u64>,
}

impl Criteria {
    /// Whether a row must be parsed to compare it.
    fn is_about_content(&self) -> bool {
        self.session_id.is_some()
            || self.outcome.is_some()
            || self.rule.is_some()
            || !self.words.is_empty()
            || self.min_elapsed_us.is_some()
    }

    fn match_columns(&self, row: &RowColumns<'_>) -> bool {
        let is = |wanted: &Option<String>, found: &str| {
            wanted.as_deref().is_none_or(|wanted| wanted == found)
        };
        self.since.as_deref().is_none_or(|since| row.ts >= since)
            && self.until.as_deref().is_none_or(|until| row.ts < until)
            && is(&self.principal, row.principal)
            && is(&self.request_id, row.request_id)
    }

    fn match_content(&self, content: &RowContent<'_>) -> bool {
        let session = self.session_id.as_deref();
        session.is_none_or(|session| content.session_id() == Some(session))
            && self.outcome.is_none_or(|outcome| content.outcome() == Some(outcome))
            && self.rule.as_deref().is_none_or(|rule| content.rules().contains(&rule))
            && self
                .min_elapsed_us
                .is_none_or(|least| content.elapsed_us().is_some_and(|elapsed| elapsed >= least))
            && (self.words.is_empty() || {
                let found = content.words();
                self.words.iter().all(|word| found.contains(word))
            })
    }
}

/// What a filter compares without the data of a row. A store compares rows before it reads their data.
#[derive(Debug, Clone, Copy)]
pub struct RowColumns<'a> {
    /// The time of the row.
    pub ts: &'a str,
    /// The kind of the event.
    pub kind: &'a str,
    /// The agent.
    pub agent_id: Option<&'a str>,
    /// The caller.
    pub principal: &'a str,
    /// The request.
    pub request_id: &'a str,
}

/// Whether a reader may see a row, by its agent and its caller.
type Readable = Arc<dyn Fn(Option<&str>, &str) -> bool + Send + Sync>;

/// Selects rows. The default selects every row.
#[derive(Clone, Default)]
pub struct Filter {
    kinds: Option<Vec<&'static str>>,
    agent: Option<AgentId>,
    criteria: Option<Arc<Criteria>>,
    readable: Option<Readable>,
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Filter")
            .field("kinds", &self.kinds)
            .field("agent", &self.agent)
            .field("criteria", &self.criteria)
            .field("is_restricted", &self.readable.is_some())
            .finish()
    }
}

impl Filter {
    /// Rows of this kind (exact, or a prefix followed by `*`) and this agent.
    pub fn new(kind: Option<&str>, agent: Option<AgentId>) -> Result<Self, UnknownKind> {
        let kinds = match kind {
            None | Some("*") => None,
            Some(kind) => Some(matching(kind)?),
        };
        Ok(Self { kinds, agent, ..Self::default() })
    }

    /// Adds conditions.
    pub fn with(self, criteria: Criteria) -> Self {
        let criteria = (criteria != Criteria::default()).then(|| Arc::new(criteria));
        Self { criteria, ..self }
    }

    /// Restricts the filter to rows that a reader may see, given the row's agent and caller. Pages then depend on
    /// no other row.
    pub fn readable_by(
        self,
        readable: impl Fn(Option<&str>, &str) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self { readable: Some(Arc::new(readable)), ..self }
    }

    /// Rows of these kinds.
    pub fn of_kinds(kinds: impl IntoIterator<Item = EventKind>) -> Self {
        let kinds = kinds.into_iter().map(EventKind::as_str).collect();
        Self { kinds: Some(kinds), ..Self::default() }
    }

    /// Whether the filter selects the row.
    pub fn matches(&self, row: &Row) -> bool {
        self.may_match(row)
            && self.criteria.as_ref().is_none_or(|criteria| {
                !criteria.is_about_content() || criteria.match_content(&RowContent::of(row))
            })
    }

    /// Whether rows must be read for a comparison beyond their columns.
    pub fn reads_data(&self) -> bool {
        self.criteria.as_ref().is_some_and(|criteria| criteria.is_about_content())
    }

    /// Whether the filter searches for words in a row.
    pub fn searches_words(&self) -> bool {
        self.criteria.as_ref().is_some_and(|criteria| !criteria.words.is_empty())
    }

    /// Whether the filter can select the row, as far as its columns tell. Cheap.
    pub fn may_match(&self, row: &Row) -> bool {
        self.may_match_columns(&RowColumns {
            ts: &row.ts,
            kind: &row.kind,
            agent_id: row.agent_id.as_deref(),
            principal: &row.principal,
            request_id: &row.request_id,
        })
    }

    /// [`Filter::may_match`] for a row that is not read yet.
    pub fn may_match_columns(&self, row: &RowColumns<'_>) -> bool {
        let agent = row.agent_id;
        self.matches_kind(row.kind)
            && self.agent.as_ref().is_none_or(|wanted| agent == Some(wanted.as_str()))
            && self.readable.as_ref().is_none_or(|readable| readable(agent, row.principal))
            && self.criteria.as_ref().is_none_or(|criteria| criteria.match_columns(row))
    }

    /// Whether the filter selects every row.
    pub fn matches_all(&self) -> bool {
        self.matches_all_kinds() && self.agent.is_none() && self.is_plain()
    }

    /// Whether kind and agent alone decide.
    pub fn is_plain(&self) -> bool {
        self.criteria.is_none() && self.readable.is_none()
    }

    /// Whether the filter selects every kind.
    pub fn matches_all_kinds(&self) -> bool {
        self.kinds.is_none()
    }

    /// Whether the filter selects rows of this kind.
    pub fn matches_kind(&self, kind: &str) -> bool {
        self.kinds.as_ref().is_none_or(|kinds| kinds.contains(&kind))
    }

    /// The kinds that the filter selects; `None` for all.
    pub fn kinds(&self) -> Option<&[&'static str]> {
        self.kinds.as_deref()
    }

    /// The only agent whose rows the filter selects.
    pub fn agent(&self) -> Option<&str> {
        self.agent.as_ref().map(AgentId::as_str)
    }

    /// The further conditions.
    pub fn criteria(&self) -> Option<&Criteria> {
        self.criteria.as_deref()
    }
}

fn matching(kind: &str) -> Result<Vec<&'static str>, UnknownKind> {
    let matches = |name: &str| match kind.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => name == kind,
    };
    let names = EventKind::ALL.iter().map(|kind| kind.as_str());
    let found: Vec<_> = names.filter(|name| matches(name)).collect();
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

    #[test]
    fn a_filter_without_conditions_stays_plain() {
        assert!(Filter::default().with(Criteria::default()).matches_all());
        let rule = Criteria { rule: Some("r".to_owned()), ..Criteria::default() };
        assert!(!Filter::default().with(rule).matches_all());
        assert!(!Filter::default().readable_by(|_, _| true).matches_all());
    }
}
