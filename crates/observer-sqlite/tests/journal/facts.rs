//! Facts of agents can be found by their words.

use life_agent_domain::governance::event::EventKind;
use life_agent_observer::{Journal, NoteChange, SideWrite, WriteBatch};
use proptest::prelude::*;

use crate::support::{Folder, agent, entry};

/// A step that stores and removes facts.
async fn keep(journal: &Journal, name: &str, kept: &[(u64, &str)], forgotten: &[u64]) {
    let kept = kept.iter().map(|(version, text)| (*version, (*text).to_owned())).collect();
    let change = NoteChange { added: kept, removed: forgotten.to_vec() };
    let work = WriteBatch {
        side_writes: vec![SideWrite::Notes(agent(name), change)],
        ..WriteBatch::of(entry(EventKind::Act, Some(name), "{}"))
    };
    journal.append(work).unwrap().await.unwrap();
}

async fn found(journal: &Journal, name: &str, query: &str) -> Vec<u64> {
    let (name, query) = (name.to_owned(), query.to_owned());
    journal.read_with(move |reader| reader.search_notes(&name, &query, 10)).await.unwrap()
}

#[tokio::test]
async fn a_fact_is_found_by_the_beginning_of_any_of_its_words_by_its_agent_alone() {
    let folder = Folder::new();
    let journal = folder.open();
    keep(&journal, "hero", &[(1, "Das Tor öffnet bei Dämmerung"), (2, "the baker is a spy")], &[])
        .await;
    keep(&journal, "he.ro", &[(7, "the baker bakes")], &[]).await;
    for (query, expected) in [
        ("tor", vec![1]),
        ("DAMMER", vec![1]),
        ("who is the baker?", vec![2]),
        ("dragon", vec![]),
        ("", vec![]),
        ("?!", vec![]),
    ] {
        assert_eq!(found(&journal, "hero", query).await, expected, "{query}");
    }
    assert_eq!(found(&journal, "he.ro", "baker").await, [7]);
    assert_eq!(found(&journal, "nobody", "baker").await, Vec::<u64>::new());
}

#[tokio::test]
async fn the_best_fit_comes_first_and_what_is_forgotten_is_gone_also_after_a_restart() {
    let folder = Folder::new();
    let journal = folder.open();
    let facts = [(1, "the gate"), (2, "the gate of the old fort opens at dawn"), (3, "the road")];
    keep(&journal, "hero", &facts, &[]).await;
    assert_eq!(found(&journal, "hero", "old gate").await, [2, 1]);
    keep(&journal, "hero", &[], &[2]).await;
    journal.close().await.unwrap();
    let journal = folder.open();
    assert_eq!(found(&journal, "hero", "old gate").await, [1]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn no_query_is_taken_for_the_languages_of_the_database(query in "[\\PC\"*():^+-]{0,40}|.{0,40}") {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let folder = Folder::new();
            let journal = folder.open();
            keep(&journal, "hero", &[(1, "a fact of the hero")], &[]).await;
            keep(&journal, "other", &[(2, query.as_str())], &[]).await;
            let found = found(&journal, "hero", &query).await;
            assert!(found.is_empty() || found == [1], "{found:?}");
        });
    }
}
