//! SIGTERM and SIGINT, or Ctrl-C where there are no signals: the service stops within ten seconds.

use std::io;
use std::time::Duration;

use life_agent_engine::Engine;
use tokio_util::sync::CancellationToken;

/// How long model calls may continue after the first signal: long enough for most of them to finish, short
/// enough to record and answer the others while the server waits for requests in flight.
const MODEL_CALLS_MAY_TAKE: Duration = Duration::from_secs(4);

/// When a stop that hangs becomes an exit. An orderly stop takes at most about eight seconds.
const EXIT_AFTER: Duration = Duration::from_millis(9_500);

/// Cancels `stopping` on the first signal: the listener closes, requests in flight are answered, event
/// streams end. Further signals have no effect. A stop that hangs, whatever its cause, becomes an exit.
///
/// The signals have a thread and a runtime of their own. A blocked worker, a file system that does not
/// respond or a blocking call that never returns can then neither hide the signal nor prevent the exit.
pub(super) fn on_signal(stopping: CancellationToken) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let signal = {
        let _context = runtime.enter();
        stop_signal()?
    };
    let watch = move || {
        runtime.block_on(async {
            tokio::select! {
                () = signal => tracing::info!("stopping"),
                () = stopping.cancelled() => {}
            }
            stopping.cancel();
            tokio::time::sleep(EXIT_AFTER).await;
        });
        // The journal is safe: every answered step is durable, and a commit is atomic.
        tracing::error!("the stop takes too long; exiting");
        eprintln!("life-agent: the stop takes too long; exiting without waiting for the rest");
        std::process::exit(1);
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(watch).map(drop)
}

#[cfg(unix)]
fn stop_signal() -> io::Result<impl Future<Output = ()> + Send> {
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
fn stop_signal() -> io::Result<impl Future<Output = ()> + Send> {
    // The second is sent when the window closes.
    let mut interrupt = tokio::signal::windows::ctrl_c()?;
    let mut close = tokio::signal::windows::ctrl_close()?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = close.recv() => {}
        }
    })
}

/// When the service is to stop: starts no further queued turn, and ends model calls that take too long.
pub(super) fn stop_exchanges_in_time(engine: Engine, stopping: CancellationToken) {
    actix_web::rt::spawn(async move {
        stopping.cancelled().await;
        engine.hold_queue();
        tokio::time::sleep(MODEL_CALLS_MAY_TAKE).await;
        engine.stop_exchanges();
    });
}
