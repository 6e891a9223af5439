//! From an approved plan to a branch, with the user's tree and index as they were.

use std::collections::BTreeMap;
use std::path::PathBuf;

use life_agent_plans::branch::{self, BranchError, branch};
use life_agent_plans::edit::Edit;
use life_agent_plans::life::Status;
use life_agent_plans::store::Artifact;

use crate::support::{Place, create, delete, edits, git, patch, replace};

fn make(place: &Place, plan: &Artifact) -> Result<branch::Branch, BranchError> {
    branch(&place.tree(), &place.store(), &plan.record.id, Status::Approved, &plan.seal)
}

/// The user's files, index and place in the history.
fn users_own(place: &Place) -> (BTreeMap<PathBuf, Vec<u8>>, Vec<u8>, String) {
    let mut files = place.snapshot();
    let git_dir = place.at(".git");
    files.retain(|path, _| !path.starts_with(&git_dir));
    (
        files,
        std::fs::read(place.at(".git/index")).unwrap(),
        place.git(["status", "--branch", "--porcelain"]),
    )
}

fn place() -> Place {
    Place::with(&[
        ("a.txt", "one\ntwo\nthree\n"),
        ("dir/ä ö.txt", "eins\r\nzwei\r\n"),
        ("old.txt", "old\n"),
        ("other.txt", "other\n"),
    ])
}

#[test]
fn an_approved_plan_becomes_a_branch_and_nothing_else_changes() {
    let place = place();
    let base = place.head();
    // The user is in the middle of something.
    place.write("other.txt", "staged\n");
    place.git(["add", "other.txt"]);
    place.write("other.txt", "and edited\n");
    place.write("untracked.txt", "mine\n");
    // Hooks would leave a trace.
    for hook in [
        "applypatch-msg",
        "pre-applypatch",
        "post-applypatch",
        "post-checkout",
        "pre-commit",
        "reference-transaction",
    ] {
        place.write(
            &format!(".git/hooks/{hook}"),
            "#!/bin/sh\necho ran >> \"$(git rev-parse --git-common-dir)/../ran\"\n",
        );
        let path = place.at(&format!(".git/hooks/{hook}"));
        std::process::Command::new("chmod").arg("+x").arg(path).status().unwrap();
    }
    let plan = place.plan(edits([
        Edit::SearchReplace { path: "a.txt".into(), search: "two".into(), replace: "2".into() },
        replace("dir/ä ö.txt", "eins\r\n2\r\n"),
        delete("old.txt"),
        create("new/file.txt", "new"),
    ]));
    let before = users_own(&place);
    let made = make(&place, &plan).unwrap();
    assert_eq!(users_own(&place), before);
    assert!(!place.at("ran").exists(), "a hook ran");

    assert_eq!(
        (made.name.as_str(), &made.base),
        (format!("plan/{}", plan.record.id).as_str(), &base)
    );
    assert!(branch::exists(&place.tree(), &plan.record.id));
    let show = |what: &str| place.git(["show", &format!("{}:{what}", made.name)]);
    assert_eq!(show("a.txt"), "one\n2\nthree\n");
    assert_eq!(show("dir/ä ö.txt"), "eins\r\n2\r\n");
    assert_eq!(show("new/file.txt"), "new");
    let told = place.git(["log", "-1", "--format=%P %an %s", &made.name]);
    assert_eq!(told.trim(), format!("{base} ann Mend the gate"));
    assert_eq!(place.git(["worktree", "list"]).lines().count(), 1);

    assert!(matches!(make(&place, &plan), Err(BranchError::Exists(_))));
    assert_eq!(users_own(&place), before);
}

#[test]
fn a_rename_and_an_executable_keep_what_git_knows_of_them() {
    let place = Place::with(&[("run.sh", "#!/bin/sh\necho a\necho b\n")]);
    place.git(["update-index", "--chmod=+x", "run.sh"]);
    std::process::Command::new("chmod").arg("+x").arg(place.at("run.sh")).status().unwrap();
    place.commit("executable");
    let plan = place.plan(patch(
        "diff --git a/run.sh b/go.sh\nsimilarity index 80%\nrename from run.sh\nrename to go.sh\n\
         index 1..2 100755\n--- a/run.sh\n+++ b/go.sh\n@@ -1,3 +1,3 @@\n #!/bin/sh\n-echo a\n+echo c\n echo b\n",
    ));
    let made = make(&place, &plan).unwrap();
    let tree = place.git(["ls-tree", "-r", "--format=%(objectmode) %(path)", &made.name]);
    assert_eq!(tree, "100755 go.sh\n");
}

