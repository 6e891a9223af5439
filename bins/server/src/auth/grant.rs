//! What a key grants: its principal, scopes and agents, until it expires.

use std::sync::Arc;

use globset::{Glob, GlobSet, GlobSetBuilder};
use jiff::Timestamp;
use life_agent_engine::domain::governance::ids::{AgentId, Principal};
use life_agent_engine::domain::governance::principal::{Scope, Scopes};
use serde_json::json;

use super::last_use::LastUse;
use super::request_limit::RequestLimit;
use super::scope::{Access, names};
use crate::http::endpoint::Endpoint;
use crate::http::errors::{ApiError, Code};

/// The permissions of one key.
#[derive(Debug, Clone)]
pub struct Grant {
    /// The caller with its scopes, person, agent globs and digest.
    pub principal: Principal,
    /// When the key stops working.
    pub expires: Option<Timestamp>,
    /// The limit on the principal's requests, shared by all its grants; none without one.
    pub limit: Option<Arc<RequestLimit>>,
    /// When the key was last used.
    pub used: Arc<LastUse>,
    /// The compiled agent globs of the principal; none for all agents.
    agents: Option<GlobSet>,
}

impl Grant {
    /// The permissions of this principal, until `expires`. Fails on an invalid agent glob.
    pub fn new(principal: Principal, expires: Option<Timestamp>) -> Result<Self, globset::Error> {
        let agents = principal.agents().map(compiled).transpose()?;
        Ok(Self { principal, expires, limit: None, used: Arc::default(), agents })
    }

    /// The permissions of a key from the settings: these scopes, every agent, forever.
    pub fn configured(name: &str, scopes: Scopes, digest: [u8; 32]) -> Self {
        let principal = Principal::new(name).with_scopes(scopes).with_digest(digest);
        Self { principal, expires: None, limit: None, used: Arc::default(), agents: None }
    }

    /// Sets the limit: that of an earlier grant of the same principal if it is as large, so that its count goes on.
    pub fn limit_to(&mut self, own: Option<u32>, rps: u32, earlier: Option<&Grant>) {
        let limit = RequestLimit::new(own, rps).map(Arc::new);
        let earlier = earlier.and_then(|grant| grant.limit.clone());
        self.limit = match (limit, earlier) {
            (Some(limit), Some(earlier)) if limit.report() == earlier.report() => Some(earlier),
            (limit, _) => limit,
        };
    }

    /// Continues the last use of an earlier grant of the same key or principal.
    pub fn continue_use(&mut self, earlier: Option<&Grant>) {
        if let Some(earlier) = earlier {
            self.used = Arc::clone(&earlier.used);
        }
    }

    /// Whether another grant is the same key with the same permissions.
    pub fn is_same(&self, other: &Grant) -> bool {
        let parts = |grant: &Grant| {
            let principal = &grant.principal;
            (principal.scopes(), principal.digest().copied(), grant.expires)
        };
        self.principal == other.principal
            && parts(self) == parts(other)
            && self.principal.person() == other.principal.person()
            && self.principal.agents() == other.principal.agents()
    }

    /// Whether the key works at this time.
    pub fn is_valid(&self, now: Timestamp) -> bool {
        self.expires.is_none_or(|expires| now < expires)
    }

    /// Whether the grant has no limits.
    pub fn is_unrestricted(&self) -> bool {
        self.principal.scopes() == Scopes::all() && self.agents.is_none()
    }

    /// Whether the grant covers an endpoint.
    pub fn allows(&self, endpoint: &Endpoint) -> Result<(), ApiError> {
        let allowed = match endpoint.access {
            Access::Scope(scope) => {
                self.principal.has(scope) || endpoint.or_act && self.principal.has(Scope::Act)
            }
            Access::Any | Access::Public => true,
        };
        if allowed {
            return Ok(());
        }
        let required = endpoint.access.as_str();
        let message = format!(
            "this call requires the scope `{required}`, which the key `{}` does not have; use a key with that scope",
            self.principal.as_str()
        );
        let details = json!({"required_scope": required, "scopes": names(self.principal.scopes())});
        Err(ApiError::new(Code::ScopeMissing, message).with_details(&details))
    }

