//! Heads that are too large, or can be read in two ways.

use crate::help::{Edge, bounded, check, get, listen, question};

#[test]
fn heads_beyond_their_bounds_are_refused() {
    let edge = Edge::start(bounded(|limits| {
        limits.headers = 20;
        limits.header_bytes = 10_000;
    }));
    let with = |more: String| format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\n{more}\r\n");
    let headers = |count: usize| with((0..count).map(|number| format!("X-{number}: y\r\n")).collect());
    let rows = [
        ("few headers", headers(10), 200),
        ("many headers", headers(30), 431),
        ("a large header", with(format!("X: {}\r\n", "y".repeat(20_000))), 431),
        ("headers that are large together", with((0..19).map(|number| format!("X-{number}: {}\r\n", "y".repeat(1_000))).collect()), 431),
        ("a long path", format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "y".repeat(20_000)), 431),
    ];
    for (what, request, status) in rows {
        let mut client = edge.connect();
        client.send(&request);
        let answer = client.answer().unwrap_or_else(|| panic!("{what}: no answer"));
        assert_eq!(answer.status, status, "{what}: {answer:?}");
        if status != 200 {
            client.ends();
        }
    }
    edge.connect().checks();
}

/// Whatever is sent after a head that was refused is never answered as a request of its own.
#[test]
fn what_can_be_read_in_two_ways_is_refused() {
    let edge = Edge::start(listen());
    let body = question().to_string();
    let (length, hidden) = (body.len(), get("/healthz", "x"));
    let begin = "POST /access/v1/evaluation HTTP/1.1\r\nHost: localhost\r\nAuthorization: Dev Service::\"gateway\"\r\nContent-Type: application/json\r\n";
    let chunked = format!("{length:x}\r\n{body}\r\n0\r\n\r\n");
    let rows = [
        ("two lengths", format!("Content-Length: {length}\r\nContent-Length: {}\r\n\r\n{body}", length + 1)),
        ("the same length twice", format!("Content-Length: {length}\r\nContent-Length: {length}\r\n\r\n{body}")),
        ("two lengths in one header", format!("Content-Length: {length}, {length}\r\n\r\n{body}")),
        ("a length that is no number", format!("Content-Length: +{length}\r\n\r\n{body}")),
        ("a length and chunks", format!("Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n\r\n{chunked}")),
        ("chunks and a length", format!("Transfer-Encoding: chunked\r\nContent-Length: {length}\r\n\r\n{chunked}")),
        ("chunks twice", format!("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n{chunked}")),
        ("chunks and something else", format!("Transfer-Encoding: chunked, identity\r\n\r\n{chunked}")),
        ("chunks by another name", format!("Transfer-Encoding: xchunked\r\n\r\n{chunked}")),
        ("a space before the colon", format!("Content-Length : {length}\r\n\r\n{body}")),
        ("a line that goes on", format!("Content-Length: {length}\r\nX: a\r\n b\r\n\r\n{body}")),
        ("two hosts", format!("Host: localhost\r\nContent-Length: {length}\r\n\r\n{body}")),
        ("two credentials", format!("Authorization: Dev User::\"carol\"\r\nContent-Length: {length}\r\n\r\n{body}")),
        ("two kinds of body", format!("Content-Type: text/plain\r\nContent-Length: {length}\r\n\r\n{body}")),
    ];
    for (what, rest) in rows {
        let mut client = edge.connect();
        client.send(format!("{begin}{rest}"));
        let answer = client.answer().unwrap_or_else(|| panic!("{what}: no answer"));
        assert!(matches!(answer.status, 400 | 401 | 421), "{what}: {answer:?}");
    }
    // After chunks nothing more is read: what a proxy took for a part of the body is no request here.
    let mut client = edge.connect();
    client.send(format!("{begin}Transfer-Encoding: chunked\r\n\r\n{chunked}{hidden}"));
    assert_eq!(client.answer().unwrap().status, 200);
    assert!(client.answer().is_none(), "what came after the chunks was answered");
    // One request after the other, each with a length of its own, is what it always was.
    let mut client = edge.connect();
    client.send(check().repeat(3));
    for _ in 0..3 {
        assert_eq!(client.answer().unwrap().status, 200);
    }
}

