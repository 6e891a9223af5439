//! State shared by the writer, the readers and the followers of one journal.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64};

use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use crate::committed::Head;
use crate::error::Cause;
use crate::ring::Ring;

/// The published end of the journal.
#[derive(Debug, Clone)]
pub(crate) struct Published {
    pub(crate) head: Head,
    /// Set once, when the writer has ended.
    pub(crate) closed: bool,
}

pub(crate) struct Shared {
    /// The durable head. Followers wait for it to change.
    pub(crate) published: watch::Sender<Published>,
    pub(crate) ring: RwLock<Ring>,
    /// Number of failed commits.
    pub(crate) epoch: AtomicU64,
    /// The present control version.
    pub(crate) control: AtomicU64,
    /// Whether a wake-up is queued already.
    pub(crate) is_waking: AtomicBool,
    /// The error of the last commit; `None` if it succeeded.
    pub(crate) failing: Mutex<Option<Cause>>,
    /// See [`crate::Journal::id`], once it is known.
    pub(crate) id: OnceLock<String>,
    /// See [`crate::Journal::set_back`].
    pub(crate) set_back: Option<Head>,
}
