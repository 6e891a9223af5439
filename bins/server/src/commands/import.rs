//! `life-agent import`: the record of another program, in a new journal.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use life_agent_engine::SecretRedactor;
use life_agent_engine::domain::governance::event::{Entry, EventKind};
use life_agent_engine::domain::governance::ids::AgentId;
use life_agent_engine::domain::governance::redaction::Redact;
use life_agent_engine::observer::verify::{Verdict, verify};
use life_agent_engine::observer::{
    Filter, Head, Journal, JournalError, Options, Read, Readers, WriteBatch,
};
use life_agent_observer_sqlite::version7::{SourceRow, Table, Version7};
use life_agent_observer_sqlite::{Sqlite, SqliteFile};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::terminal::{print_json, spinner};
use super::{CommandResult, FOUND};
use crate::place::Place;

/// Longest data of an imported row, in bytes; a longer one is replaced by its digest.
const MAX_ROW: usize = 1024 * 1024;
/// Rows that are handed to the journal at once.
const AT_ONCE: usize = 500;

/// Which record to import.
#[derive(Debug, Subcommand)]
pub enum Import {
    /// Import the database of Version_7, the predecessor of this service.
    ///
    /// Each row of `events`, `actions`, `proposals` and `llm_usage` becomes a row of a kind `imported.…`, with its
    /// old id and time, without credentials. The last row states a digest of the source and the number of
    /// rows. The new journal appears once it is complete and its chain is verified.
    #[command(after_help = "Examples:\n  life-agent import version7 old/agent.db\n  \
        life-agent import version7 old/agent.db --db imported.db --json\n\n\
        Exit code: 0 imported, 1 imported before, 2 could not be read or written")]
    Version7(FromVersion7),
}

/// Options of `import version7`.
#[derive(Debug, Args)]
pub struct FromVersion7 {
    /// The database to read; it is not changed.
    file: PathBuf,
    /// The journal to create, which must not exist; DB_PATH if not given.
    #[arg(long, value_name = "FILE")]
    db: Option<PathBuf>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// A digest of the rows that were read, and their numbers by table. The digest does not depend on how the file
/// stores its rows, so that copying or compacting it does not make it another source.
#[derive(Default)]
struct Source {
    digest: Sha256,
    counts: [u64; Table::ALL.len()],
}

impl Source {
    fn of(source: &Version7) -> Result<(String, [u64; Table::ALL.len()]), String> {
        let mut read = Self::default();
        source.visit(|row| read.add(&row)).map_err(|error: JournalError| error.to_string())?;
        Ok((hex::encode(read.digest.finalize()), read.counts))
    }

