//! Splits a stream of server-sent events into frames that keep their bytes.
//!
//! The format is the HTML standard's (`text/event-stream`): lines end with LF, CR or CRLF, an empty
//! line ends an event. Providers deviate, so lines of `data` without an empty line between them are
//! also read as events of their own.

use std::borrow::Cow;

/// One event as it came, up to and including the empty line that ends it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frame {
    /// The bytes of the event.
    pub raw: Vec<u8>,
    /// The name in its `event` line.
    pub event: Option<String>,
    /// Its `data` lines, without the field name.
    pub data: Vec<String>,
}

impl Frame {
    /// The payloads of the frame: normally one, its data lines joined. None in a comment.
    pub fn payloads(&self) -> Vec<Cow<'_, str>> {
        match self.data.as_slice() {
            [] => Vec::new(),
            [one] => vec![Cow::Borrowed(one.as_str())],
            many => {
                let whole = many.join("\n");
                if serde_json::from_str::<serde::de::IgnoredAny>(&whole).is_ok() {
                    return vec![Cow::Owned(whole)];
                }
                many.iter().map(|line| Cow::Borrowed(line.as_str())).collect()
            }
        }
    }

    /// Whether it is OpenAI's end mark.
    pub fn is_done(&self) -> bool {
        self.data.iter().any(|line| line.trim() == "[DONE]")
    }

    /// A frame of our own in place of this one, with other payloads.
    pub fn with_payloads(&self, payloads: &[String]) -> Frame {
        let mut raw = String::new();
        for line in String::from_utf8_lossy(&self.raw).split(['\n', '\r']) {
            // `id` and `retry` lines and comments stay as they came.
            if !line.is_empty() && !line.starts_with("data") {
                raw.push_str(line);
                raw.push('\n');
            }
        }
        let mut data = Vec::new();
        for payload in payloads {
            // A payload is JSON on one line unless the provider broke it into several.
            for line in payload.split('\n') {
                raw.push_str("data: ");
                raw.push_str(line);
                raw.push('\n');
                data.push(line.to_owned());
            }
        }
        raw.push('\n');
        Frame { raw: raw.into_bytes(), event: self.event.clone(), data }
    }

    /// A frame with this payload.
    pub fn of(event: Option<&str>, payload: &str) -> Frame {
        let name = event.map(|event| format!("event: {event}\n")).unwrap_or_default();
        Frame {
            raw: format!("{name}data: {payload}\n\n").into_bytes(),
            event: event.map(str::to_owned),
            data: vec![payload.to_owned()],
        }
    }
}

/// Reads frames out of bytes as they come.
#[derive(Debug, Default)]
pub struct FrameReader {
    /// Bytes of the frame that is not complete.
    partial: Vec<u8>,
    /// Where the line begins that is not complete.
    line: usize,
    /// How far `partial` has been searched for the end of that line.
    searched: usize,
    begun: bool,
}

