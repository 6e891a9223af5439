//! `life-agent healthcheck`: asks the running service whether it serves and can do its work.

use std::io::{Error, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;

use super::{FOUND, visible};
use crate::serve::start_message::reachable;
use crate::settings::Settings;

/// No answer of these two routes is longer.
const MAX_ANSWER: usize = 64 * 1024;

/// Options of `healthcheck`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  life-agent healthcheck && echo well\n  \
    life-agent healthcheck --port 10000 --timeout 2\n\n\
    Asks /healthz and /readyz on HOST and PORT.\n\n\
    Exit code: 0 the service is ready, 1 it is not, or does not respond, 2 wrong arguments")]
pub struct Healthcheck {
    /// Seconds that each of the two questions may take.
    #[arg(long, value_name = "SECONDS", default_value_t = 3,
          value_parser = clap::value_parser!(u64).range(1..=60))]
    timeout: u64,
}

/// Runs it. Ends with 1 also where the settings do not fit: containers reserve 2.
pub fn run(options: &Healthcheck, settings: Result<Settings, String>) -> ExitCode {
    let asked = settings.and_then(|settings| {
        let address = reachable((settings.host, settings.port).into());
        healthy(address, Duration::from_secs(options.timeout)).map(|()| address)
    });
    match asked {
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
        return Err("PORT is 0, which is no port to ask; set the one the service listens on".into());
    }
    for path in ["/healthz", "/readyz"] {
        let answer = ask(address, path, timeout).map_err(|error| {
            format!("no response from http://{address}{path}: {error}; is the service running?")
        })?;
        let (status, body) = answer;
        if status != 200 {
            return Err(format!("{path} answers {status}: {}", message(&body)));
        }
    }
    Ok(())
}

/// The status and the body of `GET path`.
fn ask(address: SocketAddr, path: &str, timeout: Duration) -> std::io::Result<(u16, Vec<u8>)> {
    let until = Instant::now() + timeout;
    let left = || until.checked_duration_since(Instant::now()).ok_or(ErrorKind::TimedOut);
    let mut stream = TcpStream::connect_timeout(&address, timeout)?;
    stream.set_write_timeout(Some(timeout))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let (mut answer, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        stream.set_read_timeout(Some(left()?.max(Duration::from_millis(1))))?;
        let read = stream.read(&mut piece)?;
        answer.extend(piece.iter().take(read));
        if read == 0 || answer.len() > MAX_ANSWER {
            break;
        }
    }
    let no_http = || Error::new(ErrorKind::InvalidData, "it does not speak HTTP");
    let text = String::from_utf8_lossy(&answer);
    let status = text.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)?.parse().ok());
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    Ok((status.ok_or_else(no_http)?, body.as_bytes().to_vec()))
}

/// The envelope's message, for the container's health log.
fn message(body: &[u8]) -> String {
    let envelope: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let said = envelope.as_ref().and_then(|body| body["error"]["message"].as_str());
    said.unwrap_or("no reason is given").to_owned()
}
