//! What the writer, the readers and the followers of one journal share.

use std::sync::atomic::AtomicU64;

use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use crate::ring::Ring;
use crate::work::Head;

/// The published end of the journal.
#[derive(Debug, Clone)]
pub(crate) struct Published {
    pub(crate) head: Head,
    /// Set once, when the writer has ended: nothing will follow.
    pub(crate) closed: bool,
}

pub(crate) struct Shared {
    /// The durable head; whoever waits for rows waits for this to change.
    pub(crate) published: watch::Sender<Published>,
    pub(crate) ring: RwLock<Ring>,
    /// How often a commit has failed.
    pub(crate) epoch: AtomicU64,
    /// Why the last commit failed; none after one that did not.
    pub(crate) failing: Mutex<Option<String>>,
}
