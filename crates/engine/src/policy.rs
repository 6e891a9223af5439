//! The policy in force: loaded at the start, replaced whole by a reload, kept when a reload fails.

use std::sync::Arc;

use arc_swap::ArcSwap;
use life_agent_domain::agent::profile::Profile;
use life_agent_domain::governance::event::EventKind;
use life_agent_domain::governance::fault::Fault;
use life_agent_domain::governance::gate::Chain;
use life_agent_gates::ChainOptions;
use life_agent_gates::opa::{Opa, OpaPolicy};
use life_agent_observer::WriteBatch;
use life_agent_policy::snapshot::Snapshot;
use metrics::counter;
use serde::Serialize;

use crate::answers::{PolicyInForce, PolicyReport, PolicySource};
use crate::config::{Config, OpaMode};
use crate::engine::{Caller, Engine, now, row_data};
use crate::error::{EngineError, OpenError};
use crate::facts::blocking;
use crate::meters::GateTimer;
use crate::policy_files::{Document, PolicyFiles};
use crate::workspace::Workspace;

/// Everything that a request is judged and decided by, replaced as a whole.
pub(crate) struct InForce {
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) profile: Profile,
    pub(crate) chain: Chain,
    pub(crate) timer: GateTimer,
    /// The file as callers may see it.
    pub(crate) shown_path: String,
    loaded_at: String,
}

pub(crate) struct PolicyStore {
    in_force: ArcSwap<InForce>,
    pub(crate) files: PolicyFiles,
}

/// What brought a policy into force, as its row states.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
enum Trigger {
    Call,
    FileChange,
}

#[derive(Serialize)]
struct Reloaded<'a> {
    path: &'a str,
    policy_hash: &'a str,
    previous_hash: &'a str,
    rule_count: usize,
    trigger: Trigger,
}

#[derive(Serialize)]
struct Rejected<'a> {
    path: &'a str,
    faults: &'a [Fault],
    trigger: Trigger,
}

impl InForce {
    /// Compiles a whole document; every fault of each of its parts is reported.
    pub(crate) fn compile(document: &Document, files: &PolicyFiles) -> Result<Self, Vec<Fault>> {
        let (parts, opa) = Self::parts(document, files);
        match (parts, opa) {
            (Ok(parts), Ok(opa)) => Ok(Self::assemble(document, parts, opa)),
            (parts, opa) => {
                let mut faults = parts.err().unwrap_or_default();
                faults.extend(opa.err().unwrap_or_default());
                Err(faults)
            }
        }
    }

    /// Reads what the files have at the start and compiles it with `compile`.
    pub(crate) fn first(
        files: &PolicyFiles,
        compile: fn(&Document, &PolicyFiles) -> Result<Self, Vec<Fault>>,
    ) -> Result<Self, OpenError> {
        let document = files.read_first()?;
        compile(&document, files)
            .map_err(|faults| OpenError::Document { path: document.shown_path.clone(), faults })
    }

    /// What the service starts with. Modules that do not compile are no reason not to start: the OPA
    /// gate denies everything until they do.
    pub(crate) fn compile_first(
        document: &Document,
        files: &PolicyFiles,
    ) -> Result<Self, Vec<Fault>> {
        let (parts, opa) = Self::parts(document, files);
        let opa = opa.unwrap_or_else(|faults| {
            for fault in faults {
                tracing::error!(%fault, "the OPA gate denies everything until its modules are mended");
            }
            Some(Opa::Broken)
        });
        Ok(Self::assemble(document, parts?, opa))
    }

    #[expect(clippy::type_complexity, reason = "two results that are always taken apart at once")]
    fn parts(
        document: &Document,
        files: &PolicyFiles,
    ) -> (Result<(Snapshot, Profile), Vec<Fault>>, Result<Option<Opa>, Vec<Fault>>) {
        let snapshot = life_agent_policy::snapshot::compile(&document.policy, files.workspace());
        let profile = life_agent_policy::profile::compile_profile(&document.profile);
        let parts = match (snapshot, profile) {
            (Ok(snapshot), Ok(profile)) => Ok((snapshot, profile)),
            (snapshot, profile) => {
                let of_profile =
                    |fault: Fault| Fault { path: format!("agent.{}", fault.path), ..fault };
                let mut faults = snapshot.err().unwrap_or_default();
                faults.extend(profile.err().unwrap_or_default().into_iter().map(of_profile));
                Err(faults)
            }
        };
        let opa = match files.opa {
            OpaMode::Off => Ok(None),
            OpaMode::Server(_) => Ok(Some(Opa::Remote)),
            OpaMode::Embedded => OpaPolicy::compile(&document.modules)
                .map(|policy| Some(Opa::Embedded(Arc::new(policy)))),
        };
        (parts, opa)
    }

    fn assemble(document: &Document, parts: (Snapshot, Profile), opa: Option<Opa>) -> Self {
        let (snapshot, profile) = (Arc::new(parts.0), parts.1);
        let chain = life_agent_gates::chain(Arc::clone(&snapshot), ChainOptions { opa });
        Self {
            timer: GateTimer::new(chain.gates().map(|gate| gate.name())),
            snapshot,
            profile,
            chain,
            shown_path: document.shown_path.clone(),
            loaded_at: now(),
        }
    }

