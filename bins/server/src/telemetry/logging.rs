//! The log: JSON lines with the request's id, in a file that is rotated by size, or on standard error.

mod request;

use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::time::Duration;

use file_rotate::compression::Compression;
use file_rotate::suffix::AppendCount;
use file_rotate::{ContentLimit, FileRotate};
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

/// For so long the log gathers lines before it writes them.
const GATHER: Duration = Duration::from_millis(10);

/// Lines that may wait to be written: what a loaded server logs in a tenth of a second. Room for each is
/// taken at once, and the usual 128,000 are 5 MB.
const MAX_LINES: usize = 8_192;

/// Why there can be no log.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the log `{path}`: {error}; set LOG_FILE to another file, or to `-`")]
pub struct LogError {
    path: String,
    error: std::io::Error,
}

/// Keeps the log going; dropping it writes out what is queued.
#[derive(Debug)]
pub struct Log(#[expect(dead_code, reason = "held for its drop")] WorkerGuard);

/// Starts to log; to standard error without a file.
pub fn start(file: Option<&Path>, level: LevelFilter) -> Result<Log, LogError> {
    let (writer, guard) = match file {
        Some(file) => non_blocking(rotating(file)?),
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
    // A second start in one process, as in tests, goes on with the first log.
    let _ = tracing_subscriber::registry().with(lines).with(filter).try_init();
    Ok(Log(guard))
}

/// Writes many lines at once. To be woken for each line cost the log more than the writing, on the
/// processors that the requests need.
struct Gathering<W: Write>(BufWriter<W>);

impl<W: Write> Write for Gathering<W> {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        self.0.write(lines)
    }

    /// Called by the log's thread whenever it has written all there is.
    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()?;
        std::thread::sleep(GATHER);
        Ok(())
    }
}

fn non_blocking(to: impl Write + Send + 'static) -> (NonBlocking, WorkerGuard) {
    // Not lossy: when the disk is slow, requests wait for the log; none goes unlogged.
    let gathering = Gathering(BufWriter::new(to));
    NonBlockingBuilder::default()
        .lossy(false)
        .buffered_lines_limit(MAX_LINES)
        .thread_name("log")
        .finish(gathering)
}

fn rotating(file: &Path) -> Result<FileRotate<AppendCount>, LogError> {
    let failed = |error| LogError { path: file.display().to_string(), error };
    // Tried here first, since the rotation would panic over a folder it cannot make.
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
    fn a_log_that_cannot_be_written_is_said_in_a_sentence() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        let error = rotating(&file.join("app.log")).err().unwrap().to_string();
        assert!(error.contains("cannot write the log") && error.contains("LOG_FILE"), "{error}");
    }
}
