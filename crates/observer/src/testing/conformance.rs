//! The promises of a backend as executable checks.
//!
//! ```no_run
//! # async fn check() {
//! use life_agent_observer::testing::{Memory, conformance};
//!
//! conformance::run(Memory::new).await.assert_passed();
//! # }
//! ```

mod crash;
mod followers;
mod preconditions;
mod records;
mod rows;
mod search;
mod texts;
mod upkeep;
mod work;

use std::fmt;
use std::time::Duration;

use crate::error::JournalError;
use crate::journal::{Journal, Options};
use crate::store::Backend;

/// A store that the suite may fill. Checks run one after the other, each on a fixture of its own.
pub trait Fixture: Send + Sync + Sized + 'static {
    /// The backend under test.
    type Backend: Backend;

    /// The backend, not opened. Every call names the same store; the suite closes a journal before it
    /// opens the next one.
    fn backend(&self) -> Self::Backend;

    /// A copy of the content that is durable at this moment, as a crash would leave it. The journal may be
    /// open and writing.
    fn crash_image(&self) -> Self;
}

/// A promise that was not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation(String);

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<JournalError> for Violation {
    fn from(error: JournalError) -> Self {
        Self(format!("unexpected error: {error}"))
    }
}

type Outcome = Result<(), Violation>;

/// The outcome of each check.
#[derive(Debug)]
pub struct Report {
    /// Names of the checks and their outcomes, in the order in which they ran.
    pub outcomes: Vec<(&'static str, Result<(), Violation>)>,
}

impl Report {
    /// Names of the failed checks.
    pub fn failed(&self) -> Vec<&'static str> {
        let failed = self.outcomes.iter().filter(|(_, outcome)| outcome.is_err());
        failed.map(|(name, _)| *name).collect()
    }

    /// # Panics
    /// A check failed.
    #[track_caller]
    pub fn assert_passed(&self) {
        let failed: Vec<String> = self
            .outcomes
            .iter()
            .filter_map(|(name, outcome)| Some(format!("{name}: {}", outcome.as_ref().err()?)))
            .collect();
        assert!(failed.is_empty(), "promises not kept:\n{}", failed.join("\n"));
    }
}

/// A check that takes longer than this has failed: it waits for a row that never comes.
const HANGS: Duration = Duration::from_secs(60);

macro_rules! checks {
    ($report:ident, $new:ident, $wanted:ident; $($module:ident::$check:ident,)*) => {
        $(
            if $wanted(stringify!($check)) {
                let running = tokio::time::timeout(HANGS, $module::$check($new()));
                let outcome = running.await.unwrap_or_else(|_| Err(Violation("it hangs".to_owned())));
                $report.push((stringify!($check), outcome));
            }
        )*
    };
}

/// Runs all checks, each on a new fixture. Needs a tokio runtime with time.
pub async fn run<F: Fixture>(new: impl Fn() -> F) -> Report {
    run_where(new, |_| true).await
}

/// Runs the checks whose name is wanted.
pub async fn run_where<F: Fixture>(new: impl Fn() -> F, wanted: impl Fn(&str) -> bool) -> Report {
    let mut outcomes = Vec::new();
    checks! { outcomes, new, wanted;
        rows::calls_and_rows_have_the_same_order,
        rows::reopening_continues_the_chain,
        rows::pages_select_what_the_filter_selects,
        rows::pages_are_bounded_and_lead_to_the_next,
        rows::a_closed_journal_refuses_batches,
        search::pages_run_both_ways_within_their_bounds,
        search::searches_select_what_their_criteria_select,
        search::a_restricted_reader_learns_nothing_of_other_rows,
        crash::answered_rows_survive_a_crash,
        crash::a_crash_at_any_point_leaves_whole_batches,
        preconditions::a_step_needs_the_state_it_was_decided_on,
        preconditions::the_version_alone_is_not_enough,
        preconditions::a_failed_precondition_fails_only_its_batch,
        preconditions::the_control_version_is_checked,
        preconditions::the_status_of_a_plan_is_checked,
        preconditions::a_key_is_claimed_once,
        preconditions::a_lease_is_held_by_one_owner_for_a_time,
        followers::a_slow_follower_receives_every_row_once,
        followers::following_continues_after_a_restart,
        followers::a_filter_advances_past_other_rows,
        followers::a_follower_reports_removed_rows_before_it_continues,
        records::agents_are_listed_in_order,
        records::the_history_of_an_agent_starts_at_its_snapshot,
        records::recent_activity_is_the_latest,
        records::plans_and_settings_keep_their_last_value,
        records::usage_is_added_up,
        records::notes_are_found_by_the_beginning_of_a_word,
        work::jobs_are_kept_in_order_and_never_change_after_their_end,
        work::a_call_keeps_its_first_effect_and_its_response,
        work::old_jobs_and_records_expire,
        texts::a_growing_conversation_stores_its_texts_once,
        texts::texts_go_with_the_last_row_that_names_them,
        texts::a_rejected_batch_leaves_no_text,
        upkeep::retention_removes_a_declared_prefix,
        upkeep::rows_under_a_state_stay,
        upkeep::an_export_holds_every_row,
    }
    Report { outcomes }
}

