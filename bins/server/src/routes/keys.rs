//! `GET /keys`: the keys and tokens that the service accepts, without the keys.

use actix_web::{HttpResponse, Responder, Route, web};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use crate::auth::keys::{KeySource, KnownKey};
use crate::auth::scope::names;
use crate::http::endpoint::{Access, Description, Effect, Endpoint, Tag, Verb};
use crate::http::extract::Authenticated;
use crate::state::AppState;

/// The accepted keys.
#[derive(Serialize, ToSchema)]
struct KeysAnswer {
    /// By name. The tokens of one principal are one entry.
    keys: Vec<KeyEntry>,
}

/// A key, as operators see it. It contains no key and no digest.
#[derive(Serialize, ToSchema)]
struct KeyEntry {
    /// The name that rows and logs show.
    principal: String,
    /// The person accountable for the key.
    person: Option<String>,
    /// Where the key is defined: `settings`, `keys_file`, or `token` for recently accepted tokens of the issuer.
    source: &'static str,
    /// The granted scopes.
    scopes: Vec<&'static str>,
    /// Globs of the only agents that the key may access; `null` for all.
    agents: Option<Vec<String>>,
    /// When the key stops working: RFC 3339, UTC; `null` for never.
    expires: Option<String>,
    /// Whether the key has stopped working.
    expired: bool,
    /// The last request with the key since the service started: RFC 3339, UTC, to the second; `null` for none.
    last_used: Option<String>,
    /// Requests per second in all, reads and checks included; 0 for no limit.
    rate_limit_principal_rps: u32,
}

/// `GET /keys`.
pub static KEYS: Endpoint =
    Endpoint::new("keys", Verb::Get, "/keys", Access::OPERATE, Effect::Reads, || {
        Route::new().to(keys)
    })
    .described(describe);

fn describe() -> Description {
    Description::new(Tag::Service, "List the accepted keys").json::<KeysAnswer>(
        200,
        "The principals with their scopes, agents and expiry. Keys and digests are not part of it.",
        Some(json!({"keys": [{
            "principal": "gpt", "person": null, "source": "keys_file", "scopes": ["act"], "agents": ["gpt-*"],
            "expires": "2027-01-31T00:00:00Z", "expired": false, "last_used": "2026-11-22T09:30:00Z",
            "rate_limit_principal_rps": 50
        }]})),
    )
}

async fn keys(state: web::Data<AppState>, _: Authenticated) -> impl Responder {
    let mut keys: Vec<_> = state.keys.list().into_iter().map(entry).collect();
    keys.sort_by(|one, other| one.principal.cmp(&other.principal));
    HttpResponse::Ok().json(KeysAnswer { keys })
}

fn entry(known: KnownKey) -> KeyEntry {
    let KnownKey { grant, source, is_valid } = known;
    let principal = &grant.principal;
    KeyEntry {
        principal: principal.as_str().to_owned(),
        person: principal.person().map(str::to_owned),
        source: match source {
            KeySource::Settings => "settings",
            KeySource::File => "keys_file",
            KeySource::Token => "token",
        },
        scopes: names(principal.scopes()),
        agents: principal.agents().map(<[String]>::to_vec),
        expires: grant.expires.map(|expires| expires.to_string()),
        expired: !is_valid,
        last_used: grant.used.time().map(|time| format!("{time:.0}")),
        rate_limit_principal_rps: grant.limit.as_ref().map_or(0, |limit| limit.rps),
    }
}
