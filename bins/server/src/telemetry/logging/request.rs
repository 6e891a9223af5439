//! Requests in the log: the request ID on every line, and one line per response.

use std::cell::RefCell;
use std::fmt;
use std::io::Write;
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;
use life_agent_engine::TraceId;
use tracing::{Event, Subscriber};
use tracing_appender::non_blocking::NonBlocking;
use tracing_subscriber::fmt::format::{Format, Json, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

tokio::task_local! {
    /// The ID of the current request. A span could carry it too, but entering one for every request costs as much as
    /// the gates.
    static ID: (Arc<str>, Option<TraceId>);
}

/// Runs `work` as part of a request; lines logged meanwhile carry the request ID and the trace ID.
pub async fn within<T>(id: Arc<str>, trace: Option<TraceId>, work: impl Future<Output = T>) -> T {
    ID.scope((id, trace), work).await
}

/// Wraps work for a separate task, as part of the current request.
pub fn carried<T>(work: impl Future<Output = T>) -> impl Future<Output = T> {
    let id = ID.try_with(Clone::clone).unwrap_or_else(|_| ("".into(), None));
    ID.scope(id, work)
}

/// JSON lines with the ID of the current request.
pub(super) struct Lines(pub(super) Format<Json>);

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = String::new();
        self.0.format_event(context, Writer::new(&mut line), event)?;
        let open = line.trim_end().strip_suffix('}').ok_or(fmt::Error)?;
        match ID.try_with(Clone::clone) {
            // IDs consist of letters, digits and `._-`, so nothing needs escaping.
            Ok((id, None)) if !id.is_empty() => {
                writeln!(writer, "{open},\"request_id\":\"{id}\"}}")
            }
            Ok((id, Some(trace))) => {
                writeln!(writer, "{open},\"request_id\":\"{id}\",\"trace_id\":\"{trace}\"}}")
            }
            _ => writer.write_str(&line),
        }
    }
}

/// The writer of response lines, unless the level silences them.
static ANSWERS: OnceLock<NonBlocking> = OnceLock::new();

/// Sets the writer of response lines.
pub(super) fn log_answers(to: &NonBlocking) {
    // A second start in one process continues with the first log.
    let _ = ANSWERS.set(to.clone());
}

/// The line about one response.
#[derive(Debug)]
pub struct Answered<'a> {
    /// The request ID.
    pub request_id: &'a str,
    /// The trace of the request.
    pub trace: Option<TraceId>,
    /// The method, or `other`.
    pub method: &'static str,
    /// The route pattern, not the path.
    pub route: &'a str,
    /// The status.
    pub status: u16,
    /// The elapsed time, in microseconds.
    pub micros: u64,
}

impl Answered<'_> {
    /// Writes the line. It bypasses `tracing`, where one line per request cost as much as the gates; the format is the
    /// same.
    pub fn log(&self) {
        thread_local! {
            /// One handle and buffer per thread: shared ones would move between cores.
            static LOG: RefCell<Option<(NonBlocking, Vec<u8>)>> = RefCell::default();
        }
        LOG.with_borrow_mut(|log| {
            if log.is_none() {
                *log = ANSWERS.get().map(|log| (log.clone(), Vec::new()));
            }
            if let Some((log, line)) = log {
                line.clear();
                self.write(line);
                // This only queues; if the log has ended, nothing can be done.
                let _ = log.write_all(line);
            }
        });
    }

    fn write(&self, line: &mut Vec<u8>) {
        const MICROSECONDS: DateTimePrinter = DateTimePrinter::new().precision(Some(6));
        let Self { request_id, trace, method, route, status, micros } = *self;
        // Formatted by hand, because nothing needs escaping: IDs consist of letters, digits and `._-`, and the rest is
        // internal. Neither the printer nor a buffer can fail.
        line.extend_from_slice(b"{\"timestamp\":\"");
        let _ = MICROSECONDS.print_timestamp(&Timestamp::now(), &mut *line);
        let _ = write!(
            line,
            "\",\"level\":\"INFO\",\"message\":\"answered\",\"request_id\":\"{request_id}\","
        );
        if let Some(trace) = trace {
            let _ = write!(line, "\"trace_id\":\"{trace}\",");
        }
        let _ = writeln!(
            line,
            "\"method\":\"{method}\",\"route\":\"{route}\",\"status\":{status},\"micros\":{micros},\
             \"target\":\"{}\"}}",
            module_path!()
        );
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use serde_json::Value;
    use tracing_subscriber::fmt::format::JsonFields;

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[actix_web::test]
    async fn lines_carry_the_id_of_the_request_that_they_are_written_in() {
        let written = Written::default();
        let to = written.clone();
        let subscriber = tracing_subscriber::fmt()
            .json()
            .event_format(Lines(tracing_subscriber::fmt::format().json().flatten_event(true)))
            .fmt_fields(JsonFields::new())
            .with_writer(move || to.clone())
            .finish();
        let _here = tracing::subscriber::set_default(subscriber);
        tracing::info!(n = 1, "outside");
        within("r-1".into(), TraceId::new([7; 16]), async {
            tracing::info!(n = 2, "inside");
            let own = carried(async { tracing::info!(n = 3, "in a task of its own") });
            actix_web::rt::spawn(own).await.unwrap();
        })
        .await;
        let written = written.0.lock().unwrap();
        let lines: Vec<Value> = std::str::from_utf8(&written)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let ids: Vec<_> = lines.iter().map(|line| line["request_id"].as_str()).collect();
        assert_eq!(ids, [None, Some("r-1"), Some("r-1")], "{lines:?}");
        let traces: Vec<_> = lines.iter().map(|line| line["trace_id"].as_str()).collect();
        let trace = Some("07070707070707070707070707070707");
        assert_eq!(traces, [None, trace, trace]);
        assert_eq!((&lines[1]["n"], &lines[1]["message"]), (&2.into(), &"inside".into()));
    }

    #[test]
    fn the_line_about_an_answer_is_json_with_all_there_is() {
        let (trace, request_id, method) = (TraceId::new([7; 16]), "r", "GET");
        let answered = Answered { request_id, trace, method, route: "/a", status: 200, micros: 7 };
        let mut line = Vec::new();
        answered.write(&mut line);
        let line: Value = serde_json::from_slice(&line).unwrap();
        let timestamp = line["timestamp"].as_str().unwrap();
        assert!(timestamp.parse::<Timestamp>().is_ok() && timestamp.len() == 27, "{timestamp}");
        assert_eq!(line["trace_id"], "07070707070707070707070707070707");
        assert_eq!((&line["status"], &line["micros"]), (&200.into(), &7.into()));
        assert_eq!((&line["request_id"], &line["route"]), (&"r".into(), &"/a".into()));
    }
}
