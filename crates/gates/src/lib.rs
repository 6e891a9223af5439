//! The gates, and the chain that sets their order.
//!
//! Every request passes, in this order, and the first refusal ends it ([`chain()`] is the one place
//! where the order stands):
//!
//! 1. `kill_switch` ([`kill_switch`]): an operator's stop beats everything else.
//! 2. `rate` ([`limits`]): a caller over its limit costs no search.
//! 3. `tools` ([`tool`]): tools that the policy denies or asks about.
//! 4. `command` ([`tool`]): the commands of a tool call, parsed.
//! 5. `risk` ([`risk`]): the texts, against patterns in five categories.
//! 6. `paths` ([`paths`]): the targets of a plan, against `allowed_dirs` and `deny_globs`, and the paths
//!    of a tool call, against the workspace and `deny_globs`.
//! 7. `rules` ([`rules`]): the operator's own rules.
//! 8. `opa` ([`opa`]), where it is switched on: the operator's Rego modules, or a policy server.
//!
//! A pattern gate is no sandbox. It finds what is written as attacks usually are written, and a
//! patient author will find a way of writing that it does not know. What it stands in front of must
//! not run, open or fetch anything because a text says so; this service does not, and that is the
//! stronger promise.
//!
//! This crate knows no clock, no file and no socket: what a gate cannot see in the request arrives in
//! [`GateInputs`](life_agent_domain::governance::gate::GateInputs), and a missing fact refuses.

pub mod change_policy;
pub mod command;
pub mod kill_switch;
pub mod limits;
pub mod opa;
pub mod paths;
pub mod redact;
pub mod risk;
pub mod rules;
pub mod tool;

mod chain;

pub use chain::{ChainOptions, chain};
pub use redact::{PolicyRedactor, SecretRedactor, could_be_cut};
pub use risk::built_in::warm_up;
pub use risk::scanner::{RawFinding, Scanner};
