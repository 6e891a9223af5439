//! Classes of the paths and addresses that a command names. Purely lexical: no file is looked at.

use super::effect::{CommandContext, TargetClass};

/// Stands for text that is only known when the command runs, followed by the variable's name.
pub(crate) const UNKNOWN: char = '\u{e000}';

/// Folders that builds and tools create again.
const BUILD: &[&str] = &[
    "node_modules",
    "bower_components",
    "target",
    "dist",
    "build",
    "_build",
    "out",
    "bin",
    "obj",
    ".cache",
    "__pycache__",
    ".next",
    ".nuxt",
    ".turbo",
    ".output",
    ".svelte-kit",
    ".parcel-cache",
    ".pytest_cache",
    ".mypy_cache",
    ".ruff_cache",
    ".tox",
    ".nox",
    ".venv",
    "venv",
    ".gradle",
    ".angular",
    ".vite",
    ".docusaurus",
    ".astro",
    ".dart_tool",
    ".eggs",
    "htmlcov",
    "coverage",
    ".coverage",
    ".nyc_output",
    "cmake-build-debug",
    "cmake-build-release",
    "DerivedData",
    ".build",
    ".terraform",
    ".serverless",
    ".webpack",
    ".sass-cache",
    "storybook-static",
    "site",
    "tmp",
    ".tmp",
    "temp",
    "logs",
    "test-results",
    "playwright-report",
    ".stack-work",
    "dist-newstyle",
];

/// Endings of files that builds and tools create again.
const BUILD_FILES: &[&str] = &[
    ".pyc",
    ".pyo",
    ".o",
    ".obj",
    ".class",
    ".egg-info",
    ".log",
    ".tmp",
    ".swp",
    ".bak",
    ".orig",
    ".DS_Store",
    ".tsbuildinfo",
    "~",
    ".gcda",
    ".gcno",
    ".profraw",
    ".rlib",
    ".so",
    ".tar.gz",
    ".tgz",
    ".zip",
    ".deb",
    ".rpm",
    ".whl",
    ".gem",
    ".vsix",
    ".coverage",
];

const SYSTEM: &[&str] = &[
    "etc",
    "usr",
    "bin",
    "sbin",
    "lib",
    "lib32",
    "lib64",
    "boot",
    "sys",
    "proc",
    "opt",
    "srv",
    "root",
    "var",
    "run",
    "Library",
    "System",
    "Applications",
    "private",
    "Windows",
    "snap",
    "nix",
];

/// Where a command stands: the facts that classes depend on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Place {
    /// The working directory: absolute, below `~`, or relative to an unknown workspace.
    pub(crate) cwd: String,
    pub(crate) workspace: Option<String>,
    pub(crate) home: Option<String>,
}

impl Place {
    pub(crate) fn new(context: &CommandContext<'_>) -> Self {
        let clean = |path: &str| normalize(&path.replace('\\', "/"));
        let workspace = context.workspace.map(clean);
        let cwd = context.cwd.map(clean).or_else(|| workspace.clone());
        Self {
            cwd: cwd.unwrap_or_else(|| ".".to_owned()),
            workspace,
            home: context.home.map(clean),
        }
    }

    /// Follows a `cd`. Without a known workspace, the first project folder entered counts as one.
    pub(crate) fn enter(&mut self, path: &str) {
        self.cwd = self.resolve(path);
        let deep = self.cwd.split('/').filter(|part| !part.is_empty()).count() >= 3;
        let class = self.class_of(&self.cwd);
        if self.workspace.is_none() && deep && class == TargetClass::Outside {
            self.workspace = Some(self.cwd.clone());
        }
    }

    fn resolve(&self, path: &str) -> String {
        let path = path.replace('\\', "/");
        let path = path.strip_prefix("file://").unwrap_or(&path);
        let absolute = path.starts_with(['/', '~', UNKNOWN]) || drive(path);
        let path =
            if absolute { normalize(path) } else { normalize(&format!("{}/{path}", self.cwd)) };
        match self.home.as_ref().and_then(|home| strip_folder(&path, home)) {
            Some(rest) => normalize(&format!("~/{rest}")),
            None => path,
        }
    }

