//! Whether an effect is still permitted at the moment when it is recorded.
//!
//! Several instances share a journal, so that another one may turn on the kill switch, stop the agent or replace the
//! policy between a permit and its row. The guard of the row runs while the end of the journal is locked and after the
//! rows of all others were applied: what it finds is what holds at that row.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use life_agent_domain::governance::gate::KillSwitch;
use life_agent_domain::governance::ids::{AgentId, Principal};
use life_agent_observer::{Guard, WriteBatch};

use super::{Stops, Switch};
use crate::context::EffectJudge;
use crate::error::EngineError;
use crate::policy::PolicyCell;

/// The longest wait for the policy of another instance.
const POLICY: Duration = Duration::from_secs(5);

/// Judges effects when they are recorded.
#[derive(Clone)]
pub(crate) struct Judge {
    switch: Arc<Switch>,
    stops: Arc<Stops>,
    policy: Arc<PolicyCell>,
}

impl fmt::Debug for Judge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Judge")
    }
}

impl Judge {
    /// The judge of the effects of this instance.
    pub(crate) fn new(
        switch: &Arc<Switch>,
        stops: &Arc<Stops>,
        policy: &Arc<PolicyCell>,
    ) -> Arc<Self> {
        let (switch, stops, policy) = (Arc::clone(switch), Arc::clone(stops), Arc::clone(policy));
        Arc::new(Self { switch, stops, policy })
    }

    /// Whether neither the kill switch nor a stop forbids an act.
    pub(super) fn permits(&self, principal: &Principal, agent: Option<&AgentId>) -> bool {
        self.switch.state() == KillSwitch::Off && self.stops.of(principal, agent).is_none()
    }

    /// Waits until the policy that another instance has activated is active here, too.
    pub(crate) async fn settled(&self) -> Result<(), EngineError> {
        let settled = tokio::time::timeout(POLICY, self.policy.settled()).await;
        settled.map_err(|_| EngineError::Outdated)
    }
}

impl EffectJudge for Judge {
    fn guard(&self, principal: &Principal, batch: &WriteBatch, policy: Option<&str>) -> Guard {
        let (judge, principal) = (self.clone(), principal.clone());
        let agent = batch.entries.iter().find_map(|entry| entry.agent.clone());
        let policy = policy.map(str::to_owned);
        Guard::new(move || {
            judge.permits(&principal, agent.as_ref())
                && policy.is_none_or(|policy| judge.policy.is_settled_at(&policy))
        })
    }
}
