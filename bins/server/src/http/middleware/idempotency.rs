//! `Idempotency-Key`: a repeated call acts once and gets the same response.
//!
//! Implements draft-ietf-httpapi-idempotency-key-header. A key is scoped to its caller, method and path. The call
//! runs to completion even if its caller disconnects, because the caller will repeat it.

use actix_web::body::{BodySize, BoxBody, MessageBody, to_bytes};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, HttpResponse, ResponseError, rt, web};
use life_agent_engine::domain::governance::fault::Fault;
use life_agent_engine::observer::StoredResponse;
use life_agent_engine::{Claim, Effect, KeyedCall, Mark};
use serde::Deserialize;

use super::envelope::{Enveloped, body_of};
use crate::http::accept::{PREFERENCE_APPLIED, wants_events};
use crate::http::endpoint::{self, MAX_BODY};
use crate::http::errors::{ApiError, Code};
use crate::http::extract::{Authenticated, authenticate, read_body};
use crate::state::AppState;
use crate::telemetry::logging::carried;

/// The header.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// On responses that are replayed.
pub const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// Longest key, in characters.
const MAX_KEY: usize = 128;

/// The headers that are stored with a response.
const STORED_HEADERS: [HeaderName; 3] =
    [header::CONTENT_TYPE, header::LOCATION, PREFERENCE_APPLIED];

/// Runs a call with a key once, and responds each time it is sent.
pub async fn once(
    mut request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let idempotent = endpoint::of(request.request()).is_some_and(|endpoint| endpoint.idempotent);
    if !idempotent || !request.headers().contains_key(IDEMPOTENCY_KEY) {
        return next.call(request).await;
    }
    let mark = match claim(&mut request).await {
        Ok(Claimed::First(mark)) => mark,
        Ok(Claimed::Answered(answer)) => return Ok(request.into_response(replay(answer))),
        Err(error) => return Ok(request.error_response(error)),
    };
    request.extensions_mut().insert(mark.clone());
    let whole = async move {
        let response = next.call(request).await?;
        response.request().extensions_mut().remove::<Mark>();
        if mark.is_lost() {
            return elsewhere(response, &mark).await;
        }
        store(response, mark).await
    };
    match rt::spawn(carried(whole)).await {
        Ok(answered) => answered,
        // A panic continues to where panics of calls without a key end.
        Err(broken) => match broken.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(ApiError::bare(Code::Internal).into()),
        },
    }
}

enum Claimed {
    First(Mark),
    Answered(StoredResponse),
}

/// Claims the key of a request. The body is read, and put back for the handler.
async fn claim(request: &mut ServiceRequest) -> Result<Claimed, ApiError> {
    let Authenticated { caller, .. } = authenticate(request.request()).await?;
    let key = key(request.headers())?;
    let max = endpoint::of(request.request()).map_or(MAX_BODY, |endpoint| endpoint.max_body);
    let body = read_body(request.take_payload(), max).await?.freeze();
    let state =
        request.app_data::<web::Data<AppState>>().ok_or_else(|| ApiError::bare(Code::Internal))?;
    // The path that was matched, not its spelling: `/%61ct` is `/act`.
    let (method, path) = (request.method().clone(), request.match_info().as_str().to_owned());
    let (engine, wants_events) = (state.engine.clone(), wants_events(request.request()));
    let sent = body.clone();
    let claim = async move {
        if wants_events || asks_for_stream(&sent) {
            let message = "cannot be combined with a streamed response, which is sent once; leave out one of them";
            return Err(wrong(message));
        }
        let call = KeyedCall { method: method.as_str(), path: &path, key: &key, body: &sent };
        engine.claim(&caller, call).await.map_err(ApiError::from)
    };
    let claim = state.large.run(body.len(), claim).await??;
    request.set_payload(body.into());
    outcome(claim)
}

/// The response of the same call at another instance, which was faster.
async fn elsewhere(
    response: ServiceResponse<BoxBody>,
    mark: &Mark,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let request = response.request();
    let Authenticated { caller, .. } = authenticate(request).await?;
    let state = request.app_data::<web::Data<AppState>>().cloned();
    let state = state.ok_or_else(|| ApiError::bare(Code::Internal))?;
    let claim = state.engine.answer_elsewhere(&caller, mark).await.map_err(ApiError::from)?;
    let answer = match outcome(claim) {
        Ok(Claimed::Answered(answer)) => replay(answer),
        Ok(Claimed::First(_)) => ApiError::bare(Code::Internal).error_response(),
        Err(error) => error.error_response(),
    };
    Ok(response.into_response(answer))
}

fn outcome(claim: Claim) -> Result<Claimed, ApiError> {
    match claim {
        Claim::First(mark) => Ok(Claimed::First(mark)),
        Claim::Answered(answer) => Ok(Claimed::Answered(answer)),
        Claim::OtherBody => Err(ApiError::new(
            Code::IdempotencyMismatch,
            "this `Idempotency-Key` was used before with another body; send a new key with this body",
        )),
        Claim::UnderWay => Err(ApiError::new(
            Code::Conflict,
            "the first call with this `Idempotency-Key` is still in progress; try again later",
        )),
        Claim::Unanswered(effect) => Err(unanswered(&effect)),
    }
}

fn unanswered(effect: &Effect) -> ApiError {
    let (place, details) = match effect {
        Effect::Row(id) => {
            (format!("row {id} of the journal"), serde_json::json!({ "event_id": id }))
        }
        Effect::Job(id) => (format!("`/turns/{id}`"), serde_json::json!({ "turn": id })),
    };
    let message = format!(
        "the call with this `Idempotency-Key` took effect, but its response was lost; see {place}, and \
         send a new key to act again"
    );
    ApiError::new(Code::Conflict, message).with_details(&details)
}

