//! Talks to a server: HTTP/1.1 in clear text, by TLS or over a UNIX socket, one request at a time, every wait and every reply bounded.

use std::io::{self, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::hints;
use super::socket::{NoNames, SocketConnector};
use crate::app;
use serde_json::{Value, json};
use ureq::http::{HeaderValue, Method, Request, StatusCode, header};

/// Longest wait for a whole call.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest silence of a stream: the server says every few seconds that it is still there.
const SILENCE: Duration = Duration::from_secs(60);
/// Largest reply that is read, in bytes.
const MAX_REPLY: u64 = 16 << 20;

/// Longest file with a token, in bytes.
const MAX_TOKEN_FILE: u64 = 16 << 10;

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The server said no; what it said.
    #[error("{}", .0.text())]
    Refused(Problem),
    /// No server answered.
    #[error("no Elevon answers at {url}: {why}\nStart one with `elevon serve`, or name another with ELEVON_URL or --url.")]
    Unreachable {
        /// Where it was looked for.
        url: String,
        /// What happened instead.
        why: String,
    },
    /// Something answered that is not Elevon.
    #[error("what answers at {url} is not Elevon: {why}\nName the server with ELEVON_URL or --url.")]
    NotElevon {
        /// Where.
        url: String,
        /// What it answered.
        why: String,
    },
    /// The command cannot be carried out as it was written.
    #[error("{0}")]
    Usage(String),
    /// Something on this machine said no: a folder, a bundle.
    #[error("{0}")]
    Local(String),
    /// A server could not start.
    #[error("{0}")]
    NotStarted(String),
    /// Nothing more can be written.
    #[error("cannot write: {0}")]
    Output(#[from] io::Error),
}

/// What a server said when it said no (RFC 9457).
#[derive(Debug)]
pub(super) struct Problem {
    /// The status code.
    pub(super) status: u16,
    /// The document as it came.
    pub(super) body: Value,
}

impl Problem {
    fn text(&self) -> String {
        let part = |name: &str| self.body.get(name).and_then(Value::as_str);
        let detail = self.body.as_str().or_else(|| part("detail")).or_else(|| part("title")).unwrap_or("the server gave no reason");
        let rule = self.body.get("rule").and_then(Value::as_str).map(|rule| format!(", {rule}")).unwrap_or_default();
        let hint = hints::of(self.status, &self.body).map(|hint| format!("\n{hint}")).unwrap_or_default();
        format!("{detail} ({}{rule}){hint}", self.status)
    }

    /// Whether it says that the request was no proper request, or that the server could not act, rather than no.
    pub(super) fn is_fault(&self) -> bool {
        self.status == 400 || self.status >= 500
    }
}

impl Failure {
    /// The same for programs.
    pub(super) fn value(&self) -> Value {
        match self {
            Self::Refused(problem) => json!({"error": "refused", "status": problem.status, "problem": problem.body}),
            Self::Unreachable { .. } => json!({"error": "unreachable", "detail": self.to_string()}),
            Self::NotElevon { .. } => json!({"error": "not_elevon", "detail": self.to_string()}),
            Self::Usage(text) => json!({"error": "usage", "detail": text}),
            Self::Local(text) => json!({"error": "local", "detail": text}),
            Self::NotStarted(text) => json!({"error": "not_started", "detail": text}),
            Self::Output(error) => json!({"error": "output", "detail": error.to_string()}),
        }
    }
}

/// A server and who talks to it.
#[derive(Debug, Clone)]
pub(super) struct Client {
    agent: ureq::Agent,
    base: String,
    /// The address as it was given, for messages.
    shown: String,
    token: Option<HeaderValue>,
}

impl Client {
    /// A client for a server at an address. No proxy is used and no redirect followed: both would pass the credential on. A credential of
    /// one word is a token and is sent as `Bearer`; authorities are for `https://` alone.
    pub(super) fn new(url: &str, token: Option<&str>, ca: Option<&Path>) -> Result<Self, Failure> {
        let given = url.trim_end_matches('/');
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .max_redirects(0)
            .timeout_global(Some(CALL_TIMEOUT))
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .user_agent(concat!("elevon/", env!("CARGO_PKG_VERSION")));
        let (agent, base) = if let Some(path) = given.strip_prefix("unix:").filter(|path| path.starts_with('/')) {
            (ureq::Agent::with_parts(config.build(), SocketConnector(PathBuf::from(path)), NoNames), "http://localhost".to_owned())
        } else if given.starts_with("https://") {
            let tls = app::tls_config(ca).map_err(|bad| Failure::Usage(format!("{bad} (ELEVON_CA or --ca)")))?;
            (config.https_only(true).tls_config(tls).build().into(), given.to_owned())
        } else if given.starts_with("http://") {
            (config.build().into(), given.to_owned())
        } else {
            let text = format!(
                "`{url}` is not an address; write one such as http://127.0.0.1:8181, https://elevon.example or unix:/run/elevon.sock"
            );
            return Err(Failure::Usage(text));
        };
        let token = token
            .filter(|token| !token.is_empty())
            .map(|token| if token.contains(' ') { token.to_owned() } else { format!("Bearer {token}") })
            .map(|token| HeaderValue::from_bytes(token.as_bytes()))
            .transpose()
            .map_err(|_| Failure::Usage("the credential contains a control character".to_owned()))?
            .map(|mut token| {
                token.set_sensitive(true);
                token
            });
        Ok(Self { agent, base, shown: given.to_owned(), token })
    }

    /// Reads something.
    pub(super) fn get(&self, path: &str, query: &[(&str, String)]) -> Result<Value, Failure> {
        self.call(Method::GET, path, query, None)
    }

    /// Asks for something to be done.
    pub(super) fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.call(Method::POST, path, &[], Some(body))
    }

    /// Asks for something to be as it is said.
    pub(super) fn put(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.call(Method::PUT, path, &[], Some(body))
    }

    /// Reads something that is no JSON, of the kind that is asked for.
    pub(super) fn text(&self, path: &str, kind: &'static str) -> Result<Vec<u8>, Failure> {
        let url = format!("{}{path}", self.base);
        let bad = |error: ureq::http::Error| Failure::Usage(format!("`{url}` is not an address: {error}"));
        let unreachable = |error: ureq::Error| Failure::Unreachable { url: self.shown.clone(), why: error.to_string() };
        let mut reply = self.agent.run(self.request(Method::GET, &url, kind).body(()).map_err(bad)?).map_err(unreachable)?;
        let is_kind = reply.headers().get(header::CONTENT_TYPE).is_some_and(|found| found.as_bytes().starts_with(kind.as_bytes()));
        if reply.status().is_success() && is_kind {
            return reply.body_mut().with_config().limit(MAX_REPLY).read_to_vec().map_err(unreachable);
        }
        match self.read(reply) {
            Err(failure) => Err(failure),
            Ok(_) => Err(Failure::NotElevon { url: self.shown.clone(), why: format!("no {kind}") }),
        }
    }

    /// Asks for something to be taken away.
    pub(super) fn delete(&self, path: &str, query: &[(&str, String)]) -> Result<Value, Failure> {
        self.call(Method::DELETE, path, query, None)
    }

    /// Reads server-sent events from after a place in the journal on.
    pub(super) fn stream(&self, path: &str, after: u64) -> Result<BufReader<ureq::BodyReader<'static>>, Failure> {
        let url = format!("{}{path}", self.base);
        let bad = |error: ureq::http::Error| Failure::Usage(format!("`{url}` is not an address: {error}"));
        let request =
            self.request(Method::GET, &url, "text/event-stream").header("last-event-id", after.to_string()).body(()).map_err(bad)?;
        let request = self.agent.configure_request(request).timeout_global(None).timeout_recv_response(Some(CALL_TIMEOUT));
        let reply = self.agent.run(request.timeout_per_read(Some(SILENCE)).build());
        let reply = reply.map_err(|error| Failure::Unreachable { url: self.shown.clone(), why: error.to_string() })?;
        let streams = reply.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
        match (reply.status(), streams) {
            (StatusCode::OK, true) => Ok(BufReader::new(reply.into_body().into_with_config().limit(u64::MAX).reader())),
            (status, _) if status.is_success() => {
                Err(Failure::NotElevon { url: self.shown.clone(), why: format!("{status}, and no event stream") })
            }
            _ => match self.read(reply) {
                Err(failure) => Err(failure),
                Ok(_) => Err(Failure::NotElevon { url: self.shown.clone(), why: "no event stream".to_owned() }),
            },
        }
    }

    fn request(&self, method: Method, url: &str, accept: &'static str) -> ureq::http::request::Builder {
        let request = Request::builder().method(method).uri(url).header(header::ACCEPT, accept);
        match &self.token {
            Some(token) => request.header(header::AUTHORIZATION, token.clone()),
            None => request,
        }
    }

    fn call(&self, method: Method, path: &str, query: &[(&str, String)], body: Option<&Value>) -> Result<Value, Failure> {
        let query: Vec<String> = query.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
        let mark = if query.is_empty() { "" } else { "?" };
        let url = format!("{}{path}{mark}{}", self.base, query.join("&"));
        let request = self.request(method, &url, "application/json, application/problem+json");
        let bad = |error: ureq::http::Error| Failure::Usage(format!("`{url}` is not an address: {error}"));
        let reply = match body {
            Some(body) => self.agent.run(request.header(header::CONTENT_TYPE, "application/json").body(body.to_string()).map_err(bad)?),
            None => self.agent.run(request.body(()).map_err(bad)?),
        };
        let reply = reply.map_err(|error| Failure::Unreachable { url: self.shown.clone(), why: error.to_string() })?;
        self.read(reply)
    }

    fn read(&self, mut reply: ureq::http::Response<ureq::Body>) -> Result<Value, Failure> {
        let status = reply.status();
        let bytes = reply
            .body_mut()
            .with_config()
            .limit(MAX_REPLY)
            .read_to_vec()
            .map_err(|error| Failure::Unreachable { url: self.shown.clone(), why: error.to_string() })?;
        if bytes.is_empty() && status.is_success() {
            return Ok(Value::Null);
        }
        match (serde_json::from_slice::<Value>(&bytes), status) {
            (Ok(body), status) if status.is_success() => Ok(body),
            (Ok(body), status) => Err(Failure::Refused(Problem { status: status.as_u16(), body })),
            (Err(_), StatusCode::NOT_FOUND) => Err(Failure::NotElevon { url: self.shown.clone(), why: "404 Not Found".to_owned() }),
            (Err(_), status) if status.is_success() || status.is_redirection() => {
                Err(Failure::NotElevon { url: self.shown.clone(), why: format!("{status}, and no JSON") })
            }
            (Err(_), status) => {
                let text = String::from_utf8_lossy(&bytes).chars().take(500).collect();
                Err(Failure::Refused(Problem { status: status.as_u16(), body: Value::String(text) }))
            }
        }
    }
}

