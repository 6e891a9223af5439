//! Edits JSON text in place, so that everything that is not edited keeps its bytes: the order of
//! keys, the digits of numbers, white space and unknown fields.
//!
//! `serde_json::Value` sorts keys and rewrites numbers, so a document that passes through it is no
//! longer the document that was sent. The functions here expect text that `serde_json` accepts after
//! [`repair_surrogates`]; other text is an error and never a panic.

use std::borrow::Cow;
use std::collections::HashSet;

/// One step from the root of a document to a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// A member of an object.
    Key(String),
    /// An item of an array.
    Index(usize),
}

impl Segment {
    /// Whether the step is this member.
    pub fn is_key(&self, name: &str) -> bool {
        matches!(self, Segment::Key(key) if key == name)
    }
}

/// Which kind of string [`rewrite`] visits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The name of a member. The path leads to the object that holds it.
    Key,
    /// A value. The path leads to it.
    Value,
}

/// Returns the new text of a string, or none to keep it. It gets the path, the role and the text.
pub type Editor<'e> = dyn FnMut(&[Segment], Role, &str) -> Option<String> + 'e;

/// Why a document cannot be edited.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// The text is not JSON at this byte.
    #[error("the text is not JSON at byte {0}")]
    Malformed(usize),
    /// An object has two members of the same name; parsers disagree on which one counts.
    #[error("the key `{0}` appears twice in one object")]
    DuplicateKey(String),
}

/// Replaces each string for which `edit` returns a new text. Returns the document unchanged, and
/// without a copy, if no string was replaced.
pub fn rewrite<'t>(json: &'t str, edit: &mut Editor<'_>) -> Result<Cow<'t, str>, EditError> {
    let mut walk = Walk { json, at: 0, path: Vec::new(), copied: 0, out: None, edit };
    walk.space();
    walk.value()?;
    walk.space();
    if walk.at != json.len() {
        return Err(EditError::Malformed(walk.at));
    }
    Ok(match walk.out {
        None => Cow::Borrowed(json),
        Some(mut out) => {
            out.push_str(json.get(walk.copied..).unwrap_or_default());
            Cow::Owned(out)
        }
    })
}

/// Sets a member of the outermost object to a value given as JSON: in place if it exists, else as
/// the first member.
pub fn set_member(json: &str, name: &str, value: &str) -> Result<String, EditError> {
    let start = json.len() - json.trim_start().len();
    if json.as_bytes().get(start) != Some(&b'{') {
        return Err(EditError::Malformed(start));
    }
    let mut edit = |_: &[Segment], _: Role, _: &str| None;
    let mut walk =
        Walk { json, at: start + 1, path: Vec::new(), copied: 0, out: None, edit: &mut edit };
    let (before, after) = json.split_at(start + 1);
    loop {
        walk.space();
        match walk.peek() {
            Some(b'"') => {}
            Some(b'}') => break,
            _ => return Err(EditError::Malformed(walk.at)),
        }
        let key = walk.string()?;
        walk.space();
        walk.expect(b':')?;
        walk.space();
        let begin = walk.at;
        walk.value()?;
        if key == name {
            let (head, tail) = (json.get(..begin), json.get(walk.at..));
            return Ok([head.unwrap_or_default(), value, tail.unwrap_or_default()].concat());
        }
        walk.space();
        if walk.peek() == Some(b',') {
            walk.at += 1;
        }
    }
    let name = serde_json::Value::from(name).to_string();
    let comma = if after.trim_start().starts_with('}') { "" } else { "," };
    Ok([before, &name, ":", value, comma, after].concat())
}

/// Replaces each escape of half a surrogate pair by the escape of U+FFFD. Some providers cut texts
/// inside an emoji, and no strict parser accepts the halves.
pub fn repair_surrogates(json: &str) -> Cow<'_, str> {
    let bytes = json.as_bytes();
    let (mut out, mut copied, mut at): (Option<String>, usize, usize) = (None, 0, 0);
    while let Some(found) = bytes.get(at..).and_then(|rest| memchr::memchr(b'\\', rest)) {
        at += found;
        let Some(unit) = unit_at(bytes, at) else {
            // Another escape; its second byte may be a backslash too.
            at += 2;
            continue;
        };
        let low = unit_at(bytes, at + 6).filter(|low| (0xDC00..0xE000).contains(low));
        match unit {
            0xD800..0xDC00 if low.is_some() => at += 12,
            0xD800..0xE000 => {
                let out = out.get_or_insert_default();
                out.push_str(json.get(copied..at).unwrap_or_default());
                out.push_str("\\ufffd");
                at += 6;
                copied = at;
            }
            _ => at += 6,
        }
    }
    match out {
        None => Cow::Borrowed(json),
        Some(mut out) => {
            out.push_str(json.get(copied..).unwrap_or_default());
            Cow::Owned(out)
        }
    }
}

