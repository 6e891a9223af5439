//! Signatures of messages: Standard Webhooks, symmetric.
//!
//! Source: <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretSlice};

/// The beginning of a secret as people write it.
const PREFIX: &str = "whsec_";
/// Bytes of a secret.
const LENGTHS: std::ops::RangeInclusive<usize> = 24..=64;
/// Most secrets: the current one and those that a rotation replaces.
const MAX_SECRETS: usize = 4;

/// The secrets that sign each message. `Debug` does not print them.
#[derive(Clone)]
pub struct WebhookSecrets(Vec<SecretSlice<u8>>);

impl WebhookSecrets {
    /// Reads one secret, or several with spaces or commas between them: `whsec_` and 24 to 64 bytes in
    /// base64 each. `None` if one of them is not usable.
    pub fn parse(text: &str) -> Option<Self> {
        let texts = text.split([' ', ',']).filter(|text| !text.is_empty());
        let secrets = texts.map(secret).collect::<Option<Vec<_>>>()?;
        (1..=MAX_SECRETS).contains(&secrets.len()).then_some(Self(secrets))
    }

    /// The value of `webhook-signature`: one signature for each secret.
    pub(super) fn sign(&self, id: &str, timestamp: i64, body: &str) -> String {
        let signed = format!("{id}.{timestamp}.{body}");
        let signature = |secret: &SecretSlice<u8>| {
            let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.expose_secret());
            format!("v1,{}", STANDARD.encode(ring::hmac::sign(&key, signed.as_bytes())))
        };
        self.0.iter().map(signature).collect::<Vec<_>>().join(" ")
    }
}

impl fmt::Debug for WebhookSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WebhookSecrets").field(&self.0.len()).finish()
    }
}

fn secret(text: &str) -> Option<SecretSlice<u8>> {
    let bytes = STANDARD.decode(text.strip_prefix(PREFIX)?).ok()?;
    LENGTHS.contains(&bytes.len()).then(|| bytes.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_specification_has_its_signature() {
        let secrets = WebhookSecrets::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signature =
            secrets.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_rotation_signs_with_both_secrets() {
        let both = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw, whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX";
        let signature = WebhookSecrets::parse(both).unwrap().sign("id", 1, "{}");
        let parts: Vec<_> = signature.split(' ').collect();
        assert!(parts.len() == 2 && parts.iter().all(|part| part.starts_with("v1,")), "{parts:?}");
        assert_ne!(parts[0], parts[1]);
    }

    #[test]
    fn what_is_no_secret_is_refused_and_none_is_printed() {
        let long = format!("whsec_{}", STANDARD.encode([7; 65]));
        for bad in [
            "",
            " ",
            "whsec_",
            "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "whsec_c2hvcnQ=",
            "whsec_?",
            &long,
        ] {
            assert!(WebhookSecrets::parse(bad).is_none(), "{bad}");
        }
        let good = format!("whsec_{}", STANDARD.encode([7; 64]));
        let shown = format!("{:?}", WebhookSecrets::parse(&good).unwrap());
        assert_eq!(shown, "WebhookSecrets(1)");
        assert!(WebhookSecrets::parse(&format!("{good} nothing")).is_none());
    }
}
