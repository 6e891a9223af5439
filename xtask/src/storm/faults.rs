//! What strikes the world.

use std::sync::PoisonError;
use std::time::Duration;

use clap::ValueEnum;
use rustix::process::{Pid, Signal, kill_process};

use super::proxy::Trap;
use super::rng::Rng;
use super::world::World;

/// A strike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Strike {
    /// `kill -9` of an instance, and a start.
    InstanceKilled,
    /// An instance stands still for longer than a transaction may be idle, and continues.
    InstanceFrozen,
    /// `kill -9` of the database, and a start.
    DatabaseKilled,
    /// The database stops without a checkpoint, and starts again.
    DatabaseStopped,
    /// The database ends every session.
    SessionsEnded,
    /// The connections of an instance to the database break.
    ConnectionsCut,
    /// The proxy of an instance forwards nothing for some seconds.
    DatabaseSilent,
    /// Each message between an instance and the database takes longer.
    DatabaseSlow,
    /// A commit of an instance is stored, and the response is lost.
    CommitAnswerLost,
    /// A commit of an instance is lost.
    CommitLost,
    /// A commit of an instance is sent as its connection breaks.
    CommitRace,
    /// A commit of an instance arrives late.
    CommitLate,
    /// Redis is killed and starts empty.
    RedisKilled,
    /// Redis loses its data.
    RedisFlushed,
    /// The proxy of an instance to Redis forwards nothing for some seconds.
    RedisSilent,
}

/// Strikes in random order: each kind once, and then again.
pub(super) struct Deck {
    left: Vec<Strike>,
    only: Option<Strike>,
}

impl Deck {
    pub(super) fn new(only: Option<Strike>) -> Self {
        Self { left: Vec::new(), only }
    }

    pub(super) fn draw(&mut self, world: &World, rng: &mut Rng) -> Strike {
        let possible = |strike: &Strike| world.redis.is_some() || !strike.is_of_redis();
        if let Some(only) = self.only {
            return only;
        }
        if !self.left.iter().any(possible) {
            self.left = Strike::value_variants().to_vec();
            // Instances die most often.
            self.left.extend([Strike::InstanceKilled; 3]);
        }
        loop {
            let one = rng.below(self.left.len());
            if possible(&self.left[one]) {
                return self.left.swap_remove(one);
            }
        }
    }
}

impl Strike {
    fn is_of_redis(self) -> bool {
        matches!(self, Self::RedisKilled | Self::RedisFlushed | Self::RedisSilent)
    }

    /// Strikes, and lets everything go on afterwards.
    pub(super) fn hit(self, world: &World, rng: &mut Rng) -> anyhow::Result<()> {
        let number = rng.below(world.size());
        let seconds =
            |longest: f64, rng: &mut Rng| Duration::from_secs_f64(longest * rng.fraction());
        let proxy = &world.proxies[number];
        let cluster = &world.tools.cluster;
        match self {
            Self::InstanceKilled => {
                let mut instance = world.instance(number);
                instance.child.kill()?;
                instance.child.wait()?;
                *instance = world.spawn(number)?;
            }
            Self::InstanceFrozen => {
                let pid = Pid::from_child(&world.instance(number).child);
                kill_process(pid, Signal::STOP)?;
                std::thread::sleep(Duration::from_secs(1) + seconds(2.5, rng));
                kill_process(pid, Signal::CONT)?;
            }
            Self::DatabaseKilled | Self::DatabaseStopped => {
                match self {
                    Self::DatabaseKilled => cluster.kill(),
                    _ => cluster.stop_immediately(),
                }
                std::thread::sleep(Duration::from_millis(200));
                cluster.start_again();
            }
            Self::SessionsEnded => {
                let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() \
                           AND backend_type = 'client backend'";
                cluster.sql("postgres", sql);
            }
            Self::ConnectionsCut => proxy.cut(),
            Self::DatabaseSilent => {
                // Rarely longer than the service looks for a lost commit.
                let longest = if rng.below(3) == 0 { 7.5 } else { 2.0 };
                let time = Duration::from_millis(500) + seconds(longest, rng);
                proxy.stall(time);
                std::thread::sleep(time);
            }
            Self::DatabaseSlow => {
                proxy.delay(Duration::from_millis(20) + seconds(0.1, rng));
                std::thread::sleep(Duration::from_secs(1));
                proxy.delay(Duration::ZERO);
            }
            Self::CommitAnswerLost => spring(world, number, Trap::AnswerLost),
            Self::CommitLost => spring(world, number, Trap::RequestLost),
            Self::CommitRace => spring(world, number, Trap::Race),
            Self::CommitLate => {
                let time = Duration::from_millis(200) + seconds(4.0, rng);
                spring(world, number, Trap::Late(time));
                std::thread::sleep(time);
            }
            Self::RedisKilled | Self::RedisFlushed => {
                let Some(redis) = &world.redis else { return Ok(()) };
                let mut redis = redis.lock().unwrap_or_else(PoisonError::into_inner);
                if self == Self::RedisFlushed {
                    redis.run(&["FLUSHALL"]);
                } else {
                    redis.kill();
                    std::thread::sleep(seconds(1.5, rng));
                    redis.start_again();
                }
            }
            Self::RedisSilent => {
                let Some(proxy) = world.redis_proxies.get(number) else { return Ok(()) };
                let time = seconds(2.0, rng);
                proxy.stall(time);
                std::thread::sleep(time);
            }
        }
        Ok(())
    }
}

/// Waits until the trap has caught a commit: there is one soon, since every instance is under load.
fn spring(world: &World, number: usize, trap: Trap) {
    let proxy = &world.proxies[number];
    let before = proxy.caught();
    proxy.set(trap);
    for _ in 0..200 {
        if proxy.caught() > before {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    proxy.disarm();
}
