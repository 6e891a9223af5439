//! The client against a provider that misbehaves in every way that providers do.

mod busy;
mod figures;
mod leaks;
mod record;
mod streams;
mod support;
mod whole;
