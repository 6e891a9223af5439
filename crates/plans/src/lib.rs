//! Change plans: a caller's change as a patch that applies, bound to the files that it was made from. Nothing
//! in this crate writes to the workspace.
//!
//! The stages of a plan, and the module of each:
//!
//! 1. [`request`]: edits or a patch become a [`request::Proposal`], which names the files that it would
//!    touch, so that the gate chain can judge them.
//! 2. [`draft`]: the proposal is applied to the files as they are. Every fault is reported at once
//!    ([`fault`]); without one the result is a [`draft::Draft`], a canonical diff and the checks it passed.
//! 3. [`store`]: a draft with its permit becomes an artifact on disk, complete and recorded or not at all.
//! 4. [`review_status`]: the plan is reviewed. [`stale`] lists the files that have changed since.
//! 5. [`branch`]: an approved plan becomes a branch, in a worktree of its own.
//!
//! Two decisions carry the rest. The stored diff is always *computed* from the text before and after, never
//! copied from a caller's patch, so nothing that a patch hides between its lines can survive. And each file
//! is read once, through a handle that follows no symlink, so the text that was checked is the text that is
//! used.
//!
//! # Example
//!
//! ```
//! use life_agent_plans::edit::Edit;
//! use life_agent_plans::request::PlanRequest;
//!
//! let request = PlanRequest {
//!     edits: vec![Edit::SearchReplace {
//!         path: "docs/guide.md".into(),
//!         search: "teh".into(),
//!         replace: "the".into(),
//!     }],
//!     ..PlanRequest::default()
//! };
//! // The gates judge these paths before any file is read.
//! assert_eq!(request.read().targets(), ["docs/guide.md"]);
//! ```

mod apply;
pub mod branch;
mod check;
mod diff;
pub mod draft;
pub mod drafting;
pub mod edit;
pub mod fault;
pub mod git;
mod mail;
mod patch;
mod path;
pub mod record;
pub mod refs;
pub mod request;
pub mod review_status;
pub mod stale;
pub mod store;
pub mod tree;

// The name that callers outside of this workspace may still use.
pub use review_status as life;
