//! The tool calls of a response, judged like calls of `/tool` before the client receives them.

use std::collections::{BTreeMap, HashSet};

use life_agent_domain::governance::command::{Label, Tool};
use life_agent_domain::governance::gate::{Denial, GateNotes, Reason};
use life_agent_domain::governance::ids::AgentId;
use life_agent_domain::governance::payload::Arguments;
use life_agent_domain::governance::redaction::Redact;
use life_agent_groq::Usage;
use life_agent_policy::llm::JudgeToolCalls;
use serde_json::{Map, Value, json};

use super::call::Call;
use super::service::ProxyService;
use crate::error::EngineError;
use crate::govern::Metered;

/// Most calls of one response. A response with more is refused where calls are judged.
const MAX_CALLS: usize = 256;

/// Items of OpenAI's Responses API that the client carries out.
const CLIENT_ITEMS: [&str; 6] = [
    "function_call",
    "custom_tool_call",
    "local_shell_call",
    "shell_call",
    "apply_patch_call",
    "computer_call",
];

/// A tool call as the model wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct ToolCall {
    name: String,
    arguments: String,
}

/// The calls of one response, whole or in events.
#[derive(Default)]
pub(super) struct ToolCalls {
    arriving: BTreeMap<String, Arriving>,
    complete: Vec<ToolCall>,
    /// The final events of a stream repeat its calls.
    seen: HashSet<ToolCall>,
}

/// A call in pieces.
#[derive(Default)]
struct Arriving {
    /// Clients differ in what a repeated name means: it replaces the first, is added to it, or is ignored.
    names: Vec<String>,
    arguments: String,
}

impl ToolCalls {
    /// Reads a whole response.
    pub(super) fn of(response: &Value) -> Self {
        let mut calls = Self::default();
        for (n, choice) in list(response, "choices").iter().enumerate() {
            calls.openai(n, choice.get("message").unwrap_or(&Value::Null));
        }
        list(response, "content").iter().for_each(|block| calls.block(block));
        list(response, "output").iter().for_each(|item| calls.item(item));
        calls.finish();
        calls
    }

    /// Reads one event of a stream.
    pub(super) fn push(&mut self, event: &Value) {
        let kind = event.get("type").and_then(Value::as_str).unwrap_or_default();
        let index = || event.get("index").and_then(Value::as_u64).unwrap_or_default();
        for (n, choice) in list(event, "choices").iter().enumerate() {
            let n = choice.get("index").and_then(Value::as_u64).map_or(n, |index| index as usize);
            self.openai(n, choice.get("delta").unwrap_or(&Value::Null));
            if choice.get("finish_reason").is_some_and(Value::is_string) {
                self.finish();
            }
        }
        match kind {
            "content_block_start" => {
                let block = event.get("content_block").unwrap_or(&Value::Null);
                if is_tool_use(block) {
                    let arriving = self.arriving.entry(format!("block {}", index())).or_default();
                    arriving.named(block.get("name"));
                    // A block may come with its whole input.
                    if block.get("input").and_then(Value::as_object).is_some_and(|i| !i.is_empty())
                    {
                        self.block(block);
                    }
                }
            }
            "content_block_delta" => {
                let piece = event.pointer("/delta/partial_json").and_then(Value::as_str);
                if let (Some(piece), Some(arriving)) =
                    (piece, self.arriving.get_mut(&format!("block {}", index())))
                {
                    arriving.arguments.push_str(piece);
                }
            }
            "content_block_stop" => {
                if let Some(arriving) = self.arriving.remove(&format!("block {}", index())) {
                    self.completed(arriving);
                }
            }
            "response.output_item.done" => self.item(event.get("item").unwrap_or(&Value::Null)),
            "response.completed" | "response.incomplete" => {
                let response = event.get("response").unwrap_or(&Value::Null);
                list(response, "output").iter().for_each(|item| self.item(item));
            }
            _ => {}
        }
    }

    /// Completes all calls: nothing more arrives.
    pub(super) fn finish(&mut self) {
        for (_, arriving) in std::mem::take(&mut self.arriving) {
            self.completed(arriving);
        }
    }

