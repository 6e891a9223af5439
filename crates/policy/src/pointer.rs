//! JSON pointers (RFC 6901) into the arguments of a tool call or the payload of an act.

use std::fmt;

use serde_json::{Map, Value};

/// Longest pointer, in characters.
pub const MAX_POINTER: usize = 256;

/// The text is not a pointer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPointer {
    /// It does not start with `/`.
    #[error("must start with `/`, as in `/{0}`")]
    NoSlash(String),
    /// More than [`MAX_POINTER`].
    #[error("must be at most {MAX_POINTER} characters long, this has {0}")]
    TooLong(usize),
    /// A `~` that is not followed by `0` or `1`.
    #[error("must write `~` as `~0` and `/` within a key as `~1`")]
    BadEscape,
}

/// A pointer whose parts may be `*`, which matches every key and index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pointer(Vec<String>);

impl Pointer {
    /// Reads a pointer.
    ///
    /// # Errors
    /// [`BadPointer`] if the text is not a pointer.
    pub fn new(text: &str) -> Result<Self, BadPointer> {
        let length = text.chars().count();
        if length > MAX_POINTER {
            return Err(BadPointer::TooLong(length));
        }
        let Some(rest) = text.strip_prefix('/') else {
            return Err(BadPointer::NoSlash(text.to_owned()));
        };
        let part = |part: &str| {
            let plain = part.replace("~0", "").replace("~1", "");
            if plain.contains('~') {
                return Err(BadPointer::BadEscape);
            }
            Ok(part.replace("~1", "/").replace("~0", "~"))
        };
        rest.split('/').map(part).collect::<Result<_, _>>().map(Self)
    }

    /// Every value at the pointer, with its own pointer.
    pub fn resolve<'v>(&self, object: &'v Map<String, Value>) -> Vec<(String, &'v Value)> {
        let mut found = Vec::new();
        if let Some((first, rest)) = self.0.split_first() {
            in_object(object, first, rest, String::new(), &mut found);
        }
        found
    }

    /// Whether `pointer`, without wildcards, equals this pointer or is below it.
    pub fn covers(&self, pointer: &str) -> bool {
        let mut parts = pointer.split('/').skip(1);
        self.0
            .iter()
            .all(|own| parts.next().is_some_and(|part| own == "*" || *own == unescaped(part)))
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|part| write!(f, "/{}", escaped(part)))
    }
}

fn unescaped(part: &str) -> String {
    part.replace("~1", "/").replace("~0", "~")
}

/// A key as a part of a pointer.
fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

fn in_object<'v>(
    object: &'v Map<String, Value>,
    first: &str,
    rest: &[String],
    path: String,
    found: &mut Vec<(String, &'v Value)>,
) {
    if first != "*" {
        if let Some((key, value)) = object.get_key_value(first) {
            in_value(value, rest, format!("{path}/{}", escaped(key)), found);
        }
        return;
    }
    for (key, value) in object {
        in_value(value, rest, format!("{path}/{}", escaped(key)), found);
    }
}

fn in_value<'v>(
    value: &'v Value,
    rest: &[String],
    path: String,
    found: &mut Vec<(String, &'v Value)>,
) {
    let Some((first, rest)) = rest.split_first() else {
        found.push((path, value));
        return;
    };
    match value {
        Value::Object(object) => in_object(object, first, rest, path, found),
        Value::Array(items) if first == "*" => {
            for (index, item) in items.iter().enumerate() {
                in_value(item, rest, format!("{path}/{index}"), found);
            }
        }
        Value::Array(items) => {
            if let Some(item) = first.parse::<usize>().ok().and_then(|index| items.get(index)) {
                in_value(item, rest, format!("{path}/{first}"), found);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pointer_leads_to_its_values() {
        let value = json!({"edits": [{"path": "a"}, {"path": "b"}], "a/b": {"~": 1}, "n": null});
        let object = value.as_object().unwrap();
        for (pointer, expected) in [
            ("/edits/1/path", vec!["/edits/1/path"]),
            ("/edits/*/path", vec!["/edits/0/path", "/edits/1/path"]),
            ("/*/~0", vec!["/a~1b/~0"]),
            ("/a~1b/~0", vec!["/a~1b/~0"]),
            ("/n", vec!["/n"]),
            ("/n/x", vec![]),
            ("/edits/7", vec![]),
            ("/", vec![]),
        ] {
            let found = Pointer::new(pointer).unwrap().resolve(object);
            let found: Vec<_> = found.into_iter().map(|(path, _)| path).collect();
            assert_eq!(found, expected, "{pointer}");
        }
    }

    #[test]
    fn a_pointer_covers_what_is_below_it() {
        for (pointer, path, expected) in [
            ("/a", "/a", true),
            ("/a", "/a/b", true),
            ("/a", "/ab", false),
            ("/*/path", "/edits/path", true),
            ("/a/b", "/a", false),
            ("/a~1b", "/a~1b/0", true),
        ] {
            assert_eq!(Pointer::new(pointer).unwrap().covers(path), expected, "{pointer} {path}");
        }
    }

    #[test]
    fn bad_pointers_say_how_to_write_them() {
        let message = |text: &str| Pointer::new(text).unwrap_err().to_string();
        assert_eq!(message("command"), "must start with `/`, as in `/command`");
        assert!(message("/a~2").contains("~0"));
        assert!(message(&"/x".repeat(200)).contains("256"));
        assert_eq!(Pointer::new("/a~1b/*").unwrap().to_string(), "/a~1b/*");
    }
}
