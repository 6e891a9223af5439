//! The log

use reqwest::Method;
use serde_json::Value;

use crate::support::{Answer, Setup, TestApp};

fn lines(log: &[u8]) -> Vec<Value> {
    let text = String::from_utf8(log.to_vec()).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
        .collect()
}

#[tokio::test]
async fn every_line_is_json_and_a_request_can_be_found_by_its_id() {
    let mut app = TestApp::start().await;
    for (path, id) in [("/meta", "find-me-1"), ("/nope", "find-me-2")] {
        Answer::of(app.request(Method::GET, path).header("X-Request-Id", id)).await;
    }
    assert!(app.stop().await.success());
    let log = lines(&app.read("logs/app.log"));
    for id in ["find-me-1", "find-me-2"] {
        let found = log.iter().filter(|line| line.to_string().contains(id)).count();
        assert!(found >= 1, "{id} is not in {log:#?}");
    }
}

#[tokio::test]
async fn a_dash_sends_the_log_to_standard_error_only() {
    let mut app = Setup::new().set("LOG_FILE", "-").start().await;
    app.get("/meta").await.ok();
    assert!(app.stop().await.success());
    assert!(!lines(app.complained().as_bytes()).is_empty());
    assert!(!app.folder().join("logs").exists() && !app.folder().join("-").exists());
}

#[tokio::test]
async fn a_level_suppresses_lower_levels() {
    let mut app = Setup::new().set("LOG_LEVEL", "ERROR").start().await;
    app.get("/meta").await.ok();
    assert!(app.stop().await.success());
    assert_eq!(lines(&app.read("logs/app.log")).len(), 0);
}

#[tokio::test]
async fn a_full_log_is_rotated_and_three_backups_are_kept() {
    let app = TestApp::start().await;
    let id = "i".repeat(128);
    let logs = app.folder().join("logs");
    let files = || -> Vec<_> {
        std::fs::read_dir(&logs).unwrap().map(|entry| entry.unwrap().path()).collect()
    };
    // Enough for four rotations at a hundred bytes per line; ends once four files exist.
    for _ in 0..500 {
        let mut calls = tokio::task::JoinSet::new();
        for _ in 0..100 {
            calls.spawn(Answer::of(
                app.request(Method::GET, "/kill-switch").header("X-Request-Id", &id),
            ));
        }
        calls.join_all().await.iter().for_each(|answer| drop(answer.ok()));
        if files().len() >= 4 {
            break;
        }
    }
    let files = files();
    assert_eq!(files.len(), 4, "{files:?}");
    for file in files {
        let size = file.metadata().unwrap().len();
        assert!(size <= (1 << 20) + 4096, "{} has {size} bytes", file.display());
    }
}
