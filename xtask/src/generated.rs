//! Files that are written from the code, and the check that they are current.

use std::path::Path;

use anyhow::Context;
use life_agent_server::openapi;
use serde_json::Value;

use crate::root;

/// `docs/openapi.yaml`, and `docs/openapi-actions.yaml`, its part for GPT Actions.
pub(crate) fn openapi(check: bool) -> anyhow::Result<()> {
    let document = openapi::document(None);
    write("docs/openapi.yaml", &document.to_yaml()?, check)?;
    let actions = openapi::actions::actions(&document)?;
    write("docs/openapi-actions.yaml", &serde_yaml::to_string(&actions)?, check)
}

/// `policy/policy.schema.json` and `policy/agent.schema.json`.
pub(crate) fn schemas(check: bool) -> anyhow::Result<()> {
    let pretty = |schema: Value| serde_json::to_string_pretty(&schema).map(|text| text + "\n");
    write(
        "policy/policy.schema.json",
        &pretty(life_agent_policy::schema::policy_schema())?,
        check,
    )?;
    write("policy/agent.schema.json", &pretty(life_agent_policy::schema::profile_schema())?, check)
}

fn write(path: &str, text: &str, check: bool) -> anyhow::Result<()> {
    let file = root().join(path);
    if check {
        let current = std::fs::read_to_string(&file).unwrap_or_default();
        anyhow::ensure!(
            current == text,
            "`{path}` is stale; run `cargo xtask {}`",
            if Path::new(path).extension().is_some_and(|e| e == "yaml") {
                "openapi"
            } else {
                "schema"
            }
        );
        return Ok(());
    }
    std::fs::write(&file, text).with_context(|| format!("writing `{path}`"))
}
