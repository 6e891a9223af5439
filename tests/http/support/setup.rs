//! The setup of a server: its folder, settings and flags.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use life_agent_observer_postgres::testing::Cluster;
use tempfile::TempDir;

use super::app::TestApp;
use super::binary;

/// The default key of a server. It does not have the format of any provider, so that no pattern redacts it.
pub(crate) const KEY: &str = "test-key-of-the-black-box-suite";

/// With the value `postgres`, the journal of each server is a database of one PostgreSQL server, for tests that do not
/// concern the file.
const DATABASE: &str = "LIFE_AGENT_TESTS_ON";

/// The PostgreSQL server that running tests share.
fn database() -> Option<Arc<Cluster>> {
    static SHARED: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());
    if std::env::var(DATABASE).as_deref() != Ok("postgres") {
        return None;
    }
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    let cluster = shared.upgrade().unwrap_or_else(|| {
        let cluster = Cluster::start();
        Arc::new(cluster.unwrap_or_else(|| panic!("{DATABASE}=postgres needs PostgreSQL")))
    });
    *shared = Arc::downgrade(&cluster);
    Some(cluster)
}

/// A server before its start.
pub(crate) struct Setup {
    pub(super) dir: TempDir,
    pub(super) settings: BTreeMap<String, String>,
    pub(super) flags: Vec<String>,
    /// Stops with the last server that uses it.
    _database: Option<Arc<Cluster>>,
}

/// A failed start, or an ended command.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Setup {
    /// A folder with the shipped policies, one key, a free port and no rate limit. Other settings have their defaults,
    /// which are thereby tested too. The journal is a file, or a new database with [`DATABASE`].
    pub(crate) fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("life-agent-test-").tempdir().unwrap();
        let database = database();
        let address = database.as_ref().map(|cluster| cluster.database());
        let settings = address.map(|address| ("DATABASE_URL".to_owned(), address)).into_iter();
        let setup =
            Self { dir, settings: settings.collect(), flags: Vec::new(), _database: database };
        std::fs::create_dir_all(setup.folder().join("plans")).unwrap();
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for folder in ["policy", "policies"] {
            copy_files(&shipped.join(folder), &setup.folder().join(folder));
        }
        setup.set("PORT", "0").set("API_KEY", KEY).set("RATE_LIMIT_RPS", "0")
    }

    /// The working directory and workspace of the server.
    pub(crate) fn folder(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    /// One environment variable.
    pub(crate) fn set(mut self, name: &str, value: &str) -> Self {
        self.settings.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Removes a variable, so that its default applies.
    pub(crate) fn unset(mut self, name: &str) -> Self {
        self.settings.remove(name);
        self
    }

    /// One command-line argument.
    pub(crate) fn flag(mut self, flag: &str) -> Self {
        self.flags.push(flag.to_owned());
        self
    }

    /// Removes the last command-line argument.
    pub(crate) fn without_flag(mut self) -> Self {
        self.flags.pop();
        self
    }

    /// A file below the working directory.
    pub(crate) fn file(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        let path = self.folder().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
        self
    }

    /// The active policy.
    pub(crate) fn policy(self, yaml: &str) -> Self {
        self.file("policy/policy.yaml", yaml)
    }

    /// Starts the server and waits until it listens.
    pub(crate) async fn start(self) -> TestApp {
        TestApp::start_from(self).await
    }

    /// Starts the server, which must end by itself.
    pub(crate) async fn refused(&self) -> Refused {
        let mut command = self.command();
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().unwrap();
        let pid = rustix::process::Pid::from_child(&child);
        let ended = tokio::task::spawn_blocking(move || child.wait_with_output());
        let Ok(output) = tokio::time::timeout(Duration::from_secs(20), ended).await else {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            panic!("the server serves although it should have refused to start");
        };
        let output = output.unwrap().unwrap();
        Refused {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The command that starts the server; from the tests' environment it has only `PATH`.
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(binary::path());
        command.env_clear().envs(&self.settings).args(&self.flags);
        command.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        command.current_dir(self.folder()).stdin(Stdio::null());
        command
    }

    /// The file with the child's standard error.
    pub(super) fn stderr_path(&self) -> PathBuf {
        self.dir.path().join("stderr.txt")
    }

    pub(super) fn stderr_file(&self) -> File {
        File::options().create(true).append(true).open(self.stderr_path()).unwrap()
    }
}

impl Refused {
    /// Asserts that the process failed with a message and not with a panic.
    #[track_caller]
    pub(crate) fn in_words(&self) -> &str {
        assert!(!matches!(self.code, None | Some(0)), "{self:?}");
        assert!(!self.stderr.trim().is_empty(), "nothing is said: {self:?}");
        for noise in ["panicked", "RUST_BACKTRACE", "unwrap", "Some(", "Err("] {
            assert!(!self.stderr.contains(noise), "`{noise}` in {self:?}");
        }
        &self.stderr
    }
}

fn copy_files(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}
