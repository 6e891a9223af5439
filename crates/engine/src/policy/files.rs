//! The files of policies, modules and the agent profile, and which of them a caller may name.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

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
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug, Default)]
struct Shared {
    /// The active file, unless it is the configured one.
    active: Option<PathBuf>,
    /// The last document tried, so that a rejected file is not tried again until it changes.
    seen: Option<Document>,
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
            shared: Arc::default(),
        }
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
        self.shared.lock().active = document.file.clone();
    }

    /// Whether the active file, the profile or a module differs from what was last tried. A file that
    /// cannot be read just now (an editor is replacing it) has not changed yet.
    pub(crate) fn changed(&self) -> bool {
        let texts = |d: &Document| (d.policy.clone(), d.profile.clone(), d.modules.clone());
        match self.read(&self.active_source()) {
            Ok(now) => self.shared.lock().seen.as_ref().map(texts) != Some(texts(&now)),
            Err(_) => false,
        }
    }

    /// Reads what the service starts with.
    pub(crate) fn read_first(&self) -> Result<Document, OpenError> {
        let policy = read_optional(&self.policy_path).map_err(OpenError::at(&self.policy_path))?;
        let profile =
            read_optional(&self.profile_path).map_err(OpenError::at(&self.profile_path))?;
        let modules = self.modules().map_err(OpenError::at(&self.policy_dir))?;
        let document = self.configured(policy, profile, modules);
        self.seen(&document);
        Ok(document)
    }

    /// Reads a policy that a caller names, with profile and modules as they are now.
    pub(crate) fn read(&self, source: &PolicySource) -> Result<Document, EngineError> {
        let unreadable = |what: &str| EngineError::NotFound(format!("{what} cannot be read"));
        let profile =
            read_optional(&self.profile_path).map_err(|_| unreadable("the agent profile"))?;
        let modules = self.modules().map_err(|_| unreadable("a Rego module"))?;
        let (policy, shown_path, file) = match source {
            PolicySource::Configured => {
                let policy = read_optional(&self.policy_path);
                let policy = policy.map_err(|_| unreadable("the policy file"))?;
                return Ok(self.configured(policy, profile, modules));
            }
            PolicySource::Text(policy) => (policy.clone(), "request".to_owned(), None),
            PolicySource::Path(named) => {
                let file = self.permitted(named)?;
                let policy = read_optional(&file).map_err(|_| unreadable(&format!("`{named}`")))?;
                (policy.ok_or_else(|| missing(named))?, self.shown(&file), Some(file))
            }
        };
        let profile = profile.unwrap_or_else(|| BUILT_IN_PROFILE.to_owned());
        Ok(Document { policy, profile, modules, shown_path, file })
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
        Document {
            policy: policy.unwrap_or_else(built_in),
            profile: profile.unwrap_or_else(|| BUILT_IN_PROFILE.to_owned()),
            modules,
            shown_path,
            file: None,
        }
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

fn missing(named: &str) -> EngineError {
    EngineError::NotFound(format!("there is no policy `{named}`"))
}

/// The text of a file, none if there is no such file. Bytes that are not UTF-8 become replacement
/// characters, which the parser then points at.
fn read_optional(path: &Path) -> std::io::Result<Option<String>> {
    use std::io::Read;
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}
