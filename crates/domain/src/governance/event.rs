//! The events of the journal: one payload type per kind, which writes its rows and reads them back.
//!
//! A row's `data` is a payload ([`Record`]) with the fields of the [`Envelope`] that every row shares.
//! Fields are only ever added, so a reader ignores fields that it does not know, and every field that a
//! release added has a default. A change that older readers must not ignore raises [`VERSION`].
//!
//! The payloads of steps are generic over the step, which belongs to [`crate::agent`]; see
//! [`crate::agent::record`].

mod approval;
mod auth;
mod budget;
mod chat;
mod content;
mod denied;
mod kill_switch;
mod kind;
mod narration;
mod omitted;
mod outcome;
mod plan;
mod policy;
mod row;
mod service;
mod step;
mod stop;
mod tool;
mod webhook;

pub use approval::{
    ApprovalDecidedRecord, ApprovalDecision, ApprovalExpiredRecord, ApprovalRequestedRecord,
    ApprovalUsedRecord,
};
pub use auth::AuthFailedRecord;
pub use budget::{BudgetReservedRecord, BudgetSettledRecord};
pub use chat::{
    CallOutcome, ChatBegunRecord, ChatRecord, Fallback, ForwardedCall, JudgedMessages, MAX_CHAT,
    SentRequest, TextDigest, TokenUsage,
};
pub use content::{RowContent, words};
pub use denied::{AccessDeniedRecord, DeniedRecord};
pub use kill_switch::KillSwitchRecord;
pub use kind::EventKind;
pub use narration::{
    ModelReply, NarrationRecord, RecordedToolStep, Source, ToolDecision, ToolStep, Withheld,
};
pub use omitted::{OMITTED, lacks_parts, without_large_parts};
pub use outcome::{Outcome, OutcomeFacts};
pub use plan::{
    DraftedBy, ModelTurn, PlanCreatedRecord, PlanRecord, PlanReviewedRecord, Review,
    ReviewDecision, Stats,
};
pub use policy::{PolicyRejectedRecord, PolicyReloadRecord, Trigger};
pub use row::{Entry, Envelope, Record, Row, Timing, UnreadableRow, VERSION};
pub use service::{ServiceStartedRecord, ServiceStoppedRecord};
pub use step::{ActRecord, Actor, StateMark, TurnRecord};
pub use stop::StopRecord;
pub use tool::{CallDecision, RefusedCall, ToolFinishedRecord, ToolRequestedRecord};
pub use webhook::WebhookRecord;

#[cfg(test)]
mod tests;
