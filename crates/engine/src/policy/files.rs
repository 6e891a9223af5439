//! The files of policies, modules and the agent profile, and which of them a caller may name.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use life_agent_domain::governance::fault::Fault;
use life_agent_domain::governance::gate::Gate;
use life_agent_gates::opa::Module;
use life_agent_policy::profile::BUILT_IN_PROFILE;
use parking_lot::Mutex;

use crate::clock::{SystemClock, Timestamps};
use crate::config::{Config, OpaMode};
use crate::error::{EngineError, OpenError};
use crate::views::PolicySource;
use crate::workspace::Workspace;

/// The longest policy or profile. One more byte is read so that the parser reports the excess.
const MAX_BYTES: u64 = 64 * 1024;

/// The texts of a policy and their origin.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    pub(crate) policy: String,
    pub(crate) profile: String,
    /// The Rego modules; none unless the embedded OPA gate is on.
    pub(crate) modules: Vec<Module>,
    pub(crate) shown_path: String,
    file: Option<PathBuf>,
    /// Files of the active policy that no longer exist. A missing file is a fault, not a default.
    pub(crate) missing: Vec<Fault>,
    present: Present,
}

/// Which parts of a document come from files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Present {
    policy: bool,
    profile: bool,
    modules: bool,
}

/// What an embedding program adds to every policy.
#[derive(Clone)]
pub(crate) struct Extensions {
    /// Gates after those of the policy.
    pub(crate) gates: Vec<Arc<dyn Gate>>,
    pub(crate) timestamps: Timestamps,
}

impl Default for Extensions {
    fn default() -> Self {
        Self { gates: Vec::new(), timestamps: Timestamps::new(Arc::new(SystemClock)) }
    }
}

/// The configured files. Clones share what was last seen and what is active.
#[derive(Clone)]
pub(crate) struct PolicyFiles {
    policy_path: PathBuf,
    policy_dir: PathBuf,
    profile_path: PathBuf,
    whitelist_dirs: Vec<String>,
    pub(crate) opa: OpaMode,
    workspace: Workspace,
    pub(crate) extensions: Extensions,
    /// Whether messages to a webhook can be signed.
    pub(super) signs_webhooks: bool,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug, Default)]
struct Shared {
    /// The active file, unless it is the configured one.
    active: Option<PathBuf>,
    /// The last document tried, so that a rejected file is not tried again until it changes.
    seen: Option<Document>,
    /// The parts of the active policy.
    present: Present,
    /// Why the files on disk are not active, after a rejected change.
    rejected: Vec<Fault>,
}

impl PolicyFiles {
    pub(crate) fn new(config: &Config, workspace: Workspace, extensions: Extensions) -> Self {
        Self {
            policy_path: config.policy_path.clone(),
            policy_dir: config.policy_dir.clone(),
            profile_path: config.profile_path.clone(),
            whitelist_dirs: config.whitelist_dirs.clone(),
            opa: config.opa.clone(),
            workspace,
            extensions,
            signs_webhooks: config.webhook_secrets.is_some(),
            shared: Arc::default(),
        }
    }

    /// The same for a policy that another instance has accepted, with its webhook.
    pub(super) fn with_any_webhook(&self) -> Self {
        Self { signs_webhooks: true, ..self.clone() }
    }

    pub(crate) fn workspace(&self) -> &Workspace {
        &self.workspace
    }

    /// The files of the active policy, and the folder of its modules.
    pub(crate) fn sources(&self) -> Vec<PathBuf> {
        let active = self.shared.lock().active.clone();
        let mut sources = vec![active.unwrap_or_else(|| self.policy_path.clone())];
        sources.push(self.profile_path.clone());
        if self.opa == OpaMode::Embedded {
            // The folder changes when a module comes or goes, each module when it is written.
            sources.push(self.policy_dir.clone());
            sources.extend(self.module_paths().unwrap_or_default());
        }
        sources
    }

    pub(crate) fn active_source(&self) -> PolicySource {
        match &self.shared.lock().active {
            Some(path) => PolicySource::Path(path.to_string_lossy().into_owned()),
            None => PolicySource::Configured,
        }
    }

    /// Remembers a document as tried.
    pub(crate) fn seen(&self, document: &Document) {
        self.shared.lock().seen = Some(document.clone());
    }

    /// Remembers the document of the active policy.
    pub(crate) fn activate(&self, document: &Document) {
        let mut shared = self.shared.lock();
        shared.active = document.file.clone();
        shared.present = document.present;
    }

    /// Forgets a rejection and returns its faults.
    pub(crate) fn take_rejection(&self) -> Vec<Fault> {
        std::mem::take(&mut self.shared.lock().rejected)
    }

