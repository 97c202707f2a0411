//! Reflection (`grpc.reflection.v1`, and `v1alpha`, which says the same): what services there are, and of what their messages are made. For
//! people with `grpcurl`, and off where the configuration does not say otherwise.
//!
//! A client asks one thing after the other on one stream, and waits for each answer before it asks the next. So this call alone is answered
//! while it is still being asked, within bounds of messages and time.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::{Buf as _, Bytes, BytesMut};
use http::Response;
use http_body_util::BodyExt as _;
use hyper::body::{Frame, Incoming};
use prost::Message as _;
use tokio::sync::mpsc;

use super::descriptors::{SERVED, Served, services};
use super::{Code, FRAME_BYTES, Failed, framed, of_grpc, outcome, read};
use crate::http::conn::Door;

/// Its path.
pub(crate) const V1: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
/// The same, for older clients.
pub(crate) const V1_ALPHA: &str = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";

/// Most questions on one stream.
const MAX_QUESTIONS: usize = 64;
/// Largest question: a name, and a host.
const MAX_QUESTION_BYTES: usize = 4 * 1024;
/// Longest time for all of them.
const LONGEST: Duration = Duration::from_secs(60);

#[derive(Clone, PartialEq, prost::Message)]
struct Question {
    #[prost(string, tag = "1")]
    host: String,
    #[prost(oneof = "About", tags = "3, 4, 5, 6, 7")]
    about: Option<About>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum About {
    #[prost(string, tag = "3")]
    File(String),
    #[prost(string, tag = "4")]
    Symbol(String),
    #[prost(message, tag = "5")]
    Extension(Extension),
    #[prost(string, tag = "6")]
    Extensions(String),
    #[prost(string, tag = "7")]
    Services(String),
}

#[derive(Clone, PartialEq, prost::Message)]
struct Extension {
    #[prost(string, tag = "1")]
    containing_type: String,
    #[prost(int32, tag = "2")]
    number: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Answer {
    #[prost(string, tag = "1")]
    valid_host: String,
    #[prost(message, optional, tag = "2")]
    original: Option<Question>,
    #[prost(oneof = "Found", tags = "4, 6, 7")]
    found: Option<Found>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Found {
    #[prost(message, tag = "4")]
    Files(Files),
    #[prost(message, tag = "6")]
    Services(Services),
    #[prost(message, tag = "7")]
    Error(Error),
}

#[derive(Clone, PartialEq, prost::Message)]
struct Files {
    #[prost(bytes = "vec", repeated, tag = "1")]
    descriptors: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Services {
    #[prost(message, repeated, tag = "1")]
    service: Vec<Service>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Service {
    #[prost(string, tag = "1")]
    name: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Error {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}

/// The pieces of an answer that goes on.
struct Pieces(mpsc::Receiver<Frame<Bytes>>);

impl hyper::body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|piece| piece.map(Ok))
    }
}

/// Answers a stream of questions.
pub(super) fn answer(door: &Door, questions: Incoming) -> Response<Body> {
    // one piece waits for the client, and no question is read meanwhile
    let (sender, receiver) = mpsc::channel(1);
    let mut stopping = door.link.stopping.clone();
    tokio::spawn(async move {
        let gone = sender.clone();
        let ended = tokio::select! {
            ended = answers(questions, &sender) => ended,
            () = tokio::time::sleep(LONGEST) => Err(Failed(Code::DeadlineExceeded, "that took too long; ask again".to_owned())),
            _ = stopping.wait_for(|stop| *stop) => Err(Failed(Code::Unavailable, "the server ends".to_owned())),
            () = gone.closed() => return,
        };
        // a client that is gone wants to know no more
        let _ = sender.send(Frame::trailers(outcome(ended.err().as_ref()))).await;
    });
    of_grpc(Body::new(Pieces(receiver)))
}

async fn answers(mut questions: Incoming, sender: &mpsc::Sender<Frame<Bytes>>) -> Result<(), Failed> {
    let (mut unread, mut asked) = (BytesMut::new(), 0);
    loop {
        while let Some(question) = next(&mut unread)? {
            asked += 1;
            if asked > MAX_QUESTIONS {
                return Err(Failed(Code::ResourceExhausted, format!("a stream has at most {MAX_QUESTIONS} questions; begin another")));
            }
            let answer = about(read::<Question>(&question)?);
            if sender.send(Frame::data(framed(&answer.encode_to_vec()))).await.is_err() {
                return Ok(());
            }
        }
        match questions.frame().await {
            Some(Ok(frame)) => unread.extend_from_slice(&frame.into_data().unwrap_or_default()),
            None if unread.is_empty() => return Ok(()),
            None | Some(Err(_)) => return Err(Failed(Code::InvalidArgument, "the stream broke off in a message".to_owned())),
        }
    }
}

/// The next whole message with what stands in front of it, if it is there.
fn next(unread: &mut BytesMut) -> Result<Option<Bytes>, Failed> {
    let Some([_, length @ ..]) = unread.first_chunk::<FRAME_BYTES>() else { return Ok(None) };
    let length = u32::from_be_bytes(*length) as usize;
    if length > MAX_QUESTION_BYTES {
        return Err(Failed(Code::ResourceExhausted, format!("a question has at most {MAX_QUESTION_BYTES} bytes")));
    }
    if unread.remaining() < FRAME_BYTES + length {
        return Ok(None);
    }
    Ok(Some(unread.split_to(FRAME_BYTES + length).freeze()))
}

fn about(question: Question) -> Answer {
    let found = match &question.about {
        Some(About::Services(_)) => Found::Services(Services { service: services().map(|name| Service { name }).collect() }),
        Some(About::File(name)) => files(|file| file.name == name),
        Some(About::Symbol(name)) => files(|file| file.symbols.contains(name)),
        Some(About::Extension(_) | About::Extensions(_)) => error(Code::Unimplemented, "nothing here has extensions"),
        None => error(Code::Unimplemented, "there is no such question"),
    };
    Answer { valid_host: question.host.clone(), original: Some(question), found: Some(found) }
}

fn error(code: Code, message: &str) -> Found {
    Found::Error(Error { code: code as i32, message: message.to_owned() })
}

/// The file that is looked for, and then all that it imports.
fn files(wanted: impl Fn(&Served) -> bool) -> Found {
    let Some(first) = SERVED.iter().find(|file| wanted(file)) else {
        return error(Code::NotFound, "nothing of that name is served");
    };
    let mut names = vec![first.name];
    let mut told = Vec::new();
    let mut at = 0;
    while let Some(name) = names.get(at).copied() {
        at += 1;
        for file in SERVED.iter().filter(|file| file.name == name) {
            told.push(file.bytes.clone());
            let more: Vec<&str> = file.imports.iter().copied().filter(|import| !names.contains(import)).collect();
            names.extend(more);
        }
    }
    Found::Files(Files { descriptors: told })
}
