//! The checks on a change as a whole: what it would add, where, and how much.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use life_agent_domain::governance::change_policy::ChangePolicy;
use life_agent_domain::governance::gate::Reason;

use crate::diff::{self, FileDiff, Rendered};
use crate::draft::{FileChange, MAX_FILE_BYTES};
use crate::fault::{Code, PlanFault};
use crate::path::{folded, prefixes};
use crate::record::{Check, Stats};
use crate::request::MAX_PATCH_BYTES;
use crate::tree::Tree;

/// How long all files of a plan may take to be compared as shortly as possible. Real files take
/// milliseconds; without it, a mebibyte of two kinds of lines takes seconds.
const DIFF_TIME: Duration = Duration::from_secs(1);

/// The diff of all files, and its size.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) diff: String,
    pub(crate) stats: Stats,
}

/// Runs every check on the changes that could be worked out; faults are added to `faults`.
pub(crate) fn all(
    tree: &Tree,
    changes: &[FileChange],
    max_diff_lines: u32,
    change_policy: &dyn ChangePolicy,
    faults: &mut Vec<PlanFault>,
) -> Outcome {
    faults.extend(conflicts(changes));
    faults.extend(collisions(tree, changes));
    let mut outcome = Outcome::default();
    let deadline = Instant::now() + DIFF_TIME;
    for change in changes {
        let file = FileDiff {
            path: &change.path,
            from: change.from.as_deref(),
            before: change.before.as_deref(),
            after: change.after.as_deref(),
            executable: change.executable,
        };
        let rendered = diff::render(&file, deadline);
        let own = one_file(change, &rendered, change_policy).into_iter();
        faults.extend(own.map(|fault| fault.file(&change.path).of(change.source)));
        outcome.stats.files += 1;
        outcome.stats.added += rendered.added.len();
        outcome.stats.removed += rendered.removed;
        outcome.diff.push_str(&rendered.text);
    }
    let lines = outcome.stats.added + outcome.stats.removed;
    if lines > max_diff_lines as usize {
        let message = format!(
            "the plan adds and removes {lines} lines, the policy's `max_diff_lines` is \
             {max_diff_lines}; split it"
        );
        faults.push(PlanFault::new(Code::TooManyLines, message));
    }
    if outcome.diff.len() > MAX_PATCH_BYTES {
        let message =
            format!("the diff has {} bytes, at most {MAX_PATCH_BYTES} pass", outcome.diff.len());
        faults.push(PlanFault::new(Code::PatchTooLarge, message));
    }
    outcome
}

/// Whether the path gate lets a plan touch this file.
pub(crate) fn admitted(path: &str, change_policy: &dyn ChangePolicy) -> Result<(), PlanFault> {
    change_policy.path(path).map_err(|refusal| {
        let code = match refusal.reason {
            Reason::RiskPattern => Code::Secret,
            _ => Code::PathForbidden,
        };
        PlanFault::new(code, refusal.message)
    })
}

/// A name that holds a credential would stand in the artifact, the journal and every answer.
pub(crate) fn secrets_in_name(path: &str, change_policy: &dyn ChangePolicy) -> Option<PlanFault> {
    let leak = change_policy.added_text(path).into_iter().next()?;
    let message = format!("the name itself holds a credential (`{}`); choose another", leak.rule);
    Some(PlanFault::new(Code::Secret, message))
}

fn one_file(
    change: &FileChange,
    rendered: &Rendered,
    change_policy: &dyn ChangePolicy,
) -> Vec<PlanFault> {
    let mut faults = Vec::new();
    let created = change.before.is_none() || change.from.is_some();
    if let Some(from) = &change.from
        && let Err(refusal) = change_policy.rename(from, &change.path)
    {
        faults.push(PlanFault::new(Code::RenameForbidden, refusal.message));
    }
    if created {
        faults.extend(secrets_in_name(&change.path, change_policy));
    }
    if let Some(after) = &change.after {
        if after.len() > MAX_FILE_BYTES {
            let message =
                format!("the file would have {} bytes, at most {MAX_FILE_BYTES} pass", after.len());
            faults.push(PlanFault::new(Code::FileTooLarge, message));
        }
        if let Some(at) = after.find('\0') {
            let message = "the file would hold a NUL byte; only text can be planned";
            faults.push(PlanFault::new(Code::Binary, message).line(line_at(after, at)));
        }
        let before = change.before.as_deref().unwrap_or_default();
        faults.extend(mixed_endings(before, after));
    }
    faults.extend(secrets(rendered, change_policy));
    faults
}

/// Credentials in the added lines: each line once for each rule.
fn secrets(rendered: &Rendered, change_policy: &dyn ChangePolicy) -> Vec<PlanFault> {
    let mut text = String::new();
    let mut starts = Vec::with_capacity(rendered.added.len());
    for (number, line) in &rendered.added {
        starts.push((text.len(), *number));
        text.push_str(line);
    }
    let mut seen = HashSet::new();
    let mut faults = Vec::new();
    for leak in change_policy.added_text(&text) {
        let index = starts.partition_point(|(start, _)| *start <= leak.start).saturating_sub(1);
        let Some((_, line)) = starts.get(index) else {
            continue;
        };
        if seen.insert((*line, leak.rule.clone())) {
            let message = format!(
                "line {line} of the new file holds a credential (`{}`); read it from the \
                 environment instead",
                leak.rule
            );
            faults.push(PlanFault::new(Code::Secret, message).line(*line));
        }
    }
    faults
}

