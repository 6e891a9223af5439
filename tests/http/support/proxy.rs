//! A proxy in front of a server, whose connections a test can cut.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// The proxy.
pub(crate) struct Proxy {
    addr: SocketAddr,
    cuts: watch::Sender<usize>,
    is_closed: Arc<AtomicBool>,
}

impl Proxy {
    /// A proxy that passes every connection on.
    pub(crate) async fn start(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let cuts = watch::Sender::new(0);
        let all = cuts.clone();
        let is_closed = Arc::new(AtomicBool::new(false));
        let refuses = Arc::clone(&is_closed);
        tokio::spawn(async move {
            while let Ok((mut inbound, _)) = listener.accept().await {
                if refuses.load(Ordering::SeqCst) {
                    continue;
                }
                let mut cut = all.subscribe();
                tokio::spawn(async move {
                    let Ok(mut outbound) = TcpStream::connect(to).await else { return };
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut inbound, &mut outbound) => {}
                        _ = cut.changed() => {}
                    }
                });
            }
        });
        Self { addr, cuts, is_closed }
    }

    pub(crate) fn port(&self) -> u16 {
        self.addr.port()
    }

    /// Cuts every open connection and refuses new ones, until the proxy is opened.
    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::SeqCst);
        self.cut();
    }

    /// Passes connections on again.
    pub(crate) fn open(&self) {
        self.is_closed.store(false, Ordering::SeqCst);
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Cuts every open connection; new ones pass.
    pub(crate) fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }
}
