//! Programs that run the command in their arguments.

/// How to find the command in a wrapper's arguments.
pub(crate) struct Wrapper {
    names: &'static [&'static str],
    /// Leading words, such as `run` or `exec --`, that must follow the name.
    words: &'static [&'static str],
    /// Options whose value is the next argument.
    pub(crate) values: &'static [&'static str],
    /// Arguments between the options and the command.
    pub(crate) skip: usize,
    pub(crate) kind: Kind,
}

/// What the found arguments are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A program and its arguments.
    Argv,
    /// The same, after a `--` only.
    AfterDashes,
    /// Words that a shell reads.
    Script,
    /// Each word is a script of its own.
    Scripts,
}

const fn argv(names: &'static [&'static str], values: &'static [&'static str]) -> Wrapper {
    Wrapper { names, words: &[], values, skip: 0, kind: Kind::Argv }
}

const fn skipping(
    names: &'static [&'static str],
    values: &'static [&'static str],
    skip: usize,
) -> Wrapper {
    Wrapper { names, words: &[], values, skip, kind: Kind::Argv }
}

const fn sub(
    names: &'static [&'static str],
    words: &'static [&'static str],
    values: &'static [&'static str],
) -> Wrapper {
    Wrapper { names, words, values, skip: 0, kind: Kind::Argv }
}

const fn dashes(names: &'static [&'static str], words: &'static [&'static str]) -> Wrapper {
    Wrapper { names, words, values: &[], skip: 0, kind: Kind::AfterDashes }
}

const SUDO_VALUES: &[&str] = &[
    "-u",
    "-g",
    "-h",
    "-p",
    "-C",
    "-D",
    "-R",
    "-T",
    "-r",
    "-t",
    "-U",
    "-a",
    "-c",
    "--user",
    "--group",
    "--host",
    "--prompt",
    "--chdir",
    "--chroot",
    "--close-from",
    "--command-timeout",
];

/// Programs that raise rights; the command inside counts as well.
pub(crate) const RAISING: &[&str] =
    &["sudo", "doas", "pkexec", "gosu", "su-exec", "run0", "gsudo", "dzdo", "please"];

const WRAPPERS: &[Wrapper] = &[
    argv(RAISING, SUDO_VALUES),
    argv(&["nice"], &["-n", "--adjustment"]),
    argv(&["ionice"], &["-c", "-n", "--class", "--classdata"]),
    argv(
        &[
            "nohup",
            "setsid",
            "unbuffer",
            "caffeinate",
            "winpty",
            "noglob",
            "nocorrect",
            "chronic",
            "coproc",
        ],
        &[],
    ),
    argv(&["builtin", "command", "eatmydata", "fakeroot", "torsocks", "torify"], &[]),
    argv(&["exec"], &["-a"]),
    argv(&["time", "gtime"], &["-f", "-o", "--format", "--output"]),
    argv(&["stdbuf"], &["-i", "-o", "-e"]),
    argv(&["busybox", "toybox"], &[]),
    skipping(&["timeout", "gtimeout"], &["-s", "-k", "--signal", "--kill-after"], 1),
    skipping(&["taskset", "chrt"], &[], 1),
    skipping(&["flock"], &["-w", "-E", "--wait", "--timeout"], 1),
    skipping(&["chroot"], &[], 1),
    skipping(&["cgexec", "cpulimit"], &["-g", "-l"], 0),
    argv(&["strace", "ltrace"], &["-o", "-e", "-p", "-s", "-u", "-E"]),
    argv(&["valgrind", "catchsegv", "rlwrap", "proxychains", "proxychains4", "firejail"], &[]),
    argv(&["xvfb-run"], &["-s", "-n", "-e", "--server-args"]),
    argv(&["systemd-run"], &["-u", "-p", "-t", "--unit", "--property", "--slice"]),
    argv(
        &["unshare", "nsenter", "setpriv", "bwrap", "setarch", "dbus-run-session"],
        &["-t", "-S", "-G"],
    ),
    argv(&["start"], &[]),
    argv(
        &["entr", "retry", "chpst", "softlimit", "dotenv", "cross-env", "env-cmd"],
        &["-f", "-t", "-d"],
    ),
    Wrapper {
        names: &["watch", "viddy"],
        words: &[],
        values: &["-n", "--interval"],
        skip: 0,
        kind: Kind::Script,
    },
    Wrapper {
        names: &["hyperfine", "concurrently", "npm-run-all"],
        words: &[],
        values: &["-n", "-w", "-r", "-m", "-M", "--warmup", "--runs", "--names", "-c"],
        skip: 0,
        kind: Kind::Scripts,
    },
    sub(
        &["npx", "bunx", "pnpx", "uvx", "pipx-run"],
        &[],
        &["-p", "--package", "--from", "--with", "-c"],
    ),
    sub(&["npm", "pnpm"], &["exec"], &["-p", "--package", "-c"]),
    sub(&["pnpm", "yarn", "bun"], &["dlx"], &["-p", "--package"]),
    sub(&["yarn", "bun"], &["x"], &[]),
    sub(&["yarn"], &["exec"], &[]),
    sub(
        &["pipx", "poetry", "pipenv", "pdm", "rye", "hatch", "conda", "mamba", "micromamba"],
        &["run"],
        &["-n", "--name", "-p", "--spec", "-e"],
    ),
    sub(
        &["uv"],
        &["run"],
        &[
            "--with",
            "--python",
            "-p",
            "--project",
            "--extra",
            "--group",
            "--env-file",
            "--directory",
            "--package",
            "--index-url",
        ],
    ),
    sub(&["uv"], &["tool", "run"], &["--from", "--with", "--python", "-p"]),
    sub(&["bundle", "rtx", "asdf"], &["exec"], &[]),
    sub(&["rustup"], &["run"], &[]),
    sub(&["perf"], &["record"], &["-o", "-F", "-e"]),
    sub(&["perf"], &["stat"], &["-e", "-r"]),
    dashes(&["op", "doppler", "infisical", "teller", "chamber", "dotenvx", "vercel"], &["run"]),
    dashes(&["aws-vault", "mise", "chamber", "rtx", "saml2aws"], &["exec"]),
    dashes(&["envchain", "dotenv", "dotenvx", "with-contenv"], &[]),
    Wrapper { names: &["direnv"], words: &["exec"], values: &[], skip: 1, kind: Kind::Argv },
    Wrapper { names: &["vagrant"], words: &["ssh"], values: &[], skip: 9, kind: Kind::Argv },
    Wrapper { names: &["lxc", "incus"], words: &["exec"], values: &[], skip: 1, kind: Kind::Argv },
    sub(&["wsl"], &[], &["-d", "-u", "--distribution", "--user"]),
    sub(&["git"], &["bisect", "run"], &[]),
    sub(&["heroku"], &["run"], &["-a", "--app", "-s", "--size", "-r", "--remote", "--type", "-e"]),
    sub(&["heroku"], &["run:detached"], &["-a", "--app", "-s", "--size", "-r", "--remote"]),
    sub(&["railway"], &["run"], &["-s", "--service", "-e", "--environment", "-p", "--project"]),
    sub(&["toolbox"], &["run"], &["-c", "--container", "-d", "-r"]),
    sub(&["multipass"], &["exec"], &["-d", "--working-directory"]),
    dashes(&["gcloud"], &["compute", "ssh"]),
    dashes(&["distrobox"], &["enter"]),
    dashes(&["fly", "flyctl"], &["machine", "exec"]),
];

