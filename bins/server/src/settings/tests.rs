//! Sources of settings, their precedence, and the messages about invalid values.

use life_agent_engine::observer::Retention;
use secrecy::ExposeSecret;

use super::*;

/// A folder with these files, read with this environment and these flags.
fn outcome(
    files: &[(&str, &str)],
    env: &[(&str, &str)],
    flags: &[(&str, &str)],
) -> Result<Settings, String> {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    let inputs = Inputs {
        dir: dir.path().to_path_buf(),
        file: None,
        env: env.iter().map(|(name, value)| (name.into(), value.into())).collect(),
        flags: flags.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect(),
    };
    read(&inputs).and_then(|found| settings(&found)).map_err(|error| error.to_string())
}

fn keys(env: &[(&str, &str)]) -> Vec<(String, String)> {
    let keys = outcome(&[], env, &[]).unwrap().keys;
    keys.into_iter().map(|key| (key.name, key.key.expose_secret().to_owned())).collect()
}

#[track_caller]
fn refused(files: &[(&str, &str)], env: &[(&str, &str)], words: &[&str]) {
    let message = outcome(files, env, &[]).unwrap_err();
    assert_eq!(message.lines().count(), 1, "{message}");
    for word in words {
        assert!(message.contains(word), "`{word}` is not in: {message}");
    }
}

#[test]
fn the_defaults_are_those_of_the_contract() {
    let settings = outcome(&[], &[], &[]).unwrap();
    assert_eq!((settings.host.to_string().as_str(), settings.port), ("127.0.0.1", 8000));
    assert_eq!(settings.journal.to_string(), "agent.db");
    assert_eq!(settings.whitelist_dirs, ["plans"]);
    assert_eq!((settings.seed, settings.rate_limit_rps), (42, 5));
    assert_eq!((settings.rate_limit_principal_rps, settings.new_agents_per_minute), (50, 60));
    assert_eq!(settings.journal_max_bytes, None);
    assert_eq!(settings.allowed_origins, ["https://chat.openai.com", "https://chatgpt.com"]);
    assert_eq!(settings.log_file.unwrap().to_str(), Some("logs/app.log"));
    assert!(settings.keys.is_empty() && !settings.kill_switch && !settings.opa_enable);
}

#[test]
fn the_file_of_a_folder_cannot_send_a_key_of_the_environment_elsewhere() {
    let file = (".env", "GROQ_BASE_URL=https://elsewhere.example/v1\n");
    refused(&[file], &[("GROQ_API_KEY", "gsk_x")], &["GROQ_BASE_URL", "set both in one place"]);
    let both = (".env", "GROQ_BASE_URL=https://elsewhere.example/v1\nGROQ_API_KEY=gsk_x\n");
    assert!(outcome(&[both], &[], &[]).is_ok());
    let address = [("GROQ_BASE_URL", "https://elsewhere.example/v1"), ("GROQ_API_KEY", "gsk_x")];
    assert!(outcome(&[file], &address, &[]).is_ok(), "the environment wins for both");
}

#[test]
fn limits_of_principals_follow_the_rate_limit_unless_they_are_set() {
    for (rps, own, limits) in [
        ("0", None, (0, 0)),
        ("5", None, (50, 60)),
        ("20", None, (200, 60)),
        ("0", Some("7"), (7, 7)),
        ("5", Some("0"), (0, 0)),
    ] {
        let mut env = vec![("RATE_LIMIT_RPS", rps)];
        env.extend(own.map(|own| ("RATE_LIMIT_PRINCIPAL_RPS", own)));
        env.extend(own.map(|own| ("NEW_AGENTS_PER_MINUTE", own)));
        let settings = outcome(&[], &env, &[]).unwrap();
        let found = (settings.rate_limit_principal_rps, settings.new_agents_per_minute);
        assert_eq!(found, limits, "{rps} {own:?}");
    }
    refused(&[], &[("NEW_AGENTS_PER_MINUTE", "-1")], &["NEW_AGENTS_PER_MINUTE"]);
}

#[test]
fn later_sources_win() {
    let file =
        ("life-agent.toml", "port = 1\nrate_limit_rps = 1\nlog_level = \"debug\"\nhost = \"::1\"");
    let dotenv = (".env", "PORT=2\nRATE_LIMIT_RPS=2\nLOG_LEVEL=warn\nOTHER=x\n");
    let settings =
        outcome(&[file, dotenv], &[("PORT", "3"), ("RATE_LIMIT_RPS", "3")], &[("port", "4")])
            .unwrap();
    assert_eq!((settings.port, settings.rate_limit_rps), (4, 3));
    assert_eq!(settings.log_level, tracing::level_filters::LevelFilter::WARN);
    assert_eq!(settings.host.to_string(), "::1");
}

