//! A request to an endpoint within a request to `/mcp`, by the same caller.

use actix_service::{Service as _, ServiceFactory as _, apply};
use actix_web::HttpRequest;
use actix_web::body::to_bytes;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::middleware::from_fn;
use actix_web::test::TestRequest;
use actix_web::web::{self, Bytes};
use life_agent_engine::domain::governance::fault::Fault;
use life_agent_engine::domain::governance::json_text;
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

use crate::http::endpoint::{Endpoint, PathEndpoints, Verb};
use crate::http::errors::{ApiError, Code};
use crate::http::extract;
use crate::http::middleware::envelope::{Enveloped, body_of};
use crate::http::middleware::idempotency::{IDEMPOTENCY_KEY, IDEMPOTENCY_REPLAYED, once};
use crate::http::middleware::{denials, request_id};
use crate::state::AppState;
use crate::telemetry::traces;

/// The headers that identify the caller.
const CREDENTIALS: [HeaderName; 2] = [HeaderName::from_static("x-api-key"), header::AUTHORIZATION];

/// A call of an endpoint.
pub(super) struct Call<'a> {
    pub(super) endpoint: &'static Endpoint,
    /// The values of the path's parameters.
    pub(super) path: &'a [(&'static str, &'a str)],
    /// The arguments as a JSON object: the body, or the parameters of the query.
    pub(super) arguments: &'a RawValue,
    pub(super) idempotency_key: Option<HeaderValue>,
}

/// The response of an endpoint.
pub(super) struct Called {
    pub(super) status: StatusCode,
    /// JSON: the result, or the error's envelope.
    pub(super) body: Bytes,
    /// Whether it is the response to an earlier call with the same idempotency key.
    pub(super) is_replay: bool,
}

impl Call<'_> {
    /// Makes the call on behalf of the caller of `outer`.
    pub(super) async fn make(
        self,
        outer: &HttpRequest,
        state: &web::Data<AppState>,
    ) -> Result<Called, ApiError> {
        let endpoint = self.endpoint;
        let _slot = match endpoint.bounded.then(|| state.in_flight.slot(endpoint.path)) {
            None => None,
            Some(Some(slot)) => Some(slot),
            Some(None) => {
                state.in_flight.count_refusal();
                let message = "too many requests of this kind are in progress; try again later";
                return Err(ApiError::new(Code::Overloaded, message).retry_after(1));
            }
        };
        let request = self.request(outer, state)?.to_srv_request();
        request_id::carry(outer, &request);
        extract::carry_count(outer, &request);
        let _span = traces::begin_inner(outer, &request, endpoint.operation);
        let route = (endpoint.route)();
        let response = if endpoint.idempotent {
            let service = apply(from_fn(once), route).new_service(()).await;
            service.map_err(|()| ApiError::bare(Code::Internal))?.call(request).await
        } else {
            let service = route.new_service(()).await;
            service.map_err(|()| ApiError::bare(Code::Internal))?.call(request).await
        };
        let response = response.map_err(|error| {
            tracing::error!(%error, "a request within a request failed");
            ApiError::bare(Code::Internal)
        })?;
        denials::record(&response, &request_id::of(outer)).await;
        let (status, headers) = (response.status(), response.headers());
        let is_replay = headers.contains_key(IDEMPOTENCY_REPLAYED);
        let enveloped = response.response().extensions().contains::<Enveloped>();
        let body = if status.is_success() || enveloped {
            let body = to_bytes(response.into_body()).await;
            body.map_err(|_| ApiError::bare(Code::Internal))?
        } else {
            body_of(&response).into()
        };
        Ok(Called { status, body, is_replay })
    }

    fn request(
        &self,
        outer: &HttpRequest,
        state: &web::Data<AppState>,
    ) -> Result<TestRequest, ApiError> {
        let mut path = self.endpoint.path.to_owned();
        for (name, value) in self.path {
            path = path.replace(&format!("{{{name}}}"), &encoded(value));
        }
        let with_body = matches!(self.endpoint.verb, Verb::Post);
        if !with_body {
            path.push_str(&query(self.arguments)?);
        }
        // The builder is meant for tests, and the only way to a request within the process.
        let mut request = TestRequest::with_uri(&path)
            .method(self.endpoint.verb.methods().first().cloned().unwrap_or_default())
            .app_data(state.clone())
            .app_data(PathEndpoints(vec![self.endpoint]));
        for (name, value) in self.path {
            request = request.param(*name, (*value).to_owned());
        }
        for name in &CREDENTIALS {
            for value in outer.headers().get_all(name) {
                request = request.append_header((name.clone(), value.clone()));
            }
        }
        if let Some(key) = &self.idempotency_key {
            request = request.insert_header((IDEMPOTENCY_KEY, key.clone()));
        }
        if let Some(address) = outer.peer_addr() {
            request = request.peer_addr(address);
        }
        if !with_body {
            return Ok(request);
        }
        let json = (header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(request.insert_header(json).set_payload(self.arguments.get().to_owned()))
    }
}

