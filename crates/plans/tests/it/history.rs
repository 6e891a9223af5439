//! Patches out of real histories go in and come out as the same change.

use std::path::Path;

use life_agent_domain::governance::change_policy::{ChangePolicy, Leak};
use life_agent_domain::governance::gate::Refusal;
use life_agent_plans::draft::draft;
use life_agent_plans::fault::{Code, PlanFault};

use crate::support::{Place, git, git_bytes, patch};

/// What a commit may hold and a plan may not.
const NO_PLAN: &[Code] = &[
    Code::Binary,
    Code::CaseCollision,
    Code::FileTooLarge,
    Code::LineEndings,
    Code::ModeChange,
    Code::PatchTooLarge,
    Code::Submodule,
    Code::Symlink,
    Code::TooManyFiles,
];

/// Admits everything: a history has been judged already, and this one holds what tests take for
/// secrets.
struct Anything;

impl ChangePolicy for Anything {
    fn path(&self, _relative: &str) -> Result<(), Refusal> {
        Ok(())
    }
    fn rename(&self, _from: &str, _to: &str) -> Result<(), Refusal> {
        Ok(())
    }
    fn added_text(&self, _text: &str) -> Vec<Leak> {
        Vec::new()
    }
}

/// Plays every commit of a repository (its newest 40) as a patch onto its parent; how many were
/// planned. Those that no plan may hold must be refused for just that.
fn replay(repository: &Path) -> usize {
    let place = Place::new();
    git(place.path(), ["clone".as_ref(), "--quiet".as_ref(), repository.as_os_str(), ".".as_ref()]);
    let commits = place.git(["rev-list", "--max-count=40", "--max-parents=1", "HEAD"]);
    let mut planned = 0;
    for commit in commits.lines() {
        let parents = place.git(["rev-list", "--parents", "--max-count=1", commit]);
        let parent = match parents.split_whitespace().nth(1) {
            Some(parent) => {
                place.git(["checkout", "--quiet", "--force", parent]);
                parent.to_owned()
            }
            None => {
                // Before the first commit there was nothing.
                place.git(["checkout", "--quiet", "--orphan", "nothing"]);
                place.git(["rm", "-r", "--quiet", "--force", "."]);
                place.git(["hash-object", "-t", "tree", "/dev/null"]).trim().to_owned()
            }
        };
        let theirs = git_bytes(place.path(), ["diff", &parent, commit]);
        let Ok(theirs) = String::from_utf8(theirs) else {
            continue;
        };
        let proposal = patch(theirs.clone()).read();
        match draft(&place.tree(), &proposal, u32::MAX, &Anything) {
            Ok(draft) => {
                planned += 1;
                let diff = place.plans().join("ours.diff");
                std::fs::write(&diff, draft.diff().unwrap()).unwrap();
                place.git(["apply".as_ref(), "--index".as_ref(), diff.as_os_str()]);
                let tree = place.git(["write-tree"]);
                let wanted = place.git(["rev-parse", &format!("{commit}^{{tree}}")]);
                assert_eq!(tree, wanted, "{commit}");
                place.git(["reset", "--quiet", "--hard"]);
            }
            Err(faults) => {
                // An empty commit is no patch; all else must be what no plan may hold.
                let refused = |fault: &PlanFault| NO_PLAN.contains(&fault.code);
                assert!(theirs.is_empty() || faults.iter().all(refused), "{commit}: {faults:?}");
            }
        }
    }
    planned
}

#[test]
fn the_commits_of_a_history_are_the_same_change_afterwards() {
    let long: String = (0..60).map(|n| format!("line {n}\n")).collect();
    let place = Place::with(&[("a.txt", &long), ("dir/ä ö.txt", "one\r\ntwo\r\n"), ("empty", "")]);
    place.write("a.txt", &long.replace("line 7\n", "seven\n").replace("line 40\n", ""));
    place.write("dir/ä ö.txt", "one\r\n2\r\nthree");
    place.commit("change");
    std::fs::rename(place.at("a.txt"), place.at("b.txt")).unwrap();
    place.commit("move");
    std::fs::rename(place.at("b.txt"), place.at("c d.txt")).unwrap();
    place.write("c d.txt", &long.replace("line 8\n", "eight\n"));
    std::fs::remove_file(place.at("empty")).unwrap();
    place.write("new/deep/file.txt", "no newline");
    place.commit("move, change, delete, create");
    place.write("a.txt", &long.to_uppercase());
    place.write("c d.txt", "");
    place.commit("rewrite and empty");
    assert_eq!(replay(place.path()), 5);
}

#[test]
fn so_are_the_commits_of_this_repository() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    if !root.join(".git").exists() {
        eprintln!("not run from a clone: there is no history to play");
        return;
    }
    assert!(replay(&root) > 0);
}
