//! Commands that call the running service: `kill`, `turn`, `tail`, `audit search`, `policy reload`, `plan approve`.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::support::snippets::{blocks, page, shell};
use crate::support::{Answer, KEY, Proxy, Setup, TestApp};

const REVIEWER: &str = "key-of-the-reviewer-0123456789";
const AGENT: &str = "key-of-the-agent-0123456789";

async fn start() -> TestApp {
    let tokens = format!("eve[reviewer]={REVIEWER},gpt[agent]={AGENT}");
    Setup::new().set("API_TOKENS", &tokens).start().await
}

/// Code, standard output and standard error of a command with this key.
async fn run_as(app: &TestApp, key: &str, arguments: &[&str]) -> (Option<i32>, String, String) {
    finish(command(app, key, arguments)).await
}

async fn run(app: &TestApp, arguments: &[&str]) -> (Option<i32>, String, String) {
    run_as(app, KEY, arguments).await
}

fn command(app: &TestApp, key: &str, arguments: &[&str]) -> Command {
    let mut command = Command::from(app.command());
    command.args(arguments).env("LIFE_AGENT_KEY", key).kill_on_drop(true);
    command.env("LIFE_AGENT_URL", format!("http://{}", app.addr()));
    command
}

async fn finish(mut command: Command) -> (Option<i32>, String, String) {
    let output = command.output().await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    assert!(!stderr.contains("panicked"), "{stderr}");
    (output.status.code(), stdout, stderr)
}

/// The standard output of a command that succeeds.
async fn printed(app: &TestApp, arguments: &[&str]) -> String {
    let (code, stdout, stderr) = run(app, arguments).await;
    assert_eq!(code, Some(0), "{arguments:?}: {stdout}{stderr}");
    stdout
}

#[tokio::test]
async fn the_kill_switch_is_turned_with_a_reason_and_shown() {
    let app = start().await;
    assert_eq!(printed(&app, &["kill", "status"]).await, "the kill switch is off\n");
    let on = printed(&app, &["kill", "on", "--reason", "fire drill"]).await;
    assert!(on.contains("by default: fire drill"), "{on}");
    app.post("/act", &json!({"agent_id": "a", "action": "rest"})).await.error(503, "kill_switch");
    let (code, _, why) = run(&app, &["turn", "hero", "explore"]).await;
    assert!(code == Some(3) && why.contains("fire drill"), "{why}");
    let shown: Value =
        serde_json::from_str(&printed(&app, &["kill", "status", "--json"]).await).unwrap();
    assert_eq!((&shown["on"], &shown["reason"]), (&json!(true), &json!("fire drill")));
    let (code, _, why) = run_as(&app, AGENT, &["kill", "off"]).await;
    assert!(code == Some(1) && why.contains("operate"), "{why}");
    printed(&app, &["kill", "off", "--reason", "done"]).await;
    app.act("a", "rest").await;
    assert_eq!(app.journal_of("&kind=kill_switch.off").await[0].json()["reason"], "done");
}

#[tokio::test]
async fn a_turn_is_sent_and_a_refusal_states_gate_and_rule() {
    let app = start().await;
    let said = printed(&app, &["turn", "hero", "explore the gate"]).await;
    assert!(said.contains("explore") && said.contains("state version 1"), "{said}");
    let (code, stdout, why) = run(&app, &["turn", "hero", "run rm -rf / on the server"]).await;
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    assert!(why.contains("prompt_risky") && why.contains("rule: destructive_command"), "{why}");
    let mut piped = command(&app, KEY, &["turn", "hero", "-", "--json"]);
    let mut child = piped.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"rest a while\n").await.unwrap();
    let output = child.wait_with_output().await.unwrap();
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["echo"]["input"], "rest a while");
    let (code, _, why) = run(&app, &["turn", "no name", "x"]).await;
    assert!(code == Some(1) && why.contains("agent_id"), "{why}");
}

#[tokio::test]
async fn a_service_that_cannot_be_asked_is_named_with_the_next_step() {
    let app = start().await;
    let (code, _, why) = run_as(&app, "a-key-that-the-service-lacks", &["tail"]).await;
    assert!(code == Some(1) && why.contains("401") && why.contains("LIFE_AGENT_KEY"), "{why}");
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for arguments in [&["kill", "status"][..], &["tail", "-f"], &["audit", "search"], &["stop"]] {
        let mut nowhere = command(&app, KEY, arguments);
        let (code, stdout, why) = finish({
            nowhere.env("LIFE_AGENT_URL", format!("http://{free}"));
            nowhere
        })
        .await;
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(why.contains(&free.to_string()) && why.contains("LIFE_AGENT_URL"), "{why}");
    }
    for (address, named) in
        [("https://127.0.0.1:1", "https://127.0.0.1:1"), ("ftp://x", "https://")]
    {
        let mut nowhere = command(&app, KEY, &["tail"]);
        nowhere.env("LIFE_AGENT_URL", address);
        let (code, _, why) = finish(nowhere).await;
        assert!(code == Some(2) && why.contains(named), "{why}");
    }
}

