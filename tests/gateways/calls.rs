//! Requests that are sent exactly as they stand, over HTTP/1.1 and gRPC. Messages are put together by hand: a second hand than the server's.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use bytes::Bytes;
use http::Request;

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// An answer: over gRPC, what Envoy would make of it.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) status: u16,
    /// `Name: value`, names in lower case.
    pub(crate) headers: Vec<String>,
    pub(crate) body: String,
}

/// `\xff` and `\\` in a text, as bytes.
pub(crate) fn bytes(text: &str) -> Vec<u8> {
    let mut found = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, left)) = rest.split_first() {
        match (first, left) {
            (b'\\', [b'x', high, low, after @ ..]) => {
                let digits = [*high, *low];
                found.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
                rest = after;
            }
            _ => {
                found.push(*first);
                rest = left;
            }
        }
    }
    found
}

/// Sends a request over HTTP/1.1 on a connection of its own.
pub(crate) fn plain(port: u16, method: &str, path: &[u8], headers: &[String], body: &str) -> Told {
    let mut head = [method.as_bytes(), b" ", path, b" HTTP/1.1\r\n"].concat();
    if !headers.iter().any(|line| line.to_ascii_lowercase().starts_with("host:")) {
        head.extend(b"Host: localhost\r\n");
    }
    for line in headers {
        head.extend([bytes(line).as_slice(), b"\r\n"].concat());
    }
    head.extend(format!("Connection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len()).as_bytes());
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(&head).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let text = String::from_utf8(answer).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok()).unwrap_or(0);
    Told { status, headers: lines.map(lower).collect(), body: body.to_owned() }
}

fn lower(line: &str) -> String {
    let (name, value) = line.split_once(": ").unwrap_or((line, ""));
    format!("{}: {value}", name.to_ascii_lowercase())
}

// ---- protobuf ---------------------------------------------------------------------------------------------------------------------

fn varint(mut number: u64) -> Vec<u8> {
    let mut found = Vec::new();
    loop {
        let low = u8::try_from(number & 0x7f).unwrap();
        number >>= 7;
        found.push(if number == 0 { low } else { low | 0x80 });
        if number == 0 {
            return found;
        }
    }
}

/// A field with bytes.
pub(crate) fn field(number: u64, inner: &[u8]) -> Vec<u8> {
    [varint(number << 3 | 2), varint(inner.len() as u64), inner.to_vec()].concat()
}

/// A value of a field.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Number(u64),
    Bytes(Vec<u8>),
}

/// The fields of a message.
pub(crate) fn fields(mut rest: &[u8]) -> Vec<(u64, Value)> {
    fn number(rest: &mut &[u8]) -> u64 {
        let mut found = 0;
        for place in 0.. {
            let (first, left) = rest.split_first().unwrap();
            *rest = left;
            found |= u64::from(first & 0x7f) << (7 * place);
            if first & 0x80 == 0 {
                break;
            }
        }
        found
    }
    let mut found = Vec::new();
    while !rest.is_empty() {
        let key = number(&mut rest);
        let value = match key & 7 {
            0 => Value::Number(number(&mut rest)),
            1 => {
                let (eight, left) = rest.split_at(8);
                rest = left;
                Value::Bytes(eight.to_vec())
            }
            2 => {
                let length = usize::try_from(number(&mut rest)).unwrap();
                let (inner, left) = rest.split_at(length);
                rest = left;
                Value::Bytes(inner.to_vec())
            }
            other => panic!("wire type {other}"),
        };
        found.push((key >> 3, value));
    }
    found
}

/// All of a message's fields with a number.
pub(crate) fn all(message: &[u8], wanted: u64) -> Vec<Vec<u8>> {
    let of = |(number, value)| match value {
        Value::Bytes(bytes) if number == wanted => Some(bytes),
        _ => None,
    };
    fields(message).into_iter().filter_map(of).collect()
}

pub(crate) fn one(message: &[u8], wanted: u64) -> Option<Vec<u8>> {
    all(message, wanted).pop()
}

fn whole(message: &[u8], wanted: u64) -> u64 {
    let found = fields(message).into_iter().find_map(|(number, value)| match value {
        Value::Number(value) if number == wanted => Some(value),
        _ => None,
    });
    found.unwrap_or(0)
}

fn text(bytes: Option<Vec<u8>>) -> String {
    String::from_utf8(bytes.unwrap_or_default()).unwrap()
}

