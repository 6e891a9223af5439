//! Holds the frames of a stream until their texts are judged, redacted and complete enough.
//!
//! Frames keep their order and, unless a credential must be removed, their bytes. A credential may be
//! cut anywhere between two frames, so the end of each text is held back: the last token, and more
//! where the words before it announce a secret. The rest of a text is released as soon as the gates
//! have passed it.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet, VecDeque};

use life_agent_domain::governance::command::Message;
use life_agent_domain::governance::redaction::Redact;
use life_agent_groq::raw_json::{Role, Segment, repair_surrogates, rewrite};
use life_agent_groq::{Frame, redacted_text};
use serde_json::Value;

use super::pieces::{completed, continued, is_terminal};
use super::texts::{judged_text, leaves};

/// Longest token that is held back as a whole, in bytes.
const MAX_TOKEN: usize = 512;
/// How far before the end of a text words announce a secret, in bytes.
const SECRET_REACH: usize = 300;
/// Text before the end that is judged again with what is new, in bytes.
const OVERLAP: usize = 4096;
/// Words after which a secret can follow on the same line or the next.
const ANNOUNCES: [&str; 16] = [
    "passw",
    "pwd",
    "secret",
    "token",
    "api_key",
    "apikey",
    "api key",
    "api-key",
    "credential",
    "auth",
    "bearer",
    "basic ",
    "private",
    "://",
    "key=",
    "key:",
];

/// The frames of one stream that are not released yet, and all of its texts.
#[derive(Default)]
pub(super) struct Guard {
    texts: BTreeMap<String, Text>,
    queue: VecDeque<Held>,
    /// Texts that stand alone and are not judged yet.
    alone: Vec<String>,
    /// Texts that stand alone and were seen before: most events repeat the same names.
    seen: HashSet<blake3::Hash>,
    /// Bytes of text that arrived, and how many of them had at the last look.
    arrived: usize,
    looked_at: usize,
    /// Whether something was completed since the last look.
    completed: bool,
    /// Whether a credential was removed.
    pub(super) redacted: bool,
}

/// One text, in the pieces of many frames.
#[derive(Default)]
struct Text {
    raw: String,
    /// How much of it needs no further look.
    settled: usize,
    /// How much of it was judged.
    judged: usize,
    /// What is replaced in it, in order.
    edits: Vec<Edit>,
    /// Whether nothing more of it arrives, and whether it was judged since then.
    complete: bool,
    judged_complete: bool,
}

/// A stretch of a text that is replaced.
struct Edit {
    start: usize,
    end: usize,
    new: String,
}

/// A frame with the places of its texts.
struct Held {
    frame: Frame,
    pieces: Vec<Piece>,
    /// Strings that stand alone and are replaced, by payload and path.
    edits: Vec<(usize, Vec<Segment>, Role, String)>,
    terminal: bool,
}

struct Piece {
    payload: usize,
    path: Vec<Segment>,
    text: String,
    start: usize,
    end: usize,
}

impl Guard {
    /// Bytes of text that arrived.
    pub(super) fn arrived(&self) -> usize {
        self.arrived
    }

    /// Adds a frame.
    pub(super) fn push(&mut self, frame: Frame, redactor: &dyn Redact) {
        let (mut pieces, mut edits, mut terminal) = (Vec::new(), Vec::new(), frame.is_done());
        for (payload, json) in frame.payloads().iter().enumerate() {
            let Ok(event) = serde_json::from_str::<Value>(&repair_surrogates(json)) else {
                if json.trim() != "[DONE]" {
                    self.alone.push(json.to_string());
                }
                continue;
            };
            terminal |= is_terminal(&event);
            let visited = rewrite(json, &mut |path, role, said| {
                if said.is_empty() {
                    return None;
                }
                let text = if role == Role::Value { continued(&event, path) } else { None };
                match text {
                    Some(text) => {
                        let entry = self.texts.entry(text.clone()).or_default();
                        let start = entry.raw.len();
                        entry.raw.push_str(said);
                        (entry.complete, entry.judged_complete) = (false, false);
                        self.arrived += said.len();
                        let (path, end) = (path.to_vec(), entry.raw.len());
                        pieces.push(Piece { payload, path, text, start, end });
                    }
                    None => {
                        if let Some(new) = redacted_text(said, redactor) {
                            edits.push((payload, path.to_vec(), role, new));
                        }
                        if !is_plain(said) && self.seen.insert(blake3::hash(said.as_bytes())) {
                            self.alone.push(judged_text(said).into_owned());
                        }
                    }
                }
                None
            });
            if visited.is_err() {
                // An object with a key twice: what one parser reads is not what another one does.
                self.alone.push(json.to_string());
            }
            if let Some(prefix) = completed(&event) {
                self.completed = true;
                for (name, text) in &mut self.texts {
                    text.complete |= name.starts_with(&prefix);
                }
            }
        }
        self.queue.push_back(Held { frame, pieces, edits, terminal });
    }

