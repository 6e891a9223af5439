//! Failing starts, and the sources of settings

use crate::support::{KEY, Setup};

#[tokio::test]
async fn an_invalid_value_prevents_the_start_with_one_line() {
    for (name, value) in [
        ("PORT", "eighty"),
        ("PORT", "70000"),
        ("HOST", "not an address"),
        ("KILL_SWITCH", "maybe"),
        ("DETERMINISTIC_SEED", "-1"),
        ("RATE_LIMIT_RPS", "fast"),
        ("RATE_LIMIT_RPS", "-1"),
        ("LOG_LEVEL", "LOUD"),
        ("OPA_ENABLE", "perhaps"),
        ("ALLOWED_ORIGINS", "not-an-origin"),
        ("PUBLIC_SERVER_URL", "not-a-url"),
    ] {
        let refused = Setup::new().set(name, value).refused().await;
        let words = refused.in_words();
        assert!(words.contains(name), "{name}={value}: {words}");
        assert!(words.contains(value), "{name}={value}: {words}");
        assert_eq!(words.trim().lines().count(), 1, "{words}");
        assert_eq!(refused.stdout.trim(), "", "{refused:?}");
    }
}

#[tokio::test]
async fn an_invalid_key_list_is_named_and_never_shown() {
    // The first value is `anna=$KEY` without a variable KEY.
    for value in ["anna=", "=wert-geheim", "an na=wert-geheim"] {
        let refused = Setup::new().set("API_TOKENS", value).refused().await;
        let words = refused.in_words();
        assert!(words.contains("API_TOKENS"), "{words}");
        assert!(!format!("{refused:?}").contains("geheim"), "{refused:?}");
    }
}

#[tokio::test]
async fn an_unknown_key_in_the_file_is_named() {
    let refused = Setup::new().file("life-agent.toml", "prot = 8000\n").refused().await;
    let words = refused.in_words();
    assert!(words.contains("prot"), "{words}");
    assert_eq!(words.trim().lines().count(), 1, "{words}");
}

#[tokio::test]
async fn an_invalid_toml_file_is_named() {
    let refused = Setup::new().file("life-agent.toml", "port = = 1\n").refused().await;
    assert!(refused.in_words().contains("life-agent.toml"), "{refused:?}");
}

#[tokio::test]
async fn a_missing_configuration_file_is_named() {
    let refused = Setup::new().flag("--config").flag("missing.toml").refused().await;
    assert!(refused.in_words().contains("missing.toml"), "{refused:?}");
}

#[tokio::test]
async fn an_unknown_flag_prevents_the_start() {
    let refused = Setup::new().flag("--prot").flag("1").refused().await;
    assert!(refused.in_words().contains("--prot"), "{refused:?}");
}

#[tokio::test]
async fn an_invalid_policy_prevents_the_start_with_its_faults() {
    let policy = "version: \"2\"\nallowed_dirs: []\ncolor: red\nmax_diff_lines: -1\n";
    let refused = Setup::new().policy(policy).refused().await;
    let words = refused.in_words();
    for fault in ["policy/policy.yaml", "version", "allowed_dirs", "color", "max_diff_lines"] {
        assert!(words.contains(fault), "`{fault}` is not in {words}");
    }
}

#[tokio::test]
async fn an_invalid_profile_prevents_the_start_with_its_faults() {
    let profile = "version: \"9\"\nvoices: x\nactions: {}\nintents: []\ndefault_intent: none\n";
    let refused = Setup::new().file("policy/agent.yaml", profile).refused().await;
    let words = refused.in_words();
    for fault in ["version", "voices"] {
        assert!(words.contains(fault), "`{fault}` is not in {words}");
    }
}

#[tokio::test]
async fn an_unusable_journal_prevents_the_start_and_is_not_changed() {
    let noise = b"this is not a database, it is a letter to someone\n".repeat(100);
    let setup = Setup::new().file("agent.db", &noise);
    let refused = setup.refused().await;
    assert!(refused.in_words().contains("agent.db"), "{refused:?}");
    assert_eq!(std::fs::read(setup.folder().join("agent.db")).unwrap(), noise);

    let refused = Setup::new().set("DB_PATH", "no/such/folder/agent.db").refused().await;
    assert!(refused.in_words().contains("no/such/folder"), "{refused:?}");

    let folder = Setup::new().file("agent.db/file", "x");
    assert!(folder.refused().await.in_words().contains("agent.db"));
}

#[tokio::test]
async fn two_servers_never_share_a_journal() {
    let app = Setup::new().start().await;
    let db = app.folder().join("agent.db");
    let second = Setup::new().set("DB_PATH", db.to_str().unwrap()).refused().await;
    assert!(second.in_words().contains("agent.db"), "{second:?}");
    app.act("a", "rest").await;
}