#[test]
fn an_empty_value_is_no_value() {
    let file = ("life-agent.toml", "port = 1");
    let settings = outcome(&[file], &[("PORT", ""), ("API_KEY", "")], &[]).unwrap();
    assert_eq!(settings.port, 1);
    assert!(settings.keys.is_empty());
}

#[test]
fn lists_may_be_lists_in_the_file() {
    let file = ("life-agent.toml", "agent_whitelist_dirs = [\"plans\", \"docs\"]");
    assert_eq!(outcome(&[file], &[], &[]).unwrap().whitelist_dirs, ["plans", "docs"]);
}

#[test]
fn a_value_that_does_not_fit_is_named_with_its_place_and_what_was_expected() {
    refused(&[], &[("PORT", "eighty")], &["PORT", "`eighty`", "environment", "0 to 65535"]);
    refused(&[("life-agent.toml", "port = 70000")], &[], &["PORT", "`70000`", "life-agent.toml"]);
    refused(
        &[(".env", "KILL_SWITCH=maybe")],
        &[],
        &["KILL_SWITCH", "`maybe`", ".env", "`on` or `off`"],
    );
    refused(&[], &[("HOST", "example.org")], &["HOST", "IP address"]);
    refused(&[], &[("DETERMINISTIC_SEED", "-1")], &["DETERMINISTIC_SEED", "`-1`"]);
    refused(&[], &[("LOG_LEVEL", "loud")], &["LOG_LEVEL", "`loud`"]);
    refused(&[], &[("PUBLIC_SERVER_URL", "ftp://x")], &["PUBLIC_SERVER_URL"]);
    for origins in ["*", "https://*.example.org", "https://example.org/path", "example.org"] {
        refused(&[], &[("ALLOWED_ORIGINS", origins)], &["ALLOWED_ORIGINS", "exact origins"]);
    }
}

#[test]
fn the_file_is_held_to_the_settings_there_are() {
    refused(&[("life-agent.toml", "prot = 1")], &[], &["life-agent.toml", "unknown", "`prot`"]);
    refused(&[("life-agent.toml", "[port]\nx = 1")], &[], &["PORT", "one value"]);
    refused(&[("life-agent.toml", "[journal]\nkeep = 1")], &[], &["unknown", "`journal.keep`"]);
    refused(&[("life-agent.toml", "[journal]")], &[], &["unknown", "`journal`"]);
    let twice = "journal_keep_rows = 1\n[journal]\nkeep_rows = 1";
    refused(&[("life-agent.toml", twice)], &[], &["journal_keep_rows` twice"]);
    refused(&[("life-agent.toml", "port = = 1")], &[], &["life-agent.toml", "not TOML", "line 1"]);
}

#[test]
fn what_the_journal_keeps_is_set_by_rows_by_days_or_by_both() {
    assert_eq!(outcome(&[], &[], &[]).unwrap().journal_keep, []);
    let file = ("life-agent.toml", "[journal]\nkeep_rows = 1000\nkeep_days = 30");
    let both = [Retention::Rows(1000), Retention::Days(30)];
    assert_eq!(outcome(&[file], &[], &[]).unwrap().journal_keep, both);
    let env = [("JOURNAL_KEEP_ROWS", "7")];
    assert_eq!(outcome(&[file], &env, &[]).unwrap().journal_keep, [Retention::Rows(7), both[1]]);
    for name in ["JOURNAL_KEEP_ROWS", "JOURNAL_KEEP_DAYS"] {
        for bad in ["0", "-1", "many", "1.5"] {
            refused(&[], &[(name, bad)], &[name, "whole number from 1"]);
        }
    }
}

#[test]
fn the_level_may_have_one_of_pythons_names() {
    for (name, level) in [
        ("WARNING", LevelFilter::WARN),
        ("warning", LevelFilter::WARN),
        ("CRITICAL", LevelFilter::ERROR),
        ("FATAL", LevelFilter::ERROR),
        ("NOTSET", LevelFilter::TRACE),
        ("Info", LevelFilter::INFO),
    ] {
        assert_eq!(outcome(&[], &[("LOG_LEVEL", name)], &[]).unwrap().log_level, level, "{name}");
    }
    refused(&[], &[("LOG_LEVEL", "off")], &["LOG_LEVEL", "`off`"]);
}

