//! What is refused at the start, and what texts the tables take.

use life_agent_domain::governance::event::EventKind;
use life_agent_domain::governance::ids::AgentId;
use life_agent_observer::{
    JobChange, JournalError, NewJob, NoteChange, Readers, SideWrite, Usage, UsageBy, WriteBatch,
};
use life_agent_observer_postgres::testing::Cluster;
use life_agent_observer_postgres::{Address, PostgresReader};

use super::support::{open, row, write};

fn refusal(address: &str) -> String {
    open(address).err().unwrap().to_string()
}

#[tokio::test]
async fn a_database_that_cannot_be_a_journal_is_left_as_it_is() {
    let Some(cluster) = Cluster::start() else { return };
    let database = |address: &str| address.rsplit_once('/').unwrap().1.to_owned();

    let foreign = cluster.database();
    cluster.sql(
        &database(&foreign),
        "CREATE SCHEMA life_agent; CREATE TABLE life_agent.orders (id int)",
    );
    let why = refusal(&foreign);
    assert!(why.contains("belongs to another program") && why.contains("orders"), "{why}");

    let newer = cluster.database();
    open(&newer).unwrap().close().await.unwrap();
    cluster.sql(&database(&newer), "UPDATE life_agent.journal_version SET version = 99");
    assert!(refusal(&newer).contains("newer version"), "{}", refusal(&newer));

    let changed = cluster.database();
    let journal = open(&changed).unwrap();
    write(&journal, "one").await.unwrap();
    write(&journal, "two").await.unwrap();
    journal.close().await.unwrap();
    cluster.sql(&database(&changed), "DELETE FROM life_agent.events WHERE id = 2");
    assert!(refusal(&changed).contains("the last row is not row 2"), "{}", refusal(&changed));

    let triggered = cluster.database();
    open(&triggered).unwrap().close().await.unwrap();
    let trigger = "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
        CREATE TRIGGER drop_rows BEFORE INSERT ON life_agent.events FOR EACH ROW EXECUTE FUNCTION f()";
    cluster.sql(&database(&triggered), trigger);
    assert!(refusal(&triggered).contains("`drop_rows`"), "{}", refusal(&triggered));

    let missing = cluster.address("nowhere");
    assert!(refusal(&missing).contains("the database does not exist"), "{}", refusal(&missing));
    let reader = PostgresReader::open(Address::parse(&cluster.database()).unwrap());
    assert!(reader.err().unwrap().to_string().contains("holds no journal"));
}

#[tokio::test]
async fn a_server_that_does_not_flush_is_refused() {
    let Some(cluster) = Cluster::start() else { return };
    let address = cluster.database();
    cluster.stop_immediately();
    cluster.start_with("-c fsync=off");
    let why = refusal(&address);
    assert!(why.contains("fsync=off"), "{why}");
    cluster.stop_immediately();
    cluster.start_with("-c synchronous_commit=off");
    open(&address).unwrap().close().await.unwrap();
}

#[tokio::test]
async fn no_error_shows_the_password() {
    // Nothing listens on the reserved port.
    let address = "postgres://ann:geheim@127.0.0.1:1/x";
    let why = refusal(address);
    assert!(why.contains("postgres://ann@127.0.0.1:1/x") && !why.contains("geheim"), "{why}");
    assert!(why.contains("refused"), "{why}");
}

#[tokio::test]
async fn texts_that_the_server_cannot_store_fail_no_group() {
    let Some(cluster) = Cluster::start() else { return };
    let address = cluster.database();
    let journal = open(&address).unwrap();
    let agent = AgentId::new("a").unwrap();
    let notes = NoteChange { added: vec![(1, "before\0after".to_owned())], removed: vec![] };
    let usage = Usage {
        model: "m\0".to_owned(),
        prompt_tokens: 1,
        completion_tokens: u64::MAX,
        total_tokens: 1,
    };
    let side_writes = vec![SideWrite::Notes(agent.clone(), notes), SideWrite::Usage(usage)];
    let batch = WriteBatch { side_writes, ..row("with\0nul and \u{10ffff}") };
    assert_eq!(journal.append(batch).unwrap().await.unwrap().id, 1);
    assert_eq!(journal.search_notes("a", "after", 9).await, Ok(vec![1]));
    assert_eq!(journal.usage(UsageBy::Model, "", None).await.unwrap()[0].model, "m\u{fffd}");
    let job = NewJob {
        id: "j".to_owned(),
        agent,
        principal: "key".to_owned(),
        request_id: "r".to_owned(),
        input: "look\0".to_owned(),
        created: String::new(),
    };
    let queued = SideWrite::Job(JobChange::Queued(Box::new(job)));
    let refused = journal.append(WriteBatch::side(vec![queued]));
    assert!(matches!(refused.err(), Some(JournalError::Invalid(_))));
    let last = journal.last_row(EventKind::Denied.as_str(), None).await.unwrap().unwrap();
    assert!(last.data.get().contains("\\u0000"));
    let about = journal.last_row(EventKind::Denied.as_str(), Some("p-1")).await;
    assert_eq!(about.unwrap().map(|row| row.id), None);
    journal.close().await.unwrap();
    let reader = PostgresReader::open(Address::parse(&address).unwrap()).unwrap();
    assert_eq!(reader.view().unwrap().head().unwrap().id, 1);
}
