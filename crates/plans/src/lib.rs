//! Change plans: what a caller wants changed, as a patch that applies, bound to the files it was made
//! from. Nothing here ever writes to the workspace.
//!
//! The way of a plan, and the module for each step:
//!
//! 1. [`request`]: edits or a patch are read into a [`request::Proposal`], which names the files it
//!    would touch, so that the chain can judge them.
//! 2. [`draft`]: the proposal meets the files as they are. Every fault is reported at once
//!    ([`fault`]); without one the result is a [`draft::Draft`], a canonical diff and the checks it
//!    passed.
//! 3. [`store`]: a draft with its permit becomes an artifact on disk, complete or not at all.
//! 4. [`life`]: it is reviewed. [`stale`] tells which of its files have changed since.
//! 5. [`branch`]: an approved plan becomes a branch, in a worktree of its own.
//!
//! Two decisions carry the rest. The diff that is kept is always *computed* from the text before and
//! after, never copied from a caller's patch, so nothing that a patch hides between its lines can
//! survive. And each file is read once, through a handle that follows no symlink, so what was checked
//! is what was used.

mod apply;
pub mod branch;
mod check;
mod diff;
pub mod draft;
pub mod drafting;
pub mod edit;
pub mod fault;
pub mod git;
pub mod life;
mod mail;
mod patch;
mod path;
pub mod record;
pub mod refs;
pub mod request;
pub mod stale;
pub mod store;
pub mod tree;
