//! The last stage of the Dockerfile, created in a folder and run from there: the same files, environment and user,
//! without a container engine.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};

use tempfile::TempDir;

use super::dockerfile::{Ignored, Instruction, repository, stages};
use crate::support::binary;

/// The image as a folder.
pub(super) struct Image {
    folder: TempDir,
    pub(super) env: BTreeMap<String, String>,
    pub(super) exposed: String,
    pub(super) volume: String,
    pub(super) healthcheck: Vec<String>,
    entrypoint: Vec<String>,
    workdir: String,
    user: (u32, u32),
}

impl Image {
    /// Creates the files of the last stage, with the debug binary instead of the release build.
    pub(super) fn lay_out() -> Self {
        let mut image = Self {
            folder: tempfile::Builder::new().prefix("life-agent-image-").tempdir().unwrap(),
            env: BTreeMap::new(),
            exposed: String::new(),
            volume: String::new(),
            healthcheck: Vec::new(),
            entrypoint: Vec::new(),
            workdir: "/".to_owned(),
            user: (0, 0),
        };
        let stage = stages().pop().unwrap();
        stage.iter().for_each(|instruction| image.take(instruction));
        image.freeze();
        image
    }

    fn take(&mut self, Instruction { name, rest }: &Instruction) {
        let words: Vec<&str> = rest.split_whitespace().collect();
        match name.as_str() {
            "FROM" | "EXPOSE" | "VOLUME" if words.len() != 1 => panic!("{name} {rest}"),
            "FROM" => assert!(rest.contains(':'), "a base that is pinned to no version: {rest}"),
            "EXPOSE" => rest.clone_into(&mut self.exposed),
            "VOLUME" => rest.clone_into(&mut self.volume),
            "WORKDIR" => {
                rest.clone_into(&mut self.workdir);
                std::fs::create_dir_all(self.path(rest)).unwrap();
            }
            "ENV" => self.env.extend(words.iter().map(|word| {
                let (name, value) = word.split_once('=').unwrap();
                (name.to_owned(), value.to_owned())
            })),
            "USER" => {
                let (user, group) = rest.split_once(':').unwrap();
                self.user = (user.parse().unwrap(), group.parse().unwrap());
            }
            "RUN" => self.install(&words),
            "COPY" => self.copy(&words),
            "HEALTHCHECK" => self.healthcheck = exec(rest.split_once("CMD").unwrap().1),
            "ENTRYPOINT" => self.entrypoint = exec(rest),
            _ => panic!("`{name} {rest}` is not understood here; teach this test what it does"),
        }
    }

    /// `install -d -o USER -g GROUP FOLDER`
    fn install(&self, words: &[&str]) {
        let ["install", "-d", "-o", user, "-g", group, folder] = words else {
            panic!("`RUN {words:?}` is not understood here; teach this test what it does")
        };
        std::fs::create_dir_all(self.path(folder)).unwrap();
        if is_root() {
            let (user, group) = (user.parse().unwrap(), group.parse().unwrap());
            chown(self.path(folder), Some(user), Some(group)).unwrap();
        }
    }

    fn copy(&self, words: &[&str]) {
        match words {
            ["--from=build", "/src/target/release/life-agent", to] => {
                copy(binary(), &self.path(to));
            }
            ["--from=build", certificates @ "/etc/ssl/certs/ca-certificates.crt", to] => {
                if Path::new(certificates).exists() {
                    copy(Path::new(certificates), &self.path(to));
                }
            }
            [from, to] if !from.starts_with("--") => {
                let source = repository().join(from);
                assert!(source.exists(), "COPY {from}: there is no such file");
                let ignored = Ignored::read();
                let target = self.path(to);
                if source.is_dir() {
                    files(&source).iter().for_each(|file| {
                        let name = file.strip_prefix(&source).unwrap();
                        let path = Path::new(from).join(name);
                        assert!(!ignored.drops(path.to_str().unwrap()), "{path:?} is dropped");
                        copy(file, &target.join(name));
                    });
                } else {
                    assert!(!ignored.drops(from), ".dockerignore drops {from}");
                    assert!(to.ends_with('/'), "COPY {from} {to}: name the folder");
                    copy(&source, &target.join(source.file_name().unwrap()));
                }
            }
            _ => panic!("`COPY {words:?}` is not understood here; teach this test what it does"),
        }
    }

