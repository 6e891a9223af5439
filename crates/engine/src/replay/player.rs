//! Replays rows and compares decisions, outcomes and states.

use std::collections::HashMap;

use life_agent_domain::agent::memory::RECALL;
use life_agent_domain::agent::profile::Profile;
use life_agent_domain::agent::record::{TurnRecord, apply_row};
use life_agent_domain::agent::rules::{ActStep, TurnStep, decide_act, decide_recall, decide_turn};
use life_agent_domain::agent::state::AgentState;
use life_agent_domain::governance::command::{Act, Gated, Kind, Turn};
use life_agent_domain::governance::event::{
    AccessDeniedRecord, DeniedRecord, EventKind, Row, ServiceStartedRecord, UnreadableRow,
    lacks_parts,
};
use life_agent_domain::governance::gate::{Permit, Reason};
use life_agent_domain::governance::ids::Principal;
use life_agent_domain::governance::request::Request;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::report::{Divergence, ReplayReport};
use crate::govern::rejudge;
use crate::narration::replay::{self as narration, Difference, RecordedTurn};
use crate::policy::ActivePolicy;
use crate::tools::{self, ReplayedCall};
use crate::workspace::Workspace;

/// Divergences that a report lists one by one; all of them are counted.
const MAX_LISTED: usize = 1000;
/// A recorded decision.
enum Decision {
    Allowed,
    Denied {
        /// The gate and its rule.
        by: String,
        /// Whether the row contains everything that the decision depended on.
        repeatable: bool,
    },
}

/// The request that a row records and its decision; `None` for rows of other kinds.
fn recorded(row: &Row) -> Result<Option<(Request, Decision)>, UnreadableRow> {
    let kind = match row.event_kind() {
        Some(EventKind::Act) => Kind::Act,
        Some(EventKind::Turn) => Kind::Turn,
        Some(EventKind::Plan) => Kind::Plan,
        // A key decided, not a gate; the request was not read.
        Some(EventKind::Denied) if is_access_denial(row) => return Ok(None),
        Some(EventKind::Denied) => {
            let denied: DeniedRecord<'_> = row.read()?;
            let (by, repeatable) = (denied.decided_by(), denied.is_repeatable());
            return Ok(Some((denied.refused()?, Decision::Denied { by, repeatable })));
        }
        Some(EventKind::ToolRequested) => {
            let ReplayedCall { request, refused_by, repeatable } = tools::recorded(row)?;
            let denied = |by| Decision::Denied { by, repeatable };
            return Ok(Some((request, refused_by.map_or(Decision::Allowed, denied))));
        }
        _ => return Ok(None),
    };
    let agent = Some(row.agent_id.as_deref().unwrap_or_default());
    Ok(Some((Request::read(kind, agent, row.data.get())?, Decision::Allowed)))
}

fn was_approved(row: &Row) -> bool {
    #[derive(Deserialize)]
    struct Approved {
        approval_id: Option<u64>,
    }
    let approved = serde_json::from_str::<Approved>(row.data.get());
    approved.is_ok_and(|approved| approved.approval_id.is_some())
}

fn is_access_denial(row: &Row) -> bool {
    row.read::<AccessDeniedRecord<'_>>().is_ok_and(|denied| denied.gate == AccessDeniedRecord::GATE)
}

/// The compared parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// Decisions, answers and states; needs the journal from its first row.
    Everything,
    /// Decisions only.
    Decisions,
}

/// Replays rows one after the other.
pub(super) struct Player<'a> {
    policy: &'a ActivePolicy,
    workspace: &'a Workspace,
    depth: Depth,
    seed: u64,
    /// The states after the recorded steps; `None` for an agent whose first steps are missing.
    agents: HashMap<String, Option<AgentState>>,
    pub(super) report: ReplayReport,
}

