//! Listeners that serve one plane, and one for processes of this machine.

use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;

use elevon::domain::Uid;
use elevon::http::Planes;
use elevon::identity::{Accepted, PeerEntry, Peers};

use crate::help::{Client, Edge, PATIENCE, accepting, check, get, listen, post, unix};
use crate::lane::settles;

#[test]
fn what_a_listener_does_not_serve_is_not_there() {
    let mut checks = listen();
    checks.planes = Planes { check: true, control: false };
    let mut control = listen();
    control.planes = Planes { check: false, control: true };
    let edge = Edge::on(vec![checks, control]);
    let on = |at: usize| Client::over(std::net::TcpStream::connect(edge.addresses[at]).unwrap());
    let elevated = "/v1/elevated?principal_type=User&principal_id=alice&role=reader";
    let metadata = "/.well-known/authzen-configuration";
    let rows = [
        (check(), true, false),
        (get("/access/v1/evaluation", "x"), true, false),
        (get(elevated, "User::\"alice\""), true, false),
        (get(metadata, "x"), true, false),
        (get("/v1/me", "User::\"alice\""), false, true),
        (get("/v1/activations", "not a credential"), false, true),
        (post("/v1/activations", "User::\"alice\"", "Content-Length: 0\r\n"), false, true),
        (get("/metrics", "x"), false, true),
        (get("/healthz", "x"), true, true),
        (get("/readyz", "x"), true, true),
        (get("/nothing", "x"), false, false),
    ];
    for (request, by_checks, by_control) in rows {
        for (at, served) in [(0, by_checks), (1, by_control)] {
            let answer = on(at).ask(&request);
            let there = !(answer.status == 404 && answer.rule() == "no_such_endpoint");
            assert_eq!(there, served, "{request} at {at}: {answer:?}");
        }
    }
}

#[test]
fn the_kernel_says_who_is_at_the_other_end_of_a_socket() {
    let home = tempfile::tempdir().unwrap();
    let (uid, gid) = home.path().metadata().map(|meta| (meta.uid(), meta.gid())).unwrap();
    let (path, at) = unix(&home);
    let table = |uid: u32| {
        let principal = Uid::parse("User::\"alice\"").unwrap();
        Peers::new(vec![PeerEntry { uid: Some(uid), gid: Some(gid), principal, groups: Vec::new() }]).unwrap()
    };
    let accepts = accepting(Accepted::Unix(table(uid)));
    let mut listen = listen();
    (listen.at, listen.accepts) = (at, accepts.clone());
    listen.limits.connections_per_peer = 2;
    let edge = Edge::within(home, vec![listen]);
    let connect = || {
        let stream = UnixStream::connect(&path).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Client::over(stream)
    };
    let plain = "GET /v1/me HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut client = connect();
    let answer = client.ask(plain);
    assert_eq!((answer.status, answer.json()["principal"]["id"].as_str()), (200, Some("alice")), "{answer:?}");
    // A header says nothing here, and is not passed over.
    assert_eq!(client.ask(get("/v1/me", "User::\"carol\"")).status, 401);
    // What is taken changes for connections that are open, too.
    let others =
        Peers::new(vec![PeerEntry { uid: Some(uid + 1), gid: None, principal: Uid::parse("User::\"bob\"").unwrap(), groups: Vec::new() }]);
    accepts.store(std::sync::Arc::new(elevon::identity::Accepts::new(vec![Accepted::Unix(others.unwrap())]).unwrap()));
    assert_eq!(client.ask(plain).status, 401);
    // A user has so many connections and no more.
    let mut second = connect();
    assert_eq!(second.ask("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").status, 200);
    connect().ends();
    edge.counts("elevon_http_connections_refused_total{why=\"peer\"}", 1);
}

#[test]
fn a_socket_of_this_machine_settles_as_well() {
    let home = tempfile::tempdir().unwrap();
    let (path, at) = unix(&home);
    let mut listen = listen();
    listen.at = at;
    let edge = Edge::within(home, vec![listen]);
    let stream = UnixStream::connect(&path).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    settles(&edge, &mut Client::over(stream), &get("/healthz", "Service::\"gateway\""));
}