#[tokio::test]
async fn a_used_port_is_named() {
    let app = Setup::new().start().await;
    let port = app.addr().port().to_string();
    let second = Setup::new().set("PORT", &port).refused().await;
    assert!(second.in_words().contains(&port), "{second:?}");
}

#[tokio::test]
async fn a_later_source_overrides_an_earlier_one() {
    let with_file = || Setup::new().file("life-agent.toml", "deterministic_seed = 1\n");
    let with_dotenv = || with_file().file(".env", "DETERMINISTIC_SEED=2\n");
    let with_env = || with_dotenv().set("DETERMINISTIC_SEED", "3");
    let with_flag = || with_env().flag("--deterministic-seed").flag("4");
    let other = || with_file().file("other.toml", "deterministic_seed = 5\n");
    for (setup, seed) in [
        (Setup::new(), 42),
        (with_file(), 1),
        (with_dotenv(), 2),
        (with_env(), 3),
        (with_flag(), 4),
        (other().flag("--config").flag("other.toml"), 5),
    ] {
        let app = setup.start().await;
        assert_eq!(app.state("nobody").await["seed"], seed);
    }
}

#[tokio::test]
async fn the_effective_settings_are_printed_with_masked_secrets() {
    let setup = Setup::new()
        .set("API_TOKENS", "anna=wert-geheim-1")
        .set("GROQ_API_KEY", "gsk_wert-geheim-2")
        .set("DB_PATH", "elsewhere.db")
        .flag("config");
    let printed = setup.refused().await;
    assert_eq!(printed.code, Some(0), "{printed:?}");
    assert!(printed.stdout.contains("elsewhere.db"), "{printed:?}");
    for secret in ["geheim", KEY] {
        assert!(!format!("{printed:?}").contains(secret), "{printed:?}");
    }
    assert!(!setup.folder().join("elsewhere.db").exists(), "printing settings starts nothing");
}

#[tokio::test]
async fn the_help_of_settings_lists_them() {
    let printed = Setup::new().flag("help").flag("settings").refused().await;
    assert_eq!(printed.code, Some(0));
    for flag in [
        "--config",
        "--host",
        "--port",
        "--db-path",
        "--workspace-dir",
        "--policy-path",
        "--policy-dir",
        "--plans-dir",
        "--kill-switch",
        "--deterministic-seed",
        "--rate-limit-rps",
        "--allowed-origins",
        "--public-server-url",
        "--log-file",
        "--log-level",
    ] {
        assert!(printed.stdout.contains(flag), "{flag} is not in\n{}", printed.stdout);
    }
}

#[tokio::test]
async fn folders_can_be_anywhere() {
    let setup = Setup::new()
        .file("tree/plans/.keep", "")
        .file("rules/mine.yaml", "version: \"1\"\nallowed_dirs: [plans]\n")
        .set("DB_PATH", "data.db")
        .set("WORKSPACE_DIR", "tree")
        .set("POLICY_PATH", "rules/mine.yaml")
        .file("more/strict.yaml", "version: \"1\"\nallowed_dirs: [plans]\nmax_diff_lines: 1\n")
        .set("POLICY_DIR", "more")
        .set("PLANS_DIR", "out")
        .set("LOG_FILE", "here.log");
    let app = setup.start().await;
    let plan = serde_json::json!({"intent": "x", "context": "y", "target_paths": ["plans/a.md"]});
    app.post("/plan", &plan).await.ok();
    for path in ["data.db", "here.log"] {
        assert!(app.folder().join(path).exists(), "{path}");
    }
    let artifacts = std::fs::read_dir(app.folder().join("out")).unwrap().count();
    assert!(artifacts >= 1);
    app.post("/policy/reload", &serde_json::json!({"path": "more/strict.yaml"})).await.ok();
    let elsewhere = serde_json::json!({"path": "policies/valid.yaml"});
    app.post("/policy/reload", &elsewhere).await.error(403, "path_forbidden");
    assert!(!app.folder().join("agent.db").exists() && !app.folder().join("logs").exists());
}

#[tokio::test]
async fn a_configured_missing_path_prevents_the_start() {
    for (name, path) in [
        ("POLICY_PATH", "policy/polcy.yaml"),
        ("POLICY_DIR", "polcies"),
        ("WORKSPACE_DIR", "no/such/tree"),
        ("KEYS_FILE", "kyes.yaml"),
        ("LLM_CA_FILE", "no-such-ca.pem"),
        // Reading a pipe would hold the start until somebody writes to it.
        ("KEYS_FILE", "pipe"),
        ("LLM_CA_FILE", "pipe"),
        ("POLICY_PATH", "pipe"),
    ] {
        let setup = Setup::new().set(name, path);
        rustix::fs::mkfifoat(
            rustix::fs::CWD,
            setup.folder().join("pipe"),
            rustix::fs::Mode::from_bits_truncate(0o600),
        )
        .unwrap();
        let refused = setup.refused().await;
        let words = refused.in_words();
        assert!(words.contains(name) && words.contains(path), "{words}");
        assert!(!setup.folder().join("agent.db").exists(), "{name}: the start left a journal");
    }
    // The defaults may be missing: the built-in policy applies.
    let setup = Setup::new();
    std::fs::remove_dir_all(setup.folder().join("policy")).unwrap();
    let app = setup.start().await;
    assert!(app.printed_line("policy: ").await.contains("built-in"));
}

