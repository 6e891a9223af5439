//! Where the issuer's key set is: a file, or an https URL.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::{Client, StatusCode, Url};

/// Time limit of a fetch, including the connection.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Longest key set, in bytes.
const MAX_BYTES: usize = 256 * 1024;

/// `JWT_JWKS`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JwksSource {
    /// A file.
    File(PathBuf),
    /// An https URL, or an http URL of this machine.
    Url(Url),
}

impl JwksSource {
    /// Reads the setting; none if its URL would carry keys over a network unprotected, or credentials.
    pub fn of(text: &str) -> Option<Self> {
        if !text.contains("://") {
            return (!text.contains('\0')).then(|| Self::File(text.into()));
        }
        let url: Url = text.parse().ok()?;
        let host = url.host_str()?.trim_matches(['[', ']']);
        let local = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
        let protected = url.scheme() == "https" || local && url.scheme() == "http";
        let plain = url.username().is_empty() && url.password().is_none();
        (protected && plain).then_some(Self::Url(url))
    }

    /// How often the set is read again, so that keys the issuer withdrew stop working.
    pub(super) fn interval(&self) -> Duration {
        match self {
            Self::File(_) => Duration::from_secs(1),
            Self::Url(_) => Duration::from_secs(10 * 60),
        }
    }

    /// The set as text.
    ///
    /// # Errors
    /// A sentence for the log.
    pub(super) async fn read(&self) -> Result<String, String> {
        match self {
            Self::File(path) => {
                let read = async {
                    // A pipe would hold the task.
                    if !tokio::fs::metadata(path).await?.is_file() {
                        return Err(std::io::Error::other("it is not a file"));
                    }
                    tokio::fs::read_to_string(path).await
                };
                read.await.map_err(|error| error.to_string())
            }
            Self::Url(url) => fetch(url).await,
        }
    }
}

async fn fetch(url: &Url) -> Result<String, String> {
    let mut response = client()?
        .get(url.clone())
        .header("Accept", "application/json")
        .send()
        .await
        .map_err(|error| format!("the issuer cannot be reached: {}", error.without_url()))?;
    if response.status() != StatusCode::OK {
        return Err(format!("the issuer responded with status {}", response.status().as_u16()));
    }
    let mut body = Vec::new();
    let broken = |error: reqwest::Error| format!("the response broke off: {}", error.without_url());
    while let Some(chunk) = response.chunk().await.map_err(broken)? {
        if body.len() + chunk.len() > MAX_BYTES {
            return Err(format!("the response is longer than {MAX_BYTES} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    String::from_utf8(body).map_err(|_| "the response is not UTF-8".to_owned())
}

/// A client for one fetch: fetches are minutes apart, so no connection is worth keeping.
fn client() -> Result<Client, String> {
    // Whichever part of the process comes first installs it; a second attempt changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(TIMEOUT)
        .build()
        .map_err(|error| format!("no TLS client: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_sets_come_from_files_and_protected_addresses() {
        assert_eq!(
            JwksSource::of("keys/jwks.json"),
            Some(JwksSource::File("keys/jwks.json".into()))
        );
        for url in [
            "https://issuer.example/jwks?x=1",
            "http://localhost:8080/jwks",
            "http://127.0.0.1/jwks",
            "http://[::1]:9/jwks",
        ] {
            assert!(matches!(JwksSource::of(url), Some(JwksSource::Url(_))), "{url}");
        }
        for url in [
            "http://issuer.example/jwks",
            "http://localhost.example/jwks",
            "https://user@issuer.example/jwks",
            "https://user:word@issuer.example/jwks",
            "ftp://issuer.example/jwks",
            "https://",
        ] {
            assert_eq!(JwksSource::of(url), None, "{url}");
        }
    }
}
