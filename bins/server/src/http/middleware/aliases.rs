//! The addresses that model clients are known to use for the endpoints under `/v1`.
//!
//! Clients append paths to a base URL that people enter with or without `/v1` and with a slash at its end.

use actix_web::dev::ServiceRequest;
use actix_web::http::Uri;
use actix_web::http::uri::PathAndQuery;

/// The first segments of the paths under `/v1`.
const RESOURCES: [&str; 9] = [
    "chat",
    "completions",
    "responses",
    "messages",
    "embeddings",
    "models",
    "moderations",
    "rerank",
    "audio",
];

/// Gives a request the path that it means.
pub fn apply(request: &mut ServiceRequest) {
    let Some(path) = canonical(request.path()) else { return };
    let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
    let Ok(target) = format!("{path}{query}").parse::<PathAndQuery>() else { return };
    let mut parts = request.uri().clone().into_parts();
    parts.path_and_query = Some(target);
    let Ok(uri) = Uri::from_parts(parts) else { return };
    request.match_info_mut().get_mut().update(&uri);
    request.head_mut().uri = uri;
}

/// The path in the form that is routed; none if it has that form, or means no endpoint of a model.
fn canonical(path: &str) -> Option<String> {
    // Every other path is left as it is, at the cost of a comparison.
    let first = path.trim_start_matches('/').split('/').next().unwrap_or_default();
    if !is_prefix(first) && !RESOURCES.contains(&first) {
        return None;
    }
    let mut segments: Vec<_> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    let prefixes = segments.iter().take_while(|segment| is_prefix(segment)).count();
    segments.drain(..prefixes);
    // Azure's clients name the model in the path, too.
    if segments.first() == Some(&"deployments") && segments.len() > 2 {
        segments.drain(..2);
    }
    if !segments.first().is_some_and(|resource| RESOURCES.contains(resource)) {
        return None;
    }
    let meant = format!("/v1/{}", segments.join("/"));
    (meant != path).then_some(meant)
}

/// What clients put before a resource.
fn is_prefix(segment: &str) -> bool {
    matches!(segment, "v1" | "v1beta" | "openai" | "api" | "anthropic")
}

#[cfg(test)]
mod tests {
    use super::canonical;

    #[test]
    fn every_known_variant_means_the_endpoint() {
        for path in [
            "/v1/chat/completions/",
            "/v1/v1/chat/completions",
            "/chat/completions",
            "//v1/chat/completions",
            "/openai/v1/chat/completions",
            "/api/v1/chat//completions",
            "/v1beta/openai/chat/completions",
            "/openai/deployments/gpt-5/chat/completions",
        ] {
            assert_eq!(canonical(path).as_deref(), Some("/v1/chat/completions"), "{path}");
        }
        assert_eq!(canonical("/models/a/b").as_deref(), Some("/v1/models/a/b"));
        assert_eq!(canonical("/anthropic/v1/messages").as_deref(), Some("/v1/messages"));
        for path in [
            "/v1/chat/completions",
            "/",
            "/act",
            "/v1",
            "/v1/act",
            "/api/act",
            "/metrics",
            "/plans/models",
            "/openai/deployments",
        ] {
            assert_eq!(canonical(path), None, "{path}");
        }
    }
}
