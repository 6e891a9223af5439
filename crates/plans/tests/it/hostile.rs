//! What must not become a plan: each refused with its own code, and nothing touched.

use life_agent_plans::draft::{MAX_FILE_BYTES, draft};
use life_agent_plans::edit::Edit;
use life_agent_plans::fault::{Code, PlanFault, answer_code};
use life_agent_plans::request::{MAX_PATCH_BYTES, PlanRequest};

use crate::support::{Judge, Place, create, delete, edits, patch, replace};

fn codes(faults: &[PlanFault]) -> Vec<&'static str> {
    faults.iter().map(|fault| fault.code.as_str()).collect()
}

/// The codes of a request that must be refused, with the workspace as it was.
fn refused(place: &Place, request: PlanRequest) -> Vec<&'static str> {
    let before = place.snapshot();
    let faults = place.propose(request).expect_err("this must be refused");
    assert_eq!(place.snapshot(), before);
    codes(&faults)
}

fn place() -> Place {
    let place = Place::with(&[
        ("f.txt", "one\ntwo\nthree\n"),
        ("crlf.txt", "one\r\ntwo\r\n"),
        ("docs/README.md", "read\n"),
        ("run.sh", "#!/bin/sh\n"),
        ("blob.bin", "a\0b"),
    ]);
    std::fs::write(place.at("latin1.txt"), b"caf\xe9\n").unwrap();
    place.write("inner/f.txt", "x\n");
    crate::support::git(&place.at("inner"), ["init", "--quiet"]);
    place
}

fn modify(path: &str, hunks: &str) -> String {
    format!("diff --git a/{path} b/{path}\nindex 1..2 100644\n--- a/{path}\n+++ b/{path}\n{hunks}")
}

const HUNK: &str = "@@ -1,3 +1,3 @@\n one\n-two\n+2\n three\n";

#[test]
fn paths_out_of_bounds_are_refused_in_edits_and_patches_alike() {
    let place = place();
    for (path, code) in [
        ("../outside.txt", "path_escapes"),
        ("docs/../../outside.txt", "path_escapes"),
        ("/etc/passwd", "path_absolute"),
        ("C:\\x", "path_absolute"),
        ("~/x", "path_absolute"),
        (".git/hooks/pre-commit", "git_directory"),
        ("docs/.GIT/config", "git_directory"),
        ("a\\b", "path_malformed"),
        ("./f.txt", "path_malformed"),
        ("", "path_malformed"),
        ("private/key.txt", "path_forbidden"),
        ("inner/f.txt", "submodule"),
        ("inner/new.txt", "submodule"),
        ("f.txt/below", "path_conflict"),
        ("docs", "not_a_file"),
    ] {
        assert_eq!(refused(&place, edits([create(path, "x\n")])), [code], "edit of {path}");
        let quoted = path.replace('\\', "\\\\");
        let text = format!(
            "diff --git \"a/{quoted}\" \"b/{quoted}\"\nnew file mode 100644\n--- /dev/null\n\
             +++ \"b/{quoted}\"\n@@ -0,0 +1 @@\n+x\n"
        );
        assert_eq!(refused(&place, patch(text)), [code], "patch of {path}");
    }
    // Escapes hide nothing.
    let escaped = "diff --git \"a/docs/\\056\\056/\\056\\056/x\" \"b/docs/\\056\\056/\\056\\056/x\"\n\
                   new file mode 100644\n";
    assert_eq!(refused(&place, patch(escaped)), ["path_escapes"]);
    let nul = "diff --git \"a/x\\000\" \"b/x\\000\"\nnew file mode 100644\n";
    assert_eq!(refused(&place, patch(nul)), ["path_malformed"]);
}

