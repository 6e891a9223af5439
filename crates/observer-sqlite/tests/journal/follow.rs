//! Followers receive every row once and in order, at any speed.

use std::future::Future;
use std::task::{Context, Poll, Waker};

use life_agent_domain::governance::event::EventKind;
use life_agent_observer::{Filter, Follower, Journal, JournalError, Options};

use crate::support::{Folder, agent, entry, fill, plain, step, write};
use life_agent_observer::WriteBatch;

async fn collect(follower: &mut Follower, upto: u64, max: usize) -> Vec<u64> {
    let mut ids = vec![];
    while follower.position() < upto {
        ids.extend(follower.next_batch(max).await.unwrap().iter().map(|row| row.id));
    }
    ids
}

fn small_ring() -> Options {
    Options { ring_rows: 16, ..Options::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_follower_gets_every_row_once_also_when_the_ring_has_moved_on() {
    let folder = Folder::new();
    let journal = folder.open_with(small_ring());
    fill(&journal, 100).await;
    let mut follower = journal.follow(Some(3), Filter::default());
    let writing = {
        let journal = journal.clone();
        tokio::spawn(async move {
            for _ in 0..20 {
                fill(&journal, 20).await;
            }
        })
    };
    assert_eq!(collect(&mut follower, 500, 7).await, (4..=500).collect::<Vec<_>>());
    writing.await.unwrap();
}

#[tokio::test]
async fn following_goes_on_after_a_restart_where_it_left_off() {
    let folder = Folder::new();
    let journal = folder.open();
    fill(&journal, 10).await;
    let mut follower = journal.follow(Some(0), Filter::default());
    let first = follower.next_batch(6).await.unwrap();
    assert_eq!(first.last().unwrap().id, 6);
    drop(follower);
    journal.close().await.unwrap();

    let journal = folder.open();
    fill(&journal, 5).await;
    let mut follower = journal.follow(Some(6), Filter::default());
    assert_eq!(collect(&mut follower, 15, 100).await, (7..=15).collect::<Vec<_>>());
}

#[tokio::test]
async fn without_a_position_it_starts_now_and_beyond_the_end_with_the_next_row() {
    let folder = Folder::new();
    let journal = folder.open();
    fill(&journal, 10).await;
    let mut followers =
        [None, Some(10), Some(u64::MAX)].map(|after| journal.follow(after, Filter::default()));
    fill(&journal, 1).await;
    for follower in &mut followers {
        assert_eq!(collect(follower, 11, 100).await, [11]);
    }
}

#[tokio::test]
async fn a_filter_leaves_out_and_moves_on() {
    let folder = Folder::new();
    let journal = folder.open_with(small_ring());
    for n in 1..=50 {
        write(&journal, step("a", n)).await.unwrap();
        write(&journal, WriteBatch::of(entry(EventKind::Turn, Some("b"), "{}"))).await.unwrap();
    }
    let filters = [
        (Filter::new(Some("obs.act"), None), 1),
        (Filter::new(None, Some(agent("b"))), 0),
        (Filter::new(Some("obs.*"), Some(agent("a"))), 1),
    ];
    for (filter, odd) in filters {
        let mut follower = journal.follow(Some(0), filter.unwrap());
        let wanted: Vec<u64> = (1..=100).filter(|id| id % 2 == odd).collect();
        let mut seen = vec![];
        while seen.len() < wanted.len() {
            seen.extend(follower.next_batch(9).await.unwrap().iter().map(|row| row.id));
        }
        assert_eq!(seen, wanted);
    }
    // No row matches: the follower reads each row once, then waits at the end.
    let mut idle = journal.follow(Some(0), Filter::new(Some("llm.chat"), None).unwrap());
    let found = write(&journal, WriteBatch::of(entry(EventKind::Chat, None, "{}"))).await.unwrap();
    assert_eq!(idle.next_batch(5).await.unwrap()[0].id, found);
    assert_eq!(idle.position(), found);
}

#[tokio::test]
async fn a_wait_that_is_given_up_loses_nothing() {
    let folder = Folder::new();
    let journal = folder.open_with(small_ring());
    fill(&journal, 60).await;
    let mut follower = journal.follow(Some(0), Filter::default());
    // Polled once and dropped during a read from the disk.
    let mut context = Context::from_waker(Waker::noop());
    let polled = std::pin::pin!(follower.next_batch(10)).poll(&mut context);
    assert!(matches!(polled, Poll::Pending));
    assert_eq!(collect(&mut follower, 60, 10).await, (1..=60).collect::<Vec<_>>());
}

#[tokio::test]
async fn every_follower_shares_one_line_of_json() {
    let folder = Folder::new();
    let journal = folder.open();
    let mut followers = [(); 2].map(|()| journal.follow(None, Filter::default()));
    let written = journal.append(step("a", 1)).unwrap().await.unwrap();
    let line = written.rows[0].line();
    let row: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!(row["data"]["action"], "rest");
    assert_eq!(
        (&row["id"], &row["agent_id"], &row["kind"]),
        (&1.into(), &"a".into(), &"obs.act".into())
    );
    for follower in &mut followers {
        let rows = follower.next_batch(1).await.unwrap();
        assert!(std::ptr::eq(rows[0].line(), line) && !line.contains('\n'));
    }
}

#[tokio::test]
async fn when_the_journal_closes_followers_end() {
    let folder = Folder::new();
    let journal = folder.open();
    let mut behind = journal.follow(None, Filter::default());
    let mut waiting = journal.follow(None, Filter::new(Some("llm.*"), None).unwrap());
    let ended = tokio::spawn(async move { waiting.next_batch(1).await.map(|rows| rows.len()) });
    fill(&journal, 3).await;
    close(&journal).await;
    assert_eq!(collect(&mut behind, 3, 2).await, [1, 2, 3]);
    assert!(matches!(behind.next_batch(1).await, Err(JournalError::Closed)));
    assert_eq!(ended.await.unwrap(), Err(JournalError::Closed));
    assert!(journal.append(plain(1)).is_err());
}

async fn close(journal: &Journal) {
    journal.close().await.unwrap();
}
