//! Globs over the names of tools, servers, agents and principals.

/// Longest glob over names, in characters.
pub const MAX_NAME_GLOB: usize = 256;

/// Globs over names. `*` matches any text and `?` one character; an empty list matches nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NameGlobs {
    globs: Vec<String>,
    case_sensitive: bool,
}

impl NameGlobs {
    /// Case-sensitive globs.
    pub fn case_sensitive(globs: &[String]) -> Self {
        Self { globs: globs.to_vec(), case_sensitive: true }
    }

    /// Case-insensitive globs.
    pub fn case_insensitive(globs: &[String]) -> Self {
        let globs = globs.iter().map(|glob| glob.to_lowercase()).collect();
        Self { globs, case_sensitive: false }
    }

    /// Whether there are no globs.
    pub fn is_empty(&self) -> bool {
        self.globs.is_empty()
    }

    /// Whether a glob matches the whole name.
    pub fn is_match(&self, name: &str) -> bool {
        let lower = if self.case_sensitive { None } else { Some(name.to_lowercase()) };
        let name = lower.as_deref().unwrap_or(name);
        self.globs.iter().any(|glob| matches(glob, name))
    }
}

/// Compares with a single backtrack point, so a comparison takes at most the product of both lengths.
fn matches(glob: &str, name: &str) -> bool {
    let (glob, name): (Vec<char>, Vec<char>) = (glob.chars().collect(), name.chars().collect());
    let (mut at, mut read) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while read < name.len() {
        match glob.get(at) {
            Some('*') => {
                star = Some((at, read));
                at += 1;
            }
            Some(&c) if c == '?' || c == name[read] => {
                at += 1;
                read += 1;
            }
            _ => match star {
                Some((star_at, star_read)) => {
                    star = Some((star_at, star_read + 1));
                    at = star_at + 1;
                    read = star_read + 1;
                }
                None => return false,
            },
        }
    }
    glob[at..].iter().all(|&c| c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_whole_names() {
        for (glob, name, expected) in [
            ("Bash", "bash", true),
            ("Bash", "bashful", false),
            ("mcp__*__write*", "mcp__files__write_file", true),
            ("mcp__*__write*", "mcp__files__read_file", false),
            ("*", "", true),
            ("*a*b", "xxaxxaxb", true),
            ("?", "ä", true),
            ("?", "", false),
            ("", "", true),
        ] {
            let globs = NameGlobs::case_insensitive(&[glob.to_owned()]);
            assert_eq!(globs.is_match(name), expected, "{glob} {name}");
        }
        assert!(!NameGlobs::case_sensitive(&["CI".to_owned()]).is_match("ci"));
        assert!(!NameGlobs::default().is_match("x"));
    }
}
