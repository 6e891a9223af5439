//! Dependencies: the table of allowed edges between crates, checked against `cargo metadata`, and import cycles
//! within a crate.

mod cycles;

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::root;

/// Each package of the workspace with the packages of the workspace that it may use. A package that is not listed
/// may use none.
const ALLOWED: &[(&str, &[&str])] = &[
    ("life-agent-domain", &[]),
    ("life-agent-policy", &["domain"]),
    ("life-agent-gates", &["domain", "policy"]),
    ("life-agent-hooks", &["domain"]),
    ("life-agent-mcp", &[]),
    ("life-agent-observer", &["domain"]),
    ("life-agent-observer-sqlite", &["domain", "observer"]),
    ("life-agent-observer-postgres", &["domain", "observer"]),
    ("life-agent-plans", &["domain"]),
    ("life-agent-groq", &["domain"]),
    ("life-agent-engine", &["domain", "policy", "gates", "observer", "plans", "groq", "mcp"]),
    ("life-agent-counters-redis", &["engine"]),
    (
        "life-agent-server",
        &["engine", "hooks", "mcp", "observer-sqlite", "observer-postgres", "counters-redis"],
    ),
    ("life-agent-tests", &[]),
    ("life-agent-fuzz", &["domain", "policy", "gates", "groq", "hooks", "mcp"]),
    ("xtask", &["server", "policy", "observer-postgres", "counters-redis", "groq"]),
];

/// Libraries that only some packages may use directly.
const KEPT_IN: &[(&str, &[&str])] = &[
    ("rusqlite", &["life-agent-observer-sqlite"]),
    ("r2d2", &["life-agent-observer-sqlite"]),
    ("r2d2_sqlite", &["life-agent-observer-sqlite"]),
    ("tokio-postgres", &["life-agent-observer-postgres"]),
    ("tokio-postgres-rustls", &["life-agent-observer-postgres"]),
    ("redis", &["life-agent-counters-redis"]),
    ("actix-web", &["life-agent-server"]),
    ("actix-web-lab", &["life-agent-server"]),
    ("actix-cors", &["life-agent-server"]),
    ("actix-http", &["life-agent-server"]),
    ("utoipa", &["life-agent-server"]),
    // The model's client, the engine's for an OPA server, and the server's for the keys of a token issuer.
    ("reqwest", &["life-agent-groq", "life-agent-engine", "life-agent-server"]),
    ("async-openai", &["life-agent-groq"]),
    ("figment", &["life-agent-server"]),
    // Other crates hand their spans to the engine's `Tracer`.
    ("opentelemetry-proto", &["life-agent-server"]),
    ("prost", &["life-agent-server"]),
];

/// Libraries that any package may have behind a feature: types that the API returns describe themselves.
const OPTIONAL: &[&str] = &["utoipa"];

/// Packages that must stay pure.
const PURE: &[&str] = &[
    "life-agent-domain",
    "life-agent-policy",
    "life-agent-gates",
    "life-agent-hooks",
    "life-agent-mcp",
];

/// Libraries that no pure package may use.
const IMPURE: &[&str] =
    &["tokio", "jiff", "rand", "cap-std", "tempfile", "reqwest", "rusqlite", "tracing", "metrics"];

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    /// `dev` for what only tests use.
    kind: Option<String>,
    /// Whether a feature enables it.
    #[serde(default)]
    optional: bool,
}

/// Fails with every forbidden edge and every large import cycle.
pub(crate) fn check() -> anyhow::Result<()> {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = std::process::Command::new(program)
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()?;
    anyhow::ensure!(output.status.success(), "`cargo metadata` failed");
    let metadata: Metadata = serde_json::from_slice(&output.stdout)?;
    let forbidden: Vec<_> = metadata.packages.iter().flat_map(forbidden_edges).collect();
    anyhow::ensure!(forbidden.is_empty(), "forbidden edges:\n  {}", forbidden.join("\n  "));
    cycles::check(&root())?;
    cycles::check_directions(&root())
}

fn forbidden_edges(package: &Package) -> Vec<String> {
    let ours = |name: &str| name.strip_prefix("life-agent-").map(str::to_owned);
    let allowed: BTreeSet<_> = ALLOWED
        .iter()
        .filter(|(name, _)| *name == package.name)
        .flat_map(|(_, may)| may.iter().copied())
        .collect();
    let is_forbidden = |dependency: &&Dependency| {
        let name = dependency.name.as_str();
        let edge_up = ours(name).is_some_and(|short| !allowed.contains(short.as_str()));
        let kept = KEPT_IN.iter().any(|(library, packages)| {
            *library == name && !packages.contains(&package.name.as_str())
        });
        let kept = kept && !(dependency.optional && OPTIONAL.contains(&name));
        let impure = PURE.contains(&package.name.as_str()) && IMPURE.contains(&name);
        edge_up || kept || impure
    };
    package
        .dependencies
        .iter()
        .filter(|dependency| dependency.kind.as_deref() != Some("dev"))
        .filter(is_forbidden)
        .map(|dependency| format!("`{}` must not use `{}`", package.name, dependency.name))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edges(package: &str, dependency: &str, kind: Option<&str>) -> usize {
        let kind = kind.map(str::to_owned);
        let dependency = Dependency { name: dependency.to_owned(), kind, optional: false };
        forbidden_edges(&Package { name: package.to_owned(), dependencies: vec![dependency] }).len()
    }

    #[test]
    fn the_code_map_names_every_crate() {
        let page = std::fs::read_to_string(root().join("docs/ARCHITECTURE.md")).unwrap();
        for entry in std::fs::read_dir(root().join("crates")).unwrap() {
            let name = entry.unwrap().file_name().to_string_lossy().into_owned();
            assert!(page.contains(&format!("| `crates/{name}` |")), "docs/ARCHITECTURE.md: {name}");
        }
    }

    #[test]
    fn an_edge_that_points_up_is_found() {
        assert_eq!(edges("life-agent-gates", "life-agent-policy", None), 0);
        assert_eq!(edges("life-agent-policy", "life-agent-gates", None), 1);
        assert_eq!(edges("life-agent-domain", "tokio", None), 1);
        assert_eq!(edges("life-agent-engine", "rusqlite", None), 1);
        assert_eq!(edges("a-new-crate", "life-agent-domain", None), 1);
        assert_eq!(edges("life-agent-policy", "tempfile", Some("dev")), 0);
    }

    #[test]
    fn utoipa_outside_of_the_server_is_optional() {
        let forbidden = |optional| {
            let dependency = Dependency { name: "utoipa".to_owned(), kind: None, optional };
            let name = "life-agent-domain".to_owned();
            forbidden_edges(&Package { name, dependencies: vec![dependency] }).len()
        };
        assert_eq!((forbidden(true), forbidden(false)), (0, 1));
    }

    #[test]
    fn the_workspace_has_no_forbidden_edge() {
        check().unwrap();
    }
}
