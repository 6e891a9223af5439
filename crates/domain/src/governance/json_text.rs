//! What a JSON text says that its parsed value no longer shows: keys that appear twice, and digits that a number
//! loses.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::governance::fault::Fault;

/// Keys of one object that are compared one by one before a set is worth its cost.
const FEW_KEYS: usize = 16;

/// Checks a text that `serde_json` accepts: another reader must see the same document as the gates and the record.
/// Other text gives any result.
///
/// # Errors
/// The place of a key that appears twice in one object, at any depth, or of a number that would lose digits.
pub fn check(json: &str) -> Result<(), Fault> {
    scan(json, true)
}

/// Whether no key appears twice in an object of a text that `serde_json` accepts, at any depth: every reader finds the
/// same fields in it.
pub fn has_unique_keys(json: &str) -> bool {
    scan(json, false).is_ok()
}

fn scan(json: &str, keeps_digits: bool) -> Result<(), Fault> {
    let bytes = json.as_bytes();
    let mut open: Vec<Level<'_>> = Vec::new();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'{' => open.push(Level::object()),
            b'[' => open.push(Level::List(0)),
            b'}' | b']' => drop(open.pop()),
            b',' => match open.last_mut() {
                Some(Level::List(index)) => *index += 1,
                Some(Level::Object { expects_key, .. }) => *expects_key = true,
                None => {}
            },
            b'"' => {
                let end = end_of_string(bytes, at);
                if let Some(Level::Object { keys, last, expects_key }) = open.last_mut()
                    && *expects_key
                {
                    *expects_key = false;
                    let key = text_of(json.get(at..end).unwrap_or_default());
                    let is_new = keys.insert(key.clone());
                    *last = key;
                    if !is_new {
                        let message = "appears twice in one object; send it once";
                        return Err(Fault::new(path(&open), message));
                    }
                }
                at = end;
                continue;
            }
            b'-' | b'0'..=b'9' if keeps_digits => {
                let rest = bytes.get(at..).unwrap_or_default();
                let is_of_number =
                    |byte: &u8| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
                let len = rest.iter().take_while(|byte| is_of_number(byte)).count();
                if !keeps_its_digits(json.get(at..at + len).unwrap_or_default()) {
                    let message = "has more digits than a number can keep; send it as a text";
                    return Err(Fault::new(path(&open), message));
                }
                at += len;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    Ok(())
}

/// An object or a list that is open.
enum Level<'t> {
    Object { keys: Keys<'t>, last: Cow<'t, str>, expects_key: bool },
    List(usize),
}

impl Level<'_> {
    fn object() -> Self {
        Level::Object { keys: Keys::default(), last: Cow::Borrowed(""), expects_key: true }
    }
}

#[derive(Default)]
struct Keys<'t> {
    few: Vec<Cow<'t, str>>,
    many: HashSet<Cow<'t, str>>,
}

impl<'t> Keys<'t> {
    /// Whether the key is new.
    fn insert(&mut self, key: Cow<'t, str>) -> bool {
        if self.few.contains(&key) {
            return false;
        }
        if self.few.len() < FEW_KEYS {
            self.few.push(key);
            return true;
        }
        self.many.insert(key)
    }
}

/// Where the string that begins here ends, after its quotation mark.
fn end_of_string(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// The text of a string in quotation marks.
fn text_of(quoted: &str) -> Cow<'_, str> {
    if quoted.contains('\\') {
        return Cow::Owned(serde_json::from_str(quoted).unwrap_or_default());
    }
    Cow::Borrowed(quoted.trim_start_matches('"').trim_end_matches('"'))
}

