//! `life-agent check`: everything that would stop a start, found before it. Changes nothing.

mod places;

use std::net::TcpListener;
use std::process::ExitCode;

use anstyle::AnsiColor;
use clap::Args;
use life_agent_engine::{Config, KeySource, OpaMode, OpenError};
use secrecy::ExposeSecret;
use serde::Serialize;

use super::terminal::{print_json, print_labeled};
use super::{CommandResult, FOUND, mcp};
use crate::auth::keys::Keys;
use crate::place::Place;
use crate::serve;
use crate::settings::{NamedKey, Settings, Unknown};

/// A key of fewer characters can be guessed in a time that matters.
const SHORT_KEY: usize = 16;

/// Options of `check`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  life-agent check\n  \
    life-agent --config staging.toml check --json\n\n\
    Looks at the settings, keys, policy, journal, workspace, plans folder, log and port as a start \
    would use them; asks no other machine.\n\n\
    Exit code: 0 a start would go well (warnings or not), 1 it would not")]
pub struct Check {
    /// Print the findings as JSON.
    #[arg(long)]
    json: bool,
}

/// What was looked at, and how it is.
#[derive(Debug, Serialize)]
struct Finding {
    check: &'static str,
    result: Outcome,
    message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    Ok,
    /// A start would go well, and its operator may be surprised.
    Warning,
    /// A start would fail, or serve no caller.
    Fault,
}

/// The message of a warning or of a fault.
type Looked = Result<String, (Outcome, String)>;

fn warning(message: impl Into<String>) -> Looked {
    Err((Outcome::Warning, message.into()))
}

fn fault(message: impl ToString) -> Looked {
    Err((Outcome::Fault, message.to_string()))
}

/// Runs it.
pub fn run(
    options: &Check,
    settings: Result<Settings, String>,
    unknown: &[Unknown],
) -> CommandResult {
    let findings = match settings {
        Ok(settings) => look(&settings, unknown),
        Err(why) => vec![finding("settings", fault(why))],
    };
    let faults = findings.iter().filter(|finding| finding.result == Outcome::Fault).count();
    if options.json {
        print_json(&serde_json::json!({"ok": faults == 0, "checks": findings}))?;
    } else {
        findings.iter().for_each(print);
        match faults {
            0 => say!("it would start"),
            1 => say!("it would not start: 1 fault"),
            faults => say!("it would not start: {faults} faults"),
        }
    }
    Ok(if faults == 0 { ExitCode::SUCCESS } else { ExitCode::from(FOUND) })
}

fn finding(check: &'static str, looked: Looked) -> Finding {
    let (result, message) = match looked {
        Ok(message) => (Outcome::Ok, message),
        Err(found) => found,
    };
    Finding { check, result, message }
}

fn print(finding: &Finding) {
    let (word, style) = match finding.result {
        Outcome::Ok => ("ok", AnsiColor::Green.on_default()),
        Outcome::Warning => ("warning", AnsiColor::Yellow.on_default()),
        Outcome::Fault => ("fault", AnsiColor::Red.on_default().bold()),
    };
    print_labeled(
        &format!("{word:<9}"),
        style,
        &format!("{:<10}{}", finding.check, finding.message),
    );
}

fn look(settings: &Settings, unknown: &[Unknown]) -> Vec<Finding> {
    let config = serve::engine_config(settings);
    vec![
        finding("settings", values(settings, unknown)),
        finding("keys", keys(settings)),
        finding("policy", policy(&config)),
        finding("opa", opa(&config)),
        finding("mcp", mcp(&config)),
        finding("journal", journal(&settings.journal)),
        finding("workspace", places::workspace(&config.workspace_dir)),
        finding("plans", places::plans(&config.plans_dir)),
        finding("log", places::log(settings.log_file.as_deref())),
        finding("address", address(settings)),
        finding("model", model(settings)),
        finding("switch", switch(settings)),
    ]
}

/// A database is not asked.
fn journal(place: &Place) -> Looked {
    match place {
        Place::File(path) => places::journal(path),
        #[cfg(feature = "postgres")]
        Place::Database(database) => {
            if database.address.is_remote() && !database.address.is_encrypted() {
                return warning(format!("{place}: rows and the password would travel unencrypted"));
            }
            Ok(format!("{place} (not asked); `audit verify` proves its chain"))
        }
    }
}

fn values(settings: &Settings, unknown: &[Unknown]) -> Looked {
    for required in &settings.required {
        if let Err(error) = required.check() {
            return fault(error);
        }
    }
    match unknown {
        [] => Ok("every value is valid".to_owned()),
        unknown => {
            let lines: Vec<_> = unknown.iter().map(ToString::to_string).collect();
            warning(lines.join("; "))
        }
    }
}

