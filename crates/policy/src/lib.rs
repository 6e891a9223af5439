//! The policy document and the agent profile: validates a text and compiles it for the gates.
//!
//! A text passes these stages, and each adds its faults, so that an author receives all of them together:
//!
//! 1. `yaml` bounds size and nesting before the parser runs, then reads values and reports faults that the
//!    parser accepts: duplicate keys, keys without a value, tags.
//! 2. `reading` converts the values to the raw document (types, unknown keys) and checks ranges.
//! 3. `compile` checks relations between values and compiles globs and bounded regular expressions; see
//!    [`bounded`].
//!
//! The result, a [`snapshot::Snapshot`], is immutable; a reload creates another. This crate reads no files; a
//! [`snapshot::Workspace`] reports whether a directory exists.

pub mod bounded;
pub mod built_in;
mod compile;
pub mod convert;
pub mod document;
pub mod globs;
pub mod llm;
pub mod mcp;
pub mod names;
pub mod pointer;
pub mod profile;
mod raw;
mod reading;
pub mod schema;
pub mod snapshot;
pub mod tools;
mod yaml;
