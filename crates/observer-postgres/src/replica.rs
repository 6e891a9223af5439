//! An optional replica for reads that take long: pages of the journal and reports.
//!
//! A caller must find the rows that it was given, whichever instance gave them. So each read first asks the primary for
//! its last row, which is cheap, and then waits a short time until the replica has that row with the same hash. Rows
//! are committed in the order of their ids, so the replica then has all earlier rows, too. If the row does not arrive
//! or the replica fails, the primary serves the read, and the replica rests.

use std::sync::Arc;
use std::time::{Duration, Instant};

use life_agent_observer::{Head, JournalError, Read, Readers};
use metrics::counter;
use parking_lot::Mutex;

use crate::address::Address;
use crate::net::Net;
use crate::view::{Pool, View};

/// Longest wait for a row that the primary has.
const CATCH_UP: Duration = Duration::from_millis(100);
const POLL: Duration = Duration::from_millis(2);
/// The replica rests for this time after it lagged, and after it failed.
const LAGGED: Duration = Duration::from_secs(1);
const FAILED: Duration = Duration::from_secs(5);
/// Longest wait for a connection to the replica.
const CONNECT: Duration = Duration::from_secs(2);

/// The primary's connections that read, and those of its replica.
pub(crate) struct Replicated {
    primary: Arc<Pool>,
    replica: Pool,
    /// When the replica is tried again; `None` while it serves.
    rests_until: Mutex<Option<Instant>>,
}

/// Why the replica does not serve a read.
enum Unusable {
    Lags,
    /// Another journal, or a copy that took another course.
    Differs,
    Failed(JournalError),
    /// The primary cannot be asked; the read itself reports it.
    PrimaryFailed,
}

impl Replicated {
    /// # Errors
    /// The files of the connection cannot be used.
    pub(crate) fn new(primary: Arc<Pool>, address: Address, schema: &str) -> Result<Self, String> {
        let net = Net::new(address, schema.to_owned(), false)?.with_connect_limit(CONNECT);
        let replica = Pool::new(Arc::new(net), primary.size());
        Ok(Self { primary, replica, rests_until: Mutex::new(None) })
    }

    fn caught_up(&self) -> Result<View<'_>, Unusable> {
        let failed = Unusable::Failed;
        let head = View::begin(&self.primary)
            .and_then(|view| view.head())
            .map_err(|_| Unusable::PrimaryFailed)?;
        let until = Instant::now() + CATCH_UP;
        loop {
            let view = View::begin(&self.replica).map_err(failed)?;
            let Head { id, hash } = view.head().map_err(failed)?;
            if id >= head.id {
                let hash = match id == head.id {
                    true => Some(hash),
                    false => view.row(head.id).map_err(failed)?.map(|row| row.hash),
                };
                return match hash {
                    Some(hash) if hash == head.hash => Ok(view),
                    Some(_) => Err(Unusable::Differs),
                    // Retention has removed the row meanwhile.
                    None => Err(Unusable::Lags),
                };
            }
            drop(view);
            if Instant::now() >= until {
                return Err(Unusable::Lags);
            }
            std::thread::sleep(POLL);
        }
    }

    fn rest(&self, time: Duration, why: &dyn std::fmt::Display) {
        let rested = self.rests_until.lock().replace(Instant::now() + time).is_some();
        // Once for each outage.
        match rested {
            false => tracing::warn!(%why, "the replica does not serve; the primary does"),
            true => tracing::debug!(%why, "the replica still does not serve"),
        }
    }
}

impl Readers for Replicated {
    fn limit(&self) -> usize {
        self.primary.limit()
    }

    fn view(&self) -> Result<Box<dyn Read + '_>, JournalError> {
        self.primary.view()
    }

    fn replica(&self) -> Option<Box<dyn Read + '_>> {
        let count = |outcome: &'static str| {
            counter!("replica_reads_total", "outcome" => outcome).increment(1);
        };
        {
            let mut rests_until = self.rests_until.lock();
            if let Some(until) = *rests_until {
                if Instant::now() < until {
                    count("resting");
                    return None;
                }
                // One read finds out whether the replica is back.
                *rests_until = Some(Instant::now() + FAILED);
            }
        }
        match self.caught_up() {
            Ok(view) => {
                if self.rests_until.lock().take().is_some() {
                    tracing::info!("the replica serves");
                }
                count("served");
                return Some(Box::new(view));
            }
            Err(Unusable::Lags) => {
                count("lagging");
                self.rest(LAGGED, &"it lags behind");
            }
            Err(Unusable::Differs) => {
                count("failed");
                self.rest(FAILED, &"it holds another journal, or has taken another course");
            }
            Err(Unusable::Failed(error)) => {
                count("failed");
                self.rest(FAILED, &error);
            }
            Err(Unusable::PrimaryFailed) => count("failed"),
        }
        None
    }

    fn replica_failed(&self, error: &JournalError) {
        counter!("replica_reads_total", "outcome" => "failed").increment(1);
        self.rest(LAGGED, error);
    }
}
