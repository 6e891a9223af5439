//! The endpoint table. Routing, limits, idempotency, the OpenAPI document, the GPT Actions document and the
//! allowed methods of a path all derive from it.
//!
//! To add an endpoint, define it next to its handler in `routes/` and list it here.

use actix_web::dev::{ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::http::{Method, header};
use actix_web::middleware::from_fn;
use actix_web::web::{self, ServiceConfig};
use actix_web::{Error, HttpRequest, HttpResponse, Resource, body::MessageBody};

use crate::http::endpoint::{Endpoint, PathEndpoints};
use crate::http::errors::{ApiError, Code};
use crate::http::middleware::{idempotency, in_flight::in_flight};
use crate::routes;

/// Every endpoint. Paths are matched in this order, so the busiest come first.
#[rustfmt::skip]
pub static ENDPOINTS: &[&Endpoint] = &[
    &routes::act::ACT,
    &routes::tool::TOOL,
    &routes::tool::TOOL_RESULT,
    &routes::hooks::HOOK,
    &routes::mcp::MCP,
    &routes::mcp_gateway::GATEWAY,
    &routes::turn::TURN,
    &routes::turns::QUEUED_TURN,
    &routes::turns::CANCEL_TURN,
    &routes::check::CHECK,
    &routes::state::STATE,
    &routes::memory::MEMORY,
    &routes::health::HEALTHZ,
    &routes::health::READYZ,
    &routes::metrics::METRICS,
    &routes::protected_resource::SERVICE,
    &routes::protected_resource::RESOURCE,
    &routes::docs::OPENAPI,
    &routes::docs::OPENAPI_ACTIONS,
    &routes::docs::PAGE,
    &routes::docs::FILE,
    &routes::ui::PAGE,
    &routes::ui::FILE,
    &routes::ui::HOME,
    &routes::plan::PLAN,
    &routes::plans::PLANS,
    &routes::plans::PLAN_VIEW,
    &routes::plans::PLAN_PATCH,
    &routes::plans::REVIEW_PLAN,
    &routes::approvals::APPROVALS,
    &routes::approvals::APPROVAL,
    &routes::approvals::DECIDE,
    &routes::events::EVENTS,
    &routes::journal::JOURNAL,
    &routes::journal::JOURNAL_HEAD,
    &routes::audit::VERIFY,
    &routes::journal::JOURNAL_ROW,
    &routes::meta::META,
    &routes::whoami::WHOAMI,
    &routes::keys::KEYS,
    &routes::usage::USAGE,
    &routes::activity::ACTIVITY,
    &routes::policy::POLICY,
    &routes::policy::TEXT,
    &routes::policy::VALIDATE,
    &routes::policy::RELOAD,
    &routes::backtest::BACKTEST,
    &routes::kill_switch::KILL_SWITCH,
    &routes::kill_switch::SET_KILL_SWITCH,
    &routes::stops::STOPS,
    &routes::stops::SET_STOP,
    &routes::llm::CHAT,
    &routes::llm::STATUS,
    &routes::proxy::COMPLETIONS,
    &routes::proxy::RESPONSES,
    &routes::proxy::MESSAGES,
    &routes::proxy::COUNT_TOKENS,
    &routes::proxy::EMBEDDINGS,
    &routes::proxy::TEXT_COMPLETIONS,
    &routes::proxy::MODERATIONS,
    &routes::proxy::RERANK,
    &routes::proxy::TRANSCRIPTIONS,
    &routes::proxy::MODELS,
    &routes::proxy::MODEL,
];

/// The endpoint of an operation.
pub fn named(operation: &str) -> Option<&'static Endpoint> {
    ENDPOINTS.iter().copied().find(|endpoint| endpoint.operation == operation)
}

/// The paths with a bound on concurrent requests.
pub fn bounded_paths() -> impl Iterator<Item = &'static str> {
    paths()
        .into_iter()
        .filter(|(_, endpoints)| endpoints.iter().any(|e| e.bounded))
        .map(|(path, _)| path)
}

/// The methods that any endpoint accepts, for CORS.
pub fn methods() -> Vec<Method> {
    let mut methods = Vec::new();
    for method in ENDPOINTS.iter().flat_map(|endpoint| endpoint.verb.methods()) {
        // A simple method needs no permission.
        if *method != Method::HEAD && !methods.contains(method) {
            methods.push(method.clone());
        }
    }
    methods
}

