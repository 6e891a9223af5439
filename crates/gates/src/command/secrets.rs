//! Credentials that commands read or send: files, variables and the output of secret stores.

use super::evaluate::Evaluator;
use super::targets::normalize;

/// How much a file's content gives away.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Secrecy {
    /// Settings that often hold credentials; reading them in place is ordinary work.
    Settings,
    /// Keys and credential stores.
    Credentials,
}

/// Whether a path names a file with credentials.
pub(crate) fn secrecy(path: &str) -> Option<Secrecy> {
    let path = normalize(&path.replace('\\', "/"));
    let name = path.rsplit('/').next().unwrap_or_default();
    let lower = name.to_ascii_lowercase();
    let below = |folder: &str| {
        path.contains(&format!("/{folder}/")) || path.starts_with(&format!("{folder}/"))
    };
    let public = lower.ends_with(".pub") || lower.contains("known_hosts");
    let example =
        ["example", "sample", "template", "dist", "schema"].iter().any(|word| lower.contains(word));
    if public || example {
        return None;
    }
    let ssh =
        below(".ssh") && !matches!(lower.as_str(), "config" | "authorized_keys" | "environment");
    let key = lower.starts_with("id_rsa")
        || lower.starts_with("id_ed25519")
        || lower.starts_with("id_ecdsa")
        || lower.starts_with("id_dsa");
    let stores = matches!(
        lower.as_str(),
        ".netrc"
            | "_netrc"
            | ".git-credentials"
            | ".s3cfg"
            | ".boto"
            | ".dockercfg"
            | "rclone.conf"
            | ".credentials.json"
            | "oauth_creds.json"
            | "credentials.db"
            | "access_tokens.db"
            | ".xauthority"
            | ".msmtprc"
            | ".fetchmailrc"
            | "msal_token_cache.json"
            | "azureprofile.json"
            | ".pgpass"
            | ".my.cnf"
            | ".pypirc"
            | "shadow"
            | "gshadow"
            | "master.passwd"
            | "wallet.dat"
            | "login data"
            | "logins.json"
            | "key4.db"
            | ".vault-token"
            | "credentials.tfrc.json"
            | "sam"
            | "ntds.dit"
            | "cookies.sqlite"
            | ".htpasswd"
            | "accesstokens.json"
            | "application_default_credentials.json"
    ) && lower != "sam";
    let config = (lower == "credentials" && (below(".aws") || below(".cargo")))
        || (lower == "config" && below(".kube"))
        || (lower == "config.json" && below(".docker"))
        || (lower == "hosts.yml" && below("gh"))
        || (lower == "config.yml" && (below(".fly") || below(".config/hub")))
        || (lower == "config.yaml" && below("doctl"))
        || (lower == "config.toml" && below("stripe"))
        || (lower == "config" && below(".oci"))
        || (lower == "token" && (below("huggingface") || below(".huggingface")))
        || ((lower == "hosts.json" || lower == "apps.json") && below("github-copilot"))
        || (lower == "credentials.json" && (below(".pulumi") || below(".config")))
        || (lower == "id.json" && below("solana"))
        || ((lower == "cookies" || lower == "web data" || lower == "local state")
            && browser(&path))
        || (below(".gem") && lower == "credentials")
        || below(".config/op")
        || (matches!(lower.as_str(), "auth.json" | "credentials.toml" | "access-token")
            && (path.starts_with("~/.") || path.contains("/.")))
        || below("keyrings")
        || path == "/etc/shadow"
        || path == "/etc/sudoers"
        || below(".gnupg")
        || below(".password-store")
        || below("Keychains")
        || path.ends_with(".ssh")
        || path.ends_with(".aws")
        || path.ends_with(".gnupg")
        || path.ends_with(".kube")
        || path == "~/.config"
        || (path.starts_with("/proc/") && lower == "environ")
        || below("run/secrets")
        || below("serviceaccount");
    if ssh || key || stores || config {
        return Some(Secrecy::Credentials);
    }
    let env = lower == ".env" || lower.starts_with(".env.") || lower == ".envrc";
    let history = lower.ends_with("_history") || lower == "consolehost_history.txt";
    let settings = env
        || history
        || matches!(
            lower.as_str(),
            ".npmrc"
                | "gradle.properties"
                | "wp-config.php"
                | ".yarnrc.yml"
                | "secrets.yml"
                | "secrets.yaml"
                | "secrets.json"
                | "credentials.json"
                | "service-account.json"
                | "terraform.tfstate"
                | "secrets.toml"
                | "credentials.yml.enc"
                | "master.key"
                | "kubeconfig"
                | "credentials"
                | "secrets.env"
        )
        || ["pem", "key", "p12", "pfx", "keystore", "jks", "kdbx", "asc", "ppk", "tfstate"]
            .iter()
            .any(|end| lower.strip_suffix(end).is_some_and(|rest| rest.ends_with('.')));
    env_or(settings)
}

