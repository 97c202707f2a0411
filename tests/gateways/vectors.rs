//! The table of golden vectors: what each dialect is asked, and what it answers, against the real server.

use serde::Deserialize;

use crate::calls::{Told, bytes, call, check_request, checked, field, plain};
use crate::common::Server;
use crate::world::{ALICE, BOB, activates, asks, eligible, home};

const TABLE: &str = include_str!("vectors.toml");

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    vector: Vec<Vector>,
    hostile: Vec<Hostile>,
    review: Vec<Review>,
}

/// A request through a gateway: as the client sent it, and what is answered in each dialect that is named.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    name: String,
    #[serde(default = "every_dialect")]
    dialects: Vec<String>,
    #[serde(default = "get")]
    method: String,
    host: String,
    path: String,
    /// What the client sent.
    #[serde(default)]
    headers: Vec<String>,
    /// What the gateway adds; over gRPC, it stands on the call.
    #[serde(default)]
    gateway: Vec<String>,
    /// The name in the client's certificate.
    #[serde(default)]
    certificate: String,
    status: u16,
    #[serde(default)]
    expect: Vec<String>,
    #[serde(default)]
    body: Vec<String>,
}

/// A request that is refused, whoever sends it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Hostile {
    name: String,
    #[serde(default = "every_dialect")]
    dialects: Vec<String>,
    #[serde(default = "get")]
    method: String,
    #[serde(default = "db")]
    host: String,
    #[serde(default = "orders")]
    path: String,
    #[serde(default)]
    headers: Vec<String>,
}

/// A SubjectAccessReview.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Review {
    name: String,
    #[serde(default = "main")]
    cluster: String,
    #[serde(default = "the_gateway")]
    who: String,
    body: String,
    status: u16,
    #[serde(default)]
    answer: Option<toml::Value>,
}

fn every_dialect() -> Vec<String> {
    ["envoy-grpc", "envoy-http", "traefik", "caddy", "nginx", "haproxy"].map(str::to_owned).to_vec()
}
fn get() -> String {
    "GET".to_owned()
}
fn db() -> String {
    "db.example".to_owned()
}
fn orders() -> String {
    "/databases/orders".to_owned()
}
fn main() -> String {
    "main".to_owned()
}
fn the_gateway() -> String {
    "Service::\"gateway\"".to_owned()
}

/// Alice holds `db-admin` on prod, and zoe is eligible for it. Bob holds `cluster-admin`. What is told of the two activations, too.
fn world() -> (crate::common::Home, Server, [String; 2]) {
    let home = home();
    let server = home.serve();
    eligible(&server, ALICE, "db-admin");
    eligible(&server, "zoe", "db-admin");
    eligible(&server, BOB, "cluster-admin");
    let id = |activation: serde_json::Value| activation["id"].as_str().unwrap().to_owned();
    let activations = [id(activates(&server, ALICE)), id(asks(&server, BOB, "cluster-admin"))];
    (home, server, activations)
}

/// Sends a request in a dialect, the way the gateway does.
fn through(server: &Server, dialect: &str, request: &Vector) -> Told {
    let (port, path) = (server.port(), bytes(&request.path));
    let mut headers = request.headers.clone();
    let original = |prefix: &str, uri: &str| {
        vec![
            format!("{prefix}-Method: {}", request.method),
            format!("{prefix}-Host: {}", request.host),
            format!("{prefix}-{uri}: {}", request.path),
        ]
    };
    if dialect == "envoy-grpc" {
        return checked(port, &request.gateway, &check_request(&request.method, &request.host, &path, &headers, &request.certificate));
    }
    // what the gateway sets stands there instead of the client's
    let name = |line: &str| line.split(':').next().unwrap_or_default().to_ascii_lowercase();
    headers.retain(|line| !request.gateway.iter().any(|set| name(set) == name(line)));
    headers.extend(request.gateway.clone());
    if !request.certificate.is_empty() {
        headers.push(format!("X-Forwarded-Client-Cert: Hash=00;URI={}", request.certificate));
    }
    let (method, at) = match dialect {
        "envoy-http" => {
            headers.push(format!("Host: {}", request.host));
            (request.method.as_str(), [b"/gateway/envoy".as_slice(), &path].concat())
        }
        "traefik" | "caddy" => {
            headers.extend(original("X-Forwarded", "Uri"));
            ("GET", format!("/gateway/{dialect}").into_bytes())
        }
        "nginx" | "haproxy" => {
            headers.extend(original("X-Original", "URI"));
            (if dialect == "nginx" { "GET" } else { "HEAD" }, format!("/gateway/{dialect}").into_bytes())
        }
        other => panic!("there is no dialect `{other}`"),
    };
    plain(port, method, &at, &headers, "")
}

fn expected_status(dialect: &str, status: u16) -> u16 {
    // these two take 400 for a fault of Elevon's
    if ["nginx", "haproxy"].contains(&dialect) && status == 400 { 403 } else { status }
}

