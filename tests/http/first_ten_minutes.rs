//! The README, tried as a new user would: every command of its first ten minutes, line by line.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::{Setup, TestApp, binary};

/// How the README names what only the reader knows.
const THE_KEY: &str = "the key that it printed";
/// Where the README's service listens; the test's is on a port of its own.
const ADDRESS: &str = "127.0.0.1:8000";

/// A fenced block: its language and its text.
struct Block {
    language: String,
    text: String,
}

fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn readme() -> String {
    std::fs::read_to_string(repository().join("README.md")).unwrap()
}

/// The fenced blocks of the section that is tried here.
fn blocks() -> Vec<Block> {
    let readme = readme();
    let (_, rest) = readme.split_once("## The first ten minutes\n").unwrap();
    let section = rest.split("\n## ").next().unwrap();
    // Text and blocks take turns; a block begins with its language.
    let fenced = section.split("```").skip(1).step_by(2);
    let block = |text: &str| {
        let (language, text) = text.split_once('\n').unwrap();
        Block { language: language.to_owned(), text: text.to_owned() }
    };
    fenced.map(block).collect()
}

/// The service as the README has it started: no key, no setting but a free port.
async fn first_start() -> (TestApp, String) {
    let app = Setup::new().unset("API_KEY").unset("RATE_LIMIT_RPS").start().await;
    let line = app.printed_line("key for this run").await;
    let key = line.rsplit(' ').next().unwrap().to_owned();
    (app, key)
}

/// What a shell prints for these lines, typed in the folder of the service.
fn typed(app: &TestApp, key: &str, lines: &str) -> String {
    let setting = format!("KEY='{THE_KEY}'");
    let lines = lines
        .replace(&setting, &format!("KEY='{key}'"))
        .replace(ADDRESS, &app.addr().to_string())
        .replace("cargo run --quiet --", binary().to_str().unwrap());
    assert!(!lines.contains("cargo run"), "this test does not know how to run:\n{lines}");
    let mut shell = Command::new("bash");
    shell.args(["-euo", "pipefail", "-c", &lines]).env("KEY", key).current_dir(app.folder());
    let output = shell.output().expect("bash starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{lines}\n{said}");
    String::from_utf8(output.stdout).unwrap()
}

/// Whether `actual` has all that `shown` has.
fn covers(shown: &Value, actual: &Value) -> bool {
    match (shown, actual) {
        (Value::Object(shown), Value::Object(actual)) => shown
            .iter()
            .all(|(key, shown)| actual.get(key).is_some_and(|actual| covers(shown, actual))),
        _ => shown == actual,
    }
}

#[tokio::test]
async fn every_line_does_what_the_readme_says() {
    let blocks = blocks();
    let (mut app, key) = first_start().await;
    let mut answer = String::new();
    let (mut starts, mut calls, mut answers) = (0, 0, 0);
    for block in &blocks {
        match block.language.as_str() {
            "sh" if block.text.trim() == "cargo run" => starts += 1,
            "sh" if block.text.starts_with("cargo run -- ") => {
                let flags = block.text.trim().trim_start_matches("cargo run -- ");
                for flag in flags.split(' ') {
                    app.flag_for_next_start(&flag.replace("\"$KEY\"", &key));
                }
                app.restart().await;
                starts += 1;
            }
            "sh" => {
                answer = typed(&app, &key, &block.text);
                calls += 1;
            }
            "json" => {
                let shown: Value = serde_json::from_str(&block.text).unwrap();
                let actual: Value = serde_json::from_str(&answer).unwrap();
                assert!(covers(&shown, &actual), "the README shows\n{shown}\nand gets\n{actual}");
                answers += 1;
            }
            "text" => {
                let shown = block.text.trim().trim_end_matches('…');
                assert!(answer.starts_with(shown), "the README shows `{shown}`, not\n{answer}");
                answers += 1;
            }
            "powershell" | "bat" => {}
            other => panic!("a block in `{other}` is not tried by this test"),
        }
    }
    assert_eq!((starts, calls, answers), (2, 5, 5), "the section has changed; so must this test");
}

#[tokio::test]
async fn the_line_that_is_printed_at_the_start_works_when_pasted() {
    let (app, key) = first_start().await;
    let line = app.printed_line("curl -s").await;
    let answer: Value = serde_json::from_str(&typed(&app, &key, &line)).unwrap();
    assert_eq!(answer["status"], "ok", "{answer}");
}

#[test]
fn the_calls_for_windows_send_what_the_first_call_sends() {
    let blocks = blocks();
    let body = |language: &str, before: &str, after: &str| -> Value {
        let of_language =
            |block: &&Block| block.language == language && block.text.contains(before);
        let text = &blocks.iter().find(of_language).unwrap().text;
        let body = text.split_once(before).unwrap().1.split_once(after).unwrap().0;
        serde_json::from_str(&body.replace("\\\"", "\"")).unwrap()
    };
    let first = body("sh", "-d '", "'");
    assert_eq!(body("powershell", "-Body '", "'"), first);
    assert_eq!(body("bat", "-d \"", "\"\n"), first);
}

#[test]
fn what_the_readme_links_to_is_there() {
    let readme = readme();
    let links: Vec<_> =
        readme.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()).collect();
    assert!(links.len() > 8, "{links:?}");
    for link in links.into_iter().filter(|link| !link.contains("://")) {
        let file = link.split('#').next().unwrap();
        assert!(repository().join(file).exists(), "there is no {link}");
    }
}
