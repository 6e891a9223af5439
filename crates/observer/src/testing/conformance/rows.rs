//! Rows: order, chain, pages.

use life_agent_domain::governance::event::{EventKind, Row};

use super::build::{all, entry, fill, ids, is_whole, plain, write};
use super::{Fixture, Outcome, build, ensure, open, same};
use crate::batch::WriteBatch;
use crate::error::JournalError;
use crate::filter::Filter;

pub(super) async fn calls_and_rows_have_the_same_order(fixture: impl Fixture) -> Outcome {
    let journal = open(&fixture)?;
    let mut queued = Vec::new();
    for n in 0..300 {
        let mut batch = plain(n)?;
        batch.entries.push(entry(EventKind::PlanCreated, None, "{}")?);
        queued.push(journal.append(batch)?);
    }
    let mut answered = Vec::new();
    for (n, handle) in (0..).zip(queued) {
        let rows = handle.await?.rows;
        same(
            rows.iter().map(|row| row.id).collect(),
            vec![2 * n + 1, 2 * n + 2],
            "ids of a batch",
        )?;
        same(rows[0].data.get(), &format!(r#"{{"n":{n}}}"#), "data of a row")?;
        answered.extend(rows);
    }
    let stored = all(&journal, &Filter::default(), 70).await?;
    same(ids(&stored), (1..=600).collect(), "ids of all rows")?;
    for (stored, answered) in stored.iter().zip(&answered) {
        same(&stored.hash, &answered.hash, "hash of a stored row")?;
        same(stored.data.get(), answered.data.get(), "data of a stored row")?;
    }
    ensure(stored.is_sorted_by(|a, b| a.ts <= b.ts), "times decrease along the journal")?;
    same(journal.head().id, 600, "the head")?;
    is_whole(&journal).await?;
    Ok(journal.close().await?)
}

pub(super) async fn reopening_continues_the_chain(fixture: impl Fixture) -> Outcome {
    let mut head = None;
    for round in 0..4 {
        let journal = open(&fixture)?;
        if let Some(head) = head {
            same(journal.head(), head, "the head after reopening")?;
        }
        let expected = journal.head();
        let committed = journal.append(plain(round)?)?.await?;
        same(committed.id, round + 1, "the id after reopening")?;
        same(&committed.rows[0].prev_hash, &expected.hash, "the link after reopening")?;
        head = Some(journal.head());
        is_whole(&journal).await?;
        journal.close().await?;
    }
    Ok(())
}

pub(super) async fn pages_select_what_the_filter_selects(fixture: impl Fixture) -> Outcome {
    let journal = open(&fixture)?;
    let kinds = [EventKind::Act, EventKind::Turn, EventKind::Denied, EventKind::PolicyReload];
    let agents = [Some("a"), Some("b"), None];
    fill(&journal, 400).await?;
    for n in 0..240_usize {
        // Two strides without a common divisor: every kind meets every agent.
        let batch = WriteBatch::of(entry(kinds[n * 7 / 3 % 4], agents[n % 3], "{}")?);
        drop(journal.append(batch)?);
    }
    journal.barrier().await?;
    let rows = all(&journal, &Filter::default(), 10_000).await?;
    same(rows.len(), 640, "number of rows")?;
    let kinds = [None, Some("obs.act"), Some("obs.*"), Some("gate.denied"), Some("llm.chat")];
    for kind in kinds {
        for agent in [None, Some("a"), Some("other")] {
            let id = agent.map(build::agent).transpose()?;
            let filter = Filter::new(kind, id).unwrap_or_default();
            let prefix = kind.unwrap_or_default().trim_end_matches('*');
            let wanted = |row: &&Row| {
                let own = agent.is_none() || row.agent_id.as_deref() == agent;
                row.kind.starts_with(prefix) && own
            };
            let wanted: Vec<u64> = rows.iter().filter(wanted).map(|row| row.id).collect();
            for limit in [1, 7, 1000] {
                let found = ids(&all(&journal, &filter, limit).await?);
                same(found, wanted.clone(), &format!("pages of {limit}, {kind:?}, {agent:?}"))?;
            }
        }
    }
    Ok(journal.close().await?)
}

pub(super) async fn pages_are_bounded_and_lead_to_the_next(fixture: impl Fixture) -> Outcome {
    let journal = open(&fixture)?;
    fill(&journal, 10).await?;
    for (after, limit, rows, next) in [
        (0, 4, 4, Some(4)),
        (4, 6, 6, None),
        (10, 4, 0, None),
        (u64::MAX, 9, 0, None),
        (0, 0, 1, Some(1)),
    ] {
        let page = journal.page(after, limit, Filter::default()).await?;
        same(
            (page.rows.len(), page.next),
            (rows, next),
            &format!("page after {after} of {limit}"),
        )?;
    }
    let large = format!(r#"{{"x":"{}"}}"#, "x".repeat(1 << 20));
    for _ in 0..6 {
        write(&journal, WriteBatch::of(entry(EventKind::Denied, None, &large)?)).await?;
    }
    let page = journal.page(10, 100, Filter::default()).await?;
    same((page.rows.len(), page.next), (3, Some(13)), "a page of large rows")?;
    same(all(&journal, &Filter::default(), 100).await?.len(), 16, "number of rows")?;
    Ok(journal.close().await?)
}

pub(super) async fn a_closed_journal_refuses_batches(fixture: impl Fixture) -> Outcome {
    let journal = open(&fixture)?;
    let queued = journal.append(plain(1)?)?;
    journal.close().await?;
    same(queued.await.map(|committed| committed.id), Ok(1), "a batch queued before the close")?;
    let refused = journal.append(plain(2)?).err();
    same(refused, Some(JournalError::Closed), "a batch after the close")?;
    same(journal.barrier().await, Err(JournalError::Closed), "a barrier after the close")?;
    let journal = open(&fixture)?;
    same(journal.head().id, 1, "the head after reopening")?;
    Ok(journal.close().await?)
}
