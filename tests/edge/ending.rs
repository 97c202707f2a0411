//! The end: requests in flight are answered, and what waits is told that nothing more comes.

use std::net::TcpStream;
use std::time::Duration;

use bytes::Bytes;

use crate::help::{Edge, bounded, get, listen, post, question, until};
use crate::two;

#[test]
fn what_is_in_flight_is_answered_and_nothing_new_is_taken() {
    let mut edge = Edge::start(listen());
    let body = question().to_string();
    let mut idle = edge.connect();
    idle.checks();
    let mut busy = edge.holds(body.len());
    edge.tell_to_stop();
    idle.ends();
    until(|| TcpStream::connect(edge.address()).is_err().then_some(()), || "it still takes connections".to_owned());
    assert_eq!(busy.ask(body).status, 200);
    busy.ends();
    edge.stopped();
}

#[test]
fn what_does_not_come_to_its_end_is_cut_off() {
    let mut edge = Edge::start(bounded(|limits| limits.drain_timeout = Duration::from_millis(100)));
    let mut busy = edge.holds(100);
    edge.stopped();
    // The runtime goes, and with it what is left.
    drop(edge);
    busy.ends();
}

#[test]
fn over_http2_the_client_is_told_to_go_away_and_gets_its_answers() {
    let mut edge = Edge::start(listen());
    let address = edge.address();
    let (sender, ended, answer, mut body) = edge.runtime.block_on(async {
        let (sender, ended) = two::over(tokio::net::TcpStream::connect(address).await.unwrap()).await;
        assert!(two::checks(&sender).await.unwrap());
        let (answer, body) = two::begins(&sender).await;
        (sender, ended, answer, body)
    });
    edge.counts("elevon_http_requests_in_flight{plane=\"check\"}", 1);
    edge.tell_to_stop();
    until(|| TcpStream::connect(address).is_err().then_some(()), || "it still takes connections".to_owned());
    edge.runtime.block_on(async {
        body.send_data(Bytes::from(question().to_string()), true).unwrap();
        assert_eq!(answer.await.unwrap().status(), 200);
        drop(sender);
        assert!(ended.await.unwrap().is_ok(), "it is a goodbye and no error");
    });
    edge.stopped();
}

/// What panics is answered, its connection lives on, its place is free again, and nothing else notices.
#[test]
fn a_handler_that_panics_ends_nothing() {
    let edge = Edge::start(bounded(|limits| limits.control_in_flight = 2));
    let panics = post("/v1/policies/reload", "User::\"carol\"", "Content-Length: 0\r\n");
    let (mut client, mut other) = (edge.connect(), edge.connect());
    for _ in 0..20 {
        let answer = client.ask(&panics);
        assert_eq!((answer.status, answer.rule().as_str()), (500, "internal"), "{answer:?}");
        assert!(!answer.body.contains("reloads nothing"), "what it panicked with is nobody's business: {answer:?}");
        other.checks();
    }
    client.checks();
    assert_eq!(client.ask(get("/v1/me", "User::\"alice\"")).status, 200);
    assert_eq!(client.ask(get("/readyz", "x")).status, 200);
}
