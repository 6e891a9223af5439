//! Followers: every row once and in order.

use life_agent_domain::governance::event::EventKind;

use super::build::{agent, entry, fill, step, write};
use super::{Fixture, Outcome, Violation, open, same};
use crate::batch::WriteBatch;
use crate::filter::Filter;
use crate::follower::{Follower, Gap, GapReason};
use crate::journal::{Journal, Options};
use crate::retention::Retention;

/// A ring too small for the rows that a follower misses, so that it reads the store.
fn small_ring(fixture: &impl Fixture) -> Result<Journal, Violation> {
    let options = Options { ring_rows: 8, ..Options::default() };
    Ok(Journal::open(fixture.backend(), options)?)
}

async fn collect(follower: &mut Follower, upto: u64, max: usize) -> Result<Vec<u64>, Violation> {
    let mut ids = Vec::new();
    while follower.position() < upto {
        ids.extend(follower.next_batch(max).await?.iter().map(|row| row.id));
    }
    Ok(ids)
}

pub(super) async fn a_slow_follower_receives_every_row_once(fixture: impl Fixture) -> Outcome {
    let journal = small_ring(&fixture)?;
    fill(&journal, 60).await?;
    let mut follower = journal.follow(Some(3), Filter::default());
    let mut ids = Vec::new();
    for round in 1..=10 {
        fill(&journal, 20).await?;
        ids.extend(collect(&mut follower, 60 + round * 20 - 13, 7).await?);
    }
    ids.extend(collect(&mut follower, 260, 7).await?);
    same(ids, (4..=260).collect(), "ids that the follower received")?;
    Ok(journal.close().await?)
}

pub(super) async fn following_continues_after_a_restart(fixture: impl Fixture) -> Outcome {
    let (mut position, mut ids) = (0, Vec::new());
    for round in 1..=3 {
        let journal = small_ring(&fixture)?;
        fill(&journal, 30).await?;
        let mut follower = journal.follow(Some(position), Filter::default());
        ids.extend(collect(&mut follower, round * 30 - 5, 4).await?);
        position = follower.position();
        drop(follower);
        journal.close().await?;
    }
    same(ids, (1..=position).collect(), "ids that the followers received")?;
    let journal = open(&fixture)?;
    let mut beyond = journal.follow(Some(u64::MAX), Filter::default());
    let mut now = journal.follow(None, Filter::default());
    fill(&journal, 1).await?;
    same(collect(&mut beyond, 91, 5).await?, vec![91], "a follower from beyond the end")?;
    let gap = Gap { from: 91, to: u64::MAX, reason: GapReason::Restored };
    same(
        (beyond.take_gap(), beyond.take_gap()),
        (Some(gap), None),
        "the gap of a follower from beyond the end",
    )?;
    same(now.take_gap(), None, "the gap of a follower without a position")?;
    same(collect(&mut now, 91, 5).await?, vec![91], "a follower without a position")?;
    Ok(journal.close().await?)
}

pub(super) async fn a_filter_advances_past_other_rows(fixture: impl Fixture) -> Outcome {
    let journal = small_ring(&fixture)?;
    for n in 1..=25 {
        write(&journal, step("a", n)?).await?;
        write(&journal, WriteBatch::of(entry(EventKind::Denied, Some("b"), "{}")?)).await?;
    }
    let odd = Filter::new(Some("obs.*"), Some(agent("a")?)).unwrap_or_default();
    let even = Filter::new(None, Some(agent("b")?)).unwrap_or_default();
    for (filter, rest) in [(odd, 1), (even, 0)] {
        let mut follower = journal.follow(Some(0), filter);
        let mut ids = Vec::new();
        while ids.len() < 25 {
            ids.extend(follower.next_batch(9).await?.iter().map(|row| row.id));
        }
        let wanted: Vec<u64> = (1..=50).filter(|id| id % 2 == rest).collect();
        same(ids, wanted, "ids that the filter selects")?;
    }
    Ok(journal.close().await?)
}

pub(super) async fn a_follower_reports_removed_rows_before_it_continues(
    fixture: impl Fixture,
) -> Outcome {
    let journal = small_ring(&fixture)?;
    fill(&journal, 50).await?;
    let mut follower = journal.follow(Some(0), Filter::default());
    same(collect(&mut follower, 5, 5).await?, (1..=5).collect(), "rows before the removal")?;
    same(follower.take_gap(), None, "a gap before the removal")?;
    let id = journal.id().await?;
    journal.prune(Retention::Rows(30)).await?;
    let rest = collect(&mut follower, 51, 100).await?;
    let gap = Gap { from: 6, to: 20, reason: GapReason::Pruned };
    same(follower.take_gap(), Some(gap), "the gap of the removed rows")?;
    same(rest, (21..=51).collect(), "rows after the gap")?;
    same(id.is_some(), true, "the identity of a journal with rows")?;
    journal.close().await?;
    let journal = small_ring(&fixture)?;
    same(journal.id().await?, id, "the identity after a removal and a restart")?;
    Ok(journal.close().await?)
}
