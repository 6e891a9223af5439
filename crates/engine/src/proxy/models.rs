//! The models that the providers list.

use life_agent_groq::{ForwardRequest, ForwardedBody};
use life_agent_policy::llm::matches;
use serde_json::{Value, json};

use super::providers::Upstream;
use super::service::ProxyService;
use crate::policy::ActivePolicy;

/// Longest name of a model that is looked up.
const MAX_NAME: usize = 256;

impl ProxyService {
    /// The models of all providers that the policy allows, as OpenAI's API lists them. If no provider
    /// responds, the list holds the policy's model.
    pub(crate) async fn models(&self) -> Value {
        let policy = self.governor.policy();
        let mut data = Vec::new();
        for upstream in self.upstreams(&policy) {
            let list = get(&upstream, "/models").await.unwrap_or_default();
            let models = list.get("data").or_else(|| list.get("models")).and_then(Value::as_array);
            let allowed = |model: &&Value| {
                model.get("id").and_then(Value::as_str).is_some_and(|id| is_allowed(&policy, id))
            };
            data.extend(models.into_iter().flatten().filter(allowed).cloned());
        }
        if data.is_empty() {
            data.push(policy_model(&policy));
        }
        json!({"object": "list", "data": data})
    }

    /// One model, as the first provider that knows it describes it.
    pub(crate) async fn model(&self, id: &str) -> Option<Value> {
        let policy = self.governor.policy();
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_./:@".contains(&b);
        let usable = id.len() <= MAX_NAME && id.bytes().all(plain) && !id.contains("..");
        let has_credential = policy.chain.redactor().redact(id) != id;
        if !usable || has_credential || !is_allowed(&policy, id) {
            return None;
        }
        for upstream in self.upstreams(&policy) {
            if let Some(model) = get(&upstream, &format!("/models/{id}")).await {
                return Some(model);
            }
        }
        (id == policy.snapshot.policy.llm.model).then(|| policy_model(&policy))
    }
}

fn is_allowed(policy: &ActivePolicy, model: &str) -> bool {
    let allowed = &policy.snapshot.policy.llm.models;
    allowed.is_empty() || allowed.iter().any(|glob| matches(glob, model))
}

fn policy_model(policy: &ActivePolicy) -> Value {
    json!({"id": policy.snapshot.policy.llm.model, "object": "model", "created": 0, "owned_by": "policy"})
}

async fn get(upstream: &Upstream, path: &str) -> Option<Value> {
    let request = ForwardRequest { path: path.to_owned(), ..ForwardRequest::default() };
    match upstream.forward(&request).await.ok()?.body {
        ForwardedBody::Whole(body) => {
            let value: Value = serde_json::from_slice(&body).ok()?;
            Some(life_agent_groq::Redacted::of(value, upstream.key.as_ref()).into_value())
        }
        ForwardedBody::Stream(_) => None,
    }
}
