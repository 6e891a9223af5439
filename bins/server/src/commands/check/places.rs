//! The files and folders of a start: there, or to be made, and writable. Makes none of them.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use life_agent_observer_sqlite::SqliteFile;

use super::{Looked, fault};

pub(super) fn journal(path: &Path) -> Looked {
    let shown = path.display();
    if let Err(why) = can_make_in(&parent(path)) {
        return fault(format!("`{shown}`: {why}; name a file in another folder with DB_PATH"));
    }
    if !parent(path).is_dir() {
        return fault(format!("`{shown}`: its folder does not exist; make it"));
    }
    if std::fs::metadata(path).is_ok_and(|file| file.is_file() && file.len() == 0) || !path.exists()
    {
        return Ok(format!("`{shown}` will be made"));
    }
    // Held until the end, so that no service opens the journal while it is read as it stands.
    let lock = lock_of(path);
    if matches!(lock.as_ref().map(File::try_lock_shared), Some(Err(TryLockError::WouldBlock))) {
        return fault(format!(
            "another process has `{shown}` open; stop that one, or name another file with DB_PATH"
        ));
    }
    if let Err(why) = writable(path) {
        return fault(format!("`{shown}`: {why}; make it writable"));
    }
    let head = SqliteFile::open_idle(path).and_then(|file| file.head());
    drop(lock);
    match head {
        Ok(head) => Ok(format!("`{shown}`, {} rows; `audit verify` proves its chain", head.id)),
        Err(error) => fault(error),
    }
}

/// The file that a service locks; none where no service has had this journal open.
fn lock_of(path: &Path) -> Option<File> {
    let mut lock = path.canonicalize().ok()?.into_os_string();
    lock.push(".lock");
    File::open(lock).ok()
}

pub(super) fn workspace(dir: &Path) -> Looked {
    match std::fs::read_dir(dir) {
        Ok(_) => Ok(format!("`{}`, which is never written to", dir.display())),
        Err(error) => fault(format!("cannot use `{}`: {error}; set WORKSPACE_DIR", dir.display())),
    }
}

pub(super) fn plans(dir: &Path) -> Looked {
    match can_make_in(dir) {
        Ok(()) if dir.is_dir() => Ok(format!("`{}`", dir.display())),
        Ok(()) => Ok(format!("`{}` will be made", dir.display())),
        Err(why) => fault(format!("`{}`: {why}; set PLANS_DIR", dir.display())),
    }
}

pub(super) fn log(file: Option<&Path>) -> Looked {
    let Some(file) = file else { return Ok("standard error".to_owned()) };
    let looked = if file.exists() { writable(file) } else { can_make_in(&parent(file)) };
    match looked {
        Ok(()) if file.is_dir() => {
            fault(format!("`{}` is a folder; set LOG_FILE to a file, or to `-`", file.display()))
        }
        Ok(()) => Ok(format!("`{}`", file.display())),
        Err(why) => {
            fault(format!("`{}`: {why}; set LOG_FILE to another file, or to `-`", file.display()))
        }
    }
}

fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_path_buf(),
        _ => PathBuf::from("."),
    }
}

/// Whether a file could be made in this folder, or the folder itself where it is not there yet.
fn can_make_in(folder: &Path) -> Result<(), String> {
    let absolute = std::path::absolute(folder).map_err(|error| error.to_string())?;
    match absolute.ancestors().find(|folder| folder.exists()) {
        Some(there) if there.is_dir() => writable(there),
        Some(_) => Err("a part of its path is a file".to_owned()),
        None => Err("no part of its path exists".to_owned()),
    }
}

#[cfg(unix)]
fn writable(path: &Path) -> Result<(), String> {
    use rustix::fs::{Access, access};
    let needed = if path.is_dir() { Access::WRITE_OK | Access::EXEC_OK } else { Access::WRITE_OK };
    access(path, needed).map_err(|error| {
        let error = std::io::Error::from(error);
        if path.is_dir() {
            format!("its folder cannot be written ({error})")
        } else {
            format!("it cannot be written ({error})")
        }
    })
}

#[cfg(not(unix))]
fn writable(path: &Path) -> Result<(), String> {
    match std::fs::metadata(path) {
        Ok(found) if found.is_file() && found.permissions().readonly() => {
            Err("it is read-only".to_owned())
        }
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}
