//! The table: hits per set, the bound, and whether it holds.

use std::path::Path;

use crate::agent_secrets;
use crate::agent_text;
use crate::classes::{Bound, CLASSES, Class};
use crate::corpus::{self, Row};
use crate::judge::{Judge, Place};
use crate::mutate::MUTATIONS;

/// Prints one line per set and remembers whether every bound holds.
pub(crate) struct Table {
    all_hold: bool,
}

impl Table {
    /// Prints one line; whether its bound holds.
    pub(crate) fn row(
        &self,
        file: &str,
        name: &str,
        hits: usize,
        rows: usize,
        bound: Bound,
    ) -> bool {
        let percent = share(hits, rows);
        let holds = bound.holds(percent);
        let limit = match bound {
            Bound::AtLeast(least) => format!("at least {least}%"),
            Bound::AtMost(most) => format!("at most {most}%"),
        };
        let name = format!("{file}: {name}");
        println!("{name:<52} {hits:>5}/{rows:<5} {percent:>6.2}% {limit:<16} {}", mark(holds));
        holds
    }

    pub(crate) fn all(&mut self, hold: &[bool]) {
        self.all_hold &= hold.iter().all(|holds| *holds);
    }
}

/// Rows on the wrong side of a bound.
#[derive(Default)]
pub(crate) struct Missed(String);

impl Missed {
    pub(crate) fn note(&mut self, line: String) {
        self.0.push_str(&line);
        self.0.push('\n');
    }
}

/// Measures every set; whether all bounds hold. Rows on the wrong side go to the file `missed`; `quick`
/// leaves out the mutations.
pub(crate) fn run(dir: &Path, missed: Option<&Path>, quick: bool) -> Result<bool, String> {
    let judge = Judge::new()?;
    let mut wrong = Missed::default();
    let mut table = Table { all_hold: true };
    for class in CLASSES {
        let rows = rows_of(dir, class)?;
        let mut hits = 0usize;
        for row in &rows {
            let outcome = judge.put(&row.text, class.place);
            let counts = (class.counts)(&outcome);
            hits += usize::from(counts);
            if counts == matches!(class.bound, Bound::AtMost(_)) {
                let labels = format!("{} {}", row.field("cat"), row.field("rule"));
                let rules = outcome.rules.join(" ");
                wrong.note(format!(
                    "{} | {} | {rules} | {:?} | {labels}",
                    class.file, class.name, row.text
                ));
            }
        }
        let holds = table.row(class.file, class.name, hits, rows.len(), class.bound);
        table.all(&[holds]);
        if !quick
            && matches!(class.bound, Bound::AtLeast(least) if least > 0.0)
            && matches!(class.place, Place::Input | Place::Context)
        {
            let hold = mutated(&judge, class, &rows, share(hits, rows.len()), &mut wrong);
            table.all(&[hold]);
        }
    }
    agent_secrets::measure(dir, &judge, &mut table, &mut wrong)?;
    agent_text::measure(dir, &judge, &mut table, &mut wrong)?;
    if let Some(path) = missed {
        #[expect(clippy::disallowed_methods, reason = "a program may write files")]
        std::fs::write(path, wrong.0).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    Ok(table.all_hold)
}

/// Most percent points that a mutation may hide.
const MOST_HIDDEN: f64 = 1.0;

fn mutated(judge: &Judge, class: &Class, rows: &[Row], plain: f64, wrong: &mut Missed) -> bool {
    let mut all_hold = true;
    let split: (&str, fn(&str) -> String) = ("split", str::to_owned);
    for (name, mutate) in MUTATIONS.iter().chain([&split]) {
        let place = if *name == "split" { Place::Split } else { class.place };
        let mut hits = 0;
        for row in rows {
            let found = (class.counts)(&judge.put(&mutate(&row.text), place));
            hits += usize::from(found);
            if !found && (class.counts)(&judge.put(&row.text, class.place)) {
                wrong.note(format!("{} | {} | {name} | {:?}", class.file, class.name, row.text));
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
