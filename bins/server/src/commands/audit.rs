//! `life-agent audit`: verify the journal's chain, show its head, export and find its rows.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use life_agent_engine::observer::verify::{self, Verdict};
use life_agent_engine::observer::{self, Head, Readers};
use life_agent_engine::{TableFault, check_tables};

use super::search::{self, Search};
use super::service::service_help;
use super::terminal::{print_json, progress_bar};
use super::{CommandResult, FOUND};
use crate::place::Place;

/// What to do with a journal.
#[derive(Debug, Subcommand)]
pub enum Audit {
    /// Recompute the hash chain, compare the tables with it, and name the first mismatch.
    ///
    /// A chain cannot prove its own end: an attacker who can write the file can cut it off or compute a new
    /// one. Keep a head (number and hash) elsewhere and hand it in with `--expect-head`.
    #[command(after_help = "Examples:\n  life-agent audit verify\n  \
        life-agent audit verify --db agent.db --expect-head 1041:9f86d0…\n\n\
        Exit code: 0 intact, 1 broken, 2 could not be read")]
    Verify(Verify),
    /// Show the number and the hash of the last row, to store elsewhere.
    #[command(after_help = "Example:\n  life-agent audit head >> heads-kept-elsewhere.txt\n\n\
        Exit code: 0 shown, 2 could not be read")]
    Head(ShowHead),
    /// Write rows to standard output, each as one line of JSON.
    #[command(after_help = "Examples:\n  life-agent audit export > journal.jsonl\n  \
        life-agent audit export --after 1041 | gzip > more.jsonl.gz\n\n\
        Exit code: 0 all of them are written, 2 could not be read or written")]
    Export(Export),
    /// Find rows by text, time, agent, caller, outcome or rule, newest first.
    ///
    /// Asks the running service if LIFE_AGENT_URL or LIFE_AGENT_KEY is set, and reads the journal itself otherwise,
    /// or with `--db`.
    #[command(after_help = service_help!(
        "Examples:\n  life-agent audit search passwd --outcome denied\n  \
        life-agent audit search --agent hero --since 2026-11-22 --until 2026-11-23\n  \
        life-agent audit search --request 0197a2 --json\n  \
        life-agent audit search terraform --db copy.db --limit 0"
    ))]
    Search(Box<Search>),
}

/// Which journal.
#[derive(Debug, Args)]
pub struct OneDb {
    /// The journal; DATABASE_URL or DB_PATH if not given.
    #[arg(long, value_name = "FILE|URL")]
    db: Option<PathBuf>,
}

/// Options of `audit head`.
#[derive(Debug, Args)]
pub struct ShowHead {
    #[command(flatten)]
    db: OneDb,
    /// Print it as JSON.
    #[arg(long)]
    json: bool,
}

/// Options of `audit verify`.
#[derive(Debug, Args)]
pub struct Verify {
    #[command(flatten)]
    db: OneDb,
    /// A head that was kept elsewhere; the chain must lead through it.
    #[arg(long, value_name = "NUMBER:HASH", value_parser = head)]
    expect_head: Option<Head>,
    /// Accept that rows up to this one were removed by retention after the expected head was kept.
    #[arg(long, value_name = "NUMBER", requires = "expect_head", default_value_t = 0)]
    allow_pruned_to: u64,
    /// Print the verdict as JSON.
    #[arg(long)]
    json: bool,
}

/// Options of `audit export`.
#[derive(Debug, Args)]
pub struct Export {
    #[command(flatten)]
    db: OneDb,
    /// Begin after this row.
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    after: u64,
}

/// Reads `number:hash`.
fn head(text: &str) -> Result<Head, String> {
    let expected =
        "expected the number and the hash of a row, as `audit head` prints them: `NUMBER:HASH`";
    let (id, hash) = text.split_once(':').ok_or(expected)?;
    let id = id.parse().map_err(|_| expected)?;
    if hash.len() != 64 || !hash.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(expected.to_owned());
    }
    Ok(Head { id, hash: hash.to_ascii_lowercase() })
}

