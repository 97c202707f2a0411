//! Policies, health, metrics, and a server that keeps answering.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::help::{Api, call, question};

const FREEZE: &str = "@id(\"freeze\")\nforbid(principal, action, resource is Database);\n";

#[test]
fn a_reload_takes_the_folder_whole_or_not_at_all() {
    let api = Api::start();
    let refused = api.send(&call("POST", "/v1/policies/reload").by("dave"));
    assert_eq!((refused.status, refused.rule().as_str()), (403, "not_permitted"));
    let before = api.get("carol", "/v1/policies");
    assert_eq!((&before["degraded"], &before["last_error"]), (&json!(false), &json!(null)), "{before}");
    assert_eq!(api.post("carol", "/v1/policies/reload", &json!({}), 200)["outcome"], "unchanged");
    assert!(api.decides("alice", "list", ("Database", "orders-staging")).0);

    // The policy tests of the sample expect what this forbids, so that it is refused for them.
    fs::write(api.policies().join("zz.cedar"), FREEZE).unwrap();
    let bad = api.send(&call("POST", "/v1/policies/reload").by("carol"));
    assert_eq!((bad.status, bad.rule().as_str()), (422, "bundle_invalid"), "{}", bad.text);
    fs::write(api.policies().join("zz.cedar"), "permit(principal, action, resource)\n").unwrap();
    let bad = api.send(&call("POST", "/v1/policies/reload").by("carol"));
    assert_eq!((bad.status, &bad.json()["problems"][0]["file"]), (422, &json!("zz.cedar")), "{}", bad.text);
    let after = api.get("carol", "/v1/policies");
    assert_eq!((&after["revision"], &after["degraded"]), (&before["revision"], &json!(true)), "{after}");
    let ready = api.send(&call("GET", "/readyz"));
    assert_eq!((ready.status, &ready.json()["degraded"]), (200, &json!(true)));
    assert!(!ready.text.contains("zz.cedar"));
    assert!(api.decides("alice", "list", ("Database", "orders-staging")).0);

    fs::write(api.policies().join("zz.cedar"), "@id(\"zz\")\nforbid(principal == User::\"nobody-at-all\", action, resource);\n").unwrap();
    let taken = api.send(&call("POST", "/v1/policies/reload").by("carol"));
    assert!(taken.status == 200, "{}", taken.text);
    let after = api.get("carol", "/v1/policies");
    assert_ne!(after["revision"], before["revision"]);
    assert_eq!(after["degraded"], json!(false), "{after}");
}

