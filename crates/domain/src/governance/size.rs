//! How large a value is as JSON, without writing it anywhere.

use serde::Serialize;

/// Bytes of the value as compact JSON; more than any bound for what cannot be written as JSON.
pub fn json_size(value: &impl Serialize) -> usize {
    let mut count = ByteCount(0);
    serde_json::to_writer(&mut count, value).map_or(usize::MAX, |()| count.0)
}

struct ByteCount(usize);

impl std::io::Write for ByteCount {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_size_is_that_of_the_text_that_would_be_written() {
        for value in [json!(null), json!({"a": [1, "\u{1}ü\n"], "b": {}}), json!("x".repeat(300))]
        {
            assert_eq!(json_size(&value), value.to_string().len(), "{value}");
        }
    }
}