#[tokio::test]
async fn no_part_of_an_address_that_is_a_secret_is_shown() {
    for (name, address) in [
        ("GROQ_BASE_URL", "https://user:geheim@x.example/v1"),
        ("GROQ_BASE_URL", "ftp://geheim@x.example"),
        ("PUBLIC_SERVER_URL", "ftp://a:geheim@b@c/d"),
    ] {
        let refused = Setup::new().set("GROQ_API_KEY", "k").set(name, address).refused().await;
        assert!(!refused.in_words().contains("geheim"), "{name}: {refused:?}");
    }
}

#[tokio::test]
async fn the_start_prints_its_files_and_model() {
    let app = Setup::new().set("GROQ_API_KEY", "gsk_wert-geheim").start().await;
    for (start, part) in [
        ("policy: ", "policy/policy.yaml, "),
        ("journal: ", "agent.db, "),
        ("workspace: ", "."),
        ("model: ", "openai/gpt-oss-120b at "),
    ] {
        let line = app.printed_line(start).await;
        assert!(line.contains(part), "{line}");
    }
    assert!(!app.printed().contains("geheim"));
    let without = Setup::new().start().await;
    assert!(without.printed_line("model: ").await.contains("GROQ_API_KEY"));
}

#[tokio::test]
async fn names_that_look_like_settings_are_logged_once_without_their_values() {
    let app = Setup::new()
        .set("API_TOKN", "wert-geheim-1")
        .set("LIFE_AGENT_PORT", "wert-geheim-2")
        .file(".env", "; a comment\nRATE_LIMIT_RSP=wert-geheim-3\n")
        .set("LOG_LEVEL", "WARNING")
        .set("LOG_FILE", "-")
        .start()
        .await;
    app.act("a", "rest").await;
    let log = app.complained();
    for name in ["API_TOKN", "LIFE_AGENT_PORT", "RATE_LIMIT_RSP"] {
        let lines = log.lines().filter(|line| line.contains(&format!("`{name}`")));
        assert_eq!(lines.count(), 1, "{name}: {log}");
    }
    assert!(!log.contains("geheim"), "{log}");
}

#[tokio::test]
async fn further_origins_extend_the_defaults_and_only_replaces_them() {
    let preflight = async |app: &crate::support::TestApp, origin: &str| {
        let request = app.bare(reqwest::Method::OPTIONS, "/act");
        let request = request
            .header("Origin", origin)
            .header("Access-Control-Request-Method", "POST")
            .header("Access-Control-Request-Headers", "x-api-key");
        let answer = crate::support::Answer::of(request).await;
        answer.header("Access-Control-Allow-Origin").map(str::to_owned)
    };
    let (default, more) = ("https://chatgpt.com", "https://more.example");
    let app = Setup::new().set("ALLOWED_ORIGINS", more).start().await;
    assert_eq!(preflight(&app, default).await.as_deref(), Some(default));
    assert_eq!(preflight(&app, more).await.as_deref(), Some(more));
    let app = Setup::new().set("ALLOWED_ORIGINS", &format!("only:{more}")).start().await;
    assert_eq!(preflight(&app, default).await, None);
    assert_eq!(preflight(&app, more).await.as_deref(), Some(more));
}

#[cfg(unix)]
#[tokio::test]
async fn the_services_files_are_private_to_its_user() {
    use std::os::unix::fs::PermissionsExt;
    let setup = Setup::new().set("PLANS_DIR", "artifacts");
    let app = setup.start().await;
    let plan = serde_json::json!({"intent": "x", "context": "y", "target_paths": ["plans/a.md"],
        "edits": [{"path": "plans/a.md", "op": "create", "content": "text\n"}]});
    app.post("/plan", &plan).await.ok();
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    let files = |folder: &str| {
        let entries = std::fs::read_dir(app.folder().join(folder)).unwrap();
        entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_file())
    };
    let journal = files(".").filter(|path| path.to_string_lossy().contains("agent.db"));
    let all: Vec<_> = journal.chain(files("logs")).chain(files("artifacts")).collect();
    assert!(all.len() >= 5, "{all:?}");
    for path in all {
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
    for folder in ["logs", "artifacts"] {
        assert_eq!(mode(&app.folder().join(folder)), 0o700, "{folder}");
    }
}
