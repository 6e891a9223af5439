//! The Grafana dashboard and the Prometheus alerts use only exported metrics and labels.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use life_agent_groq::testing::Answer as Told;
use serde_json::{Value, json};

use crate::support::{TestApp, chat, with_model};

/// Labels and the metric that Prometheus itself adds.
const ADDED: [&str; 2] = ["job", "instance"];
const UP: &str = "up";

/// A metric in an expression, with the labels used on it.
type Asked = BTreeMap<String, BTreeSet<String>>;

fn docs() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs")
}

fn dashboard() -> Value {
    let text = std::fs::read(docs().join("grafana/dashboard.json")).unwrap();
    serde_json::from_slice(&text).unwrap()
}

fn alerts() -> Vec<String> {
    let text = std::fs::read_to_string(docs().join("prometheus/alerts.yaml")).unwrap();
    let rules: Value = serde_yaml::from_str(&text).unwrap();
    let groups = rules["groups"].as_array().unwrap().iter();
    groups
        .flat_map(|group| group["rules"].as_array().unwrap())
        .map(|rule| rule["expr"].as_str().unwrap().to_owned())
        .collect()
}

/// Every `expr` in a dashboard.
fn expressions(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            found.extend(map.get("expr").and_then(Value::as_str).map(str::to_owned));
            map.values().for_each(|inner| expressions(inner, found));
        }
        Value::Array(items) => items.iter().for_each(|inner| expressions(inner, found)),
        _ => {}
    }
}

/// Metrics and labels of a PromQL expression. Names before a parenthesis are functions. Names in the parentheses of
/// `by`, `on` and similar are labels of every metric, names in braces labels of the preceding metric.
fn asked(expression: &str) -> (Asked, BTreeSet<String>) {
    const WORDS: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];
    const OPERATORS: [&str; 6] = ["and", "or", "unless", "offset", "bool", "atan2"];
    let (mut metrics, mut grouped) = (Asked::new(), BTreeSet::new());
    let mut rest = expression;
    while let Some(first) = rest.chars().next() {
        let end =
            rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
        if first == '[' {
            // A range; `$__rate_interval` is a variable of Grafana.
            rest = &rest[rest.find(']').unwrap() + 1..];
            continue;
        }
        if end == 0 || first.is_ascii_digit() {
            rest = &rest[end.max(first.len_utf8())..];
            continue;
        }
        let (name, after) = rest.split_at(end);
        rest = after.trim_start();
        if WORDS.contains(&name) {
            let close = rest.find(')').unwrap();
            grouped.extend(rest[1..close].split(',').map(|label| label.trim().to_owned()));
            rest = &rest[close + 1..];
        } else if !OPERATORS.contains(&name)
            && !rest.starts_with('(')
            && !WORDS.iter().any(|word| rest.starts_with(&format!("{word} (")))
        {
            let labels = metrics.entry(name.to_owned()).or_default();
            if rest.starts_with('{') {
                let close = rest.find('}').unwrap();
                let matchers = rest[1..close].split(", ").flat_map(|part| part.split(','));
                labels.extend(matchers.filter_map(|part| {
                    let end = part.find(['=', '!'])?;
                    Some(part[..end].trim().to_owned())
                }));
                rest = &rest[close + 1..];
            }
        }
    }
    (metrics, grouped)
}

/// The exported metrics of a server, each with its labels.
fn exported(text: &str) -> Asked {
    let mut names = Asked::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (series, _) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let known = names.entry(name.to_owned()).or_default();
        for (at, _) in labels.match_indices("=\"") {
            let start = labels[..at].rfind([',', '{']).map_or(0, |comma| comma + 1);
            known.insert(labels[start..at].to_owned());
        }
    }
    names
}

/// A server that has performed every counted operation once.
async fn busy() -> (life_agent_groq::testing::StandIn, TestApp) {
    // A narration, a failed attempt with its retry, a refusal, a stream.
    let script = vec![
        Told::text("You rest."),
        Told::error(503, "busy", "later"),
        Told::text("A courtyard."),
        Told::error(400, "bad", "no"),
        Told::stream(&["A ", "road."]),
    ];
    let (provider, app) = with_model(script).await;
    app.act("a", "rest").await;
    app.turn("a", "hello").await;
    app.post("/plan", &json!({"intent": "x", "edits": [{"path": "plans/a.md", "op": "create", "content": "x\n"}]})).await.ok();
    app.post("/turn", &json!({"agent_id": "a", "input": "../../../../etc/passwd"})).await;
    app.post("/policy/reload", &json!({})).await.ok();
    app.post("/llm/chat", &chat("What is behind the gate?")).await;
    app.post("/llm/chat", &chat("And now?")).await;
    let mut streamed = chat("And in pieces?");
    streamed["stream"] = true.into();
    app.post("/llm/chat", &streamed).await;
    (provider, app)
}

