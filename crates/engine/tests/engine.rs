//! What a program that embeds the engine may rely on, on a real journal in a real folder.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on fails where it stands"
)]

use std::path::Path;

use life_agent_engine::domain::governance::command::{Act, Plan, Turn};
use life_agent_engine::domain::governance::ids::{ActionName, AgentId, Principal};
use life_agent_engine::domain::governance::payload::Payload;
use life_agent_engine::observer::verify::{Verdict, verify};
use life_agent_engine::observer::{Filter, Readers, Retention};
use life_agent_engine::plans::edit::Edit;
use life_agent_engine::plans::life::{Decision, Status};
use life_agent_engine::plans::request::PlanRequest;
use life_agent_engine::{
    CheckRequest, Config, Engine, EngineError, NewPlan, OpaMode, PolicySource, RequestContext,
    replay,
};
use life_agent_observer_sqlite::{Sqlite, SqliteFile};

fn config(dir: &Path) -> Config {
    Config { rate_limit_rps: 0, ..Config::below(dir) }
}

async fn open(dir: &Path) -> Engine {
    Engine::open(config(dir), db(dir)).await.unwrap()
}

fn db(dir: &Path) -> Sqlite {
    Sqlite::at(dir.join("agent.db"))
}

fn caller() -> RequestContext {
    RequestContext::new(Principal::new("tester"), "r-1".to_owned())
}

fn agent(id: &str) -> AgentId {
    AgentId::new(id).unwrap()
}

fn act(id: &str, action: &str) -> Act {
    let action = ActionName::new(action).unwrap();
    Act { agent: agent(id), action, payload: Payload::default() }
}

fn turn(id: &str, input: &str) -> Turn {
    Turn { agent: agent(id), input: input.to_owned() }
}

#[tokio::test]
async fn state_and_hashes_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path()).await;
    for n in 0..130 {
        engine.act(&caller(), act("hero", "explore")).await.unwrap();
        engine.turn(&caller(), turn("hero", &format!("schau dich um, Nummer {n}"))).await.unwrap();
    }
    let last = engine.act(&caller(), act("hero", "rest")).await.unwrap();
    let before = engine.state(&agent("hero")).await.unwrap();
    assert_eq!((last.state_version, &last.state_hash), (261, &before.state.hash()));
    assert_eq!(before.state_hash, last.state_hash);
    engine.close().await.unwrap();

    let engine = open(dir.path()).await;
    assert_eq!(engine.state(&agent("hero")).await.unwrap(), before);
    let next = engine.act(&caller(), act("hero", "rest")).await.unwrap();
    assert_eq!(next.state_version, 262);
    // One row for the stop, one for the start.
    assert_eq!(next.event_id, last.event_id + 3);
    assert_eq!(engine.state(&agent("nobody")).await.unwrap().state.version, 0);
}

