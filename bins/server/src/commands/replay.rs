//! `life-agent replay`: run the recorded requests through the present policy and rules.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use life_agent_engine::domain::governance::ids::AgentId;
use life_agent_engine::{Config, ReplayReport};

use super::terminal::{print_json, progress_bar};
use super::{CommandResult, FOUND, audit};
use crate::place::Place;

/// Divergences that are printed one by one.
const SHOWN: usize = 20;

/// Options of `replay`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  life-agent replay\n  \
    life-agent replay --agent hero\n  \
    life-agent replay --policy policies/stricter.yaml   # a backtest: what would it change?\n\n\
    Exit code: 0 nothing differs, 1 something does, 2 could not run")]
pub struct Replay {
    /// The journal; DATABASE_URL or DB_PATH if not given.
    #[arg(long, value_name = "FILE|URL")]
    db: Option<PathBuf>,
    /// Only this agent's requests.
    #[arg(long, value_name = "ID", value_parser = |id: &str| AgentId::new(id))]
    agent: Option<AgentId>,
    /// Another policy than the active one.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
}

/// Runs it. Changes nothing.
pub fn run(options: &Replay, mut config: Config, settings: &Place) -> CommandResult {
    if let Some(policy) = &options.policy {
        if !policy.is_file() {
            return Err(format!("there is no policy `{}`", policy.display()));
        }
        config.policy_path.clone_from(policy);
    }
    let file = Place::or(options.db.as_deref(), settings)?.reader()?;
    let total = audit::head_of(&*file)?.id;
    let bar = progress_bar(total, "rows");
    let report = life_agent_engine::replay(&*file, &config, options.agent.as_ref(), &mut |row| {
        bar.set_position(row);
    });
    bar.finish_and_clear();
    let report = report.map_err(|error| error.to_string())?;
    if options.json {
        print_json(&report)?;
    } else {
        print(&report);
    }
    Ok(if report.divergence_count == 0 { ExitCode::SUCCESS } else { ExitCode::from(FOUND) })
}

fn print(report: &ReplayReport) {
    say!(
        "{} rows: {} decisions and {} steps compared under policy {:.12}",
        report.rows,
        report.decisions,
        report.steps,
        report.policy_hash
    );
    for (why, count) in &report.not_comparable {
        say!("{count} not comparable: {why}");
    }
    table("now denied, by", &report.now_denied);
    table("now allowed, denied then by", &report.now_allowed);
    for divergence in report.divergences.iter().take(SHOWN) {
        say!(
            "row {}{}: {} was {}, is {}",
            divergence.event_id,
            divergence.agent_id.as_ref().map(|agent| format!(" of `{agent}`")).unwrap_or_default(),
            divergence.what,
            divergence.recorded,
            divergence.now
        );
    }
    match report.divergence_count {
        0 => say!("nothing differs"),
        count if count as usize > SHOWN => {
            say!("{count} differ; `--json` lists the first thousand")
        }
        count => say!("{count} differ"),
    }
}

fn table(title: &str, counts: &BTreeMap<String, u64>) {
    if !counts.is_empty() {
        say!("{title}:");
        counts.iter().for_each(|(rule, count)| say!("  {count:>8}  {rule}"));
    }
}
