//! Patches as git prints them, and patches that nobody should take.

use super::*;

fn codes(patch: &str) -> Vec<&'static str> {
    parse(patch).1.iter().map(|fault| fault.code.as_str()).collect()
}

fn one(patch: &str) -> FilePatch {
    let (mut files, faults) = parse(patch);
    assert_eq!((files.len(), faults.as_slice()), (1, [].as_slice()), "{patch}");
    files.remove(0)
}

const MODIFY: &str = "diff --git a/f b/f\nindex 1..2 100644\n--- a/f\n+++ b/f\n";

#[test]
fn every_kind_of_change_that_git_prints_is_read() {
    let modify = one(&format!("{MODIFY}@@ -1,2 +1,2 @@ fn main\n a\n-b\n+c\n"));
    assert_eq!((modify.what, modify.path.as_str(), modify.line), (What::Modify, "f", 1));
    let sides: Vec<_> = modify.hunks[0].lines.iter().map(|line| line.side).collect();
    assert_eq!(sides, [Side::Both, Side::Old, Side::New]);

    let create = "diff --git a/n b/n\nnew file mode 100644\nindex 0..1\n--- /dev/null\n+++ b/n\n\
                  @@ -0,0 +1 @@\n+x\n\\ No newline at end of file\n";
    let create = one(create);
    assert_eq!((create.what, create.hunks[0].lines[0].text.as_str()), (What::Create, "x"));

    let empty = one("diff --git a/a b b/a b\nnew file mode 100644\nindex 0..1\n");
    assert_eq!((empty.what, empty.path.as_str()), (What::Create, "a b"));

    let delete = "diff --git a/n b/n\ndeleted file mode 100755\nindex 0..1\n--- a/n\n\
                  +++ /dev/null\n@@ -1 +0,0 @@\n-x\n";
    assert_eq!(one(delete).what, What::Delete);

    let rename = "diff --git a/x y b/z\nsimilarity index 100%\nrename from x y\nrename to z\n";
    assert_eq!(one(rename).what, What::Rename { from: "x y".to_owned() });

    let quoted = "diff --git \"a/\\303\\244\\t\" \"b/\\303\\244\\t\"\nindex 1..2 100644\n\
                  --- \"a/\\303\\244\\t\"\n+++ \"b/\\303\\244\\t\"\n@@ -1 +1 @@\n-a\n+b\n";
    assert_eq!(one(quoted).path, "ä\t");
    let spaced =
        "diff --git a/x y b/x y\nindex 1..2\n--- a/x y\t\n+++ b/x y\t\n@@ -1 +1 @@\n-a\n+b\n";
    assert_eq!(one(spaced).path, "x y");
}

#[test]
fn small_damage_that_changes_no_meaning_is_forgiven() {
    let stripped = one(&format!("{MODIFY}@@ -1,3 +1,3 @@\n a\n\n-b\n+c"));
    assert_eq!(stripped.hunks[0].lines[1].text, "\n");
    assert_eq!(stripped.hunks[0].lines[3].text, "c\n");
    assert_eq!(codes(&format!("{MODIFY}@@ -1 +1 @@\n-b\n+c\n\n\n")), [""; 0]);
}

#[test]
fn counts_must_be_those_of_the_lines() {
    for wrong in [
        "@@ -1 +1,2 @@\n-b\n+c\n",
        "@@ -1 +1 @@\n-b\n+c\n+d\n",
        "@@ -1 +1 @@\n-b\n+c\n d\n",
        "@@ -1,2 +1 @@\n+b\n+c\n",
        "@@ -1 +9 @@\n-b\n+c\n",
        "@@ -1 +1 @@\n-b\n+c\n@@ -5 +6 @@\n-b\n+c\n",
    ] {
        assert_eq!(codes(&format!("{MODIFY}{wrong}")), ["hunk_counts"], "{wrong}");
    }
    for overlap in [
        "@@ -1,2 +1,2 @@\n-b\n+c\n d\n@@ -2 +2 @@\n-d\n+e\n",
        "@@ -5 +5 @@\n-b\n+c\n@@ -1 +1 @@\n-d\n+e\n",
    ] {
        assert_eq!(codes(&format!("{MODIFY}{overlap}")), ["overlapping_hunks"], "{overlap}");
    }
}

