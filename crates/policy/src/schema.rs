//! JSON Schemas of policy and profile, for editors.

use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema};
use serde_json::Value;

use crate::profile::RawProfile;
use crate::raw::Policy;

/// The schema of `policy.yaml`, draft-07.
pub fn policy_schema() -> Value {
    schema::<Policy>()
}

/// The schema of `agent.yaml`, draft-07.
pub fn profile_schema() -> Value {
    schema::<RawProfile>()
}

fn schema<T: JsonSchema>() -> Value {
    // The YAML support of editors covers draft-07 best.
    let settings = SchemaSettings::draft07()
        .with(|settings| settings.transforms.push(Box::new(RecursiveTransform(drop_null_default))));
    settings.into_generator().into_root_schema_for::<T>().to_value()
}

/// Removes the defaults of required fields, which exist for serde only.
fn drop_null_default(schema: &mut Schema) {
    if schema.get("default").is_some_and(Value::is_null) {
        schema.remove("default");
    }
}

#[cfg(test)]
mod tests;