#[test]
fn api_token_is_another_name_for_api_key() {
    let pair = |name: &str, key: &str| (name.to_owned(), key.to_owned());
    assert_eq!(keys(&[("API_TOKEN", "k")]), [pair("default", "k")]);
    assert_eq!(keys(&[("API_TOKEN", "k"), ("API_KEY", "k")]), [pair("default", "k")]);
    assert_eq!(
        keys(&[("API_TOKEN", "k"), ("API_TOKENS", "ci=c")]),
        [pair("default", "k"), pair("ci", "c")]
    );
    refused(
        &[],
        &[("API_TOKEN", "hush"), ("API_KEY", "other")],
        &["API_KEY", "API_TOKEN", "differ"],
    );
    let later = outcome(&[(".env", "API_KEY=first\n")], &[("API_TOKEN", "second")], &[]).unwrap();
    assert_eq!(later.keys[0].key.expose_secret(), "second");
    let file = ("life-agent.toml", "api_token = \"k\"");
    assert_eq!(outcome(&[file], &[], &[]).unwrap().keys.len(), 1);
    let twice = ("life-agent.toml", "api_token = \"k\"\napi_key = \"k\"");
    refused(&[twice], &[], &["twice"]);
}

#[test]
fn origins_extend_the_defaults_unless_they_begin_with_only() {
    let origins =
        |text: &str| outcome(&[], &[("ALLOWED_ORIGINS", text)], &[]).unwrap().allowed_origins;
    let defaults = ["https://chat.openai.com", "https://chatgpt.com"];
    assert_eq!(origins("https://a.example"), [defaults[0], defaults[1], "https://a.example"]);
    assert_eq!(origins(defaults[0]), defaults);
    assert_eq!(origins("only:https://a.example"), ["https://a.example"]);
    assert_eq!(
        origins("only: tauri://localhost, https://b.example:8443/"),
        ["tauri://localhost", "https://b.example:8443"]
    );
    assert_eq!(origins("only:"), [""; 0]);
}

#[test]
fn a_path_that_was_set_must_exist_and_a_default_need_not() {
    assert_eq!(outcome(&[], &[], &[]).unwrap().required, []);
    let settings = outcome(&[], &[("POLICY_PATH", "no/such.yaml")], &[]).unwrap();
    let error = settings.required[0].check().unwrap_err().to_string();
    for word in ["POLICY_PATH", "no/such.yaml", "the environment"] {
        assert!(error.contains(word), "{error}");
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    let settings = outcome(&[], &[("POLICY_DIR", path), ("POLICY_PATH", path)], &[]).unwrap();
    assert!(settings.required[0].check().unwrap_err().to_string().contains("not a file"));
    assert_eq!(settings.required[1].check(), Ok(()));
}

#[test]
fn names_that_look_like_settings_are_reported_without_their_values() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(".env"), "API_TOKN=hush\nPORT=1\nOTHER=x\n").unwrap();
    let env = vec![("LIFE_AGENT_HOST".into(), "hush".into()), ("HOME".into(), "/root".into())];
    let inputs = Inputs { dir: dir.path().to_path_buf(), env, ..Inputs::default() };
    let lines: Vec<_> = unknown(&inputs).iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "`API_TOKN` (.env) is not a setting; did you mean `API_TOKEN`?",
            "`LIFE_AGENT_HOST` (the environment) is not a setting; did you mean `HOST`?",
        ]
    );
}

#[test]
fn no_message_shows_a_secret() {
    let secret = "hush hush";
    let quoted = format!("api_key = \"{secret}");
    for (files, env) in [
        (vec![("life-agent.toml", quoted.as_str())], vec![]),
        (vec![(".env", "API_KEY='hush hush\n")], vec![]),
        (vec![], vec![("API_KEY", secret)]),
        (vec![], vec![("API_TOKENS", "a b=hush hush")]),
        (vec![], vec![("GROQ_API_KEY", secret)]),
    ] {
        let message = outcome(&files, &env, &[]).unwrap_err();
        assert!(!message.contains("hush"), "{message}");
        assert_eq!(message.lines().count(), 1, "{message}");
    }
    let settings = outcome(&[], &[("API_KEY", "hush"), ("API_TOKENS", "n=hush2")], &[]).unwrap();
    assert!(!format!("{settings:?}").contains("hush"));
}

#[test]
fn keys_have_the_names_of_their_callers() {
    let pair = |name: &str, key: &str| (name.to_owned(), key.to_owned());
    assert_eq!(keys(&[("API_KEY", "k")]), [pair("default", "k")]);
    assert_eq!(
        keys(&[("API_KEY", "k"), ("API_TOKENS", "ci=a, dash.board=b=c ,bare,c2VjcmV0IGtleSE=")]),
        [
            pair("default", "k"),
            pair("ci", "a"),
            pair("dash.board", "b=c"),
            pair("key-9b828d53", "bare"),
            pair("key-d433dcd6", "c2VjcmV0IGtleSE="),
        ]
    );
    assert_eq!(keys(&[("API_KEY", "1234")]), [pair("default", "1234")]);
    for bad in ["a b=k", "name=k ey", "ä", "anna=", "anna==", "YWJj=="] {
        refused(&[], &[("API_TOKENS", bad)], &["API_TOKENS"]);
    }
}