fn open(fixture: &impl Fixture) -> Result<Journal, Violation> {
    Ok(Journal::open(fixture.backend(), Options::default())?)
}

fn ensure(holds: bool, otherwise: impl fmt::Display) -> Outcome {
    if holds { Ok(()) } else { Err(Violation(otherwise.to_string())) }
}

fn same<T: PartialEq + fmt::Debug>(found: T, expected: T, subject: &str) -> Outcome {
    ensure(found == expected, format!("{subject}: expected {expected:?}, found {found:?}"))
}

/// Short ways to build batches.
mod build {
    use life_agent_domain::agent::state::AgentState;
    use life_agent_domain::governance::event::{Entry, EventKind, Row};
    use life_agent_domain::governance::ids::AgentId;
    use serde_json::value::RawValue;

    use super::{Outcome, Violation, ensure};
    use crate::batch::{AgentStep, SideWrite, Snapshot, StateHash, WriteBatch};
    use crate::error::JournalError;
    use crate::filter::Filter;
    use crate::journal::Journal;
    use crate::precondition::AgentVersion;
    use crate::verify::Verdict;

    pub(super) fn agent(name: &str) -> Result<AgentId, Violation> {
        AgentId::new(name).map_err(|_| Violation(format!("`{name}` is no agent id")))
    }

    pub(super) fn json(text: &str) -> Result<Box<RawValue>, Violation> {
        RawValue::from_string(text.to_owned())
            .map_err(|error| Violation(format!("`{text}` is no JSON: {error}")))
    }

    pub(super) fn entry(
        kind: EventKind,
        name: Option<&str>,
        data: &str,
    ) -> Result<Entry, Violation> {
        Ok(Entry {
            kind,
            agent: name.map(agent).transpose()?,
            principal: "key".to_owned(),
            request_id: "r-1".to_owned(),
            data: json(data)?,
        })
    }

    /// A row of no agent.
    pub(super) fn plain(n: u64) -> Result<WriteBatch, Violation> {
        Ok(WriteBatch::of(entry(EventKind::Denied, None, &format!(r#"{{"n":{n}}}"#))?))
    }

    pub(super) fn state(version: u64) -> AgentState {
        AgentState { version, ..AgentState::initial(7) }
    }

    pub(super) fn state_hash(version: u64) -> StateHash {
        StateHash::from_hex(&state(version).hash())
    }

    pub(super) fn snapshot(version: u64) -> Snapshot {
        let state = state(version);
        let hash = state.hash();
        Snapshot::of(&state, &hash)
    }

    /// A step that leads an agent from the version before to `version`.
    pub(super) fn step(name: &str, version: u64) -> Result<WriteBatch, Violation> {
        let from = version.saturating_sub(1);
        step_from(name, version, AgentVersion { version: from, state_hash: state_hash(from) })
    }

    pub(super) fn step_from(
        name: &str,
        version: u64,
        from: AgentVersion,
    ) -> Result<WriteBatch, Violation> {
        let step = AgentStep {
            version,
            turns: version / 2,
            state_hash: state_hash(version),
            from: Some(from),
        };
        let data = format!(r#"{{"action":"rest","state_version":{version}}}"#);
        let entry = entry(EventKind::Act, Some(name), &data)?;
        Ok(WriteBatch { step: Some(step), ..WriteBatch::of(entry) })
    }

    pub(super) async fn write(journal: &Journal, batch: WriteBatch) -> Result<u64, JournalError> {
        Ok(journal.append(batch)?.await?.id)
    }

    pub(super) async fn side(journal: &Journal, write: SideWrite) -> Outcome {
        journal.append(WriteBatch::side(vec![write]))?.await?;
        Ok(())
    }

    /// Writes `count` plain rows.
    pub(super) async fn fill(journal: &Journal, count: u64) -> Outcome {
        let mut last = None;
        for n in 1..=count {
            last = Some(journal.append(plain(n)?)?);
        }
        if let Some(last) = last {
            last.await?;
        }
        Ok(())
    }

    /// All rows that the filter selects, page by page.
    pub(super) async fn all(
        journal: &Journal,
        filter: &Filter,
        limit: usize,
    ) -> Result<Vec<Row>, Violation> {
        let (mut rows, mut next) = (Vec::new(), Some(0));
        while let Some(after) = next {
            let page = journal.page(after, limit, filter.clone()).await?;
            rows.extend(page.rows);
            next = page.next;
            ensure(next.is_none_or(|next| next > after), "a page leads to itself")?;
        }
        Ok(rows)
    }

    pub(super) fn ids(rows: &[Row]) -> Vec<u64> {
        rows.iter().map(|row| row.id).collect()
    }

    pub(super) async fn is_whole(journal: &Journal) -> Outcome {
        match journal.verify(None).await? {
            Verdict::Whole(_) => Ok(()),
            Verdict::Broken(broken) => ensure(false, broken),
        }
    }
}