#[cfg(unix)]
#[test]
fn symlinks_are_refused_wherever_they_stand_and_whenever_they_come() {
    use std::os::unix::fs::symlink;
    let place = place();
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("f.txt"), "out\n").unwrap();
    symlink(outside.path(), place.at("away")).unwrap();
    symlink("docs", place.at("near")).unwrap();
    symlink("f.txt", place.at("link.txt")).unwrap();
    symlink("nowhere", place.at("dangling")).unwrap();
    for path in ["away/f.txt", "near/README.md", "link.txt"] {
        assert_eq!(refused(&place, edits([replace(path, "x\n")])), ["symlink"], "{path}");
    }
    for path in ["away/new.txt", "near/new.txt", "dangling"] {
        assert_eq!(refused(&place, edits([create(path, "x\n")])), ["symlink"], "{path}");
    }
    let made = "diff --git a/l b/l\nnew file mode 120000\n--- /dev/null\n+++ b/l\n@@ -0,0 +1 @@\n\
                +/etc/passwd\n\\ No newline at end of file\n";
    assert_eq!(refused(&place, patch(made)), ["symlink"]);

    // The workspace is open and the file was fine when it is exchanged for a link.
    let tree = place.tree();
    let proposal = edits([replace("docs/README.md", "x\n")]).read();
    assert!(draft(&tree, &proposal, 800, &Judge).is_ok());
    std::fs::rename(place.at("docs"), place.at("docs2")).unwrap();
    symlink(outside.path(), place.at("docs")).unwrap();
    std::fs::write(outside.path().join("README.md"), "read\n").unwrap();
    let faults = draft(&tree, &proposal, 800, &Judge).unwrap_err();
    assert_eq!(codes(&faults), ["symlink"]);
}

#[cfg(unix)]
#[test]
fn a_pipe_is_refused_and_does_not_hold_the_request() {
    let place = place();
    let made = std::process::Command::new("mkfifo").arg(place.at("pipe")).status().unwrap();
    assert!(made.success());
    let faults = place.propose(edits([replace("pipe", "x\n")])).unwrap_err();
    assert_eq!(codes(&faults), ["not_a_file"]);
}

#[test]
fn what_is_no_text_change_is_refused() {
    let place = place();
    let header = "diff --git a/f.txt b/f.txt\n";
    for (text, code) in [
        (format!("{header}old mode 100644\nnew mode 100755\n"), "mode_change"),
        ("diff --git a/x.sh b/x.sh\nnew file mode 100755\n".to_owned(), "mode_change"),
        (format!("{header}index 1..2 100644\nGIT binary patch\nliteral 1\nIcmZPo\n\n"), "binary"),
        (format!("{header}index 1..2 100644\nBinary files a/f.txt and b/f.txt differ\n"), "binary"),
        ("diff --git a/s b/s\nnew file mode 160000\n".to_owned(), "submodule"),
        ("diff --git a/f.txt b/g.txt\ncopy from f.txt\ncopy to g.txt\n".to_owned(), "copy"),
    ] {
        let found = refused(&place, patch(&text));
        assert!(found.iter().all(|found| *found == code), "{found:?}: {text}");
    }
    for path in ["blob.bin", "latin1.txt"] {
        assert_eq!(refused(&place, edits([replace(path, "x\n")])), ["binary"], "{path}");
        assert_eq!(refused(&place, edits([delete(path)])), ["binary"], "{path}");
    }
    assert_eq!(refused(&place, edits([create("new", "a\0b")])), ["binary"]);
}

