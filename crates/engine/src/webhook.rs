//! The webhook of the policy: receives each new request for an approval and each new plan.
//!
//! The journal is the queue. A task follows it, sends a message about each row and records each attempt.
//! After a restart, it continues with the messages whose last row says that an attempt is due, and with rows
//! that no attempt is recorded for.

mod message;
mod outbox;
mod restore;
mod signature;
mod transport;
mod worker;

use std::sync::Arc;

use life_agent_observer::Journal;
use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use signature::WebhookSecrets;
use worker::Worker;

use crate::clock::Timestamps;
use crate::policy::PolicyCell;
use crate::recorder::Recorder;
use crate::trace::Tracer;

/// The running task; none without a secret. A policy with a webhook is not accepted then, because nothing is sent unsigned.
pub(crate) struct Webhook {
    stop: CancellationToken,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Webhook {
    /// Starts the task if there is a secret.
    pub(crate) fn start(
        secrets: Option<WebhookSecrets>,
        journal: Journal,
        recorder: Recorder,
        policy: Arc<PolicyCell>,
        timestamps: Timestamps,
        public_url: Option<&str>,
        tracer: Option<Arc<dyn Tracer>>,
    ) -> Self {
        let stop = CancellationToken::new();
        let public_url = public_url.unwrap_or_default().trim_end_matches('/').to_owned();
        let task = secrets.and_then(|secrets| {
            let client = transport::client();
            let client = client.inspect_err(|error| tracing::error!(%error, "no webhook client"));
            let worker = Worker {
                secrets,
                journal,
                recorder,
                policy,
                timestamps,
                public_url,
                client: client.ok()?,
                tracer,
                gone: Mutex::default(),
            };
            Some(tokio::spawn(Arc::new(worker).run(stop.clone())))
        });
        Self { stop, task: Mutex::new(task) }
    }

    /// Ends the attempts in progress and the task. Their messages are sent after the next start.
    pub(crate) async fn close(&self) {
        self.stop.cancel();
        let task = self.task.lock().take();
        if let Some(task) = task
            && let Err(error) = task.await
        {
            tracing::error!(%error, "the webhook's task ended unexpectedly");
        }
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
