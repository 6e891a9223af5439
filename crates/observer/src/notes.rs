//! The search index over agents' notes.

/// Words of a query beyond this number are ignored.
pub const MAX_QUERY_WORDS: usize = 16;
/// Characters of a query word beyond this number are ignored.
const MAX_QUERY_WORD: usize = 64;

/// A step's changes to the notes of its agent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NoteChange {
    /// Versions and texts of new notes.
    pub added: Vec<(u64, String)>,
    /// Versions of removed notes.
    pub removed: Vec<u64>,
}

/// The words of a query: runs of letters and digits, limited in number and length, so that nothing
/// that a caller writes acts as a search operator.
pub fn query_words(query: &str) -> Vec<String> {
    let words = query.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    let short = |word: &str| word.chars().take(MAX_QUERY_WORD).collect();
    words.take(MAX_QUERY_WORDS).map(short).collect()
}
