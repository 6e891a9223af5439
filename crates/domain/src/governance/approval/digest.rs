//! What an approval is bound to, as digests.

use std::collections::BTreeMap;
use std::fmt;

use blake3::Hasher;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::governance::command::Command;
use crate::governance::principal::Principal;
use crate::governance::request::RequestBody;

/// A secret of one journal. Digests that rows show are keyed with it, so that a reader of the rows cannot
/// test guesses about a request's secrets or a caller's key.
#[derive(Clone)]
pub struct ApprovalKey([u8; 32]);

impl ApprovalKey {
    /// The key of these bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The fingerprint of a principal's key; `None` for a principal without one.
    pub fn fingerprint(&self, principal: &Principal) -> Option<String> {
        let mut hasher = Hasher::new_keyed(&self.0);
        hasher.update(b"caller's key").update(principal.digest()?);
        let digest = hasher.finalize();
        digest.as_bytes().get(..16).map(hex::encode)
    }
}

/// Omits the key.
impl fmt::Debug for ApprovalKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApprovalKey")
    }
}

/// Digest of a command before its secrets are removed. It stays in memory.
#[derive(Clone, PartialEq, Eq)]
pub struct ContentDigest([u8; 32]);

impl ContentDigest {
    /// The digest of a command: of everything that its caller sent except the host's id of a tool call,
    /// which differs for each repetition. Object keys are ordered first, so two spellings of the same JSON
    /// value have one digest; everything else that differs gives another one.
    pub fn of(command: Command<'_>) -> Option<Self> {
        let mut body = serde_json::to_value(RequestBody::from(command)).ok()?;
        if let (Command::Tool(_), Some(fields)) = (command, body.as_object_mut()) {
            fields.remove("call_id");
        }
        let mut hasher = Hasher::new();
        hasher.update(command.kind().as_str().as_bytes());
        feed(&mut hasher, &body);
        Some(Self(hasher.finalize().into()))
    }
}

impl fmt::Debug for ContentDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ContentDigest")
    }
}

/// Keyed BLAKE3 hash over everything that an approval is bound to, in lower-case hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RequestDigest(String);

/// What an approval is bound to.
#[derive(Debug, Clone, Copy)]
pub struct BoundTo<'a> {
    /// The caller that may repeat the request. Its key counts too: a new key under an old name is another
    /// caller.
    pub principal: &'a Principal,
    /// The agent that the request is for; empty where it has none.
    pub agent: &'a str,
    /// The kind of the request.
    pub kind: &'a str,
    /// Hash of the policy that asked.
    pub policy_hash: &'a str,
    /// The command as the caller sent it.
    pub content: &'a ContentDigest,
    /// What the caller sent and the command does not contain: the edits of a plan, the parameters of a
    /// model call.
    pub rest: &'a Value,
}

impl RequestDigest {
    /// The digest of a request.
    pub fn of(key: &ApprovalKey, bound: &BoundTo<'_>) -> Self {
        let mut hasher = Hasher::new_keyed(&key.0);
        let BoundTo { principal, agent, kind, policy_hash, content, rest } = *bound;
        for part in [principal.as_str(), agent, kind, policy_hash] {
            // The length first: no two different sequences of parts feed the hash the same bytes.
            hasher.update(&(part.len() as u64).to_be_bytes()).update(part.as_bytes());
        }
        match principal.digest() {
            Some(digest) => hasher.update(b"k").update(digest),
            None => hasher.update(b"-"),
        };
        hasher.update(&content.0);
        feed(&mut hasher, rest);
        Self(hasher.finalize().to_hex().to_string())
    }

    /// A digest that was recorded.
    pub fn recorded(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The digest as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RequestDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Feeds a JSON value in a canonical form: a tag and a length before each part.
fn feed(hasher: &mut Hasher, value: &Value) {
    let mut part = |tag: u8, bytes: &[u8]| {
        hasher.update(&[tag]).update(&(bytes.len() as u64).to_be_bytes()).update(bytes);
    };
    match value {
        Value::Null => part(b'n', b""),
        Value::Bool(flag) => part(b'b', &[u8::from(*flag)]),
        // The digits as sent: 1 and 1.0 are different arguments to some tools.
        Value::Number(number) => part(b'd', number.to_string().as_bytes()),
        Value::String(text) => part(b's', text.as_bytes()),
        Value::Array(items) => {
            part(b'a', &(items.len() as u64).to_be_bytes());
            items.iter().for_each(|item| feed(hasher, item));
        }
        Value::Object(members) => {
            part(b'o', &(members.len() as u64).to_be_bytes());
            let ordered: BTreeMap<_, _> = members.iter().collect();
            for (key, member) in ordered {
                hasher.update(&(key.len() as u64).to_be_bytes()).update(key.as_bytes());
                feed(hasher, member);
            }
        }
    }
}