#[test]
fn a_workspace_below_the_top_of_its_repository_works_alike() {
    let repo = Place::with(&[("sub dir/a.txt", "one\n"), ("a.txt", "top\n")]);
    let inner = life_agent_plans::tree::Tree::open(&repo.at("sub dir")).unwrap();
    let proposal = edits([replace("a.txt", "two\n")]).read();
    let draft =
        life_agent_plans::draft::draft(&inner, &proposal, 800, &crate::support::Judge).unwrap();
    let permit = crate::support::permit("x", "", draft.targets());
    let plan = repo.store().write(&draft, &permit, &crate::support::meta()).unwrap();
    let made =
        branch(&inner, &repo.store(), &plan.record.id, Status::Approved, &plan.seal).unwrap();
    assert_eq!(repo.git(["show", &format!("{}:sub dir/a.txt", made.name)]), "two\n");
    assert_eq!(repo.git(["show", &format!("{}:a.txt", made.name)]), "top\n");
}

#[test]
fn what_may_not_become_a_branch_is_refused_by_name() {
    let place = place();
    let plan = place.plan(edits([replace("a.txt", "x\n")]));
    let before = users_own(&place);
    let code = |result: Result<branch::Branch, BranchError>| result.unwrap_err().code();
    let (tree, store, id) = (place.tree(), place.store(), &plan.record.id);
    for status in [Status::Created, Status::Rejected, Status::Branched] {
        assert_eq!(code(branch(&tree, &store, id, status, &plan.seal)), "unapproved");
    }
    assert_eq!(code(branch(&tree, &store, "aaaaaaaaaaaa", Status::Approved, "")), "not_found");

    // The record, the patch, or both exchanged after the approval.
    assert_eq!(code(branch(&tree, &store, id, Status::Approved, &"0".repeat(64))), "tampered");
    let file = place.plans().join(&plan.record.patch.as_ref().unwrap().file);
    let good = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, good.replace("+x", "+evil")).unwrap();
    assert_eq!(code(make(&place, &plan)), "tampered");
    std::fs::write(&file, good).unwrap();

    let statement = place.plan(Default::default());
    assert_eq!(code(make(&place, &statement)), "statement");
    assert_eq!(users_own(&place), before);

    place.write("a.txt", "changed meanwhile\n");
    let error = make(&place, &plan).unwrap_err();
    assert_eq!(error.code(), "stale");
    assert!(error.to_string().contains("a.txt"), "{error}");

    // Made from what is only in the working tree.
    let dirty = place.plan(edits([replace("a.txt", "y\n")]));
    assert_eq!(code(make(&place, &dirty)), "uncommitted");
    place.write("untracked.txt", "x\n");
    let untracked = place.plan(edits([replace("untracked.txt", "y\n")]));
    assert_eq!(code(make(&place, &untracked)), "uncommitted");

    let loose = Place::new();
    let outside = loose.plan(edits([create("a.txt", "x\n")]));
    assert_eq!(code(make(&loose, &outside)), "no_base");
    assert_eq!(place.git(["branch", "--list", "plan/*"]), "");
    assert_eq!(place.git(["worktree", "list"]).lines().count(), 1);
}

#[test]
fn a_plan_whose_base_commit_is_gone_is_refused() {
    let place = place();
    let plan = place.plan(edits([replace("a.txt", "x\n")]));
    place.git(["commit", "--quiet", "--amend", "--message", "another"]);
    place.git(["reflog", "expire", "--expire=now", "--all"]);
    place.git(["gc", "--quiet", "--prune=now"]);
    assert_eq!(make(&place, &plan).unwrap_err().code(), "base_gone");
}

#[test]
fn a_repository_that_rewrites_files_on_commit_is_found_out() {
    let place = place();
    // The commit would hold another text than the plan: a filter changes it on the way.
    place.write(".gitattributes", "*.txt filter=loud\n");
    place.git(["config", "filter.loud.clean", "tr a-z A-Z"]);
    place.git(["config", "filter.loud.smudge", "tr a-z A-Z"]);
    place.git(["add", ".gitattributes"]);
    place.git(["commit", "--quiet", "--message", "attributes"]);
    let plan = place.plan(edits([replace("a.txt", "x\n")]));
    let code = make(&place, &plan).unwrap_err().code();
    assert!(["uncommitted", "differs", "git_failed"].contains(&code), "{code}");
    assert_eq!(place.git(["branch", "--list", "plan/*"]), "");
}

#[test]
fn a_branch_is_pushed_to_a_remote_that_the_repository_knows() {
    let place = place();
    let remote = Place::new();
    git(remote.path(), ["init", "--quiet", "--bare"]);
    place.git(["remote".as_ref(), "add".as_ref(), "origin".as_ref(), remote.path().as_os_str()]);
    let plan = place.plan(edits([replace("a.txt", "x\n")]));
    let made = make(&place, &plan).unwrap();
    branch::push(&place.tree(), &plan.record.id, "origin").unwrap();
    assert_eq!(remote.git(["rev-parse", &made.name]).trim(), made.commit);
    for unknown in ["upstream", "--exec=x", "ext::sh -c x"] {
        let refused = branch::push(&place.tree(), &plan.record.id, unknown);
        assert_eq!(refused.unwrap_err().code(), "no_remote", "{unknown}");
    }
}

