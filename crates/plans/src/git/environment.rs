//! The environment and the settings of git as a child process: it receives no secret of the service and runs
//! nothing that the repository configures.

use std::ffi::OsStr;
use std::process::Command;

/// Secrets of the service, which no child process needs. Other credentials in the environment, such as
/// those of a credential helper, are the user's and stay for a push.
const SECRETS: [&str; 9] = [
    "API_KEY",
    "API_TOKEN",
    "API_TOKENS",
    "DATABASE_LISTEN_URL",
    "DATABASE_URL",
    "GROQ_API_KEY",
    "KEYS_FILE",
    "OPA_TOKEN",
    "REDIS_URL",
];

/// Whether a variable holds a secret of the service or the key of a model provider.
pub fn is_secret(name: &OsStr) -> bool {
    let name = name.to_string_lossy().to_ascii_uppercase();
    SECRETS.contains(&name.as_str()) || name.ends_with("_API_KEY") || name.ends_with("_API_TOKEN")
}

/// Removes the service's secrets from the environment of a child process.
pub fn without_secrets(command: &mut Command) -> &mut Command {
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_secret(name)) {
        command.env_remove(name);
    }
    command
}

/// Settings that keep the repository's own from running a program or changing what is applied.
const ISOLATED: &[&str] = &[
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.pager=cat",
    "core.quotePath=true",
    "core.sshCommand=false",
    "commit.gpgSign=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "apply.whitespace=nowarn",
    "i18n.commitEncoding=utf-8",
    "submodule.recurse=false",
    "advice.detachedHead=false",
];

/// Settings of a push: the user's own, and no hook of the repository.
const PUSH: &[&str] = &["core.hooksPath=/dev/null", "core.fsmonitor=false"];

/// Transports that run no program of the repository's choice; `ext::` and remote helpers do.
const PUSH_PROTOCOLS: &str = "file:git:http:https:ssh";

/// Nothing of the user and no network. A commit that is missing from a partial clone counts as missing:
/// fetching it would run the upload-pack program that the repository names.
pub(super) fn isolate(command: &mut Command) {
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
    command
        .env_clear()
        .env("PATH", path)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_COMMITTER_NAME", "life-agent")
        .env("GIT_COMMITTER_EMAIL", "life-agent@life-agent.invalid")
        .env("GIT_OPTIONAL_LOCKS", "0")
        .env("GIT_NO_LAZY_FETCH", "1")
        // An empty list allows no transport.
        .env("GIT_ALLOW_PROTOCOL", "");
    set(command, ISOLATED);
}

/// The user's settings and credentials, without the service's secrets and the repository's hooks.
pub(super) fn as_user(command: &mut Command) {
    without_secrets(command);
    // These would direct git to another repository than the one it is started in.
    for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY"] {
        command.env_remove(name);
    }
    command.env("GIT_ALLOW_PROTOCOL", PUSH_PROTOCOLS);
    set(command, PUSH);
}

fn set(command: &mut Command, settings: &[&str]) {
    for setting in settings {
        command.arg("-c").arg(setting);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_recognized_by_name() {
        for name in ["API_KEY", "API_TOKENS", "GROQ_API_KEY", "OPENAI_API_KEY", "groq_api_key"] {
            assert!(is_secret(OsStr::new(name)), "{name}");
        }
        for name in ["PATH", "HOME", "SSH_AUTH_SOCK", "GIT_ASKPASS", "GH_TOKEN", "KEYBOARD"] {
            assert!(!is_secret(OsStr::new(name)), "{name}");
        }
    }
}
