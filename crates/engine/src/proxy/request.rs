//! Reads a request, judges it and prepares the bytes that are sent.

use std::borrow::Cow;
use std::collections::BTreeSet;

use bytes::Bytes;
use life_agent_domain::governance::command::{Chat, Message};
use life_agent_domain::governance::fault::Fault;
use life_agent_domain::governance::gate::{Effect, Permit, Reason};
use life_agent_domain::governance::redaction::Redact;
use life_agent_groq::raw_json::{EditError, Role, Segment, rewrite, set_member};
use life_agent_groq::{Redacted, redacted_text};
use life_agent_policy::llm::Media;
use serde_json::{Value, json};

use super::endpoint::Endpoint;
use super::seams::{
    hidden_parts, parted_credentials, split_credentials, without_part, without_parted,
};
use super::service::ProxyService;
use super::texts::{self, in_item, is_media, is_media_text, of_request};
use super::types::{ProxyError, ProxyRequest};
use crate::approvals::ApprovalUse;
use crate::context::RequestContext;
use crate::error::EngineError;
use crate::govern::Metered;
use crate::policy::ActivePolicy;

/// What stands in place of a message that was refused before.
const WITHHELD: &str = "[withheld: the policy of this service refused the text of this message in an \
                        earlier request; continue without it]";

/// A judged request.
pub(super) struct Prepared {
    pub(super) permit: Permit<Chat>,
    /// The approval that permits the request, whose use is not recorded yet.
    pub(super) used: Option<ApprovalUse>,
    /// The bytes to send.
    pub(super) bytes: Bytes,
    /// The same as a value.
    pub(super) body: Value,
    pub(super) model: String,
    pub(super) stream: bool,
    /// What differs from the bytes that were received.
    pub(super) changed: Vec<&'static str>,
}

impl ProxyService {
    pub(super) async fn prepare(
        &self,
        context: &RequestContext,
        policy: &ActivePolicy,
        request: &ProxyRequest,
    ) -> Result<Prepared, ProxyError> {
        let endpoint = request.endpoint;
        let mut changed = Vec::new();
        let (mut text, mut body) = read(&request.body)?;
        let llm = &policy.snapshot.policy.llm;
        let items = body.get(endpoint.items()).and_then(Value::as_array).map_or(0, Vec::len);
        if items > self.max_messages {
            let most =
                format!("must have at most {} messages, this has {items}", self.max_messages);
            return Err(ProxyError::Invalid(vec![Fault::new(endpoint.items(), most)]));
        }
        let faults = faults(endpoint, &body, llm.media);
        if !faults.is_empty() {
            return Err(ProxyError::Invalid(faults));
        }
        let redactor: &dyn Redact = policy.chain.redactor();
        if body.get("model").is_none_or(Value::is_null) {
            let named = set_member(&text, "model", &Value::from(llm.model.as_str()).to_string());
            text = Cow::Owned(named.map_err(malformed)?);
            body = parsed(&text)?;
            changed.push("model");
        }
        let refused = self.refused_before(context, policy, endpoint, &body);
        if !refused.is_empty() {
            text = Cow::Owned(without_messages(endpoint, &text, &refused)?);
            body = parsed(&text)?;
            changed.push("withheld-messages");
        }
        let mut judged = of_request(endpoint, &body);
        let parted = hidden_parts(endpoint, &body, &judged, redactor);
        if !parted.is_empty() {
            text = Cow::Owned(without_parted(&text, &parted).map_err(malformed)?);
            body = parsed(&text)?;
            judged = of_request(endpoint, &body);
            changed.push("credentials");
        }
        let kept = judged.clone();
        let command = Chat { messages: judged };
        let rest = || json!({"path": endpoint.path(), "body": body});
        let permitted =
            self.governor.permit_asked(context, policy, command, Metered::Yes, &rest).await;
        let (permit, used) = match permitted {
            Ok(permitted) => permitted,
            Err(error) => {
                self.remember(context, policy, &kept, &error);
                return Err(error.into());
            }
        };
        let mut bytes = None;
        let across = permit.command().messages != kept;
        if let Some(redacted) = redacted_request(endpoint, &text, &body, redactor, across)? {
            body = parsed(&redacted)?;
            text = Cow::Owned(redacted);
            changed.push("credentials");
        }
        if changed.is_empty() {
            bytes = Some(request.body.clone());
        }
        Ok(Prepared {
            permit,
            used,
            bytes: bytes.unwrap_or_else(|| Bytes::from(text.into_owned())),
            model: body.get("model").and_then(Value::as_str).unwrap_or_default().to_owned(),
            stream: body.get("stream") == Some(&Value::Bool(true)),
            body,
            changed,
        })
    }