    fn report(&self) -> PolicyReport {
        PolicyReport {
            loaded_at: self.loaded_at.clone(),
            rule_count: self.snapshot.policy.rules.len(),
            policy_hash: self.snapshot.hash.clone(),
        }
    }
}

impl PolicyStore {
    pub(crate) fn new(first: InForce, files: PolicyFiles) -> Self {
        Self { in_force: ArcSwap::from_pointee(first), files }
    }

    pub(crate) fn in_force(&self) -> Arc<InForce> {
        self.in_force.load_full()
    }
}

impl Engine {
    /// The policy in force: where it came from, and the document itself.
    pub fn policy(&self) -> (PolicyInForce, life_agent_policy::document::Policy) {
        let policy = self.policy.in_force();
        let in_force = PolicyInForce {
            path: policy.shown_path.clone(),
            version: policy.snapshot.policy.version.clone(),
            hash: policy.snapshot.hash.clone(),
            loaded_at: policy.loaded_at.clone(),
        };
        (in_force, policy.snapshot.policy.clone())
    }

    /// The files whose changes [`Engine::policy_file_changed`] should be told of, there or not.
    pub fn policy_sources(&self) -> Vec<std::path::PathBuf> {
        self.policy.files.sources()
    }

    /// Reads and compiles a policy as a reload would, and changes nothing.
    pub async fn validate_policy(&self, source: PolicySource) -> Result<PolicyReport, EngineError> {
        let files = self.policy.files.clone();
        let compiled = blocking(move || {
            let document = files.read(&source)?;
            Ok(InForce::compile(&document, &files))
        });
        match compiled.await? {
            Ok(Ok(policy)) => Ok(policy.report()),
            Ok(Err(faults)) => Err(EngineError::PolicyInvalid(faults)),
            Err(error) => Err(error),
        }
    }

    /// Puts the policy at `path` into force (none: the one at `POLICY_PATH`), with the agent profile
    /// as it is on the disk now.
    pub async fn reload_policy(
        &self,
        caller: &Caller,
        path: Option<String>,
    ) -> Result<PolicyReport, EngineError> {
        let source = path.map_or(PolicySource::Configured, PolicySource::Path);
        self.replace_policy(caller, source, Trigger::Call).await
    }

    /// The file in force, or the profile, may have changed on disk: reloads if it did, under the same
    /// rules as a call. Returns whether anything was different.
    pub async fn policy_file_changed(&self) -> Result<bool, EngineError> {
        let files = self.policy.files.clone();
        if !blocking(move || files.changed()).await? {
            return Ok(false);
        }
        let source = self.policy.files.active_source();
        self.replace_policy(&Caller::system(), source, Trigger::FileChange).await.map(|_| true)
    }

    async fn replace_policy(
        &self,
        caller: &Caller,
        source: PolicySource,
        trigger: Trigger,
    ) -> Result<PolicyReport, EngineError> {
        // One at a time, so that rows tell the order in which policies were in force.
        let _order = self.reloading.lock().await;
        let files = self.policy.files.clone();
        let read = blocking(move || {
            let document = files.read(&source)?;
            let compiled = InForce::compile(&document, &files);
            Ok((document, compiled))
        });
        let (document, compiled) = read.await?.inspect_err(|_: &EngineError| count("rejected"))?;
        match compiled {
            Ok(policy) => {
                let policy = Arc::new(policy);
                let previous = self.policy.in_force();
                let data = row_data(&Reloaded {
                    path: &policy.shown_path,
                    policy_hash: &policy.snapshot.hash,
                    previous_hash: &previous.snapshot.hash,
                    rule_count: policy.snapshot.policy.rules.len(),
                    trigger,
                })?;
                let entry = self.entry(caller, EventKind::PolicyReload, None, data);
                let extra = caller.marked(Vec::new());
                let recorded = self
                    .journal
                    .append(WriteBatch { side_writes: extra, ..WriteBatch::of(entry) })?;
                // Before the row can be seen: whoever acts on it is judged by the new policy.
                self.policy.in_force.store(Arc::clone(&policy));
                if let Err(error) = recorded.await {
                    self.policy.in_force.store(previous);
                    return Err(error.into());
                }
                self.policy.files.seen(&document);
                self.policy.files.activate(&document);
                count("reloaded");
                Ok(policy.report())
            }
            Err(faults) => {
                count("rejected");
                let data =
                    row_data(&Rejected { path: &document.shown_path, faults: &faults, trigger })?;
                let entry = self.entry(caller, EventKind::PolicyRejected, None, data);
                self.journal.append(WriteBatch::of(entry))?.await?;
                // Only now: what could not be recorded is tried again.
                self.policy.files.seen(&document);
                Err(EngineError::PolicyInvalid(faults))
            }
        }
    }
}

/// Compiles the policy that `config` names, as a start would, without an engine.
pub fn check_policy(config: &Config) -> Result<PolicyReport, OpenError> {
    let workspace = Workspace::open(&config.workspace_dir, &config.plans_dir)
        .map_err(OpenError::at(&config.workspace_dir))?;
    let files = PolicyFiles::new(config, workspace);
    Ok(InForce::first(&files, InForce::compile)?.report())
}

fn count(result: &'static str) {
    counter!("policy_reload_total", "result" => result).increment(1);
}
