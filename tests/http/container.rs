//! The container image and the Render blueprint, tested without a container engine.

mod dockerfile;
mod image;

use serde_json::{Value, json};

use crate::support::{Answer, client, fingerprint};
use dockerfile::{Ignored, read, repository, stages};
use image::{Image, Running, files};

const KEY: &str = "a-key-for-the-container-tests";

async fn post(service: &Running, path: &str, body: &Value) -> Value {
    let request = client().post(format!("http://{}{path}", service.addr));
    Answer::of(request.header("X-API-Key", KEY).json(body)).await.ok()
}

async fn state(service: &Running) -> Value {
    let request = client().get(format!("http://{}/state?agent_id=hero", service.addr));
    Answer::of(request.header("X-API-Key", KEY)).await.ok()
}

/// The image's health check, on the port of the test's service.
fn is_healthy(image: &Image, service: &Running) -> bool {
    let [program, arguments @ ..] = image.healthcheck.as_slice() else { panic!("no HEALTHCHECK") };
    assert_eq!(program, "life-agent");
    let port = service.addr.port().to_string();
    let mut arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    arguments.extend(["--port", &port]);
    let output = image.output(&arguments);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.success(), said.starts_with("ready"), "{output:?}");
    output.status.success()
}

#[tokio::test]
async fn the_image_serves_read_only_without_root_and_keeps_its_state_across_a_restart() {
    let image = Image::lay_out();
    let volume = image.volume.trim_start_matches('/').to_owned();
    let top = image.path("/");
    let before = fingerprint(&top, &[&volume]);

    let service = image.start(KEY);
    assert!(is_healthy(&image, &service));
    let turn = json!({"agent_id": "hero", "input": "explore the gate"});
    assert_eq!(post(&service, "/turn", &turn).await["state_version"], 1);
    let plan = json!({"intent": "i", "context": "c", "target_paths": ["plans/a.md"]});
    assert_eq!(post(&service, "/plan", &plan).await["status"], "created");
    let left = state(&service).await;
    assert!(service.stop().success());

    let service = image.start(KEY);
    assert_eq!(state(&service).await, left);
    let verified = image.output(&["audit", "verify"]);
    assert!(verified.status.success(), "{verified:?}");
    assert!(service.stop().success());

    assert_eq!(fingerprint(&top, &[&volume]), before, "it wrote outside of its volume");
    let kept = files(&image.path(&image.volume));
    for name in ["agent.db", "plan_"] {
        let there = |path: &&std::path::PathBuf| path.to_string_lossy().contains(name);
        assert!(kept.iter().any(|path| there(&path)), "no {name} in {kept:?}");
    }
}

#[tokio::test]
async fn the_image_is_unhealthy_when_nothing_serves() {
    let image = Image::lay_out();
    let service = image.start(KEY);
    let port = service.addr.port().to_string();
    assert!(service.stop().success());
    assert_eq!(image.output(&["healthcheck", "--port", &port]).status.code(), Some(1));
}

#[tokio::test]
async fn the_image_does_not_start_without_a_key() {
    let refused = Image::lay_out().output(&[]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("API_KEY"), "{refused:?}");
}

#[tokio::test]
async fn the_image_sets_the_documented_settings_only() {
    let image = Image::lay_out();
    let config: Value =
        serde_json::from_slice(&image.output(&["config", "--json"]).stdout).unwrap();
    let of = |name: &str| config.as_array().unwrap().iter().find(|found| found["name"] == name);
    for (name, value) in [("HOST", "0.0.0.0"), ("PORT", "10000"), ("LOG_FILE", "-")] {
        assert_eq!(of(name).unwrap()["value"], value);
    }
    for name in image.env.keys() {
        let found = of(name).unwrap_or_else(|| panic!("{name} is no setting"));
        assert_eq!(found["from"], "the environment");
    }
    assert_eq!(image.exposed, image.env["PORT"]);
    for name in ["DB_PATH", "PLANS_DIR"] {
        assert!(image.env[name].starts_with(&format!("{}/", image.volume)), "{name}");
    }
}

#[test]
fn every_stage_of_the_build_is_pinned_and_locked() {
    let names: Vec<_> = stages()
        .iter()
        .filter_map(|stage| Some(stage[0].rest.split_once(" AS ")?.1.to_owned()))
        .collect();
    for stage in stages() {
        let base = stage[0].rest.split_whitespace().next().unwrap();
        let pinned = base.split_once(':').is_some_and(|(_, tag)| !tag.starts_with("latest"));
        assert!(pinned || names.iter().any(|name| name == base), "{base}");
        for run in stage.iter().filter(|instruction| instruction.name == "RUN") {
            let compiles = ["cargo build", "cargo install", "chef cook"];
            let compiles = compiles.iter().any(|command| run.rest.contains(command));
            assert!(!compiles || run.rest.contains("--locked"), "{}", run.rest);
        }
    }
}

#[test]
fn the_build_context_has_every_source_and_no_secret() {
    let ignored = Ignored::read();
    for folder in ["bins", "crates", "policies", "policy", "tests", "xtask"] {
        for file in files(&repository().join(folder)) {
            let path = file.strip_prefix(repository()).unwrap().to_str().unwrap();
            let left_out = ["target", "node_modules"];
            let needed = !path.split('/').any(|part| left_out.contains(&part));
            assert!(!needed || !ignored.drops(path), "{path} is dropped");
        }
    }
    for path in ["Cargo.toml", "Cargo.lock", "LICENSE", "plans/README.md"] {
        assert!(!ignored.drops(path) && repository().join(path).exists(), "{path}");
    }
    for path in [
        ".env",
        ".env.local",
        ".git/config",
        "agent.db",
        "agent.db-wal",
        "agent.db-search",
        "agent.db.lock",
        "life-agent.toml",
        "logs/app.log",
        "plans/plan_20261123T000000Z_abc.json",
        "target/debug/life-agent",
    ] {
        assert!(ignored.drops(path), "{path} would be copied");
    }
}

#[tokio::test]
async fn the_render_blueprint_fits_the_image() {
    let image = Image::lay_out();
    let blueprint: Value = serde_yaml::from_str(&read("render.yaml")).unwrap();
    let service = &blueprint["services"][0];
    assert_eq!((&service["type"], &service["runtime"]), (&json!("web"), &json!("docker")));
    assert_eq!(service["disk"]["mountPath"], image.volume);
    assert_eq!(service["numInstances"], 1);
    let variables = service["envVars"].as_array().unwrap();
    let of = |name: &str| variables.iter().find(|variable| variable["key"] == name).unwrap();
    assert_eq!(of("API_KEY")["generateValue"], true);
    assert_eq!(of("PORT")["value"], image.exposed);
    let config = image.output(&["config"]).stdout;
    let config = String::from_utf8(config).unwrap();
    for variable in variables {
        let name = variable["key"].as_str().unwrap();
        let known = config.lines().any(|line| line.starts_with(&format!("{name} ")));
        assert!(known, "{name} is no setting");
        let secret = ["API_KEY", "GROQ_API_KEY"].contains(&name);
        assert!(!secret || variable["value"].is_null(), "{name} is written down");
    }
    let running = image.start(KEY);
    let path = service["healthCheckPath"].as_str().unwrap();
    let answer = Answer::of(client().get(format!("http://{}{path}", running.addr))).await;
    assert_eq!(answer.status, 200);
}
