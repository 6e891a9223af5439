//! Texts that rows share: stored once, read back, removed with the last row that names them.

use life_agent_domain::governance::event::EventKind;
use serde_json::{Value, json};

use super::build::{entry, fill, is_whole, side, write};
use super::{Fixture, Outcome, Violation, ensure, open, same};
use crate::batch::{SideWrite, WriteBatch};
use crate::journal::Journal;
use crate::precondition::Precondition;
use crate::retention::Retention;
use crate::store::Read;
use crate::texts::{TextId, TextKind, check_texts, compact, roots_of};

/// A long text of its own for each number.
fn long(n: usize) -> String {
    format!("text {n} ").repeat(200)
}

/// The data of a row about a conversation of so many messages.
fn conversation(messages: usize) -> Value {
    let message = |n| match n % 3 {
        0 => json!({"role": "user", "content": long(n)}),
        1 => json!({"role": "assistant", "content": null, "calls": [{"a/b~c": long(n)}, n]}),
        _ => json!({"role": "tool", "content": format!("short {n}")}),
    };
    let messages: Vec<Value> = (0..messages).map(message).collect();
    json!({"messages": messages, "answer": long(1000), "n": 1})
}

/// A row of this data, with its texts.
fn batch(data: &Value) -> Result<WriteBatch, Violation> {
    let whole = super::build::json(&data.to_string())?;
    let (data, texts) = compact(&whole).ok_or(Violation("the data has no texts".to_owned()))?;
    let mut batch = WriteBatch::of(entry(EventKind::Chat, None, data.get())?);
    batch.side_writes.push(SideWrite::Texts(texts));
    Ok(batch)
}

/// The number of stored texts, all of which the rows name.
async fn stored(journal: &Journal) -> Result<usize, Violation> {
    let faults = journal.read_with(check_texts).await?;
    ensure(faults.is_empty(), format!("texts and rows differ: {faults:?}"))?;
    let count = |view: &dyn Read| {
        let mut count = 0;
        view.texts(&mut |_, _, _| {
            count += 1;
            std::ops::ControlFlow::Continue(())
        })?;
        Ok(count)
    };
    Ok(journal.read_with(count).await?)
}

pub(super) async fn a_growing_conversation_stores_its_texts_once(fixture: impl Fixture) -> Outcome {
    let journal = open(&fixture)?;
    let mut before = 0;
    for messages in 3..=12 {
        let data = conversation(messages);
        let id = write(&journal, batch(&data)?).await?;
        let row = journal.row(id).await?.ok_or(Violation("a row is missing".to_owned()))?;
        ensure(row.data.get().len() < 1000, format!("a row holds its texts: {}", row.data))?;
        let expanded: Value = serde_json::from_str(journal.expand(row).await?.data.get())
            .map_err(|error| Violation(error.to_string()))?;
        same(expanded, data, "an expanded row")?;
        let now = stored(&journal).await?;
        if before > 0 {
            // One more item, and its text if it is long.
            let new = if messages % 3 == 0 { 1 } else { 2 };
            same(now - before, new, &format!("new texts of {messages} messages"))?;
        }
        before = now;
    }
    // The same once more names what is stored.
    write(&journal, batch(&conversation(12))?).await?;
    same(stored(&journal).await?, before, "texts after a repetition")?;
    let unknown = TextId::of(TextKind::Text, b"unknown");
    let missing = journal.read_with(move |view| view.text(&unknown)).await?;
    same(missing, None, "an unknown text")?;
    is_whole(&journal).await?;
    journal.close().await?;
    let journal = open(&fixture)?;
    same(stored(&journal).await?, before, "texts after reopening")?;
    Ok(journal.close().await?)
}

pub(super) async fn texts_go_with_the_last_row_that_names_them(fixture: impl Fixture) -> Outcome {
    let journal = open(&fixture)?;
    for messages in [3, 6, 6] {
        write(&journal, batch(&conversation(messages))?).await?;
    }
    let all = stored(&journal).await?;
    for (kept, left) in [(2, all), (2, all)] {
        journal.prune(Retention::Rows(kept)).await?;
        same(stored(&journal).await?, left, "texts of rows that remain")?;
    }
    let other = json!({"messages": [{"role": "user", "content": long(7)}], "answer": long(0)});
    let last = write(&journal, batch(&other)?).await?;
    journal.prune(Retention::Rows(1)).await?;
    // One item with its text, and the answer, which the removed rows named as well.
    same(stored(&journal).await?, 3, "texts of the last row")?;
    let row = journal.row(last).await?.ok_or(Violation("the last row is missing".to_owned()))?;
    let roots = roots_of(row.data.get());
    same(roots.len(), 2, "texts that the row names itself")?;
    journal.expand(row).await?;
    fill(&journal, 3).await?;
    journal.prune(Retention::Rows(1)).await?;
    same(stored(&journal).await?, 0, "texts without a row")?;
    is_whole(&journal).await?;
    Ok(journal.close().await?)
}

pub(super) async fn a_rejected_batch_leaves_no_text(fixture: impl Fixture) -> Outcome {
    let journal = open(&fixture)?;
    side(&journal, SideWrite::AdvanceControl).await?;
    let mut rejected = batch(&conversation(4))?;
    rejected.preconditions.push(Precondition::Control { version: 0 });
    ensure(write(&journal, rejected).await.is_err(), "the batch is stored")?;
    same(stored(&journal).await?, 0, "texts of a rejected batch")?;
    Ok(journal.close().await?)
}
