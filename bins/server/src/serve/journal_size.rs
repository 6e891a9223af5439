//! Compares the journal's size with `JOURNAL_MAX_BYTES` twice a second.

use std::path::{Path, PathBuf};
use std::time::Duration;

use life_agent_engine::Engine;
use tokio_util::sync::CancellationToken;

const EVERY: Duration = Duration::from_millis(500);

/// The files of a journal, and the size they may have together.
pub(super) struct JournalSize {
    files: [PathBuf; 2],
    max: u64,
}

impl JournalSize {
    /// The database and its write-ahead log.
    pub(super) fn of(path: &Path, max: u64) -> Self {
        let mut log = path.as_os_str().to_owned();
        log.push("-wal");
        Self { files: [path.to_path_buf(), log.into()], max }
    }

    /// Lets the engine refuse what acts while the journal is too large. Returns whether it is.
    pub(super) fn check(&self, engine: &Engine) -> bool {
        let size = |file: &PathBuf| std::fs::metadata(file).map_or(0, |metadata| metadata.len());
        let full = self.files.iter().map(size).sum::<u64>() > self.max;
        engine.set_journal_full(full);
        full
    }

    /// Checks until `stopping`.
    pub(super) async fn watch(self, engine: Engine, stopping: CancellationToken) {
        let mut was_full = false;
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stopping.cancelled() => return,
                _ = ticks.tick() => {}
            }
            let full = self.check(&engine);
            if full != was_full {
                let max_bytes = self.max;
                tracing::warn!(full, max_bytes, "the journal's size crossed JOURNAL_MAX_BYTES");
            }
            was_full = full;
        }
    }
}
