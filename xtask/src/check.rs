//! What CI runs, in its order, so that nobody has to wait for CI to hear of it.

use crate::{cargo, edges, generated, tidy};

/// Stops at the first thing that fails.
pub(crate) fn all() -> anyhow::Result<()> {
    cargo(&["fmt", "--all", "--check"])?;
    cargo(&["clippy", "--locked", "--workspace", "--all-targets", "--", "--deny", "warnings"])?;
    tidy::check()?;
    edges::check()?;
    generated::openapi(true)?;
    generated::schemas(true)?;
    cargo(&["test", "--locked", "--workspace"])
}
