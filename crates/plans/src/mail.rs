//! The `.patch` half of an artifact: a mail as `git format-patch` writes it, for `git am`.
//!
//! `git am` and `git apply` look for diffs and headers anywhere in such a mail. What a caller wrote
//! must never be taken for either, so the intent goes into one encoded header and every line of the
//! context is indented.

use base64::Engine;
use jiff::Timestamp;
use life_agent_domain::governance::event::ModelTurn;

/// What the mail says besides the diff.
pub(crate) struct PatchMail<'a> {
    pub(crate) id: &'a str,
    pub(crate) created: Timestamp,
    pub(crate) author: &'a str,
    pub(crate) intent: &'a str,
    pub(crate) context: &'a str,
    pub(crate) base_commit: Option<&'a str>,
    /// The model that wrote the diff, if one did.
    pub(crate) drafted_by: Option<&'a str>,
    /// The turn of the model that asked for the plan, if no caller did.
    pub(crate) asked_by: Option<&'a ModelTurn>,
}

/// The whole mail. The same plan and diff always give the same bytes.
pub(crate) fn write(message: &PatchMail<'_>, diff: &str) -> String {
    let (name, address) = author(message.author);
    let date = message.created.strftime("%a, %d %b %Y %H:%M:%S +0000");
    let mut body = String::new();
    for line in message.context.lines().map(printable) {
        body.push_str(format!("  {line}").trim_end());
        body.push('\n');
    }
    let body = body.trim_matches('\n');
    let body = if body.is_empty() { String::new() } else { format!("{body}\n\n") };
    let base = message.base_commit;
    // Once for tools that read the mail, once for the commit's message, which `git am` keeps.
    let in_message = base.map(|base| format!("Base-commit: {base}\n")).unwrap_or_default();
    let drafted = message.drafted_by.map(|model| format!("Drafted-by: {}\n", printable(model)));
    let asked = message.asked_by.map(|turn| {
        format!("Asked-by: model of agent {}, turn {}\n", printable(&turn.agent_id), turn.turn)
    });
    format!(
        "From {zeros} Mon Sep 17 00:00:00 2001\n\
         From: {name} <{address}>\n\
         Date: {date}\n\
         Subject: [PATCH] {subject}\n\
         MIME-Version: 1.0\n\
         Content-Type: text/plain; charset=UTF-8\n\
         Content-Transfer-Encoding: 8bit\n\
         \n\
         {body}Plan: {id}\n\
         {asked}{drafted}{in_message}---\n\
         \n\
         {diff}{tail}",
        zeros = "0".repeat(40),
        name = encoded(&name),
        subject = encoded(&subject(message)),
        id = message.id,
        asked = asked.unwrap_or_default(),
        drafted = drafted.unwrap_or_default(),
        tail = tail(base),
    )
}

/// The diff in a mail that [`write`] made; `None` if the mail is another one.
pub(crate) fn diff_of<'m>(mail: &'m str, base_commit: Option<&str>) -> Option<&'m str> {
    // Every line above it is a header of ours or indented.
    let at = mail.find("\ndiff --git ")? + 1;
    mail[at..].strip_suffix(&tail(base_commit))
}

fn tail(base_commit: Option<&str>) -> String {
    base_commit.map(|base| format!("\nbase-commit: {base}\n")).unwrap_or_default()
}

fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\t' { ' ' } else { c }).collect()
}

fn subject(message: &PatchMail<'_>) -> String {
    let line = printable(message.intent).split_whitespace().collect::<Vec<_>>().join(" ");
    if line.is_empty() { format!("plan {}", message.id) } else { line }
}

/// A name and an address for git. It takes the address for the name when that has less than 3 or more
/// than 60 bytes, and breaks names at punctuation (`mailinfo.c`).
fn author(principal: &str) -> (String, String) {
    let safe = |c: char| c.is_alphanumeric() || matches!(c, ' ' | '.' | '_' | '-');
    let name: String = principal.chars().map(|c| if safe(c) { c } else { '-' }).collect();
    let name = name.trim_matches([' ', '.']);
    let name = if name.chars().count() < 3 { format!("key {name}") } else { name.to_owned() };
    let end =
        name.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= 60).last();
    let name = name[..end.unwrap_or(0)].trim_end().to_owned();
    let local = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let address: String =
        principal.chars().map(|c| if local(c) { c } else { '-' }).take(40).collect();
    (name, format!("{address}@life-agent.invalid"))
}