    /// Whether enough is new for a look; says so once.
    pub(super) fn is_due(&mut self) -> bool {
        let step = (self.arrived / 64).clamp(16, 1024);
        let due = self.completed || self.arrived - self.looked_at >= step || !self.alone.is_empty();
        if due {
            self.looked_at = self.arrived;
            self.completed = false;
        }
        due
    }

    /// What the gates have not judged yet, with some text before it.
    pub(super) fn unjudged(&mut self, key: &dyn Redact) -> Vec<Message> {
        let mut texts = std::mem::take(&mut self.alone);
        for text in self.texts.values_mut() {
            if text.judged == text.raw.len() && (!text.complete || text.judged_complete) {
                continue;
            }
            text.judged_complete = text.complete;
            let from = text.raw.floor_char_boundary(text.judged.saturating_sub(OVERLAP));
            text.judged = text.raw.len();
            if text.is_json() {
                if text.complete {
                    leaves(&Value::from(text.raw.as_str()), &mut texts);
                }
            } else {
                texts.push(text.raw.get(from..).unwrap_or_default().to_owned());
            }
        }
        texts.iter().filter(|text| !text.is_empty()).map(|text| said(text, key)).collect()
    }

    /// Every text of the response, for the final judgment.
    pub(super) fn all(&mut self, key: &dyn Redact) -> Vec<Message> {
        let mut texts = std::mem::take(&mut self.alone);
        for text in self.texts.values_mut() {
            leaves(&Value::from(text.raw.as_str()), &mut texts);
            text.judged = text.raw.len();
        }
        texts.iter().filter(|text| !text.is_empty()).map(|text| said(text, key)).collect()
    }

    /// The texts by their names, redacted, for the record.
    pub(super) fn record(&self, redactor: &dyn Redact) -> BTreeMap<String, String> {
        let redacted =
            |text: &Text| redacted_text(&text.raw, redactor).unwrap_or_else(|| text.raw.clone());
        self.texts.iter().map(|(name, text)| (name.clone(), redacted(text))).collect()
    }

    /// Marks all texts as complete: nothing more arrives.
    pub(super) fn finish(&mut self) {
        self.texts.values_mut().for_each(|text| text.complete = true);
    }

    /// The frames that may go out now: all of their texts are judged, and settled. Terminal frames, and
    /// those after them, stay until `last`.
    pub(super) fn release(&mut self, redactor: &dyn Redact, last: bool) -> Vec<u8> {
        for text in self.texts.values_mut() {
            text.settle(redactor);
        }
        let mut out = Vec::new();
        while let Some(held) = self.queue.front() {
            let settled = |piece: &Piece| {
                let released = |text: &Text| text.settled.min(text.judged) >= piece.end;
                self.texts.get(&piece.text).is_none_or(released)
            };
            if held.terminal && !last || !held.pieces.iter().all(settled) {
                break;
            }
            let Some(held) = self.queue.pop_front() else { break };
            self.write(held, &mut out);
        }
        out
    }

    fn write(&mut self, held: Held, out: &mut Vec<u8>) {
        let mut new: Vec<(usize, Vec<Segment>, Role, String)> = held.edits;
        for piece in held.pieces {
            if let Some(text) = self.texts.get(&piece.text).and_then(|text| text.piece(&piece)) {
                new.push((piece.payload, piece.path, Role::Value, text));
            }
        }
        if new.is_empty() {
            out.extend_from_slice(&held.frame.raw);
            return;
        }
        self.redacted = true;
        let payloads = held.frame.payloads();
        let edited = payloads.iter().enumerate().map(|(n, json)| {
            let edited = rewrite(json, &mut |path, role, _| {
                let matches = |edit: &&(usize, Vec<Segment>, Role, String)| {
                    edit.0 == n && edit.1 == path && edit.2 == role
                };
                new.iter().find(matches).map(|edit| edit.3.clone())
            });
            edited.map(Cow::into_owned).unwrap_or_else(|_| "{}".to_owned())
        });
        let edited: Vec<String> = edited.collect();
        out.extend_from_slice(b": x-life-agent-changed: credentials\n");
        out.extend_from_slice(&held.frame.with_payloads(&edited).raw);
    }
}

/// Whether a string is a name or a number that no gate looks at.
fn is_plain(text: &str) -> bool {
    text.len() <= 48
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b))
        && !text.contains("..")
}

fn said(text: &str, key: &dyn Redact) -> Message {
    Message { role: "assistant".to_owned(), content: key.redact(text).into_owned() }
}

