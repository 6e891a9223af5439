//! Requests read back from their rows: what was asked, and what was decided then.

use life_agent_domain::governance::command::{Act, Chat, Message, Plan, Turn};
use life_agent_domain::governance::event::{EventKind, Row};
use life_agent_domain::governance::ids::{ActionName, AgentId};
use life_agent_domain::governance::payload::Payload;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::answers::Asked;
use crate::llm::Telling;

/// A request as its row keeps it.
pub(crate) struct Recorded {
    pub(crate) asked: Asked,
    pub(crate) decision: Decision,
}

/// What was decided.
pub(crate) enum Decision {
    Allowed,
    Denied {
        /// The gate and its rule.
        by: String,
        /// Whether the row holds what the decision was made from: not where it hung on the moment
        /// (rate, kill switch, a policy server) or on a credential, which is not kept.
        repeatable: bool,
    },
}

#[derive(Deserialize)]
struct PlanBody {
    intent: String,
    context: String,
    target_paths: Vec<String>,
}

#[derive(Deserialize)]
struct ActBody {
    action: ActionName,
    payload: Payload,
}

#[derive(Deserialize)]
struct TurnBody {
    input: String,
}

#[derive(Deserialize)]
struct ToldBody {
    telling: Option<Telling>,
}

#[derive(Deserialize)]
struct RecalledBody {
    #[serde(default)]
    recalled: Vec<u64>,
}

#[derive(Deserialize)]
struct ChatBody {
    messages: Vec<Message>,
}

#[derive(Deserialize)]
struct DeniedBody {
    kind: String,
    reason: String,
    gate: String,
    rule: Option<String>,
    request: Box<RawValue>,
    #[serde(default)]
    findings: Vec<Value>,
}

#[derive(Deserialize)]
struct OfAgent {
    agent_id: AgentId,
}

/// The request that a row records; none for rows of other kinds, an error for one that does not hold
/// what its kind promises.
pub(crate) fn read(row: &Row) -> Result<Option<Recorded>, serde_json::Error> {
    let data = row.data.get();
    let agent = || -> Result<AgentId, serde_json::Error> {
        let id = row.agent_id.as_deref().unwrap_or_default();
        AgentId::new(id).map_err(serde::de::Error::custom)
    };
    let asked = if row.kind == EventKind::Act.as_str() {
        act(agent()?, data)?
    } else if row.kind == EventKind::Turn.as_str() {
        turn(agent()?, data)?
    } else if row.kind == EventKind::Plan.as_str() {
        plan(data)?
    } else if row.kind == EventKind::Denied.as_str() {
        return denied(data).map(Some);
    } else {
        return Ok(None);
    };
    Ok(Some(Recorded { asked, decision: Decision::Allowed }))
}

/// How a turn was told; none if the rules' own sentence answered it.
pub(crate) fn telling(row: &Row) -> Result<Option<Telling>, serde_json::Error> {
    let ToldBody { telling } = serde_json::from_str(row.data.get())?;
    Ok(telling)
}

/// The facts that a recorded recall brought.
pub(crate) fn recalled(row: &Row) -> Vec<u64> {
    let recalled = serde_json::from_str::<RecalledBody>(row.data.get());
    recalled.map(|body| body.recalled).unwrap_or_default()
}

fn denied(data: &str) -> Result<Recorded, serde_json::Error> {
    let denied: DeniedBody = serde_json::from_str(data)?;
    let request = denied.request.get();
    let agent = || serde_json::from_str::<OfAgent>(request).map(|of| of.agent_id);
    let asked = match denied.kind.as_str() {
        "act" => act(agent()?, request)?,
        "turn" => turn(agent()?, request)?,
        "plan" => plan(request)?,
        _ => {
            let ChatBody { messages } = serde_json::from_str(request)?;
            Asked::Chat(Chat { messages })
        }
    };
    let of_the_moment =
        matches!(denied.reason.as_str(), "rate_limited" | "kill_switch" | "plan_limit");
    // The checks of a plan judge edits and files, which the row does not hold.
    let of_the_moment = of_the_moment || denied.gate == "plans";
    let on_a_credential = denied.findings.iter().any(|finding| finding["category"] == "secrets");
    let by = match denied.rule {
        Some(rule) => format!("{}/{rule}", denied.gate),
        None => denied.gate,
    };
    let decision = Decision::Denied { by, repeatable: !of_the_moment && !on_a_credential };
    Ok(Recorded { asked, decision })
}

fn act(agent: AgentId, data: &str) -> Result<Asked, serde_json::Error> {
    let ActBody { action, payload } = serde_json::from_str(data)?;
    Ok(Asked::Act(Act { agent, action, payload }))
}

fn turn(agent: AgentId, data: &str) -> Result<Asked, serde_json::Error> {
    let TurnBody { input } = serde_json::from_str(data)?;
    Ok(Asked::Turn(Turn { agent, input }))
}

fn plan(data: &str) -> Result<Asked, serde_json::Error> {
    let PlanBody { intent, context, target_paths: targets } = serde_json::from_str(data)?;
    Ok(Asked::Plan(Plan { intent, context, targets }))
}
