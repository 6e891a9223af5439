//! The settings of signed tokens.

use super::source::JwksSource;

/// `JWT_ISSUER` and what belongs to it. A claim whose name begins with `/` is a JSON pointer.
#[derive(Debug, Clone)]
pub struct JwtSettings {
    /// `JWT_ISSUER`: the only accepted `iss`.
    pub issuer: String,
    /// `JWT_AUDIENCE`: `aud` must contain one of these.
    pub audience: Vec<String>,
    /// `JWT_JWKS`
    pub jwks: JwksSource,
    /// `JWT_SCOPE_CLAIM`
    pub scope_claim: String,
    /// `JWT_PERSON_CLAIM`
    pub person_claim: String,
    /// `JWT_AGENTS_CLAIM`; none for every agent.
    pub agents_claim: Option<String>,
}
