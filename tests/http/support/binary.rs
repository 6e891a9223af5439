//! The server under test, built once per run.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The binary of the current sources, in the profile of these tests, or the binary at `LIFE_AGENT_BIN`.
pub(crate) fn path() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| std::env::var_os("LIFE_AGENT_BIN").map_or_else(build, PathBuf::from))
}

fn build() -> PathBuf {
    // target/<profile>/deps/http-<hash>
    let exe = std::env::current_exe().expect("a test knows its own file");
    let profile_dir = exe.ancestors().nth(2).expect("tests lie in target/<profile>/deps");
    let release = profile_dir.ends_with("release");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.args(["build", "--quiet", "--package", "life-agent-server", "--bin", "life-agent"]);
    build.args(release.then_some("--release"));
    build.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    // cargo sets these variables for the test's package; they would make some build scripts run again.
    let about_us = |name: &str| {
        name.starts_with("CARGO_PKG") || name.starts_with("CARGO_MANIFEST") || name == "OUT_DIR"
    };
    for (name, _) in std::env::vars().filter(|(name, _)| about_us(name)) {
        build.env_remove(name);
    }
    let status = build.status().expect("cargo starts");
    assert!(status.success(), "the server does not build; see above");
    profile_dir.join("life-agent")
}
