//! Plays recorded requests again: through the policy and the rules of today, or through another policy
//! (a backtest). Reads the journal and changes nothing.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use life_agent_domain::agent::memory::RECALL;
use life_agent_domain::agent::profile::Profile;
use life_agent_domain::agent::rules::{ActStep, TurnStep, decide_act, decide_recall, decide_turn};
use life_agent_domain::agent::state::AgentState;
use life_agent_domain::governance::command::{Act, Command, Gated, Turn};
use life_agent_domain::governance::event::{EventKind, Row};
use life_agent_domain::governance::gate::{
    GateInputs, KillSwitch, Permit, Rate, Unwatched, evaluate,
};
use life_agent_domain::governance::ids::{AgentId, Principal};
use life_agent_observer::{Filter, Readers};
use serde::{Deserialize, Serialize};

use crate::agents::apply_row;
use crate::answers::{Asked, PolicySource};
use crate::config::{Config, OpaMode};
use crate::engine::Engine;
use crate::error::{EngineError, OpenError};
use crate::facts::blocking;
use crate::llm::{Again, Difference, retell};
use crate::policy::InForce;
use crate::policy_files::PolicyFiles;
use crate::recorded::{self, Decision};
use crate::workspace::Workspace;

/// Divergences that a report lists one by one; all of them are counted.
const MAX_LISTED: usize = 1000;
/// Rows read at a time.
const PAGE: usize = 1000;

/// What a replay found.
#[derive(Debug, Default, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReplayReport {
    /// The policy that the requests were played through: SHA-256 of its text.
    pub policy_hash: String,
    /// Rows read.
    pub rows: u64,
    /// Requests whose decision was compared.
    pub decisions: u64,
    /// Steps whose answer and state were compared.
    pub steps: u64,
    /// How many of them were told by the model, and were told again from its recorded answers.
    pub told: u64,
    /// Requests that cannot be compared, by why.
    pub not_comparable: BTreeMap<&'static str, u64>,
    /// Requests that were allowed and would now be denied, by the gate and rule that would.
    pub now_denied: BTreeMap<String, u64>,
    /// Requests that were denied and would now be allowed, by the gate and rule that did.
    pub now_allowed: BTreeMap<String, u64>,
    /// How many divergences there are.
    pub divergence_count: u64,
    /// The first thousand of them.
    pub divergences: Vec<Divergence>,
    /// The last row that was read, to go on from.
    pub last: u64,
}

/// One row that would come out differently today.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Divergence {
    /// The row.
    pub event_id: u64,
    /// Its agent.
    pub agent_id: Option<String>,
    /// What differs: `decision`, `answer`, `state_hash` or `row`; in how the model told a turn `request`,
    /// `reply`, `tool` or `telling`.
    pub what: &'static str,
    /// What the row states.
    pub recorded: String,
    /// What comes out today.
    pub now: String,
}

#[derive(Deserialize)]
struct Started {
    seed: u64,
}

/// What to compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Depth {
    /// Decisions, answers and states; needs the journal from its first row.
    Everything,
    /// Decisions only.
    Decisions,
}

struct Player<'a> {
    policy: &'a InForce,
    workspace: &'a Workspace,
    depth: Depth,
    seed: u64,
    /// States as the recorded steps make them; none for an agent whose first steps are not there.
    agents: HashMap<String, Option<AgentState>>,
    report: ReplayReport,
}

