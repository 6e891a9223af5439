//! The task that sends the messages.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use life_agent_domain::governance::event::{EventKind, Row, UnreadableRow, WebhookRecord};
use life_agent_observer::{Filter, Journal, JournalError, SideWrite};
use life_agent_policy::document::webhook_origin;
use metrics::counter;
use parking_lot::Mutex;
use reqwest::Client;
use tokio_util::sync::CancellationToken;

use super::message::Message;
use super::outbox::{Outbox, next_attempt};
use super::restore::{FOLLOWED, Settled, restored, settled};
use super::signature::WebhookSecrets;
use super::transport::{Attempt, attempt};
use crate::clock::Timestamps;
use crate::context::RequestContext;
use crate::policy::PolicyCell;
use crate::recorder::Recorder;
use crate::trace::{Span, SpanKind, Trace, Tracer};

/// The journal's setting with the row after which the webhook receives messages: 0 for none, as long as no
/// webhook is configured.
const SINCE: &str = "webhook_since";
/// Attempts in progress.
const AT_ONCE: usize = 4;
/// Rows read at a time.
const BATCH: usize = 64;
/// The wait after the journal could not be read or written.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest wait for the next attempt, in case the clock is set.
const LONGEST: Duration = Duration::from_secs(60);

/// Everything that sending needs.
pub(super) struct Worker {
    pub(super) secrets: WebhookSecrets,
    pub(super) journal: Journal,
    pub(super) recorder: Recorder,
    pub(super) policy: Arc<PolicyCell>,
    pub(super) timestamps: Timestamps,
    /// The service's address for people, without a slash at the end.
    pub(super) public_url: String,
    pub(super) client: Client,
    pub(super) tracer: Option<Arc<dyn Tracer>>,
    /// The webhook that responded with 410. It receives nothing more until the next start.
    pub(super) gone: Mutex<Option<String>>,
}

