//! The inputs of the running service, in contrast to those of a replay.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use life_agent_domain::governance::command::Command;
use life_agent_domain::governance::gate::{KillSwitch, Rate};
use life_agent_domain::governance::ids::Principal;

use super::inputs::InputSource;
use super::kill_switch::Switch;
use super::limiter::Limiter;
use super::stops::Stops;

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

    fn rate(&self, principal: &Principal, command: Command<'_>) -> Rate {
        match command {
            Command::Chat(_) => self.limiter.take_model(principal),
            other => self.limiter.take(principal, other.agent()),
        }
    }
}
