//! Retention and export.

use super::build::{agent, all, fill, ids, is_whole, plain, side, snapshot, step, write};
use super::{Fixture, Outcome, Violation, ensure, open, same};
use crate::batch::{SideWrite, WriteBatch};
use crate::committed::Head;
use crate::export::export;
use crate::filter::Filter;
use crate::retention::Retention;
use crate::store::{Backend, Opened, Read};
use crate::verify::{Verdict, verify_pruned};

pub(super) async fn retention_removes_a_declared_prefix(fixture: impl Fixture) -> Outcome {
    let journal = open(&fixture)?;
    fill(&journal, 1200).await?;
    let rows = all(&journal, &Filter::default(), 10_000).await?;
    let kept = rows.iter().map(|row| Head { id: row.id, hash: row.hash.clone() });
    let kept: Vec<Head> = kept.filter(|head| [1150, 1160].contains(&head.id)).collect();
    let report = journal.prune(Retention::Rows(50)).await?;
    same((report.removed, report.held_back), (1150, false), "removed rows")?;
    same(report.upto.as_ref(), kept.first(), "the last removed row")?;
    let rows = all(&journal, &Filter::default(), 10_000).await?;
    same(ids(&rows), (1151..=1201).collect(), "ids of the kept rows")?;
    same(rows.last().map(|row| row.kind.as_str()), Some("journal.pruned"), "the declaration")?;
    for head in kept {
        let unproven = journal.verify(Some(head.clone())).await?;
        let is_believed = matches!(unproven, Verdict::Whole(_));
        ensure(!is_believed, "a removal is believed that was declared after the expected head")?;
        let verify = move |view: &dyn Read| verify_pruned(view, Some(&head), 1150, |_, _| ());
        let verdict = journal.read_with(verify).await?;
        let pruned = match verdict {
            Verdict::Whole(whole) => whole.pruned,
            Verdict::Broken(broken) => return Err(Violation(broken.to_string())),
        };
        same(pruned, report.upto.clone(), "the removed rows of a whole chain")?;
    }
    journal.close().await?;
    let journal = open(&fixture)?;
    same(write(&journal, plain(1)?).await, Ok(1202), "the next row")?;
    is_whole(&journal).await?;
    Ok(journal.close().await?)
}

pub(super) async fn rows_under_a_state_stay(fixture: impl Fixture) -> Outcome {
    let journal = open(&fixture)?;
    fill(&journal, 10).await?;
    let covered = WriteBatch { snapshot: Some(snapshot(1)), ..step("covered", 1)? };
    write(&journal, covered).await?;
    write(&journal, step("bare", 1)?).await?;
    fill(&journal, 10).await?;
    let report = journal.prune(Retention::Rows(1)).await?;
    same(report.upto.map(|head| head.id), Some(11), "the last row that may go")?;
    ensure(report.held_back, "the report does not say that rows are held back")?;
    let upto = journal.prunable(Retention::Rows(1)).await?;
    same(journal.uncovered_agents(upto, 9).await?, vec!["bare".to_owned()], "agents in the way")?;
    side(&journal, SideWrite::Snapshot(agent("bare")?, snapshot(1))).await?;
    same(journal.uncovered_agents(upto, 9).await?, vec![], "agents in the way after a snapshot")?;
    let report = journal.prune(Retention::Rows(1)).await?;
    ensure(!report.held_back, "rows are held back without a reason")?;
    let stored = journal.snapshot("bare").await?.map(|stored| stored.event_id);
    same(stored, Some(12), "the snapshot of a removed row")?;
    let history = journal.agent_history("bare").await?;
    same(history.steps.len(), 0, "steps after the snapshot")?;
    is_whole(&journal).await?;
    Ok(journal.close().await?)
}

pub(super) async fn an_export_holds_every_row(fixture: impl Fixture) -> Outcome {
    let journal = open(&fixture)?;
    fill(&journal, 1500).await?;
    journal.close().await?;
    let Opened { readers, mut store, .. } = fixture.backend().open()?;
    let mut out = Vec::new();
    same(export(&*readers, 100, &mut out)?, 1400, "number of exported rows")?;
    let text = String::from_utf8_lossy(&out);
    for (line, id) in text.lines().zip(101..) {
        let row: serde_json::Value = serde_json::from_str(line)
            .map_err(|error| Violation(format!("a line is no JSON: {error}")))?;
        same(row["id"].as_u64(), Some(id), "the id of a line")?;
    }
    same(text.lines().count(), 1400, "number of lines")?;
    store.close();
    Ok(())
}
