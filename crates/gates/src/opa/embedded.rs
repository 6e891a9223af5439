//! The embedded policy engine: modules compile once per policy into a program that all requests share.
//!
//! Each request is bounded in instructions, time and memory. A request that reaches a bound is denied.

use std::num::{NonZeroU32, NonZeroU64};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use life_agent_domain::governance::fault::Fault;
use life_agent_domain::governance::gate::OpaAnswer;
use life_agent_domain::governance::size::json_size;
use regorus::languages::rego::compiler::Compiler;
use regorus::rvm::RegoVM;
use regorus::rvm::program::Program;
use regorus::utils::limits::ExecutionTimerConfig;
use regorus::{MemoryBudgetConfig, Value};

use super::{ENTRY_POINT, Module, bounds, deny};

/// Instructions of the virtual machine for a request of ordinary size; about 8 ms.
const MAX_INSTRUCTIONS: usize = 100_000;
/// Instructions for a request of any size.
const MIN_INSTRUCTIONS: usize = 10_000;
/// Bytes of input times instructions. One instruction may read the whole input, so a large input gets fewer
/// of them.
const MAX_WORK: usize = 2_000_000_000;
/// A backstop two hundred times above the bound by instructions. A decision must not depend on the machine's load,
/// so the clock ends only evaluations that the instruction count does not bound.
const MAX_TIME: Duration = Duration::from_secs(2);
/// Memory for one request, in bytes.
const MAX_MEMORY: u64 = 16 * 1024 * 1024;
/// Instructions between two looks at the clock.
const CLOCK_EVERY: u32 = 64;
/// Idle virtual machines that are kept for the next request.
const MAX_IDLE: usize = 16;

/// Compiled modules.
pub struct OpaPolicy {
    program: Arc<Program>,
    idle: Mutex<Vec<RegoVM>>,
}

impl OpaPolicy {
    /// Compiles modules that together define `data.agent.allow`.
    ///
    /// # Errors
    /// The faults of all modules; the path of a fault is `opa.<module>`.
    pub fn compile(modules: &[Module]) -> Result<Self, Vec<Fault>> {
        let mut engine = regorus::Engine::new();
        engine.set_strict_builtin_errors(false);
        let mut faults = Vec::new();
        for module in modules {
            let added = match bounds::of_text(&module.text) {
                None => add(&mut engine, module),
                Some(fault) => Err(fault),
            };
            if let Err(error) = added {
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
        match bounds::of_program(&program) {
            faults if faults.is_empty() => Ok(Self { program, idle: Mutex::default() }),
            faults => Err(faults),
        }
    }

    /// Evaluates an input. Only a clear `true` allows the request; a panic of the evaluation denies it.
    pub fn decide(&self, input: serde_json::Value) -> OpaAnswer {
        let decided = catch_unwind(AssertUnwindSafe(|| self.evaluate(input)));
        decided.unwrap_or_else(|_| deny("the evaluation of the policy panicked"))
    }

    fn evaluate(&self, input: serde_json::Value) -> OpaAnswer {
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

/// Adds a module as Rego v1 or, if that fails, as Rego v0. Returns the error of v1, the current language.
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

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