fn browser(path: &str) -> bool {
    let lower = path.to_ascii_lowercase();
    ["chrome", "chromium", "brave", "edge", "firefox", "safari", "opera", "vivaldi"]
        .iter()
        .any(|name| lower.contains(name))
}

/// Whether a variable of this name holds a credential, by the conventions of its makers.
pub(crate) fn secret_variable(name: &str) -> bool {
    let ends = |end: &str| name == end || name.ends_with(&format!("_{end}"));
    ["SECRET_ACCESS_KEY", "PRIVATE_KEY", "SSH_KEY", "SESSION_TOKEN", "SECRET_KEY"]
        .iter()
        .any(|end| ends(end))
}

/// The same, with names that ordinary requests use as well.
pub(crate) fn token_variable(name: &str) -> bool {
    let ends = |end: &str| name == end || name.ends_with(&format!("_{end}"));
    secret_variable(name)
        || [
            "TOKEN",
            "PASSWORD",
            "PASSWD",
            "API_KEY",
            "APIKEY",
            "SECRET",
            "DATABASE_URL",
            "ACCESS_KEY",
        ]
        .iter()
        .any(|end| ends(end))
}

fn env_or(settings: bool) -> Option<Secrecy> {
    settings.then_some(Secrecy::Settings)
}

/// Programs that print or copy what they read.
pub(crate) const READERS: &[&str] = &[
    "cat",
    "tac",
    "less",
    "more",
    "head",
    "tail",
    "bat",
    "batcat",
    "nl",
    "strings",
    "xxd",
    "od",
    "hexdump",
    "base64",
    "base32",
    "grep",
    "egrep",
    "fgrep",
    "rg",
    "ag",
    "ack",
    "sed",
    "awk",
    "gawk",
    "cut",
    "sort",
    "uniq",
    "cp",
    "tar",
    "zip",
    "7z",
    "gzip",
    "dd",
    "vim",
    "vi",
    "nano",
    "view",
    "Get-Content",
    "gc",
    "type",
    "jq",
    "yq",
    "source",
    ".",
    "pr",
    "fold",
    "rev",
    "tr",
    "paste",
    "diff",
    "comm",
    "xargs",
    "openssl",
    "gpg",
    "perl",
    "ruby",
    "php",
    "sqlite3",
    "ed",
    "ex",
    "shuf",
    "jless",
    "pygmentize",
    "highlight",
    "cmp",
    "csplit",
    "xclip",
    "pbcopy",
    "mv",
    "install",
    "rsync",
    "ln",
    "env",
    "Copy-Item",
    "copy",
    "split",
    "expand",
    "iconv",
    "column",
    "fmt",
];