impl Text {
    /// A text that is JSON is redacted inside its strings too, which takes all of it.
    fn is_json(&self) -> bool {
        self.raw.trim_start().starts_with(['{', '['])
    }

    /// Finds out how much of the text can go out, and what is replaced in it.
    fn settle(&mut self, redactor: &dyn Redact) {
        if self.is_json() {
            if self.complete && self.settled < self.raw.len() {
                if let Some(new) = redacted_text(&self.raw, redactor) {
                    self.edits.push(Edit { start: 0, end: self.raw.len(), new });
                }
                self.settled = self.raw.len();
            }
            return;
        }
        loop {
            let window = self.raw.get(self.settled..).unwrap_or_default();
            let cut = if self.complete { window.len() } else { hold_from(window) };
            if cut == 0 {
                return;
            }
            let mut before = self.context_start();
            let context = self.raw.get(before..).unwrap_or_default();
            let Cow::Owned(mut redacted) = redactor.redact(context) else {
                self.settled += cut;
                return;
            };
            let (mut context, mut shift) = (context, self.settled - before);
            let mut start = common_prefix(context, &redacted);
            if start < shift {
                // The context alone reads as a credential, although it was released: it stays out.
                (before, context, shift) = (self.settled, window, 0);
                let Cow::Owned(own) = redactor.redact(window) else {
                    self.settled += cut;
                    return;
                };
                redacted = own;
                start = common_prefix(context, &redacted);
            }
            let tail = common_suffix(
                context.get(start..).unwrap_or_default(),
                redacted.get(start..).unwrap_or_default(),
            );
            let end = context.len() - tail;
            if start >= shift + cut {
                self.settled += cut;
                return;
            }
            if end > shift + cut && !self.complete {
                self.settled = before + start;
                return;
            }
            let new = redacted.get(start..redacted.len() - tail).unwrap_or("[redacted]").to_owned();
            self.edits.push(Edit { start: before + start, end: before + end, new });
            self.settled = before + end;
        }
    }

    /// Where the text begins that can announce a secret in what is not settled: at the start of a
    /// token, and after the last edit, whose original text would be found again.
    fn context_start(&self) -> usize {
        let reach = self.raw.floor_char_boundary(self.settled.saturating_sub(SECRET_REACH));
        let head = self.raw.get(..reach).unwrap_or_default();
        let token = head.trim_end_matches(|c: char| c.is_ascii_graphic()).len();
        let floor = reach.saturating_sub(MAX_TOKEN);
        let edited = self.edits.last().map_or(0, |edit| edit.end);
        self.raw.floor_char_boundary(token.max(floor)).max(edited).min(self.settled)
    }

    /// The new text of a piece; none if it stays.
    fn piece(&self, piece: &Piece) -> Option<String> {
        let touched = |edit: &&Edit| edit.start < piece.end && piece.start < edit.end;
        let mut edits = self.edits.iter().filter(touched).peekable();
        edits.peek()?;
        let (mut new, mut at) = (String::new(), piece.start);
        for edit in edits {
            new.push_str(self.raw.get(at..edit.start.max(at)).unwrap_or_default());
            if edit.start >= piece.start {
                new.push_str(&edit.new);
            }
            at = edit.end.min(piece.end).max(at);
        }
        new.push_str(self.raw.get(at..piece.end).unwrap_or_default());
        Some(new)
    }
}

/// How much of a text whose end is still to come can go out: all but the last token, and what follows
/// words that announce a secret.
fn hold_from(text: &str) -> usize {
    let in_token = |c: char| c.is_ascii_graphic();
    let token = text.trim_end_matches(in_token).len();
    let mut cut = token.max(text.floor_char_boundary(text.len().saturating_sub(MAX_TOKEN)));
    // A key in PEM lasts until its end line.
    if let Some(begin) = text.rfind("-----BEGIN")
        && !text.get(begin..).unwrap_or_default().contains("-----END")
    {
        cut = cut.min(begin);
    }
    let reach = text.floor_char_boundary(text.len().saturating_sub(SECRET_REACH));
    let near = text.get(reach..).unwrap_or_default().to_ascii_lowercase();
    let announced = ANNOUNCES.iter().filter_map(|word| near.find(word)).min();
    if let Some(at) = announced {
        let at = reach + at;
        // From the start of the token that the word is part of.
        cut = cut.min(text.get(..at).unwrap_or_default().trim_end_matches(in_token).len());
    }
    cut
}

fn common_prefix(one: &str, other: &str) -> usize {
    one.chars().zip(other.chars()).take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8()).sum()
}

fn common_suffix(one: &str, other: &str) -> usize {
    let (one, other) = (one.chars().rev(), other.chars().rev());
    one.zip(other).take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8()).sum()
}

#[cfg(test)]
mod tests;
