//! Writes a change as `git diff` does.

use imara_diff::{Algorithm, Diff, Hunk, InternedInput};

use crate::path::quote;

/// Lines of context around a change, as git's default.
const CONTEXT: u32 = 3;

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

/// A file's part of a patch. Deterministic, and near-linear for any text: the algorithm gives up on
/// minimality, as git's does, before it becomes slow.
pub(crate) fn render(file: &FileDiff<'_>) -> Rendered {
    let (before, after) = (file.before.unwrap_or_default(), file.after.unwrap_or_default());
    let input = InternedInput::new(before, after);
    let mut diff = Diff::compute(Algorithm::Histogram, &input);
    diff.postprocess_lines(&input);
    let hunks: Vec<Hunk> = diff.hunks().collect();

    let mut rendered = Rendered { text: header(file, !hunks.is_empty()), ..Rendered::default() };
    let lines = Lines {
        old: input.before.iter().map(|token| input.interner[*token]).collect(),
        new: input.after.iter().map(|token| input.interner[*token]).collect(),
    };
    for group in grouped(&hunks) {
        lines.write(group, &mut rendered);
    }
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

/// Changes whose contexts touch share one hunk.
fn grouped(hunks: &[Hunk]) -> impl Iterator<Item = &[Hunk]> {
    hunks.chunk_by(|left, right| right.before.start - left.before.end <= 2 * CONTEXT)
}

struct Lines<'t> {
    old: Vec<&'t str>,
    new: Vec<&'t str>,
}

impl Lines<'_> {
    fn write(&self, group: &[Hunk], rendered: &mut Rendered) {
        let (Some(first), Some(last)) = (group.first(), group.last()) else {
            return;
        };
        let lead = first.before.start.min(CONTEXT);
        let old_len = u32::try_from(self.old.len()).unwrap_or(u32::MAX);
        let tail = (old_len - last.before.end).min(CONTEXT);
        let old = first.before.start - lead..last.before.end + tail;
        let new = first.after.start - lead..last.after.end + tail;
        rendered.text.push_str(&format!("@@ -{} +{} @@\n", range(&old), range(&new)));

        let mut at = old.start;
        for hunk in group {
            self.old_lines(' ', at..hunk.before.start, rendered);
            self.old_lines('-', hunk.before.clone(), rendered);
            rendered.removed += hunk.before.len();
            for index in hunk.after.clone() {
                let line = self.new[index as usize];
                push(&mut rendered.text, '+', line);
                rendered.added.push((index as usize + 1, line.to_owned()));
            }
            at = hunk.before.end;
        }
        self.old_lines(' ', at..old.end, rendered);
    }

    fn old_lines(&self, mark: char, range: std::ops::Range<u32>, rendered: &mut Rendered) {
        range.for_each(|index| push(&mut rendered.text, mark, self.old[index as usize]));
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
fn range(lines: &std::ops::Range<u32>) -> String {
    match lines.len() {
        0 => format!("{},0", lines.start),
        1 => format!("{}", lines.start + 1),
        count => format!("{},{count}", lines.start + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diff(path: &str, before: Option<&str>, after: Option<&str>) -> Rendered {
        render(&FileDiff { path, from: None, before, after, executable: false })
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
