//! The OPA gate: `data.agent.allow`, answered by an embedded engine or by a server; only a clear `true`
//! passes.
//!
//! Modules are compiled once for each policy in force, into a program that many requests share. A
//! request is bounded in instructions, time and memory, and a bound that is reached denies.

use std::num::{NonZeroU32, NonZeroU64};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use life_agent_domain::governance::command::{Command, Kind, Subject};
use life_agent_domain::governance::fault::Fault;
use life_agent_domain::governance::gate::{Gate, GateInputs, OpaAnswer, Reason, Refusal, Verdict};
use life_agent_domain::governance::size::json_size;
use regorus::languages::rego::compiler::Compiler;
use regorus::rvm::RegoVM;
use regorus::rvm::program::Program;
use regorus::utils::limits::ExecutionTimerConfig;
use regorus::{MemoryBudgetConfig, Value};
use serde_json::json;

use crate::tool::ToolView;

/// The rule that decides.
const ENTRY_POINT: &str = "data.agent.allow";
/// Instructions of the virtual machine for a request of ordinary size; about 8 ms.
const MAX_INSTRUCTIONS: usize = 100_000;
/// Instructions for a request of any size.
const MIN_INSTRUCTIONS: usize = 10_000;
/// Bytes of input times instructions. One instruction may read the whole input, so a large input gets fewer
/// of them.
const MAX_WORK: usize = 2_000_000_000;
/// A backstop two hundred times above the bound by instructions. A decision must not depend on the load of
/// the machine, so the clock ends only what the instructions do not bound.
const MAX_TIME: Duration = Duration::from_secs(2);
/// Memory for one request, in bytes.
const MAX_MEMORY: u64 = 16 * 1024 * 1024;
/// Instructions between two looks at the clock.
const CLOCK_EVERY: u32 = 64;
/// Idle virtual machines that are kept for the next request.
const MAX_IDLE: usize = 16;

/// Builtins that a module may not use. One call of the first group takes any amount of memory before
/// a bound is looked at; those of the second make a decision depend on more than the request.
const REFUSED: &[(&str, &str)] = &[
    ("numbers.range", "can take any amount of memory in one call"),
    ("numbers.range_step", "can take any amount of memory in one call"),
    ("net.cidr_expand", "can take any amount of memory in one call"),
    ("bits.lsh", "can take any amount of memory in one call"),
    ("http.send", "reaches out of the gate"),
    ("opa.runtime", "shows the environment"),
    ("rand.intn", "gives another answer each time"),
    ("test.sleep", "waits"),
    ("time.now_ns", "gives another answer each time"),
    ("uuid.rfc4122", "gives another answer each time"),
];

/// A Rego module as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    /// The name of its file, which faults show.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// Compiled modules.
pub struct OpaPolicy {
    program: Arc<Program>,
    idle: Mutex<Vec<RegoVM>>,
}

