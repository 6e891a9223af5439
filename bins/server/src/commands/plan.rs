//! `life-agent plan`: list, show, review and check change plans, and make a branch of an approved plan.
//!
//! Works while the service runs: the journal is only read, and the workspace's tree and index do not
//! change. A review is a call to the running service.

mod review;

use std::process::{Command, ExitCode};

use anstyle::{AnsiColor, Style};
use clap::{Args, Subcommand};
use life_agent_engine::observer::Readers;
use life_agent_engine::plans::branch::{Branch, BranchError};
use life_agent_engine::plans::git::without_secrets;
use life_agent_engine::plans::life::Status;
use life_agent_engine::{
    Config, EngineError, PlanEvidence, PlanRepository, PlanSummary, PlanView, StoredPlan,
};

use super::service::service_help;
use super::terminal::{print_json, print_styled, spinner};
use super::{CommandResult, FAILED, FOUND};
use crate::place::Place;
use review::Review;

/// What to do with plans.
#[derive(Debug, Subcommand)]
pub enum Plan {
    /// List plans, newest first.
    #[command(after_help = "Examples:\n  life-agent plan list\n  \
        life-agent plan list --status approved --json\n\n\
        Exit code: 0 listed, 2 could not be read")]
    List(List),
    /// Show one plan and its diff.
    #[command(after_help = "Examples:\n  life-agent plan show k3v5q2xw7abc\n  \
        life-agent plan show k3v5q2xw7abc --json\n\n\
        Exit code: 0 shown, 2 could not be read")]
    Show(Show),
    /// Approve a plan at the running service, with another key than its author's.
    #[command(after_help = service_help!(
        "Example:\n  life-agent plan approve k3v5q2xw7abc --note 'reads well'"
    ))]
    Approve(Review),
    /// Reject a plan at the running service.
    #[command(after_help = service_help!(
        "Example:\n  life-agent plan reject k3v5q2xw7abc --note 'the limit is too low'"
    ))]
    Reject(Review),
    /// Check that a plan is as it was written and still applies.
    #[command(after_help = "Example:\n  life-agent plan check k3v5q2xw7abc\n\n\
        Exit code: 0 it applies, 1 it does not, 2 could not be read")]
    Check(One),
    /// Make the branch `plan/<id>` of an approved plan.
    ///
    /// Works in a worktree of its own. Needs a clean base: the plan's files as they are committed.
    #[command(after_help = "Examples:\n  life-agent plan branch k3v5q2xw7abc\n  \
        life-agent plan branch k3v5q2xw7abc --push origin --pr\n\n\
        Exit code: 0 done, 1 refused (stale, unapproved, tampered …), 2 could not run")]
    Branch(MakeBranch),
}

