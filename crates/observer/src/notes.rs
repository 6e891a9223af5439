//! The search index over agents' notes.

use std::cmp::Ordering;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

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

/// Saturation and length normalization of BM25, with the values that search engines use.
const K1: f64 = 1.2;
const B: f64 = 0.75;

/// For backends without a search index: versions of up to `limit` notes that hold a word beginning with a word of
/// the query, best match first (BM25, <https://doi.org/10.1561/1500000019>). Case and diacritics do not matter.
pub fn rank_notes<'a>(
    query: &str,
    notes: impl Iterator<Item = (u64, &'a str)>,
    limit: usize,
) -> Vec<u64> {
    let wanted: Vec<String> = query_words(query).iter().map(|word| folded(word)).collect();
    let notes: Vec<(u64, Vec<String>)> =
        notes.map(|(version, text)| (version, words(text))).collect();
    let count = notes.len() as f64;
    let length: usize = notes.iter().map(|(_, words)| words.len()).sum();
    let average = (length as f64 / count.max(1.0)).max(1.0);
    let hits = |words: &[String], wanted: &str| {
        words.iter().filter(|word| word.starts_with(wanted)).count() as f64
    };
    let rarity = |wanted: &String| {
        let with = notes.iter().filter(|(_, words)| hits(words, wanted) > 0.0).count() as f64;
        (1.0 + (count - with + 0.5) / (with + 0.5)).ln()
    };
    let rarities: Vec<f64> = wanted.iter().map(rarity).collect();
    let mut found: Vec<(f64, u64)> = Vec::new();
    for (version, words) in &notes {
        let norm = K1 * (1.0 - B + B * words.len() as f64 / average);
        let mut score = 0.0;
        for (wanted, rarity) in wanted.iter().zip(&rarities) {
            let hits = hits(words, wanted);
            score += rarity * hits * (K1 + 1.0) / (hits + norm);
        }
        if score > 0.0 {
            found.push((score, *version));
        }
    }
    // Of equally good matches, the newest first.
    found.sort_by(|a, b| b.0.partial_cmp(&a.0).unwrap_or(Ordering::Equal).then(b.1.cmp(&a.1)));
    found.into_iter().take(limit).map(|(_, version)| version).collect()
}

fn words(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !c.is_alphanumeric() && !is_combining_mark(c));
    words.filter(|word| !word.is_empty()).map(folded).collect()
}

/// Lower case without diacritics.
fn folded(word: &str) -> String {
    let plain = word.nfd().filter(|c| !is_combining_mark(*c));
    plain.flat_map(char::to_lowercase).filter(|c| !is_combining_mark(*c)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_match_comes_first() {
        let notes = [
            (1, "the gate"),
            (2, "the old gate opens at dawn"),
            (3, "a road, a road, a ROAD"),
            (4, "Übergang über den Fluß"),
            (5, "\0 café"),
        ];
        let find = |query, limit| rank_notes(query, notes.into_iter(), limit);
        assert_eq!(find("OLD gat", 9), [2, 1]);
        assert_eq!(find("gate", 9), [1, 2]);
        assert_eq!(find("gate road", 1), [3]);
        assert_eq!(find("uber", 9), [4]);
        assert_eq!(find("CAFE", 9), [5]);
        assert_eq!(find("cafe\u{301}", 9), [5]);
        assert_eq!(find("dragon ?! * \"", 9), [0_u64; 0]);
        assert_eq!(rank_notes("gate", std::iter::empty(), 9), [0_u64; 0]);
    }
}