impl OpaPolicy {
    /// Compiles modules that together define `data.agent.allow`. Every module is looked at; the path
    /// of a fault is `opa.<module>`.
    pub fn compile(modules: &[Module]) -> Result<Self, Vec<Fault>> {
        let mut engine = regorus::Engine::new();
        engine.set_strict_builtin_errors(false);
        let mut faults = Vec::new();
        for module in modules {
            if let Err(error) = add(&mut engine, module) {
                faults.push(Fault::new(format!("opa.{}", module.name), error));
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let fault = |message: String| vec![Fault::new("opa", message)];
        let compiled = engine.compile_with_entrypoint(&ENTRY_POINT.into()).map_err(|error| {
            let error = one_line(&error.to_string());
            fault(format!("no module gives `{ENTRY_POINT}` a value: {error}"))
        })?;
        let program = Compiler::compile_from_policy(&compiled, &[ENTRY_POINT])
            .map_err(|error| fault(one_line(&error.to_string())))?;
        let used =
            |name: &str| program.builtin_info_table.iter().any(|builtin| builtin.name == name);
        let refused: Vec<_> = REFUSED
            .iter()
            .filter(|(name, _)| used(name))
            .map(|(name, why)| {
                Fault::new("opa", format!("`{name}` is not available here: it {why}"))
            })
            .collect();
        if refused.is_empty() { Ok(Self { program, idle: Mutex::default() }) } else { Err(refused) }
    }

    /// Whether the modules say a clear `true` to this input.
    pub fn decide(&self, input: serde_json::Value) -> OpaAnswer {
        let taken = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut vm = match taken.map_or_else(|| self.machine(), Ok) {
            Ok(vm) => vm,
            Err(why) => return deny(&why),
        };
        let size = json_size(&input).max(1);
        vm.set_max_instructions((MAX_WORK / size).clamp(MIN_INSTRUCTIONS, MAX_INSTRUCTIONS));
        vm.set_input(Value::from(input));
        match vm.execute_entry_point_by_name(ENTRY_POINT) {
            Ok(value) => {
                let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
                if idle.len() < MAX_IDLE {
                    idle.push(vm);
                }
                match value {
                    Value::Bool(true) => OpaAnswer::Allow,
                    Value::Bool(false) => deny("the policy says no"),
                    Value::Undefined => deny("the policy gives no answer"),
                    _ => deny("the policy's answer is neither true nor false"),
                }
            }
            // A machine that failed is not used again.
            Err(error) => deny(&format!(
                "the policy could not be evaluated: {}",
                one_line(&error.to_string())
            )),
        }
    }

    fn machine(&self) -> Result<RegoVM, String> {
        let mut vm = RegoVM::new();
        vm.load_program(Arc::clone(&self.program));
        vm.set_data(Value::new_object()).map_err(|error| one_line(&error.to_string()))?;
        vm.set_execution_timer_config(
            NonZeroU32::new(CLOCK_EVERY)
                .map(|check_interval| ExecutionTimerConfig { limit: MAX_TIME, check_interval }),
        );
        vm.set_memory_budget_config(
            NonZeroU64::new(MAX_MEMORY).map(|limit| MemoryBudgetConfig { limit }),
        );
        Ok(vm)
    }
}

/// Adds a module, as Rego v1 if it is that and else as Rego v0. The error is that of v1, the present
/// language, unless the module says by an import which one it is written in.
fn add(engine: &mut regorus::Engine, module: &Module) -> Result<(), String> {
    let text = module.text.strip_prefix('\u{feff}').unwrap_or(&module.text);
    let mut read = |v0: bool| {
        engine.set_rego_v0(v0);
        let added = engine.add_policy(module.name.clone(), text.to_owned());
        engine.set_rego_v0(false);
        added.map(drop).map_err(|error| one_line(&error.to_string()))
    };
    read(false).or_else(|v1| read(true).map_err(|_| v1))
}

fn deny(why: &str) -> OpaAnswer {
    OpaAnswer::Deny { why: why.to_owned() }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Who answers for the OPA gate.
#[derive(Clone)]
pub enum Opa {
    /// Compiled modules.
    Embedded(Arc<OpaPolicy>),
    /// A server, asked before the chain runs; its answer is [`GateInputs::opa`].
    Remote,
    /// Modules that do not compile: everything is denied until they do.
    Broken,
}

/// The gate.
pub(crate) struct OpaGate {
    pub(crate) opa: Opa,
    pub(crate) policy_hash: String,
}

impl Gate for OpaGate {
    fn name(&self) -> &'static str {
        "opa"
    }

    fn check(&self, subject: &Subject<'_>, facts: &GateInputs) -> Verdict {
        let answer = match &self.opa {
            Opa::Embedded(policy) => policy.decide(input(subject, facts, &self.policy_hash)),
            Opa::Remote => {
                facts.opa.clone().unwrap_or_else(|| deny("the policy server was not asked"))
            }
            Opa::Broken => deny("its modules do not compile; see the service's log"),
        };
        match answer {
            OpaAnswer::Allow => Verdict::pass(),
            OpaAnswer::Deny { why } => Verdict::refuse(refusal(subject.command.kind(), &why)),
        }
    }
}

/// The refusal of a request that the policy engine did not allow.
pub fn refusal(kind: Kind, why: &str) -> Refusal {
    Refusal {
        rule: Some(ENTRY_POINT.to_owned()),
        ..Refusal::new(
            Reason::OpaDeny,
            format!(
                "the OPA gate did not allow this {}: {why}; ask the maintainer of its modules",
                kind.as_str()
            ),
        )
    }
}

/// The input of the modules: `{kind, principal, agent_id, intent, context, targets, action, input, payload,
/// findings, policy_hash}`, each null where the kind of request has none. `findings` are those of the gates
/// before. A tool call adds `{tool, server, session_id, cwd, arguments, commands, fields}`: its parsed
/// commands, and the meaning of its fields by JSON pointer.
pub fn input(subject: &Subject<'_>, facts: &GateInputs, policy_hash: &str) -> serde_json::Value {
    let command = subject.command;
    let mut input = json!({
        "kind": command.kind().as_str(),
        "principal": subject.principal.as_str(),
        "agent_id": command.agent().map(|agent| agent.as_str()),
        "intent": null,
        "context": null,
        "targets": command.targets(),
        "action": null,
        "input": null,
        "payload": null,
        "findings": subject.trace.findings,
        "policy_hash": policy_hash,
    });
    match command {
        Command::Act(act) => {
            input["action"] = json!(act.action.as_str());
            input["payload"] = json!(act.payload.as_object());
        }
        Command::Turn(turn) => {
            input["input"] = json!(turn.input);
            input["intent"] = json!(facts.intent);
        }
        Command::Plan(plan) => {
            input["intent"] = json!(plan.intent);
            input["context"] = json!(plan.context);
        }
        Command::Chat(chat) => {
            let said: Vec<_> =
                chat.messages.iter().map(|message| message.content.as_str()).collect();
            input["input"] = json!(said.join("\n"));
        }
        Command::Tool(tool) => {
            input["tool"] = json!(tool.tool);
            input["server"] = json!(tool.server);
            input["session_id"] = json!(tool.session_id);
            input["cwd"] = json!(tool.cwd);
            input["arguments"] = json!(tool.arguments.as_object());
            if let Some(view) = subject.computed::<ToolView>() {
                input["commands"] = json!(view.commands);
                let meanings = view.meanings.iter();
                let meanings = meanings.map(|(pointer, meaning)| (pointer.clone(), json!(meaning)));
                input["fields"] = serde_json::Value::Object(meanings.collect());
            }
        }
    }
    input
}

#[cfg(test)]
mod tests;
