//! The headers that the calls of one task carry in addition, such as the context of a trace.

use http::{HeaderMap, HeaderName, HeaderValue};

tokio::task_local! {
    /// A parameter would have to pass through [`crate::Model`], whose other implementations send nothing.
    static HEADERS: Vec<(&'static str, String)>;
}

/// Runs a call whose requests carry these headers. A request that has one of them keeps its own.
pub async fn with_headers<T>(
    headers: Vec<(&'static str, String)>,
    call: impl Future<Output = T>,
) -> T {
    HEADERS.scope(headers, call).await
}

/// Adds the headers of the current call.
pub(crate) fn add_to(headers: &mut HeaderMap) {
    let _ = HEADERS.try_with(|carried| {
        for (name, value) in carried {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.entry(HeaderName::from_static(name)).or_insert(value);
            }
        }
    });
}
