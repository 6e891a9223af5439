//! `cargo xtask storm`: three instances with different clocks on one PostgreSQL server and one Redis server, under load
//! and struck at random, and a checker of what the service promises. The checker sees only what clients see: responses,
//! the journal, the streams of events, and the calls that the model gets.

mod checker;
mod faults;
mod frames;
mod http;
mod load;
mod model;
mod proxy;
mod rng;
mod tools;
mod world;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::{Args, ValueEnum};
use jiff::Timestamp;

use checker::{Fault, History, Kind};
use faults::{Deck, Strike};
use rng::Rng;
use tools::Tools;
use world::World;

/// Options of the storm.
#[derive(Args)]
pub(crate) struct Storm {
    /// Rounds; each has one strike.
    #[arg(long, default_value_t = 20)]
    rounds: u32,
    /// The seed of the faults and the load; a random one is printed.
    #[arg(long)]
    seed: Option<u64>,
    /// Only this strike, in every round.
    #[arg(long)]
    only: Option<Strike>,
}

/// Rounds on one journal. A new one has new budgets, and `replay` stays quick.
const ROUNDS_OF_A_JOURNAL: u32 = 10;
/// Threads that send requests.
const CALLERS: usize = 6;
/// Threads that follow the events.
const FOLLOWERS: usize = 2;
/// The load of one round.
const ROUND: Duration = Duration::from_millis(1200);

/// What all journals of a storm add up to.
#[derive(Default)]
struct Summary {
    calls: usize,
    answered: usize,
    rows: usize,
    followed: usize,
    approved: usize,
    chats: usize,
    turns: usize,
    over_budget: usize,
    in_doubt: usize,
    caught: u64,
    /// The longest recovery, and after which strike.
    longest: Option<(Duration, Strike)>,
    struck: BTreeMap<Strike, u32>,
}

pub(crate) fn run(options: &Storm) -> anyhow::Result<()> {
    let seed = options.seed.unwrap_or_else(rng::random_seed);
    println!("storm: {} rounds with --seed {seed}", options.rounds);
    let mut rng = Rng::new(seed);
    let tools = Arc::new(Tools::find()?);
    let (mut summary, mut deck, mut done) = (Summary::default(), Deck::new(options.only), 0);
    let mut undetected: Vec<Fault> = Fault::value_variants().to_vec();
    let mut with_redis = true;
    while done < options.rounds {
        let rounds = ROUNDS_OF_A_JOURNAL.min(options.rounds - done);
        let world = Arc::new(World::start(&tools, with_redis)?);
        let history =
            storm(&world, rounds, &mut deck, &mut rng, &mut summary).and_then(|history| {
                let broken = history.check();
                broken.lines().for_each(|line| println!("BROKEN: {line}"));
                anyhow::ensure!(broken.is_empty(), "promises were broken");
                Ok(history)
            });
        let history = match history {
            Ok(history) => history,
            Err(error) => {
                let logs = world.keep_logs();
                let place = format!("rounds {} to {}", done + 1, done + rounds);
                return Err(
                    error.context(format!("{place} of --seed {seed}; logs: {}", logs.display()))
                );
            }
        };
        undetected.retain(|fault| !is_detected(&history, *fault));
        done += rounds;
        println!("{done} rounds: {} rows, {} calls", summary.rows, summary.calls);
        // The deck of the other kind of world differs.
        with_redis = !with_redis;
    }
    summary.print();
    anyhow::ensure!(
        undetected.is_empty(),
        "the checker does not detect {undetected:?}; run more rounds"
    );
    println!("the checker detects each of {} falsifications", Fault::value_variants().len());
    Ok(())
}

/// Falsifies a history that keeps every promise. Whether the checker finds what is broken now.
fn is_detected(history: &History, fault: Fault) -> bool {
    let mut falsified = history.clone();
    falsified.falsify(fault).is_some() && falsified.check().has(fault.breaks())
}

/// The rounds on one journal.
fn storm(
    world: &Arc<World>,
    rounds: u32,
    deck: &mut Deck,
    rng: &mut Rng,
    summary: &mut Summary,
) -> anyhow::Result<History> {
    let began = Timestamp::now();
    let stopping = Arc::new(AtomicBool::new(false));
    let followers: Vec<_> = (0..FOLLOWERS)
        .map(|_| {
            let (world, stopping, rng) = (Arc::clone(world), Arc::clone(&stopping), rng.fork());
            std::thread::spawn(move || load::follow(&world, &stopping, rng))
        })
        .collect();
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let (world, stopping, rng) = (Arc::clone(world), Arc::clone(&stopping), rng.fork());
            std::thread::spawn(move || load::call(caller, &world, &stopping, rng))
        })
        .collect();
    let mut all_rounds = || -> anyhow::Result<()> {
        for round in 1..=rounds {
            std::thread::sleep(ROUND.mul_f64(0.3 + 0.7 * rng.fraction()));
            let strike = deck.draw(world, rng);
            let struck = || format!("in round {round} of a journal, after {strike:?}");
            strike.hit(world, rng).with_context(struck)?;
            let since = Instant::now();
            world.until_all_act().with_context(struck)?;
            summary.longest = summary.longest.max(Some((since.elapsed(), strike)));
            *summary.struck.entry(strike).or_default() += 1;
            world.audit().with_context(struck)?;
        }
        Ok(())
    };
    let struck = all_rounds();
    stopping.store(true, Ordering::SeqCst);
    let mut calls = Vec::new();
    for caller in callers {
        calls.extend(caller.join().map_err(|_| anyhow::anyhow!("a caller panicked"))?);
    }
    let rows = struck.and_then(|()| world.journal());
    world.let_follower_reach(rows.as_ref().map_or(0, |rows| rows.last().map_or(0, |row| row.id)));
    let mut followed = Vec::new();
    for follower in followers {
        followed.push(follower.join().map_err(|_| anyhow::anyhow!("a follower panicked"))?);
    }
    let history = History {
        began,
        ended: Timestamp::now(),
        calls,
        rows: rows?,
        followed,
        modeled: world.model.seen(),
        counted_in_rows: world.redis.is_none(),
    };
    world.audit()?;
    summary.add(&history, world);
    Ok(history)
}

impl Summary {
    fn add(&mut self, history: &History, world: &World) {
        self.calls += history.calls.len();
        self.answered += history.answered(|_| true);
        self.rows += history.rows.len();
        self.followed += history.followed.iter().map(Vec::len).sum::<usize>();
        self.approved += history.answered(|kind| matches!(kind, Kind::Approved { .. }));
        self.chats += history.answered(|kind| matches!(kind, Kind::Chat { .. }));
        self.turns += history.turns();
        self.over_budget += history.refused_with("budget_exceeded");
        self.in_doubt += history.refused_with("outcome_unknown");
        self.caught += world.proxies.iter().map(proxy::Proxy::caught).sum::<u64>();
    }

    fn print(&self) {
        let Self { calls, answered, rows, followed, .. } = self;
        println!("{calls} calls, {answered} answered, {rows} rows, {followed} followed");
        let Self { approved, turns, chats, over_budget, .. } = self;
        println!(
            "{approved} approvals used, {turns} queued turns run, {chats} model calls answered, {over_budget} over budget"
        );
        println!("{} commits caught, {} calls in doubt", self.caught, self.in_doubt);
        if let Some((longest, strike)) = self.longest {
            println!(
                "all instances acted again within {longest:.1?}, the longest after {strike:?}"
            );
        }
        println!("strikes: {:?}", self.struck);
    }
}
