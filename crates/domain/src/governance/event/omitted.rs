//! Rows without their largest texts: what would not fit into a row is replaced by digests and sizes, so that
//! the verdict is always on the record.

use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};

use super::chat::TextDigest;
use crate::governance::size::json_size;

/// The field that lists the parts which a row does not hold.
pub const OMITTED: &str = "omitted";

/// Largest part that stays, in bytes of JSON.
const SMALL: usize = 2048;
/// Findings that stay.
const FINDINGS: usize = 32;
/// Parts that stay or are listed; a payload of any row has fewer fields.
const PARTS: usize = 256;

/// The data of a row with its large parts replaced by their digests, listed in [`OMITTED`]. The fields of the
/// request stay where they are small, so that the row still names the agent and the action.
///
/// # Errors
/// The data is not a JSON object.
pub fn without_large_parts(data: &str) -> Result<Box<RawValue>, serde_json::Error> {
    let data: Map<String, Value> = serde_json::from_str(data)?;
    let mut omitted = Vec::new();
    let mut kept = Map::new();
    for (name, value) in data.into_iter().take(PARTS) {
        let kept_value = match (name.as_str(), value) {
            ("findings", Value::Array(findings)) => first_findings(findings, &mut omitted),
            // Readers expect an object, whatever it holds.
            ("request", Value::Object(request)) => Some(small_fields(request, &mut omitted)),
            (_, value) => small(&name, value, &mut omitted),
        };
        kept.extend(kept_value.map(|value| (name, value)));
    }
    kept.insert(OMITTED.to_owned(), serde_json::to_value(&omitted)?);
    to_raw_value(&kept)
}

/// Whether a row's data lists parts that it does not hold.
pub fn lacks_parts(data: &str) -> bool {
    #[derive(serde::Deserialize)]
    struct Listed {
        #[serde(default)]
        omitted: Vec<serde::de::IgnoredAny>,
    }
    // Most rows are distinguished without a parser.
    data.contains("\"omitted\":")
        && serde_json::from_str::<Listed>(data).is_ok_and(|listed| !listed.omitted.is_empty())
}

fn small(place: &str, value: Value, omitted: &mut Vec<TextDigest>) -> Option<Value> {
    let bytes = json_size(&value);
    if bytes <= SMALL {
        return Some(value);
    }
    let blake3 = blake3::hash(value.to_string().as_bytes()).to_hex().to_string();
    omitted.push(TextDigest { role: place.chars().take(64).collect(), blake3, bytes });
    None
}

fn small_fields(request: Map<String, Value>, omitted: &mut Vec<TextDigest>) -> Value {
    let fields = request.into_iter().take(PARTS);
    let kept = fields.filter_map(|(name, value)| {
        let value = small(&format!("request/{name}"), value, omitted)?;
        Some((name, value))
    });
    Value::Object(kept.collect())
}

fn first_findings(findings: Vec<Value>, omitted: &mut Vec<TextDigest>) -> Option<Value> {
    let (all, whole) = (findings.len(), json_size(&findings));
    let kept: Vec<_> =
        findings.into_iter().filter(|one| json_size(one) <= SMALL).take(FINDINGS).collect();
    if kept.len() < all {
        omitted.push(TextDigest {
            role: "findings".to_owned(),
            blake3: String::new(),
            bytes: whole,
        });
    }
    Some(Value::Array(kept))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_verdict_stays_and_large_texts_leave_their_digests() {
        let finding = |n: usize| json!({"rule": "aws_key", "field": format!("f{n}"), "start": n});
        let findings: Vec<_> = (0..500).map(finding).collect();
        let data = json!({
            "kind": "chat", "code": "prompt_risky", "gate": "risk", "message": "no",
            "request": {"agent_id": "hero", "messages": [{"role": "user", "content": "x".repeat(5_000_000)}]},
            "findings": findings, "score": 1.0, "policy_hash": "p",
        });
        let text = data.to_string();
        assert!(!lacks_parts(&text));
        let stub = without_large_parts(&text).unwrap();
        assert!(stub.get().len() < 16 * 1024 && lacks_parts(stub.get()), "{stub}");
        let read: Value = serde_json::from_str(stub.get()).unwrap();
        assert_eq!((&read["code"], &read["gate"]), (&data["code"], &data["gate"]));
        assert_eq!(read["request"], json!({"agent_id": "hero"}));
        assert_eq!(read["findings"].as_array().unwrap().len(), FINDINGS);
        let omitted = read[OMITTED].as_array().unwrap();
        let messages = omitted.iter().find(|part| part["role"] == "request/messages").unwrap();
        let whole = data["request"]["messages"].to_string();
        assert_eq!(messages["bytes"], whole.len());
        assert_eq!(messages["blake3"], blake3::hash(whole.as_bytes()).to_hex().to_string());
    }
}