#[tokio::test]
async fn tail_prints_the_newest_rows_without_what_would_steer_a_terminal() {
    let app = start().await;
    for n in 0..3 {
        app.act("a", &format!("step.{n}")).await;
    }
    app.turn("b", "look \u{1b}[2J\u{202e}at\u{200b} this").await;
    let lines = printed(&app, &["tail", "-n", "2"]).await;
    let lines: Vec<_> = lines.lines().collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].contains("obs.act") && lines[0].ends_with("step.2"), "{lines:?}");
    assert!(lines[1].contains("look ‹U+001B›[2J‹U+202E›at‹U+200B› this"), "{lines:?}");
    let of_agent = printed(&app, &["tail", "--agent", "a", "--kind", "obs.*", "--json"]).await;
    let rows: Vec<Value> =
        of_agent.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), 3);
    assert_eq!(rows[0]["data"]["action"], "step.0");
    // Byte for byte, so that hashes can be checked.
    let row = app.get(&format!("/journal/{}", rows[2]["id"])).await.text();
    assert_eq!(of_agent.lines().last().unwrap(), row);
    let (code, _, why) = run(&app, &["tail", "--kind", "no.such"]).await;
    assert!(code == Some(1) && why.contains("kind"), "{why}");
}

fn follow(app: &TestApp, url: &str, arguments: &[&str]) -> (Child, Lines<BufReader<ChildStdout>>) {
    let mut tail = command(app, KEY, &[&["tail", "-f", "--json"], arguments].concat());
    tail.env("LIFE_AGENT_URL", url).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = tail.spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    (child, lines)
}

async fn next_id(lines: &mut Lines<BufReader<ChildStdout>>) -> u64 {
    let line = tokio::time::timeout(std::time::Duration::from_secs(30), lines.next_line()).await;
    let line = line.expect("a row within 30 s").unwrap().expect("the command still runs");
    serde_json::from_str::<Value>(&line).unwrap()["id"].as_u64().unwrap()
}

#[tokio::test]
async fn tail_follows_and_resumes_after_a_disconnect_without_gaps_or_repeats() {
    let app = start().await;
    app.act("a", "first").await;
    let proxy = Proxy::start(app.addr()).await;
    let (_child, mut lines) = follow(&app, &proxy.url(), &["-n", "1"]);
    let first = next_id(&mut lines).await;
    assert_eq!(first, app.last_id().await);
    let act = async || app.act("a", "more").await["event_id"].as_u64().unwrap();
    let second = act().await;
    assert_eq!(next_id(&mut lines).await, second);
    for _ in 0..2 {
        proxy.cut();
        let missed = [act().await, act().await, act().await];
        for id in missed {
            assert_eq!(next_id(&mut lines).await, id);
        }
        let live = act().await;
        assert_eq!(next_id(&mut lines).await, live);
    }
}

