//! `POST /plan`: intend a change to the workspace.

use life_agent_engine::domain::command::Plan;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::extract::{Document, Faults};

/// Longest intent, in characters.
const MAX_INTENT: usize = 1024;
/// Longest context, in characters.
const MAX_CONTEXT: usize = 65_536;
/// Most targets of one plan.
const MAX_TARGETS: usize = 256;
/// Longest target, in characters.
const MAX_PATH: usize = 1024;

/// A change, either as `{intent, context, target_paths}` or, older, as `{description, target_files}`:
/// there the intent is the first line of the description and the context all of it.
#[derive(Debug, Deserialize, ToSchema)]
pub struct PlanBody {
    /// What the change is for, in a line.
    #[schema(min_length = 1, max_length = 1024)]
    pub intent: Option<String>,
    /// Whatever a reviewer should know.
    #[schema(max_length = 65536)]
    pub context: Option<String>,
    /// Paths relative to the workspace.
    #[schema(min_items = 1, max_items = 256)]
    pub target_paths: Option<Vec<String>>,
    /// The older form of `intent` and `context` together.
    #[schema(min_length = 1, max_length = 65536)]
    pub description: Option<String>,
    /// The older form of `target_paths`.
    #[schema(min_items = 1, max_items = 256)]
    pub target_files: Option<Vec<String>>,
}

impl Document for PlanBody {
    type Checked = Plan;
    fn check(self, faults: &mut Faults) -> Option<Plan> {
        let older = self.description.is_some() || self.target_files.is_some();
        let newer = self.intent.is_some() || self.context.is_some() || self.target_paths.is_some();
        if older && newer {
            faults.add("description", "give `intent`, `context` and `target_paths`, or `description` and `target_files`, not both");
            return None;
        }
        if older {
            let description = faults.required("description", self.description);
            let context =
                description.and_then(|text| faults.length("description", text, 1..=MAX_CONTEXT));
            let targets = faults.required("target_files", self.target_files);
            let targets = targets.and_then(|paths| paths_of("target_files", paths, faults));
            let context = context?;
            let intent = first_line(&context, faults)?;
            return Some(Plan { intent, context, targets: targets? });
        }
        let intent = faults.required("intent", self.intent);
        let intent = intent.and_then(|text| faults.length("intent", text, 1..=MAX_INTENT));
        let context = faults.length("context", self.context.unwrap_or_default(), 0..=MAX_CONTEXT);
        let targets = faults.required("target_paths", self.target_paths);
        let targets = targets.and_then(|paths| paths_of("target_paths", paths, faults));
        Some(Plan { intent: intent?, context: context?, targets: targets? })
    }
}

fn first_line(description: &str, faults: &mut Faults) -> Option<String> {
    let line = description.lines().map(str::trim).find(|line| !line.is_empty());
    let Some(line) = line else {
        faults.add("description", "must have a line that says what the change is for");
        return None;
    };
    Some(line.chars().take(MAX_INTENT).collect())
}

fn paths_of(field: &str, paths: Vec<String>, faults: &mut Faults) -> Option<Vec<String>> {
    if !(1..=MAX_TARGETS).contains(&paths.len()) {
        faults.add(field, format!("must have 1 to {MAX_TARGETS} paths"));
        return None;
    }
    let paths = paths.into_iter().enumerate();
    let read: Vec<_> =
        paths.map(|(n, path)| faults.length(&format!("{field}.{n}"), path, 1..=MAX_PATH)).collect();
    read.into_iter().collect()
}