/// A file whose lines all ended alike keeps doing so: a mix is a mistake, or hides something in
/// review.
fn mixed_endings(before: &str, after: &str) -> Option<PlanFault> {
    let crlf = |text: &str| text.matches("\r\n").count();
    let all = |text: &str| text.matches('\n').count();
    let (crlf_before, all_before) = (crlf(before), all(before));
    let uniform_before = all_before > 0 && (crlf_before == 0 || crlf_before == all_before);
    let (crlf_after, all_after) = (crlf(after), all(after));
    if !uniform_before || crlf_after == 0 || crlf_after == all_after {
        return None;
    }
    let was_crlf = crlf_before > 0;
    let odd = |line: &&str| line.ends_with('\n') && line.ends_with("\r\n") != was_crlf;
    let at = after.split_inclusive('\n').position(|line| odd(&line))? + 1;
    let (has, keep) = if was_crlf { ("LF", "CRLF") } else { ("CRLF", "LF") };
    let message =
        format!("line {at} of the new file ends in {has}, the others in {keep}; keep {keep}");
    Some(PlanFault::new(Code::LineEndings, message).line(at))
}

fn line_at(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

/// Files that the change leaves in the way of each other's directories.
fn conflicts(changes: &[FileChange]) -> Vec<PlanFault> {
    let stays = |change: &&FileChange| change.after.is_some();
    let files: HashSet<&str> = changes.iter().filter(stays).map(|c| c.path.as_str()).collect();
    let mut faults = Vec::new();
    for change in changes.iter().filter(stays) {
        let above = prefixes(&change.path).find(|p| *p != change.path && files.contains(p));
        if let Some(above) = above {
            let message = format!("`{above}` would be a file and a directory at once");
            let fault = PlanFault::new(Code::PathConflict, message);
            faults.push(fault.file(&change.path).of(change.source));
        }
    }
    faults
}

/// Names that differ only by case or composition, among the touched files or next to a new one.
fn collisions(tree: &Tree, changes: &[FileChange]) -> Vec<PlanFault> {
    let mut known: HashMap<String, &str> = HashMap::new();
    let mut listed: HashMap<&str, Names> = HashMap::new();
    let mut faults = Vec::new();
    let mut collide = |change: &FileChange, name: &str, other: &str| {
        let message = format!("`{name}` and `{other}` are one name where case does not count");
        let fault = PlanFault::new(Code::CaseCollision, message);
        faults.push(fault.file(&change.path).of(change.source));
    };
    for change in changes {
        let touched = change.from.iter().chain([&change.path]).flat_map(|path| prefixes(path));
        let clash = touched.into_iter().find_map(|prefix| {
            let other = *known.entry(folded(prefix)).or_insert(prefix);
            (other != prefix).then_some((prefix, other))
        });
        if let Some((name, other)) = clash {
            collide(change, name, other);
            continue;
        }
        if change.after.is_none() || (change.before.is_some() && change.from.is_none()) {
            continue;
        }
        for prefix in prefixes(&change.path) {
            let (dir, name) = prefix.rsplit_once('/').unwrap_or(("", prefix));
            match listed.entry(dir).or_insert_with(|| Names::of(tree, dir)).beside(name) {
                Beside::Itself => {}
                Beside::Nothing => break,
                Beside::Other(there) => {
                    collide(change, name, there);
                    break;
                }
            }
        }
    }
    faults
}

/// The names in a directory, as they are and as a file system may compare them.
struct Names {
    exact: HashSet<String>,
    folded: HashMap<String, String>,
}

/// What a directory has under a name.
enum Beside<'n> {
    Itself,
    Nothing,
    Other(&'n str),
}

impl Names {
    fn of(tree: &Tree, dir: &str) -> Self {
        // What cannot be listed has been refused when the file was read.
        let exact = tree.names(dir).unwrap_or_default();
        let folded = exact.iter().map(|name| (folded(name), name.clone())).collect();
        Self { exact, folded }
    }

    fn beside(&self, name: &str) -> Beside<'_> {
        match self.folded.get(&folded(name)) {
            _ if self.exact.contains(name) => Beside::Itself,
            Some(other) => Beside::Other(other),
            None => Beside::Nothing,
        }
    }
}

/// The checks behind a draft, for its record.
pub(crate) fn passed(stats: Stats, max_diff_lines: u32, statement: bool) -> Vec<Check> {
    let result = if statement { "not_applicable" } else { "passed" };
    let check = |check: &str, result: &str, detail: String| Check {
        check: check.to_owned(),
        result: result.to_owned(),
        detail,
    };
    let lines = stats.added + stats.removed;
    vec![
        check("paths", "passed", "every path is admitted by the policy".to_owned()),
        check("files", result, "plain text files, no symlink, no submodule, no mode".to_owned()),
        check("applies", result, "to the files as they were, exactly".to_owned()),
        check("secrets", result, "none in the added lines".to_owned()),
        check("max_diff_lines", result, format!("{lines} of {max_diff_lines}")),
    ]
}
