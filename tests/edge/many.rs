//! Clients that are many, or ask for much.

use std::thread;
use std::time::Duration;

use crate::help::{Edge, bounded, check, command, get, post, until};

#[test]
fn more_connections_than_a_peer_may_have_are_refused_and_others_are_served() {
    let edge = Edge::start(bounded(|limits| {
        limits.connections = 400;
        limits.connections_per_peer = 100;
    }));
    let mut mine = edge.connect();
    mine.checks();
    let mut others: Vec<_> = (0..1_100).map(|_| edge.connect_from("127.0.0.2")).collect();
    edge.counts("elevon_http_connections_refused_total{why=\"peer\"}", 1_000);
    assert_eq!(edge.counted("elevon_http_connections_refused_total{why=\"peer\"}"), 1_000);
    // The rest of its connections are as good as any, and so are those of others.
    let served = others.iter_mut().filter_map(|one| one.send(get("/healthz", "x")).then(|| one.answer()).flatten()).count();
    assert_eq!(served, 100);
    mine.checks();
    edge.connect_from("127.0.0.3").checks();
    drop(others);
    until(|| (edge.counted("elevon_http_connections") <= 2).then_some(()), || "they still count".to_owned());
    edge.connect_from("127.0.0.2").checks();
}

#[test]
fn more_connections_than_there_may_be_are_closed_at_once() {
    let edge = Edge::start(bounded(|limits| limits.connections = 3));
    let mut open: Vec<_> = (0..3).map(|_| edge.connect()).collect();
    open.iter_mut().for_each(|one| one.checks());
    edge.connect().ends();
    edge.counts("elevon_http_connections_refused_total{why=\"full\"}", 1);
    open.iter_mut().for_each(|one| one.checks());
    open.pop();
    until(|| (edge.counted("elevon_http_connections") == 2).then_some(()), || "it still counts".to_owned());
    edge.connect().checks();
}

#[test]
fn who_fills_the_server_and_asks_nothing_makes_room_for_who_asks() {
    let edge = Edge::start(bounded(|limits| limits.connections = 50));
    let mut mine = edge.connect();
    mine.checks();
    // More silent connections than there are places, from two addresses; all places but one are theirs.
    let mut silent: Vec<_> = (0..100).map(|number| edge.connect_from(if number % 2 == 0 { "127.0.0.2" } else { "127.0.0.3" })).collect();
    for _ in 0..20 {
        edge.connect().checks();
        mine.checks();
    }
    silent[0].ends();
    edge.counts("elevon_http_connections_cut_total{why=\"made_room\"}", 51);
    assert_eq!(edge.counted("elevon_http_connections_refused_total{why=\"full\"}"), 0);
}

#[test]
fn a_control_plane_that_is_full_turns_away_at_once_and_checks_go_on() {
    let edge = Edge::start(bounded(|limits| limits.control_in_flight = 2));
    let body = "{\"role\":\"reader\",\"justification\":\"looking around\"}";
    let head = post("/v1/activations", "User::\"alice\"", &format!("Content-Length: {}\r\n", body.len()));
    let mut held: Vec<_> = (0..2).map(|_| edge.connect()).collect();
    held.iter_mut().for_each(|one| assert!(one.send(&head)));
    // Both have their places from here on, for as long as their bodies do not come.
    edge.counts("elevon_http_requests_in_flight{plane=\"control\"}", 2);
    let refused = edge.connect().ask(get("/v1/me", "User::\"alice\""));
    assert_eq!((refused.status, refused.rule().as_str()), (503, "busy"));
    assert_eq!(refused.header("retry-after").as_deref(), Some("1"));
    let mut client = edge.connect();
    for _ in 0..200 {
        client.checks();
    }
    for path in ["/healthz", "/readyz"] {
        assert_eq!(client.ask(get(path, "x")).status, 200, "{path}");
    }
    assert_eq!(client.ask(get("/v1/me", "User::\"alice\"")).status, 503);
    edge.counts("elevon_http_requests_shed_total{plane=\"control\"}", 2);
    assert_eq!(edge.counted("elevon_http_requests_shed_total{plane=\"check\"}"), 0);
    for one in &mut held {
        let answer = one.ask(body);
        assert!(answer.status < 500, "{answer:?}");
    }
    assert_eq!(client.ask(get("/v1/me", "User::\"alice\"")).status, 200);
}

#[test]
fn checks_beyond_their_bound_are_told_to_come_back() {
    let edge = Edge::start(bounded(|limits| limits.checks_in_flight = 1));
    let mut held = edge.holds(9);
    let refused = edge.connect().ask(check());
    assert_eq!(refused.status, 503);
    assert_eq!(refused.header("content-type").as_deref(), Some("text/plain; charset=utf-8"), "as AuthZEN wants it");
    assert_eq!(refused.header("retry-after").as_deref(), Some("1"));
    assert_eq!(edge.connect().ask(get("/v1/me", "User::\"alice\"")).status, 200);
    held.send("not json!");
    assert_eq!(held.answer().unwrap().status, 400);
    edge.connect().checks();
}

#[test]
fn who_gives_too_many_commands_is_told_when_to_come_back_and_checks_are_not_counted() {
    let edge = Edge::start(bounded(|limits| {
        limits.commands_per_second = 1;
        limits.command_burst = 3;
    }));
    let mut client = edge.connect();
    let keyed = |key: usize| command("User::\"alice\"", &format!("Idempotency-Key: key-{key}\r\n"));
    let (mut key, mut last) = (0, None);
    until(
        || {
            key += 1;
            let answer = client.ask(keyed(key));
            assert!(answer.status == 429 || answer.status < 500, "{answer:?}");
            last = (answer.status == 429).then_some(answer);
            last.as_ref().map(|_| ())
        },
        || "no command is refused".to_owned(),
    );
    let refused = last.unwrap();
    assert_eq!(refused.rule(), "rate_limited");
    assert!(key > 3, "the burst was let through, and then {key} was not");
    let seconds: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    for _ in 0..20 {
        client.checks();
        assert_eq!(client.ask(get("/v1/me", "User::\"alice\"")).status, 200, "reading is not counted");
    }
    assert_ne!(client.ask(command("User::\"bob\"", "")).status, 429, "another caller has an allowance of its own");
    // The refusal was not remembered: the same key gets the answer that it would have got.
    thread::sleep(Duration::from_secs(seconds));
    let again = until(
        || {
            let answer = client.ask(keyed(key));
            (answer.status != 429).then_some(answer)
        },
        || "it is refused for ever".to_owned(),
    );
    assert_eq!(again.header("elevon-repeated"), None, "{again:?}");
    edge.counts("elevon_commands_rate_limited_total", 1);
}

#[test]
fn a_bulk_command_counts_as_many_as_it_carries() {
    let edge = Edge::start(bounded(|limits| {
        limits.commands_per_second = 1;
        limits.command_burst = 20;
    }));
    let items: Vec<_> = (0..19).map(|_| serde_json::json!({ "role": "reader", "justification": "looking around" })).collect();
    let body = serde_json::json!({ "items": items }).to_string();
    let bulk = post("/v1/activations/bulk", "User::\"alice\"", &format!("Content-Length: {}\r\n", body.len())) + &body;
    let mut client = edge.connect();
    assert_eq!(client.ask(&bulk).status, 200);
    assert_eq!(client.ask(&bulk).rule(), "rate_limited");
}