    /// The class of a path or address.
    pub(crate) fn class(&self, text: &str) -> TargetClass {
        if let Some(address) = remote(text) {
            return address;
        }
        self.class_of(&self.resolve(text))
    }

    fn class_of(&self, path: &str) -> TargetClass {
        let in_workspace = match &self.workspace {
            Some(workspace) => {
                let workspace = match &self.home {
                    Some(home) => strip_folder(workspace, home)
                        .map_or_else(|| workspace.clone(), |rest| format!("~/{rest}")),
                    None => workspace.clone(),
                };
                strip_folder(path, &workspace).map(str::to_owned)
            }
            None => None,
        };
        if let Some(rest) = in_workspace {
            return inside(&rest);
        }
        if path.starts_with(UNKNOWN) {
            return match inside(path) {
                TargetClass::Build if path.contains('/') => TargetClass::Build,
                _ => TargetClass::Unknown,
            };
        }
        if path.starts_with('/') {
            return absolute(path);
        }
        if path.starts_with('~') {
            return home(path);
        }
        if drive(path) {
            return windows(path);
        }
        if path == ".." || path.starts_with("../") {
            return TargetClass::Outside;
        }
        if path.to_ascii_uppercase().starts_with("HKLM")
            || path.to_ascii_uppercase().starts_with("HKCU")
        {
            return TargetClass::System;
        }
        inside(path)
    }

    /// The path with the working directory applied, for pattern checks.
    pub(crate) fn full(&self, text: &str) -> String {
        self.resolve(text)
    }
}

fn inside(rest: &str) -> TargetClass {
    let mut parts = rest.split('/').filter(|part| !part.is_empty() && *part != ".");
    let build = parts.clone().any(|part| BUILD.contains(&part.trim_end_matches(['*', '?'])))
        || parts.next_back().is_some_and(|last| {
            BUILD_FILES.iter().any(|end| last.len() > end.len() && last.ends_with(end))
                || last.ends_with(".DS_Store")
        });
    if build { TargetClass::Build } else { TargetClass::Workspace }
}

/// Whether a path lies in a folder that builds create again.
pub(crate) fn is_build(path: &str) -> bool {
    inside(path) == TargetClass::Build
}

fn absolute(path: &str) -> TargetClass {
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    let first = parts.next().unwrap_or_default();
    let second = parts.next();
    let temporary =
        |part: Option<&str>| part.is_some_and(|part| part == "tmp" || part == "folders");
    match (first, second) {
        ("" | "*" | "." | "?" | "{*,.*}" | "**", _) => TargetClass::Root,
        ("tmp", _) => TargetClass::Temporary,
        ("var" | "private", second) if temporary(second) => TargetClass::Temporary,
        ("private", Some("var")) => match parts.next() {
            Some("folders" | "tmp") => TargetClass::Temporary,
            _ => TargetClass::System,
        },
        ("dev", Some(device)) => match device {
            "null" | "zero" | "stdin" | "stdout" | "stderr" | "tty" | "fd" | "urandom"
            | "random" => TargetClass::Temporary,
            "shm" => TargetClass::Temporary,
            "tcp" | "udp" => TargetClass::Remote,
            _ => TargetClass::Device,
        },
        ("home" | "Users", None) => TargetClass::Home,
        ("home" | "Users", Some("*")) => TargetClass::Home,
        ("home" | "Users", Some(_)) => match parts.next() {
            None | Some("*") => TargetClass::Home,
            Some(third) if third.starts_with('.') => home_settings(third, parts.next()),
            Some(_) => TargetClass::Outside,
        },
        (first, _) if SYSTEM.contains(&first) || first.contains(['*', '?', '[']) => {
            TargetClass::System
        }
        _ => TargetClass::Outside,
    }
}

