//! Artifacts: complete or not there, never overwritten, and what they say holds.

use std::collections::HashSet;
use std::process::{Command, Stdio};

use life_agent_plans::draft::draft;
use life_agent_plans::request::PlanRequest;
use life_agent_plans::stale::stale;
use life_agent_plans::store::{LoadError, WriteError};
use sha2::Digest;

use crate::support::{Judge, Place, create, delete, edits, meta, permit, replace};

#[test]
fn an_artifact_says_what_the_plan_is_made_from_and_proves_it() {
    let place = Place::with(&[("a.txt", "one\n"), ("b.txt", "gone\n")]);
    let made = place.plan(edits([
        replace("a.txt", "one\ntwo\n"),
        delete("b.txt"),
        create("c.txt", "new\n"),
    ]));
    let store = place.store();
    let loaded = store.load(&made.record.id).unwrap();
    assert_eq!(loaded, made);
    assert_eq!(store.ids().unwrap(), [made.record.id.as_str()]);
    assert_eq!(made.name, format!("plan_20261122T205110Z_{}.json", made.record.id));

    let record = &made.record;
    assert_eq!(record.author, "ann");
    assert_eq!(record.request_id, "req-1");
    assert_eq!(record.created, "2026-11-22T20:51:10.500000Z");
    assert_eq!(record.applied_policies, ["docs-only"]);
    assert_eq!(record.policy_hash, "ab".repeat(32));
    assert_eq!(record.base_commit, Some(place.head()));
    assert_eq!(record.targets, ["a.txt", "b.txt", "c.txt"]);
    assert_eq!((record.stats.files, record.stats.added, record.stats.removed), (3, 2, 1));
    assert!(record.checks.iter().all(|check| check.result == "passed"));

    let patch = record.patch.as_ref().unwrap();
    let bytes = std::fs::read(place.plans().join(&patch.file)).unwrap();
    assert_eq!(patch.sha256, hex::encode(sha2::Sha256::digest(&bytes)));
    let diff = store.diff(&made).unwrap().unwrap();
    assert_eq!(patch.diff_sha256, hex::encode(sha2::Sha256::digest(&diff)));
    let json = std::fs::read(place.plans().join(&made.name)).unwrap();
    assert_eq!(made.seal, hex::encode(sha2::Sha256::digest(&json)));
}

#[test]
fn a_statement_of_intent_has_no_patch_and_says_so() {
    let place = Place::new();
    let targets = vec!["docs/a.md".to_owned()];
    let made = place.plan(PlanRequest { targets: targets.clone(), ..PlanRequest::default() });
    assert_eq!((&made.record.patch, &made.record.base_commit), (&None, &None));
    assert_eq!(made.record.targets, targets);
    let json = std::fs::read_to_string(place.plans().join(&made.name)).unwrap();
    assert!(json.contains("\"patch\": null"), "{json}");
    assert_eq!(std::fs::read_dir(place.plans()).unwrap().count(), 1);
    assert_eq!(place.store().mail(&made).unwrap(), None);
}

#[test]
fn a_permit_for_other_paths_writes_nothing() {
    let place = Place::new();
    let draft = place.propose(edits([create("a.txt", "x\n")])).unwrap();
    let other = permit("x", "", &["b.txt".to_owned()]);
    let refused = place.store().write(&draft, &other, &meta());
    assert!(matches!(refused, Err(WriteError::OtherRequest)));
    assert_eq!(std::fs::read_dir(place.plans()).unwrap().count(), 0);
}

#[test]
fn a_plan_whose_files_were_touched_is_refused() {
    let place = Place::new();
    let made = place.plan(edits([create("a.txt", "x\n")]));
    let other = place.plan(edits([create("b.txt", "x\n")]));
    let store = place.store();
    let patch = place.plans().join(&made.record.patch.as_ref().unwrap().file);
    let good = std::fs::read_to_string(&patch).unwrap();
    let tampered = |made| matches!(store.mail(made), Err(LoadError::Tampered { .. }));

    std::fs::write(&patch, good.replace("+x", "+y")).unwrap();
    assert!(tampered(&made));
    std::fs::remove_file(&patch).unwrap();
    assert!(tampered(&made));

    // Another plan's patch, with the hashes made to fit: the mail still names the other plan.
    let mut forged = made.clone();
    let theirs =
        std::fs::read_to_string(place.plans().join(&other.record.patch.as_ref().unwrap().file));
    std::fs::write(&patch, theirs.unwrap()).unwrap();
    let hashes = other.record.patch.clone().unwrap();
    if let Some(own) = &mut forged.record.patch {
        (own.sha256, own.diff_sha256) = (hashes.sha256, hashes.diff_sha256);
    }
    assert!(tampered(&forged));

    std::fs::write(place.plans().join(&made.name), "{}").unwrap();
    assert!(matches!(store.load(&made.record.id), Err(LoadError::Tampered { .. })));
    let renamed = other.name.replace(&other.record.id, "aaaaaaaaaaaa");
    std::fs::rename(place.plans().join(&other.name), place.plans().join(renamed)).unwrap();
    assert!(matches!(store.load("aaaaaaaaaaaa"), Err(LoadError::Tampered { .. })));
    for unknown in ["", "zzzzzzzzzzzz", "../../etc/x", "*"] {
        assert!(matches!(store.load(unknown), Err(LoadError::NotFound(_))), "{unknown}");
    }
}