/// Whether a wrapper is asked about itself.
pub(crate) fn about_itself(args: &[&str]) -> bool {
    args.first().is_some_and(|arg| arg.starts_with("--") && arg.contains("completion"))
}

/// The wrapper that a command line begins with, and the number of its leading words.
pub(crate) fn find(program: &str, args: &[&str]) -> Option<(&'static Wrapper, usize)> {
    if about_itself(args) {
        return None;
    }
    WRAPPERS.iter().find_map(|wrapper| {
        let fits = wrapper.names.contains(&program)
            && wrapper.words.len() <= args.len()
            && wrapper.words.iter().zip(args).all(|(word, arg)| word == arg);
        fits.then_some((wrapper, wrapper.words.len()))
    })
}

/// The index of the first argument that is neither an option nor an option's value; `--` ends options.
/// With `assignments`, `NAME=value` is passed over too.
pub(crate) fn first_operand(args: &[&str], values: &[&str], assignments: bool) -> usize {
    let mut at = 0;
    while let Some(arg) = args.get(at) {
        if *arg == "--" {
            return at + 1;
        }
        if arg.len() > 1 && arg.starts_with('-') {
            at += if values.contains(arg) { 2 } else { 1 };
        } else if assignments && is_assignment(arg) {
            at += 1;
        } else {
            break;
        }
    }
    at.min(args.len())
}

pub(crate) fn is_assignment(text: &str) -> bool {
    text.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty()
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
            && !name.starts_with('-')
    })
}

/// The value of an option: `-c value`, `-cvalue`, `--command value` or `--command=value`.
pub(crate) fn option_values<'a>(args: &[&'a str], names: &[&str]) -> Vec<&'a str> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < args.len() {
        let arg = args[at];
        for name in names {
            if arg == *name {
                found.extend(args.get(at + 1).copied());
                at += 1;
                break;
            }
            let Some(rest) = arg.strip_prefix(name) else { continue };
            if name.starts_with("--") {
                found.extend(rest.strip_prefix('='));
            } else if name.len() == 2 && !rest.is_empty() {
                found.push(rest);
            }
        }
        at += 1;
    }
    found
}
