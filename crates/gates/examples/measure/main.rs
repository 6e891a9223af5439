//! Sends a folder of corpora through the chain, as `/check` does, and compares the results with bounds.
//!
//! `cargo run --release -p life-agent-gates --example measure -- DIR [--missed FILE] [--quick]`
#![allow(missing_docs, reason = "a program, not a library")]

mod agent_secrets;
mod agent_text;
mod classes;
mod corpus;
mod judge;
mod mutate;
mod report;

use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let mut corpora = None;
    let mut missed = None;
    let mut quick = false;
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--quick" => quick = true,
            "--missed" => missed = args.next().map(PathBuf::from),
            _ => corpora = Some(PathBuf::from(arg)),
        }
    }
    let Some(corpora) = corpora else {
        eprintln!("usage: measure DIR [--missed FILE] [--quick]");
        return ExitCode::from(2);
    };
    match report::run(&corpora, missed.as_deref(), quick) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}
