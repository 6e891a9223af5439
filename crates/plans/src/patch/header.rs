//! What stands above the hunks of a file: its names, its modes, what happens to it.

use super::{Reader, What};
use crate::fault::{Code, PlanFault};
use crate::path::unquote;

/// The names and the kind of change.
pub(super) struct Head {
    pub(super) what: What,
    pub(super) path: String,
}

/// What the lines of the header say, before it is known whether they agree.
#[derive(Default)]
struct Said {
    created: bool,
    deleted: bool,
    rename_from: Option<String>,
    rename_to: Option<String>,
    /// The names of the `---` and `+++` lines; `None` inside stands for `/dev/null`.
    before: Option<Option<String>>,
    after: Option<Option<String>>,
}

/// Reads up to the first hunk. With faults, the head may still tell which file it is about.
pub(super) fn read(reader: &mut Reader<'_>, faults: &mut Vec<PlanFault>) -> Option<Head> {
    let number = reader.number();
    let first = reader.next()?;
    let names = first.trim_end_matches('\n').strip_prefix("diff --git ")?;
    if names.ends_with('\r') {
        let message = "the patch itself ends its lines in CRLF; send it as git prints it";
        faults.push(PlanFault::new(Code::LineEndings, message).line(number));
        return None;
    }
    let mut said = Said::default();
    while let Some(line) = reader.peek() {
        if line.starts_with("diff --git ") || line.starts_with("@@") || line.trim().is_empty() {
            break;
        }
        let at = reader.number();
        reader.next();
        if let Err(fault) = said.take(line.trim_end_matches('\n')) {
            let binary = fault.code == Code::Binary;
            faults.push(fault.line(at));
            if binary {
                break;
            }
        }
    }
    match said.settle(names) {
        Ok(head) => Some(head),
        Err(fault) => {
            // A mode or a binary file that was refused already explains what is missing.
            if faults.is_empty() {
                faults.push(fault.line(number));
            }
            said.any_name(names).map(|path| Head { what: What::Modify, path })
        }
    }
}

impl Said {
    fn take(&mut self, line: &str) -> Result<(), PlanFault> {
        let after = |prefix: &str| line.strip_prefix(prefix);
        if let Some(mode) = after("new file mode ") {
            self.created = true;
            mode_of(mode, &["100644"])
        } else if let Some(mode) = after("deleted file mode ") {
            self.deleted = true;
            mode_of(mode, &["100644", "100755"])
        } else if let Some(mode) = after("old mode ").or_else(|| after("new mode ")) {
            // Type changes aside, these two lines say that a mode changes.
            mode_of(mode, &[])
        } else if let Some(rest) = after("index ") {
            rest.split_once(' ').map_or(Ok(()), |(_, mode)| mode_of(mode, &["100644", "100755"]))
        } else if let Some(name) = after("rename from ") {
            self.rename_from = Some(whole_name(name)?);
            Ok(())
        } else if let Some(name) = after("rename to ") {
            self.rename_to = Some(whole_name(name)?);
            Ok(())
        } else if after("copy from ").is_some() || after("copy to ").is_some() {
            Err(PlanFault::new(Code::Copy, "a patch cannot copy a file; create it with its text"))
        } else if after("similarity index ").or_else(|| after("dissimilarity index ")).is_some() {
            Ok(())
        } else if line == "GIT binary patch" || after("Binary files ").is_some() {
            Err(PlanFault::new(Code::Binary, "binary files cannot be planned"))
        } else if let Some(name) = after("--- ") {
            self.before = Some(side_name(name, "a/")?);
            Ok(())
        } else if let Some(name) = after("+++ ") {
            self.after = Some(side_name(name, "b/")?);
            Ok(())
        } else {
            let message = "not a line of a git patch; send the patch as `git diff` prints it";
            Err(PlanFault::new(Code::MalformedPatch, message))
        }
    }

