//! Splits a response of type `text/event-stream` into events that keep their bytes.

/// An event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The event as it was sent, with the blank line that ends it.
    pub raw: Vec<u8>,
    /// Its `data`, lines joined; empty for comments.
    pub data: String,
}

/// Reads events from pieces of a stream.
#[derive(Debug, Default)]
pub struct Events {
    buffer: Vec<u8>,
    /// Where the search for the end of the next event continues.
    searched: usize,
}

impl Events {
    /// Adds a piece.
    pub fn push(&mut self, piece: &[u8]) {
        self.buffer.extend_from_slice(piece);
    }

    /// Bytes of the incomplete event.
    pub fn pending(&self) -> usize {
        self.buffer.len()
    }

    /// The next complete event.
    pub fn next_event(&mut self) -> Option<Event> {
        let end = self.end()?;
        let raw: Vec<u8> = self.buffer.drain(..end).collect();
        self.searched = 0;
        let text = String::from_utf8_lossy(&raw);
        // The three ends of a line that the format knows, of which `lines` knows two, and the mark that may precede it.
        let lines = text.trim_start_matches('\u{feff}').split(['\n', '\r']);
        let data: Vec<_> = lines
            .filter_map(|line| line.strip_prefix("data:"))
            .map(|line| line.strip_prefix(' ').unwrap_or(line))
            .collect();
        let data = data.join("\n");
        Some(Event { raw, data })
    }

    /// The end of the first event, after its blank line.
    fn end(&mut self) -> Option<usize> {
        let start = self.searched;
        for (at, window) in self.buffer.windows(2).enumerate().skip(start) {
            if window == b"\n\n" || window == b"\r\r" {
                return Some(at + 2);
            }
            if window == b"\n\r" && self.buffer.get(at + 2) == Some(&b'\n') {
                return Some(at + 3);
            }
        }
        self.searched = self.buffer.len().saturating_sub(3);
        None
    }
}

/// An event that holds this message.
pub fn event(data: &str) -> Vec<u8> {
    format!("event: message\ndata: {data}\n\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_found_in_any_pieces() {
        let stream =
            b": ping\n\nevent: message\r\ndata: {\"a\":\r\ndata: 1}\r\n\r\ndata:x\n\nid: 1\rdata: y\r\rid: 2\r\ndata: z\n\n"
                .to_vec();
        let expected = ["", "{\"a\":\n1}", "x", "y", "z"];
        for size in 1..stream.len() {
            let (mut events, mut found, mut raw) = (Events::default(), Vec::new(), Vec::new());
            for piece in stream.chunks(size) {
                events.push(piece);
                while let Some(event) = events.next_event() {
                    raw.extend(&event.raw);
                    found.push(event.data);
                }
            }
            assert_eq!(found, expected, "{size}");
            assert_eq!((&raw, events.pending()), (&stream, 0), "{size}");
        }
    }
}