/// Runs it.
pub fn run(audit: &Audit, settings: &Place) -> CommandResult {
    let open = |db: &OneDb| Place::or(db.db.as_deref(), settings)?.reader();
    match audit {
        Audit::Verify(options) => verify(&*open(&options.db)?, options),
        Audit::Head(options) => {
            let head = head_of(&*open(&options.db)?)?;
            if options.json {
                print_json(&serde_json::json!({"id": head.id, "hash": head.hash}))?;
            } else {
                say!("{}:{}", head.id, head.hash);
            }
            Ok(ExitCode::SUCCESS)
        }
        Audit::Export(options) => export(&*open(&options.db)?, options.after),
        Audit::Search(options) => search::run(options, settings),
    }
}

/// The last row.
pub(super) fn head_of(journal: &dyn Readers) -> Result<Head, String> {
    journal.view().and_then(|view| view.head()).map_err(|error| error.to_string())
}

fn export(file: &dyn Readers, after: u64) -> CommandResult {
    let last = head_of(file)?.id;
    let bar = progress_bar(last.saturating_sub(after), "rows");
    let out = std::io::stdout();
    if out.is_terminal() {
        // The rows themselves show how far it is.
        bar.set_draw_target(indicatif::ProgressDrawTarget::hidden());
    }
    let mut out = std::io::BufWriter::new(Lines { out: out.lock(), bar: &bar });
    let exported = observer::export(file, after, &mut out);
    let written = out.flush();
    drop(out);
    bar.finish_and_clear();
    exported.map_err(|error| error.to_string())?;
    written.map_err(|error| error.to_string())?;
    Ok(ExitCode::SUCCESS)
}

/// Counts lines on their way.
struct Lines<'a, W> {
    out: W,
    bar: &'a indicatif::ProgressBar,
}

impl<W: Write> Write for Lines<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.out.write(bytes)?;
        let lines = bytes.iter().take(written).filter(|byte| **byte == b'\n').count();
        self.bar.inc(lines as u64);
        Ok(written)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

fn verify(file: &dyn Readers, options: &Verify) -> CommandResult {
    let bar = progress_bar(0, "rows");
    let verdict = file.view().and_then(|view| {
        let (expected, allowed) = (options.expect_head.as_ref(), options.allow_pruned_to);
        let verdict = verify::verify_pruned(&*view, expected, allowed, |rows, total| {
            bar.set_length(total);
            bar.set_position(rows);
        })?;
        // A table can only be compared with rows that are intact.
        let faults = match &verdict {
            Verdict::Whole(_) => check_tables(&*view)?,
            Verdict::Broken(_) => Vec::new(),
        };
        Ok((verdict, faults))
    });
    bar.finish_and_clear();
    let (verdict, faults) = verdict.map_err(|error| error.to_string())?;
    if options.json {
        let mut answer = serde_json::to_value(&verdict).map_err(|error| error.to_string())?;
        if !faults.is_empty() {
            answer["verdict"] = "broken".into();
            answer["tables"] = serde_json::to_value(&faults).map_err(|error| error.to_string())?;
        }
        print_json(&answer)?;
    }
    match verdict {
        Verdict::Whole(_) if !faults.is_empty() => {
            if !options.json {
                for TableFault { record, fault } in &faults {
                    say!("broken: {record}: {fault}");
                }
                say!("the rows are intact; the tables next to them were changed and do not count");
            }
            Ok(ExitCode::from(FOUND))
        }
        Verdict::Whole(whole) => {
            if !options.json {
                say!("intact: {} rows, head {}:{}", whole.rows, whole.head.id, whole.head.hash);
                if let Some(pruned) = whole.pruned {
                    say!("rows up to {} were removed by retention, on the record", pruned.id);
                }
                if options.expect_head.is_none() {
                    say!(
                        "a chain cannot prove its own end: keep this head elsewhere, and hand it in \
                         next time with `--expect-head`"
                    );
                }
            }
            Ok(ExitCode::SUCCESS)
        }
        Verdict::Broken(broken) => {
            if !options.json {
                say!("broken: {broken}; the {} rows before it fit", broken.good);
            }
            Ok(ExitCode::from(FOUND))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::head;

    #[test]
    fn a_head_is_a_number_and_a_hash() {
        let hash = "AB".repeat(32);
        assert_eq!(head(&format!("7:{hash}")).unwrap().hash, hash.to_lowercase());
        for bad in
            ["", "7", "x:ab", "7:ab", &format!("-1:{hash}"), &format!("7:{}", "zz".repeat(32))]
        {
            assert!(head(bad).is_err(), "{bad}");
        }
    }
}