#[test]
fn a_branch_that_was_made_before_is_recognized_and_a_foreign_one_is_not() {
    let place = place();
    let plan = place.plan(edits([replace("a.txt", "1\n")]));
    let (tree, store, id) = (place.tree(), place.store(), &plan.record.id);
    assert!(branch::existing(&tree, &store, id, &plan.seal).is_err(), "there is none yet");
    let made = make(&place, &plan).unwrap();
    assert_eq!(branch::existing(&tree, &store, id, &plan.seal).unwrap(), made);
    assert!(branch::existing(&tree, &store, id, "another seal").is_err());
    // Somebody else moves the branch.
    place.git(["branch", "--force", &made.name, "main"]);
    let foreign = branch::existing(&tree, &store, id, &plan.seal);
    assert!(matches!(foreign, Err(BranchError::Differs { .. })), "{foreign:?}");
}

#[test]
fn line_endings_that_git_converts_do_not_stop_a_branch() {
    // Each: attributes, core.autocrlf, the file as the user has it, and the planned text.
    for (attributes, autocrlf, before, after) in [
        ("*.txt text eol=crlf\n", "false", "one\r\ntwo\r\n", "one\r\n2\r\n"),
        ("", "true", "one\r\ntwo\r\n", "one\r\n2\r\n"),
        ("", "true", "one\ntwo\n", "one\n2\n"),
        ("*.txt text eol=lf\n", "true", "one\ntwo\n", "one\n2\n"),
    ] {
        let place =
            Place::with(&[(".gitattributes", attributes), ("a.txt", before), ("b.txt", "b\n")]);
        place.git(["config", "core.autocrlf", autocrlf]);
        place.git(["add", "--renormalize", "."]);
        place.git(["commit", "--quiet", "--allow-empty", "--message", "normal"]);
        place.write("a.txt", before);
        let plan = place.plan(edits([replace("a.txt", after), create("c.txt", "c\n")]));
        let made = make(&place, &plan)
            .unwrap_or_else(|error| panic!("{attributes:?} {autocrlf}: {error}"));
        let stored = place.git(["show", &format!("{}:a.txt", made.name)]);
        assert_eq!(stored, "one\n2\n", "{attributes:?} {autocrlf}");
        assert_eq!(place.git(["show", &format!("{}:b.txt", made.name)]), "b\n");
    }
}

#[test]
fn a_missing_base_is_not_fetched_through_a_program_that_the_repository_names() {
    let place = place();
    let plan = place.plan(edits([replace("a.txt", "1\n")]));
    let ran = place.plans().join("ran");
    let program = format!("touch {}; exit 1", ran.display());
    place.git(["config", "core.repositoryFormatVersion", "1"]);
    place.git(["config", "extensions.partialClone", "origin"]);
    place.git(["config", "remote.origin.promisor", "true"]);
    place.git(["config", "remote.origin.url", &format!("ext::sh -c {program:?}")]);
    place.git(["config", "remote.origin.uploadpack", &program]);
    place.git(["config", "core.sshCommand", &program]);
    let base = place.head();
    std::fs::remove_file(place.at(&format!(".git/objects/{}/{}", &base[..2], &base[2..]))).unwrap();
    assert!(make(&place, &plan).is_err());
    assert!(!ran.exists(), "a program of the repository ran");
}

#[test]
fn a_push_runs_no_hook_and_shows_no_secret() {
    let place = place();
    let remote = tempfile::tempdir().unwrap();
    git(remote.path(), ["init", "--quiet", "--bare"]);
    place.git(["remote", "add", "origin", remote.path().to_str().unwrap()]);
    let ran = place.plans().join("ran");
    let program = format!("#!/bin/sh\ntouch {}\n", ran.display());
    place.write(".git/hooks/pre-push", &program);
    place.write("evil.sh", &program);
    for script in [".git/hooks/pre-push", "evil.sh"] {
        std::process::Command::new("chmod").arg("+x").arg(place.at(script)).status().unwrap();
    }
    let evil = place.at("evil.sh");
    place.git(["config", "remote.origin.receivepack", evil.to_str().unwrap()]);
    let plan = place.plan(edits([replace("a.txt", "1\n")]));
    make(&place, &plan).unwrap();
    branch::push(&place.tree(), &plan.record.id, "origin").unwrap();
    assert!(!ran.exists(), "a program of the repository ran");
    let unknown = branch::check_remote(&place.tree(), "elsewhere");
    assert!(matches!(unknown, Err(BranchError::NoRemote(_))), "{unknown:?}");
}

#[test]
fn a_repository_with_a_reftable_says_why_there_is_no_base() {
    let place = Place::new();
    place.git(["init", "--quiet", "--ref-format=reftable"]);
    place.write("a.txt", "one\n");
    place.commit("base");
    let plan = place.plan(edits([replace("a.txt", "1\n")]));
    let refused = make(&place, &plan).unwrap_err();
    assert_eq!(refused.code(), "reftable");
    assert!(refused.to_string().contains("git refs migrate"), "{refused}");
}
