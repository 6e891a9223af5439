//! The embedded policy engine on threads of its own, which are abandoned when they take too long.
//!
//! Instructions, memory and the builtins that a module may call are bounded. What these bounds do not cover must
//! neither hold up a worker of the server nor a reload.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::time::Duration;

use life_agent_domain::governance::fault::Fault;
use life_agent_domain::governance::gate::OpaAnswer;
use life_agent_gates::opa::{Decide, Module, OpaPolicy};
use parking_lot::Mutex;
use serde_json::Value;

/// How long a decision may take. The engine's own bound is 2 s.
const DECIDE: Duration = Duration::from_secs(3);
/// How long modules may take to load.
const LOAD: Duration = Duration::from_secs(10);
/// Threads that may be abandoned at a time. Beyond them everything is denied until one ends.
const MAX_ABANDONED: usize = 8;
/// Idle threads that are kept.
const MAX_IDLE: usize = 16;
/// Room for the compiler, which recurses with the nesting of a module.
const STACK: usize = 8 << 20;

/// Abandoned threads that still run.
static ABANDONED: AtomicUsize = AtomicUsize::new(0);

/// Compiled modules whose decisions can be abandoned.
pub(crate) struct Watched {
    policy: Arc<OpaPolicy>,
    idle: Mutex<Vec<Sender<Job>>>,
}

struct Job {
    input: Value,
    reply: SyncSender<OpaAnswer>,
}

/// Compiles modules; a fault if that takes too long.
pub(crate) fn load(modules: &[Module]) -> Result<Watched, Vec<Fault>> {
    let fault = |message: &str| vec![Fault::new("opa", message)];
    if ABANDONED.load(Ordering::SeqCst) >= MAX_ABANDONED {
        return Err(fault(
            "other modules that took too long are still being loaded; try again later",
        ));
    }
    let (reply, compiled) = sync_channel(1);
    let modules = modules.to_vec();
    let thread = std::thread::Builder::new().name("rego-load".to_owned()).stack_size(STACK);
    let started = thread.spawn(move || {
        let compiled = OpaPolicy::compile(&modules);
        if reply.send(compiled).is_err() {
            ABANDONED.fetch_sub(1, Ordering::SeqCst);
        }
    });
    if started.is_err() {
        return Err(fault("no thread could be started to load the modules"));
    }
    match compiled.recv_timeout(LOAD) {
        Ok(compiled) => Ok(Watched { policy: Arc::new(compiled?), idle: Mutex::default() }),
        Err(RecvTimeoutError::Timeout) => {
            ABANDONED.fetch_add(1, Ordering::SeqCst);
            Err(fault("the modules take longer than 10 s to load; simplify them"))
        }
        Err(RecvTimeoutError::Disconnected) => {
            Err(fault("the modules cannot be loaded: the compiler broke off"))
        }
    }
}

impl Decide for Watched {
    fn decide(&self, input: Value) -> OpaAnswer {
        let deny = |why: &str| OpaAnswer::Deny { why: why.to_owned() };
        if ABANDONED.load(Ordering::SeqCst) >= MAX_ABANDONED {
            return deny("too many evaluations that took too long are still running");
        }
        let idle = self.idle.lock().pop();
        let Some(worker) = idle.or_else(|| self.start()) else {
            return deny("no thread could be started to evaluate the policy");
        };
        let (reply, answer) = sync_channel(1);
        if worker.send(Job { input, reply }).is_err() {
            return deny("the policy could not be evaluated");
        }
        match answer.recv_timeout(DECIDE) {
            Ok(answer) => {
                let mut idle = self.idle.lock();
                if idle.len() < MAX_IDLE {
                    idle.push(worker);
                }
                answer
            }
            Err(RecvTimeoutError::Timeout) => {
                ABANDONED.fetch_add(1, Ordering::SeqCst);
                tracing::error!("an evaluation of the OPA modules takes too long and is abandoned");
                deny("the policy could not be evaluated in time")
            }
            Err(RecvTimeoutError::Disconnected) => deny("the policy could not be evaluated"),
        }
    }
}

impl Watched {
    fn start(&self) -> Option<Sender<Job>> {
        let (jobs, queue) = channel::<Job>();
        let policy = Arc::clone(&self.policy);
        let thread = std::thread::Builder::new().name("rego".to_owned()).stack_size(STACK);
        let started = thread.spawn(move || {
            while let Ok(Job { input, reply }) = queue.recv() {
                if reply.send(policy.decide(input)).is_err() {
                    ABANDONED.fetch_sub(1, Ordering::SeqCst);
                    return;
                }
            }
        });
        started.ok().map(|_| jobs)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn decisions_come_from_threads_that_are_used_again() {
        let text = "package agent\nimport rego.v1\nallow if input.n > 5".to_owned();
        let policy = load(&[Module { name: "a.rego".to_owned(), text }]).ok().unwrap();
        for n in [7, 3, 9] {
            assert_eq!(policy.decide(json!({"n": n})) == OpaAnswer::Allow, n > 5, "{n}");
        }
        assert_eq!(policy.idle.lock().len(), 1);
        assert!(load(&[]).is_err());
    }
}
