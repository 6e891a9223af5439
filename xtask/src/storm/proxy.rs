//! A TCP proxy before PostgreSQL or Redis: it delays, stalls and cuts, and it loses commits and responses to commits.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::frames::{Frames, Side};

/// What happens to the next commit of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trap {
    /// It is stored, and its response is lost with the connection.
    AnswerLost,
    /// It is lost with the connection.
    RequestLost,
    /// It is sent, and the connection ends at the same moment.
    Race,
    /// It arrives late, even if the sender has gone meanwhile.
    Late(Duration),
}

#[derive(Default)]
struct State {
    stalled_until: Option<Instant>,
    delay: Duration,
    trap: Option<Trap>,
    connections: Vec<(TcpStream, TcpStream)>,
}

/// A proxy that listens until the process ends.
pub(super) struct Proxy {
    addr: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    upstream: u16,
    side: Side,
    state: Mutex<State>,
    /// Traps that caught a commit.
    caught: AtomicU64,
}

impl Proxy {
    /// A proxy before a server on this port of the loopback interface.
    pub(super) fn start(upstream: u16, side: Side) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let addr = listener.local_addr()?;
        let (state, caught) = (Mutex::default(), AtomicU64::new(0));
        let shared = Arc::new(Shared { upstream, side, state, caught });
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let shared = Arc::clone(&accepting);
                std::thread::spawn(move || shared.serve(client));
            }
        });
        Ok(Self { addr, shared })
    }

    pub(super) fn port(&self) -> u16 {
        self.addr.port()
    }

    /// Accepts everything and forwards nothing for this time.
    pub(super) fn stall(&self, time: Duration) {
        self.shared.state().stalled_until = Some(Instant::now() + time);
    }

    /// Holds up each piece, in both directions.
    pub(super) fn delay(&self, delay: Duration) {
        self.shared.state().delay = delay;
    }

    /// Ends every connection.
    pub(super) fn cut(&self) {
        for (client, server) in self.shared.state().connections.drain(..) {
            let _ = client.shutdown(Shutdown::Both);
            let _ = server.shutdown(Shutdown::Both);
        }
    }

    /// Arms a trap for the next commit of a group.
    pub(super) fn set(&self, trap: Trap) {
        self.shared.state().trap = Some(trap);
    }

    /// Disarms it. Whether it has caught a commit.
    pub(super) fn disarm(&self) -> bool {
        self.shared.state().trap.take().is_none()
    }

    /// Commits that were caught so far.
    pub(super) fn caught(&self) -> u64 {
        self.shared.caught.load(Ordering::SeqCst)
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(self: Arc<Self>, client: TcpStream) {
        let Ok(server) = TcpStream::connect(("127.0.0.1", self.upstream)) else {
            let _ = client.shutdown(Shutdown::Both);
            return;
        };
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let copies =
            (client.try_clone(), server.try_clone(), client.try_clone(), server.try_clone());
        let (Ok(client_in), Ok(server_out), Ok(one), Ok(other)) = copies else { return };
        {
            let mut state = self.state();
            // Those that have ended are forgotten.
            state.connections.retain(|(client, _)| client.peer_addr().is_ok());
            state.connections.push((one, other));
        }
        let shared = Arc::clone(&self);
        std::thread::spawn(move || {
            shared.forward(client_in, server_out, Frames::of_client(shared.side))
        });
        self.forward(server, client, Frames::of_server(self.side));
    }

    /// Forwards one direction until it ends. The other direction ends with it.
    fn forward(&self, mut from: TcpStream, mut to: TcpStream, mut frames: Frames) {
        let mut buffer = vec![0_u8; 64 * 1024];
        loop {
            let length = match from.read(&mut buffer) {
                Ok(length) if length > 0 => length,
                _ => break,
            };
            self.hold_up();
            let bytes = &buffer[..length];
            let commit = frames.commit_in(bytes);
            let sprung = commit.and_then(|(start, end)| Some((start, end, self.spring(&frames)?)));
            let written = match sprung {
                None => to.write_all(bytes),
                Some((start, _, Trap::AnswerLost | Trap::RequestLost)) => {
                    let _ = to.write_all(&bytes[..start]);
                    break;
                }
                Some((_, end, Trap::Race)) => {
                    let _ = to.write_all(&bytes[..end]);
                    break;
                }
                Some((start, _, Trap::Late(time))) => {
                    let _ = to.write_all(&bytes[..start]);
                    std::thread::sleep(time);
                    to.write_all(&bytes[start..])
                }
            };
            if written.is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
        let _ = from.shutdown(Shutdown::Both);
    }

    fn hold_up(&self) {
        let delay = self.state().delay;
        if !delay.is_zero() {
            std::thread::sleep(delay);
        }
        loop {
            let until = self.state().stalled_until;
            match until.map(|until| until.saturating_duration_since(Instant::now())) {
                None | Some(Duration::ZERO) => return,
                Some(left) => std::thread::sleep(left.min(Duration::from_millis(20))),
            }
        }
    }

    /// The trap that is set for this direction. It springs once.
    fn spring(&self, frames: &Frames) -> Option<Trap> {
        let mut state = self.state();
        let is_response = frames.is_of_server();
        let found = state.trap.take_if(|trap| (*trap == Trap::AnswerLost) == is_response);
        if found.is_some() {
            self.caught.fetch_add(1, Ordering::SeqCst);
        }
        found
    }
}
