//! A provider that misbehaves, and what callers of each path to it are told: the right code, one row, no
//! leak, no hang.

use std::time::Duration;

use life_agent_groq::testing::{Answer, StandIn, chunk};
use serde_json::{Value, json};

use crate::support::{Answer as Told, FAILING, LENIENT, PROVIDER_KEY, TestApp, chat, model_setup};

/// Words of the provider that nobody may see.
const INDISCREET: &str = "internal host db7.example";

/// The ways to the model: where, and whether the answer is asked for in pieces.
const WAYS: [(&str, bool); 5] = [
    ("/llm/chat", false),
    ("/llm/chat", true),
    ("/v1/chat/completions", false),
    ("/v1/chat/completions", true),
    ("/plan", false),
];

fn body(path: &str, stream: bool) -> Value {
    if path == "/plan" {
        return json!({"intent": "greet", "target_paths": ["plans/a.md"]});
    }
    let mut body = chat("hello");
    body["stream"] = stream.into();
    body
}

/// An answer that is good on this way.
fn good(path: &str, stream: bool) -> Answer {
    if path == "/plan" {
        let edit = json!({"op": "create", "path": "plans/a.md", "content": "Hello.\n"});
        return Answer::text(&json!({ "edits": [edit] }).to_string());
    }
    if stream { Answer::stream(&["Well ", "met."]) } else { Answer::text("Well met.") }
}

fn opened() -> Value {
    chunk(&json!({"content": "The road"}), &Value::Null)
}

/// A server with this provider, after one call on this way.
async fn called(
    (path, stream): (&str, bool),
    script: Vec<Answer>,
    policy: Option<&str>,
) -> (StandIn, TestApp, Told) {
    let provider = StandIn::start(script).await.unwrap();
    let setup = model_setup(&provider)
        .set("GROQ_TIMEOUT_SECONDS", "2")
        .set("LOG_LEVEL", "TRACE")
        .set("LLM_IDLE_SECONDS", "2")
        .set("LLM_MAX_RESPONSE_BYTES", "2097152");
    let app = setup.policy(policy.unwrap_or(FAILING)).start().await;
    let told = app.post(path, &body(path, stream)).await;
    (provider, app, told)
}

/// The code of the error that an answer is, or that its stream ends with; none for a success.
fn code_of(told: &Told) -> Option<String> {
    let text = told.text();
    let last = match text.contains("data: ") {
        true => text.rsplit("data: ").next().unwrap_or_default(),
        false => &text,
    };
    let value: Value = serde_json::from_str(last.trim()).unwrap_or_default();
    value["error"]["code"].as_str().map(str::to_owned)
}

/// No outlet shows the provider's key or its indiscretions.
async fn assert_discreet(mut app: TestApp, told: &Told, what: &str) {
    let mut all = told.body.clone();
    for path in ["/journal", "/metrics", "/llm/status"] {
        all.extend(app.get(path).await.body);
    }
    all.extend(app.complained().into_bytes());
    app.stop().await;
    all.extend(app.read("logs/app.log"));
    let text = String::from_utf8_lossy(&all);
    for leak in [PROVIDER_KEY, "db7.example"] {
        let at = text.find(leak).map(|at| &text[at.saturating_sub(200)..at]);
        assert_eq!(at, None, "{what}: `{leak}`");
    }
}

/// On every way to the model, such an answer is told with this code, has one row, and no effect.
async fn each_way(what: &str, code: &'static str, answer: impl Fn(&str, bool) -> Answer) {
    each_of(&WAYS, what, code, code, answer).await;
}

