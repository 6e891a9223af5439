//! Drafts: the model writes the edits of a plan, learns their faults, and may correct them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use life_agent_domain::governance::command::{Chat, Message, Plan};
use life_agent_gates::change_policy::SnapshotChangePolicy;
use life_agent_groq::{ChatMessage, ChatRequest, seed};
use life_agent_plans::draft::{draft, present};
use life_agent_plans::drafting::read_edits;
use life_agent_plans::edit::Edit;
use life_agent_plans::fault::PlanFault;
use life_agent_plans::record::DraftedBy;
use life_agent_plans::request::PlanRequest;
use life_agent_plans::tree::Tree;
use serde_json::json;

use super::draft_prompt::{correction_prompt, draft_prompt, edits_schema};
use crate::blocking::blocking;
use crate::chat::text_extraction::body_of;
use crate::chat::{ModelCall, ModelCalls, Reply};
use crate::context::RequestContext;
use crate::error::EngineError;
use crate::govern::Governor;
use crate::policy::ActivePolicy;

/// Model calls per plan.
const ROUNDS: usize = 3;
/// Time limit of all rounds, in time limits of one call.
const LIMIT_FACTOR: u32 = 2;

/// Edits that passed every check.
#[derive(Debug)]
pub(crate) struct Drafted {
    pub(crate) edits: Vec<Edit>,
    pub(crate) by: DraftedBy,
}

/// A draft failed.
#[derive(Debug)]
pub(crate) enum Undrafted {
    /// The faults of the last draft, or of the targets before the first draft.
    Faulty { faults: Vec<PlanFault>, rounds: usize },
    /// The model call failed, or a gate refused the prompt or the reply.
    Failed(EngineError),
}

impl From<EngineError> for Undrafted {
    fn from(error: EngineError) -> Self {
        Undrafted::Failed(error)
    }
}

/// Lets the model write edits.
pub(crate) struct Drafter {
    calls: Arc<ModelCalls>,
    governor: Arc<Governor>,
    pub(crate) tree: Arc<Tree>,
}

/// A draft in progress.
struct Drafting<'a> {
    drafter: &'a Drafter,
    context: &'a RequestContext,
    policy: &'a Arc<ActivePolicy>,
    targets: Vec<String>,
    limit: Option<(Duration, tokio::time::Instant)>,
    /// Whether the provider accepts a schema, as far as is known.
    takes_schema: bool,
}

impl Drafter {
    pub(crate) fn new(calls: Arc<ModelCalls>, governor: Arc<Governor>, tree: Arc<Tree>) -> Self {
        Self { calls, governor, tree }
    }

    /// Whether a model is configured.
    pub(crate) fn is_available(&self) -> bool {
        self.calls.provider.is_some()
    }

    /// Lets the model write the edits of a permitted plan; `targets` are its paths as the caller wrote them.
    /// If the caller disconnects, the draft ends with the current model call.
    pub(crate) async fn draft_edits(
        &self,
        context: &RequestContext,
        policy: &Arc<ActivePolicy>,
        plan: &Plan,
        targets: Vec<String>,
    ) -> Result<Drafted, Undrafted> {
        let whole = self.calls.provider()?.timeout.saturating_mul(LIMIT_FACTOR);
        let limit = Some((whole, tokio::time::Instant::now() + whole));
        // The effect of the request is the plan, not the model calls of its draft.
        let part = context.clone().with_idempotency(None);
        let drafting =
            Drafting { drafter: self, context: &part, policy, targets, limit, takes_schema: true };
        let drafted = drafting.rounds(plan).await;
        context.adopt_times(&part);
        drafted
    }
}

