//! The ids of the built-in risk patterns, so that a policy can name them.
//!
//! The patterns themselves are in the crate `life-agent-gates`, which depends on this one; a test there
//! keeps the two lists equal.

/// Every built-in pattern, in alphabetical order.
pub const PATTERNS: &[&str] = &[
    "act_on_user",
    "argument_injection",
    "asks_for_secrets",
    "auth_header",
    "aws_key",
    "azure_secret",
    "business_token",
    "chat_bot_token",
    "cloud_session",
    "cloud_token",
    "command_after_separator",
    "command_substitution",
    "destroys_system",
    "destructive_command",
    "disguised_command",
    "docker_api",
    "download_and_run",
    "edit_outside",
    "file_password",
    "github_token",
    "gitlab_token",
    "glued_token",
    "google_key",
    "inline_script",
    "internal_host",
    "java_code",
    "javascript_code",
    "jwt",
    "mail_key",
    "model_key",
    "model_service_token",
    "named_secret",
    "nul_byte",
    "numeric_host",
    "odd_authority",
    "option_password",
    "override_instructions",
    "package_token",
    "parent_dir",
    "parent_dir_mangled",
    "password_hash",
    "payment_key",
    "php_code",
    "plain_password",
    "platform_token",
    "powershell",
    "private_key",
    "program_path",
    "python_code",
    "python_process",
    "quoted_password",
    "reads_system_file",
    "redirect",
    "reverse_shell",
    "role_change",
    "scheme",
    "seed_phrase",
    "sensitive_file",
    "service_token",
    "session_cookie",
    "shell_obfuscation",
    "shellshock",
    "slack_token",
    "smuggled_text",
    "storage_key",
    "template_code",
    "told_password",
    "unquoted_password",
    "url_password",
    "url_path_secret",
    "userinfo",
    "windows_command",
    "windows_path",
];

/// The three known ids, built-in or `own`, that are most similar to a misspelled id.
pub(crate) fn near<'a>(id: &str, own: &[&'a str]) -> Vec<&'a str> {
    let known = PATTERNS.iter().chain(own).copied();
    let mut near: Vec<_> = known
        .map(|candidate| (distance(id, candidate), candidate))
        .filter(|(distance, candidate)| distance * 3 <= candidate.len())
        .collect();
    near.sort_unstable();
    near.into_iter().take(3).map(|(_, candidate)| candidate).collect()
}

/// The Levenshtein distance of two ids, which have at most 64 characters.
fn distance(from: &str, to: &str) -> usize {
    let from: String = from.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in to.bytes().enumerate() {
            let substituted = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_matches_are_few_and_the_best_is_first() {
        assert_eq!(near("parent_dri", &[]), ["parent_dir"]);
        assert_eq!(near("aws-key", &["aws-keys"]), ["aws-keys", "aws_key"]);
        assert!(near("x", &[]).is_empty() && near(&"ä".repeat(100_000), &[]).is_empty());
    }
}
