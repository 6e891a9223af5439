//! Whatever is done to the rows, verifying names the first one concerned.

use std::sync::OnceLock;

use life_agent_observer::verify::{Broken, ChainFault, Verdict};
use life_agent_observer::{Filter, Head};
use proptest::prelude::*;
use rusqlite::params;

use crate::support::{Folder, bytes, fill, plain, step, write};

const ROWS: u64 = 40;

/// A journal of [`ROWS`] rows, made once; every case tampers with a copy.
fn original() -> &'static [u8] {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    BYTES.get_or_init(|| {
        let folder = Folder::new();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let journal = folder.open();
            for n in 1..=ROWS / 2 {
                write(&journal, step("a", n)).await.unwrap();
                write(&journal, plain(n)).await.unwrap();
            }
            journal.close().await.unwrap();
        });
        bytes(&folder.db)
    })
}

fn copy() -> Folder {
    let folder = Folder::new();
    std::fs::write(&folder.db, original()).unwrap();
    folder
}

fn broken(folder: &Folder, expect: Option<&Head>) -> Broken {
    match folder.verify(expect) {
        Verdict::Broken(broken) => broken,
        Verdict::Whole(whole) => panic!("taken for whole: {whole:?}"),
    }
}

fn hash_of(folder: &Folder, id: u64) -> String {
    let sql = "SELECT hash FROM journal WHERE id = ?1";
    folder.sql().query_row(sql, [id], |row| row.get(0)).unwrap()
}

/// Gives row `id` the hash of its content, as a forger would who knows the formula.
fn rehash(folder: &Folder, id: u64) {
    let sql = "SELECT prev_hash || char(10) || id || char(10) || ts || char(10) || kind || char(10)
        || ifnull(agent_id, '') || char(10) || principal || char(10) || request_id || char(10) || data
        FROM journal WHERE id = ?1";
    let text: String = folder.sql().query_row(sql, [id], |row| row.get(0)).unwrap();
    let hash = hex::encode(<sha2::Sha256 as sha2::Digest>::digest(text));
    folder.sql().execute("UPDATE journal SET hash = ?1 WHERE id = ?2", params![hash, id]).unwrap();
}

