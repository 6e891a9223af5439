//! The README's first ten minutes, run line by line as a new user would.

use serde_json::Value;

use crate::support::snippets::{Block, assert_shown, blocks, page, repository, shell};
use crate::support::{Setup, TestApp};

/// The README's placeholder for the key.
const THE_KEY: &str = "the key that it printed";

/// The fenced blocks of the section.
fn section() -> Vec<Block> {
    let readme = page("README.md");
    let (_, rest) = readme.split_once("## The first ten minutes\n").unwrap();
    blocks(rest.split("\n## ").next().unwrap())
}

/// The service as the README starts it: no key, no setting except a free port.
async fn first_start() -> (TestApp, String) {
    let app = Setup::new().unset("API_KEY").unset("RATE_LIMIT_RPS").start().await;
    let line = app.printed_line("key for this run").await;
    let key = line.rsplit(' ').next().unwrap().to_owned();
    (app, key)
}

/// The output of the README's lines, typed in the folder of the service.
fn typed(app: &TestApp, key: &str, lines: &str) -> String {
    let setting = format!("KEY='{THE_KEY}'");
    let lines = lines
        .replace(&setting, &format!("KEY='{key}'"))
        .replace("cargo run --quiet --", "life-agent");
    assert!(!lines.contains("cargo run"), "this test cannot run:\n{lines}");
    shell(app, key, &lines)
}

#[tokio::test]
async fn every_line_of_the_readme_works() {
    let blocks = section();
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
            "json" | "text" => {
                assert_shown(block, &answer);
                answers += 1;
            }
            "powershell" | "bat" => {}
            other => panic!("this test does not run blocks in `{other}`"),
        }
    }
    assert_eq!((starts, calls, answers), (2, 5, 5), "the section changed; so must this test");
}

#[tokio::test]
async fn the_first_request_that_the_start_prints_works() {
    let (app, key) = first_start().await;
    let line = app.printed_line("curl -s").await;
    let answer: Value = serde_json::from_str(&typed(&app, &key, &line)).unwrap();
    assert_eq!(answer["status"], "ok", "{answer}");
}

#[test]
fn the_windows_requests_equal_the_first_request() {
    let blocks = section();
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
fn the_links_of_the_readme_resolve() {
    let readme = page("README.md");
    let links: Vec<_> =
        readme.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()).collect();
    assert!(links.len() > 8, "{links:?}");
    for link in links.into_iter().filter(|link| !link.contains("://")) {
        let file = link.split('#').next().unwrap();
        assert!(repository().join(file).exists(), "`{link}` does not exist");
    }
}
