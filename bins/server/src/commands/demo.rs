//! `life-agent demo`: a scratch journal with realistic traffic through the real service, served on loopback.

mod caller;
mod folder;
mod model;
mod routine;
mod traffic;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use clap::Args;

use super::CommandResult;
use super::key::entry;
use crate::auth::keys_file::{Entry, KeysFile};
use crate::serve::{self, Started};
use crate::settings::{self, Inputs, Settings};
use folder::Folder;

/// Settings that a demo accepts; everything else is its own.
const ACCEPTED: [&str; 3] = ["PORT", "LOG_LEVEL", "WORKERS"];

/// Options of `demo`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  life-agent demo\n  life-agent demo --port 9000 --rows 100000\n  \
    life-agent demo pictures --exit          fill a folder and end\n\n\
    The demo has a journal, a policy, keys and a model of its own, and reads no setting but --port, --log-level and\n\
    --workers. Without a folder, it uses a temporary one and removes it at the end.\n\n\
    Exit code: 0 ended by a signal or filled, 2 it could not run"
)]
pub struct Demo {
    /// A folder for the demo, which must be new or empty.
    dir: Option<PathBuf>,
    /// About how many rows the journal gets, up to 1,000,000.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u64).range(0..=1_000_000))]
    rows: u64,
    /// End when the folder is filled.
    #[arg(long, requires = "dir")]
    exit: bool,
}

/// The keys of a demo, by principal.
struct DemoKeys {
    ops: String,
    reviewer: String,
    coder: String,
    support: String,
    ci: String,
}

impl DemoKeys {
    /// New keys, and the file with their digests.
    fn new() -> (Self, KeysFile) {
        let mut file = KeysFile::default();
        let mut key = |name: &str, role: &str, person: Option<&str>| {
            let (entry, key) = entry(name, vec![role.to_owned()]);
            file.keys.push(Entry { person: person.map(str::to_owned), ..entry });
            key
        };
        let keys = Self {
            ops: key("ops", "operator", Some("Olga Reyes")),
            reviewer: key("reviewer", "reviewer", Some("Eve Stone")),
            coder: key("coder", "agent", Some("Ann Field")),
            support: key("support", "agent", None),
            ci: key("ci", "agent", None),
        };
        (keys, file)
    }
}

/// Runs it. `flags` are the settings of the command line.
pub fn run(options: &Demo, flags: &BTreeMap<String, String>) -> CommandResult {
    let (keys, file) = DemoKeys::new();
    let folder = Folder::create(options.dir.as_deref(), &file)?;
    let model = model::start().map_err(|error| format!("cannot start the model: {error}"))?;
    let settings = demo_settings(&folder, model.port(), flags)?;
    let outcome = Arc::new(Mutex::new(Ok(())));
    let (filled, rows, exit) = (Arc::clone(&outcome), options.rows, options.exit);
    let (path, is_temporary) = (folder.path().to_owned(), folder.is_temporary());
    let served = serve::serve_with(settings, &[], move |started: Started| {
        std::thread::spawn(move || {
            let base = format!("http://{}", started.address);
            let result = traffic::fill(&base, &keys, rows).map(|rows| {
                say!("demo: {rows} rows in {}", path.join("agent.db").display());
                print_keys(&keys);
                if exit {
                    say!("serve it with: cd '{}' && life-agent", path.display());
                } else {
                    print_address(&base, &keys, is_temporary);
                }
            });
            if exit || result.is_err() {
                *filled.lock().unwrap_or_else(PoisonError::into_inner) = result;
                started.stopping.cancel();
            }
        });
    });
    served.map_err(|error| error.to_string())?;
    let outcome = outcome.lock().unwrap_or_else(PoisonError::into_inner).clone();
    outcome.map(|()| ExitCode::SUCCESS).map_err(|why| format!("the demo is incomplete: {why}"))
}

fn print_keys(keys: &DemoKeys) {
    let DemoKeys { ops, reviewer, coder, support, ci } = keys;
    say!("keys: ops {ops} (everything), reviewer {reviewer} (reads and approves)");
    say!("      agents: coder {coder}, support {support}, ci {ci}");
}

fn print_address(base: &str, keys: &DemoKeys, is_temporary: bool) {
    let DemoKeys { ops, reviewer, .. } = keys;
    say!("dashboard, opened as ops: {base}/ui#key={ops}");
    say!("dashboard, opened as reviewer: {base}/ui#key={reviewer}");
    say!("waiting for a person: an approval, a plan and a stopped agent");
    say!("commands: export LIFE_AGENT_URL={base} LIFE_AGENT_KEY={reviewer}");
    say!("  life-agent tail -n 5");
    say!("  life-agent approvals list");
    let removal = if is_temporary { " and removes the folder" } else { "" };
    say!("Ctrl-C ends the demo{removal}.");
}

/// The settings: those of the demo, without the environment.
fn demo_settings(
    folder: &Folder,
    model: u16,
    flags: &BTreeMap<String, String>,
) -> Result<Settings, String> {
    let accepted: Vec<_> = ACCEPTED.iter().map(|name| name.to_lowercase()).collect();
    if let Some(other) = flags.keys().find(|key| !accepted.contains(key)) {
        let flag = other.replace('_', "-");
        return Err(format!("a demo has settings of its own; leave `--{flag}` out"));
    }
    let path = |name: &str| folder.path().join(name).display().to_string();
    let own = [
        ("host", "127.0.0.1".to_owned()),
        ("port", "0".to_owned()),
        ("log_level", "WARN".to_owned()),
        ("db_path", path("agent.db")),
        ("workspace_dir", path("workspace")),
        ("policy_path", path("policy/policy.yaml")),
        ("policy_dir", path("policies")),
        ("plans_dir", path("plans")),
        ("log_file", path("logs/app.log")),
        ("keys_file", path("keys.yaml")),
        ("rate_limit_rps", "0".to_owned()),
        ("groq_api_key", "key-of-the-demo-model".to_owned()),
        ("groq_base_url", format!("http://127.0.0.1:{model}/v1")),
    ];
    let mut all: BTreeMap<_, _> =
        own.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    all.extend(flags.clone());
    let inputs = Inputs { dir: folder.path().to_owned(), file: None, env: Vec::new(), flags: all };
    let found = settings::read(&inputs).map_err(|error| error.to_string())?;
    settings::settings(&found).map_err(|error| error.to_string())
}
