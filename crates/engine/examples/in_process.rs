//! Times `act` without HTTP and without the wait for the disk: `cargo run --release -p life-agent-engine
//! --example in_process [CALLS]`. Prints one line of JSON.
//!
//! An act is a future. What is timed is the sum of the moments in which it is polled: policy in force,
//! facts, all gates, the agent's lock, the decision, the state's hash, the row's JSON, the hand-over to the
//! journal, and after the commit the answer. What lies between two polls is not: the journal's thread (the
//! row's chain hash, SQLite, the disk) and being woken. That thread's processor time for each row, system
//! calls included, stands beside; it is an upper bound for what the chain costs, and nobody waits for the
//! work of one row when many share a commit.
//!
//! Twice: one act after the other, between which the processor sleeps for the disk and forgets everything; and
//! with several agents' acts under way at once, as under load, where one follows on the other.

use std::future::poll_fn;
use std::pin::pin;
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use life_agent_engine::domain::governance::command::Act;
use life_agent_engine::domain::governance::ids::{ActionName, AgentId, Principal};
use life_agent_engine::domain::governance::payload::Payload;
use life_agent_engine::{Config, Engine, RequestContext};
use life_agent_observer_sqlite::Sqlite;

type Failed = Box<dyn std::error::Error>;

/// Acts before the clock starts: the agent is read from the journal, statements are prepared.
const WARM_UP: usize = 1_000;
/// Agents that act at once.
const AT_ONCE: usize = 32;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failed> {
    let calls: usize = std::env::args().nth(1).map_or(Ok(50_000), |calls| calls.parse())?;
    let folder = tempfile::tempdir()?;
    let config = Config { rate_limit_rps: 0, ..Config::below(folder.path()) };
    let engine = Engine::open(config, Sqlite::at(folder.path().join("agent.db"))).await?;
    for _ in 0..WARM_UP {
        act(&engine, "hero").await?;
    }
    let journal = journal_seconds();
    let mut polled = Vec::with_capacity(calls);
    let mut waited = Vec::with_capacity(calls);
    for _ in 0..calls {
        let begun = Instant::now();
        let spent = act(&engine, "hero").await?;
        polled.push(spent);
        waited.push(begun.elapsed());
    }
    let row = (journal_seconds() - journal) / calls as f64;
    let mut busy = busy(&engine, calls).await?;
    polled.sort_unstable();
    busy.sort_unstable();
    waited.sort_unstable();
    println!(
        "{}",
        serde_json::json!({
            "calls": calls,
            "act_p50_us": at(&polled, 50), "act_p99_us": at(&polled, 99),
            "at_once": AT_ONCE, "busy_p50_us": at(&busy, 50), "busy_p99_us": at(&busy, 99),
            "durable_p50_us": at(&waited, 50), "durable_p99_us": at(&waited, 99),
            "journal_thread_us_per_row": row * 1e6,
        })
    );
    engine.close().await?;
    Ok(())
}

/// So many agents act over and over; how long each act was polled.
async fn busy(engine: &Engine, calls: usize) -> Result<Vec<Duration>, Failed> {
    let agents = (0..AT_ONCE).map(|n| async move {
        let id = format!("agent-{n}");
        let mut polled = Vec::with_capacity(calls / AT_ONCE);
        for nth in 0..WARM_UP + calls / AT_ONCE {
            let spent = act(engine, &id).await?;
            if nth >= WARM_UP {
                polled.push(spent);
            }
        }
        Ok::<_, Failed>(polled)
    });
    Ok(try_join_all(agents).await?.concat())
}

/// One act; how long it was polled.
async fn act(engine: &Engine, agent: &str) -> Result<Duration, Failed> {
    let caller = RequestContext::new(Principal::new("bench"), "bench-1".to_owned());
    let act = Act {
        agent: AgentId::new(agent)?,
        action: ActionName::new("explore")?,
        payload: Payload::default(),
    };
    let mut acting = pin!(engine.act(&caller, act));
    let mut spent = Duration::ZERO;
    let done = poll_fn(|context| {
        let begun = Instant::now();
        let polled = acting.as_mut().poll(context);
        spent += begun.elapsed();
        polled
    });
    done.await?;
    Ok(spent)
}

/// Microseconds below which so many in a hundred lie.
fn at(sorted: &[Duration], percent: usize) -> f64 {
    let index = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(index).map_or(0.0, |duration| duration.as_secs_f64() * 1e6)
}

/// Processor time of the journal's thread so far, from `/proc/self/task/*/schedstat`; 0 where there is none.
fn journal_seconds() -> f64 {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let of_journal = |path: &std::path::Path| {
        let name = std::fs::read_to_string(path.join("comm")).ok()?;
        let stat = std::fs::read_to_string(path.join("schedstat")).ok()?;
        let nanoseconds: f64 = stat.split(' ').next()?.parse().ok()?;
        (name.trim() == "journal").then_some(nanoseconds / 1e9)
    };
    tasks.filter_map(|task| of_journal(&task.path())).sum()
}