impl Drafting<'_> {
    async fn rounds(mut self, plan: &Plan) -> Result<Drafted, Undrafted> {
        let (tree, targets) = (Arc::clone(&self.drafter.tree), self.targets.clone());
        let admission = self.admission();
        let files = blocking(move || present(&tree, &targets, &admission)).await?;
        let files = files.map_err(|faults| Undrafted::Faulty { faults, rounds: 0 })?;
        let redact = |text: &str| self.policy.chain.redactor().redact(text).into_owned();
        let mut messages = draft_prompt(plan, &files, &self.policy.snapshot.policy, &redact);
        let mut exchanges = Vec::new();
        loop {
            let answered = self.ask(&messages, exchanges.len()).await?;
            exchanges.push(answered.event_id);
            let rounds = exchanges.len();
            let faults = match self.edits_in(&answered).await? {
                Ok(edits) => {
                    let model = self.policy.snapshot.policy.llm.model.clone();
                    return Ok(Drafted { edits, by: DraftedBy { model, rounds, exchanges } });
                }
                Err(faults) if rounds == ROUNDS => {
                    return Err(Undrafted::Faulty { faults, rounds });
                }
                Err(faults) => faults,
            };
            messages.extend(correction_prompt(&answered.reply.content, &faults, &redact));
        }
    }

    fn admission(&self) -> SnapshotChangePolicy {
        SnapshotChangePolicy::new(Arc::clone(&self.policy.snapshot))
    }

    /// Calls the model once. A provider that rejects the schema gets the request without it.
    async fn ask(&mut self, messages: &[Message], round: usize) -> Result<Reply, EngineError> {
        match self.call(messages, round).await {
            Err(EngineError::LlmUnsuited { .. }) if self.takes_schema => {
                self.takes_schema = false;
                self.call(messages, round).await
            }
            answered => answered,
        }
    }

    async fn call(&self, messages: &[Message], round: usize) -> Result<Reply, EngineError> {
        let Self { drafter, context, policy, .. } = self;
        let begun = Instant::now();
        // The plan itself counts against the caller's rate.
        let chat = Chat { messages: messages.to_vec() };
        let permit = drafter.governor.permit_part(context, policy, chat).await;
        let what = "the input of the model, which includes the files, was refused";
        let permit = permit.map_err(|error| refused(what, error))?;
        let llm = drafter.calls.provider()?;
        let defaults = &policy.snapshot.policy.llm;
        let said = permit.command().messages.iter();
        let request = ChatRequest {
            model: defaults.model.clone(),
            messages: said.map(|m| ChatMessage::new(&m.role, m.content.as_str())).collect(),
            temperature: Some(defaults.temperature),
            max_completion_tokens: Some(defaults.max_tokens),
            seed: Some(seed(llm.seed, context.principal.as_str(), round as u64)),
            response_format: self.takes_schema.then(|| {
                json!({"type": "json_schema", "json_schema": {"name": "edits", "schema": edits_schema()}})
            }),
            ..ChatRequest::default()
        };
        let body = body_of(&request, policy.chain.redactor())?;
        let mut call = ModelCall::new(context, Arc::clone(policy), permit, body, "/plan", begun);
        call.deadline.limit = self.limit;
        drafter.calls.run(call).await
    }

    /// The edits of a reply, if they pass the gates and every check that a caller's edits pass.
    async fn edits_in(
        &self,
        answered: &Reply,
    ) -> Result<Result<Vec<Edit>, Vec<PlanFault>>, EngineError> {
        let cut = answered.reply.finish_reason.as_deref() == Some("length");
        let edits = match read_edits(&answered.reply.content, cut) {
            Ok(edits) => edits,
            Err(faults) => return Ok(Err(faults)),
        };
        // The reply was judged as text; this judges the texts behind its escapes.
        let chat = Chat { messages: edits.iter().map(said).collect() };
        let judged = self.drafter.governor.permit_draft(self.context, self.policy, chat).await;
        judged.map_err(|error| refused("the model's draft was refused and is withheld", error))?;
        let request =
            PlanRequest { targets: self.targets.clone(), edits: edits.clone(), patch: None };
        let (tree, admission) = (Arc::clone(&self.drafter.tree), self.admission());
        let max_lines = self.policy.snapshot.policy.max_diff_lines;
        let checked =
            blocking(move || draft(&tree, &request.read(), max_lines, &admission)).await?;
        Ok(checked.map(|_| edits))
    }
}

/// An edit as a message of the model.
fn said(edit: &Edit) -> Message {
    let texts = match edit {
        Edit::Replace { path, content } | Edit::Create { path, content } => vec![path, content],
        Edit::SearchReplace { path, search, replace } => vec![path, search, replace],
        Edit::Delete { path } => vec![path],
    };
    let texts: Vec<_> = texts.into_iter().map(String::as_str).collect();
    Message { role: "assistant".to_owned(), content: texts.join("\n") }
}

/// Explains the denial of a text that the caller did not write.
fn refused(what: &str, error: EngineError) -> EngineError {
    match error {
        EngineError::Denied(mut report) => {
            report.message = format!("{what}: {}; send edits or a patch", report.message);
            EngineError::Denied(report)
        }
        other => other,
    }
}
