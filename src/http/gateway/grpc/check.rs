//! Envoy's `ext_authz` over gRPC: `CheckRequest` in, `CheckResponse` out.
//!
//! The gateway shows itself on the call, and the client's credential stands in the message, so that neither can be taken for the other. What goes
//! wrong inside is an `error_response`, for a deny with any code would be a decision, and `failure_mode_allow` has its say over errors only.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::Code;
use super::proto::{
    self, CheckRequest, CheckResponse, DeniedHttpResponse, HeaderValueOption, HttpRequest, HttpResponse, HttpStatus, Kind, OVERWRITE,
    OkHttpResponse, Struct,
};
use crate::http::Server;
use crate::http::conn::Door;
use crate::http::gateway::answer::{Allowed, Answer, Denied};
use crate::http::gateway::asked::{Asked, Hostile, PRINCIPAL, in_order};
use crate::http::gateway::decide::decide;
use crate::http::gateway::page;
use crate::policy::Target;

/// Answers.
pub(super) async fn answer(server: &Server, door: &Door, gateway: &HeaderMap, request: CheckRequest) -> CheckResponse {
    let attributes = request.attributes.unwrap_or_default();
    let http = attributes.request.and_then(|request| request.http).unwrap_or_default();
    let principal = attributes.source.map(|source| source.principal).unwrap_or_default();
    let read = client_headers(&http);
    let asked = match &read {
        Ok(client) => asked(&http, client, gateway, &principal),
        Err(hostile) => Err(hostile.clone()),
    };
    let answer = decide(server, door, asked).await;
    match &answer {
        Answer::Allowed(allowed) => allow(allowed),
        Answer::Denied(denied) => deny(denied, read.as_ref().ok()),
        Answer::Fault => fault(),
    }
}

fn asked<'a>(http: &HttpRequest, client: &'a HeaderMap, gateway: &'a HeaderMap, principal: &[u8]) -> Result<Asked<'a>, Hostile> {
    in_order(client)?;
    let target = Target::new(&http.method, &http.host, &http.path)?;
    let certificate = match std::str::from_utf8(principal) {
        Ok("") => Ok(None),
        Ok(name) => Ok(Some(name.to_owned())),
        Err(_) => Err("its name is not text".to_owned()),
    };
    Ok(Asked { target, client, gateway, certificate })
}

/// The client's headers: line by line where Envoy sends them so, else with the values of each name in one.
fn client_headers(http: &HttpRequest) -> Result<HeaderMap, Hostile> {
    let mut headers = HeaderMap::new();
    let raw = http.header_map.iter().flat_map(|map| &map.headers);
    let raw = raw.map(|header| (header.key.as_slice(), if header.raw_value.is_empty() { &header.value } else { &header.raw_value }));
    let lines = http.headers.iter().map(|(name, value)| (name.as_bytes(), value)).chain(raw);
    // what HTTP/2 calls a header and is none: method, path and host come on their own
    for (name, value) in lines.filter(|(name, _)| !name.starts_with(b":")) {
        let shown = || String::from_utf8_lossy(name).into_owned();
        let name = HeaderName::from_bytes(name).map_err(|_| Hostile::NotText(shown()))?;
        let value = HeaderValue::from_bytes(value).map_err(|_| Hostile::NotText(shown()))?;
        headers.try_append(name, value).map_err(|_| Hostile::TooMany)?;
    }
    Ok(headers)
}

fn header(name: &str, value: &str) -> HeaderValueOption {
    let header = proto::HeaderValue { key: name.to_owned(), value: value.to_owned() };
    HeaderValueOption { header: Some(header), append_action: OVERWRITE }
}

fn status(code: i32, message: &str) -> Option<proto::Status> {
    Some(proto::Status { code, message: message.to_owned() })
}

fn metadata(fields: impl IntoIterator<Item = (String, Kind)>) -> Option<Struct> {
    let fields = fields.into_iter().map(|(name, kind)| (name, proto::Value { kind: Some(kind) }));
    Some(Struct { fields: fields.collect() })
}

