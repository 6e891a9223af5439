//! `GET /meta`: the running service.

use actix_web::{HttpResponse, Responder, Route, web};
use life_agent_engine::observer::Head;
use life_agent_engine::{Meta, PolicyInForce};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use crate::http::endpoint::{Access, Description, Effect, Endpoint, Gpt, Tag, Verb};
use crate::http::extract::Authenticated;
use crate::state::AppState;

/// The running service.
#[derive(Serialize, ToSchema)]
struct MetaAnswer {
    meta: Meta,
    /// Seconds since the start.
    uptime: f64,
    /// Whether a policy is active.
    policies_loaded: bool,
    policy: PolicyInForce,
    /// The last row of the journal.
    journal: Head,
}

/// `GET /meta`.
pub static META: Endpoint =
    Endpoint::new("meta", Verb::Get, "/meta", Access::READ, Effect::Reads, || {
        Route::new().to(meta)
    })
    .or_act()
    .gpt(Gpt::reads("Call it for the version, the uptime and the active policy."))
    .described(describe);

fn describe() -> Description {
    Description::new(Tag::Service, "Describe the running service").json::<MetaAnswer>(
        200,
        "Version, start, policy, head of the journal.",
        Some(json!({
            "meta": {"version": "0.1.0", "start": "2026-11-22T20:51:10.000000Z"}, "uptime": 12.5,
            "policies_loaded": true,
            "policy": {"path": "policy/policy.yaml", "version": "1", "hash": "9f86d081…",
                       "loaded_at": "2026-11-22T20:51:10.000000Z"},
            "journal": {"id": 7, "hash": "a1b2…"}
        })),
    )
}
async fn meta(state: web::Data<AppState>, _: Authenticated) -> impl Responder {
    // Without the database, the answer is what this instance knows.
    let _ = state.engine.catch_up().await;
    let head = state.engine.journal().head();
    HttpResponse::Ok().json(MetaAnswer {
        meta: state.engine.meta(),
        uptime: (state.started.elapsed().as_secs_f64() * 1000.0).round() / 1000.0,
        policies_loaded: true,
        policy: state.engine.policy().0,
        journal: head,
    })
}
