//! `life-agent key`: creates, lists and revokes the keys of `KEYS_FILE`.

use std::path::Path;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::json;

use super::terminal::print_json;
use super::{CommandResult, FOUND, private_file};
use crate::auth::keys::{digest, random_key};
use crate::auth::keys_file::{Entry, KeysFile, SHA256};

/// Commands about keys.
#[derive(Debug, Subcommand)]
pub enum Key {
    /// Create a key: print it once and store its digest in KEYS_FILE.
    New(New),
    /// List the keys of KEYS_FILE.
    List(List),
    /// Revoke a key of KEYS_FILE; a running service follows within two seconds.
    Revoke(Revoke),
}

/// Options of `key new`.
#[derive(Debug, Args)]
pub struct New {
    /// The principal that rows and logs show.
    #[arg(long)]
    name: String,
    /// A role: agent, observer, reviewer, author or operator; may be repeated.
    #[arg(long = "role", value_name = "ROLE", required_unless_present = "scopes")]
    roles: Vec<String>,
    /// A scope: act, read, approve, policy or operate; may be repeated.
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// A glob of agents that the key may access; may be repeated. All agents by default.
    #[arg(long = "agent", value_name = "GLOB")]
    agents: Vec<String>,
    /// The person accountable for the key.
    #[arg(long)]
    person: Option<String>,
    /// When the key stops working, such as 2027-01-31T00:00:00Z.
    #[arg(long, value_name = "TIME")]
    expires: Option<String>,
    /// Requests per second, reads included, instead of RATE_LIMIT_PRINCIPAL_RPS; 0 for no limit.
    #[arg(long, value_name = "NUMBER")]
    rate: Option<u32>,
}

/// Options of `key list`.
#[derive(Debug, Args)]
pub struct List {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Options of `key revoke`.
#[derive(Debug, Args)]
pub struct Revoke {
    /// The principal.
    name: String,
}

/// Runs a command on the configured file.
pub fn run(command: &Key, path: Option<&Path>) -> CommandResult {
    let path = path.ok_or("KEYS_FILE is not set; set it to the file that keeps the keys")?;
    match command {
        Key::New(new) => create(new, path),
        Key::List(list) => show(list, path),
        Key::Revoke(revoke) => remove(revoke, path),
    }
}

/// The file; a missing file has no keys yet.
fn read(path: &Path) -> Result<KeysFile, String> {
    match path.exists() {
        true => KeysFile::read(path).map_err(|error| error.to_string()),
        false => Ok(KeysFile::default()),
    }
}

/// A new key, and its entry in the file.
pub(super) fn entry(name: &str, roles: Vec<String>) -> (Entry, String) {
    let key = random_key();
    let digest = format!("{SHA256}{}", hex::encode(digest(key.as_bytes())));
    (Entry { name: name.to_owned(), digest, roles, ..Entry::default() }, key)
}

fn create(new: &New, path: &Path) -> CommandResult {
    let mut file = read(path)?;
    let (entry, key) = entry(&new.name, new.roles.clone());
    file.keys.push(Entry {
        scopes: new.scopes.clone(),
        person: new.person.clone(),
        agents: (!new.agents.is_empty()).then(|| new.agents.clone()),
        expires: new.expires.clone(),
        rate: new.rate,
        ..entry
    });
    write(path, &file)?;
    say!("{key}");
    Ok(ExitCode::SUCCESS)
}

fn show(list: &List, path: &Path) -> CommandResult {
    let file = read(path)?;
    file.grants().map_err(|error| error.to_string())?;
    if list.json {
        print_json(&json!({ "keys": file.keys }))?;
        return Ok(ExitCode::SUCCESS);
    }
    for entry in &file.keys {
        let granted = [entry.roles.as_slice(), &entry.scopes].concat().join("+");
        let agents = entry.agents.as_ref().map_or_else(|| "*".to_owned(), |globs| globs.join(","));
        let expires = entry.expires.as_deref().unwrap_or("never expires");
        say!("{:<24}{:<24}{:<24}{}", entry.name, granted, agents, expires);
    }
    Ok(ExitCode::SUCCESS)
}

fn remove(revoke: &Revoke, path: &Path) -> CommandResult {
    let mut file = read(path)?;
    let before = file.keys.len();
    file.keys.retain(|entry| entry.name != revoke.name);
    if file.keys.len() == before {
        eprintln!("life-agent: KEYS_FILE has no key with this name; see `life-agent key list`");
        return Ok(ExitCode::from(FOUND));
    }
    write(path, &file)?;
    say!("revoked `{}`", revoke.name);
    Ok(ExitCode::SUCCESS)
}

/// Replaces the file, if what it would hold is valid.
fn write(path: &Path, file: &KeysFile) -> Result<(), String> {
    file.grants().map_err(|error| error.to_string())?;
    let text = serde_yaml::to_string(file).map_err(|error| error.to_string())?;
    private_file::replace(path, &text)
        .map_err(|error| format!("cannot write KEYS_FILE `{}`: {error}", path.display()))
}
