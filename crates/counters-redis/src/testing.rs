//! A private Redis server for tests, in a temporary folder and on a free port of the loopback interface.

use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Fails tests that lack a server, instead of skipping them.
pub const NEEDED: &str = "LIFE_AGENT_NEED_REDIS";

/// A running server. It stops when it is dropped.
pub struct Server {
    folder: PathBuf,
    program: &'static str,
    port: u16,
    arguments: Vec<String>,
    child: Option<Child>,
}

impl Server {
    /// Starts a server; `None`, with a message on standard error, if none is installed.
    ///
    /// # Panics
    /// The server cannot be started, or it is missing and [`NEEDED`] is `1`.
    pub fn start() -> Option<Self> {
        Self::start_with(&[])
    }

    /// The same with further arguments. `{port}` stands for the port and `{folder}` for the folder.
    ///
    /// # Panics
    /// As [`Server::start`].
    pub fn start_with(arguments: &[&str]) -> Option<Self> {
        let is_installed = |program: &&'static str| {
            let version = Command::new(program).arg("--version").stdout(Stdio::null()).status();
            version.is_ok_and(|status| status.success())
        };
        let Some(program) = ["redis-server", "valkey-server"].into_iter().find(is_installed) else {
            let missing = "no Redis server is installed; on Debian: apt-get install redis-server";
            assert!(std::env::var(NEEDED).as_deref() != Ok("1"), "{missing}");
            eprintln!("SKIPPED: {missing}; {NEEDED}=1 makes this an error");
            return None;
        };
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::SeqCst);
        let name = format!("life-agent-redis-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let _ = std::fs::remove_dir_all(&folder);
        assert!(std::fs::create_dir_all(&folder).is_ok(), "cannot create {}", folder.display());
        let bound = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
        let port = bound.map(|bound| bound.port()).unwrap_or_default();
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let mut server = Self { folder, program, port, arguments, child: None };
        server.start_again();
        Some(server)
    }

    /// Starts the server after it was stopped.
    ///
    /// # Panics
    /// It does not start.
    pub fn start_again(&mut self) {
        let (port, folder) = (self.port.to_string(), self.folder.display().to_string());
        let further = self
            .arguments
            .iter()
            .map(|argument| argument.replace("{port}", &port).replace("{folder}", &folder));
        let child = Command::new(self.program)
            .args(["--port", &port, "--bind", "127.0.0.1", "--dir", &folder, "--save", ""])
            .args(further)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        assert!(child.is_ok(), "cannot run {}", self.program);
        self.child = child.ok();
        let until = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(Instant::now() < until, "the server does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Kills the server. What it has not saved is lost.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// The process id.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// The port on the loopback interface.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address.
    pub fn address(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Runs a command and returns its output.
    ///
    /// # Panics
    /// It cannot be run.
    pub fn run(&self, command: &[&str]) -> String {
        let port = self.port.to_string();
        let client = if self.program == "valkey-server" { "valkey-cli" } else { "redis-cli" };
        let output = Command::new(client).args(["-p", &port]).args(command).output();
        assert!(output.is_ok(), "cannot run {client}");
        output
            .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
            .unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
