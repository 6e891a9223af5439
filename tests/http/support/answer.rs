//! A complete response.

use reqwest::RequestBuilder;
use reqwest::header::HeaderMap;
use serde_json::Value;

/// Status, headers and body of a response, and its request.
#[derive(Clone)]
pub(crate) struct Answer {
    pub(crate) request: String,
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let body: String = self.text().chars().take(2000).collect();
        write!(f, "{} -> {} {body}", self.request, self.status)
    }
}

impl Answer {
    /// Sends a request and reads the response.
    pub(crate) async fn of(request: RequestBuilder) -> Self {
        Self::try_of(request).await.unwrap()
    }

    /// [`Self::of`] for a server that may end meanwhile.
    pub(crate) async fn try_of(request: RequestBuilder) -> reqwest::Result<Self> {
        let (client, request) = request.build_split();
        let request = request?;
        let said = format!("{} {}", request.method(), request.url().path());
        let response = client.execute(request).await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Self { request: said, status, headers, body: response.bytes().await?.to_vec() })
    }

    /// The only value of a header.
    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next().map(|value| value.to_str().unwrap());
        assert!(values.next().is_none(), "`{name}` stands there twice: {self:?}");
        value
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.header("Content-Type"), Some("application/json"), "{self:?}");
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The body of a success.
    #[track_caller]
    pub(crate) fn ok(&self) -> Value {
        assert!((200..300).contains(&self.status), "{self:?}");
        self.json()
    }

    /// The error, after checking the properties of every error.
    #[track_caller]
    pub(crate) fn error(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        let body = self.json();
        let error = &body["error"];
        assert_eq!(error["code"], code, "{self:?}");
        assert_eq!(body.as_object().map(|body| body.len()), Some(1), "{self:?}");
        let known = ["code", "message", "details", "request_id"];
        let keys = error.as_object().unwrap().keys();
        assert_eq!(keys.filter(|key| !known.contains(&key.as_str())).count(), 0, "{self:?}");
        let message = error["message"].as_str().unwrap_or_default();
        assert!(!message.is_empty(), "no message: {self:?}");
        assert_eq!(error["request_id"].as_str(), self.header("X-Request-Id"), "{self:?}");
        error.clone()
    }

    /// The paths of the faults in a body or document, sorted.
    #[track_caller]
    pub(crate) fn fault_paths(&self, code: &str) -> Vec<String> {
        let error = self.error(422, code);
        let faults = error["details"].as_array().unwrap_or_else(|| panic!("no list: {self:?}"));
        let path = |fault: &Value| {
            assert!(!fault["message"].as_str().unwrap().is_empty(), "{self:?}");
            fault["path"].as_str().unwrap().to_owned()
        };
        let mut paths: Vec<_> = faults.iter().map(path).collect();
        paths.sort();
        paths
    }
}
