//! Runs git, which may be absent, slow or configured in any way, so that none of it affects a plan: no hooks,
//! no programs of the repository, no network, no prompt, and always a deadline.

mod environment;

use std::ffi::OsStr;
use std::io::{self, ErrorKind, Read, Seek};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use wait_timeout::ChildExt;

pub use environment::{is_secret, without_secrets};

/// How long a query may take.
const QUICK: Duration = Duration::from_secs(5);
/// How long a checkout, applying a patch or a push may take.
const WORK: Duration = Duration::from_secs(300);

/// Why git failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GitError {
    /// git is not installed.
    #[error("git is not installed; install it to make branches out of plans")]
    Absent,
    /// It took too long.
    #[error("`git {0}` did not end in time; try again")]
    TimedOut(String),
    /// The repository belongs to another user, and git does not read its settings.
    #[error(
        "the repository belongs to another user; run the command as that user, or change the owner of \
         the repository"
    )]
    OtherOwner,
    /// It refused.
    #[error("`git {command}` failed: {message}")]
    Failed {
        /// The subcommand.
        command: String,
        /// The cause, shortened and without credentials.
        message: String,
    },
    /// It could not be started.
    #[error("git could not be started: {0}")]
    Io(#[from] io::Error),
}

/// Whose settings git uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// Nobody's: the environment is cleared.
    Isolated,
    /// The user's, for a push with the user's credentials.
    User,
}

/// Queries the repository at `dir`.
pub(crate) fn query<A: AsRef<OsStr>>(dir: &Path, args: &[A]) -> Result<Vec<u8>, GitError> {
    run(dir, args, QUICK, Scope::Isolated)
}

/// Runs a command that works on the repository at `dir`. The filters that the repository configures (`lfs`,
/// `smudge`) are programs too and stay off, so their files keep the form in which git stores them.
pub(crate) fn work<A: AsRef<OsStr>>(dir: &Path, args: &[A]) -> Result<Vec<u8>, GitError> {
    let mut all: Vec<_> = without_filters(dir)?.into_iter().map(std::ffi::OsString::from).collect();
    all.extend(args.iter().map(|arg| arg.as_ref().to_owned()));
    run(dir, &all, WORK, Scope::Isolated)
}

/// Pushes `refspec` to a remote that the repository knows by name, with the user's own settings and
/// credentials. Neither hooks nor the program that the repository names for the other side are run.
pub(crate) fn push(dir: &Path, remote: &str, refspec: &str) -> Result<(), GitError> {
    let args = ["push", "--no-verify", "--receive-pack=git-receive-pack", "--", remote, refspec];
    run(dir, &args, WORK, Scope::User).map(drop)
}

/// Whether a text is a full object name (SHA-1 or SHA-256), and so no option and no expression.
pub(crate) fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// `-c` options that turn every configured filter off.
fn without_filters(dir: &Path) -> Result<Vec<String>, GitError> {
    let args = [
        "config",
        "--null",
        "--name-only",
        "--get-regexp",
        r"^filter\..*\.(smudge|clean|process|required)$",
    ];
    let names = match query(dir, &args) {
        Ok(names) => names,
        // git ends with 1 if no name matches, and says nothing.
        Err(GitError::Failed { message, .. }) if message.is_empty() => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let names = String::from_utf8_lossy(&names).into_owned();
    let off = |name: &str| {
        let value = if name.ends_with(".required") { "false" } else { "" };
        ["-c".to_owned(), format!("{name}={value}")]
    };
    Ok(names.split('\0').filter(|name| !name.is_empty()).flat_map(off).collect())
}

fn run<A: AsRef<OsStr>>(
    dir: &Path,
    args: &[A],
    deadline: Duration,
    scope: Scope,
) -> Result<Vec<u8>, GitError> {
    // Files, not pipes: a full pipe would block git, and reading two at once takes threads.
    let (mut out, mut err) = (tempfile::tempfile()?, tempfile::tempfile()?);
    let mut command = Command::new("git");
    command.current_dir(dir).stdin(Stdio::null()).stdout(out.try_clone()?).stderr(err.try_clone()?);
    match scope {
        Scope::Isolated => environment::isolate(&mut command),
        Scope::User => environment::as_user(&mut command),
    }
    command.env("GIT_TERMINAL_PROMPT", "0").env("LC_ALL", "C");
    in_a_group(&mut command);
    let spawned = command.args(args).spawn();
    let mut child = spawned.map_err(|error| match error.kind() {
        ErrorKind::NotFound => GitError::Absent,
        _ => GitError::Io(error),
    })?;
    let Some(status) = child.wait_timeout(deadline)? else {
        kill_group(&mut child)?;
        return Err(GitError::TimedOut(subcommand(args)));
    };
    if status.success() {
        return Ok(content(&mut out)?);
    }
    let message = cause(&content(&mut err)?);
    if message.contains("dubious ownership") {
        return Err(GitError::OtherOwner);
    }
    Err(GitError::Failed { command: subcommand(args), message })
}

/// The name after the options.
fn subcommand<A: AsRef<OsStr>>(args: &[A]) -> String {
    let mut args = args.iter().map(|arg| arg.as_ref().to_string_lossy());
    while let Some(arg) = args.next() {
        if arg == "-c" {
            args.next();
        } else {
            return arg.into_owned();
        }
    }
    String::new()
}

/// A group of its own, so that the programs that git starts can be ended with it.
#[cfg(unix)]
fn in_a_group(command: &mut Command) {
    std::os::unix::process::CommandExt::process_group(command, 0);
}

#[cfg(not(unix))]
fn in_a_group(_command: &mut Command) {}

fn kill_group(child: &mut Child) -> io::Result<()> {
    #[cfg(unix)]
    if let Some(group) = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw) {
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
    child.kill()?;
    child.wait().map(drop)
}

fn content(file: &mut std::fs::File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Why git failed, in one line: its errors without the hints, or its last lines if it names none. Addresses
/// lose their credentials.
fn cause(output: &[u8]) -> String {
    let output = String::from_utf8_lossy(output);
    let lines = output.lines().map(str::trim);
    let lines: Vec<_> =
        lines.filter(|line| !line.is_empty() && !line.starts_with("hint:")).collect();
    let is_error = |line: &&&str| line.starts_with("error:") || line.starts_with("fatal:");
    let errors: Vec<_> = lines.iter().filter(is_error).copied().collect();
    let lines = if errors.is_empty() { lines } else { errors };
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
        let cause = cause(said);
        assert!(!cause.contains("s3cret") && cause.contains("host/x.git"), "{cause}");
    }

    #[test]
    fn the_cause_is_the_error_and_not_the_advice() {
        let said =
            b"Applying: x\nerror: patch failed: a.bat:1\nhint: one\nhint: two\nhint: three\n\
            hint: four\nhint: five\nPatch failed at 0001\n";
        assert_eq!(cause(said), "error: patch failed: a.bat:1");
        assert_eq!(cause(b"only this\n"), "only this");
        assert_eq!(subcommand(&["-c", "a=b", "am", "--quiet"]), "am");
    }

    #[test]
    fn only_full_object_names_are_commits() {
        assert!(is_commit(&"0f".repeat(20)) && is_commit(&"a".repeat(64)));
        for bad in ["", "HEAD", "--all", &"g".repeat(40), &"A".repeat(40)] {
            assert!(!is_commit(bad), "{bad}");
        }
    }
}