/// The place as faults name it.
fn path(open: &[Level<'_>]) -> String {
    let keys = open.iter().map(|level| match level {
        Level::Object { last, .. } => last.to_string(),
        Level::List(index) => index.to_string(),
    });
    keys.collect::<Vec<_>>().join(".")
}

/// Whether the number that `serde_json` reads is the number that the text writes.
fn keeps_its_digits(number: &str) -> bool {
    let is_whole = !number.contains(['.', 'e', 'E']);
    let digits = number.bytes().filter(u8::is_ascii_digit).count();
    if digits <= 15 && !number.contains(['e', 'E']) {
        return true;
    }
    if is_whole && (number.parse::<u64>().is_ok() || number.parse::<i64>().is_ok()) {
        return true;
    }
    // Few digits and a small power of ten are exact, as most exponents are.
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let is_small =
        exponent.trim_start_matches('+').parse::<i8>().is_ok_and(|n| (-22..=22).contains(&n));
    if is_small && mantissa.len() <= 15 {
        return true;
    }
    number.parse::<f64>().is_ok_and(|read| decimal(number) == decimal(&format!("{read:e}")))
}

/// The significant digits of a decimal number, and the power of ten of the last of them.
fn decimal(number: &str) -> (bool, String, i64) {
    let (is_negative, number) = match number.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, number),
    };
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    // An exponent that does not fit is of a number that is zero or infinite.
    let exponent = exponent.trim_start_matches('+').parse::<i64>().unwrap_or(i64::MIN / 2);
    let all = format!("{whole}{fraction}");
    let digits = all.trim_end_matches('0');
    let dropped = i64::try_from(all.len() - digits.len()).unwrap_or(0);
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() {
        return (is_negative, String::new(), 0);
    }
    let last = exponent - i64::try_from(fraction.len()).unwrap_or(0) + dropped;
    (is_negative, digits.to_owned(), last)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn place(json: &str) -> Option<String> {
        assert!(serde_json::from_str::<serde_json::Value>(json).is_ok(), "{json}");
        check(json).err().map(|fault| fault.path)
    }

    #[test]
    fn a_key_that_appears_twice_is_found_at_every_depth() {
        for (json, expected) in [
            (r#"{"a":1,"a":2}"#, "a"),
            (r#"{"a":{"b":[1,{"c":1,"d":{},"c":2}]}}"#, "a.b.1.c"),
            (r#"{"a":1,"\u0061":2}"#, "a"),
            (r#"[{}, {"x":"{\"x\"","y":1,"y":1}]"#, "1.y"),
            (r#"{"":0,"":1}"#, ""),
        ] {
            assert_eq!(place(json).as_deref(), Some(expected), "{json}");
        }
        let many: String = (0..40).map(|n| format!("\"k{n}\":0,")).collect();
        assert_eq!(place(&format!("{{{many}\"k30\":1}}")).as_deref(), Some("k30"));
        for json in [
            "{}",
            r#"{"a":{"a":{"a":["a","a"]}},"b":"a"}"#,
            r#"[{"a":1},{"a":1}]"#,
            r#"{"a\"":1,"a":"\\","b":"\",\"a\":"}"#,
            r#"{"a":true,"A":null}"#,
        ] {
            assert_eq!(place(json), None, "{json}");
        }
    }

    #[test]
    fn a_number_that_loses_digits_is_found() {
        for number in [
            "12345678901234567890123",
            "-9223372036854775809",
            "18446744073709551616.5",
            "0.1234567890123456789",
            "3.14159265358979323846",
            "1e-400",
            "123456789012345678.5",
        ] {
            assert_eq!(
                place(&format!(r#"{{"a":[0,{number}]}}"#)).as_deref(),
                Some("a.1"),
                "{number}"
            );
        }
        for number in [
            "0",
            "-0",
            "-0.0",
            "1.50",
            "1e3",
            "1E+3",
            "0.1",
            "18446744073709551615",
            "-9223372036854775808",
            "0.30000000000000004",
            "1.7976931348623157e308",
            "5e-324",
            "100000000000000000000000",
            "0.000000000000000000000000",
        ] {
            assert_eq!(place(&format!(r#"{{"a":{number}}}"#)), None, "{number}");
        }
    }

    proptest! {
        #[test]
        fn every_number_that_a_program_writes_passes(float: f64, whole: i64, natural: u64) {
            prop_assume!(float.is_finite());
            for number in [format!("{float:e}"), serde_json::json!(float).to_string()] {
                prop_assert!(keeps_its_digits(&number), "{}", number);
            }
            prop_assert_eq!(check(&format!("[{whole},{natural}]")), Ok(()));
        }

        #[test]
        fn any_text_ends(text: String, bytes in "[\\[\\]{}\",:\\\\0-9eE.+a -]{0,60}") {
            let _ = (check(&text), check(&bytes));
        }
    }
}
