//! The dashboard and the pages of `docs/` in a real browser: runs `tests/browser/*.test.mjs` with Node and Chromium.
//!
//! Without Node, Chromium or the packages in `target/browser`, the tests are skipped with a message;
//! `LIFE_AGENT_NEED_BROWSER=1` makes that a failure. `.ci/run` installs all three.

use std::path::Path;
use std::process::Command;

use reqwest::Method;

use crate::support::{Answer, TestApp, binary};

#[test]
fn the_dashboard_works_in_a_browser() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let browser = std::env::var("CHROMIUM").unwrap_or_else(|_| "/usr/bin/chromium".to_owned());
    let node = Command::new("node").arg("--version").output().is_ok();
    let packages = root.join("target/browser/node_modules/playwright-core");
    if !node || !Path::new(&browser).exists() || !packages.exists() {
        let missing = "the dashboard is not tested: it takes node, chromium and the packages of \
                       tests/browser below target/browser, as .ci/run installs them";
        assert!(std::env::var_os("LIFE_AGENT_NEED_BROWSER").is_none(), "{missing}");
        eprintln!("SKIPPED: {missing}");
        return;
    }
    let mut files: Vec<_> = std::fs::read_dir(root.join("tests/browser"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().ends_with(".test.mjs"))
        .collect();
    files.sort();
    if !root.join("target/site/index.html").exists() {
        let missing = "the site is not tested: `cargo xtask site` builds it into target/site";
        assert!(std::env::var_os("LIFE_AGENT_NEED_BROWSER").is_none(), "{missing}");
        eprintln!("SKIPPED: {missing}");
        files.retain(|file| !file.ends_with("site.test.mjs"));
    }
    assert!(files.len() >= 4, "{files:?}");
    let mut tests = Command::new("node");
    tests.args(["--test", "--test-reporter=spec", "--test-concurrency=1"]).args(files);
    tests.env("LIFE_AGENT_BIN", binary()).env("CHROMIUM", browser);
    // With this variable, Node would report to a parent test process.
    tests.env_remove("NODE_TEST_CONTEXT").env("FORCE_COLOR", "0");
    let output = tests.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn no_path_below_the_dashboard_leaves_its_folder() {
    let app = TestApp::start().await;
    for path in
        ["/ui//", "/ui/index.html", "/ui/app.js/", "/ui/..%2fjournal", "/ui/views", "/ui/x.js"]
    {
        Answer::of(app.bare(Method::GET, path)).await.error(404, "not_found");
    }
    Answer::of(app.bare(Method::POST, "/ui")).await.error(405, "method_not_allowed");
    assert_eq!(Answer::of(app.bare(Method::HEAD, "/ui")).await.status, 200);
}
