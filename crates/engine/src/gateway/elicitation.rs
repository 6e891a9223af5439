//! Approvals through URL-mode elicitation: a call that waits for an approval asks the client to show a person the
//! approval's address, in the way of the client's protocol era.
//!
//! Since revision 2026-07-28 the result of the call requires an input, and the client repeats the call with it.
//! In revision 2025-11-25 the call fails with an error that lists the address. The input says only that a person
//! was shown the address; whether the call passes depends on the decision in the inbox alone.

use std::collections::HashMap;

use life_agent_mcp::era::{
    URL_ELICITATION, VERSION_HEADER, opens_addresses, states_that_it_opens_addresses,
};
use life_agent_mcp::error::RpcError;
use life_agent_mcp::message::Request;
use life_agent_mcp::object::RawObject;
use parking_lot::Mutex;
use serde_json::value::to_raw_value;
use serde_json::{Value, json};

use super::upstream::SESSION_HEADER;
use super::{GatewayReply, GatewayRequest};
use crate::context::RequestContext;
use crate::error::{DenialReport, EngineError};

/// The name of the input that asks for an approval.
const INPUT: &str = "life-agent-approval";
/// The parameter with the inputs of a repeated call.
const RESPONSES: &str = "inputResponses";
/// Clients that are remembered; beyond it all are forgotten, and get refusals until they open a new session.
const MAX_CLIENTS: usize = 10_000;

/// How a client is asked to show an address to a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Elicits {
    /// By a result that requires an input.
    Input,
    /// By an error of the call.
    Error,
}

/// The clients of the older era that show addresses: by caller, server and session.
#[derive(Default)]
pub(super) struct Clients(Mutex<HashMap<(String, String, String), ()>>);

impl Clients {
    /// Remembers what a client said in `initialize`. A server without sessions has one client per caller.
    pub(super) fn opened(
        &self,
        context: &RequestContext,
        request: &GatewayRequest,
        reply: &GatewayReply,
    ) {
        let capabilities = RawObject::read(&String::from_utf8_lossy(&request.body))
            .and_then(|message| message.object("params")?.value::<Value>("capabilities"));
        let key = key(context, request, &reply.headers);
        let mut clients = self.0.lock();
        if capabilities.is_some_and(|capabilities| opens_addresses(&capabilities)) {
            if clients.len() >= MAX_CLIENTS {
                clients.clear();
            }
            clients.insert(key, ());
        } else {
            clients.remove(&key);
        }
    }

    /// How the client of a call is asked; `None` if it cannot be.
    pub(super) fn elicits(
        &self,
        context: &RequestContext,
        request: &GatewayRequest,
        call: &Request,
    ) -> Option<Elicits> {
        if states_that_it_opens_addresses(&call.params) {
            return Some(Elicits::Input);
        }
        let is_known = || self.0.lock().contains_key(&key(context, request, &request.headers));
        let version = header(&request.headers, VERSION_HEADER);
        (version == Some(URL_ELICITATION) && is_known()).then_some(Elicits::Error)
    }
}

fn key(
    context: &RequestContext,
    request: &GatewayRequest,
    headers: &[(String, String)],
) -> (String, String, String) {
    let session = header(headers, SESSION_HEADER).unwrap_or_default().to_owned();
    (context.principal.as_str().to_owned(), request.server.clone(), session)
}

fn header<'h>(headers: &'h [(String, String)], name: &str) -> Option<&'h str> {
    headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

/// What a person did with the address that the client showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Response {
    /// The call was not repeated.
    None,
    /// The person opened the address.
    Opened,
    /// The person refused to.
    Refused,
}

/// Takes the response to our own input out of the parameters. The server must not see it, and the approval is bound
/// to the rest.
pub(super) fn take_response(params: &mut RawObject) -> Result<Response, EngineError> {
    let Some(mut responses) = params.object(RESPONSES) else { return Ok(Response::None) };
    let Some(own) = responses.value::<Value>(INPUT) else { return Ok(Response::None) };
    responses.retain(|name| name != INPUT);
    if responses.is_empty() {
        params.retain(|name| name != RESPONSES);
    } else {
        params.set(RESPONSES, super::written(&responses)?);
    }
    Ok(if own["action"] == "accept" { Response::Opened } else { Response::Refused })
}

/// The address of the approval that a refused call waits for, if it can be opened from outside.
fn address(report: &DenialReport, request: &GatewayRequest) -> Option<String> {
    let url = &report.approval.as_ref()?.url;
    if url.starts_with("http") {
        return Some(url.clone());
    }
    // Without PUBLIC_SERVER_URL, people on this machine reach the service where the client reaches it.
    let host = header(&request.headers, "host")?;
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    matches!(name, "localhost" | "127.0.0.1" | "[::1]").then(|| format!("http://{host}{url}"))
}

/// The response to a call that waits for an approval: it asks for the approval's address to be opened. `None` if the
/// client is to get the refusal.
pub(super) fn asked(
    elicits: Option<Elicits>,
    report: &DenialReport,
    request: &GatewayRequest,
) -> Option<Asked> {
    let approval = report.approval.as_ref()?;
    let url = address(report, request)?;
    let message =
        format!("{}. Open the page to decide, or let a person who may do so.", report.message);
    Some(match elicits? {
        Elicits::Input => {
            let parameters = json!({"mode": "url", "url": url, "message": message});
            let input = json!({"method": "elicitation/create", "params": parameters});
            let result = json!({"resultType": "input_required", "inputRequests": {INPUT: input}});
            Asked::Result(to_raw_value(&result).ok().and_then(|raw| RawObject::read(raw.get()))?)
        }
        Elicits::Error => {
            let id = approval.approval_id.to_string();
            let elicitation =
                json!({"mode": "url", "elicitationId": id, "url": url, "message": message});
            Asked::Error(RpcError::url_elicitation_required(message, json!([elicitation])))
        }
    })
}

/// How a client is asked.
pub(super) enum Asked {
    Result(RawObject),
    Error(RpcError),
}