/// The message that Envoy would send for a request with these headers, merged as Envoy merges them.
pub(crate) fn check_request(method: &str, host: &str, path: &[u8], headers: &[String], principal: &str) -> Vec<u8> {
    let mut merged: Vec<(String, Vec<u8>)> = Vec::new();
    for line in headers {
        let (name, value) = line.split_once(": ").unwrap();
        let (name, value) = (name.to_ascii_lowercase(), bytes(value));
        match merged.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => known.extend([b",".as_slice(), &value].concat()),
            None => merged.push((name, value)),
        }
    }
    let mut http = [field(2, method.as_bytes()), field(4, path), field(5, host.as_bytes()), field(10, b"HTTP/1.1")].concat();
    for (name, value) in merged {
        http.extend(field(3, &[field(1, name.as_bytes()), field(2, &value)].concat()));
    }
    let source = field(4, principal.as_bytes());
    field(1, &[field(1, &source), field(4, &field(2, &http))].concat())
}

// ---- gRPC -------------------------------------------------------------------------------------------------------------------------

/// Calls a method with one message: how it went, and the message that came back.
pub(crate) fn call(port: u16, method: &str, metadata: &[String], message: &[u8]) -> (Option<u32>, Vec<u8>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let (sender, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let mut head =
            Request::builder().method("POST").uri(format!("http://localhost{method}")).header("content-type", "application/grpc");
        for line in metadata {
            let (name, value) = line.split_once(": ").unwrap();
            head = head.header(name.to_ascii_lowercase(), value);
        }
        let mut sender = sender.ready().await.unwrap();
        let (answer, mut body) = sender.send_request(head.header("te", "trailers").body(()).unwrap(), false).unwrap();
        let framed = [&[0], u32::try_from(message.len()).unwrap().to_be_bytes().as_slice(), message].concat();
        body.send_data(Bytes::from(framed), true).unwrap();
        let answer = tokio::time::timeout(PATIENCE, answer).await.unwrap().unwrap();
        let status = |headers: &http::HeaderMap| headers.get("grpc-status").and_then(|code| code.to_str().unwrap().parse().ok());
        if let Some(code) = status(answer.headers()) {
            return (Some(code), Vec::new());
        }
        let mut body = answer.into_body();
        let mut bytes = Vec::new();
        while let Some(part) = body.data().await {
            let part = part.unwrap();
            body.flow_control().release_capacity(part.len()).unwrap();
            bytes.extend_from_slice(&part);
        }
        let trailers = body.trailers().await.unwrap().unwrap_or_default();
        (status(&trailers), bytes.split_off(bytes.len().min(5)))
    })
}

/// What Envoy makes of an answer: a status, the headers that are set, the body. 200 is an allow; an `error_response` has `error: ` for its
/// first header.
pub(crate) fn checked(port: u16, metadata: &[String], message: &[u8]) -> Told {
    let (code, answer) = call(port, "/envoy.service.auth.v3.Authorization/Check", metadata, message);
    if code != Some(0) {
        return Told { status: 0, headers: vec![format!("grpc-status: {}", code.unwrap_or(99))], body: String::new() };
    }
    let set = |message: &[u8]| {
        let of = |option: &Vec<u8>| {
            let header = one(option, 1).unwrap();
            assert_eq!(whole(option, 3), 2, "a header is to overwrite what the client sent");
            format!("{}: {}", text(one(&header, 1)), text(one(&header, 2)))
        };
        all(message, 2).iter().map(of).collect::<Vec<_>>()
    };
    let rpc = one(&answer, 1).map_or(0, |status| whole(&status, 1));
    let mut told = if let Some(ok) = one(&answer, 3) {
        assert_eq!(rpc, 0);
        let removed = all(&ok, 5).into_iter().map(|name| format!("removed: {}", text(Some(name))));
        Told { status: 200, headers: set(&ok).into_iter().chain(removed).collect(), body: String::new() }
    } else {
        let (answer, error) = one(&answer, 2).map_or_else(|| (one(&answer, 5).unwrap(), true), |denied| (denied, false));
        let status = u16::try_from(whole(&one(&answer, 1).unwrap(), 1)).unwrap();
        let mut headers = set(&answer);
        headers.extend(error.then(|| "error: yes".to_owned()));
        Told { status, headers, body: text(one(&answer, 3)) }
    };
    told.headers.push(format!("rpc: {rpc}"));
    for entry in one(&answer, 4).map(|metadata| all(&metadata, 1)).unwrap_or_default() {
        let value = one(&entry, 2).unwrap();
        let shown = one(&value, 3).map_or_else(|| whole(&value, 4).to_string(), |value| text(Some(value)));
        told.headers.push(format!("metadata {}: {shown}", text(one(&entry, 1))));
    }
    told
}
