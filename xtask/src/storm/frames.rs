//! The messages of PostgreSQL's protocol, as far as a commit of rows can be found among them.

/// What is behind a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Postgres,
    /// Another server; its messages are not looked at.
    Other,
}

/// Bytes at the start of a message that tell what it is.
const SHOWN: usize = 24;
/// A transaction that sends as much writes rows.
const WRITES: usize = 1024;

/// One direction of a connection.
pub(super) struct Frames {
    side: Side,
    is_of_server: bool,
    /// The first message of a client has no type.
    is_started: bool,
    /// The start of the present message.
    shown: Vec<u8>,
    /// Bytes of the present message that have not come; `None` until its length is known.
    left: Option<usize>,
    /// Whether the present transaction writes.
    writes: bool,
    sent: usize,
}

impl Frames {
    pub(super) fn of_client(side: Side) -> Self {
        let (shown, left) = (Vec::new(), None);
        Self { side, is_of_server: false, is_started: false, shown, left, writes: false, sent: 0 }
    }

    pub(super) fn of_server(side: Side) -> Self {
        Self { is_of_server: true, is_started: true, ..Self::of_client(side) }
    }

    pub(super) fn is_of_server(&self) -> bool {
        self.is_of_server
    }

    /// Where the first commit of a writing transaction starts and ends in the bytes that come next.
    pub(super) fn commit_in(&mut self, bytes: &[u8]) -> Option<(usize, usize)> {
        if self.side != Side::Postgres {
            return None;
        }
        let (mut found, mut start, mut at) = (None, 0, 0);
        while at < bytes.len() {
            match self.left {
                // The type, the length, and what follows.
                None => {
                    if self.shown.is_empty() {
                        start = at;
                    }
                    self.shown.push(bytes[at]);
                    at += 1;
                    let head = if self.is_started { 5 } else { 4 };
                    if self.shown.len() == head {
                        let length = &self.shown[head - 4..head];
                        let length =
                            length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
                        self.left = Some(length.saturating_sub(4));
                    }
                }
                Some(left) => {
                    let taken = left.min(bytes.len() - at);
                    let room = SHOWN.saturating_sub(self.shown.len()).min(taken);
                    self.shown.extend_from_slice(&bytes[at..at + room]);
                    at += taken;
                    self.left = Some(left - taken);
                }
            }
            if self.left == Some(0) {
                if self.end_message() {
                    found = found.or(Some((start, at)));
                }
                self.left = None;
                self.shown.clear();
                self.is_started = true;
                start = at;
            }
        }
        found
    }

    /// Notes a complete message. Whether it is the commit of a writing transaction, or the response to one.
    fn end_message(&mut self) -> bool {
        self.sent += self.shown.len();
        let (expected, text) = match self.shown.split_first() {
            Some((kind, rest)) if self.is_started => (*kind, rest.get(4..).unwrap_or_default()),
            _ => return false,
        };
        let said = |word: &str| text.starts_with(word.as_bytes());
        match (self.is_of_server, expected) {
            // The tag of a complete command.
            (true, b'C') if said("COMMIT") => return std::mem::take(&mut self.writes),
            (true, b'C') => self.writes |= said("INSERT") || said("UPDATE") || said("NOTIFY"),
            (false, b'Q') if said("COMMIT") => {
                let is_long = std::mem::take(&mut self.sent) > WRITES;
                return std::mem::take(&mut self.writes) || is_long;
            }
            (false, b'Q') if said("BEGIN") => (self.writes, self.sent) = (false, 0),
            (false, b'Q') => self.writes |= said("NOTIFY"),
            _ => {}
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, text: &str) -> Vec<u8> {
        let length = u32::try_from(text.len() + 5).unwrap().to_be_bytes();
        [&[kind][..], &length, text.as_bytes(), &[0]].concat()
    }

    fn commits(frames: &mut Frames, bytes: &[u8], piece: usize) -> usize {
        bytes.chunks(piece).filter(|piece| frames.commit_in(piece).is_some()).count()
    }

    #[test]
    fn only_commits_that_write_are_found_in_pieces_of_any_size() {
        let start = [&9_u32.to_be_bytes()[..], b"hello"].concat();
        let read = [message(b'Q', "BEGIN"), message(b'Q', "COMMIT")].concat();
        let write =
            [message(b'Q', "BEGIN"), message(b'Q', "NOTIFY x"), message(b'Q', "COMMIT")].concat();
        let all = [start, read.clone(), write, read].concat();
        let answers = ["BEGIN", "COMMIT", "BEGIN", "INSERT 0 1", "COMMIT", "COMMIT"];
        let answers = answers.map(|tag| message(b'C', tag)).concat();
        for piece in [1, 2, 3, 7, 1000] {
            assert_eq!(commits(&mut Frames::of_client(Side::Postgres), &all, piece), 1);
            assert_eq!(commits(&mut Frames::of_client(Side::Other), &all, piece), 0);
            assert_eq!(commits(&mut Frames::of_server(Side::Postgres), &answers, piece), 1);
        }
    }

    #[test]
    fn a_commit_is_found_where_it_is() {
        let before = [message(b'C', "BEGIN"), message(b'C', "NOTIFY")].concat();
        let commit = message(b'C', "COMMIT");
        let all = [before.clone(), commit.clone(), message(b'Z', "")].concat();
        let found = Frames::of_server(Side::Postgres).commit_in(&all);
        assert_eq!(found, Some((before.len(), before.len() + commit.len())));
    }
}
