//! The model's stand-in, and the budgets of its calls.

use life_agent_groq::testing::{Answer, Seen, StandIn};
use serde_json::json;
use tokio::runtime::Runtime;

/// Calls of a day; less than the callers ask for.
pub(super) const REQUESTS: u64 = 60;
/// Tokens of a day. A reservation is larger than the use.
pub(super) const TOKENS: u64 = 700;
/// What the model reports for each call.
pub(super) const PROMPT: u64 = 3;
/// The same for the reply.
pub(super) const COMPLETION: u64 = 10;
/// Seconds until an approval expires.
pub(super) const EXPIRY: i64 = 900;

/// The policy of the instances.
pub(super) fn policy() -> String {
    format!(
        "version: \"1\"\nallowed_dirs: [plans]\nrules:\n\
         - {{id: ask, match: {{kinds: [act], actions: [deploy]}}, effect: ask}}\n\
         approvals: {{expire_seconds: {EXPIRY}}}\nbudgets:\n\
         - {{id: calls, requests_per_day: {REQUESTS}}}\n- {{id: tokens, tokens_per_day: {TOKENS}}}\n"
    )
}

/// A provider that runs until it is dropped.
pub(super) struct Model {
    stand_in: StandIn,
    _runtime: Runtime,
}

impl Model {
    pub(super) fn start() -> anyhow::Result<Self> {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let reply = Answer::json(
            200,
            &json!({
                "id": "c", "object": "chat.completion", "created": 1, "model": "openai/gpt-oss-120b",
                "choices": [{"index": 0, "finish_reason": "stop",
                             "message": {"role": "assistant", "content": "fine"}}],
                "usage": {"prompt_tokens": PROMPT, "completion_tokens": COMPLETION}
            }),
        );
        let stand_in = runtime.block_on(StandIn::start(vec![reply]))?;
        Ok(Self { stand_in, _runtime: runtime })
    }

    pub(super) fn base_url(&self) -> &str {
        self.stand_in.base_url()
    }

    /// The markers of the calls that arrived.
    pub(super) fn seen(&self) -> Vec<String> {
        self.stand_in.seen().iter().map(marker).collect()
    }
}

/// The last word of the conversation.
fn marker(seen: &Seen) -> String {
    let messages = seen.body["messages"].as_array().cloned().unwrap_or_default();
    let said = messages.last().and_then(|message| message["content"].as_str()).unwrap_or_default();
    said.rsplit(' ').next().unwrap_or_default().to_owned()
}
