//! `KEYS_FILE`: keys by digest, each with its permissions.

use std::collections::BTreeSet;
use std::path::Path;

use jiff::Timestamp;
use life_agent_engine::domain::governance::ids::{AgentId, Principal};
use life_agent_engine::domain::governance::principal::Scopes;
use life_agent_engine::policy_document::document::BudgetLimits;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::{Deserialize, Serialize};

use super::grant::Grant;
use super::jwt::PREFIX;
use super::scope::all_named;

/// Names that the service uses.
const RESERVED: [&str; 3] = ["system", "local", "anonymous"];
/// Whether no key may have a name: the service uses it, or tokens do.
pub fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name) || name.starts_with(PREFIX)
}

/// How a digest starts.
pub const SHA256: &str = "sha256:";

/// Keys by digest, with what each of them grants.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "life-agent keys")]
pub struct KeysFile {
    /// The keys.
    #[serde(default)]
    pub keys: Vec<Entry>,
}

/// One key. `roles`, `scopes` or both are required.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Key")]
pub struct Entry {
    /// The principal.
    #[schemars(regex(pattern = "^[A-Za-z0-9._:-]{1,64}$"))]
    pub name: String,
    /// `sha256:` and the digest of the key in hex.
    #[schemars(regex(pattern = "^sha256:[0-9a-fA-F]{64}$"))]
    pub digest: String,
    /// Shorthand for scopes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(inner(regex(pattern = "^(agent|observer|reviewer|author|operator)$")))]
    pub roles: Vec<String>,
    /// The scopes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(inner(regex(pattern = "^(act|read|approve|policy|operate)$")))]
    pub scopes: Vec<String>,
    /// The accountable person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    /// Globs of the only agents that the key may access.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agents: Option<Vec<String>>,
    /// When the key stops working: RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub expires: Option<String>,
    /// Requests per second, reads included, instead of `RATE_LIMIT_PRINCIPAL_RPS`; 0 for no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<u32>,
    /// What model calls of the key may use, in addition to the budgets of the policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<BudgetLimits>,
}

/// A file that cannot be used, as a sentence for the operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct KeysFileError(String);

/// A digest of a key, what the key grants, and its own limit of requests per second.
pub type Granted = ([u8; 32], Grant, Option<u32>);

impl KeysFile {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self, KeysFileError> {
        Self::parse(&Self::text(path)?)
    }

    /// The text of a file.
    pub fn text(path: &Path) -> Result<String, KeysFileError> {
        std::fs::read_to_string(path).map_err(|error| {
            KeysFileError(format!("cannot read KEYS_FILE `{}`: {error}", path.display()))
        })
    }

    /// Parses a file. An empty file has no keys.
    pub fn parse(text: &str) -> Result<Self, KeysFileError> {
        if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
            return Ok(Self::default());
        }
        serde_yaml::from_str(text)
            .map_err(|error| KeysFileError(format!("KEYS_FILE is not valid: {error}")))
    }

    /// The grants, checked.
    pub fn grants(&self) -> Result<Vec<Granted>, KeysFileError> {
        let (mut names, mut digests) = (BTreeSet::new(), BTreeSet::new());
        let mut grants = Vec::new();
        for entry in &self.keys {
            let (digest, grant, rate) = entry.grant()?;
            let twice = |what: &str| {
                KeysFileError(format!("KEYS_FILE has two keys with the {what} of `{}`", entry.name))
            };
            if !names.insert(&entry.name) {
                return Err(twice("name"));
            }
            if !digests.insert(digest) {
                return Err(twice("digest"));
            }
            grants.push((digest, grant, rate));
        }
        Ok(grants)
    }
}

