//! The shipped profile recognizes its intents; invalid profiles are rejected with every fault.

use proptest::prelude::*;

use super::*;

fn paths(text: &str) -> Vec<String> {
    let faults = compile_profile(text).err().unwrap_or_default();
    faults.into_iter().map(|fault| fault.path).collect()
}

#[test]
fn the_shipped_profile_understands_german_and_english() {
    let profile = compile_profile(BUILT_IN_PROFILE).unwrap_or_else(|faults| panic!("{faults:#?}"));
    assert!(profile.intents.len() >= 8);
    for (text, intent) in [
        ("untersuche das Tor der Festung", "explore"),
        ("Examine the gate of the fortress", "explore"),
        ("Betritt die Höhle", "explore"),
        ("Ich lausche an der Tür", "observe"),
        ("watch the bridge", "observe"),
        ("Lerne die alte Sprache", "learn"),
        ("study the map", "learn"),
        ("Überlege, was zu tun ist", "ponder"),
        ("think about it", "ponder"),
        ("Baue eine Brücke", "build"),
        ("build a raft", "build"),
        ("Repariere das Dach", "repair"),
        ("fix the broken wheel", "repair"),
        ("Sprich mit dem Wächter", "talk"),
        ("ask the innkeeper", "talk"),
        ("Verteidige das Dorf", "defend"),
        ("defend the village", "defend"),
        ("Ruhe dich aus", "rest"),
        ("sleep until morning", "rest"),
        ("xyzzy", "ponder"),
        ("", "ponder"),
    ] {
        assert_eq!(profile.intents.of(text), intent, "{text}");
        assert!(profile.action_of(intent).is_some(), "{intent}");
    }
}

#[test]
fn no_keyword_of_the_shipped_profile_stands_for_two_intents() {
    let raw: RawProfile = serde_yaml::from_str(BUILT_IN_PROFILE).unwrap();
    let mut seen = std::collections::HashMap::new();
    for intent in raw.intents.unwrap() {
        for keyword in intent.keywords {
            let earlier = seen.insert(keyword.clone(), intent.id.clone());
            assert_eq!(earlier, None, "{keyword}");
        }
    }
}

#[test]
fn nothing_an_agent_can_do_is_free_or_ruinous() {
    let profile = compile_profile(BUILT_IN_PROFILE).unwrap();
    for (name, action) in &profile.actions {
        let points = action.effects.named().map(|(_, points)| i32::from(points));
        assert!(points.iter().all(|points| points.abs() <= 20), "{name}");
        assert!(name == "rest" || points.iter().any(|points| *points < 0), "{name}");
    }
}

#[test]
fn every_fault_of_a_profile_is_reported_at_once() {
    let text = "version: \"2\"
voice: 7
actions:
  dig: {difficulty: 26, effects: {energy: -101, luck: 3}}
  two  words: {difficulty: 5}
  rest: {}
intents:
  - {id: dig, action: digg, keywords: [dig, two words, 'a*b', 7]}
  - {id: dig, action: rest}
  - {id: Loud, keywords: [shout]}
default_intent: sleep
mood: good
";
    let expected = [
        "version",
        "voice",
        "actions.dig.difficulty",
        "actions.dig.effects.energy",
        "actions.dig.effects.luck",
        "actions.two  words",
        "actions.rest.difficulty",
        "intents.0.action",
        "intents.0.keywords.1",
        "intents.0.keywords.2",
        "intents.0.keywords.3",
        "intents.1.id",
        "intents.2.action",
        "intents.2.id",
        "default_intent",
        "mood",
    ];
    assert_eq!(paths(text), expected);
    assert_eq!(paths("{}"), ["actions", "default_intent", "intents", "version"]);
}

proptest! {
    #[test]
    fn no_mutation_of_a_profile_makes_it_panic(
        start in any::<prop::sample::Index>(),
        removed in 0..40_usize,
        added in "[-a-zä0-9:\\[\\]{}'\"&*!|>#?, \n]{0,8}",
    ) {
        let mut text: Vec<char> = BUILT_IN_PROFILE.chars().collect();
        let start = start.index(text.len());
        let end = (start + removed).min(text.len());
        text.splice(start..end, added.chars());
        let _ = compile_profile(&text.into_iter().collect::<String>());
    }
}
