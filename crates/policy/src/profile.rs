//! The agent profile: actions and intents, read and validated like the policy.

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

/// The shipped profile, used if the file does not exist.
pub const BUILT_IN_PROFILE: &str = include_str!("../../../policy/agent.yaml");

/// The actions and intents of agents. See `policy/agent.yaml` for a commented example.
#[derive(Debug, Default, Deserialize, JsonSchema, garde::Validate)]
#[serde(default)]
#[schemars(deny_unknown_fields, title = "life-agent agent profile", extend("required" = ["version", "actions", "intents", "default_intent"]))]
pub(crate) struct RawProfile {
    /// The version of this format: "1", in quotes.
    #[garde(required, custom(raw::check_version))]
    #[schemars(extend("const" = "1"))]
    version: Option<String>,
    /// The style of narrated turns, for the model.
    #[garde(length(chars, max = 2000))]
    voice: String,
    /// Actions by name.
    #[garde(required, length(min = 1, max = 256), dive)]
    actions: Option<BTreeMap<String, RawAction>>,
    /// Intents of a text, in order of preference.
    #[garde(required, length(min = 1, max = 64), dive)]
    intents: Option<Vec<RawIntent>>,
    /// The intent of a text without a keyword; an id in `intents`.
    #[garde(required)]
    default_intent: Option<String>,
}

/// An action.
#[derive(Debug, Default, Deserialize, JsonSchema, garde::Validate)]
#[serde(default)]
#[schemars(deny_unknown_fields, rename = "Action", extend("required" = ["difficulty"]))]
struct RawAction {
    /// The value that a twenty-sided die plus the bonus must reach.
    #[garde(required, range(min = 1, max = 25))]
    difficulty: Option<u8>,
    /// The effects of a success.
    #[garde(dive)]
    effects: RawEffects,
}

/// Points that an action adds to vitals of 0 to 100.
#[derive(Debug, Default, Deserialize, JsonSchema, garde::Validate)]
#[serde(default)]
#[schemars(deny_unknown_fields, rename = "Effects")]
struct RawEffects {
    /// Energy; below 20, every draw has a penalty.
    #[garde(range(min = -100, max = 100))]
    energy: i8,
    /// Focus, which sets the bonus of every draw.
    #[garde(range(min = -100, max = 100))]
    focus: i8,
    /// Knowledge.
    #[garde(range(min = -100, max = 100))]
    knowledge: i8,
    /// Stability.
    #[garde(range(min = -100, max = 100))]
    stability: i8,
}

/// An intent.
#[derive(Debug, Default, Deserialize, JsonSchema, garde::Validate)]
#[serde(default)]
#[schemars(deny_unknown_fields, rename = "Intent", extend("required" = ["id", "action"]))]
struct RawIntent {
    /// The intent's name.
    #[garde(required, custom(raw::check_id))]
    #[schemars(regex(pattern = raw::ID_PATTERN))]
    id: Option<String>,
    /// The action of a turn with this intent; a name in `actions`.
    #[garde(required)]
    action: Option<String>,
    /// Words that indicate the intent. Case is ignored, and a final `*` matches any ending.
    #[garde(length(max = 256), inner(length(chars, max = 64)))]
    keywords: Vec<String>,
}

/// Reads and validates a profile. Returns all faults, in the order of the text.
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
