//! The exchanges that are under way. They outlive whoever waits for them, so that none is lost.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::error::EngineError;

/// The exchanges under way; how many there are is bounded by the calls that the client allows at once.
pub(crate) struct Exchanges {
    /// The runtime that the engine was opened in, which lives as long as the engine: a caller's may
    /// end before its exchange does.
    runtime: Handle,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Exchanges {
    pub(crate) fn new() -> Self {
        Self {
            runtime: Handle::current(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        }
    }

    /// Carries out what nobody waits for.
    pub(crate) fn spawn(&self, exchange: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn_on(exchange, &self.runtime);
    }

    /// Carries an exchange out where it is waited for; in the engine's runtime, once nobody waits any more. All
    /// of them there from the start would have to share its threads, and each changes threads twice.
    pub(crate) fn carry<T: Send + 'static>(
        &self,
        exchange: impl Future<Output = Result<T, EngineError>> + Send + 'static,
    ) -> Carried<T> {
        let exchange = AssertUnwindSafe(self.tasks.track_future(exchange)).catch_unwind();
        let exchange = exchange.map(|ended| {
            ended.unwrap_or_else(|_| {
                tracing::error!("an exchange with the model broke off");
                Err(EngineError::Unavailable)
            })
        });
        Carried { exchange: Some(exchange.boxed()), runtime: self.runtime.clone() }
    }

    /// Returns once the service stops.
    pub(super) async fn stopped(&self) {
        self.stop.cancelled().await;
    }

    /// Cuts those short that still wait for the model; each is recorded and its caller told.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }

    /// Waits until all are recorded.
    pub(crate) async fn ended(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// An exchange that somebody waits for. Dropped before its end, it goes on without them.
pub(crate) struct Carried<T: Send + 'static> {
    /// None once it has ended.
    exchange: Option<BoxFuture<'static, Result<T, EngineError>>>,
    runtime: Handle,
}

impl<T: Send + 'static> Future for Carried<T> {
    type Output = Result<T, EngineError>;
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(exchange) = &mut self.exchange else { return Poll::Pending };
        let ended = ready!(exchange.as_mut().poll(context));
        self.exchange = None;
        Poll::Ready(ended)
    }
}

impl<T: Send + 'static> Drop for Carried<T> {
    fn drop(&mut self) {
        if let Some(exchange) = self.exchange.take() {
            self.runtime.spawn(exchange.map(drop));
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn an_exchange_goes_on_when_its_caller_leaves_and_is_waited_for_at_the_end() {
        let exchanges = Exchanges::new();
        let (answer, answered) = oneshot::channel();
        let (done, mut is_done) = oneshot::channel();
        let mut carried = exchanges.carry(async move {
            answered.await.unwrap();
            done.send(()).unwrap();
            Ok(())
        });
        assert!(futures_util::poll!(&mut carried).is_pending());
        drop(carried);
        assert!(is_done.try_recv().is_err());
        answer.send(()).unwrap();
        exchanges.ended().await;
        is_done.await.unwrap();
    }

    #[tokio::test]
    async fn one_that_breaks_off_is_told_as_that_and_leaves_nothing_to_wait_for() {
        let exchanges = Exchanges::new();
        assert!(exchanges.carry::<()>(async { panic!("as in a bug") }).await.is_err());
        assert_eq!(exchanges.carry(async { Ok(7) }).await.ok(), Some(7));
        exchanges.ended().await;
    }
}
