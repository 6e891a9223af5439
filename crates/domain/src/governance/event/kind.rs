//! The kinds of events: one table of kind, public name and meaning.

macro_rules! kinds {
    ($($variant:ident = $name:literal, $meaning:literal;)*) => {
        /// The kind of a row; also the name of its event on `/events`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum EventKind {
            $(#[doc = $meaning] $variant,)*
        }

        impl EventKind {
            /// All kinds.
            pub const ALL: &[EventKind] = &[$(EventKind::$variant,)*];

            /// The name in the journal and on the stream.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(EventKind::$variant => $name,)*
                }
            }

            /// When a row of this kind is recorded, in one line.
            pub fn meaning(self) -> &'static str {
                match self {
                    $(EventKind::$variant => $meaning,)*
                }
            }
        }
    };
}

kinds! {
    Act = "obs.act", "an act was applied to an agent";
    Turn = "obs.turn", "an agent took a turn";
    Plan = "obs.plan", "a plan passed the gates";
    PlanCreated = "plan.created", "a plan's artifact was stored";
    PlanReviewed = "plan.reviewed", "a plan was approved or rejected";
    Denied = "gate.denied", "a gate, or the caller's key, refused a request";
    PolicyReload = "policy.reload", "a policy became active";
    PolicyRejected = "policy.rejected", "a policy had faults; the previous policy stays active";
    Chat = "llm.chat", "a model call ended";
    ChatBegun = "llm.begun", "a streamed model call started";
    KillSwitchOn = "kill_switch.on", "the kill switch was turned on";
    KillSwitchOff = "kill_switch.off", "the kill switch was turned off";
    ServiceStarted = "service.started", "the service started";
    ServiceStopped = "service.stopped", "the service stopped cleanly";
    JournalPruned = "journal.pruned", "retention removes the oldest rows; names the last removed row, so that the rest still verifies";
    ImportedEvent = "imported.event", "an event was imported from a Version_7 database";
    ImportedAction = "imported.action", "an observed action was imported from a Version_7 database";
    ImportedProposal = "imported.proposal", "a plan was imported from a Version_7 database";
    ImportedUsage = "imported.llm_usage", "the token usage of a model call was imported from a Version_7 database";
    ImportedDatabase = "imported.database", "an import ended; states the source and the number of rows";
    ToolRequested = "tool.requested", "a tool call was decided";
    ToolFinished = "tool.finished", "the result of a tool call arrived";
    ApprovalRequested = "approval.requested", "a request needs the approval of a person";
    ApprovalDecided = "approval.decided", "a person approved or denied a request";
    ApprovalUsed = "approval.used", "an approved request passed";
    ApprovalExpired = "approval.expired", "an approval was not decided, or not used, in time";
    AuthFailed = "auth.failed", "requests came without a known key; at most one row per minute and peer";
    BudgetReserved = "budget.reserved", "a model call reserved the most that it can use of its budgets";
    BudgetSettled = "budget.settled", "the real usage of a model call replaced its reservation";
    StopOn = "stop.on", "an agent or a principal was stopped";
    StopOff = "stop.off", "a stop was released";
    WebhookDelivered = "webhook.delivered", "the webhook accepted a message";
    WebhookFailed = "webhook.failed", "the webhook did not accept a message";
}

impl EventKind {
    /// Whether rows of this kind change the state of their agent.
    pub fn is_step(self) -> bool {
        matches!(self, EventKind::Act | EventKind::Turn)
    }

    /// The kind of this name; `None` for kinds of a newer release.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == name)
    }
}