fn keys(settings: &Settings) -> Looked {
    if let Err(needed) = Keys::of(settings) {
        return fault(needed);
    }
    let named = |keys: &mut dyn Iterator<Item = &NamedKey>| -> Vec<_> {
        keys.map(|key| format!("`{}`", key.name)).collect()
    };
    let short = |key: &&NamedKey| key.key.expose_secret().len() < SHORT_KEY;
    match named(&mut settings.keys.iter().filter(short)).as_slice() {
        [] if settings.keys.is_empty() && settings.keys_file.is_some() => {
            Ok("those of KEYS_FILE".to_owned())
        }
        [] if settings.keys.is_empty() => Ok("none; a start makes one and prints it".to_owned()),
        [] => Ok(named(&mut settings.keys.iter()).join(", ")),
        short => warning(format!(
            "{} of fewer than {SHORT_KEY} characters can be guessed; make a longer one, such as \
             `openssl rand -hex 24` prints",
            short.join(", ")
        )),
    }
}

/// The policy and the profile, without the Rego modules: a start needs the former only.
fn policy(config: &Config) -> Looked {
    let shown = config.policy_path.display();
    let config = &Config { opa: OpaMode::Off, ..config.clone() };
    let report = match life_agent_engine::check_policy(config) {
        Ok(report) => report,
        // That the workspace cannot be used is said once, by its own check.
        Err(OpenError::Path { .. }) if !config.workspace_dir.is_dir() => {
            return warning("not looked at: it needs the workspace");
        }
        Err(error) => return fault(error),
    };
    if !config.policy_path.is_file() {
        return warning(format!(
            "`{shown}` does not exist: the built-in policy applies, and allows plans in {}",
            config.whitelist_dirs.join(", ")
        ));
    }
    Ok(format!("`{shown}`, {} rules, hash {:.12}", report.rule_count, report.policy_hash))
}

fn opa(config: &Config) -> Looked {
    match &config.opa {
        OpaMode::Off => Ok("off".to_owned()),
        OpaMode::Embedded => modules(config),
        OpaMode::Server(url) => Ok(format!("{url} (not asked); while it is down, all is denied")),
    }
}

/// The MCP servers of the policy: the values of their headers, and their pins. No server is asked.
fn mcp(config: &Config) -> Looked {
    if !config.policy_path.is_file() {
        return Ok("no server".to_owned());
    }
    let Ok(servers) = mcp::servers(config) else {
        return warning("not looked at: the policy comes first");
    };
    let lock = match mcp::read_lock(&mcp::lock_path(config)) {
        Ok(lock) => lock,
        Err(why) => return warning(format!("{why}; every tool call of an MCP server is denied")),
    };
    let mut missing = Vec::new();
    for (name, server) in &servers {
        for (header, variable) in &server.headers_env {
            if (config.call_limits.read_key)(&KeySource::Env(variable.clone())).is_none() {
                missing.push(format!("`{name}` needs `{variable}` for its header `{header}`"));
            }
        }
        if lock.tools(name).next().is_none() {
            missing.push(format!("`{name}` has no pinned tool; see `life-agent mcp pin {name}`"));
        }
    }
    match (servers.is_empty(), missing.is_empty()) {
        (true, _) => Ok("no server".to_owned()),
        (false, true) => Ok(format!("{} with pinned tools", servers.len())),
        (false, false) => warning(missing.join("; ")),
    }
}

/// The service starts with modules that do not compile, and then denies every request.
fn modules(config: &Config) -> Looked {
    let shown = config.policy_dir.display();
    if life_agent_engine::check_policy(&Config { opa: OpaMode::Off, ..config.clone() }).is_err() {
        return warning("not checked: the policy comes first");
    }
    match life_agent_engine::check_policy(config) {
        Ok(_) => Ok(format!("the modules in `{shown}` compile")),
        Err(OpenError::Document { faults, .. }) => {
            let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
            warning(format!(
                "every request would be denied, because the modules in `{shown}` do not compile: {}",
                faults.join("; ")
            ))
        }
        Err(error) => fault(error),
    }
}

fn address(settings: &Settings) -> Looked {
    let address = (settings.host, settings.port).into();
    match TcpListener::bind(address) {
        Ok(_) if settings.port == 0 => Ok(format!("any free port of {}", settings.host)),
        Ok(_) => Ok(format!("{address} is free")),
        Err(error) => fault(serve::ServeError::Listen { address, error }),
    }
}

fn model(settings: &Settings) -> Looked {
    let Some(key) = &settings.groq_api_key else {
        return Ok("no GROQ_API_KEY; everything but chat works".to_owned());
    };
    let url = &settings.groq_base_url;
    let parsed: Option<actix_web::http::Uri> = url.parse().ok();
    let host = parsed.as_ref().and_then(|uri| uri.host()).unwrap_or_default();
    let local = host == "localhost"
        || host.trim_matches(['[', ']']).parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
    if url.starts_with("http://") && !local {
        return warning(format!("GROQ_BASE_URL is `{url}`: the key would travel unencrypted"));
    }
    if host.ends_with("groq.com") && !key.expose_secret().starts_with("gsk_") {
        return warning("GROQ_API_KEY does not begin with `gsk_` as keys of Groq do");
    }
    Ok(format!("a key for {url} (not asked)"))
}

fn switch(settings: &Settings) -> Looked {
    if settings.kill_switch {
        return warning("KILL_SWITCH is on: everything that acts would be refused");
    }
    Ok("KILL_SWITCH is off".to_owned())
}
