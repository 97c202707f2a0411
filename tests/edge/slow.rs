//! Clients that take their time.

use std::time::Duration;

use crate::help::{Edge, bounded, check, post, until};

const SHORT: Duration = Duration::from_millis(200);
/// Slow clients at once.
const SLOW: usize = 150;

#[test]
fn heads_that_trickle_in_are_cut_off_while_others_are_served() {
    let edge = Edge::start(bounded(|limits| limits.head_timeout = SHORT));
    let mut slow: Vec<_> = (0..SLOW).map(|_| edge.connect()).collect();
    let mut good = edge.connect();
    for one in &mut slow {
        assert!(one.send("POST /v1/activations HTTP/1.1\r\nHost: localhost\r\n"));
    }
    // Each goes on with a byte at a time until it is cut off; the good one asks in between, over one connection.
    let mut letters = 0;
    until(
        || {
            good.checks();
            letters += 1;
            slow.retain_mut(|one| one.send("X"));
            slow.is_empty().then_some(())
        },
        || "slow clients are still there".to_owned(),
    );
    assert!(letters > 1, "they were cut off at once");
    edge.counts("elevon_http_connections_cut_total{why=\"slow_head\"}", SLOW as u64);
    good.checks();
}

#[test]
fn a_preface_that_does_not_end_is_cut_off() {
    let edge = Edge::start(bounded(|limits| limits.head_timeout = SHORT));
    let mut slow = edge.connect();
    assert!(slow.send("PRI * HTTP/2"));
    slow.ends();
    edge.counts("elevon_http_connections_cut_total{why=\"slow_head\"}", 1);
}

#[test]
fn a_body_that_trickles_in_is_given_up() {
    let edge = Edge::start(bounded(|limits| limits.body_timeout = SHORT));
    for path in ["/access/v1/evaluation", "/v1/activations"] {
        let mut slow = edge.connect();
        assert!(slow.send(post(path, "Service::\"gateway\"", "Content-Length: 60\r\n")));
        assert!(slow.send("{\"subject\""));
        let answer = slow.answer().expect("an answer");
        assert_eq!(answer.status, 408, "{path}: {answer:?}");
        slow.ends();
    }
    edge.connect().checks();
}

#[test]
fn connections_on_which_nothing_is_asked_are_closed() {
    let edge = Edge::start(bounded(|limits| limits.idle_timeout = SHORT));
    let (mut silent, mut used) = (edge.connect(), edge.connect());
    used.checks();
    silent.ends();
    used.ends();
    let mut two = edge.connect();
    assert!(two.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"));
    two.ends();
    edge.counts("elevon_http_connections_cut_total{why=\"idle\"}", 3);
}

#[test]
fn who_asks_and_never_reads_is_let_go() {
    let edge = Edge::start(bounded(|limits| {
        limits.idle_timeout = SHORT;
        limits.write_timeout = SHORT;
    }));
    let mut deaf = edge.connect();
    deaf.stream.set_write_timeout(Some(SHORT)).unwrap();
    // Answers pile up until neither side takes more.
    let many = check().repeat(64);
    while deaf.send(&many) {}
    until(|| (edge.counted("elevon_http_connections") == 0).then_some(()), || "it is still there".to_owned());
    edge.connect().checks();
}

#[test]
fn a_request_that_takes_too_long_is_given_up_and_the_connection_lives_on() {
    let edge = Edge::start(bounded(|limits| limits.request_timeout = SHORT));
    let mut client = edge.connect();
    // What is waited for here is a journal sequence that does not come.
    let answer =
        client.ask("GET /v1/me HTTP/1.1\r\nHost: localhost\r\nAuthorization: Dev User::\"alice\"\r\nElevon-Min-Seq: 999999\r\n\r\n");
    assert_eq!((answer.status, answer.rule().as_str()), (503, "timed_out"));
    client.checks();
}
