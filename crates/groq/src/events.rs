//! Checks a stream of server-sent events before async-openai parses it.
//!
//! The output is one plain `data: JSON` line per event and nothing else, because async-openai logs
//! the whole text of an event that it cannot parse, and because it does not distinguish a stream that
//! was cut from one that ended.

use std::io;
use std::sync::Arc;

use futures_util::{Stream, stream};
use parking_lot::Mutex;
use serde_json::value::RawValue;

use crate::deadlines::Deadlines;
use crate::error::ChatError;
use crate::retry::{Failure, Retry};

/// How a stream ended, if not with `[DONE]`.
#[derive(Debug)]
pub(crate) enum Ending {
    /// The connection ended in good order.
    Unmarked,
    /// Something went wrong.
    Failed(Failure),
}

/// Where the ending is left for the reader of the stream, set before the stream ends.
pub(crate) type Slot = Arc<Mutex<Option<Ending>>>;

/// The events of an answer, checked, in time and within `max` bytes.
pub(crate) fn checked(
    response: reqwest::Response,
    deadlines: Deadlines,
    max: usize,
    slot: Slot,
) -> impl Stream<Item = Result<Vec<u8>, io::Error>> + Send + 'static {
    let start = Some((response, Lines::default(), max));
    stream::unfold(start, move |state| {
        let slot = Arc::clone(&slot);
        async move {
            let (mut response, mut lines, left) = state?;
            let (ending, out) = match deadlines.read(&mut response).await {
                Err(failure) => (Some(Ending::Failed(failure)), Vec::new()),
                Ok(None) if lines.is_done() => (None, b"data: [DONE]\n\n".to_vec()),
                Ok(None) => (Some(Ending::Unmarked), Vec::new()),
                Ok(Some(bytes)) if bytes.len() > left => {
                    (Some(Ending::Failed(Failure::of_provider(too_long(max)))), Vec::new())
                }
                Ok(Some(bytes)) => match lines.push(&bytes) {
                    Ok(Pushed { out, done: true }) => (None, out),
                    Ok(Pushed { out, done: false }) => {
                        return Some((Ok(out), Some((response, lines, left - bytes.len()))));
                    }
                    Err(Unreadable { out }) => {
                        let error =
                            ChatError::cut("the model provider sent an event that is not JSON");
                        (Some(Ending::Failed(Failure::of_provider(error))), out)
                    }
                },
            };
            *slot.lock() = ending;
            Some((Ok(out), None))
        }
    })
}

pub(crate) fn too_long(max: usize) -> ChatError {
    ChatError::failed(200, format!("the model provider's answer is longer than {max} bytes"))
}

/// A connection that broke while an answer was read.
pub(crate) fn broke_off() -> Failure {
    Failure::of_provider(ChatError::cut("the connection to the model provider broke"))
        .retry(Retry::Soon)
}

/// Takes lines out of bytes as they come.
#[derive(Debug, Default)]
struct Lines {
    partial: Vec<u8>,
    begun: bool,
}

#[derive(Debug, PartialEq)]
struct Pushed {
    out: Vec<u8>,
    done: bool,
}

#[derive(Debug, PartialEq)]
struct Unreadable {
    /// The good events before the bad one.
    out: Vec<u8>,
}

