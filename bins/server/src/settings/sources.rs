//! Reads settings from their sources, later ones win: defaults, the file, `.env`, the environment, flags.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use figment::providers::{Format, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};

use super::unknown::{self, Unknown};
use super::{ALIASES, ALL, Setting, dotenv};

/// Where a value is from that no source sets.
pub(super) const DEFAULT: &str = "the default";

const DEFAULT_FILE: &str = "life-agent.toml";

/// The sources of settings. Nothing here reads the state of the process itself.
#[derive(Debug, Default)]
pub struct Inputs {
    /// The working directory, with the settings file and `.env`.
    pub dir: PathBuf,
    /// `--config FILE`.
    pub file: Option<PathBuf>,
    /// The environment.
    pub env: Vec<(OsString, OsString)>,
    /// The flags, by the name of their setting.
    pub flags: BTreeMap<String, String>,
}

/// A value as text, and its source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The value.
    pub text: String,
    /// The source, in words.
    pub from: String,
}

/// Why the settings are not usable, in one line for the operator. Never contains a secret's value.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// A value that the setting does not accept.
    #[error("{name} is `{value}` ({from}), expected {expected}")]
    BadValue {
        /// The setting.
        name: &'static str,
        /// Its value.
        value: String,
        /// The source.
        from: String,
        /// The expected form.
        expected: &'static str,
    },
    /// The same for a secret, whose value must not be shown.
    #[error("{name} ({from}) is not usable, expected {expected}")]
    BadSecret {
        /// The setting.
        name: &'static str,
        /// The source.
        from: String,
        /// The expected form.
        expected: &'static str,
    },
    /// Settings that contradict each other, or a source that cannot be read.
    #[error("{0}")]
    Sentence(String),
}

/// Reads the value of every setting that has one.
pub fn read(inputs: &Inputs) -> Result<BTreeMap<&'static str, Found>, SettingError> {
    let defaults = ALL.iter().filter_map(|s| Some((s.key(), s.default?.to_owned())));
    let figment = Figment::from(Layer::new(DEFAULT, defaults))
        .merge(file(inputs)?)
        .merge(dotenv(&inputs.dir)?)
        .merge(of_env(&inputs.env)?)
        .merge(Layer::new("the command line", inputs.flags.clone().into_iter()));
    let mut found = BTreeMap::new();
    for setting in &ALL {
        let Ok(value) = figment.find_value(&setting.key()) else { continue };
        let from =
            figment.get_metadata(value.tag()).map_or_else(String::new, |m| m.name.to_string());
        let text = text_of(&value).ok_or_else(|| {
            SettingError::Sentence(format!(
                "{} ({from}) must be one value or a list of them",
                setting.name
            ))
        })?;
        // Compose files and shells write an empty value for "not set".
        if !text.is_empty() {
            found.insert(setting.name, Found { text, from });
        }
    }
    Ok(found)
}

/// Names in `.env` and the environment that look like settings and are none. An unreadable `.env` has
/// none; reading the settings reports it.
pub fn unknown(inputs: &Inputs) -> Vec<Unknown> {
    let entries = dotenv::read(&inputs.dir).unwrap_or_default();
    let mut found = unknown::suspicious(entries.iter().map(|(name, _)| name.as_str()), ".env");
    let names = inputs.env.iter().filter_map(|(name, _)| name.to_str());
    found.extend(unknown::suspicious(names, "the environment"));
    found
}

/// One source; every value is text, so that a numeric key stays the text it is.
struct Layer {
    name: String,
    values: Dict,
}

impl Layer {
    fn new(name: impl Into<String>, values: impl Iterator<Item = (String, String)>) -> Self {
        // An empty value does not hide the one of an earlier source.
        let values = values.filter(|(_, text)| !text.is_empty());
        Self { name: name.into(), values: values.map(|(key, text)| (key, text.into())).collect() }
    }
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name.clone())
    }
    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Map::from([(Profile::Default, self.values.clone())]))
    }
}