#[tokio::test]
async fn every_used_metric_and_label_is_exported() {
    let (_provider, app) = busy().await;
    let exported = exported(&app.metrics().await);
    let mut found = alerts();
    expressions(&dashboard(), &mut found);
    assert!(found.len() > 30, "{}", found.len());
    for expression in found {
        let (metrics, grouped) = asked(&expression);
        assert!(!metrics.is_empty(), "{expression}");
        for (name, labels) in metrics {
            if name == UP {
                continue;
            }
            let known = exported.get(&name);
            let known = known.unwrap_or_else(|| panic!("no `{name}`, asked by {expression}"));
            for label in labels.iter().chain(&grouped) {
                assert!(
                    known.contains(label) || ADDED.contains(&label.as_str()),
                    "`{name}` has no `{label}`, asked by {expression}"
                );
            }
        }
    }
}

/// The labels of each metric in the table of `docs/metrics.md`.
fn documented() -> Asked {
    let page = std::fs::read_to_string(docs().join("metrics.md")).unwrap();
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let labels = cells[3].split(", ").map(|label| label.trim_matches('`').to_owned());
        (cells[1].trim_matches('`').to_owned(), labels.filter(|label| !label.is_empty()).collect())
    })
    .collect()
}

#[tokio::test]
async fn every_exported_metric_and_label_is_in_the_reference() {
    let (_provider, app) = busy().await;
    let documented = documented();
    let mut found = 0;
    for (name, labels) in exported(&app.metrics().await) {
        if name.starts_with("process_") {
            continue;
        }
        let parts = ["_bucket", "_sum", "_count"];
        let base = parts.iter().find_map(|part| name.strip_suffix(part));
        let known = documented.get(&name).or_else(|| base.and_then(|base| documented.get(base)));
        let known = known.unwrap_or_else(|| panic!("docs/metrics.md lacks `{name}`"));
        for label in labels.iter().filter(|label| *label != "le") {
            assert!(known.contains(label), "docs/metrics.md lacks `{label}` of `{name}`");
        }
        found += 1;
    }
    assert!(found > 40, "{found}");
}

#[test]
fn the_dashboard_can_be_provisioned_unchanged() {
    let dashboard = dashboard();
    assert_eq!(dashboard["uid"], "life-agent");
    assert!(dashboard.get("__inputs").is_none());
    assert!(dashboard.get("id").is_none_or(Value::is_null));
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    assert!(variables.iter().any(|v| v["type"] == "datasource" && v["query"] == "prometheus"));
    let mut ids = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{}", panel["title"]);
        if panel["type"] != "row" {
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{}", panel["title"]);
            assert!(panel["description"].is_string(), "{}", panel["title"]);
        }
    }
}

#[test]
fn promtool_accepts_the_rules_and_the_example() {
    let check = |what: &str, file: &str| {
        Command::new("promtool")
            .args(["check", what, file])
            .current_dir(docs().join("prometheus"))
            .output()
    };
    for (what, file) in [("rules", "alerts.yaml"), ("config", "prometheus.yml")] {
        match check(what, file) {
            Ok(output) => {
                assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr))
            }
            Err(error) => {
                let needed = std::env::var_os("LIFE_AGENT_NEED_PROMTOOL").is_some();
                assert!(!needed, "promtool does not start: {error}");
                eprintln!("left out: promtool is not installed");
            }
        }
    }
}

#[test]
fn names_and_labels_are_found_in_expressions() {
    let (metrics, grouped) = asked(
        r#"histogram_quantile(0.99, sum by (le, job) (rate(a_bucket{kind=~"x|y", job="z"}[5m]))) > 1 unless on (job) b == 1"#,
    );
    let names: Vec<_> = metrics.keys().map(String::as_str).collect();
    assert_eq!(names, ["a_bucket", "b"]);
    assert_eq!(metrics["a_bucket"], ["job", "kind"].map(str::to_owned).into());
    assert_eq!(grouped, ["job", "le"].map(str::to_owned).into());
}