impl Lines {
    fn push(&mut self, bytes: &[u8]) -> Result<Pushed, Unreadable> {
        let mut out = Vec::with_capacity(bytes.len());
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let (line, after) = rest.split_at(end);
            self.partial.extend_from_slice(line);
            rest = after.get(1..).unwrap_or_default();
            let line = std::mem::take(&mut self.partial);
            let line = self.tidy(&line);
            match data_of(line) {
                None => {}
                Some(b"[DONE]") => {
                    out.extend_from_slice(b"data: [DONE]\n\n");
                    return Ok(Pushed { out, done: true });
                }
                Some(data)
                    if serde_json::from_slice::<&RawValue>(data).is_ok()
                        && !data.contains(&b'\r') =>
                {
                    out.extend_from_slice(b"data: ");
                    out.extend_from_slice(data);
                    out.extend_from_slice(b"\n\n");
                }
                Some(_) => return Err(Unreadable { out }),
            }
        }
        self.partial.extend_from_slice(rest);
        Ok(Pushed { out, done: false })
    }

    /// Whether what is left without a line end is the end mark.
    fn is_done(&self) -> bool {
        data_of(self.partial.trim_ascii_end()) == Some(b"[DONE]")
    }

    /// A line without the carriage return at its end, the first also without a byte order mark.
    fn tidy<'l>(&mut self, line: &'l [u8]) -> &'l [u8] {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if std::mem::replace(&mut self.begun, true) {
            return line;
        }
        line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line)
    }
}

/// The content of a `data` line that has one; comments, names, ids and the like have none.
fn data_of(line: &[u8]) -> Option<&[u8]> {
    let data = line.strip_prefix(b"data:")?.trim_ascii();
    (!data.is_empty()).then_some(data)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pushed(pieces: &[&[u8]]) -> (Vec<u8>, bool, bool) {
        let (mut lines, mut out) = (Lines::default(), Vec::new());
        for piece in pieces {
            match lines.push(piece) {
                Ok(pushed) => {
                    out.extend(pushed.out);
                    if pushed.done {
                        return (out, true, false);
                    }
                }
                Err(bad) => {
                    out.extend(bad.out);
                    return (out, false, true);
                }
            }
        }
        (out, lines.is_done(), false)
    }

    #[test]
    fn only_whole_events_of_json_pass() {
        let text = b"\xef\xbb\xbf: hello\r\nevent: x\r\ndata: {\"a\":1}\r\n\r\ndata:{\"b\":2}\n\ndata: [DONE]\n\ndata: late\n";
        let expected = b"data: {\"a\":1}\n\ndata: {\"b\":2}\n\ndata: [DONE]\n\n";
        assert_eq!(pushed(&[text]), (expected.to_vec(), true, false));
    }

    #[test]
    fn what_is_not_json_ends_the_stream_after_the_good_events() {
        for bad in ["<html>", "{\"a\":", "{\"a\":\r1}", "{\"a\":1} x", "\u{0}"] {
            let text = format!("data: {{}}\n\ndata: {bad}\n\n");
            assert_eq!(
                pushed(&[text.as_bytes()]),
                (b"data: {}\n\n".to_vec(), false, true),
                "{bad:?}"
            );
        }
        assert_eq!(pushed(&[b"data: \"\xff\"\n\n"]), (Vec::new(), false, true));
    }

    #[test]
    fn an_end_mark_without_a_line_end_counts() {
        assert!(pushed(&[b"data: [DONE]"]).1);
        assert!(!pushed(&[b"data: {\"a\":"]).1);
    }

    proptest! {
        #[test]
        fn it_does_not_matter_where_the_network_splits(
            events in prop::collection::vec("[a-zäß\"\\\\ \\n]{0,12}", 0..6),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        ) {
            let text: String = events
                .iter()
                .map(|event| format!("data: {}\r\n\r\n", serde_json::json!({ "t": event })))
                .chain(["data: [DONE]\n\n".to_owned()])
                .collect();
            let bytes = text.as_bytes();
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let pieces: Vec<_> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            prop_assert_eq!(pushed(&pieces), pushed(&[bytes]));
            prop_assert!(pushed(&pieces).1);
        }

        #[test]
        fn whatever_passes_is_json(noise in prop::collection::vec(any::<u8>(), 0..200)) {
            let (out, ..) = pushed(&[b"data:", &noise, b"\n"]);
            let text = String::from_utf8(out).unwrap();
            for event in text.split("\n\n").filter(|event| !event.is_empty()) {
                let data = event.strip_prefix("data: ").unwrap();
                prop_assert!(data == "[DONE]" || serde_json::from_str::<&RawValue>(data).is_ok());
            }
        }
    }
}
