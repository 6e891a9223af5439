//! `docs/policy.md`, followed by a reader: each YAML block extends the policy, and each command returns the
//! output that the page shows.

use std::fs::OpenOptions;
use std::io::Write;

use crate::support::snippets::{assert_shown, blocks, page, shell};
use crate::support::{KEY, TestApp};

#[tokio::test]
async fn every_snippet_of_the_policy_page_runs() {
    let app = TestApp::start().await;
    let policy = app.folder().join("policy/policy.yaml");
    let (mut written, mut commands, mut outputs) = (0, 0, 0);
    let mut output = String::new();
    for block in blocks(&page("docs/policy.md")) {
        match block.language.as_str() {
            "yaml" => {
                // The first block is the whole file; each other block adds a section.
                let mut file = OpenOptions::new();
                file.write(true).truncate(written == 0).append(written > 0);
                file.open(&policy).unwrap().write_all(block.text.as_bytes()).unwrap();
                app.post_nothing("/policy/reload").await.ok();
                written += 1;
            }
            "sh" => {
                output = shell(&app, KEY, &block.text);
                commands += 1;
            }
            "json" | "text" => {
                assert_shown(&block, &output);
                outputs += 1;
            }
            other => panic!("this test does not run blocks in `{other}`"),
        }
    }
    assert_eq!((written, commands, outputs), (6, 9, 9), "the page changed; so must this test");
}
