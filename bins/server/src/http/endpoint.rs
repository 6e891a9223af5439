//! One endpoint as data. Each route file defines its endpoints next to their handlers;
//! [`crate::endpoints::ENDPOINTS`] lists them, and everything that depends on an endpoint derives from that table.

use actix_web::http::Method;
use actix_web::{HttpRequest, Route};

pub use super::describe::{Description, Tag};
use super::errors::Code;
pub use crate::auth::scope::Access;

/// Largest body of an endpoint that does not set its own bound, in bytes.
pub const MAX_BODY: usize = 1024 * 1024;

/// The methods of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// `GET`, and `HEAD` as `GET` without the body.
    Get,
    /// `GET` without `HEAD`: a stream would never end.
    Stream,
    /// `POST`.
    Post,
    /// `DELETE`.
    Delete,
}

impl Verb {
    /// The methods that a request may use.
    pub fn methods(self) -> &'static [Method] {
        match self {
            Verb::Get => &[Method::GET, Method::HEAD],
            Verb::Stream => &[Method::GET],
            Verb::Post => &[Method::POST],
            Verb::Delete => &[Method::DELETE],
        }
    }
}

/// What a call does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It reads or judges and changes nothing.
    Reads,
    /// An agent or a model acts. The gates judge the call, and a row records it.
    Acts,
    /// A person decides about another caller's request.
    Decides,
    /// It changes how the service runs, or withdraws a request.
    Operates,
}

/// How a custom GPT uses an endpoint.
#[derive(Debug, Clone, Copy)]
pub struct Gpt {
    /// When to call it, as an instruction to the model.
    pub when: &'static str,
    /// Whether the user confirms each call.
    pub consequential: bool,
    /// Largest `limit`, so that a response stays under 100,000 characters.
    pub max_limit: u64,
}

impl Gpt {
    /// A call that the GPT may make without confirmation: it reads or drafts.
    pub const fn reads(when: &'static str) -> Self {
        Self { when, consequential: false, max_limit: 20 }
    }

    /// A call that the user confirms each time.
    pub const fn acts(when: &'static str) -> Self {
        Self { consequential: true, ..Self::reads(when) }
    }

    /// The same with another largest `limit`.
    pub const fn max_limit(self, max_limit: u64) -> Self {
        Self { max_limit, ..self }
    }
}

/// An endpoint.
#[derive(Clone, Copy)]
pub struct Endpoint {
    /// The operation ID in the OpenAPI document.
    pub operation: &'static str,
    /// The method.
    pub verb: Verb,
    /// The path pattern.
    pub path: &'static str,
    /// What a key must grant.
    pub access: Access,
    /// Whether `act` suffices too: to read about its own agents and what governs them.
    pub or_act: bool,
    /// Whether a call names an agent, which the key must be able to access.
    pub names_agent: bool,
    /// What a call does.
    pub effect: Effect,
    /// Largest body, in bytes.
    pub max_body: usize,
    /// Whether the number of concurrent requests to the path is bounded.
    pub bounded: bool,
    /// Whether an `Idempotency-Key` makes a repeated call act once.
    pub idempotent: bool,
    /// The error codes of this endpoint, in addition to those that [`Endpoint::codes`] derives.
    pub errors: &'static [Code],
    /// Its part in the GPT Actions document, if it has one.
    pub gpt: Option<Gpt>,
    /// The name of the MCP tool that makes this call, if there is one.
    pub tool: Option<&'static str>,
    /// The handler.
    pub route: fn() -> Route,
    /// Its description in the OpenAPI document; none for pages and their files.
    pub describe: Option<fn() -> Description>,
}

impl Endpoint {
    /// An endpoint with everything that has no safe default.
    pub const fn new(
        operation: &'static str,
        verb: Verb,
        path: &'static str,
        access: Access,
        effect: Effect,
        route: fn() -> Route,
    ) -> Self {
        Self {
            operation,
            verb,
            path,
            access,
            or_act: false,
            names_agent: false,
            effect,
            max_body: MAX_BODY,
            bounded: false,
            idempotent: false,
            errors: &[],
            gpt: None,
            tool: None,
            route,
            describe: None,
        }
    }

    /// `act` suffices too: the call reads about the caller's own agents or about what governs them.
    pub const fn or_act(self) -> Self {
        Self { or_act: true, ..self }
    }

    /// A call names an agent.
    pub const fn names_agent(self) -> Self {
        Self { names_agent: true, ..self }
    }

    /// Another bound on the body, in bytes.
    pub const fn max_body(self, max_body: usize) -> Self {
        Self { max_body, ..self }
    }

    /// The number of concurrent requests is bounded.
    pub const fn bounded(self) -> Self {
        Self { bounded: true, ..self }
    }

    /// A call with an `Idempotency-Key` acts once.
    pub const fn idempotent(self) -> Self {
        Self { idempotent: true, ..self }
    }

    /// Error codes of its own.
    pub const fn errors(self, errors: &'static [Code]) -> Self {
        Self { errors, ..self }
    }

    /// A custom GPT may call it.
    pub const fn gpt(self, gpt: Gpt) -> Self {
        Self { gpt: Some(gpt), ..self }
    }

    /// An MCP tool makes this call.
    pub const fn tool(self, name: &'static str) -> Self {
        Self { tool: Some(name), ..self }
    }

    /// The OpenAPI document describes it.
    pub const fn described(self, describe: fn() -> Description) -> Self {
        Self { describe: Some(describe), ..self }
    }

    /// Whether callers need no key.
    pub fn is_public(&self) -> bool {
        self.access == Access::Public
    }

    /// Every error code that a call may return.
    pub fn codes(&self, has_body: bool) -> Vec<Code> {
        let restricted = matches!(self.access, Access::Scope(_));
        let groups: [(bool, &[Code]); 7] = [
            (
                !self.is_public(),
                &[
                    Code::MissingApiKey,
                    Code::InvalidApiKey,
                    Code::RateLimited,
                    Code::LimitsUnavailable,
                ],
            ),
            (restricted, &[Code::ScopeMissing]),
            (self.names_agent, &[Code::AgentForbidden]),
            (has_body, Code::OF_BODIES),
            (self.idempotent, &[Code::IdempotencyMismatch, Code::Conflict]),
            (self.effect == Effect::Acts, Code::OF_GATES),
            (true, self.errors),
        ];
        groups
            .into_iter()
            .filter(|(applies, _)| *applies)
            .flat_map(|(_, codes)| codes)
            .copied()
            .collect()
    }
}

/// The endpoints of one path; the resource's application data.
pub struct PathEndpoints(pub Vec<&'static Endpoint>);

impl PathEndpoints {
    /// The endpoint for a method.
    pub fn endpoint(&self, method: &Method) -> Option<&'static Endpoint> {
        self.0.iter().copied().find(|endpoint| endpoint.verb.methods().contains(method))
    }
}

/// The endpoint that a request is routed to.
pub fn of(request: &HttpRequest) -> Option<&'static Endpoint> {
    request.app_data::<PathEndpoints>()?.endpoint(request.method())
}