impl Player<'_> {
    fn row(&mut self, row: &Row) {
        self.report.rows += 1;
        self.report.last = row.id;
        if row.kind == EventKind::ServiceStarted.as_str()
            && let Ok(started) = serde_json::from_str::<Started>(row.data.get())
        {
            self.seed = started.seed;
        }
        match recorded::read(row) {
            Ok(Some(request)) => match request.asked {
                Asked::Act(act) => self.request(row, act, &request.decision, Self::act),
                Asked::Turn(turn) => self.request(row, turn, &request.decision, Self::turn),
                Asked::Plan(plan) => self.request(row, plan, &request.decision, |_, _, _| ()),
                Asked::Chat(chat) => self.request(row, chat, &request.decision, |_, _, _| ()),
            },
            Ok(None) => {}
            Err(error) => {
                self.diverge(row, "row", row.kind.clone(), format!("cannot be read: {error}"))
            }
        }
        if self.depth == Depth::Everything && is_step(row) {
            self.state(row);
        }
    }

    /// Sends the request through the chain and compares the decisions; `then` compares what the
    /// permit leads to.
    fn request<C: Gated>(
        &mut self,
        row: &Row,
        command: C,
        decided: &Decision,
        then: impl FnOnce(&mut Self, &Row, &Permit<C>),
    ) {
        let facts = self.facts(command.view());
        let principal = Principal::new(&row.principal);
        let now = evaluate(&self.policy.chain, principal, command, &facts, &Unwatched);
        if let Decision::Denied { repeatable: false, .. } = decided {
            let why = "denied on what the journal does not keep";
            *self.report.not_comparable.entry(why).or_default() += 1;
            return;
        }
        self.report.decisions += 1;
        match (decided, now) {
            (Decision::Allowed, Ok(permit)) => then(self, row, &permit),
            (Decision::Denied { .. }, Err(_)) => {}
            (Decision::Allowed, Err(denial)) => {
                let by = match denial.refusal.rule {
                    Some(rule) => format!("{}/{rule}", denial.gate),
                    None => denial.gate.to_owned(),
                };
                *self.report.now_denied.entry(by.clone()).or_default() += 1;
                self.diverge(row, "decision", "allowed".to_owned(), format!("denied by {by}"));
            }
            (Decision::Denied { by, .. }, Ok(_)) => {
                *self.report.now_allowed.entry(by.clone()).or_default() += 1;
                self.diverge(row, "decision", format!("denied by {by}"), "allowed".to_owned());
            }
        }
    }

    /// The facts as far as they do not hang on the moment.
    fn facts(&self, command: Command<'_>) -> GateInputs {
        facts(self.policy, self.workspace, command)
    }

    fn act(&mut self, row: &Row, permit: &Permit<Act>) {
        // What a search found, the row states; what comes of it, the rules decide again.
        let found = recorded::recalled(row);
        let is_recall = permit.command().action.as_str() == RECALL;
        self.answer::<ActStep>(row, |state, profile| {
            if is_recall {
                decide_recall(state, profile, permit, &found)
            } else {
                decide_act(state, profile, permit)
            }
        });
    }

    fn turn(&mut self, row: &Row, permit: &Permit<Turn>) {
        if self.depth != Depth::Everything {
            return;
        }
        let policy = self.policy;
        let Some(before) = self.before(row).cloned() else { return };
        let mut now = decide_turn(&before, &policy.profile, permit);
        let workspace = self.workspace;
        let told = match recorded::telling(row) {
            Ok(Some(telling)) => {
                let again = Again {
                    policy,
                    facts: &|command| facts(policy, workspace, command),
                    principal: Principal::new(&row.principal),
                    agent: &permit.command().agent,
                    before: &before,
                    turn: &now,
                };
                self.report.told += 1;
                retell(&again, &telling)
            }
            Ok(None) => Ok(now.response.clone()),
            Err(error) => {
                let (what, recorded) = ("telling", "a telling".to_owned());
                Err(Difference { what, recorded, now: format!("cannot be read: {error}") })
            }
        };
        match told {
            Ok(response) => {
                now.response = response;
                self.answer::<TurnStep>(row, |_, _| now);
            }
            Err(Difference { what, recorded, now }) => {
                self.report.steps += 1;
                self.diverge(row, what, recorded, now);
            }
        }
    }

    /// Decides the step again and compares it with the recorded one.
    fn answer<S>(&mut self, row: &Row, decide: impl FnOnce(&AgentState, &Profile) -> S)
    where
        S: for<'de> Deserialize<'de> + Serialize + PartialEq,
    {
        if self.depth != Depth::Everything {
            return;
        }
        let policy = self.policy;
        let Some(state) = self.before(row) else { return };
        let now = decide(state, &policy.profile);
        let recorded = serde_json::from_str::<S>(row.data.get());
        self.report.steps += 1;
        if recorded.as_ref().ok() != Some(&now) {
            let text = |step: &S| serde_json::to_string(step).unwrap_or_default();
            let recorded = recorded.as_ref().map_or_else(|error| error.to_string(), &text);
            self.diverge(row, "answer", recorded, text(&now));
        }
    }

    /// The state before the row's step; none if the agent's first steps are not in the journal.
    fn before(&mut self, row: &Row) -> Option<&AgentState> {
        let agent = row.agent_id.clone()?;
        let seed = self.seed;
        let first = version_of(row) == Some(1);
        let fresh = || first.then(|| AgentState::initial(seed));
        self.agents.entry(agent).or_insert_with(fresh).as_ref()
    }

    /// Applies the recorded step, and compares the state with the hash that the row states.
    fn state(&mut self, row: &Row) {
        if self.before(row).is_none() {
            let why = "of an agent whose first steps are no longer in the journal";
            *self.report.not_comparable.entry(why).or_default() += 1;
            return;
        }
        let agent = row.agent_id.as_deref().unwrap_or_default();
        let Some(Some(state)) = self.agents.get_mut(agent) else { return };
        match apply_row(state, row) {
            Ok(stated) => {
                let now = state.hash();
                if stated != now {
                    self.diverge(row, "state_hash", stated, now);
                }
            }
            Err(error) => {
                self.diverge(row, "row", row.kind.clone(), format!("cannot be read: {error}"))
            }
        }
    }

    fn diverge(&mut self, row: &Row, what: &'static str, recorded: String, now: String) {
        self.report.divergence_count += 1;
        if self.report.divergences.len() < MAX_LISTED {
            let (event_id, agent_id) = (row.id, row.agent_id.clone());
            self.report.divergences.push(Divergence { event_id, agent_id, what, recorded, now });
        }
    }
}

