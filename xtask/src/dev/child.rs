//! The server that a developer runs: built, started from a copy, stopped so that it can say goodbye.

use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::Context;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::root;

/// The server ends within 10 s of being asked to.
const GOODBYE: Duration = Duration::from_secs(12);

/// What is set for the server beside the environment of this process.
pub(super) type Environment = Vec<(&'static str, String)>;

/// Builds it; false if it does not build, which cargo has explained by then.
pub(super) async fn build() -> anyhow::Result<bool> {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(program);
    build.args(["build", "--package", "life-agent-server", "--bin", "life-agent"]);
    // A build that nobody waits for any more ends.
    let status = build.current_dir(root()).kill_on_drop(true).status().await?;
    Ok(status.success())
}

/// A server, running or ended.
pub(super) struct Server {
    environment: Environment,
    /// Where it runs from: Windows lets no build replace a program that runs.
    folder: TempDir,
    child: Option<Child>,
}

impl Server {
    /// Starts what was built last.
    pub(super) fn start(environment: Environment) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("xtask-dev-").tempdir_in(beside()?)?;
        let mut server = Self { environment, folder, child: None };
        server.spawn()?;
        Ok(server)
    }

    fn spawn(&mut self) -> anyhow::Result<()> {
        let name = format!("life-agent{}", std::env::consts::EXE_SUFFIX);
        let (built, program) = (beside()?.join(&name), self.folder.path().join(&name));
        std::fs::copy(&built, &program)
            .with_context(|| format!("copying `{}`", built.display()))?;
        let mut command = Command::new(&program);
        command.envs(self.environment.iter().cloned()).kill_on_drop(true);
        let child = command.spawn().with_context(|| format!("starting `{}`", program.display()))?;
        self.child = Some(child);
        Ok(())
    }

    /// What it ends with, once it ends by itself; never, if it has ended before.
    pub(super) async fn ended(&mut self) -> anyhow::Result<ExitStatus> {
        let Some(child) = &mut self.child else { return std::future::pending().await };
        let status = child.wait().await?;
        self.child = None;
        Ok(status)
    }

    /// Stops it and starts what was built last.
    pub(super) async fn restart(&mut self) -> anyhow::Result<()> {
        #[cfg(not(unix))]
        if let Some(child) = &mut self.child {
            // There is no gentler way than Ctrl-C, which would reach this process too. It costs nothing
            // that was answered: every answer is in the journal.
            child.start_kill()?;
        }
        self.stop().await?;
        self.spawn()
    }

    /// Asks it to end, and ends it if it does not.
    pub(super) async fn stop(&mut self) -> anyhow::Result<()> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        #[cfg(unix)]
        if let Some(pid) =
            child.id().and_then(|pid| rustix::process::Pid::from_raw(pid.try_into().ok()?))
        {
            // After a Ctrl-C it has been asked already; once more does no harm.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        if tokio::time::timeout(GOODBYE, child.wait()).await.is_err() {
            super::say("the server does not end; ending it");
            child.kill().await?;
        }
        Ok(())
    }
}

/// The folder of this program, into which cargo builds the server too.
fn beside() -> anyhow::Result<PathBuf> {
    let this = std::env::current_exe()?;
    Ok(this.parent().context("this program lies in no folder")?.to_owned())
}
