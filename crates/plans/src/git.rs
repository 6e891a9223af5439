//! Runs git, which may be absent, slow or set up in any way, so that none of it reaches a plan: no
//! hooks, no settings but the repository's own, no prompt, no end without a deadline.

use std::ffi::OsStr;
use std::io::{self, ErrorKind, Read, Seek};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use wait_timeout::ChildExt;

/// How long a question to git may take.
const QUICK: Duration = Duration::from_secs(5);
/// How long work may take: checking out, applying, pushing.
const WORK: Duration = Duration::from_secs(300);

/// What keeps the repository's own settings from running anything or changing what is applied.
const SETTINGS: &[&str] = &[
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.pager=cat",
    "core.quotePath=true",
    "commit.gpgSign=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "apply.whitespace=nowarn",
    "i18n.commitEncoding=utf-8",
    "submodule.recurse=false",
    "advice.detachedHead=false",
];

/// Why git did not do it.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// There is no git.
    #[error("git is not installed; install it to make branches out of plans")]
    Absent,
    /// It took too long.
    #[error("`git {0}` did not end in time; try again")]
    TimedOut(String),
    /// It refused.
    #[error("`git {command}` failed: {message}")]
    Failed {
        /// The subcommand.
        command: String,
        /// Its last words, shortened and without credentials.
        message: String,
    },
    /// It could not be started.
    #[error("git could not be started; check the permissions of the machine")]
    Io(#[from] io::Error),
}

/// Whose settings git uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Home {
    /// Nobody's: the environment is cleared.
    Nobody,
    /// The user's, for what takes the user's credentials.
    User,
}

/// Asks git something about the repository at `dir`.
pub(crate) fn ask<A: AsRef<OsStr>>(dir: &Path, args: &[A]) -> Result<Vec<u8>, GitError> {
    run(dir, args, QUICK, Home::Nobody)
}

/// Lets git work on the repository at `dir`.
pub(crate) fn work<A: AsRef<OsStr>>(dir: &Path, args: &[A]) -> Result<Vec<u8>, GitError> {
    run(dir, args, WORK, Home::Nobody)
}

/// Pushes `refspec` to a remote that the repository knows by name, with the user's own settings,
/// credentials and hooks.
pub(crate) fn push(dir: &Path, remote: &str, refspec: &str) -> Result<(), GitError> {
    run(dir, &["push", "--", remote, refspec], WORK, Home::User).map(drop)
}

/// Whether a text is a full object name (SHA-1 or SHA-256), and so no option and no expression.
pub(crate) fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn run<A: AsRef<OsStr>>(
    dir: &Path,
    args: &[A],
    deadline: Duration,
    home: Home,
) -> Result<Vec<u8>, GitError> {
    let name = args.first().map(|arg| arg.as_ref().to_string_lossy().into_owned());
    let name = name.unwrap_or_default();
    // Files, not pipes: a full pipe would hold git, and reading both at once takes threads.
    let (mut out, mut err) = (tempfile::tempfile()?, tempfile::tempfile()?);
    let mut command = Command::new("git");
    command.current_dir(dir).stdin(Stdio::null()).stdout(out.try_clone()?).stderr(err.try_clone()?);
    prepare(&mut command, home);
    let spawned = command.args(args).spawn();
    let mut child = spawned.map_err(|error| match error.kind() {
        ErrorKind::NotFound => GitError::Absent,
        _ => GitError::Io(error),
    })?;
    let Some(status) = child.wait_timeout(deadline)? else {
        child.kill()?;
        child.wait()?;
        return Err(GitError::TimedOut(name));
    };
    if status.success() {
        return Ok(content(&mut out)?);
    }
    let message = last_words(&content(&mut err)?);
    Err(GitError::Failed { command: name, message })
}

fn prepare(command: &mut Command, home: Home) {
    match home {
        Home::Nobody => {
            let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
            command
                .env_clear()
                .env("PATH", path)
                .env("GIT_CONFIG_NOSYSTEM", "1")
                .env("GIT_CONFIG_GLOBAL", "/dev/null")
                .env("GIT_COMMITTER_NAME", "life-agent")
                .env("GIT_COMMITTER_EMAIL", "life-agent@life-agent.invalid")
                .env("GIT_OPTIONAL_LOCKS", "0");
            for setting in SETTINGS {
                command.arg("-c").arg(setting);
            }
        }
        Home::User => {
            // These would send git to another repository than the one it is started in.
            for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY"] {
                command.env_remove(name);
            }
        }
    }
    command.env("GIT_TERMINAL_PROMPT", "0").env("LC_ALL", "C");
}

fn content(file: &mut std::fs::File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The end of what git said, in one line; addresses lose the credentials in them.
fn last_words(said: &[u8]) -> String {
    let said = String::from_utf8_lossy(said);
    let lines: Vec<_> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let last = lines[lines.len().saturating_sub(5)..].join("; ");
    let words = last.split(' ').map(|word| match word.split_once("://") {
        Some((scheme, rest)) if rest.contains('@') => {
            format!("{scheme}://{}", rest.rsplit('@').next().unwrap_or_default())
        }
        _ => word.to_owned(),
    });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_in_messages_lose_their_credentials() {
        let said = b"warning: x\nfatal: unable to access 'https://me:s3cret@host/x.git/': no\n";
        let words = last_words(said);
        assert!(!words.contains("s3cret") && words.contains("host/x.git"), "{words}");
    }

    #[test]
    fn only_full_object_names_are_commits() {
        assert!(is_commit(&"0f".repeat(20)) && is_commit(&"a".repeat(64)));
        for bad in ["", "HEAD", "--all", &"g".repeat(40), &"A".repeat(40)] {
            assert!(!is_commit(bad), "{bad}");
        }
    }
}
