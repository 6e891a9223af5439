//! Credentials known by where they are: behind an option of a command, in a connection string, in a file with a
//! place for them, in a sentence that names them.

use super::credentials::{
    is_chosen, is_hash, is_password, is_random, is_secret_word, is_used_password,
};
use super::{PLAIN, Pattern};

pub(super) const PATTERNS: &[Pattern] = &[
    Pattern {
        id: "url_password",
        description: "a password in a URL or in `curl -u`",
        regex: r#"(?: :// [\w.%+-]* : ([^\s@/"'<>`]{3,}) @ [\w\[-]
            | :// [\w.%+-]* : ["'] \s* [+,.] \s* (?: [\w.]+ \( )? ["'] ([^"'\n]{6,}) ["']
            | \b (?: curl | http | xh | wget ) \b (?: [^\n\\;|&] | \\ \s* )* \s (?: -u | --user | -a | --auth ) [\s=]* (["']? [\w.@%+-]{2,} : ["']? [^\s"']{3,}) )"#,
        weight: 0.8,
        accept: Some(is_used_password),
        examples: &[
            "https://bob:s3cr3t-pw@db.example/x",
            "redis://:m4Qz7LpX2s@cache.example:6379/0",
            "curl -u bob:t0pS3cret https://h.example",
        ],
        counter_examples: &[
            "https://${USER}:${PASS}@h",
            "curl -u \"myusername\"",
            "https://user:password@host",
            "postgres://postgres:postgres@localhost:5432/test",
        ],
        ..PLAIN
    },
    Pattern {
        id: "option_password",
        description: "a password passed to a command as an option or variable",
        regex: r#"(?: \b (?: mysql\w* | mariadb[\w-]* | mysql-\w+ ) \b [^\n;|]* \s (?-i: -p ) (["']? [^\s"'-][^\s"']{3,})
            | \b sshpass \s+ (?-i: -p ) \s* ["']? ([^\s"']{4,})
            | \b (?: docker | podman | nerdctl | helm | oras | skopeo | buildah | oc | az | acr | npm | ghcr
            ) \s+ (?: [\w-]+ \s+ )? login \b [^\n;|]* \s (?: (?-i: -p ) | --password ) [\s=]+ ["']? ([^\s"']{4,})
            | \b redis-cli \b [^\n;|]* \s (?-i: -a ) \s+ ["']? ([^\s"']{4,})
            | \b (?: smbclient | rpcclient | net \s+ rpc ) \b [^\n;|]* \s -U \s* ["']? [\w.\\/]+ % ([^\s"']{4,})
            | \b ldap\w+ \b [^\n;|]* \s (?-i: -w ) \s* ["']? ([^\s"']{4,})
            | \b (?: -pass(?:in|out)? | pass ) [\s=]+ pass: ([^\s"']{4,})
            | \b (?: zip | unzip | 7z\w* | rar ) \b [^\n;|]* \s (?-i: -[pP] ) \s* ["']? ([^\s"'-][^\s"']{5,})
            | \b (?: --? (?: \w+ - )? (?: password | passwd | passphrase | storepass | keypass ) ) [\s=]+ ["']? ([^\s"']{6,})
            | \b (?: echo | printf ) \s+ ["']? ([^\s"'|]{6,}) ["']? \s* \| \s* sudo \s+ -S
            | \b chpasswd \s* <<< \s* ["']? [\w.-]+ : ([^\s"']{4,})
            | \b (?: PGPASSWORD | MYSQL_PWD | SSHPASS | REDISCLI_AUTH | RESTIC_PASSWORD | BORG_PASSPHRASE | ANSIBLE_VAULT_PASSWORD
            | MONGO\w*_PASSWORD | MSSQL_SA_PASSWORD | SA_PASSWORD ) = (?: ["'] ([^"'\n]{4,}) ["'] | ([^\s"']{4,}) ) )"#,
        weight: 0.7,
        accept: Some(is_used_password),
        examples: &[
            "mysql -u root -pTr0ub4dor3 app",
            "sshpass -p BnT7nrrkBVem ssh root@h",
            "docker login -u bob -p INpq7uFOAVXU registry.example",
            "PGPASSWORD=\"velvet-battery-orbit-correct\" psql",
        ],
        counter_examples: &[
            "mysql -u root -p app",
            "mysql -P 3306 -p$PW",
            "docker login --password-stdin",
            "--password required",
            "mkdir -p some/folder",
        ],
        ..PLAIN
    },
    Pattern {
        id: "file_password",
        description: "a password at its place in a file (`.netrc`, a connection string, a Terraform default)",
        regex: r#"(?: \b (?: machine \s+ \S+ | default ) \s+ login \s+ \S+ \s+ password \s+ (\S{4,})
            | [;?&] \s* (?: password | passwd | pwd ) \s* = \s* ([^;&"'\n<>]{4,})
            | \b variable \s+ ["'] [\w-]* (?: pass | secret | token | key | pwd | credential ) [\w-]* ["'] \s* \{
            [^{}"']* (?: (?: description | type | sensitive ) [^{}\n]* \n [^{}"']* ){0,3} default \s* = \s* ["'] ([^"'\n]{4,}) ["']
            | [?&;] sig= ([\w%+/=-]{40,}) | [?&] X-(?: Amz | Goog )-Signature= ([0-9a-f]{64,})
            | \b _ (?: auth | password | authToken ) \s* = \s* ["']? ([\w+/=.-]{12,}) )"#,
        weight: 0.7,
        accept: Some(is_chosen),
        examples: &[
            "machine api.example login bob password tundra-marble-cactus",
            "Server=db;User Id=sa;Password=s9rEAfSSF;Encrypt=True",
            "variable \"db_password\" {\n  default = \"Nrqm9mHshPt4Ev\"\n}",
            "https://x.blob.core.windows.net/c?sv=2024&sig=9wXq2LkPz7VbN4mTr8YcDf6HjKs3Ga1EuRo0ZxCv5Bn%3D",
        ],
        counter_examples: &[
            "the machine has a login and a password",
            "Server=db;Password=${DB_PASSWORD};",
            "variable \"region\" { default = \"eu-west-1\" }",
        ],
        ..PLAIN
    },
    Pattern {
        id: "password_hash",
        description: "the hash of a password (crypt, bcrypt, Argon2, scrypt, PBKDF2, LDAP, NTLM)",
        regex: r"(?: ( \$ (?: 1 | 5 | 6 | 7 | y | gy | apr1 | 2[abxy]? | argon2(?:id|i|d) | scrypt
            | pbkdf2[\w-]* ) \$ [\w./$=,+-]{20,} ) | \b ( (?: pbkdf2_sha\d+ | argon2 | bcrypt_sha256 | scrypt ) \$ [\w./$=,+-]{30,} )
            | ( \{ (?: S?SHA\d* | SMD5 | CRYPT ) \} [\w+/=.$]{20,} ) | : \d+ : ( [0-9a-f]{32} : [0-9a-f]{32} ) ::: )",
        weight: 0.8,
        accept: Some(is_hash),
        examples: &[
            "root:$6$lAEOGZqsf9abX4o3$TxW6UEaxQll356IoBUQJ90foJK5Z35QybhFt9Owu:19700",
            "$2b$12$9wXq2LkPz7VbN4mTr8YcDf6HjKs3Ga1EuRo0ZxCv5BnM2QwE4rTy7",
        ],
        counter_examples: &["$1$ is an argument", "awk '{print $2$3}'", "$6$salt"],
        ..PLAIN
    },
    Pattern {
        id: "session_cookie",
        description: "a session, login or token in a cookie",
        regex: r#"\b (?: set- )? cookie ["']? \s* [:=] \s* ["']? (?: [^\n"']*? [;\s] )? [\w.-]* (?: sess | sid | token | auth | jwt
            | login | remember ) [\w.-]* = ([\w%+/.=:-]{16,})"#,
        weight: 0.7,
        accept: Some(is_random),
        examples: &[
            "Cookie: session=iaHfyMuIqDXgwnpdY6gWbkO7haVQTtJ4; theme=dark",
            "Set-Cookie: a=1; connect.sid=s%3AiaHfyMu7qDXgwnpdY6gWbkO7.ha",
        ],
        counter_examples: &["Cookie: theme=dark", "cookie: session=<id>", "cookies and sessions"],
        ..PLAIN
    },
    Pattern {
        id: "url_path_secret",
        description: "a secret in the path of an endpoint for MCP or webhooks",
        regex: r#"\b https?:// [^\s"'<>?\#]* (?: \b mcp \b | \b webhooks? \b | \b hooks? \b ) [^\s"'<>?\#]* / ([\w-]{32,}) (?: $ | [^\w.-] )"#,
        weight: 0.7,
        accept: Some(is_random),
        examples: &[
            "https://mcp.example.com/api/s/N6Ljbof8vdmTmpErAxTL6L5S9j2k9Tf1t3XlDGLy/mcp",
            "https://hooks.example.com/hooks/catch/123/N6Ljbof8vdmTmpErAxTL6L5S9j2k9Tf1",
        ],
        counter_examples: &[
            "https://example.com/docs/webhooks/how-to-verify-the-signature-of-them",
            "https://mcp.example.com/api",
        ],
        ..PLAIN
    },
    Pattern {
        id: "told_password",
        description: "a password or key stated in a sentence",
        regex: r#"\b (?: password | passwort | kennwort | passwd | passphrase | passcode | zugangscode | credentials | login
            | (?: api | access | secret | private | license ) [\s-]? (?: key | token | code ) | secret | token | schl\xc3\xbcssel )
            (?: s | es )? (?: (?: \s+ | [^.!?\n]{0,60} \s ) (?: is | was | are | ist | war | lautet | lauten
            | hei\xc3\x9ft | = ) \s* :? | \s* : ) \s+ ["'`\xe2\x80\x9e\x9c\x98]{0,3} ([^\s"'`<>\xe2]{6,})"#,
        weight: 0.5,
        accept: Some(is_secret_word),
        examples: &[
            "The password for the staging account is Qwertz1990$, please log in.",
            "Das Passwort für den Server lautet vbc4xoVfQqDXZS und der Benutzer ist root.",
            "the password is correct-battery-tundra-staple",
        ],
        counter_examples: &[
            "the password is required",
            "the secret is end-to-end encrypted",
            "The API key is called OPENAI_API_KEY.",
            "The token is invalid, see RFC6750",
        ],
        ..PLAIN
    },
    Pattern {
        id: "plain_password",
        description: "an unquoted value assigned to a password",
        regex: r#"(?: \b | [_.-] | \w ) (?: pass(?:word|wd|phrase)? | pwd | kennwort | passwort ) \w{0,12} ["']? \s* (?: =>? | : ) [\ \t]* ([^\s"'`,;(){}\[\]<>]{6,})"#,
        weight: 0.5,
        accept: Some(is_password),
        examples: &[
            "database:\n  password: orbit-tundra-velvet-staple",
            "DB_PASSWORD=Sommer2019!",
            "password = Tr0ub4dor",
        ],
        counter_examples: &[
            "password: changeme",
            "password = self.password1",
            "password: String",
            "PASSWORD=$DB_PASSWORD",
            "pwd=/home/u1",
        ],
        ..PLAIN
    },
    Pattern {
        id: "seed_phrase",
        description: "the seed phrase of a wallet",
        regex: r#"\b (?: seed | mnemonic | recovery | secret | backup ) [\s_-]* (?: phrase | words? | mnemonic )? [\s:=\x22'`-]{1,6} (?: is \s+ | = \s* )?
            ["'`]? ( (?: [a-z]{3,8} \s+ ){11,23} [a-z]{3,8} ) (?: $ | [^\w\s,;] )"#,
        weight: 0.8,
        accept: Some(is_seed_phrase),
        examples: &[
            "mnemonic: \"velvet orbit tundra cactus marble staple horse battery correct amber lunar prism\"",
        ],
        counter_examples: &[
            "the seed phrase is twelve words",
            "recovery: this is what you do when the disk of the server is full again",
        ],
        ..PLAIN
    },
];

/// Sentences have small words in them; the list of words for seed phrases has none.
fn is_seed_phrase(hit: &super::Hit<'_>) -> bool {
    const SMALL: [&[u8]; 24] = [
        b"the", b"and", b"for", b"you", b"are", b"was", b"with", b"that", b"this", b"not", b"has",
        b"have", b"from", b"your", b"which", b"when", b"must", b"can", b"will", b"what", b"does",
        b"into", b"its", b"words",
    ];
    let words = hit.value().split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let words: Vec<_> = words.map(<[u8]>::to_ascii_lowercase).collect();
    matches!(words.len(), 12 | 15 | 18 | 21 | 24)
        && !words.iter().any(|word| SMALL.contains(&word.as_slice()))
}
