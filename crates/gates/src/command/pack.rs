//! The built-in rules: YAML in the policy's own language, compiled once.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde::Deserialize;

use super::assessment::Invocation;
use super::effect::CommandEffect;
use super::matcher::CommandPattern;

/// The files of the pack by family.
const FILES: &[(&str, &str)] = &[
    ("git", include_str!("pack/git.yaml")),
    ("files", include_str!("pack/files.yaml")),
    ("system", include_str!("pack/system.yaml")),
    ("packages", include_str!("pack/packages.yaml")),
    ("containers", include_str!("pack/containers.yaml")),
    ("clouds", include_str!("pack/clouds.yaml")),
    ("databases", include_str!("pack/databases.yaml")),
    ("services", include_str!("pack/services.yaml")),
    ("everyday", include_str!("pack/everyday.yaml")),
];

/// Commands of PowerShell that no rule names.
const CMDLETS: &[&str] = &[
    "Invoke-Expression",
    "Invoke-Command",
    "Invoke-WebRequest",
    "Invoke-RestMethod",
    "Start-Process",
    "ForEach-Object",
    "Where-Object",
    "Set-Location",
    "Tee-Object",
    "Set-Alias",
    "New-Object",
];

/// One file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Document {
    #[serde(default)]
    pub(crate) programs: Vec<Program>,
    #[serde(default)]
    pub(crate) rules: Vec<Rule>,
}

/// What is known about programs as such.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Program {
    pub(crate) names: Vec<String>,
    /// The effect when no rule matches. Without it the generic verbs decide.
    #[serde(default)]
    pub(crate) effect: Option<CommandEffect>,
    /// Options whose value is the next argument.
    #[serde(default)]
    pub(crate) values: Vec<String>,
}

/// A pattern with its effect, and the commands that show it.
#[derive(Deserialize)]
pub(crate) struct Rule {
    pub(crate) id: String,
    #[serde(flatten)]
    pub(crate) pattern: CommandPattern,
    pub(crate) effect: CommandEffect,
    #[serde(default)]
    #[cfg_attr(not(test), expect(dead_code, reason = "a test runs them"))]
    pub(crate) examples: Vec<String>,
    #[serde(default)]
    #[cfg_attr(not(test), expect(dead_code, reason = "a test runs them"))]
    pub(crate) counterexamples: Vec<String>,
}

/// The compiled pack.
pub(crate) struct Pack {
    programs: HashMap<String, (Option<CommandEffect>, Vec<String>)>,
    pub(crate) rules: Vec<Rule>,
    /// Rules by the program's exact name.
    by_program: HashMap<String, Vec<usize>>,
    /// Rules whose program is a pattern.
    by_pattern: Vec<usize>,
    /// Commands of PowerShell, which ignores case, by their names in lower case.
    cmdlets: HashMap<String, String>,
    /// Families that could not be read. Empty; a test holds that.
    pub(crate) faults: Vec<String>,
}

/// The pack, compiled when first used.
pub(crate) static PACK: LazyLock<Pack> = LazyLock::new(Pack::compile);

impl Pack {
    fn compile() -> Self {
        let mut pack = Self {
            programs: HashMap::new(),
            rules: Vec::new(),
            by_program: HashMap::new(),
            by_pattern: Vec::new(),
            cmdlets: CMDLETS
                .iter()
                .map(|name| (name.to_ascii_lowercase(), (*name).to_owned()))
                .collect(),
            faults: Vec::new(),
        };
        for (family, text) in FILES {
            match serde_yaml::from_str::<Document>(text) {
                Ok(document) => pack.add(document),
                Err(error) => pack.faults.push(format!("{family}: {error}")),
            }
        }
        pack
    }

    fn add(&mut self, document: Document) {
        for program in document.programs {
            for name in program.names {
                self.add_cmdlet(&name);
                let entry = self.programs.entry(name).or_default();
                entry.0 = program.effect.or(entry.0);
                entry.1.extend(program.values.iter().cloned());
            }
        }
        for rule in document.rules {
            let index = self.rules.len();
            if rule.pattern.program.iter().any(|name| name.contains(['*', '?'])) {
                self.by_pattern.push(index);
            } else {
                for name in &rule.pattern.program {
                    if name.contains('-') && name.starts_with(|c: char| c.is_ascii_uppercase()) {
                        self.cmdlets.insert(name.to_ascii_lowercase(), name.clone());
                    }
                    self.by_program.entry(name.clone()).or_default().push(index);
                }
            }
            self.rules.push(rule);
        }
    }

    fn add_cmdlet(&mut self, name: &str) {
        if name.contains('-') && name.starts_with(|c: char| c.is_ascii_uppercase()) {
            self.cmdlets.insert(name.to_ascii_lowercase(), name.to_owned());
        }
    }

    /// The usual spelling of a command of PowerShell.
    pub(crate) fn cmdlet(&self, name: &str) -> Option<&str> {
        self.cmdlets.get(&name.to_ascii_lowercase()).map(String::as_str)
    }

    /// Options of the program that take a value.
    pub(crate) fn values(&self, program: &str) -> &[String] {
        self.programs.get(program).map_or(&[], |(_, values)| values.as_slice())
    }

    /// The effect of the program when no rule matches, if the pack knows it.
    pub(crate) fn usual(&self, program: &str) -> Option<CommandEffect> {
        self.programs.get(program).and_then(|(effect, _)| *effect)
    }

    /// Applies every rule that matches.
    pub(crate) fn judge(&self, part: &mut Invocation) {
        let named = self.by_program.get(&part.program).map_or(&[][..], Vec::as_slice);
        for index in named.iter().chain(&self.by_pattern) {
            let rule = &self.rules[*index];
            let named = rule.pattern.program_matches(&part.program);
            if named && rule.effect >= part.effect && rule.pattern.rest_matches(part) {
                part.raise(rule.effect, &rule.id);
            }
        }
    }
}
