//! The messages that wait when the task starts, read back from their rows.

use life_agent_domain::governance::event::{
    ApprovalDecidedRecord, ApprovalExpiredRecord, ApprovalUsedRecord, EventKind,
    PlanReviewedRecord, Row, UnreadableRow, WebhookRecord,
};
use life_agent_observer::{Filter, JournalError, Retention};

use super::message::{Message, milliseconds};
use super::outbox::Outbox;
use super::worker::Worker;

/// Days that are read: no message is worth sending for longer than an approval may stay open.
const DAYS: u32 = 8;
/// Rows read at a time.
const PAGE: usize = 500;

/// The rows that messages are about, and those after which a message is not worth sending.
pub(super) const FOLLOWED: [EventKind; 6] = [
    EventKind::ApprovalRequested,
    EventKind::ApprovalDecided,
    EventKind::ApprovalUsed,
    EventKind::ApprovalExpired,
    EventKind::PlanCreated,
    EventKind::PlanReviewed,
];

/// What a row settles: the message about it is not worth sending any more.
pub(super) enum Settled {
    /// An approval.
    Approval(u64),
    /// A plan.
    Plan(String),
}

/// The approval or the plan that a row settles.
pub(super) fn settled(row: &Row) -> Result<Option<Settled>, UnreadableRow> {
    Ok(match row.event_kind() {
        Some(EventKind::ApprovalDecided) => {
            Some(Settled::Approval(row.read::<ApprovalDecidedRecord<'_>>()?.approval_id))
        }
        Some(EventKind::ApprovalUsed) => {
            Some(Settled::Approval(row.read::<ApprovalUsedRecord>()?.approval_id))
        }
        Some(EventKind::ApprovalExpired) => {
            Some(Settled::Approval(row.read::<ApprovalExpiredRecord>()?.approval_id))
        }
        Some(EventKind::PlanReviewed) => {
            Some(Settled::Plan(row.read::<PlanReviewedRecord<'_>>()?.id.into_owned()))
        }
        _ => None,
    })
}

/// The messages that wait, and the row up to which they were read. Only rows after `since` have messages.
pub(super) async fn restored(worker: &Worker, since: u64) -> Result<(Outbox, u64), JournalError> {
    let mut outbox = Outbox::default();
    let mut after = worker.journal.prunable(Retention::Days(DAYS)).await?.max(since);
    let kinds = [EventKind::WebhookDelivered, EventKind::WebhookFailed];
    let filter = Filter::of_kinds(FOLLOWED.into_iter().chain(kinds));
    loop {
        let page = worker.journal.page(after, PAGE, filter.clone()).await?;
        for row in &page.rows {
            match row.read::<WebhookRecord<'_>>() {
                Ok(record) => {
                    let due = record.next_attempt_at.as_deref().and_then(milliseconds);
                    // Without a further attempt, the message is settled.
                    if let (Some(message), Some(due)) = (outbox.remove(record.about), due) {
                        outbox.add(Message { attempts: record.attempt, due, ..message });
                    }
                }
                Err(_) => worker.take(&mut outbox, row).await?,
            }
        }
        after = page.scanned_to.max(after);
        if page.next.is_none() {
            break;
        }
    }
    Ok((outbox, after))
}
