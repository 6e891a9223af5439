//! The inputs of the running service, in contrast to those of a replay.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use life_agent_domain::governance::command::Command;
use life_agent_domain::governance::gate::{KillSwitch, Rate, RateLimit};
use life_agent_domain::governance::ids::Principal;

use super::inputs::{InputSource, Metered};
use super::kill_switch::Switch;
use super::limiter::Limiter;
use super::stops::Stops;
use crate::error::EngineError;

/// The service's own inputs.
pub(crate) struct Live {
    pub(crate) switch: Arc<Switch>,
    pub(crate) limiter: Arc<Limiter>,
    /// Whether the journal has reached its configured size.
    pub(crate) journal_full: Arc<AtomicBool>,
    pub(crate) stops: Arc<Stops>,
}

impl InputSource for Live {
    fn kill_switch(&self, principal: &Principal, command: Command<'_>) -> KillSwitch {
        match self.switch.state() {
            KillSwitch::Off => self.stops.of(principal, command.agent()).unwrap_or(KillSwitch::Off),
            on => on,
        }
    }
}

impl Live {
    /// Counts a request against its caller's rate limit.
    pub(super) async fn rate(
        &self,
        principal: &Principal,
        command: Command<'_>,
        metered: Metered,
    ) -> Result<Rate, EngineError> {
        match (metered, command) {
            (Metered::No, _) => Ok(Rate::Within),
            (Metered::Yes, Command::Chat(_)) => {
                self.limiter.take(RateLimit::Model, principal, None).await
            }
            (Metered::Yes, other) => {
                self.limiter.take(RateLimit::Agent, principal, other.agent()).await
            }
        }
    }
}