#[tokio::test]
async fn an_agent_keeps_the_seed_it_began_with() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path()).await;
    engine.turn(&caller(), turn("hero", "look")).await.unwrap();
    let before = engine.state(&agent("hero")).await.unwrap();
    engine.close().await.unwrap();
    let engine =
        Engine::open(Config { seed: 7, ..config(dir.path()) }, db(dir.path())).await.unwrap();
    assert_eq!(engine.state(&agent("hero")).await.unwrap(), before);
    assert_eq!(engine.state(&agent("other")).await.unwrap().state.seed, 7);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn steps_of_many_callers_are_ordered_and_share_commits() {
    let dir = tempfile::tempdir().unwrap();
    // Fewer places in memory than agents: they are forgotten and read again all the time.
    let engine =
        Engine::open(Config { max_agents_in_memory: 3, ..config(dir.path()) }, db(dir.path()))
            .await
            .unwrap();
    let tasks = (0..8).map(|task| {
        let engine = engine.clone();
        tokio::spawn(async move {
            for n in 0..40 {
                let id = format!("a{}", (task + n) % 9);
                engine.act(&caller(), act(&id, "explore")).await.unwrap();
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let agents = engine.agents(None, 100).await.unwrap();
    assert_eq!(agents.len(), 9);
    assert_eq!(agents.iter().map(|agent| agent.state_version).sum::<u64>(), 320);
    for summary in agents {
        let present = engine.state(&agent(&summary.agent_id)).await.unwrap();
        assert_eq!(present.state.version, summary.state_version);
    }
    engine.close().await.unwrap();
    let file = SqliteFile::open(&dir.path().join("agent.db")).unwrap();
    assert!(matches!(verify(&*file.view().unwrap(), None, |_, _| ()).unwrap(), Verdict::Whole(_)));
    let report = replay(&file, &config(dir.path()), None, &mut |_| ()).unwrap();
    assert_eq!((report.steps, report.divergence_count), (320, 0), "{report:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_whose_caller_went_away_counts_also_for_an_agent_that_left_the_memory() {
    let dir = tempfile::tempdir().unwrap();
    let engine =
        Engine::open(Config { max_agents_in_memory: 1, ..config(dir.path()) }, db(dir.path()))
            .await
            .unwrap();
    for n in 1..=50 {
        let asker = caller();
        // Its caller hangs up as soon as it is queued.
        let queued = async {
            while engine.state(&agent("hero")).await.unwrap().state.version < n {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            taken = engine.act(&asker, act("hero", "explore")) => drop(taken.unwrap()),
            () = queued => {}
        }
        // Others take its place in memory.
        for other in 0..4 {
            engine.state(&agent(&format!("passer-by-{other}"))).await.unwrap();
        }
        assert_eq!(engine.state(&agent("hero")).await.unwrap().state.version, n);
    }
}

#[tokio::test]
async fn an_agent_that_is_read_again_and_again_is_read_from_few_rows() {
    let dir = tempfile::tempdir().unwrap();
    let engine =
        Engine::open(Config { max_agents_in_memory: 1, ..config(dir.path()) }, db(dir.path()))
            .await
            .unwrap();
    for _ in 0..30 {
        for id in ["a", "b", "c", "d"] {
            engine.act(&caller(), act(id, "explore")).await.unwrap();
        }
    }
    engine.close().await.unwrap();
    let file = SqliteFile::open(&dir.path().join("agent.db")).unwrap();
    for id in ["a", "b", "c", "d"] {
        let past = file.view().unwrap().agent_history(id).unwrap();
        assert!(past.steps.len() <= 9, "{}", past.steps.len());
        assert!(past.snapshot.is_some_and(|snapshot| snapshot.state.version > 20));
    }
}

#[tokio::test]
async fn retention_removes_a_prefix_and_nobody_loses_a_state() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path()).await;
    for n in 0..60 {
        engine.turn(&caller(), turn(&format!("a{}", n % 6), "look around")).await.unwrap();
    }
    let before = engine.state(&agent("a3")).await.unwrap();
    let pruned = engine.prune(Retention::Rows(10)).await.unwrap();
    assert!(pruned.removed > 40 && !pruned.held_back, "{pruned:?}");
    engine.close().await.unwrap();

    let file = SqliteFile::open(&dir.path().join("agent.db")).unwrap();
    let verdict = verify(&*file.view().unwrap(), None, |_, _| ()).unwrap();
    assert!(matches!(&verdict, Verdict::Whole(whole) if whole.rows < 20), "{verdict:?}");
    drop(file);
    let engine = open(dir.path()).await;
    assert_eq!(engine.state(&agent("a3")).await.unwrap(), before);
    assert_eq!(engine.act(&caller(), act("a3", "rest")).await.unwrap().state_version, 11);
}

#[tokio::test]
async fn a_plan_is_an_artifact_that_another_key_reviews() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path()).await;
    std::fs::write(dir.path().join("plans/notes.md"), "one\ntwo\n").unwrap();
    let asked = |edits: Vec<Edit>| NewPlan {
        draft: true,
        intent: "say three".to_owned(),
        context: String::new(),
        request: PlanRequest { targets: vec!["plans/notes.md".to_owned()], edits, patch: None },
    };
    let edit = Edit::SearchReplace {
        path: "plans/notes.md".to_owned(),
        search: "two".to_owned(),
        replace: "three".to_owned(),
    };
    let planned = engine.plan(&caller(), asked(vec![edit.clone()])).await.unwrap();
    let patch = planned.patch.unwrap();
    assert!(patch.contains("-two\n+three\n"), "{patch}");
    assert_eq!(engine.plan_patch(&planned.id).await.unwrap(), Some(patch));
    assert_eq!(std::fs::read_to_string(dir.path().join("plans/notes.md")).unwrap(), "one\ntwo\n");

    let approve = Decision::Approve;
    let own = engine.review_plan(&caller(), &planned.id, approve, "mine").await;
    assert!(matches!(own, Err(EngineError::Conflict(_))), "{own:?}");
    let other = RequestContext::new(Principal::new("other"), "r-1".to_owned());
    let view = engine.review_plan(&other, &planned.id, approve, "fine").await.unwrap();
    assert_eq!((view.summary.status, view.stale), (Status::Approved, false));
    let again = engine.review_plan(&other, &planned.id, Decision::Reject, "").await;
    assert!(matches!(again, Err(EngineError::Conflict(_))), "{again:?}");

    std::fs::write(dir.path().join("plans/notes.md"), "changed\n").unwrap();
    assert!(engine.plan_view(&planned.id).await.unwrap().stale);
    let faulty = engine.plan(&caller(), asked(vec![edit])).await;
    let Err(EngineError::PlanInvalid { code: "plan_invalid", faults, .. }) = faulty else {
        panic!("{faulty:?}")
    };
    assert_eq!(faults[0].code.as_str(), "search_not_found");

    let statement = engine.plan(&caller(), asked(vec![])).await.unwrap();
    assert_eq!(statement.patch, None);
    let listed = engine.plans(None, None, 10).await.unwrap();
    assert_eq!(
        listed.iter().map(|plan| &plan.id).collect::<Vec<_>>(),
        [&statement.id, &planned.id]
    );
    let approved = engine.plans(Some(Status::Approved), None, 10).await.unwrap();
    assert_eq!(approved.len(), 1);
    assert!(matches!(engine.plan_view("nosuchplan").await, Err(EngineError::NotFound(_))));
}

#[tokio::test]
async fn a_check_has_no_effect() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path()).await;
    let head = engine.journal().head();
    let checked =
        engine.check(&caller(), CheckRequest::Turn(turn("hero", "look around"))).await.unwrap();
    assert_eq!((checked.decision, checked.notes.score), ("allow", 0.0));
    let targets = vec!["../etc/passwd".to_owned()];
    let plan = Plan { intent: "mend it".to_owned(), context: String::new(), targets };
    let checked = engine.check(&caller(), CheckRequest::Plan(plan)).await.unwrap();
    assert_eq!((checked.decision, checked.code), ("deny", Some("path_forbidden")));
    assert_eq!(engine.journal().head(), head);
    assert_eq!(engine.state(&agent("hero")).await.unwrap().state.version, 0);
}

#[tokio::test]
async fn the_kill_switch_refuses_what_acts_and_survives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path()).await;
    engine.set_kill_switch(&caller(), true, "drill").await.unwrap();
    let refused = engine.act(&caller(), act("hero", "rest")).await;
    let Err(EngineError::Denied(report)) = refused else { panic!("{refused:?}") };
    assert_eq!((report.gate, report.reason.code()), ("kill_switch", "kill_switch"));
    engine.close().await.unwrap();

    let engine = open(dir.path()).await;
    let status = engine.kill_switch();
    assert!(status.on && !status.forced && status.reason == "drill");
    engine.set_kill_switch(&caller(), false, "over").await.unwrap();
    assert!(engine.act(&caller(), act("hero", "rest")).await.is_ok());
    engine.close().await.unwrap();

    let engine = Engine::open(Config { kill_switch: true, ..config(dir.path()) }, db(dir.path()))
        .await
        .unwrap();
    let turned = engine.set_kill_switch(&caller(), false, "please").await;
    assert!(matches!(turned, Err(EngineError::Conflict(_))), "{turned:?}");
}

