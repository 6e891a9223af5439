//! Compiles the sections about actions: `tools`, `commands`, and the related parts of rules.

use std::collections::BTreeMap;

use super::Compiler;
use crate::document::{ActionEffect, CommandPattern, CommandRule, Commands, Tool, Tools};
use crate::names::{MAX_NAME_GLOB, NameGlobs};
use crate::pointer::Pointer;
use crate::raw::commands::{RawCommandRule, RawCommands};
use crate::raw::{self, check_id};
use crate::snapshot::CompiledTool;

/// The maximum number of entries of `tools`, and of `commands.rules`.
const MAX_ENTRIES: usize = 256;
/// The maximum length of a list in an entry.
const MAX_ITEMS: usize = 64;
/// Longest program, argument or other text in a command pattern, in characters.
const MAX_WORD: usize = 256;
/// Longest description, in characters.
const MAX_DESCRIPTION: usize = 1000;

impl Compiler<'_> {
    pub(super) fn tools(&mut self, raw: raw::tools::Tools) -> (Tools, Vec<CompiledTool>) {
        let at = if raw.is_map { "tools.entries" } else { "tools" };
        self.at_most(at, raw.entries.len(), MAX_ENTRIES);
        let entries = raw.entries.into_iter().enumerate();
        let (entries, compiled) =
            entries.map(|(index, tool)| self.tool(&format!("{at}.{index}"), tool)).unzip();
        (Tools { entries, keep_results: raw.keep_results }, compiled)
    }

    fn tool(&mut self, path: &str, raw: raw::tools::Tool) -> (Tool, CompiledTool) {
        if raw.names.is_empty() {
            self.faults.add(format!("{path}.names"), "is missing: name at least one tool");
        }
        self.name_globs(&format!("{path}.names"), &raw.names);
        self.name_globs(&format!("{path}.servers"), &raw.servers);
        self.at_most(&format!("{path}.fields"), raw.fields.len(), MAX_ITEMS);
        let mut fields = Vec::new();
        for (pointer, meaning) in &raw.fields {
            let at = format!("{path}.fields.{pointer}");
            fields.extend(self.pointer(&at, pointer).map(|pointer| (pointer, *meaning)));
        }
        let raw::tools::Tool { names, servers, access, effect, .. } = raw;
        let compiled = CompiledTool {
            names: NameGlobs::case_insensitive(&names),
            servers: NameGlobs::case_insensitive(&servers),
            fields,
            access,
            effect,
        };
        let fields: BTreeMap<_, _> = raw.fields;
        (Tool { names, servers, fields, access, effect }, compiled)
    }

    pub(super) fn commands(&mut self, raw: RawCommands) -> Commands {
        self.at_most("commands.rules", raw.rules.len(), MAX_ENTRIES);
        let rules = raw.rules.into_iter().enumerate();
        let rules = rules
            .map(|(index, rule)| self.command_rule(&format!("commands.rules.{index}"), rule))
            .collect();
        let RawCommands { read, change, destroy, publish, exfiltrate, escalate, unparsed, .. } =
            raw;
        Commands { read, change, destroy, publish, exfiltrate, escalate, unparsed, rules }
    }

    fn command_rule(&mut self, path: &str, raw: RawCommandRule) -> CommandRule {
        if let Err(error) = check_id(&raw.id, &()) {
            self.faults.add(format!("{path}.id"), error.to_string());
        }
        let described = raw.description.as_deref().map_or(0, |text| text.chars().count());
        if described > MAX_DESCRIPTION {
            let message = format!("must be at most {MAX_DESCRIPTION} characters long");
            self.faults.add(format!("{path}.description"), message);
        }
        let pattern = raw.pattern();
        self.command_pattern(path, &pattern);
        if raw.effect.is_none() {
            self.faults.add(format!("{path}.effect"), "is missing");
        }
        let effect = raw.effect.unwrap_or(ActionEffect::Deny);
        let id = raw.id.is_some().then(|| self.id(path, raw.id));
        CommandRule { id, description: raw.description, pattern, effect }
    }

    /// The command patterns of a rule.
    pub(super) fn command_patterns(&mut self, path: &str, patterns: &[CommandPattern]) {
        for (index, pattern) in patterns.iter().enumerate() {
            self.command_pattern(&format!("{path}.{index}"), pattern);
        }
    }

    fn command_pattern(&mut self, path: &str, pattern: &CommandPattern) {
        if pattern.is_empty() {
            let message = "must have at least one of `program`, `subcommand`, `any`, `all`, \
                           `none`, `target`, `class`";
            self.faults.add(path, message);
        }
        let lists = [
            ("program", &pattern.program),
            ("subcommand", &pattern.subcommand),
            ("any", &pattern.any),
            ("all", &pattern.all),
            ("none", &pattern.none),
        ];
        for (name, list) in lists {
            let path = format!("{path}.{name}");
            self.at_most(&path, list.len(), MAX_ITEMS);
            for text in list {
                if text.trim().is_empty() || text.chars().count() > MAX_WORD {
                    let message = format!("must have 1 to {MAX_WORD} characters");
                    self.faults.add(path.as_str(), message);
                }
            }
        }
        let program = pattern.program.iter().find(|program| program.contains([' ', '/']));
        if let Some(program) = program {
            let message = format!(
                "`{program}` must be a program's name alone: arguments go into `subcommand`, `any` \
                 or `all`, and the folder is left out"
            );
            self.faults.add(format!("{path}.program"), message);
        }
    }

    /// Globs over names.
    pub(super) fn name_globs(&mut self, path: &str, globs: &[String]) {
        self.at_most(path, globs.len(), MAX_ITEMS);
        for (index, glob) in globs.iter().enumerate() {
            let chars = glob.chars().count();
            if chars == 0 || chars > MAX_NAME_GLOB {
                let message =
                    format!("must have 1 to {MAX_NAME_GLOB} characters, this has {chars}");
                self.faults.add(format!("{path}.{index}"), message);
            }
        }
    }

    /// The pointers of a rule.
    pub(super) fn pointers(&mut self, path: &str, texts: &[String]) -> Vec<Pointer> {
        let texts = texts.iter().enumerate();
        texts.filter_map(|(index, text)| self.pointer(&format!("{path}.{index}"), text)).collect()
    }

    fn pointer(&mut self, path: &str, text: &str) -> Option<Pointer> {
        Pointer::new(text).map_err(|error| self.faults.add(path, error.to_string())).ok()
    }

    fn at_most(&mut self, path: &str, count: usize, most: usize) {
        if count > most {
            self.faults.add(path, format!("must have at most {most} items, this has {count}"));
        }
    }
}

#[cfg(test)]
mod tests;
