//! Compares instruction counts of hot paths with committed counts. Unlike times, counts are stable on a shared
//! machine.
//!
//! Counts are for the dev profile, which CI builds anyway. Dependencies that run for every request (regex automata,
//! hashes, SQLite) are optimized in it; our own code is not, so the counts are larger than a release's, but they
//! show an additional pass, copy or allocation.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::Context;

use crate::{cargo, root};

const COUNTS: &str = "xtask/guard.json";
const EXAMPLE: &str = "target/debug/examples/guarded";

/// The largest accepted growth of a path.
const GROWTH: f64 = 1.10;
/// The ratio below which the output recommends committing the lower count.
const GAIN: f64 = 0.90;

/// Each case with the functions in which callgrind counts. Functions of a case must not call each other, because
/// callgrind toggles counting at each.
const CASES: [(&str, &[&str]); 4] = [
    ("scan", &["guarded::measured*"]),
    ("chain", &["guarded::measured*"]),
    ("step", &["guarded::measured*"]),
    (
        "append",
        &[
            "life_agent_observer::journal::Journal::append",
            "life_agent_observer::writer::Writer::commit",
        ],
    ),
];

/// Counts and compares; with `bless`, writes the counts.
pub(crate) fn run(bless: bool) -> anyhow::Result<()> {
    cargo(&["build", "--quiet", "--locked", "-p", "life-agent-engine", "--example", "guarded"])?;
    let counted = CASES
        .iter()
        .map(|(case, below)| Ok(((*case).to_owned(), count(case, below)?)))
        .collect::<anyhow::Result<BTreeMap<_, _>>>()?;
    let path = root().join(COUNTS);
    if bless {
        std::fs::write(&path, serde_json::to_string_pretty(&counted)? + "\n")?;
        println!("wrote {COUNTS}: {counted:?}");
        return Ok(());
    }
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {COUNTS}"))?;
    let faults = compare(&serde_json::from_str(&text)?, &counted);
    anyhow::ensure!(
        faults.is_empty(),
        "{}; if intended, run `cargo xtask guard --bless`",
        faults.join("; ")
    );
    Ok(())
}

/// Prints all counts and returns the paths beyond their bounds.
fn compare(committed: &BTreeMap<String, u64>, counted: &BTreeMap<String, u64>) -> Vec<String> {
    let mut faults = Vec::new();
    for (case, now) in counted {
        let Some(then) = committed.get(case) else {
            faults.push(format!("`{case}` has no committed count"));
            continue;
        };
        let ratio = *now as f64 / *then as f64;
        println!("{case}: {now} instructions, {:+.1}%", (ratio - 1.0) * 100.0);
        if ratio > GROWTH {
            faults.push(format!("`{case}` takes {now} instructions instead of {then}"));
        } else if ratio < GAIN {
            println!("  less than committed: run `cargo xtask guard --bless`");
        }
    }
    faults
}

fn count(case: &str, below: &[&str]) -> anyhow::Result<u64> {
    let folder = tempfile::tempdir()?;
    let out = folder.path().join("counts");
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--collect-atstart=no", "--quiet"]);
    valgrind.args(below.iter().map(|function| format!("--toggle-collect={function}")));
    valgrind.arg(format!("--callgrind-out-file={}", out.display()));
    // The same paths and environment on every machine.
    valgrind.arg(root().join(EXAMPLE)).arg(case).env_clear().env("PATH", "/usr/bin:/bin");
    let output =
        valgrind.output().context("`valgrind` does not start; install it (Debian: `valgrind`)")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "`guarded {case}` failed under valgrind: {errors}");
    total(&out).with_context(|| format!("callgrind counted nothing of `{case}`"))
}

/// The sum over all threads.
fn total(out: &Path) -> Option<u64> {
    let text = std::fs::read_to_string(out).ok()?;
    let line = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
    let total = line("totals: ").or_else(|| line("summary: "))?;
    total.trim().parse().ok().filter(|total| *total > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(of: &[(&str, u64)]) -> BTreeMap<String, u64> {
        of.iter().map(|(case, count)| ((*case).to_owned(), *count)).collect()
    }

    #[test]
    fn more_than_a_tenth_more_is_a_fault_and_less_is_none() {
        let committed = counts(&[("a", 1000), ("b", 1000), ("c", 1000)]);
        let faults =
            compare(&committed, &counts(&[("a", 1099), ("b", 1101), ("c", 500), ("d", 1)]));
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert!(faults[0].contains("`b`") && faults[1].contains("`d`"), "{faults:?}");
    }
}
