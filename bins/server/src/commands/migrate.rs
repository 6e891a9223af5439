//! `life-agent migrate`: move a journal between a file and a database.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use life_agent_engine::check_tables;
use life_agent_engine::observer::JournalError;
use life_agent_engine::observer::transfer::transfer;
use life_agent_engine::observer::verify::{self, Verdict};

use super::CommandResult;
use super::terminal::{print_json, spinner};
use crate::place::Place;

/// Options of `migrate`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    life-agent migrate --from agent.db --to \"$DATABASE_URL\"\n  \
    life-agent migrate --from \"$DATABASE_URL\" --to agent.db\n\n\
    Stop the service first. Rows keep their numbers and hashes. Plan artifacts stay in PLANS_DIR.\n\n\
    Exit code: 0 moved and verified, 2 could not be read or written")]
pub struct Migrate {
    /// The journal to copy; it is not changed.
    #[arg(long, value_name = "FILE|URL")]
    from: PathBuf,
    /// The new journal: a file that does not exist, or a database without a journal.
    #[arg(long, value_name = "FILE|URL")]
    to: PathBuf,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// Runs it.
pub fn run(options: &Migrate) -> CommandResult {
    let words = |error: JournalError| error.to_string();
    let (from, to) = (Place::named(&options.from)?, Place::named(&options.to)?);
    let source = from.source()?;
    let target = to.target()?;
    let spinner = spinner("copying");
    let copied = transfer(&*source, target, &mut |records| {
        spinner.set_message(format!("{records} records"));
    });
    spinner.finish_and_clear();
    let tip = copied.map_err(words)?;
    let reader = to.reader()?;
    let view = reader.view().map_err(words)?;
    let verdict = verify::verify(&*view, Some(&tip.head), |_, _| ()).map_err(words)?;
    let rows = match verdict {
        Verdict::Whole(whole) if whole.head == tip.head => whole.rows,
        Verdict::Whole(_) => return Err(format!("{to}: rows were added during the copy")),
        Verdict::Broken(broken) => {
            return Err(format!("{to}: the copy is broken: {broken}; verify the source"));
        }
    };
    let faults = check_tables(&*view).map_err(words)?;
    if let Some(fault) = faults.first() {
        return Err(format!("{to}: {}: {}; verify the source", fault.record, fault.fault));
    }
    if options.json {
        let head = serde_json::json!({"id": tip.head.id, "hash": tip.head.hash});
        print_json(&serde_json::json!({"rows": rows, "head": head}))?;
    } else {
        say!("{to}: {rows} rows, verified up to {}:{}", tip.head.id, tip.head.hash);
    }
    Ok(ExitCode::SUCCESS)
}
