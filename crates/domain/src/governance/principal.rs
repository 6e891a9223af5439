//! The authenticated caller.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::budget::Limits;

/// A permission of a principal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Scope {
    /// Act with its own agents: acts, turns, tools, plans, checks, model calls.
    Act = 1,
    /// Read everything of the agents it may access.
    Read = 1 << 1,
    /// Review plans and decide approvals.
    Approve = 1 << 2,
    /// Validate, backtest and reload policies.
    Policy = 1 << 3,
    /// Operate the kill switch and the stops.
    Operate = 1 << 4,
}

impl Scope {
    /// All scopes.
    pub const ALL: [Scope; 5] =
        [Scope::Act, Scope::Read, Scope::Approve, Scope::Policy, Scope::Operate];

    /// The name in settings, tokens and responses.
    pub fn as_str(self) -> &'static str {
        match self {
            Scope::Act => "act",
            Scope::Read => "read",
            Scope::Approve => "approve",
            Scope::Policy => "policy",
            Scope::Operate => "operate",
        }
    }

    /// The scope of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == name)
    }
}

/// A set of scopes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Scopes(u8);

impl Scopes {
    /// No permission at all.
    pub const NONE: Scopes = Scopes(0);

    /// Every scope.
    pub fn all() -> Self {
        Scope::ALL.into_iter().collect()
    }

    /// Whether the set contains a scope.
    pub fn contains(self, scope: Scope) -> bool {
        self.0 & scope as u8 != 0
    }

    /// The scopes of the set, in the order of [`Scope::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.into_iter().filter(move |scope| self.contains(*scope))
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().fold(0, |set, scope| set | scope as u8))
    }
}

/// The caller of a request: its name, never its key. Cheap to clone.
///
/// Two principals are equal if their names are: names are unique among the configured keys, and rows
/// record the name alone.
#[derive(Clone)]
pub struct Principal(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    name: Box<str>,
    person: Option<Box<str>>,
    scopes: Scopes,
    agents: Option<Vec<String>>,
    digest: Option<[u8; 32]>,
    budget: Option<Limits>,
}

impl Principal {
    /// A principal with all scopes and access to all agents.
    pub fn new(name: &str) -> Self {
        Self(Arc::new(Inner {
            name: name.into(),
            person: None,
            scopes: Scopes::all(),
            agents: None,
            digest: None,
            budget: None,
        }))
    }

    /// The service itself, for actions that no request caused.
    pub fn system() -> Self {
        Self::new("system")
    }

    /// The same principal with these scopes only.
    #[must_use]
    pub fn with_scopes(self, scopes: Scopes) -> Self {
        self.change(|inner| inner.scopes = scopes)
    }

    /// The same principal with an accountable person.
    #[must_use]
    pub fn with_person(self, person: &str) -> Self {
        self.change(|inner| inner.person = Some(person.into()))
    }

    /// The same principal, restricted to agents that match one of these globs.
    #[must_use]
    pub fn with_agents(self, globs: Vec<String>) -> Self {
        self.change(|inner| inner.agents = Some(globs))
    }

    /// The same principal with the SHA-256 digest of its key.
    #[must_use]
    pub fn with_digest(self, digest: [u8; 32]) -> Self {
        self.change(|inner| inner.digest = Some(digest))
    }

    /// The same principal with a budget of its own, in addition to those of the policy.
    #[must_use]
    pub fn with_budget(self, limits: Limits) -> Self {
        self.change(|inner| inner.budget = Some(limits))
    }

    fn change(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }

    /// The name that rows, limits and logs show.
    pub fn as_str(&self) -> &str {
        &self.0.name
    }

    /// The accountable person, if one is configured.
    pub fn person(&self) -> Option<&str> {
        self.0.person.as_deref()
    }

    /// The permissions.
    pub fn scopes(&self) -> Scopes {
        self.0.scopes
    }

    /// Whether the principal has a permission.
    pub fn has(&self, scope: Scope) -> bool {
        self.0.scopes.contains(scope)
    }

    /// Globs of the accessible agents; `None` for all agents.
    pub fn agents(&self) -> Option<&[String]> {
        self.0.agents.as_deref()
    }

    /// The SHA-256 digest of the key, if the principal has one.
    pub fn digest(&self) -> Option<&[u8; 32]> {
        self.0.digest.as_ref()
    }

    /// What model calls of the principal may use, in addition to the budgets of the policy.
    pub fn budget(&self) -> Option<Limits> {
        self.0.budget
    }

    /// Whether two principals stand for one caller: the same name, person or key. The author of a
    /// request and its reviewer must differ in all three.
    pub fn is_same_caller(&self, other: &Principal) -> bool {
        self == other
            || (self.person().is_some() && self.person() == other.person())
            || (self.digest().is_some() && self.digest() == other.digest())
    }
}

impl PartialEq for Principal {
    fn eq(&self, other: &Self) -> bool {
        self.0.name == other.0.name
    }
}

impl Eq for Principal {}

impl Hash for Principal {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.name.hash(state);
    }
}

/// Omits the digest.
impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Principal")
            .field("name", &self.0.name)
            .field("person", &self.0.person)
            .field("scopes", &self.0.scopes)
            .field("agents", &self.0.agents)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_principal_may_do_everything_and_a_restricted_one_may_not() {
        let all = Principal::new("ann");
        assert!(Scope::ALL.into_iter().all(|scope| all.has(scope)) && all.agents().is_none());
        let reader = all.with_scopes([Scope::Read].into_iter().collect());
        assert!(reader.has(Scope::Read) && !reader.has(Scope::Act));
        assert_eq!(reader.scopes().iter().collect::<Vec<_>>(), [Scope::Read]);
        for scope in Scope::ALL {
            assert_eq!(Scope::from_name(scope.as_str()), Some(scope));
        }
    }

    #[test]
    fn one_caller_is_known_by_name_person_or_key() {
        let ann = Principal::new("ann").with_person("Ann Lee").with_digest([1; 32]);
        assert!(ann.is_same_caller(&Principal::new("ann")));
        assert!(ann.is_same_caller(&Principal::new("other").with_person("Ann Lee")));
        assert!(ann.is_same_caller(&Principal::new("other").with_digest([1; 32])));
        assert!(!ann.is_same_caller(&Principal::new("bob").with_digest([2; 32])));
        assert!(!Principal::new("a").is_same_caller(&Principal::new("b")), "no person is no match");
        assert!(!format!("{ann:?}").contains("digest"));
    }
}
