//! HTTP/2 by the byte: heads that no library sends, and frames without end.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::help::{Edge, PATIENCE, bounded, listen};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A name and a value.
type Header<'a> = (&'a str, &'a [u8]);

/// A header as HPACK writes it without any table (RFC 7541, section 6.2.2).
fn literal((name, value): &Header<'_>) -> Vec<u8> {
    let text = |bytes: &[u8]| {
        assert!(bytes.len() < 127, "longer ones take more than a byte to say so");
        [&[u8::try_from(bytes.len()).unwrap()], bytes].concat()
    };
    [vec![0], text(name.as_bytes()), text(value)].concat()
}

/// What becomes of a request.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    /// An answer with this text in it.
    Answered(String),
    /// The stream or the connection is ended, as one that breaks the protocol.
    Ended,
}

fn begun(edge: &Edge) -> TcpStream {
    let mut stream = TcpStream::connect(edge.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).unwrap();
    stream
}

fn fate(stream: &mut TcpStream) -> Fate {
    let (mut body, mut head) = (Vec::new(), [0; 9]);
    loop {
        if stream.read_exact(&mut head).is_err() {
            return Fate::Ended;
        }
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        stream.read_exact(&mut payload).unwrap();
        match head[3] {
            RST_STREAM | GOAWAY => return Fate::Ended,
            DATA => body.extend_from_slice(&payload),
            _ => {}
        }
        if matches!(head[3], DATA | HEADERS) && head[4] & END_STREAM != 0 {
            return Fate::Answered(String::from_utf8(body).unwrap());
        }
    }
}

/// Asks with these headers instead of those of the same name, and those after them; nothing where a value is `-`.
fn asks(edge: &Edge, change: &[Header<'_>]) -> Fate {
    let usual: [Header<'_>; 5] = [
        (":method", b"GET"),
        (":scheme", b"http"),
        (":authority", b"localhost"),
        (":path", b"/v1/me"),
        ("authorization", b"Dev User::\"alice\""),
    ];
    let mut headers: Vec<Header<'_>> = Vec::new();
    for (name, value) in usual {
        let now = change.iter().find(|(changed, _)| *changed == name).map_or(value, |(_, value)| value);
        if now != b"-" {
            headers.push((name, now));
        }
    }
    headers.extend(change.iter().filter(|(name, _)| usual.iter().all(|(known, _)| known != name)));
    let block: Vec<u8> = headers.iter().flat_map(literal).collect();
    let mut stream = begun(edge);
    stream.write_all(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &block)).unwrap();
    fate(&mut stream)
}

#[test]
fn heads_that_break_the_protocol_or_name_two_hosts_are_refused() {
    let edge = Edge::start(listen());
    let told = |fate: &Fate| match fate {
        Fate::Answered(body) => body.clone(),
        Fate::Ended => "ended".to_owned(),
    };
    let rows: [(&str, &[Header<'_>], &str); 22] = [
        ("in order", &[], "\"alice\""),
        ("the same host twice", &[("host", b"localhost")], "\"alice\""),
        ("a host and no authority", &[(":authority", b"-"), ("host", b"localhost")], "\"alice\""),
        ("two hosts", &[("host", b"127.0.0.1")], "ambiguous_request"),
        ("two hosts, one of them elsewhere", &[("host", b"evil.example")], "foreign_host"),
        ("a user before the host", &[(":authority", b"localhost:x@localhost")], "foreign_host"),
        ("no host at all", &[(":authority", b"-")], "foreign_host"),
        ("a path in the authority", &[(":authority", b"localhost/v1")], "ended"),
        ("no path", &[(":path", b"-")], "ended"),
        ("an empty path", &[(":path", b"")], "ended"),
        ("a path without a slash", &[(":path", b"v1/me")], "ended"),
        ("a whole address as the path", &[(":path", b"http://localhost/v1/me")], "ended"),
        ("all there is", &[(":method", b"OPTIONS"), (":path", b"*")], "no_such_endpoint"),
        ("a method of another kind", &[(":method", b"CONNECT"), (":path", b"-"), (":scheme", b"-")], "no_such_endpoint"),
        ("a space in the method", &[(":method", b"GE T")], "ended"),
        ("a pseudo-header that comes late", &[("x", b"y"), (":path ", b"/healthz")], "ended"),
        ("a name in capitals", &[("X-Note", b"y")], "ended"),
        ("a header of the connection", &[("connection", b"close")], "ended"),
        ("chunks", &[("transfer-encoding", b"chunked")], "ended"),
        ("a line break in a value", &[("x-request-id", b"a\r\nset-cookie: b")], "ended"),
        ("a zero in a value", &[("x-request-id", b"a\0b")], "ended"),
        ("a length without a body", &[("content-length", b"5")], "ended"),
    ];
    for (what, change, expected) in rows {
        let found = told(&asks(&edge, change));
        assert!(found.contains(expected), "{what}: {found}");
    }
    edge.connect().checks();
}

/// Frames that ask for nothing, without end. Whoever sends them is idle, however busy, and is let go; in the meantime others are served.
#[test]
fn frames_that_ask_for_nothing_keep_no_connection_open() {
    let edge = Edge::start(bounded(|limits| limits.idle_timeout = Duration::from_secs(2)));
    let rows = [
        frame(PING, 0, 0, b"12345678"),            // pings
        frame(SETTINGS, 0, 0, &[]),                // settings
        frame(2, 0, 1, &[0, 0, 0, 0, 1]),          // priorities
        frame(0xee, 0, 0, b"x"),                   // frames of no known kind
        frame(8, 0, 0, &[0; 4]),                   // windows that do not grow
        frame(8, 0, 0, &[0x7f, 0xff, 0xff, 0xff]), // windows that grow without end
        frame(5, END_HEADERS, 1, &[0, 0, 0, 2]),   // promises
    ];
    let mut good = edge.connect();
    good.checks();
    let mut floods = rows.map(|one| (begun(&edge), one.repeat(100)));
    edge.counts("elevon_http_connections", 1 + u64::try_from(floods.len()).unwrap());
    let began = Instant::now();
    // They read nothing, so that they may never hear of their end; the server's side is what counts.
    while edge.counted("elevon_http_connections") > 1 {
        for (flood, many) in &mut floods {
            flood.set_write_timeout(Some(Duration::from_millis(5))).unwrap();
            let _ = flood.write_all(many);
            good.checks();
        }
        assert!(began.elapsed() < PATIENCE, "some of them go on and on");
    }
}

/// A body of empty pieces costs nothing to send and something to read.
#[test]
fn a_body_of_nothing_without_end_ends() {
    let edge = Edge::start(listen());
    let headers: [Header<'_>; 6] = [
        (":method", b"POST"),
        (":scheme", b"http"),
        (":authority", b"localhost"),
        (":path", b"/access/v1/evaluation"),
        ("authorization", b"Dev Service::\"gateway\""),
        ("content-type", b"application/json"),
    ];
    let block: Vec<u8> = headers.iter().flat_map(literal).collect();
    let mut flood = begun(&edge);
    flood.write_all(&frame(HEADERS, END_HEADERS, 1, &block)).unwrap();
    let (many, began) = (frame(DATA, 0, 1, &[]).repeat(100), Instant::now());
    while flood.write_all(&many).is_ok() {
        assert!(began.elapsed() < PATIENCE, "it goes on and on");
    }
    edge.connect().checks();
}
