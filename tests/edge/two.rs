//! HTTP/2: what it serves, and clients that abuse it.

use std::net::SocketAddr;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use http::{Request, Response};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::help::{Edge, PATIENCE, bounded, listen, question};

/// Most requests of a flood; the connection has to end before.
const FLOOD: usize = 50_000;

/// A connection, and what it ends with.
pub(crate) type Two = (SendRequest<Bytes>, JoinHandle<Result<(), h2::Error>>);

pub(crate) async fn over<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S) -> Two {
    let (sender, connection) = h2::client::handshake(stream).await.unwrap();
    (sender, tokio::spawn(connection))
}

async fn connect(address: SocketAddr) -> Two {
    over(TcpStream::connect(address).await.unwrap()).await
}

fn head(method: &str, path: &str, who: &str) -> http::request::Builder {
    let uri = format!("http://localhost{path}");
    Request::builder().method(method).uri(uri).header("authorization", format!("Dev {who}")).header("content-type", "application/json")
}

pub(crate) async fn checks(sender: &SendRequest<Bytes>) -> Result<bool, h2::Error> {
    let mut ready = sender.clone().ready().await?;
    let (answer, mut body) = ready.send_request(head("POST", "/access/v1/evaluation", "Service::\"gateway\"").body(()).unwrap(), false)?;
    body.send_data(Bytes::from(question().to_string()), true)?;
    let answer = answer.await?;
    assert_eq!(answer.status(), 200);
    Ok(text(answer).await?.contains("\"decision\""))
}

/// Begins a check whose body is still to come.
pub(crate) async fn begins(sender: &SendRequest<Bytes>) -> (ResponseFuture, SendStream<Bytes>) {
    let mut ready = sender.clone().ready().await.unwrap();
    ready.send_request(head("POST", "/access/v1/evaluation", "Service::\"gateway\"").body(()).unwrap(), false).unwrap()
}

async fn text(answer: Response<RecvStream>) -> Result<String, h2::Error> {
    let mut body = answer.into_body();
    let mut text = Vec::new();
    while let Some(part) = body.data().await {
        let part = part?;
        body.flow_control().release_capacity(part.len())?;
        text.extend_from_slice(&part);
    }
    Ok(String::from_utf8(text).unwrap())
}

#[test]
fn both_planes_are_served_to_whoever_begins_with_it() {
    let edge = Edge::start(listen());
    edge.runtime.block_on(async {
        let (sender, _) = connect(edge.address()).await;
        let many: Vec<_> = (0..50)
            .map(|_| {
                tokio::spawn({
                    let sender = sender.clone();
                    async move { checks(&sender).await }
                })
            })
            .collect();
        for one in many {
            assert!(one.await.unwrap().unwrap());
        }
        let mut ready = sender.clone().ready().await.unwrap();
        let (answer, _) = ready.send_request(head("GET", "/v1/me", "User::\"alice\"").body(()).unwrap(), true).unwrap();
        let answer = answer.await.unwrap();
        assert_eq!(answer.status(), 200);
        assert!(text(answer).await.unwrap().contains("alice"));
        // Its authority stands for the host, and has to be a name of this machine as well.
        let foreign = Request::builder().uri("http://evil.example/v1/me").body(()).unwrap();
        let (answer, _) = sender.clone().ready().await.unwrap().send_request(foreign, true).unwrap();
        assert_eq!(answer.await.unwrap().status(), 421);
    });
}

/// CVE-2023-44487: requests that are opened and given up at once cost the client nothing; the connection ends, and others go on.
#[test]
fn a_flood_of_resets_ends_the_connection_and_others_go_on() {
    let edge = Edge::start(listen());
    edge.runtime.block_on(async {
        let (good, _) = connect(edge.address()).await;
        assert!(checks(&good).await.unwrap());
        let (sender, ended) = connect(edge.address()).await;
        let flood = async {
            for _ in 0..FLOOD {
                let Ok(mut ready) = sender.clone().ready().await else { return true };
                let request = head("POST", "/access/v1/evaluation", "Service::\"gateway\"").body(()).unwrap();
                let Ok((_, mut body)) = ready.send_request(request, false) else { return true };
                body.send_reset(Reason::CANCEL);
            }
            false
        };
        assert!(timeout(PATIENCE, flood).await.unwrap(), "{FLOOD} requests were opened and given up");
        let _ = timeout(PATIENCE, ended).await.expect("the connection ends");
        assert!(checks(&good).await.unwrap());
    });
}

/// The same, slower: each request is taken up before it is given up, so that none of them counts as pending.
#[test]
fn requests_that_are_given_up_while_they_are_answered_end_the_connection_too() {
    let edge = Edge::start(bounded(|limits| limits.h2_given_up = 20));
    edge.runtime.block_on(async {
        let (good, _) = connect(edge.address()).await;
        let (sender, ended) = connect(edge.address()).await;
        let mut left = 500;
        while !ended.is_finished() {
            left -= 1;
            assert!(left > 0, "it goes on and on");
            let Ok(mut ready) = sender.clone().ready().await else { break };
            let request = head("POST", "/access/v1/evaluation", "Service::\"gateway\"").header("content-length", "500").body(()).unwrap();
            let Ok((_, mut body)) = ready.send_request(request, false) else { break };
            let _ = body.send_data(Bytes::from_static(b"{"), false);
            // An answer to something else shows that the request before it was taken up.
            if checks(&good).await.is_err() {
                panic!("the good one suffers");
            }
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            body.send_reset(Reason::CANCEL);
        }
        assert!(checks(&good).await.unwrap());
    });
    edge.counts("elevon_http_connections_cut_total{why=\"hung_up\"}", 1);
}

#[test]
fn no_more_streams_than_there_may_be_are_open_at_once() {
    let edge = Edge::start(bounded(|limits| limits.h2_streams = 4));
    edge.runtime.block_on(async {
        let (sender, connection) = h2::client::Builder::new()
            .initial_max_send_streams(1)
            .handshake::<_, Bytes>(TcpStream::connect(edge.address()).await.unwrap())
            .await
            .unwrap();
        tokio::spawn(connection);
        assert!(checks(&sender).await.unwrap());
        assert_eq!(sender.current_max_send_streams(), 4);
    });
}

#[test]
fn large_heads_are_refused_and_what_breaks_the_protocol_ends() {
    let edge = Edge::start(bounded(|limits| limits.header_bytes = 10_000));
    edge.runtime.block_on(async {
        let (good, _) = connect(edge.address()).await;
        let (sender, _) = connect(edge.address()).await;
        let large = head("GET", "/healthz", "x").header("x-large", "y".repeat(12_000)).body(()).unwrap();
        let sent = sender.clone().ready().await.unwrap().send_request(large, true);
        let refused = match sent {
            Ok((answer, _)) => answer.await.map_or(true, |answer| answer.status() == 431),
            Err(_) => true,
        };
        assert!(refused);
        // A head that goes on in frame after frame (the CONTINUATION flood).
        let mut raw = TcpStream::connect(edge.address()).await.unwrap();
        raw.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
        raw.write_all(b"\0\0\x01\x01\0\0\0\0\x01\x82").await.unwrap();
        let frame = [b"\0\x04\0\x09\0\0\0\0\x01".as_slice(), &[0x84; 1024]].concat();
        let flood = async {
            for _ in 0..FLOOD {
                if raw.write_all(&frame).await.is_err() {
                    return true;
                }
            }
            false
        };
        assert!(timeout(PATIENCE, flood).await.unwrap(), "the head never ended");
        assert!(checks(&good).await.unwrap());
    });
}