fn allow(allowed: &Allowed) -> CheckResponse {
    let identity = allowed.identity();
    let headers = identity.iter().map(|(name, value)| header(name.as_str(), value)).collect();
    let of_identity = identity.iter().map(|(name, value)| (member(name.as_str()), Kind::Text(value.clone())));
    // a sequence that a float cannot hold exactly is some hundred years away
    let seq = u32::try_from(allowed.of.seq).map_or(f64::MAX, f64::from);
    let rest = [
        ("decision".to_owned(), Kind::Bool(true)),
        ("seq".to_owned(), Kind::Number(seq)),
        ("revision".to_owned(), Kind::Text(allowed.of.revision.to_string())),
    ];
    CheckResponse {
        status: status(0, ""),
        http_response: Some(HttpResponse::Ok(OkHttpResponse { headers, headers_to_remove: vec![PRINCIPAL.to_string()] })),
        dynamic_metadata: metadata(of_identity.chain(rest)),
    }
}

/// `x-elevon-role` is `role` in what other filters read.
fn member(name: &str) -> String {
    name.strip_prefix("x-elevon-").unwrap_or(name).to_owned()
}

fn deny(denied: &Denied, client: Option<&HeaderMap>) -> CheckResponse {
    let http_status = denied.status();
    let code = match http_status.as_u16() {
        400 => Code::InvalidArgument,
        401 => Code::Unauthenticated,
        _ => Code::PermissionDenied,
    };
    let page = page::denied(denied, client);
    let own = denied.headers().iter().filter_map(|(name, value)| Some(header(name.as_str(), value.to_str().ok()?)));
    let headers = own.chain([header("content-type", page.kind), header("cache-control", "no-store")]).collect();
    let answer = DeniedHttpResponse { status: Some(HttpStatus { code: i32::from(http_status.as_u16()) }), headers, body: page.text };
    let fields = [("decision".to_owned(), Kind::Bool(false)), ("reason".to_owned(), Kind::Text(denied.reason().to_owned()))];
    CheckResponse {
        status: status(code as i32, denied.reason()),
        http_response: Some(HttpResponse::Denied(answer)),
        dynamic_metadata: metadata(fields),
    }
}

fn fault() -> CheckResponse {
    let page = page::fault();
    let headers = vec![header("content-type", page.kind), header("cache-control", "no-store")];
    let answer = DeniedHttpResponse { status: Some(HttpStatus { code: 500 }), headers, body: page.text };
    CheckResponse {
        status: status(Code::Internal as i32, "fault"),
        http_response: Some(HttpResponse::Error(answer)),
        dynamic_metadata: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message as _;

    #[test]
    fn an_answer_has_the_numbers_of_the_specification() {
        // status { code: 13, message: "fault" }, then field 5
        let bytes = fault().encode_to_vec();
        assert_eq!(bytes[..11], *b"\x0a\x09\x08\x0d\x12\x05fault");
        assert_eq!(bytes[11], 5 << 3 | 2);
        let one = header("a", "b").encode_to_vec();
        assert_eq!(one, b"\x0a\x06\x0a\x01a\x12\x01b\x18\x02");
    }

    #[test]
    fn bytes_that_are_no_text_are_a_deny_and_not_a_message_that_cannot_be_read() {
        // attributes { request { http { method "GET", headers { "x": 0xff }, path 0xff } } }
        let http = b"\x12\x03GET\x1a\x06\x0a\x01x\x12\x01\xff\x22\x01\xff";
        let wrap = |field: u8, inner: &[u8]| [&[field << 3 | 2, u8::try_from(inner.len()).unwrap()], inner].concat();
        let bytes = wrap(1, &wrap(4, &wrap(2, http)));
        let request = CheckRequest::decode(bytes.as_slice()).unwrap();
        let http = request.attributes.unwrap().request.unwrap().http.unwrap();
        assert_eq!((http.method.as_slice(), http.path.as_slice()), (b"GET".as_slice(), b"\xff".as_slice()));
        let client = client_headers(&http).unwrap();
        assert_eq!(in_order(&client), Err(Hostile::NotText("x".to_owned())));
        // one name in two lines stays two
        let raw = |key: &str, value: &[u8]| proto::RawHeader { key: key.into(), value: Vec::new(), raw_value: value.to_vec() };
        let headers = vec![raw("x-forwarded-host", b"a"), raw("x-forwarded-host", b"b"), raw(":path", b"/")];
        let http = HttpRequest { header_map: Some(proto::RawHeaders { headers }), ..HttpRequest::default() };
        assert_eq!(in_order(&client_headers(&http).unwrap()), Err(Hostile::Twice("x-forwarded-host".to_owned())));
    }
}
