//! An issuer of tokens: keys of its own, a key set over HTTP, and tokens that are signed as a test wants.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
    RSA_PSS_SHA256, RsaKeyPair, RsaPublicKeyComponents,
};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::watch;

/// The `iss` of its tokens.
pub(crate) const ISSUER: &str = "https://issuer.example/realm";
/// The `aud` of its tokens.
pub(crate) const AUDIENCE: &str = "life-agent";

/// A key pair of the issuer.
pub(crate) enum SigningKey {
    Rsa(Box<RsaKeyPair>),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

/// The issuer.
pub(crate) struct Issuer {
    key_set: watch::Sender<String>,
    fetches: watch::Sender<usize>,
    address: String,
}

impl Issuer {
    /// An issuer that publishes these public keys.
    pub(crate) async fn start(keys: &[Value]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}/jwks", listener.local_addr().unwrap());
        let key_set = watch::Sender::new(json!({"keys": keys}).to_string());
        let fetches = watch::Sender::new(0);
        let (published, counted) = (key_set.subscribe(), fetches.clone());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (published, counted) = (published.clone(), counted.clone());
                tokio::spawn(async move {
                    let mut head = [0; 4096];
                    let _ = stream.read(&mut head).await;
                    counted.send_modify(|fetches| *fetches += 1);
                    let body = published.borrow().clone();
                    let status = if body.is_empty() { "500 Broken" } else { "200 OK" };
                    let response = format!(
                        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                        body.len()
                    );
                    let _ = stream.write_all(response.as_bytes()).await;
                });
            }
        });
        Self { key_set, fetches, address }
    }

    /// Where the key set is.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Publishes other keys.
    pub(crate) fn publish(&self, keys: &[Value]) {
        self.key_set.send_replace(json!({"keys": keys}).to_string());
    }

    /// Responds with errors from now on.
    pub(crate) fn break_down(&self) {
        self.key_set.send_replace(String::new());
    }

    /// How often the key set was fetched.
    pub(crate) fn fetches(&self) -> usize {
        *self.fetches.borrow()
    }

    /// Waits for the first fetch: that of a start.
    pub(crate) async fn was_fetched(&self) {
        let mut fetches = self.fetches.subscribe();
        let first = fetches.wait_for(|fetches| *fetches > 0);
        tokio::time::timeout(std::time::Duration::from_secs(30), first).await.unwrap().unwrap();
    }
}

impl SigningKey {
    /// A new RSA key. `ring` makes none, so OpenSSL does.
    pub(crate) fn rsa() -> Self {
        let arguments =
            ["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-outform", "DER"];
        let made = std::process::Command::new("openssl").args(arguments).output();
        let made = made.expect("OpenSSL's command is required to make an RSA key").stdout;
        // Releases of OpenSSL differ in the form that they write.
        let key = RsaKeyPair::from_pkcs8(&made).or_else(|_| RsaKeyPair::from_der(&made));
        Self::Rsa(Box::new(key.unwrap()))
    }

    /// A new P-256 key.
    pub(crate) fn ec() -> Self {
        let (random, algorithm) = (SystemRandom::new(), &ECDSA_P256_SHA256_FIXED_SIGNING);
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        Self::Ec(EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).unwrap())
    }

    /// A new Ed25519 key.
    pub(crate) fn ed() -> Self {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self::Ed(Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap())
    }

    /// The public key as a key set holds it.
    pub(crate) fn public(&self, kid: &str) -> Value {
        match self {
            Self::Rsa(key) => {
                let parts = RsaPublicKeyComponents::<Vec<u8>>::from(key.public());
                let (n, e) = (encoded(parts.n), encoded(parts.e));
                json!({"kty": "RSA", "kid": kid, "use": "sig", "n": n, "e": e})
            }
            Self::Ec(key) => {
                let (x, y) = key.public_key().as_ref()[1..].split_at(32);
                json!({"kty": "EC", "kid": kid, "crv": "P-256", "x": encoded(x), "y": encoded(y)})
            }
            Self::Ed(key) => {
                json!({"kty": "OKP", "kid": kid, "crv": "Ed25519", "x": encoded(key.public_key().as_ref())})
            }
        }
    }

    /// A token of this algorithm and these claims.
    pub(crate) fn token(&self, algorithm: &str, kid: &str, claims: &Value) -> String {
        self.with_header(&json!({"alg": algorithm, "typ": "JWT", "kid": kid}), claims)
    }

    /// A token with this header. The signature is the one that `alg` names, if the key can make it.
    pub(crate) fn with_header(&self, header: &Value, claims: &Value) -> String {
        let message = format!("{}.{}", encoded(header.to_string()), encoded(claims.to_string()));
        let signature = self.sign(header["alg"].as_str().unwrap(), message.as_bytes());
        format!("{message}.{}", encoded(signature))
    }

    fn sign(&self, algorithm: &str, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                let padding: &dyn ring::signature::RsaEncoding =
                    if algorithm == "PS256" { &RSA_PSS_SHA256 } else { &RSA_PKCS1_SHA256 };
                key.sign(padding, &random, message, &mut signature).unwrap();
                signature
            }
            Self::Ec(key) => key.sign(&random, message).unwrap().as_ref().to_vec(),
            Self::Ed(key) => key.sign(message).as_ref().to_vec(),
        }
    }
}

/// Claims of a token that is accepted, changed by `other`; `null` removes a claim.
pub(crate) fn claims(other: Value) -> Value {
    let mut claims = json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "ann", "exp": in_seconds(600), "scope": "operator"
    });
    let all = claims.as_object_mut().unwrap();
    for (name, value) in other.as_object().unwrap() {
        all.insert(name.clone(), value.clone());
    }
    all.retain(|_, value| !value.is_null());
    claims
}

/// A time as tokens have it, this many seconds from now.
pub(crate) fn in_seconds(seconds: i64) -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    i64::try_from(now).unwrap() + seconds
}

/// Base64 as tokens use it.
pub(crate) fn encoded(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
