//! The settings of a journal in a database.

use std::collections::BTreeMap;

use super::{Found, SettingError};
use crate::place::Place;

/// The database that `DATABASE_URL` names; none if it is not set.
#[cfg(feature = "postgres")]
pub(super) fn database(
    found: &BTreeMap<&'static str, Found>,
    readers: usize,
) -> Result<Option<Place>, SettingError> {
    use life_agent_observer_postgres::Address;
    let address = |name: &'static str| {
        let Some(found) = found.get(name) else { return Ok(None) };
        // The address holds a password, so the sentence does not repeat it.
        let unusable =
            |why| SettingError::Sentence(format!("{name} ({}) is not usable: {why}", found.from));
        Address::parse(&found.text).map(Some).map_err(unusable)
    };
    let direct = address("DATABASE_LISTEN_URL")?;
    let replica = address("DATABASE_READ_URL")?;
    match address("DATABASE_URL")? {
        Some(address) => {
            let database = crate::place::Database { address, direct, replica, readers };
            Ok(Some(Place::Database(Box::new(database))))
        }
        None if direct.is_some() => Err(SettingError::Sentence(
            "DATABASE_LISTEN_URL is set and DATABASE_URL is not; set both, or neither".to_owned(),
        )),
        None if replica.is_some() => Err(SettingError::Sentence(
            "DATABASE_READ_URL is set and DATABASE_URL is not; set both, or neither".to_owned(),
        )),
        None => Ok(None),
    }
}

#[cfg(not(feature = "postgres"))]
pub(super) fn database(
    found: &BTreeMap<&'static str, Found>,
    _: usize,
) -> Result<Option<Place>, SettingError> {
    let names = ["DATABASE_URL", "DATABASE_LISTEN_URL", "DATABASE_READ_URL"];
    match names.iter().any(|name| found.contains_key(name)) {
        false => Ok(None),
        true => Err(SettingError::Sentence(
            "DATABASE_URL is set, but this build has no PostgreSQL; unset it, or build with the feature `postgres`"
                .to_owned(),
        )),
    }
}
