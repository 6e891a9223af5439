//! `cargo xtask dev`: builds and runs the server on every system; with `--reload`, again after each change.

mod child;
mod sources;

use std::time::Duration;

use clap::Args;
use tokio::time::MissedTickBehavior;

use child::{Environment, Server};
use sources::Sources;

/// The interval between two polls of the sources. A change counts once one poll finds no further change.
const EVERY: Duration = Duration::from_millis(400);

/// Options of `cargo xtask dev`. The server reads all other settings from the environment, `.env` and
/// `life-agent.toml`.
#[derive(Args)]
#[command(after_help = "Examples:\n  cargo xtask dev\n  \
    cargo xtask dev --reload --api-key try-me --log-file -\n\n\
    Policies, the agent profile and Rego modules need no restart: the server itself reloads them.")]
pub(crate) struct Dev {
    /// The address to listen on.
    #[arg(long, value_name = "ADDRESS")]
    host: Option<String>,
    /// The port to listen on.
    #[arg(long, value_name = "NUMBER")]
    port: Option<u16>,
    /// The key, unchanged across restarts. Without a key, each start generates one.
    #[arg(long, value_name = "KEY")]
    api_key: Option<String>,
    /// The log, or `-` for this terminal.
    #[arg(long, value_name = "FILE")]
    log_file: Option<String>,
    /// Build and restart when a source or a settings file changes.
    #[arg(long)]
    reload: bool,
}

impl Dev {
    /// As environment variables, because every user of the machine can read flags.
    fn environment(&self) -> Environment {
        let port = self.port.map(|port| port.to_string());
        [
            ("HOST", &self.host),
            ("PORT", &port),
            ("API_KEY", &self.api_key),
            ("LOG_FILE", &self.log_file),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.clone()?)))
        .collect()
    }
}

/// Runs until Ctrl-C, or until the server ends by itself.
pub(crate) fn run(options: &Dev) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(options))
}

async fn serve(options: &Dev) -> anyhow::Result<()> {
    let mut stop_signal = std::pin::pin!(stop_signal()?);
    let mut sources = Sources::now();
    let built = tokio::select! {
        () = &mut stop_signal => return Ok(()),
        built = child::build() => built?,
    };
    anyhow::ensure!(built, "the build failed; see above");
    let mut server = Server::start(options.environment())?;
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = &mut stop_signal => return server.stop().await,
            ended = server.ended() => {
                let status = ended?;
                anyhow::ensure!(options.reload || status.success(), "the server ended with {status}");
                if !options.reload {
                    return Ok(());
                }
                report(&format!("the server ended with {status}; the next change restarts it"));
            }
            _ = ticks.tick(), if options.reload => {
                if !sources.settled_change() {
                    continue;
                }
                report("sources changed; building");
                let built = tokio::select! {
                    () = &mut stop_signal => return server.stop().await,
                    built = child::build() => built?,
                };
                if built {
                    server.restart().await?;
                } else {
                    report("the build failed; the previous server continues");
                }
            }
        }
    }
}

/// Ctrl-C, and SIGTERM where it exists. Signals are received from here on, also before the future is awaited.
fn stop_signal() -> anyhow::Result<impl Future<Output = ()>> {
    #[cfg(unix)]
    let (mut interrupt, mut terminate) = {
        use tokio::signal::unix::{SignalKind, signal};
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    #[cfg(windows)]
    let mut interrupt = tokio::signal::windows::ctrl_c()?;
    Ok(async move {
        #[cfg(unix)]
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        #[cfg(windows)]
        interrupt.recv().await;
    })
}

fn report(what: &str) {
    eprintln!("xtask dev: {what}");
}
