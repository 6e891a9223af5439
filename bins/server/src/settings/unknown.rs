//! Names in the environment and in `.env` that look like a setting and are none.
//!
//! The environment belongs to every program of a machine, so an unknown name there is no error. A name
//! one typing error away from a setting, or with our prefix, deserves a warning. Values are never read.

use super::{ALIASES, ALL};

/// A prefix that only this service has reason to use.
const PREFIX: &str = "LIFE_AGENT_";

/// Names with the prefix that belong to the project's own tests and tools.
const OWN: [&str; 3] = ["LIFE_AGENT_CORPUS", "LIFE_AGENT_NEED_OPENAI", "LIFE_AGENT_BIN"];

/// Names up to this length count as similar at a distance of one, longer names of two.
const SHORT: usize = 8;

/// Former settings that have no successor, and why.
const RETIRED: [(&str, &str); 4] = [
    ("ALLOW_TEST_TOKENS", "there are no built-in keys"),
    ("TEST_API_KEY", "there are no built-in keys; use API_KEY or API_TOKENS"),
    ("INSTANCES", "any number of instances may share a database"),
    ("DATABASE_WAIT_SECONDS", "no instance waits for another; all of them serve"),
];

/// A name that is no setting although it looks like one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    /// The name as it is written.
    pub name: String,
    /// Where it was found.
    pub from: &'static str,
    /// What to do about it.
    pub advice: String,
}

impl std::fmt::Display for Unknown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}` ({}) is not a setting; {}", self.name, self.from, self.advice)
    }
}

/// The suspicious ones among `names`.
pub(super) fn suspicious<'a>(
    names: impl Iterator<Item = &'a str>,
    from: &'static str,
) -> Vec<Unknown> {
    let found = |name: &str| Some(Unknown { name: name.to_owned(), from, advice: advice(name)? });
    names.filter_map(found).collect()
}

fn advice(name: &str) -> Option<String> {
    if is_setting(name) || OWN.contains(&name) {
        return None;
    }
    if let Some((_, why)) = RETIRED.iter().find(|(retired, _)| *retired == name) {
        return Some((*why).to_owned());
    }
    let upper = name.to_ascii_uppercase();
    let bare = upper.strip_prefix(PREFIX);
    match (similar(bare.unwrap_or(&upper)), bare) {
        (Some(meant), _) => Some(format!("did you mean `{meant}`?")),
        (None, Some(_)) => Some("`life-agent config` lists every setting".to_owned()),
        (None, None) => None,
    }
}

fn is_setting(name: &str) -> bool {
    names().any(|known| known == name)
}

fn names() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|setting| setting.name).chain(ALIASES.iter().map(|(alias, _)| *alias))
}

fn similar(name: &str) -> Option<&'static str> {
    let limit = if name.len() <= SHORT { 1 } else { 2 };
    names()
        .map(|known| (strsim::osa_distance(name, known), known))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn advice_for(name: &str) -> Option<String> {
        let mut found = suspicious([name].into_iter(), ".env");
        found.pop().map(|unknown| unknown.advice)
    }

    #[test]
    fn typing_errors_are_recognized() {
        for (name, meant) in [
            ("API_TOKN", "API_TOKEN"),
            ("API_TOKENSS", "API_TOKENS"),
            ("RATE_LIMIT_RSP", "RATE_LIMIT_RPS"),
            ("LOGLEVEL", "LOG_LEVEL"),
            ("DB_PTH", "DB_PATH"),
            ("port", "PORT"),
            ("Log_File", "LOG_FILE"),
            ("KILLSWITCH", "KILL_SWITCH"),
            ("ALOWED_ORIGIN", "ALLOWED_ORIGINS"),
            ("GROQ_APIKEY", "GROQ_API_KEY"),
            ("LIFE_AGENT_PORT", "PORT"),
            ("LIFE_AGENT_DB_PTH", "DB_PATH"),
        ] {
            assert_eq!(advice_for(name), Some(format!("did you mean `{meant}`?")), "{name}");
        }
        assert!(advice_for("LIFE_AGENT_COLOR").unwrap().contains("life-agent config"));
        assert!(advice_for("ALLOW_TEST_TOKENS").unwrap().contains("no built-in keys"));
    }

    #[test]
    fn settings_and_the_names_of_other_programs_are_not_suspicious() {
        let usual = [
            "PATH",
            "HOME",
            "HOSTNAME",
            "SHELL",
            "PWD",
            "OLDPWD",
            "USER",
            "TERM",
            "LANG",
            "LC_ALL",
            "TMPDIR",
            "XDG_RUNTIME_DIR",
            "SSH_AUTH_SOCK",
            "EDITOR",
            "DISPLAY",
            "MAIL",
            "LOGNAME",
            "HTTP_PROXY",
            "NO_PROXY",
            "DATABASE_URL",
            "REDIS_URL",
            "OPENAI_API_KEY",
            "NO_COLOR",
            "RUST_LOG",
            "RUST_BACKTRACE",
            "CARGO_HOME",
            "RENDER",
            "KUBERNETES_PORT",
            "NODE_ENV",
            "LIFE_AGENT_CORPUS",
            "SHLVL",
            "_",
            "",
        ];
        for name in ALL.iter().map(|setting| setting.name).chain(usual).chain(["API_TOKEN"]) {
            assert_eq!(advice_for(name), None, "{name}");
        }
    }
}
