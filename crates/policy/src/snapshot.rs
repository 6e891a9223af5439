//! A compiled policy. It is immutable; a reload creates another.

use globset::GlobSet;
use life_agent_domain::governance::budget::{Budget, Price};
use life_agent_domain::governance::command::Kind;
use life_agent_domain::governance::fault::Fault;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::bounded::BoundedRegex;
use crate::document::{
    Access, ActionEffect, Category, CommandPattern, Llm, Meaning, Policy, RuleEffect,
};
pub use crate::globs::DenyGlobs;
use crate::llm::matches;
use crate::names::NameGlobs;
use crate::pointer::Pointer;
use crate::{compile, raw, reading};

/// Paths that no plan should touch in any workspace: those of git and of credentials.
pub const DEFAULT_DENY_GLOBS: [&str; 12] = [
    "**/.git/**",
    "**/.ssh/**",
    "**/.gnupg/**",
    "**/.aws/**",
    "**/.env*",
    "**/*.pem",
    "**/*.key",
    "**/*.p12",
    "**/*.pfx",
    "**/id_rsa*",
    "**/id_ed25519*",
    "**/*.kdbx",
];

/// The only external fact that a policy needs.
pub trait Workspace {
    /// Whether this path, relative to the workspace, is a directory.
    fn is_dir(&self, relative: &str) -> bool;
}

/// A valid policy with compiled expressions.
#[derive(Debug)]
pub struct Snapshot {
    /// The document.
    pub policy: Policy,
    /// SHA-256 of the document's text, in lower-case hex.
    pub hash: String,
    /// `deny_globs`, compiled.
    pub deny_globs: DenyGlobs,
    /// `rules`, compiled, in the order of the document.
    pub rules: Vec<CompiledRule>,
    /// `risk.patterns`, compiled, in the order of the document.
    pub patterns: Vec<CompiledPattern>,
    /// `tools`, compiled, in the order of the document; see [`Snapshot::tool`].
    pub tools: Vec<CompiledTool>,
    /// `budgets`, compiled, in the order of the document.
    pub budgets: Vec<Budget>,
}

impl Snapshot {
    /// The price of a model: that of its name, or of the longest name with `*` that matches it.
    pub fn price(&self, model: &str) -> Option<Price> {
        let prices = &self.policy.prices;
        let exact = prices.get(model);
        let matching = || {
            let named = prices.iter().filter(|(name, _)| matches(name, model));
            named.max_by_key(|(name, _)| name.len()).map(|(_, price)| price)
        };
        exact.or_else(matching).map(|price| price.micros())
    }

    /// Whether the policy names this model, apart from names with `*` that match it.
    pub fn names_model(&self, model: &str) -> bool {
        let Llm { model: default, models, providers, .. } = &self.policy.llm;
        let provided = providers.iter().flat_map(|provider| &provider.models);
        let mut names = models.iter().chain(provided).chain(self.policy.prices.keys());
        default == model || names.any(|name| name == model)
    }
}

/// A compiled rule. An empty list matches everything; otherwise one entry must match.
#[derive(Debug)]
pub struct CompiledRule {
    /// Unique among rules and patterns.
    pub id: String,
    /// The effect on requests that match.
    pub effect: RuleEffect,
    /// Kinds of request.
    pub kinds: Vec<Kind>,
    /// Over the intent.
    pub intents: Vec<BoundedRegex>,
    /// Over the action's name.
    pub actions: Vec<BoundedRegex>,
    /// Over each target path; an empty set matches everything.
    pub targets: GlobSet,
    /// Over texts.
    pub inputs: Vec<BoundedRegex>,
    /// Over the name of a tool.
    pub tools: NameGlobs,
    /// Over the name of a tool's server.
    pub servers: NameGlobs,
    /// Over the name of the caller's key.
    pub principals: NameGlobs,
    /// Over the agent's id.
    pub agents: NameGlobs,
    /// The fields to which `inputs` are restricted.
    pub fields: Vec<Pointer>,
    /// Over the commands of a tool call.
    pub commands: Vec<CommandPattern>,
    /// Categories from which matching requests are exempt.
    pub exempt: Vec<Category>,
}

/// A compiled entry of `tools`.
#[derive(Debug)]
pub struct CompiledTool {
    /// Over the name of a tool.
    pub names: NameGlobs,
    /// Over the name of its server; empty for every server and for none.
    pub servers: NameGlobs,
    /// The meaning of arguments.
    pub fields: Vec<(Pointer, Meaning)>,
    /// Whether the tool only reads its paths.
    pub access: Option<Access>,
    /// The effect of every call.
    pub effect: Option<ActionEffect>,
}

/// A compiled pattern of the operator.
#[derive(Debug)]
pub struct CompiledPattern {
    /// Unique among rules and patterns.
    pub id: String,
    /// The category, which sets the effect.
    pub category: Category,
    /// The expression.
    pub regex: BoundedRegex,
}

/// Reads, validates and compiles a policy. Returns all faults, in the order of the text.
pub fn compile(text: &str, workspace: &dyn Workspace) -> Result<Snapshot, Vec<Fault>> {
    let (raw, mut faults) = reading::read::<raw::Policy>(text)?;
    let hash = hex::encode(Sha256::digest(text));
    let snapshot = compile::compile(raw, hash, workspace, &mut faults);
    match faults.finish(text) {
        None => Ok(snapshot),
        Some(faults) => Err(faults),
    }
}

/// The policy without a file: the documented defaults, these directories, and the deny globs of the shipped
/// policy.
pub fn default_text(allowed_dirs: &[String]) -> String {
    // Every JSON text is also YAML.
    let list = |items: &mut dyn Iterator<Item = &str>| {
        items.map(|item| format!("  - {}\n", Value::from(item))).collect::<String>()
    };
    let dirs = list(&mut allowed_dirs.iter().map(String::as_str));
    let globs = list(&mut DEFAULT_DENY_GLOBS.into_iter());
    let dirs = if dirs.is_empty() { " []\n".to_owned() } else { format!("\n{dirs}") };
    format!("version: \"1\"\nallowed_dirs:{dirs}deny_globs:\n{globs}")
}

#[cfg(test)]
mod tests;
