//! Short ways to open a journal and to write rows.

use life_agent_domain::governance::event::{Entry, EventKind};
use life_agent_observer::{Journal, JournalError, Options, WriteBatch};
use life_agent_observer_postgres::{Address, Postgres};
use serde_json::value::RawValue;

pub(crate) fn backend(address: &str) -> Postgres {
    Postgres::at(Address::parse(address).unwrap())
}

pub(crate) fn open(address: &str) -> Result<Journal, JournalError> {
    Journal::open(backend(address), Options::default())
}

/// A batch of one row.
pub(crate) fn row(text: &str) -> WriteBatch {
    let data = serde_json::json!({ "text": text }).to_string();
    WriteBatch::of(Entry {
        kind: EventKind::Denied,
        agent: None,
        principal: "key".to_owned(),
        request_id: "r-1".to_owned(),
        data: RawValue::from_string(data).unwrap(),
    })
}

pub(crate) async fn write(journal: &Journal, text: &str) -> Result<u64, JournalError> {
    Ok(journal.append(row(text))?.await?.id)
}

/// The texts of all rows.
pub(crate) async fn texts(journal: &Journal) -> Vec<String> {
    let page = journal.page(0, 10_000, life_agent_observer::Filter::default()).await.unwrap();
    let text = |data: &str| -> serde_json::Value { serde_json::from_str(data).unwrap() };
    page.rows.iter().map(|row| text(row.data.get())["text"].as_str().unwrap().to_owned()).collect()
}

pub(crate) async fn assert_whole(journal: &Journal) {
    let verdict = journal.verify(None).await.unwrap();
    assert!(matches!(verdict, life_agent_observer::Verdict::Whole(_)), "{verdict:?}");
}
