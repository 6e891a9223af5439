//! `tracestate`: what the tracing systems of callers add to a trace. It is passed on unread.

use std::sync::Arc;

/// Most bytes and members that are passed on; the recommendation asks for at least as many.
const MAX_BYTES: usize = 512;
const MAX_MEMBERS: usize = 32;
/// Longest key and value.
const MAX_PART: usize = 256;

/// A valid `tracestate`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceState(Arc<str>);

impl TraceState {
    /// Reads a header; `None` if it is empty or not valid, and the trace then goes on without it.
    pub fn read(text: &str) -> Option<Self> {
        let members: Vec<_> =
            text.split(',').map(str::trim).filter(|member| !member.is_empty()).collect();
        let fits = (1..=MAX_MEMBERS).contains(&members.len()) && text.len() <= MAX_BYTES;
        (fits && members.iter().all(|member| is_member(member)))
            .then(|| Self(members.join(",").into()))
    }

    /// The value of the header.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_member(member: &str) -> bool {
    let Some((key, value)) = member.split_once('=') else { return false };
    let is_key =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-*/@".contains(&byte);
    let is_value = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'=';
    let starts =
        key.starts_with(|first: char| first.is_ascii_lowercase() || first.is_ascii_digit());
    starts
        && key.len() <= MAX_PART
        && key.bytes().all(is_key)
        && (1..=MAX_PART).contains(&value.len())
        && value.bytes().all(is_value)
}
