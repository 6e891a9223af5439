//! The options of a turn.

use life_agent_observer::SideWrite;
use tokio::sync::mpsc::UnboundedSender;
use tokio_util::sync::CancellationToken;

use crate::govern::Metered;
use crate::views::TurnEvent;

/// The options of a turn.
pub(crate) struct TurnOptions {
    /// Whether the turn counts against the caller's rate limit.
    pub(crate) metered: Metered,
    /// Writes that are committed with the turn.
    pub(crate) side: Vec<SideWrite>,
    /// Receives texts and tool calls. The result of the call is the last event.
    pub(crate) events: Option<UnboundedSender<TurnEvent>>,
    /// Ends the wait for the model: the turn is recorded as failed, and the state is unchanged.
    pub(crate) cancel: CancellationToken,
}

impl Default for TurnOptions {
    fn default() -> Self {
        let cancel = CancellationToken::new();
        Self { metered: Metered::Yes, side: Vec::new(), events: None, cancel }
    }
}
