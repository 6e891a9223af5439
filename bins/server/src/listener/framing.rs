//! Tracks which bytes of a connection belong to request heads and which to bodies.
//!
//! It makes no decisions. It replaces a bare line feed in a head by a NUL, which no HTTP parser accepts, and passes
//! everything it does not understand to the parser. If it ever mistook a body for a head, the NUL would be invalid
//! JSON: a mistake leads to a 400, never to another interpretation of the request.

/// Stored prefix of a line; no header that frames a body is longer.
const MAX_LINE: usize = 256;

/// The position of the next byte in the stream of requests.
#[derive(Debug, Default)]
pub(super) struct Framing {
    state: State,
    /// The beginning of an incomplete line.
    line: Vec<u8>,
    length: u64,
    chunked: bool,
    /// Whether the next head has begun to arrive.
    begun: bool,
    /// Number of completed heads and bodies.
    ended: u64,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    /// In or before a request line or a header.
    #[default]
    Head,
    /// Remaining bytes of a body.
    Body(u64),
    /// In the line with a chunk's size.
    ChunkSize,
    /// Remaining bytes of a chunk and its line end.
    Chunk(u64),
    /// In the lines after the last chunk.
    Trailers,
    /// The parser will reject the request; the rest is ignored.
    Lost,
}

impl Framing {
    /// Inspects the next bytes of the connection and invalidates heads that contain a bare line feed.
    pub(super) fn spoil_bare_line_feeds(&mut self, mut bytes: &mut [u8]) {
        while !bytes.is_empty() {
            let passed = match self.state {
                State::Lost => return,
                State::Body(left) | State::Chunk(left) => self.skip(left, bytes.len()),
                State::Head | State::ChunkSize | State::Trailers => self.line(bytes),
            };
            bytes = bytes.get_mut(passed..).unwrap_or_default();
        }
    }

    /// The number of the head or body that is arriving; none between requests.
    pub(super) fn unfinished(&self) -> Option<u64> {
        let waiting = match self.state {
            State::Head => self.begun,
            State::Lost => false,
            _ => true,
        };
        waiting.then_some(self.ended)
    }

    /// Whether the next byte belongs to a body.
    pub(super) fn in_body(&self) -> bool {
        matches!(self.state, State::Body(_) | State::Chunk(_))
    }

    fn skip(&mut self, left: u64, arrived: usize) -> usize {
        let passed = usize::try_from(left).unwrap_or(usize::MAX).min(arrived);
        let left = left - passed as u64;
        self.state = match (self.state, left) {
            (State::Body(_), 0) => self.body_ended(),
            (State::Body(_), left) => State::Body(left),
            (_, 0) => State::ChunkSize,
            (_, left) => State::Chunk(left),
        };
        passed
    }

    /// Consumes bytes up to the end of the current line, if it has arrived.
    fn line(&mut self, bytes: &mut [u8]) -> usize {
        self.begun |= self.state == State::Head;
        let Some(end) = memchr::memchr(b'\n', bytes) else {
            self.keep(bytes);
            return bytes.len();
        };
        let part = bytes.get(..end).unwrap_or_default();
        let well_ended = if self.line.is_empty() {
            // The usual case: the whole line has arrived, and nothing needs to be stored.
            self.take_line(part)
        } else {
            self.keep(part);
            let mut line = std::mem::take(&mut self.line);
            let well_ended = self.take_line(&line);
            line.clear();
            self.line = line;
            well_ended
        };
        if !well_ended {
            if self.state == State::Head {
                bytes[end] = 0;
            }
            // The parser itself is strict within a chunked body.
            self.state = State::Lost;
        }
        end + 1
    }

    /// Stores the beginning of a line until the rest arrives.
    fn keep(&mut self, part: &[u8]) {
        let room = MAX_LINE.saturating_sub(self.line.len());
        self.line.extend_from_slice(part.get(..room).unwrap_or(part));
        // The last byte determines the line end, however long the line is.
        if let (Some(last), true) = (part.last(), part.len() > room) {
            self.line.pop();
            self.line.push(*last);
        }
    }

    /// Processes the bytes before a line feed; false if the last one is not a carriage return.
    fn take_line(&mut self, line: &[u8]) -> bool {
        let Some((b'\r', line)) = line.split_last() else { return false };
        self.line_ended(line);
        true
    }

