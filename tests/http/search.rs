//! `GET /journal` as a search, and `GET /journal/{id}`

use reqwest::Method;
use serde_json::{Value, json};
use sha2::Digest;

use crate::support::{Answer, Setup, TestApp};

const KEYS: &str =
    "ops=operator-key-0001,gpt[agent]=agent-key-0000002,eye[observer]=observer-key-003";

/// Requests of two callers with every outcome that needs no model.
async fn lived_in() -> TestApp {
    let policy = "version: \"1\"\nallowed_dirs: [plans]\nrules:\n\
        - {id: watch, effect: observe, match: {kinds: [act], actions: [wander]}}\n\
        - {id: no-shell, effect: deny, match: {kinds: [tool], tools: [Bash]}}\n";
    let app = Setup::new().set("API_TOKENS", KEYS).policy(policy).start().await;
    let by = |key: &'static str, path: &'static str, body: Value| {
        let request = app.bare(Method::POST, path).header("X-API-Key", key).json(&body);
        async move { Answer::of(request).await }
    };
    let (ops, gpt) = ("operator-key-0001", "agent-key-0000002");
    by(
        ops,
        "/act",
        json!({"agent_id": "hero", "action": "rest", "payload": {"place": "Gartenhaus 17"}}),
    )
    .await
    .ok();
    by(ops, "/act", json!({"agent_id": "hero", "action": "wander"})).await.ok();
    by(gpt, "/turn", json!({"agent_id": "gpt-1", "input": "Untersuche das große Tor"})).await.ok();
    by(gpt, "/turn", json!({"agent_id": "gpt-1", "input": "cat ../../../../etc/passwd"})).await;
    let tool = |tool: &str, session: &str| json!({"agent_id": "gpt-1", "tool": tool, "session_id": session, "arguments": {"path": "notes.md"}});
    let call = by(gpt, "/tool", tool("Read", "s-1")).await.ok();
    by(gpt, "/tool", tool("Bash", "s-2")).await.error(403, "tool_denied");
    let result = format!("/tool/{}/result", call["event_id"]);
    let result = app.bare(Method::POST, &result).header("X-API-Key", gpt);
    Answer::of(result.json(&json!({"is_error": true, "result": "gone"}))).await.ok();
    app
}

