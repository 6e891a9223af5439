//! Denials by the caller's key: counted and recorded, a few rows per second for each caller and reason.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use life_agent_domain::governance::event::AccessDeniedRecord;
use life_agent_domain::governance::ids::Principal;
use metrics::{Counter, counter};
use parking_lot::Mutex;
use tokio::runtime::Handle;

use crate::context::RequestContext;
use crate::policy::PolicyCell;
use crate::recorder::Recorder;

/// Rows per second for one caller and reason. The rest of the second becomes one row.
const ROWS: u32 = 10;
const SECOND: Duration = Duration::from_secs(1);
/// Windows after which those that have passed are removed.
const MAX_WINDOWS: usize = 1024;

/// Why a key does not permit a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AccessReason {
    /// The key lacks the scope that the endpoint requires.
    ScopeMissing,
    /// The key may not access the agent.
    AgentForbidden,
    /// The principal sends more requests than it may.
    RateLimited,
}

impl AccessReason {
    const ALL: [AccessReason; 3] =
        [AccessReason::ScopeMissing, AccessReason::AgentForbidden, AccessReason::RateLimited];

    /// The error code, also the label of `policy_denied_total{reason}`.
    pub fn as_str(self) -> &'static str {
        match self {
            AccessReason::ScopeMissing => "scope_missing",
            AccessReason::AgentForbidden => "agent_forbidden",
            AccessReason::RateLimited => "rate_limited",
        }
    }
}

/// A request that its key does not permit.
#[derive(Debug, Clone, Copy)]
pub struct AccessDenial<'a> {
    /// The cause.
    pub reason: AccessReason,
    /// The missing scope, the forbidden agent or the setting of the limit.
    pub rule: Option<&'a str>,
    /// The message for the caller, redacted.
    pub message: &'a str,
}

/// Records the denials.
pub(crate) struct AccessDenials {
    policy: Arc<PolicyCell>,
    recorder: Recorder,
    windows: Mutex<Windows>,
    denied: [Counter; AccessReason::ALL.len()],
    /// The runtime in which the engine was opened; a caller's runtime may end earlier.
    runtime: Handle,
}

#[derive(Default)]
struct Windows(HashMap<(Principal, AccessReason), Window>);

struct Window {
    began: Instant,
    rows: u32,
    folded: u64,
}

#[derive(Debug, PartialEq, Eq)]
enum Entered {
    /// The denial has a row of its own.
    Row,
    /// The first denial without a row; a row for all of them is due after this time.
    FirstFolded(Duration),
    Folded,
}

impl Windows {
    fn enter(&mut self, principal: &Principal, reason: AccessReason, now: Instant) -> Entered {
        let age = |window: &Window| now.saturating_duration_since(window.began);
        if self.0.len() >= MAX_WINDOWS {
            self.0.retain(|_, window| window.folded > 0 || age(window) < SECOND);
        }
        let window = self.0.entry((principal.clone(), reason)).or_insert(Window {
            began: now,
            rows: 0,
            folded: 0,
        });
        if age(window) >= SECOND {
            (window.began, window.rows) = (now, 0);
        }
        if window.rows < ROWS {
            window.rows += 1;
            return Entered::Row;
        }
        window.folded += 1;
        match window.folded {
            1 => Entered::FirstFolded(SECOND.saturating_sub(age(window))),
            _ => Entered::Folded,
        }
    }

    fn take_folded(&mut self, key: &(Principal, AccessReason)) -> u64 {
        self.0.get_mut(key).map(|window| std::mem::take(&mut window.folded)).unwrap_or_default()
    }
}

impl AccessDenials {
    pub(crate) fn new(policy: Arc<PolicyCell>, recorder: Recorder) -> Self {
        let denied = AccessReason::ALL
            .map(|reason| counter!("policy_denied_total", "reason" => reason.as_str()));
        let windows = Mutex::default();
        Self { policy, recorder, windows, denied, runtime: Handle::current() }
    }

    /// Counts and records a denial. The request stays denied if the journal fails.
    pub(crate) async fn deny(self: &Arc<Self>, context: &RequestContext, denial: AccessDenial<'_>) {
        let reason = denial.reason;
        self.denied[reason as usize].increment(1);
        let entered = self.windows.lock().enter(&context.principal, reason, Instant::now());
        match entered {
            Entered::Row => self.record(context, denial, 1).await,
            Entered::FirstFolded(due) => {
                let (denials, principal) = (Arc::clone(self), context.principal.clone());
                self.runtime.spawn(async move {
                    tokio::time::sleep(due).await;
                    denials.flush(&(principal, reason)).await;
                });
            }
            Entered::Folded => {}
        }
    }

    /// Records the folded denials that are not recorded yet.
    pub(crate) async fn flush_all(&self) {
        let keys: Vec<_> = self.windows.lock().0.keys().cloned().collect();
        for key in keys {
            self.flush(&key).await;
        }
    }

    async fn flush(&self, key: &(Principal, AccessReason)) {
        let count = self.windows.lock().take_folded(key);
        if count > 0 {
            let context = RequestContext::new(key.0.clone(), String::new());
            let message = "further requests of this key were denied in the same second";
            self.record(&context, AccessDenial { reason: key.1, rule: None, message }, count).await;
        }
    }

    async fn record(&self, context: &RequestContext, denial: AccessDenial<'_>, count: u64) {
        let record = AccessDeniedRecord {
            code: denial.reason.as_str().into(),
            reason: denial.reason.as_str().into(),
            gate: AccessDeniedRecord::GATE.into(),
            rule: denial.rule.map(Into::into),
            message: denial.message.into(),
            count,
        };
        let hash = self.policy.active().snapshot.hash.clone();
        if let Err(error) = self.recorder.record(context, &hash, None, &record, Vec::new()).await {
            tracing::warn!(%error, "a denied request could not be recorded");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_denials_a_second_have_rows_and_the_rest_is_counted() {
        let (mut windows, now) = (Windows::default(), Instant::now());
        let (ann, reason) = (Principal::new("ann"), AccessReason::ScopeMissing);
        for _ in 0..ROWS {
            assert_eq!(windows.enter(&ann, reason, now), Entered::Row);
        }
        assert_eq!(windows.enter(&ann, reason, now), Entered::FirstFolded(SECOND));
        assert_eq!(windows.enter(&ann, reason, now), Entered::Folded);
        let bob = Principal::new("bob");
        assert_eq!(windows.enter(&bob, reason, now), Entered::Row, "each caller has its own rows");
        assert_eq!(windows.enter(&ann, AccessReason::AgentForbidden, now), Entered::Row);
        assert_eq!(windows.enter(&ann, reason, now + SECOND), Entered::Row, "a new second");
        assert_eq!(windows.take_folded(&(ann.clone(), reason)), 2);
        assert_eq!(windows.take_folded(&(ann, reason)), 0);
    }

    #[test]
    fn the_number_of_windows_is_bounded() {
        let (mut windows, now) = (Windows::default(), Instant::now());
        for n in 0..3 * MAX_WINDOWS {
            let at = now + SECOND * u32::try_from(n).unwrap();
            windows.enter(&Principal::new(&format!("p{n}")), AccessReason::ScopeMissing, at);
        }
        assert!(windows.0.len() <= MAX_WINDOWS, "{}", windows.0.len());
    }
}
