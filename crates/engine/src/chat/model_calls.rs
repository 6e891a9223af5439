//! The service that runs model calls to their end.

use std::sync::Arc;

use super::call::{ModelCall, Reply};
use super::in_flight_calls::InFlightCalls;
use super::provider::Provider;
use crate::budgets::Budgets;
use crate::error::EngineError;
use crate::govern::Governor;
use crate::meters::Meters;
use crate::recorder::Recorder;

/// Runs model calls to their end.
pub(crate) struct ModelCalls {
    pub(crate) provider: Option<Provider>,
    pub(crate) in_flight: InFlightCalls,
    pub(super) governor: Arc<Governor>,
    pub(crate) budgets: Arc<Budgets>,
    pub(crate) recorder: Recorder,
    pub(crate) meters: Arc<Meters>,
}

impl ModelCalls {
    pub(crate) fn new(
        provider: Option<Provider>,
        governor: Arc<Governor>,
        budgets: Arc<Budgets>,
        recorder: Recorder,
        meters: Arc<Meters>,
    ) -> Self {
        Self { provider, in_flight: InFlightCalls::new(), governor, budgets, recorder, meters }
    }

    /// The provider, if one is configured.
    pub(crate) fn provider(&self) -> Result<&Provider, EngineError> {
        self.provider.as_ref().ok_or(EngineError::LlmUnconfigured)
    }

    /// Runs a call to its end, even if its caller disconnects.
    pub(crate) async fn run(self: &Arc<Self>, call: ModelCall) -> Result<Reply, EngineError> {
        let calls = Arc::clone(self);
        self.in_flight.run(async move { call.run(&calls).await }).await
    }
}
