//! The `tools` section as written: a list of entries, or a map with entries and settings.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::document::{Access, ActionEffect, Meaning};

/// The `tools` section in either form.
#[derive(Debug, Default)]
pub(crate) struct Tools {
    pub(crate) entries: Vec<Tool>,
    pub(crate) keep_results: bool,
    /// Whether the section is a map, so that faults have the right path.
    pub(crate) is_map: bool,
}

/// The schema of [`Tools`].
#[derive(JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "Tools")]
#[expect(dead_code, reason = "only its schema is used")]
pub(crate) enum ToolsSchema {
    List(Vec<Tool>),
    Map(ToolsMap),
}

/// Entries and settings of the tools section.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub(crate) struct ToolsMap {
    /// The meaning of each tool's arguments, and the tools that are denied or need an approval.
    entries: Vec<Tool>,
    /// Whether the journal keeps the text of tool results, redacted, and not only their digests.
    keep_results: bool,
}

/// The meaning of a tool's arguments, and the effect of its calls.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields, extend("required" = ["names"]))]
pub(crate) struct Tool {
    /// Names of tools; `*` matches any text, and case is ignored.
    pub(crate) names: Vec<String>,
    /// Names of the MCP servers of the tools. Without this list, the entry covers the tools of every server and
    /// of the host.
    pub(crate) servers: Vec<String>,
    /// The meaning of arguments, by JSON pointer; a part `*` matches every key and index. An argument without a
    /// meaning is data.
    pub(crate) fields: BTreeMap<String, Meaning>,
    /// Whether the tool only reads its paths.
    #[schemars(with = "Access")]
    pub(crate) access: Option<Access>,
    /// The effect of every call of the tool. Its arguments are judged too, and the severest effect applies.
    #[schemars(with = "ActionEffect")]
    pub(crate) effect: Option<ActionEffect>,
}

impl<'de> Deserialize<'de> for Tools {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ListOrMap)
    }
}

struct ListOrMap;

impl<'de> Visitor<'de> for ListOrMap {
    type Value = Tools;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of tools, or a map with `entries` and `keep_results`")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Tools, A::Error> {
        let entries = Vec::deserialize(SeqAccessDeserializer::new(items))?;
        Ok(Tools { entries, ..Tools::default() })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Tools, A::Error> {
        let ToolsMap { entries, keep_results } =
            ToolsMap::deserialize(MapAccessDeserializer::new(map))?;
        Ok(Tools { entries, keep_results, is_map: true })
    }
}
