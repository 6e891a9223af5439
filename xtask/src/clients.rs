//! `cargo xtask clients`: real clients and coding agents against the service, with a stand-in for the model.

use std::process::Command;

use clap::Args;

use crate::{cargo, root};

const SERVER: &str = "target/debug/life-agent";

/// Which clients to run.
#[derive(Args)]
pub(crate) struct Clients {
    /// Run coding agents behind the hook instead of clients of the model proxy.
    #[arg(long)]
    hooks: bool,
    /// Run the examples of guarded tools instead.
    #[arg(long, conflicts_with_all = ["hooks", "names"])]
    guards: bool,
    /// The clients or hosts; all without it.
    names: Vec<String>,
}

/// Runs them, and fails if one of them fails. The packages are installed into `target/clients`.
pub(crate) fn run(clients: &Clients) -> anyhow::Result<()> {
    if !root().join(SERVER).exists() {
        cargo(&["build", "--locked", "--package", "life-agent-server"])?;
    }
    let script = match (clients.hooks, clients.guards) {
        (_, true) => "tests/clients/guards.py",
        (true, false) => "tests/clients/hooks.py",
        (false, false) => "tests/clients/run.py",
    };
    let mut python = Command::new("python3");
    python.current_dir(root()).arg(script).args(["--server", SERVER]).args(&clients.names);
    anyhow::ensure!(python.status()?.success(), "some clients failed");
    Ok(())
}
