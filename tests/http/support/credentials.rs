//! Realistic credentials without a use, generated for every run.

use rand::RngExt;

const UPPER: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const ALNUM: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const HEX: &str = "0123456789abcdef";

/// A text with a secret, and the part that must never appear.
#[derive(Debug, Clone)]
pub(crate) struct Credential {
    pub(crate) shape: &'static str,
    pub(crate) text: String,
    pub(crate) secret: String,
}

/// One credential of each documented format.
pub(crate) fn credentials() -> Vec<Credential> {
    let whole = |shape, text: String| Credential { shape, secret: text.clone(), text };
    let jwt_part = |json: &str| base64url(json.as_bytes());
    let password = random(ALNUM, 24);
    let key_body = random(ALNUM, 64);
    vec![
        whole("github token", format!("ghp_{}", random(ALNUM, 36))),
        whole("aws access key", format!("AKIA{}", random(UPPER, 16))),
        whole("slack token", format!("xoxb-{}-{}-{}", digits(12), digits(12), random(ALNUM, 24))),
        whole(
            "json web token",
            format!(
                "{}.{}.{}",
                jwt_part(r#"{"alg":"HS256","typ":"JWT"}"#),
                jwt_part(&format!(r#"{{"sub":"{}","admin":true}}"#, digits(10))),
                random(ALNUM, 43)
            ),
        ),
        Credential {
            shape: "private key",
            text: format!(
                "-----BEGIN RSA PRIVATE KEY-----\n{key_body}\n{}\n-----END RSA PRIVATE KEY-----",
                random(ALNUM, 64)
            ),
            secret: key_body,
        },
        Credential { shape: "password", text: format!("password={password}"), secret: password },
        whole("hex api key", format!("api_key = \"{}\"", random(HEX, 40))).secret_part(11, 40),
    ]
}

impl Credential {
    fn secret_part(mut self, start: usize, length: usize) -> Self {
        self.secret = self.text[start..start + length].to_owned();
        self
    }

    /// Whether the text fits a field of at most 64 characters out of `[A-Za-z0-9._:-]`.
    pub(crate) fn fits_a_name(&self) -> bool {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "._:-".contains(c);
        self.text.len() <= 64 && self.text.chars().all(allowed)
    }
}

/// A random text with at least one digit in eight characters, so that the test is deterministic: a random text can
/// look like a name.
fn random(alphabet: &str, length: usize) -> String {
    let letters = alphabet.as_bytes();
    let mut rng = rand::rng();
    loop {
        let text: String =
            (0..length).map(|_| letters[rng.random_range(0..letters.len())] as char).collect();
        if text.bytes().filter(u8::is_ascii_digit).count() * 8 >= length {
            return text;
        }
    }
}

fn digits(length: usize) -> String {
    random("0123456789", length)
}

/// RFC 4648, section 5, without padding.
fn base64url(bytes: &[u8]) -> String {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let word = three.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte))
            << (8 * (3 - three.len()));
        for n in 0..=three.len() {
            text.push(alphabet[(word >> (18 - 6 * n) & 63) as usize] as char);
        }
    }
    text
}
