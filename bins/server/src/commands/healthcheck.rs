//! `life-agent healthcheck`: whether the running service is alive and ready.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use life_agent_hooks::Failure;
use serde_json::Value;

use super::client::Service;
use super::{FOUND, visible};
use crate::serve::start_message::reachable;
use crate::settings::Settings;

/// Options of `healthcheck`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  life-agent healthcheck && echo well\n  \
    life-agent healthcheck --port 10000 --timeout 2\n\n\
    Requests /healthz and /readyz on HOST and PORT.\n\n\
    Exit code: 0 the service is ready, 1 it is not or does not respond, 2 wrong arguments")]
pub struct Healthcheck {
    /// The longest wait for each of the two responses, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 3,
          value_parser = clap::value_parser!(u64).range(1..=60))]
    timeout: u64,
}

/// Runs it. Ends with 1 also where the settings do not fit: containers reserve 2.
pub fn run(options: &Healthcheck, settings: Result<Settings, String>) -> ExitCode {
    let checked = settings.and_then(|settings| {
        let address = reachable((settings.host, settings.port).into());
        healthy(address, Duration::from_secs(options.timeout)).map(|()| address)
    });
    match checked {
        Ok(address) => {
            say!("ready: http://{address}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("life-agent: {}", visible(&why));
            ExitCode::from(FOUND)
        }
    }
}

fn healthy(address: SocketAddr, timeout: Duration) -> Result<(), String> {
    if address.port() == 0 {
        return Err("PORT is 0, which is not a port to call; set the port of the service".into());
    }
    let url = format!("http://{address}");
    let no_response = |failure| match failure {
        Failure::Timeout(seconds) => {
            format!("no response from {url} within {seconds} s; is the service running?")
        }
        // It begins with the address.
        Failure::Unreachable(why) => format!("no response from {why}; is the service running?"),
        Failure::NoDecision(why) | Failure::Unparsable(why) => {
            format!("no response from {url} ({why}); is the service running?")
        }
    };
    let service = Service::new(&url, "").map_err(no_response)?;
    for path in ["/healthz", "/readyz"] {
        let response = service.request(("GET", path), &[], timeout);
        let (status, body) = response.map_err(no_response)?;
        if status != 200 {
            return Err(format!("{path} responds with {status}: {}", message(&body)));
        }
    }
    Ok(())
}

/// The envelope's message, for the container's health log.
fn message(body: &[u8]) -> String {
    let envelope: Value = serde_json::from_slice(body).unwrap_or_default();
    envelope["error"]["message"].as_str().unwrap_or("no reason is given").to_owned()
}
