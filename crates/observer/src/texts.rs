//! Texts that rows share: stored once by content hash, named by the rows in place of their content.
//!
//! The data of a row that refers to texts has a field `references`. Each reference states a place in the
//! data (`at`, a JSON pointer), where an empty value stands in for the content, and either
//!
//! * `text`: the id of the text that belongs there, and its size in `bytes`; or
//! * `list`: the id of the last item of the list that belongs there, and the number of its `items`.
//!
//! An item of a list is stored as JSON: its content (`item`), the id of the item before it (`before`, absent
//! in the first) and the `references` of its content. A list that grows therefore costs its new items only.
//!
//! The id of a text is the SHA-256, in lower-case hex, of the word `text` and a line feed, followed by the
//! text; that of an item has the word `item` in its place. The hash chain covers the ids, and thereby the
//! texts. [`check_texts`] compares what is stored with the rows.

mod check;
mod compact;
mod expand;

use std::collections::HashMap;
use std::fmt;
use std::ops::ControlFlow;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use sha2::{Digest, Sha256};

pub use check::{TextFault, check_texts};
pub use compact::compact;
pub(crate) use expand::texts_of;
pub use expand::{TextLookup, expand, with_texts};

/// The content hash of a text or an item.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TextId([u8; 32]);

/// What a stored text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TextKind {
    /// A plain text.
    Text,
    /// An item of a list, in JSON.
    Item,
}

/// A text as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredText {
    /// What it is.
    pub kind: TextKind,
    /// The text, or the JSON of an item.
    pub body: String,
}

/// Visits a stored text: its digest, its kind and its body, each as stored.
pub type TextVisitor<'v> = dyn FnMut(&[u8], TextKind, &[u8]) -> ControlFlow<()> + 'v;

/// The texts of a row: those that its data names, and those that these name in turn.
#[derive(Debug, Clone, Default)]
pub struct RowTexts {
    roots: Vec<TextId>,
    texts: HashMap<TextId, StoredText>,
}

/// A place in a row or an item, and what belongs there.
#[derive(Debug, Serialize, Deserialize)]
struct Reference {
    at: String,
    #[serde(flatten)]
    to: Target,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Target {
    Text { text: TextId, bytes: usize },
    List { list: TextId, items: usize },
}

/// The body of an item.
#[derive(Debug, Serialize, Deserialize)]
struct Item {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    before: Option<TextId>,
    item: Value,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    references: Vec<Reference>,
}

/// The references of a row's data or of an item's body; all other fields are skipped.
#[derive(Default, Deserialize)]
struct Referring {
    #[serde(default)]
    before: Option<TextId>,
    #[serde(default)]
    references: Vec<Reference>,
}

/// The field of a row's data that lists its references.
const FIELD: &str = "references";

impl TextId {
    /// The id of a text.
    pub fn of(kind: TextKind, body: &[u8]) -> Self {
        let word: &[u8] = match kind {
            TextKind::Text => b"text\n",
            TextKind::Item => b"item\n",
        };
        Self(Sha256::new().chain_update(word).chain_update(body).finalize().into())
    }

    /// From stored bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes to store.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for TextId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for TextId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for TextId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TextId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'_, str>>::deserialize(deserializer)?;
        let mut bytes = [0; 32];
        hex::decode_to_slice(text.as_bytes(), &mut bytes).map_err(serde::de::Error::custom)?;
        Ok(Self(bytes))
    }
}

impl Target {
    fn id(&self) -> TextId {
        match self {
            Target::Text { text, .. } => *text,
            Target::List { list, .. } => *list,
        }
    }
}

impl Referring {
    fn parts(self) -> Vec<TextId> {
        self.before.into_iter().chain(self.references.iter().map(|one| one.to.id())).collect()
    }
}

impl StoredText {
    /// The texts that this one names. A text that is no item names none.
    pub fn parts(&self) -> Vec<TextId> {
        match self.kind {
            TextKind::Text => Vec::new(),
            TextKind::Item => {
                serde_json::from_str::<Referring>(&self.body).unwrap_or_default().parts()
            }
        }
    }
}

/// The texts that the data of a row names itself.
pub fn roots_of(data: &str) -> Vec<TextId> {
    // Most rows refer to no text and need no parser.
    if !data.contains("\"references\":") {
        return Vec::new();
    }
    let read = serde_json::from_str::<Referring>(data).unwrap_or_default();
    read.references.iter().map(|one| one.to.id()).collect()
}

impl RowTexts {
    /// Whether the row names no text.
    pub fn is_empty(&self) -> bool {
        self.roots.is_empty()
    }

    /// The texts that the row's data names itself, in order; a text that it names twice appears twice.
    pub fn roots(&self) -> &[TextId] {
        &self.roots
    }

    /// The ids of all texts of the row.
    pub fn ids(&self) -> impl Iterator<Item = TextId> {
        self.texts.keys().copied()
    }

    /// Counts one more use of each text that the row names, and of each text that a new text names. `add`
    /// counts the use of one text, stores the text if it is not stored yet, and returns whether it was new.
    /// A text that is stored has its own parts stored, so a conversation that grows costs its new texts only.
    ///
    /// # Errors
    /// The first error of `add`.
    pub fn add_each<E>(
        &self,
        mut add: impl FnMut(&TextId, &StoredText) -> Result<bool, E>,
    ) -> Result<(), E> {
        let mut open = self.roots.clone();
        while let Some(id) = open.pop() {
            let Some(text) = self.texts.get(&id) else { continue };
            if add(&id, text)? {
                open.extend(text.parts());
            }
        }
        Ok(())
    }

    fn insert(&mut self, kind: TextKind, body: String) -> TextId {
        let id = TextId::of(kind, body.as_bytes());
        self.texts.entry(id).or_insert(StoredText { kind, body });
        id
    }
}