    /// Remembers why a change on disk was rejected.
    pub(crate) fn reject(&self, faults: &[Fault]) {
        self.shared.lock().rejected = faults.to_vec();
    }

    /// The faults of the files on disk, if the active policy is an older one.
    pub(crate) fn rejected(&self) -> Vec<Fault> {
        self.shared.lock().rejected.clone()
    }

    /// Whether the active file, the profile or a module differs from what was last tried.
    pub(crate) fn changed(&self) -> bool {
        let texts = |d: &Document| {
            (d.policy.clone(), d.profile.clone(), d.modules.clone(), d.missing.clone())
        };
        match self.read(&self.active_source()) {
            Ok(now) => self.shared.lock().seen.as_ref().map(texts) != Some(texts(&now)),
            Err(_) => false,
        }
    }

    /// A document that the journal stores.
    pub(super) fn stored(
        &self,
        policy: String,
        profile: String,
        modules: Vec<Module>,
        shown_path: String,
    ) -> Document {
        let (file, missing, present) = (None, Vec::new(), Present::default());
        Document { policy, profile, modules, shown_path, file, missing, present }
    }

    /// Reads what the service starts with.
    pub(crate) fn read_first(&self) -> Result<Document, OpenError> {
        let policy = read_optional(&self.policy_path).map_err(OpenError::at(&self.policy_path))?;
        let profile =
            read_optional(&self.profile_path).map_err(OpenError::at(&self.profile_path))?;
        let modules = self.modules().map_err(OpenError::at(&self.policy_dir))?;
        let document = self.configured(policy, profile, modules);
        self.seen(&document);
        self.activate(&document);
        Ok(document)
    }

    /// Reads a policy that a caller names, with profile and modules as they are now.
    pub(crate) fn read(&self, source: &PolicySource) -> Result<Document, EngineError> {
        let mut faults = Vec::new();
        let profile = read_optional(&self.profile_path).unwrap_or_else(|error| {
            faults.push(unreadable("agent", &self.shown(&self.profile_path), &error));
            None
        });
        let has_profile = profile.is_some() || !faults.is_empty();
        let modules = self.modules().unwrap_or_else(|error| {
            faults.push(unreadable("opa", &self.shown(&self.policy_dir), &error));
            Vec::new()
        });
        let (policy, shown_path, file) = match source {
            PolicySource::Configured => {
                let policy = read_optional(&self.policy_path);
                let is_unreadable = policy.is_err();
                let policy = policy.unwrap_or_else(|error| {
                    faults.push(unreadable("", &self.shown(&self.policy_path), &error));
                    None
                });
                let mut document = self.configured(policy, profile, modules);
                document.present.policy |= is_unreadable;
                document.present.profile = has_profile;
                document = self.checked(document);
                document.missing.extend(faults);
                return Ok(document);
            }
            PolicySource::Text(policy) => (policy.clone(), "request".to_owned(), None),
            PolicySource::Path(named) if self.is_active_and_missing(named) => {
                let profile = profile.unwrap_or_else(|| BUILT_IN_PROFILE.to_owned());
                let shown_path = self.shown(Path::new(named));
                let missing = vec![vanished("", &shown_path)];
                let (policy, present) = (String::new(), Present::default());
                let file = Some(PathBuf::from(named));
                return Ok(Document {
                    policy,
                    profile,
                    modules,
                    shown_path,
                    file,
                    missing,
                    present,
                });
            }
            PolicySource::Path(named) => {
                let file = self.permitted(named)?;
                let policy = read_optional(&file).unwrap_or_else(|error| {
                    faults.push(unreadable("", &self.shown(&file), &error));
                    Some(String::new())
                });
                (policy.ok_or_else(|| missing(named))?, self.shown(&file), Some(file))
            }
        };
        let present = Present { policy: true, profile: has_profile, modules: !modules.is_empty() };
        let profile = profile.unwrap_or_else(|| BUILT_IN_PROFILE.to_owned());
        let missing = faults;
        Ok(self.checked(Document { policy, profile, modules, shown_path, file, missing, present }))
    }

    fn configured(
        &self,
        policy: Option<String>,
        profile: Option<String>,
        modules: Vec<Module>,
    ) -> Document {
        let shown_path = match &policy {
            Some(_) => self.shown(&self.policy_path),
            None => "built-in".to_owned(),
        };
        let built_in = || life_agent_policy::snapshot::default_text(&self.whitelist_dirs);
        let present = Present {
            policy: policy.is_some(),
            profile: profile.is_some(),
            modules: !modules.is_empty(),
        };
        Document {
            policy: policy.unwrap_or_else(built_in),
            profile: profile.unwrap_or_else(|| BUILT_IN_PROFILE.to_owned()),
            modules,
            shown_path,
            file: None,
            missing: Vec::new(),
            present,
        }
    }

