//! HTTP clients: the method, the address and what is sent.

use super::assessment::Invocation;
use super::effect::CommandEffect;
use super::secrets::secrecy;
use super::wrappers::option_values;

pub(crate) const CLIENTS: &[&str] = &[
    "curl",
    "wget",
    "http",
    "https",
    "xh",
    "xhs",
    "httpie",
    "curlie",
    "Invoke-WebRequest",
    "Invoke-RestMethod",
    "iwr",
    "irm",
];

const DATA: &[&str] = &[
    "-d",
    "--data",
    "--data-raw",
    "--data-binary",
    "--data-ascii",
    "--data-urlencode",
    "-F",
    "--form",
    "--form-string",
    "-T",
    "--upload-file",
    "--json",
    "--post-data",
    "--post-file",
    "--body-data",
    "--body-file",
    "-Body",
    "-InFile",
];

const VERBS: &[&str] = &[
    "delete",
    "destroy",
    "purge",
    "truncate",
    "terminate",
    "revoke",
    "drop",
    "wipe",
    "flush",
    "erase",
    "remove",
    "shutdown",
    "_delete_by_query",
    "_close",
    "_cluster",
    "dodelete",
    "delete-batch",
    "deactivate",
    "cancel",
    "_shutdown",
    "restart",
    "_forcemerge",
    "reset",
    "uninstall",
    "archive",
    "leave",
    "refunds",
    "payouts",
    "transfers",
];

/// Judges the request that the arguments describe.
pub(crate) fn judge(part: &mut Invocation) {
    let given = part.args.clone();
    let args: Vec<&str> = given.iter().map(String::as_str).collect();
    let data = option_values(&args, DATA);
    let method = method(&part.program, &args, !data.is_empty());
    let addresses: Vec<&str> = part
        .subcommand
        .iter()
        .map(String::as_str)
        .filter(|word| word.contains(['/', '.', ':']) && !word.contains(' '))
        .collect();
    let mut effect = CommandEffect::Read;
    let mut rule = "http-read";
    match method.as_str() {
        "GET" | "HEAD" | "OPTIONS" => {}
        "DELETE" if addresses.iter().all(|address| is_local_record(address)) => {
            (effect, rule) = (CommandEffect::Change, "http-change");
        }
        "DELETE" | "PURGE" => (effect, rule) = (CommandEffect::Destroy, "http-delete"),
        _ => {
            (effect, rule) = (CommandEffect::Change, "http-change");
            if addresses.iter().any(|address| path_destroys(address)) {
                (effect, rule) = (CommandEffect::Destroy, "http-destroying-path");
            }
            if data.iter().any(|data| body_destroys(data))
                || part.subcommand.iter().any(|word| word.contains('{') && body_destroys(word))
            {
                (effect, rule) = (CommandEffect::Destroy, "http-destroying-body");
            }
        }
    }
    let sends_file = |arg: &str| {
        matches!(arg, "-T" | "--upload-file" | "--post-file" | "--body-file" | "-InFile")
            || arg.starts_with("--post-file=")
            || arg.starts_with("--upload-file=")
    };
    // Once: a command can have thousands of arguments.
    let direct = args.iter().any(|arg| sends_file(arg));
    let secret_file = data
        .iter()
        .chain(part.subcommand.iter().map(String::as_str).collect::<Vec<_>>().iter())
        .any(|value| {
            let file = value.rsplit_once('@').map(|(_, file)| file);
            let file = file.or(direct.then_some(*value));
            file.is_some_and(|file| {
                let file = file.split(';').next().unwrap_or(file);
                let of_system = ["/etc/", "/root/", "/proc/", "/var/lib/"];
                secrecy(file).is_some() || of_system.iter().any(|folder| file.starts_with(folder))
            })
        });
    part.raise(effect, rule);
    if secret_file {
        part.raise(CommandEffect::Exfiltrate, "sends-credentials");
    }
}

