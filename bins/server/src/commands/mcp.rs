//! `life-agent mcp`: lists the tools of the MCP servers behind the gateway, and pins their definitions.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use life_agent_engine::policy_document::mcp::McpServer;
use life_agent_engine::policy_document::snapshot::{self, Workspace};
use life_agent_engine::{Config, mcp_definitions, suspicious_texts};
use life_agent_mcp::definition::Definition;
use life_agent_mcp::lock::{Lock, Pinned};
use serde_json::json;

use super::terminal::print_json;
use super::{CommandResult, FOUND};

/// What to do with the MCP servers of the policy.
#[derive(Debug, Subcommand)]
pub enum Mcp {
    /// List the tools of the servers, and how they compare with their pins.
    #[command(
        after_help = "Examples:\n  life-agent mcp list\n  life-agent mcp list github --json\n\n\
        Exit code: 0 every tool is pinned, 1 some are new, changed or gone, 2 a server could not be reached"
    )]
    List(List),
    /// Pin the definitions of a server's tools as they are now, in `mcp.lock` next to the policy.
    ///
    /// Review what `mcp list` prints first, and the lock file like the policy. Signs of an injection in a
    /// description are printed.
    #[command(
        after_help = "Examples:\n  life-agent mcp pin github\n  life-agent mcp pin github search_code get_file\n\n\
        Exit code: 0 pinned, 1 pinned and a description is suspicious, 2 could not be read or written"
    )]
    Pin(Pin),
}

/// Options of `mcp list`.
#[derive(Debug, Args)]
pub struct List {
    /// Only this server.
    server: Option<String>,
    /// Print the tools as JSON.
    #[arg(long)]
    json: bool,
}

/// Options of `mcp pin`.
#[derive(Debug, Args)]
pub struct Pin {
    /// The server.
    server: String,
    /// The tools; all of the server's tools without them.
    tools: Vec<String>,
}

/// Runs it.
pub fn run(command: &Mcp, config: &Config) -> CommandResult {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("cannot start: {error}"))?;
    runtime.block_on(async {
        match command {
            Mcp::List(options) => list(options, config).await,
            Mcp::Pin(options) => pin(options, config).await,
        }
    })
}

async fn list(options: &List, config: &Config) -> CommandResult {
    let (servers, lock) = (servers(config)?, read_lock(&lock_path(config))?);
    if let Some(name) = &options.server
        && !servers.iter().any(|(known, _)| known == name)
    {
        return Err(format!("the policy names no MCP server `{name}`"));
    }
    let (mut all_pinned, mut printed) = (true, Vec::new());
    for (name, server) in servers {
        if options.server.as_ref().is_some_and(|only| *only != name) {
            continue;
        }
        let definitions = definitions(&name, &server, config).await?;
        for definition in &definitions {
            let (state, detail) = match lock.compare(&name, definition) {
                Pinned::Same => ("pinned", json!(null)),
                Pinned::New => ("new", json!(null)),
                Pinned::Changed(changes) => ("changed", json!(changes)),
            };
            all_pinned &= state == "pinned";
            let signs = suspicious_texts(&definition.texts());
            printed.push(json!({
                "server": name, "tool": definition.name(), "state": state, "changes": detail,
                "suspicious": signs,
            }));
        }
        for tool in lock.tools(&name) {
            if !definitions.iter().any(|definition| definition.name() == tool) {
                all_pinned = false;
                printed.push(json!({"server": name, "tool": tool, "state": "gone"}));
            }
        }
    }
    if options.json {
        print_json(&printed)?;
    } else {
        printed.iter().for_each(print);
    }
    Ok(if all_pinned { ExitCode::SUCCESS } else { ExitCode::from(FOUND) })
}

fn print(tool: &serde_json::Value) {
    let text = |name: &str| tool[name].as_str().unwrap_or_default().to_owned();
    say!("{:8} {} {}", text("state"), text("server"), text("tool"));
    for change in tool["changes"].as_array().into_iter().flatten() {
        let field = change["field"].as_str().unwrap_or_default();
        say!("         {field}: {} -> {}", change["pinned"], change["present"]);
    }
    for sign in tool["suspicious"].as_array().into_iter().flatten() {
        say!("         suspicious: {}", sign.as_str().unwrap_or_default());
    }
}

