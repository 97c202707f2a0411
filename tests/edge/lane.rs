//! Plain checks are answered in a lane of their own. Nobody can tell but by a clock.

use std::io::{Read, Write};
use std::thread;
use std::time::Duration;

use crate::help::{Answer, Client, Edge, bounded, check, get, listen, post, question};

/// What an answer is but for what differs between any two.
fn same_in_every(answer: &Answer) -> (u16, Vec<String>, String) {
    let differs = |line: &&str| !line.starts_with("date: ") && !line.starts_with("x-request-id: ");
    let mut lines: Vec<String> = answer.head.lines().filter(differs).map(str::to_owned).collect();
    lines.sort_unstable();
    (answer.status, lines, answer.body.clone())
}

fn with(who: &str, more: &str, body: &str) -> String {
    post("/access/v1/evaluation", who, &format!("Content-Length: {}\r\n{more}", body.len())) + body
}

/// `Elevon-Min-Seq: 0` asks for nothing that is not so, and is not for the lane.
#[test]
fn an_answer_is_the_same_in_the_lane_and_out_of_it() {
    let edge = Edge::start(listen());
    let plain = question().to_string();
    let context = r#"{"subject":{"type":"User","id":"alice"},"action":{"name":"write"},"resource":{"type":"Database","id":"orders"},"context":{"x":1}}"#;
    let rows = [
        ("a plain check", "Service::\"gateway\"", "", plain.as_str(), 200),
        ("with headers that mean nothing here", "Service::\"gateway\"", "Accept: */*\r\nX-Y: z\r\nConnection: keep-alive\r\n", &plain, 200),
        ("with its own id", "Service::\"gateway\"", "X-Request-ID: mine\r\n", &plain, 200),
        ("with a context", "Service::\"gateway\"", "", context, 200),
        ("by somebody who may not", "User::\"zelda\"", "", &plain, 403),
        ("by nobody who is known", "Nonsense", "", &plain, 401),
        ("without a question", "Service::\"gateway\"", "", "{}", 400),
        ("with half a question", "Service::\"gateway\"", "", &plain[..plain.len() / 2], 400),
        ("with nothing", "Service::\"gateway\"", "", "", 400),
    ];
    for (what, who, more, body, status) in rows {
        let mut first = edge.connect();
        let lane = [(); 3].map(|()| first.ask(with(who, more, body)));
        let hyper = edge.connect().ask(with(who, &format!("{more}Elevon-Min-Seq: 0\r\n"), body));
        assert_eq!(hyper.status, status, "{what}: {hyper:?}");
        for answer in &lane {
            assert_eq!(same_in_every(answer), same_in_every(&hyper), "{what}");
            assert!(answer.header("date").is_some_and(|date| date.len() == 29 && date.ends_with(" GMT")), "{answer:?}");
        }
        let ids: Vec<_> = lane.iter().chain([&hyper]).map(|answer| answer.header("x-request-id").unwrap()).collect();
        if more.contains("mine") {
            assert!(ids.iter().all(|id| id == "mine"), "{ids:?}");
        } else {
            assert!(ids.iter().all(|id| id.len() == 36) && ids.iter().collect::<std::collections::BTreeSet<_>>().len() == 4, "{ids:?}");
        }
    }
    edge.counts("elevon_http_requests_total{method=\"POST\",route=\"/access/v1/evaluation\",status=\"200\"}", 16);
}

#[test]
fn a_host_that_is_none_is_refused_in_the_lane_too() {
    let edge = Edge::start(listen());
    for host in ["me@localhost", "localhost:x:y", "elsewhere.example", ""] {
        let named = |request: String| request.replacen("Host: localhost", &format!("Host: {host}"), 1);
        let mut client = edge.connect();
        client.checks();
        let lane = client.ask(named(check()));
        let hyper = edge.connect().ask(named(with("Service::\"gateway\"", "Elevon-Min-Seq: 0\r\n", &question().to_string())));
        assert_eq!(same_in_every(&lane), same_in_every(&hyper), "{host}");
        assert!(lane.status >= 400, "{host}: {lane:?}");
    }
}