/// CVE-2024-23324 and CVE-2021-32777: a value that one reader cannot read, or of which two readers take different ones, decides nothing.
#[test]
fn headers_that_are_not_text_or_are_repeated_decide_nothing() {
    let edge = Edge::start(listen());
    let request = |more: &[u8]| [b"GET /v1/me HTTP/1.1\r\nHost: localhost\r\n".as_slice(), more, b"\r\n\r\n"].concat();
    let alice = b"Authorization: Dev User::\"alice\"".as_slice();
    let rows: [(&str, Vec<u8>, u16); 7] = [
        ("in order", alice.to_vec(), 200),
        ("text that is not ASCII", [alice, "\r\nX-Note: für später".as_bytes()].concat(), 200),
        ("a header that is not text", [alice, b"\r\nX-Note: \xff\xfe"].concat(), 400),
        ("a credential that is not text", b"Authorization: Dev User::\"al\xff\"".to_vec(), 401),
        ("two credentials", [alice, b"\r\n", alice].concat(), 401),
        ("a sequence twice", [alice, b"\r\nElevon-Min-Seq: 0\r\nElevon-Min-Seq: 0"].concat(), 400),
        ("two hosts", [alice, b"\r\nHost: localhost"].concat(), 400),
    ];
    for (what, more, status) in rows {
        let answer = edge.connect().ask(request(&more));
        assert_eq!(answer.status, status, "{what}: {answer:?}");
    }
    let body = "{\"role\":\"reader\",\"justification\":\"looking around\"}";
    for key in ["Idempotency-Key: a\r\nIdempotency-Key: b\r\n".as_bytes(), b"Idempotency-Key: \xff\r\n"] {
        let head = format!(
            "POST /v1/activations HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n",
            body.len()
        );
        let answer = edge.connect().ask([head.as_bytes(), alice, b"\r\n", key, b"\r\n", body.as_bytes()].concat());
        assert_eq!(answer.status, 400, "{answer:?}");
    }
}

/// Whom a request asks is said once, and its path is all of what was sent (CVE-2021-39156): what stands in front matched all of it.
#[test]
fn whom_and_what_a_request_asks_is_clear() {
    let mut secured = listen();
    let tokens = elevon::identity::Tokens::new(vec![elevon::identity::TokenEntry {
        id: "one".to_owned(),
        sha256: elevon::identity::token_sha256(&elevon::identity::token_text([1; 32])),
        principal: elevon::domain::Uid::parse("User::\"alice\"").unwrap(),
        groups: Vec::new(),
        not_before: None,
        expires: None,
        previous: None,
    }]);
    secured.accepts = crate::help::accepting(elevon::identity::Accepted::Token(tokens.unwrap()));
    let edge = Edge::start(secured);
    let alice = format!("Authorization: Bearer {}\r\n\r\n", elevon::identity::token_text([1; 32]));
    let rows = [
        ("GET /v1/me HTTP/1.1\r\nHost: elevon.example\r\n", 200),
        ("GET /v1/me HTTP/1.1\r\nHost: [::1]:8181\r\n", 200),
        ("GET http://elevon.example/v1/me HTTP/1.1\r\nHost: Elevon.Example\r\n", 200),
        ("GET /v1/me HTTP/1.0\r\n", 200),
        ("GET /v1/me HTTP/1.1\r\n", 400),
        ("GET /v1/me HTTP/1.1\r\nHost:\r\n", 400),
        ("GET /v1/me HTTP/1.1\r\nHost: a b\r\n", 400),
        ("GET /v1/me HTTP/1.1\r\nHost: elevon.example/v1\r\n", 400),
        ("GET /v1/me HTTP/1.1\r\nHost: user@elevon.example\r\n", 400),
        ("GET /v1/me HTTP/1.1\r\nHost: a, b\r\n", 400),
        ("GET http://evil.example/v1/me HTTP/1.1\r\nHost: elevon.example\r\n", 400),
        ("GET http://user:x@elevon.example/v1/me HTTP/1.1\r\nHost: elevon.example\r\n", 400),
        ("GET /v1/me#/healthz HTTP/1.1\r\nHost: elevon.example\r\n", 400),
        ("GET /v1/me# HTTP/1.1\r\nHost: elevon.example\r\n", 400),
        ("GET /v1/me?a=b#c HTTP/1.1\r\nHost: elevon.example\r\n", 400),
        ("GET http://elevon.example/v1/me#x HTTP/1.1\r\nHost: elevon.example\r\n", 400),
        ("OPTIONS * HTTP/1.1\r\nHost: elevon.example\r\n", 404),
        ("CONNECT elevon.example:443 HTTP/1.1\r\nHost: elevon.example:443\r\n", 404),
        ("CONNECT evil.example:443 HTTP/1.1\r\nHost: elevon.example\r\n", 400),
    ];
    for (head, status) in rows {
        let answer = edge.connect().ask(format!("{head}{alice}"));
        assert_eq!(answer.status, status, "{head}: {answer:?}");
        assert!(status != 400 || answer.body.is_empty() || answer.rule() == "ambiguous_request", "{head}: {answer:?}");
    }
    // A credential anywhere else is none.
    let token = elevon::identity::token_text([1; 32]);
    let get = |path: &str, more: &str| format!("GET {path} HTTP/1.1\r\nHost: elevon.example\r\n{more}\r\n");
    let rows = [
        get(&format!("/v1/me?access_token={token}"), ""),
        get("/v1/me", &format!("Proxy-Authorization: Bearer {token}\r\n")),
        get("/v1/me", &format!("Cookie: Authorization=Bearer {token}; access_token={token}\r\n")),
        get("/v1/me", &format!("X-Authorization: Bearer {token}\r\n")),
        get("/v1/me", "X-Forwarded-User: alice\r\nX-Forwarded-Client-Cert: URI=spiffe://a/alice\r\n"),
        format!("GET http://Bearer:{token}@elevon.example/v1/me HTTP/1.1\r\nHost: elevon.example\r\n\r\n"),
    ];
    for request in rows {
        let answer = edge.connect().ask(&request);
        assert!(matches!(answer.status, 400 | 401), "{request}: {answer:?}");
        assert!(!answer.body.contains(&token), "{request}: {answer:?}");
    }
    // So is one that comes behind a body.
    let head = "POST /v1/activations HTTP/1.1\r\nHost: elevon.example\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\nTrailer: Authorization\r\n\r\n";
    let answer = edge.connect().ask(format!("{head}2\r\n{{}}\r\n0\r\n{alice}"));
    assert_eq!(answer.status, 401, "{answer:?}");
}

