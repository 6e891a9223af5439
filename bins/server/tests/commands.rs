//! The commands beside serving, run as the real binary on a journal that an engine has written.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests may")]

use std::path::Path;
use std::process::{Command, Output};

use life_agent_engine::domain::governance::command::{Act, Turn};
use life_agent_engine::domain::governance::ids::{ActionName, AgentId};
use life_agent_engine::domain::governance::payload::Payload;
use life_agent_engine::{Config, Engine, RequestContext};
use life_agent_observer_sqlite::Sqlite;
use serde_json::Value;
use tempfile::TempDir;

const STRICTER: &str = "version: \"1\"\nallowed_dirs: [plans]\nrules:\n  - id: no-resting\n    \
                        match: { actions: [\"^rest$\"] }\n    effect: deny\n";

/// A folder with a journal of two agents, three acts and two turns.
async fn played() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let config = Config { rate_limit_rps: 0, ..Config::below(dir.path()) };
    std::fs::create_dir(&config.plans_dir).unwrap();
    let engine = Engine::open(config, Sqlite::at(dir.path().join("agent.db"))).await.unwrap();
    for (agent, action) in [("hero", "rest"), ("scout", "rest"), ("hero", "findable-mark")] {
        let (agent, action) = (AgentId::new(agent).unwrap(), ActionName::new(action).unwrap());
        let act = Act { agent, action, payload: Payload::default() };
        engine.act(&RequestContext::system(), act).await.unwrap();
    }
    for input in ["explore the keep", "go on"] {
        let turn = Turn { agent: AgentId::new("hero").unwrap(), input: input.to_owned() };
        engine.turn(&RequestContext::system(), turn).await.unwrap();
    }
    engine.close().await.unwrap();
    dir
}

fn run(dir: &TempDir, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_life-agent"));
    command.env_clear().current_dir(dir.path()).args(arguments).output().unwrap()
}

/// What it prints, when it ends with this code.
#[track_caller]
fn says(dir: &TempDir, code: i32, arguments: &[&str]) -> String {
    let output = run(dir, arguments);
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {out}{err}");
    let silent = if code == 2 { &out } else { &err };
    assert!(silent.is_empty(), "{arguments:?}: {silent}");
    if code == 2 { err.into_owned() } else { out.into_owned() }
}

#[track_caller]
fn json(dir: &TempDir, code: i32, arguments: &[&str]) -> Value {
    serde_json::from_str(&says(dir, code, arguments)).unwrap()
}

/// The database with another text wherever `from` stands, in another file.
fn tampered(dir: &Path, from: &str, to: &str) {
    let mut bytes = std::fs::read(dir.join("agent.db")).unwrap();
    let places = 0..=bytes.len() - from.len();
    let found: Vec<_> = places.filter(|at| bytes[*at..].starts_with(from.as_bytes())).collect();
    assert!(!found.is_empty());
    found.iter().for_each(|at| bytes[*at..at + to.len()].copy_from_slice(to.as_bytes()));
    std::fs::write(dir.join("tampered.db"), bytes).unwrap();
}

#[tokio::test]
async fn audit_verify_says_that_a_whole_journal_is_whole_and_what_that_cannot_prove() {
    let dir = played().await;
    let head = says(&dir, 0, &["audit", "head"]);
    let head = head.trim();
    let said = says(&dir, 0, &["audit", "verify"]);
    assert!(said.starts_with("intact: 7 rows") && said.contains(head), "{said}");
    assert!(said.contains("cannot prove its own end"), "{said}");
    let said = says(&dir, 0, &["audit", "verify", "--expect-head", head]);
    assert!(!said.contains("cannot prove"), "a head that was kept does prove it: {said}");
    let verdict = json(&dir, 0, &["audit", "verify", "--json"]);
    assert_eq!((&verdict["verdict"], &verdict["rows"]), (&"whole".into(), &7.into()));
}

#[tokio::test]
async fn audit_verify_names_the_row_that_was_changed() {
    let dir = played().await;
    tampered(dir.path(), "findable-mark", "findable-hark");
    let said = says(&dir, 1, &["audit", "verify", "--db", "tampered.db"]);
    assert!(said.starts_with("broken: ") && said.contains("row 4"), "{said}");
    let verdict = json(&dir, 1, &["audit", "verify", "--json", "--db", "tampered.db"]);
    assert_eq!((&verdict["verdict"], &verdict["row"]), (&"broken".into(), &4.into()));
}

