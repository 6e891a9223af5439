//! A server whose model is played by a stand-in.

use life_agent_groq::testing::{Answer, StandIn};
use serde_json::{Value, json};

use super::app::TestApp;
use super::setup::Setup;

/// The provider's key. No pattern knows its shape.
pub(crate) const PROVIDER_KEY: &str = "provider-key-without-a-shape-0815";

/// A policy that lets credentials pass the gates; they are redacted all the same.
pub(crate) const LENIENT: &str =
    "version: '1'\nallowed_dirs: [plans]\nrisk: {categories: {secrets: observe}}\n";

/// A policy that enforces every category in conversations too. The shipped one only observes text about code.
pub(crate) const ENFORCING: &str = "version: '1'\nallowed_dirs: [plans]\n\
    risk: {kinds: {chat: {command_exec: deny, url: deny, path_traversal: deny}}}\n";

/// A policy under which turns and plans fail with their model.
pub(crate) const FAILING: &str = "version: '1'\nallowed_dirs: [plans]\nllm: {on_failure: fail}\n";

/// The setup of a server whose provider is this one.
pub(crate) fn model_setup(provider: &StandIn) -> Setup {
    Setup::new().set("GROQ_API_KEY", PROVIDER_KEY).set("GROQ_BASE_URL", provider.base_url())
}

/// The usual server with a model that answers like this, the last answer again and again.
pub(crate) async fn with_model(script: Vec<Answer>) -> (StandIn, TestApp) {
    let provider = StandIn::start(script).await.unwrap();
    let app = model_setup(&provider).start().await;
    (provider, app)
}

/// The same under [`ENFORCING`].
pub(crate) async fn with_model_enforcing(script: Vec<Answer>) -> (StandIn, TestApp) {
    let provider = StandIn::start(script).await.unwrap();
    let app = model_setup(&provider).policy(ENFORCING).start().await;
    (provider, app)
}

/// The same under [`FAILING`].
pub(crate) async fn with_model_failing(script: Vec<Answer>) -> (StandIn, TestApp) {
    let provider = StandIn::start(script).await.unwrap();
    let app = model_setup(&provider).policy(FAILING).start().await;
    (provider, app)
}

/// The body of a chat that says this.
pub(crate) fn chat(said: &str) -> Value {
    json!({"messages": [{"role": "user", "content": said}]})
}
