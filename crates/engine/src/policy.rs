//! The active policy and its replacement.

mod active;
mod embedded;
mod files;
pub(crate) mod shared;

use std::sync::Arc;
use std::time::Duration;

use life_agent_domain::governance::event::{PolicyRejectedRecord, PolicyReloadRecord, Trigger};
use life_agent_domain::governance::fault::Fault;
use life_agent_policy::document::Policy;
use metrics::{counter, gauge};

pub(crate) use active::{ActivePolicy, PolicyCell};
pub(crate) use files::{Extensions, PolicyFiles};

use crate::blocking::blocking;
use crate::config::Config;
use crate::context::RequestContext;
use crate::error::{EngineError, OpenError};
use crate::recorder::{Batch, Recorder};
use crate::views::{PolicyInForce, PolicyReport, PolicySource, PolicyText};
use crate::workspace::Workspace;
use files::Document;
use life_agent_observer::Precondition;
use shared::StoredPolicy;

/// Validates and replaces the active policy.
pub(crate) struct PolicyService {
    cell: Arc<PolicyCell>,
    files: PolicyFiles,
    recorder: Recorder,
    /// Held while a policy is replaced.
    reloading: tokio::sync::Mutex<()>,
    /// Held while a policy of a caller is compiled: each may take tens of megabytes.
    compiling: tokio::sync::Mutex<()>,
}

/// How long a validation waits for others.
const VALIDATION_WAIT: Duration = Duration::from_secs(5);

impl PolicyService {
    pub(crate) fn new(cell: Arc<PolicyCell>, files: PolicyFiles, recorder: Recorder) -> Self {
        describe_series();
        let (reloading, compiling) = Default::default();
        Self { cell, files, recorder, reloading, compiling }
    }

    /// The active policy and its document.
    pub(crate) fn describe(&self) -> (PolicyInForce, Policy) {
        let policy = self.cell.active();
        let view = PolicyInForce {
            path: policy.shown_path.clone(),
            version: policy.snapshot.policy.version.clone(),
            hash: policy.snapshot.hash.clone(),
            loaded_at: policy.loaded_at.clone(),
        };
        (view, policy.snapshot.policy.clone())
    }

    /// The text of the active policy.
    pub(crate) fn text(&self) -> PolicyText {
        let policy = self.cell.active();
        PolicyText {
            path: policy.shown_path.clone(),
            hash: policy.snapshot.hash.clone(),
            text: policy.text.clone(),
        }
    }

    /// The files that [`Self::reload_if_changed`] reads, existing or not.
    pub(crate) fn sources(&self) -> Vec<std::path::PathBuf> {
        self.files.sources()
    }

    /// The faults of the files on disk, if a change was rejected and the active policy is older.
    pub(crate) fn rejected(&self) -> Vec<Fault> {
        self.files.rejected()
    }

    /// Compiles a policy as a reload would, without activating it.
    pub(crate) async fn validate(&self, source: PolicySource) -> Result<PolicyReport, EngineError> {
        let turn = tokio::time::timeout(VALIDATION_WAIT, self.compiling.lock()).await;
        let _turn = turn.map_err(|_| EngineError::Busy)?;
        let files = self.files.clone();
        let compiled = blocking(move || {
            let document = files.read(&source)?;
            Ok(compiled(&document, &files))
        });
        match compiled.await? {
            Ok(Ok(policy)) => Ok(policy.report()),
            Ok(Err(faults)) => Err(EngineError::PolicyInvalid(faults)),
            Err(error) => Err(error),
        }
    }

    /// Activates the policy at `path` (default: `POLICY_PATH`) with the current agent profile.
    pub(crate) async fn reload(
        &self,
        context: &RequestContext,
        path: Option<String>,
    ) -> Result<PolicyReport, EngineError> {
        let source = path.map_or(PolicySource::Configured, PolicySource::Path);
        self.replace_policy(context, source, Trigger::Call).await
    }

    /// Reloads the active files if they changed, and returns whether they did.
    pub(crate) async fn reload_if_changed(&self) -> Result<bool, EngineError> {
        let files = self.files.clone();
        if !blocking(move || files.changed()).await? {
            return Ok(false);
        }
        let source = self.files.active_source();
        self.replace_policy(&RequestContext::system(), source, Trigger::FileChange)
            .await
            .map(|_| true)
    }

