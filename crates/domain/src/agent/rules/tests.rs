//! The rules as tables, and the property that a recorded history rebuilds the state.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::agent::intents::{Intent, Intents, Keyword};
use crate::agent::state::{MAX_MEMORIES, Memory};
use crate::governance::ids::{ActionName, AgentId};

fn profile() -> Profile {
    let action = |difficulty, effects| Action { difficulty, effects };
    let intent = |id: &str, word: &str| Intent {
        id: id.to_owned(),
        action: id.to_owned(),
        keywords: vec![Keyword::new(word).unwrap()],
    };
    let explore = Deltas { energy: -5, knowledge: 7, ..Deltas::default() };
    let rest = Deltas { energy: 20, focus: 5, ..Deltas::default() };
    let ponder = Deltas { focus: -1, ..Deltas::default() };
    Profile {
        voice: String::new(),
        actions: BTreeMap::from([
            ("explore".to_owned(), action(12, explore)),
            ("rest".to_owned(), action(5, rest)),
            ("ponder".to_owned(), action(1, ponder)),
        ]),
        intents: Intents::new(
            vec![intent("explore", "look*"), intent("rest", "sleep*"), intent("ponder", "think*")],
            "ponder".to_owned(),
        ),
    }
}

fn agent() -> AgentId {
    AgentId::new("hero").unwrap()
}

#[test]
fn outcomes_by_table() {
    use Outcome::{CriticalFailure, CriticalSuccess, Failure, Partial, Success};
    for (roll, bonus, difficulty, expected) in [
        (20, -9, 25, CriticalSuccess),
        (1, 5, 1, CriticalFailure),
        (12, 0, 12, Success),
        (10, 2, 12, Success),
        (11, 0, 12, Partial),
        (8, 0, 12, Partial),
        (7, 0, 12, Failure),
        (2, -8, 25, Failure),
    ] {
        assert_eq!(outcome(roll, bonus, difficulty), expected, "{roll} {bonus} {difficulty}");
    }
    for (outcome, gain, cost) in [
        (CriticalSuccess, 14, -5),
        (Success, 7, -5),
        (Partial, 3, -5),
        (Failure, 0, -5),
        (CriticalFailure, 0, -10),
    ] {
        assert_eq!((outcome.share(7), outcome.share(-5)), (gain, cost), "{outcome:?}");
    }
}

#[test]
fn an_unknown_action_is_recorded_and_costs_nothing() {
    let mut state = AgentState::initial(42);
    let act = Act {
        agent: agent(),
        action: ActionName::new("juggle").unwrap(),
        payload: Payload::default(),
    };
    let step = act_step(&state, &profile(), &act);
    assert_eq!((step.known, step.deltas), (false, Deltas::default()));
    apply_act(&mut state, &step);
    assert_eq!((state.version, state.actions["juggle"]), (1, 1));
    assert_eq!(state.vitals, AgentState::initial(42).vitals);
}

#[test]
fn an_agent_keeps_what_it_is_told_to_remember() {
    let mut state = AgentState::initial(42);
    state.turns = 3;
    let object = serde_json::json!({"text": "the gate opens at dawn"});
    let payload = Payload::try_from(object.as_object().cloned().unwrap()).unwrap();
    let action = ActionName::new("remember").unwrap();
    let step = act_step(&state, &profile(), &Act { agent: agent(), action, payload });
    assert!(step.known);
    apply_act(&mut state, &step);
    let kept = Note { version: 1, turn: 3, text: "the gate opens at dawn".to_owned(), uses: 0 };
    assert_eq!(state.facts, [kept]);
    apply_act(&mut state, &ActStep { remembered: None, recalled: vec![1, 7], ..step });
    assert_eq!(state.facts[0].uses, 1);
}

#[test]
fn a_turn_is_told_in_a_sentence_that_begins_processed() {
    let state = AgentState::initial(42);
    let turn = Turn { agent: agent(), input: "look around".to_owned() };
    let step = turn_step(&state, &profile(), &turn);
    assert!(
        step.response.starts_with("Processed turn 1 as `explore`: rolled "),
        "{}",
        step.response
    );
}

#[test]
fn a_memory_holds_what_was_said_within_its_bound() {
    let mut state = AgentState::initial(42);
    let turn = Turn { agent: agent(), input: "ä".repeat(8192) };
    let step = turn_step(&state, &profile(), &turn);
    apply_turn(&mut state, &step);
    let [Memory { version: 1, text }] = state.memory.as_slice() else {
        panic!("{:?}", state.memory)
    };
    assert!(text.starts_with("ponder (") && text.chars().count() <= MAX_MEMORY_CHARS, "{text}");
}

#[derive(Debug, Clone)]
enum Asked {
    Act(&'static str),
    Turn(String),
}

fn asked() -> impl Strategy<Value = Asked> {
    prop_oneof![
        prop::sample::select(vec!["explore", "rest", "ponder", "juggle"]).prop_map(Asked::Act),
        prop::sample::select(vec!["look", "sleep", "think", "x"])
            .prop_map(|w| Asked::Turn(w.to_owned())),
        ".{1,40}".prop_map(Asked::Turn),
    ]
}

/// Applies commands and returns the state, with each step as the journal would store it.
fn play(seed: u64, history: &[Asked]) -> (AgentState, Vec<String>) {
    let mut state = AgentState::initial(seed);
    let mut rows = Vec::new();
    for asked in history {
        match asked {
            Asked::Act(name) => {
                let action = ActionName::new(name).unwrap();
                let act = Act { agent: agent(), action, payload: Payload::default() };
                let step = act_step(&state, &profile(), &act);
                apply_act(&mut state, &step);
                rows.push(serde_json::to_string(&step).unwrap());
            }
            Asked::Turn(input) => {
                let turn = Turn { agent: agent(), input: input.clone() };
                let step = turn_step(&state, &profile(), &turn);
                apply_turn(&mut state, &step);
                rows.push(serde_json::to_string(&step).unwrap());
            }
        }
    }
    (state, rows)
}

proptest! {
    #[test]
    fn replaying_the_recorded_steps_gives_the_state(seed: u64, history in prop::collection::vec(asked(), 0..60)) {
        let (live, rows) = play(seed, &history);
        let mut replayed = AgentState::initial(seed);
        for (asked, row) in history.iter().zip(&rows) {
            match asked {
                Asked::Act(_) => apply_act(&mut replayed, &serde_json::from_str(row).unwrap()),
                Asked::Turn(_) => apply_turn(&mut replayed, &serde_json::from_str(row).unwrap()),
            }
        }
        prop_assert_eq!(&replayed, &live);
        prop_assert_eq!(replayed.hash(), live.hash());
        prop_assert_eq!(live.version, history.len() as u64);
        prop_assert!(live.memory.len() <= MAX_MEMORIES);
        prop_assert!(live.vitals.energy <= 100 && live.vitals.knowledge <= 100);
    }

    #[test]
    fn the_same_history_gives_the_same_hash(seed: u64, history in prop::collection::vec(asked(), 0..30)) {
        prop_assert_eq!(play(seed, &history).0.hash(), play(seed, &history).0.hash());
    }

    #[test]
    fn a_stored_state_is_the_state(seed: u64, history in prop::collection::vec(asked(), 0..30)) {
        let (state, _) = play(seed, &history);
        let stored = serde_json::to_string(&state).unwrap();
        prop_assert_eq!(serde_json::from_str::<AgentState>(&stored).unwrap(), state);
    }
}
