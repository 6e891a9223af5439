//! The README's first ten minutes, run line by line as a new user would.

use serde_json::Value;

use crate::support::Setup;
use crate::support::snippets::{Block, assert_shown, blocks, page, repository, shell};

/// The fenced blocks of the section.
fn section() -> Vec<Block> {
    let readme = page("README.md");
    let (_, rest) = readme.split_once("## The first ten minutes\n").unwrap();
    blocks(rest.split("\n## ").next().unwrap())
}

/// The line of the README that exports the keys.
const KEYS: &str = "export AGENT='the agent key' ADMIN='the admin key'\n";

/// The keys that `init` printed.
fn key(printed: &str, name: &str) -> String {
    let line = printed.lines().find_map(|line| line.strip_prefix(&format!("{name} key: ")));
    line.unwrap_or_else(|| panic!("no {name} key in\n{printed}")).to_owned()
}

#[tokio::test]
async fn every_line_of_the_readme_works() {
    // The folder that `init` fills; the name of the README would be a folder in it.
    let setup = Setup::new().unset("API_KEY").unset("RATE_LIMIT_RPS").flag("init");
    std::fs::remove_dir_all(setup.folder().join("policy")).unwrap();
    let mut blocks = section().into_iter();
    let mut next = || blocks.next().unwrap().text;
    assert_eq!(next(), "cargo install --locked --path bins/server\n");
    assert_eq!(next(), "life-agent init my-agents\n");
    let printed = setup.refused().await;
    assert_eq!(printed.code, Some(0), "{printed:?}");
    assert_eq!(next(), "cd my-agents && life-agent\n");
    let app = setup.without_flag().start().await;
    let (agent, admin) = (key(&printed.stdout, "agent"), key(&printed.stdout, "admin"));
    let keys = format!("export AGENT='{agent}' ADMIN='{admin}'\n");
    let mut answer = String::new();
    let (mut calls, mut answers) = (0, 0);
    for block in blocks {
        match block.language.as_str() {
            "sh" => {
                let lines = block.text.strip_prefix(KEYS).unwrap_or(&block.text);
                answer = shell(&app, "", &format!("{keys}{lines}"));
                calls += 1;
            }
            "json" | "text" => {
                let last = answer.lines().last().unwrap_or_default();
                let is_live = block.text.starts_with("live:");
                assert_shown(&block, if is_live { last } else { &answer });
                answers += 1;
            }
            other => panic!("this test does not run blocks in `{other}`"),
        }
    }
    assert_eq!((calls, answers), (8, 7), "the section changed; so must this test");
}

#[tokio::test]
async fn the_first_request_that_a_start_without_a_key_prints_works() {
    let app = Setup::new().unset("API_KEY").unset("RATE_LIMIT_RPS").start().await;
    let line = app.printed_line("key for this run").await;
    let key = line.rsplit(' ').next().unwrap();
    let line = app.printed_line("curl -s").await;
    let answer: Value = serde_json::from_str(&shell(&app, key, &line)).unwrap();
    assert_eq!(answer["status"], "ok", "{answer}");
}

#[test]
fn the_windows_requests_equal_the_first_request() {
    let blocks = blocks(&page("docs/start.md"));
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
