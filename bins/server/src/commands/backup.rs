//! `life-agent backup FILE`: copy the journal while it is being written.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use life_agent_observer_sqlite::SqliteFile;

use super::CommandResult;
use super::terminal::{print_json, spinner};
use crate::place::Place;

/// Options of `backup`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  life-agent backup /var/backups/agent-$(date +%F).db\n\n\
    Exit code: 0 copied, 2 could not be read or written")]
pub struct Backup {
    /// The file to write; it must not exist.
    file: PathBuf,
    /// The journal; DB_PATH if not given.
    #[arg(long, value_name = "FILE")]
    db: Option<PathBuf>,
    /// Print the head of the copy as JSON.
    #[arg(long)]
    json: bool,
}

/// Runs it.
pub fn run(options: &Backup, settings: &Place) -> CommandResult {
    let words = |error: life_agent_engine::observer::JournalError| error.to_string();
    let place = Place::or(options.db.as_deref(), settings)?;
    let database =
        "`backup` copies a file; for a database, use `pg_dump` or a snapshot of its server";
    let file = SqliteFile::open(place.file(database)?).map_err(words)?;
    let spinner = spinner("copying");
    let copied = file.backup(&options.file);
    spinner.finish_and_clear();
    let head = copied.map_err(words)?;
    if options.json {
        print_json(&serde_json::json!({"id": head.id, "hash": head.hash}))?;
        return Ok(ExitCode::SUCCESS);
    }
    say!("{} rows up to {}:{}", options.file.display(), head.id, head.hash);
    Ok(ExitCode::SUCCESS)
}