    /// The messages that were refused before, but for the last: that one is judged again.
    fn refused_before(
        &self,
        context: &RequestContext,
        policy: &ActivePolicy,
        endpoint: Endpoint,
        body: &Value,
    ) -> BTreeSet<usize> {
        let items = body.get(endpoint.items()).and_then(Value::as_array);
        let Some((_, earlier)) = items.and_then(|items| items.split_last()) else {
            return BTreeSet::new();
        };
        if self.refused_texts.is_empty() {
            return BTreeSet::new();
        }
        let hash = &policy.snapshot.hash;
        let known = |item: &Value| {
            self.refused_texts.contains(&context.principal, hash, &texts::message(item))
        };
        let numbered = earlier.iter().enumerate().filter(|(_, item)| known(item));
        numbered.map(|(n, _)| n).collect()
    }

    /// Remembers the messages that a denial names.
    fn remember(
        &self,
        context: &RequestContext,
        policy: &ActivePolicy,
        judged: &[Message],
        error: &EngineError,
    ) {
        let EngineError::Denied(report) = error else { return };
        if !matches!(report.reason, Reason::RiskPattern | Reason::RuleDeny) {
            return;
        }
        let denied = report.findings.iter().filter(|finding| finding.effect == Effect::Deny);
        let named: BTreeSet<usize> =
            denied.filter_map(|finding| message_number(&finding.field)).collect();
        for message in named.into_iter().filter_map(|n| judged.get(n)) {
            if message.role != texts::OTHER_FIELDS {
                self.refused_texts.insert(&context.principal, &policy.snapshot.hash, message);
            }
        }
    }
}

/// The number in `messages/N/content`.
fn message_number(field: &str) -> Option<usize> {
    field.strip_prefix("messages/")?.split('/').next()?.parse().ok()
}

/// The text of a body and its value. A key that appears twice is refused: the provider could read the
/// one that was not judged.
fn read(body: &[u8]) -> Result<(Cow<'_, str>, Value), ProxyError> {
    let text = std::str::from_utf8(body).map_err(|error| {
        ProxyError::Malformed(format!(
            "the body is not JSON: byte {} is not UTF-8",
            error.valid_up_to()
        ))
    })?;
    let value = parsed(text)?;
    if !value.is_object() {
        return Err(ProxyError::Invalid(vec![Fault::new("", "must be an object")]));
    }
    rewrite(text, &mut |_, _, _| None).map_err(malformed)?;
    Ok((Cow::Borrowed(text), value))
}

fn parsed(text: &str) -> Result<Value, ProxyError> {
    serde_json::from_str(text)
        .map_err(|error| ProxyError::Malformed(format!("the body is not JSON: {error}")))
}

fn malformed(error: EditError) -> ProxyError {
    match error {
        EditError::DuplicateKey(key) => {
            ProxyError::Invalid(vec![Fault::new(key, "appears twice in one object; send it once")])
        }
        other => ProxyError::Malformed(format!("the body is not JSON: {other}")),
    }
}

