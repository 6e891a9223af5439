//! Credentials known by the name they are given to: `password = ...`, `"api_key": "..."`.

use super::names::is_harmless_name;
use super::{Hit, PLAIN, Pattern};

pub(super) const PATTERNS: &[Pattern] = &[
    Pattern {
        id: "named_secret",
        description: "a random-looking value assigned to a key, token, secret or similar name",
        regex: r#"(?: (?: <secret_name> | (?: \b | _ ) <vendor> ) [\w.-]{0,40} [\\"'`\])]{0,4} \s* (?: [:?]{0,3}= [=>]*
            | !==? | \|{1,2}: | : | , | => ) \s* (?: [\\"'`(]{1,4} | \w{1,12}\( ["'] )?
            | --? [\w-]* <secret_name> [\w-]* [\s=]+ ["']? ) ([a-z0-9_.=~+/:@!$%^&*\#?|-]{10,})"#,
        weight: 0.8,
        accept: Some(is_named_secret),
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
            "public_key = \"9wXq2LkPz7VbN4mTr8Yc\"",
            "nextPageToken: 9wXq2LkPz7VbN4mTr8Yc",
            "partition_key=7c1e9a4f-2b8d-46e3-5af1-c9d2b7e4803a",
            "\"total_tokens\": 3031548264",
        ],
        ..PLAIN
    },
    Pattern {
        id: "quoted_password",
        description: "a quoted value assigned to a password or secret",
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
        description: "an unquoted value with punctuation, assigned to a password or secret",
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

/// A random value whose name does not say that it is something else.
fn is_named_secret(hit: &Hit<'_>) -> bool {
    is_random(hit) && !is_harmless_name(hit)
}

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
    // In small letters and without digits it is a long word of some language.
    if value.iter().all(u8::is_ascii_lowercase) {
        return false;
    }
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
        b"replace_",
        b"replaceme",
        b"example",
        b"****",
        b"....",
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
    !is_reference
        && !WORDS.contains(&lower.as_slice())
        && !SIGNS.iter().any(holds)
        && ![b"xxxx", b"your"].into_iter().any(|sign| begins_or_ends_a_word(value, &lower, sign))
}

/// Four letters occur by chance within a generated credential, so they count in one case only (`your`,
/// `Your`, `YOUR`) and at an edge, or in a value of letters alone (`insertyourkeyhere`).
fn begins_or_ends_a_word(value: &[u8], lower: &[u8], sign: &[u8; 4]) -> bool {
    let is_edge = |byte: Option<&u8>| byte.is_none_or(|byte| !byte.is_ascii_alphanumeric());
    let is_of_letters = !value.iter().any(u8::is_ascii_digit);
    memchr::memmem::find_iter(lower, sign).any(|at| {
        let end = at + sign.len();
        let before = at.checked_sub(1).and_then(|before| value.get(before));
        is_one_case(&value[at + 1..end])
            && (is_of_letters || is_edge(before) || is_edge(value.get(end)))
    })
}

/// Something that a person would choose as a password: no placeholder, and some letters in it.
pub(super) fn is_chosen(hit: &Hit<'_>) -> bool {
    let value = hit.value();
    value.iter().filter(|byte| byte.is_ascii_alphabetic()).count() >= 3 && is_no_placeholder(value)
}

/// A value of an exact shape: whatever is not filled in for show, nor a piece of something longer.
pub(super) fn is_exact(hit: &Hit<'_>) -> bool {
    let value = hit.value();
    let is_piece = matches!(hit.before(), b'+' | b'-' | b'.' | b'~' | b'/' | b'=');
    let is_piece = is_piece && hit.before() != b'=' || hit.before().is_ascii_alphanumeric();
    let digits = value.iter().filter(|byte| byte.is_ascii_digit()).count();
    !is_piece
        && (digits >= 2 || changes_case(value))
        && entropy(value) >= 2.8
        && !is_an_alphabet(value)
        && !is_made_of_words(value)
        && is_no_placeholder(value)
}

/// The same for a format that no longer text has inside it by chance.
pub(super) fn is_glued(hit: &Hit<'_>) -> bool {
    let value = hit.value();
    let digits = value.iter().filter(|byte| byte.is_ascii_digit()).count();
    (digits >= 2 || changes_case(value))
        && entropy(value) >= 2.8
        && !is_an_alphabet(value)
        && is_no_placeholder(value)
}

/// 64 bytes in Base64 that nothing in front calls a hash, a signature or a public key.
pub(super) fn is_storage_key(hit: &Hit<'_>) -> bool {
    const HASHES: [&[u8]; 8] =
        [b"sha", b"hash", b"digest", b"integrity", b"signature", b"checksum", b"sum", b"public"];
    let near = hit.text[hit.start.saturating_sub(40)..hit.start].to_ascii_lowercase();
    let line = near.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    is_exact(hit) && !HASHES.iter().any(|sign| memchr::memmem::find(line, sign).is_some())
}

/// The hash of a password, whose shape says it; one of an example has the same characters again and again.
pub(super) fn is_hash(hit: &Hit<'_>) -> bool {
    let value = hit.value();
    entropy(value) >= 3.0 && is_no_placeholder(value.strip_prefix(b"$").unwrap_or(value))
}

/// Passwords that come with the software, or stand in its documentation, and protect nothing.
const WELL_KNOWN: [&[u8]; 24] = [
    b"postgres",
    b"mysql",
    b"root",
    b"admin",
    b"guest",
    b"test",
    b"testing",
    b"redis",
    b"rabbitmq",
    b"mongo",
    b"minio",
    b"minioadmin",
    b"user",
    b"username",
    b"dev",
    b"demo",
    b"app",
    b"hunter2",
    b"foo",
    b"bar",
    b"123456",
    b"12345678",
    b"1234",
    b"pw",
];

fn is_well_known(value: &[u8]) -> bool {
    WELL_KNOWN.contains(&value.to_ascii_lowercase().as_slice())
}

/// A password where a program reads one: no placeholder, not the user's name, not one that everybody knows.
pub(super) fn is_used_password(hit: &Hit<'_>) -> bool {
    let value = hit.value();
    let quotes = |byte: &u8| matches!(byte, b'"' | b'\'');
    let (user, password) = match value.iter().position(|byte| *byte == b':') {
        Some(at) => (&value[..at], &value[at + 1..]),
        None => (user_before(hit), value),
    };
    let trim = |text: &[u8]| text.iter().filter(|byte| !quotes(byte)).copied().collect::<Vec<u8>>();
    let (user, password) = (trim(user), trim(password));
    password.len() >= 3
        && !user.eq_ignore_ascii_case(&password)
        && !is_well_known(&password)
        && !password.starts_with(b"-")
        && is_no_placeholder(&password)
        && is_no_placeholder(value)
        && !is_code(&password)
}

/// `bob` of `://bob:secret@`; empty where there is none.
fn user_before<'t>(hit: &Hit<'t>) -> &'t [u8] {
    let near = &hit.text[hit.start.saturating_sub(64)..hit.start];
    let Some(near) = near.strip_suffix(b":") else { return b"" };
    near.rsplit(|byte| *byte == b'/').next().unwrap_or_default()
}