/// One record of a service under development on this machine: `http://localhost:3000/users/1`.
fn is_local_record(address: &str) -> bool {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let Some((host, path)) = rest.split_once('/') else { return false };
    let (name, port) = host.rsplit_once(':').unwrap_or((host, ""));
    let segments: Vec<&str> = path.split('/').collect();
    let record = segments.last().is_some_and(|last| {
        !last.is_empty()
            && last.chars().any(|c| c.is_ascii_digit())
            && last.chars().all(|c| c.is_ascii_hexdigit() || c == '-')
    });
    // Not the ports of gateways and search engines, which drop whole indexes this way.
    let in_development = port.is_empty()
        || matches!(port, "3000" | "3001" | "3333" | "4000" | "5000" | "5173" | "8000" | "8080");
    matches!(name, "localhost" | "127.0.0.1") && in_development && segments.len() >= 2 && record
}

fn method(program: &str, args: &[&str], data: bool) -> String {
    let named = option_values(args, &["-X", "--request", "--method", "-Method"]);
    if let Some(method) = named.first() {
        return method.trim_start_matches('=').to_ascii_uppercase();
    }
    if matches!(program, "http" | "https" | "xh" | "xhs" | "httpie") {
        let upper = args.iter().find(|arg| {
            arg.len() >= 3 && arg.len() <= 7 && arg.chars().all(|c| c.is_ascii_uppercase())
        });
        if let Some(method) = upper {
            return (*method).to_owned();
        }
    }
    if args.iter().any(|arg| matches!(*arg, "-G" | "--get" | "-I" | "--head")) {
        return "GET".to_owned();
    }
    // A short cluster such as `-sXDELETE`.
    let cluster = args.iter().find_map(|arg| {
        let rest = arg.strip_prefix('-').filter(|rest| !rest.starts_with('-'))?;
        let (before, method) = rest.split_once('X')?;
        (before.chars().all(|c| c.is_ascii_alphabetic())
            && method.chars().all(|c| c.is_ascii_uppercase()))
        .then(|| method.to_owned())
    });
    if let Some(method) = cluster {
        if !method.is_empty() {
            return method;
        }
        let at = args.iter().position(|arg| arg.starts_with('-') && arg.ends_with('X'));
        if let Some(next) = at.and_then(|at| args.get(at + 1)) {
            return next.to_ascii_uppercase();
        }
    }
    if data { "POST".to_owned() } else { "GET".to_owned() }
}

fn path_destroys(address: &str) -> bool {
    let path = address.split_once("://").map_or(address, |(_, rest)| rest);
    let path = path.split(['?', '#']).next().unwrap_or(path);
    path.split('/').skip(1).any(|segment| {
        let segment = segment.to_ascii_lowercase();
        VERBS.iter().any(|verb| {
            segment == *verb
                || segment
                    .strip_prefix(verb)
                    .is_some_and(|rest| rest.starts_with(['-', '_', ':', '.']))
                || segment
                    .strip_suffix(verb)
                    .is_some_and(|rest| rest.ends_with(['-', '_', ':', '.']))
        })
    })
}

fn body_destroys(body: &str) -> bool {
    let lower = body.to_ascii_lowercase();
    let graphql = lower.contains("mutation")
        && ["delete", "remove", "destroy", "purge", "archive", "drop", "cancel", "revoke"]
            .iter()
            .any(|verb| lower.contains(verb));
    let sql = {
        let start = lower
            .find("drop ")
            .or_else(|| lower.find("delete from"))
            .or_else(|| lower.find("truncate "));
        start.is_some_and(|at| super::sql::effect(&body[at..]) >= CommandEffect::Destroy)
    };
    let action = lower.contains("\"action\":\"delete")
        || lower.contains("\"op\":\"delete")
        || lower.contains("\"delete\":{")
        || lower.replace(' ', "").contains("\"private\":false");
    graphql || sql || action
}
