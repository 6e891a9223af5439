//! The plans folder: artifacts appear in it complete and with their journal row, or not at all, and are never
//! overwritten.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use life_agent_domain::governance::command::Plan as PlanCommand;
use life_agent_domain::governance::gate::Permit;

use crate::draft::Draft;
use crate::mail::{self, PatchMail};
use crate::record::{DraftedBy, Fallback, ModelTurn, PatchRef, Record, sha256_hex};

/// Length of an id.
const ID_LEN: usize = 12;
/// Lower-case base32 (RFC 4648): no two ids are one name on a file system that ignores case.
const ID_ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
/// No artifact is larger: a patch of 1 MiB and its mail, or a record of 500 long names.
const MAX_ARTIFACT_BYTES: u64 = 4 * 1024 * 1024;

/// What the names of files end in until the plan's row is durable.
const PENDING: &str = ".pending";

/// The folder where artifacts go.
#[derive(Debug, Clone)]
pub struct Store {
    dir: PathBuf,
}

/// What a plan's record holds besides the draft and the permit.
#[derive(Debug, Clone)]
pub struct Meta {
    /// When it is made.
    pub created: Timestamp,
    /// The request that makes it.
    pub request_id: String,
    /// SHA-256 of the policy, in hex.
    pub policy_hash: String,
    /// The model that wrote the edits, if one did.
    pub drafted_by: Option<DraftedBy>,
    /// The turn of the model that asked for the plan, if no caller did.
    pub asked_by: Option<ModelTurn>,
    /// Why there is no draft although a model should have written one.
    pub fallback: Option<Fallback>,
}

/// A plan that is on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// Its record.
    pub record: Record,
    /// The name of the record's file in the plans folder; the patch's is in the record.
    pub name: String,
    /// SHA-256 of the record's file, in hex. Keep it with the review: it proves that the plan which
    /// was approved is the one that is carried out.
    pub seal: String,
}

impl Artifact {
    /// Its files: the patch, if it has one, then the record.
    fn names(&self) -> impl Iterator<Item = &str> {
        let patch = self.record.patch.as_ref().map(|patch| patch.file.as_str());
        patch.into_iter().chain([self.name.as_str()])
    }
}

/// Why no artifact was made. In each case none is left behind.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The permit is one for other paths.
    #[error("the plan is about other paths than those that were permitted; ask for it again")]
    OtherRequest,
    /// The folder could not be written or read.
    #[error(
        "the plan could not be stored; check the space and the permissions of the plans folder"
    )]
    Io(#[from] io::Error),
}

/// Why there is no such plan.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// No artifact has this id.
    #[error("there is no plan `{0}`; list the plans to see which there are")]
    NotFound(String),
    /// A file is missing, unreadable or not what the record says. The text says which.
    #[error("plan `{id}` has been tampered with or damaged: {what}; create it again")]
    Tampered {
        /// The plan.
        id: String,
        /// What does not fit.
        what: &'static str,
    },
    /// The folder could not be written or read.
    #[error("the plans folder cannot be read; check its permissions")]
    Io(#[from] io::Error),
}