#[test]
fn patches_that_lie_about_themselves_are_refused() {
    let place = place();
    for (text, code) in [
        (modify("f.txt", "@@ -1,3 +1,2 @@\n one\n-two\n+2\n three\n"), "hunk_counts"),
        (modify("f.txt", "@@ -1,3 +1,9 @@\n one\n-two\n+2\n three\n"), "hunk_counts"),
        // Git takes this one without a word and leaves the second line out.
        (
            "diff --git a/n b/n\nnew file mode 100644\n--- /dev/null\n+++ b/n\n@@ -0,0 +1 @@\n+a\n+b\n"
                .to_owned(),
            "hunk_counts",
        ),
        (
            modify("f.txt", "@@ -1,2 +1,2 @@\n-one\n+1\n two\n@@ -2,2 +2,2 @@\n-two\n+2\n three\n"),
            "overlapping_hunks",
        ),
        (format!("{}{}", modify("f.txt", HUNK), modify("f.txt", HUNK)), "duplicate_file"),
        (format!("From 0000 Mon Sep 17 00:00:00 2001\n\n{}", modify("f.txt", HUNK)), "malformed_patch"),
        (modify("f.txt", "@@ -1,3 +1,3 @@\n one\n-zwei\n+2\n three\n"), "does_not_apply"),
        // It would fit two lines further up: no offset is guessed.
        (modify("f.txt", "@@ -3,3 +3,3 @@\n one\n-two\n+2\n three\n"), "does_not_apply"),
        (modify("f.txt", "@@ -9 +9 @@\n-one\n+1\n"), "does_not_apply"),
        (modify("f.txt", "@@ -1 +1 @@\n-one\n+1\n\\ No newline at end of file\n"), "does_not_apply"),
        (modify("crlf.txt", "@@ -1,2 +1,2 @@\n one\n-two\n+2\n"), "line_endings"),
        (modify("f.txt", HUNK).replace('\n', "\r\n"), "line_endings"),
        (modify("f.txt", "@@ -1,3 +1,3 @@\n one\n-two\n+2\r\n three\n"), "line_endings"),
        (
            "diff --git a/f.txt b/f.txt\ndeleted file mode 100644\n--- a/f.txt\n+++ /dev/null\n\
             @@ -1,2 +0,0 @@\n-one\n-two\n"
                .to_owned(),
            "does_not_apply",
        ),
        (
            "diff --git a/f.txt b/f.txt\nnew file mode 100644\n--- /dev/null\n+++ b/f.txt\n\
             @@ -0,0 +1 @@\n+x\n"
                .to_owned(),
            "exists",
        ),
        (modify("gone.txt", HUNK), "missing"),
        (modify("f.txt", "@@ -1 +1 @@\n-one\n+one\n"), "no_change"),
    ] {
        assert_eq!(refused(&place, patch(&text)), [code], "{text}");
    }
}

#[test]
fn edits_that_cannot_be_carried_out_are_refused_by_their_number() {
    let place = place();
    let search = |search: &str| Edit::SearchReplace {
        path: "f.txt".to_owned(),
        search: search.to_owned(),
        replace: "x".to_owned(),
    };
    for (edit, code) in [
        (create("f.txt", "x\n"), "exists"),
        (replace("gone.txt", "x\n"), "missing"),
        (delete("gone.txt"), "missing"),
        (search("four"), "search_not_found"),
        (search("o"), "search_ambiguous"),
        (search(""), "edit_malformed"),
        (search("one\r\ntwo"), "line_endings"),
        (replace("crlf.txt", "one\r\ntwo\n"), "line_endings"),
        (replace("f.txt", "one\ntwo\nthree\n"), "no_change"),
    ] {
        let request = edits([create("fine.txt", "fine\n"), edit.clone()]);
        let faults = place.propose(request).unwrap_err();
        assert_eq!(codes(&faults), [code], "{edit:?}");
        assert_eq!(faults[0].edit, Some(1), "{edit:?}");
        assert_eq!(faults[0].file.as_deref(), Some(edit.path()), "{edit:?}");
    }
}

#[test]
fn names_that_a_file_system_may_take_for_one_are_refused() {
    let place = place();
    for request in [
        edits([create("x/Note.txt", "a\n"), create("x/note.txt", "b\n")]),
        edits([create("Neu/a.txt", "a\n"), create("neu/b.txt", "b\n")]),
        edits([create("docs/readme.md", "a\n")]),
        edits([create("DOCS/new.md", "a\n")]),
        edits([create("u\u{308}.txt", "a\n"), create("\u{fc}.txt", "b\n")]),
        edits([delete("docs/README.md"), create("docs/Readme.md", "a\n")]),
    ] {
        assert_eq!(refused(&place, request), ["case_collision"]);
    }
    let both = edits([create("x", "a\n"), create("x/y", "b\n")]);
    assert_eq!(refused(&place, both), ["path_conflict"]);
}

#[test]
fn a_rename_stays_within_its_directory_and_moves_to_a_free_name() {
    let place = place();
    let rename = |from: &str, to: &str| {
        patch(format!(
            "diff --git a/{from} b/{to}\nsimilarity index 100%\nrename from {from}\nrename to {to}\n"
        ))
    };
    assert!(place.propose(rename("docs/README.md", "docs/START.md")).is_ok());
    assert_eq!(refused(&place, rename("docs/README.md", "src/START.md")), ["rename_forbidden"]);
    assert_eq!(refused(&place, rename("docs/README.md", "private/x")), ["path_forbidden"]);
    assert_eq!(refused(&place, rename("run.sh", "f.txt")), ["exists"]);
    assert_eq!(refused(&place, rename("gone", "new")), ["missing"]);
    assert_eq!(refused(&place, rename("docs/README.md", "docs/readme.md")), ["case_collision"]);
}

