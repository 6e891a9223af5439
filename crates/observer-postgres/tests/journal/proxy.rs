//! A proxy in front of the server that loses the response to a commit.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Forwards connections to a port of the loopback interface.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    /// The number of commits whose response is still to be lost.
    lose: Arc<AtomicU32>,
}

impl Proxy {
    pub(crate) fn to(server: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let lose = Arc::new(AtomicU32::new(0));
        let shared = Arc::clone(&lose);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else { continue };
                forward(client, server, &shared);
            }
        });
        Self { port, lose }
    }

    /// The number of commits whose response is still to be lost.
    pub(crate) fn left(&self) -> u32 {
        self.lose.load(Ordering::SeqCst)
    }

    /// Loses the response to the next `count` groups.
    pub(crate) fn lose_commits(&self, count: u32) {
        self.lose.store(count, Ordering::SeqCst);
    }
}

/// One thread for each direction. They end with the connection.
fn forward(client: TcpStream, server: TcpStream, lose: &Arc<AtomicU32>) {
    let (client_out, server_in) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    let lose = Arc::clone(lose);
    std::thread::spawn(move || {
        let (mut client, mut server) = (client, server);
        let mut buffer = vec![0; 1 << 20];
        // A group may arrive in several parts.
        let mut is_wanted = false;
        while let Ok(count @ 1..) = client.read(&mut buffer) {
            let sent = &buffer[..count];
            // A group, not the end of a view: it moves the head.
            let has = |text: &[u8]| sent.windows(text.len()).any(|window| window == text);
            is_wanted |= has(b"lose-me");
            let is_group = has(b"COMMIT") && std::mem::take(&mut is_wanted);
            let taken = is_group
                && lose
                    .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1))
                    .is_ok();
            if taken {
                // Nothing of the response comes back, and the client sees the end only after the commit was sent.
                let _ = client.shutdown(Shutdown::Read);
                server.write_all(sent).unwrap();
                let mut response = [0; 4096];
                let _ = server.read(&mut response);
                let _ = client.shutdown(Shutdown::Both);
                let _ = server.shutdown(Shutdown::Both);
                return;
            }
            if server.write_all(sent).is_err() {
                break;
            }
        }
        let _ = server.shutdown(Shutdown::Both);
    });
    std::thread::spawn(move || {
        let (mut client, mut server) = (client_out, server_in);
        let _ = std::io::copy(&mut server, &mut client);
        let _ = client.shutdown(Shutdown::Both);
    });
}
