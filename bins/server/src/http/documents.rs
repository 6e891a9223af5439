//! The OpenAPI documents as they are served: each is rendered on first request.
//!
//! Rendering both at startup took a third of the start time and a megabyte of memory, and most runs never serve
//! them.

use std::sync::OnceLock;

use actix_web::web::Bytes;

/// Renders a document.
pub type Render = Box<dyn Fn() -> Result<Vec<u8>, serde_json::Error> + Send + Sync>;

/// Both documents of one server.
pub struct Documents {
    /// The whole document.
    pub whole: Document,
    /// The part for GPT Actions.
    pub actions: Document,
}

/// A document that is rendered once.
pub struct Document {
    render: Render,
    rendered: OnceLock<Bytes>,
}

impl Document {
    /// A document that `render` produces.
    pub fn new(render: Render) -> Self {
        Self { render, rendered: OnceLock::new() }
    }

    /// The document. Two first requests at the same time may both render it; the results are equal.
    pub fn bytes(&self) -> Result<Bytes, serde_json::Error> {
        match self.rendered.get() {
            Some(bytes) => Ok(bytes.clone()),
            None => {
                let rendered = Bytes::from((self.render)()?);
                Ok(self.rendered.get_or_init(|| rendered).clone())
            }
        }
    }
}