/// Programs that move data to another machine when given data or a file.
pub(crate) const SINKS: &[&str] = &[
    "curl",
    "wget",
    "http",
    "https",
    "xh",
    "nc",
    "ncat",
    "netcat",
    "socat",
    "telnet",
    "ssh",
    "scp",
    "sftp",
    "rsync",
    "ftp",
    "tftp",
    "mail",
    "mailx",
    "mutt",
    "sendmail",
    "rclone",
    "aws",
    "gsutil",
    "gcloud",
    "az",
    "azcopy",
    "mc",
    "s3cmd",
    "dig",
    "nslookup",
    "host",
    "croc",
    "magic-wormhole",
    "wormhole",
    "gist",
    "pastebinit",
    "termbin",
    "ngrok",
    "Invoke-WebRequest",
    "Invoke-RestMethod",
    "iwr",
    "irm",
    "openssl",
    "msmtp",
    "swaks",
    "transfer",
    "ffsend",
    "slackcat",
    "telegram-send",
];

impl Evaluator {
    /// Whether the file counts as a secret once it leaves the machine.
    pub(crate) fn reads_secret(&self, path: &str) -> bool {
        secrecy(path).is_some()
    }
}

/// Whether the command prints credentials out of a store.
pub(crate) fn prints_secret(program: &str, words: &[String], args: &[String]) -> Option<Secrecy> {
    let word = |at: usize| words.get(at).map_or("", String::as_str);
    let flag = |name: &str| args.iter().any(|arg| arg == name);
    match program {
        "op" if word(0) == "read"
            || (word(0) == "item" && word(1) == "get" && flag("--reveal")) =>
        {
            Some(Secrecy::Credentials)
        }
        "security" if word(0).starts_with("find-") && (flag("-w") || flag("-g")) => {
            Some(Secrecy::Credentials)
        }
        "security" if matches!(word(0), "dump-keychain" | "export") => Some(Secrecy::Credentials),
        "gpg" | "gpg2" if args.iter().any(|arg| arg.starts_with("--export-secret")) => {
            Some(Secrecy::Credentials)
        }
        "bw" if word(0) == "export" => Some(Secrecy::Credentials),
        "pass"
            if !words.is_empty()
                && !matches!(word(0), "ls" | "git" | "insert" | "init" | "find") =>
        {
            Some(Secrecy::Settings)
        }
        "env" | "printenv" | "set" | "export" | "declare"
            if words.is_empty() || program == "printenv" =>
        {
            Some(Secrecy::Settings)
        }
        "gh" | "glab" if word(0) == "auth" && word(1) == "token" => Some(Secrecy::Settings),
        "gcloud" if args.iter().any(|arg| arg.contains("print-access-token")) => {
            Some(Secrecy::Settings)
        }
        "aws"
            if args.iter().any(|arg| {
                arg == "get-secret-value"
                    || arg == "--with-decryption"
                    || arg == "export-credentials"
            }) =>
        {
            Some(Secrecy::Settings)
        }
        "vault" if word(0) == "read" || (word(0) == "kv" && word(1) == "get") => {
            Some(Secrecy::Settings)
        }
        "doppler" if word(0) == "secrets" && matches!(word(1), "get" | "download") => {
            Some(Secrecy::Settings)
        }
        "op" if word(0) == "item" && word(1) == "get" => Some(Secrecy::Settings),
        "kubectl" | "oc" | "k"
            if word(0) == "get"
                && words.iter().any(|w| w.starts_with("secret"))
                && args.iter().any(|arg| {
                    ["yaml", "json", "jsonpath", "go-template", "custom-columns"]
                        .iter()
                        .any(|form| arg.trim_start_matches(['-', 'o', '=']).starts_with(form))
                        || arg.starts_with("--output=")
                        || arg.starts_with("--template")
                }) =>
        {
            Some(Secrecy::Credentials)
        }
        "kubectl" | "oc" if word(0) == "config" && word(1) == "view" && flag("--raw") => {
            Some(Secrecy::Credentials)
        }
        "kubectl" if word(0) == "get" && words.iter().any(|w| w.starts_with("secret")) => {
            Some(Secrecy::Settings)
        }
        "heroku" if word(0) == "config" || word(0) == "config:get" => Some(Secrecy::Settings),
        "history" => Some(Secrecy::Settings),
        _ => None,
    }
}