/// The same with another code on the ways that keep the provider's status.
async fn each_of(
    ways: &[(&'static str, bool)],
    what: &str,
    own: &'static str,
    forwarded: &'static str,
    answer: impl Fn(&str, bool) -> Answer,
) {
    let mut calls = tokio::task::JoinSet::new();
    for way in ways.iter().copied() {
        let code = if way.0.starts_with("/v1/") { forwarded } else { own };
        let what = format!("{what} on {} (stream: {})", way.0, way.1);
        let answer = answer(way.0, way.1);
        calls.spawn(async move {
            let (_provider, app, told) = called(way, vec![answer], None).await;
            assert_eq!(code_of(&told).as_deref(), Some(code), "{what}: {told:?}");
            let rows = app.journal_of("&kind=llm.chat").await;
            assert_eq!(rows.len(), 1, "{what}: {rows:?}");
            assert_eq!(rows[0].json()["outcome"], "failed", "{what}");
            assert_eq!(app.get("/plans").await.ok()["plans"], json!([]), "{what}");
            assert_discreet(app, &told, &what).await;
        });
    }
    while let Some(call) = calls.join_next().await {
        call.unwrap();
    }
}

fn words() -> String {
    format!("{PROVIDER_KEY} at {INDISCREET}")
}

#[tokio::test]
async fn a_provider_at_its_limit_is_told_as_overloaded() {
    let limited = || Answer::error(429, "rate_limit_exceeded", "slow down");
    let limit = "rate_limit_exceeded";
    each_of(&WAYS, "429", "overloaded", limit, |_, _| limited()).await;
    let asking = |_: &str, _| limited().header("retry-after", "60");
    each_of(&WAYS, "429 with retry-after", "overloaded", limit, asking).await;
    let full = |_: &str, _| Answer::error(498, "capacity_exceeded", "full");
    each_of(&WAYS, "498", "overloaded", "capacity_exceeded", full).await;
}

#[tokio::test]
async fn a_provider_that_refuses_or_fails_is_told_as_failed() {
    each_way("500", "llm_failed", |_, _| Answer::new(500, "text/plain", words())).await;
    let wrong_key = |_: &str, _| Answer::error(401, "invalid_api_key", &words());
    each_of(&WAYS, "401", "llm_failed", "invalid_api_key", wrong_key).await;
    let gone = |_: &str, _| Answer::error(404, "model_not_found", "no such model");
    each_of(&WAYS, "404", "llm_failed", "model_not_found", gone).await;
    each_way("hanging up", "llm_failed", |_, _| Answer::hang_up()).await;
}

#[tokio::test]
async fn what_is_no_answer_is_told_as_failed() {
    let broken = |_: &str, _| Answer::new(200, "application/json", format!("{{\"{}", words()));
    each_way("broken JSON", "llm_failed", broken).await;
    let page = |_: &str, _| Answer::new(200, "text/html", format!("<html>{}", words()));
    each_way("HTML", "llm_failed", page).await;
    each_way("10 MB", "llm_failed", |_, stream| match stream {
        true => Answer::stream(&[&"x ".repeat(5 * 1024 * 1024)]),
        false => Answer::text(&"x ".repeat(5 * 1024 * 1024)),
    })
    .await;
}

#[tokio::test]
async fn a_provider_without_end_runs_out_of_time() {
    // Forwarded calls bound silence and not the length of a response in time.
    let own: Vec<_> = WAYS.into_iter().filter(|(path, _)| !path.starts_with("/v1/")).collect();
    let slow = |path: &str, stream| good(path, stream).slowly(Duration::from_secs(1));
    each_of(&own, "a byte a second", "timeout", "timeout", slow).await;
    each_way("silence", "timeout", |_, _| Answer::silence()).await;
}

#[tokio::test]
async fn what_passes_when_asked_again_has_one_row_and_one_effect() {
    let failing = || Answer::error(500, "internal", INDISCREET);
    let limited = Answer::error(429, "rate_limit_exceeded", "slow down").header("retry-after", "0");
    let full = Answer::error(498, "capacity_exceeded", "full");
    for failures in [vec![failing(), failing()], vec![limited], vec![full]] {
        for (path, stream) in WAYS {
            let asked = failures.len() + 1;
            let script = failures.iter().cloned().chain([good(path, stream)]).collect();
            let (provider, app, told) = called((path, stream), script, None).await;
            assert_eq!((told.status, code_of(&told)), (200, None), "{path} {told:?}");
            assert_eq!(provider.seen().len(), asked, "{path}");
            let rows = app.journal_of("&kind=llm.chat").await;
            assert_eq!(rows.len(), 1, "{path}: {rows:?}");
            assert_eq!(rows[0].json()["outcome"], "answered");
            let plans = app.get("/plans").await.ok()["plans"].as_array().unwrap().len();
            assert_eq!(plans, usize::from(path == "/plan"));
        }
    }
}

#[tokio::test]
async fn a_stream_that_ends_badly_ends_with_an_error_and_claims_no_success() {
    let words = words();
    for (what, answer, code) in [
        ("cut", Answer::events(&[opened()]).cut_off(), "llm_failed"),
        ("no end", Answer::events(&[opened()]).unmeasured(), "llm_failed"),
        (
            "x_groq.error",
            Answer::events(&[opened(), json!({"x_groq": {"error": "over"}})]),
            "llm_failed",
        ),
        ("stalled", Answer::events(&[opened()]).stalling(), "timeout"),
        (
            "broken",
            Answer::new(
                200,
                "text/event-stream",
                format!("data: {}\n\ndata: {{\"{words}\n\n", opened()),
            ),
            "llm_failed",
        ),
        ("10 MB", Answer::stream(&[&"x ".repeat(5 * 1024 * 1024)]), "llm_failed"),
    ] {
        for way in [("/llm/chat", true), ("/v1/chat/completions", true)] {
            let (_provider, app, told) = called(way, vec![answer.clone()], None).await;
            let what = format!("{what} on {}", way.0);
            assert_eq!(code_of(&told).as_deref(), Some(code), "{what}: {told:?}");
            assert!(
                !told.text().contains("[DONE]") && !told.text().contains("event: done"),
                "{what}"
            );
            let rows = app.journal_of("&kind=llm.chat").await;
            assert_eq!(rows.len(), 1, "{what}: {rows:?}");
            assert_eq!(rows[0].json()["outcome"], "failed", "{what}");
            assert_discreet(app, &told, &what).await;
        }
    }
}

#[tokio::test]
async fn a_redirect_is_followed_on_no_way_and_the_key_stays_here() {
    let elsewhere = StandIn::start(vec![Answer::text("mine now")]).await.unwrap();
    for way in WAYS {
        for status in [301, 302, 307, 308] {
            let target = format!("{}/chat/completions", elsewhere.base_url());
            let redirect = Answer::new(status, "text/plain", "").header("location", &target);
            let (_provider, app, told) = called(way, vec![redirect], None).await;
            assert_eq!(code_of(&told).as_deref(), Some("llm_failed"), "{way:?}: {told:?}");
            assert_eq!(app.journal_of("&kind=llm.chat").await.len(), 1, "{way:?}");
        }
    }
    assert!(elsewhere.seen().is_empty());
}

#[tokio::test]
async fn broken_arguments_of_a_tool_call_are_passed_on_and_are_no_draft() {
    let broken = Answer::tool_call("open_gate", "{\"slowly\": ");
    let (_provider, app, told) = called(WAYS[2], vec![broken.clone()], None).await;
    let call = &told.ok()["choices"][0]["message"]["tool_calls"][0];
    assert_eq!(call["function"]["arguments"], "{\"slowly\": ");
    assert_eq!(app.journal_of("&kind=llm.chat").await.len(), 1);
    let (provider, app, told) = called(WAYS[4], vec![broken], None).await;
    let error = told.error(422, "plan_invalid");
    assert_eq!(error["details"][0]["code"], "draft_malformed", "{error}");
    assert_eq!((provider.seen().len(), app.journal_of("&kind=llm.chat").await.len()), (3, 3));
}

#[tokio::test]
async fn an_answer_that_repeats_the_key_is_told_without_it() {
    let said = format!("your key is {PROVIDER_KEY}");
    let lenient = format!("{LENIENT}llm: {{on_failure: fail}}\n");
    for (path, stream) in WAYS {
        let (head, tail) = said.split_at(said.len() - 9);
        let answer = match (path, stream) {
            ("/plan", _) => {
                let edit = json!({"op": "create", "path": "plans/a.md", "content": said});
                Answer::text(&json!({ "edits": [edit] }).to_string())
            }
            (_, true) => Answer::stream(&[head, tail]),
            _ => Answer::text(&said),
        };
        let (_provider, app, told) = called((path, stream), vec![answer], Some(&lenient)).await;
        // A plan does not write the sign for a key into a file.
        let expected = (path == "/plan").then_some("plan_invalid");
        assert_eq!(code_of(&told).as_deref(), expected, "{path}: {told:?}");
        assert_discreet(app, &told, path).await;
    }
}

#[tokio::test]
async fn headers_with_a_credential_stay_here() {
    let provider = StandIn::start(vec![Answer::text("Well met.")]).await.unwrap();
    let app = model_setup(&provider).policy(LENIENT).start().await;
    let names = crate::support::credentials().into_iter().filter(|one| one.fits_a_name());
    for credential in names.map(|one| one.text) {
        let (first, second) = credential.split_at(credential.len() / 2);
        for headers in [
            vec![("OpenAI-Beta", credential.as_str())],
            vec![("anthropic-beta", first), ("openai-beta", second)],
        ] {
            let mut request = app.request(reqwest::Method::POST, "/v1/chat/completions");
            for (name, value) in headers {
                request = request.header(name, value);
            }
            Told::of(request.json(&chat("hello"))).await.ok();
            let seen = provider.seen().pop().unwrap();
            for name in ["openai-beta", "anthropic-beta"] {
                assert_eq!(seen.header(name), None, "{credential}");
            }
        }
    }
    let request = app.request(reqwest::Method::POST, "/v1/chat/completions");
    Told::of(request.header("OpenAI-Beta", "assistants=v2").json(&chat("hello"))).await.ok();
    let seen = provider.seen().pop().unwrap();
    assert_eq!(seen.header("openai-beta"), Some("assistants=v2"));
}
