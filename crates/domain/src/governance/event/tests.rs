//! Every payload that is written can be read back, also next to fields of a newer release.

use std::borrow::Cow;

use serde_json::value::to_raw_value;
use serde_json::{Value, json};

use super::*;
use crate::governance::command::{Command, Kind, Turn};
use crate::governance::gate::{Effect, Finding, GateNotes, Reason};
use crate::governance::ids::AgentId;
use crate::governance::request::{Request, RequestBody};

fn row(kind: &str, data: &impl serde::Serialize) -> Row {
    let mut data = serde_json::to_value(data).unwrap();
    data["policy_hash"] = "p".into();
    data["timing"] = json!({"gates_us": 3, "elapsed_us": 9});
    data["a_field_of_tomorrow"] = json!([1]);
    Row {
        id: 1,
        ts: String::new(),
        kind: kind.to_owned(),
        agent_id: Some("a".to_owned()),
        principal: "p".to_owned(),
        request_id: String::new(),
        data: to_raw_value(&data).unwrap(),
        prev_hash: String::new(),
        hash: String::new(),
    }
}

fn notes() -> GateNotes {
    let finding = Finding {
        gate: "risk",
        category: "secrets",
        rule: "github_token".to_owned(),
        effect: Effect::Observe,
        field: "input".to_owned(),
        start: 1,
        end: 4,
        weight: 0.0,
    };
    GateNotes { score: 0.25, findings: vec![finding], ..GateNotes::default() }
}

#[test]
fn a_denial_is_read_back_with_its_request() {
    let turn = Turn { agent: AgentId::new("a").unwrap(), input: "hi".to_owned() };
    let record = DeniedRecord {
        kind: Kind::Turn,
        code: "prompt_risky".into(),
        reason: Reason::RiskPattern,
        gate: "risk".into(),
        rule: Some("shell".into()),
        message: "no".into(),
        request: RequestBody::from(Command::Turn(&turn)),
        notes: Cow::Owned(notes()),
    };
    assert!(!record.is_effect());
    let read: DeniedRecord<'_> = row("gate.denied", &record).read().unwrap();
    assert_eq!(read.refused().unwrap(), Request::Turn(turn));
    assert_eq!((read.decided_by().as_str(), read.notes.as_ref()), ("risk/shell", &notes()));
    assert!(!read.is_repeatable(), "it depended on a credential");
}

#[test]
fn a_turn_is_read_back_with_its_narration() {
    let narration = NarrationRecord {
        request: serde_json::Map::new(),
        exchanges: vec![ModelReply { digest: "d".to_owned(), reply: json!({"x": 1.5}) }],
        steps: Vec::new(),
        withheld: None,
        fallback: None,
        usage: Some(TokenUsage { prompt_tokens: u64::MAX, ..TokenUsage::default() }),
        latency_ms: 7,
    };
    let record = TurnRecord {
        step: json!({"input": "hi", "n": -3}),
        state: StateMark { state_version: 4, state_hash: "h".into() },
        notes: Cow::Owned(notes()),
        source: Some(Source::Llm),
        narration: Some(Cow::Borrowed(&narration)),
    };
    let row = row("obs.turn", &record);
    let read: TurnRecord<'_, Value> = row.read().unwrap();
    assert_eq!((read.state.clone(), read.source), (record.state, Some(Source::Llm)));
    let kept = read.narration.unwrap();
    assert_eq!((kept.latency_ms, kept.exchanges[0].reply["x"].as_f64()), (7, Some(1.5)));
    let (step, mark) = row.step::<Value>().unwrap();
    assert_eq!((step["n"].as_i64(), mark.state_version), (Some(-3), 4));
    let envelope = row.envelope().unwrap();
    assert_eq!((envelope.policy_hash.as_ref(), envelope.timing.unwrap().elapsed_us), ("p", 9));
}

#[test]
fn a_model_call_is_read_back_and_a_failed_one_had_no_effect() {
    let failed = CallOutcome::Failed { error: "timeout".into(), message: "late".into() };
    let answered = CallOutcome::Answered {
        model: "m".into(),
        content: "hello".into(),
        tool_calls: None,
        finish_reason: Some("stop".into()),
        usage: None,
        answer: Cow::Owned(notes()),
    };
    for (outcome, effect) in [(failed, false), (answered, true)] {
        let record = ChatRecord {
            outcome,
            endpoint: "/llm/chat".into(),
            messages: Cow::Owned(Vec::new()),
            sent_messages: None,
            parameters: [("model".into(), Cow::Owned(json!("m")))].into(),
            digest: "d".into(),
            notes: Cow::Owned(notes()),
            forwarded: None,
        };
        assert_eq!(record.is_effect(), effect);
        let read: ChatRecord<'_> = row("llm.chat", &record).read().unwrap();
        assert_eq!(read.is_effect(), effect);
    }
}

#[test]
fn rows_of_another_kind_or_a_newer_format_are_not_guessed_at() {
    let other = row("obs.plan", &json!({})).read::<ServiceStoppedRecord>();
    assert!(matches!(other, Err(UnreadableRow::Kind(_))), "{other:?}");
    let newer = row("service.stopped", &json!({"v": VERSION + 1})).read::<ServiceStoppedRecord>();
    assert!(matches!(newer, Err(UnreadableRow::Version(_))), "{newer:?}");
    assert!(row("service.stopped", &json!({"v": VERSION})).read::<ServiceStoppedRecord>().is_ok());
}

#[test]
fn kinds_have_distinct_names() {
    for kind in EventKind::ALL.iter().copied() {
        assert_eq!(EventKind::from_name(kind.as_str()), Some(kind));
    }
    assert_eq!(EventKind::from_name("obs.unknown"), None);
}
