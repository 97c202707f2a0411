//! The end: requests in flight are answered, and what waits is told that nothing more comes.

use std::time::Duration;

use bytes::Bytes;

use crate::help::{Edge, bounded, get, listen, post, question, until};
use crate::two;

#[test]
fn what_is_in_flight_is_answered_and_nothing_new_is_taken() {
    let mut edge = Edge::start(listen());
    let body = question().to_string();
    let mut busy = edge.connect();
    let mut idle = edge.connect();
    idle.checks();
    busy.send(post("/access/v1/evaluation", "Service::\"gateway\"", &format!("Content-Length: {}\r\n", body.len())));
    let mut other = edge.connect();
    other.checks();
    edge.tell_to_stop();
    idle.ends();
    until(|| std::net::TcpStream::connect(edge.address()).is_err().then_some(()), || "it still takes connections".to_owned());
    let answer = busy.ask(body);
    assert_eq!(answer.status, 200);
    busy.ends();
    edge.stopped();
}

#[test]
fn what_does_not_come_to_its_end_is_cut_off() {
    let mut edge = Edge::start(bounded(|limits| limits.drain_timeout = Duration::from_millis(100)));
    let mut busy = edge.connect();
    assert_eq!(busy.ask(get("/healthz", "x")).status, 200);
    busy.send(post("/access/v1/evaluation", "Service::\"gateway\"", "Content-Length: 100\r\n"));
    edge.stopped();
}

#[test]
fn over_http2_the_client_is_told_to_go_away_and_gets_its_answers() {
    let mut edge = Edge::start(listen());
    let address = edge.address();
    edge.runtime.block_on(async {
        let (sender, ended) = two::over(tokio::net::TcpStream::connect(address).await.unwrap()).await;
        assert!(two::checks(&sender).await.unwrap());
        let request = http::Request::builder().method("POST").uri("http://localhost/access/v1/evaluation");
        let request = request.header("authorization", "Dev Service::\"gateway\"").header("content-type", "application/json");
        let (answer, mut body) = sender.clone().ready().await.unwrap().send_request(request.body(()).unwrap(), false).unwrap();
        assert!(two::checks(&sender).await.unwrap(), "the request before it has come");
        edge.tell_to_stop();
        tokio::time::sleep(Duration::from_millis(50)).await;
        body.send_data(Bytes::from(question().to_string()), true).unwrap();
        assert_eq!(answer.await.unwrap().status(), 200);
        drop(sender);
        assert!(ended.await.unwrap().is_ok(), "it is a goodbye and no error");
    });
    edge.stopped();
}