/// A call, an index, a member, a variable: what code has where a value is expected.
fn is_code(value: &[u8]) -> bool {
    let is_identifier = |part: &[u8]| {
        !part.is_empty()
            && part.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
            && !part[0].is_ascii_digit()
    };
    let is_path = value.contains(&b'.') && value.split(|byte| *byte == b'.').all(is_identifier);
    let calls = value.iter().any(|byte| matches!(byte, b'(' | b')' | b'[' | b']'));
    calls
        || is_path
        || value.contains(&b'$')
            && value
                .iter()
                .all(|byte| byte.is_ascii_uppercase() || matches!(byte, b'$' | b'_' | b'{' | b'}'))
}

/// Something that looks like a password by itself: several kinds of characters, or a passphrase of words.
pub(super) fn is_password(hit: &Hit<'_>) -> bool {
    let value = hit.value();
    looks_like_password(value)
        && !value.starts_with(b"/")
        && !value.starts_with(b"~")
        && !is_code(value)
        && !value.contains(&b'\\')
        && memchr::memmem::find(value, b"::").is_none()
        && memchr::memmem::find(value, b"://").is_none()
        && is_no_placeholder(value)
        && !is_well_known(value)
        && !is_an_alphabet(value)
}

fn looks_like_password(value: &[u8]) -> bool {
    let has = |is: fn(&u8) -> bool| usize::from(value.iter().any(is));
    let kinds = has(u8::is_ascii_lowercase) + has(u8::is_ascii_uppercase) + has(u8::is_ascii_digit);
    let is_sign = |byte: &u8| {
        byte.is_ascii_punctuation() && !matches!(byte, b'_' | b'-' | b'.' | b'/' | b':' | b',')
    };
    let signs = usize::from(value.iter().any(is_sign));
    let is_mixed = kinds + signs >= 3 && (value.iter().any(u8::is_ascii_digit) || signs > 0);
    (value.len() >= 8 && is_mixed && entropy(value) >= 2.5) || is_passphrase(value)
}

/// `correct-horse-battery-staple`: four words or more, each long enough to be one of a list.
fn is_passphrase(value: &[u8]) -> bool {
    let words: Vec<_> = value.split(|byte| matches!(byte, b'-' | b'.' | b'_')).collect();
    words.len() >= 4
        && words
            .iter()
            .all(|word| (4..=10).contains(&word.len()) && word.iter().all(u8::is_ascii_lowercase))
}

/// A word of a sentence that is no word: a password, a passphrase or a random value.
pub(super) fn is_secret_word(hit: &Hit<'_>) -> bool {
    let value = hit.value();
    let end = value
        .iter()
        .rposition(|byte| !matches!(byte, b'.' | b',' | b';' | b':' | b')' | b'?'))
        .map_or(0, |at| at + 1);
    let word = &value[..end];
    let hit = Hit { end: hit.start + word.len(), ..*hit };
    let is_constant =
        word.iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b'_');
    let is_path = word.contains(&b'/') || word.contains(&b'(');
    !is_constant
        && !is_path
        && (is_password(&hit) && !is_made_of_words(word) || is_passphrase(word) || is_random(&hit))
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