impl Store {
    /// The folder at `dir`, created with mode 0700 if it does not exist.
    pub fn open(dir: &Path) -> io::Result<Self> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(dir)?;
        Ok(Self { dir: dir.to_owned() })
    }

    /// Writes a plan's artifact under pending names. The patch comes first and the record last, each complete
    /// and durable before it gets its name. [`Store::publish`] follows once the plan's row is durable;
    /// [`Store::recover`] settles what an interruption left pending.
    pub fn write(
        &self,
        draft: &Draft,
        permit: &Permit<PlanCommand>,
        meta: &Meta,
    ) -> Result<Artifact, WriteError> {
        if draft.targets != permit.command().targets {
            return Err(WriteError::OtherRequest);
        }
        let stem = meta.created.strftime("%Y%m%dT%H%M%SZ").to_string();
        let stem = format!("plan_{stem}_{}", random_id());
        let placed = self.place_both(&stem, draft, record(draft, permit, meta, &stem));
        if placed.is_err() {
            // A file may stand although making it durable failed: the record, which counts, goes first.
            for ending in ["json", "patch"] {
                let _ = fs::remove_file(self.dir.join(format!("{stem}.{ending}{PENDING}")));
            }
        }
        Ok(placed?)
    }

    fn place_both(&self, stem: &str, draft: &Draft, mut record: Record) -> io::Result<Artifact> {
        if let Some(diff) = draft.diff() {
            let created = record.created.parse().map_err(io::Error::other)?;
            let mail = mail::write(&patch_mail(&record, created), diff);
            let file = format!("{stem}.patch");
            self.place(&format!("{file}{PENDING}"), mail.as_bytes())?;
            let (sha256, diff_sha256) = (sha256_hex(mail.as_bytes()), sha256_hex(diff.as_bytes()));
            record.patch = Some(PatchRef { file, sha256, diff_sha256 });
        }
        let name = format!("{stem}.json");
        let mut json = serde_json::to_vec_pretty(&record).map_err(io::Error::from)?;
        json.push(b'\n');
        self.place(&format!("{name}{PENDING}"), &json)?;
        Ok(Artifact { record, name, seal: sha256_hex(&json) })
    }

    /// Gives a pending artifact its names. The patch comes first, so that a record never lacks its patch.
    pub fn publish(&self, artifact: &Artifact) -> io::Result<()> {
        for name in artifact.names() {
            self.rename(name)?;
        }
        File::open(&self.dir)?.sync_all()
    }

    /// The files of an artifact with their names, the patch first.
    pub fn files(&self, artifact: &Artifact) -> io::Result<Vec<(String, Vec<u8>)>> {
        artifact.names().map(|name| Ok((name.to_owned(), self.read(name)?))).collect()
    }

    /// Puts a file of a plan in place that another folder holds, unless it is here. [`Store::load`] and
    /// [`Store::mail`] prove that it is the one that was written.
    ///
    /// # Errors
    /// It cannot be written, or no file of a plan has this name.
    pub fn restore(&self, name: &str, content: &[u8]) -> io::Result<()> {
        if stem_id(name).is_none() {
            return Err(ErrorKind::InvalidInput.into());
        }
        match self.place(name, content) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            placed => placed,
        }
    }

    /// Removes an artifact whose plan the journal did not accept.
    pub fn discard(&self, artifact: &Artifact) -> io::Result<()> {
        let mut names: Vec<_> = artifact.names().collect();
        names.reverse();
        names.into_iter().try_for_each(|name| self.remove(name))
    }

    /// The ids of plans with pending files.
    pub fn pending_ids(&self) -> io::Result<Vec<String>> {
        let names = self.pending_names()?;
        let mut ids: Vec<_> =
            names.iter().filter_map(|name| stem_id(name)).map(str::to_owned).collect();
        ids.sort();
        ids.dedup();
        Ok(ids)
    }

    /// The final names of pending files, patches before records, as they are published.
    fn pending_names(&self) -> io::Result<Vec<String>> {
        let mut names: Vec<String> = fs::read_dir(&self.dir)?
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter_map(|name| name.strip_suffix(PENDING).map(str::to_owned))
            .filter(|name| stem_id(name).is_some())
            .collect();
        names.sort_by_key(|name| name.ends_with(".json"));
        Ok(names)
    }

    /// Settles artifacts that an interruption left pending: those of plans that `is_recorded` accepts get
    /// their names, the others are removed. Returns how many were published and removed. Only for a folder
    /// in which no plan is being made.
    pub fn recover(&self, is_recorded: impl Fn(&str) -> bool) -> io::Result<(usize, usize)> {
        let pending = self.pending_names()?;
        let (mut published, mut removed) = (0, 0);
        for name in pending {
            if stem_id(&name).is_some_and(&is_recorded) {
                self.rename(&name)?;
                published += 1;
            } else {
                self.remove(&name)?;
                removed += 1;
            }
        }
        Ok((published, removed))
    }

    fn rename(&self, name: &str) -> io::Result<()> {
        fs::rename(self.pending(name), self.dir.join(name))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let gone = |removed: io::Result<()>| match removed {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            removed => removed,
        };
        gone(fs::remove_file(self.pending(name)))?;
        gone(fs::remove_file(self.dir.join(name)))
    }

    fn pending(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}{PENDING}"))
    }

    /// The plan with this id.
    pub fn load(&self, id: &str) -> Result<Artifact, LoadError> {
        let not_found = || LoadError::NotFound(id.chars().take(64).collect());
        let name = match is_id(id) {
            true => self.names()?.into_iter().find(|name| id_of(name) == Some(id)),
            false => None,
        };
        let name = name.ok_or_else(not_found)?;
        let tampered = |what| LoadError::Tampered { id: id.to_owned(), what };
        let json = self.read(&name).map_err(|_| tampered("its record cannot be read"))?;
        let record: Record =
            serde_json::from_slice(&json).map_err(|_| tampered("its record is no record"))?;
        let patch_name = name.replace(".json", ".patch");
        let fits = record.id == id && record.patch.as_ref().is_none_or(|p| p.file == patch_name);
        if !fits {
            return Err(tampered("its record is that of another plan"));
        }
        Ok(Artifact { record, name, seal: sha256_hex(&json) })
    }

    /// The `.patch` file of a plan, after proof that it is the one that was written; `None` for a
    /// statement of intent.
    pub fn mail(&self, artifact: &Artifact) -> Result<Option<String>, LoadError> {
        let record = &artifact.record;
        let Some(patch) = &record.patch else {
            return Ok(None);
        };
        let tampered = |what| LoadError::Tampered { id: record.id.clone(), what };
        let bytes = self.read(&patch.file).map_err(|_| tampered("its patch cannot be read"))?;
        let mail = String::from_utf8(bytes).map_err(|_| tampered("its patch is not text"))?;
        if sha256_hex(mail.as_bytes()) != patch.sha256 {
            return Err(tampered("its patch is not the one that was made"));
        }
        // A patch exchanged together with its hash must still be the mail of this record.
        let created = record.created.parse().map_err(|_| tampered("its time is no time"))?;
        let diff = mail::diff_of(&mail, record.base_commit.as_deref());
        let diff = diff.filter(|diff| sha256_hex(diff.as_bytes()) == patch.diff_sha256);
        let again = diff.map(|diff| mail::write(&patch_mail(record, created), diff));
        if again.as_ref() != Some(&mail) {
            return Err(tampered("its record and its patch do not belong together"));
        }
        Ok(Some(mail))
    }

    /// The diff of a plan, proven like [`Store::mail`]. Quotes the workspace: redact it before it is
    /// shown.
    pub fn diff(&self, artifact: &Artifact) -> Result<Option<String>, LoadError> {
        let base = artifact.record.base_commit.as_deref();
        let mail = self.mail(artifact)?;
        Ok(mail.and_then(|mail| mail::diff_of(&mail, base).map(str::to_owned)))
    }

    /// The ids of all plans, newest first; those of one second in no certain order.
    pub fn ids(&self) -> io::Result<Vec<String>> {
        Ok(self.names()?.iter().filter_map(|name| id_of(name)).map(str::to_owned).collect())
    }

    /// The names of all records, newest first. A pending record counts: whoever knows its id has read its
    /// row, which is durable before the artifact is published.
    fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let Ok(name) = entry?.file_name().into_string() else { continue };
            let name = name.strip_suffix(PENDING).unwrap_or(&name);
            if id_of(name).is_some() {
                names.push(name.to_owned());
            }
        }
        names.sort_by(|left, right| right.cmp(left));
        names.dedup();
        Ok(names)
    }

    /// Puts a file in place: complete, on the disk, and only if nothing has its name.
    fn place(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut builder = tempfile::Builder::new();
        builder.prefix("plan_").suffix(".tmp");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            // A plan quotes the workspace and what its caller wrote.
            builder.permissions(fs::Permissions::from_mode(0o600));
        }
        let mut file = builder.tempfile_in(&self.dir)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist_noclobber(self.dir.join(name)).map_err(|failed| failed.error)?;
        File::open(&self.dir)?.sync_all()
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let path = self.dir.join(name);
        let (path, found) = match fs::symlink_metadata(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let pending = self.pending(name);
                // It may have been published between the two looks.
                match fs::symlink_metadata(&pending) {
                    Ok(found) => (pending, found),
                    Err(_) => (path.clone(), fs::symlink_metadata(&path)?),
                }
            }
            found => (path, found?),
        };
        if !found.is_file() {
            return Err(ErrorKind::InvalidInput.into());
        }
        let mut bytes = Vec::new();
        File::open(path)?.take(MAX_ARTIFACT_BYTES + 1).read_to_end(&mut bytes)?;
        match u64::try_from(bytes.len()) {
            Ok(len) if len <= MAX_ARTIFACT_BYTES => Ok(bytes),
            _ => Err(ErrorKind::FileTooLarge.into()),
        }
    }
}