fn facts(policy: &InForce, workspace: &Workspace, command: Command<'_>) -> GateInputs {
    let intent = match command {
        Command::Turn(turn) => Some(policy.profile.intents.of(&turn.input).to_owned()),
        _ => None,
    };
    GateInputs {
        kill_switch: Some(KillSwitch::Off),
        rate: Some(Rate::Within),
        targets: Some(workspace.facts(command.targets())),
        opa: None,
        intent,
    }
}

fn is_step(row: &Row) -> bool {
    [EventKind::Act, EventKind::Turn].iter().any(|kind| row.kind == kind.as_str())
}

fn version_of(row: &Row) -> Option<u64> {
    #[derive(Deserialize)]
    struct Version {
        state_version: u64,
    }
    serde_json::from_str::<Version>(row.data.get()).ok().map(|stated| stated.state_version)
}

/// Plays a journal through the policy that `config` names: decisions, answers and states, of all
/// agents or of one. `progress` hears the number of the last row read after every thousand.
pub fn replay(
    journal: &dyn Readers,
    config: &Config,
    agent: Option<&AgentId>,
    progress: &mut dyn FnMut(u64),
) -> Result<ReplayReport, OpenError> {
    let workspace = Workspace::open(&config.workspace_dir, &config.plans_dir)
        .map_err(OpenError::at(&config.workspace_dir))?;
    // A policy server answers for the moment; its past answers cannot be asked for again.
    let opa = match config.opa {
        OpaMode::Server(_) => OpaMode::Off,
        ref other => other.clone(),
    };
    let config = Config { opa, ..config.clone() };
    let files = PolicyFiles::new(&config, workspace.clone());
    let policy = InForce::first(&files, InForce::compile)?;
    let mut player = Player::new(&policy, &workspace, Depth::Everything, config.seed);
    let mut after = 0;
    loop {
        // Rows of no agent are always read: a start states the seed.
        let wanted = |row: &&Row| match (agent, &row.agent_id) {
            (Some(agent), Some(of)) => agent.as_str() == of,
            _ => true,
        };
        let page = journal.view()?.page(after, PAGE, &Filter::default())?;
        page.rows.iter().filter(wanted).for_each(|row| player.row(row));
        progress(player.report.last);
        match page.next {
            Some(next) => after = next,
            None => return Ok(player.report),
        }
    }
}

impl<'a> Player<'a> {
    fn new(policy: &'a InForce, workspace: &'a Workspace, depth: Depth, seed: u64) -> Self {
        let report =
            ReplayReport { policy_hash: policy.snapshot.hash.clone(), ..ReplayReport::default() };
        Self { policy, workspace, depth, seed, agents: HashMap::new(), report }
    }
}

impl Engine {
    /// Which recorded decisions another policy would turn around, over at most `limit` rows after
    /// `after`. Compares decisions only, and changes nothing.
    pub async fn backtest(
        &self,
        source: PolicySource,
        after: u64,
        limit: usize,
    ) -> Result<ReplayReport, EngineError> {
        let files = self.policy.files.clone();
        let policy = blocking(move || {
            let document = files.read(&source)?;
            InForce::compile(&document, &files).map_err(EngineError::PolicyInvalid)
        });
        let policy = Arc::new(policy.await??);
        let mut report = Player::new(&policy, &self.workspace, Depth::Decisions, 0).report;
        let (mut after, mut left) = (after, limit);
        while left > 0 {
            // One page at a time, so that other readers get their turn and a stop need not wait.
            let (policy, workspace) = (Arc::clone(&policy), self.workspace.clone());
            let page = self.journal.page(after, left.min(PAGE), Filter::default()).await?;
            let played = blocking(move || {
                let player = Player::new(&policy, &workspace, Depth::Decisions, 0);
                let mut player = Player { report, ..player };
                page.rows.iter().for_each(|row| player.row(row));
                (player.report, page)
            });
            let (so_far, page) = played.await?;
            report = so_far;
            left -= page.rows.len().min(left);
            match page.next {
                Some(next) => after = next,
                None => break,
            }
        }
        Ok(report)
    }
}
