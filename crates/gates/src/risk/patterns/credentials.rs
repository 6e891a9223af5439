//! Credentials known by the name they are given to: `password = ...`, `"api_key": "..."`.

use super::{Hit, PLAIN, Pattern};

pub(super) const PATTERNS: &[Pattern] = &[
    Pattern {
        id: "named_secret",
        description: "a random-looking value given to something called a key, token, secret or the like",
        regex: r#"(?: (?: <secret_name> | (?: \b | _ ) <vendor> ) [\w.-]{0,40} [\\"'`\])]{0,4} \s* (?: [:?]{0,3}= [=>]*
            | !==? | \|{1,2}: | : | , | => ) \s* (?: [\\"'`(]{1,4} | \w{1,12}\( ["'] )?
            | --? [\w-]* <secret_name> [\w-]* [\s=]+ ["']? ) ([a-z0-9_.=~+/:@!$%^&*\#?|-]{10,})"#,
        weight: 0.8,
        accept: Some(is_random),
        examples: &[
            "api_key = \"9wXq2LkPz7VbN4mTr8Yc\"",
            "{\"snyk_token\": \"3f7a9c2e-8b1d-6f4a-0c5e-7b9d2f8a1c6e\"}",
            "DB_PASSWORD=Tr0ub4dor3x",
            "{\\\"api_key\\\": \\\"9wXq2LkPz7VbN4mTr8Yc\\\"}",
            "password=kQzRwHnXpLvBtMjS7dGf",
        ],
        counter_examples: &[
            "token = read_token(stream)",
            "password: required",
            "api_key: ${API_KEY}",
            "max_tokens: 4000",
            "key = SipHasher13::new_with_keys(1)",
            "secret: xxxxxxxxxxxxxxxx",
        ],
        ..PLAIN
    },
    Pattern {
        id: "quoted_password",
        description: "a quoted value given to something called a password or a secret",
        regex: r#"(?: \b | _ ) (?: pass(?:word|wd|phrase|code)? | pwd | secret | api_?key | private_?key
            | (?:db|root|service|user|admin)_?pass | auth_?key | secret_?(?:access_?)?key
            | credentials? ) [\w-]{0,30} ["']? \s* (?: :=? | => | ={1,3}
            | != ) \s* (?: "([^"\n]{6,})" | '([^'\n]{6,})' )"#,
        weight: 0.6,
        accept: Some(is_chosen),
        examples: &["password = \"correct horse battery\"", "db_pass: 'hunter2hunter2'"],
        counter_examples: &[
            "password = \"\"",
            "secret: '${SECRET}'",
            "password: \"your password\"",
        ],
        ..PLAIN
    },
    Pattern {
        id: "unquoted_password",
        description: "an unquoted value with signs in it, given to something called a password or a secret",
        regex: r#"(?: \b | _ ) (?: pass(?:word|wd|phrase)? | pwd | secret | api_?key | private_?key
            | secret_?(?:access_?)?key ) [\w-]{0,30} \s* (?: := | =>? | : ) \s* ([^\s"'`]{10,})"#,
        weight: 0.6,
        accept: Some(is_full_of_signs),
        examples: &["passwd: m#9$kQ}v2~Lx_w", "secret := a{b}c[d>e-f_g$h#i"],
        counter_examples: &[
            "password: changeme",
            "secret = get_secret(\"x\")",
            "pwd: /home/bob/projects",
        ],
        ..PLAIN
    },
];

/// Whether a value looks drawn at random: long, of several kinds of characters, and no name of a thing.
pub(super) fn is_random(hit: &Hit<'_>) -> bool {
    let value = hit.value();
    let value = value.strip_suffix(b".").unwrap_or(value);
    let count = |is: fn(&u8) -> bool| value.iter().filter(|byte| is(byte)).count();
    let (digits, letters) = (count(u8::is_ascii_digit), count(u8::is_ascii_alphabetic));
    let dots = count(|byte| matches!(byte, b'.' | b'/' | b':'));
    // A generated password may have a single digit; then its case must look generated too.
    let is_mixed = digits >= 1 && value.len() >= 16 && falls(value) * 8 >= value.len();
    (is_mixed || (digits >= 2 && digits * 16 >= value.len()))
        && letters >= 2
        && dots * 8 <= value.len().max(16)
        && entropy(value) >= 2.9
        && memchr::memmem::find(value, b"::").is_none()
        && !is_made_of_words(value)
        && !is_an_alphabet(value)
        && is_no_placeholder(value)
}

/// A value of a known format: whatever is not filled in for show, nor a piece of something longer.
pub(super) fn is_token(hit: &Hit<'_>) -> bool {
    let value = hit.value();
    let longest = value.split(|byte| !byte.is_ascii_alphanumeric()).max_by_key(|part| part.len());
    let is_mixed = value.iter().any(u8::is_ascii_digit)
        || changes_case(value)
        || longest.is_some_and(|part| part.len() >= 30 && is_one_case(part));
    let is_piece =
        matches!(hit.before(), b'+' | b'-' | b'.' | b'~') || hit.before().is_ascii_alphanumeric();
    is_mixed
        && !is_piece
        && !value.iter().all(u8::is_ascii_hexdigit)
        && entropy(value) >= 2.3
        && !is_made_of_words(value)
        && !is_an_alphabet(value)
        && is_no_placeholder(value)
}

/// `X25519.KeyPair`, `s_rsa1024_priv.pem`: identifiers, versions, file names, mostly of words.
fn is_made_of_words(value: &[u8]) -> bool {
    let is_word = |part: &&[u8]| {
        part.len() > 2
            && part.iter().all(u8::is_ascii_alphabetic)
            && !part.iter().all(u8::is_ascii_hexdigit)
            && !changes_case(part)
            && (part.len() <= 24 || !is_one_case(part))
    };
    let parts = value.split(|byte| !byte.is_ascii_alphanumeric());
    let in_words: usize = parts.filter(is_word).map(<[u8]>::len).sum();
    let signs = value.iter().filter(|byte| !byte.is_ascii_alphanumeric()).count();
    in_words * 2 >= value.len() - signs
}

fn is_one_case(part: &[u8]) -> bool {
    part.iter().all(u8::is_ascii_uppercase) || part.iter().all(u8::is_ascii_lowercase)
}

/// Case that changes as it does not in words, camel case included.
fn changes_case(value: &[u8]) -> bool {
    falls(value) * 5 >= value.len()
}

/// How often a capital follows a small letter.
fn falls(value: &[u8]) -> usize {
    let falls = |pair: &&[u8]| pair[0].is_ascii_lowercase() && pair[1].is_ascii_uppercase();
    value.windows(2).filter(falls).count()
}

/// A key id whose form says it all, with digits or without: only what is filled in for show passes.
pub(super) fn is_key_id(hit: &Hit<'_>) -> bool {
    let value = hit.value();
    entropy(value) >= 2.3 && !is_an_alphabet(value) && is_no_placeholder(value)
}

/// `0123456789abcdef`: characters in a row, as people type in examples.
fn is_an_alphabet(value: &[u8]) -> bool {
    let mut run = 1;
    value.windows(2).any(|pair| {
        run = if pair[1] == pair[0].wrapping_add(1) { run + 1 } else { 1 };
        run >= 10
    })
}

/// Not what stands in examples and templates instead of a credential.
pub(super) fn is_no_placeholder(value: &[u8]) -> bool {
    const SIGNS: [&[u8]; 16] = [
        b"xxxx",
        b"example",
        b"****",
        b"....",
        b"your",
        b"placeholder",
        b"redacted",
        b"changeme",
        b"put_",
        b"[password",
        b"<",
        b"${",
        b"$(",
        b"{{",
        b"####",
        b"#{",
    ];
    const WORDS: [&[u8]; 7] =
        [b"password", b"passwd", b"secret", b"token", b"pass", b"required", b"username:token"];
    let lower = value.to_ascii_lowercase();
    let is_reference =
        lower.starts_with(b"$") || lower.starts_with(b"%") || lower.starts_with(b"\"$");
    let holds = |sign: &&[u8]| memchr::memmem::find(&lower, sign).is_some();
    !is_reference && !WORDS.contains(&lower.as_slice()) && !SIGNS.iter().any(holds)
}

/// Something that a person would choose as a password: no placeholder, and some letters in it.
fn is_chosen(hit: &Hit<'_>) -> bool {
    let value = hit.value();
    value.iter().filter(|byte| byte.is_ascii_alphabetic()).count() >= 3 && is_no_placeholder(value)
}

/// Several signs among letters, as generated passwords have and code has not.
fn is_full_of_signs(hit: &Hit<'_>) -> bool {
    let value = hit.value();
    let mut signs: Vec<u8> = value.iter().copied().filter(u8::is_ascii_punctuation).collect();
    signs.sort_unstable();
    signs.dedup();
    let is_call = value.ends_with(b")") || value.contains(&b'(');
    let is_path = value.contains(&b'/');
    signs.len() >= 4 && !is_call && !is_path && entropy(value) >= 3.0 && is_chosen(hit)
}

/// Shannon entropy in bits per byte.
fn entropy(value: &[u8]) -> f64 {
    let mut counts = [0u32; 256];
    value.iter().for_each(|byte| counts[usize::from(*byte)] += 1);
    let len = value.len() as f64;
    let bits = |count: &u32| {
        let share = f64::from(*count) / len;
        -share * share.log2()
    };
    counts.iter().filter(|count| **count > 0).map(bits).sum()
}
