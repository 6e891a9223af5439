//! The identity of a journal, by which a client notices that it reads another one than before.

use sha2::{Digest, Sha256};

use crate::batch::{SideWrite, WriteBatch};
use crate::committed::Head;
use crate::error::JournalError;
use crate::journal::Journal;
use crate::store::{Read, Store};

/// The setting that keeps the identity after the first row was removed.
const SETTING: &str = "journal.id";
/// Characters of an identity.
const LENGTH: usize = 32;

impl Journal {
    /// The journal's identity. It derives from the first row and changes when the journal is put back to an earlier
    /// state; `None` before the first row.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub async fn id(&self) -> Result<Option<String>, JournalError> {
        if let Some(id) = self.known_id().get() {
            return Ok(Some(id.clone()));
        }
        let Some(id) = self.read(|view| derived(view)).await? else { return Ok(None) };
        Ok(Some(self.known_id().get_or_init(|| id).clone()))
    }

    /// Stores the identity, before the row that it derives from is removed.
    pub(crate) async fn keep_id(&self) -> Result<(), JournalError> {
        let Some(id) = self.id().await? else { return Ok(()) };
        if self.setting(SETTING).await?.as_ref() != Some(&id) {
            self.append(kept(id))?.await?;
        }
        Ok(())
    }
}

/// The identity of a journal that is being opened. A journal that was put back gets another one.
///
/// # Errors
/// The store cannot be read. A store that cannot be written keeps the identity for this process only.
pub(crate) fn at_start(
    view: &dyn Read,
    store: &mut dyn Store,
    set_back: Option<&Head>,
) -> Result<Option<String>, JournalError> {
    let Some(id) = derived(view)? else { return Ok(None) };
    let Some(lost) = set_back else { return Ok(Some(id)) };
    let id = shortened(&hex::encode(Sha256::digest(format!("{id} {} {}", lost.id, lost.hash))));
    if store.commit(vec![kept(id.clone())]).is_err() {
        let _ = store.recover();
    }
    Ok(Some(id))
}

fn kept(id: String) -> WriteBatch {
    WriteBatch::side(vec![SideWrite::Setting { key: SETTING.to_owned(), value: id }])
}

fn derived(view: &dyn Read) -> Result<Option<String>, JournalError> {
    if let Some(id) = view.setting(SETTING)? {
        return Ok(Some(id));
    }
    let first = view.row(view.first_id()?)?;
    Ok(first.map(|row| shortened(&row.hash)))
}

fn shortened(hash: &str) -> String {
    hash.chars().take(LENGTH).collect()
}