    fn line_ended(&mut self, line: &[u8]) {
        self.state = match (self.state, line.is_empty()) {
            (State::Head, false) => {
                self.note_header(line);
                State::Head
            }
            (State::Head, true) => self.head_ended(),
            (State::ChunkSize, _) => match chunk_size(line) {
                Some(0) => State::Trailers,
                Some(size) => State::Chunk(size.saturating_add(2)),
                None => State::Lost,
            },
            (State::Trailers, true) => self.body_ended(),
            (state, _) => state,
        };
    }

    fn body_ended(&mut self) -> State {
        self.ended += 1;
        State::Head
    }

    fn head_ended(&mut self) -> State {
        self.begun = false;
        self.ended += 1;
        let (length, chunked) =
            (std::mem::take(&mut self.length), std::mem::take(&mut self.chunked));
        match (chunked, length) {
            (true, _) => State::ChunkSize,
            (false, 0) => State::Head,
            (false, length) => State::Body(length),
        }
    }

    fn note_header(&mut self, line: &[u8]) {
        // Only two names matter, and most lines start with neither.
        if !matches!(line.first(), Some(b'C' | b'c' | b'T' | b't')) {
            return;
        }
        let Some((name, value)) = std::str::from_utf8(line).ok().and_then(|l| l.split_once(':'))
        else {
            return;
        };
        if name.eq_ignore_ascii_case("content-length") {
            self.length = value.trim().parse().unwrap_or(0);
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            self.chunked = value.to_ascii_lowercase().contains("chunked");
        }
    }
}

fn chunk_size(line: &[u8]) -> Option<u64> {
    let line = std::str::from_utf8(line).ok()?;
    let size = line.split(';').next().unwrap_or(line).trim();
    u64::from_str_radix(size, 16).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The bytes as the parser gets them when they arrive in pieces of this size.
    fn passed(text: &str, piece: usize) -> String {
        let mut bytes = text.as_bytes().to_vec();
        let mut framing = Framing::default();
        for piece in bytes.chunks_mut(piece) {
            framing.spoil_bare_line_feeds(piece);
        }
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn bare_line_feeds_in_heads_are_spoilt_and_those_in_bodies_are_not() {
        let good = "\r\nPOST /act HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n{\n\n}\
                    POST /act HTTP/1.1\r\ntransfer-encoding: Chunked\r\n\r\n3;x\r\n{\n}\r\n0\r\nT: x\r\n\r\n\
                    GET / HTTP/1.1\r\n\r\n";
        for piece in 1..good.len() {
            assert_eq!(passed(good, piece), good);
            let bad = format!("{good}GET / HTTP/1.1\nHost: x\r\n\r\n");
            assert_eq!(passed(&bad, piece), format!("{good}GET / HTTP/1.1\0Host: x\r\n\r\n"));
        }
    }

    #[test]
    fn a_bare_line_feed_at_the_end_of_a_long_line_is_found() {
        for length in 1..600 {
            let head = |end: &str| format!("GET /{}{end}\r\n", "x".repeat(length));
            assert_eq!(passed(&head("\r\n"), 97), head("\r\n"));
            assert_eq!(passed(&head("\n"), 97), head("\0"));
        }
    }

    #[test]
    fn what_has_begun_is_unfinished_until_its_end() {
        let mut framing = Framing::default();
        let mut after = |text: &str| {
            framing.spoil_bare_line_feeds(&mut text.as_bytes().to_vec());
            framing.unfinished()
        };
        assert_eq!(after(""), None);
        assert_eq!(after("POST /a HT"), Some(0));
        assert_eq!(after("TP/1.1\r\ncontent-length: 2\r\n"), Some(0));
        assert_eq!(after("\r\n"), Some(1), "the body is another thing to wait for");
        assert_eq!(after("{}"), None);
        assert_eq!(after("GET / HTTP/1.1\r\n\r\n"), None);
        assert_eq!(after("GET / HTTP/1.1\r\n\r\nGET"), Some(4), "the next one has its own time");
    }

    proptest! {
        #[test]
        fn whatever_arrives_only_line_feeds_ever_change(mut bytes: Vec<u8>, piece in 1_usize..50) {
            let before = bytes.clone();
            let mut framing = Framing::default();
            bytes.chunks_mut(piece).for_each(|piece| framing.spoil_bare_line_feeds(piece));
            for (before, after) in before.iter().zip(&bytes) {
                prop_assert!(before == after || (*before == b'\n' && *after == 0));
            }
        }
    }
}
