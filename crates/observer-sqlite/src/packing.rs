//! Deflates the bodies of texts. What people and models write takes a third of the room, and small records leave
//! less of a page unused.

use std::io::Read;

use flate2::read::DeflateDecoder;
use flate2::{Compress, Compression, FlushCompress, Status};

/// Shortest body that is deflated, in bytes.
const MIN_PACKED: usize = 192;

/// Deflates bodies one after the other.
pub(crate) struct Packer(Compress);

impl Packer {
    pub(crate) fn new() -> Self {
        Self(Compress::new(Compression::fast(), false))
    }

    /// The deflated body; `None` if that saves nothing.
    pub(crate) fn pack(&mut self, body: &str) -> Option<Vec<u8>> {
        if body.len() < MIN_PACKED {
            return None;
        }
        self.0.reset();
        let mut packed = Vec::with_capacity(body.len());
        let status = self.0.compress_vec(body.as_bytes(), &mut packed, FlushCompress::Finish);
        matches!(status, Ok(Status::StreamEnd)).then_some(packed)
    }
}

/// The body that was deflated; `None` if the bytes are not one.
pub(crate) fn unpack(packed: &[u8]) -> Option<String> {
    let mut body = String::new();
    DeflateDecoder::new(packed).read_to_string(&mut body).ok()?;
    Some(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_comes_back_and_one_that_does_not_shrink_stays() {
        let mut packer = Packer::new();
        for body in ["let value = 1;\n".repeat(400), "ä€😀\u{0}".repeat(90), "x".repeat(1 << 20)]
        {
            let packed = packer.pack(&body).unwrap();
            assert!(packed.len() < body.len() / 3, "{}", packed.len());
            assert_eq!(unpack(&packed), Some(body));
        }
        assert_eq!(packer.pack("short"), None);
        let noise: String = (0..200u32).map(|n| char::from(33 + (n * n * 31 % 89) as u8)).collect();
        assert!(packer.pack(&noise).is_none_or(|packed| unpack(&packed) == Some(noise.clone())));
        assert_eq!(unpack(b"no deflated text"), None);
    }
}
