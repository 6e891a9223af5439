//! The active policy: compiled from its documents, replaced as a whole.

use std::sync::Arc;

use arc_swap::ArcSwap;
use life_agent_domain::agent::profile::Profile;
use life_agent_domain::governance::fault::Fault;
use life_agent_domain::governance::gate::{Chain, Gate};
use life_agent_gates::ChainOptions;
use life_agent_gates::opa::Opa;
use life_agent_groq::KnownModels;
use life_agent_policy::document::Llm;
use life_agent_policy::snapshot::Snapshot;
use tokio::sync::watch;

use super::embedded;
use super::files::{Document, PolicyFiles};
use crate::config::OpaMode;
use crate::error::OpenError;
use crate::meters::{BoundedValues, GateTimer, MetricLabels};
use crate::views::PolicyReport;

/// Everything that judges and decides a request. A reload replaces all of it.
pub(crate) struct ActivePolicy {
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) profile: Profile,
    pub(crate) chain: Arc<Chain>,
    pub(crate) timer: Arc<GateTimer>,
    /// The policy's text as it was read.
    pub(crate) text: String,
    /// The file as callers may see it.
    pub(crate) shown_path: String,
    pub(crate) loaded_at: String,
}

impl ActivePolicy {
    /// Compiles a document and reports the errors of all its parts.
    pub(crate) fn compile(document: &Document, files: &PolicyFiles) -> Result<Self, Vec<Fault>> {
        let (parts, opa) = Self::parts(document, files);
        match (parts, opa) {
            (Ok(parts), Ok(opa)) => Ok(Self::assemble(document, parts, opa, files)),
            (parts, opa) => {
                let mut faults = parts.err().unwrap_or_default();
                faults.extend(opa.err().unwrap_or_default());
                Err(faults)
            }
        }
    }

    /// Reads the configured files and compiles them with `compile`.
    pub(crate) fn first(
        files: &PolicyFiles,
        compile: fn(&Document, &PolicyFiles) -> Result<Self, Vec<Fault>>,
    ) -> Result<Self, OpenError> {
        let document = files.read_first()?;
        compile(&document, files)
            .map_err(|faults| OpenError::Document { path: document.shown_path.clone(), faults })
    }

    /// Compiles the policy of a start. The service starts even if the Rego modules do not compile; then
    /// the OPA gate denies everything until they do.
    pub(crate) fn compile_first(
        document: &Document,
        files: &PolicyFiles,
    ) -> Result<Self, Vec<Fault>> {
        let (parts, opa) = Self::parts(document, files);
        let opa = opa.unwrap_or_else(|faults| {
            for fault in faults {
                tracing::error!(%fault, "the OPA gate denies everything until its modules are fixed");
            }
            Some(Opa::Broken)
        });
        Ok(Self::assemble(document, parts?, opa, files))
    }

    #[expect(
        clippy::type_complexity,
        reason = "two results that are always taken apart immediately"
    )]
    fn parts(
        document: &Document,
        files: &PolicyFiles,
    ) -> (Result<(Snapshot, Profile), Vec<Fault>>, Result<Option<Opa>, Vec<Fault>>) {
        let snapshot = life_agent_policy::snapshot::compile(&document.policy, files.workspace());
        let profile = life_agent_policy::profile::compile_profile(&document.profile);
        let snapshot = snapshot.and_then(|snapshot| {
            let has_webhook = snapshot.policy.approvals.webhook.is_some();
            match has_webhook && !files.signs_webhooks {
                true => Err(vec![unsigned_webhook()]),
                false => Ok(snapshot),
            }
        });
        let parts = match (snapshot, profile) {
            (Ok(snapshot), Ok(profile)) => Ok((snapshot, profile)),
            (snapshot, profile) => {
                let of_profile = |fault: Fault| {
                    let path = format!("agent.{}", fault.path);
                    Fault { path: path.trim_end_matches('.').to_owned(), ..fault }
                };
                let mut faults = snapshot.err().unwrap_or_default();
                faults.extend(profile.err().unwrap_or_default().into_iter().map(of_profile));
                Err(faults)
            }
        };
        let opa = match files.opa {
            OpaMode::Off => Ok(None),
            OpaMode::Server(_) => Ok(Some(Opa::Remote)),
            OpaMode::Embedded => embedded::load(&document.modules)
                .map(|policy| Some(Opa::Embedded(Arc::new(policy)))),
        };
        (parts, opa)
    }

    fn assemble(
        document: &Document,
        parts: (Snapshot, Profile),
        opa: Option<Opa>,
        files: &PolicyFiles,
    ) -> Self {
        let (snapshot, profile) = (Arc::new(parts.0), parts.1);
        let chain = life_agent_gates::chain(Arc::clone(&snapshot), ChainOptions { opa });
        let chain = files.extensions.gates.iter().fold(chain, |chain, gate| {
            let gate: Box<dyn Gate> = Box::new(Arc::clone(gate));
            chain.with(gate)
        });
        Self {
            timer: Arc::new(GateTimer::new(chain.gates().map(|gate| gate.name()))),
            snapshot,
            profile,
            chain: Arc::new(chain),
            text: document.policy.clone(),
            shown_path: document.shown_path.clone(),
            loaded_at: files.extensions.timestamps.text(),
        }
    }

    pub(crate) fn report(&self) -> PolicyReport {
        PolicyReport {
            loaded_at: self.loaded_at.clone(),
            rule_count: self.snapshot.policy.rules.len(),
            policy_hash: self.snapshot.hash.clone(),
        }
    }
}