async fn found(app: &TestApp, query: &str) -> Vec<u64> {
    let page = app.get(&format!("/journal?{query}")).await.ok();
    page["events"].as_array().unwrap().iter().map(|row| row["id"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn rows_are_found_by_each_condition_and_by_all_together() {
    let app = lived_in().await;
    let rows = app.journal().await;
    let request = rows[3].request_id.clone();
    assert!(!request.is_empty());
    let (third, last) = (rows[2].ts.clone(), rows.last().unwrap().ts.clone());
    let before = format!("since={third}&until={last}");
    let in_between: Vec<u64> =
        rows.iter().filter(|row| row.ts >= third && row.ts < last).map(|row| row.id).collect();
    for (query, expected) in [
        ("principal=gpt", vec![4, 5, 6, 7, 8]),
        ("principal=nobody", vec![]),
        (&format!("request_id={request}"), vec![4]),
        ("session_id=s-1", vec![6, 8]),
        ("outcome=allowed", vec![2, 4, 6]),
        ("outcome=would_deny", vec![3]),
        ("outcome=denied", vec![5, 7]),
        ("outcome=failed", vec![8]),
        ("rule=watch", vec![3]),
        ("rule=no-shell", vec![7]),
        ("rule=no", vec![]),
        ("q=gartenhaus", vec![2]),
        ("q=17%20GARTENHAUS", vec![2]),
        ("q=gro%C3%9Fe", vec![4]),
        ("q=notes.md", vec![6, 7]),
        ("q=gartenhaus%20tor", vec![]),
        ("q=hero", vec![2, 3]),
        ("min_elapsed_us=1&kind=obs.*", vec![2, 3, 4]),
        ("min_elapsed_us=600000000", vec![]),
        ("until=2026-01-01T00:00:00Z", vec![]),
        (&before, in_between),
        ("outcome=denied&principal=gpt&agent_id=gpt-1&kind=tool.*&q=bash&rule=no-shell", vec![7]),
        ("outcome=denied&principal=ops", vec![]),
    ] {
        assert_eq!(found(&app, query).await, expected, "{query}");
        let mut newest = found(&app, &format!("{query}&order=desc")).await;
        newest.reverse();
        assert_eq!(newest, expected, "{query}, newest first");
    }
}

#[tokio::test]
async fn pages_run_in_both_directions_and_between_two_rows() {
    let app = lived_in().await;
    let total = app.last_id().await;
    assert_eq!(found(&app, "order=desc&limit=3").await, [total, total - 1, total - 2]);
    assert_eq!(found(&app, "after=2&before=5").await, [3, 4]);
    assert_eq!(found(&app, "after=2&before=5&order=desc").await, [4, 3]);
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page =
            app.get(&format!("/journal?order=desc&limit=2&principal=gpt{cursor}")).await.ok();
        seen.extend(page["events"].as_array().unwrap().iter().map(|row| row["id"].clone()));
        if page["next"].is_null() {
            break;
        }
        cursor = format!("&before={}", page["next"]);
    }
    assert_eq!(Value::from(seen), json!([8, 7, 6, 5, 4]));
}

#[tokio::test]
async fn a_key_finds_only_rows_that_it_may_read() {
    let app = lived_in().await;
    let with = |key: &'static str, query: &str| {
        let request = app.bare(Method::GET, &format!("/journal{query}")).header("X-API-Key", key);
        async move { Answer::of(request).await }
    };
    let eye = with("observer-key-003", "?q=gartenhaus").await.ok();
    assert_eq!(eye["events"][0]["id"], 2);
    // Without `agents`, an `act` key reads the rows of every agent, and rows without an agent only of its own.
    let started = with("agent-key-0000002", "?kind=service.*&q=system").await.ok();
    assert_eq!((&started["events"], &started["next"]), (&json!([]), &Value::Null));
    with("agent-key-0000002", "/1").await.error(404, "not_found");
    assert_eq!(with("observer-key-003", "/1").await.ok()["kind"], "service.started");
}

#[tokio::test]
async fn a_key_with_agents_learns_nothing_of_other_agents() {
    let digest = hex::encode(sha2::Sha256::digest("narrow-key-000001"));
    let keys = format!(
        "keys:\n- {{name: narrow, digest: 'sha256:{digest}', roles: [agent], agents: ['mine-*']}}\n"
    );
    let app = Setup::new().file("keys.yaml", keys).set("KEYS_FILE", "keys.yaml").start().await;
    for agent in ["mine-1", "hero", "mine-2"] {
        let body = json!({"agent_id": agent, "action": "rest", "payload": {"word": format!("secret {agent}")}});
        app.post("/act", &body).await.ok();
    }
    let narrow = |query: String| {
        let request = app.bare(Method::GET, &format!("/journal{query}"));
        let request = request.header("X-API-Key", "narrow-key-000001");
        async move { Answer::of(request).await }
    };
    let page = narrow("?q=secret".to_owned()).await.ok();
    let agents: Vec<_> = page["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["agent_id"].as_str().unwrap())
        .collect();
    assert_eq!(agents, ["mine-1", "mine-2"]);
    // A word of a row that the key may not read is like a word of no row, page by page.
    for order in ["asc", "desc"] {
        let of_other = narrow(format!("?q=hero&limit=1&order={order}")).await.ok();
        let of_none = narrow(format!("?q=nothing&limit=1&order={order}")).await.ok();
        assert_eq!(of_other, of_none);
        assert_eq!(of_other["events"], json!([]));
    }
    narrow("?agent_id=hero&q=secret".to_owned()).await.error(403, "agent_forbidden");
    let hero = app.journal_of("&agent_id=hero").await.pop().unwrap().id;
    narrow(format!("/{hero}")).await.error(404, "not_found");
}

#[tokio::test]
async fn a_row_is_read_by_its_number() {
    let app = lived_in().await;
    let page = app.get("/journal?after=3&limit=1").await.ok();
    assert_eq!(app.get("/journal/4").await.ok(), page["events"][0]);
    for missing in ["0", "9999", "x", "-1", "99999999999999999999"] {
        app.get(&format!("/journal/{missing}")).await.error(404, "not_found");
    }
    assert_eq!(app.get("/journal/head").await.ok()["id"], json!(app.last_id().await));
}

#[tokio::test]
async fn invalid_conditions_are_refused_by_name() {
    let app = TestApp::start().await;
    let long = "x".repeat(257);
    for query in [
        "order=up".to_owned(),
        "before=x".to_owned(),
        "since=yesterday".to_owned(),
        "until=2026-13-01T00:00:00Z".to_owned(),
        "outcome=fine".to_owned(),
        "q=%21%21".to_owned(),
        "q=a+b+c+d+e+f+g+h+i+j+k+l+m+n+o+p+q".to_owned(),
        "min_elapsed_us=-1".to_owned(),
        format!("principal={long}"),
        format!("rule={long}"),
    ] {
        let answer = app.get(&format!("/journal?{query}")).await;
        let path = query.split('=').next().unwrap();
        assert_eq!(answer.fault_paths("validation_error"), [path], "{query}");
    }
}
