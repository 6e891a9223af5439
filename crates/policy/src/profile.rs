//! The agent profile: what an agent can do and understand, read and validated like the policy.

use std::collections::{BTreeMap, HashSet};

use life_agent_domain::agent::intents::{Intent, Intents, Keyword};
use life_agent_domain::agent::profile::{Action, Profile};
use life_agent_domain::agent::state::Deltas;
use life_agent_domain::governance::fault::Fault;
use life_agent_domain::governance::ids::ActionName;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::raw;
use crate::reading::{self, Faults};

/// The shipped profile, which stands in while there is no file.
pub const BUILT_IN_PROFILE: &str = include_str!("../../../policy/agent.yaml");

/// What an agent can do and understand. See `policy/agent.yaml` for a commented example.
#[derive(Debug, Default, Deserialize, JsonSchema, garde::Validate)]
#[serde(default)]
#[schemars(deny_unknown_fields, title = "life-agent agent profile", extend("required" = ["version", "actions", "intents", "default_intent"]))]
pub(crate) struct RawProfile {
    /// The version of this format: "1", in quotes.
    #[garde(required, custom(raw::check_version))]
    #[schemars(extend("const" = "1"))]
    version: Option<String>,
    /// How the agent speaks, for the model that tells its turns.
    #[garde(length(chars, max = 2000))]
    voice: String,
    /// What the agent can do, by name.
    #[garde(required, length(min = 1, max = 256), dive)]
    actions: Option<BTreeMap<String, RawAction>>,
    /// What a text can mean, in order of preference.
    #[garde(required, length(min = 1, max = 64), dive)]
    intents: Option<Vec<RawIntent>>,
    /// The intent of a text in which no keyword is found; an id out of `intents`.
    #[garde(required)]
    default_intent: Option<String>,
}

/// One thing that the agent can do.
#[derive(Debug, Default, Deserialize, JsonSchema, garde::Validate)]
#[serde(default)]
#[schemars(deny_unknown_fields, rename = "Action", extend("required" = ["difficulty"]))]
struct RawAction {
    /// What a turn must reach with a twenty-sided die and its bonus.
    #[garde(required, range(min = 1, max = 25))]
    difficulty: Option<u8>,
    /// What it does to the agent when it succeeds.
    #[garde(dive)]
    effects: RawEffects,
}

/// Points that an action adds to, or takes from, measures of 0 to 100.
#[derive(Debug, Default, Deserialize, JsonSchema, garde::Validate)]
#[serde(default)]
#[schemars(deny_unknown_fields, rename = "Effects")]
struct RawEffects {
    /// Strength to act; below 20 it weighs on every draw.
    #[garde(range(min = -100, max = 100))]
    energy: i8,
    /// Attention; adds to or takes from every draw.
    #[garde(range(min = -100, max = 100))]
    focus: i8,
    /// What the agent has learnt.
    #[garde(range(min = -100, max = 100))]
    knowledge: i8,
    /// Composure.
    #[garde(range(min = -100, max = 100))]
    stability: i8,
}

/// One thing that a text can mean.
#[derive(Debug, Default, Deserialize, JsonSchema, garde::Validate)]
#[serde(default)]
#[schemars(deny_unknown_fields, rename = "Intent", extend("required" = ["id", "action"]))]
struct RawIntent {
    /// Its name.
    #[garde(required, custom(raw::check_id))]
    #[schemars(regex(pattern = raw::ID_PATTERN))]
    id: Option<String>,
    /// The action that a turn with this intent takes; a name out of `actions`.
    #[garde(required)]
    action: Option<String>,
    /// Words that show it, compared without regard to case; a `*` at the end stands for any ending.
    #[garde(length(max = 256), inner(length(chars, max = 64)))]
    keywords: Vec<String>,
}

/// Reads and validates a profile; every fault at once, in the order of the text.
pub fn compile_profile(text: &str) -> Result<Profile, Vec<Fault>> {
    let (raw, mut faults) = reading::read::<RawProfile>(text)?;
    let actions = actions(raw.actions.unwrap_or_default(), &mut faults);
    let intents = intents(raw.intents.unwrap_or_default(), &actions, &mut faults);
    let default_intent = raw.default_intent.unwrap_or_default();
    if !intents.iter().any(|intent| intent.id == default_intent) {
        let message = format!("`{default_intent}` is not the id of one of the `intents`");
        faults.add("default_intent", message);
    }
    match faults.finish(text) {
        None => {
            let intents = Intents::new(intents, default_intent);
            Ok(Profile { voice: raw.voice, actions, intents })
        }
        Some(faults) => Err(faults),
    }
}

fn actions(raw: BTreeMap<String, RawAction>, faults: &mut Faults) -> BTreeMap<String, Action> {
    let mut actions = BTreeMap::new();
    for (name, RawAction { difficulty, effects }) in raw {
        if let Err(error) = ActionName::new(&name) {
            faults.add(format!("actions.{name}"), format!("its name {error}"));
        }
        let RawEffects { energy, focus, knowledge, stability } = effects;
        let effects = Deltas { energy, focus, knowledge, stability };
        actions.insert(name, Action { difficulty: difficulty.unwrap_or(1), effects });
    }
    actions
}

fn intents(
    raw: Vec<RawIntent>,
    actions: &BTreeMap<String, Action>,
    faults: &mut Faults,
) -> Vec<Intent> {
    let mut ids = HashSet::new();
    let mut intents = Vec::new();
    for (index, raw) in raw.into_iter().enumerate() {
        let path = format!("intents.{index}");
        let id = raw.id.unwrap_or_default();
        if !ids.insert(id.clone()) {
            faults.add(format!("{path}.id"), format!("`{id}` is the id of an earlier intent"));
        }
        let action = raw.action.unwrap_or_default();
        if !actions.contains_key(&action) {
            let message = format!("`{action}` is not the name of one of the `actions`");
            faults.add(format!("{path}.action"), message);
        }
        let mut keywords = Vec::new();
        for (place, word) in raw.keywords.iter().enumerate() {
            match Keyword::new(word) {
                Ok(keyword) => keywords.push(keyword),
                Err(error) => faults.add(format!("{path}.keywords.{place}"), error.to_string()),
            }
        }
        intents.push(Intent { id, action, keywords });
    }
    intents
}

#[cfg(test)]
mod tests;
