//! The `tools` section of a policy: the meaning of each tool's arguments, and the tools that are denied
//! or need an approval.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};

/// The `tools` section. An attribute that a tool's entry does not set comes from the next entry that
/// matches the tool, and finally from the [built-in table](crate::tools).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tools {
    /// The entries, in the order of the document.
    pub entries: Vec<Tool>,
    /// Whether the journal keeps the text of tool results, redacted, and not only their digests.
    pub keep_results: bool,
}

impl Serialize for Tools {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if !self.keep_results {
            return self.entries.serialize(to);
        }
        let mut map = to.serialize_struct("Tools", 2)?;
        map.serialize_field("entries", &self.entries)?;
        map.serialize_field("keep_results", &self.keep_results)?;
        map.end()
    }
}

/// One entry of `tools`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Tool {
    /// Names of tools; `*` matches any text, and case is ignored.
    pub names: Vec<String>,
    /// Names of the MCP servers of the tools; empty for every server and for tools of the host.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub servers: Vec<String>,
    /// The meaning of arguments, by JSON pointer.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, Meaning>,
    /// Whether the tool only reads its paths.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access: Option<Access>,
    /// The effect of any call of the tool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effect: Option<ActionEffect>,
}

/// The meaning of an argument, which decides how it is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Meaning {
    /// A command line, or a list of its words. It is parsed and judged by its effects.
    Command,
    /// A path. It is judged by its place: the workspace, a temporary folder, elsewhere.
    Path,
    /// An address that the tool fetches.
    Url,
    /// Anything else. It is searched for credentials only.
    Data,
}

/// The access of a tool to its paths.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// The tool only reads them.
    Read,
    /// The tool may change them.
    #[default]
    Write,
}

/// The effect of an action's class, of a command rule or of a tool, from the mildest to the severest.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum ActionEffect {
    /// The action may proceed.
    #[default]
    Allow,
    /// The action may proceed; the row records that it would be denied.
    Observe,
    /// The action needs an approval.
    Ask,
    /// The action is denied.
    Deny,
}
