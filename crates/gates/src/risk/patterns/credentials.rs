//! Credentials known by the name they are given to: `password = ...`, `"api_key": "..."`.

use super::Pattern;

pub(super) const PATTERNS: &[Pattern] = &[
    Pattern {
        id: "named_secret",
        description: "a random-looking value given to something called a key, token, secret or the like",
        regex: r#"(?: <secret_name> | \b [a-z0-9_.-]* (?: adafruit | adobe | airtable | algolia | alibaba | asana | atlassian | beamer | bitbucket | bittrex | codecov | cohere | coinbase | confluent | contentful | datadog | digitalocean | discord | dropbox | droneci | etsy | facebook | fastly | finicity | finnhub | flickr | freshbooks | gitter | gocardless | hubspot | infracost | intercom | jfrog | kraken | kucoin | launchdarkly | linkedin | lob | looker | mailchimp | mailgun | mapbox | mattermost | meraki | messagebird | netlify | newrelic | nytimes | okta | plaid | postman | privateai | rapidapi | sendbird | sentry | shopify | snyk | softlayer | sonar | sourcegraph | squarespace | sumo | telegram | travis | trello | twilio | twitch | twitter | yandex | zendesk | contribsys ) )
            [\w.-]{0,40} ["'`\])]{0,3} \s* (?: :=? | =>? | ==+ | != | \|{1,2}: | , | \?= | \s ) [=>\s]* (?: ["'`(]{1,3} | \w{1,12}\( ["'] )? ([a-z0-9_.=~+/:@!$%^&*\#?|-]{8,200})"#,
        weight: 0.8,
        accept: Some(is_random),
        examples: &[
            "api_key = \"9wXq2LkPz7VbN4mTr8Yc\"",
            "{\"snyk_token\": \"3f7a9c2e-8b1d-6f4a-0c5e-7b9d2f8a1c6e\"}",
            "DB_PASSWORD=Tr0ub4dor3x",
        ],
        counter_examples: &[
            "token = read_token(stream)",
            "password: required",
            "api_key: ${API_KEY}",
            "max_tokens: 4000",
            "secret: xxxxxxxxxxxxxxxx",
        ],
    },
    Pattern {
        id: "quoted_password",
        description: "a quoted value given to something called a password or a secret",
        regex: r#"(?: \b | _ ) (?: pass(?:word|wd|phrase|code)? | pwd | secret | api_?key | private_?key | (?:db|root|service|user|admin)_?pass | auth_?key | secret_?(?:access_?)?key | credentials? ) [\w-]{0,30} ["']? \s* (?: :=? | => | ={1,3} | != ) \s* (?: "([^"\n]{6,120})" | '([^'\n]{6,120})' )"#,
        weight: 0.6,
        accept: Some(is_no_placeholder),
        examples: &["password = \"correct horse battery\"", "db_pass: 'hunter2hunter2'"],
        counter_examples: &["password = \"\"", "secret: '${SECRET}'", "password: \"your password\""],
    },
    Pattern {
        id: "unquoted_password",
        description: "an unquoted value with signs in it, given to something called a password or a secret",
        regex: r#"(?: \b | _ ) (?: pass(?:word|wd|phrase)? | pwd | secret | api_?key | private_?key | secret_?(?:access_?)?key ) [\w-]{0,30} \s* (?: := | =>? | : ) \s* ([^\s"'`]{10,120})"#,
        weight: 0.6,
        accept: Some(is_full_of_signs),
        examples: &["passwd: m#9$kQ}v2~Lx_w", "secret := a{b}c[d>e-f_g$h#i"],
        counter_examples: &["password: changeme", "secret = get_secret(\"x\")", "pwd: /home/bob/projects"],
    },
];

/// Whether a value looks drawn at random: long, of several kinds of characters, and no name of a thing.
pub(super) fn is_random(value: &[u8]) -> bool {
    let value = value.trim_ascii_end();
    let value = value.strip_suffix(b".").unwrap_or(value);
    let count = |is: fn(&u8) -> bool| value.iter().filter(|byte| is(byte)).count();
    let (digits, letters) = (count(u8::is_ascii_digit), count(u8::is_ascii_alphabetic));
    let dots = count(|byte| matches!(byte, b'.' | b'/' | b':'));
    value.len() >= 8
        && digits >= 2
        && letters >= 2
        && digits * 16 >= value.len()
        && dots * 8 <= value.len().max(16)
        && entropy(value) >= 2.9
        && !is_words_with_numbers(value)
        && is_no_placeholder(value)
}

/// `X25519.KeyPair`, `rc0.15.0_20231217`, `s_rsa1024_priv.pem`: identifiers, versions, file names.
fn is_words_with_numbers(value: &[u8]) -> bool {
    let parts: Vec<&[u8]> = value
        .split(|byte| matches!(byte, b'_' | b'-' | b'.' | b'/' | b':'))
        .filter(|part| !part.is_empty())
        .collect();
    let is_word = |part: &&[u8]| part.iter().all(u8::is_ascii_alphabetic) && part.len() > 2;
    let words = parts.iter().copied().filter(|part| is_word(part)).count();
    parts.len() > 1 && words * 2 >= parts.len()
}

/// A value of a known format: whatever is not obviously filled in for show.
pub(super) fn is_token(value: &[u8]) -> bool {
    entropy(value) >= 2.3 && is_no_placeholder(value) && value.iter().any(|b| b.is_ascii_digit() || b.is_ascii_uppercase())
}

/// What stands in examples instead of a credential.
pub(super) fn is_no_placeholder(value: &[u8]) -> bool {
    const SIGNS: [&[u8]; 14] = [
        b"xxxx", b"example", b"****", b"....", b"your", b"placeholder", b"redacted", b"changeme",
        b"<", b"${", b"$(", b"{{", b"####", b"aaaaaaaa",
    ];
    let lower = value.to_ascii_lowercase();
    let starts_as_reference = lower.starts_with(b"$") || lower.starts_with(b"%") || lower.starts_with(b"\"$");
    let holds = |sign: &&[u8]| memchr::memmem::find(&lower, sign).is_some();
    value.len() >= 3
        && !starts_as_reference
        && !matches!(lower.as_slice(), b"password" | b"passwd" | b"secret" | b"token" | b"pass" | b"username:token")
        && (!SIGNS.iter().any(holds) || is_full_of_signs(value))
}

/// Several signs among letters, as generated passwords have and code has not.
fn is_full_of_signs(value: &[u8]) -> bool {
    let mut signs: Vec<u8> = value.iter().copied().filter(u8::is_ascii_punctuation).collect();
    signs.sort_unstable();
    signs.dedup();
    let is_call = value.ends_with(b")") || value.contains(&b'(') && signs.len() < 6;
    let is_path = value.contains(&b'/') && signs.len() < 5;
    signs.len() >= 4 && value.iter().any(u8::is_ascii_alphabetic) && !is_call && !is_path && entropy(value) >= 3.0
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
