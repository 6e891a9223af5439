//! Pages, filters and lists.

use life_agent_domain::governance::event::{EventKind, Row};
use life_agent_observer::{Filter, Proposal, SideWrite, WriteBatch};
use serde_json::value::RawValue;

use crate::support::{Folder, agent, entry, fill, ids, snapshot, step, write};

#[tokio::test]
async fn pages_of_any_size_give_what_the_filter_takes_in_order() {
    let folder = Folder::new();
    let journal = folder.open();
    let kinds = [EventKind::Act, EventKind::Turn, EventKind::Denied, EventKind::PolicyReload];
    let agents = [Some("a"), Some("b"), None];
    // An agent's rows are looked up in blocks of 512.
    fill(&journal, 400).await;
    for n in 0..240usize {
        // Two strides without a common divisor, so that every kind occurs with every agent.
        let work = WriteBatch::of(entry(kinds[n * 7 / 3 % 4], agents[n % 3], "{}"));
        drop(journal.append(work).unwrap());
    }
    journal.barrier().await.unwrap();
    let all: Vec<Row> =
        journal.read_with(|reader| reader.page(0, 1000, &Filter::default())).await.unwrap().rows;
    assert_eq!(all.len(), 640);
    let denied = Some("gate.denied");
    let kinds = [None, Some("obs.act"), Some("obs.*"), denied, Some("policy*"), Some("llm.chat")];
    for kind in kinds.into_iter().chain([Some("*")]) {
        for who in [None, Some("a"), Some("nobody")] {
            let filter = Filter::new(kind, who.map(agent)).unwrap();
            let taken = |row: &&Row| {
                let prefix = kind.unwrap_or("*").trim_end_matches('*');
                row.kind.starts_with(prefix) && (who.is_none() || row.agent_id.as_deref() == who)
            };
            let wanted: Vec<u64> = all.iter().filter(taken).map(|row| row.id).collect();
            for limit in [1, 7, 1000] {
                assert_eq!(ids(&journal, filter.clone(), limit).await, wanted, "{kind:?} {who:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_page_says_whether_there_is_more() {
    let folder = Folder::new();
    let journal = folder.open();
    fill(&journal, 10).await;
    let next = |after, limit| {
        journal.read_with(move |reader| Ok(reader.page(after, limit, &Filter::default())?.next))
    };
    assert_eq!(next(0, 4).await, Ok(Some(4)));
    assert_eq!(next(4, 6).await, Ok(None));
    assert_eq!(next(10, 4).await, Ok(None));
    assert_eq!(next(u64::MAX, usize::MAX).await, Ok(None));
    assert_eq!(next(0, 0).await, Ok(Some(1)));
}

#[tokio::test]
async fn a_page_of_large_rows_is_shorter_and_nothing_is_left_out() {
    let folder = Folder::new();
    let journal = folder.open();
    let data = format!(r#"{{"x":"{}"}}"#, "x".repeat(1 << 20));
    for _ in 0..10 {
        drop(journal.append(WriteBatch::of(entry(EventKind::Denied, Some("a"), &data))).unwrap());
    }
    journal.barrier().await.unwrap();
    for filter in [Filter::default(), Filter::new(None, Some(agent("a"))).unwrap()] {
        let first = filter.clone();
        let page = journal.read_with(move |reader| reader.page(0, 100, &first)).await.unwrap();
        assert_eq!((page.rows.len(), page.next), (3, Some(3)));
        assert_eq!(ids(&journal, filter, 100).await, (1..=10).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn the_steps_of_an_agent_are_its_acts_and_turns() {
    let folder = Folder::new();
    let journal = folder.open();
    for n in 1..=3 {
        write(&journal, step("a", 2 * n - 1)).await.unwrap();
        write(&journal, step("b", n)).await.unwrap();
        write(&journal, WriteBatch::of(entry(EventKind::Denied, Some("a"), "{}"))).await.unwrap();
        let turn = entry(EventKind::Turn, Some("a"), "{}");
        write(&journal, WriteBatch { step: step("a", 2 * n).step, ..WriteBatch::of(turn) })
            .await
            .unwrap();
    }
    let ids = |rows: &[Row]| rows.iter().map(|row| row.id).collect::<Vec<_>>();
    let past = journal.read_with(|reader| reader.agent_history("a")).await.unwrap();
    assert!(past.snapshot.is_none() && past.snapshot_row.is_none());
    assert_eq!(ids(&past.steps), [1, 4, 5, 8, 9, 12]);
    write(&journal, WriteBatch { snapshot: Some(snapshot(7)), ..step("a", 7) }).await.unwrap();
    write(&journal, step("a", 8)).await.unwrap();
    let past = journal.read_with(|reader| reader.agent_history("a")).await.unwrap();
    assert_eq!(past.snapshot.map(|snapshot| snapshot.event_id), Some(13));
    assert_eq!((past.snapshot_row.map(|row| row.id), ids(&past.steps)), (Some(13), vec![14]));
}

#[tokio::test]
async fn agents_are_listed_in_the_order_of_their_ids() {
    let folder = Folder::new();
    let journal = folder.open();
    for name in ["c", "a", "b"] {
        write(&journal, step(name, 1)).await.unwrap();
    }
    // A denial alone does not create an agent.
    write(&journal, WriteBatch::of(entry(EventKind::Denied, Some("d"), "{}"))).await.unwrap();
    let names = |after: Option<&'static str>, limit| {
        journal.read_with(move |reader| {
            let agents = reader.agents(after, limit)?;
            Ok(agents.into_iter().map(|agent| agent.agent_id).collect::<String>())
        })
    };
    assert_eq!(names(None, 2).await.unwrap(), "ab");
    assert_eq!(names(Some("b"), 2).await.unwrap(), "c");
    assert_eq!(names(None, usize::MAX).await.unwrap(), "abc");
}

#[tokio::test]
async fn proposals_come_newest_first() {
    let folder = Folder::new();
    let journal = folder.open();
    for (id, status) in [("1", "created"), ("2", "rejected"), ("3", "created"), ("4", "created")] {
        let proposal = Proposal {
            id: id.to_owned(),
            status: status.to_owned(),
            intent: "i".to_owned(),
            artifact: "a".to_owned(),
            data: RawValue::from_string("{}".to_owned()).unwrap(),
        };
        let work = WriteBatch::of(entry(EventKind::PlanCreated, None, "{}"));
        write(&journal, WriteBatch { side_writes: vec![SideWrite::Proposal(proposal)], ..work })
            .await
            .unwrap();
    }
    let list = |status: Option<&'static str>, before, limit| {
        journal.read_with(move |reader| {
            let found = reader.proposals(status, before, limit)?;
            Ok(found.into_iter().map(|found| found.proposal.id).collect::<String>())
        })
    };
    assert_eq!(list(None, None, 3).await.unwrap(), "432");
    assert_eq!(list(None, Some(2), 3).await.unwrap(), "1");
    assert_eq!(list(Some("created"), None, usize::MAX).await.unwrap(), "431");
    assert_eq!(list(Some("created"), Some(4), 1).await.unwrap(), "3");
    assert_eq!(list(Some("approved"), Some(u64::MAX), 1).await.unwrap(), "");
}
