//! SQL, Mongo shell and Redis statements in arguments and on standard input.

use super::effect::CommandEffect;

/// Statements that change nothing.
const READS: &[&str] = &[
    "SELECT", "SHOW", "DESCRIBE", "DESC", "EXPLAIN", "WITH", "PRAGMA", "USE", "SET", "BEGIN",
    "COMMIT", "ROLLBACK", "VALUES", "TABLE", "HELP", "ANALYZE", "LIST",
];

/// Words that only SQL begins a statement with, together with a second one.
pub(crate) fn is_statement(program: &str, second: &str) -> bool {
    let first = program.to_ascii_uppercase();
    let second = second.to_ascii_uppercase();
    let second = second.trim_end_matches(';');
    matches!(
        (first.as_str(), second),
        (
            "DROP",
            "DATABASE"
                | "TABLE"
                | "SCHEMA"
                | "INDEX"
                | "VIEW"
                | "USER"
                | "ROLE"
                | "COLLECTION"
                | "KEYSPACE"
        ) | ("DELETE", "FROM")
            | ("TRUNCATE", "TABLE")
            | ("ALTER", "TABLE" | "DATABASE" | "USER" | "ROLE" | "SYSTEM")
            | ("GRANT" | "REVOKE", _)
            | ("INSERT", "INTO")
            | ("SHOW", "TABLES" | "DATABASES")
            | ("CREATE", "TABLE" | "DATABASE" | "USER" | "INDEX" | "VIEW")
            | ("SELECT", _)
    ) || (first == "TRUNCATE" && program == "TRUNCATE")
        || (first == "UPDATE" && program == "UPDATE")
}

/// The severest effect of the statements.
pub(crate) fn effect(text: &str) -> CommandEffect {
    let mut effect = CommandEffect::Read;
    for statement in statements(text) {
        effect = effect.max(one(&statement));
    }
    effect
}

/// Splits at semicolons outside quotes and drops comments; words in upper case.
fn statements(text: &str) -> Vec<Vec<String>> {
    let mut all = Vec::new();
    let mut words = Vec::new();
    let mut word = String::new();
    let mut chars = text.chars().peekable();
    let flush = |word: &mut String, words: &mut Vec<String>| {
        if !word.is_empty() {
            words.push(std::mem::take(word));
        }
    };
    while let Some(c) = chars.next() {
        match c {
            '\'' | '"' | '`' => {
                flush(&mut word, &mut words);
                let mut quoted = String::from("'");
                for next in chars.by_ref() {
                    if next == c {
                        break;
                    }
                    quoted.push(next);
                }
                words.push(quoted);
            }
            '-' if chars.peek() == Some(&'-') => {
                flush(&mut word, &mut words);
                let _ = chars.by_ref().find(|c| *c == '\n');
            }
            '/' if chars.peek() == Some(&'*') => {
                chars.next();
                // `/*! … */` runs in MySQL.
                if chars.peek() == Some(&'!') {
                    chars.next();
                    continue;
                }
                flush(&mut word, &mut words);
                let mut last = ' ';
                for next in chars.by_ref() {
                    if last == '*' && next == '/' {
                        break;
                    }
                    last = next;
                }
            }
            ';' => {
                flush(&mut word, &mut words);
                if !words.is_empty() {
                    all.push(std::mem::take(&mut words));
                }
            }
            _ if c.is_alphanumeric() || "_.$*\\".contains(c) => word.extend(c.to_uppercase()),
            '=' | '<' | '>' => {
                flush(&mut word, &mut words);
                words.push(c.to_string());
            }
            _ => flush(&mut word, &mut words),
        }
    }
    flush(&mut word, &mut words);
    if !words.is_empty() {
        all.push(words);
    }
    all
}

