//! What keeps secrets out of everything that is stored, logged, streamed or returned.

use std::borrow::Cow;

/// Replaces every credential in a text by `[redacted:<rule>]`.
///
/// A trait because the patterns live above this crate (in `gates`), while the place that must never
/// be skipped, the end of the chain, is here.
pub trait Redact: Send + Sync {
    /// The text without its credentials; borrowed when there was nothing to take out.
    fn redact<'t>(&self, text: &'t str) -> Cow<'t, str>;

    /// The same for a text that stands under this key, which may be what tells that it is a
    /// credential (`"password": "..."`).
    fn redact_under<'t>(&self, key: &str, text: &'t str) -> Cow<'t, str> {
        let _ = key;
        self.redact(text)
    }

    /// Removes credentials that lie across several of these texts, which are read one after another, from
    /// each text that they touch. Credentials within one text stay for [`Redact::redact`].
    fn redact_across(&self, texts: &mut [&mut String]) {
        let _ = texts;
    }
}

/// [`Redact::redact`] for a text that is already owned: no copy when it is clean.
pub fn redact_owned(text: String, redactor: &dyn Redact) -> String {
    match redactor.redact(&text) {
        Cow::Owned(clean) => clean,
        Cow::Borrowed(_) => text,
    }
}
