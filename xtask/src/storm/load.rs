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
/// Attempts until a request has a final answer; longer than any outage.
const ATTEMPTS: usize = 40;

/// A client with its memory.
struct Client<'w> {
    world: &'w World,
    rng: Rng,
    calls: Vec<Call>,
}

/// Sends requests to random instances until `stopping`.
pub(super) fn call(caller: usize, world: &World, stopping: &AtomicBool, rng: Rng) -> Vec<Call> {
    let mut client = Client { world, rng, calls: Vec::new() };
    let mut number = 0;
    while !stopping.load(Ordering::SeqCst) {
        number += 1;
        // Each kind at least once, however short the storm.
        let choice = if caller == 0 && number < 4 { number - 1 } else { client.rng.below(80) };
        let marker = format!("{caller}-{number}");
        match choice {
            0 if caller == 0 => client.switch(),
            1 | 2 => client.approve(&format!("ask-{marker}")),
            3..8 => client.chat(&format!("chat-{marker}")),
            8 => client.turn(&format!("turn-{marker}")),
            9..17 => client.read(),
            17..30 => client.act_once(&format!("once-{marker}")),
            _ => client.act(&format!("call-{marker}")),
        }
    }
    client.calls
}

impl Client<'_> {
    fn agent(&mut self) -> String {
        format!("agent-{}", self.rng.below(AGENTS))
    }

    /// Sends a request and remembers it.
    fn send(&mut self, kind: Kind, request: &Request<'_>) -> &Call {
        let sent = Instant::now();
        let answer = request.send(self.world.any(&mut self.rng)).ok();
        self.calls.push(Call::new(kind, sent, answer));
        &self.calls[self.calls.len() - 1]
    }

    /// Sends a request with a key to one instance after the other until it has a final answer, and sometimes once
    /// more.
    fn insist(&mut self, kind: &Kind, request: &Request<'_>) {
        let mut more = usize::from(self.rng.below(8) == 0);
        for _ in 0..ATTEMPTS {
            let call = self.send(kind.clone(), request);
            let (done, was_refused) = (call.is_final(), call.status == 503);
            if done && more == 0 {
                return;
            }
            more = more.saturating_sub(usize::from(done));
            if was_refused && !done {
                std::thread::sleep(Duration::from_millis(50));
            }
        }
    }

    fn act(&mut self, marker: &str) {
        let agent = self.agent();
        let body = json!({"agent_id": agent, "action": "rest", "payload": {"marker": marker}});
        let request = Request { once: Some(marker), ..Request::post("/act", &body) };
        let kind = Kind::Act { marker: marker.to_owned(), agent };
        self.insist(&kind, &request);
    }

    /// Without a key, a caller must not send a request again.
    fn act_once(&mut self, marker: &str) {
        let agent = self.agent();
        let body = json!({"agent_id": agent, "action": "rest", "payload": {"marker": marker}});
        self.send(Kind::Bare { marker: marker.to_owned(), agent }, &Request::post("/act", &body));
    }

    fn chat(&mut self, marker: &str) {
        let said = format!("Say that all is fine, {marker}");
        let body = json!({"messages": [{"role": "user", "content": said}], "max_tokens": 10});
        let request = Request { once: Some(marker), ..Request::post("/llm/chat", &body) };
        self.insist(&Kind::Chat { marker: marker.to_owned() }, &request);
    }

    /// Queued, and run by any instance.
    fn turn(&mut self, marker: &str) {
        let body = json!({"agent_id": "talker", "input": marker});
        let request = Request { once: Some(marker), queued: true, ..Request::post("/turn", &body) };
        self.insist(&Kind::Turn { marker: marker.to_owned() }, &request);
    }

    fn read(&mut self) {
        let agent = self.agent();
        let path = format!("/state?agent_id={agent}");
        self.send(Kind::Read { agent }, &Request::get(&path));
    }

    /// On at one instance, off at another.
    fn switch(&mut self) {
        for on in [true, false] {
            let body = json!({"on": on, "reason": "a storm"});
            while !self.send(Kind::Switch, &Request::post("/kill-switch", &body)).is_answered() {
                std::thread::sleep(Duration::from_millis(50));
            }
            std::thread::sleep(Duration::from_millis(10 + self.rng.next() % 60));
        }
    }

    /// A request that waits for a person: decided at one instance, and used at several at the same time, again and
    /// again until it has passed.
    fn approve(&mut self, marker: &str) {
        let world = self.world;
        let body =
            json!({"agent_id": "deployer", "action": "deploy", "payload": {"marker": marker}});
        let asked = Request::post("/act", &body).send(world.any(&mut self.rng));
        let Ok(asked) = asked else { return };
        let Some(id) = asked.body["error"]["details"]["approval_id"].as_u64() else { return };
        let (path, decision) =
            (format!("/approvals/{id}/decision"), json!({"decision": "approve"}));
        let decide = Request { key: REVIEWER, ..Request::post(&path, &decision) };
        if !decide.send(world.any(&mut self.rng)).is_ok_and(|answer| answer.status == 200) {
            return;
        }
        for _ in 0..3 {
            let addresses = [(); 3].map(|()| world.any(&mut self.rng));
            let body = &body;
            let used = std::thread::scope(|scope| {
                let uses = addresses.map(|addr| {
                    scope.spawn(move || {
                        let sent = Instant::now();
                        let answer = Request::post("/act", body).send(addr).ok();
                        Call::new(Kind::Approved { marker: marker.to_owned() }, sent, answer)
                    })
                });
                uses.map(|one| one.join().ok())
            });
            let is_used = used.iter().flatten().any(Call::is_answered);
            self.calls.extend(used.into_iter().flatten());
            if is_used {
                return;
            }
        }
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
