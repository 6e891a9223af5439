//! Calls in flight. They continue when their callers disconnect, so that every call is recorded.

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

/// The calls in flight. The client bounds their number.
pub(crate) struct InFlightCalls {
    /// The runtime in which the engine was opened. It lives as long as the engine; a caller's runtime may
    /// end before the call.
    runtime: Handle,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl InFlightCalls {
    pub(crate) fn new() -> Self {
        Self {
            runtime: Handle::current(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        }
    }

    /// Runs a call in the background.
    pub(crate) fn spawn(&self, call: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn_on(call, &self.runtime);
    }

    /// Runs a call in the caller's task, and in the engine's runtime once the caller is gone. Spawning every
    /// call would move each of them between threads twice.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        call: impl Future<Output = Result<T, EngineError>> + Send + 'static,
    ) -> DetachedOnDrop<T> {
        let call = AssertUnwindSafe(self.tasks.track_future(call)).catch_unwind();
        let call = call.map(|ended| {
            ended.unwrap_or_else(|_| {
                tracing::error!("a model call ended unexpectedly");
                Err(EngineError::Unavailable)
            })
        });
        DetachedOnDrop { call: Some(call.boxed()), runtime: self.runtime.clone() }
    }

    /// Returns once the service stops.
    pub(crate) async fn stopped(&self) {
        self.stop.cancelled().await;
    }

    /// Ends all waits for the model. Each call is recorded, and its caller gets an error.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }

    /// Waits until all calls are recorded.
    pub(crate) async fn ended(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// A call that continues in the engine's runtime if it is dropped before its end.
pub(crate) struct DetachedOnDrop<T: Send + 'static> {
    /// `None` once the call has ended.
    call: Option<BoxFuture<'static, Result<T, EngineError>>>,
    runtime: Handle,
}

impl<T: Send + 'static> Future for DetachedOnDrop<T> {
    type Output = Result<T, EngineError>;
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(call) = &mut self.call else { return Poll::Pending };
        let ended = ready!(call.as_mut().poll(context));
        self.call = None;
        Poll::Ready(ended)
    }
}

impl<T: Send + 'static> Drop for DetachedOnDrop<T> {
    fn drop(&mut self) {
        if let Some(call) = self.call.take() {
            self.runtime.spawn(call.map(drop));
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn a_call_continues_when_its_caller_leaves_and_is_awaited_at_the_end() {
        let calls = InFlightCalls::new();
        let (answer, answered) = oneshot::channel();
        let (done, mut is_done) = oneshot::channel();
        let mut carried = calls.run(async move {
            answered.await.unwrap();
            done.send(()).unwrap();
            Ok(())
        });
        assert!(futures_util::poll!(&mut carried).is_pending());
        drop(carried);
        assert!(is_done.try_recv().is_err());
        answer.send(()).unwrap();
        calls.ended().await;
        is_done.await.unwrap();
    }

    #[tokio::test]
    async fn a_panic_is_reported_and_leaves_nothing_to_wait_for() {
        let calls = InFlightCalls::new();
        assert!(calls.run::<()>(async { panic!("as in a bug") }).await.is_err());
        assert_eq!(calls.run(async { Ok(7) }).await.ok(), Some(7));
        calls.ended().await;
    }
}
