//! Keeps the journal within the bounds that the settings give it, at the start and every hour.

use std::time::Duration;

use life_agent_engine::Engine;
use life_agent_engine::observer::Retention;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

const EVERY: Duration = Duration::from_hours(1);

/// Removes what need not be kept until `stopping`. A removal that is cut short leaves a journal that
/// verifies, and the next one finishes it.
pub(super) async fn prune_hourly(engine: Engine, keep: Vec<Retention>, stopping: CancellationToken) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let pruning = async {
        loop {
            ticks.tick().await;
            for keep in &keep {
                prune(&engine, *keep).await;
            }
            if let Err(error) = engine.forget().await {
                tracing::warn!(%error, "old turns of the queue and old answers stay until the next hour");
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
        Err(error) => tracing::warn!(%error, "old rows stay until the next hour"),
    }
}