impl Worker {
    /// Sends messages until `stop`.
    pub(super) async fn run(self: Arc<Self>, stop: CancellationToken) {
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = self.send_all() => {}
        }
    }

    /// Sends messages while this instance leads. The next one that leads continues from the rows.
    async fn send_all(&self) {
        let Some(sharing) = self.journal.sharing() else { return self.send_while_open().await };
        loop {
            let (mut leads, mut ends) = (sharing.leads.clone(), sharing.leads.clone());
            if leads.wait_for(|leads| *leads).await.is_err() {
                return;
            }
            tokio::select! {
                biased;
                _ = ends.wait_for(|leads| !leads) => {}
                () = self.send_while_open() => return,
            }
        }
    }

    async fn send_while_open(&self) {
        let (mut outbox, position) = loop {
            match self.open().await {
                Ok(opened) => break opened,
                Err(JournalError::Closed) => return,
                Err(error) => {
                    tracing::warn!(%error, "the waiting messages to the webhook cannot be read");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        };
        let mut follower = self.journal.follow(Some(position), Filter::of_kinds(FOLLOWED));
        let mut sending = FuturesUnordered::new();
        loop {
            while sending.len() < AT_ONCE
                && let Some(message) = outbox.take_due(self.now())
            {
                sending.push(async { (message.about, self.send(message).await) });
            }
            tokio::select! {
                biased;
                Some((about, left)) = sending.next() => match left {
                    Some(message) => outbox.put_back(message),
                    None => outbox.finish(about),
                },
                rows = follower.next_batch(BATCH) => match rows {
                    Ok(rows) => {
                        for row in rows {
                            if let Err(error) = self.take(&mut outbox, &row).await {
                                tracing::warn!(row = row.id, %error, "no message to the webhook");
                            }
                        }
                    }
                    Err(JournalError::Closed) => return,
                    Err(error) => {
                        tracing::warn!(%error, "the webhook does not see new rows");
                        tokio::time::sleep(PAUSE).await;
                    }
                },
                () = tokio::time::sleep(self.until_due(&outbox)), if sending.len() < AT_ONCE => {}
            }
        }
    }

    /// The messages that wait, and the row up to which they were read.
    async fn open(&self) -> Result<(Outbox, u64), JournalError> {
        let stored = self.journal.setting(SINCE).await?;
        let stored = stored.and_then(|since| since.parse().ok()).filter(|since| *since > 0);
        let head = self.journal.head().id;
        let since = match (self.url(), stored) {
            (Some(_), Some(since)) => since,
            // Messages begin when the webhook does; a new webhook does not receive old rows.
            (Some(_), None) => {
                self.store_since(head).await;
                head
            }
            (None, _) => {
                self.store_since(0).await;
                head
            }
        };
        restored(self, since).await
    }

    /// Takes up a row: the message about it waits, or another message is not worth sending any more.
    pub(super) async fn take(&self, outbox: &mut Outbox, row: &Row) -> Result<(), JournalError> {
        let damaged = |error: UnreadableRow| JournalError::damaged(error.to_string());
        match settled(row).map_err(damaged)? {
            Some(Settled::Approval(id)) => drop(outbox.remove(id)),
            Some(Settled::Plan(id)) => outbox.remove_plan(&id),
            None => {}
        }
        if self.url().is_none() {
            self.store_since(row.id).await;
            return Ok(());
        }
        let intent = match row.event_kind() {
            Some(EventKind::PlanCreated) => self.intent(row).await?,
            _ => None,
        };
        let policy = self.policy.active();
        let redactor = policy.chain.redactor();
        let about = Message::about(row, &self.public_url, intent.as_deref(), redactor);
        if let Some(message) = about.map_err(damaged)?
            && message.until > self.now()
        {
            self.keep(outbox, message).await;
        }
        Ok(())
    }

    /// The intent of the plan that a row created.
    async fn intent(&self, row: &Row) -> Result<Option<String>, JournalError> {
        #[derive(serde::Deserialize)]
        struct Id {
            id: String,
        }
        let Ok(Id { id }) = serde_json::from_str(row.data.get()) else { return Ok(None) };
        Ok(self.journal.proposal(&id).await?.map(|found| found.proposal.intent))
    }

    async fn keep(&self, outbox: &mut Outbox, message: Message) {
        if let Some(message) = outbox.add(message) {
            self.record(&message, &Attempt::failed("queue_full"), None).await;
        }
    }

    /// Makes an attempt and records it. Returns the message if another attempt follows.
    async fn send(&self, mut message: Message) -> Option<Message> {
        let Some(url) = self.url() else {
            self.record(&message, &Attempt::failed("no_webhook"), None).await;
            return None;
        };
        if message.until <= self.now() {
            self.record(&message, &Attempt::failed("expired"), None).await;
            return None;
        }
        if self.gone.lock().as_ref() == Some(&url) {
            self.record(&message, &Attempt::failed("gone"), None).await;
            return None;
        }
        message.attempts += 1;
        let seconds = self.timestamps.now().as_second();
        let mut span = self.span(&message);
        let made =
            attempt(self.client.clone(), url.clone(), &self.secrets, &message, seconds, &mut span)
                .await;
        drop(span);
        let next = match &made {
            Attempt::Delivered { .. } => None,
            Attempt::Failed { error: "gone", .. } => {
                *self.gone.lock() = Some(url);
                tracing::warn!(
                    "the webhook is gone (410); it receives nothing until the next start"
                );
                None
            }
            Attempt::Failed { asked, .. } => next_attempt(&message, self.now(), *asked, jitter()),
        };
        self.record(&message, &made, next).await;
        message.due = next?;
        Some(message)
    }

    /// Begins an attempt as part of the trace of the request that the message is about.
    fn span(&self, message: &Message) -> Span {
        let Some((tracer, id)) = self.tracer.clone().zip(message.trace) else {
            return Span::default();
        };
        let trace = Trace::begin(tracer, id);
        let mut span = Span::begin(&trace, SpanKind::Client, "POST");
        span.set("http.request.method", "POST");
        span.set("peer.service", "webhook");
        span.set("life_agent.event_id", message.about);
        span
    }

    /// Records an attempt. An attempt whose row cannot be written is repeated after the next start.
    async fn record(&self, message: &Message, made: &Attempt, next: Option<u64>) {
        let policy = self.policy.active();
        let (status, error) = match made {
            Attempt::Delivered { status } => (Some(*status), None),
            Attempt::Failed { error, status, .. } => (*status, Some((*error).into())),
        };
        let outcome = match (&error, next) {
            (None, _) => "delivered",
            (Some(_), Some(_)) => "retried",
            (Some(_), None) => "failed",
        };
        counter!("webhook_attempts_total", "outcome" => outcome).increment(1);
        let webhook = policy.snapshot.policy.approvals.webhook.as_deref().unwrap_or_default();
        let to = webhook_origin(webhook);
        let record = WebhookRecord {
            about: message.about,
            webhook_id: message.id.as_str().into(),
            to: to.into(),
            attempt: message.attempts,
            status,
            error,
            next_attempt_at: next.map(|at| time(at).into()),
        };
        let (context, hash) = (RequestContext::system(), &policy.snapshot.hash);
        if let Err(error) = self.recorder.record(&context, hash, None, &record, Vec::new()).await {
            tracing::warn!(about = message.about, %error, "an attempt could not be recorded");
        }
    }

    async fn store_since(&self, row: u64) {
        let setting = SideWrite::Setting { key: SINCE.to_owned(), value: row.to_string() };
        if let Err(error) = self.recorder.write(setting).await {
            tracing::warn!(%error, "the start of the webhook could not be stored");
        }
    }

    fn url(&self) -> Option<String> {
        self.policy.active().snapshot.policy.approvals.webhook.clone()
    }

    /// The time in milliseconds since 1970.
    fn now(&self) -> u64 {
        self.timestamps.now().as_millisecond().try_into().unwrap_or_default()
    }

    fn until_due(&self, outbox: &Outbox) -> Duration {
        let due =
            outbox.next_due().map(|due| Duration::from_millis(due.saturating_sub(self.now())));
        due.map_or(LONGEST, |due| due.min(LONGEST))
    }
}

/// A time in milliseconds since 1970 as rows have it: RFC 3339, UTC, microseconds.
fn time(ms: u64) -> String {
    let time = i64::try_from(ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    format!("{:.6}", time.unwrap_or(jiff::Timestamp::MAX))
}

/// A number from 0 to 1.
fn jitter() -> f64 {
    let (high, _) = uuid::Uuid::new_v4().as_u64_pair();
    (high >> 32) as f64 / f64::from(u32::MAX)
}