/// The values of parameters in the path, by name.
type PathValues = Vec<(&'static str, String)>;

/// Takes the parameters of the endpoint's path out of the arguments. Returns the other arguments if it took any.
pub(super) fn path_arguments(
    endpoint: &Endpoint,
    arguments: &RawValue,
) -> Result<(PathValues, Option<Box<RawValue>>), ApiError> {
    let segments = endpoint.path.split('/');
    let names = segments.filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let names: Vec<&'static str> = names.collect();
    if names.is_empty() {
        return Ok((Vec::new(), None));
    }
    let fault = |name: &str, message: &str| ApiError::validation(vec![Fault::new(name, message)]);
    json_text::check(arguments.get()).map_err(|fault| ApiError::validation(vec![fault]))?;
    let mut rest: serde_json::Map<String, Value> = serde_json::from_str(arguments.get())
        .map_err(|error| fault("arguments", &error.to_string()))?;
    let mut values = Vec::new();
    for name in names {
        match rest.remove(name) {
            Some(Value::String(text)) if !text.is_empty() => values.push((name, text)),
            Some(Value::Number(number)) => values.push((name, number.to_string())),
            Some(_) => return Err(fault(name, "must be a text")),
            None => return Err(fault(name, "missing field")),
        }
    }
    let rest = to_raw_value(&rest).map_err(|_| ApiError::bare(Code::Internal))?;
    Ok((values, Some(rest)))
}

/// The query that states these arguments.
fn query(arguments: &RawValue) -> Result<String, ApiError> {
    json_text::check(arguments.get()).map_err(|fault| ApiError::validation(vec![fault]))?;
    let arguments: serde_json::Map<String, Value> = serde_json::from_str(arguments.get())
        .map_err(|error| ApiError::new(Code::ValidationError, format!("`arguments`: {error}")))?;
    let mut query = String::new();
    for (name, value) in arguments {
        let text = match value {
            Value::Null => continue,
            Value::String(text) => text,
            other => other.to_string(),
        };
        query.push(if query.is_empty() { '?' } else { '&' });
        query.push_str(&encoded(&name));
        query.push('=');
        query.push_str(&encoded(&text));
    }
    Ok(query)
}

/// Percent-encodes everything but the unreserved characters of RFC 3986.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            _ => {
                encoded.push('%');
                encoded.push_str(&hex::encode_upper([byte]));
            }
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_become_parameters_of_the_path() {
        let of = |text: &str| {
            let raw = RawValue::from_string(text.to_owned()).unwrap();
            path_arguments(&crate::routes::plans::PLAN_VIEW, &raw).ok()
        };
        let (values, rest) = of(r#"{"id":"a/b","limit":1}"#).unwrap();
        assert_eq!(values, [("id", "a/b".to_owned())]);
        assert_eq!(rest.unwrap().get(), r#"{"limit":1}"#);
        for bad in ["{}", r#"{"id":""}"#, r#"{"id":[]}"#, "[]"] {
            assert!(of(bad).is_none(), "{bad}");
        }
        let raw = RawValue::from_string("{}".to_owned()).unwrap();
        let (values, rest) = path_arguments(&crate::routes::act::ACT, &raw).unwrap();
        assert!(values.is_empty() && rest.is_none());
    }

    #[test]
    fn arguments_become_a_query() {
        let of = |text: &str| query(&RawValue::from_string(text.to_owned()).unwrap()).ok();
        for (arguments, expected) in [
            ("{}", Some("")),
            (r#"{"q":"a&b=ü","limit":5,"after":null}"#, Some("?limit=5&q=a%26b%3D%C3%BC")),
            (r#"{"a b":[1]}"#, Some("?a%20b=%5B1%5D")),
            ("[]", None),
        ] {
            assert_eq!(of(arguments).as_deref(), expected, "{arguments}");
        }
    }
}