#[test]
fn a_plan_is_stale_as_soon_as_one_of_its_files_has_changed() {
    let place = Place::with(&[("a.txt", "one\n"), ("b.txt", "two\n")]);
    let plan = edits([replace("a.txt", "x\n"), delete("b.txt"), create("c.txt", "new\n")]);
    let record = place.plan(plan).record;
    let tree = place.tree();
    assert_eq!(stale(&tree, &record), [""; 0]);
    place.write("other.txt", "x");
    assert_eq!(stale(&tree, &record), [""; 0]);
    place.write("a.txt", "other\n");
    std::fs::remove_file(place.at("b.txt")).unwrap();
    place.write("c.txt", "new\n");
    assert_eq!(stale(&tree, &record), ["a.txt", "b.txt", "c.txt"]);
}

#[test]
fn plans_made_at_once_are_all_distinct_and_complete() {
    let place = Place::new();
    let made: Vec<_> = std::thread::scope(|scope| {
        let client = |_| {
            scope.spawn(|| {
                (0..10).map(|_| place.plan(edits([create("a", "x\n")]))).collect::<Vec<_>>()
            })
        };
        let clients: Vec<_> = (0..8).map(client).collect();
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });
    let ids: HashSet<_> = made.iter().map(|artifact| artifact.record.id.clone()).collect();
    assert_eq!(ids.len(), 80);
    let store = place.store();
    assert_eq!(store.ids().unwrap().into_iter().collect::<HashSet<_>>(), ids);
    for artifact in &made {
        assert_eq!(store.load(&artifact.record.id).unwrap(), *artifact);
        assert!(store.mail(artifact).unwrap().is_some());
    }
    store.discard(&made[0]).unwrap();
    assert!(matches!(store.load(&made[0].record.id), Err(LoadError::NotFound(_))));
    assert_eq!(std::fs::read_dir(place.plans()).unwrap().count(), 2 * 79);
}

const PLANS_DIR: &str = "LIFE_AGENT_TEST_PLANS_DIR";

/// Not a test of its own: the process that the next one kills.
#[test]
fn writes_plans_until_it_is_killed() {
    let Some(dir) = std::env::var_os(PLANS_DIR) else {
        return;
    };
    let place = Place::new();
    let store = life_agent_plans::store::Store::open(dir.as_ref()).unwrap();
    let draft = draft(&place.tree(), &edits([create("a", "x\n")]).read(), 800, &Judge).unwrap();
    let permit = permit("x", "y", draft.targets());
    loop {
        store.write(&draft, &permit, &meta()).unwrap();
    }
}

#[test]
fn a_kill_in_between_leaves_no_half_written_plan_that_is_listed() {
    let place = Place::new();
    let store = place.store();
    for _ in 0..5 {
        let before = store.ids().unwrap().len();
        let mut writer = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "artifacts::writes_plans_until_it_is_killed"])
            .env(PLANS_DIR, place.plans())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        while store.ids().unwrap().len() < before + 20 {
            assert!(writer.try_wait().unwrap().is_none(), "the writer ended by itself");
            std::thread::yield_now();
        }
        writer.kill().unwrap();
        writer.wait().unwrap();
        for id in store.ids().unwrap() {
            let artifact = store.load(&id).unwrap();
            assert!(store.mail(&artifact).unwrap().is_some(), "{id}");
        }
    }
}

#[test]
fn an_artifact_gets_its_name_once_its_row_is_durable_and_is_settled_after_an_interruption() {
    let place = Place::with(&[("a.txt", "one\n")]);
    let names = || {
        let entries = std::fs::read_dir(place.plans()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    let write = || {
        let draft = place.propose(edits([replace("a.txt", "1\n")])).unwrap();
        let permit = permit("Change it", "why", draft.targets());
        place.store().write(&draft, &permit, &meta()).unwrap()
    };
    let (recorded, lost) = (write(), write());
    assert!(names().iter().all(|name| name.ends_with(".pending")), "{:?}", names());
    // A plan whose row is durable can be read before it is published.
    assert_eq!(place.store().load(&recorded.record.id).unwrap(), recorded);
    assert!(place.store().mail(&recorded).unwrap().is_some());
    std::fs::write(place.plans().join("mine.pending"), "not ours").unwrap();
    let is_recorded = |id: &str| id == recorded.record.id;
    assert_eq!(place.store().recover(is_recorded).unwrap(), (2, 2));
    let patch = recorded.record.patch.as_ref().unwrap().file.clone();
    let mut expected = vec!["mine.pending".to_owned(), recorded.name.clone(), patch];
    expected.sort();
    assert_eq!(names(), expected);
    assert!(place.store().load(&lost.record.id).is_err());
    assert_eq!(place.store().recover(is_recorded).unwrap(), (0, 0));
    // The fields that readers of the predecessor's artifacts know.
    let json = std::fs::read(place.plans().join(&recorded.name)).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(json["target_files"], serde_json::json!(["a.txt"]));
    assert!(json["created_at"].is_i64() && json["policies"].is_array());
    #[cfg(unix)]
    for name in [&recorded.name, &recorded.record.patch.as_ref().unwrap().file] {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(place.plans().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}