    /// Whether the key may access an agent.
    pub fn may_access(&self, agent: &str) -> bool {
        self.agents.as_ref().is_none_or(|agents| agents.is_match(agent))
    }

    /// Fails if the key may not access an agent.
    pub fn check_agent(&self, agent: &AgentId) -> Result<(), ApiError> {
        if self.may_access(agent.as_str()) {
            return Ok(());
        }
        let globs = self.principal.agents().unwrap_or_default();
        let message = format!(
            "the key `{}` may not access this agent, only agents that match {}",
            self.principal.as_str(),
            globs.iter().map(|glob| format!("`{glob}`")).collect::<Vec<_>>().join(", ")
        );
        let details = json!({"required_agent": agent.as_str(), "agents": globs});
        Err(ApiError::new(Code::AgentForbidden, message).with_details(&details))
    }

    /// Whether the key may read a row: one of an accessible agent, one of its own, or any row with an unlimited
    /// `read`.
    pub fn may_read_row(&self, agent: Option<&str>, principal: &str) -> bool {
        match agent {
            Some(agent) => self.may_access(agent),
            None => self.reads_every_row() || principal == self.principal.as_str(),
        }
    }

    /// Whether the key may read every row.
    pub fn reads_every_row(&self) -> bool {
        self.principal.has(Scope::Read) && self.agents.is_none()
    }

    /// Whether the key may read a plan of this author.
    pub fn may_read_plan(&self, author: &str) -> bool {
        self.reads_every_row() || author == self.principal.as_str()
    }
}

fn compiled(globs: &[String]) -> Result<GlobSet, globset::Error> {
    let mut set = GlobSetBuilder::new();
    for glob in globs {
        set.add(Glob::new(glob)?);
    }
    set.build()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(scopes: &[Scope], globs: &[&str]) -> Grant {
        let principal = Principal::new("ci").with_scopes(scopes.iter().copied().collect());
        let globs: Vec<_> = globs.iter().map(|glob| (*glob).to_owned()).collect();
        Grant::new(if globs.is_empty() { principal } else { principal.with_agents(globs) }, None)
            .unwrap()
    }

    #[test]
    fn agents_are_matched_by_glob() {
        let gpt = grant(&[Scope::Act], &["gpt-*", "hero"]);
        for (agent, allowed) in
            [("gpt-1", true), ("hero", true), ("heroine", false), ("x-gpt-1", false)]
        {
            assert_eq!(gpt.may_access(agent), allowed, "{agent}");
            assert_eq!(gpt.check_agent(&AgentId::new(agent).unwrap()).is_ok(), allowed, "{agent}");
        }
        assert!(grant(&[Scope::Act], &[]).may_access("any"));
    }

    #[test]
    fn rows_without_an_agent_are_readable_by_their_principal_and_by_unlimited_readers() {
        let own = grant(&[Scope::Act], &["gpt-*"]);
        assert!(own.may_read_row(Some("gpt-1"), "other") && !own.may_read_row(Some("hero"), "ci"));
        assert!(own.may_read_row(None, "ci") && !own.may_read_row(None, "system"));
        assert!(grant(&[Scope::Read], &[]).may_read_row(None, "system"));
        assert!(!grant(&[Scope::Read], &["gpt-*"]).may_read_row(None, "system"));
    }

    #[test]
    fn a_key_works_until_it_expires() {
        let mut key = grant(&Scope::ALL, &[]);
        let at = |second| Timestamp::from_second(second).unwrap();
        key.expires = Some(at(100));
        assert!(key.is_valid(at(99)) && !key.is_valid(at(100)));
    }
}