/// Registers every endpoint.
pub fn configure(config: &mut ServiceConfig) {
    for (path, endpoints) in paths() {
        register(config, path, endpoints);
    }
    config.default_service(web::to(unmatched));
}

/// The table by path, in its order.
fn paths() -> Vec<(&'static str, Vec<&'static Endpoint>)> {
    let mut paths: Vec<(&'static str, Vec<&'static Endpoint>)> = Vec::new();
    for endpoint in ENDPOINTS {
        match paths.iter_mut().find(|(path, _)| *path == endpoint.path) {
            Some((_, endpoints)) => endpoints.push(endpoint),
            None => paths.push((endpoint.path, vec![endpoint])),
        }
    }
    paths
}

fn register(config: &mut ServiceConfig, path: &'static str, endpoints: Vec<&'static Endpoint>) {
    let (bounded, idempotent) = (
        endpoints.iter().any(|endpoint| endpoint.bounded),
        endpoints.iter().any(|endpoint| endpoint.idempotent),
    );
    let resource = resource(path, endpoints);
    // A layer that a path does not need would cost each of its requests an allocation.
    if idempotent {
        add(config, path, bounded, resource.wrap(from_fn(idempotency::once)));
    } else {
        add(config, path, bounded, resource);
    }
}

fn add<T, B>(config: &mut ServiceConfig, path: &'static str, bounded: bool, resource: Resource<T>)
where
    T: ServiceFactory<
            ServiceRequest,
            Config = (),
            Response = ServiceResponse<B>,
            Error = Error,
            InitError = (),
        > + 'static,
    B: MessageBody + 'static,
{
    if bounded {
        config.service(resource.wrap(from_fn(move |request, next| in_flight(path, request, next))));
    } else {
        config.service(resource);
    }
}

fn resource(path: &str, endpoints: Vec<&'static Endpoint>) -> Resource {
    let methods: Vec<Method> =
        endpoints.iter().flat_map(|endpoint| endpoint.verb.methods()).cloned().collect();
    let mut resource = Resource::new(path);
    for endpoint in &endpoints {
        for method in endpoint.verb.methods() {
            resource = resource.route((endpoint.route)().method(method.clone()));
        }
    }
    resource.app_data(PathEndpoints(endpoints)).default_service(web::to(move || {
        let refused = ApiError::method_not_allowed(&methods);
        async move { Err::<HttpResponse, _>(refused) }
    }))
}

/// The public page or probe that a path with a trailing slash means. `/ui/` is the predecessor's address.
fn without_slash(request: &HttpRequest) -> Option<&'static str> {
    let path = request.path().strip_suffix('/')?;
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let is_meant = |endpoint: &&&Endpoint| endpoint.path == path && endpoint.is_public();
    let found = ENDPOINTS.iter().find(is_meant).filter(|_| reads && !path.is_empty());
    found.map(|endpoint| endpoint.path)
}

/// `TRACE` and `CONNECT` are refused on every path; any other request to an unknown path is not found.
async fn unmatched(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    if let Some(path) = without_slash(&request) {
        let mut redirect = HttpResponse::PermanentRedirect();
        return Ok(redirect.insert_header((header::LOCATION, path)).finish());
    }
    match *request.method() {
        Method::TRACE | Method::CONNECT => Err(ApiError::method_not_allowed(&[])),
        _ => Err(ApiError::new(Code::NotFound, "unknown path; `/docs` lists all paths")),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::http::endpoint::Effect;

    #[test]
    fn operations_and_routes_are_unique() {
        let mut seen = BTreeSet::new();
        for endpoint in ENDPOINTS {
            assert!(seen.insert(endpoint.operation.to_owned()), "{}", endpoint.operation);
            for method in endpoint.verb.methods() {
                assert!(
                    seen.insert(format!("{method} {}", endpoint.path)),
                    "{method} {}",
                    endpoint.path
                );
            }
        }
    }

    #[test]
    fn an_endpoint_that_changes_something_is_not_public() {
        for endpoint in ENDPOINTS.iter().filter(|endpoint| endpoint.effect != Effect::Reads) {
            assert!(!endpoint.is_public(), "{}", endpoint.operation);
        }
    }

    #[test]
    fn health_and_the_kill_switch_answer_under_load() {
        let bounded: Vec<_> = bounded_paths().collect();
        for path in ["/healthz", "/readyz", "/metrics", "/kill-switch", "/events"] {
            assert!(!bounded.contains(&path), "{path}");
        }
        assert!(bounded.contains(&"/act") && bounded.contains(&"/turn"));
    }
}