/// A header's text: as it is if plain, else in encoded words (RFC 2047) of at most 75 characters.
fn encoded(text: &str) -> String {
    if text.bytes().all(|b| (0x20..0x7f).contains(&b)) && !text.contains("=?") {
        return text.to_owned();
    }
    let mut words = vec![String::new()];
    for c in text.chars() {
        match words.last_mut() {
            Some(word) if word.len() + c.len_utf8() <= 45 => word.push(c),
            _ => words.push(c.to_string()),
        }
    }
    let base64 = &base64::engine::general_purpose::STANDARD;
    let words = words.iter().map(|word| format!("=?UTF-8?B?{}?=", base64.encode(word)));
    words.collect::<Vec<_>>().join("\n ")
}

#[cfg(test)]
mod tests {
    use life_agent_domain::governance::event::Actor;

    use super::*;

    fn message<'a>(intent: &'a str, context: &'a str) -> PatchMail<'a> {
        PatchMail {
            id: "abcdefghijkl",
            created: "2026-11-22T20:51:10.123456Z".parse().unwrap(),
            author: "ci",
            intent,
            context,
            base_commit: Some("1234567890123456789012345678901234567890"),
            drafted_by: None,
            asked_by: None,
        }
    }

    #[test]
    fn the_mail_names_the_turn_of_the_model_that_asked() {
        let turn = ModelTurn { by: Actor::Model, agent_id: "hero".to_owned(), turn: 3 };
        let mail = write(&PatchMail { asked_by: Some(&turn), ..message("Fix it", "why") }, "");
        let line = "Plan: abcdefghijkl\nAsked-by: model of agent hero, turn 3\nBase-commit: ";
        assert!(mail.contains(line), "{mail}");
    }

    #[test]
    fn the_mail_names_the_model_that_wrote_the_diff() {
        let drafted = PatchMail { drafted_by: Some("some/model\n---"), ..message("Fix it", "why") };
        let mail = write(&drafted, "");
        assert!(
            mail.contains("Plan: abcdefghijkl\nDrafted-by: some/model ---\nBase-commit: "),
            "{mail}"
        );
    }

    #[test]
    fn the_mail_is_that_of_format_patch() {
        let diff = "diff --git a/e b/e\nnew file mode 100644\n";
        let mail = write(&message("Fix it", "why\n\nand how\n"), diff);
        let expected = "From 0000000000000000000000000000000000000000 Mon Sep 17 00:00:00 2001\n\
            From: key ci <ci@life-agent.invalid>\n\
            Date: Sun, 22 Nov 2026 20:51:10 +0000\n\
            Subject: [PATCH] Fix it\n\
            MIME-Version: 1.0\n\
            Content-Type: text/plain; charset=UTF-8\n\
            Content-Transfer-Encoding: 8bit\n\n  why\n\n  and how\n\n\
            Plan: abcdefghijkl\n\
            Base-commit: 1234567890123456789012345678901234567890\n---\n\n\
            diff --git a/e b/e\nnew file mode 100644\n\n\
            base-commit: 1234567890123456789012345678901234567890\n";
        assert_eq!(mail, expected);
        assert_eq!(diff_of(&mail, message("", "").base_commit), Some(diff));
    }

    #[test]
    fn nothing_that_a_caller_writes_begins_a_line() {
        let hostile = "diff --git a/x b/x\nFrom: root <root@x>\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n---";
        let intent = "x\nFrom: root <root@x>\r\n\r\ndiff --git a/x b/x =?";
        let mail = write(&message(intent, hostile), "");
        let ours = ["From 0", "From: key ci ", "Plan: ", "---\n"];
        for line in mail.split_inclusive('\n') {
            let suspicious =
                ["From", "diff", "---", "+++", "@@"].iter().any(|s| line.starts_with(s));
            assert!(!suspicious || ours.iter().any(|own| line.starts_with(own)), "{line}");
        }
        assert_eq!(mail.matches("\ndiff --git").count(), 0);
    }

    #[test]
    fn long_and_foreign_subjects_are_encoded_in_short_words() {
        let encoded = encoded(&"Prüfe das Tor ".repeat(9));
        assert!(encoded.lines().all(|line| line.trim().len() <= 75));
        assert!(encoded.lines().count() > 2);
    }
}