#[tokio::test]
async fn audit_verify_finds_a_journal_that_does_not_lead_through_the_head_kept_elsewhere() {
    let dir = played().await;
    for head in [format!("7:{}", "a".repeat(64)), format!("9:{}", "a".repeat(64))] {
        let said = says(&dir, 1, &["audit", "verify", "--expect-head", &head]);
        assert!(said.starts_with("broken: "), "{said}");
    }
}

#[tokio::test]
async fn audit_export_writes_rows_as_lines_of_json() {
    let dir = played().await;
    let ids = |arguments: &[&str]| -> Vec<u64> {
        let row = |line: &str| serde_json::from_str::<Value>(line).unwrap()["id"].as_u64().unwrap();
        says(&dir, 0, arguments).lines().map(row).collect()
    };
    assert_eq!(ids(&["audit", "export"]), (1..=7).collect::<Vec<_>>());
    assert_eq!(ids(&["audit", "export", "--after", "5"]), [6, 7]);
    assert_eq!(ids(&["audit", "export", "--after", "7"]), [0; 0]);
}

#[tokio::test]
async fn replay_of_what_was_played_finds_no_difference() {
    let dir = played().await;
    let said = says(&dir, 0, &["replay"]);
    assert!(said.contains("5 decisions and 5 steps") && said.contains("nothing differs"), "{said}");
    let report = json(&dir, 0, &["replay", "--json", "--agent", "hero"]);
    assert_eq!((&report["steps"], &report["divergence_count"]), (&4.into(), &0.into()));
}

#[tokio::test]
async fn replay_with_another_policy_is_a_backtest_by_rule() {
    let dir = played().await;
    std::fs::write(dir.path().join("stricter.yaml"), STRICTER).unwrap();
    let said = says(&dir, 1, &["replay", "--policy", "stricter.yaml"]);
    assert!(said.contains("now denied") && said.contains("2  rules/no-resting"), "{said}");
    let report = json(&dir, 1, &["replay", "--policy", "stricter.yaml", "--json"]);
    assert_eq!(report["now_denied"]["rules/no-resting"], 2);
    assert_eq!(report["divergences"][0]["agent_id"], "hero");
}

#[tokio::test]
async fn backup_makes_a_journal_that_verifies_and_overwrites_nothing() {
    let dir = played().await;
    let said = says(&dir, 0, &["backup", "copy.db"]);
    assert!(said.contains("copy.db"), "{said}");
    let of = |db: &str| says(&dir, 0, &["audit", "head", "--db", db]);
    assert_eq!(of("copy.db"), of("agent.db"));
    says(&dir, 0, &["audit", "verify", "--db", "copy.db"]);
    std::fs::write(dir.path().join("mine.txt"), "mine").unwrap();
    assert!(says(&dir, 2, &["backup", "mine.txt"]).contains("mine.txt"));
    assert_eq!(std::fs::read(dir.path().join("mine.txt")).unwrap(), b"mine");
}

#[tokio::test]
async fn policy_check_lists_every_fault_with_its_place() {
    let dir = played().await;
    std::fs::write(dir.path().join("good.yaml"), STRICTER).unwrap();
    let bad = "version: \"1\"\nallowed_dirs: []\nmax_diff_lines: -1\nunknown: 1\n";
    std::fs::write(dir.path().join("bad.yaml"), bad).unwrap();
    assert!(says(&dir, 0, &["policy", "check", "good.yaml"]).starts_with("valid: 1 rules"));
    let said = says(&dir, 1, &["policy", "check", "bad.yaml"]);
    for path in ["allowed_dirs", "max_diff_lines", "unknown"] {
        assert!(said.contains(path), "{said}");
    }
    let faults = json(&dir, 1, &["policy", "check", "bad.yaml", "--json"]);
    assert!(faults.as_array().unwrap().len() >= 3, "{faults}");
}

#[tokio::test]
async fn what_cannot_run_ends_with_2_and_one_sentence_and_makes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("text.db"), "this is no database at all").unwrap();
    for arguments in [
        &["audit", "verify"][..],
        &["audit", "head"],
        &["audit", "export", "--db", "none.db"],
        &["audit", "verify", "--db", "text.db"],
        &["replay"],
        &["replay", "--policy", "none.yaml"],
        &["backup", "copy.db"],
        &["policy", "check", "none.yaml"],
        &["policy", "convert", "none.yaml"],
        &["audit", "head", "--port", "x"],
    ] {
        let said = says(&dir, 2, arguments);
        assert!(said.starts_with("life-agent: ") && said.lines().count() == 1, "{said}");
    }
    let left: Vec<_> =
        std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["text.db"]);
}

