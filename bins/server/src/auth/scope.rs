//! Access: what an endpoint requires of a key, and the roles that stand for scopes.

use life_agent_engine::domain::governance::principal::{Scope, Scopes};

/// The requirement of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// A key with this scope.
    Scope(Scope),
    /// Any key, whatever it grants.
    Any,
    /// No key at all: health, metrics, documentation and the dashboard's files.
    Public,
}

impl Access {
    /// Acts, turns, plans, checks and model calls, and everything about the caller's own agents.
    pub const ACT: Access = Access::Scope(Scope::Act);
    /// Reads, of every agent that the caller may access.
    pub const READ: Access = Access::Scope(Scope::Read);
    /// Plan reviews and approvals.
    pub const APPROVE: Access = Access::Scope(Scope::Approve);
    /// Validating, backtesting and reloading policies.
    pub const POLICY: Access = Access::Scope(Scope::Policy);
    /// The kill switch and stops.
    pub const OPERATE: Access = Access::Scope(Scope::Operate);

    /// The name in error messages and in the OpenAPI document.
    pub fn as_str(self) -> &'static str {
        match self {
            Access::Scope(scope) => scope.as_str(),
            Access::Any => "any",
            Access::Public => "public",
        }
    }
}

/// The scopes of a role or of a scope of this name.
pub fn named(name: &str) -> Option<Scopes> {
    let role: &[Scope] = match name {
        "agent" => &[Scope::Act],
        "observer" => &[Scope::Read],
        "reviewer" => &[Scope::Read, Scope::Approve],
        "author" => &[Scope::Read, Scope::Policy],
        "operator" => &Scope::ALL,
        name => return Scope::from_name(name).map(|scope| [scope].into_iter().collect()),
    };
    Some(role.iter().copied().collect())
}

/// The scopes of all these roles and scopes; fails with the first unknown name.
pub fn all_named<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Scopes, &'a str> {
    let mut scopes = Vec::new();
    for name in names {
        scopes.extend(named(name).ok_or(name)?.iter());
    }
    Ok(scopes.into_iter().collect())
}

/// The names of these scopes.
pub fn names(scopes: Scopes) -> Vec<&'static str> {
    scopes.iter().map(Scope::as_str).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_shorthand_for_scopes() {
        for (role, scopes) in [
            ("agent", &["act"][..]),
            ("observer", &["read"]),
            ("reviewer", &["read", "approve"]),
            ("author", &["read", "policy"]),
            ("operator", &["act", "read", "approve", "policy", "operate"]),
            ("policy", &["policy"]),
        ] {
            assert_eq!(names(named(role).unwrap()), scopes, "{role}");
        }
        for unknown in ["", "admin", "any", "public", "Agent"] {
            assert_eq!(named(unknown), None, "{unknown}");
        }
        let both = all_named(["agent", "reviewer"]).unwrap();
        assert_eq!(names(both), ["act", "read", "approve"]);
        assert_eq!(all_named(["agent", "admin"]), Err("admin"));
    }
}
