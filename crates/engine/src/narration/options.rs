//! The options of a turn.

use tokio::sync::mpsc::UnboundedSender;
use tokio_util::sync::CancellationToken;

use crate::agents::StepWrites;
use crate::govern::Metered;
use crate::views::TurnEvent;

/// The options of a turn.
pub(crate) struct TurnOptions {
    /// Whether the turn counts against the caller's rate limit.
    pub(crate) metered: Metered,
    /// What is committed with the turn.
    pub(crate) with: StepWrites,
    /// Receives texts and tool calls. The result of the call is the last event.
    pub(crate) events: Option<UnboundedSender<TurnEvent>>,
    /// Ends the wait for the model: the turn is recorded as failed, and the state is unchanged.
    pub(crate) cancel: CancellationToken,
}

impl Default for TurnOptions {
    fn default() -> Self {
        let cancel = CancellationToken::new();
        Self { metered: Metered::Yes, with: StepWrites::default(), events: None, cancel }
    }
}