/// The token in a file.
pub(super) fn token_of(file: &Path) -> Result<String, Failure> {
    let bad = |why: String| Failure::Usage(format!("the token file `{}` cannot be used: {why}", file.display()));
    let mut text = String::new();
    let opened = std::fs::File::open(file).map_err(|error| bad(error.to_string()))?;
    opened.take(MAX_TOKEN_FILE).read_to_string(&mut text).map_err(|error| bad(error.to_string()))?;
    let token = text.trim();
    if token.is_empty() { Err(bad("it is empty".to_owned())) } else { Ok(token.to_owned()) }
}

/// A text as part of a path or a query (RFC 3986: everything but unreserved characters is encoded).
pub(super) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_encoded_into_paths() {
        assert_eq!(encode("act_01-a.b~c"), "act_01-a.b~c");
        assert_eq!(encode("a/../b?c=d&e #%"), "a%2F..%2Fb%3Fc%3Dd%26e%20%23%25");
        assert_eq!(encode("Zoë"), "Zo%C3%AB");
    }

    #[test]
    fn an_address_says_how_a_server_is_spoken_to() {
        for url in ["127.0.0.1:8181", "", "ftp://x", "unix:relative", "unix:"] {
            assert!(matches!(Client::new(url, None, None), Err(Failure::Usage(_))), "{url}");
        }
        for url in ["http://127.0.0.1:8181/", "unix:/run/elevon.sock"] {
            assert!(Client::new(url, Some("Dev User::\"Zoë\""), None).is_ok(), "{url}");
        }
        assert!(matches!(Client::new("https://elevon.example", None, Some(Path::new("/nowhere"))), Err(Failure::Usage(_))));
        assert!(matches!(Client::new("http://127.0.0.1:8181", Some("a\nb"), None), Err(Failure::Usage(_))));
    }

    #[test]
    fn a_token_is_sent_as_bearer() {
        let sent = |text| Client::new("http://127.0.0.1:1", Some(text), None).unwrap().token.unwrap();
        assert_eq!(sent("elv_abc"), "Bearer elv_abc");
        assert_eq!(sent("Bearer abc"), "Bearer abc");
        assert_eq!(sent("Dev User::\"a\""), "Dev User::\"a\"");
    }

    #[test]
    fn a_problem_says_what_to_do() {
        let problem = Problem { status: 401, body: json!({"title": "Unauthorized", "detail": "no credential"}) };
        assert!(problem.text().starts_with("no credential (401)"));
        assert!(problem.text().contains("ELEVON_TOKEN"));
        let refused = Problem { status: 409, body: json!({"detail": "it is active", "rule": "not_in_state"}) };
        assert_eq!(refused.text(), "it is active (409, not_in_state)");
        assert!(!refused.is_fault());
        assert_eq!(Problem { status: 500, body: json!("oh") }.text(), "oh (500)");
    }
}
