//! The table: how many of how many, the bound, and whether it holds.

use std::fmt::Write;
use std::path::Path;

use crate::classes::{Bound, CLASSES, Class};
use crate::corpus::{self, Row};
use crate::judge::{Judge, Place};
use crate::mutate::MUTATIONS;

/// Prints everything; whether all bounds hold. Rows on the wrong side go to `missed`.
pub(crate) fn run(dir: &Path, missed: Option<&Path>) -> Result<bool, String> {
    let judge = Judge::new()?;
    let mut wrong = String::new();
    let mut all_hold = true;
    for class in CLASSES {
        let rows = rows_of(dir, class)?;
        let mut hits = 0usize;
        for row in &rows {
            let outcome = judge.put(&row.text, class.place);
            let counts = (class.counts)(&outcome);
            hits += usize::from(counts);
            if counts == matches!(class.bound, Bound::AtMost(_)) {
                let _ = writeln!(
                    wrong,
                    "{} | {} | {} | {:?} | {} {}",
                    class.file,
                    class.name,
                    outcome.rule,
                    row.text,
                    row.field("cat"),
                    row.field("rule")
                );
            }
        }
        let percent = share(hits, rows.len());
        let holds = class.bound.holds(percent);
        all_hold &= holds;
        println!("{}", line(class, hits, rows.len(), percent, holds));
        if matches!(class.bound, Bound::AtLeast(least) if least > 0.0)
            && matches!(class.place, Place::Input | Place::Context)
        {
            all_hold &= mutated(&judge, class, &rows, percent, &mut wrong);
        }
    }
    if let Some(path) = missed {
        #[expect(clippy::disallowed_methods, reason = "a program may write files")]
        std::fs::write(path, wrong).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    Ok(all_hold)
}

/// Most percent points that a mutation may hide.
const MOST_HIDDEN: f64 = 1.0;

fn mutated(judge: &Judge, class: &Class, rows: &[Row], plain: f64, wrong: &mut String) -> bool {
    let mut all_hold = true;
    let split: (&str, fn(&str) -> String) = ("split", str::to_owned);
    for (name, mutate) in MUTATIONS.iter().chain([&split]) {
        let place = if *name == "split" { Place::Split } else { class.place };
        let mut hits = 0;
        for row in rows {
            let found = (class.counts)(&judge.put(&mutate(&row.text), place));
            hits += usize::from(found);
            if !found && (class.counts)(&judge.put(&row.text, class.place)) {
                let _ =
                    writeln!(wrong, "{} | {} | {name} | {:?}", class.file, class.name, row.text);
            }
        }
        let percent = share(hits, rows.len());
        let holds = percent >= plain - MOST_HIDDEN;
        all_hold &= holds;
        println!("    {name:<28} {hits:>5}/{:<5} {percent:>6.1}% {}", rows.len(), mark(holds));
    }
    all_hold
}

fn rows_of(dir: &Path, class: &Class) -> Result<Vec<Row>, String> {
    Ok(corpus::read(dir, class.file)?.into_iter().filter(class.rows).collect())
}

fn share(part: usize, whole: usize) -> f64 {
    100.0 * part as f64 / whole.max(1) as f64
}

fn mark(holds: bool) -> &'static str {
    if holds { "" } else { "MISSED" }
}

fn line(class: &Class, hits: usize, rows: usize, percent: f64, holds: bool) -> String {
    let bound = match class.bound {
        Bound::AtLeast(least) => format!("at least {least}%"),
        Bound::AtMost(most) => format!("at most {most}%"),
    };
    let name = format!("{}: {}", class.file, class.name);
    format!("{name:<52} {hits:>5}/{rows:<5} {percent:>6.1}% {bound:<16} {}", mark(holds))
}