#[test]
fn each_dialect_answers_as_the_table_says() {
    let table: Table = toml::from_str(TABLE).unwrap();
    let (_home, server, [activation, _]) = world();
    for vector in &table.vector {
        for dialect in &vector.dialects {
            let told = through(&server, dialect, vector);
            let shown = || format!("{} by {dialect}: {told:#?}", vector.name);
            assert_eq!(told.status, expected_status(dialect, vector.status), "{}", shown());
            for line in &vector.expect {
                // what only one dialect says has that dialect in front
                let line = match line.split_once("> ") {
                    Some((only, _)) if only != dialect => continue,
                    Some((_, line)) => line,
                    None => line,
                };
                let line = line.replace("ACTIVATION", &activation);
                assert!(told.headers.iter().any(|header| header.starts_with(&line)), "{line} of {}", shown());
            }
            if dialect != "haproxy" {
                for part in &vector.body {
                    assert!(told.body.contains(part.as_str()), "`{part}` in {}", shown());
                }
            }
            let cached = told.headers.iter().any(|header| header.starts_with("cache-control: max-age"));
            assert!(!cached || told.status == 200, "only an allow may be kept: {}", shown());
            let identity = told.headers.iter().filter(|header| header.starts_with("x-elevon-")).count();
            assert_eq!(identity, if told.status == 200 { 4 } else { 0 }, "{}", shown());
        }
    }
}

#[test]
fn what_can_be_read_in_two_ways_is_refused_by_each_dialect() {
    let table: Table = toml::from_str(TABLE).unwrap();
    let (_home, server, _) = world();
    for hostile in &table.hostile {
        for dialect in &hostile.dialects {
            let request = Vector {
                name: hostile.name.clone(),
                dialects: Vec::new(),
                method: hostile.method.clone(),
                host: hostile.host.clone(),
                path: hostile.path.clone(),
                // with the credential of somebody who may
                headers: hostile.headers.iter().cloned().chain(["Authorization: Dev User::\"alice\"".to_owned()]).collect(),
                gateway: Vec::new(),
                certificate: String::new(),
                status: 400,
                expect: Vec::new(),
                body: Vec::new(),
            };
            let told = through(&server, dialect, &request);
            let refused = told.status == expected_status(dialect, 400);
            assert!(refused, "{} by {dialect}: {told:#?}", hostile.name);
        }
    }
}

#[test]
fn clusters_are_answered_in_the_version_that_they_ask_in() {
    let table: Table = toml::from_str(TABLE).unwrap();
    let (_home, server, [_, activation]) = world();
    for review in &table.review {
        let headers = [format!("Authorization: Dev {}", review.who), "Content-Type: application/json".to_owned()];
        let headers = if review.who.is_empty() { &headers[1..] } else { &headers[..] };
        let told = plain(server.port(), "POST", format!("/gateway/kubernetes/{}", review.cluster).as_bytes(), headers, &review.body);
        assert_eq!(told.status, review.status, "{}: {told:#?}", review.name);
        let Some(answer) = &review.answer else { continue };
        let body: serde_json::Value = serde_json::from_str(&told.body).unwrap();
        let sent: serde_json::Value = serde_json::from_str(&review.body).unwrap();
        assert_eq!(
            (&body["apiVersion"], &body["kind"], &body["spec"]),
            (&sent["apiVersion"], &sent["kind"], &sent["spec"]),
            "{}",
            review.name
        );
        let answer = serde_json::to_string(answer).unwrap().replace("ACTIVATION", &activation);
        assert_eq!(body["status"], serde_json::from_str::<serde_json::Value>(&answer).unwrap(), "{}", review.name);
    }
}

#[test]
fn health_is_told_as_grpc_tells_it() {
    let (_home, server, _) = world();
    let health = |message: &[u8]| call(server.port(), "/grpc.health.v1.Health/Check", &[], message);
    let serving = (Some(0), vec![0x08, 0x01]);
    assert_eq!(health(b""), serving);
    assert_eq!(health(&field(1, b"envoy.service.auth.v3.Authorization")), serving);
    assert_eq!(health(&field(1, b"other")).0, Some(5));
    assert_eq!(call(server.port(), "/grpc.health.v1.Health/Watch", &[], b"").0, Some(12));
    assert_eq!(call(server.port(), "/envoy.service.auth.v3.Authorization/Other", &[], b"").0, Some(12));
    // a message that cannot be read is an error, and no decision
    assert_eq!(checked(server.port(), &[], b"\x0a\x05a").headers, ["grpc-status: 3"]);
    // and over HTTP/1.1 there is no gRPC
    let told =
        plain(server.port(), "POST", b"/envoy.service.auth.v3.Authorization/Check", &["Content-Type: application/grpc".to_owned()], "");
    assert_eq!(told.status, 415, "{told:?}");
}
