//! `life-agent init`: a folder to serve from, with a policy, keys and settings.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::key::entry;
use super::{CommandResult, private_file};
use crate::auth::keys_file::{Entry, KeysFile};

const SCHEMA: &str = include_str!("../../../../policy/policy.schema.json");
const DEFAULT_POLICY: &str = include_str!("../../../../policy/policy.yaml");
const STRICT_POLICY: &str = include_str!("../../../../policies/strict.yaml");
const POLICY_HEAD: &str = "\
# yaml-language-server: $schema=./policy.schema.json
#
# The active policy. The service applies a saved change within two seconds; a file with faults changes
# nothing, and the log lists every fault. `life-agent policy check policy/policy.yaml` tests it.

";
const ENV: &str = "\
# Settings of the service that is started in this folder. `life-agent help settings` lists all of them.
KEYS_FILE=keys.yaml
# PORT=8000
# GROQ_API_KEY=
";

/// Options of `init`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  life-agent init                            in this folder\n  \
    life-agent init agents --policy strict     in another folder, which may be new\n\n\
    Writes policy/policy.yaml and its schema, keys.yaml with the digests of two keys, .env, and the folder plans.\n\
    Only their owner may read the files. The keys are printed once.\n\n\
    Exit code: 0 written, 2 a file exists, or could not be written; nothing is overwritten without --force"
)]
pub struct Init {
    /// The folder.
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// The policy to begin with.
    #[arg(long, value_enum, default_value = "default")]
    policy: Start,
    /// Overwrite files of an earlier `init`. The keys of an earlier keys.yaml stop working.
    #[arg(long)]
    force: bool,
}

/// A policy to begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Start {
    /// Denies harmful requests and asks before something is destroyed or published.
    Default,
    /// Also denies texts that only mention commands, addresses or credentials.
    Strict,
}

/// The shipped policy with the comments of a file in use.
pub(super) fn default_policy() -> String {
    policy(Start::Default)
}

fn policy(start: Start) -> String {
    let shipped = match start {
        Start::Default => DEFAULT_POLICY,
        Start::Strict => STRICT_POLICY,
    };
    // The comments above the document are about the file's place in the repository.
    let at = shipped.find("version:").unwrap_or(0);
    format!("{POLICY_HEAD}{}", shipped.get(at..).unwrap_or_default())
}

/// Runs it.
pub fn run(options: &Init) -> CommandResult {
    let dir = &options.dir;
    let (admin, admin_key) = entry("admin", vec!["operator".to_owned()]);
    let (agent, agent_key) = entry("agent", vec!["agent".to_owned()]);
    let files = [
        ("policy/policy.yaml", policy(options.policy)),
        ("policy/policy.schema.json", SCHEMA.to_owned()),
        ("keys.yaml", keys(vec![admin, agent])?),
        (".env", ENV.to_owned()),
    ];
    if !options.force {
        refuse_existing(dir, files.iter().map(|(name, _)| *name))?;
    }
    for folder in ["policy", "plans"] {
        private_file::create_folder(&dir.join(folder))
            .map_err(|error| format!("cannot create `{}`: {error}", dir.join(folder).display()))?;
    }
    for (name, text) in &files {
        let path = dir.join(name);
        private_file::replace(&path, text)
            .map_err(|error| format!("cannot write `{}`: {error}", path.display()))?;
    }
    say!("wrote policy/policy.yaml, keys.yaml and .env in {}", dir.display());
    say!("");
    say!("admin key: {admin_key}");
    say!("agent key: {agent_key}");
    say!("");
    say!(
        "Keep them: keys.yaml holds digests only. The admin key may do everything and approves what the agent"
    );
    say!("key may not do alone. Next:");
    if dir != Path::new(".") {
        say!("  cd '{}'", dir.display());
    }
    say!("  life-agent                         serve; the page is http://127.0.0.1:8000/ui");
    say!("  export LIFE_AGENT_KEY='{agent_key}'");
    say!("  life-agent hook install claude-code");
    Ok(ExitCode::SUCCESS)
}

/// Refuses before anything is written.
fn refuse_existing<'a>(dir: &Path, names: impl Iterator<Item = &'a str>) -> Result<(), String> {
    let exists = |name: &&str| dir.join(name).symlink_metadata().is_ok();
    let existing: Vec<_> = names.filter(exists).map(|name| format!("`{name}`")).collect();
    if existing.is_empty() {
        return Ok(());
    }
    Err(format!(
        "{} already in {}; name another folder, or overwrite with `--force`",
        existing.join(", "),
        dir.display()
    ))
}

fn keys(keys: Vec<Entry>) -> Result<String, String> {
    let file = KeysFile { keys };
    file.grants().map_err(|error| error.to_string())?;
    let text = serde_yaml::to_string(&file).map_err(|error| error.to_string())?;
    Ok(format!("# `life-agent key new`, `key list` and `key revoke` change this file.\n{text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_policies_are_whole_documents() {
        for start in [Start::Default, Start::Strict] {
            let text = policy(start);
            assert!(text.starts_with(POLICY_HEAD) && text.contains("\nallowed_dirs:"), "{text}");
            assert_eq!(text.matches("\nversion:").count(), 1);
        }
    }
}
