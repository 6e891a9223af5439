//! `POST /plan`: turns a change to the workspace into a patch for review.

use actix_web::{HttpResponse, Responder, Route, web};
use life_agent_engine::plans::edit::Edit;
use life_agent_engine::plans::record::{DraftedBy, Stats};
use life_agent_engine::plans::request::{
    MAX_CONTEXT, MAX_INTENT, MAX_PATH, MAX_TARGETS, PlanRequest,
};
use life_agent_engine::{Fallback, GateNotes, NewPlan};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use crate::http::endpoint::{Access, Description, Effect, Endpoint, Gpt, Tag, Verb};
use crate::http::errors::{ApiError, Code};
use crate::http::extract::{Body, Document, Faults, Strict};
use crate::state::AppState;

const BOTH_LISTS: &str = "differs from `target_paths`; give one of the two lists";
/// The intent of a plan that says nothing about itself.
const NO_INTENT: &str = "(no intent given)";

/// A change, either as `{intent, context, target_paths}` or as the deprecated `{description, target_files}`, where
/// the intent is the first line of the description and the context is the whole description.
#[derive(Debug, Deserialize, ToSchema)]
pub struct PlanBody {
    /// The purpose of the change, in one line.
    #[schema(min_length = 1, max_length = 1024)]
    pub intent: Option<String>,
    /// Background for the reviewer.
    #[schema(max_length = 65536)]
    pub context: Option<String>,
    /// Paths relative to the workspace. If given, the plan may touch no other file.
    #[schema(max_items = 256)]
    pub target_paths: Option<Vec<String>>,
    /// Deprecated form of `intent` and `context` together.
    #[schema(min_length = 1, max_length = 65536)]
    pub description: Option<String>,
    /// Deprecated form of `target_paths`.
    #[schema(max_items = 256)]
    pub target_files: Option<Vec<String>>,
    /// The changes to the files.
    #[schema(value_type = Vec<Edit>, required = false)]
    pub edits: Option<Vec<Strict<Edit>>>,
    /// The changes as a unified diff, as `git diff` prints it.
    pub patch: Option<String>,
    /// Whether a configured model writes the edits of a plan with targets but without edits and patch. If `false`,
    /// such a plan is a statement of intent.
    #[schema(value_type = bool, default = true, required = false)]
    pub draft: Option<bool>,
}

impl Document for PlanBody {
    type Checked = NewPlan;
    fn check(self, faults: &mut Faults) -> Option<NewPlan> {
        let (field, named) = match (self.target_paths, self.target_files) {
            (Some(paths), Some(files)) if paths != files => {
                faults.add("target_files", BOTH_LISTS);
                return None;
            }
            (None, files @ Some(_)) => ("target_files", files),
            (paths, _) => ("target_paths", paths),
        };
        let is_empty = named.is_none()
            && self.context.is_none()
            && self.edits.is_none()
            && self.patch.is_none();
        let intent =
            self.intent.or((is_empty && self.description.is_none()).then(|| NO_INTENT.into()));
        let about = match (intent, self.description) {
            // The newer fields win, and the description fills in for the one that is missing.
            (Some(intent), description) => {
                intended(Some(intent), self.context.or(description), faults)
            }
            (None, Some(description)) => described(Some(description), faults)
                .map(|(intent, context)| (intent, self.context.unwrap_or(context))),
            (None, None) => intended(None, self.context, faults),
        };
        let edits: Vec<_> = self.edits.into_iter().flatten().map(|Strict(edit)| edit).collect();
        let targets = paths_of(field, named.unwrap_or_default(), faults);
        let (intent, context) = about?;
        let request = PlanRequest { targets: targets?, edits, patch: self.patch };
        Some(NewPlan { intent, context, request, draft: self.draft.unwrap_or(true) })
    }
}

/// Intent and context.
fn intended(
    intent: Option<String>,
    context: Option<String>,
    faults: &mut Faults,
) -> Option<(String, String)> {
    let intent = faults.required("intent", intent);
    let intent = intent.and_then(|text| faults.length("intent", text, 1..=MAX_INTENT));
    let intent = intent.and_then(|text| faults.without_nul("intent", text));
    let context = faults.length("context", context.unwrap_or_default(), 0..=MAX_CONTEXT);
    Some((intent?, context?))
}

/// Intent and context from the deprecated form.
fn described(description: Option<String>, faults: &mut Faults) -> Option<(String, String)> {
    let description = faults.required("description", description);
    let context =
        description.and_then(|text| faults.length("description", text, 1..=MAX_CONTEXT))?;
    let context = faults.without_nul("description", context)?;
    Some((first_line(&context, faults)?, context))
}

fn first_line(description: &str, faults: &mut Faults) -> Option<String> {
    let line = description.lines().map(str::trim).find(|line| !line.is_empty());
    let Some(line) = line else {
        faults.add("description", "must contain a line that states the purpose of the change");
        return None;
    };
    Some(line.chars().take(MAX_INTENT).collect())
}

fn paths_of(field: &str, paths: Vec<String>, faults: &mut Faults) -> Option<Vec<String>> {
    if paths.len() > MAX_TARGETS {
        faults.add(field, format!("must have at most {MAX_TARGETS} paths"));
        return None;
    }
    let paths = paths.into_iter().enumerate();
    let read: Vec<_> =
        paths.map(|(n, path)| faults.length(&format!("{field}.{n}"), path, 1..=MAX_PATH)).collect();
    read.into_iter().collect()
}

