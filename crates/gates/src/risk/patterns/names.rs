//! The context of a value: names that say it is no credential.

use super::Hit;

/// How far in front of a value its name may begin, in bytes.
const REACH: usize = 96;

/// Parts of names whose values are public, or only look random.
const HARMLESS: &[&str] = &[
    "publickey",
    "pubkey",
    "publishable",
    "cachekey",
    "restorekey",
    "partitionkey",
    "rowkey",
    "primarykey",
    "sortkey",
    "foreignkey",
    "routingkey",
    "idempotencykey",
    "objectkey",
    "s3key",
    "sharkey",
    "hashkey",
    "sitekey",
    "groupkey",
    "dedupkey",
    "nexttoken",
    "pagetoken",
    "continuationtoken",
    "synctoken",
    "cursor",
    "maxtokens",
    "totaltokens",
    "tokencount",
    "tokenizer",
    "tokentype",
    "tokenid",
    "tokenname",
    "numtokens",
    "inputtokens",
    "outputtokens",
    "prompttokens",
    "completiontokens",
    "keyname",
    "keypath",
    "keyfile",
    "keytype",
    "keyalias",
    "keyvaultname",
    "secretname",
    "secretpath",
    "keylength",
    "fingerprint",
    "checksum",
    "digest",
    "integrity",
    "thumbprint",
    "sha256",
    "sha1",
    "sha512",
    "md5sum",
    "etag",
];

/// Words in names that make even a UUID a credential.
const STRONG: &[&str] =
    &["api", "token", "secret", "auth", "pass", "pwd", "access", "private", "credential", "bearer"];

/// Words of names for which a UUID is an identifier.
const WEAK: &[&str] = &["key", "id"];

/// Whether the name in front of a value says that the value is no credential: `public_key`, a cursor, the key of
/// a cache, or a UUID of something that is only called a key or an id.
pub(super) fn is_harmless_name(hit: &Hit<'_>) -> bool {
    let name = name_before(hit);
    if HARMLESS.iter().any(|part| name.contains(part)) {
        return true;
    }
    let holds = |words: &[&str]| words.iter().any(|word| name.contains(word));
    is_with_uuid(hit.value()) && !holds(STRONG) && holds(WEAK) && has_no_issuer(&name)
}

/// The name in small letters without separators, together with the word before it on the same line: `cachekey` of
/// `cache key: `.
fn name_before(hit: &Hit<'_>) -> String {
    let near = &hit.text[hit.start.saturating_sub(REACH)..hit.start];
    let line = near.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let end = line.iter().rposition(is_name).map_or(0, |at| at + 1);
    let is_part = |byte: &u8| is_name(byte) || *byte == b' ';
    let start = line[..end].iter().rposition(|byte| !is_part(byte)).map_or(0, |at| at + 1);
    let words: Vec<_> =
        line[start..end].split(|byte| *byte == b' ').filter(|word| !word.is_empty()).collect();
    let last_two = words.get(words.len().saturating_sub(2)..).unwrap_or_default();
    let letters = last_two.iter().flat_map(|word| word.iter());
    let letters = letters.filter(|byte| byte.is_ascii_alphanumeric());
    letters.map(|byte| char::from(byte.to_ascii_lowercase())).collect()
}

/// Services whose keys are UUIDs name themselves in front of `key`.
fn has_no_issuer(name: &str) -> bool {
    const PLAIN: &[&str] =
        &["key", "id", "row", "sort", "primary", "partition", "storage", "s3", "object", "foreign"];
    // What an id identifies, while a key of one is a credential.
    const IDENTIFIED: &[&str] = &[
        "client",
        "tenant",
        "application",
        "subscription",
        "account",
        "project",
        "session",
        "request",
        "user",
    ];
    let mut rest = name.to_owned();
    let identified = if name.ends_with("id") { IDENTIFIED } else { &[] };
    for word in PLAIN.iter().chain(identified) {
        rest = rest.replace(word, "");
    }
    rest.len() < 3
}

/// Whether there is a UUID in the value, as a whole or as a part of a path.
fn is_with_uuid(value: &[u8]) -> bool {
    const GROUPS: [usize; 5] = [8, 4, 4, 4, 12];
    value.split(|byte| !byte.is_ascii_hexdigit() && *byte != b'-').any(|part| {
        let groups: Vec<_> = part.split(|byte| *byte == b'-').map(<[u8]>::len).collect();
        groups == GROUPS
    })
}
