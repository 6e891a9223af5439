//! The ids of traces and spans: bytes that are not all zero, written in lower-case hex.

use std::fmt;

/// The id of a trace.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId([u8; 16]);

/// The id of a span.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId([u8; 8]);

macro_rules! id {
    ($name:ident, $length:literal) => {
        impl $name {
            /// An id of these bytes; `None` if all of them are zero.
            pub fn new(bytes: [u8; $length]) -> Option<Self> {
                (bytes != [0; $length]).then_some(Self(bytes))
            }

            /// Reads lower-case hex.
            pub fn read(text: &str) -> Option<Self> {
                let mut bytes = [0; $length];
                if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
                    return None;
                }
                hex::decode_to_slice(text, &mut bytes).ok()?;
                Self::new(bytes)
            }

            /// The bytes.
            pub fn bytes(self) -> [u8; $length] {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

id!(TraceId, 16);
id!(SpanId, 8);
