//! Reads approvals back from their rows.

use std::sync::Arc;

use jiff::Timestamp;
use life_agent_domain::governance::approval::{Approval, RequestDigest, Status};
use life_agent_domain::governance::event::{
    ApprovalDecidedRecord, ApprovalExpiredRecord, ApprovalRequestedRecord, ApprovalUsedRecord,
    EventKind, Row, UnreadableRow,
};
use life_agent_domain::governance::ids::AgentId;
use life_agent_observer::{Filter, Journal, JournalError, Retention};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::desk::{Desk, Shown};
use super::unknown;
use super::views::ApprovalDecided;
use crate::error::EngineError;

/// Days that are read: no approval stays open for longer than seven.
const DAYS: u32 = 8;
/// Rows read at a time.
const PAGE: usize = 500;

/// Applies the rows of approvals to the desk as they become durable, also those of other instances.
pub(crate) struct DeskFollower {
    desk: Arc<Mutex<Desk>>,
    changed: Arc<watch::Sender<()>>,
    /// The last row that the desk was read from.
    upto: u64,
}

impl DeskFollower {
    pub(super) fn new(desk: Arc<Mutex<Desk>>, changed: Arc<watch::Sender<()>>, upto: u64) -> Self {
        Self { desk, changed, upto }
    }

    /// Applies a row.
    pub(crate) fn apply(&self, row: &Row) {
        if row.id <= self.upto {
            return;
        }
        if let Err(error) = apply(&mut self.desk.lock(), row) {
            tracing::error!(row = row.id, %error, "a row of an approval cannot be read");
        }
        self.changed.send_replace(());
    }
}

/// The approvals as the last days of the journal have them. A row that cannot be read changes nothing, so
/// that an approval never gets further than its readable rows say. Also returns the last row that was read.
pub(super) async fn desk(journal: &Journal) -> Result<(Desk, u64), JournalError> {
    let mut desk = Desk::default();
    let mut after = journal.prunable(Retention::Days(DAYS)).await?;
    let filter = Filter::new(Some("approval.*"), None)
        .map_err(|error| JournalError::Invalid(error.to_string().into()))?;
    loop {
        let page = journal.page(after, PAGE, filter.clone()).await?;
        for row in &page.rows {
            if let Err(error) = apply(&mut desk, row) {
                tracing::error!(row = row.id, %error, "a row of an approval cannot be read");
            }
        }
        match page.next {
            Some(next) => after = next,
            None => return Ok((desk, page.scanned_to.max(after))),
        }
    }
}

fn apply(desk: &mut Desk, row: &Row) -> Result<(), UnreadableRow> {
    match row.event_kind() {
        Some(EventKind::ApprovalRequested) => {
            let record: ApprovalRequestedRecord<'_> = row.read()?;
            if let Some((approval, shown)) = read(row, record) {
                desk.add(approval, shown);
            }
        }
        Some(EventKind::ApprovalDecided) => {
            let record: ApprovalDecidedRecord<'_> = row.read()?;
            let decided = ApprovalDecided {
                decision: record.decision,
                principal: row.principal.clone(),
                person: record.person.map(Into::into),
                note: record.note.into_owned(),
                at: row.ts.clone(),
            };
            // A second decision would have been recorded after a failure; the first counts.
            if desk.shown(record.approval_id).is_some_and(|shown| shown.decided.is_none()) {
                desk.decided(record.approval_id, decided);
            }
        }
        Some(EventKind::ApprovalUsed) => {
            desk.close(row.read::<ApprovalUsedRecord>()?.approval_id, Status::Used);
        }
        Some(EventKind::ApprovalExpired) => {
            desk.close(row.read::<ApprovalExpiredRecord>()?.approval_id, Status::Expired);
        }
        _ => {}
    }
    Ok(())
}

fn read(row: &Row, record: ApprovalRequestedRecord<'_>) -> Option<(Approval, Shown)> {
    let expires: Timestamp = record.expires_at.parse().ok()?;
    let expires = u64::try_from(expires.as_millisecond()).ok()?;
    let person: Option<String> = record.person.map(Into::into);
    let approval = Approval {
        id: row.id,
        principal: row.principal.clone(),
        person: person.clone(),
        key: record.key.map(Into::into),
        digest: RequestDigest::recorded(&record.digest),
        expires,
        status: Status::Pending,
    };
    let shown = Shown {
        principal: row.principal.clone(),
        person,
        agent: row.agent_id.as_deref().and_then(|id| AgentId::new(id).ok()),
        kind: record.kind,
        summary: record.summary.into_owned(),
        created: row.ts.clone(),
        expires,
        status: Status::Pending,
        decided: None,
    };
    Some((approval, shown))
}

/// The row of a request for an approval.
pub(super) async fn requested(journal: &Journal, id: u64) -> Result<Row, EngineError> {
    let row = journal.row(id).await?.filter(|row| row.is(EventKind::ApprovalRequested));
    row.ok_or_else(|| unknown(id))
}