async fn pin(options: &Pin, config: &Config) -> CommandResult {
    let name = &options.server;
    let servers = servers(config)?;
    let found = servers.iter().find(|(known, _)| known == name);
    let (_, server) = found.ok_or_else(|| format!("the policy names no MCP server `{name}`"))?;
    let path = lock_path(config);
    let mut lock = read_lock(&path)?;
    let definitions = definitions(name, server, config).await?;
    let missing = |tool: &&String| !definitions.iter().any(|known| known.name() == **tool);
    if let Some(tool) = options.tools.iter().find(missing) {
        return Err(format!("`{name}` has no tool `{tool}`"));
    }
    let chosen: Vec<_> = definitions
        .iter()
        .filter(|known| {
            options.tools.is_empty() || options.tools.iter().any(|tool| tool == known.name())
        })
        .cloned()
        .collect();
    let suspicious = match options.tools.is_empty() {
        true => pin_all(&mut lock, name, &definitions),
        false => pin_each(&mut lock, name, &chosen),
    };
    write(&path, &lock.text())?;
    Ok(if suspicious { ExitCode::from(FOUND) } else { ExitCode::SUCCESS })
}

/// Pins all tools of a server, and removes the pins of tools that it no longer has.
pub(super) fn pin_all(lock: &mut Lock, server: &str, definitions: &[Definition]) -> bool {
    let suspicious = pin_each(lock, server, definitions);
    let gone: Vec<String> = lock
        .tools(server)
        .filter(|tool| !definitions.iter().any(|definition| definition.name() == *tool))
        .map(str::to_owned)
        .collect();
    for tool in gone {
        lock.unpin(server, &tool);
        say!("removed: {server} {tool}");
    }
    suspicious
}

/// Pins these tools. Returns whether a description is suspicious.
fn pin_each(lock: &mut Lock, server: &str, definitions: &[Definition]) -> bool {
    let mut suspicious = false;
    for definition in definitions {
        for sign in suspicious_texts(&definition.texts()) {
            suspicious = true;
            say!("suspicious: {server} {}: {sign}", definition.name());
        }
        if lock.compare(server, definition) != Pinned::Same {
            lock.pin(server, definition);
            say!("pinned: {server} {} {}", definition.name(), definition.digest());
        }
    }
    suspicious
}

async fn definitions(
    name: &str,
    server: &McpServer,
    config: &Config,
) -> Result<Vec<Definition>, String> {
    let read = mcp_definitions(server, &config.call_limits.read_key).await;
    read.map_err(|why| format!("the MCP server `{name}`: {why}"))
}

/// The servers of the policy.
pub(super) fn servers(config: &Config) -> Result<Vec<(String, McpServer)>, String> {
    struct Tree<'a>(&'a Path);
    impl Workspace for Tree<'_> {
        fn is_dir(&self, relative: &str) -> bool {
            self.0.join(relative).is_dir()
        }
    }
    let path = config.policy_path.display();
    let text = std::fs::read_to_string(&config.policy_path)
        .map_err(|error| format!("cannot read the policy `{path}`: {error}"))?;
    let snapshot = snapshot::compile(&text, &Tree(&config.workspace_dir));
    let snapshot = snapshot.map_err(|_| {
        format!("the policy `{path}` has faults; `life-agent policy check` lists them")
    })?;
    Ok(snapshot.policy.mcp.servers.into_iter().collect())
}

pub(super) fn lock_path(config: &Config) -> PathBuf {
    config.policy_path.with_file_name("mcp.lock")
}

pub(super) fn read_lock(path: &Path) -> Result<Lock, String> {
    match std::fs::read_to_string(path) {
        Ok(text) => Lock::read(&text).map_err(|why| format!("`{}`: {why}", path.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Lock::default()),
        Err(error) => Err(format!("cannot read `{}`: {error}", path.display())),
    }
}

/// Replaces the file in one step, so that the service never reads half of it.
pub(super) fn write(path: &Path, text: &str) -> Result<(), String> {
    let draft = path.with_extension("lock.tmp");
    std::fs::write(&draft, text)
        .and_then(|()| std::fs::rename(&draft, path))
        .map_err(|error| format!("cannot write `{}`: {error}", path.display()))
}
