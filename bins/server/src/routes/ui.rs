//! `GET /ui` and its files: the dashboard, embedded in the binary.

use actix_web::http::header;
use actix_web::{HttpResponse, Responder, Route, web};

use crate::http::endpoint::{Access, Effect, Endpoint, Verb};
use crate::http::errors::{ApiError, Code};

/// Stricter than the policy of `/docs`: with trusted types required and none allowed, the browser itself refuses
/// to turn text into markup, wherever the text came from.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
                      require-trusted-types-for 'script'; trusted-types 'none'";

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        /// Every file of the dashboard except the page, by its path below `/ui/`.
        const FILES: &[(&str, &[u8])] =
            &[$(($name, include_bytes!(concat!("../../ui/", $name)))),*];
    };
}

const INDEX: &str = include_str!("../../ui/index.html");

files![
    "app.js",
    "css/base.css",
    "css/frame.css",
    "css/pages.css",
    "css/parts.css",
    "css/tokens.css",
    "frame.js",
    "icon.svg",
    "lang/de.js",
    "lang/en.js",
    "lib/api.js",
    "lib/chart.js",
    "lib/dom.js",
    "lib/i18n.js",
    "lib/icons.js",
    "lib/prometheus.js",
    "lib/router.js",
    "lib/shortcuts.js",
    "lib/text.js",
    "parts/backtest.js",
    "parts/bars.js",
    "parts/conversation.js",
    "parts/decision_bar.js",
    "parts/diff_parser.js",
    "parts/diff_view.js",
    "parts/editor.js",
    "parts/gates_panel.js",
    "parts/kill_switch.js",
    "parts/line_diff.js",
    "parts/marks.js",
    "parts/master_detail.js",
    "parts/memory.js",
    "parts/request_line.js",
    "parts/schema.js",
    "parts/search_box.js",
    "parts/step_result.js",
    "parts/stop_button.js",
    "parts/timeline.js",
    "parts/try_request.js",
    "parts/verify_panel.js",
    "record/curl.js",
    "record/journal.js",
    "record/requests.js",
    "record/stream.js",
    "session.js",
    "vendor/uplot/LICENSE",
    "vendor/uplot/uPlot.esm.js",
    "vendor/uplot/uPlot.min.css",
    "views/activity.js",
    "views/agent.js",
    "views/agents.js",
    "views/approvals.js",
    "views/health.js",
    "views/home.js",
    "views/plans.js",
    "views/policy.js",
    "views/request.js",
    "views/send.js",
    "views/usage.js",
];

/// The schema of the policy, for the completion of the editor.
const SCHEMA: (&str, &[u8]) =
    ("policy.schema.json", include_bytes!("../../../../policy/policy.schema.json"));

/// `GET /ui`: the dashboard. It is public: it shows nothing until its user enters a key.
pub static PAGE: Endpoint =
    Endpoint::new("ui_page", Verb::Get, "/ui", Access::Public, Effect::Reads, || {
        Route::new().to(page)
    });

async fn page() -> impl Responder {
    HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
        .body(INDEX)
}

/// `GET /ui/{file}`: a file of the dashboard, by its name in the table.
pub static FILE: Endpoint =
    Endpoint::new("ui_file", Verb::Get, "/ui/{file:.+}", Access::Public, Effect::Reads, || {
        Route::new().to(file)
    });

async fn file(name: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let (name, content) = FILES
        .iter()
        .chain([&SCHEMA])
        .find(|(known, _)| *known == name.as_str())
        .ok_or_else(|| ApiError::new(Code::NotFound, "unknown file; the page is `/ui`"))?;
    Ok(HttpResponse::Ok().content_type(content_type(name)).body(*content))
}

/// `GET /`: a redirect to the dashboard.
pub static HOME: Endpoint =
    Endpoint::new("home", Verb::Get, "/", Access::Public, Effect::Reads, || Route::new().to(home));

async fn home() -> impl Responder {
    HttpResponse::TemporaryRedirect().insert_header((header::LOCATION, "/ui")).finish()
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, ending)| ending) {
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("json") => "application/json",
        _ => "text/plain; charset=utf-8",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    fn names_below(folder: &Path, root: &Path, names: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                names_below(&path, root, names);
            } else {
                names.insert(path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/"));
            }
        }
    }

    #[test]
    fn every_file_of_the_folder_is_served() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("ui");
        let mut there = BTreeSet::new();
        names_below(&root, &root, &mut there);
        assert!(there.remove("index.html"));
        let served: BTreeSet<_> = FILES.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(served, there);
    }

    #[test]
    fn no_own_file_has_inline_code_or_loads_another_origin() {
        let ours = FILES.iter().filter(|(name, _)| !name.starts_with("vendor/"));
        let texts = ours.map(|(name, content)| (*name, std::str::from_utf8(content).unwrap()));
        for (name, text) in texts.chain([("index.html", INDEX)]) {
            for banned in
                ["innerHTML", "outerHTML", "insertAdjacentHTML", "eval(", "http:", "https:"]
            {
                // A namespace is a name, not a URL.
                let text = text.replace("http://www.w3.org/2000/svg", "");
                assert!(!text.contains(banned), "`{banned}` in {name}");
            }
        }
        for banned in ["<style", " style=", " onclick=", "<script>"] {
            assert!(!INDEX.contains(banned), "`{banned}` in the page");
        }
    }
}