#[tokio::test]
async fn a_wrong_argument_is_explained() {
    let dir = tempfile::tempdir().unwrap();
    assert!(says(&dir, 2, &["audit", "verify", "--expect-head", "7"]).contains("NUMBER:HASH"));
    assert!(says(&dir, 2, &["replay", "--agent", "a b"]).contains("--agent"));
}

#[tokio::test]
async fn help_shows_how_each_command_is_used() {
    let dir = tempfile::tempdir().unwrap();
    for command in [
        &[][..],
        &["config"],
        &["check"],
        &["healthcheck"],
        &["completions"],
        &["audit", "verify"],
        &["audit", "head"],
        &["audit", "export"],
        &["replay"],
        &["backup"],
        &["import", "version7"],
        &["policy", "check"],
        &["policy", "convert"],
        &["plan", "list"],
        &["plan", "show"],
        &["plan", "check"],
        &["plan", "branch"],
        &["plan", "approve"],
        &["plan", "reject"],
        &["audit", "search"],
        &["policy", "reload"],
        &["settings"],
        &["init"],
        &["demo"],
        &["kill", "on"],
        &["kill", "off"],
        &["kill", "status"],
        &["approvals", "list"],
        &["stop"],
        &["turn"],
        &["tail"],
    ] {
        let help = says(&dir, 0, &[command, &["--help"]].concat());
        assert!(help.contains("Example"), "{command:?}: {help}");
        assert!(help.contains("Exit code"), "{command:?}: {help}");
        let lists_settings = help.contains("--rate-limit-rps");
        assert_eq!(lists_settings, command == ["settings"], "{command:?}: {help}");
    }
}

/// What a check says about one thing, and its exit code.
#[track_caller]
fn checked(dir: &TempDir, code: i32, arguments: &[&str], check: &str) -> (String, String) {
    let report = json(dir, code, &[&["check", "--json"], arguments].concat());
    assert_eq!(report["ok"], code == 0, "{report}");
    let checks = report["checks"].as_array().unwrap();
    let found = checks.iter().find(|found| found["check"] == check);
    let found = found.unwrap_or_else(|| panic!("no `{check}` in {report}"));
    let text = |name: &str| found[name].as_str().unwrap().to_owned();
    (text("result"), text("message"))
}

