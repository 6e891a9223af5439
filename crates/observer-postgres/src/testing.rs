//! A private PostgreSQL server for tests, in a temporary folder and on a free port of the loopback interface.

mod crash;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Fails tests that lack a server, instead of skipping them.
pub const NEEDED: &str = "LIFE_AGENT_NEED_POSTGRES";

/// A running server. It stops when it is dropped.
pub struct Cluster {
    folder: PathBuf,
    programs: PathBuf,
    port: u16,
    databases: AtomicU64,
}

impl Cluster {
    /// Starts a server; `None`, with a message on standard error, if no PostgreSQL server is installed.
    ///
    /// # Panics
    /// The server cannot be started, or it is missing and [`NEEDED`] is `1`.
    pub fn start() -> Option<Self> {
        let Some(programs) = programs() else {
            let missing =
                "no PostgreSQL server (initdb) is installed; on Debian: apt-get install postgresql";
            assert!(std::env::var(NEEDED).as_deref() != Ok("1"), "{missing}");
            eprintln!("SKIPPED: {missing}; {NEEDED}=1 makes this an error");
            return None;
        };
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::SeqCst);
        let folder =
            std::env::temp_dir().join(format!("life-agent-pg-{}-{number}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        assert!(std::fs::create_dir_all(&folder).is_ok(), "cannot create {}", folder.display());
        if is_root() {
            let owned = Command::new("chown").arg("postgres").arg(&folder).status();
            assert!(
                owned.is_ok_and(|owned| owned.success()),
                "cannot give the folder to `postgres`"
            );
        }
        let cluster = Self { folder, programs, port: free_port(), databases: AtomicU64::new(0) };
        let data = cluster.data();
        cluster.run(
            "initdb",
            &["-D", &data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"],
        );
        cluster.start_again();
        Some(cluster)
    }

    fn data(&self) -> String {
        self.folder.join("data").display().to_string()
    }

    /// Starts the server after it was stopped.
    ///
    /// # Panics
    /// It does not start.
    pub fn start_again(&self) {
        self.start_with("");
    }

    /// The same with further options of the server, such as `-c fsync=off`.
    ///
    /// # Panics
    /// It does not start.
    pub fn start_with(&self, further: &str) {
        let options = format!(
            "-p {} -c listen_addresses=127.0.0.1 -c unix_socket_directories={} -c max_connections=200 \
             -c shared_buffers=64MB {further}",
            self.port,
            self.folder.display()
        );
        let log = self.folder.join("log").display().to_string();
        self.run(
            "pg_ctl",
            &["-D", &self.data(), "-w", "-t", "60", "-l", &log, "-o", &options, "start"],
        );
    }

    /// The folder of the server's files, which the server owns.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Gives files in the folder to the server.
    ///
    /// # Panics
    /// It cannot be done.
    pub fn own_files(&self) {
        if is_root() {
            let owned = Command::new("chown").arg("-R").arg("postgres").arg(&self.folder).status();
            assert!(owned.is_ok_and(|owned| owned.success()), "cannot give files to `postgres`");
        }
    }

    /// Starts a standby that follows this server.
    ///
    /// # Panics
    /// It cannot be started.
    pub fn standby(&self) -> Self {
        let number = self.databases.fetch_add(1, Ordering::SeqCst);
        let folder = self.folder.with_extension(format!("standby-{number}"));
        let _ = std::fs::remove_dir_all(&folder);
        assert!(std::fs::create_dir_all(&folder).is_ok(), "cannot create {}", folder.display());
        let standby = Self {
            folder,
            programs: self.programs.clone(),
            port: free_port(),
            databases: AtomicU64::new(0),
        };
        standby.own_files();
        let port = self.port.to_string();
        let from = ["-h", "127.0.0.1", "-p", &port, "-U", "postgres"];
        let to = ["-D", &standby.data(), "-R", "-X", "stream", "-c", "fast"];
        standby.run("pg_basebackup", &[&from[..], &to[..]].concat());
        standby.start_again();
        standby
    }

    /// Runs statements in a session that stays open until the result is dropped.
    ///
    /// # Panics
    /// They fail.
    pub fn hold(&self, database: &str, sql: &str) -> HeldSession {
        use std::io::{BufRead, BufReader, Write};
        let port = self.port.to_string();
        let child = Command::new(self.programs.join("psql"))
            .args(["-X", "-q", "-t", "-A", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", &port])
            .args(["-U", "postgres", "-d", database])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        assert!(child.is_ok(), "cannot run psql");
        let Ok(mut child) = child else { return HeldSession(None) };
        let mut said = String::new();
        if let (Some(input), Some(output)) = (&mut child.stdin, &mut child.stdout) {
            let written = input.write_all(format!("{sql};\n\\echo done\n").as_bytes());
            assert!(written.is_ok(), "psql has ended");
            let _ = BufReader::new(output).read_line(&mut said);
        }
        assert!(said.trim() == "done", "psql: {said}");
        HeldSession(Some(child))
    }

    /// Stops the server as a crash would: without a checkpoint, and every connection is cut.
    ///
    /// # Panics
    /// It does not stop.
    pub fn stop_immediately(&self) {
        self.run("pg_ctl", &["-D", &self.data(), "-w", "-m", "immediate", "stop"]);
    }

    /// The address of a new, empty database.
    ///
    /// # Panics
    /// It cannot be created.
    pub fn database(&self) -> String {
        let name = format!("d{}", self.databases.fetch_add(1, Ordering::SeqCst));
        self.sql("postgres", &format!("CREATE DATABASE {name} TEMPLATE template0"));
        self.address(&name)
    }

    /// The address of a database of this server.
    pub fn address(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// The port on the loopback interface.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Runs a statement with `psql` and returns its output.
    ///
    /// # Panics
    /// It fails.
    pub fn sql(&self, database: &str, sql: &str) -> String {
        let port = self.port.to_string();
        let args =
            ["-X", "-q", "-t", "-A", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", &port];
        let args = [&args[..], &["-U", "postgres", "-d", database, "-c", sql]].concat();
        self.run("psql", &args)
    }

    fn run(&self, program: &str, args: &[&str]) -> String {
        let path = self.programs.join(program);
        // The server refuses to run as root.
        let mut command = if is_root() && program != "psql" {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(&path);
            command
        } else {
            Command::new(&path)
        };
        command.args(args).current_dir(&self.folder).stdin(Stdio::null());
        // A server that keeps the pipe open would never let the output end.
        if program == "pg_ctl" {
            let ended = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
            let log = || std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            assert!(ended.is_ok_and(|ended| ended.success()), "pg_ctl {args:?} failed: {}", log());
            return String::new();
        }
        let Ok(output) = command.output() else {
            assert!(program.is_empty(), "cannot run {program}");
            return String::new();
        };
        let complained = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {args:?}: {complained}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

/// A session of `psql`, which ends when this is dropped.
pub struct HeldSession(Option<std::process::Child>);

impl Drop for HeldSession {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let path = self.programs.join("pg_ctl");
        let mut command = match is_root() {
            true => {
                let mut command = Command::new("runuser");
                command.args(["-u", "postgres", "--"]).arg(&path);
                command
            }
            false => Command::new(&path),
        };
        let data = self.data();
        let _ = command
            .args(["-D", &data, "-m", "immediate", "-w", "stop"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// The folder of the server's programs, the newest version first.
fn programs() -> Option<PathBuf> {
    let debian = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut versions: Vec<PathBuf> = debian.map(|entry| entry.path().join("bin")).collect();
    versions.sort();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let has = |folder: &&PathBuf| {
        ["initdb", "pg_ctl", "psql"].iter().all(|program| folder.join(program).is_file())
    };
    versions.iter().rev().chain(&on_path).find(has).cloned()
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(Path::new("/proc/self")).is_ok_and(|own| own.uid() == 0)
}

/// A port that no process listens on.
fn free_port() -> u16 {
    let until = Instant::now() + Duration::from_secs(5);
    loop {
        let bound = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
        if let Ok(bound) = bound {
            return bound.port();
        }
        assert!(Instant::now() < until, "no free port");
    }
}