/// Nobody would learn of an approval that waits, so that such a policy is not accepted.
fn unsigned_webhook() -> Fault {
    Fault::new(
        "approvals.webhook",
        "needs the setting WEBHOOK_SECRET, which signs the messages; nothing is sent unsigned. Set it, or remove the \
         webhook",
    )
}

/// Expects the policy that this instance is recording; nothing else is activated meanwhile.
pub(crate) const PROPOSED: &str = "proposed";
/// Expects whatever the journal holds.
pub(crate) const ANY: &str = "";

/// A policy that is being recorded.
pub(crate) struct Proposing<'c>(&'c PolicyCell);

impl Drop for Proposing<'_> {
    fn drop(&mut self) {
        self.0.expected.send_if_modified(|expected| {
            let is_open = expected.as_deref() == Some(PROPOSED);
            if is_open {
                *expected = Some(ANY.to_owned());
            }
            is_open
        });
    }
}

/// The place of the active policy.
pub(crate) struct PolicyCell {
    active: ArcSwap<ActivePolicy>,
    /// The hash of the policy that the instances agree on, while another one is active here.
    expected: watch::Sender<Option<String>>,
}

impl PolicyCell {
    pub(crate) fn new(first: ActivePolicy) -> Self {
        Self { active: ArcSwap::from_pointee(first), expected: watch::Sender::new(None) }
    }

    pub(crate) fn active(&self) -> Arc<ActivePolicy> {
        self.active.load_full()
    }

    pub(crate) fn replace(&self, policy: Arc<ActivePolicy>) {
        self.active.store(policy);
    }

    /// Nothing is recorded under another policy until this one is active.
    fn expect(&self, hash: String) {
        // Also with an equal hash, which does not cover the profile and the modules.
        self.expected.send_replace(Some(hash));
    }

    /// Begins to record a policy. If the proposal is dropped before its policy is active, what the journal holds counts.
    pub(crate) fn propose(&self) -> Proposing<'_> {
        self.expect(PROPOSED.to_owned());
        Proposing(self)
    }

    /// A row says that this policy is the one of all instances.
    pub(crate) fn recorded(&self, hash: String, by_another: bool) {
        self.expected.send_if_modified(|expected| {
            // This instance activates its own proposal when it learns that it is durable.
            let follow = by_another || expected.as_deref() != Some(PROPOSED);
            if follow {
                *expected = Some(hash);
            }
            follow
        });
    }

    /// Activates a policy if it is the one that is expected. Any other was read before the expected one was recorded.
    pub(crate) fn meet(&self, policy: Arc<ActivePolicy>) {
        self.activate_if(policy, |expected, hash| expected == hash || expected == ANY);
    }

    /// Activates the policy that this instance has recorded, unless another one was recorded since.
    pub(crate) fn meet_proposed(&self, policy: Arc<ActivePolicy>) {
        self.activate_if(policy, |expected, _| expected == PROPOSED);
    }

    fn activate_if(&self, policy: Arc<ActivePolicy>, is_met: impl FnOnce(&str, &str) -> bool) {
        self.expected.send_if_modified(|expected| {
            let hash = &policy.snapshot.hash;
            let met = expected.as_deref().is_some_and(|expected| is_met(expected, hash));
            if met {
                self.active.store(Arc::clone(&policy));
                *expected = None;
            }
            met
        });
    }

    /// The policy that is expected.
    pub(crate) fn expected(&self) -> watch::Receiver<Option<String>> {
        self.expected.subscribe()
    }

    /// Whether the policy with this hash is active, and the one that the instances agree on.
    pub(crate) fn is_settled_at(&self, hash: &str) -> bool {
        self.expected.borrow().is_none() && self.active.load().snapshot.hash == hash
    }

    /// Returns once no other policy is expected.
    pub(crate) async fn settled(&self) {
        let mut expected = self.expected();
        let _ = expected.wait_for(Option::is_none).await;
    }

    /// The models that metrics may name: those of the active policy, the default, and the first others if
    /// the operator wants all models by their names.
    pub(crate) fn known_models(self: &Arc<Self>, labels: MetricLabels) -> KnownModels {
        let (cell, default) = (Arc::clone(self), Llm::default().model);
        let others = labels.model.then(BoundedValues::default);
        KnownModels::new(move |model| {
            model == default
                || cell.active.load().snapshot.names_model(model)
                || others.as_ref().is_some_and(|others| {
                    !model.is_empty() && cell.redact(model) == model && others.admit(model)
                })
        })
    }

    /// Removes the secrets of a text with the active policy's redactor.
    pub(crate) fn redact(&self, text: &str) -> String {
        self.active().chain.redactor().redact(text).into_owned()
    }
}
