//! Errors that the HTTP parser writes itself: detects them and adds the envelope and headers of every response.

use actix_web::http::StatusCode;

use crate::http::errors::{ApiError, Code};
use crate::http::middleware::{access, headers, request_id};

/// Where such an error begins in the outgoing bytes. It is always the last response, because the connection closes
/// after it. All other responses carry a request ID, and no body ends with an empty line after a head.
pub(super) fn bare_error(bytes: &[u8]) -> Option<usize> {
    if !bytes.ends_with(b"\r\n\r\n") {
        return None;
    }
    let start = bytes.windows(7).rposition(|seven| seven == b"HTTP/1.")?;
    let head = std::str::from_utf8(bytes.get(start..)?).ok()?;
    let lines = head.strip_suffix("\r\n\r\n")?;
    let empty_line = lines.contains("\r\n\r\n");
    let known = lines.lines().any(|line| line.starts_with("x-request-id:"));
    let bodyless = lines.lines().any(|line| line == "content-length: 0");
    let error = status(lines)?;
    let failed = error.is_client_error() || error.is_server_error();
    (failed && bodyless && !known && !empty_line).then_some(start)
}

/// The response to a connection beyond the limit.
pub(super) fn no_slot() -> Vec<u8> {
    enveloped(b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 1\r\n\r\n")
}

/// The error with the envelope and the headers.
pub(super) fn enveloped(head: &[u8]) -> Vec<u8> {
    let head = String::from_utf8_lossy(head);
    let status = status(&head).unwrap_or(StatusCode::BAD_REQUEST);
    let (code, message) = match status {
        StatusCode::REQUEST_TIMEOUT => {
            (Code::RequestTimeout, "the request did not arrive in time; send it without a pause")
        }
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => {
            (Code::of_status(status), "the headers are too large; send less")
        }
        StatusCode::SERVICE_UNAVAILABLE => {
            (Code::Overloaded, "the service has reached its limit on connections; try again later")
        }
        _ => (
            Code::of_status(status),
            "the request is not valid HTTP/1.1; check line ends, headers and lengths",
        ),
    };
    let id = request_id::fresh();
    access::unread(&id, status.as_u16());
    let error = ApiError::new(code, message);
    let body = serde_json::to_string(&error.envelope(&id)).unwrap_or_default();
    let kept = head.lines().filter(|line| !line.is_empty() && !line.starts_with("content-length:"));
    let mut answer: String = kept.map(|line| format!("{line}\r\n")).collect();
    for (name, value) in headers::ALWAYS {
        answer += &format!("{name}: {value}\r\n");
    }
    answer += &format!(
        "content-security-policy: {}\r\ncontent-type: application/json\r\nx-request-id: {id}\r\n\
         content-length: {}\r\n\r\n{body}",
        headers::NO_PAGE,
        body.len()
    );
    answer.into_bytes()
}

fn status(head: &str) -> Option<StatusCode> {
    StatusCode::from_bytes(head.split(' ').nth(1)?.as_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_error_without_a_request_id_is_from_the_parser() {
        let bare = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(bare_error(bare), Some(0));
        for ours in [
            "HTTP/1.1 404 Not Found\r\nx-request-id: a\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 100 Continue\r\n\r\n",
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 9\r\n\r\n",
            "id: 1\r\n\r\n",
            "\r\n\r\n",
            "",
        ] {
            assert_eq!(bare_error(ours.as_bytes()), None, "{ours}");
        }
    }
}