/// The code unit of the escape `\uXXXX` that begins here.
fn unit_at(bytes: &[u8], at: usize) -> Option<u32> {
    let escape = bytes.get(at..at + 6)?;
    let digits = std::str::from_utf8(escape.strip_prefix(b"\\u")?).ok()?;
    digits.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u32::from_str_radix(digits, 16).ok())?
}

struct Walk<'t, 'e> {
    json: &'t str,
    at: usize,
    path: Vec<Segment>,
    /// How much of the text is in `out` already.
    copied: usize,
    out: Option<String>,
    edit: &'e mut Editor<'e>,
}

impl<'t> Walk<'t, '_> {
    fn peek(&self) -> Option<u8> {
        self.json.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), EditError> {
        if self.peek() != Some(byte) {
            return Err(EditError::Malformed(self.at));
        }
        self.at += 1;
        Ok(())
    }

    fn value(&mut self) -> Result<(), EditError> {
        match self.peek() {
            Some(b'"') => {
                let begin = self.at;
                let text = self.string()?;
                self.offer(begin, Role::Value, &text);
                Ok(())
            }
            Some(b'{') => self.object(),
            Some(b'[') => self.array(),
            Some(_) => self.scalar(),
            None => Err(EditError::Malformed(self.at)),
        }
    }

    fn object(&mut self) -> Result<(), EditError> {
        // serde_json has parsed the text and bounds the depth, so recursion is bounded too.
        if self.path.len() > 256 {
            return Err(EditError::Malformed(self.at));
        }
        self.expect(b'{')?;
        let mut names: HashSet<String> = HashSet::new();
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.space();
            let begin = self.at;
            let name = self.string()?.into_owned();
            self.offer(begin, Role::Key, &name);
            if !names.insert(name.clone()) {
                return Err(EditError::DuplicateKey(name.chars().take(64).collect()));
            }
            self.space();
            self.expect(b':')?;
            self.space();
            self.path.push(Segment::Key(name));
            self.value()?;
            self.path.pop();
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                _ => return self.expect(b'}'),
            }
        }
    }

    fn array(&mut self) -> Result<(), EditError> {
        if self.path.len() > 256 {
            return Err(EditError::Malformed(self.at));
        }
        self.expect(b'[')?;
        self.space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        for index in 0.. {
            self.space();
            self.path.push(Segment::Index(index));
            self.value()?;
            self.path.pop();
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                _ => break,
            }
        }
        self.expect(b']')
    }

    fn scalar(&mut self) -> Result<(), EditError> {
        let begin = self.at;
        while let Some(byte) = self.peek()
            && (byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
        {
            self.at += 1;
        }
        if self.at == begin { Err(EditError::Malformed(begin)) } else { Ok(()) }
    }

    /// Reads the string that begins here; half a surrogate pair reads as U+FFFD.
    fn string(&mut self) -> Result<Cow<'t, str>, EditError> {
        self.expect(b'"')?;
        let begin = self.at;
        let bytes = self.json.as_bytes();
        let mut plain = true;
        loop {
            let rest = bytes.get(self.at..).unwrap_or_default();
            let Some(found) = memchr::memchr2(b'"', b'\\', rest) else {
                return Err(EditError::Malformed(self.json.len()));
            };
            self.at += found;
            if self.peek() == Some(b'"') {
                break;
            }
            plain = false;
            self.at += 2;
        }
        let inner = self.json.get(begin..self.at).ok_or(EditError::Malformed(begin))?;
        let quoted = self.json.get(begin - 1..=self.at).ok_or(EditError::Malformed(begin))?;
        self.at += 1;
        if plain {
            return Ok(Cow::Borrowed(inner));
        }
        let text = serde_json::from_str(&repair_surrogates(quoted));
        text.map(Cow::Owned).map_err(|_| EditError::Malformed(begin))
    }

    /// Offers the string that was just read, which began at `begin`, to the editor.
    fn offer(&mut self, begin: usize, role: Role, text: &str) {
        let Some(new) = (self.edit)(&self.path, role, text) else { return };
        let out = self.out.get_or_insert_default();
        out.push_str(self.json.get(self.copied..begin).unwrap_or_default());
        out.push_str(&serde_json::Value::from(new).to_string());
        self.copied = self.at;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn only_the_edited_string_changes() {
        let json = "{ \"z\":1.50e+2 , \"a\" : [\"x\\u0041\",{\"k\":\"x\"}],\"n\":null}\n";
        let mut seen = Vec::new();
        let out = rewrite(json, &mut |path, role, text| {
            seen.push((path.to_vec(), role, text.to_owned()));
            (role == Role::Value && text == "x").then(|| "\"new\"".to_owned())
        });
        let expected =
            "{ \"z\":1.50e+2 , \"a\" : [\"x\\u0041\",{\"k\":\"\\\"new\\\"\"}],\"n\":null}\n";
        assert_eq!(out.unwrap(), expected);
        let key = |name: &str| Segment::Key(name.to_owned());
        let path = vec![key("a"), Segment::Index(1), key("k")];
        assert!(seen.contains(&(path, Role::Value, "x".to_owned())), "{seen:?}");
        assert!(seen.iter().any(|(_, _, text)| text == "xA"), "{seen:?}");
    }

    #[test]
    fn an_unedited_document_is_not_copied() {
        let out = rewrite("{\"a\":\"b\"}", &mut |_, _, _| None).unwrap();
        assert!(matches!(out, Cow::Borrowed(_)));
    }

    #[test]
    fn a_key_that_appears_twice_is_an_error() {
        let mut keep = |_: &[Segment], _: Role, _: &str| None;
        for json in [r#"{"a":1,"a":2}"#, r#"[{"b":{"a":1,"\u0061":2}}]"#] {
            let error = rewrite(json, &mut keep).unwrap_err();
            assert_eq!(error, EditError::DuplicateKey("a".to_owned()), "{json}");
        }
        assert!(rewrite(r#"[{"a":1},{"a":2}]"#, &mut keep).is_ok());
    }

    #[test]
    fn a_member_is_set_in_place_or_first() {
        let set = |json| set_member(json, "model", "\"m\"").unwrap();
        assert_eq!(
            set(r#" {"a":[1, {"model":2}], "model" : null}"#),
            r#" {"a":[1, {"model":2}], "model" : "m"}"#
        );
        assert_eq!(set(r#"{"a":1}"#), r#"{"model":"m","a":1}"#);
        assert_eq!(set("{ }"), r#"{"model":"m" }"#);
        assert!(set_member("[1]", "model", "1").is_err());
        assert!(set_member("{\"a\":", "model", "1").is_err());
    }

    #[test]
    fn half_a_surrogate_pair_becomes_the_replacement_character() {
        for (json, expected) in [
            (r#""cut \ud83d""#, r#""cut \ufffd""#),
            (r#""\ude00 ok""#, r#""\ufffd ok""#),
            (r#""\ud83d\ude00""#, r#""\ud83d\ude00""#),
            (r#""\ud83d\ud83d\ude00""#, r#""\ufffd\ud83d\ude00""#),
            (r#""\\ud83d""#, r#""\\ud83d""#),
            (r#""\ud83d\n""#, r#""\ufffd\n""#),
        ] {
            assert_eq!(repair_surrogates(json), expected);
            assert!(serde_json::from_str::<Value>(&repair_surrogates(json)).is_ok());
        }
    }

    proptest! {
        #[test]
        fn every_document_comes_back_byte_for_byte(value in json()) {
            for json in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
                prop_assert_eq!(&rewrite(&json, &mut |_, _, _| None).unwrap(), &json);
                let doubled = rewrite(&json, &mut |_, role, text| {
                    (role == Role::Value).then(|| format!("{text}{text}"))
                });
                prop_assert!(serde_json::from_str::<Value>(&doubled.unwrap()).is_ok());
            }
        }

        #[test]
        fn no_text_is_a_panic(text in "[\\[\\]{}\",:a\\\\u0-9d ]{0,40}|\\PC{0,40}") {
            let _ = rewrite(&text, &mut |_, _, _| Some("x".to_owned()));
            let _ = set_member(&text, "a", "1");
            let _ = repair_surrogates(&text);
        }
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "\\PC{0,8}|[\"\\\\\n\u{1}]{0,4}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map("\\PC{0,4}", inner, 0..5)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }
}
