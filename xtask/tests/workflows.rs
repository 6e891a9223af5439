//! The workflows of GitHub: that they can be read, run what CI runs, and ask for no more than they need.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests may")]

use std::path::Path;

use serde_json::Value;

fn workflows() -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.github/workflows");
    let read = |path: std::path::PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        let parsed = serde_yaml::from_str(&text).unwrap_or_else(|e| panic!("{path:?}: {e}"));
        (path.file_name().unwrap().to_str().unwrap().to_owned(), parsed)
    };
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.map(read).collect()
}

fn steps(workflow: &Value) -> Vec<(&str, &Value)> {
    let jobs = workflow["jobs"].as_object().unwrap();
    let of_job = |(name, job)| -> Vec<(&str, &Value)> {
        let (name, job): (&String, &Value) = (name, job);
        job["steps"].as_array().unwrap().iter().map(|step| (name.as_str(), step)).collect()
    };
    jobs.iter().flat_map(of_job).collect()
}

#[test]
fn every_action_is_pinned_to_a_major_version_or_a_commit() {
    for (file, workflow) in workflows() {
        for (job, step) in steps(&workflow) {
            let Some(uses) = step["uses"].as_str() else {
                assert!(step["run"].is_string(), "{file}, {job}: a step that does nothing");
                continue;
            };
            let version = uses.split_once('@').unwrap().1;
            let major = version.strip_prefix('v').is_some_and(|n| n.parse::<u8>().is_ok());
            let commit = version.len() == 40 && version.bytes().all(|b| b.is_ascii_hexdigit());
            assert!(major || commit, "{file}, {job}: {uses}");
        }
    }
}

#[test]
fn only_the_jobs_that_publish_may_write() {
    for (file, workflow) in workflows() {
        let read_only = serde_json::json!({"contents": "read"});
        assert_eq!(workflow["permissions"], read_only, "{file}");
        for (name, job) in workflow["jobs"].as_object().unwrap() {
            let writes = !job["permissions"].is_null();
            let publishes = [("ci.yml", "release"), ("pages.yml", "publish")];
            let expected = publishes.contains(&(file.as_str(), name.as_str()));
            assert_eq!(writes, expected, "{file}, {name}");
            assert!(job["timeout-minutes"].is_u64(), "{file}, {name} may run for ever");
        }
        for (job, step) in steps(&workflow) {
            let checks_out =
                step["uses"].as_str().is_some_and(|u| u.starts_with("actions/checkout@"));
            let keeps = step["with"]["persist-credentials"] != false;
            assert!(!(checks_out && keeps), "{file}, {job} keeps its credentials");
            // What others write, such as a title, must not become a line of a shell.
            let run = step["run"].as_str().unwrap_or_default();
            assert!(!run.contains("${{"), "{file}, {job}: {run}");
        }
    }
}

#[test]
fn ci_runs_what_anyone_can_run() {
    let (_, ci) = workflows().into_iter().find(|(file, _)| file == "ci.yml").unwrap();
    let runs = |command: &str| steps(&ci).iter().any(|(_, step)| step["run"] == command);
    assert!(runs("bash .ci/run"));
    let release = &ci["jobs"]["binary"];
    assert_eq!(release["if"], "startsWith(github.ref, 'refs/tags/v')");
    let denied = steps(&ci).iter().any(|(_, step)| {
        step["with"]["arguments"].as_str().is_some_and(|words| words.contains(".deny.toml"))
    });
    assert!(denied, "dependencies go unchecked");
}
