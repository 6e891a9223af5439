//! The `life-agent` binary; everything it does lives in the library beside it.

use std::process::ExitCode;

fn main() -> ExitCode {
    life_agent_server::cli::main()
}