    /// The document with a fault for each part of the active policy that no longer exists: the policy, the
    /// profile, or the folder with all modules.
    fn checked(&self, mut document: Document) -> Document {
        let before = self.shared.lock().present;
        let now = document.present;
        if before.policy && !now.policy {
            document.shown_path = self.shown(&self.policy_path);
            let fault = vanished("", &document.shown_path);
            document.missing.push(fault);
        }
        if before.profile && !now.profile {
            document.missing.push(vanished("agent", &self.shown(&self.profile_path)));
        }
        if before.modules && !self.policy_dir.is_dir() {
            document.missing.push(vanished("opa", &self.shown(&self.policy_dir)));
        }
        document
    }

    fn is_active_and_missing(&self, named: &str) -> bool {
        let active = self.shared.lock().active.clone();
        active.is_some_and(|active| active == Path::new(named) && !active.is_file())
    }

    fn modules(&self) -> std::io::Result<Vec<Module>> {
        if self.opa != OpaMode::Embedded {
            return Ok(Vec::new());
        }
        let read = |path: PathBuf| {
            let text = read_optional(&path)?.unwrap_or_default();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            Ok(Module { name, text })
        };
        self.module_paths()?.into_iter().map(read).collect()
    }

    /// `POLICY_DIR/*.rego` in the order of their names, their tests left out.
    fn module_paths(&self) -> std::io::Result<Vec<PathBuf>> {
        let entries = match std::fs::read_dir(&self.policy_dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut paths = Vec::new();
        for entry in entries {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.ends_with(".rego") && !name.ends_with("_test.rego") {
                paths.push(path);
            }
        }
        paths.sort();
        Ok(paths)
    }

    /// The file of this name, if it lies in `POLICY_DIR` or is the one at `POLICY_PATH`: symlinks
    /// followed, so that a link cannot lead out.
    fn permitted(&self, named: &str) -> Result<PathBuf, EngineError> {
        let forbidden = || {
            EngineError::PathForbidden(
                "a policy must be a `.yaml` file in `POLICY_DIR` or the one at `POLICY_PATH`"
                    .to_owned(),
            )
        };
        let candidates = [PathBuf::from(named), self.policy_dir.join(named)];
        let is_yaml = |p: &Path| p.extension().is_some_and(|end| end == "yaml" || end == "yml");
        if !is_yaml(&candidates[0]) || named.contains('\0') {
            return Err(forbidden());
        }
        let lies_in_dir = |file: &Path| {
            self.policy_dir.canonicalize().is_ok_and(|dir| file.starts_with(dir))
                || self.policy_path.canonicalize().is_ok_and(|path| file == path)
        };
        let mut exists = false;
        for candidate in &candidates {
            if let Ok(file) = candidate.canonicalize() {
                exists = true;
                if lies_in_dir(&file) {
                    return Ok(candidate.clone());
                }
            }
        }
        // Callers must not learn whether a file elsewhere exists.
        let below_dir = candidates[0].starts_with(&self.policy_dir)
            && !named.split(['/', '\\']).any(|part| part == "..");
        if below_dir && !exists { Err(missing(named)) } else { Err(forbidden()) }
    }

    /// A path as callers may see it: as configured, relative to the workspace, or its last part.
    fn shown(&self, path: &Path) -> String {
        let relative = match path.strip_prefix(self.workspace.root()) {
            Ok(inside) => inside,
            Err(_) if path.is_relative() => path,
            Err(_) => path.file_name().map_or(path, Path::new),
        };
        relative.display().to_string()
    }
}

/// A part of the active policy that no longer exists.
fn vanished(path: &str, shown: &str) -> Fault {
    let message = format!("`{shown}` no longer exists; the active policy stays until it is back");
    Fault::new(path, message)
}

/// A part of a policy that exists and cannot be read.
fn unreadable(path: &str, shown: &str, error: &std::io::Error) -> Fault {
    let message =
        format!("`{shown}` cannot be read ({error}); the active policy stays until it can");
    Fault::new(path, message)
}

fn missing(named: &str) -> EngineError {
    EngineError::NotFound(format!("there is no policy `{named}`"))
}

/// The text of a file, none if there is no such file. Bytes that are not UTF-8 become replacement
/// characters, which the parser then points at.
fn read_optional(path: &Path) -> std::io::Result<Option<String>> {
    use std::io::Read;
    // A pipe would hold the thread that reads it until a process writes.
    if std::fs::metadata(path).is_ok_and(|found| !found.is_file()) {
        return Err(std::io::Error::new(ErrorKind::InvalidInput, "it is not a file"));
    }
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}
