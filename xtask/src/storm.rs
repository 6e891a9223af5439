//! `cargo xtask storm`: three instances on one PostgreSQL server under load, killed at random, and a checker of what the
//! service promises. The checker sees only what clients see: responses, the journal and the streams of events.

mod checker;
mod http;
mod load;
mod rng;
mod world;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::{Args, ValueEnum};

use checker::{Fault, History};
use rng::Rng;
use world::World;

/// Options of the storm.
#[derive(Args)]
pub(crate) struct Storm {
    /// Rounds; each kills an instance or the database.
    #[arg(long, default_value_t = 20)]
    rounds: u32,
    /// The seed of the faults and the load; a random one is printed.
    #[arg(long)]
    seed: Option<u64>,
}

/// Instances that write at the same time.
const INSTANCES: usize = 3;
/// Threads that send requests.
const CALLERS: usize = 6;
/// The load of one round.
const ROUND: Duration = Duration::from_millis(1200);

pub(crate) fn run(options: &Storm) -> anyhow::Result<()> {
    let seed = options.seed.unwrap_or_else(rng::random_seed);
    println!("storm: {} rounds with --seed {seed}", options.rounds);
    let mut rng = Rng::new(seed);
    let world = Arc::new(World::start(INSTANCES)?);
    let stopping = Arc::new(AtomicBool::new(false));
    let follower = {
        let (world, stopping, rng) = (Arc::clone(&world), Arc::clone(&stopping), rng.fork());
        std::thread::spawn(move || load::follow(&world, &stopping, rng))
    };
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let (world, stopping, rng) = (Arc::clone(&world), Arc::clone(&stopping), rng.fork());
            std::thread::spawn(move || load::call(caller, &world, &stopping, rng))
        })
        .collect();
    let mut counted = BTreeMap::new();
    let mut longest = Duration::ZERO;
    for round in 1..=options.rounds {
        std::thread::sleep(ROUND.mul_f64(0.3 + 0.7 * rng.fraction()));
        let kind = world.strike(&mut rng)?;
        *counted.entry(kind).or_insert(0_u32) += 1;
        let struck = Instant::now();
        world.until_all_act().with_context(|| format!("after round {round} ({kind})"))?;
        longest = longest.max(struck.elapsed());
    }
    std::thread::sleep(ROUND);
    stopping.store(true, Ordering::SeqCst);
    let mut history = History::default();
    for caller in callers {
        history.calls.extend(caller.join().map_err(|_| anyhow::anyhow!("a caller panicked"))?);
    }
    history.rows = world.journal()?;
    let last = history.rows.last().map_or(0, |row| row.id);
    world.let_follower_reach(last);
    history.followed = follower.join().map_err(|_| anyhow::anyhow!("the follower panicked"))?;
    world.audit()?;
    let broken = history.check();
    let answered = history.calls.iter().filter(|call| call.is_answered()).count();
    println!(
        "{} calls, {answered} answered, {} rows, {} followed; faults: {counted:?}; all instances answered again within \
         {longest:.1?}",
        history.calls.len(),
        history.rows.len(),
        history.followed.len()
    );
    for promise in &broken {
        println!("BROKEN: {promise}");
    }
    anyhow::ensure!(broken.is_empty(), "{} promises were broken; --seed {seed}", broken.len());
    check_the_checker(&history)
}

/// Falsifies a history that keeps every promise, once in each way. The checker must detect each of them.
fn check_the_checker(history: &History) -> anyhow::Result<()> {
    for fault in Fault::value_variants() {
        let mut falsified = history.clone();
        falsified.falsify(*fault).context("too short a storm to check the checker")?;
        anyhow::ensure!(!falsified.check().is_empty(), "the checker does not detect {fault:?}");
    }
    println!("the checker detects each of {} falsifications", Fault::value_variants().len());
    Ok(())
}