#[test]
fn credentials_in_added_lines_and_new_names_are_refused_with_their_line() {
    let place = place();
    let text = "one\ntwo\nkey = SECRET-1\nthree\n";
    let faults = place.propose(edits([replace("f.txt", text)])).unwrap_err();
    assert_eq!(codes(&faults), ["secret"]);
    assert_eq!((faults[0].file.as_deref(), faults[0].line), (Some("f.txt"), Some(3)));
    assert!(!faults[0].message.contains("SECRET-"));
    let faults = place.propose(edits([create("SECRET-1.txt", "x\n")])).unwrap_err();
    assert_eq!((codes(&faults), faults[0].edit), (vec!["secret"], Some(0)));
    assert!(faults.iter().all(|fault| !fault.to_string().contains("SECRET-")), "{faults:?}");
    let named = PlanRequest { targets: vec!["SECRET-1".to_owned()], ..PlanRequest::default() };
    assert_eq!(refused(&place, named), ["secret"]);

    // What is there already may go away.
    place.write("leaked.txt", "a\nSECRET-1\n");
    assert!(place.propose(edits([replace("leaked.txt", "a\nb\n")])).is_ok());
}

#[test]
fn what_is_too_large_is_refused() {
    let place = place();
    let huge = "x".repeat(MAX_FILE_BYTES + 1);
    assert_eq!(
        refused(&place, edits([create("new.txt", &huge)])),
        ["file_too_large", "patch_too_large"]
    );
    place.write("huge.txt", &huge);
    assert_eq!(refused(&place, edits([delete("huge.txt")])), ["file_too_large"]);
    assert_eq!(refused(&place, patch("x".repeat(MAX_PATCH_BYTES + 1))), ["patch_too_large"]);
    let many = (0..501).map(|n| create(&format!("many/{n}"), "x\n"));
    assert_eq!(refused(&place, edits(many)), ["too_many_files"]);

    let often = (0..1001).map(|n| replace("f.txt", &format!("{n}\n")));
    assert_eq!(refused(&place, edits(often)), ["too_many_edits"]);

    let proposal = edits([replace("f.txt", "1\n2\nthree\n")]).read();
    assert!(draft(&place.tree(), &proposal, 4, &Judge).is_ok());
    let faults = draft(&place.tree(), &proposal, 3, &Judge).unwrap_err();
    assert_eq!(codes(&faults), ["too_many_lines"]);
    assert!(faults[0].message.contains('4') && faults[0].message.contains('3'));
}

#[test]
fn all_faults_of_all_files_are_reported_at_once() {
    let place = place();
    let request = PlanRequest {
        targets: vec!["docs/new.md".to_owned(), "private/x".to_owned()],
        edits: vec![
            create("docs/new.md", "fine\nSECRET-2\n"),
            create("../x", "x\n"),
            replace("gone.txt", "x\n"),
            create(".git/hooks/post-commit", "x\n"),
        ],
        patch: None,
    };
    let faults = place.propose(request).unwrap_err();
    let mut found: Vec<_> = faults.iter().map(|f| (f.edit, f.code.as_str())).collect();
    found.sort();
    let expected = [
        (None, "path_forbidden"),
        (Some(0), "secret"),
        (Some(1), "not_a_target"),
        (Some(1), "path_escapes"),
        (Some(2), "missing"),
        (Some(2), "not_a_target"),
        (Some(3), "git_directory"),
        (Some(3), "not_a_target"),
    ];
    assert_eq!(found, expected);
    assert_eq!(answer_code(&faults), "path_forbidden");

    let both = PlanRequest { patch: Some(String::new()), ..edits([delete("f.txt")]) };
    let faults = place.propose(both).unwrap_err();
    assert_eq!(codes(&faults), ["both_given"]);
    assert_eq!(answer_code(&faults), "plan_invalid");
}

#[test]
fn every_code_is_in_the_guide() {
    let guide = include_str!("../../../../docs/plan-errors.md");
    for code in Code::ALL {
        assert!(guide.contains(&format!("| `{}` |", code.as_str())), "{}", code.as_str());
    }
}
