//! Compares the stored texts with the rows that name them.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;

use serde::Serialize;

use super::{StoredText, TextId, roots_of};
use crate::error::JournalError;
use crate::store::Read;
use crate::verify::RawText;

/// Faults that are listed.
const MAX_FAULTS: usize = 1000;

/// A stored text that does not match the rows, or a text that is missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TextFault {
    /// The text, in hex.
    pub text: String,
    /// The fault.
    pub fault: String,
}

/// Checks that every text which a row names is stored and matches its id, and that every stored text is named.
/// Lists the first faults.
///
/// # Errors
/// The view cannot be read.
pub fn check_texts(view: &dyn Read) -> Result<Vec<TextFault>, JournalError> {
    let mut faults = Vec::new();
    let mut add = |text: String, fault: &str| {
        if faults.len() < MAX_FAULTS {
            faults.push(TextFault { text, fault: fault.to_owned() });
        }
    };
    // Stored texts with the texts that they name.
    let mut stored: HashMap<TextId, Vec<TextId>> = HashMap::new();
    view.texts(&mut |digest, kind, body| {
        let (hex, body) = (hex::encode(digest), String::from_utf8_lossy(body));
        match <[u8; 32]>::try_from(digest).map(TextId::from_bytes) {
            Ok(id) if id == TextId::of(kind, body.as_bytes()) => {
                let parts = StoredText { kind, body: body.into_owned() }.parts();
                stored.insert(id, parts);
            }
            Ok(id) => {
                add(hex, "does not match its digest");
                stored.insert(id, Vec::new());
            }
            Err(_) => add(hex, "is stored under something that is no digest"),
        }
        ControlFlow::Continue(())
    })?;
    let mut named: HashSet<TextId> = HashSet::new();
    view.scan(None, &mut |row| {
        let RawText::Text(data) = row.data else { return ControlFlow::Continue(()) };
        let mut open = roots_of(&String::from_utf8_lossy(data));
        while let Some(id) = open.pop() {
            if !named.insert(id) {
                continue;
            }
            match stored.get(&id) {
                Some(parts) => open.extend(parts),
                None => add(id.to_string(), &format!("is missing; row {} names it", row.id)),
            }
        }
        ControlFlow::Continue(())
    })?;
    for id in stored.keys().filter(|id| !named.contains(*id)) {
        add(id.to_string(), "is stored although no row names it");
    }
    Ok(faults)
}