fn home(path: &str) -> TargetClass {
    let Some((user, rest)) = path.split_once('/') else {
        return TargetClass::Home;
    };
    let first = rest.split('/').next().unwrap_or_default();
    match first {
        "" | "*" | "." | ".*" => TargetClass::Home,
        ".." => TargetClass::Outside,
        _ if user != "~" => TargetClass::Outside,
        _ if first.starts_with('.') => home_settings(first, rest.split('/').nth(1)),
        "Library" => TargetClass::Home,
        _ if inside(rest) == TargetClass::Build && !rest.contains('/') => TargetClass::Build,
        _ => TargetClass::Outside,
    }
}

/// A dotted entry of a home folder: caches may go, settings may not.
fn home_settings(first: &str, second: Option<&str>) -> TargetClass {
    match (first, second) {
        (".cache" | ".npm" | ".gradle" | ".m2" | ".ccache", _) => TargetClass::Build,
        (".cargo", Some("registry" | "git")) => TargetClass::Build,
        (".ssh" | ".gnupg" | ".aws" | ".kube" | ".config" | ".local" | ".docker" | ".azure", _) => {
            TargetClass::Home
        }
        // A file deep inside the folder of one program.
        (_, Some(second)) if !second.is_empty() && !second.starts_with('*') => TargetClass::Outside,
        _ => TargetClass::Home,
    }
}

fn drive(path: &str) -> bool {
    let bytes = path.as_bytes();
    bytes.len() >= 2
        && bytes[0].is_ascii_alphabetic()
        && bytes[1] == b':'
        && (bytes.len() == 2 || bytes[2] == b'/')
}

fn windows(path: &str) -> TargetClass {
    let lower = path[2..].to_ascii_lowercase();
    let mut parts = lower.split('/').filter(|part| !part.is_empty());
    match (parts.next(), parts.next(), parts.next()) {
        (None | Some("*" | "*.*"), ..) => TargetClass::Root,
        (Some("temp" | "tmp"), ..) => TargetClass::Temporary,
        (Some("users"), _, None | Some("*")) => TargetClass::Home,
        (Some("users"), _, Some(third)) if third == "appdata" || third.starts_with('.') => {
            if lower.contains("/local/temp") { TargetClass::Temporary } else { TargetClass::Home }
        }
        (Some("users"), ..) => TargetClass::Outside,
        (Some(first), ..)
            if first.starts_with("windows")
                || first.starts_with("program")
                || first.starts_with("$recycle") =>
        {
            TargetClass::System
        }
        _ => TargetClass::Outside,
    }
}

/// Addresses: URLs, `user@host:path`, UNC paths.
fn remote(text: &str) -> Option<TargetClass> {
    if let Some((scheme, _)) = text.split_once("://")
        && scheme != "file"
        && !scheme.is_empty()
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    {
        return Some(TargetClass::Remote);
    }
    if text.starts_with("\\\\") {
        return Some(TargetClass::Remote);
    }
    let (host, _) = text.split_once(':')?;
    let user = host.contains('@') && !host.contains('/');
    user.then_some(TargetClass::Remote)
}

/// What remains of `path` below `folder`.
fn strip_folder<'p>(path: &'p str, folder: &str) -> Option<&'p str> {
    let rest = path.strip_prefix(folder)?;
    if rest.is_empty() || folder.ends_with('/') {
        return Some(rest);
    }
    rest.strip_prefix('/')
}

/// Removes `.`, resolves `..` lexically, merges slashes. Keeps leading `..` of a relative path.
pub(crate) fn normalize(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => match parts.last() {
                None if rooted => {}
                Some(&"~") => parts = vec!["~", ".."],
                Some(&last) if last != ".." && !last.starts_with(UNKNOWN) && !drive(last) => {
                    parts.pop();
                }
                _ => parts.push(".."),
            },
            _ => parts.push(part),
        }
    }
    let joined = parts.join("/");
    match (rooted, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}
