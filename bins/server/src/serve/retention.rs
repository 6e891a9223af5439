//! Retention: prunes the journal at startup and every hour, as the settings specify.

use std::time::Duration;

use life_agent_engine::Engine;
use life_agent_engine::observer::Retention;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

const EVERY: Duration = Duration::from_hours(1);

/// Prunes expired rows until `stopping`. An interrupted pruning leaves a journal that verifies, and the next pruning
/// completes it.
pub(super) async fn prune_hourly(
    engine: Engine,
    keep: Vec<Retention>,
    stopping: CancellationToken,
) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let pruning = async {
        loop {
            ticks.tick().await;
            for keep in &keep {
                prune(&engine, *keep).await;
            }
            if let Err(error) = engine.forget().await {
                tracing::warn!(%error, "expired queued turns and stored responses stay until the next hour");
            }
        }
    };
    tokio::select! {
        () = stopping.cancelled() => {}
        () = pruning => {}
    }
}

async fn prune(engine: &Engine, keep: Retention) {
    match engine.prune(keep).await {
        Ok(pruned) if pruned.removed > 0 => {
            tracing::info!(rows = pruned.removed, "removed old rows from the journal");
        }
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "expired rows stay until the next hour"),
    }
}