/// What cannot be judged, or no provider accepts. Everything else is the provider's to decide.
fn faults(endpoint: Endpoint, body: &Value, media: Media) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut check = |name: &str, expected: &str, is_good: &dyn Fn(&Value) -> bool| {
        let given = body.get(name).filter(|value| !value.is_null());
        if given.is_some_and(|value| !is_good(value)) {
            faults.push(Fault::new(name, expected));
        }
    };
    check("stream", "must be `true` or `false`", &Value::is_boolean);
    check("model", "must be a text of 1 to 256 characters", &|value| {
        value.as_str().is_some_and(|name| (1..=256).contains(&name.chars().count()))
    });
    if endpoint == Endpoint::ChatCompletions {
        // Local servers take a negative limit for none.
        let tokens =
            |value: &Value| value.as_i64().is_some_and(|n| n != 0) || value.is_u64() && *value != 0;
        check("stream_options", "must be an object", &Value::is_object);
        check("temperature", "must be a number from 0 to 2", &|value| {
            value.as_f64().is_some_and(|t| (0.0..=2.0).contains(&t))
        });
        check("max_tokens", "must be a whole number other than 0", &tokens);
        check("max_completion_tokens", "must be a whole number other than 0", &tokens);
        check("n", "must be 1; ask again for another answer", &|value| value.as_u64() == Some(1));
        check("modalities", "must be `[\"text\"]`; only text can be checked", &|value| {
            *value == serde_json::json!(["text"])
        });
        check("audio", "is not accepted; only text can be checked", &|_| false);
        let hidden = "is not accepted; single tokens would spell out what is redacted";
        check("logprobs", hidden, &|value| *value == Value::Bool(false));
        check("top_logprobs", hidden, &|value| value.as_u64() == Some(0));
    }
    if matches!(endpoint, Endpoint::ChatCompletions | Endpoint::Messages | Endpoint::CountTokens) {
        match body.get("messages") {
            Some(Value::Array(messages)) if !messages.is_empty() => {
                let numbered = messages.iter().enumerate();
                faults.extend(numbered.flat_map(|(n, message)| faults_of_message(n, message)));
            }
            Some(Value::Array(_)) => faults.push(Fault::new("messages", "must have a message")),
            Some(_) if !body["messages"].is_null() => {
                faults.push(Fault::new("messages", "must be a list of messages"));
            }
            _ => faults.push(Fault::new("messages", "missing field")),
        }
    }
    if media == Media::Deny {
        let items = body.get(endpoint.items()).and_then(Value::as_array).into_iter().flatten();
        for (n, item) in items.enumerate() {
            let place = format!("{}.{n}", endpoint.items());
            media_faults(item, &place, &mut faults);
        }
    }
    faults.sort();
    faults
}

fn media_faults(value: &Value, place: &str, faults: &mut Vec<Fault>) {
    if is_media(value) {
        let what =
            "is an image, audio or a file, which the policy does not let pass; see `llm.media`";
        faults.push(Fault::new(place, what));
        return;
    }
    let content = value.get("content").and_then(Value::as_array).into_iter().flatten();
    for (n, part) in content.enumerate() {
        media_faults(part, &format!("{place}.content.{n}"), faults);
    }
}

fn faults_of_message(n: usize, message: &Value) -> Vec<Fault> {
    let at = |rest: &str| format!("messages.{n}{rest}");
    let Value::Object(fields) = message else {
        return vec![Fault::new(at(""), "must be an object")];
    };
    let mut faults = Vec::new();
    let role = fields.get("role").and_then(Value::as_str);
    if !role.is_some_and(|role| (1..=64).contains(&role.len())) {
        faults.push(Fault::new(at(".role"), "must be a role such as `user`"));
    }
    match fields.get("content") {
        None | Some(Value::Null | Value::String(_)) => {}
        Some(Value::Array(parts)) => {
            let wrong = parts.iter().enumerate().filter(|(_, part)| !is_part(part));
            faults.extend(wrong.map(|(part, _)| {
                Fault::new(at(&format!(".content.{part}")), "must be a content part")
            }));
        }
        Some(_) => {
            faults.push(Fault::new(at(".content"), "must be a text or a list of content parts"));
        }
    }
    faults
}