impl FrameReader {
    /// Adds bytes; returns the frames that they complete.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Frame> {
        self.partial.extend_from_slice(bytes);
        let (mut frames, mut start) = (Vec::new(), 0);
        while let Some((end, next)) = self.line_end() {
            let empty = end == self.line;
            self.line = next;
            self.searched = next;
            if empty {
                let raw = self.partial.get(start..next).unwrap_or_default().to_vec();
                start = next;
                frames.push(self.frame(raw));
            }
        }
        // Once for all frames: what is left moves to the front.
        self.partial.drain(..start);
        self.line -= start;
        self.searched -= start;
        frames
    }

    /// The frame that the end of the stream completes, if anything is left.
    pub fn finish(&mut self) -> Option<Frame> {
        let mut raw = std::mem::take(&mut self.partial);
        (self.line, self.searched) = (0, 0);
        if raw.trim_ascii().is_empty() {
            return None;
        }
        if !raw.ends_with(b"\n\n") {
            raw.extend_from_slice(if raw.ends_with(b"\n") { b"\n" } else { b"\n\n" });
        }
        Some(self.frame(raw))
    }

    /// Bytes that wait for the rest of their frame.
    pub fn waiting(&self) -> usize {
        self.partial.len()
    }

    /// Where the current line ends and where the next begins.
    fn line_end(&mut self) -> Option<(usize, usize)> {
        let rest = self.partial.get(self.searched..)?;
        let Some(found) = memchr::memchr2(b'\n', b'\r', rest) else {
            self.searched = self.partial.len();
            return None;
        };
        let end = self.searched + found;
        if self.partial.get(end) == Some(&b'\n') {
            return Some((end, end + 1));
        }
        // After a CR the next byte decides whether the line ends with CRLF.
        match self.partial.get(end + 1) {
            Some(b'\n') => Some((end, end + 2)),
            Some(_) => Some((end, end + 1)),
            None => {
                self.searched = end;
                None
            }
        }
    }

    fn frame(&mut self, raw: Vec<u8>) -> Frame {
        let mut frame = Frame::default();
        let text = String::from_utf8_lossy(&raw).into_owned();
        let mut lines = text.as_str();
        if !std::mem::replace(&mut self.begun, true) {
            lines = lines.trim_start_matches('\u{feff}');
        }
        for line in lines.split(['\n', '\r']) {
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match name {
                "data" if !value.trim().is_empty() => frame.data.push(value.to_owned()),
                "event" => frame.event = Some(value.trim().to_owned()),
                _ => {}
            }
        }
        frame.raw = raw;
        frame
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frames(pieces: &[&[u8]]) -> Vec<Frame> {
        let mut reader = FrameReader::default();
        let mut frames: Vec<_> = pieces.iter().flat_map(|piece| reader.push(piece)).collect();
        frames.extend(reader.finish());
        frames
    }

    #[test]
    fn frames_keep_their_bytes_and_their_fields() {
        let text = b"\xef\xbb\xbf: hello\r\n\r\nevent: x\r\nid: 7\r\ndata: {\"a\":1}\r\n\r\ndata:{\"b\":2}\n\ndata: [DONE]\n\n";
        let found = frames(&[text]);
        let raw: Vec<u8> = found.iter().flat_map(|frame| frame.raw.clone()).collect();
        assert_eq!(raw, text);
        let payloads: Vec<_> =
            found.iter().flat_map(Frame::payloads).map(Cow::into_owned).collect();
        assert_eq!(payloads, ["{\"a\":1}", "{\"b\":2}", "[DONE]"]);
        assert_eq!(found[1].event.as_deref(), Some("x"));
        assert!(found[3].is_done());
    }

    #[test]
    fn data_lines_are_joined_if_they_are_one_document() {
        let one = frames(&[b"data: {\"a\":\ndata: 1}\n\n"]);
        assert_eq!(one[0].payloads(), ["{\"a\":\n1}"]);
        let two = frames(&[b"data: {\"a\":1}\ndata: [DONE]"]);
        assert_eq!(two[0].payloads(), ["{\"a\":1}", "[DONE]"]);
        assert!(two[0].is_done());
    }

    #[test]
    fn new_payloads_keep_the_other_lines() {
        let frame = &frames(&[b": c\nid: 7\nevent: e\ndata: {}\n\n"])[0];
        let new = frame.with_payloads(&["{\"a\":1}".to_owned()]);
        assert_eq!(new.raw, b": c\nid: 7\nevent: e\ndata: {\"a\":1}\n\n");
    }

    proptest! {
        #[test]
        fn it_does_not_matter_where_the_network_splits(
            events in prop::collection::vec("[a-zäß\"\\\\ ]{0,12}", 0..6),
            end in prop::sample::select(vec!["\n", "\r\n", "\r"]),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        ) {
            let line = |event: &String| format!("data: {}{end}{end}", serde_json::json!({ "t": event }));
            let text: String = events.iter().map(line).chain([format!("data: [DONE]{end}{end}")]).collect();
            let bytes = text.as_bytes();
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let pieces: Vec<_> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            let (split, whole) = (frames(&pieces), frames(&[bytes]));
            let data = |frames: &[Frame]| frames.iter().map(|f| f.data.clone()).collect::<Vec<_>>();
            prop_assert_eq!(data(&split), data(&whole));
            prop_assert_eq!(whole.len(), events.len() + 1);
        }
    }
}
