//! Paths and headers that mean one thing to whoever guards the door and another to whoever is behind it.

use serde_json::json;

use crate::help::{Api, PROD, call, id};
use crate::raw::{request, send};

const ALICE: &[u8] = b"authorization: Dev User::\"alice\"";

/// Path tricks (CVE-2021-31920): a path is matched as it was sent. It is neither merged, nor resolved, nor decoded twice; what is not spelt like an
/// endpoint is none.
#[test]
fn paths_are_matched_as_they_were_sent_and_never_repaired() {
    let api = Api::start();
    let before = api.seq();
    let rows: [(&str, u16); 22] = [
        ("/v1/..//me", 404),
        ("/v1//me", 404),
        ("//v1/me", 404),
        ("/v1/me/", 404),
        ("/v1/./me", 404),
        ("/v1/roles/../me", 404),
        ("/v1/roles/%2e%2e/me", 404),
        ("/v1%2fme", 404),
        ("/v1%2Fme", 404),
        ("/v1/%6de", 404),
        ("/v1/%256de", 404),
        ("/V1/me", 404),
        ("/v1/me;x=1", 404),
        ("/v1/me%00", 404),
        ("/v1/me%20", 404),
        ("/v1\\me", 404),
        ("/healthz/../v1/me", 404),
        ("/access/v1/evaluation/../../../v1/me", 404),
        ("/v1/activations/..", 404),
        ("/v1/activations/%2e%2e%2fme", 404),
        ("/v1/activations/a%252fb", 404),
        ("/v1/activations/a%2500b", 404),
    ];
    for (path, status) in rows {
        let reply = send(api.port(), &request("GET", path.as_bytes(), &[ALICE], b""));
        // a server may also refuse to read such a target at all
        assert!(reply.status == status || reply.status == 400, "{path}: {reply:?}");
        assert!(!reply.body.contains("\"groups\""), "{path} did not come to /v1/me: {reply:?}");
    }
    for path in ["/v1/activations/%00", "/v1/activations/%ff", "/v1/activations/%c0%ae", "/v1/activations/%e2%80%ae"] {
        let reply = send(api.port(), &request("GET", path.as_bytes(), &[ALICE], b""));
        assert_eq!((reply.status, reply.rule().as_str()), (400, "bad_parameter"), "{path}: {reply:?}");
    }
    for target in [&b"/v1/\xff"[..], b"/v1/me\x00", b"/v1/me\x0b", b"v1/me", b"", b"*"] {
        let reply = send(api.port(), &request("GET", target, &[ALICE], b""));
        assert!([400, 404, 405].contains(&reply.status), "{target:?}: {reply:?}");
    }
    assert_eq!(api.seq(), before);
}

/// Path tricks (CVE-2021-31920): an id in a path is one segment, decoded once, and compared byte for byte; no encoding of it reaches another one, and no
/// spelling of a command's path avoids what is asked before it.
#[test]
fn an_encoded_id_is_the_id_or_nothing() {
    let api = Api::start();
    api.alice_is_eligible();
    let asked = api.alice_asks();
    let name = id(&asked).to_owned();
    let encoded: String = name.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let shown = api.get("alice", &format!("/v1/activations/{encoded}"));
    assert_eq!(shown["id"], asked["id"]);
    let twice = encoded.replace('%', "%25");
    let hash = asked["request_hash"].clone();
    for path in [
        format!("/v1/activations/{twice}/approve"),
        format!("/v1/activations/{name}/%61pprove"),
        format!("/v1/activations/{name}%2fapprove"),
        format!("/v1/activations/{name}/approve/"),
        format!("/v1/activations/{name}//approve"),
        format!("/v1/activations/x/../{name}/approve"),
    ] {
        let answer = api.send(&call("POST", &path).by("bob").json(&json!({ "request_hash": hash })));
        assert!([404, 405].contains(&answer.status), "{path}: {} {}", answer.status, answer.text);
    }
    // the one that does it is asked about like the plain one
    let path = format!("/v1/activations/{encoded}/approve");
    let answer = api.send(&call("POST", &path).by("alice").json(&json!({ "request_hash": hash })));
    assert_eq!((answer.status, answer.rule().as_str()), (403, "separation_of_duties"), "{}", answer.text);
    assert_eq!(api.get("alice", &format!("/v1/activations/{name}"))["status"], "pending");
}

