//! Addresses that reach where a server should not, or pretend to be another address.

use super::shown::is_used_host;
use super::{Hit, PLAIN, Pattern};

pub(super) const PATTERNS: &[Pattern] = &[
    Pattern {
        id: "scheme",
        description: "a scheme other than http and https (`file:`, `gopher:`, `javascript:` and others)",
        regex: r#"(?: \b ([a-z][a-z0-9+.-]{1,30}) :// | \b (?: javascript | vbscript | livescript ) (?: :\S
            | \s* : \s* \w+ \s* \( ) | \bdata : (?: [a-z]+/[a-z+.-]+ )? [;,] [a-z0-9%<+/=;,-]
            | \b (?: jar : (?: https? | file ) : | (?: netdoc | view-source | file | gopher | dict | php
            | phar | expect | ldap ) : / )
            | j(?:\s|\\[nrt])*a(?:\s|\\[nrt])*v(?:\s|\\[nrt])*a(?:\s|\\[nrt])*s(?:\s|\\[nrt])*c(?:\s|\\[nrt])*r(?:\s|\\[nrt])*i(?:\s|\\[nrt])*p(?:\s|\\[nrt])*t(?:\s|\\[nrt])*:\S )"#,
        weight: 0.5,
        accept: Some(is_odd_scheme),
        examples: &["gopher://h/x", "javascript:go(7)", "file:///x", "ja\nvascript:x"],
        counter_examples: &[
            "https://example.org",
            "git+https://example.org/x",
            "std::io",
            "javascript: a language",
        ],
        ..PLAIN
    },
    Pattern {
        id: "userinfo",
        description: "user information before an `@` that looks like the host",
        regex: r#"(?: https? : [/\\]* | (?: ^ | [\s"'(=/] ) [/\\]{2,} ) [^\s/?\#"'<>@]* @ [\w\[] | (?: ^
            | [\s"'=/] ) [/\\]+ [^\s/@?]* @ [\w.-]+\.\w"#,
        weight: 0.6,
        examples: &["http://good.example@evil.example", "//a.example@b.example/"],
        counter_examples: &["https://example.org/@user", "mail me@example.org", "// @ts-ignore"],
        ..PLAIN
    },
    Pattern {
        id: "numeric_host",
        description: "a host written as a number: IPv4 in any base or length, IPv6",
        regex: r#"\b (?: https? | wss? ) : [/\\]* (?: [^\s/@]* @ )? (?: \[ [0-9a-f:.%]+ \]? | (?: 0x[0-9a-f]+
            | o?\d+ ) (?: \. (?: 0x[0-9a-f]+ | \d+ ) ){0,3} \.? (?: [:/?\#\\\s"'<>),;] | $ ) )"#,
        weight: 0.6,
        examples: &[
            "http://127.0.0.1:80/",
            "http://0x0a000001",
            "http://[::1]/",
            "http://2130706433/",
            "http:017700000001",
        ],
        counter_examples: &["https://1.example.org", "http: 404", "version 1.2.3.4"],
        ..PLAIN
    },
    Pattern {
        id: "internal_host",
        description: "a host that only an internal network reaches (localhost, metadata services, single labels)",
        regex: r#"(?: \b https? : [/\\]* (?: [^\s/@]* @ )? (?: localhost | ip6-\w+ | [\w.-]+\. (?: internal | local
            | localdomain | intranet | corp | lan | home | test | example | invalid )
            | [a-z][\w-]* ) (?: [:/?\#\\\s"'<>),] | $ )
            | \b 169\.254\.\d{1,3}\.\d{1,3} \b | \b 100\.100\.100\.200 \b | \bfd00:ec2::254 \b
            | \bmetadata \. (?: google\.internal | packet\.net | tencentyun\.com )
            | [\w-]+ \. (?: nip\.io | xip\.io | sslip\.io | localtest\.me | lvh\.me
            | burpcollaborator\.net | oast\.\w+ | interact\.sh ) \b
            | / (?: latest | openstack | computeMetadata ) / (?: meta-?data | user-data | v1
            | attributes ) )"#,
        weight: 0.6,
        accept: Some(is_used_host),
        examples: &[
            "http://localhost:9",
            "http://169.254.169.254/x",
            "http://foo/json",
            "10.0.0.1.nip.io",
        ],
        counter_examples: &["https://example.org/", "on localhost:8080", "the metadata of it"],
        ..PLAIN
    },
    Pattern {
        id: "redirect",
        description: "an address in a parameter or path of another address, as in redirects",
        regex: r#"(?: [?&;] (?: url | uri | u | next | to | go | goto | target | dest\w* | redir\w* | rurl | return\w*
            | continue | view | link | out | callback | forward | domain | path | ref | image\w*
            | checkout\w* | login\w* | logout | data | src ) = (?: https? : | [/\\$%]{1,}
            | [\w-]+ (?: \.[\w-]+ )+ (?: [&\s] | $ ) )
            | (?: / | \.cgi | \.php | out ) \? [/\\]* [\w-]+ (?: \.[\w-]+ )+ (?: $ | [/\s] )
            | [/?] https? : | /+ [\w-]* \? [/\\] | (?: redirect | ssrf ) [\w./-]* \? \w+ =
            | https? :// \S+ https? :// )"#,
        weight: 0.5,
        examples: &[
            "/login?next=//evil.example",
            "?url=http://bad.example",
            "http://a.example/http://b.example",
        ],
        counter_examples: &["https://example.org/?q=1", "what? https is", "a?b=c"],
        ..PLAIN
    },
    Pattern {
        id: "odd_authority",
        description: "slashes, backslashes, blanks or look-alikes at the start of a host",
        regex: r#"(?: \b https? : (?: [/\\]{3,} | \\ | /\\ | // [/\\%] | (?: [\w-]+\. )+ [a-z]{2,} (?: [/\s] | $ ) )
            | (?: ^ | [\s"'=(] ) /{2,} [\w-]+ (?: \. [\w-]+ )+ (?: [/\s"':?\\] | $ ) | (?: ^
            | [\s"'=(] ) [/\\]* (?: /[\t\r\n\\]+/? | //+ [\t\r\n]* | \\\\
            | /\\ ) ;? @? [\w-]+ (?: \.[\w-]+ )+ (?: [/\\\s@"'] | $ )
            | (?: ^ | [\s/] ) / \.? [\w-]+ \. (?: com | net | org | io | example | info
            | co ) (?: / \.\. | $ | \s ) | https? :// [^\s/]* [\\&] | (?: ^ | [\s/] ) //+ <\w | (?: ^
            | \s ) [/\\]* (?: \xe3\x80\xb1 | \xe3\x80\xb5 | \xe3\x82\x9d | \xe3\x83\xbc | \xe3\x83\xbd
            | \xef\xbd\xb0 ) [\w-]+ \.
            | https? :// [^\s/?\#]* (?: [\x80-\xff] | \x00 ) | // [^\s/]* \x00
            | https? :// [\w.-]+ \? [^\s=&]+ [./] | // (?: [\w-]+\. )+ \w+ // )"#,
        weight: 0.5,
        examples: &[
            "https:///evil.example",
            "////evil.example/",
            "/\\/evil.example",
            "http:evil.example",
            "//evil.example",
        ],
        counter_examples: &["https://example.org/a", "// a comment", "and/or", "/// docs for x"],
        ..PLAIN
    },
    Pattern {
        id: "docker_api",
        description: "the API of a container engine or a function runtime",
        regex: r"https? :// \S+ / (?: containers | images | exec ) / (?: json | create | \w+/start )
            | / runtime / invocation /",
        weight: 0.6,
        examples: &["http://h.example/containers/json"],
        counter_examples: &["containers and images", "https://example.org/images/a.png"],
        ..PLAIN
    },
];

/// Developers write these every day, and no server follows them because a text holds them.
const USUAL_SCHEMES: [&[u8]; 9] =
    [b"http", b"https", b"git", b"git+https", b"git+ssh", b"git+http", b"s3", b"oci", b"docker"];

fn is_odd_scheme(hit: &Hit<'_>) -> bool {
    !USUAL_SCHEMES.contains(&hit.value().to_ascii_lowercase().as_slice())
}
