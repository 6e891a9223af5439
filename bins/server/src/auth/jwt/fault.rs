//! Why a token is not accepted, for its holder. No variant contains a part of the token.

use jsonwebtoken::errors::{Error, ErrorKind};

/// The first reason not to accept a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenFault {
    /// Three parts that are not a JWT, or a critical extension.
    #[error("the token is not a JWT that this service can read")]
    Unreadable,
    /// More bytes than [`super::MAX_TOKEN`].
    #[error("the token is longer than {} bytes; request fewer claims", super::MAX_TOKEN)]
    TooLong,
    /// Unsigned, or signed with an algorithm that is not accepted.
    #[error("the token must be signed with RS256, PS256, ES256 or EdDSA")]
    Algorithm,
    /// The key set has no key for the token.
    #[error("the token is signed with a key that the issuer's key set does not contain")]
    UnknownKey,
    /// The signature does not match.
    #[error("the token's signature is not valid")]
    Signature,
    /// Another issuer.
    #[error("the token is from another issuer than JWT_ISSUER")]
    Issuer,
    /// Another audience.
    #[error("the token is not for JWT_AUDIENCE")]
    Audience,
    /// After `exp`.
    #[error("the token has expired; request a new one")]
    Expired,
    /// Before `nbf`.
    #[error("the token is not valid yet; check the clocks")]
    NotYetValid,
    /// A claim is absent or has another form.
    #[error("the token's claim `{0}` is missing or has the wrong form")]
    Claim(String),
}

impl From<Error> for TokenFault {
    fn from(error: Error) -> Self {
        match error.kind() {
            ErrorKind::InvalidSignature => Self::Signature,
            ErrorKind::InvalidIssuer => Self::Issuer,
            ErrorKind::InvalidAudience => Self::Audience,
            ErrorKind::ExpiredSignature => Self::Expired,
            ErrorKind::ImmatureSignature => Self::NotYetValid,
            ErrorKind::InvalidAlgorithm => Self::Algorithm,
            ErrorKind::MissingRequiredClaim(claim) | ErrorKind::InvalidClaimFormat(claim) => {
                Self::Claim(claim.clone())
            }
            _ => Self::Unreadable,
        }
    }
}