/// Repeated headers (CVE-2021-32777): where one value is expected, two are refused; neither the first, nor the last, nor both joined by a comma is
/// taken for it.
#[test]
fn a_header_that_is_there_twice_is_refused() {
    let api = Api::start();
    let body = json!({ "role": "reader", "scope": PROD(), "justification": "x" }).to_string();
    let json = &b"content-type: application/json"[..];
    let bob = &b"authorization: Dev User::\"bob\""[..];
    let rows: [(&[&[u8]], u16, &str); 8] = [
        (&[ALICE, bob, json], 401, "bad_credential"),
        (&[ALICE, ALICE, json], 401, "bad_credential"),
        (&[b"authorization: Dev User::\"alice\", Dev User::\"bob\"", json], 401, "bad_credential"),
        (&[ALICE, b"AUTHORIZATION: Dev User::\"bob\"", json], 401, "bad_credential"),
        (&[ALICE, json, b"content-type: text/plain"], 400, "ambiguous_request"),
        (&[ALICE, json, b"idempotency-key: a", b"idempotency-key: b"], 400, "bad_parameter"),
        (&[ALICE, json, b"elevon-min-seq: 1", b"elevon-min-seq: 2"], 400, "bad_parameter"),
        (&[ALICE, json, b"host: evil.example"], 400, "ambiguous_request"),
    ];
    let before = api.seq();
    for (headers, status, rule) in rows {
        let reply = send(api.port(), &request("POST", b"/v1/activations", headers, body.as_bytes()));
        let named: Vec<_> = headers.iter().map(|header| String::from_utf8_lossy(header)).collect();
        assert_eq!((reply.status, reply.rule().as_str()), (status, rule), "{named:?}: {reply:?}");
    }
    // two lengths, or a length and chunks, are two requests to somebody
    for headers in [
        &[ALICE, json, b"content-length: 0"][..],
        &[ALICE, json, b"transfer-encoding: chunked"][..],
        &[ALICE, json, b"transfer-encoding: identity"][..],
        &[ALICE, json, b"content-length: +2"][..],
    ] {
        let reply = send(api.port(), &request("POST", b"/v1/activations", headers, body.as_bytes()));
        assert!(reply.status == 400 || reply.status == 0, "{headers:?}: {reply:?}");
    }
    assert_eq!(api.seq(), before);
}

/// Header values that are not UTF-8 (CVE-2024-23324): a value that cannot be read is a bad one, and never one that is not there.
#[test]
fn a_header_that_is_not_utf8_is_bad_and_not_absent() {
    let api = Api::start();
    let json = &b"content-type: application/json"[..];
    let body = json!({ "role": "reader", "scope": PROD(), "justification": "x" }).to_string();
    let rows: [(&[&[u8]], u16, &str); 5] = [
        (&[b"authorization: \xff", json], 401, "bad_credential"),
        (&[b"authorization: Dev User::\"ali\xc3ce\"", json], 401, "bad_credential"),
        (&[ALICE, b"content-type: application/json\xff"], 400, "bad_parameter"),
        (&[ALICE, json, b"idempotency-key: a\xff"], 400, "bad_parameter"),
        (&[ALICE, json, b"elevon-min-seq: 1\xff"], 400, "bad_parameter"),
    ];
    let before = api.seq();
    for (headers, status, rule) in rows {
        let reply = send(api.port(), &request("POST", b"/v1/activations", headers, body.as_bytes()));
        assert_eq!((reply.status, reply.rule().as_str()), (status, rule), "{headers:?}: {reply:?}");
    }
    let reply = send(api.port(), &request("GET", b"/healthz", &[b"x-request-id: \xff\xfe"], b""));
    assert_eq!((reply.status, reply.rule().as_str()), (400, "bad_parameter"), "{reply:?}");
    assert_eq!(api.seq(), before);
}
