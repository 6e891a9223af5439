//! Where settings come from, later wins: defaults, the file, `.env`, the environment, the flags.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use figment::providers::{Format, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};

use super::{ALL, Setting};

const DEFAULT_FILE: &str = "life-agent.toml";

/// Everything that settings are read from; nothing here looks at the process itself.
#[derive(Debug, Default)]
pub struct Inputs {
    /// The working directory, in which the file and `.env` are looked for.
    pub dir: PathBuf,
    /// `--config FILE`.
    pub file: Option<PathBuf>,
    /// The environment.
    pub env: Vec<(OsString, OsString)>,
    /// The flags, by the name of their setting.
    pub flags: BTreeMap<String, String>,
}

/// A value as text, and where it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The value.
    pub text: String,
    /// Where it is from, in words.
    pub from: String,
}

/// Why the settings are not usable, in one line for the operator. Never holds a secret's value.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// A value that is not what the setting expects.
    #[error("{name} is `{value}` ({from}), expected {expected}")]
    BadValue {
        /// The setting.
        name: &'static str,
        /// Its value.
        value: String,
        /// Where it is from.
        from: String,
        /// What would be right.
        expected: &'static str,
    },
    /// The same for a setting whose value must not be shown.
    #[error("{name} ({from}) is not usable, expected {expected}")]
    BadSecret {
        /// The setting.
        name: &'static str,
        /// Where it is from.
        from: String,
        /// What would be right.
        expected: &'static str,
    },
    /// Settings that are good one by one and not together, or a source that cannot be read.
    #[error("{0}")]
    Sentence(String),
}

/// Reads the value of every setting that has one.
pub fn read(inputs: &Inputs) -> Result<BTreeMap<&'static str, Found>, SettingError> {
    let defaults = ALL.iter().filter_map(|s| Some((s.key(), s.default?.to_owned())));
    let figment = Figment::from(Layer::new("the default", defaults))
        .merge(file(inputs)?)
        .merge(Layer::new(".env", dotenv(&inputs.dir)?))
        .merge(Layer::new("the environment", of_env(&inputs.env)?))
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
        // An empty value is how compose files and shells say "not set".
        if !text.is_empty() {
            found.insert(setting.name, Found { text, from });
        }
    }
    Ok(found)
}

/// One source; every value is text, so that a numeric key stays the text it is.
struct Layer {
    name: String,
    values: Dict,
}

impl Layer {
    fn new(name: impl Into<String>, values: impl Iterator<Item = (String, String)>) -> Self {
        // What is empty does not hide the source before it.
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
        if !known(&key) {
            return Err(SettingError::Sentence(format!(
                "`{shown}` has the unknown setting `{shown_key}`; `life-agent config` lists those \
                 there are"
            )));
        }
        if flat.insert(key, value).is_some() {
            return Err(SettingError::Sentence(format!("`{shown}` has `{shown_key}` twice")));
        }
    }
    Ok(Layer { name: shown, values: flat })
}

fn known(key: &str) -> bool {
    ALL.iter().any(|setting| setting.key() == key)
}

/// `keep_rows` in the table `[journal]` is `journal_keep_rows`: the keys of a table whose name is no
/// setting's, each with how the file writes it.
fn spread((key, value): (String, Value)) -> Vec<(String, String, Value)> {
    match value {
        Value::Dict(_, table) if !known(&key) && !table.is_empty() => {
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

fn dotenv(dir: &Path) -> Result<std::vec::IntoIter<(String, String)>, SettingError> {
    let lines = match dotenvy::from_path_iter(dir.join(".env")) {
        Ok(lines) => lines,
        Err(error) if error.not_found() => return Ok(Vec::new().into_iter()),
        Err(_) => return Err(SettingError::Sentence("cannot read `.env`".to_owned())),
    };
    let mut values = Vec::new();
    for (number, line) in lines.enumerate() {
        // The error shows the line, and the line may hold a key.
        let (name, text) = line.map_err(|_| {
            SettingError::Sentence(format!(
                "entry {} of `.env` cannot be read, expected `NAME=value`",
                number + 1
            ))
        })?;
        values.extend(named(&name).map(|setting| (setting.key(), text)));
    }
    Ok(values.into_iter())
}

fn of_env(
    env: &[(OsString, OsString)],
) -> Result<std::vec::IntoIter<(String, String)>, SettingError> {
    let mut values = Vec::new();
    for (name, text) in env {
        let Some(setting) = name.to_str().and_then(named) else { continue };
        let text = text.to_str().ok_or_else(|| {
            SettingError::Sentence(format!("{} (the environment) is not valid UTF-8", setting.name))
        })?;
        values.push((setting.key(), text.to_owned()));
    }
    Ok(values.into_iter())
}

fn named(name: &str) -> Option<&'static Setting> {
    ALL.iter().find(|setting| setting.name == name)
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
