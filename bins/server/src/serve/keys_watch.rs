//! Reloads `KEYS_FILE` within two seconds of a change; on a fault the previous keys stay.

use std::path::{Path, PathBuf};
use std::time::Duration;

use actix_web::web;
use tokio_util::sync::CancellationToken;

use crate::auth::keys_file::KeysFile;
use crate::state::AppState;

const EVERY: Duration = Duration::from_millis(500);

/// Watches the file until `stopping`. The file is small, so its content is compared, not its time.
pub(super) async fn watch(path: PathBuf, state: web::Data<AppState>, stopping: CancellationToken) {
    // What the keys were read from: the file may have changed since.
    let mut seen = state.keys.file_at_start().map(str::to_owned);
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let now = read(&path).await;
        if now == seen {
            continue;
        }
        match &now {
            None => tracing::warn!("KEYS_FILE cannot be read; the previous keys stay"),
            Some(text) => reload(text, &state),
        }
        seen = now;
    }
}

/// The text of the file. A pipe in its place would hold the task, and revoked keys would stay.
async fn read(path: &Path) -> Option<String> {
    let metadata = tokio::fs::metadata(path).await.ok()?;
    if !metadata.is_file() {
        return None;
    }
    tokio::fs::read_to_string(path).await.ok()
}

fn reload(text: &str, state: &AppState) {
    let granted = KeysFile::parse(text).and_then(|file| file.grants());
    let replaced = granted.map_err(Into::into).and_then(|granted| state.keys.replace_file(granted));
    match replaced {
        Ok(()) => tracing::info!("KEYS_FILE has changed and is active"),
        Err(error) => {
            tracing::warn!(%error, "KEYS_FILE has changed and is not valid; the previous keys stay")
        }
    }
}
