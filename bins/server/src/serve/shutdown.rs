//! SIGTERM and SIGINT, or Ctrl-C where there are no signals: the beginning of the end.

use std::time::Duration;

use life_agent_engine::Engine;
use tokio_util::sync::CancellationToken;

/// Cancels `stopping` on the first signal: the listener closes, requests in flight are answered, event
/// streams end. Asking again changes nothing; a stop takes less than ten seconds.
pub(super) fn on_signal(stopping: CancellationToken) -> std::io::Result<()> {
    let asked = asked()?;
    actix_web::rt::spawn(async move {
        asked.await;
        tracing::info!("stopping");
        stopping.cancel();
    });
    Ok(())
}

#[cfg(unix)]
fn asked() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

#[cfg(windows)]
fn asked() -> std::io::Result<impl Future<Output = ()>> {
    // The second is what closing the window sends.
    let mut interrupt = tokio::signal::windows::ctrl_c()?;
    let mut close = tokio::signal::windows::ctrl_close()?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = close.recv() => {}
        }
    })
}

/// How long exchanges with the model may go on after the first signal: long enough for most to end by
/// themselves, short enough to record and answer the others while requests in flight are waited for.
const EXCHANGES_MAY_TAKE: Duration = Duration::from_secs(4);

/// Begins no queued turn any more, and cuts short, in time, what still waits for the model when the service is to stop.
pub(super) fn stop_exchanges_in_time(engine: Engine, stopping: CancellationToken) {
    actix_web::rt::spawn(async move {
        stopping.cancelled().await;
        engine.hold_queue();
        tokio::time::sleep(EXCHANGES_MAY_TAKE).await;
        engine.stop_exchanges();
    });
}