/// A text, or an object; one of type `text` with a text.
fn is_part(part: &Value) -> bool {
    if part.is_string() {
        return true;
    }
    let kind = part.get("type").and_then(Value::as_str);
    part.is_object() && (kind != Some("text") || part.get("text").is_some_and(Value::is_string))
}

/// The request with the texts of some messages replaced. Fields that tie messages together (roles,
/// ids, names) stay, so that the conversation keeps its form.
fn without_messages(
    endpoint: Endpoint,
    text: &str,
    refused: &BTreeSet<usize>,
) -> Result<String, ProxyError> {
    let mut told = BTreeSet::new();
    let edited = rewrite(text, &mut |path, role, _| {
        let (n, rest) = in_item(endpoint, path).filter(|(n, _)| refused.contains(n))?;
        if role == Role::Key {
            return None;
        }
        let last = rest.last();
        let is =
            |names: &[&str]| last.is_some_and(|last| names.iter().any(|name| last.is_key(name)));
        if is(&[
            "role",
            "type",
            "id",
            "tool_call_id",
            "tool_use_id",
            "call_id",
            "name",
            "status",
            "media_type",
        ]) {
            return None;
        }
        if is(&["arguments"]) {
            return Some("{}".to_owned());
        }
        let says = rest.first().is_some_and(|first| {
            ["content", "output", "text"].iter().any(|name| first.is_key(name))
        });
        Some(if says && told.insert(n) { WITHHELD.to_owned() } else { String::new() })
    });
    edited.map(Cow::into_owned).map_err(malformed)
}

/// The request without its credentials; none if it has none.
fn redacted_request(
    endpoint: Endpoint,
    text: &str,
    body: &Value,
    redactor: &dyn Redact,
    across: bool,
) -> Result<Option<String>, ProxyError> {
    let joined = split_credentials(endpoint, body, redactor);
    let parted = if across { parted_credentials(endpoint, body, redactor) } else { Vec::new() };
    let edited = rewrite(text, &mut |path, role, text| {
        if role == Role::Value && is_media_text(body, path, text) {
            return None;
        }
        let replaced = || {
            let (n, rest) = in_item(endpoint, path).filter(|_| role == Role::Value)?;
            let (_, whole) = joined.iter().find(|(item, _)| *item == n)?;
            match rest {
                // Parts that hide a credential by its being cut in two: the first gets the whole text.
                [content, Segment::Index(part), leaf]
                    if content.is_key("content")
                        && ["text", "refusal"].iter().any(|name| leaf.is_key(name)) =>
                {
                    Some(if *part == 0 { whole.clone() } else { String::new() })
                }
                _ => None,
            }
        };
        let without_parts = || {
            let clean = without_part(path, role, &parted)?;
            Some(redacted_text(clean, redactor).unwrap_or_else(|| clean.to_owned()))
        };
        replaced().or_else(without_parts).or_else(|| redacted_text(text, redactor))
    });
    let edited = match edited.map_err(malformed)? {
        Cow::Borrowed(_) => return Ok(None),
        Cow::Owned(edited) => edited,
    };
    // Fail closed: what is sent holds nothing that the redactor would still find.
    let value = parsed(&edited)?;
    if has_media(body) || *Redacted::of(value.clone(), redactor) == value {
        return Ok(Some(edited));
    }
    tracing::error!("a request could not be redacted");
    Err(ProxyError::Engine(EngineError::Unavailable))
}

fn has_media(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().any(has_media),
        Value::Object(fields) => is_media(value) || fields.values().any(has_media),
        _ => false,
    }
}