#[test]
fn an_edit_goes_live_by_itself() {
    let api = Api::start();
    let before = api.get("carol", "/v1/policies")["revision"].clone();
    fs::write(api.policies().join("zz.cedar"), "@id(\"zz\")\nforbid(principal == User::\"nobody-at-all\", action, resource);\n").unwrap();
    let began = Instant::now();
    while api.get("carol", "/v1/policies")["revision"] == before {
        assert!(began.elapsed() < Duration::from_secs(20), "the edit did not go live");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_bundle_can_be_tried_without_going_live() {
    let api = Api::start();
    let before = api.seq();
    let bad = json!({ "files": { "a.cedar": "permit(principal, action resource);" } });
    let tried = api.post("carol", "/v1/policies/validate", &bad, 200);
    assert_eq!(tried["valid"], json!(false), "{tried}");
    assert!(!tried["problems"].as_array().unwrap().is_empty());
    let mut files = serde_json::Map::new();
    for part in ["", "conditions", "tests"] {
        for entry in fs::read_dir(api.policies().join(part)).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_file() {
                let name = entry.file_name().into_string().unwrap();
                let path = if part.is_empty() { name } else { format!("{part}/{name}") };
                files.insert(path, fs::read_to_string(entry.path()).unwrap().into());
            }
        }
    }
    let good = api.post("carol", "/v1/policies/validate", &json!({ "files": files }), 200);
    assert_eq!((&good["valid"], &good["revision"]), (&json!(true), &api.get("carol", "/v1/policies")["revision"]), "{good}");
    assert!(good["tests"].as_array().unwrap().iter().all(|test| test["passed"] == json!(true)));
    assert_eq!(api.send(&call("POST", "/v1/policies/validate").by("dave").json(&bad)).status, 403);
    assert_eq!(api.seq(), before);
}

#[test]
fn a_broken_folder_at_start_leaves_the_last_good_bundle_serving() {
    let api = Api::start();
    let revision = api.get("carol", "/v1/policies")["revision"].clone();
    fs::write(api.policies().join("zz.cedar"), "permit(").unwrap();
    let api = api.again();
    assert_eq!(api.get("carol", "/v1/policies")["revision"], revision);
    let ready = api.send(&call("GET", "/readyz"));
    assert_eq!((ready.status, &ready.json()["degraded"]), (200, &json!(true)));
    assert!(api.decides("alice", "list", ("Database", "orders-staging")).0);
}

#[test]
fn metrics_tell_what_happened_and_not_to_whom() {
    let api = Api::start();
    api.decides("alice", "write", ("Database", "orders"));
    api.alice_is_eligible();
    api.alice_asks();
    let answer = api.send(&call("GET", "/metrics"));
    assert!(answer.header("content-type").starts_with("application/openmetrics-text"));
    for line in [
        "elevon_checks_total{outcome=\"deny\",reason=\"no_permit\"} 1",
        "elevon_commands_total{command=\"request_activation\",result=\"done\",rule=\"\"} 1",
        "elevon_check_duration_seconds_count 1",
        "elevon_time_trusted 1",
        "elevon_activations_active 0",
        "elevon_http_requests_total{method=\"POST\",route=\"/access/v1/evaluation\",status=\"200\"} 1",
    ] {
        assert!(answer.text.lines().any(|told| told == line), "{line} is not in\n{}", answer.text);
    }
    assert!(answer.text.contains("elevon_bundle_revision{revision=\""));
    assert!(answer.text.contains("elevon_journal_commit_seconds_bucket"));
    assert!(!answer.text.contains("alice"));
    assert!(answer.text.ends_with("# EOF\n"));
}

#[test]
fn every_answer_says_not_to_be_kept_or_sniffed() {
    let api = Api::start();
    for path in ["/healthz", "/v1/me", "/v1/none", "/metrics"] {
        let answer = api.send(&call("GET", path).by("alice").header("x-request-id", "abc"));
        for (name, value) in [("cache-control", "no-store"), ("x-content-type-options", "nosniff"), ("x-request-id", "abc")] {
            assert_eq!(answer.header(name), value, "{path} {name}");
        }
        assert!(answer.seq() > 0, "{path}");
    }
    let long = api.send(&call("GET", "/healthz").header("x-request-id", &"x".repeat(300)));
    assert!(!long.header("x-request-id").starts_with("xxx"));
}

/// Sends bytes as they are, and reads until the other side closes.
fn raw(api: &Api, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", api.port())).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    // a server that has refused already may have closed before everything is written
    let _ = stream.write_all(bytes);
    let mut text = Vec::new();
    let _ = stream.read_to_end(&mut text);
    String::from_utf8_lossy(&text).into_owned()
}

#[test]
fn nonsense_on_a_connection_harms_nobody_else() {
    let api = Api::start();
    let rows: [(&[u8], &str); 6] = [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "HTTP/1.1 400"),
        (b"GET\r\n\r\n", "HTTP/1.1 400"),
        (b"GET / HTTP/1.1\r\nconnection: close\r\n\r\n", "HTTP/1.1 421"),
        (b"GET / HTTP/1.1\r\nhost: localhost\r\nhost: evil.example\r\nconnection: close\r\n\r\n", "HTTP/1.1 400"),
        (b"GET http://evil.example/healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n", "HTTP/1.1 421"),
        (b"POST /v1/activations HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n", "HTTP/1.1 4"),
    ];
    for (bytes, begins) in rows {
        let told = raw(&api, bytes);
        assert!(told.starts_with(begins), "{:?}: {told}", String::from_utf8_lossy(bytes));
    }
    let headers = format!("GET /healthz HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n", "y".repeat(64 * 1024));
    assert!(raw(&api, headers.as_bytes()).starts_with("HTTP/1.1 431"));
    let short = b"POST /access/v1/evaluation HTTP/1.1\r\nhost: localhost\r\nauthorization: Dev Service::\"gateway\"\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{";
    let mut stream = TcpStream::connect(("127.0.0.1", api.port())).unwrap();
    stream.write_all(short).unwrap();
    drop(stream);
    assert!(!api.decides("alice", "write", ("Database", "orders-staging")).0);
}

#[test]
fn an_explanation_says_what_counted_and_why_the_rest_did_not() {
    let api = Api::start();
    api.alice_is_eligible();
    let asked = api.alice_asks();
    let path = format!("/v1/activations/{}/approve", asked["id"].as_str().unwrap());
    api.post("bob", &path, &json!({ "request_hash": asked["request_hash"] }), 200);
    let explain = |action: &str, resource| api.post("carol", "/v1/explain", &question("alice", action, resource), 200);
    let yes = explain("write", ("Database", "orders"));
    assert_eq!((&yes["decision"], &yes["holdings"][0]["counts"]), (&json!(true), &json!(true)), "{yes}");
    assert!(!yes["policies"].as_array().unwrap().is_empty());
    let no = explain("write", ("Database", "orders-staging"));
    assert_eq!((&no["decision"], &no["holdings"][0]["counts"]), (&json!(false), &json!(false)), "{no}");
    assert_eq!(no["holdings"][0]["why_not"]["reason"], "out_of_scope");
    let mut with = question("alice", "write", ("Database", "orders"));
    with["context"] = json!({ "now": "2000-01-01T00:00:00Z", "unheard_of": 1 });
    let dropped = api.post("carol", "/v1/explain", &with, 200);
    assert!(dropped["context_dropped"].as_array().unwrap().contains(&json!("unheard_of")), "{dropped}");
    assert_eq!(api.send(&call("POST", "/v1/explain").by("dave").json(&with)).status, 403);
}