    /// Makes everything except the volume read-only.
    fn freeze(&self) {
        set_modes(self.folder.path(), &self.path(&self.volume), 0o555, 0o444);
        // The temporary folder is private to its owner, which is not the service's user.
        let program = self.path("/usr/local/bin/life-agent");
        std::fs::set_permissions(program, PermissionsExt::from_mode(0o555)).unwrap();
    }

    /// The location of an absolute path of the image, or of one in its working directory.
    pub(super) fn path(&self, path: &str) -> PathBuf {
        let absolute = Path::new(&self.workdir).join(path);
        self.folder.path().join(absolute.strip_prefix("/").unwrap())
    }

    /// The image's command with its environment and user, on loopback.
    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        let [program, first @ ..] = self.entrypoint.as_slice() else { panic!("no ENTRYPOINT") };
        let mut command = Command::new(self.path("/usr/local/bin").join(program));
        command.env_clear().current_dir(self.path("")).args(first).args(arguments);
        for (name, value) in &self.env {
            let in_image = value.starts_with('/');
            let here = if in_image { self.path(value).into_os_string() } else { value.into() };
            command.env(name, here);
        }
        if is_root() {
            command.uid(self.user.0).gid(self.user.1);
        }
        command
    }

    /// The exit status of the command.
    pub(super) fn output(&self, arguments: &[&str]) -> Output {
        self.command(arguments).stdin(Stdio::null()).output().unwrap()
    }

    /// Starts the service on a free port.
    pub(super) fn start(&self, key: &str) -> Running {
        let mut command = self.command(&["--host", "127.0.0.1", "--port", "0"]);
        command.env("API_KEY", key).stdin(Stdio::null()).stdout(Stdio::piped());
        command.stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
        let addr = said
            .find_map(|line| line.unwrap().split_once("http://")?.1.parse().ok())
            .expect("it says where it listens");
        // Drains the output, so that the service never blocks on it.
        std::thread::spawn(move || said.for_each(drop));
        Running { child, addr }
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        // Lets a user other than root remove the folder.
        set_modes(self.folder.path(), Path::new(""), 0o755, 0o644);
    }
}

/// The running service; it ends when dropped.
pub(super) struct Running {
    child: Child,
    pub(super) addr: SocketAddr,
}

impl Running {
    /// Sends SIGTERM and returns the exit status.
    pub(super) fn stop(mut self) -> ExitStatus {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The process may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(super) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A command in JSON form, which needs no shell in the image.
fn exec(words: &str) -> Vec<String> {
    serde_json::from_str(words.trim()).unwrap_or_else(|_| panic!("`{words}` needs a shell"))
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to.parent().unwrap()).unwrap();
    std::fs::copy(from, to).unwrap();
}

/// Every file in a folder and its subfolders.
pub(super) fn files(folder: &Path) -> Vec<PathBuf> {
    let below = |path: PathBuf| if path.is_dir() { files(&path) } else { vec![path] };
    let entries = std::fs::read_dir(folder).unwrap();
    entries.flat_map(|entry| below(entry.unwrap().path())).collect()
}

fn set_modes(path: &Path, except: &Path, folders: u32, files: u32) {
    if path == except {
        return;
    }
    if path.is_dir() {
        // Opened first, so that it can be entered on the way back.
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
        for entry in std::fs::read_dir(path).unwrap() {
            set_modes(&entry.unwrap().path(), except, folders, files);
        }
        std::fs::set_permissions(path, PermissionsExt::from_mode(folders)).unwrap();
    } else {
        std::fs::set_permissions(path, PermissionsExt::from_mode(files)).unwrap();
    }
}
