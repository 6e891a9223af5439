//! Writes a change as `git diff` does.

use std::ops::Range;
use std::time::Instant;

use similar::{Algorithm, DiffOp, DiffTag, capture_diff_slices_deadline, group_diff_ops};

use crate::path::quote;

/// Lines of context around a change, as git's default.
const CONTEXT: usize = 3;

/// One file, before and after; `None` is a file that does not exist.
pub(crate) struct FileDiff<'a> {
    pub(crate) path: &'a str,
    /// The old name, if it has another one.
    pub(crate) from: Option<&'a str>,
    pub(crate) before: Option<&'a str>,
    pub(crate) after: Option<&'a str>,
    pub(crate) executable: bool,
}

/// A file's part of a patch, and what it adds and removes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Rendered {
    pub(crate) text: String,
    /// The added lines with their numbers in the new file, from 1.
    pub(crate) added: Vec<(usize, String)>,
    pub(crate) removed: usize,
}

/// A file's part of a patch. Past the deadline it is still a correct one, only longer than it had to
/// be; that takes texts which differ in so many places that no policy lets them pass.
pub(crate) fn render(file: &FileDiff<'_>, deadline: Instant) -> Rendered {
    let lines = Lines { old: split(file.before), new: split(file.after) };
    let ops =
        capture_diff_slices_deadline(Algorithm::Histogram, &lines.old, &lines.new, Some(deadline));
    let hunks = group_diff_ops(ops, CONTEXT);
    let mut rendered = Rendered { text: header(file, !hunks.is_empty()), ..Rendered::default() };
    hunks.iter().for_each(|hunk| lines.write(hunk, &mut rendered));
    rendered
}

fn header(file: &FileDiff<'_>, changed: bool) -> String {
    let old = quote(&format!("a/{}", file.from.unwrap_or(file.path)));
    let new = quote(&format!("b/{}", file.path));
    let mut text = format!("diff --git {old} {new}\n");
    match (file.before, file.after) {
        (None, _) => text.push_str("new file mode 100644\n"),
        (_, None) if file.executable => text.push_str("deleted file mode 100755\n"),
        (_, None) => text.push_str("deleted file mode 100644\n"),
        _ => {}
    }
    if let Some(from) = file.from {
        text.push_str(&format!("rename from {}\nrename to {}\n", quote(from), quote(file.path)));
    }
    if changed {
        let old = side(&old, file.before.is_some());
        let new = side(&new, file.after.is_some());
        text.push_str(&format!("--- {old}\n+++ {new}\n"));
    }
    text
}

/// A name behind `---` or `+++`; git ends one with a space in it with a tab, so that tools which look
/// for a time there find where the name ends.
fn side(name: &str, exists: bool) -> String {
    match (exists, name.contains(' ')) {
        (false, _) => "/dev/null".to_owned(),
        (true, true) => format!("{name}\t"),
        (true, false) => name.to_owned(),
    }
}

/// Lines as git has them: they end at `\n` alone.
fn split(text: Option<&str>) -> Vec<&str> {
    text.unwrap_or_default().split_inclusive('\n').collect()
}

struct Lines<'t> {
    old: Vec<&'t str>,
    new: Vec<&'t str>,
}

impl Lines<'_> {
    fn write(&self, hunk: &[DiffOp], rendered: &mut Rendered) {
        let (Some(first), Some(last)) = (hunk.first(), hunk.last()) else {
            return;
        };
        let old = first.old_range().start..last.old_range().end;
        let new = first.new_range().start..last.new_range().end;
        rendered.text.push_str(&format!("@@ -{} +{} @@\n", range(&old), range(&new)));
        for op in hunk {
            let mark = if op.tag() == DiffTag::Equal { ' ' } else { '-' };
            self.old[op.old_range()].iter().for_each(|line| push(&mut rendered.text, mark, line));
            if op.tag() == DiffTag::Equal {
                continue;
            }
            rendered.removed += op.old_range().len();
            for (index, line) in op.new_range().zip(&self.new[op.new_range()]) {
                push(&mut rendered.text, '+', line);
                rendered.added.push((index + 1, (*line).to_owned()));
            }
        }
    }
}

fn push(text: &mut String, mark: char, line: &str) {
    text.push(mark);
    text.push_str(line);
    if !line.ends_with('\n') {
        text.push_str("\n\\ No newline at end of file\n");
    }
}

/// As git writes it: no count of one, and an empty range names the line before it.
fn range(lines: &Range<usize>) -> String {
    match lines.len() {
        0 => format!("{},0", lines.start),
        1 => format!("{}", lines.start + 1),
        count => format!("{},{count}", lines.start + 1),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn diff(path: &str, before: Option<&str>, after: Option<&str>) -> Rendered {
        let file = FileDiff { path, from: None, before, after, executable: false };
        render(&file, Instant::now() + Duration::from_secs(60))
    }

    #[test]
    fn a_change_reads_as_git_prints_it() {
        let before = "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\nk\nl\nm\n";
        let after = before.replace("b\n", "B\n").replace("m\n", "m\nn");
        let rendered = diff("x y.txt", Some(before), Some(&after));
        let expected = "diff --git a/x y.txt b/x y.txt\n--- a/x y.txt\t\n+++ b/x y.txt\t\n\
                        @@ -1,5 +1,5 @@\n a\n-b\n+B\n c\n d\n e\n\
                        @@ -11,3 +11,4 @@\n k\n l\n m\n+n\n\\ No newline at end of file\n";
        assert_eq!(rendered.text, expected);
        assert_eq!(rendered.added, [(2, "B\n".to_owned()), (14, "n".to_owned())]);
        assert_eq!(rendered.removed, 1);
    }

    #[test]
    fn files_come_and_go_even_empty_ones() {
        assert_eq!(
            diff("ä", None, Some("x\r\n")).text,
            "diff --git \"a/\\303\\244\" \"b/\\303\\244\"\nnew file mode 100644\n--- /dev/null\n\
             +++ \"b/\\303\\244\"\n@@ -0,0 +1 @@\n+x\r\n"
        );
        assert_eq!(diff("e", None, Some("")).text, "diff --git a/e b/e\nnew file mode 100644\n");
        assert_eq!(
            diff("e", Some("x"), None).text,
            "diff --git a/e b/e\ndeleted file mode 100644\n--- a/e\n+++ /dev/null\n\
             @@ -1 +0,0 @@\n-x\n\\ No newline at end of file\n"
        );
    }
}
