//! The command line of the real binary: what it prints, and what it refuses.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests may")]

use std::path::Path;
use std::process::{Command, Output};

fn run(dir: &Path, env: &[(&str, &str)], arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_life-agent"))
        .env_clear()
        .envs(env.iter().copied())
        .current_dir(dir)
        .args(arguments)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn the_settings_have_a_page_of_help_with_a_flag_for_each() {
    let dir = tempfile::tempdir().unwrap();
    let help = |arguments: &[&str]| {
        let help = run(dir.path(), &[], arguments);
        assert!(help.status.success());
        text(&help.stdout)
    };
    let general = help(&["--help"]);
    assert!(general.contains("Examples:") && general.contains("--config"), "{general}");
    assert!(
        general.contains("life-agent help settings") && !general.contains("--host"),
        "{general}"
    );
    let help = help(&["help", "settings"]);
    for setting in &life_agent_server::settings::ALL {
        assert!(
            help.contains(&format!("--{} ", setting.flag())),
            "{} is not in:\n{help}",
            setting.name
        );
        assert!(help.contains(setting.name), "{} is not in:\n{help}", setting.name);
    }
}

#[test]
fn config_prints_the_effective_settings_with_secrets_masked() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("other.toml"), "rate_limit_rps = 7\n").unwrap();
    let env = [("PORT", "9000"), ("API_KEY", "hush"), ("API_TOKENS", "ci=quiet")];
    let config = run(dir.path(), &env, &["config", "--config", "other.toml", "--host", "::1"]);
    assert!(config.status.success());
    let config = text(&config.stdout);
    for line in [
        "HOST = ::1  (the command line)",
        "PORT = 9000  (the environment)",
        "RATE_LIMIT_RPS = 7  (other.toml)",
        "DB_PATH = agent.db  (the default)",
        "API_KEY = ********  (the environment)",
        "OPA_URL is not set",
    ] {
        assert!(config.lines().any(|found| found == line), "`{line}` is not in:\n{config}");
    }
    assert!(!config.contains("hush") && !config.contains("quiet"), "{config}");
}

/// Environment, arguments, and words that the one line must have.
type Case<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str], &'a [&'a str]);

#[test]
fn a_start_that_cannot_be_ends_with_one_line_and_leaves_nothing_behind() {
    // Bound as long as the table below runs.
    let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let busy = holder.local_addr().unwrap().port().to_string();
    let cases: [Case; 6] = [
        (&[("PORT", "x")], &[], &["PORT", "`x`", "expected"]),
        (&[], &["--rate-limit-rps", "-1"], &["RATE_LIMIT_RPS", "`-1`", "the command line"]),
        (&[("HOST", "0.0.0.0")], &[], &["API_KEY", "0.0.0.0"]),
        (&[("PORT", &busy)], &[], &["cannot listen", &busy]),
        (&[], &["--config", "none.toml"], &["none.toml"]),
        (&[("LOG_FILE", "/proc/none/app.log")], &[], &["LOG_FILE", "cannot write the log"]),
    ];
    for (env, arguments, words) in cases {
        let dir = tempfile::tempdir().unwrap();
        let ended = run(dir.path(), env, arguments);
        let said = text(&ended.stderr);
        assert_eq!(ended.status.code(), Some(1), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        for word in words {
            assert!(said.contains(word), "`{word}` is not in: {said}");
        }
        assert!(!dir.path().join("agent.db").exists(), "{said}");
    }
}

#[test]
fn an_unknown_flag_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let ended = run(dir.path(), &[], &["--prot", "1"]);
    assert_eq!(ended.status.code(), Some(2));
    assert!(text(&ended.stderr).contains("--port"), "it suggests the right one");
}