    async fn replace_policy(
        &self,
        context: &RequestContext,
        source: PolicySource,
        trigger: Trigger,
    ) -> Result<PolicyReport, EngineError> {
        // One at a time, so that the order of the rows is the order of the policies.
        let _order = self.reloading.lock().await;
        let files = self.files.clone();
        let read = blocking(move || {
            let document = files.read(&source)?;
            let compiled = compiled(&document, &files);
            Ok((document, compiled))
        });
        let (document, compiled) = read.await?.inspect_err(|_: &EngineError| count("rejected"))?;
        match compiled {
            Ok(policy) if self.recorder.shared_control().is_some() => {
                self.propose(context, document, policy, trigger).await
            }
            Ok(policy) => {
                let policy = Arc::new(policy);
                let previous = self.cell.active();
                let record = PolicyReloadRecord {
                    path: policy.shown_path.as_str().into(),
                    previous_hash: previous.snapshot.hash.as_str().into(),
                    rule_count: policy.snapshot.policy.rules.len(),
                    trigger,
                };
                let mut batch = Batch::new(context, &policy.snapshot.hash);
                batch.push(None, &record)?;
                let recorded = self.recorder.append(batch)?;
                // Before the row is visible: its readers must be judged by the new policy.
                self.cell.replace(Arc::clone(&policy));
                let rejected = self.files.take_rejection();
                if let Err(error) = recorded.await {
                    self.cell.replace(previous);
                    self.files.reject(&rejected);
                    return Err(error.into());
                }
                self.files.seen(&document);
                self.files.activate(&document);
                count("reloaded");
                gauge!("policy_on_disk_rejected").set(0.0);
                Ok(policy.report())
            }
            Err(faults) => {
                count("rejected");
                if matches!(trigger, Trigger::FileChange) {
                    self.files.reject(&faults);
                    gauge!("policy_on_disk_rejected").set(1.0);
                }
                let record = PolicyRejectedRecord {
                    path: document.shown_path.as_str().into(),
                    faults: faults.as_slice().into(),
                    trigger,
                };
                let hash = &self.cell.active().snapshot.hash;
                self.recorder.record(context, hash, None, &record, Vec::new()).await?;
                // Only now, so that a rejection that was not recorded is tried again.
                self.files.seen(&document);
                Err(EngineError::PolicyInvalid(faults))
            }
        }
    }
}

impl PolicyService {
    /// Makes a policy that of all instances. If another one does the same at the same moment, the first wins.
    async fn propose(
        &self,
        context: &RequestContext,
        document: Document,
        policy: ActivePolicy,
        trigger: Trigger,
    ) -> Result<PolicyReport, EngineError> {
        let policy = Arc::new(policy);
        self.recorder.journal().catch_up().await?;
        self.cell.settled().await;
        // Before the active policy: a later change of another instance makes the write fail.
        let control = self.recorder.shared_control().unwrap_or_default();
        let previous = self.cell.active();
        let stored = StoredPolicy::of(&policy.snapshot.hash, &document);
        let is_active =
            StoredPolicy::read(self.recorder.journal()).await?.is_some_and(|now| now == stored);
        if is_active && matches!(trigger, Trigger::FileChange) {
            // Another instance has read the same file earlier.
            self.files.seen(&document);
            self.files.activate(&document);
            self.files.take_rejection();
            return Ok(previous.report());
        }
        let record = PolicyReloadRecord {
            path: policy.shown_path.as_str().into(),
            previous_hash: previous.snapshot.hash.as_str().into(),
            rule_count: policy.snapshot.policy.rules.len(),
            trigger,
        };
        let mut batch = Batch::new(context, &policy.snapshot.hash);
        batch.push(None, &record)?;
        batch.extend(stored.write()?);
        batch.require(Precondition::Control { version: control });
        // Nothing is recorded under the previous policy after the row.
        let _proposing = self.cell.propose();
        match self.recorder.commit(batch).await {
            Ok(_) => {
                self.cell.meet_proposed(Arc::clone(&policy));
                self.files.seen(&document);
                self.files.activate(&document);
                self.files.take_rejection();
                count("reloaded");
                gauge!("policy_on_disk_rejected").set(0.0);
                Ok(policy.report())
            }
            Err(error) => {
                if matches!(error, EngineError::Outdated) {
                    self.files.seen(&document);
                }
                Err(error)
            }
        }
    }
}

/// Compiles a document, all parts of which must exist.
fn compiled(document: &Document, files: &PolicyFiles) -> Result<ActivePolicy, Vec<Fault>> {
    match document.missing.is_empty() {
        true => ActivePolicy::compile(document, files),
        false => Err(document.missing.clone()),
    }
}

/// Compiles the policy that `config` names, as a start would, without an engine.
pub fn check_policy(config: &Config) -> Result<PolicyReport, OpenError> {
    let workspace = Workspace::open(&config.workspace_dir, &config.plans_dir)
        .map_err(OpenError::at(&config.workspace_dir))?;
    let files = PolicyFiles::new(config, workspace, Extensions::default());
    Ok(ActivePolicy::first(&files, ActivePolicy::compile)?.report())
}

fn count(result: &'static str) {
    counter!("policy_reload_total", "result" => result).increment(1);
}

/// Creates the series of this module, so that an alert on the first rejection has a value to compare with.
fn describe_series() {
    for result in ["reloaded", "rejected"] {
        counter!("policy_reload_total", "result" => result).increment(0);
    }
    gauge!("policy_on_disk_rejected").set(0.0);
}
