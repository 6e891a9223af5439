//! The outcome of a turn, whole, as it happens, and read back from its rows.

use life_agent_domain::agent::record::{ActRecord, TurnRecord};
use life_agent_domain::agent::rules::TurnStep;
use life_agent_domain::governance::event::{
    Actor, EventKind, Fallback, Row, Source, TokenUsage, ToolDecision, ToolStep, UnreadableRow,
    Withheld,
};
use life_agent_domain::governance::gate::GateNotes;

use crate::error::EngineError;

/// A durable turn.
#[derive(Debug, Clone)]
pub struct TurnOutcome {
    /// The step, including the response.
    pub step: TurnStep,
    /// The number of its row.
    pub event_id: u64,
    /// The state's version after the turn and the model's acts.
    pub state_version: u64,
    /// The hash of that state.
    pub state_hash: String,
    /// The findings of the gates in the input.
    pub notes: GateNotes,
    /// The author of the response.
    pub source: Source,
    /// The cost of all model calls, if the provider reports it.
    pub usage: Option<TokenUsage>,
    /// Why the model's text is not the response.
    pub withheld: Option<Withheld>,
    /// Why the turn went on without the model.
    pub fallback: Option<Fallback>,
    /// The model's tool calls, in order.
    pub steps: Vec<ToolStep>,
}

impl TurnOutcome {
    /// The outcome of a turn out of its row and the rows after it, of which those of the model's acts
    /// count. `None` if the first row is not the turn `event_id`.
    pub(crate) fn read(event_id: u64, rows: &[Row]) -> Result<Option<Self>, UnreadableRow> {
        let Some((row, rest)) = rows.split_first().filter(|(row, _)| row.id == event_id) else {
            return Ok(None);
        };
        let turn: TurnRecord = row.read()?;
        let (usage, withheld, fallback, mut steps) = match turn.narration {
            Some(narration) => {
                let narration = narration.into_owned();
                let steps = narration.steps.into_iter().map(|step| step.step).collect();
                (narration.usage, narration.withheld, narration.fallback, steps)
            }
            None => (None, None, None, Vec::new()),
        };
        // The calls that were acts and the rows of the acts are in the same order.
        let mut calls = steps.iter_mut().filter(|step: &&mut ToolStep| {
            step.decision == ToolDecision::Allow && step.event_id.is_none()
        });
        let mut state = turn.state;
        for row in rest.iter().take_while(|row| row.is(EventKind::Act)) {
            let act: ActRecord = row.read()?;
            if act.by != Some(Actor::Model) {
                break;
            }
            state = act.state;
            if let Some(call) = calls.next() {
                call.event_id = Some(row.id);
            }
        }
        Ok(Some(Self {
            step: turn.step,
            event_id,
            state_version: state.state_version,
            state_hash: state.state_hash.into_owned(),
            notes: turn.notes.into_owned(),
            source: turn.source.unwrap_or(Source::Offline),
            usage,
            withheld,
            fallback,
            steps,
        }))
    }
}

/// One event of a turn that is streamed.
#[derive(Debug)]
pub enum TurnEvent {
    /// More of the text, redacted.
    Delta(String),
    /// The model called a tool.
    Tool(Box<ToolStep>),
    /// The turn is durable. The last event.
    Done(Box<TurnOutcome>),
    /// The turn failed. The last event.
    Failed(EngineError),
}
