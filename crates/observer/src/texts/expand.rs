//! Puts texts back into the data of a row.

use std::collections::{BTreeMap, HashSet};

use life_agent_domain::governance::event::Row;
use serde_json::Value;
use serde_json::value::to_raw_value;

use super::{FIELD, Item, Reference, StoredText, Target, TextId, TextKind, roots_of};
use crate::error::JournalError;
use crate::store::Read;

/// Finds a text by its id.
pub type TextLookup<'l> = &'l dyn Fn(&TextId) -> Result<Option<StoredText>, JournalError>;

/// The row with its texts in place of the references. The hash of a row covers its data with the references, so
/// an expanded row cannot be compared with its hash.
///
/// # Errors
/// [`JournalError::Damaged`] if a text is missing or is not what the row names; any error of reading.
pub fn expand(view: &dyn Read, row: Row) -> Result<Row, JournalError> {
    expand_with(&|id| view.text(id), row)
}

fn expand_with(lookup: TextLookup<'_>, row: Row) -> Result<Row, JournalError> {
    if roots_of(row.data.get()).is_empty() {
        return Ok(row);
    }
    let unreadable = |error: serde_json::Error| {
        JournalError::damaged(format!("the references of row {} cannot be read: {error}", row.id))
    };
    let mut data: Value = serde_json::from_str(row.data.get()).map_err(unreadable)?;
    let references = data.as_object_mut().and_then(|fields| fields.remove(FIELD));
    let references: Vec<Reference> =
        serde_json::from_value(references.unwrap_or_default()).map_err(unreadable)?;
    put_back(lookup, row.id, &mut data, references)?;
    let data = to_raw_value(&data).map_err(unreadable)?;
    Ok(Row { data, ..row })
}

fn put_back(
    lookup: TextLookup<'_>,
    row: u64,
    value: &mut Value,
    references: Vec<Reference>,
) -> Result<(), JournalError> {
    for Reference { at, to } in references {
        let content = match to {
            Target::Text { text, .. } => read(lookup, row, &text, TextKind::Text)?.body.into(),
            Target::List { list, .. } => list_items(lookup, row, list)?.into(),
        };
        let place = value.pointer_mut(&at).ok_or_else(|| {
            JournalError::damaged(format!("row {row} refers to `{at}`, which it does not have"))
        })?;
        *place = content;
    }
    Ok(())
}

fn list_items(lookup: TextLookup<'_>, row: u64, last: TextId) -> Result<Vec<Value>, JournalError> {
    let (mut items, mut next) = (Vec::new(), Some(last));
    while let Some(id) = next {
        let body = read(lookup, row, &id, TextKind::Item)?.body;
        let Item { before, mut item, references } = serde_json::from_str(&body)
            .map_err(|error| JournalError::damaged(format!("item {id} is no item: {error}")))?;
        put_back(lookup, row, &mut item, references)?;
        items.push(item);
        next = before;
    }
    items.reverse();
    Ok(items)
}

/// A text that is what its id says.
fn read(
    lookup: TextLookup<'_>,
    row: u64,
    id: &TextId,
    kind: TextKind,
) -> Result<StoredText, JournalError> {
    let why = match lookup(id)? {
        Some(text) if text.kind == kind && TextId::of(kind, text.body.as_bytes()) == *id => {
            return Ok(text);
        }
        Some(_) => "does not match its digest",
        None => "is missing",
    };
    Err(JournalError::damaged(format!("row {row} names the text {id}, which {why}")))
}

/// The row with the texts that it shares with other rows, to search in them; `None` if it shares none, or if one
/// cannot be read.
pub fn with_texts(lookup: TextLookup<'_>, row: &Row) -> Option<Row> {
    if roots_of(row.data.get()).is_empty() {
        return None;
    }
    expand_with(lookup, row.clone()).ok()
}

/// The texts that the data of a row names, directly and indirectly, without those in `seen`, which grows by them.
///
/// # Errors
/// [`JournalError::Damaged`] if a text is missing; any error of reading.
pub(crate) fn texts_of(
    view: &dyn Read,
    row: &Row,
    seen: &mut HashSet<TextId>,
) -> Result<BTreeMap<TextId, String>, JournalError> {
    let mut texts = BTreeMap::new();
    let mut open = roots_of(row.data.get());
    while let Some(id) = open.pop() {
        if !seen.insert(id) {
            continue;
        }
        let Some(text) = view.text(&id)? else {
            let why = format!("row {} names the text {id}, which is missing", row.id);
            return Err(JournalError::damaged(why));
        };
        open.extend(text.parts());
        texts.insert(id, text.body);
    }
    Ok(texts)
}
