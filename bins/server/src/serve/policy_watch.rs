//! Detects changes of the policy, the agent profile or a Rego module on disk within two seconds.
//!
//! It polls every half second instead of using kernel events: network file systems and bind mounts deliver none, a
//! missing folder cannot be watched, and a few `stat` calls cost nothing.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use life_agent_engine::{Engine, EngineError};
use tokio_util::sync::CancellationToken;

const EVERY: Duration = Duration::from_millis(500);

/// Distinguishes versions of a file without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    length: u64,
    #[cfg(unix)]
    inode: u64,
    #[cfg(unix)]
    changed: (i64, i64),
}

/// The agent profile that belongs to a policy.
pub fn profile_beside(policy: &Path) -> PathBuf {
    policy.with_file_name("agent.yaml")
}

/// Reports changes to the engine until `stopping`.
pub async fn watch(engine: Engine, stopping: CancellationToken) {
    let stamped = |file: PathBuf| (stamp(&file), file);
    let look =
        |engine: &Engine| -> Vec<_> { engine.policy_sources().into_iter().map(stamped).collect() };
    let mut told = look(&engine);
    let mut before = told.clone();
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let now = look(&engine);
        // A file must be unchanged for two polls: a half-written file may be a valid policy without its last rules.
        if now != told && now == before && reload(&engine).await {
            told = now.clone();
        }
        before = now;
    }
}

/// False if the reload should be retried although nothing has changed since.
async fn reload(engine: &Engine) -> bool {
    match engine.policy_file_changed().await {
        Ok(true) => tracing::info!("the policy has changed on disk and is active"),
        Ok(false) => {}
        Err(EngineError::PolicyInvalid(faults)) => {
            let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
            tracing::warn!(
                faults = faults.len(),
                "the policy on disk is rejected, and the active one stays: {}",
                faults.join("; ")
            );
        }
        Err(error) => {
            tracing::error!(%error, "the policy has changed on disk and could not be reloaded");
            return false;
        }
    }
    true
}

fn stamp(file: &Path) -> Option<Stamp> {
    #[cfg(unix)]
    use std::os::unix::fs::MetadataExt;
    let metadata = std::fs::metadata(file).ok()?;
    Some(Stamp {
        modified: metadata.modified().ok(),
        length: metadata.len(),
        #[cfg(unix)]
        inode: metadata.ino(),
        #[cfg(unix)]
        changed: (metadata.ctime(), metadata.ctime_nsec()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_written_replaced_or_removed_has_another_stamp() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("policy.yaml");
        assert_eq!(stamp(&file), None);
        std::fs::write(&file, "a").unwrap();
        let first = stamp(&file);
        assert_eq!(first, stamp(&file));
        std::fs::write(&file, "ab").unwrap();
        let second = stamp(&file);
        assert_ne!(first, second);
        std::fs::write(dir.path().join("new"), "ba").unwrap();
        std::fs::rename(dir.path().join("new"), &file).unwrap();
        assert_ne!(second, stamp(&file));
    }
}
