//! A JSON body from an authenticated caller: of the right type, within size and time, with valid fields.

use std::io::Read as _;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::web::{self, BytesMut};
use actix_web::{FromRequest, HttpRequest};
use futures_util::StreamExt;
use futures_util::future::LocalBoxFuture;
use life_agent_engine::{Engine, EngineError, RequestContext};
use tokio::time::timeout;

use super::caller::{Authenticated, authenticate};
use super::json::{Document, read};
use crate::http::endpoint::{self, MAX_BODY};
use crate::http::errors::{ApiError, Code};
use crate::state::AppState;

/// How long a body may take to arrive.
const DEADLINE: Duration = Duration::from_secs(10);

/// The checked body of a call and its caller. The body is read only after authentication.
#[derive(Debug)]
pub struct Body<D: Document> {
    /// The caller.
    pub caller: RequestContext,
    /// The checked body.
    pub checked: D::Checked,
    /// The length of the body as it was sent.
    pub bytes: usize,
}

impl<D: Document> Body<D> {
    /// Runs a use case on the body.
    pub async fn run<T, F>(
        self,
        state: &AppState,
        use_case: impl FnOnce(Engine, RequestContext, D::Checked) -> F,
    ) -> Result<T, ApiError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, EngineError>> + Send + 'static,
    {
        let work = use_case(state.engine.clone(), self.caller, self.checked);
        Ok(state.large.run(self.bytes, work).await??)
    }
}

impl<D: Document> FromRequest for Body<D> {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let max = endpoint::of(request).map_or(MAX_BODY, |endpoint| endpoint.max_body);
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let Authenticated { caller, grant } = authenticate(&request).await?;
            let expected = expects_body::<D>(request.headers(), max)?;
            let state = request.app_data::<web::Data<AppState>>().cloned();
            let state = state.ok_or_else(|| ApiError::bare(Code::Internal))?;
            drop(request);
            let body = match expected {
                true => read_body(payload, max).await?,
                false => BytesMut::from("{}"),
            };
            let bytes = body.len();
            let checked = state.large.run(bytes, async move { read::<D>(&body) }).await??;
            if let Some(agent) = D::agent(&checked) {
                grant.check_agent(agent)?;
            }
            Ok(Self { caller, checked, bytes })
        })
    }
}

/// Whether the request has a body to read. Rejects by the headers alone what can be rejected by them.
fn expects_body<D: Document>(headers: &HeaderMap, max: usize) -> Result<bool, ApiError> {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    let none = length.is_none_or(|length| length == "0")
        && !headers.contains_key(header::TRANSFER_ENCODING);
    if D::OPTIONAL && none {
        return Ok(false);
    }
    check_headers(headers, max).map(|()| true)
}

/// Rejects a body that its headers show to be of another type or too large.
fn check_headers(headers: &HeaderMap, max: usize) -> Result<(), ApiError> {
    if !is_json(headers) {
        let message =
            "send the body as `Content-Type: application/json`, in UTF-8 and uncompressed";
        return Err(ApiError::new(Code::UnsupportedMediaType, message));
    }
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    match length.and_then(|length| length.parse::<u64>().ok()) {
        Some(length) if length > max as u64 => Err(too_large(max)),
        _ => Ok(()),
    }
}

/// Reads a whole JSON body of at most `max` bytes, within the deadline.
pub(crate) async fn read_json(
    request: &HttpRequest,
    payload: Payload,
    max: usize,
) -> Result<BytesMut, ApiError> {
    check_headers(request.headers(), max)?;
    read_body(payload, max).await
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

/// Reads a whole body of at most `max` bytes, within the deadline.
pub(crate) async fn read_body(payload: Payload, max: usize) -> Result<BytesMut, ApiError> {
    let message = "the body was not complete after 10 s; send it again without a pause";
    timeout(DEADLINE, collect(payload, max))
        .await
        .unwrap_or_else(|_| Err(ApiError::new(Code::RequestTimeout, message)))
}

async fn collect(mut payload: Payload, max: usize) -> Result<BytesMut, ApiError> {
    let mut body = BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|error| broken(&error, max))?;
        if body.len() + chunk.len() > max {
            return Err(too_large(max));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Reads a body of at most `max` bytes, in gzip or plain. Only silence ends it: a large body takes its time.
pub(crate) async fn read_stream(
    request: &HttpRequest,
    mut payload: Payload,
    max: usize,
) -> Result<BytesMut, ApiError> {
    let headers = request.headers();
    let coding = headers.get(header::CONTENT_ENCODING).map(HeaderValue::as_bytes);
    let is_packed = coding.is_some_and(|coding| coding.eq_ignore_ascii_case(b"gzip"));
    if is_packed {
        let mut plain = headers.clone();
        plain.remove(header::CONTENT_ENCODING);
        check_headers(&plain, max)?;
    } else {
        check_headers(headers, max)?;
    }
    let body = stream(&mut payload, max).await?;
    if !is_packed {
        return Ok(body);
    }
    let state = request.app_data::<web::Data<AppState>>();
    let state = state.ok_or_else(|| ApiError::bare(Code::Internal))?;
    // A small body may hold a large one.
    state.large.run(max, async move { unpacked(&body, max) }).await?
}

/// What a body in gzip holds, of at most `max` bytes.
fn unpacked(packed: &[u8], max: usize) -> Result<BytesMut, ApiError> {
    let mut body = Vec::new();
    let mut reader = flate2::read::MultiGzDecoder::new(packed).take(max as u64 + 1);
    reader
        .read_to_end(&mut body)
        .map_err(|_| ApiError::new(Code::BadRequest, "the body is not valid gzip"))?;
    if body.len() > max {
        return Err(too_large(max));
    }
    Ok(BytesMut::from(body.as_slice()))
}

async fn stream(payload: &mut Payload, max: usize) -> Result<BytesMut, ApiError> {
    let mut body = BytesMut::new();
    loop {
        let chunk = timeout(DEADLINE, payload.next()).await.map_err(|_| {
            let message = "the body stopped arriving for 10 s; send it again without a pause";
            ApiError::new(Code::RequestTimeout, message)
        })?;
        let Some(chunk) = chunk else { return Ok(body) };
        let chunk = chunk.map_err(|error| broken(&error, max))?;
        if body.len() + chunk.len() > max {
            return Err(too_large(max));
        }
        body.extend_from_slice(&chunk);
    }
}

fn broken(error: &PayloadError, max: usize) -> ApiError {
    match error {
        PayloadError::Overflow => too_large(max),
        _ => ApiError::new(Code::BadRequest, "the body ended early or its HTTP framing is invalid"),
    }
}

fn too_large(max: usize) -> ApiError {
    ApiError::new(Code::BodyTooLarge, format!("the body is larger than {max} bytes; send less"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_uncompressed_utf8_json_is_accepted() {
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