fn one(words: &[String]) -> CommandEffect {
    let word = |at: usize| words.get(at).map_or("", String::as_str);
    let has = |name: &str| words.iter().any(|word| word == name);
    let at = |name: &str| words.iter().position(|word| word == name);
    // `EXPLAIN` of a statement only describes it, unless it is analyzed.
    if matches!(word(0), "EXPLAIN" | "DESCRIBE" | "DESC") && !has("ANALYZE") {
        return CommandEffect::Read;
    }
    if word(0).starts_with("\\!") || (has("PROGRAM") && has("COPY")) || has("XP_CMDSHELL") {
        return CommandEffect::Escalate;
    }
    if has("GRANT") && (has("SUPERUSER") || (has("ALL") && has("*.*")) || has("*") && has("OPTION"))
    {
        return CommandEffect::Escalate;
    }
    if (has("ALTER") || has("CREATE")) && (has("SUPERUSER") || has("CREATEROLE")) {
        return CommandEffect::Escalate;
    }
    if has("OUTFILE") || has("DUMPFILE") || has("LOAD_FILE") {
        return CommandEffect::Exfiltrate;
    }
    let dropping = at("DROP").is_some_and(|at| {
        matches!(
            word(at + 1),
            "DATABASE"
                | "SCHEMA"
                | "TABLE"
                | "VIEW"
                | "INDEX"
                | "USER"
                | "ROLE"
                | "COLUMN"
                | "TYPE"
                | "FUNCTION"
                | "SEQUENCE"
                | "TRIGGER"
                | "KEYSPACE"
                | "COLLECTION"
                | "MATERIALIZED"
                | "EXTENSION"
                | "TABLESPACE"
                | "CONSTRAINT"
                | "PARTITION"
                | "PROCEDURE"
                | "OWNED"
                | "PUBLICATION"
                | "STREAM"
                | "WAREHOUSE"
                | "STAGE"
                | "IF"
                | "LOGIN"
        ) || (word(0) == "ALTER" && at > 0)
    });
    if dropping || has("FLUSHALL") || has("FLUSHDB") {
        return CommandEffect::Destroy;
    }
    if at("TRUNCATE").is_some_and(|at| at == 0 || word(at - 1) != "DATE") && word(0) != "SELECT" {
        return CommandEffect::Destroy;
    }
    let ends_sessions = words
        .iter()
        .any(|word| word.contains("PG_TERMINATE_BACKEND") || word.contains("PG_CANCEL_BACKEND"));
    if ends_sessions || matches!(word(0), "REVOKE" | "KILL" | "SHUTDOWN") {
        return CommandEffect::Destroy;
    }
    if word(0) == "GRANT" && words.last().is_some_and(|word| word == "PUBLIC") && has("ALL") {
        return CommandEffect::Escalate;
    }
    let unfiltered = |from: usize| {
        let rest = &words[from..];
        let filter = rest.iter().position(|word| word == "WHERE").map(|at| &rest[at + 1..]);
        match filter {
            None => !rest.iter().any(|word| word == "LIMIT" || word == "USING"),
            Some(filter) => trivially_true(filter),
        }
    };
    let deleting = at("DELETE").filter(|at| word(at + 1) == "FROM" || *at == 0);
    let updating = (word(0) == "UPDATE").then_some(0);
    if deleting.or(updating).is_some_and(unfiltered) {
        return CommandEffect::Destroy;
    }
    if READS.contains(&word(0)) && deleting.is_none() {
        return CommandEffect::Read;
    }
    CommandEffect::Change
}

fn trivially_true(filter: &[String]) -> bool {
    match filter {
        [left, equals, right, ..] if equals == "=" => left == right,
        [one] => one == "TRUE" || one == "1",
        _ => false,
    }
}

/// Effects of a MongoDB shell script.
pub(crate) fn mongo(text: &str) -> CommandEffect {
    let compact: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let destroys = [
        "dropDatabase(",
        ".drop(",
        "deleteMany({})",
        ".remove({})",
        "dropUser(",
        "dropIndexes(",
        "dropCollection(",
        "dropAllUsers",
        "shutdownServer",
    ];
    if destroys.iter().any(|call| compact.contains(call)) {
        return CommandEffect::Destroy;
    }
    CommandEffect::Change
}

/// Effects of a Redis command.
pub(crate) fn redis(words: &[String]) -> CommandEffect {
    let word = |at: usize| words.get(at).map_or(String::new(), |word| word.to_ascii_uppercase());
    match (word(0).as_str(), word(1).as_str()) {
        ("FLUSHALL" | "FLUSHDB" | "SHUTDOWN" | "SWAPDB" | "DEL" | "UNLINK", _)
        | ("SCRIPT" | "FUNCTION", "FLUSH")
        | ("CLUSTER", "RESET" | "FORGET" | "FAILOVER" | "FLUSHSLOTS" | "DELSLOTS")
        | ("XTRIM" | "XDEL" | "XGROUP", _)
        | ("ACL", "DELUSER")
        | ("CLIENT", "KILL")
        | ("CONFIG", "RESETSTAT")
        | ("DEBUG", _) => CommandEffect::Destroy,
        ("CONFIG", "SET" | "REWRITE") | ("MODULE", "LOAD") | ("REPLICAOF" | "SLAVEOF", _) => {
            CommandEffect::Escalate
        }
        ("EVAL", script)
            if ["FLUSH", "'DEL'", "UNLINK"].iter().any(|word| script.contains(word)) =>
        {
            CommandEffect::Destroy
        }
        ("EVAL", _) => CommandEffect::Change,
        (
            "GET" | "MGET" | "KEYS" | "SCAN" | "INFO" | "PING" | "TTL" | "TYPE" | "EXISTS"
            | "DBSIZE" | "",
            _,
        ) => CommandEffect::Read,
        _ => CommandEffect::Change,
    }
}
