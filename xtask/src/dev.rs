//! Builds the server and runs it for whoever works on it, on every system; with `--reload` again after
//! each change.

mod child;
mod sources;

use std::time::Duration;

use clap::Args;
use tokio::time::MissedTickBehavior;

use child::{Environment, Server};
use sources::Sources;

/// How often the sources are looked at. A change counts once they have been still for one look.
const EVERY: Duration = Duration::from_millis(400);

/// Options of `cargo xtask dev`. What is not given here is read from the environment, `.env` and
/// `life-agent.toml`, as the server always does.
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
    /// The key; it stays the same over restarts. Without any, each start makes one.
    #[arg(long, value_name = "KEY")]
    api_key: Option<String>,
    /// The log, or `-` for this terminal.
    #[arg(long, value_name = "FILE")]
    log_file: Option<String>,
    /// Build and start anew when a source or a settings file changes.
    #[arg(long)]
    reload: bool,
}

impl Dev {
    /// In the environment rather than as flags, which every user of the machine can read.
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
    let mut asked_to_end = std::pin::pin!(asked_to_end()?);
    let mut sources = Sources::now();
    let built = tokio::select! {
        () = &mut asked_to_end => return Ok(()),
        built = child::build() => built?,
    };
    anyhow::ensure!(built, "the server does not build; see above");
    let mut server = Server::start(options.environment())?;
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = &mut asked_to_end => return server.stop().await,
            ended = server.ended() => {
                let status = ended?;
                anyhow::ensure!(options.reload || status.success(), "the server ended with {status}");
                if !options.reload {
                    return Ok(());
                }
                say(&format!("the server ended with {status}; it starts again after a change"));
            }
            _ = ticks.tick(), if options.reload => {
                if !sources.settled_change() {
                    continue;
                }
                say("changed; building");
                let built = tokio::select! {
                    () = &mut asked_to_end => return server.stop().await,
                    built = child::build() => built?,
                };
                if built {
                    server.restart().await?;
                } else {
                    say("it does not build; the server before the change goes on");
                }
            }
        }
    }
}

/// Ctrl-C, and where there is such a thing, SIGTERM. Both are listened for from here on: one that comes
/// before somebody waits for it counts too.
fn asked_to_end() -> anyhow::Result<impl Future<Output = ()>> {
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

fn say(what: &str) {
    eprintln!("xtask dev: {what}");
}
