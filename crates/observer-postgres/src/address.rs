//! Reads the address of a database: `postgres://user:password@host:port/database?sslmode=…`.
//!
//! TLS is decided here, because the client library knows no verified mode: every mode but `disable`
//! verifies the server's certificate and its name.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

/// A connection without a response to its data is lost after this time.
const LOST: Duration = Duration::from_secs(5);
const CONNECT: Duration = Duration::from_secs(5);

/// The address of a database. Neither `Debug` nor `Display` shows the password.
#[derive(Clone)]
pub struct Address {
    pub(crate) config: Config,
    pub(crate) tls: Option<TlsFiles>,
    shown: String,
}

/// The files of a TLS connection.
#[derive(Debug, Clone, Default)]
pub(crate) struct TlsFiles {
    /// Certificates in PEM that are trusted instead of those of the system.
    pub(crate) roots: Option<PathBuf>,
    /// The client's certificate and key in PEM.
    pub(crate) client: Option<(PathBuf, PathBuf)>,
}

impl Address {
    /// Reads an address.
    ///
    /// # Errors
    /// A sentence that does not repeat the address, which holds a password.
    pub fn parse(text: &str) -> Result<Self, String> {
        let expected = "expected `postgres://user:password@host:port/database`";
        let text = text.trim();
        if !Self::is_address(text) {
            return Err(expected.to_owned());
        }
        let (base, query) = text.split_once('?').unwrap_or((text, ""));
        let (mut rest, mut tls) = (Vec::new(), TlsParameters::default());
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = percent_decode_str(value).decode_utf8().map_err(|_| expected)?.into_owned();
            if !tls.take(name, value) {
                rest.push(pair);
            }
        }
        let url = match rest.is_empty() {
            true => base.to_owned(),
            false => format!("{base}?{}", rest.join("&")),
        };
        // The library's error may repeat a part of the address.
        let mut config: Config =
            url.parse().map_err(|_| format!("{expected}, with parameters that libpq knows"))?;
        if config.get_hosts().is_empty() {
            return Err(format!("{expected}; the host is missing"));
        }
        let tls = tls.decide(config.get_hosts().iter().all(is_local))?;
        config.ssl_mode(if tls.is_some() { SslMode::Require } else { SslMode::Disable });
        if config.get_application_name().is_none() {
            config.application_name("life-agent");
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT);
        }
        config.keepalives(true).keepalives_idle(LOST).keepalives_interval(Duration::from_secs(2));
        config.keepalives_retries(3).tcp_user_timeout(LOST);
        let shown = shown(&config);
        Ok(Self { config, tls, shown })
    }

    /// Whether a text is an address and not a path.
    pub fn is_address(text: &str) -> bool {
        text.starts_with("postgres://") || text.starts_with("postgresql://")
    }

    /// Whether the connection is encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.tls.is_some()
    }

    /// Whether the connection leaves this machine.
    pub fn is_remote(&self) -> bool {
        !self.config.get_hosts().iter().all(is_local)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({})", self.shown)
    }
}

/// The address without its password and parameters.
fn shown(config: &Config) -> String {
    let ports = config.get_ports();
    let mut hosts = Vec::new();
    for (n, host) in config.get_hosts().iter().enumerate() {
        let port = ports.get(n).or(ports.first()).copied().unwrap_or(5432);
        hosts.push(match host {
            Host::Tcp(host) => format!("{host}:{port}"),
            #[cfg(unix)]
            Host::Unix(path) => format!("{}:{port}", path.display()),
        });
    }
    let user = config.get_user().map(|user| format!("{user}@")).unwrap_or_default();
    let database = config.get_dbname().or(config.get_user()).unwrap_or_default();
    format!("postgres://{user}{}/{database}", hosts.join(","))
}

fn is_local(host: &Host) -> bool {
    match host {
        Host::Tcp(host) => {
            host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
        }
        #[cfg(unix)]
        Host::Unix(_) => true,
    }
}

#[derive(Default)]
struct TlsParameters {
    mode: Option<String>,
    roots: Option<String>,
    certificate: Option<String>,
    key: Option<String>,
}

impl TlsParameters {
    /// Takes a parameter that concerns TLS.
    fn take(&mut self, name: &str, value: String) -> bool {
        let place = match name {
            "sslmode" => &mut self.mode,
            "sslrootcert" => &mut self.roots,
            "sslcert" => &mut self.certificate,
            "sslkey" => &mut self.key,
            _ => return false,
        };
        *place = Some(value);
        true
    }

    fn decide(self, is_local: bool) -> Result<Option<TlsFiles>, String> {
        let encrypts = match self.mode.as_deref() {
            None => !is_local,
            Some("disable") => false,
            Some("require" | "verify-ca" | "verify-full") => true,
            Some(_) => {
                return Err("`sslmode` must be `disable`, `require`, `verify-ca` or `verify-full`; all but the \
                            first verify the certificate, and a mode that may fall back to no encryption is not \
                            accepted"
                    .to_owned());
            }
        };
        let client = match (self.certificate, self.key) {
            (Some(certificate), Some(key)) => Some((certificate.into(), key.into())),
            (None, None) => None,
            _ => return Err("`sslcert` and `sslkey` must be set together".to_owned()),
        };
        let roots = self.roots.filter(|roots| roots != "system").map(PathBuf::from);
        if !encrypts && (roots.is_some() || client.is_some()) {
            return Err("certificates are set, but the connection would not be encrypted; set `sslmode=verify-full`"
                .to_owned());
        }
        Ok(encrypts.then_some(TlsFiles { roots, client }))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests may")]
mod tests {
    use super::*;

    #[test]
    fn an_address_shows_no_password() {
        let address = Address::parse("postgres://ann:s3cr%40t@db.example:5433/record").unwrap();
        assert_eq!(address.to_string(), "postgres://ann@db.example:5433/record");
        assert!(!format!("{address:?}").contains("s3cr"));
        assert!(address.is_encrypted() && address.is_remote());
    }

    #[test]
    fn a_connection_that_leaves_the_machine_is_verified_unless_disabled() {
        let encrypted = |text: &str| Address::parse(text).map(|address| address.is_encrypted());
        for (text, expected) in [
            ("postgres://u@db/x", true),
            ("postgresql://u@10.0.0.7/x?sslmode=require", true),
            ("postgres://u@db/x?sslmode=disable", false),
            ("postgres://u@localhost/x", false),
            ("postgres://u@127.0.0.1/x", false),
            ("postgres://u@localhost/x?sslmode=verify-full&sslrootcert=ca.pem", true),
            ("postgres://u@%2Frun%2Fpostgresql/x", false),
            ("postgres://u@a,b:6000/x?target_session_attrs=read-write", true),
        ] {
            assert_eq!(encrypted(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_an_address_is_refused_without_repeating_it() {
        for bad in [
            "agent.db",
            "mysql://u:geheim@db/x",
            "postgres://u:geheim@db/x?sslmode=prefer",
            "postgres://u:geheim@db/x?sslcert=c.pem",
            "postgres://u:geheim@db/x?geheim=1",
            "postgres://u:geheim@localhost/x?sslrootcert=ca.pem",
            "postgres://u:geheim@db:port/x",
            "postgres:///x?password=geheim",
            "postgres://%ff:geheim@db/x?sslmode=%ff",
        ] {
            let error = Address::parse(bad).unwrap_err();
            assert!(!error.contains("geheim"), "{bad}: {error}");
        }
    }
}
