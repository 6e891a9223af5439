//! The workflows of the repository, as far as they can be tested without a hosted machine: they parse, and what
//! they name exists. The archive of a release serves where it is unpacked.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::binary;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// Each workflow by its file name.
fn workflows() -> Vec<(String, Value)> {
    let folder = std::fs::read_dir(root().join(".github/workflows")).unwrap();
    folder
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            let text = std::fs::read_to_string(&path).unwrap();
            let parsed =
                serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
            (name, parsed)
        })
        .collect()
}

fn objects<'a>(value: &'a Value, field: &str) -> Vec<(&'a String, &'a Value)> {
    value[field].as_object().into_iter().flatten().collect()
}

fn list<'a>(value: &'a Value, field: &str) -> Vec<&'a Value> {
    value[field].as_array().into_iter().flatten().collect()
}

/// The jobs that a job waits for.
fn needs(job: &Value) -> Vec<&str> {
    match &job["needs"] {
        Value::String(one) => vec![one],
        Value::Array(all) => all.iter().map(|name| name.as_str().unwrap()).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn every_workflow_names_jobs_actions_packages_and_files_that_exist() {
    let manifests = ["bins/server/Cargo.toml", "xtask/Cargo.toml"]
        .map(|path| std::fs::read_to_string(root().join(path)).unwrap());
    let (mut commands, mut steps) = (0, 0);
    for (name, workflow) in workflows() {
        assert_eq!(workflow["permissions"], serde_json::json!({"contents": "read"}), "{name}");
        let jobs = objects(&workflow, "jobs");
        for (job_name, job) in &jobs {
            let at = format!("{name}, {job_name}");
            for needed in needs(job) {
                assert!(jobs.iter().any(|(known, _)| *known == needed), "{at} needs `{needed}`");
            }
            if let Some(called) = job["uses"].as_str() {
                let callee = called.strip_prefix("./.github/workflows/").expect(called);
                let all = workflows();
                let (_, callee) = all.iter().find(|(known, _)| known == callee).expect(&at);
                // `on` is a key of text in YAML 1.2.
                assert!(callee["on"].as_object().unwrap().contains_key("workflow_call"), "{at}");
                continue;
            }
            assert!(job["timeout-minutes"].is_u64(), "{at} may run for ever");
            let publishes = ["release.yml, release", "release.yml, image", "pages.yml, publish"];
            assert_eq!(job["permissions"].is_object(), publishes.contains(&at.as_str()), "{at}");
            for step in list(job, "steps") {
                steps += 1;
                if let Some(action) = step["uses"].as_str() {
                    let (action, version) = action.split_once('@').expect("a version");
                    let is_major =
                        version.strip_prefix('v').is_some_and(|n| n.parse::<u8>().is_ok());
                    let is_commit =
                        version.len() == 40 && version.bytes().all(|b| b.is_ascii_hexdigit());
                    assert!(is_major || is_commit, "{at}: {action}@{version}");
                    let keeps = step["with"]["persist-credentials"] != false;
                    assert!(action != "actions/checkout" || !keeps, "{at} keeps its credentials");
                }
                let run = step["run"].as_str().unwrap_or_default();
                commands += usize::from(!run.is_empty());
                // An expression in a script is text of the event; variables carry it in instead.
                let inserted = run.match_indices("${{").map(|(start, _)| &run[start..]);
                for expression in inserted {
                    assert!(expression.starts_with("${{ matrix."), "{at}: {expression}");
                }
                for line in run.lines().filter(|line| line.contains("cargo ")) {
                    let words: Vec<_> = line.split_whitespace().collect();
                    for pair in words.windows(2).filter(|pair| pair[0] == "--package") {
                        let package = format!("name = \"{}\"", pair[1]);
                        assert!(
                            manifests.iter().any(|text| text.contains(&package)),
                            "{at}: {line}"
                        );
                    }
                    for pair in words.windows(2).filter(|pair| pair[0] == "--manifest-path") {
                        assert!(root().join(pair[1]).is_file(), "{at}: {line}");
                    }
                }
                for word in run.split_whitespace().filter(|word| word.starts_with(".ci/")) {
                    assert!(root().join(word).is_file(), "{at}: {word}");
                }
            }
        }
    }
    assert!(steps > 20 && commands > 15, "{steps} {commands}");
}

#[test]
fn ci_runs_what_anyone_can_run() {
    let all = workflows();
    let (_, ci) = all.iter().find(|(name, _)| name == "ci.yml").unwrap();
    let jobs = objects(ci, "jobs");
    let steps: Vec<_> = jobs.iter().flat_map(|(_, job)| list(job, "steps")).collect();
    assert!(steps.iter().any(|step| step["run"] == "bash .ci/run"));
    let denied = steps.iter().any(|step| {
        step["with"]["arguments"].as_str().is_some_and(|words| words.contains(".deny.toml"))
    });
    assert!(denied, "dependencies go unchecked");
}

#[test]
fn a_release_has_static_binaries_checksums_a_bill_of_materials_and_an_image() {
    let all = workflows();
    let (_, release) = all.iter().find(|(name, _)| name == "release.yml").unwrap();
    assert_eq!(release["on"]["push"]["tags"], serde_json::json!(["v*"]));
    let binaries = list(&release["jobs"]["binary"]["strategy"]["matrix"], "include");
    let targets: Vec<_> = binaries.iter().map(|of| of["target"].as_str().unwrap()).collect();
    let deny = std::fs::read_to_string(root().join(".deny.toml")).unwrap();
    for target in ["x86_64-unknown-linux-musl", "aarch64-unknown-linux-musl"] {
        assert!(targets.contains(&target), "{targets:?}");
    }
    for target in targets {
        assert!(deny.contains(target), "the licenses of what `{target}` links are not checked");
    }
    for job in ["binary", "bill", "image"] {
        assert!(needs(&release["jobs"][job]).contains(&"check"), "{job} is not tested first");
        assert!(needs(&release["jobs"]["release"]).contains(&job), "{job} is left out");
    }
    let text = release["jobs"].to_string();
    for part in ["sha256sum", "cargo cyclonedx", "docker push", "gh release create"] {
        assert!(text.contains(part), "{part}");
    }
    assert!(root().join("Dockerfile").is_file());
}

#[test]
fn the_archive_of_a_release_serves_where_it_is_unpacked() {
    let folder = tempfile::tempdir().unwrap();
    let run = |command: &mut Command| {
        let output = command.current_dir(folder.path()).stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let script = root().join(".ci/package");
    run(Command::new("bash").arg(script).arg(binary()).arg("life-agent-test"));
    run(Command::new("tar").args(["-xzf", "life-agent-test.tar.gz"]));
    let unpacked = folder.path().join("life-agent-test");
    for file in ["LICENSE", "README.md", ".env.example", "policy/policy.yaml", "plans/README.md"] {
        assert!(unpacked.join(file).is_file(), "{file}");
    }
    let program = unpacked.join("life-agent");
    let mut check = Command::new(&program);
    check.arg("check").env_clear().env("API_KEY", "a-key-for-this-test-only").env("PORT", "0");
    let output = check.current_dir(&unpacked).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said} {}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("policy/policy.yaml"), "{said}");
}