/// Options of `plan list`.
#[derive(Debug, Args)]
pub struct List {
    /// Only plans of this status: created, approved, rejected or branched.
    #[arg(long, value_parser = status)]
    status: Option<Status>,
    /// Largest number of plans.
    #[arg(long, default_value_t = 50)]
    limit: usize,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Options of `plan show`.
#[derive(Debug, Args)]
pub struct Show {
    /// The plan.
    id: String,
    /// Print JSON, without the diff.
    #[arg(long)]
    json: bool,
}

/// Which plan.
#[derive(Debug, Args)]
pub struct One {
    /// The plan.
    id: String,
}

/// Options of `plan branch`.
#[derive(Debug, Args)]
pub struct MakeBranch {
    /// The plan.
    id: String,
    /// Push the branch to this remote.
    #[arg(long, value_name = "REMOTE")]
    push: Option<String>,
    /// Open a pull request with `gh`, or print the commands that do.
    #[arg(long, requires = "push")]
    pr: bool,
}

fn status(text: &str) -> Result<Status, String> {
    let named = |status: &Status| status.as_str() == text;
    let unknown = || "expected `created`, `approved`, `rejected` or `branched`".to_owned();
    Status::ALL.into_iter().find(named).ok_or_else(unknown)
}

/// Runs it.
pub fn run(plan: &Plan, config: &Config, journal: &Place) -> CommandResult {
    let open = || -> Result<_, String> {
        // The journal first: without one, opening the plans folder would create it for nothing.
        let file = journal.reader()?;
        Ok((PlanRepository::open(config).map_err(words)?, file))
    };
    match plan {
        Plan::Approve(options) => review::run(options, "approve"),
        Plan::Reject(options) => review::run(options, "reject"),
        Plan::List(options) => {
            let (shelf, file) = open()?;
            let plans = list(&shelf, &*file, options).map_err(words)?;
            if options.json {
                print_json(&plans)?;
            } else {
                plans.iter().for_each(|plan| say!("{}", line(plan)));
            }
            Ok(ExitCode::SUCCESS)
        }
        Plan::Show(options) => {
            let (shelf, file) = open()?;
            let plan = stored(&*file, &options.id).map_err(words)?;
            let view = shelf.view(&plan).map_err(words)?;
            if options.json {
                print_json(&view)?;
            } else {
                show(&view);
                if let Some(diff) = shelf.diff(&plan).map_err(words)? {
                    say!("");
                    print_styled(&diff, color);
                }
            }
            Ok(ExitCode::SUCCESS)
        }
        Plan::Check(one) => {
            let (shelf, file) = open()?;
            check(&shelf, &*file, &one.id)
        }
        Plan::Branch(options) => {
            let (shelf, file) = open()?;
            branch(&shelf, &*file, options, config)
        }
    }
}

/// Added and removed lines, and where they are.
fn color(line: &str) -> Style {
    let color = match line.as_bytes() {
        [b'+', b'+', b'+', ..] | [b'-', b'-', b'-', ..] => return Style::new().bold(),
        [b'+', ..] => AnsiColor::Green,
        [b'-', ..] => AnsiColor::Red,
        [b'@', b'@', ..] => AnsiColor::Cyan,
        _ => return Style::new(),
    };
    color.on_default()
}

fn words(error: impl ToString) -> String {
    error.to_string()
}

fn line(plan: &PlanSummary) -> String {
    let PlanSummary { id, status, created, intent, stats, .. } = plan;
    let size = format!("+{} -{}", stats.added, stats.removed);
    let author = &plan.author;
    format!("{id}  {:<8}  {created:.19}  {size:>9}  {author:<12}  {intent}", status.as_str())
}

fn show(view: &PlanView) {
    say!("{}", line(&view.summary));
    say!("by {}, under policy {:.12}", view.summary.author, view.policy_hash);
    if !view.context.is_empty() {
        say!("{}", view.context);
    }
    for check in &view.checks {
        say!("{}: {}", check.check, check.result);
    }
    if let Some(review) = &view.review {
        let note =
            if review.note.is_empty() { String::new() } else { format!(": {}", review.note) };
        say!("{:?} by {} at {}{note}", review.decision, review.reviewer, review.at);
    }
    if view.stale {
        say!("stale: {} changed since", view.stale_files.join(", "));
    }
}

fn list(
    shelf: &PlanRepository,
    file: &dyn Readers,
    options: &List,
) -> Result<Vec<PlanSummary>, EngineError> {
    let mut list = shelf.list(options.status, None, options.limit.max(1));
    while let Some((status, before)) = list.next_page() {
        list.add(file.view()?.proposals(status, before, list.limit())?)?;
    }
    Ok(list.plans)
}

fn stored(file: &dyn Readers, id: &str) -> Result<StoredPlan, EngineError> {
    let view = file.view()?;
    let plan = StoredPlan::read(id, view.proposal(id)?)?;
    plan.check_shown(&PlanEvidence::read(&*view, plan.record())?)?;
    Ok(plan)
}

/// A plan that the rows tell of, with its review: the table alone is no reason to make a branch.
fn proven(file: &dyn Readers, id: &str) -> Result<StoredPlan, EngineError> {
    let view = file.view()?;
    let plan = StoredPlan::read(id, view.proposal(id)?)?;
    plan.check(&PlanEvidence::read(&*view, plan.record())?)?;
    Ok(plan)
}

fn check(shelf: &PlanRepository, file: &dyn Readers, id: &str) -> CommandResult {
    let plan = stored(file, id).map_err(words)?;
    match shelf.view(&plan) {
        Ok(view) if view.stale => {
            say!("stale: {} changed since; create it again", view.stale_files.join(", "));
            Ok(ExitCode::from(FOUND))
        }
        Ok(view) => {
            // Reads the patch itself and proves its hashes.
            shelf.diff(&plan).map_err(words)?;
            say!("{} is as it was written and applies", view.summary.id);
            Ok(ExitCode::SUCCESS)
        }
        Err(EngineError::Conflict(why)) => {
            say!("tampered: {why}");
            Ok(ExitCode::from(FOUND))
        }
        Err(error) => Err(error.to_string()),
    }
}

fn branch(
    shelf: &PlanRepository,
    file: &dyn Readers,
    options: &MakeBranch,
    config: &Config,
) -> CommandResult {
    let plan = proven(file, &options.id).map_err(words)?;
    let view = shelf.view(&plan).map_err(words)?;
    // Before the branch, so that a wrong name changes nothing.
    if let Some(remote) = &options.push
        && let Err(refused) = shelf.check_remote(remote)
    {
        return refuse(&refused);
    }
    let busy = spinner("git");
    let branched = match shelf.branch(&plan) {
        // An earlier call made the branch and did not get to the push.
        Err(BranchError::Exists(_)) if options.push.is_some() => shelf.existing_branch(&plan),
        branched => branched,
    };
    busy.finish_and_clear();
    let made = match branched {
        Ok(made) => made,
        Err(refused) => return refuse(&refused),
    };
    say!("{} at {:.12}, on {:.12}", made.name, made.commit, made.base);
    let Some(remote) = &options.push else { return Ok(ExitCode::SUCCESS) };
    let busy = spinner("git push");
    let pushed = shelf.push(&options.id, remote);
    busy.finish_and_clear();
    if let Err(refused) = pushed {
        return refuse(&refused);
    }
    say!("pushed to {remote}");
    if options.pr { request(&made, &view, config) } else { Ok(ExitCode::SUCCESS) }
}

fn refuse(refused: &BranchError) -> CommandResult {
    eprintln!("life-agent: {}: {refused}", refused.code());
    Ok(ExitCode::from(FOUND))
}

/// Opens the pull request where `gh` is installed, else prints what would.
fn request(made: &Branch, view: &PlanView, config: &Config) -> CommandResult {
    let body = format!("{}\n\nPlan {}", view.context, view.summary.id);
    let title = &view.summary.intent;
    let arguments = ["pr", "create", "--head", &made.name, "--title", title, "--body", &body];
    let mut gh = Command::new("gh");
    without_secrets(gh.args(arguments).current_dir(&config.workspace_dir));
    match gh.status() {
        Ok(status) if status.success() => Ok(ExitCode::SUCCESS),
        Ok(_) => Ok(ExitCode::from(FAILED)),
        Err(_) => {
            say!("`gh` is not installed; open the request with:");
            say!("  gh pr create --head {} --title {title:?} --body {body:?}", made.name);
            Ok(ExitCode::SUCCESS)
        }
    }
}
