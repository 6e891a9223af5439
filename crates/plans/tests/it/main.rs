//! Plans against real files and real git. Without git these tests fail: what they promise is that git
//! agrees.

mod artifacts;
mod branching;
mod generated;
mod history;
mod hostile;
mod support;
