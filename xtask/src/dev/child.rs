//! The developer's server: built, started from a copy, and stopped cleanly.

use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::Context;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::root;

/// The server ends within 10 s of a signal.
const GOODBYE: Duration = Duration::from_secs(12);

/// Variables of the server in addition to the environment of this process.
pub(super) type Environment = Vec<(&'static str, String)>;

/// Builds the server and returns whether it compiled; cargo has printed the errors.
pub(super) async fn build() -> anyhow::Result<bool> {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(program);
    build.args(["build", "--package", "life-agent-server", "--bin", "life-agent"]);
    // A dropped future ends its build.
    let status = build.current_dir(root()).kill_on_drop(true).status().await?;
    Ok(status.success())
}

/// A server, running or ended.
pub(super) struct Server {
    environment: Environment,
    /// The folder of the running copy: on Windows, a build cannot replace a running program.
    folder: TempDir,
    child: Option<Child>,
}

impl Server {
    /// Starts the last build.
    pub(super) fn start(environment: Environment) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("xtask-dev-").tempdir_in(output_folder()?)?;
        let mut server = Self { environment, folder, child: None };
        server.spawn()?;
        Ok(server)
    }

    fn spawn(&mut self) -> anyhow::Result<()> {
        let name = format!("life-agent{}", std::env::consts::EXE_SUFFIX);
        let (built, program) = (output_folder()?.join(&name), self.folder.path().join(&name));
        std::fs::copy(&built, &program)
            .with_context(|| format!("copying `{}`", built.display()))?;
        let mut command = Command::new(&program);
        command.envs(self.environment.iter().cloned()).kill_on_drop(true);
        let child = command.spawn().with_context(|| format!("starting `{}`", program.display()))?;
        self.child = Some(child);
        Ok(())
    }

    /// Resolves with the exit status once the server ends by itself; never resolves after that.
    pub(super) async fn ended(&mut self) -> anyhow::Result<ExitStatus> {
        let Some(child) = &mut self.child else { return std::future::pending().await };
        let status = child.wait().await?;
        self.child = None;
        Ok(status)
    }

    /// Stops the server and starts the last build.
    pub(super) async fn restart(&mut self) -> anyhow::Result<()> {
        #[cfg(not(unix))]
        if let Some(child) = &mut self.child {
            // Ctrl-C would reach this process too. A kill loses nothing that was confirmed, because every response
            // is in the journal.
            child.start_kill()?;
        }
        self.stop().await?;
        self.spawn()
    }

    /// Signals the server to end, and kills it if it does not.
    pub(super) async fn stop(&mut self) -> anyhow::Result<()> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        #[cfg(unix)]
        if let Some(pid) =
            child.id().and_then(|pid| rustix::process::Pid::from_raw(pid.try_into().ok()?))
        {
            // After a Ctrl-C the server has a signal already; a second one does no harm.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        if tokio::time::timeout(GOODBYE, child.wait()).await.is_err() {
            super::report("the server does not end; killing it");
            child.kill().await?;
        }
        Ok(())
    }
}

/// The folder of this program, which is also cargo's output folder for the server.
fn output_folder() -> anyhow::Result<PathBuf> {
    let this = std::env::current_exe()?;
    Ok(this.parent().context("this program has no parent folder")?.to_owned())
}
