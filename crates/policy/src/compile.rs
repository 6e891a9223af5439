//! From a raw policy to a snapshot: what no single value shows, and everything compiled.

use std::collections::HashMap;

use globset::{Glob, GlobSet};

use crate::bounded::BoundedRegex;
use crate::built_in;
use crate::document::{CustomPattern, KindEffects, Policy, Risk, Rule, RuleEffect, VERSION};
use crate::globs::{self, DenyGlobs};
use crate::names::NameGlobs;
use crate::raw;
use crate::reading::Faults;
use crate::snapshot::{CompiledPattern, CompiledRule, Snapshot, Workspace};

mod actions;
mod budgets;

/// Most regular expressions in a policy: compiling takes up to 10 ms each.
const MAX_EXPRESSIONS: usize = 128;

/// Bytes that the compiled expressions of a policy may take together.
const MAX_COMPILED: usize = 8 << 20;

/// Compiles a policy as far as it goes. What is faulty is reported and left out, so that the snapshot
/// is of use only when there are no faults.
pub(crate) fn compile(
    raw: raw::Policy,
    hash: String,
    workspace: &dyn Workspace,
    faults: &mut Faults,
) -> Snapshot {
    let mut compiler = Compiler { faults, ids: HashMap::new(), expressions: 0, compiled: 0 };
    let allowed_dirs = compiler.allowed_dirs(raw.allowed_dirs.unwrap_or_default(), workspace);
    let deny = compiler.globs("deny_globs", &raw.deny_globs);
    let (rules, compiled_rules) = compiler.rules(raw.rules);
    let (patterns, compiled_patterns) = compiler.patterns(raw.risk.patterns);
    compiler.patterns_off(&raw.risk.patterns_off, &patterns);
    let (tools, compiled_tools) = compiler.tools(raw.tools);
    let commands = compiler.commands(raw.commands);
    let (budgets, compiled_budgets) = compiler.budgets(raw.budgets);
    compiler.prices(&raw.prices);
    if compiler.expressions > MAX_EXPRESSIONS {
        let message = format!("must have at most {MAX_EXPRESSIONS} regular expressions in all");
        faults.add("", message);
    }
    let deny_globs = DenyGlobs::new(deny).unwrap_or_else(|error| {
        faults.add("deny_globs", error.to_string());
        DenyGlobs::default()
    });
    let policy = Policy {
        version: VERSION.to_owned(),
        allowed_dirs,
        deny_globs: raw.deny_globs,
        max_diff_lines: raw.max_diff_lines,
        llm: raw.llm,
        rules,
        risk: Risk {
            mode: raw.risk.mode,
            kinds: KindEffects::resolve(&raw.risk.categories, &raw.risk.kinds),
            categories: raw.risk.categories,
            patterns_off: raw.risk.patterns_off,
            patterns,
        },
        observer: raw.observer,
        plans: raw.plans,
        tools,
        commands,
        approvals: raw.approvals,
        mcp: raw.mcp,
        budgets,
        prices: raw.prices,
    };
    Snapshot {
        policy,
        hash,
        deny_globs,
        rules: compiled_rules,
        patterns: compiled_patterns,
        tools: compiled_tools,
        budgets: compiled_budgets,
    }
}

struct Compiler<'f> {
    faults: &'f mut Faults,
    /// Where each id was first given.
    ids: HashMap<String, String>,
    expressions: usize,
    /// Bytes that the expressions take so far.
    compiled: usize,
}

