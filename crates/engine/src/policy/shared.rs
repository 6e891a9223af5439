//! The active policy of a journal that several instances share. Its text lives in the journal: files on an instance
//! propose a policy, and every instance runs the one that was recorded last.

use std::sync::Arc;
use std::time::Duration;

use life_agent_domain::governance::event::{PolicyReloadRecord, Trigger};
use life_agent_domain::governance::fault::Fault;
use life_agent_gates::opa::Module;
use life_agent_observer::{Journal, JournalError, Precondition, SideWrite};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::active::PROPOSED;
use super::files::Document;
use super::{ActivePolicy, PolicyCell, PolicyFiles};
use crate::blocking::blocking;
use crate::context::RequestContext;
use crate::error::{EngineError, OpenError};
use crate::recorder::{Batch, Recorder, raw_json};

/// The journal's setting that stores the active policy.
const SETTING: &str = "policy.active";
/// The pause after the policy of another instance could not be activated.
const PAUSE: Duration = Duration::from_secs(1);

/// The texts of the active policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredPolicy {
    pub(super) hash: String,
    pub(super) shown_path: String,
    pub(super) policy: String,
    pub(super) profile: String,
    pub(super) modules: Vec<StoredModule>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StoredModule {
    pub(super) name: String,
    pub(super) text: String,
}

impl StoredPolicy {
    pub(crate) fn of(hash: &str, document: &Document) -> Self {
        let module = |Module { name, text }: &Module| StoredModule {
            name: name.clone(),
            text: text.clone(),
        };
        Self {
            hash: hash.to_owned(),
            shown_path: document.shown_path.clone(),
            policy: document.policy.clone(),
            profile: document.profile.clone(),
            modules: document.modules.iter().map(module).collect(),
        }
    }

    /// The policy that the instances of a journal agree on; `None` before the first start.
    pub(crate) async fn read(journal: &Journal) -> Result<Option<Self>, JournalError> {
        let Some(text) = journal.setting(SETTING).await? else { return Ok(None) };
        let damaged = |_| JournalError::damaged("the stored policy cannot be read");
        Ok(Some(serde_json::from_str(&text).map_err(damaged)?))
    }

    /// The write that makes it the policy of all instances.
    pub(crate) fn write(&self) -> Result<[SideWrite; 2], EngineError> {
        let value = raw_json(self)?.get().to_owned();
        let setting = SideWrite::Setting { key: SETTING.to_owned(), value };
        Ok([setting, SideWrite::AdvanceControl])
    }

    /// Whether these files say the same.
    pub(crate) fn says(&self, document: &Document) -> bool {
        let theirs = Self::of(&self.hash, document);
        (&self.policy, &self.profile, &self.modules)
            == (&theirs.policy, &theirs.profile, &theirs.modules)
    }

    /// Compiles it.
    pub(crate) fn compile(&self, files: &PolicyFiles) -> Result<ActivePolicy, Vec<Fault>> {
        let modules = self.modules.iter();
        let module = |StoredModule { name, text }: &StoredModule| Module {
            name: name.clone(),
            text: text.clone(),
        };
        let document = files.stored(
            self.policy.clone(),
            self.profile.clone(),
            modules.map(module).collect(),
            self.shown_path.clone(),
        );
        let compiled = ActivePolicy::compile(&document, &files.with_any_webhook())?;
        match compiled.snapshot.hash == self.hash {
            true => Ok(compiled),
            false => Err(vec![Fault::new("", "the stored policy does not match its hash")]),
        }
    }
}

/// The fault of files that are not the active policy.
pub(super) fn differs() -> Fault {
    Fault::new(
        "",
        "the files of this instance differ from the policy that all instances run; make them equal, or activate these \
         with `POST /policy/reload` on this instance",
    )
}

