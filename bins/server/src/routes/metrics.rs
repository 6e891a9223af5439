//! `GET /metrics`: what Prometheus reads.

use actix_web::http::header;
use actix_web::{HttpResponse, Responder, web};
use metrics::gauge;

use crate::app::AppState;
use crate::metrics::render;

/// Metrics for Prometheus
#[utoipa::path(
    get, path = "/metrics", tag = "service", operation_id = "metrics", security(),
    responses((status = 200, body = String, content_type = "text/plain; version=0.0.4", description = "The text format, version 0.0.4.",
        example = json!("# TYPE actions_total counter\nactions_total{kind=\"turn\"} 3\n"))),
)]
pub async fn metrics(state: web::Data<AppState>) -> impl Responder {
    gauge!("kill_switch_on").set(if state.engine.kill_switch().on { 1.0 } else { 0.0 });
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "text/plain; version=0.0.4"))
        .body(render(&state.metrics))
}
