//! Finds the place of a path's value in a text.

use std::fmt;

use life_agent_domain::governance::fault::Fault;
use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The total number of bytes to reread for faults; further faults have no place.
const MAX_REREAD: usize = 1 << 20;

/// Adds line and column to faults without them. The parser reports a place only in an error, so each lookup reads up
/// to the key and fails there.
pub(crate) fn locate_all(text: &str, faults: &mut [Fault]) {
    let affordable = MAX_REREAD / text.len().max(1);
    let unplaced = faults.iter_mut().filter(|fault| fault.line.is_none() && !fault.path.is_empty());
    for fault in unplaced.take(affordable) {
        let path: Vec<&str> = fault.path.split('.').collect();
        let read = Search(&path).deserialize(serde_yaml::Deserializer::from_str(text));
        if let Some(place) = read.err().and_then(|error| error.location()) {
            fault.line = Some(place.line());
            fault.column = Some(place.column());
        }
    }
}

/// Descends along a path to its value, or to the innermost existing value.
struct Search<'p>(&'p [&'p str]);

/// A key of a map; fails at the last key of the path.
struct KeySearch<'p>(&'p [&'p str]);

impl<'de> DeserializeSeed<'de> for Search<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<(), D::Error> {
        if self.0.is_empty() { input.deserialize_any(Arrived) } else { input.deserialize_any(self) }
    }
}

/// Fails at any value.
struct Arrived;

impl<'de> Visitor<'de> for Arrived {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the place")
    }
}

impl<'de> Visitor<'de> for Search<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the way to the place")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut input: A) -> Result<(), A::Error> {
        let (first, rest) = self.0.split_first().ok_or_else(|| A::Error::custom("here"))?;
        let index = first.parse::<usize>().map_err(A::Error::custom)?;
        for _ in 0..index {
            input.next_element::<IgnoredAny>()?;
        }
        input.next_element_seed(Search(rest))?;
        Err(A::Error::custom("here"))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut input: A) -> Result<(), A::Error> {
        while let Some(found) = input.next_key_seed(KeySearch(self.0))? {
            match found {
                true => input.next_value_seed(Search(&self.0[1..]))?,
                false => drop(input.next_value::<IgnoredAny>()?),
            }
        }
        Err(A::Error::custom("here"))
    }
}

impl<'de> DeserializeSeed<'de> for KeySearch<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<bool, D::Error> {
        input.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for KeySearch<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<bool, E> {
        match self.0 {
            [last] if *last == key => Err(E::custom("here")),
            path => Ok(path.first() == Some(&key)),
        }
    }
}
