//! Server-sent events from a body, as the HTML standard defines them.

use std::io::{BufRead, Read};

/// Longest line, in bytes.
const MAX_LINE: u64 = 32 * 1024 * 1024;

/// An event.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) name: String,
    pub(super) data: String,
    /// The number of the row after which a stream resumes.
    pub(super) id: Option<u64>,
}

/// The events of a body.
pub(super) struct Events<R> {
    from: R,
    id: Option<u64>,
}

impl<R: BufRead> Events<R> {
    pub(super) fn new(from: R) -> Self {
        Self { from, id: None }
    }

    /// The next event; none at the end. An event that is cut off by the end is none.
    pub(super) fn next(&mut self) -> std::io::Result<Option<Event>> {
        let (mut event, mut line) = (Event::default(), String::new());
        loop {
            line.clear();
            let read = self.from.by_ref().take(MAX_LINE).read_line(&mut line)?;
            if read == 0 || !line.ends_with('\n') {
                return Ok(None);
            }
            let text = line.trim_end_matches(['\r', '\n']);
            if text.is_empty() && !event.data.is_empty() {
                event.id = self.id;
                return Ok(Some(event));
            }
            let (field, value) = text.split_once(':').unwrap_or((text, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "event" => value.clone_into(&mut event.name),
                "data" => {
                    if !event.data.is_empty() {
                        event.data.push('\n');
                    }
                    event.data.push_str(value);
                }
                "id" => self.id = value.parse().ok().or(self.id),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_with_the_id_that_precedes_them() {
        let text = "retry: 5000\nid: 6\n\nevent: ready\ndata: {}\n\n:keepalive\n\nid: 7\r\nevent:obs.turn\r\n\
                    data: {\"id\":7}\r\n\r\ndata: a\ndata: b\n\nid: 9\ndata: cut off";
        let mut events = Events::new(text.as_bytes());
        let mut all = Vec::new();
        while let Some(event) = events.next().unwrap() {
            all.push((event.name, event.data, event.id));
        }
        let event = |name: &str, data: &str, id| (name.to_owned(), data.to_owned(), Some(id));
        assert_eq!(
            all,
            [event("ready", "{}", 6), event("obs.turn", "{\"id\":7}", 7), event("", "a\nb", 7)]
        );
    }
}
