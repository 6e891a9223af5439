//! What `cargo xtask guard` counts the instructions of: `--example guarded scan|chain|step|append`.
//!
//! Each case runs its work a fixed number of times in the function `measured`, after a warm-up outside of
//! it, so that one-off work (compiled patterns, lazy automata, prepared statements) is not counted. The
//! same inputs every time, no clock and no random number decides how much work there is.

use std::hint::black_box;
use std::sync::Arc;

use life_agent_domain::agent::profile::Profile;
use life_agent_domain::agent::rules::{apply_act, apply_turn, decide_act, decide_turn};
use life_agent_domain::agent::state::AgentState;
use life_agent_domain::governance::command::{Act, Turn};
use life_agent_domain::governance::event::{Entry, EventKind};
use life_agent_domain::governance::gate::{
    Chain, GateInputs, KillSwitch, NoopObserver, Permit, Rate, evaluate,
};
use life_agent_domain::governance::ids::{ActionName, AgentId, Principal};
use life_agent_domain::governance::payload::Payload;
use life_agent_gates::{ChainOptions, Scanner, chain};
use life_agent_observer::{AgentStep, AgentVersion, Journal, Options, StateHash, WriteBatch};
use life_agent_observer_sqlite::Sqlite;
use life_agent_policy::profile::{BUILT_IN_PROFILE, compile_profile};
use life_agent_policy::snapshot::{Snapshot, Workspace, compile, default_text};
use serde_json::value::RawValue;

type Failed = Box<dyn std::error::Error>;

const TIMES: u32 = 20;
const HARMLESS: &str = "The tower keeps its old clock, and the street below is repaved with grey stone. \
    We looked at the index of the second chapter, moved three tables, and wrote down what was missing.\n";

struct AnyDir;

impl Workspace for AnyDir {
    fn is_dir(&self, _: &str) -> bool {
        true
    }
}

fn main() -> Result<(), Failed> {
    match std::env::args().nth(1).as_deref() {
        Some("scan") => scan(),
        Some("chain") => gates(),
        Some("step") => step(),
        Some("append") => append(),
        _ => Err("name a case: scan, chain, step or append".into()),
    }
}

/// Found by its name in the binary: everything below it is counted.
#[inline(never)]
fn measured(mut work: impl FnMut()) {
    for _ in 0..TIMES {
        work();
    }
    black_box(());
}

fn snapshot() -> Result<Arc<Snapshot>, Failed> {
    let compiled = compile(&default_text(&["plans".to_owned()]), &AnyDir);
    Ok(Arc::new(compiled.map_err(|faults| format!("{faults:?}"))?))
}

fn profile() -> Result<Profile, Failed> {
    compile_profile(BUILT_IN_PROFILE).map_err(|faults| format!("{faults:?}").into())
}

fn text(bytes: usize) -> String {
    HARMLESS.chars().cycle().take(bytes).collect()
}

fn facts() -> GateInputs {
    GateInputs {
        kill_switch: Some(KillSwitch::Off),
        rate: Some(Rate::Within),
        targets: Some(Vec::new()),
        intent: Some("explore".to_owned()),
        ..GateInputs::default()
    }
}

fn turn(bytes: usize) -> Result<Turn, Failed> {
    Ok(Turn { agent: AgentId::new("hero")?, input: text(bytes) })
}

/// The scanner on 8 KiB of harmless text.
fn scan() -> Result<(), Failed> {
    let (scanner, text) = (Scanner::new(snapshot()?), text(8_192));
    black_box(scanner.scan(&text));
    measured(|| drop(black_box(scanner.scan(black_box(&text)))));
    Ok(())
}

/// The whole chain on a turn of 1 KiB.
fn gates() -> Result<(), Failed> {
    let (chain, facts, turn) = (chain(snapshot()?, ChainOptions::default()), facts(), turn(1_024)?);
    let evaluate =
        || evaluate(&chain, Principal::new("guard"), turn.clone(), &facts, &NoopObserver);
    evaluate().map_err(|denial| format!("{denial:?}"))?;
    measured(|| drop(black_box(evaluate())));
    Ok(())
}

/// Deciding, applying and hashing an act and a turn.
fn step() -> Result<(), Failed> {
    let (chain, profile) = (chain(snapshot()?, ChainOptions::default()), profile()?);
    let act = Act {
        agent: AgentId::new("hero")?,
        action: ActionName::new("explore")?,
        payload: Payload::default(),
    };
    let (act, turn) = (permit(&chain, act)?, permit(&chain, turn(100)?)?);
    let mut state = AgentState::initial(42);
    let mut take = || {
        let step = decide_act(&state, &profile, &act);
        apply_act(&mut state, &step);
        let step = decide_turn(&state, &profile, &turn);
        apply_turn(&mut state, &step);
        black_box(state.hash());
    };
    // What an agent remembers is bounded; from here on each step forgets as much as it adds.
    (0..100).for_each(|_| take());
    measured(take);
    Ok(())
}

fn permit<C: life_agent_domain::governance::command::Gated>(
    chain: &Chain,
    command: C,
) -> Result<Permit<C>, Failed> {
    let permit = evaluate(chain, Principal::new("guard"), command, &facts(), &NoopObserver);
    permit.map_err(|_| "the gates refuse it".into())
}

/// One row at a time; the journal's thread is counted by the names of its functions.
fn append() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let journal = Journal::open(Sqlite::at(folder.path().join("agent.db")), Options::default())?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    for n in 1..=u64::from(TIMES) {
        runtime.block_on(journal.append(row(n)?)?)?;
    }
    runtime.block_on(journal.close())?;
    Ok(())
}

fn row(n: u64) -> Result<WriteBatch, Failed> {
    let data = format!(
        r#"{{"input":"look at the gate","turn":{{"number":{n},"intent":"explore","outcome":"success"}},"state_version":{n},"state_hash":"{}","score":0.0}}"#,
        "5ee3e4f99b9e9237c9c6fe71ef584aa04d71d3718c20210d78f7dbe9cae116d4"
    );
    Ok(WriteBatch {
        step: Some(AgentStep {
            version: n,
            turns: n,
            state_hash: hash(n),
            from: Some(AgentVersion { version: n - 1, state_hash: hash(n - 1) }),
        }),
        ..WriteBatch::of(Entry {
            kind: EventKind::Turn,
            agent: Some(AgentId::new("hero")?),
            principal: "guard".to_owned(),
            request_id: format!("{n:032}"),
            data: RawValue::from_string(data)?,
        })
    })
}

fn hash(n: u64) -> StateHash {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&n.to_le_bytes());
    StateHash::from_bytes(bytes)
}