    fn add(&mut self, row: &SourceRow) -> Result<(), JournalError> {
        self.digest.update(row.table.as_str());
        self.digest.update(Value::Object(row.columns.clone()).to_string());
        self.digest.update([0]);
        let place = Table::ALL.iter().position(|table| *table == row.table);
        if let Some(count) = place.and_then(|place| self.counts.get_mut(place)) {
            *count += 1;
        }
        Ok(())
    }
}

/// Runs it.
pub fn run(import: &Import, settings: &Place) -> CommandResult {
    let Import::Version7(options) = import;
    let place = Place::or(options.db.as_deref(), settings)?;
    let to = place
        .file("an import makes a file; name it with --db, and move it with `life-agent migrate`")?;
    let words = |error: JournalError| error.to_string();
    let source = Version7::open(&options.file).map_err(words)?;
    let (digest, counts) = Source::of(&source)?;
    if to.exists() {
        return existing(to, &digest);
    }
    let spinner = spinner("importing");
    let imported = import_into(to, &source, &digest, counts);
    spinner.finish_and_clear();
    let head = imported?;
    let rows: u64 = counts.iter().sum();
    if options.json {
        let counts: Map<_, _> = by_table(counts);
        print_json(&json!({"rows": rows, "tables": counts, "digest": digest,
            "head": {"id": head.id, "hash": head.hash}}))?;
    } else {
        say!("{}: {rows} rows imported, head {}:{}", to.display(), head.id, head.hash);
    }
    Ok(ExitCode::SUCCESS)
}

fn by_table(counts: [u64; Table::ALL.len()]) -> Map<String, Value> {
    Table::ALL.iter().zip(counts).map(|(table, n)| (table.as_str().to_owned(), n.into())).collect()
}

/// Imports go into new journals only; one that has this source is reported as such.
fn existing(to: &Path, digest: &str) -> CommandResult {
    let file = SqliteFile::open(to).map_err(|error| error.to_string())?;
    let view = file.view().map_err(|error| error.to_string())?;
    match imported(&*view, digest).map_err(|error| error.to_string())? {
        Some(row) => {
            say!("`{}` has these rows already, see row {row}; nothing was changed", to.display());
            Ok(ExitCode::from(FOUND))
        }
        None => Err(format!("`{}` exists already; name a new file with --db", to.display())),
    }
}

/// The row that ends an import of this source.
fn imported(view: &dyn Read, digest: &str) -> Result<Option<u64>, JournalError> {
    let filter = Filter::new(Some(EventKind::ImportedDatabase.as_str()), None).unwrap_or_default();
    let mut after = Some(0);
    while let Some(from) = after {
        let page = view.page(from, 100, &filter)?;
        for row in &page.rows {
            let data: Value = serde_json::from_str(row.data.get()).unwrap_or_default();
            if data["digest"] == digest {
                return Ok(Some(row.id));
            }
        }
        after = page.next;
    }
    Ok(None)
}

fn import_into(
    to: &Path,
    source: &Version7,
    digest: &str,
    counts: [u64; Table::ALL.len()],
) -> Result<Head, String> {
    let words = |error: JournalError| error.to_string();
    // In a folder next to the target; the journal appears there only when it is complete.
    let parent = to.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = Folder::within(parent.unwrap_or(Path::new(".")))?;
    let path = folder.0.join("import.db");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let _context = runtime.enter();
    let journal = Journal::open(Sqlite::at(&path), Options::default()).map_err(words)?;
    // One batch at a time: the journal's queue is bounded.
    let append = |entries: Vec<Entry>| -> Result<(), JournalError> {
        let batch = WriteBatch { entries, ..WriteBatch::default() };
        runtime.block_on(journal.append(batch)?).map(drop)
    };
    let mut batch = Vec::with_capacity(AT_ONCE);
    let take_row = |row: SourceRow| -> Result<(), JournalError> {
        batch.push(entry(row));
        if batch.len() < AT_ONCE { Ok(()) } else { append(std::mem::take(&mut batch)) }
    };
    source.visit(take_row).map_err(words)?;
    let done = json!({"program": "Version_7", "digest": digest, "rows": by_table(counts)});
    batch.push(stored(EventKind::ImportedDatabase, None, &done));
    append(batch).map_err(words)?;
    runtime.block_on(journal.close()).map_err(words)?;
    let file = SqliteFile::open(&path).map_err(words)?;
    let verdict = verify(&*file.view().map_err(words)?, None, |_, _| ()).map_err(words)?;
    match verdict {
        Verdict::Whole(_) => file.backup(to).map_err(words),
        Verdict::Broken(broken) => Err(format!("the imported rows do not verify: {broken}")),
    }
}

/// The row that a row of the predecessor becomes.
fn entry(row: SourceRow) -> Entry {
    let kind = match row.table {
        Table::Events => EventKind::ImportedEvent,
        Table::Actions => EventKind::ImportedAction,
        Table::Proposals => EventKind::ImportedProposal,
        Table::LlmUsage => EventKind::ImportedUsage,
    };
    let mut columns = row.columns;
    let mut source = Map::new();
    let names: &[&str] =
        if row.table == Table::Events { &["id", "ts", "kind"] } else { &["id", "ts"] };
    for name in names {
        source.insert((*name).to_owned(), columns.remove(*name).unwrap_or_default());
    }
    let agent = columns.get("agent_id").and_then(Value::as_str);
    let agent = agent.and_then(|agent| AgentId::new(agent).ok());
    columns.insert("source".to_owned(), Value::Object(source));
    let mut data = Value::Object(columns);
    redact("", &mut data);
    stored(kind, agent, &data)
}

fn stored(kind: EventKind, agent: Option<AgentId>, data: &Value) -> Entry {
    let mut text = data.to_string();
    if text.len() > MAX_ROW {
        let digest = hex::encode(Sha256::digest(&text));
        text =
            json!({"source": data["source"], "too_large": {"bytes": text.len(), "sha256": digest}})
                .to_string();
    }
    let data = serde_json::value::RawValue::from_string(text).unwrap_or_default();
    Entry { kind, agent, principal: "system".to_owned(), request_id: String::new(), data }
}

/// Removes credentials from every text of a value, and from the names of its fields.
fn redact(key: &str, value: &mut Value) {
    match value {
        Value::String(text) => *text = SecretRedactor.redact_under(key, text).into_owned(),
        Value::Array(items) => items.iter_mut().for_each(|item| redact(key, item)),
        Value::Object(map) => {
            for (name, mut inner) in std::mem::take(map) {
                redact(&name, &mut inner);
                map.insert(SecretRedactor.redact(&name).into_owned(), inner);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A folder that is removed when dropped.
struct Folder(PathBuf);

impl Folder {
    fn within(parent: &Path) -> Result<Self, String> {
        let path = parent.join(format!(".life-agent-import-{}", std::process::id()));
        std::fs::create_dir(&path)
            .map_err(|error| format!("cannot create `{}`: {error}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
