//! The active pins: `mcp.lock` next to the policy, read again when it changes.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use life_agent_mcp::lock::Lock;
use parking_lot::Mutex;

use crate::blocking::blocking;
use crate::error::EngineError;

/// Largest lock file, in bytes.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

/// The version of the file: its time of change and its size.
type Stamp = Option<(SystemTime, u64)>;

/// The pins of the version that was read last.
type Known = Option<(Stamp, Arc<Lock>)>;

/// Reads the lock file.
#[derive(Clone)]
pub(super) struct Pins {
    path: PathBuf,
    known: Arc<Mutex<Known>>,
}

impl Pins {
    pub(super) fn at(path: PathBuf) -> Self {
        Self { path, known: Arc::default() }
    }

    /// The present pins. A file that does not exist pins nothing; one that cannot be read refuses every call.
    pub(super) async fn lock(&self) -> Result<Arc<Lock>, EngineError> {
        let pins = self.clone();
        blocking(move || pins.read()).await?.map_err(|error| {
            tracing::error!(error, "the pins of MCP tools cannot be read");
            let message = "`mcp.lock` cannot be read, so no tool is pinned; contact the operator";
            EngineError::Conflict(message.to_owned())
        })
    }

    fn read(&self) -> Result<Arc<Lock>, String> {
        let stamp: Stamp = match std::fs::metadata(&self.path) {
            Ok(metadata) => metadata.modified().ok().map(|time| (time, metadata.len())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(error.to_string()),
        };
        if let Some((known, lock)) = self.known.lock().as_ref()
            && *known == stamp
        {
            return Ok(Arc::clone(lock));
        }
        let lock = match stamp {
            None => Lock::default(),
            Some((_, size)) if size > MAX_BYTES => return Err(format!("it has {size} bytes")),
            Some(_) => {
                let text =
                    std::fs::read_to_string(&self.path).map_err(|error| error.to_string())?;
                Lock::read(&text)?
            }
        };
        let lock = Arc::new(lock);
        *self.known.lock() = Some((stamp, Arc::clone(&lock)));
        Ok(lock)
    }
}
