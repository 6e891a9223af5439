//! The `life-agent` binary; everything it does is in the library next to it.

use std::process::ExitCode;

fn main() -> ExitCode {
    life_agent_server::cli::main()
}
