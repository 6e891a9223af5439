//! The `commands` section as written, and the invocation patterns that it shares with rules.

use std::fmt;
use std::marker::PhantomData;

use schemars::JsonSchema;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer, StrDeserializer};
use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::document::{ActionEffect, CommandClass, CommandPattern, Commands, TargetClass};
use crate::raw::ID_PATTERN;

/// The effect of a command by what it does.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields, rename = "Commands")]
pub(crate) struct RawCommands {
    /// Commands that read, list or describe.
    pub(crate) read: ActionEffect,
    /// Commands that change files or state in ordinary work: in the workspace, build folders and temporary
    /// folders.
    pub(crate) change: ActionEffect,
    /// Commands that remove or overwrite data, history, other people's processes or infrastructure.
    pub(crate) destroy: ActionEffect,
    /// Commands that publish something, or rewrite something published.
    pub(crate) publish: ActionEffect,
    /// Commands that read credentials, or send credentials or files to a network.
    pub(crate) exfiltrate: ActionEffect,
    /// Commands that gain rights, weaken protection or persist beyond the session.
    pub(crate) escalate: ActionEffect,
    /// Commands that cannot be parsed or resolved.
    pub(crate) unparsed: ActionEffect,
    /// Your own rules. The severest effect of the matching rules replaces the effect of the class.
    pub(crate) rules: Vec<RawCommandRule>,
}

impl Default for RawCommands {
    fn default() -> Self {
        let Commands { read, change, destroy, publish, exfiltrate, escalate, unparsed, .. } =
            Commands::default();
        Self { read, change, destroy, publish, exfiltrate, escalate, unparsed, rules: Vec::new() }
    }
}

/// A rule over the invocations of a parsed command. All conditions must hold.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields, rename = "CommandRule", extend("required" = ["effect"]))]
pub(crate) struct RawCommandRule {
    /// The name in responses and rows, unique among all rules and patterns.
    #[schemars(with = "String", regex(pattern = ID_PATTERN))]
    pub(crate) id: Option<String>,
    /// A comment for people.
    #[schemars(with = "String")]
    pub(crate) description: Option<String>,
    /// Names of programs; `*` and `?` match within a name.
    program: OneOrMany<String>,
    /// The leading arguments without options, separated by spaces, such as `remote add`. A leading
    /// `**` matches at any of the first positions.
    subcommand: OneOrMany<String>,
    /// One of these arguments must occur. `-f` also matches in `-xf`, `--force` also `--force=now`.
    any: OneOrMany<String>,
    /// All of these arguments must occur; `|` separates spellings of one option.
    all: OneOrMany<String>,
    /// None of these arguments may occur.
    none: OneOrMany<String>,
    /// One of the invocation's targets must be in one of these places.
    target: OneOrMany<TargetClass>,
    /// The invocation must be of one of these classes.
    class: OneOrMany<CommandClass>,
    /// The effect on invocations that match.
    pub(crate) effect: Option<ActionEffect>,
}

impl RawCommandRule {
    /// The conditions.
    pub(crate) fn pattern(&self) -> CommandPattern {
        CommandPattern {
            program: self.program.0.clone(),
            subcommand: self.subcommand.0.clone(),
            any: self.any.0.clone(),
            all: self.all.0.clone(),
            none: self.none.0.clone(),
            target: self.target.0.clone(),
            class: self.class.0.clone(),
        }
    }
}

/// Conditions on one invocation: a map, or the start of a command such as `git push --force`.
#[derive(JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "CommandPattern")]
#[expect(dead_code, reason = "only its schema is used")]
pub(crate) enum PatternSchema {
    Text(String),
    Map(RawPattern),
}

/// Conditions on one invocation of a parsed command. All of them must hold.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields, rename = "CommandConditions")]
pub(crate) struct RawPattern {
    /// Names of programs; `*` and `?` match within a name.
    program: OneOrMany<String>,
    /// The leading arguments without options, separated by spaces, such as `remote add`. A leading
    /// `**` matches at any of the first positions.
    subcommand: OneOrMany<String>,
    /// One of these arguments must occur. `-f` also matches in `-xf`, `--force` also `--force=now`.
    any: OneOrMany<String>,
    /// All of these arguments must occur; `|` separates spellings of one option.
    all: OneOrMany<String>,
    /// None of these arguments may occur.
    none: OneOrMany<String>,
    /// One of the invocation's targets must be in one of these places.
    target: OneOrMany<TargetClass>,
    /// The invocation must be of one of these classes.
    class: OneOrMany<CommandClass>,
}

impl<'de> Deserialize<'de> for CommandPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextOrMap)
    }
}

struct TextOrMap;

impl<'de> Visitor<'de> for TextOrMap {
    type Value = CommandPattern;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the beginning of a command, or a map of conditions")
    }

    /// `git push --force`: the program, its subcommand, and options that must all occur.
    fn visit_str<E: Error>(self, text: &str) -> Result<CommandPattern, E> {
        let mut words = text.split_whitespace().map(str::to_owned);
        let program = words.next().into_iter().collect();
        let (all, plain): (Vec<_>, Vec<_>) = words.partition(|word| word.starts_with('-'));
        let subcommand = if plain.is_empty() { Vec::new() } else { vec![plain.join(" ")] };
        Ok(CommandPattern { program, subcommand, all, ..CommandPattern::default() })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<CommandPattern, A::Error> {
        let raw = RawPattern::deserialize(MapAccessDeserializer::new(map))?;
        Ok(CommandPattern {
            program: raw.program.0,
            subcommand: raw.subcommand.0,
            any: raw.any.0,
            all: raw.all.0,
            none: raw.none.0,
            target: raw.target.0,
            class: raw.class.0,
        })
    }
}

/// One text, or a list of texts.
#[derive(Debug)]
pub(crate) struct OneOrMany<T>(pub(crate) Vec<T>);

impl<T> Default for OneOrMany<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum OneOrManySchema<T> {
    One(T),
    Many(Vec<T>),
}

impl<T: JsonSchema> JsonSchema for OneOrMany<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        OneOrManySchema::<T>::schema_name()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        OneOrManySchema::<T>::json_schema(generator)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextOrList(PhantomData))
    }
}

struct TextOrList<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for TextOrList<T> {
    type Value = OneOrMany<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text or a list of texts")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<OneOrMany<T>, E> {
        T::deserialize(StrDeserializer::new(text)).map(|one| OneOrMany(vec![one]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<OneOrMany<T>, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(items)).map(OneOrMany)
    }
}
