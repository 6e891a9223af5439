//! The log: JSON lines with the request's id, in a file that is rotated by size and reopened on SIGHUP, or
//! on standard error.

mod request;

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use file_rotate::compression::Compression;
use file_rotate::suffix::AppendCount;
use file_rotate::{ContentLimit, FileRotate};
use tokio_util::sync::CancellationToken;
use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::JsonFields;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use self::request::Lines;
pub use self::request::{Answered, carried, within};

/// A file that has grown beyond this, in bytes, is rotated.
const MAX_BYTES: usize = 1_000_000;
/// Rotated files that are kept: `app.log.1` to `app.log.3`.
const BACKUPS: usize = 3;

/// How long the log collects lines before it writes them.
const GATHER: Duration = Duration::from_millis(10);

/// Lines that may wait to be written: those of a tenth of a second under load. The queue is allocated at
/// once; the library's default of 128,000 lines takes 5 MB.
const MAX_LINES: usize = 8_192;

/// Why there can be no log.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the log `{path}`: {error}; set LOG_FILE to another file, or to `-`")]
pub struct LogError {
    path: String,
    error: std::io::Error,
}

/// The running log; dropping it writes the queued lines.
#[derive(Debug)]
pub struct Log {
    _guard: WorkerGuard,
    /// Set to reopen the file before the next line is written.
    reopen: Arc<AtomicBool>,
}

/// Starts logging; to standard error without a file.
pub fn start(file: Option<&Path>, level: LevelFilter) -> Result<Log, LogError> {
    let reopen = Arc::<AtomicBool>::default();
    let (writer, guard) = match file {
        Some(file) => non_blocking(LogFile::open(file, Arc::clone(&reopen))?),
        None => non_blocking(std::io::stderr()),
    };
    if level >= LevelFilter::INFO {
        request::log_answers(&writer);
    }
    // Libraries may show requests with their headers, and so keys, in their finer levels.
    let quiet = level.min(LevelFilter::WARN);
    let filter = Targets::new().with_target("life_agent", level).with_default(quiet);
    let lines = tracing_subscriber::fmt::layer()
        .event_format(Lines(tracing_subscriber::fmt::format().json().flatten_event(true)))
        .fmt_fields(JsonFields::new())
        .with_writer(writer);
    // A second start in one process, as in tests, keeps the first log.
    let _ = tracing_subscriber::registry().with(lines).with(filter).try_init();
    Ok(Log { _guard: guard, reopen })
}

/// Reopens the log file whenever the process receives SIGHUP, as log rotation tools and closed terminals
/// send it. Until `stopping`.
#[cfg(unix)]
pub fn reopen_on_hangup(log: &Log, stopping: CancellationToken) -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut hangup = signal(SignalKind::hangup())?;
    let reopen = Arc::clone(&log.reopen);
    actix_web::rt::spawn(async move {
        while stopping.run_until_cancelled(hangup.recv()).await.flatten().is_some() {
            reopen.store(true, Ordering::Release);
            tracing::info!("the log was reopened after SIGHUP");
        }
    });
    Ok(())
}

/// There is no SIGHUP here.
#[cfg(not(unix))]
pub fn reopen_on_hangup(_log: &Log, _stopping: CancellationToken) -> io::Result<()> {
    Ok(())
}

/// The rotated file. If it cannot be reopened, lines continue to go to the file that is open.
struct LogFile {
    path: PathBuf,
    file: FileRotate<AppendCount>,
    reopen: Arc<AtomicBool>,
}

impl LogFile {
    fn open(path: &Path, reopen: Arc<AtomicBool>) -> Result<Self, LogError> {
        Ok(Self { path: path.to_owned(), file: rotating(path)?, reopen })
    }
}

impl Write for LogFile {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        if self.reopen.swap(false, Ordering::AcqRel)
            && let Ok(file) = rotating(&self.path)
        {
            self.file.flush()?;
            self.file = file;
        }
        self.file.write(lines)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Writes many lines at once. Waking the thread for each line cost more than writing, on the processors
/// that serve requests.
struct Gathering<W: Write>(BufWriter<W>);

impl<W: Write> Write for Gathering<W> {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        self.0.write(lines)
    }

    /// Called by the log's thread whenever its queue is empty.
    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()?;
        std::thread::sleep(GATHER);
        Ok(())
    }
}

fn non_blocking(to: impl Write + Send + 'static) -> (NonBlocking, WorkerGuard) {
    // Not lossy: when the disk is slow, requests wait for the log.
    let gathering = Gathering(BufWriter::new(to));
    NonBlockingBuilder::default()
        .lossy(false)
        .buffered_lines_limit(MAX_LINES)
        .thread_name("log")
        .finish(gathering)
}

fn rotating(file: &Path) -> Result<FileRotate<AppendCount>, LogError> {
    let failed = |error| LogError { path: file.display().to_string(), error };
    // Tried first: the rotation panics if it cannot create the folder.
    let absolute = std::path::absolute(file).map_err(failed)?;
    if let Some(folder) = absolute.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    std::fs::File::options().create(true).append(true).open(&absolute).map_err(failed)?;
    let backups = AppendCount::new(BACKUPS);
    let limit = ContentLimit::BytesSurpassed(MAX_BYTES);
    Ok(FileRotate::new(absolute, backups, limit, Compression::None, None))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_log_is_rotated_at_a_megabyte_and_three_old_ones_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = rotating(&dir.path().join("logs/app.log")).unwrap();
        let line = format!("{}\n", "x".repeat(99_999));
        (0..60).for_each(|_| log.write_all(line.as_bytes()).unwrap());
        drop(log);
        let mut sizes: Vec<_> = std::fs::read_dir(dir.path().join("logs"))
            .unwrap()
            .map(|entry| entry.unwrap())
            .map(|entry| {
                (entry.file_name().into_string().unwrap(), entry.metadata().unwrap().len())
            })
            .collect();
        sizes.sort();
        let names: Vec<_> = sizes.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["app.log", "app.log.1", "app.log.2", "app.log.3"]);
        assert!(sizes.iter().all(|(_, size)| *size <= 1_100_000), "{sizes:?}");
    }

    #[test]
    fn a_renamed_log_is_reopened_on_request_and_not_before() {
        let dir = tempfile::tempdir().unwrap();
        let (path, moved) = (dir.path().join("app.log"), dir.path().join("moved.log"));
        let reopen = Arc::<AtomicBool>::default();
        let mut log = LogFile::open(&path, Arc::clone(&reopen)).unwrap();
        log.write_all(b"one\n").unwrap();
        std::fs::rename(&path, &moved).unwrap();
        reopen.store(true, Ordering::Release);
        log.write_all(b"two\n").unwrap();
        log.flush().unwrap();
        assert_eq!(std::fs::read_to_string(&moved).unwrap(), "one\n");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "two\n");
        // A folder in place of the file: the open file stays in use.
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        reopen.store(true, Ordering::Release);
        log.write_all(b"three\n").unwrap();
    }

    #[test]
    fn a_log_that_cannot_be_written_is_reported_in_a_sentence() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        let error = rotating(&file.join("app.log")).err().unwrap().to_string();
        assert!(error.contains("cannot write the log") && error.contains("LOG_FILE"), "{error}");
    }
}
