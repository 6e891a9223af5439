//! What clients do, and what they see.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::checker::{Call, Followed, Kind};
use super::http::{REVIEWER, Request, events};
use super::rng::Rng;
use super::world::World;

/// Few, so that instances step the same ones.
const AGENTS: usize = 5;

/// Sends requests to random instances until `stopping`.
pub(super) fn call(caller: usize, world: &World, stopping: &AtomicBool, mut rng: Rng) -> Vec<Call> {
    let mut calls = Vec::new();
    let mut number = 0;
    while !stopping.load(Ordering::SeqCst) {
        number += 1;
        let marker = format!("call-{caller}-{number}");
        // Each kind at least once, however short the storm.
        let choice = if caller == 0 && number < 3 { number - 1 } else { rng.below(40) };
        match choice {
            0 if caller == 0 => switch(world, &mut rng, &mut calls),
            1 => approve(world, &marker, &mut rng, &mut calls),
            2..6 => read(world, &mut rng, &mut calls),
            _ => act(world, &marker, &mut rng, &mut calls),
        }
    }
    calls
}

/// An act with a key, sent again to another instance until it has an answer, and sometimes once more.
fn act(world: &World, marker: &str, rng: &mut Rng, calls: &mut Vec<Call>) {
    let agent = format!("agent-{}", rng.below(AGENTS));
    let body = json!({"agent_id": agent, "action": "rest", "payload": {"marker": marker}});
    let mut more = usize::from(rng.below(8) == 0);
    for _ in 0..20 {
        let request = Request { once: Some(marker), ..Request::post("/act", &body) };
        let sent = Instant::now();
        let answer = request.send(world.any(rng));
        let kind = Kind::Act { marker: marker.to_owned(), agent: agent.clone() };
        let call = Call::new(kind, sent, answer.ok());
        let is_final = call.status == 200 || call.code() == "kill_switch";
        let is_refused = call.status == 503 && !is_final;
        calls.push(call);
        if is_final && more == 0 {
            return;
        }
        more = more.saturating_sub(usize::from(is_final));
        if is_refused {
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn read(world: &World, rng: &mut Rng, calls: &mut Vec<Call>) {
    let agent = format!("agent-{}", rng.below(AGENTS));
    let (path, sent) = (format!("/state?agent_id={agent}"), Instant::now());
    let answer = Request::get(&path).send(world.any(rng)).ok();
    calls.push(Call::new(Kind::Read { agent }, sent, answer));
}

/// On at one instance, off at another.
fn switch(world: &World, rng: &mut Rng, calls: &mut Vec<Call>) {
    for on in [true, false] {
        let body = json!({"on": on, "reason": "a storm"});
        loop {
            let sent = Instant::now();
            let answer = Request::post("/kill-switch", &body).send(world.any(rng)).ok();
            let call = Call::new(Kind::Switch { on }, sent, answer);
            let done = call.status == 200;
            calls.push(call);
            if done {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        std::thread::sleep(Duration::from_millis(10 + rng.next() % 60));
    }
}

/// A request that waits for a person: decided at one instance and used at two.
fn approve(world: &World, marker: &str, rng: &mut Rng, calls: &mut Vec<Call>) {
    let body = json!({"agent_id": "deployer", "action": "deploy", "payload": {"marker": marker}});
    let Ok(asked) = Request::post("/act", &body).send(world.any(rng)) else { return };
    let Some(id) = asked.body["error"]["details"]["approval_id"].as_u64() else { return };
    let (path, decision) = (format!("/approvals/{id}/decision"), json!({"decision": "approve"}));
    let decide = Request { key: REVIEWER, ..Request::post(&path, &decision) };
    if !decide.send(world.any(rng)).is_ok_and(|answer| answer.status == 200) {
        return;
    }
    let (here, there) = (world.any(rng), world.any(rng));
    let body = &body;
    let used = std::thread::scope(|scope| {
        let uses = [here, there].map(|addr| {
            scope.spawn(move || (Instant::now(), Request::post("/act", body).send(addr).ok()))
        });
        uses.map(|one| one.join().ok())
    });
    for (sent, answer) in used.into_iter().flatten() {
        let kind = Kind::Approved { marker: marker.to_owned() };
        calls.push(Call::new(kind, sent, answer));
    }
}

/// Follows the journal from its first row, at another instance whenever a stream ends.
pub(super) fn follow(world: &World, stopping: &AtomicBool, mut rng: Rng) -> Vec<Followed> {
    let (mut followed, mut position): (Vec<Followed>, u64) = (Vec::new(), 0);
    let patience = Duration::from_secs(30);
    let mut stopped: Option<Instant> = None;
    loop {
        let hop = Instant::now() + Duration::from_millis(200 + rng.next() % 2000);
        // A stream that breaks is continued elsewhere.
        let _ = events(world.any(&mut rng), position, |line| {
            if let Some(data) = line.strip_prefix("data: ")
                && let Ok(row) = serde_json::from_str::<Value>(data)
                && let (Some(id), Some(hash)) = (row["id"].as_u64(), row["hash"].as_str())
            {
                position = id;
                followed.push(Followed { id, hash: hash.to_owned() });
            }
            Instant::now() < hop && !world.is_reached(position)
        });
        if world.is_reached(position) {
            return followed;
        }
        if stopping.load(Ordering::SeqCst)
            && stopped.get_or_insert_with(Instant::now).elapsed() > patience
        {
            return followed;
        }
    }
}