#[test]
fn what_is_asked_in_one_go_is_answered_in_its_order() {
    let edge = Edge::start(listen());
    let mut client = edge.connect();
    let unknown = question().to_string().replace("alice", "zelda");
    let other = with("Service::\"gateway\"", "X-Request-ID: 3\r\n", &unknown);
    client.send(check() + &check() + &other + &get("/healthz", "x") + &check() + &with("User::\"alice\"", "", "{}") + &check());
    let answers: Vec<Answer> = (0..7).map(|_| client.answer().unwrap()).collect();
    assert_eq!(answers.iter().map(|answer| answer.status).collect::<Vec<_>>(), [200, 200, 200, 200, 200, 400, 200]);
    assert_eq!(answers[2].header("x-request-id").as_deref(), Some("3"));
    assert!(
        answers[2].json()["decision"].is_boolean() && answers[3].json()["decision"].is_null() && answers[4].json()["decision"].is_boolean()
    );
    // more than fits in at once
    client.send(check().repeat(100));
    let mut second = edge.connect();
    second.send(check().repeat(100));
    for client in [&mut client, &mut second] {
        assert!((0..100).all(|_| client.answer().is_some_and(|answer| answer.status == 200)));
    }
}

#[test]
fn a_check_may_come_in_pieces() {
    let edge = Edge::start(listen());
    let request = check();
    let head = request.find("\r\n\r\n").unwrap() + 4;
    let mut client = edge.connect();
    // shorter than it is waited for in the lane, and longer
    for pause in [1, 120] {
        for cut in [5, 40, head - 2, head, head + 1, request.len() - 1] {
            client.send(&request[..cut]);
            thread::sleep(Duration::from_millis(pause));
            assert_eq!(client.ask(&request[cut..]).status, 200, "{cut} after {pause} ms");
            client.checks();
        }
        client = edge.connect();
    }
    // a byte at a time, of two requests
    for byte in request.repeat(2).as_bytes() {
        client.send([*byte]);
    }
    assert!((0..2).all(|_| client.answer().is_some_and(|answer| answer.status == 200)));
}

#[test]
fn a_client_that_asks_and_does_not_read_is_cut_off() {
    let edge = Edge::start(bounded(|limits| limits.write_timeout = Duration::from_millis(200)));
    let mut client = edge.connect();
    client.stream.set_write_timeout(Some(Duration::from_secs(5))).unwrap();
    let many = check().repeat(100);
    while client.send(&many) {}
    edge.counts("elevon_http_connections_cut_total{why=\"unread\"}", 1);
    edge.connect().checks();
}

#[test]
fn what_came_before_the_end_is_answered() {
    let edge = Edge::start(listen());
    let mut client = edge.connect();
    client.send(check().repeat(5));
    client.stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert!((0..5).all(|_| client.answer().is_some_and(|answer| answer.status == 200)));
    assert!(client.answer().is_none());
}

/// Checks, then something else, and checks again: on the threads of those that have settled, and back.
pub(crate) fn settles<S: Read + Write>(edge: &Edge, client: &mut Client<S>, else_asked: &str) {
    client.checks();
    edge.settled(0);
    for _ in 0..10 {
        client.checks();
    }
    edge.settled(1);
    client.send(check() + else_asked);
    assert_eq!(client.answer().map(|answer| answer.status), Some(200), "a check before something else");
    assert_eq!(client.answer().map(|answer| answer.status), Some(200), "{else_asked}");
    edge.settled(0);
    client.checks();
}

#[test]
fn a_connection_that_settles_goes_on_apart_from_the_others_and_comes_back() {
    let edge = Edge::start(listen());
    settles(&edge, &mut edge.connect(), &get("/healthz", "Service::\"gateway\""));
}

#[test]
fn one_that_has_settled_is_held_to_the_same_bounds() {
    let edge = Edge::start(bounded(|limits| {
        limits.idle_timeout = Duration::from_millis(200);
        limits.connections = 2;
        limits.connections_per_peer = 2;
    }));
    let mut client = edge.connect();
    (0..6).for_each(|_| client.checks());
    edge.settled(1);
    client.ends();
    edge.settled(0);
    edge.counts("elevon_http_connections_cut_total{why=\"idle\"}", 1);
    // its place is free again
    let mut others = [edge.connect(), edge.connect()];
    others.iter_mut().for_each(Client::checks);
}

#[test]
fn one_that_has_settled_gets_its_answers_and_ends_with_the_server() {
    let mut edge = Edge::start(listen());
    let mut client = edge.connect();
    (0..6).for_each(|_| client.checks());
    edge.settled(1);
    edge.stopped();
    client.ends();
    edge.settled(0);
}
