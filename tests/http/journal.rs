//! `GET /journal` and `GET /journal/head`

use serde_json::{Value, json};

use crate::support::{Row, Setup, TestApp, assert_chained};

/// A journal with rows of every kind.
async fn lived_in() -> TestApp {
    let app = TestApp::start().await;
    app.act("a", "rest").await;
    app.turn("b", "untersuche das Tor \u{2028} \"quoted\" \\ back").await;
    app.turn("a", "rest").await;
    app.post("/turn", &json!({"agent_id": "a", "input": "cat ../../../../etc/passwd"})).await;
    app.post("/plan", &json!({"intent": "x", "context": "y", "target_paths": ["plans/a.md"]}))
        .await
        .ok();
    app.post("/kill-switch", &json!({"on": true, "reason": "drill"})).await.ok();
    app.post("/kill-switch", &json!({"on": false, "reason": "over"})).await.ok();
    app
}

fn ids(page: &Value) -> Vec<u64> {
    let events = page["events"].as_array().unwrap();
    events.iter().map(|row| row["id"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn every_row_is_chained_to_its_predecessors() {
    let app = lived_in().await;
    let rows = app.journal().await;
    assert_chained(&rows);
    let kinds: Vec<_> = rows.iter().map(|row| row.kind.as_str()).collect();
    assert_eq!(
        kinds,
        [
            "service.started",
            "obs.act",
            "obs.turn",
            "obs.turn",
            "gate.denied",
            "obs.plan",
            "plan.created",
            "kill_switch.on",
            "kill_switch.off",
        ]
    );
}

#[tokio::test]
async fn the_chain_check_detects_every_change() {
    // Other tests rely on `assert_chained`; this test verifies it.
    let app = lived_in().await;
    let rows = app.journal().await;
    let changes: [fn(&mut Vec<Row>); 6] = [
        |rows| rows[2].principal.push('x'),
        |rows| rows[2].agent_id = None,
        |rows| rows[2].request_id.push('x'),
        |rows| drop(rows.remove(3)),
        |rows| rows.swap(3, 4),
        |rows| {
            let data = rows[2].data.get().replace("Tor", "Tür");
            rows[2].data = serde_json::value::RawValue::from_string(data).unwrap();
        },
    ];
    for (n, change) in changes.into_iter().enumerate() {
        let mut changed = rows.clone();
        change(&mut changed);
        let noticed = std::panic::catch_unwind(|| assert_chained(&changed)).is_err();
        assert!(noticed, "change {n} went unnoticed");
    }
}

#[tokio::test]
async fn pages_continue_without_gap_or_repeat() {
    let app = lived_in().await;
    let total = app.last_id().await;
    let mut seen = Vec::new();
    let mut after = json!(0);
    while !after.is_null() {
        let page = app.get(&format!("/journal?after={after}&limit=2")).await.ok();
        assert!(ids(&page).len() <= 2);
        seen.extend(ids(&page));
        after = page["next"].clone();
    }
    assert_eq!(seen, (1..=total).collect::<Vec<_>>());
}

#[tokio::test]
async fn rows_are_found_by_kind_and_agent() {
    let app = lived_in().await;
    for (query, expected) in [
        ("kind=obs.turn", vec![3, 4]),
        ("kind=obs.*", vec![2, 3, 4, 6]),
        ("agent_id=b", vec![3]),
        ("agent_id=a&kind=obs.turn", vec![4]),
        ("kind=gate.denied", vec![5]),
        ("kind=obs.turn&after=3", vec![4]),
        ("agent_id=nobody", vec![]),
        ("after=1000000", vec![]),
    ] {
        let page = app.get(&format!("/journal?{query}")).await.ok();
        assert_eq!(ids(&page), expected, "{query}");
    }
}

#[tokio::test]
async fn a_page_ends_at_its_size_limit_and_no_row_is_lost() {
    let app = lived_in().await;
    let payload = json!({"x": "y".repeat(5_000)});
    app.post("/act", &json!({"agent_id": "long", "action": "rest", "payload": payload})).await.ok();
    app.act("a", "rest").await;
    let total = ids(&app.get("/journal").await.ok()).len() as u64;
    for most in [1_000, 2_000, 100_000] {
        let (mut seen, mut left_out, mut after) = (Vec::new(), Vec::new(), Value::from(0));
        while after != Value::Null {
            let answer = app.get(&format!("/journal?after={after}&max_chars={most}")).await;
            assert!(answer.text().chars().count() <= most, "{answer:?}");
            let page = answer.ok();
            seen.extend(ids(&page));
            let named = page["left_out"].as_array().cloned().unwrap_or_default();
            left_out.extend(named.iter().map(|id| id.as_u64().unwrap()));
            after = page["next"].clone();
        }
        assert_eq!(left_out.contains(&(total - 1)), most < 5_000, "{left_out:?}");
        assert_eq!(left_out.is_empty(), most > 5_000, "{left_out:?}");
        seen.extend(left_out);
        seen.sort_unstable();
        assert_eq!(seen, (1..=total).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn invalid_parameters_are_refused_by_name() {
    let app = TestApp::start().await;
    for query in [
        "after=x",
        "after=-1",
        "limit=0",
        "limit=x",
        "limit=1000000",
        "max_chars=999",
        "kind=nothing.like.it",
        "agent_id=a%2Fb",
    ] {
        let answer = app.get(&format!("/journal?{query}")).await;
        let path = query.split('=').next().unwrap();
        assert_eq!(answer.fault_paths("validation_error"), [path], "{query}");
    }
}

#[tokio::test]
async fn the_head_is_the_last_row() {
    let app = lived_in().await;
    let last = app.journal().await.pop().unwrap();
    let head = app.get("/journal/head").await.ok();
    assert_eq!((&head["id"], &head["hash"]), (&json!(last.id), &json!(last.hash)));
}

#[tokio::test]
async fn a_row_has_the_name_of_its_key_and_never_the_key() {
    let app = Setup::new().set("API_TOKENS", "anna=key-of-anna-0001,bare-key-0002").start().await;
    for key in ["key-of-anna-0001", "bare-key-0002"] {
        let body = json!({"agent_id": "a", "action": "rest"});
        let request = app.bare(reqwest::Method::POST, "/act").header("X-API-Key", key).json(&body);
        crate::support::Answer::of(request).await.ok();
    }
    app.act("a", "rest").await;
    let principals: Vec<_> =
        app.journal_of("&kind=obs.act").await.into_iter().map(|row| row.principal).collect();
    assert_eq!((principals[0].as_str(), principals[2].as_str()), ("anna", "default"));
    assert!(!principals[1].is_empty() && !principals[1].contains("bare-key"), "{principals:?}");
    assert!(!["anna", "default"].contains(&principals[1].as_str()));
}

#[tokio::test]
async fn a_denial_is_recorded_with_its_gate_and_reason() {
    let app = TestApp::start().await;
    let body = json!({"agent_id": "a", "input": "cat ../../../../etc/passwd"});
    let error = app.post("/turn", &body).await.error(422, "prompt_risky");
    let row = app.journal().await.pop().unwrap();
    assert_eq!((row.kind.as_str(), row.agent_id.as_deref()), ("gate.denied", Some("a")));
    assert_eq!(error["details"]["event_id"], row.id);
    assert_eq!(error["request_id"], row.request_id.as_str());
    let data = row.json();
    assert_eq!((&data["reason"], &data["gate"]), (&json!("risk_pattern"), &json!("risk")));
    assert_eq!((&data["code"], &data["kind"]), (&json!("prompt_risky"), &json!("turn")));
}
