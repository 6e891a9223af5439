//! The kill switch: one flag that refuses everything that acts, and survives a restart.

use std::sync::Arc;

use arc_swap::ArcSwap;
use life_agent_domain::governance::event::EventKind;
use life_agent_domain::governance::gate::KillSwitch;
use life_agent_observer::{SideWrite, WriteBatch};
use serde::{Deserialize, Serialize};

use crate::answers::KillSwitchStatus;
use crate::engine::{Caller, Engine, now, row_data};
use crate::error::EngineError;

/// The journal's setting that keeps it.
pub(crate) const SETTING: &str = "kill_switch";

/// As the journal keeps it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Turned {
    on: bool,
    reason: String,
    since: Option<String>,
}

pub(crate) struct Switch {
    turned: ArcSwap<Turned>,
    forced: bool,
}

impl Switch {
    /// As it was left (`kept`, the text of the journal's setting), or held on by the environment. A
    /// setting that cannot be read counts as on.
    pub(crate) fn new(kept: Option<&str>, forced: bool) -> Self {
        let unreadable = |_| Turned {
            on: true,
            reason: "the stored kill switch could not be read".to_owned(),
            since: None,
        };
        let turned = kept
            .map(|text| serde_json::from_str(text).unwrap_or_else(unreadable))
            .unwrap_or_default();
        Self { turned: ArcSwap::from_pointee(turned), forced }
    }

    pub(crate) fn fact(&self) -> KillSwitch {
        let turned = self.turned.load();
        match (turned.on, self.forced) {
            (true, _) => KillSwitch::On { reason: turned.reason.clone() },
            (false, true) => KillSwitch::On { reason: "held on by KILL_SWITCH".to_owned() },
            (false, false) => KillSwitch::Off,
        }
    }
}

impl Engine {
    /// The switch as it stands.
    pub fn kill_switch(&self) -> KillSwitchStatus {
        let turned = self.kill_switch.turned.load();
        let forced = self.kill_switch.forced;
        let reason = match self.kill_switch.fact() {
            KillSwitch::On { reason } => reason,
            KillSwitch::Off => turned.reason.clone(),
        };
        KillSwitchStatus { on: turned.on || forced, reason, forced, since: turned.since.clone() }
    }

    /// Turns the switch. Off takes effect once it is on the record, on at once: when the journal
    /// fails, the answer is an error and the switch is on all the same.
    pub async fn set_kill_switch(
        &self,
        caller: &Caller,
        on: bool,
        reason: &str,
    ) -> Result<(KillSwitchStatus, u64), EngineError> {
        if !on && self.kill_switch.forced {
            return Err(EngineError::Conflict(
                "the kill switch is held on by `KILL_SWITCH` in the environment; \
                 start the service without it to turn it off"
                    .to_owned(),
            ));
        }
        let reason = self.policy.in_force().chain.redactor().redact(reason).into_owned();
        let turned = Turned { on, reason, since: Some(now()) };
        let kept = row_data(&turned)?;
        let _order = self.turning.lock().await;
        if on {
            self.kill_switch.turned.store(Arc::new(turned.clone()));
        }
        let kind = if on { EventKind::KillSwitchOn } else { EventKind::KillSwitchOff };
        let setting = SideWrite::Setting { key: SETTING.to_owned(), value: kept.get().to_owned() };
        let side_writes = caller.marked(vec![setting, SideWrite::AdvanceControl]);
        let entry = self.entry(caller, kind, None, kept);
        let work = WriteBatch { side_writes, ..WriteBatch::of(entry) };
        let event_id = self.journal.append(work)?.await?.id;
        self.kill_switch.turned.store(Arc::new(turned));
        Ok((self.kill_switch(), event_id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_on(kept: Option<&str>, forced: bool) -> bool {
        Switch::new(kept, forced).fact() != KillSwitch::Off
    }

    #[test]
    fn it_stands_as_it_was_left_unless_the_environment_holds_it_on() {
        let (on, off) = (r#"{"on":true,"reason":"r"}"#, r#"{"on":false,"reason":""}"#);
        assert!(!is_on(None, false) && !is_on(Some(off), false));
        assert!(is_on(Some(on), false) && is_on(Some(off), true) && is_on(None, true));
    }

    #[test]
    fn a_setting_that_cannot_be_read_counts_as_on() {
        assert!(is_on(Some("{"), false) && is_on(Some("{}"), false));
    }
}
