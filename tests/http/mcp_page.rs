//! `docs/mcp.md`, followed by a reader: the policy is valid, the configurations are JSON, the call works.

use serde_json::Value;

use crate::support::Setup;
use crate::support::snippets::{blocks, page, shell};

#[tokio::test]
async fn the_snippets_of_the_mcp_page_hold() {
    let app = Setup::new().set("API_KEY", "change-me-please").start().await;
    let policy = app.folder().join("policy/policy.yaml");
    let (mut valid, mut configurations, mut calls, mut clients) = (0, 0, 0, 0);
    let mut documents = 0;
    for block in blocks(&page("docs/mcp.md")) {
        match block.language.as_str() {
            "yaml" => {
                let text = std::fs::read_to_string(&policy).unwrap() + &block.text;
                std::fs::write(&policy, text).unwrap();
                let mut command = app.command();
                let output = command.args(["policy", "check"]).arg(&policy).output().unwrap();
                assert!(output.status.success(), "{output:?}");
                valid += 1;
            }
            "json" => {
                serde_json::from_str::<Value>(&block.text).unwrap();
                configurations += 1;
            }
            // It needs an issuer; `protected_resource` asks for the same document.
            "sh" if block.text.contains("/.well-known/") => documents += 1,
            "sh" if block.text.contains("curl") => {
                let reply: Value = serde_json::from_str(&shell(&app, "", &block.text)).unwrap();
                assert_eq!(reply["result"]["isError"], false, "{reply}");
                assert!(reply["result"]["_meta"]["event_id"].is_u64(), "{reply}");
                calls += 1;
            }
            // They need a client or a server of another vendor.
            "sh" => clients += 1,
            other => panic!("this test does not know blocks in `{other}`"),
        }
    }
    let found = (valid, configurations, calls, documents, clients);
    assert_eq!(found, (1, 3, 1, 1, 2), "so must this test change");
}