fn names(dir: &TempDir) -> Vec<std::ffi::OsString> {
    let entries = std::fs::read_dir(dir.path()).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn check_finds_nothing_where_a_start_would_go_well_and_leaves_nothing_behind() {
    let dir = played().await;
    let before = names(&dir);
    let said = says(&dir, 0, &["check", "--port", "0"]);
    assert!(said.ends_with("it would start\n"), "{said}");
    assert!(!said.contains('\u{1b}'), "no colors in a pipe: {said:?}");
    let (result, message) = checked(&dir, 0, &["--port", "0"], "journal");
    assert_eq!(result, "ok");
    assert!(message.contains("7 rows"), "{message}");
    assert_eq!(names(&dir), before);
}

#[tokio::test]
async fn check_makes_nothing_in_an_empty_folder() {
    let dir = tempfile::tempdir().unwrap();
    says(&dir, 0, &["check", "--port", "0"]);
    assert_eq!(names(&dir).len(), 0);
}

#[tokio::test]
async fn check_names_everything_that_would_stop_a_start() {
    let dir = played().await;
    std::fs::write(dir.path().join("bad.yaml"), "version: \"1\"\nallowed_dirs: []\n").unwrap();
    std::fs::write(dir.path().join("letter.db"), "this is no database at all").unwrap();
    let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let busy = holder.local_addr().unwrap().port().to_string();
    let lock = std::fs::File::create(dir.path().join("agent.db.lock")).unwrap();
    for (arguments, check, word) in [
        (&["--port", "x"][..], "settings", "PORT"),
        (&["--host", "0.0.0.0", "--port", "0"], "keys", "API_KEY"),
        (&["--policy-path", "bad.yaml"], "policy", "allowed_dirs"),
        (&["--db-path", "letter.db"], "journal", "not an SQLite database"),
        (&["--db-path", "no/such/agent.db"], "journal", "no/such"),
        (&["--workspace-dir", "nowhere"], "workspace", "nowhere"),
        (&["--plans-dir", "letter.db/plans"], "plans", "PLANS_DIR"),
        (&["--log-file", "letter.db/app.log"], "log", "LOG_FILE"),
        (&["--port", &busy], "address", &busy),
    ] {
        let (result, message) = checked(&dir, 1, arguments, check);
        assert_eq!(result, "fault", "{arguments:?}: {message}");
        assert!(message.contains(word), "{arguments:?}: {message}");
    }
    lock.lock().unwrap();
    let (_, message) = checked(&dir, 1, &["--port", "0"], "journal");
    assert!(message.contains("another process"), "{message}");
}

#[tokio::test]
async fn check_warns_of_what_its_operator_may_not_want_and_shows_no_key() {
    let dir = played().await;
    for (arguments, check, word) in [
        (&["--api-tokens", "ci=hush-hush"][..], "keys", "`ci`"),
        (&["--kill-switch", "on"], "switch", "refused"),
        (&["--groq-api-key", "hush-hush"], "model", "gsk_"),
        (
            &["--groq-api-key", "hush-hush", "--groq-base-url", "http://models.example"],
            "model",
            "unencrypted",
        ),
    ] {
        let (result, message) = checked(&dir, 0, &[arguments, &["--port", "0"]].concat(), check);
        assert_eq!(result, "warning", "{arguments:?}: {message}");
        assert!(message.contains(word) && !message.contains("hush"), "{arguments:?}: {message}");
    }
}

#[tokio::test]
async fn healthcheck_ends_with_1_where_no_service_responds() {
    let dir = tempfile::tempdir().unwrap();
    let unhealthy = |arguments: &[&str], word: &str| {
        let output = run(&dir, &[&["healthcheck", "--timeout", "1"], arguments].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(word) && said.lines().count() == 1, "{said}");
    };
    unhealthy(&["--port", "0"], "PORT");
    unhealthy(&["--port", "x"], "PORT");
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port().to_string();
    unhealthy(&["--port", &port], "no response from");
    let other = std::thread::spawn(move || {
        // The first is the connection that was never answered above.
        for stream in silent.incoming().take(2) {
            let _ = std::io::Write::write_all(&mut stream.unwrap(), b"220 mail.example\r\n");
        }
    });
    unhealthy(&["--port", &port], "no response from");
    other.join().unwrap();
}

#[tokio::test]
async fn healthcheck_says_what_a_service_that_is_not_ready_says() {
    let dir = tempfile::tempdir().unwrap();
    let service = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = service.local_addr().unwrap().port().to_string();
    let answers = [
        "HTTP/1.1 200 OK\r\n\r\n{}",
        "HTTP/1.1 503 Service Unavailable\r\n\r\n{\"error\":{\"message\":\"the disk is full\"}}",
    ];
    let asked = std::thread::spawn(move || {
        answers.map(|answer| {
            let (mut stream, _) = service.accept().unwrap();
            let mut line = String::new();
            let mut reader = std::io::BufReader::new(stream.try_clone().unwrap());
            while !line.ends_with("\r\n\r\n") {
                std::io::BufRead::read_line(&mut reader, &mut line).unwrap();
            }
            std::io::Write::write_all(&mut stream, answer.as_bytes()).unwrap();
            line.split_whitespace().nth(1).unwrap().to_owned()
        })
    });
    let output = run(&dir, &["healthcheck", "--port", &port]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("503") && said.contains("the disk is full"), "{said}");
    assert_eq!(asked.join().unwrap(), ["/healthz", "/readyz"]);
}

#[tokio::test]
async fn config_prints_json_without_secrets_for_every_setting() {
    let dir = tempfile::tempdir().unwrap();
    let settings = json(&dir, 0, &["config", "--json", "--api-key", "hush", "--port", "9000"]);
    let of = |name: &str| settings.as_array().unwrap().iter().find(|s| s["name"] == name).unwrap();
    assert_eq!(
        (&of("PORT")["value"], &of("PORT")["from"]),
        (&"9000".into(), &"the command line".into())
    );
    assert_eq!((&of("API_KEY")["secret"], &of("OPA_URL")["value"]), (&true.into(), &Value::Null));
    assert!(!settings.to_string().contains("hush"), "{settings}");
    assert_eq!(settings.as_array().unwrap().len(), life_agent_server::settings::ALL.len());
}

#[tokio::test]
async fn completions_know_every_command_in_every_shell() {
    let dir = tempfile::tempdir().unwrap();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = says(&dir, 0, &["completions", shell]);
        for word in ["healthcheck", "audit", "verify", "rate-limit-rps"] {
            assert!(script.contains(word), "{shell}: no {word}");
        }
    }
    assert!(says(&dir, 2, &["completions", "tcsh"]).contains("bash"));
}