#[tokio::test]
async fn a_bad_policy_leaves_the_good_one_in_force() {
    let dir = tempfile::tempdir().unwrap();
    let policies = dir.path().join("policies");
    std::fs::create_dir(&policies).unwrap();
    let deny = "version: '1'\nallowed_dirs: [plans]\nrules:\n  - id: no-rest\n    match: {actions: ['^rest$']}\n    effect: deny\n";
    std::fs::write(policies.join("strict.yaml"), deny).unwrap();
    std::fs::write(policies.join("bad.yaml"), "version: '9'\nmax_diff_lines: -1\n").unwrap();
    let engine = open(dir.path()).await;
    let built_in = engine.policy().0.hash;

    let path = |name: &str| Some(policies.join(name).to_string_lossy().into_owned());
    let bad = engine.reload_policy(&caller(), path("bad.yaml")).await;
    let Err(EngineError::PolicyInvalid(faults)) = bad else { panic!("{bad:?}") };
    assert!(faults.len() >= 3, "{faults:?}");
    assert_eq!(engine.policy().0.hash, built_in);

    let report = engine.reload_policy(&caller(), path("strict.yaml")).await.unwrap();
    assert_eq!((report.rule_count, &report.policy_hash), (1, &engine.policy().0.hash));
    let refused = engine.act(&caller(), act("hero", "rest")).await;
    assert!(matches!(refused, Err(EngineError::Denied(_))), "{refused:?}");
    for outside in ["/etc/passwd.yaml", "../x.yaml", "policies/none.yaml", "policy.txt"] {
        assert!(
            engine.reload_policy(&caller(), Some(outside.to_owned())).await.is_err(),
            "{outside}"
        );
    }
    let kinds: Vec<_> = engine
        .journal()
        .page(0, 100, Filter::default())
        .await
        .unwrap()
        .rows
        .into_iter()
        .map(|row| row.kind)
        .collect();
    assert_eq!(kinds, ["service.started", "policy.rejected", "policy.reload", "gate.denied"]);
}