fn file(inputs: &Inputs) -> Result<Layer, SettingError> {
    let path = inputs.dir.join(inputs.file.as_deref().unwrap_or(Path::new(DEFAULT_FILE)));
    let shown = path.strip_prefix(&inputs.dir).unwrap_or(&path).display().to_string();
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && inputs.file.is_none() => {
            return Ok(Layer { name: shown, values: Dict::new() });
        }
        Err(error) => {
            return Err(SettingError::Sentence(format!("cannot read `{shown}`: {error}")));
        }
    };
    let values: Dict = Toml::from_str(&text).map_err(|error| {
        SettingError::Sentence(format!("`{shown}` is not TOML: {}", tidy(&error.to_string())))
    })?;
    let mut flat = Dict::new();
    for (key, shown_key, value) in values.into_iter().flat_map(spread) {
        let Some(setting) = by_key(&key) else {
            return Err(SettingError::Sentence(format!(
                "`{shown}` has the unknown setting `{shown_key}`; `life-agent config` lists every \
                 setting"
            )));
        };
        if flat.insert(setting.key(), value).is_some() {
            return Err(SettingError::Sentence(format!("`{shown}` has `{shown_key}` twice")));
        }
    }
    Ok(Layer { name: shown, values: flat })
}

/// Flattens a table: `keep_rows` in `[journal]` is `journal_keep_rows`. Returns each key with its
/// spelling in the file. A table with the name of a setting is a wrong value for that setting.
fn spread((key, value): (String, Value)) -> Vec<(String, String, Value)> {
    match value {
        Value::Dict(_, table) if by_key(&key).is_none() && !table.is_empty() => {
            let joined =
                |(inner, value)| (format!("{key}_{inner}"), format!("{key}.{inner}"), value);
            table.into_iter().map(joined).collect()
        }
        value => vec![(key.clone(), key, value)],
    }
}

/// The parser's message without the excerpt of the file, which might show a key.
fn tidy(message: &str) -> String {
    let lines: Vec<_> = message.lines().filter(|line| !line.contains('|')).collect();
    lines.join(", ").trim_end_matches([',', ' ']).to_owned()
}

fn dotenv(dir: &Path) -> Result<Layer, SettingError> {
    let entries = dotenv::read(dir)?;
    layer(".env", entries.into_iter().filter_map(|(name, text)| Some((named(&name)?, name, text))))
}

fn of_env(env: &[(OsString, OsString)]) -> Result<Layer, SettingError> {
    let mut values = Vec::new();
    for (name, text) in env {
        let Some(name) = name.to_str() else { continue };
        let Some(setting) = named(name) else { continue };
        let text = text.to_str().ok_or_else(|| {
            SettingError::Sentence(format!("{name} (the environment) is not valid UTF-8"))
        })?;
        values.push((setting, name.to_owned(), text.to_owned()));
    }
    layer("the environment", values.into_iter())
}

/// A layer of values under the names of their settings. In one source, a setting and its alias must
/// agree: two keys under two names would otherwise silently become one.
fn layer(
    source: &str,
    values: impl Iterator<Item = (&'static Setting, String, String)>,
) -> Result<Layer, SettingError> {
    let mut kept: BTreeMap<String, (String, String)> = BTreeMap::new();
    for (setting, name, text) in values.filter(|(_, _, text)| !text.is_empty()) {
        match kept.get(&setting.key()) {
            Some((other, first)) if *other != name && *first != text => {
                return Err(SettingError::Sentence(format!(
                    "{other} and {name} ({source}) are two names of one setting and differ; keep \
                     one, or list both keys in API_TOKENS"
                )));
            }
            _ => {
                kept.insert(setting.key(), (name, text));
            }
        }
    }
    Ok(Layer::new(source, kept.into_iter().map(|(key, (_, text))| (key, text))))
}

/// The setting with this name or alias.
fn named(name: &str) -> Option<&'static Setting> {
    let name = ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, of)| of);
    ALL.iter().find(|setting| setting.name == name)
}

/// The setting that a key of the settings file is about.
fn by_key(key: &str) -> Option<&'static Setting> {
    (key.to_lowercase() == key).then(|| named(&key.to_uppercase())).flatten()
}

/// A value as text; a list is joined by commas.
fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(_, text) => Some(text.trim().to_owned()),
        Value::Bool(_, flag) => Some(flag.to_string()),
        Value::Num(_, number) => number
            .to_u128()
            .map(|n| n.to_string())
            .or_else(|| number.to_i128().map(|n| n.to_string()))
            .or_else(|| number.to_f64().map(|n| n.to_string())),
        Value::Array(_, items) => {
            Some(items.iter().map(text_of).collect::<Option<Vec<_>>>()?.join(","))
        }
        Value::Char(..) | Value::Dict(..) | Value::Empty(..) => None,
    }
}
