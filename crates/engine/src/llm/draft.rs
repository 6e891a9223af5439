//! Drafts: the model writes the edits of a plan, is told what is wrong with them, and may mend them.

use std::sync::Arc;
use std::time::Instant;

use life_agent_domain::governance::command::{Chat, Message, Plan};
use life_agent_gates::change_policy::SnapshotChangePolicy;
use life_agent_groq::{ChatMessage, ChatRequest, seed};
use life_agent_plans::draft::{draft, present};
use life_agent_plans::drafting::read_edits;
use life_agent_plans::edit::Edit;
use life_agent_plans::fault::PlanFault;
use life_agent_plans::record::DraftedBy;
use life_agent_plans::request::PlanRequest;
use serde_json::json;

use super::exchange::{Answered, Exchange, Until};
use super::task::{mend, schema, task};
use super::texts::body_of;
use crate::engine::{Caller, Engine};
use crate::error::EngineError;
use crate::facts::{Metered, blocking};
use crate::policy::InForce;

/// How often the model is asked for one plan.
const ROUNDS: usize = 3;
/// How many times the time of one call all rounds together may take.
const PATIENCE: u32 = 2;

/// Edits that passed every check of a plan.
#[derive(Debug)]
pub(crate) struct Drafted {
    pub(crate) edits: Vec<Edit>,
    pub(crate) by: DraftedBy,
}

/// Why there are none.
#[derive(Debug)]
pub(crate) enum Undrafted {
    /// What is wrong with the last draft, or, before the first, with the targets.
    Faulty { faults: Vec<PlanFault>, rounds: usize },
    /// The model could not be asked, or a gate refused what it should get or what it said.
    Failed(EngineError),
}

impl From<EngineError> for Undrafted {
    fn from(error: EngineError) -> Self {
        Undrafted::Failed(error)
    }
}

/// One plan that is being drafted.
struct Drafting<'a> {
    engine: &'a Engine,
    caller: &'a Caller,
    policy: &'a Arc<InForce>,
    targets: Vec<String>,
    until: Until,
    /// Whether the provider takes a schema for its answer, as far as is known.
    takes_schema: bool,
}

impl Engine {
    /// Lets the model write the edits of a permitted plan; `targets` are its paths as they were asked
    /// for, which is how the files are called. A caller that leaves ends this after the exchange that
    /// is under way.
    pub(crate) async fn draft_edits(
        &self,
        caller: &Caller,
        policy: &Arc<InForce>,
        plan: &Plan,
        targets: Vec<String>,
    ) -> Result<Drafted, Undrafted> {
        let whole = self.llm()?.timeout.saturating_mul(PATIENCE);
        let deadline = Some((whole, tokio::time::Instant::now() + whole));
        let until = Until { deadline, ..Until::default() };
        // Only the plan is what a call with a key has done; the draft's exchanges are not.
        let caller = &Caller::new(caller.principal.clone(), caller.request_id.clone());
        let drafting =
            Drafting { engine: self, caller, policy, targets, until, takes_schema: true };
        drafting.rounds(plan).await
    }
}

impl Drafting<'_> {
    async fn rounds(mut self, plan: &Plan) -> Result<Drafted, Undrafted> {
        let (tree, targets) = (Arc::clone(&self.engine.shelf.tree), self.targets.clone());
        let admission = self.admission();
        let files = blocking(move || present(&tree, &targets, &admission)).await?;
        let files = files.map_err(|faults| Undrafted::Faulty { faults, rounds: 0 })?;
        let redact = |text: &str| self.policy.chain.redactor().redact(text).into_owned();
        let mut messages = task(plan, &files, &self.policy.snapshot.policy, &redact);
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
            messages.extend(mend(&answered.reply.content, &faults, &redact));
        }
    }

    fn admission(&self) -> SnapshotChangePolicy {
        SnapshotChangePolicy::new(Arc::clone(&self.policy.snapshot))
    }

    /// Asks once; a provider that refuses the form that is asked for gets the question without it.
    async fn ask(&mut self, messages: &[Message], round: usize) -> Result<Answered, EngineError> {
        match self.exchange(messages, round).await {
            Err(EngineError::LlmUnsuited { .. }) if self.takes_schema => {
                self.takes_schema = false;
                self.exchange(messages, round).await
            }
            answered => answered,
        }
    }

    async fn exchange(&self, messages: &[Message], round: usize) -> Result<Answered, EngineError> {
        let Self { engine, caller, policy, .. } = self;
        let begun = Instant::now();
        // The plan itself has been counted against its caller's rate.
        let chat = Chat { messages: messages.to_vec() };
        let permit = engine.permit_metered(caller, policy, chat, Metered::No).await;
        let what = "what the model would be told, the files included, was refused";
        let permit = permit.map_err(|error| refused(what, error))?;
        let llm = engine.llm()?;
        let defaults = &policy.snapshot.policy.llm;
        let said = permit.command().messages.iter();
        let request = ChatRequest {
            model: defaults.model.clone(),
            messages: said.map(|m| ChatMessage::new(&m.role, m.content.as_str())).collect(),
            temperature: Some(defaults.temperature),
            max_completion_tokens: Some(defaults.max_tokens),
            seed: Some(seed(llm.seed, caller.principal.as_str(), round as u64)),
            response_format: self.takes_schema.then(|| {
                json!({"type": "json_schema", "json_schema": {"name": "edits", "schema": schema()}})
            }),
            ..ChatRequest::default()
        };
        let body = body_of(&request, policy.chain.redactor())?;
        let mut exchange = Exchange::new(caller, Arc::clone(policy), permit, body, "/plan", begun);
        exchange.until.deadline = self.until.deadline;
        engine.exchange(exchange).await
    }

    /// The edits of an answer if they pass every check that edits of a caller pass, and the gates.
    async fn edits_in(
        &self,
        answered: &Answered,
    ) -> Result<Result<Vec<Edit>, Vec<PlanFault>>, EngineError> {
        let cut = answered.reply.finish_reason.as_deref() == Some("length");
        let edits = match read_edits(&answered.reply.content, cut) {
            Ok(edits) => edits,
            Err(faults) => return Ok(Err(faults)),
        };
        // The answer has been judged as text; this is what stands behind its escapes.
        let chat = Chat { messages: edits.iter().map(said).collect() };
        let judged = self.engine.permit_metered(self.caller, self.policy, chat, Metered::No).await;
        judged.map_err(|error| refused("the model's draft was refused and is withheld", error))?;
        let request =
            PlanRequest { targets: self.targets.clone(), edits: edits.clone(), patch: None };
        let (tree, admission) = (Arc::clone(&self.engine.shelf.tree), self.admission());
        let max_lines = self.policy.snapshot.policy.max_diff_lines;
        let checked =
            blocking(move || draft(&tree, &request.read(), max_lines, &admission)).await?;
        Ok(checked.map(|_| edits))
    }
}

/// An edit as something that the model says.
fn said(edit: &Edit) -> Message {
    let texts = match edit {
        Edit::Replace { path, content } | Edit::Create { path, content } => vec![path, content],
        Edit::SearchReplace { path, search, replace } => vec![path, search, replace],
        Edit::Delete { path } => vec![path],
    };
    let texts: Vec<_> = texts.into_iter().map(String::as_str).collect();
    Message { role: "assistant".to_owned(), content: texts.join("\n") }
}

/// A refusal of something that the caller has not written.
fn refused(what: &str, error: EngineError) -> EngineError {
    match error {
        EngineError::Denied(mut report) => {
            report.message = format!("{what}: {}; send edits or a patch", report.message);
            EngineError::Denied(report)
        }
        other => other,
    }
}