#[test]
fn a_chain_that_nobody_touched_is_whole_and_tells_its_head() {
    let folder = copy();
    let whole = folder.whole();
    assert_eq!((whole.rows, whole.head.id, &whole.pruned), (ROWS, ROWS, &None));
    assert_eq!(whole.head.hash, hash_of(&folder, ROWS));
    let kept = Head { id: 7, hash: hash_of(&folder, 7) };
    assert!(matches!(folder.verify(Some(&kept)), Verdict::Whole(_)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_change_of_any_column_of_any_row_is_named(
        id in 1..=ROWS,
        column in prop::sample::select(vec![
            "ts", "kind", "data", "agent_id", "principal", "request_id", "prev_hash", "hash",
        ]),
        value in "[a-z0-9{}\n]{0,8}",
        blob in any::<bool>(),
    ) {
        let folder = copy();
        let sql = folder.sql();
        let value = if blob { rusqlite::types::Value::Blob(value.into()) } else { value.into() };
        sql.execute(&format!("UPDATE journal SET {column} = ?1 WHERE id = ?2"), params![value, id])
            .unwrap();
        let found = broken(&folder, None);
        prop_assert_eq!((found.row, found.good), (id as i64, id - 1));
        prop_assert_eq!(found.fault, ChainFault::Changed);
    }

    #[test]
    fn a_removed_row_is_named(id in 1..ROWS) {
        let folder = copy();
        folder.sql().execute("DELETE FROM journal WHERE id = ?1", [id]).unwrap();
        let found = broken(&folder, None);
        prop_assert_eq!((found.row, found.fault), (id as i64, ChainFault::Removed));
    }

    #[test]
    fn two_rows_that_changed_places_are_named(first in 1..ROWS, distance in 1..ROWS) {
        let second = first + distance;
        prop_assume!(second <= ROWS);
        let folder = copy();
        folder.sql().execute_batch(&format!(
            "UPDATE journal SET id = 1000 WHERE id = {first};
             UPDATE journal SET id = {first} WHERE id = {second};
             UPDATE journal SET id = {second} WHERE id = 1000;"
        )).unwrap();
        prop_assert_eq!(broken(&folder, None).row, first as i64);
    }

    #[test]
    fn a_row_with_another_number_is_named(id in 1..=ROWS, number in -5i64..=0) {
        let folder = copy();
        folder.sql().execute("UPDATE journal SET id = ?1 WHERE id = ?2", params![number, id]).unwrap();
        let found = broken(&folder, None);
        prop_assert_eq!((found.row, found.fault), (number, ChainFault::Inserted));
    }

    #[test]
    fn a_forged_row_with_a_fitting_hash_is_found_at_the_next_one(id in 1..ROWS) {
        let folder = copy();
        folder.sql().execute("UPDATE journal SET data = '{}' WHERE id = ?1", [id]).unwrap();
        rehash(&folder, id);
        let found = broken(&folder, None);
        prop_assert_eq!((found.row, found.fault), (id as i64 + 1, ChainFault::Detached));
        prop_assert!(found.to_string().contains("the row before was replaced"));
    }
}

#[test]
fn a_row_that_was_appended_from_outside_does_not_fit() {
    let folder = copy();
    let sql = format!(
        "INSERT INTO journal SELECT {}, ts, kind, data, agent_id, principal, request_id, prev_hash, hash, NULL
         FROM journal WHERE id = {ROWS}",
        ROWS + 1
    );
    folder.sql().execute_batch(&sql).unwrap();
    assert_eq!(broken(&folder, None).row, ROWS as i64 + 1);
    rehash(&folder, ROWS + 1);
    assert_eq!(broken(&folder, None).fault, ChainFault::Detached);
}

#[test]
fn an_agent_that_was_set_back_is_named_though_every_row_is_as_it_was() {
    for (put, row) in [
        ("UPDATE agents SET last_event = 37, state_version = 19", 39),
        ("UPDATE agents SET last_event = 0", 39),
        ("DELETE FROM agents", 39),
        ("UPDATE journal SET prev_step = 1 WHERE id = 31", 31),
        ("UPDATE journal SET prev_step = -1 WHERE id = 31", 31),
        ("UPDATE journal SET prev_step = 'x' WHERE id = 31", 31),
        ("UPDATE journal SET prev_step = 1 WHERE id = 40", 40),
    ] {
        let folder = copy();
        folder.sql().execute_batch(put).unwrap();
        let found = broken(&folder, None);
        assert_eq!((found.row, found.fault), (row, ChainFault::Astray), "{put}");
        let refused = folder.refusal();
        assert!(refused.contains(&format!("row {row} is a step")), "{refused}");
    }
    // Going on from there does not make it good.
    let folder = copy();
    folder.sql().execute_batch("UPDATE agents SET last_event = 37").unwrap();
    let sql = "INSERT INTO journal SELECT 41, ts, kind, data, agent_id, principal, request_id, prev_hash, hash, 37
        FROM journal WHERE id = 39";
    folder.sql().execute_batch(sql).unwrap();
    let put =
        "UPDATE journal SET prev_hash = (SELECT hash FROM journal WHERE id = 40) WHERE id = 41";
    folder.sql().execute_batch(put).unwrap();
    rehash(&folder, 41);
    let found = broken(&folder, None);
    assert_eq!((found.row, found.fault), (41, ChainFault::Astray));
}

#[test]
fn an_end_that_was_cut_off_shows_against_a_head_kept_elsewhere() {
    let folder = copy();
    let head = Head { id: ROWS, hash: hash_of(&folder, ROWS) };
    // The last step of agent `a` is row 39: its record gives away what is missing from there on.
    folder.sql().execute("DELETE FROM journal WHERE id > 39", []).unwrap();
    assert_eq!(folder.whole().head.id, 39);
    let found = broken(&folder, Some(&head));
    assert_eq!((found.row, found.fault), (40, ChainFault::CutOff));
    folder.sql().execute("DELETE FROM journal WHERE id > 30", []).unwrap();
    let found = broken(&folder, None);
    assert_eq!((found.row, found.fault), (31, ChainFault::CutOff));
    folder.sql().execute_batch("DELETE FROM journal").unwrap();
    assert_eq!(broken(&folder, Some(&head)).row, 1);
}

#[test]
fn a_history_that_was_computed_anew_shows_against_a_head_kept_elsewhere() {
    let folder = copy();
    let head = Head { id: ROWS, hash: hash_of(&folder, ROWS) };
    folder.sql().execute("UPDATE journal SET data = '{}' WHERE id = ?1", [ROWS]).unwrap();
    rehash(&folder, ROWS);
    folder.whole();
    let found = broken(&folder, Some(&head));
    assert_eq!((found.row, found.fault), (ROWS as i64, ChainFault::Rewritten));
}

#[test]
fn a_page_that_was_damaged_on_the_disk_is_placed() {
    let folder = Folder::new();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let journal = folder.open();
        fill(&journal, 2000).await;
        journal.close().await.unwrap();
    });
    let sql = "SELECT pageno FROM dbstat WHERE name = 'journal' AND pagetype = 'leaf'
        ORDER BY path LIMIT 1 OFFSET 20";
    let Ok(page) = folder.sql().query_row(sql, [], |row| row.get::<_, usize>(0)) else {
        panic!("no statistics of the pages");
    };
    let mut bad = bytes(&folder.db);
    bad[(page - 1) * 4096..page * 4096].fill(0x5A);
    std::fs::write(&folder.db, bad).unwrap();
    let found = broken(&folder, None);
    assert_eq!(found.fault, ChainFault::Unreadable);
    assert!(found.row > 1 && found.good == found.row as u64 - 1);
}

#[tokio::test]
async fn a_row_whose_data_is_no_longer_json_is_not_handed_out() {
    let folder = copy();
    let journal = folder.open();
    folder.sql().execute("UPDATE journal SET data = '{' WHERE id = 2", []).unwrap();
    let page = journal.page(0, 10, Filter::default()).await;
    assert!(page.unwrap_err().to_string().contains("row 2"));
}
