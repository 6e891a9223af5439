//! `GET /whoami`: the caller's own key.

use actix_web::{HttpResponse, Responder, Route, web};
use life_agent_engine::BudgetStatus;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use crate::auth::scope::names;
use crate::http::endpoint::{Access, Description, Effect, Endpoint, Tag, Verb};
use crate::http::extract::Authenticated;
use crate::state::AppState;

/// What the caller's key grants.
#[derive(Serialize, ToSchema)]
struct WhoamiAnswer {
    /// The name that rows and logs show.
    principal: String,
    /// The person accountable for the key.
    person: Option<String>,
    /// The granted scopes.
    scopes: Vec<&'static str>,
    /// Globs of the only agents that the key may access; `null` for all.
    agents: Option<Vec<String>>,
    /// When the key stops working: RFC 3339, UTC; `null` for never.
    expires: Option<String>,
    /// The limits on the key's requests.
    limits: Limits,
    /// The budgets that model calls of the key count against; `null` for none.
    budget: Option<Vec<BudgetStatus>>,
}

/// Limits on requests.
#[derive(Serialize, ToSchema)]
struct Limits {
    /// Requests per second and agent; 0 for no limit.
    rate_limit_rps: u32,
    /// Requests per second in all, reads and checks included; 0 for no limit.
    rate_limit_principal_rps: u32,
    /// First steps of agents per minute; 0 for no limit.
    new_agents_per_minute: u32,
}

/// `GET /whoami`.
pub static WHOAMI: Endpoint =
    Endpoint::new("whoami", Verb::Get, "/whoami", Access::Any, Effect::Reads, || {
        Route::new().to(whoami)
    })
    .described(describe);

fn describe() -> Description {
    Description::new(Tag::Service, "Describe the caller's key").json::<WhoamiAnswer>(
        200,
        "The principal and what its key grants.",
        Some(json!({
            "principal": "gpt", "person": null, "scopes": ["act"], "agents": ["gpt-*"],
            "expires": "2027-01-31T00:00:00Z", "limits": {
                "rate_limit_rps": 5, "rate_limit_principal_rps": 50, "new_agents_per_minute": 60
            }, "budget": null
        })),
    )
}

async fn whoami(
    state: web::Data<AppState>,
    Authenticated { grant, .. }: Authenticated,
) -> impl Responder {
    let principal = &grant.principal;
    let budgets = state.engine.budgets(principal).await;
    HttpResponse::Ok().json(WhoamiAnswer {
        principal: principal.as_str().to_owned(),
        person: principal.person().map(str::to_owned),
        scopes: names(principal.scopes()),
        agents: principal.agents().map(<[String]>::to_vec),
        expires: grant.expires.map(|expires| expires.to_string()),
        limits: Limits {
            rate_limit_rps: state.rate_limit_rps,
            rate_limit_principal_rps: grant.limit.as_ref().map_or(0, |limit| limit.rps),
            new_agents_per_minute: state.new_agents_per_minute,
        },
        budget: Some(budgets).filter(|budgets| !budgets.is_empty()),
    })
}
