//! Credentials that carry the mark of whoever issued them.

use super::credentials::{is_key_id, is_random, is_token};
use super::{PLAIN, Pattern};

/// A pattern for tokens with a prefix of their own. The formats are those that the issuers document
/// for secret scanning.
const fn token(
    id: &'static str,
    description: &'static str,
    regex: &'static str,
    examples: &'static [&'static str],
    counter_examples: &'static [&'static str],
) -> Pattern {
    Pattern {
        id,
        description,
        regex,
        weight: 0.9,
        accept: Some(is_token),
        examples,
        counter_examples,
        ..PLAIN
    }
}

pub(super) const PATTERNS: &[Pattern] = &[
    Pattern {
        id: "private_key",
        description: "a private key in PEM, PGP, PuTTY or age form",
        regex: r"(?: -----BEGIN [\ a-z0-9]* PRIVATE\ KEY (?: [a-z0-9+/=\s\\:,._-]*? -----END [\ a-z0-9]* PRIVATE\ KEY (?:\ BLOCK)? ----- | [a-z0-9+/=\s\\:,_-]* )
            | PuTTY-User-Key-File-\d: [^\n]+ | \bAGE-SECRET-KEY-1[a-z0-9]{30,} )",
        weight: 1.0,
        examples: &[
            "-----BEGIN PRIVATE KEY-----\nMIIEvQIB\n-----END PRIVATE KEY-----",
            "-----BEGIN RSA PRIVATE KEY-----",
        ],
        counter_examples: &["-----BEGIN PUBLIC KEY-----", "the private key"],
        ..PLAIN
    },
    token(
        "jwt",
        "a JSON Web Token, plain or in Base64 once more",
        r"(?: \b ey[ij] [a-z0-9_=-]{10,} \.{1,2} [a-z0-9_/+=-]{8,} (?: \.{1,2} [a-z0-9_/+=-]* )?
            | \bZXlK[a-z0-9+/=]{40,} | \bops_ey[a-z0-9+/=_-]{60,} )",
        &["eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.Q3Zf8sLx"],
        &["eyJ is how they begin", "eyebrow.raised.twice"],
    ),
    Pattern {
        accept: Some(is_key_id),
        ..token(
            "aws_key",
            "an access key of AWS or of Bedrock",
            r"(?: \b ( (?: AKIA | ASIA | ABIA | ACCA | A3T[A-Z0-9] ) [A-Z0-9]{16} ) \b | \b ABSK [a-z0-9+/]{90,}
            | bedrock-api-key-[a-z0-9+/=]{60,} )",
            &["AKIAQ3EGRVBOYZ7DKWZT", "AKIAQXEGRVBOYZLDKWZT"],
            &["AKIAIOSFODNN7EXAMPLE", "ASIA and the Pacific"],
        )
    },
    token(
        "github_token",
        "a token of GitHub",
        r"\b (?: gh[pousr]_ [a-z0-9]{30,} | github_pat_ \w{30,} )",
        &["ghp_9wXq2LkPz7VbN4mTr8YcDf6HjKs3Ga1EuRo0"],
        &["ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "github_pat_ tokens"],
    ),
    token(
        "gitlab_token",
        "a token of GitLab",
        r"(?: \b gl (?: pat | rt | rtr | ptt | ft | soat | agent | cbt | dt | imt | ffct | oas
            | wt )- [\w-]{16,} (?: \.[\w.]{7,} )? | \b GR1348941 [\w-]{18,}
            | _gitlab_session=[0-9a-z]{20,} | \bgloas-[\w-]{20,} )",
        &["glpat-4xQz7LmP2sTvB9wKcR8y"],
        &["glpat-XXXXXXXXXXXXXXXXXXXX", "glpat-short"],
    ),
    token(
        "slack_token",
        "a token or a webhook of Slack",
        r"(?: \b xox[a-z] (?: \.xox[a-z] )? - (?: [\w]+ - )* [a-z0-9]{10,} (?: $ | [^\w-] )
            | \b xapp-\d-[\w-]{15,} | hooks\.slack\.com/ (?: services | workflows
            | triggers ) /[\w+/-]{20,} )",
        &["xoxb-618203947512-4071925836104-Qz7LpX2sTvB9wKcR8yNd5GhJ"],
        &["xoxb-xxxxxxxxxxxx-xxxxxxxxxxxxxxxx", "xoxo-indieweb-1"],
    ),
    token(
        "payment_key",
        "a key of Stripe, Square, Shopify, PayPal-Braintree, Plaid, Shippo, Flutterwave or Razorpay",
        r"(?: \b (?: (?: sk | rk | whsec ) _ (?: live | test | prod )
            | pk _ (?: live | prod ) ) _ [a-z0-9]{10,} | \b shp (?: at | ca | pa
            | ss ) _ [0-9a-f]{20,} | \b sq0 (?: atp | csp | idp ) - [\w\\-]{20,} | \b EAAA[\w-]{40,}
            | \b access_token\$production\$[0-9a-z]{10,} | \b shippo_(?:live|test)_[0-9a-f]{30,}
            | \bFLW(?:PUB|SEC)K_TEST-[0-9a-h-]{12,}
            | \b access-(?:sandbox|development|production)-[0-9a-f-]{30,}
            | \brzp_(?:live|test)_\w{14,} )",
        &["sk_live_9xQz7LmP2sTvB4wKcR8yNd", "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"],
        &["sk_live_ keys", "sk_test_xxxxxxxxxxxxxxxxxxxx"],
    ),
    token(
        "model_key",
        "a key of OpenAI, Anthropic, Groq, Hugging Face, Perplexity, Replicate, Cohere or the like",
        r"(?: \b sk- (?: proj- | ant- | or- | svcacct- | admin- | lf- )? [\w-]{18,} | \b (?: gsk | hf | r8 | fw ) _ [a-z0-9]{24,} | \b (?: xai | nvapi | pplx | tgp_v1 | csk ) [_-] [\w-]{24,} | \b api_org_ [a-z]{30,}
            | \b key-[0-9a-f]{32} \b )",
        &[
            "sk-proj-9wXq2LkPz7VbN4mTr8YcDf6HjKs3",
            "gsk_9wXq2LkPz7VbN4mTr8YcDf6HjKs3Ga1E",
            "hf_QzLpXsTvBwKcRyNdGhJmViMbYxZtkW",
        ],
        &["sk-learn-contrib-packages", "hf_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"],
    ),
    // The prefix and the length say it all: underscores may make the rest look like words.
    Pattern {
        accept: Some(is_key_id),
        ..token(
            "google_key",
            "a key, client secret or token of Google",
            r"(?: \b AIza[\w-]{35} | \b GOCSPX-[\w-]{20,} | \b ya29\.[\w-]{20,} | \b 1//0[\w-]{30,} )",
            &["AIzaSyD3mQ9xLk2PzVbN7tR4wYcF6hJsGa1EuRo", "AIza20_P_kAOHDnPMBjh_uA5F_OsI8_cnvpyVwo"],
            &["AIza keys", "ya29.short"],
        )
    },
    token(
        "azure_secret",
        "a client secret or storage key of Azure, a Teams webhook",
        r#"(?: (?: ^ | [\s"'=:>] ) ( [\w~.-]{3} \dQ~ [\w~.-]{31,34} ) (?: $ | [\s"'<;,\\] )
            | \b AccountKey= [a-z0-9+/=]{60,} | \b [\w-]+\.webhook\.office\.com/webhookb2/[\w@/-]{40,}
            | \bSharedAccess(?:Key|Signature)=[\w%+/=&-]{30,} )"#,
        &[
            "AccountKey=m4Qz7LpX2sTvB9wKcR8yNd5GhJf1AeUo3ViMbYx6Zt0kWnSrDgHq+CjFlOa/PuIeTyRwQzXcVbNmLkJhGfDsAq==",
        ],
        &["~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~", "AccountKey=none"],
    ),
    token(
        "package_token",
        "a token of npm, PyPI, RubyGems, Docker, NuGet, Clojars, Artifactory or Cargo",
        r"(?: \b npm_ [a-z0-9]{30,} | \b pypi-AgE[\w-]{40,} | \b rubygems_[0-9a-f]{40,}
            | \b dckr_(?:pat|oat)_[\w-]{20,} | \b oy2[a-z0-9]{43} \b | \b CLOJARS_[0-9a-z]{50,}
            | \b (?: AKCp[a-z0-9]{60,} | cmVmdGtu[a-z0-9]{50,} ) | \bcio[a-z0-9]{32} \b )",
        &[
            "npm_9wXq2LkPz7VbN4mTr8YcDf6HjKs3Ga1EuRo0",
            "pypi-AgEIcHlwaS5vcmcCJDk4Zjc2LTRxN0xwWDJzVHZCOXdLY1I4eU5kNUdoSg",
        ],
        &["npm_config_registry", "oy2 is short"],
    ),
    token(
        "mail_key",
        "a key of SendGrid, Mailgun, Mailchimp, Brevo, Postmark or Twilio",
        r"(?: \b SG\.[\w=.-]{40,} | \b [0-9a-f]{32}-us\d{1,2} \b | \b xkeysib-[0-9a-f]{60,}(?:-\w+)?
            | \b ( (?: SK | AC ) [0-9a-f]{32} ) \b | \b (?: pub)?key-[0-9a-f]{32} \b )",
        &["SG.Qz7LpX2sTvB9wKcR8yNd5G.m4Vi7MbYx6Zt0kWnSrDgHqCjFlOaPuIeTyRw3A"],
        &["SG.short", "SKU 12345"],
    ),
    token(
        "chat_bot_token",
        "a bot's token of Telegram or Discord, a webhook of Discord",
        r"(?: (?: ^ | [^\w] ) ( \d{5,16} : A[\w-]{30,38} ) (?: $ | [^\w-] )
            | \b ( [MNO][\w-]{23,27} \. [\w-]{6} \. [\w-]{25,40} ) (?: $ | [^\w-] )
            | discord(?:app)?\.com/api/webhooks/\d+/[\w-]{40,} )",
        &["618203947:AAQz7LpX2sTvB9wKcR8yNd5GhJm4Vi7MbYx"],
        &["10:30:AM", "Module.name.method"],
    ),
    token(
        "cloud_token",
        "a token of a hosting or platform service (DigitalOcean, Heroku, Fly, Doppler, Vault, Terraform, Databricks, Alibaba ...)",
        r"(?: \b do[opr]_v1_[0-9a-f]{40,} | \b HRKU-[\w-]{30,} | \b f[mo][12][ar]?_[\w+/=-]{40,}
            | \b dp\.(?:pt|st|ct|sa|scim|audit)\.[\w.-]{20,} | \b hv[sbr]\.[\w-]{24,} | \b (?: s | b
            | r )\.[a-z0-9]{24} \b | [a-z0-9]{14}\.atlasv1\.[\w=-]{50,} | \b dapi[0-9a-f]{32}
            | \b LTAI[a-z0-9]{17,22} \b | \b pul-[0-9a-f]{40} | \b pscale_(?:tkn|oauth|pw)_[\w=.-]{30,}
            | \b tk-us-[\w-]{40,} | \b YC[a-z0-9_-]{38} \b | \b AQVN[\w-]{35,} | \b t1\.[\w=.-]{40,}
            | \b v1\.0-[0-9a-f]{24}-[0-9a-f]{100,} | \b sha256~[\w-]{40,} | \b nfp_\w{30,}
            | \b cf(?:ut|at|k)_[\w-]{30,} | \b dt0[a-z]\d\d\.[a-z0-9]{20,}\.[a-z0-9]{50,}
            | \b ops_[\w-]{100,}
            | \b A3-[A-Z0-9]{6}-(?:[A-Z0-9]{11}|[A-Z0-9]{6}-[A-Z0-9]{5})(?:-[A-Z0-9]{5}){3}
            | \b EZ[AT]K[a-z0-9]{50,} )",
        &[
            "dop_v1_3f7a9c2e8b1d6f4a0c5e7b9d2f8a1c6e4b0d7f3a9c5e2b8d1f6a4c0e7b9d2f8a",
            "hvs.CAESIJ9xQz7LmP2sTvB4wKcR8yNd5GhJ",
        ],
        &["hvs.short", "dapi in lower case", "s.alllowercaselettershereok"],
    ),
    token(
        "service_token",
        "a token of a developer's or company service (Atlassian, Notion, Linear, Sentry, New Relic, Grafana, Postman, Figma ...)",
        r"(?: \b ATATT3[\w=-]{60,} | \b (?: secret | ntn )_[a-z0-9]{43,} | \b lin_api_[a-z0-9]{40}
            | \b sntrys_eyJ[\w+/=-]{40,} | \b sntryu_[0-9a-f]{60,}
            | \b NR(?:AK|JS|II|AL|RA)-[a-z0-9-]{15,} | \b gl(?:c|sa)_[\w+/=]{30,}
            | \b eyJrIjoi[a-z0-9]{60,} | \b PMAK-[0-9a-f-]{50,} | \b fig[duo]_[\w-]{20,}
            | \b sgp_(?:[0-9a-f]{16}_|local_)?[0-9a-f]{40} \b | \b sq[uap]_[0-9a-f]{40}
            | \b tfp_[\w.=-]{50,} | \b rdme_[a-z0-9]{60,} | \b pnu_[a-z0-9]{36}
            | \b sm_[aps]at_[a-z0-9]{16,} | \b API-[A-Z0-9]{26} \b | \b CCIPAT_\w{20,}
            | \b dnkey-[a-z0-9=_-]{26}-[a-z0-9=_-]{20,} | \b duffel_(?:test|live)_[\w=-]{40,}
            | \b fio-u-[\w=-]{50,} | \b ico-[a-z0-9]{32} | \b aio_[a-z0-9]{28} | \b p8e-[a-z0-9]{32}
            | \b pat[a-z0-9]{14}\.[0-9a-f]{64} | \b phc_\w{40,} | \b EAA(?: [mcg][a-z0-9]{80,} | [a-z][a-z0-9]{100,} )
            | \b vercel_blob_rw_[a-z0-9]{16}_[a-z0-9]{30} | hooks\.zapier\.com/hooks/catch/\d+/[a-z0-9]{6,}
            | \b A{18,25}[a-z0-9]*%[23][\w%]{30,}
            | \b \d{15,16}\|[\w-]{27} | ://[0-9a-f]{8}:[0-9a-f]{8}@ | \b squ_\w{30,} | \b (?: live
            | test )_[0-9a-f]{35} | \b (?: live | test )_pub_[0-9a-f]{31}
            | \b s-s4t2(?:ud|af)-[0-9a-f]{60,} | \b AQE[\w-]{60,} | \b ghs_\w{36} | \b ATBB\w{28,}
            | \b xau[\w-]{40,} | \b [a-z0-9]{6}_[a-z0-9]{29}_mmk | \bmoc-\w{30,} | \b (?: sc | ext
            | scauth | authress )_[a-z0-9]{5,30}\.[a-z0-9]{4,6}\.acc[_-][a-z0-9-]{10,32}\.[a-z0-9+/_=-]{30,} )",
        &[
            "lin_api_9wXq2LkPz7VbN4mTr8YcDf6HjKs3Ga1EuRo0ZxCv",
            "PMAK-7c1e9a4f2b8d06e35af1c9d2-b7e4803a5f6d1c2e9b8a7f4d3c0e5b6a91",
        ],
        &["secret_length", "ntn_4567890123abc", "API-READONLY"],
    ),
    Pattern {
        id: "auth_header",
        description: "an `Authorization` or API-key header with its value",
        regex: r#"(?: \b authorization ["']? \s*[:=]\s* ["']? (?: (?: bearer | basic | token | apikey ) \s+ )?
            | \b x-[\w-]*(?:key|token|auth|secret) ["']? \s*[:=]\s* ["']?
            | \b bearer \s+ ) ([a-z0-9_.~+/=:-]{12,})"#,
        weight: 0.8,
        accept: Some(is_random),
        examples: &[
            "Authorization: Bearer 9wXq2LkPz7VbN4mTr8Yc",
            "X-Api-Key: 3f7a9c2e8b1d6f4a0c5e",
        ],
        counter_examples: &[
            "Authorization: Bearer <token>",
            "bearer authentication",
            "X-Api-Key: required-for-writes",
        ],
        ..PLAIN
    },
];
