//! Reads the address of a server: `redis://user:password@host:port/database`, `rediss://` with TLS.

use std::fmt;
use std::net::IpAddr;

use percent_encoding::percent_decode_str;
use redis::{Client, ClientTlsConfig, ConnectionAddr, IntoConnectionInfo, TlsCertificates};

const EXPECTED: &str =
    "expected `redis://user:password@host:port/database`, or `rediss://` with TLS";

/// The address of a server. Neither `Debug` nor `Display` shows the password.
#[derive(Clone)]
pub struct RedisAddress {
    client: Client,
    shown: String,
    is_remote: bool,
    is_encrypted: bool,
}

impl RedisAddress {
    /// Reads an address. `sslrootcert`, `sslcert` and `sslkey` name PEM files, as in the address of a database.
    ///
    /// # Errors
    /// A sentence that does not repeat the address, which holds a password.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let scheme = text.split_once("://").map(|(scheme, _)| scheme).unwrap_or_default();
        let is_encrypted = match scheme {
            "redis" | "valkey" => false,
            "rediss" | "valkeys" => true,
            _ => return Err(EXPECTED.to_owned()),
        };
        if text.contains('#') {
            return Err("the certificate of the server is always verified; remove `#…`".to_owned());
        }
        let (base, query) = text.split_once('?').unwrap_or((text, ""));
        let files = TlsFiles::read(query)?;
        if !is_encrypted && (files.roots.is_some() || files.client.is_some()) {
            return Err(
                "certificates are set, but the connection would not be encrypted; use `rediss://`"
                    .to_owned(),
            );
        }
        // The library's error may repeat a part of the address.
        let info = base.into_connection_info().map_err(|_| EXPECTED.to_owned())?;
        let settings = info.redis_settings().clone();
        let user = settings.username().map(|user| format!("{user}@")).unwrap_or_default();
        let (host, port) = match info.addr() {
            ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
                (host.clone(), *port)
            }
            _ => return Err(EXPECTED.to_owned()),
        };
        let shown = format!("{scheme}://{user}{host}:{port}/{}", settings.db());
        let is_local =
            host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
        let info = info.set_redis_settings(settings.set_skip_set_lib_name());
        let client = match is_encrypted {
            false => Client::open(info),
            true => {
                // The client takes the process's provider; another one may be installed already.
                let _ = rustls::crypto::ring::default_provider().install_default();
                let (client_tls, root_cert) = (files.client, files.roots);
                Client::build_with_tls(info, TlsCertificates { client_tls, root_cert })
            }
        };
        let client = client.map_err(|error| error.to_string())?;
        Ok(Self { client, shown, is_remote: !is_local, is_encrypted })
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Whether the connection leaves this machine without encryption.
    pub fn is_exposed(&self) -> bool {
        self.is_remote && !self.is_encrypted
    }
}

impl fmt::Display for RedisAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for RedisAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisAddress({})", self.shown)
    }
}

/// The contents of the PEM files.
#[derive(Default)]
struct TlsFiles {
    roots: Option<Vec<u8>>,
    client: Option<ClientTlsConfig>,
}

impl TlsFiles {
    fn read(query: &str) -> Result<Self, String> {
        let (mut roots, mut certificate, mut key) = (None, None, None);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let place = match name {
                "sslrootcert" => &mut roots,
                "sslcert" => &mut certificate,
                "sslkey" => &mut key,
                _ => {
                    return Err(
                        "the address has a parameter other than `sslrootcert`, `sslcert` and `sslkey`"
                            .to_owned(),
                    );
                }
            };
            let path = percent_decode_str(value).decode_utf8().map_err(|_| EXPECTED.to_owned())?;
            let unreadable = |error| format!("`{path}` cannot be read: {error}");
            *place = Some(std::fs::read(&*path).map_err(unreadable)?);
        }
        let client = match (certificate, key) {
            (Some(client_cert), Some(client_key)) => {
                Some(ClientTlsConfig { client_cert, client_key })
            }
            (None, None) => None,
            _ => return Err("`sslcert` and `sslkey` must be set together".to_owned()),
        };
        Ok(Self { roots, client })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests may")]
mod tests {
    use super::*;

    #[test]
    fn an_address_shows_no_password() {
        for (text, shown, is_exposed) in [
            ("redis://:geheim@cache.example", "redis://cache.example:6379/0", true),
            (
                "rediss://ann:geheim@cache.example:7000/3",
                "rediss://ann@cache.example:7000/3",
                false,
            ),
            ("redis://127.0.0.1/", "redis://127.0.0.1:6379/0", false),
            ("valkey://ann:ge%40heim@localhost", "valkey://ann@localhost:6379/0", false),
        ] {
            let address = RedisAddress::parse(text).unwrap();
            assert_eq!(address.to_string(), shown);
            assert_eq!(address.is_exposed(), is_exposed, "{text}");
            assert!(!format!("{address:?}").contains("heim"));
        }
    }

    #[test]
    fn what_cannot_be_an_address_is_refused_without_repeating_it() {
        for bad in [
            "cache.example",
            "http://u:geheim@cache.example",
            "redis://u:geheim@cache.example/geheim",
            "redis://u:geheim@cache.example:port",
            "rediss://u:geheim@cache.example/#insecure",
            "rediss://u:geheim@cache.example/?sslcert=Cargo.toml",
            "redis://u:geheim@cache.example/?sslrootcert=Cargo.toml",
            "redis://u:geheim@cache.example/?geheim=1",
            "rediss://u:geheim@cache.example/?sslrootcert=/no/such/file",
            "redis+unix:///run/redis.sock?password=geheim",
        ] {
            let error = RedisAddress::parse(bad).unwrap_err();
            assert!(!error.contains("geheim"), "{bad}: {error}");
        }
    }
}
