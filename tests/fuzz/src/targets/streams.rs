//! Readers of event streams: no byte is lost, whatever the pieces.

use life_agent_groq::FrameReader;
use life_agent_mcp::events::Events;

use super::{FIELD, Target, ensure};

pub(crate) const MODEL: Target =
    Target { name: "model-stream", pieces: PIECES, run: model, bound: FIELD };
pub(crate) const MCP: Target =
    Target { name: "mcp-stream", pieces: PIECES, run: mcp, bound: FIELD };

const PIECES: &[&str] = &[
    "data: ",
    "data:",
    "data",
    "event: message\n",
    "id: 7\n",
    "retry: 1\n",
    ": comment\n",
    "\n",
    "\r",
    "\r\n",
    "\n\n",
    "\r\n\r\n",
    "{\"a\":1}",
    "[DONE]",
    "{\"choices\":[{\"delta\":{\"content\":\"x\"}}]}",
    " ",
    "\u{feff}",
    "é",
    "\0",
    "x",
    "data: {\"a\":\ndata: 1}\n\n",
];

/// The input in pieces whose sizes follow from it.
fn pieces(bytes: &[u8]) -> Vec<&[u8]> {
    let mut rest = bytes;
    let mut pieces = Vec::new();
    let mut size = 1 + bytes.len() % 7;
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(size.min(rest.len()));
        pieces.push(piece);
        rest = after;
        size = size * 5 % 4093 + 1;
    }
    pieces
}

fn model(bytes: &[u8]) -> Result<(), String> {
    let mut reader = FrameReader::default();
    let mut frames = Vec::new();
    for piece in pieces(bytes) {
        frames.extend(reader.push(piece));
    }
    frames.extend(reader.finish());
    let raw: Vec<u8> = frames.iter().flat_map(|frame| frame.raw.iter().copied()).collect();
    // The reader ends a last frame that is cut off, and leaves out what is blank after it.
    let is_kept = match raw.strip_prefix(bytes) {
        Some(end) => end.iter().all(|byte| *byte == b'\n'),
        None => bytes.strip_prefix(raw.as_slice()).is_some_and(|rest| rest.trim_ascii().is_empty()),
    };
    ensure(is_kept, || format!("becomes {} bytes of frames", raw.len()))?;
    for frame in &frames {
        let payloads: Vec<_> = frame.payloads().into_iter().map(|text| text.into_owned()).collect();
        let _ = (frame.is_done(), frame.with_payloads(&payloads));
    }
    Ok(())
}

fn mcp(bytes: &[u8]) -> Result<(), String> {
    let (mut events, mut raw) = (Events::default(), Vec::new());
    for piece in pieces(bytes) {
        events.push(piece);
        while let Some(event) = events.next_event() {
            raw.extend_from_slice(&event.raw);
        }
    }
    ensure(bytes.starts_with(&raw), || "changes its bytes".to_owned())?;
    ensure(raw.len() + events.pending() == bytes.len(), || "loses bytes".to_owned())
}
