//! The kill switch: refuses everything that acts, and survives a restart.

use std::sync::Arc;

use arc_swap::ArcSwap;
use life_agent_domain::governance::event::{KillSwitchRecord, Row};
use life_agent_domain::governance::gate::KillSwitch;
use life_agent_observer::SideWrite;

use crate::clock::Timestamps;
use crate::context::RequestContext;
use crate::error::EngineError;
use crate::policy::PolicyCell;
use crate::recorder::{Recorder, raw_json};
use crate::views::KillSwitchStatus;

/// The journal's setting that stores the switch.
pub(crate) const SETTING: &str = "kill_switch";

/// The state of the switch, shared with the governor.
pub(crate) struct Switch {
    changed: ArcSwap<Change>,
    forced: bool,
}

/// The last change of the switch.
#[derive(Clone)]
struct Change {
    record: KillSwitchRecord,
    /// The caller that made it.
    by: Option<String>,
}

impl Switch {
    /// The state that the journal decides, and the caller that set it; `forced` keeps the switch on.
    pub(crate) fn new(decided: KillSwitchRecord, by: Option<String>, forced: bool) -> Self {
        Self { changed: ArcSwap::from_pointee(Change { record: decided, by }), forced }
    }

    /// Takes over what a row says.
    pub(crate) fn apply(&self, row: &Row) {
        let by = Some(row.principal.clone());
        match row.read::<KillSwitchRecord>() {
            Ok(record) => self.changed.store(Arc::new(Change { record, by })),
            Err(error) => {
                tracing::error!(row = row.id, %error, "the kill switch cannot be read; it is on");
                let reason = "its last row cannot be read".to_owned();
                let record = KillSwitchRecord { on: true, reason, since: Some(row.ts.clone()) };
                self.changed.store(Arc::new(Change { record, by }));
            }
        }
    }

    pub(crate) fn state(&self) -> KillSwitch {
        let changed = &self.changed.load().record;
        match (changed.on, self.forced) {
            (true, _) => KillSwitch::On { reason: changed.reason.clone() },
            (false, true) => KillSwitch::On { reason: "held on by KILL_SWITCH".to_owned() },
            (false, false) => KillSwitch::Off,
        }
    }
}

/// Changes the switch.
pub(crate) struct KillSwitchService {
    switch: Arc<Switch>,
    policy: Arc<PolicyCell>,
    recorder: Recorder,
    timestamps: Timestamps,
    /// Held while the switch changes.
    changing: tokio::sync::Mutex<()>,
}

impl KillSwitchService {
    pub(crate) fn new(
        switch: Arc<Switch>,
        policy: Arc<PolicyCell>,
        recorder: Recorder,
        timestamps: Timestamps,
    ) -> Self {
        Self { switch, policy, recorder, timestamps, changing: tokio::sync::Mutex::default() }
    }

    /// The current state.
    pub(crate) fn status(&self) -> KillSwitchStatus {
        let change = self.switch.changed.load();
        let (changed, forced) = (&change.record, self.switch.forced);
        let reason = match self.switch.state() {
            KillSwitch::On { reason } => reason,
            KillSwitch::Off | KillSwitch::Stopped { .. } => changed.reason.clone(),
        };
        KillSwitchStatus {
            on: changed.on || forced,
            reason,
            forced,
            since: changed.since.clone(),
            by: change.by.clone(),
        }
    }

    /// Changes the switch. Off takes effect once its row is durable, on takes effect immediately: if the
    /// journal fails, the call fails and the switch is on nevertheless.
    pub(crate) async fn set(
        &self,
        context: &RequestContext,
        on: bool,
        reason: &str,
    ) -> Result<(KillSwitchStatus, u64), EngineError> {
        if !on && self.switch.forced {
            return Err(EngineError::Conflict(
                "the kill switch is held on by `KILL_SWITCH` in the environment; \
                 start the service without it to turn it off"
                    .to_owned(),
            ));
        }
        let reason = self.policy.redact(reason);
        let changed = KillSwitchRecord { on, reason, since: Some(self.timestamps.text()) };
        let value = raw_json(&changed)?.get().to_owned();
        let _order = self.changing.lock().await;
        let by = Some(context.principal.as_str().to_owned());
        let change = Arc::new(Change { record: changed, by });
        if on {
            self.switch.changed.store(Arc::clone(&change));
        }
        // Its row sets the switch, in the order of the rows of all instances.
        let setting = SideWrite::Setting { key: SETTING.to_owned(), value };
        let side = vec![setting, SideWrite::AdvanceControl];
        let hash = &self.policy.active().snapshot.hash;
        let event_id = self.recorder.record(context, hash, None, &change.record, side).await?;
        Ok((self.status(), event_id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stands_as_it_was_left_unless_the_environment_holds_it_on() {
        let is_on = |on: bool, forced: bool| {
            let decided = KillSwitchRecord { on, ..KillSwitchRecord::default() };
            Switch::new(decided, None, forced).state() != KillSwitch::Off
        };
        assert!(!is_on(false, false));
        assert!(is_on(true, false) && is_on(false, true) && is_on(true, true));
    }
}
