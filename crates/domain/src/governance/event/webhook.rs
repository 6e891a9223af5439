//! `webhook.delivered` and `webhook.failed`: attempts to send a message to the webhook of the policy.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::kind::EventKind;
use super::row::Record;

/// The payload of both kinds. A message was delivered if there is no `error`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookRecord<'a> {
    /// The row that the message is about.
    pub about: u64,
    /// The message's id, the same in every attempt.
    pub webhook_id: Cow<'a, str>,
    /// The origin of the webhook. Its path may be a credential.
    pub to: Cow<'a, str>,
    /// The number of the attempt; 0 if none was made.
    pub attempt: u32,
    /// The status of the response.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The label of the failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Cow<'a, str>>,
    /// The time of the next attempt: RFC 3339, UTC; absent if no attempt follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt_at: Option<Cow<'a, str>>,
}

impl Record for WebhookRecord<'_> {
    const KINDS: &'static [EventKind] = &[EventKind::WebhookDelivered, EventKind::WebhookFailed];

    fn kind(&self) -> EventKind {
        match self.error {
            None => EventKind::WebhookDelivered,
            Some(_) => EventKind::WebhookFailed,
        }
    }

    fn is_effect(&self) -> bool {
        false
    }
}
