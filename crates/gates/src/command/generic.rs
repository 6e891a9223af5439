//! Programs that the pack does not know: what their verbs and options say.

use super::assessment::Invocation;
use super::effect::CommandEffect;

/// Verbs that remove or interrupt.
const DESTROYS: &[&str] = &[
    "delete",
    "destroy",
    "remove",
    "purge",
    "drop",
    "terminate",
    "wipe",
    "prune",
    "uninstall",
    "revoke",
    "truncate",
    "erase",
    "rm",
    "del",
    "rmi",
    "rb",
    "unlink",
    "nuke",
    "flush",
    "reset",
    "disable",
    "kill",
    "unregister",
    "deregister",
    "decommission",
    "deprovision",
    "forget",
    "expunge",
    "obliterate",
    "rollback",
    "clear",
    "cancel",
    "evict",
    "drain",
    "teardown",
    "undeploy",
    "unpublish",
    "deactivate",
    "rmdir",
    "deletefile",
    "cleanup",
    "rotate",
    "roll",
    "unset",
    "untag",
    "stop",
    "shutdown",
    "discard",
    "archive",
    "invalidate",
    "detach",
    "disassociate",
    "unsubscribe",
    "suspend",
    "demote",
    "abandon",
    "empty",
    "shred",
    "overwrite",
    "unseal",
    "seal",
    "rekey",
    "repave",
    "unlock",
];

/// The same without those that are everyday words of options.
const FLAGS: &[&str] = &[
    "delete",
    "destroy",
    "remove",
    "purge",
    "drop",
    "terminate",
    "wipe",
    "prune",
    "uninstall",
    "revoke",
    "truncate",
    "erase",
    "unregister",
    "reset",
    "del",
];

/// Verbs that say what a script does: `k3s-uninstall.sh`, `destroy-prod`.
const SCRIPTS: &[&str] = &[
    "delete",
    "destroy",
    "purge",
    "drop",
    "terminate",
    "wipe",
    "uninstall",
    "teardown",
    "nuke",
    "erase",
];

const PUBLISHES: &[&str] = &["publish"];

/// Words after which a verb is an argument rather than an order.
const READS: &[&str] = &[
    "get", "list", "ls", "describe", "show", "view", "search", "status", "info", "help", "explain",
    "plan", "diff", "logs", "log", "cat", "print", "echo", "find", "docs", "lookup", "grep",
    "check", "validate", "lint", "test", "query", "read", "history", "create", "add", "new",
    "config", "run", "build", "dev", "start", "exec", "open", "login", "version", "inspect",
    "dump", "export",
];

/// Qualifiers that may precede a verb inside a word: `batch-delete-image`.
const QUALIFIERS: &[&str] =
    &["batch", "bulk", "force", "admin", "multi", "mass", "all", "hard", "do"];

/// Raises the effect by the words and options of the invocation.
pub(crate) fn judge(part: &mut Invocation) {
    let call = segments(&part.program);
    let method = part.program.contains('.') && call.len() > 2 && identifier(&part.program);
    if method && call.last().is_some_and(|last| DESTROYS.contains(&last.as_str())) {
        part.raise(CommandEffect::Destroy, "generic-call");
    }
    let stem = part.program.rsplit_once('.').map_or(part.program.as_str(), |(stem, _)| stem);
    let words = segments(stem);
    let names = [words.first(), words.last()];
    if words.len() > 1 && names.into_iter().flatten().any(|word| SCRIPTS.contains(&word.as_str())) {
        part.raise(CommandEffect::Destroy, "generic-script");
    }
    if let Some((effect, rule)) = verbs(&part.subcommand) {
        part.raise(effect, rule);
        return;
    }
    let flag = part.flags.iter().any(|flag| destroying_option(flag));
    if flag {
        part.raise(CommandEffect::Destroy, "generic-option");
    }
}

fn destroying_option(flag: &str) -> bool {
    let name = flag.trim_start_matches('-');
    let (name, value) = name.split_once('=').unwrap_or((name, ""));
    let word = name.split(['-', '_']).next().unwrap_or_default();
    flag.starts_with("--")
        && FLAGS.contains(&word)
        && value != "false"
        && value != "no"
        && !name.contains("orphans")
}

/// The effect of the first verb among the leading words, if they decide.
fn verbs(words: &[String]) -> Option<(CommandEffect, &'static str)> {
    for (place, word) in words.iter().take(5).enumerate() {
        if !identifier(word) {
            break;
        }
        let segments = segments(word);
        let first = segments.first().map_or("", String::as_str);
        let verb = if QUALIFIERS.contains(&first) && segments.len() > 1 {
            segments[1].as_str()
        } else {
            first
        };
        let last = segments.last().map_or("", String::as_str);
        let destroys = |word: &str| DESTROYS.contains(&word);
        // `format` and `reset` alone are also names; as a suffix only the clear ones count.
        if destroys(verb)
            || (segments.len() > 1 && FLAGS.contains(&last) && !READS.contains(&first))
        {
            return Some((CommandEffect::Destroy, "generic-verb"));
        }
        if PUBLISHES.contains(&verb) && place < 2 {
            return Some((CommandEffect::Publish, "generic-publish"));
        }
        let passes = matches!(first, "config" | "run" | "log" | "logs" | "test" | "query");
        if READS.contains(&first) && (place == 0 || !passes) {
            return Some((CommandEffect::Read, "generic-read"));
        }
    }
    None
}

/// Options that make a program only say what it would do.
pub(crate) fn rehearses(part: &Invocation) -> bool {
    part.flags.iter().any(|flag| {
        matches!(
            flag.as_str(),
            "--dry-run"
                | "--dryrun"
                | "--dry-run=client"
                | "--dry-run=server"
                | "--dry-run=true"
                | "--dry_run"
                | "--dryRun"
                | "-WhatIf"
                | "--what-if"
                | "--noop"
                | "--no-op"
                | "--simulate"
                | "--just-print"
                | "--no-act"
        )
    })
}

/// Whether only help or the version is asked for.
pub(crate) fn asks_for_help(part: &Invocation) -> bool {
    let before_dashes = part.args.iter().take_while(|arg| *arg != "--");
    let mut flags = before_dashes.clone();
    flags.any(|arg| arg == "--help" || arg == "--usage")
        || part.subcommand.first().is_some_and(|word| word == "help")
        || (part.args.len() == 1
            && matches!(
                part.args[0].as_str(),
                "-h" | "--version" | "-V" | "-v" | "-?" | "/?" | "version"
            ))
}

fn identifier(word: &str) -> bool {
    !word.is_empty()
        && word.len() <= 40
        && word.chars().all(|c| c.is_ascii_alphanumeric() || "-_:.".contains(c))
}

/// `kv:bulk-delete` and `deleteIndex` by their parts, in lower case.
fn segments(word: &str) -> Vec<String> {
    let mut out = vec![String::new()];
    let mut lower = false;
    for c in word.chars() {
        let boundary = "-_:.".contains(c);
        if (boundary || (c.is_ascii_uppercase() && lower))
            && out.last().is_some_and(|s| !s.is_empty())
        {
            out.push(String::new());
        }
        lower = c.is_ascii_lowercase();
        if !boundary && let Some(last) = out.last_mut() {
            last.push(c.to_ascii_lowercase());
        }
    }
    out
}
