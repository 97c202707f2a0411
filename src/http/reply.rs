//! Answers of the control plane: JSON objects that say where the journal stands.

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, LOCATION};
use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::Value;

/// Where the journal stood.
pub(super) const SEQ: HeaderName = HeaderName::from_static("elevon-seq");
/// Where the journal has to stand before a request is answered.
pub(super) const MIN_SEQ: HeaderName = HeaderName::from_static("elevon-min-seq");
/// That a command was carried out before, under the same idempotency key.
pub(super) const REPEATED: HeaderName = HeaderName::from_static("elevon-repeated");
/// What makes a command safe to repeat.
pub(super) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The request's id.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    status: StatusCode,
    seq: u64,
    body: Value,
    location: Option<String>,
    repeated: bool,
    bare: bool,
}

impl Answer {
    /// 200, as of a journal sequence. Where the body is an object, it gets the member `seq`.
    pub(super) fn ok(seq: u64, body: Value) -> Self {
        Self { status: StatusCode::OK, seq, body, location: None, repeated: false, bare: false }
    }

    /// 200, with a body that is exactly as given: its form is another specification's.
    pub(super) fn bare(seq: u64, body: Value) -> Self {
        Self { bare: true, ..Self::ok(seq, body) }
    }

    /// With another status.
    pub(super) fn status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// 201, with where the new thing is.
    pub(super) fn created(mut self, location: String) -> Self {
        self.status = StatusCode::CREATED;
        self.location = Some(location);
        self
    }

    /// Whether this is what was answered before.
    pub(super) fn repeated(mut self, repeated: bool) -> Self {
        self.repeated = repeated;
        self
    }
}

impl IntoResponse for Answer {
    fn into_response(mut self) -> Response {
        if let Value::Object(members) = &mut self.body
            && !self.bare
        {
            members.insert("seq".to_owned(), self.seq.into());
        }
        let mut response = (self.status, self.body.to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(SEQ, HeaderValue::from(self.seq));
        if let Some(location) = self.location.and_then(|location| HeaderValue::try_from(location).ok()) {
            headers.insert(LOCATION, location);
        }
        if self.repeated {
            headers.insert(REPEATED, HeaderValue::from_static("true"));
        }
        response
    }
}
