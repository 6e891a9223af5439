//! The routes: one flat table, and what happens to requests that are not in it.

pub mod act;
pub mod backtest;
pub mod check;
pub mod completions;
pub mod docs;
pub mod events;
pub mod health;
pub mod journal;
pub mod kill_switch;
pub mod llm;
pub mod memory;
pub mod meta;
pub mod metrics;
pub mod plan;
pub mod plans;
pub mod policy;
pub(crate) mod schemas;
pub mod state;
pub mod turn;
pub mod turns;
pub mod ui;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::middleware::from_fn;
use actix_web::web::{self, ServiceConfig};
use actix_web::{
    Error, FromRequest, Handler, HttpRequest, HttpResponse, Resource, Responder, Route,
};

use crate::errors::{ApiError, Code};
use crate::middleware::idempotency;
use crate::middleware::in_flight::in_flight;

/// Every path there is. A handler with `Authenticated` or `Body` in its signature is closed to callers
/// without a key; the others are open.
#[rustfmt::skip]
pub fn configure(config: &mut ServiceConfig) {
    // They are tried in this order, so what is called most stands first: agents.
    once(config, "/act", post(act::act));
    once(config, "/turn", both(turns::queued(), post(turn::turn)));
    at(config, "/turns/{id}", both(get(turns::queued_turn), only(Method::DELETE, turns::cancel_turn)));
    at(config, "/check", post(check::check));
    at(config, "/state", get(state::state));
    at(config, "/memory", get(memory::memory));
    // Open: health, metrics and documentation.
    at(config, "/healthz", get(health::healthz));
    at(config, "/readyz", get(health::readyz));
    at(config, "/metrics", get(metrics::metrics));
    at(config, "/openapi.json", get(docs::openapi_json));
    at(config, "/openapi-actions.json", get(docs::openapi_actions_json));
    at(config, "/docs", get(docs::page));
    at(config, "/docs/{file}", get(docs::file));
    at(config, "/ui", get(ui::page));
    at(config, "/ui/{file:.*}", get(ui::file));
    at(config, "/", get(ui::home));
    // Changes to the workspace.
    once(config, "/plan", post(plan::plan));
    at(config, "/plans", get(plans::plans));
    at(config, "/plans/{id}", get(plans::plan_view));
    at(config, "/plans/{id}/patch", get(plans::plan_patch));
    once(config, "/plans/{id}/review", post(plans::review_plan));
    // The record. Without HEAD on the stream: it would never end.
    at(config, "/events", only(Method::GET, events::events));
    at(config, "/journal", get(journal::journal));
    at(config, "/journal/head", get(journal::head));
    // The service and its policy.
    at(config, "/meta", get(meta::meta));
    at(config, "/policy", get(policy::policy));
    at(config, "/policy/validate", post(policy::validate));
    once(config, "/policy/reload", post(policy::reload));
    at(config, "/policy/backtest", post(backtest::backtest));
    once(config, "/kill-switch", both(get(kill_switch::kill_switch), post(kill_switch::set_kill_switch)));
    // The model.
    once(config, "/llm/chat", post(llm::chat));
    at(config, "/llm/status", get(llm::status));
    once(config, "/v1/chat/completions", post(completions::completions));
    config.default_service(web::to(unmatched));
}

/// The paths whose requests are bounded in number.
#[rustfmt::skip]
pub const BOUNDED: [&str; 17] = [
    "/act", "/turn", "/turns/{id}", "/check", "/state", "/memory", "/plan", "/plans", "/plans/{id}", "/plans/{id}/patch",
    "/plans/{id}/review", "/journal", "/policy/validate", "/policy/reload", "/policy/backtest",
    "/llm/chat", "/v1/chat/completions",
];

type Routes = Vec<(Method, Route)>;

fn at(config: &mut ServiceConfig, path: &str, routes: Routes) {
    bounded(config, path, resource(path, routes));
}

/// A path whose `POST` acts: with an `Idempotency-Key` it does so once.
fn once(config: &mut ServiceConfig, path: &str, routes: Routes) {
    bounded(config, path, resource(path, routes).wrap(from_fn(idempotency::once)));
}

fn bounded<T, B>(config: &mut ServiceConfig, path: &str, resource: Resource<T>)
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
    match BOUNDED.iter().find(|bounded| **bounded == path) {
        Some(path) => config
            .service(resource.wrap(from_fn(move |request, next| in_flight(path, request, next)))),
        None => config.service(resource),
    };
}

fn resource(path: &str, routes: Routes) -> Resource {
    let mut methods: Vec<_> = routes.iter().map(|(method, _)| method.clone()).collect();
    methods.dedup();
    let resource = routes.into_iter().fold(Resource::new(path), |resource, (method, route)| {
        resource.route(route.method(method))
    });
    resource.default_service(web::to(move || {
        let refused = ApiError::method_not_allowed(&methods);
        async move { Err::<HttpResponse, _>(refused) }
    }))
}

fn only<F, Args>(method: Method, handler: F) -> Routes
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    vec![(method, Route::new().to(handler))]
}

/// `GET`, and `HEAD` as the same without the body.
fn get<F, Args>(handler: F) -> Routes
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    both(only(Method::GET, handler.clone()), only(Method::HEAD, handler))
}

fn post<F, Args>(handler: F) -> Routes
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    only(Method::POST, handler)
}

fn both(mut routes: Routes, more: Routes) -> Routes {
    routes.extend(more);
    routes
}

/// `TRACE` and `CONNECT` are refused wherever they go; everything else is not there.
async fn unmatched(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    match *request.method() {
        Method::TRACE | Method::CONNECT => Err(ApiError::method_not_allowed(&[])),
        _ => Err(ApiError::new(
            Code::NotFound,
            "there is no such path; `/docs` lists those there are",
        )),
    }
}
