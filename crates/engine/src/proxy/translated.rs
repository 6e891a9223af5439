//! Calls whose provider speaks the other API: the request that is sent, and the response as the
//! client's API has it.
//!
//! The gates judge the request as it came, and the translation holds the same texts. A response is
//! translated before it is judged, so the gates judge what the client receives.

use std::borrow::Cow;

use bytes::Bytes;
use jiff::Timestamp;
use life_agent_domain::governance::event::SentRequest;
use life_agent_domain::governance::redaction::Redact;
use life_agent_groq::raw_json::{Role, rewrite};
use life_agent_groq::translate::{self, Api, StreamTranslator, Untranslatable};
use life_agent_groq::{ChatError, ForwardError, Frame, Frames, Rejection, Usage, redacted_text};
use serde_json::Value;

use super::endpoint::Endpoint;
use super::providers::Upstream;
use super::request::Prepared;
use super::texts::is_media_text;
use super::types::ProxyError;

/// A request as it is sent.
pub(super) struct Outgoing {
    pub(super) path: &'static str,
    pub(super) bytes: Bytes,
    /// The API of the client, if the request is translated.
    pub(super) from: Option<Api>,
    /// What the row says about a translated request.
    pub(super) sent: Option<SentRequest>,
}

/// The request as its provider receives it.
pub(super) fn outgoing(
    endpoint: Endpoint,
    upstream: &Upstream,
    prepared: &mut Prepared,
    redactor: &dyn Redact,
) -> Result<Outgoing, ProxyError> {
    let from = match upstream.serves(endpoint) {
        Serves::AsItIs => {
            let (path, bytes) = (endpoint.path(), prepared.bytes.clone());
            return Ok(Outgoing { path, bytes, from: None, sent: None });
        }
        Serves::Translated(from) => from,
        Serves::Not => return Err(not_served(&upstream.name)),
    };
    let text = String::from_utf8_lossy(&prepared.bytes);
    let translation =
        translate::request(from, &text, &upstream.drop).map_err(|error| refused(&error))?;
    prepared.changed.push("translated");
    prepared.changed.extend(translation.notes);
    let parsed = serde_json::from_str(&translation.body).unwrap_or_default();
    // A text may stand next to another one than before.
    let redacted = rewrite(&translation.body, &mut |path, role, text| {
        let media = role == Role::Value && is_media_text(&parsed, path, text);
        if media { None } else { redacted_text(text, redactor) }
    });
    let body = match redacted {
        Ok(Cow::Borrowed(_)) => translation.body,
        Ok(Cow::Owned(redacted)) => {
            prepared.changed.push("credentials");
            redacted
        }
        Err(error) => return Err(ProxyError::Malformed(error.to_string())),
    };
    let path = endpoint_of(from.other()).path();
    let blake3 = blake3::hash(body.as_bytes()).to_hex().to_string();
    let sent = Some(SentRequest { path: path.to_owned(), blake3 });
    Ok(Outgoing { path, bytes: Bytes::from(body), from: Some(from), sent })
}

/// How a provider serves an endpoint.
pub(super) enum Serves {
    AsItIs,
    /// From this API into the provider's.
    Translated(Api),
    Not,
}

impl Upstream {
    fn serves(&self, endpoint: Endpoint) -> Serves {
        match endpoint {
            _ if self.dialect.serves(endpoint.dialect()) => Serves::AsItIs,
            Endpoint::ChatCompletions => Serves::Translated(Api::Chat),
            Endpoint::Messages => Serves::Translated(Api::Messages),
            _ => Serves::Not,
        }
    }
}

fn endpoint_of(api: Api) -> Endpoint {
    match api {
        Api::Messages => Endpoint::Messages,
        _ => Endpoint::ChatCompletions,
    }
}

fn refused(error: &Untranslatable) -> ProxyError {
    let (field, message) = (error.field.as_str(), error.to_string());
    ProxyError::Rejected(Box::new(Rejection::of_caller(400, "untranslatable", field, &message)))
}

fn not_served(provider: &str) -> ProxyError {
    let message = format!("the provider `{provider}` of this model does not have this API");
    ProxyError::Rejected(Box::new(Rejection::of_caller(404, "not_served", "model", &message)))
}

/// A response of the provider as the client's API has it.
pub(super) fn reply(from: Option<Api>, body: Vec<u8>) -> Result<Vec<u8>, ForwardError> {
    let Some(client) = from else { return Ok(body) };
    let text = String::from_utf8_lossy(&body);
    match translate::reply(client.other(), &text, now()) {
        Ok(translated) => Ok(translated.into_bytes()),
        Err(error) => Err(failed(&error)),
    }
}

/// The error of a provider as the client's API names it.
pub(super) fn rejection(from: Option<Api>, rejection: Rejection) -> Rejection {
    match from {
        None => rejection,
        Some(client) => rejection.named_for(client),
    }
}

fn failed(error: &Untranslatable) -> ForwardError {
    let message = format!("the model provider's response cannot be translated: {error}");
    ForwardError::from(ChatError::Failed { status: Some(200), code: None, message })
}

fn now() -> i64 {
    Timestamp::now().as_second()
}

/// The events of a response as the client's API has them.
pub(super) struct Events {
    frames: Frames,
    translator: Option<StreamTranslator>,
    is_over: bool,
}

impl Events {
    pub(super) fn new(frames: Frames, from: Option<Api>, request: &Value) -> Self {
        let asked = request.pointer("/stream_options/include_usage") == Some(&Value::Bool(true));
        let translator = from.map(|client| StreamTranslator::new(client.other(), asked, now()));
        Self { frames, translator, is_over: false }
    }

    /// The next event; `None` after the last.
    pub(super) async fn next(&mut self) -> Option<Result<Frame, ForwardError>> {
        let Some(translator) = &mut self.translator else { return self.frames.next().await };
        loop {
            if let Some(frame) = translator.next_frame() {
                return Some(Ok(frame));
            }
            if self.is_over {
                return None;
            }
            match self.frames.next().await {
                Some(Ok(frame)) => {
                    if let Err(error) = translator.push(&frame) {
                        self.is_over = true;
                        return Some(Err(failed(&error)));
                    }
                }
                Some(Err(error)) => {
                    self.is_over = true;
                    return Some(Err(error));
                }
                None => {
                    self.is_over = true;
                    translator.finish();
                }
            }
        }
    }

    /// The usage that the events reported so far.
    pub(super) fn usage(&self) -> Option<Usage> {
        match &self.translator {
            Some(translator) => translator.usage(),
            None => self.frames.usage(),
        }
    }
}
