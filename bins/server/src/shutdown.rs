//! SIGTERM and SIGINT: the beginning of the end.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Cancels `stopping` on the first signal: the listener closes, requests in flight are answered, event
/// streams end. Asking again changes nothing; a stop takes less than ten seconds.
pub fn on_signal(stopping: CancellationToken) -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    actix_web::rt::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping");
        stopping.cancel();
    });
    Ok(())
}
