//! The plans folder: artifacts appear in it complete or not at all, and are never overwritten.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use life_agent_domain::governance::command::Plan as PlanCommand;
use life_agent_domain::governance::gate::Permit;

use crate::draft::Draft;
use crate::mail::{self, Letter};
use crate::record::{DraftedBy, PatchRef, Record, sha256_hex};

/// Length of an id.
const ID_LEN: usize = 12;
/// Lower-case base32 (RFC 4648): nothing in it can be mistaken for another on any file system.
const ID_ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
/// Larger files are none of ours: a patch of 1 MiB and its mail, or a record of 500 long names.
const MAX_ARTIFACT_BYTES: u64 = 4 * 1024 * 1024;

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

/// Why no artifact was made. In each case none is left behind.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The permit is one for other paths.
    #[error("the plan is about other paths than those that were permitted; ask for it again")]
    OtherRequest,
    /// The disk said no.
    #[error(
        "the plan could not be stored; check the space and the permissions of the plans folder"
    )]
    Io(#[from] io::Error),
}

/// Why there is no such plan.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// No artifact has this id.
    #[error("there is no plan `{0}`; list the plans to see which there are")]
    NotFound(String),
    /// A file is missing, unreadable or not what the record says. The text says which.
    #[error("plan `{id}` has been tampered with or damaged: {what}; make it anew")]
    Tampered {
        /// The plan.
        id: String,
        /// What does not fit.
        what: &'static str,
    },
    /// The disk said no.
    #[error("the plans folder cannot be read; check its permissions")]
    Io(#[from] io::Error),
}

impl Store {
    /// The folder at `dir`, made if it does not exist.
    pub fn open(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        Ok(Self { dir: dir.to_owned() })
    }

    /// Writes a plan's artifact. The patch comes first and the record last, each under its name only
    /// once it is complete and on the disk, so that whatever ends this early leaves no plan.
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
                let _ = fs::remove_file(self.dir.join(format!("{stem}.{ending}")));
            }
        }
        Ok(placed?)
    }

    fn place_both(&self, stem: &str, draft: &Draft, mut record: Record) -> io::Result<Artifact> {
        if let Some(diff) = draft.diff() {
            let created = record.created.parse().map_err(io::Error::other)?;
            let mail = mail::write(&letter(&record, created), diff);
            let file = format!("{stem}.patch");
            self.place(&file, mail.as_bytes())?;
            let (sha256, diff_sha256) = (sha256_hex(mail.as_bytes()), sha256_hex(diff.as_bytes()));
            record.patch = Some(PatchRef { file, sha256, diff_sha256 });
        }
        let name = format!("{stem}.json");
        let mut json = serde_json::to_vec_pretty(&record).map_err(io::Error::from)?;
        json.push(b'\n');
        self.place(&name, &json)?;
        Ok(Artifact { record, name, seal: sha256_hex(&json) })
    }

    /// Takes an artifact back, for when the journal could not take the plan.
    pub fn discard(&self, artifact: &Artifact) -> io::Result<()> {
        fs::remove_file(self.dir.join(&artifact.name))?;
        if let Some(patch) = &artifact.record.patch {
            fs::remove_file(self.dir.join(&patch.file))?;
        }
        Ok(())
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
        let again = diff.map(|diff| mail::write(&letter(record, created), diff));
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

    fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            if let Ok(name) = entry?.file_name().into_string()
                && id_of(&name).is_some()
            {
                names.push(name);
            }
        }
        names.sort_by(|left, right| right.cmp(left));
        Ok(names)
    }

    /// Puts a file in place: complete, on the disk, and only if nothing has its name.
    fn place(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut builder = tempfile::Builder::new();
        builder.prefix("plan_").suffix(".tmp");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            // As any file of its user; the default would lock reviewers out.
            builder.permissions(fs::Permissions::from_mode(0o644));
        }
        let mut file = builder.tempfile_in(&self.dir)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist_noclobber(self.dir.join(name)).map_err(|failed| failed.error)?;
        File::open(&self.dir)?.sync_all()
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let path = self.dir.join(name);
        if !fs::symlink_metadata(&path)?.is_file() {
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
    }
}

fn letter(record: &Record, created: Timestamp) -> Letter<'_> {
    Letter {
        id: &record.id,
        created,
        author: &record.author,
        intent: &record.intent,
        context: &record.context,
        base_commit: record.base_commit.as_deref(),
        drafted_by: record.drafted_by.as_ref().map(|drafted| drafted.model.as_str()),
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

/// The id in the name of a record's file.
fn id_of(name: &str) -> Option<&str> {
    let (time, id) = name.strip_prefix("plan_")?.strip_suffix(".json")?.split_once('_')?;
    (time.len() == 16 && is_id(id)).then_some(id)
}