    /// The one reading on which all lines agree.
    fn settle(&self, names: &str) -> Result<Head, PlanFault> {
        let disagree = || {
            let message = "the lines above the hunks contradict each other; send the patch as \
                           `git diff` prints it, with `a/` and `b/` before the names";
            PlanFault::new(Code::MalformedPatch, message)
        };
        let (what, old, new) = match (&self.rename_from, &self.rename_to) {
            (Some(from), Some(to)) if !self.created && !self.deleted && from != to => {
                (What::Rename { from: from.clone() }, from.clone(), to.clone())
            }
            (None, None) => {
                let name = self.any_name(names).ok_or_else(disagree)?;
                let what = match (self.created, self.deleted) {
                    (false, false) => What::Modify,
                    (true, false) => What::Create,
                    (false, true) => What::Delete,
                    (true, true) => return Err(disagree()),
                };
                (what, name.clone(), name)
            }
            _ => return Err(disagree()),
        };
        let rest = take_name(names, &format!("a/{old}")).and_then(|rest| rest.strip_prefix(' '));
        let named = rest.and_then(|rest| take_name(rest, &format!("b/{new}"))) == Some("");
        let sides = match (&self.before, &self.after) {
            (None, None) => true,
            (Some(before), Some(after)) => {
                let before_fits = before.as_ref() == (!self.created).then_some(&old);
                before_fits && after.as_ref() == (!self.deleted).then_some(&new)
            }
            _ => false,
        };
        if named && sides { Ok(Head { what, path: new }) } else { Err(disagree()) }
    }

    /// The name of the file, wherever it stands.
    fn any_name(&self, names: &str) -> Option<String> {
        let sides = [&self.after, &self.before].into_iter().flatten().flatten();
        self.rename_to.iter().chain(sides).next().cloned().or_else(|| twice_the_same(names))
    }
}

fn mode_of(mode: &str, allowed: &[&str]) -> Result<(), PlanFault> {
    match mode {
        "120000" => Err(PlanFault::new(Code::Symlink, "a plan cannot make or change symlinks")),
        "160000" => Err(PlanFault::new(Code::Submodule, "a plan cannot make or move submodules")),
        mode if allowed.contains(&mode) => Ok(()),
        _ => Err(PlanFault::new(
            Code::ModeChange,
            "a plan cannot set modes; new files have 100644, others keep theirs",
        )),
    }
}

fn bad_name() -> PlanFault {
    PlanFault::new(Code::PathMalformed, "the name is not quoted as git quotes it, or is not UTF-8")
}

/// A name that is a whole line: quoted, or as it is.
fn whole_name(text: &str) -> Result<String, PlanFault> {
    if !text.starts_with('"') {
        return Ok(text.to_owned());
    }
    match unquote(text) {
        Some((name, "")) => Ok(name),
        _ => Err(bad_name()),
    }
}

/// The name of a `---` or `+++` line, without its prefix; `None` for `/dev/null`.
fn side_name(text: &str, prefix: &str) -> Result<Option<String>, PlanFault> {
    // Git ends a name with spaces in it with a tab, other tools put a time behind one; a tab that
    // belongs to the name would be quoted.
    let name = match unquote(text) {
        Some((name, rest)) if rest.is_empty() || rest.starts_with('\t') => name,
        _ if text.starts_with('"') => return Err(bad_name()),
        _ => text.split('\t').next().unwrap_or_default().to_owned(),
    };
    if name == "/dev/null" {
        return Ok(None);
    }
    match name.strip_prefix(prefix) {
        Some(name) => Ok(Some(name.to_owned())),
        None => {
            let message = format!("expected `{prefix}` before the name, as `git diff` prints it");
            Err(PlanFault::new(Code::MalformedPatch, message))
        }
    }
}

/// What follows `expected` in a text that begins with it, quoted or not.
fn take_name<'t>(text: &'t str, expected: &str) -> Option<&'t str> {
    match unquote(text) {
        Some((name, rest)) => (name == expected).then_some(rest),
        None => text.strip_prefix(expected),
    }
}

/// The name out of `a/NAME b/NAME`, where both are the same: the only unambiguous case.
fn twice_the_same(names: &str) -> Option<String> {
    if let Some((name, _)) = unquote(names) {
        return name.strip_prefix("a/").map(str::to_owned);
    }
    let (left, right) = names.split_at_checked(names.len() / 2)?;
    let (left, right) = (left.strip_prefix("a/")?, right.strip_prefix(" b/")?);
    (left == right).then(|| left.to_owned())
}