/// The key of a request: plain, or quoted as the draft specifies.
fn key(headers: &HeaderMap) -> Result<String, ApiError> {
    let mut sent = headers.get_all(IDEMPOTENCY_KEY).map(HeaderValue::to_str);
    let key = match (sent.next(), sent.next()) {
        (Some(Ok(key)), None) => unquoted(key.trim()),
        _ => None,
    };
    let fits = |key: &String| {
        (1..=MAX_KEY).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic())
    };
    key.filter(fits).ok_or_else(|| wrong("must be one key of 1 to 128 visible ASCII characters"))
}

/// Unquotes a String of RFC 9651, section 3.3.3; an unquoted value is the key itself.
fn unquoted(text: &str) -> Option<String> {
    let Some(rest) = text.strip_prefix('"') else { return Some(text.to_owned()) };
    let (mut key, mut letters) = (String::new(), rest.chars());
    loop {
        match letters.next()? {
            '\\' => key.push(letters.next().filter(|letter| matches!(letter, '"' | '\\'))?),
            '"' => return letters.next().is_none().then_some(key),
            letter => key.push(letter),
        }
    }
}

fn asks_for_stream(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Asked {
        stream: Option<bool>,
    }
    serde_json::from_slice::<Asked>(body).is_ok_and(|asked| asked.stream == Some(true))
}

fn wrong(message: &str) -> ApiError {
    ApiError::validation(vec![Fault::new("Idempotency-Key", message)])
}

/// Stores a response that reports an effect or a gate's decision. After any other response nothing has happened,
/// and the key stays free.
async fn store(
    response: ServiceResponse<BoxBody>,
    mark: Mark,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let status = response.status();
    let took_effect = mark.is_taken() && !status.is_server_error();
    if !took_effect && !status.is_success() && !is_decision(&response) {
        return Ok(response);
    }
    let state = response.request().app_data::<web::Data<AppState>>().cloned();
    let (response, answer) = if status.is_success() {
        let (request, response) = response.into_parts();
        let (head, body) = response.into_parts();
        if matches!(body.size(), BodySize::Stream) {
            return Ok(ServiceResponse::new(request, head.set_body(body)));
        }
        let body = to_bytes(body).await.map_err(|_| ApiError::bare(Code::Internal))?;
        let (headers, stored) = (stored_headers(head.headers()), body.to_vec());
        let response = ServiceResponse::new(request, head.set_body(BoxBody::new(body)));
        (response, StoredResponse { status: status.as_u16(), headers, body: stored })
    } else {
        let headers = "content-type: application/json".to_owned();
        let body = body_of(&response);
        (response, StoredResponse { status: status.as_u16(), headers, body })
    };
    if let Some(state) = state
        && let Err(error) = state.engine.keep_answer(mark, answer).await
    {
        // The row records the key; only the response is missing when the call is repeated.
        tracing::warn!(%error, "the response to a call with an idempotency key could not be stored");
    }
    Ok(response)
}

/// Whether a gate denied the call for good.
fn is_decision(response: &ServiceResponse<BoxBody>) -> bool {
    let error = response.response().error().and_then(|error| error.as_error::<ApiError>());
    error.is_some_and(|error| error.is_decision())
}

fn stored_headers(headers: &HeaderMap) -> String {
    let line = |name: &HeaderName| Some(format!("{name}: {}", headers.get(name)?.to_str().ok()?));
    STORED_HEADERS.iter().filter_map(line).collect::<Vec<_>>().join("\n")
}

fn replay(answer: StoredResponse) -> HttpResponse {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = HttpResponse::build(status);
    for (name, value) in answer.headers.lines().filter_map(|line| line.split_once(": ")) {
        if STORED_HEADERS.iter().any(|stored| stored == name) {
            response.insert_header((name, value));
        }
    }
    response.insert_header((IDEMPOTENCY_REPLAYED, "true"));
    let mut response = response.body(answer.body);
    response.extensions_mut().insert(Enveloped);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(sent: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for value in sent {
            headers.append(IDEMPOTENCY_KEY, HeaderValue::from_str(value).unwrap());
        }
        key(&headers).ok()
    }

    #[test]
    fn a_quoted_key_equals_the_plain_key() {
        let long = "x".repeat(MAX_KEY);
        for (sent, expected) in [
            ("8e03978e-40d5", "8e03978e-40d5"),
            ("\"8e03978e-40d5\"", "8e03978e-40d5"),
            (r#""a\"b\\c""#, r#"a"b\c"#),
            ("a\"b", "a\"b"),
            (long.as_str(), long.as_str()),
        ] {
            assert_eq!(read(&[sent]).as_deref(), Some(expected), "{sent}");
        }
    }

    #[test]
    fn a_malformed_key_is_rejected() {
        let long = "x".repeat(MAX_KEY + 1);
        for bad in ["", "\"\"", "\"a", "\"a\"b", "a b", "\"a b\"", r#""a\b""#, &long] {
            assert_eq!(read(&[bad]), None, "{bad}");
        }
        assert_eq!(read(&["a", "a"]), None, "two keys");
    }

    #[test]
    fn a_body_that_requests_a_stream_is_detected() {
        assert!(asks_for_stream(br#"{"messages":[],"stream":true}"#));
        assert!(!asks_for_stream(br#"{"stream":false}"#) && !asks_for_stream(b"{"));
    }
}