    /// The calls that were completed since the last time.
    pub(super) fn take(&mut self) -> Vec<ToolCall> {
        std::mem::take(&mut self.complete)
    }

    /// The calls in a message or delta of chat completions.
    fn openai(&mut self, choice: usize, message: &Value) {
        for (n, call) in list(message, "tool_calls").iter().enumerate() {
            let n = call.get("index").and_then(Value::as_u64).unwrap_or(n as u64);
            let function = call.get("function").or_else(|| call.get("custom")).unwrap_or(call);
            self.function(format!("choice {choice} {n}"), function);
        }
        if let Some(function) = message.get("function_call").filter(|call| call.is_object()) {
            self.function(format!("choice {choice}"), function);
        }
    }

    fn function(&mut self, place: String, function: &Value) {
        let arriving = self.arriving.entry(place).or_default();
        arriving.named(function.get("name"));
        for field in ["arguments", "input"] {
            match function.get(field) {
                Some(Value::String(piece)) => arriving.arguments.push_str(piece),
                Some(Value::Null) | None => {}
                Some(value) => arriving.arguments.push_str(&value.to_string()),
            }
        }
    }

    /// A content block of Anthropic's API.
    fn block(&mut self, block: &Value) {
        if is_tool_use(block) {
            let mut arriving = Arriving::default();
            arriving.named(block.get("name"));
            arriving.arguments = block.get("input").map(Value::to_string).unwrap_or_default();
            self.completed(arriving);
        }
    }

    /// An output item of OpenAI's Responses API.
    fn item(&mut self, item: &Value) {
        let kind = item.get("type").and_then(Value::as_str).unwrap_or_default();
        if !CLIENT_ITEMS.contains(&kind) {
            return;
        }
        let mut arriving = Arriving::default();
        arriving.named(item.get("name"));
        if arriving.names.is_empty() {
            arriving.names.push(kind.trim_end_matches("_call").to_owned());
        }
        let fields = ["arguments", "input", "action", "operation"];
        let arguments = fields.iter().find_map(|name| item.get(*name)).unwrap_or(item);
        arriving.arguments =
            arguments.as_str().map_or_else(|| arguments.to_string(), str::to_owned);
        self.completed(arriving);
    }

    fn completed(&mut self, arriving: Arriving) {
        let Arriving { names, arguments } = arriving;
        let joined = names.concat();
        let mut variants: Vec<_> = names.into_iter().chain([joined]).collect();
        variants.dedup();
        for name in variants {
            let call = ToolCall { name, arguments: arguments.clone() };
            if self.seen.insert(call.clone()) {
                self.complete.push(call);
            }
        }
    }
}

impl Arriving {
    fn named(&mut self, name: Option<&Value>) {
        let name = name.and_then(Value::as_str).filter(|name| !name.is_empty());
        if let Some(name) = name.filter(|name| !self.names.iter().any(|known| known == name)) {
            self.names.push(name.to_owned());
        }
    }
}

fn list<'v>(value: &'v Value, name: &str) -> &'v [Value] {
    value.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Whether the client carries the block out. `server_tool_use` runs at the provider.
fn is_tool_use(block: &Value) -> bool {
    block.get("type").is_some_and(|kind| kind == "tool_use")
}

impl ToolCall {
    /// The call as a command. A call that cannot be one cannot be judged.
    fn command(&self, agent: AgentId) -> Option<Tool> {
        Some(Tool {
            agent,
            tool: Label::new(self.name.as_str()).ok()?,
            server: None,
            arguments: Arguments::try_from(self.fields()?).ok()?,
            session_id: None,
            call_id: None,
            cwd: None,
        })
    }

    /// The arguments; none if they are JSON that is broken off or no object. A text that is no JSON is the input of
    /// a free-form tool.
    fn fields(&self) -> Option<Map<String, Value>> {
        let text = self.arguments.trim();
        if text.is_empty() {
            return Some(Map::new());
        }
        match serde_json::from_str(text) {
            Ok(Value::Object(fields)) => Some(fields),
            Ok(_) => None,
            Err(_) if text.starts_with(['{', '[']) => None,
            Err(_) => json!({"input": text}).as_object().cloned(),
        }
    }
}