impl Player<'_> {
    pub(super) fn row(&mut self, row: &Row) {
        self.report.rows += 1;
        self.report.last = row.id;
        if row.is(EventKind::ServiceStarted)
            && let Ok(started) = row.read::<ServiceStartedRecord<'_>>()
        {
            self.seed = started.seed;
        }
        if lacks_parts(row.data.get()) {
            let why = "recorded without their texts, which are too large for a row";
            *self.report.not_comparable.entry(why).or_default() += 1;
            return;
        }
        match recorded(row) {
            Ok(Some((request, decision))) => match request {
                Request::Act(act) => self.request(row, act, &decision, Self::act),
                Request::Turn(turn) => self.request(row, turn, &decision, Self::turn),
                Request::Plan(plan) => self.request(row, plan, &decision, |_, _, _| ()),
                Request::Chat(chat) => self.request(row, chat, &decision, |_, _, _| ()),
                Request::Tool(tool) => self.request(row, tool, &decision, |_, _, _| ()),
            },
            Ok(None) => {}
            Err(error) => {
                self.diverge(row, "row", row.kind.clone(), format!("cannot be read: {error}"))
            }
        }
        if self.depth == Depth::Everything && row.event_kind().is_some_and(EventKind::is_step) {
            self.state(row);
        }
    }

    /// Judges the request and compares the decisions; `then` compares the outcome of a permit.
    fn request<C: Gated>(
        &mut self,
        row: &Row,
        command: C,
        decided: &Decision,
        then: impl FnOnce(&mut Self, &Row, &Permit<C>),
    ) {
        let principal = Principal::new(&row.principal);
        let now = rejudge(self.policy, self.workspace, principal, command);
        if let Decision::Denied { repeatable: false, .. } = decided {
            let why = "denied on what the journal does not keep";
            *self.report.not_comparable.entry(why).or_default() += 1;
            return;
        }
        self.report.decisions += 1;
        match (decided, now) {
            (Decision::Allowed, Ok(permit)) => then(self, row, &permit),
            (Decision::Denied { .. }, Err(_)) => {}
            // A person approved it then; whether one would now is not the policy's decision.
            (Decision::Allowed, Err(denial))
                if denial.refusal.reason == Reason::ApprovalRequired && was_approved(row) => {}
            (Decision::Allowed, Err(denial)) => {
                let by = denial.decided_by();
                *self.report.now_denied.entry(by.clone()).or_default() += 1;
                self.diverge(row, "decision", "allowed".to_owned(), format!("denied by {by}"));
            }
            (Decision::Denied { by, .. }, Ok(_)) => {
                *self.report.now_allowed.entry(by.clone()).or_default() += 1;
                self.diverge(row, "decision", format!("denied by {by}"), "allowed".to_owned());
            }
        }
    }

    fn act(&mut self, row: &Row, permit: &Permit<Act>) {
        // The row states what the search found; the rules decide the outcome again.
        let found = row.step::<ActStep>().map(|(step, _)| step.recalled).unwrap_or_default();
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
        let told = match row.read::<TurnRecord>().map(|turn| turn.narration) {
            Ok(Some(telling)) if narration::needed_approvals(&telling) => {
                let why = "narrated turns in which a person approved an act of the model";
                *self.report.not_comparable.entry(why).or_default() += 1;
                return;
            }
            Ok(Some(telling)) => {
                let recorded = RecordedTurn {
                    policy,
                    workspace,
                    principal: Principal::new(&row.principal),
                    agent: &permit.command().agent,
                    before: &before,
                    turn: &now,
                };
                self.report.told += 1;
                narration::replay(&recorded, telling.as_ref())
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
        S: DeserializeOwned + Serialize + PartialEq,
    {
        if self.depth != Depth::Everything {
            return;
        }
        let policy = self.policy;
        let Some(state) = self.before(row) else { return };
        let now = decide(state, &policy.profile);
        let recorded = row.step::<S>().map(|(step, _)| step);
        self.report.steps += 1;
        if recorded.as_ref().ok() != Some(&now) {
            let text = |step: &S| serde_json::to_string(step).unwrap_or_default();
            let recorded = recorded.as_ref().map_or_else(|error| error.to_string(), &text);
            self.diverge(row, "answer", recorded, text(&now));
        }
    }

    /// The state before the row's step; `None` if the agent's first steps are missing.
    fn before(&mut self, row: &Row) -> Option<&AgentState> {
        let agent = row.agent_id.clone()?;
        let seed = self.seed;
        let first = row.state_mark().is_ok_and(|mark| mark.state_version == 1);
        let fresh = || first.then(|| AgentState::initial(seed));
        self.agents.entry(agent).or_insert_with(fresh).as_ref()
    }

    /// Applies the recorded step and compares the state with the recorded hash.
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

impl<'a> Player<'a> {
    pub(super) fn new(
        policy: &'a ActivePolicy,
        workspace: &'a Workspace,
        depth: Depth,
        seed: u64,
    ) -> Self {
        let report =
            ReplayReport { policy_hash: policy.snapshot.hash.clone(), ..ReplayReport::default() };
        Self { policy, workspace, depth, seed, agents: HashMap::new(), report }
    }
}
