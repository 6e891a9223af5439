//! A response: its status, and its body as it arrives.

use std::io::{BufRead, BufReader, Error, ErrorKind, Read};

use super::Socket;

/// Longest line of a head or of a chunk's size, in bytes.
const MAX_LINE: u64 = 16 * 1024;
/// Most lines of a head.
const MAX_HEADERS: usize = 128;

/// A response to one request.
pub(in crate::commands) struct Response<R = Socket> {
    pub(in crate::commands) status: u16,
    pub(in crate::commands) body: BufReader<Body<R>>,
}

/// The bytes of a body, without the framing of HTTP/1.1.
pub(in crate::commands) struct Body<R> {
    from: BufReader<R>,
    framing: Framing,
}

enum Framing {
    /// As many bytes are left.
    Sized(u64),
    /// As many bytes of a chunk are left, and another chunk follows; none before the first chunk.
    Chunks(Option<u64>),
    /// All bytes until the connection ends.
    UntilClosed,
}

impl<R: Read> Response<R> {
    /// Reads the head.
    pub(super) fn read(from: R) -> std::io::Result<Self> {
        let mut from = BufReader::new(from);
        let first = line(&mut from)?;
        let status = first.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)?.parse().ok());
        let status = status.ok_or_else(not_http)?;
        let mut framing = Framing::UntilClosed;
        for _ in 0..MAX_HEADERS {
            let header = line(&mut from)?.to_ascii_lowercase();
            if header.is_empty() {
                let body = BufReader::new(Body { from, framing });
                return Ok(Self { status, body });
            }
            let (name, value) = header.split_once(':').ok_or_else(not_http)?;
            match (name, value.trim()) {
                ("transfer-encoding", "chunked") => framing = Framing::Chunks(None),
                ("content-length", length) => {
                    framing = Framing::Sized(length.parse().map_err(|_| not_http())?);
                }
                _ => {}
            }
        }
        Err(not_http())
    }
}

fn not_http() -> Error {
    Error::new(ErrorKind::InvalidData, "the response is not HTTP")
}

/// A line without its end.
fn line(from: &mut impl BufRead) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    from.take(MAX_LINE).read_until(b'\n', &mut bytes)?;
    if bytes.is_empty() {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    let text = bytes.strip_suffix(b"\n").map(|text| text.strip_suffix(b"\r").unwrap_or(text));
    let text = text.and_then(|text| std::str::from_utf8(text).ok()).ok_or_else(not_http)?;
    Ok(text.to_owned())
}

impl<R: Read> Body<R> {
    /// The bytes left of the present chunk, or of the next one; 0 at the end. Trailers stay unread, because the
    /// connection is not used again.
    fn chunk(&mut self, left: Option<u64>) -> std::io::Result<u64> {
        match left {
            Some(left @ 1..) => return Ok(left),
            Some(0) if !line(&mut self.from)?.is_empty() => return Err(not_http()),
            _ => {}
        }
        let size = line(&mut self.from)?;
        let size = size.split(';').next().unwrap_or_default().trim();
        u64::from_str_radix(size, 16).map_err(|_| not_http())
    }
}

impl<R: Read> Read for Body<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let left = match self.framing {
            Framing::UntilClosed => return self.from.read(buffer),
            Framing::Sized(left) => left,
            Framing::Chunks(left) => self.chunk(left)?,
        };
        if left == 0 {
            self.framing = Framing::Sized(0);
            return Ok(0);
        }
        let read = (&mut self.from).take(left).read(buffer)?;
        if read == 0 && !buffer.is_empty() {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let left = left.saturating_sub(read as u64);
        self.framing = match self.framing {
            Framing::Chunks(_) => Framing::Chunks(Some(left)),
            _ => Framing::Sized(left),
        };
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> std::io::Result<(u16, String)> {
        let mut response = Response::read(text.as_bytes())?;
        let mut body = String::new();
        response.body.read_to_string(&mut body)?;
        Ok((response.status, body))
    }

    #[test]
    fn bodies_are_read_in_each_framing() {
        for (text, expected) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}and more", (200, "{}")),
            ("HTTP/1.1 503 Busy\r\n\r\nuntil the end", (503, "until the end")),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n",
                (200, "abc0123456789"),
            ),
            ("HTTP/1.0 204 No\ncontent-length: 0\n\n", (204, "")),
        ] {
            assert_eq!(read(text).unwrap(), (expected.0, expected.1.to_owned()), "{text}");
        }
    }

    #[test]
    fn a_response_that_ends_early_or_is_no_http_is_an_error() {
        for (text, kind) in [
            ("", ErrorKind::UnexpectedEof),
            ("SSH-2.0-OpenSSH\r\n", ErrorKind::InvalidData),
            ("HTTP/1.1 200 OK\r\nno header\r\n\r\n", ErrorKind::InvalidData),
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", ErrorKind::UnexpectedEof),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", ErrorKind::InvalidData),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab",
                ErrorKind::UnexpectedEof,
            ),
        ] {
            assert_eq!(read(text).unwrap_err().kind(), kind, "{text}");
        }
    }
}