impl Compiler<'_> {
    fn allowed_dirs(&mut self, dirs: Vec<String>, workspace: &dyn Workspace) -> Vec<String> {
        let mut allowed = Vec::new();
        for (index, text) in dirs.iter().enumerate() {
            let path = format!("allowed_dirs.{index}");
            match normal_dir(text) {
                Some(dir) if workspace.is_dir(dir) => allowed.push(dir.to_owned()),
                Some(dir) => {
                    let message = format!("`{dir}` is not a directory in the workspace");
                    self.faults.add(path, message);
                }
                None => {
                    let message = "must be a path like `docs/guides`, relative to the workspace, \
                                   without `..`, `\\` or a `/` in front";
                    self.faults.add(path, message);
                }
            }
        }
        allowed
    }

    fn rules(&mut self, raw: Vec<raw::Rule>) -> (Vec<Rule>, Vec<CompiledRule>) {
        let rules = raw.into_iter().enumerate();
        rules.map(|(index, rule)| self.rule(&format!("rules.{index}"), rule)).unzip()
    }

    /// What is missing is reported by now; a stand-in lets the rest be checked all the same.
    fn rule(&mut self, path: &str, raw: raw::Rule) -> (Rule, CompiledRule) {
        let id = self.id(path, raw.id);
        let effect = raw.effect.unwrap_or(RuleEffect::Deny);
        if !raw.exempt.is_empty() && effect != RuleEffect::Allow {
            let message = "needs the effect `allow`: another effect exempts from nothing";
            self.faults.add(format!("{path}.exempt"), message);
        }
        let path = format!("{path}.match");
        let matches = raw.r#match.unwrap_or_default();
        if matches.is_empty() {
            let message = "must name at least one of `kinds`, `intents`, `actions`, `targets`, \
                           `inputs`, `tools`, `servers`, `principals`, `agents`, `fields`, \
                           `commands`";
            self.faults.add(path.as_str(), message);
        }
        let names = [
            ("tools", &matches.tools),
            ("servers", &matches.servers),
            ("principals", &matches.principals),
            ("agents", &matches.agents),
        ];
        for (name, globs) in names {
            self.name_globs(&format!("{path}.{name}"), globs);
        }
        self.command_patterns(&format!("{path}.commands"), &matches.commands);
        let compiled = CompiledRule {
            id: id.clone(),
            effect,
            kinds: matches.kinds.clone(),
            intents: self.expressions(&format!("{path}.intents"), &matches.intents),
            actions: self.expressions(&format!("{path}.actions"), &matches.actions),
            targets: self.targets(&format!("{path}.targets"), &matches.targets),
            inputs: self.expressions(&format!("{path}.inputs"), &matches.inputs),
            tools: NameGlobs::case_insensitive(&matches.tools),
            servers: NameGlobs::case_insensitive(&matches.servers),
            principals: NameGlobs::case_sensitive(&matches.principals),
            agents: NameGlobs::case_sensitive(&matches.agents),
            fields: self.pointers(&format!("{path}.fields"), &matches.fields),
            commands: matches.commands.clone(),
            exempt: raw.exempt.clone(),
        };
        let description = raw.description;
        (Rule { id, description, matches, effect, exempt: raw.exempt }, compiled)
    }

    fn targets(&mut self, path: &str, texts: &[String]) -> GlobSet {
        let globs = self.globs(path, texts);
        globs::set(globs.into_iter().flat_map(|(_, globs)| globs)).unwrap_or_else(|error| {
            self.faults.add(path, error.to_string());
            GlobSet::empty()
        })
    }

    fn patterns(&mut self, raw: Vec<raw::Pattern>) -> (Vec<CustomPattern>, Vec<CompiledPattern>) {
        let patterns = raw.into_iter().enumerate();
        let path = |index| format!("risk.patterns.{index}");
        patterns.filter_map(|(index, pattern)| self.pattern(&path(index), pattern)).unzip()
    }

    /// An id that names no pattern would switch nothing off, which its author must learn.
    fn patterns_off(&mut self, off: &[String], own: &[CustomPattern]) {
        let own: Vec<&str> = own.iter().map(|pattern| pattern.id.as_str()).collect();
        for (index, id) in off.iter().enumerate() {
            if !built_in::PATTERNS.contains(&id.as_str()) && !own.contains(&id.as_str()) {
                let near = built_in::near(id, &own);
                self.faults.add(format!("risk.patterns_off.{index}"), unknown_pattern(id, &near));
            }
        }
    }

    fn pattern(
        &mut self,
        path: &str,
        raw: raw::Pattern,
    ) -> Option<(CustomPattern, CompiledPattern)> {
        let id = self.id(path, raw.id);
        let pattern = raw.pattern?;
        let regex = self.expression(&format!("{path}.pattern"), &pattern)?;
        let category = raw.category?;
        let compiled = CompiledPattern { id: id.clone(), category, regex };
        Some((CustomPattern { id, category, pattern }, compiled))
    }

    /// The id of a rule or pattern; the two share one space, since findings show either.
    fn id(&mut self, path: &str, id: Option<String>) -> String {
        let Some(id) = id else { return String::new() };
        let path = format!("{path}.id");
        match self.ids.get(&id) {
            Some(first) => self.faults.add(path, format!("`{id}` is already the id at `{first}`")),
            None => {
                self.ids.insert(id.clone(), path);
            }
        }
        id
    }

    fn expressions(&mut self, path: &str, texts: &[String]) -> Vec<BoundedRegex> {
        let texts = texts.iter().enumerate();
        texts
            .filter_map(|(index, text)| self.expression(&format!("{path}.{index}"), text))
            .collect()
    }

    fn expression(&mut self, path: &str, text: &str) -> Option<BoundedRegex> {
        self.expressions += 1;
        if self.expressions > MAX_EXPRESSIONS || self.compiled > MAX_COMPILED {
            return None;
        }
        if text.is_empty() {
            self.faults.add(path, "must not be empty: it would match everything");
            return None;
        }
        let regex =
            BoundedRegex::new(text).map_err(|error| self.faults.add(path, error.to_string()));
        let regex = regex.ok()?;
        self.compiled += regex.size();
        if self.compiled > MAX_COMPILED {
            let message = "is one too many: the regular expressions of the policy take more than 8 MiB when they \
                           are compiled; use smaller counts, or `[0-9A-Za-z_]` for `\\w`";
            self.faults.add(path, message);
            return None;
        }
        Some(regex)
    }

    fn globs(&mut self, path: &str, texts: &[String]) -> Vec<(String, Vec<Glob>)> {
        let mut compiled = Vec::new();
        for (index, text) in texts.iter().enumerate() {
            match globs::compile(text) {
                Ok(globs) => compiled.push((text.clone(), globs)),
                Err(error) => self.faults.add(format!("{path}.{index}"), error.to_string()),
            }
        }
        compiled
    }
}

fn unknown_pattern(id: &str, near: &[&str]) -> String {
    let near: Vec<_> = near.iter().map(|id| format!("`{id}`")).collect();
    match near.is_empty() {
        true => format!(
            "`{id}` is not the id of a pattern; docs/patterns.md and docs/secrets.md list them"
        ),
        false => format!("`{id}` is not the id of a pattern; near matches: {}", near.join(", ")),
    }
}

/// `docs/guides` out of `./docs/guides/`; `.` stands for the whole workspace.
fn normal_dir(text: &str) -> Option<&str> {
    let dir = text.strip_prefix("./").unwrap_or(text);
    let dir = dir.strip_suffix('/').unwrap_or(dir);
    let normal = |part: &str| {
        !matches!(part, "" | "." | "..") && !part.contains(|c: char| c == '\\' || c.is_control())
    };
    (matches!(text, "." | "./") || dir.split('/').all(normal)).then_some(if dir.is_empty() {
        "."
    } else {
        dir
    })
}