/// Agrees on a policy with the other instances at the start. An instance that is alone proposes its files; any other
/// runs the policy of the others.
pub(crate) async fn at_start(
    journal: &Journal,
    recorder: &Recorder,
    files: &PolicyFiles,
    cell: &PolicyCell,
) -> Result<(), OpenError> {
    let Some(sharing) = journal.sharing() else { return Ok(()) };
    let document = files.read_first()?;
    let of_own = |faults| OpenError::Document { path: document.shown_path.clone(), faults };
    let own = Arc::new(ActivePolicy::compile_first(&document, files).map_err(of_own)?);
    let mine = StoredPolicy::of(&own.snapshot.hash, &document);
    loop {
        journal.catch_up().await?;
        let control = journal.control();
        match StoredPolicy::read(journal).await? {
            Some(stored) if stored.says(&document) => cell.replace(Arc::clone(&own)),
            Some(stored) if !sharing.was_alone => {
                tracing::warn!("{}", differs());
                files.reject(&[differs()]);
                let of_stored =
                    |faults| OpenError::Document { path: stored.shown_path.clone(), faults };
                cell.replace(Arc::new(stored.compile(files).map_err(of_stored)?));
            }
            stored => {
                match record_first(recorder, &own, &mine, stored.as_ref(), control).await {
                    // Another instance that starts was faster.
                    Err(EngineError::Outdated) => continue,
                    recorded => drop(recorded.map_err(not_recorded)?),
                }
                cell.replace(Arc::clone(&own));
            }
        }
        return Ok(());
    }
}

fn not_recorded(error: EngineError) -> JournalError {
    JournalError::unavailable(format!("the policy was not recorded: {error}"))
}

/// Makes the files of this instance the policy of all, with a row if another policy was.
async fn record_first(
    recorder: &Recorder,
    own: &ActivePolicy,
    mine: &StoredPolicy,
    before: Option<&StoredPolicy>,
    control: u64,
) -> Result<(), EngineError> {
    let context = RequestContext::system();
    let mut batch = Batch::new(&context, &mine.hash);
    if let Some(before) = before {
        let record = PolicyReloadRecord {
            path: own.shown_path.as_str().into(),
            previous_hash: before.hash.as_str().into(),
            rule_count: own.snapshot.policy.rules.len(),
            trigger: Trigger::FileChange,
        };
        batch.push(None, &record)?;
    }
    batch.extend(mine.write()?);
    batch.require(Precondition::Control { version: control });
    recorder.commit(batch).await.map(drop)
}

/// Activates the policies of other instances until `stop`.
pub(crate) async fn follow(
    journal: Journal,
    files: PolicyFiles,
    cell: Arc<PolicyCell>,
    stop: CancellationToken,
) {
    let mut expected = cell.expected();
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            changed = expected.wait_for(|expected| {
                expected.as_deref().is_some_and(|expected| expected != PROPOSED)
            }) => if changed.is_err() { return },
        }
        if let Err(why) = adopt(&journal, &files, &cell).await {
            tracing::error!(
                why,
                "the policy of the other instances cannot be activated; requests wait for it"
            );
            tokio::time::sleep(PAUSE).await;
        }
    }
}

async fn adopt(
    journal: &Journal,
    files: &PolicyFiles,
    cell: &Arc<PolicyCell>,
) -> Result<(), String> {
    let words = |error: &dyn std::fmt::Display| error.to_string();
    let stored = StoredPolicy::read(journal).await.map_err(|error| words(&error))?;
    let stored = stored.ok_or("the journal holds no policy")?;
    // A row is known before the setting of a later one is read; that row comes next.
    let hash = stored.hash.clone();
    let own = files.clone();
    let compiled = blocking(move || {
        let same = own.read(&own.active_source()).is_ok_and(|document| stored.says(&document));
        stored.compile(&own).map(|policy| (policy, same))
    });
    let (policy, same) = compiled
        .await
        .map_err(|error| words(&error))?
        .map_err(|faults| faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))?;
    match same {
        true => drop(files.take_rejection()),
        false => files.reject(&[differs()]),
    }
    cell.meet(Arc::new(policy));
    tracing::info!(hash, "the policy of another instance is active");
    Ok(())
}
