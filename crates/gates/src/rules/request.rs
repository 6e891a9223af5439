//! The parts of a request that rules match.

use life_agent_domain::governance::command::{Command, Field, Kind, Subject};
use life_agent_domain::governance::gate::GateInputs;
use life_agent_policy::bounded::BoundedRegex;
use life_agent_policy::globs;
use life_agent_policy::snapshot::{CompiledRule, Snapshot};
use serde_json::Value;

use crate::paths;
use crate::tool::{Matcher, ToolView};

/// A request as rules see it.
pub(crate) struct Request<'a> {
    /// The call by the meaning of its fields, where the request is one.
    view: Option<&'a ToolView>,
    command: Command<'a>,
    principal: &'a str,
    intent: Option<&'a str>,
    targets: Vec<String>,
    inputs: Vec<(Field, &'a str)>,
}

impl<'a> Request<'a> {
    pub(crate) fn of(subject: &'a Subject<'a>, facts: &'a GateInputs, snapshot: &Snapshot) -> Self {
        let is_input = |field: &Field| {
            matches!(
                field,
                Field::Input
                    | Field::Context
                    | Field::Message(_)
                    | Field::Payload(_)
                    | Field::Argument(_)
            )
        };
        let command = subject.command;
        let target = |raw: &String| {
            let path = paths::normalize(raw).unwrap_or_else(|_| raw.clone());
            globs::canonical(&path).into_owned()
        };
        Self {
            view: ToolView::shared(subject, snapshot),
            command,
            principal: subject.principal.as_str(),
            intent: match command {
                Command::Plan(plan) => Some(&plan.intent),
                Command::Turn(_) => facts.intent.as_deref(),
                Command::Act(_) | Command::Chat(_) | Command::Tool(_) => None,
            },
            targets: command.targets().iter().map(target).collect(),
            inputs: command.texts().into_iter().filter(|(field, _)| is_input(field)).collect(),
        }
    }

    /// Whether the rule is about the request.
    pub(crate) fn matches(&self, rule: &CompiledRule, commands: &[Matcher]) -> bool {
        let one = |list: &[BoundedRegex], text: Option<&str>| {
            list.is_empty() || text.is_some_and(|text| any(list, text))
        };
        let action = match self.command {
            Command::Act(act) => Some(act.action.as_str()),
            _ => None,
        };
        (rule.kinds.is_empty() || rule.kinds.contains(&self.command.kind()))
            && self.names_match(rule)
            && one(&rule.intents, self.intent)
            && one(&rule.actions, action)
            && (rule.targets.is_empty()
                || self.targets.iter().any(|path| rule.targets.is_match(path)))
            && self.texts_match(rule)
            && (commands.is_empty() || self.some_invocation(rule, commands))
    }

    /// Whether one of the commands, in the rule's `fields` if it names some, has such an invocation.
    fn some_invocation(&self, rule: &CompiledRule, commands: &[Matcher]) -> bool {
        let in_fields = |pointer: &str| {
            rule.fields.is_empty() || rule.fields.iter().any(|own| own.covers(pointer))
        };
        let fields = self.view.iter().flat_map(|view| &view.commands);
        let parts = fields
            .filter(|field| in_fields(&field.pointer))
            .flat_map(|field| &field.assessment.parts);
        parts.into_iter().any(|part| commands.iter().any(|own| own.matches(part)))
    }

    fn names_match(&self, rule: &CompiledRule) -> bool {
        let (tool, server) = match self.command {
            Command::Tool(tool) => (Some(tool.tool.as_str()), tool.server_name()),
            _ => (None, None),
        };
        let agent = self.command.agent().map(|agent| agent.as_str());
        [
            (&rule.principals, Some(self.principal)),
            (&rule.agents, agent),
            (&rule.tools, tool),
            (&rule.servers, server),
        ]
        .into_iter()
        .all(|(globs, name)| globs.is_empty() || name.is_some_and(|name| globs.is_match(name)))
    }

    fn texts_match(&self, rule: &CompiledRule) -> bool {
        if rule.fields.is_empty() {
            return rule.inputs.is_empty()
                || self.inputs.iter().any(|(_, text)| any(&rule.inputs, text));
        }
        self.in_fields(rule).any(|(_, value)| {
            rule.inputs.is_empty() || some_text(value, &|text| any(&rule.inputs, text))
        })
    }

    /// The values that the rule's `fields` lead to, with their pointers.
    fn in_fields(&self, rule: &CompiledRule) -> impl Iterator<Item = (String, &'a Value)> {
        let object = match self.command {
            Command::Act(act) => Some(act.payload.as_object()),
            Command::Tool(tool) => Some(tool.arguments.as_object()),
            _ => None,
        };
        rule.fields.iter().flat_map(move |pointer| {
            object.map(|object| pointer.resolve(object)).unwrap_or_default()
        })
    }

    /// The field that a finding of the rule points to, and the length of its text in characters.
    pub(crate) fn hit(&self, rule: &CompiledRule) -> Option<(String, usize)> {
        if let Some((pointer, value)) = self.in_fields(rule).find(|(_, value)| {
            rule.inputs.is_empty() || some_text(value, &|text| any(&rule.inputs, text))
        }) {
            let root = if self.command.kind() == Kind::Act { "payload" } else { "arguments" };
            let length = value.as_str().map_or(0, |text| text.chars().count());
            return Some((format!("{root}{pointer}"), length));
        }
        let is_hit = |(_, text): &&(Field, &str)| any(&rule.inputs, text);
        let hit = self.inputs.iter().find(is_hit).or(self.inputs.first());
        hit.map(|(field, text)| (self.command.field_name(*field), text.chars().count()))
    }
}

/// Whether some text in the value, itself included, is accepted.
fn some_text(value: &Value, accept: &dyn Fn(&str) -> bool) -> bool {
    match value {
        Value::String(text) => accept(text),
        Value::Array(items) => items.iter().any(|item| some_text(item, accept)),
        Value::Object(map) => map.values().any(|item| some_text(item, accept)),
        _ => false,
    }
}

fn any(list: &[BoundedRegex], text: &str) -> bool {
    list.iter().any(|regex| regex.is_found(text))
}
