//! Files that are generated from the code, and the check that they are current.

use std::path::Path;

use anyhow::Context;
use life_agent_server::openapi;
use serde_json::Value;

use crate::root;

/// The setting that names the public address of a deployment.
const SERVER: &str = "PUBLIC_SERVER_URL";

/// Renders a document for a server address.
type Render = fn(Option<&str>) -> anyhow::Result<String>;

/// The documents by path, below the root.
const DOCUMENTS: [(&str, Render); 2] = [
    ("docs/openapi.yaml", |server| portable(&openapi::document(server).to_yaml()?)),
    ("docs/openapi-actions.yaml", |server| {
        portable(&serde_yaml::to_string(&openapi::actions::actions(&openapi::document(server))?)?)
    }),
];

/// Words that YAML 1.1, which many readers still speak, takes for booleans.
const BOOLEANS: [&str; 6] = ["on", "off", "yes", "no", "y", "n"];

/// The same document for every version of YAML: names and texts that look like booleans in quotes.
fn portable(text: &str) -> anyhow::Result<String> {
    let quoted = |line: &str| {
        let body = line.trim_start_matches([' ', '-']);
        let head = line.get(..line.len() - body.len()).unwrap_or_default();
        let (name, rest) = body.split_once(':').unwrap_or((body, ""));
        match BOOLEANS.contains(&name) && (rest.is_empty() || rest.starts_with(' ')) {
            true => format!("{head}'{name}'{}", body.get(name.len()..).unwrap_or_default()),
            false => line.to_owned(),
        }
    };
    let portable: String = text.lines().map(|line| quoted(line) + "\n").collect();
    let (before, after) =
        (serde_yaml::from_str::<Value>(text)?, serde_yaml::from_str::<Value>(&portable)?);
    anyhow::ensure!(
        before == after,
        "quoting the names that look like booleans changed a document"
    );
    Ok(portable)
}

/// Writes `docs/openapi.yaml`, and `docs/openapi-actions.yaml`, its part for GPT Actions, for the server that
/// `PUBLIC_SERVER_URL` names. The check accepts any server, because it belongs to the deployment and not to the code.
pub(crate) fn openapi(check: bool) -> anyhow::Result<()> {
    let server = std::env::var(SERVER).ok().filter(|url| !url.is_empty());
    if let Some(url) = &server {
        let web = url.starts_with("https://") || url.starts_with("http://");
        anyhow::ensure!(web, "{SERVER} is `{url}`, expected an address with https:// or http://");
    }
    let server = server.as_deref().map(|url| url.trim_end_matches('/'));
    for (path, render) in DOCUMENTS {
        let stated = if check { stated_server(path) } else { None };
        write(path, &render(stated.as_deref().or(server))?, check)?;
    }
    Ok(())
}

/// The server that a committed document states.
fn stated_server(path: &str) -> Option<String> {
    let text = std::fs::read_to_string(root().join(path)).ok()?;
    let document: Value = serde_yaml::from_str(&text).ok()?;
    document["servers"][0]["url"].as_str().map(str::to_owned)
}

/// Writes the JSON Schemas of the policy, the agent profile and the keys file.
pub(crate) fn schemas(check: bool) -> anyhow::Result<()> {
    let pretty = |schema: Value| serde_json::to_string_pretty(&schema).map(|text| text + "\n");
    write(
        "policy/policy.schema.json",
        &pretty(life_agent_policy::schema::policy_schema())?,
        check,
    )?;
    write(
        "policy/agent.schema.json",
        &pretty(life_agent_policy::schema::profile_schema())?,
        check,
    )?;
    write("policy/keys.schema.json", &pretty(life_agent_server::auth::keys_file::schema())?, check)
}

fn write(path: &str, text: &str, check: bool) -> anyhow::Result<()> {
    let file = root().join(path);
    let current = std::fs::read_to_string(&file).unwrap_or_default();
    let is_current = current == text;
    if check {
        let task = match Path::new(path).extension().is_some_and(|end| end == "yaml") {
            true => "openapi",
            false => "schema",
        };
        anyhow::ensure!(is_current, "`{path}` is stale; run `cargo xtask {task}`");
        return Ok(());
    }
    if is_current {
        return Ok(());
    }
    std::fs::write(&file, text).with_context(|| format!("writing `{path}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_look_like_booleans_are_quoted() {
        let text = "required:\n- on\n- once\nproperties:\n  on:\n    type: string\n  only: 1\nx:\n  no: true\n";
        let expected = "required:\n- 'on'\n- once\nproperties:\n  'on':\n    type: string\n  only: 1\nx:\n  'no': true\n";
        assert_eq!(portable(text).unwrap(), expected);
    }

    #[test]
    fn both_documents_name_the_server_and_state_it_again() {
        for (path, render) in DOCUMENTS {
            let text = render(Some("https://agent.example")).unwrap();
            let document: Value = serde_yaml::from_str(&text).unwrap();
            assert_eq!(document["servers"][0]["url"], "https://agent.example", "{path}");
            assert!(stated_server(path).is_some(), "{path}");
        }
    }
}