#[tokio::test]
async fn the_example_of_an_env_file_names_every_setting_and_is_one_that_can_be_used() {
    let example = include_str!("../../../.env.example");
    // A setting stands at the beginning of its line, or behind the `#` that leaves it out.
    let setting = |line: &str| {
        let (name, value) = line.strip_prefix('#').unwrap_or(line).split_once('=')?;
        let named = !name.is_empty() && name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
        named.then(|| (name.to_owned(), value.to_owned()))
    };
    let found: Vec<_> = example.lines().filter_map(setting).collect();
    let known = &life_agent_server::settings::ALL;
    let names = |settings: &[(String, String)]| -> Vec<String> {
        settings.iter().map(|(name, _)| name.clone()).collect()
    };
    let mut expected: Vec<_> = known.iter().map(|setting| setting.name.to_owned()).collect();
    let mut named = names(&found);
    expected.sort();
    named.sort();
    assert_eq!(named, expected);
    for (name, value) in &found {
        let default = known.iter().find(|setting| setting.name == name).unwrap().default;
        let fits = default.is_none_or(|default| default == value);
        assert!(fits, "{name} is shown as `{value}`, its default is {default:?}");
    }
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(".env"), example).unwrap();
    says(&dir, 0, &["config"]);
}

#[test]
fn policy_convert_prints_a_valid_policy_and_lists_what_it_left_out() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("plans")).unwrap();
    let old = "version: 1\nallowed_dirs: [plans]\nbranching: {}\nrules:\n  - id: no-keys\n    match: \
               {targets: ['^keys/.*']}\n    actions: {allow: false}\n";
    std::fs::write(dir.path().join("old.yaml"), old).unwrap();
    let output = run(&dir, &["policy", "convert", "old.yaml", "--output", "new.yaml"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("`branching`") && stderr.contains("line 3"), "{stderr}");
    assert!(says(&dir, 0, &["policy", "check", "new.yaml"]).starts_with("valid: 1 rules"));
    let printed = run(&dir, &["policy", "convert", "old.yaml"]);
    assert_eq!(printed.stdout, std::fs::read(dir.path().join("new.yaml")).unwrap());
    // A valid policy stays as it is, and no file is overwritten.
    let again = run(&dir, &["policy", "convert", "new.yaml"]);
    assert_eq!((again.status.code(), again.stdout), (Some(0), printed.stdout));
    assert!(
        says(&dir, 2, &["policy", "convert", "old.yaml", "--output", "new.yaml"])
            .contains("new.yaml")
    );
    std::fs::write(dir.path().join("list.yaml"), "- a\n").unwrap();
    assert!(says(&dir, 2, &["policy", "convert", "list.yaml"]).contains("map of keys"));
}

#[test]
fn check_reports_modules_that_do_not_compile_as_a_warning_about_the_gate() {
    let dir = tempfile::tempdir().unwrap();
    for folder in ["plans", "policy", "policies"] {
        std::fs::create_dir(dir.path().join(folder)).unwrap();
    }
    std::fs::write(
        dir.path().join("policies/agent.rego"),
        "package agent\nimport rego.v1\nallow if {\n",
    )
    .unwrap();
    let said = says(
        &dir,
        0,
        &["check", "--opa-enable", "on", "--port", "0", "--api-key", "0123456789abcdef"],
    );
    let line = |check: &str| said.lines().find(|line| line.contains(check)).unwrap().to_owned();
    assert!(line("opa ").starts_with("warning") && line("opa ").contains("agent.rego"), "{said}");
    assert!(!line("policy ").contains("rego"), "{said}");
    assert!(said.contains("it would start"), "{said}");
}

#[test]
fn check_names_settings_that_look_like_ours_and_paths_that_do_not_exist() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("plans")).unwrap();
    std::fs::write(dir.path().join(".env"), "RATE_LIMIT_RSP=3\n").unwrap();
    let said = says(&dir, 0, &["check", "--port", "0"]);
    assert!(
        said.contains("`RATE_LIMIT_RSP` (.env)") && said.contains("`RATE_LIMIT_RPS`"),
        "{said}"
    );
    let said = says(&dir, 1, &["check", "--port", "0", "--policy-path", "polcy.yaml"]);
    assert!(said.contains("POLICY_PATH is `polcy.yaml`"), "{said}");
}
