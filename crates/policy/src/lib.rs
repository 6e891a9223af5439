//! The policy document and the agent profile: from text to something to judge with.
//!
//! A text passes these stages, and each adds the faults that it can see, so that an author reads all of
//! them at once:
//!
//! 1. `yaml` bounds size and nesting before the parser runs, then reads values and reports what the
//!    parser would let pass: keys given twice, keys without a value, tags.
//! 2. `reading` fits the values to the raw document (types, unknown keys) and checks ranges.
//! 3. `compile` checks what no single value shows and compiles globs and regular expressions, each of
//!    them bounded; see [`bounded`].
//!
//! What comes out, a [`snapshot::Snapshot`], never changes; a reload makes another one. This crate
//! takes text and reads no file; whether a directory exists is asked of a [`snapshot::Workspace`].

pub mod bounded;
pub mod built_in;
mod compile;
pub mod convert;
pub mod document;
pub mod globs;
pub mod llm;
pub mod names;
pub mod pointer;
pub mod profile;
mod raw;
mod reading;
pub mod schema;
pub mod snapshot;
pub mod tools;
mod yaml;
