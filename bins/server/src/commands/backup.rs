//! `life-agent backup FILE`: copy the journal while it is being written.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use life_agent_engine::observer::Reader;

use super::CommandResult;

/// Options of `backup`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  life-agent backup /var/backups/agent-$(date +%F).db")]
pub struct Backup {
    /// The file to write; it must not exist.
    file: PathBuf,
    /// The journal; DB_PATH if not given.
    #[arg(long, value_name = "FILE")]
    db: Option<PathBuf>,
}

/// Runs it.
pub fn run(options: &Backup, default_db: &Path) -> CommandResult {
    let words = |error: life_agent_engine::observer::JournalError| error.to_string();
    let reader = Reader::open(options.db.as_deref().unwrap_or(default_db)).map_err(words)?;
    let head = reader.backup(&options.file).map_err(words)?;
    say!("{} rows up to {}:{}", options.file.display(), head.id, head.hash);
    Ok(ExitCode::SUCCESS)
}