impl Call {
    /// Whether the policy wants the calls of responses to be judged.
    pub(super) fn judges_calls(&self) -> bool {
        self.policy.snapshot.policy.llm.judge_tool_calls != JudgeToolCalls::Off
    }

    /// Judges the calls that were completed since the last time. With `llm.judge_tool_calls: deny`, the first refused
    /// call refuses the response and is recorded together with the model and the usage in `used`; with `observe`,
    /// refusals are added to `observed`.
    pub(super) async fn judge_calls(
        &self,
        service: &ProxyService,
        calls: &mut ToolCalls,
        observed: &mut Observed,
        used: (&str, Option<Usage>),
    ) -> Result<(), EngineError> {
        let calls = calls.take();
        // Most frames of a stream complete no call.
        if calls.is_empty() {
            return Ok(());
        }
        let mode = self.policy.snapshot.policy.llm.judge_tool_calls;
        // Calls of a model have no agent of their own; rules can match the caller's name.
        let agent =
            AgentId::new(self.context.principal.as_str()).or_else(|_| AgentId::new("model"));
        let Ok(agent) = agent else { return Err(EngineError::Unavailable) };
        let key: &dyn Redact = self.upstream.key.as_ref();
        for call in calls {
            observed.judged += 1;
            let call = ToolCall {
                name: key.redact(&call.name).into_owned(),
                arguments: key.redact(&call.arguments).into_owned(),
            };
            let command = call.command(agent.clone()).filter(|_| observed.judged <= MAX_CALLS);
            let Some(tool) = command else {
                observed.unreadable += 1;
                if mode == JudgeToolCalls::Deny {
                    return Err(EngineError::LlmFailed {
                        message: "the model sent a tool call that cannot be read".to_owned(),
                    });
                }
                continue;
            };
            let judged = service.governor.judge(&self.context, &self.policy, tool, Metered::No);
            let Err(mut denial) = judged.await? else { continue };
            if mode == JudgeToolCalls::Observe && !denial.refusal.reason.is_transient() {
                observed.note(&denial);
                continue;
            }
            denial.refusal.message = format!(
                "the model's tool call was refused and is withheld: {}",
                denial.refusal.message
            );
            let spent = self.usage(used.0, used.1);
            let (context, policy) = (&self.context, &self.policy);
            return Err(service.governor.deny_response(context, policy, *denial, spent).await);
        }
        Ok(())
    }
}

/// Calls that would have been refused.
#[derive(Default)]
pub(super) struct Observed {
    judged: usize,
    unreadable: usize,
    rules: Vec<String>,
}

impl Observed {
    fn note(&mut self, denial: &Denial<Tool>) {
        let rule = denial.refusal.rule.as_deref().unwrap_or_else(|| denial.refusal.reason.as_str());
        let rule = format!("tool_call:{rule}");
        if !self.rules.contains(&rule) {
            self.rules.push(rule);
        }
    }

    /// Adds them to the notes of the response.
    pub(super) fn add_to(self, notes: &mut GateNotes) {
        let unreadable = (self.unreadable > 0).then(|| "tool_call:unreadable".to_owned());
        notes.would_deny.extend(self.rules.into_iter().chain(unreadable));
    }
}

/// Whether a refusal with this reason is a judgment of a text or call, which a response can explain.
pub(super) fn is_judgment(reason: Reason) -> bool {
    match reason {
        Reason::RiskPattern
        | Reason::PathForbidden
        | Reason::OpaDeny
        | Reason::RuleDeny
        | Reason::ToolDenied
        | Reason::ToolChanged
        | Reason::ApprovalRequired => true,
        Reason::RateLimited
        | Reason::BudgetExceeded
        | Reason::KillSwitch
        | Reason::Stopped
        | Reason::PlanLimit
        | Reason::GateUnavailable => false,
    }
}

#[cfg(test)]
mod tests;