/// A recorded plan.
#[derive(Serialize, ToSchema)]
struct PlanAnswer {
    /// Always `created`.
    status: &'static str,
    /// The ID of the plan, part of the names of both artifacts.
    id: String,
    /// The path of the artifact.
    artifact: String,
    /// The diff; `null` for a statement of intent.
    patch: Option<String>,
    /// The model that wrote the edits; `null` if the caller wrote them.
    drafted_by: Option<DraftedBy>,
    /// Why there is no draft although a model should have written one.
    #[schema(required = false, nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    fallback: Option<Fallback>,
    /// The size of the change.
    stats: Stats,
    /// The row that records the plan.
    event_id: u64,
    #[serde(flatten)]
    notes: GateNotes,
}

/// `POST /plan`.
pub static PLAN: Endpoint = Endpoint::new("plan", Verb::Post, "/plan", Access::ACT, Effect::Acts, || {
    Route::new().to(plan)
})
.bounded()
.idempotent()
.errors(&[
    Code::PlanInvalid,
    Code::BudgetExceeded,
    Code::ResponseWithheld,
    Code::PlansUnavailable,
])
.tool("plan")
.gpt(Gpt::reads(
    "Call it to draft a change of files as a patch. Nothing is changed: a person reviews the draft. Give `intent`, \
     and `edits` or `target_paths`.",
))
.described(describe);

fn describe() -> Description {
    Description::new(Tag::Plans, "Plan a change")
        .details(
            "Nothing in the workspace changes: the plan becomes an artifact that people review and apply. Without \
             edits and without a patch, a model writes the edits if one is configured and `draft` is not `false`; \
             otherwise the plan is a statement of intent. It is one as well if the model fails: `fallback` then states \
             the cause, unless the policy says `llm.on_failure: fail`. The response to an invalid plan lists every fault.",
        )
        .body::<PlanBody>(json!({
            "intent": "greet in German too", "context": "The page is read in Austria.",
            "edits": [{"path": "plans/greeting.txt", "op": "create", "content": "Hello\nServus\n"}]
        }))
        .json::<PlanAnswer>(200, "The plan is recorded.", Some(json!({
            "status": "created", "id": "k3v5q2xw7abc",
            "artifact": "plans/plan_20261122T205110Z_k3v5q2xw7abc.json",
            "patch": "diff --git a/plans/greeting.txt b/plans/greeting.txt\nnew file mode 100644\n",
            "stats": {"files": 1, "added": 2, "removed": 0}, "drafted_by": null, "event_id": 9,
            "score": 0.0, "findings": [], "applied_policies": [], "would_deny": []
        })))
}
async fn plan(
    state: web::Data<AppState>,
    body: Body<PlanBody>,
) -> Result<impl Responder, ApiError> {
    let planned =
        body.run(&state, |engine, caller, plan| async move { engine.plan(&caller, plan).await });
    let planned = planned.await?;
    Ok(HttpResponse::Ok().json(PlanAnswer {
        status: "created",
        id: planned.id,
        artifact: planned.artifact,
        patch: planned.patch,
        drafted_by: planned.drafted_by,
        fallback: planned.fallback,
        stats: planned.stats,
        event_id: planned.event_id,
        notes: planned.notes,
    }))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(body: Value) -> Option<NewPlan> {
        let mut faults = Faults::default();
        serde_json::from_value::<PlanBody>(body).unwrap().check(&mut faults)
    }

    #[test]
    fn the_older_form_means_the_same() {
        let older = json!({"description": "\n first line \nmore", "target_files": ["a"]});
        let plan = read(older).unwrap();
        assert_eq!(plan.intent, "first line");
        assert_eq!(plan.context, "\n first line \nmore");
        assert_eq!(plan.request.targets, ["a"]);
    }

    #[test]
    fn the_forms_can_be_mixed_and_targets_left_out() {
        for (body, intent, context, targets) in [
            (json!({}), "(no intent given)", "", &[][..]),
            (json!({"intent": "i"}), "i", "", &[]),
            (json!({"description": "d\ne"}), "d", "d\ne", &[]),
            (json!({"intent": "i", "description": "d"}), "i", "d", &[]),
            (json!({"description": "d", "context": "c"}), "d", "c", &[]),
            (json!({"intent": "i", "target_files": ["a"]}), "i", "", &["a"]),
            (json!({"description": "d", "target_paths": ["a"]}), "d", "d", &["a"]),
            (json!({"intent": "i", "target_files": ["a"], "target_paths": ["a"]}), "i", "", &["a"]),
        ] {
            let plan = read(body.clone()).unwrap_or_else(|| panic!("{body}"));
            assert_eq!((plan.intent.as_str(), plan.context.as_str()), (intent, context), "{body}");
            assert_eq!(plan.request.targets, targets, "{body}");
        }
    }

    #[test]
    fn what_contradicts_itself_or_says_nothing_is_refused() {
        for bad in [
            json!({"intent": "i", "target_paths": ["a"], "target_files": ["b"]}),
            json!({"context": "c", "target_paths": ["a"]}),
            json!({"intent": ""}),
            json!({"description": " \n ", "target_files": []}),
            json!({"intent": "i", "target_paths": [""]}),
        ] {
            assert!(read(bad.clone()).is_none(), "{bad}");
        }
        let edits = json!([{"path": "a", "op": "delete"}]);
        assert!(read(json!({"intent": "i", "edits": edits})).is_some());
    }
}
