//! Rates and budgets in Redis: shared by instances, and through every way in which Redis fails.

use std::process::Command;
use std::time::Duration;

use life_agent_counters_redis::testing::Server;
use life_agent_groq::testing::{Answer as Reply, StandIn};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, KEY, Setup, TestApp, chat, model_setup};

/// A setup that counts in this server. Machines that run tests are slow at times.
fn counting(setup: Setup, server: &Server) -> Setup {
    setup.set("REDIS_URL", &server.address()).set("REDIS_TIMEOUT_MS", "2000")
}

/// A setup with the journal of another one, which therefore shares its counters.
async fn twin(app: &mut TestApp, setup: Setup) -> Setup {
    assert!(app.stop().await.success());
    let journal = app.read("agent.db");
    app.start_again().await;
    setup.file("agent.db", journal)
}

async fn limits(app: &TestApp) -> Value {
    Answer::of(app.bare(Method::GET, "/readyz")).await.ok()["limits"].clone()
}

/// Waits for a state of the counters in `/readyz`.
async fn redis_is(app: &TestApp, state: &str) -> Value {
    for _ in 0..1000 {
        let limits = limits(app).await;
        if limits["redis"] == state {
            return limits;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("Redis does not become {state}: {}", limits(app).await);
}

/// The number of first steps, of as many new agents, that pass.
async fn admitted(app: &TestApp, prefix: &str, count: usize) -> usize {
    let mut admitted = 0;
    for n in 0..count {
        let body = json!({"agent_id": format!("{prefix}{n}"), "action": "rest"});
        let answer = app.post("/act", &body).await;
        match answer.status {
            200 => admitted += 1,
            _ => assert_eq!(
                answer.error(429, "rate_limited")["details"]["rule"],
                "NEW_AGENTS_PER_MINUTE"
            ),
        }
    }
    admitted
}

#[tokio::test]
async fn two_instances_share_their_limits_and_know_each_other() {
    let Some(server) = Server::start() else { return };
    let new = || counting(Setup::new().set("NEW_AGENTS_PER_MINUTE", "6"), &server);
    let mut first = new().start().await;
    let second = twin(&mut first, new()).await.start().await;
    assert!(admitted(&first, "a", 4).await == 4);
    // At most one returns in the meantime.
    let rest = admitted(&second, "b", 8).await;
    assert!((2..=3).contains(&rest), "{rest}");
    for app in [&first, &second] {
        for _ in 0..1000 {
            if limits(app).await["instances"].as_array().unwrap().len() == 2 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let limits = limits(app).await;
        assert_eq!((&limits["rates"], &limits["budgets"]), (&json!("shared"), &json!("shared")));
        let instances = limits["instances"].as_array().unwrap();
        assert_eq!(instances.len(), 2, "{limits}");
        assert_eq!(instances.iter().filter(|found| found["own"] == true).count(), 1);
        assert_eq!(app.metric("instances_live").await, Some(2.0));
        assert_eq!(app.metric("redis_up").await, Some(1.0));
    }
}

#[tokio::test]
async fn the_headers_of_a_limit_count_all_instances() {
    let Some(server) = Server::start() else { return };
    let new = || {
        let limit = Setup::new().set("RATE_LIMIT_RPS", "1").set("RATE_LIMIT_PRINCIPAL_RPS", "1000");
        counting(limit, &server)
    };
    let mut first = new().start().await;
    let second = twin(&mut first, new()).await.start().await;
    let act = json!({"agent_id": "a", "action": "rest"});
    let mut refused = 0;
    for n in 0..6 {
        let app = if n % 2 == 0 { &first } else { &second };
        let answer = app.post("/act", &act).await;
        assert!(answer.header("RateLimit-Policy").is_some());
        if answer.status == 429 {
            let error = answer.error(429, "rate_limited");
            assert_eq!(error["details"]["rule"], "RATE_LIMIT_RPS");
            assert_eq!(answer.header("Retry-After"), Some("1"));
            assert_eq!(answer.header("RateLimit-Policy"), Some(r#""agent";q=1;w=1"#));
            refused += 1;
        }
    }
    assert!(refused >= 1, "six acts took more than five seconds");
    let left = first.get("/kill-switch").await;
    let left = left.header("RateLimit").unwrap().to_owned();
    assert!(left.starts_with(r#""principal";r=9"#), "{left}");
}

#[tokio::test]
async fn without_redis_each_instance_takes_its_part_until_redis_is_back() {
    let Some(mut server) = Server::start() else { return };
    let new = || counting(Setup::new().set("NEW_AGENTS_PER_MINUTE", "6"), &server);
    let mut first = new().start().await;
    let second = twin(&mut first, new()).await.start().await;
    for app in [&first, &second] {
        while limits(app).await["instances"].as_array().unwrap().len() < 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    server.kill();
    let limits = redis_is(&first, "unreachable").await;
    assert_eq!((&limits["rates"], &limits["budgets"]), (&json!("local"), &json!("denied")));
    assert_eq!(limits["instances"].as_array().unwrap().len(), 2, "those seen last");
    let part = admitted(&first, "a", 8).await;
    assert!((3..=4).contains(&part), "{part}");
    assert_eq!(first.metric("redis_up").await, Some(0.0));
    let fallbacks = first.metric(r#"rate_limit_fallback_total{mode="local"}"#).await.unwrap();
    assert!(fallbacks >= 8.0, "{fallbacks}");
    server.start_again();
    redis_is(&first, "connected").await;
    assert!(admitted(&first, "b", 8).await >= 6, "the lost counters start again");
}

#[tokio::test]
async fn without_redis_the_fallback_may_refuse() {
    let Some(mut server) = Server::start() else { return };
    let setup = Setup::new().set("RATE_LIMIT_FALLBACK", "deny").unset("RATE_LIMIT_RPS");
    let app = counting(setup, &server).start().await;
    app.act("a", "rest").await;
    server.kill();
    redis_is(&app, "unreachable").await;
    let ready = Answer::of(app.bare(Method::GET, "/readyz")).await.ok();
    assert_eq!(ready["limits"]["rates"], "denied");
    for path in ["/act", "/check"] {
        let body = json!({"kind": "act", "agent_id": "a", "action": "rest"});
        let answer = app.post(path, &body).await;
        answer.error(503, "limits_unavailable");
        assert_eq!(answer.header("Retry-After"), Some("1"));
    }
    // An operator can still stop everything, or one agent.
    app.post("/kill-switch", &json!({"on": true, "reason": "a test"})).await.ok();
    app.post("/kill-switch", &json!({"on": false, "reason": "a test"})).await.ok();
    app.post("/stops", &json!({"agent": "b", "on": true, "reason": "a test"})).await.ok();
    server.start_again();
    redis_is(&app, "connected").await;
    app.act("a", "rest").await;
    assert_eq!(app.state("a").await["version"], 2);
}

#[tokio::test]
async fn a_start_without_redis_serves_with_the_fallback() {
    let Some(mut server) = Server::start() else { return };
    server.kill();
    let app = counting(Setup::new(), &server).start().await;
    assert_eq!(limits(&app).await["redis"], "unreachable");
    app.act("a", "rest").await;
    server.start_again();
    redis_is(&app, "connected").await;
    app.act("a", "rest").await;
}

#[tokio::test]
async fn a_redis_that_hangs_costs_few_requests_a_timeout() {
    let Some(server) = Server::start() else { return };
    let setup = Setup::new().set("RATE_LIMIT_RPS", "1000").set("REDIS_TIMEOUT_MS", "500");
    let app = setup.set("REDIS_URL", &server.address()).start().await;
    redis_is(&app, "connected").await;
    let signal = |name: &str| {
        let pid = server.pid().unwrap().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    };
    signal("-STOP");
    // 300 timeouts would take longer than any request may.
    let acts = async {
        for _ in 0..300 {
            app.act("a", "rest").await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), acts).await.unwrap();
    assert_eq!(limits(&app).await["rates"], "local");
    signal("-CONT");
    redis_is(&app, "connected").await;
}

#[tokio::test]
async fn the_address_of_redis_is_checked_and_its_password_is_not_shown() {
    for (address, expected) in [
        ("http://u:geheim@cache.example", "expected `redis://"),
        ("rediss://u:geheim@cache.example/#insecure", "always verified"),
        ("redis://u:geheim@cache.example/?sslrootcert=Cargo.toml", "cannot be read"),
    ] {
        let refused = Setup::new().set("REDIS_URL", address).refused().await;
        let words = refused.in_words();
        assert!(words.contains("REDIS_URL") && words.contains(expected), "{words}");
        assert!(!words.contains("geheim"), "{words}");
    }
    for (name, value) in [("RATE_LIMIT_FALLBACK", "allow"), ("REDIS_TIMEOUT_MS", "0")] {
        let refused = Setup::new().set(name, value).refused().await;
        assert!(refused.in_words().contains(name), "{refused:?}");
    }
    let Some(server) = Server::start_with(&["--requirepass", "geheim"]) else { return };
    let address = server.address();
    let with = |password: &str| address.replace("redis://", &format!("redis://:{password}@"));
    let setup =
        |password: &str| Setup::new().set("REDIS_URL", &with(password)).set("LOG_FILE", "-");
    let app = setup("geheim").set("LOG_LEVEL", "TRACE").start().await;
    redis_is(&app, "connected").await;
    let wrong = setup("falsch").set("LOG_LEVEL", "TRACE").start().await;
    assert_eq!(limits(&wrong).await["redis"], "unreachable");
    for (app, password) in [(&app, "geheim"), (&wrong, "falsch")] {
        let config = app.command().arg("config").output().unwrap();
        let shown = [app.complained(), app.printed(), String::from_utf8(config.stdout).unwrap()];
        assert!(shown.iter().all(|text| !text.contains(password)), "{shown:?}");
        assert!(!limits(app).await.to_string().contains(password));
        assert!(!app.metrics().await.contains(password));
    }
}

#[tokio::test]
async fn a_user_with_few_permissions_suffices() {
    let Some(server) = Server::start() else { return };
    let commands = "+evalsha +script|load +time +info +get +set +hmget +hset +pexpire +zadd +zrange +zrem \
                    +zremrangebyscore +del +ping +select";
    let acl = [
        "ACL",
        "SETUSER",
        "service",
        "on",
        ">password",
        "resetkeys",
        "~life-agent:*",
        "resetchannels",
        "-@all",
    ];
    let acl = [&acl[..], &commands.split(' ').collect::<Vec<_>>()].concat();
    assert_eq!(server.run(&acl).trim(), "OK");
    let address = server.address().replace("redis://", "redis://service:password@");
    let provider = StandIn::start(vec![thirteen()]).await.unwrap();
    let setup = counting(model_setup(&provider).policy(BUDGET), &server);
    let app =
        setup.set("REDIS_URL", &format!("{address}/0")).set("RATE_LIMIT_RPS", "50").start().await;
    app.act("a", "rest").await;
    app.post("/llm/chat", &small()).await.ok();
    assert_eq!(agrees(&app).await, 13);
    redis_is(&app, "connected").await;
    assert_eq!(app.metric("redis_failures_total").await, Some(0.0));
}

#[tokio::test]
async fn a_turn_goes_on_without_the_model_while_its_budget_cannot_be_counted() {
    let Some(mut server) = Server::start() else { return };
    let large = BUDGET.replace("500", "1000000");
    let provider = StandIn::start(vec![Reply::text("The gate opens.")]).await.unwrap();
    let app = counting(model_setup(&provider).policy(&large), &server).start().await;
    assert_eq!(app.turn("a", "look around").await["source"], "llm");
    server.kill();
    redis_is(&app, "unreachable").await;
    let turn = app.turn("a", "look around").await;
    assert_eq!(
        (&turn["source"], &turn["fallback"]["code"]),
        (&json!("offline"), &json!("overloaded"))
    );
    assert!(turn["fallback"]["message"].as_str().unwrap().contains("Redis"), "{turn}");
}

const BUDGET: &str =
    "version: '1'\nallowed_dirs: [plans]\nbudgets: [{id: day, tokens_per_day: 500}]\n";

/// A reply that reports 13 tokens.
fn thirteen() -> Reply {
    Reply::json(
        200,
        &json!({
            "id": "c", "object": "chat.completion", "created": 1, "model": "openai/gpt-oss-120b",
            "choices": [{"index": 0, "finish_reason": "stop",
                         "message": {"role": "assistant", "content": "fine"}}],
            "usage": {"prompt_tokens": 3, "completion_tokens": 10}
        }),
    )
}

fn small() -> Value {
    let mut body = chat("hello");
    body["max_tokens"] = 10.into();
    body
}

async fn tokens_today(app: &TestApp) -> u64 {
    let request = app.bare(Method::GET, "/whoami").header("X-API-Key", KEY);
    Answer::of(request).await.ok()["budget"][0]["tokens_today"].as_u64().unwrap()
}

/// Tokens that the rows of the journal charge.
async fn charged(app: &TestApp) -> u64 {
    let (mut open, mut total) = (std::collections::BTreeMap::new(), 0);
    for row in app.journal_of("&kind=budget.*").await {
        let data = row.json();
        let tokens =
            data["prompt_tokens"].as_u64().unwrap() + data["completion_tokens"].as_u64().unwrap();
        match row.kind == "budget.reserved" {
            true => drop(open.insert(row.id, tokens)),
            false => {
                total += open.remove(&data["reserved"].as_u64().unwrap()).map(|_| tokens).unwrap()
            }
        }
    }
    total + open.values().sum::<u64>()
}

/// Waits until the counters have what the journal has: settlements follow their rows.
async fn agrees(app: &TestApp) -> u64 {
    for _ in 0..1000 {
        let (counted, charged) = (tokens_today(app).await, charged(app).await);
        if counted == charged {
            return counted;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("counted {}, charged {}", tokens_today(app).await, charged(app).await);
}

#[tokio::test]
async fn a_budget_is_shared_and_denied_without_redis() {
    let Some(mut server) = Server::start() else { return };
    let provider = StandIn::start(vec![thirteen()]).await.unwrap();
    let new = || counting(model_setup(&provider).policy(BUDGET), &server);
    let mut first = new().start().await;
    let second = twin(&mut first, new()).await.start().await;
    for n in 0..4 {
        let app = if n % 2 == 0 { &first } else { &second };
        app.post("/llm/chat", &small()).await.ok();
    }
    for _ in 0..1000 {
        if tokens_today(&first).await == 52 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!((tokens_today(&first).await, tokens_today(&second).await), (52, 52));
    server.kill();
    let denied = first.post("/llm/chat", &small()).await;
    denied.error(503, "limits_unavailable");
    assert_eq!(denied.header("Retry-After"), Some("1"));
    assert_eq!(provider.seen().len(), 4, "nothing was sent");
    first.act("a", "rest").await;
    assert!(tokens_today(&first).await <= 52, "what this instance knows");
    server.start_again();
    redis_is(&first, "connected").await;
    first.post("/llm/chat", &small()).await.ok();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_loss_of_redis_hands_out_a_budget_again() {
    let Some(mut server) = Server::start() else { return };
    let provider = StandIn::start(vec![thirteen()]).await.unwrap();
    let mut app = counting(model_setup(&provider).policy(BUDGET), &server).start().await;
    // A call of a server that is killed has no status.
    let calls = |app: &TestApp| {
        let mut calls = tokio::task::JoinSet::new();
        for _ in 0..12 {
            let call = app.request(Method::POST, "/llm/chat").json(&small());
            calls.spawn(async { call.send().await.ok().map(|answer| answer.status().as_u16()) });
        }
        calls
    };
    let (mut fine, mut round) = (0, 0);
    // The budget holds 38 calls of 13 tokens.
    loop {
        let running = calls(&app);
        match round % 4 {
            0 => drop(server.run(&["FLUSHALL"])),
            1 => {
                server.run(&["SAVE"]);
                server.kill();
                server.start_again();
            }
            2 => {
                // A key that the server evicts.
                let keys = server.run(&["KEYS", "*budget*"]);
                keys.lines().for_each(|key| drop(server.run(&["DEL", key])));
            }
            _ => {
                app.kill_9();
                app.start_again().await;
            }
        }
        let mut refused = 0;
        for status in running.join_all().await {
            match status {
                Some(200) => fine += 1,
                Some(429) => refused += 1,
                Some(503) | None => {}
                Some(other) => panic!("{other}"),
            }
        }
        redis_is(&app, "connected").await;
        assert!(charged(&app).await <= 500, "round {round}");
        round += 1;
        if refused == 12 || round == 40 {
            break;
        }
    }
    assert!(round > 2 && fine > 0, "{fine} in {round} rounds");
    assert!(agrees(&app).await <= 500);
    let last = app.post("/llm/chat", &small()).await;
    last.error(429, "budget_exceeded");
}
