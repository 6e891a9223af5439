//! Credentials that a command prints, and whether they leave the machine.

use super::assessment::Invocation;
use super::effect::{CommandEffect, TargetClass};
use super::evaluate::{Evaluator, Scope};
use super::expand::Field;
use super::secrets::{READERS, SINKS, Secrecy, prints_secret, secrecy};
use super::wrappers::option_values;

impl Evaluator {
    /// Whether what the program prints holds credentials; raises the effect when they leave the machine.
    pub(crate) fn judge_secrets(
        &self,
        part: &mut Invocation,
        argv: &[Field],
        scope: &Scope,
    ) -> bool {
        let program = part.program.clone();
        let mut found = prints_secret(&program, &part.subcommand, &part.args);
        if found == Some(Secrecy::Credentials) {
            part.raise(CommandEffect::Exfiltrate, "reads-credentials");
        }
        let named =
            part.targets.iter().filter_map(|target| secrecy(&self.place.full(&target.text))).max();
        let reader = READERS.contains(&program.as_str());
        if reader {
            found = found.max(named);
            // Deleting or replacing a credential is judged by its target.
            if named == Some(Secrecy::Credentials)
                && !matches!(program.as_str(), "mv" | "ln" | "install")
            {
                part.raise(CommandEffect::Exfiltrate, "reads-credentials");
            }
        }
        if SINKS.contains(&program.as_str()) && !local_only(part) {
            let piped = scope.stdin.as_ref().is_some_and(|stdin| {
                stdin.secret
                    || stdin
                        .programs
                        .iter()
                        .any(|from| matches!(from.as_str(), "tar" | "zip" | "gtar"))
            });
            // The commands of a cloud store credentials that they are given.
            let stores = part
                .subcommand
                .first()
                .is_some_and(|word| word == "configure" || word == "secrets");
            let data = !stores
                && argv.iter().enumerate().any(|(at, field)| {
                    let header = at > 0
                        && matches!(
                            argv[at - 1].text.as_str(),
                            "-H" | "--header" | "-u" | "--user" | "-b" | "--cookie"
                        );
                    field.secret && !header
                });
            let sends_file = matches!(
                program.as_str(),
                "scp"
                    | "sftp"
                    | "rsync"
                    | "rclone"
                    | "aws"
                    | "gsutil"
                    | "az"
                    | "azcopy"
                    | "mc"
                    | "s3cmd"
                    | "croc"
                    | "wormhole"
                    | "mail"
                    | "mutt"
                    | "mailx"
                    | "openssl"
            ) && named.is_some()
                && part
                    .targets
                    .iter()
                    .any(|target| target.class == TargetClass::Remote || target.text.contains(':'))
                && !key_option(part, &named);
            if piped || data || sends_file {
                part.raise(CommandEffect::Exfiltrate, "sends-credentials");
            }
            let raw = matches!(program.as_str(), "nc" | "ncat" | "netcat" | "telnet");
            let shell = scope.stdin.as_ref().is_some_and(|stdin| {
                stdin.programs.iter().any(|from| super::special::SHELLS.contains(&from.as_str()))
            });
            if raw && shell {
                part.raise(CommandEffect::Escalate, "reverse-shell");
            }
            let dns = matches!(program.as_str(), "dig" | "nslookup" | "host");
            let token = scope.stdin.as_ref().is_some_and(|stdin| stdin.token);
            if (raw && (token || argv.iter().any(Field::names_token)))
                || (dns && argv.iter().any(Field::names_token))
            {
                part.raise(CommandEffect::Exfiltrate, "sends-credentials");
            }
            if raw && scope.stdin.as_ref().is_some_and(|stdin| stdin.file) {
                part.raise(CommandEffect::Exfiltrate, "sends-file");
            }
        }
        if program == "export" || program == "declare" || program == "set" {
            return found.is_some() && part.args.iter().all(|arg| arg == "-p" || arg == "-x");
        }
        found.is_some()
    }
}

/// A key named with `-i` is used, not sent.
fn key_option(part: &Invocation, named: &Option<Secrecy>) -> bool {
    let args: Vec<&str> = part.args.iter().map(String::as_str).collect();
    let keys = option_values(&args, &["-i"]);
    let others = part.subcommand.iter().filter(|word| !keys.contains(&word.as_str()));
    named.is_some() && !keys.is_empty() && others.filter_map(|word| secrecy(word)).next().is_none()
}

fn local_only(part: &Invocation) -> bool {
    let mut hosts = part.subcommand.iter().filter(|word| {
        word.contains("localhost") || word.contains("127.0.0.1") || word.contains("[::1]")
    });
    hosts.next().is_some()
        && !part.subcommand.iter().any(|word| {
            word.contains("://") && !word.contains("localhost") && !word.contains("127.0.0.1")
        })
}
