//! Credentials in current formats: how many are found, how many stay in clear text after redaction, and
//! how many texts that only look like one are mistaken for one.

use std::collections::BTreeMap;
use std::path::Path;

use life_agent_domain::governance::redaction::Redact;
use life_agent_gates::SecretRedactor;

use crate::classes::Bound;
use crate::corpus;
use crate::judge::{Judge, Place};
use crate::report::{Missed, Table};

pub(crate) fn measure(
    dir: &Path,
    judge: &Judge,
    table: &mut Table,
    missed: &mut Missed,
) -> Result<(), String> {
    let rows = corpus::read(dir, "agent_secrets")?;
    let (mut found, mut kept) = (0, 0);
    let mut by_format: BTreeMap<&str, usize> = BTreeMap::new();
    for row in &rows {
        let outcome = judge.put(&row.text, Place::Input);
        let is_found = outcome.categories.contains(&"secrets");
        let is_kept = SecretRedactor.redact(&row.text).contains(row.field("secret"));
        found += usize::from(is_found);
        kept += usize::from(is_kept);
        if !is_found || is_kept {
            *by_format.entry(row.field("format")).or_default() += 1;
            missed.note(format!("agent_secrets | {} | {:?}", row.field("format"), row.text));
        }
    }
    let found = table.row("agent_secrets", "found", found, rows.len(), Bound::AtLeast(94.0));
    let kept = table.row("agent_secrets", "in clear text", kept, rows.len(), Bound::AtMost(6.0));
    for (format, count) in by_format {
        missed.note(format!("agent_secrets by format | {format} {count}"));
    }
    let rows = corpus::read(dir, "agent_secrets_near_miss")?;
    let mut mistaken = 0;
    for row in &rows {
        let outcome = judge.put(&row.text, Place::Input);
        if outcome.categories.contains(&"secrets") {
            mistaken += 1;
            missed.note(format!(
                "near_miss | {} | {} | {:?}",
                row.field("kind"),
                outcome.rule_of("secrets"),
                row.text
            ));
        }
    }
    let mistaken =
        table.row("agent_secrets_near_miss", "mistaken", mistaken, rows.len(), Bound::AtMost(4.0));
    table.all(&[found, kept, mistaken]);
    Ok(())
}
