//! `life-agent audit`: verify the journal's chain, show its head, export its rows.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use life_agent_engine::observer::{Head, Reader, Verdict};

use super::{CommandResult, FOUND, print_json, progress_bar};

/// What to do with a journal.
#[derive(Debug, Subcommand)]
pub enum Audit {
    /// Recompute the hash chain and name the first row that does not fit.
    ///
    /// A chain cannot prove its own end: whoever can write the file can cut it off or compute a new
    /// one. Keep a head (number and hash) elsewhere and hand it in with `--expect-head`.
    #[command(after_help = "Examples:\n  life-agent audit verify\n  \
        life-agent audit verify --db agent.db --expect-head 1041:9f86d0…\n\n\
        Exit code: 0 whole, 1 broken, 2 could not be read")]
    Verify(Verify),
    /// Show the number and the hash of the last row, to keep them elsewhere.
    #[command(after_help = "Example:\n  life-agent audit head >> heads-kept-elsewhere.txt")]
    Head(OneDb),
    /// Write rows to standard output, each as one line of JSON.
    #[command(after_help = "Examples:\n  life-agent audit export > journal.jsonl\n  \
        life-agent audit export --after 1041 | gzip > more.jsonl.gz")]
    Export(Export),
}

/// Which journal.
#[derive(Debug, Args)]
pub struct OneDb {
    /// The journal; DB_PATH if not given.
    #[arg(long, value_name = "FILE")]
    db: Option<PathBuf>,
}

/// Options of `audit verify`.
#[derive(Debug, Args)]
pub struct Verify {
    #[command(flatten)]
    db: OneDb,
    /// A head that was kept elsewhere; the chain must lead through it.
    #[arg(long, value_name = "NUMBER:HASH", value_parser = head)]
    expect_head: Option<Head>,
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
pub fn run(audit: &Audit, default_db: &Path) -> CommandResult {
    let open = |db: &OneDb| {
        let path = db.db.as_deref().unwrap_or(default_db);
        Reader::open(path).map_err(|error| error.to_string())
    };
    match audit {
        Audit::Verify(options) => verify(&open(&options.db)?, options),
        Audit::Head(db) => {
            let Head { id, hash } = open(db)?.head().map_err(|error| error.to_string())?;
            say!("{id}:{hash}");
            Ok(ExitCode::SUCCESS)
        }
        Audit::Export(options) => {
            let mut out = std::io::BufWriter::new(std::io::stdout().lock());
            let exported = open(&options.db)?.export(options.after, &mut out);
            exported.map_err(|error| error.to_string())?;
            out.flush().map_err(|error| error.to_string())?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn verify(reader: &Reader, options: &Verify) -> CommandResult {
    let bar = progress_bar(0, "rows");
    let verdict = reader.verify(options.expect_head.as_ref(), |rows, total| {
        bar.set_length(total);
        bar.set_position(rows);
    });
    bar.finish_and_clear();
    let verdict = verdict.map_err(|error| error.to_string())?;
    if options.json {
        print_json(&verdict)?;
    }
    match verdict {
        Verdict::Whole(whole) => {
            if !options.json {
                say!("whole: {} rows, head {}:{}", whole.rows, whole.head.id, whole.head.hash);
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