/// What is echoed is one line of text, whatever was sent, and is no markup to anybody.
#[test]
fn what_is_echoed_splits_no_answer() {
    let edge = Edge::start(listen());
    let long = "a".repeat(201);
    let rows = [("plain-1", true), ("a b\tc", true), ("<script>", true), ("a\u{e9}", false), ("", false), (long.as_str(), false)];
    for (id, echoed) in rows {
        let answer = edge.connect().ask(format!("GET /nothing/%3Cscript%3E HTTP/1.1\r\nHost: localhost\r\nX-Request-ID: {id}\r\n\r\n"));
        assert_eq!(answer.header("x-request-id").as_deref() == Some(id), echoed, "{id:?}: {answer:?}");
        assert_eq!(answer.header("x-content-type-options").as_deref(), Some("nosniff"));
        assert_eq!(answer.header("content-type").as_deref(), Some("application/problem+json"));
        assert_eq!(answer.json()["request_id"].as_str(), answer.header("x-request-id").as_deref(), "{answer:?}");
    }
    // A line feed ends a header, so that what stands behind it is one of the request's, and comes back in no answer.
    for split in ["a\nSet-Cookie: b", "a\r\nSet-Cookie: b"] {
        let answer = edge.connect().ask(format!("GET /nothing HTTP/1.1\r\nHost: localhost\r\nX-Request-ID: {split}\r\n\r\n"));
        assert!(answer.header("set-cookie").is_none() && answer.header("x-request-id").as_deref() == Some("a"), "{answer:?}");
    }
    for bare in ["a\rSet-Cookie: b", "a\0b"] {
        let mut client = edge.connect();
        client.send(format!("GET /nothing HTTP/1.1\r\nHost: localhost\r\nX-Request-ID: {bare}\r\n\r\n"));
        let answer = client.answer().expect("an answer");
        assert!(answer.status == 400 && answer.header("set-cookie").is_none(), "{answer:?}");
    }
}
