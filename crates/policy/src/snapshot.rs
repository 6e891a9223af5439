//! A policy compiled and ready to judge with; it never changes, a reload makes another one.

use globset::GlobSet;
use life_agent_domain::governance::command::Kind;
use life_agent_domain::governance::fault::Fault;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::bounded::BoundedRegex;
use crate::document::{
    Access, ActionEffect, Category, CommandPattern, Meaning, Policy, RuleEffect,
};
pub use crate::globs::DenyGlobs;
use crate::names::NameGlobs;
use crate::pointer::Pointer;
use crate::{compile, raw, reading};

/// Paths that no plan should touch in any workspace: what git and credentials live in.
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

/// The one fact that a policy needs from outside.
pub trait Workspace {
    /// Whether this path, relative to the workspace, is a directory.
    fn is_dir(&self, relative: &str) -> bool;
}

/// A valid policy with all of its expressions compiled.
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
}

/// A rule to judge with. An empty list matches everything; of a list, one match is enough.
#[derive(Debug)]
pub struct CompiledRule {
    /// Unique among rules and patterns.
    pub id: String,
    /// What happens to requests that match.
    pub effect: RuleEffect,
    /// Kinds of request.
    pub kinds: Vec<Kind>,
    /// For the intent.
    pub intents: Vec<BoundedRegex>,
    /// For the action's name.
    pub actions: Vec<BoundedRegex>,
    /// For each target path; an empty set, like an empty list, matches everything.
    pub targets: GlobSet,
    /// For free text.
    pub inputs: Vec<BoundedRegex>,
    /// For the name of a tool.
    pub tools: NameGlobs,
    /// For the name of a tool's server.
    pub servers: NameGlobs,
    /// For the name of the caller's key.
    pub principals: NameGlobs,
    /// For the agent's id.
    pub agents: NameGlobs,
    /// The only fields that `inputs` are searched for in.
    pub fields: Vec<Pointer>,
    /// For the commands of a tool call.
    pub commands: Vec<CommandPattern>,
    /// Categories that requests which match are exempt from.
    pub exempt: Vec<Category>,
}

/// An entry of `tools`, to judge with.
#[derive(Debug)]
pub struct CompiledTool {
    /// For the name of a tool.
    pub names: NameGlobs,
    /// For the name of its server; empty for every server and none.
    pub servers: NameGlobs,
    /// The meaning of arguments.
    pub fields: Vec<(Pointer, Meaning)>,
    /// Whether the tool only reads its paths.
    pub access: Option<Access>,
    /// The effect of any call.
    pub effect: Option<ActionEffect>,
}

/// A pattern of the operator's own, to search with.
#[derive(Debug)]
pub struct CompiledPattern {
    /// Unique among rules and patterns.
    pub id: String,
    /// The category whose effect it takes.
    pub category: Category,
    /// What to look for.
    pub regex: BoundedRegex,
}

/// Reads, validates and compiles a policy; every fault at once, in the order of the text.
pub fn compile(text: &str, workspace: &dyn Workspace) -> Result<Snapshot, Vec<Fault>> {
    let (raw, mut faults) = reading::read::<raw::Policy>(text)?;
    let hash = hex::encode(Sha256::digest(text));
    let snapshot = compile::compile(raw, hash, workspace, &mut faults);
    match faults.finish(text) {
        None => Ok(snapshot),
        Some(faults) => Err(faults),
    }
}

/// The policy that is in force while there is no file: the documented defaults, these directories,
/// and the deny globs of the shipped policy.
pub fn default_text(allowed_dirs: &[String]) -> String {
    // JSON's texts are YAML's too, whatever is in them.
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