#[tokio::test]
async fn a_backtest_says_which_decisions_another_policy_would_turn_around() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path()).await;
    for action in ["rest", "explore", "rest"] {
        engine.act(&caller(), act("hero", action)).await.unwrap();
    }
    let policy = "version: '1'\nallowed_dirs: [plans]\nrules:\n  - id: no-rest\n    match: {actions: ['^rest$']}\n    effect: deny\n";
    let report = engine.backtest(PolicySource::Text(policy.to_owned()), 0, 1000).await.unwrap();
    assert_eq!(report.decisions, 3);
    assert_eq!(report.now_denied.iter().collect::<Vec<_>>(), [(&"rules/no-rest".to_owned(), &2)]);
    assert_eq!(engine.state(&agent("hero")).await.unwrap().state.version, 3);
}

#[tokio::test]
async fn a_replay_finds_a_step_that_was_tampered_with() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path()).await;
    for input in ["look", "schlafen", "lernen"] {
        engine.turn(&caller(), turn("hero", input)).await.unwrap();
    }
    engine.close().await.unwrap();
    let db = dir.path().join("agent.db");
    let other_profile = dir.path().join("policy");
    std::fs::create_dir(&other_profile).unwrap();
    // The rules of today are not those of then: every answer differs, every state still adds up.
    let profile = "version: '1'\nvoice: plain\nactions:\n  wait: {difficulty: 1, effects: {}}\nintents:\n  - {id: wait, action: wait, keywords: [wait]}\ndefault_intent: wait\n";
    std::fs::write(other_profile.join("agent.yaml"), profile).unwrap();
    let file = SqliteFile::open(&db).unwrap();
    let report = replay(&file, &config(dir.path()), Some(&agent("hero")), &mut |_| ()).unwrap();
    assert_eq!((report.steps, report.divergence_count), (3, 3));
    assert!(report.divergences.iter().all(|divergence| divergence.what == "answer"));
}

#[tokio::test]
async fn modules_that_do_not_compile_deny_everything_and_can_be_mended() {
    let dir = tempfile::tempdir().unwrap();
    let policies = dir.path().join("policies");
    std::fs::create_dir(&policies).unwrap();
    let module = policies.join("agent.rego");
    std::fs::write(&module, "package agent\nallow if {").unwrap();
    let with_opa = Config { opa: OpaMode::Embedded, ..config(dir.path()) };
    let engine = Engine::open(with_opa, db(dir.path())).await.unwrap();
    let refused = engine.act(&caller(), act("hero", "rest")).await;
    let Err(EngineError::Denied(report)) = refused else { panic!("{refused:?}") };
    assert_eq!(report.reason.code(), "opa_deny");

    std::fs::write(&module, "package agent\nimport rego.v1\nallow if input.action == \"rest\"")
        .unwrap();
    assert!(engine.policy_file_changed().await.unwrap());
    assert!(!engine.policy_file_changed().await.unwrap());
    assert!(engine.act(&caller(), act("hero", "rest")).await.is_ok());
    assert!(engine.act(&caller(), act("hero", "explore")).await.is_err());

    std::fs::write(&module, "package agent\nallow if {").unwrap();
    assert!(matches!(engine.policy_file_changed().await, Err(EngineError::PolicyInvalid(_))));
    assert!(engine.act(&caller(), act("hero", "rest")).await.is_ok(), "the last good modules stay");
}
