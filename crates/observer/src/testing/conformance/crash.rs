//! Durability: what a crash leaves.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use life_agent_domain::governance::event::EventKind;

use super::build::{all, entry, is_whole, plain};
use super::{Fixture, Outcome, Violation, ensure, open, same};
use crate::batch::WriteBatch;
use crate::filter::Filter;
use crate::journal::Journal;

pub(super) async fn answered_rows_survive_a_crash(fixture: impl Fixture) -> Outcome {
    let journal = open(&fixture)?;
    let mut hashes = Vec::new();
    for n in 0..5 {
        let committed = journal.append(plain(n)?)?.await?;
        hashes.push(committed.rows[0].hash.clone());
        // Every commit could be the last before the crash.
        let image = fixture.crash_image();
        let after = open(&image)?;
        let rows = all(&after, &Filter::default(), 100).await?;
        let found: Vec<String> = rows.into_iter().map(|row| row.hash).collect();
        same(found, hashes.clone(), "hashes of the rows after a crash")?;
        is_whole(&after).await?;
        after.close().await?;
    }
    Ok(journal.close().await?)
}

/// Rows of each batch while the crash happens.
const BATCH: usize = 3;

pub(super) async fn a_crash_at_any_point_leaves_whole_batches(fixture: impl Fixture) -> Outcome {
    let journal = open(&fixture)?;
    let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut writers = Vec::new();
    for writer in 0..4_u64 {
        let (journal, stop, answered) = (journal.clone(), stop.clone(), answered.clone());
        writers.push(tokio::spawn(async move {
            for n in 0..400_u64 {
                if stop.load(Ordering::SeqCst) {
                    break;
                }
                let committed = append(&journal, writer * 1000 + n).await?;
                answered.fetch_max(committed, Ordering::SeqCst);
            }
            Ok::<_, Violation>(())
        }));
    }
    let mut images = Vec::new();
    for round in 0..6 {
        // Wait for progress, so that the images differ.
        while answered.load(Ordering::SeqCst) < round * 40
            && !writers.iter().all(|w| w.is_finished())
        {
            tokio::task::yield_now().await;
        }
        let durable = answered.load(Ordering::SeqCst);
        images.push((durable, fixture.crash_image()));
    }
    stop.store(true, Ordering::SeqCst);
    for writer in writers {
        writer.await.map_err(|error| Violation(format!("a writer failed: {error}")))??;
    }
    journal.close().await?;
    for (durable, image) in images {
        let after = open(&image)?;
        let rows = all(&after, &Filter::default(), 1000).await?;
        let last = rows.last().map_or(0, |row| row.id);
        ensure(last >= durable, format!("row {durable} was answered, the last row is {last}"))?;
        same(rows.len() as u64, last, "number of rows without a gap")?;
        let mut batches: BTreeMap<&str, usize> = BTreeMap::new();
        for row in &rows {
            *batches.entry(row.data.get()).or_default() += 1;
        }
        let torn = batches.values().any(|count| *count != BATCH);
        ensure(!torn, "a batch was stored in part")?;
        is_whole(&after).await?;
        // The journal continues after the crash.
        same(append(&after, 9_999_999).await?, last + BATCH as u64, "the id after a crash")?;
        after.close().await?;
    }
    Ok(())
}

async fn append(journal: &Journal, n: u64) -> Result<u64, Violation> {
    let data = format!(r#"{{"n":{n}}}"#);
    let mut batch = WriteBatch::default();
    for _ in 0..BATCH {
        batch.entries.push(entry(EventKind::Denied, None, &data)?);
    }
    Ok(journal.append(batch)?.await?.id)
}
