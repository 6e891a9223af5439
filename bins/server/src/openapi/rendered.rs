//! The documents as they are served: each is rendered when somebody first asks for it.
//!
//! Most runs never are asked, and to render both took a third of the start and a megabyte of memory.

use std::sync::OnceLock;

use actix_web::web::Bytes;

use super::{actions, document};

/// Both documents of one server.
#[derive(Debug, Default)]
pub struct Rendered {
    server_url: Option<String>,
    whole: OnceLock<Bytes>,
    actions: OnceLock<Bytes>,
}

impl Rendered {
    /// For a server that clients reach under this address, if that is known.
    pub fn new(server_url: Option<String>) -> Self {
        Self { server_url, ..Self::default() }
    }

    /// The whole document.
    pub fn whole(&self) -> Result<Bytes, serde_json::Error> {
        once(&self.whole, || serde_json::to_vec(&document(self.server_url.as_deref())))
    }

    /// The part for GPT Actions.
    pub fn actions(&self) -> Result<Bytes, serde_json::Error> {
        let render = || {
            let document = document(self.server_url.as_deref());
            serde_json::to_vec(&actions::actions(&document)?)
        };
        once(&self.actions, render)
    }
}

/// Two that ask at the same time may both render; the documents are equal.
fn once(
    kept: &OnceLock<Bytes>,
    render: impl FnOnce() -> Result<Vec<u8>, serde_json::Error>,
) -> Result<Bytes, serde_json::Error> {
    match kept.get() {
        Some(bytes) => Ok(bytes.clone()),
        None => {
            let rendered = Bytes::from(render()?);
            Ok(kept.get_or_init(|| rendered).clone())
        }
    }
}