#[test]
fn the_faults_of_all_files_are_reported_and_no_file_is_skipped() {
    let patch = "diff --git a/a b/a\nold mode 100644\nnew mode 100755\n\
                 diff --git a/b b/b\nindex 1..2 100644\n--- a/b\n+++ b/b\n@@ -1,3 +1,3 @@\n-b\n+c\n\
                 diff --git a/c b/c\nindex 1..2 100644\nBinary files a/c and b/c differ\n\
                 diff --git a/d b/d\nnew file mode 120000\n--- /dev/null\n+++ b/d\n@@ -0,0 +1 @@\n+e\n\
                 diff --git a/e b/e\nindex 1..2 160000\n--- a/e\n+++ b/e\n@@ -1 +1 @@\n-a\n+b\n";
    let (files, faults) = parse(patch);
    let paths: Vec<_> = files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths, ["a", "b", "c", "d", "e"]);
    assert!(files.iter().all(|file| file.broken));
    let found: Vec<_> =
        faults.iter().map(|f| (f.code.as_str(), f.file.as_deref(), f.line)).collect();
    let expected = [
        ("mode_change", "a", 2),
        ("mode_change", "a", 3),
        ("hunk_counts", "b", 8),
        ("binary", "c", 13),
        ("symlink", "d", 15),
        ("submodule", "e", 21),
    ];
    assert_eq!(found, expected.map(|(code, file, line)| (code, Some(file), Some(line))));
}

#[test]
fn lines_that_contradict_each_other_are_refused() {
    for (patch, code) in [
        ("", "malformed_patch"),
        ("hello\n", "malformed_patch"),
        ("--- a/f\n+++ b/f\n@@ -1 +1 @@\n-a\n+b\n", "malformed_patch"),
        ("diff --cc f\nindex 1,2..3\n", "malformed_patch"),
        ("diff --git a/f b/f\n", "malformed_patch"),
        ("diff --git a/f b/f\nindex 1..2 100644\n", "malformed_patch"),
        ("diff --git f f\n--- f\n+++ f\n@@ -1 +1 @@\n-a\n+b\n", "malformed_patch"),
        ("diff --git a/f b/f\n--- a/g\n+++ b/f\n@@ -1 +1 @@\n-a\n+b\n", "malformed_patch"),
        ("diff --git a/f b/f\n--- a/g\n+++ b/g\n@@ -1 +1 @@\n-a\n+b\n", "malformed_patch"),
        ("diff --git a/f b/f\n--- /dev/null\n+++ b/f\n@@ -0,0 +1 @@\n+b\n", "malformed_patch"),
        (
            "diff --git a/f b/f\nnew file mode 100644\n--- a/f\n+++ b/f\n@@ -0,0 +1 @@\n+b\n",
            "malformed_patch",
        ),
        ("diff --git a/f b/f\nrename from f\n", "malformed_patch"),
        ("diff --git a/f b/g\ncopy from f\ncopy to g\n", "copy"),
        ("diff --git a/f b/f\nGIT binary patch\nliteral 0\nHcmV?d00001\n\n", "binary"),
        ("diff --git a/f b/f\nnew file mode 100755\n", "mode_change"),
        (
            "diff --git \"a/\\q\" \"b/\\q\"\n--- \"a/\\q\"\n+++ \"b/\\q\"\n@@ -1 +1 @@\n-a\n+b\n",
            "path_malformed",
        ),
        ("diff --git a/f b/f\r\n--- a/f\r\n+++ b/f\r\n@@ -1 +1 @@\r\n-a\r\n+b\r\n", "line_endings"),
    ] {
        let found = codes(patch);
        assert!(!found.is_empty() && found.iter().all(|f| *f == code), "{found:?}: {patch}");
    }
    for hunk in
        ["@@ -1 +1\n", "@@ -a +1 @@\n", "@@ -0 +1 @@\n", "@@ -+1 +1 @@\n", "@@@ -1 -1 +1 @@@\n"]
    {
        assert_eq!(codes(&format!("{MODIFY}{hunk}-a\n+b\n")), ["malformed_patch"], "{hunk}");
    }
    let marker = format!("{MODIFY}@@ -1 +1 @@\n\\ No newline at end of file\n-a\n+b\n");
    assert_eq!(codes(&marker), ["malformed_patch"]);
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(
        parts in proptest::collection::vec(proptest::sample::select(vec![
            "diff --git a/f b/f\n", "--- a/f\n", "+++ b/f\n", "@@ -1,2 +1 @@\n", "@@ -0,0 +1 @@\n",
            "new file mode 100644\n", "rename from \"\\3", "index 1..2 100644\n", " a\n", "-b\n", "+ä",
            "\\ No\n", "\n", "\r\n", "diff --git \"a/", "@@ -999999999,999999999 +1 @@\n", "GIT binary patch\n",
        ]), 0..24),
    ) {
        let (files, faults) = parse(&parts.concat());
        proptest::prop_assert!(!files.is_empty() || !faults.is_empty());
        for file in files.iter().filter(|file| !file.broken) {
            let _ = crate::apply::apply("a\nb\n", &file.hunks);
        }
    }
}
