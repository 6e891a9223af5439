//! `GET /metrics`: metrics for Prometheus.

use actix_web::http::header;
use actix_web::{HttpResponse, Responder, Route, web};
use metrics::gauge;

use crate::http::endpoint::{Access, Description, Effect, Endpoint, Tag, Verb};
use crate::state::AppState;
use crate::telemetry::metrics::render;
use serde_json::json;

/// `GET /metrics`.
pub static METRICS: Endpoint =
    Endpoint::new("metrics", Verb::Get, "/metrics", Access::Public, Effect::Reads, || {
        Route::new().to(metrics)
    })
    .described(describe);

fn describe() -> Description {
    Description::new(Tag::Service, "Metrics for Prometheus").text(
        "text/plain; version=0.0.4",
        "The text format, version 0.0.4.",
        json!("# TYPE actions_total counter\nactions_total{kind=\"turn\",outcome=\"allowed\"} 3\n"),
    )
}
async fn metrics(state: web::Data<AppState>) -> impl Responder {
    gauge!("kill_switch_on").set(if state.engine.kill_switch().on { 1.0 } else { 0.0 });
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "text/plain; version=0.0.4"))
        .body(render(&state.metrics))
}