impl Entry {
    fn grant(&self) -> Result<Granted, KeysFileError> {
        let fault = |why: String| KeysFileError(format!("KEYS_FILE, key `{}`: {why}", self.name));
        if AgentId::new(&self.name).is_err() {
            return Err(fault(
                "a name has 1 to 64 characters out of `A-Z a-z 0-9 . _ : -`".to_owned(),
            ));
        }
        if is_reserved(&self.name) {
            return Err(fault("this name is reserved".to_owned()));
        }
        let mut digest = [0; 32];
        let hex = self.digest.strip_prefix(SHA256).unwrap_or_default();
        hex::decode_to_slice(hex, &mut digest)
            .map_err(|_| fault(format!("`digest` must be `{SHA256}` and 64 hexadecimal digits")))?;
        let named = self.roles.iter().chain(&self.scopes);
        let scopes = all_named(named.map(String::as_str))
            .map_err(|name| fault(format!("unknown role or scope `{name}`")))?;
        if scopes == Scopes::NONE {
            return Err(fault("give `roles` or `scopes`".to_owned()));
        }
        let expires = self.expires.as_deref().map(str::parse::<Timestamp>).transpose();
        let expires = expires.map_err(|_| {
            fault("`expires` must be a time such as `2027-01-31T00:00:00Z`".to_owned())
        })?;
        let mut principal = Principal::new(&self.name).with_scopes(scopes).with_digest(digest);
        if let Some(person) = &self.person {
            principal = principal.with_person(person);
        }
        if let Some(globs) = &self.agents {
            principal = principal.with_agents(globs.clone());
        }
        if let Some(budget) = self.budget {
            let limits = budget.checked().ok_or_else(|| {
                fault("`budget` needs a limit, and limits must be greater than 0".to_owned())
            })?;
            principal = principal.with_budget(limits);
        }
        let grant =
            Grant::new(principal, expires).map_err(|error| fault(format!("`agents`: {error}")))?;
        Ok((digest, grant, self.rate))
    }
}

/// The JSON Schema of the file, draft-07, for editors.
pub fn schema() -> serde_json::Value {
    SchemaSettings::draft07().into_generator().into_root_schema_for::<KeysFile>().to_value()
}

#[cfg(test)]
mod tests {
    use life_agent_engine::domain::governance::budget::picodollars;

    use super::*;

    fn entry(name: &str, digit: char, rest: &str) -> String {
        let digest = digit.to_string().repeat(64);
        format!("- {{name: {name}, digest: 'sha256:{digest}', {rest}}}\n")
    }

    fn grants(entries: &[String]) -> Result<Vec<Granted>, KeysFileError> {
        KeysFile::parse(&format!("keys:\n{}", entries.concat()))?.grants()
    }

    #[test]
    fn a_key_has_roles_scopes_agents_a_person_and_an_end() {
        let text = entry(
            "gpt",
            'a',
            "roles: [agent], scopes: [read], agents: ['gpt-*'], person: Ann, expires: '2027-01-31T00:00:00Z', rate: 7, budget: {cost_per_day: 1.5}",
        );
        let granted = grants(&[text]).unwrap();
        let (digest, grant, rate) = &granted[0];
        assert_eq!(*rate, Some(7));
        assert_eq!(digest, &[0xaa; 32]);
        let principal = &grant.principal;
        assert_eq!((principal.as_str(), principal.person()), ("gpt", Some("Ann")));
        assert_eq!(principal.scopes(), all_named(["act", "read"]).unwrap());
        assert_eq!(principal.digest(), Some(digest));
        assert!(grant.may_access("gpt-1") && !grant.may_access("hero"));
        assert!(grant.expires.is_some());
        let cost = principal.budget().and_then(|limits| limits.cost_per_day);
        assert_eq!(cost, Some(picodollars(1.5)));
    }

    #[test]
    fn an_empty_file_has_no_keys() {
        for text in ["", "\n# none yet\n", "keys: []"] {
            assert_eq!(KeysFile::parse(text).unwrap().keys, []);
        }
    }

    #[test]
    fn a_faulty_file_is_rejected_with_the_reason() {
        let good = entry("a", 'a', "roles: [agent]");
        for (entries, reason) in [
            (vec![good.clone(), entry("a", 'b', "roles: [agent]")], "two keys with the name"),
            (vec![good.clone(), entry("b", 'a', "roles: [agent]")], "two keys with the digest"),
            (vec![entry("system", 'a', "roles: [agent]")], "reserved"),
            (vec![entry("'jwt:ann'", 'a', "roles: [agent]")], "reserved"),
            (vec![entry("a", 'a', "roles: [admin]")], "unknown role or scope `admin`"),
            (vec![entry("a", 'a', "person: x")], "give `roles` or `scopes`"),
            (vec![entry("a", 'g', "roles: [agent]")], "hexadecimal"),
            (vec![entry("a", 'a', "roles: [agent], expires: soon")], "`expires`"),
            (vec![entry("a", 'a', "roles: [agent], agents: ['[']")], "`agents`"),
            (vec![entry("a", 'a', "roles: [agent], rate: -1")], "not valid"),
            (vec![entry("a", 'a', "roles: [agent], budget: {}")], "`budget`"),
            (vec![entry("a", 'a', "roles: [agent], budget: {tokens_per_day: 0}")], "`budget`"),
            (vec![entry("a", 'a', "roles: [agent], budget: {tokens: 1}")], "not valid"),
            (vec![entry("a", 'a', "role: agent")], "unknown field"),
        ] {
            let error = grants(&entries).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
