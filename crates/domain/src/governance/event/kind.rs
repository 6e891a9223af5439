//! The kinds of events.

/// The kind of a row; also the name of its event on `/events`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// An act was applied.
    Act,
    /// A turn was taken.
    Turn,
    /// A plan passed the gates.
    Plan,
    /// A plan's artifact exists.
    PlanCreated,
    /// A plan was approved or rejected.
    PlanReviewed,
    /// A gate refused a request.
    Denied,
    /// A policy came into force.
    PolicyReload,
    /// A policy was refused; the one before stays.
    PolicyRejected,
    /// The model answered a conversation.
    Chat,
    /// A streamed call of the model began.
    ChatBegun,
    /// The kill switch went on.
    KillSwitchOn,
    /// The kill switch went off.
    KillSwitchOff,
    /// The service began to serve.
    ServiceStarted,
    /// The service stopped cleanly.
    ServiceStopped,
    /// Retention removed the oldest rows. Names the last removed row, so that the rest still verifies.
    JournalPruned,
    /// An event of the predecessor's database.
    ImportedEvent,
    /// An observed action of the predecessor's database.
    ImportedAction,
    /// A plan of the predecessor's database.
    ImportedProposal,
    /// The token usage of a model call in the predecessor's database.
    ImportedUsage,
    /// The end of an import: states the source and the number of rows.
    ImportedDatabase,
    /// An agent asked for a tool call, which was allowed or refused.
    ToolRequested,
    /// A tool call returned.
    ToolFinished,
    /// A request needs the approval of a person.
    ApprovalRequested,
    /// A person approved or denied a request.
    ApprovalDecided,
    /// An approved request passed.
    ApprovalUsed,
    /// An approval was not decided, or not used, in time.
    ApprovalExpired,
    /// Requests came without a known key.
    AuthFailed,
    /// A model call holds its largest cost of budgets.
    BudgetReserved,
    /// The real cost replaced what a call held.
    BudgetSettled,
    /// An agent or a principal was stopped.
    StopOn,
    /// A stop was released.
    StopOff,
    /// The webhook accepted a message.
    WebhookDelivered,
    /// The webhook did not accept a message.
    WebhookFailed,
}

impl EventKind {
    /// All kinds.
    pub const ALL: [EventKind; 33] = [
        EventKind::Act,
        EventKind::Turn,
        EventKind::Plan,
        EventKind::PlanCreated,
        EventKind::PlanReviewed,
        EventKind::Denied,
        EventKind::PolicyReload,
        EventKind::PolicyRejected,
        EventKind::Chat,
        EventKind::ChatBegun,
        EventKind::KillSwitchOn,
        EventKind::KillSwitchOff,
        EventKind::ServiceStarted,
        EventKind::ServiceStopped,
        EventKind::JournalPruned,
        EventKind::ImportedEvent,
        EventKind::ImportedAction,
        EventKind::ImportedProposal,
        EventKind::ImportedUsage,
        EventKind::ImportedDatabase,
        EventKind::ToolRequested,
        EventKind::ToolFinished,
        EventKind::ApprovalRequested,
        EventKind::ApprovalDecided,
        EventKind::ApprovalUsed,
        EventKind::ApprovalExpired,
        EventKind::AuthFailed,
        EventKind::BudgetReserved,
        EventKind::BudgetSettled,
        EventKind::StopOn,
        EventKind::StopOff,
        EventKind::WebhookDelivered,
        EventKind::WebhookFailed,
    ];

    /// The name in the journal and on the stream.
    pub fn as_str(self) -> &'static str {
        match self {
            EventKind::Act => "obs.act",
            EventKind::Turn => "obs.turn",
            EventKind::Plan => "obs.plan",
            EventKind::PlanCreated => "plan.created",
            EventKind::PlanReviewed => "plan.reviewed",
            EventKind::Denied => "gate.denied",
            EventKind::PolicyReload => "policy.reload",
            EventKind::PolicyRejected => "policy.rejected",
            EventKind::Chat => "llm.chat",
            EventKind::ChatBegun => "llm.begun",
            EventKind::KillSwitchOn => "kill_switch.on",
            EventKind::KillSwitchOff => "kill_switch.off",
            EventKind::ServiceStarted => "service.started",
            EventKind::ServiceStopped => "service.stopped",
            EventKind::JournalPruned => "journal.pruned",
            EventKind::ImportedEvent => "imported.event",
            EventKind::ImportedAction => "imported.action",
            EventKind::ImportedProposal => "imported.proposal",
            EventKind::ImportedUsage => "imported.llm_usage",
            EventKind::ImportedDatabase => "imported.database",
            EventKind::ToolRequested => "tool.requested",
            EventKind::ToolFinished => "tool.finished",
            EventKind::ApprovalRequested => "approval.requested",
            EventKind::ApprovalDecided => "approval.decided",
            EventKind::ApprovalUsed => "approval.used",
            EventKind::ApprovalExpired => "approval.expired",
            EventKind::AuthFailed => "auth.failed",
            EventKind::BudgetReserved => "budget.reserved",
            EventKind::BudgetSettled => "budget.settled",
            EventKind::StopOn => "stop.on",
            EventKind::StopOff => "stop.off",
            EventKind::WebhookDelivered => "webhook.delivered",
            EventKind::WebhookFailed => "webhook.failed",
        }
    }

    /// Whether rows of this kind change the state of their agent.
    pub fn is_step(self) -> bool {
        matches!(self, EventKind::Act | EventKind::Turn)
    }

    /// The kind of this name; `None` for kinds of a newer release.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}
