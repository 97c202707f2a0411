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
