//! What a row says about a request: its kind, its outcome and the rule behind it.

use life_agent_domain::governance::event::{EventKind, Outcome, OutcomeFacts, Row, Timing};
use serde::Deserialize;

use super::window::minute_of;

/// The kinds of requests, in the order of [`super::report::OutcomeCounts`] per kind.
pub(super) const KINDS: [&str; 6] = ["act", "turn", "tool", "plan", "chat", "other"];
const OTHER: usize = KINDS.len() - 1;

/// A request as one row records it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) id: u64,
    pub(super) minute: i64,
    /// Index into [`KINDS`].
    pub(super) kind: usize,
    pub(super) outcome: Outcome,
    /// The number of requests that the row stands for.
    pub(super) count: u32,
    /// The reason of a denial, and the gate and rule that decided.
    pub(super) denied_by: Option<(String, Option<String>)>,
    pub(super) would_deny: Vec<String>,
    pub(super) elapsed_us: Option<u64>,
}

/// The fields of all kinds of rows that matter here.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Facts {
    kind: Option<String>,
    decision: Option<String>,
    outcome: Option<String>,
    reason: Option<String>,
    gate: Option<String>,
    rule: Option<String>,
    count: Option<u64>,
    would_deny: Vec<String>,
    /// What the gates found in a model's response.
    answer: Option<Answer>,
    timing: Option<Timing>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Answer {
    would_deny: Vec<String>,
}

impl Counted {
    /// The request that a row records; `None` for a row that is about no request, or a further row of one.
    pub(super) fn of(row: &Row) -> Option<Self> {
        let (kind, may_deny) = match row.event_kind()? {
            EventKind::Act => ("act", false),
            EventKind::Turn => ("turn", false),
            EventKind::Plan => ("plan", false),
            EventKind::Chat => ("chat", false),
            EventKind::ToolRequested => ("tool", true),
            EventKind::Denied | EventKind::AuthFailed => ("other", true),
            _ => return None,
        };
        let facts: Facts = serde_json::from_str(row.data.get()).unwrap_or_default();
        let kind = if kind == "other" { facts.kind.as_deref().unwrap_or(kind) } else { kind };
        if kind == "chat" && facts.outcome.as_deref() == Some("withheld") {
            // The denial of the response counts.
            return None;
        }
        let answered = facts.answer.as_ref().map_or(&[][..], |answer| &answer.would_deny);
        let outcome = Outcome::of(
            row.event_kind()?,
            &OutcomeFacts {
                decision: facts.decision.as_deref(),
                outcome: facts.outcome.as_deref(),
                is_error: false,
                would_deny: !facts.would_deny.is_empty() || !answered.is_empty(),
            },
        )?;
        let is_denied = may_deny && outcome == Outcome::Denied;
        let decided_by = match (facts.gate, facts.rule) {
            (Some(gate), Some(rule)) => Some(format!("{gate}/{rule}")),
            (gate, rule) => gate.or(rule),
        };
        let reason = facts.reason.unwrap_or_else(|| "auth_failed".to_owned());
        Some(Self {
            id: row.id,
            minute: minute_of(&row.ts)?,
            kind: KINDS.iter().position(|known| *known == kind).unwrap_or(OTHER),
            outcome,
            count: facts.count.unwrap_or(1).try_into().unwrap_or(u32::MAX),
            denied_by: is_denied.then_some((reason, decided_by)),
            would_deny: [facts.would_deny, facts.answer.unwrap_or_default().would_deny].concat(),
            elapsed_us: facts.timing.map(|timing| timing.elapsed_us),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::to_raw_value;
    use serde_json::{Value, json};

    use super::*;

    fn counted(kind: &str, data: Value) -> Option<Counted> {
        Counted::of(&Row {
            id: 7,
            ts: "1970-01-01T00:02:59.999999Z".to_owned(),
            kind: kind.to_owned(),
            agent_id: None,
            principal: "ci".to_owned(),
            request_id: String::new(),
            data: to_raw_value(&data).unwrap(),
            prev_hash: String::new(),
            hash: String::new(),
        })
    }

    #[test]
    fn a_request_counts_once_by_its_kind_and_outcome() {
        use Outcome::{Allowed, Denied, Failed, WouldDeny};
        let cases = [
            ("obs.act", json!({"action": "x", "payload": {"decision": 3}}), ("act", Allowed, 1)),
            ("obs.turn", json!({"would_deny": ["r"]}), ("turn", WouldDeny, 1)),
            ("obs.plan", json!({}), ("plan", Allowed, 1)),
            ("llm.chat", json!({"outcome": "failed"}), ("chat", Failed, 1)),
            ("llm.chat", json!({"outcome": "stopped"}), ("chat", Failed, 1)),
            ("llm.chat", json!({"outcome": "answered"}), ("chat", Allowed, 1)),
            (
                "llm.chat",
                json!({"outcome": "answered", "answer": {"would_deny": ["r"]}}),
                ("chat", WouldDeny, 1),
            ),
            ("tool.requested", json!({"decision": "allow"}), ("tool", Allowed, 1)),
            ("tool.requested", json!({"decision": "ask", "reason": "q"}), ("tool", Denied, 1)),
            ("gate.denied", json!({"kind": "chat", "reason": "rule_deny"}), ("chat", Denied, 1)),
            ("gate.denied", json!({"reason": "scope", "count": 12}), ("other", Denied, 12)),
            ("auth.failed", json!({"peer": "p", "count": 3}), ("other", Denied, 3)),
        ];
        for (kind, data, (of, outcome, count)) in cases {
            let counted = counted(kind, data).unwrap();
            assert_eq!((KINDS[counted.kind], counted.outcome, counted.count), (of, outcome, count));
            assert_eq!((counted.id, counted.minute), (7, 2));
            assert_eq!(counted.denied_by.is_some(), outcome == Denied, "{kind}");
        }
        assert_eq!(counted("llm.chat", json!({"outcome": "withheld", "denied_by": 3})), None);
        for kind in ["plan.created", "tool.finished", "kill_switch.on", "budget.settled", "x"] {
            assert_eq!(counted(kind, json!({})), None, "{kind}");
        }
    }

    #[test]
    fn a_denial_names_its_reason_and_rule() {
        let data = json!({"kind": "turn", "reason": "rule_deny", "gate": "rules", "rule": "no-x"});
        let denied = counted("gate.denied", data).unwrap().denied_by;
        assert_eq!(denied, Some(("rule_deny".to_owned(), Some("rules/no-x".to_owned()))));
        let failed = counted("auth.failed", json!({"count": 1})).unwrap().denied_by;
        assert_eq!(failed, Some(("auth_failed".to_owned(), None)));
    }
}