fn record(draft: &Draft, permit: &Permit<PlanCommand>, meta: &Meta, stem: &str) -> Record {
    let command = permit.command();
    Record {
        id: stem.rsplit('_').next().unwrap_or_default().to_owned(),
        created: meta.created.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string(),
        author: permit.principal().as_str().to_owned(),
        request_id: meta.request_id.clone(),
        drafted_by: meta.drafted_by.clone(),
        asked_by: meta.asked_by.clone(),
        fallback: meta.fallback.clone(),
        intent: command.intent.clone(),
        context: command.context.clone(),
        targets: command.targets.clone(),
        policy_hash: meta.policy_hash.clone(),
        applied_policies: permit.trace().applied_policies.clone(),
        base_commit: draft.base_commit.clone(),
        patch: None,
        files: draft.files.clone(),
        stats: draft.stats,
        checks: draft.checks.clone(),
        target_files: command.targets.clone(),
        created_at: meta.created.as_second(),
        policies: permit.trace().applied_policies.clone(),
    }
}

fn patch_mail(record: &Record, created: Timestamp) -> PatchMail<'_> {
    PatchMail {
        id: &record.id,
        created,
        author: &record.author,
        intent: &record.intent,
        context: &record.context,
        base_commit: record.base_commit.as_deref(),
        drafted_by: record.drafted_by.as_ref().map(|drafted| drafted.model.as_str()),
        asked_by: record.asked_by.as_ref(),
    }
}

/// 60 random bits, so that ids never meet and none can be guessed.
fn random_id() -> String {
    let mut bits = uuid::Uuid::new_v4().as_u128();
    let mut letter = || {
        let letter = ID_ALPHABET[(bits & 31) as usize];
        bits >>= 5;
        char::from(letter)
    };
    (0..ID_LEN).map(|_| letter()).collect()
}

fn is_id(text: &str) -> bool {
    text.len() == ID_LEN && text.bytes().all(|b| ID_ALPHABET.contains(&b))
}

/// The id in the name of a record or a patch.
fn stem_id(name: &str) -> Option<&str> {
    let stem = name.strip_suffix(".json").or_else(|| name.strip_suffix(".patch"))?;
    let (time, id) = stem.strip_prefix("plan_")?.split_once('_')?;
    (time.len() == 16 && is_id(id)).then_some(id)
}

/// The id in the name of a record's file.
fn id_of(name: &str) -> Option<&str> {
    let (time, id) = name.strip_prefix("plan_")?.strip_suffix(".json")?.split_once('_')?;
    (time.len() == 16 && is_id(id)).then_some(id)
}
