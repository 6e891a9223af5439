//! `GET /events`: the journal as a stream.

use actix_web::http::header::{self, HeaderName};
use actix_web::{HttpRequest, HttpResponse, Route, web};
use life_agent_engine::EngineError;
use life_agent_engine::domain::governance::ids::AgentId;
use life_agent_engine::observer::{Filter, Gap, GapReason};
use serde_json::json;
use utoipa::IntoParams;

use crate::http::endpoint::{Access, Description, Effect, Endpoint, Tag, Verb};
use crate::http::errors::{ApiError, Code};
use crate::http::extract::{Authenticated, Faults, Given, Parameters, Query};
use crate::http::sse::{self, Opening, Reader};
use crate::state::AppState;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Which events to send.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct EventsQuery {
    /// Events after this row. `Last-Event-ID` takes precedence; without both, the stream starts at the end of the
    /// journal.
    after: Option<u64>,
    /// The same as `Last-Event-ID`, for clients that cannot send headers. The header takes precedence.
    #[param(rename = "lastEventId")]
    last_event_id: Option<u64>,
    /// The `journal_id` of the `ready` event that the client last received. If this journal is another one, the stream
    /// begins with an event `gap`.
    #[param(max_length = 64)]
    journal_id: Option<String>,
    /// Events of this kind; a final `*` matches any ending, as in `obs.*`.
    #[param(value_type = Option<String>)]
    #[expect(dead_code, reason = "part of `filter`; here for the document")]
    kind: (),
    /// Events of this agent.
    #[param(value_type = Option<String>, pattern = "^[A-Za-z0-9._:-]{0,64}$")]
    agent_id: Option<AgentId>,
    /// `texts` puts the texts that rows share into their data, in place of `references`. The hash of a row covers
    /// its data as it is without this.
    #[param(value_type = Option<String>, pattern = "^texts$")]
    expand: bool,
    #[param(ignore)]
    filter: Filter,
}

impl Parameters for EventsQuery {
    const NAMES: &'static [&'static str] =
        &["after", "lastEventId", "journal_id", "kind", "agent_id", "expand"];
    fn read(given: &Given, faults: &mut Faults) -> Option<Self> {
        let after = given.row("after", faults);
        let last_event_id = given.row("lastEventId", faults);
        let must = "must have at most 64 characters";
        let short = |text: &str| (text.chars().count() <= 64).then(|| text.to_owned());
        let journal_id = given.parsed("journal_id", must, faults, short);
        Some(Self {
            after,
            last_event_id,
            journal_id,
            expand: given.expand(faults),
            filter: given.filter(faults)?,
            kind: (),
            agent_id: given.known_agent_id(),
        })
    }
}

/// `GET /events`.
pub static EVENTS: Endpoint =
    Endpoint::new("events", Verb::Stream, "/events", Access::READ, Effect::Reads, || {
        Route::new().to(events)
    })
    .or_act()
    .names_agent()
    .errors(&[Code::ValidationError, Code::JournalUnavailable])
    .described(describe);

fn describe() -> Description {
    Description::new(Tag::Record, "Follow the journal")
        .details(
            "Server-sent events: the `id` is the number of the journal row, the event name is the kind of the row, and \
             the data is the row as one line of JSON. `Last-Event-ID` resumes after that row without gaps or repeats, \
             also after a restart of the service. The first event, `ready`, states the position `after`, the \
             `journal_id`, the `first` row that can be read and the `head`. If rows after the position no longer \
             exist, an event `gap` states `from`, `to` and the `reason` (`pruned`, `restored` or `other_journal`) \
             before the stream continues.",
        )
        .query::<EventsQuery>()
        .row_header("Last-Event-ID", "The last row that the client has seen.")
        .text(
            "text/event-stream",
            "A stream that ends when the service stops.",
            json!("retry: 5000\nid: 6\n\nevent: ready\ndata: {\"after\":6,\"journal_id\":\"9f86d081884c7d659a2feaa0c55ad015\",\"first\":1,\"head\":7}\n\nid: 7\nevent: obs.turn\ndata: {\"id\":7}\n\n"),
        )
}
async fn events(
    state: web::Data<AppState>,
    Authenticated { grant, .. }: Authenticated,
    query: Query<EventsQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let Query(query) = query;
    let EventsQuery { after, last_event_id: given, journal_id, filter, agent_id, expand, .. } =
        query;
    if let Some(agent) = &agent_id {
        grant.check_agent(agent)?;
    }
    let after = last_event_id(&request)?.or(given).or(after);
    // The client may have seen rows of another instance.
    state.engine.catch_up().await?;
    let journal = state.engine.journal();
    let id = journal.id().await.map_err(EngineError::from)?;
    let first = journal.first_id().await.map_err(EngineError::from)?;
    let mut follower = journal.follow(after, filter);
    follower.skip_removed(first);
    let is_other = journal_id.is_some() && journal_id != id;
    let seen = after.filter(|after| is_other && *after > 0);
    let other = seen.map(|to| Gap { from: 1, to, reason: GapReason::OtherJournal });
    let opening = Opening {
        after: follower.position(),
        journal_id: id,
        first,
        head: journal.head().id,
        gap: follower.take_gap().or(other),
    };
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "text/event-stream"))
        // Proxies such as nginx would otherwise buffer events.
        .insert_header((X_ACCEL_BUFFERING, "no"))
        .streaming(sse::stream(
            opening,
            follower,
            Reader::new(state.clone(), grant, expand),
            state.stopping.clone(),
        )))
}

/// The header; a client that has seen no event may send it empty.
fn last_event_id(request: &HttpRequest) -> Result<Option<u64>, ApiError> {
    let mut faults = Faults::default();
    let given =
        request.headers().get(LAST_EVENT_ID).map(|value| value.to_str().unwrap_or("?").trim());
    let id = given.filter(|id| !id.is_empty()).map(str::parse::<u64>);
    if matches!(id, Some(Err(_))) {
        faults.add("Last-Event-ID", "must be the number of a row");
    }
    faults.result(Some(id.and_then(Result::ok)))
}