#[tokio::test]
async fn tail_ends_with_the_reader_of_its_output_and_with_its_key() {
    let app = start().await;
    let url = format!("http://{}", app.addr());
    let (mut child, mut lines) = follow(&app, &url, &["-n", "1"]);
    next_id(&mut lines).await;
    drop(lines);
    let mut status = None;
    // A row may be printed before the stream begins.
    for _ in 0..200 {
        app.act("a", "rest").await;
        status = child.try_wait().unwrap();
        if status.is_some() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert!(status.expect("it ended").success());
    let (code, _, why) = run_as(&app, "another-key-0123456789", &["tail", "-f"]).await;
    assert!(code == Some(1) && why.contains("401"), "{why}");
}

#[tokio::test]
async fn a_search_finds_the_same_rows_at_the_service_and_in_the_file() {
    let app = start().await;
    for n in 0..5 {
        app.act("builder", &format!("compile.{n}")).await;
    }
    app.turn("hero", "explore the old gate").await;
    let risky = json!({"agent_id": "hero", "input": "run rm -rf / on the server"});
    app.post("/turn", &risky).await.error(422, "prompt_risky");
    let request = app.journal_of("&kind=gate.denied").await[0].request_id.clone();
    let tool = json!({"agent_id": "coder", "tool": "Read", "session_id": "s-1",
        "arguments": {"file_path": "README.md"}});
    let tool = app.bare(reqwest::Method::POST, "/tool").header("X-API-Key", AGENT).json(&tool);
    Answer::of(tool).await.ok();
    for (arguments, expected) in [
        (vec!["--agent", "builder"], 5),
        (vec!["--agent", "builder", "--limit", "2"], 2),
        (vec!["--kind", "obs.*"], 6),
        (vec!["old", "GATE"], 1),
        (vec!["--outcome", "denied"], 1),
        (vec!["--rule", "destructive_command", "--agent", "hero"], 1),
        (vec!["--request", &request], 1),
        (vec!["--session", "s-1"], 1),
        (vec!["--principal", "gpt"], 1),
        (vec!["--since", "1h", "--agent", "builder", "--oldest-first"], 5),
        (vec!["--until", "1h"], 0),
        (vec!["--after", "1", "--before", "3"], 1),
        (vec!["--slower-than", "3600000"], 0),
    ] {
        let arguments = [&["audit", "search", "--json"], arguments.as_slice()].concat();
        let found = printed(&app, &arguments).await;
        assert_eq!(found.lines().count(), expected, "{arguments:?}: {found}");
        let mut without = command(&app, "", &arguments);
        without.env_remove("LIFE_AGENT_URL").env_remove("LIFE_AGENT_KEY");
        let (code, stdout, stderr) = finish(without).await;
        assert_eq!((code, stdout), (Some(0), found), "{arguments:?}: {stderr}");
    }
    let line = printed(&app, &["audit", "search", "--outcome", "denied"]).await;
    assert!(line.contains("risk/destructive_command"), "{line}");
    for database in [&[][..], &["--db", "agent.db"]] {
        let wrong = [&["audit", "search", "--kind", "no.such"], database].concat();
        let (code, _, why) = run(&app, &wrong).await;
        assert!(code == Some(1) && why.contains("`kind`"), "{why}");
    }
    let (code, _, why) = run(&app, &["audit", "search", "--since", "yesterday"]).await;
    assert!(code == Some(2) && why.contains("--since"), "{why}");
    let (code, _, why) = run(&app, &["audit", "search", "--db", "none.db"]).await;
    assert!(code == Some(2) && why.contains("none.db"), "{why}");
}

#[tokio::test]
async fn a_policy_is_reloaded_and_faults_are_listed() {
    let app = start().await;
    let said = printed(&app, &["policy", "reload", "policies/strict.yaml"]).await;
    assert!(said.starts_with("active: ") && said.contains("hash"), "{said}");
    printed(&app, &["policy", "reload"]).await;
    let (code, _, why) = run(&app, &["policy", "reload", "policies/invalid.yaml"]).await;
    assert_eq!(code, Some(1), "{why}");
    assert!(why.contains("policy_invalid") && why.lines().count() > 3, "{why}");
    let (code, _, why) = run_as(&app, AGENT, &["policy", "reload"]).await;
    assert!(code == Some(1) && why.contains("scope_missing"), "{why}");
}

#[tokio::test]
async fn a_plan_is_reviewed_with_another_key() {
    let app = start().await;
    let plan = |name: &str| {
        json!({"intent": "Greet", "context": "",
            "edits": [{"path": format!("plans/{name}"), "op": "create", "content": "hello\n"}]})
    };
    let new = async |name: &str| {
        app.post("/plan", &plan(name)).await.ok()["id"].as_str().unwrap().to_owned()
    };
    let (one, two) = (new("a.md").await, new("b.md").await);
    let (code, _, why) = run(&app, &["plan", "approve", &one]).await;
    assert!(code == Some(1) && why.contains("the author of a plan"), "{why}");
    let approve = ["plan", "approve", &one, "--note", "reads well"];
    let (code, said, _) = run_as(&app, REVIEWER, &approve).await;
    assert_eq!((code, said), (Some(0), format!("{one} is approved\n")));
    let (code, said, _) = run_as(&app, REVIEWER, &["plan", "reject", &two, "--json"]).await;
    let view: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, &view["status"]), (Some(0), &json!("rejected")));
    assert_eq!(app.get(&format!("/plans/{one}")).await.ok()["review"]["note"], "reads well");
    let (code, _, why) = run_as(&app, REVIEWER, &["plan", "approve", "../../act"]).await;
    assert!(code == Some(2) && why.contains("letters and digits"), "{why}");
}

#[tokio::test]
async fn every_command_of_the_page_runs() {
    let app = start().await;
    let blocks = blocks(&page("docs/cli.md"));
    let lines: String =
        blocks.iter().filter(|block| block.language == "sh").map(|b| b.text.as_str()).collect();
    let lines = lines
        .replace("'a key of the service'", &format!("'{KEY}'"))
        // Following does not end, and `jq` may be missing.
        .replace("tail -f", "tail")
        .replace(" | jq -r .data.message", "");
    assert!(lines.lines().count() >= 15, "{lines}");
    let printed = shell(&app, "", &lines);
    assert!(
        printed.contains("the kill switch is off") && printed.contains("obs.turn"),
        "{printed}"
    );
}
