//! The query of a URL: each parameter known, given once, and valid.

use std::fmt;
use std::future::{Ready, ready};
use std::ops::RangeInclusive;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, web};
use life_agent_engine::domain::governance::ids::AgentId;
use life_agent_engine::observer::Filter;

use super::faults::Faults;
use crate::http::errors::ApiError;

/// The largest row number: SQLite's limit, and that of `int64` in the document.
pub const MAX_ROW: u64 = i64::MAX.unsigned_abs();
/// The range of `max_chars`.
const MAX_CHARS: RangeInclusive<usize> = 1_000..=1_000_000;

/// The checked parameters of a call.
#[derive(Debug)]
pub struct Query<P>(pub P);

/// The query parameters of an endpoint.
pub trait Parameters: Sized {
    /// The known names. Ignoring a misspelled filter would return too much.
    const NAMES: &'static [&'static str];
    /// Reads the parameters and collects faults.
    fn read(given: &Given, faults: &mut Faults) -> Option<Self>;
}

/// The parameters as sent, percent-decoded.
#[derive(Debug)]
pub struct Given(Vec<(String, String)>);

impl Given {
    /// A parameter as text; an empty value counts as absent.
    pub fn text(&self, name: &str) -> Option<&str> {
        let value = self.0.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str());
        value.filter(|value| !value.is_empty())
    }

    /// A parameter read by `parse`; an invalid value is a fault with the message `must`.
    pub fn parsed<T>(
        &self,
        name: &str,
        must: impl fmt::Display,
        faults: &mut Faults,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let parsed = parse(self.text(name)?);
        if parsed.is_none() {
            faults.add(name, must.to_string());
        }
        parsed
    }

    /// A row number.
    pub fn row(&self, name: &str, faults: &mut Faults) -> Option<u64> {
        let row = |text: &str| text.parse().ok().filter(|row| *row <= MAX_ROW);
        self.parsed(name, "must be the number of a row", faults, row)
    }

    /// An agent ID.
    pub fn agent_id(&self, name: &str, faults: &mut Faults) -> Option<AgentId> {
        match AgentId::new(self.text(name)?) {
            Ok(agent) => Some(agent),
            Err(error) => {
                faults.add(name, error.to_string());
                None
            }
        }
    }

    /// `agent_id` if it is valid; [`Given::filter`] reports it otherwise.
    pub fn known_agent_id(&self) -> Option<AgentId> {
        AgentId::new(self.text("agent_id")?).ok()
    }

    /// `limit`, from 1 to `most`.
    pub fn limit(&self, usual: usize, most: usize, faults: &mut Faults) -> usize {
        self.number("limit", 1..=most, faults).unwrap_or(usual)
    }

    /// `max_chars`: the largest response, in characters, for clients with a limit.
    pub fn max_chars(&self, faults: &mut Faults) -> Option<usize> {
        self.number("max_chars", MAX_CHARS, faults)
    }

    /// `expand=texts`: whether rows hold their texts in place of references.
    pub fn expand(&self, faults: &mut Faults) -> bool {
        let texts = |text: &str| (text == "texts").then_some(());
        self.parsed("expand", "must be `texts`", faults, texts).is_some()
    }

    fn number(
        &self,
        name: &str,
        range: RangeInclusive<usize>,
        faults: &mut Faults,
    ) -> Option<usize> {
        let must = format_args!("must be a number from {} to {}", range.start(), range.end());
        let within = |text: &str| text.parse().ok().filter(|number| range.contains(number));
        self.parsed(name, must, faults, within)
    }

    /// `kind` and `agent_id` together.
    pub fn filter(&self, faults: &mut Faults) -> Option<Filter> {
        let agent = self.agent_id("agent_id", faults);
        match Filter::new(self.text("kind"), agent) {
            Ok(filter) => Some(filter),
            Err(error) => {
                faults.add("kind", error.to_string());
                None
            }
        }
    }
}

impl<P: Parameters> FromRequest for Query<P> {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(read::<P>(request.query_string()).map(Query))
    }
}

/// Reads the parameters of a query.
pub fn read<P: Parameters>(query: &str) -> Result<P, ApiError> {
    let mut faults = Faults::default();
    let pairs = web::Query::<Vec<(String, String)>>::from_query(query);
    let given = Given(pairs.map(web::Query::into_inner).unwrap_or_else(|_| {
        faults.add("", "the query cannot be read, expected `name=value` joined by `&`");
        Vec::new()
    }));
    for (index, (name, _)) in given.0.iter().enumerate() {
        if !P::NAMES.contains(&name.as_str()) {
            faults.add(name, "unknown parameter");
        } else if given.0.iter().take(index).any(|(earlier, _)| earlier == name) {
            faults.add(name, "given twice");
        }
    }
    let read = P::read(&given, &mut faults);
    faults.result(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Page {
        after: Option<u64>,
    }

    impl Parameters for Page {
        const NAMES: &'static [&'static str] = &["after"];
        fn read(given: &Given, faults: &mut Faults) -> Option<Self> {
            Some(Self {
                after: given.parsed("after", "must be a number", faults, |n| n.parse().ok()),
            })
        }
    }

    #[test]
    fn parameters_are_known_unique_and_valid() {
        assert_eq!(read::<Page>("").unwrap().after, None);
        assert_eq!(read::<Page>("after=7").unwrap().after, Some(7));
        assert_eq!(read::<Page>("after=").unwrap().after, None);
        assert_eq!(read::<Page>("after=%37").unwrap().after, Some(7));
        for bad in ["after=x", "after=-1", "afetr=7", "after=7&after=7", "x"] {
            assert!(read::<Page>(bad).is_err(), "{bad}");
        }
    }
}
