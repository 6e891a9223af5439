//! Reads the issuer's keys at start and again from time to time, so that keys it withdrew stop working.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::auth::keys::Keys;

/// Watches the keys until `stopping`.
pub(super) async fn watch(keys: Arc<Keys>, stopping: CancellationToken) {
    while let Some(tokens) = keys.tokens() {
        tokio::select! {
            () = stopping.cancelled() => return,
            () = keys.refresh_tokens() => {}
        }
        tokio::select! {
            () = stopping.cancelled() => return,
            () = tokio::time::sleep(tokens.refresh_interval()) => {}
        }
    }
}
