//! For the tests of backends and of programs that embed a journal: a backend in memory, the suite that
//! every backend must pass, and a wrapper that breaks a backend on purpose.

pub mod conformance;
mod faulty;
mod memory;

pub use conformance::{Fixture, Report};
pub use faulty::{Broken, Fault, Faulty};
pub use memory::Memory;
