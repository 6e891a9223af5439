//! A JSON body: from a known caller, of the right type, within size and time, with every field right.

use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::http::header::{self, HeaderMap};
use actix_web::web::BytesMut;
use actix_web::{FromRequest, HttpRequest};
use futures_util::StreamExt;
use futures_util::future::LocalBoxFuture;
use life_agent_engine::Caller;
use tokio::time::timeout;

use super::caller::{Authenticated, authenticate};
use super::json::{Document, read};
use crate::errors::{ApiError, Code};

/// Largest body, in bytes.
pub const MAX_BODY: usize = 1024 * 1024;
/// How long a body may take to arrive.
const DEADLINE: Duration = Duration::from_secs(10);

/// The checked body of a call, and who made it: nobody's body is read before their key is known.
#[derive(Debug)]
pub struct Body<D: Document> {
    /// Who calls.
    pub caller: Caller,
    /// What they sent.
    pub checked: D::Checked,
}

impl<D: Document> FromRequest for Body<D> {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let allowed = authenticate(request).and_then(|caller| {
            let expected = expects_body::<D>(request.headers())?;
            Ok((caller, expected))
        });
        let payload = payload.take();
        Box::pin(async move {
            let (Authenticated(caller), expected) = allowed?;
            let checked =
                if expected { read::<D>(&arrived(payload).await?)? } else { read::<D>(b"{}")? };
            Ok(Self { caller, checked })
        })
    }
}

/// Whether a body is to be read; refuses by the headers alone what they give away.
fn expects_body<D: Document>(headers: &HeaderMap) -> Result<bool, ApiError> {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    let none = length.is_none_or(|length| length == "0")
        && !headers.contains_key(header::TRANSFER_ENCODING);
    if D::OPTIONAL && none {
        return Ok(false);
    }
    if !is_json(headers) {
        let message =
            "send the body as `Content-Type: application/json`, in UTF-8 and uncompressed";
        return Err(ApiError::new(Code::UnsupportedMediaType, message));
    }
    match length.and_then(|length| length.parse::<u64>().ok()) {
        Some(length) if length > MAX_BODY as u64 => Err(too_large()),
        _ => Ok(true),
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let text =
        |name| headers.get(name).map(|value| value.to_str().unwrap_or("?").to_ascii_lowercase());
    let plain = text(header::CONTENT_ENCODING).is_none_or(|coding| coding == "identity");
    let kind = text(header::CONTENT_TYPE).unwrap_or_default();
    let mut parts = kind.split(';').map(str::trim);
    let json = parts.next().is_some_and(|kind| {
        kind == "application/json" || kind.starts_with("application/") && kind.ends_with("+json")
    });
    let other_charset = |part: &str| {
        part.strip_prefix("charset=")
            .is_some_and(|set| !matches!(set.trim_matches('"'), "utf-8" | "utf8"))
    };
    plain && json && !parts.any(other_charset)
}

/// The whole of a body, within size and time.
pub(crate) async fn arrived(payload: Payload) -> Result<BytesMut, ApiError> {
    let message = "the body was not complete after 10 s; send it again without a pause";
    timeout(DEADLINE, all_of(payload))
        .await
        .unwrap_or_else(|_| Err(ApiError::new(Code::RequestTimeout, message)))
}

async fn all_of(mut payload: Payload) -> Result<BytesMut, ApiError> {
    let mut body = BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|error| broken(&error))?;
        if body.len() + chunk.len() > MAX_BODY {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn broken(error: &PayloadError) -> ApiError {
    match error {
        PayloadError::Overflow => too_large(),
        _ => ApiError::new(Code::BadRequest, "the body ended early or is not framed as HTTP asks"),
    }
}

fn too_large() -> ApiError {
    ApiError::new(Code::BodyTooLarge, "the body is larger than 1 MiB; send less")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_utf8_json_is_read() {
        let accepts = |sent: &[(&str, &str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in sent {
                headers.append(name.parse().unwrap(), value.parse().unwrap());
            }
            is_json(&headers)
        };
        for good in [
            "application/json",
            "Application/JSON; charset=UTF-8",
            "application/problem+json",
            "application/json;charset=\"utf-8\"",
        ] {
            assert!(accepts(&[("content-type", good)]), "{good}");
        }
        for bad in [
            "",
            "text/plain",
            "application/x-www-form-urlencoded",
            "application/jsonx",
            "application/json; charset=latin1",
        ] {
            assert!(!accepts(&[("content-type", bad)]), "{bad}");
        }
        assert!(!accepts(&[]));
        assert!(!accepts(&[("content-type", "application/json"), ("content-encoding", "gzip")]));
    }
}
