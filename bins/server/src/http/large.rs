//! Large requests: they are read and handled on threads of their own, so that the others never wait for them.

use std::future::Future;
use std::io;

use tokio::runtime::{Builder, Runtime};
use tokio_util::task::AbortOnDropHandle;

use super::errors::{ApiError, Code};
use crate::telemetry::logging::carried;

/// Bytes of a body that are read on a worker. Reading and judging more takes longer than health checks and the kill
/// switch may be delayed.
const MAX_ON_WORKER: usize = 16 * 1024;

/// The threads for large requests; one value for all workers.
pub struct LargeRequests(Option<Runtime>);

impl LargeRequests {
    /// Starts a thread per core.
    pub fn start() -> io::Result<Self> {
        let runtime =
            Builder::new_multi_thread().thread_name("large-requests").enable_all().build()?;
        Ok(Self(Some(runtime)))
    }

    /// Does work for a request with a body of `bytes`: on the caller's thread if the body is small. Dropping the future
    /// ends the work.
    pub async fn run<T: Send + 'static>(
        &self,
        bytes: usize,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, ApiError> {
        let Some(runtime) = self.0.as_ref().filter(|_| bytes > MAX_ON_WORKER) else {
            return Ok(work.await);
        };
        match AbortOnDropHandle::new(runtime.spawn(carried(work))).await {
            Ok(done) => Ok(done),
            // A panic continues to where panics on workers end.
            Err(broken) => match broken.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(ApiError::bare(Code::Internal)),
            },
        }
    }
}

impl Drop for LargeRequests {
    fn drop(&mut self) {
        // Waiting for the threads is not allowed where a runtime drops this.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[actix_web::test]
    async fn only_large_requests_leave_the_worker() {
        let large = LargeRequests::start().unwrap();
        let here = thread::current().id();
        let thread = || async { thread::current().id() };
        assert_eq!(large.run(MAX_ON_WORKER, thread()).await.unwrap(), here);
        assert_ne!(large.run(MAX_ON_WORKER + 1, thread()).await.unwrap(), here);
    }

    #[actix_web::test]
    async fn abandoned_work_ends() {
        let large = LargeRequests::start().unwrap();
        let (alive, mut ended) = tokio::sync::mpsc::channel::<()>(1);
        let endless = async move {
            let _alive = alive;
            std::future::pending::<()>().await;
        };
        let mut running = Box::pin(large.run(usize::MAX, endless));
        assert!(futures_util::poll!(&mut running).is_pending());
        drop(running);
        assert_eq!(ended.recv().await, None);
    }
}
