//! gRPC as such: a connection that carries many calls, and what is served, told to whoever asks, where the configuration says so.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use bytes::{Buf as _, Bytes, BytesMut};
use h2::{RecvStream, SendStream};
use http::Request;

use crate::calls::{all, field, one};
use crate::common::ELEVON;
use crate::world::examples;

/// Longest wait for a server, and for an answer.
const PATIENCE: Duration = Duration::from_secs(30);
const V1: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
const V1_ALPHA: &str = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";

/// A server with a configuration file, ended when it is dropped.
struct Started {
    child: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts a server whose listener has one more line.
fn serve(line: &str) -> Started {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let text = format!(
        "policies = '{}'\ndata = \"data\"\n[[listeners]]\nname = \"local\"\naddress = \"127.0.0.1:0\"\naccept = [\"token\"]\n{line}\n\
         [[tokens]]\nid = \"gateway\"\nsha256 = \"{}\"\nprincipal = 'Service::\"gateway\"'\n",
        examples().join("policies").display(),
        "a".repeat(64),
    );
    fs::write(at("elevon.toml"), text).unwrap();
    let log = fs::File::create(at("log")).unwrap();
    let mut command = Command::new(ELEVON);
    command.arg("serve").arg("--config").arg(at("elevon.toml")).arg("--port-file").arg(at("port")).stdin(Stdio::null());
    let mut child = command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
    let began = Instant::now();
    loop {
        if let Some(port) = fs::read_to_string(at("port")).ok().and_then(|text| text.trim().parse().ok()) {
            return Started { child, port, _folder: folder };
        }
        let said = || fs::read_to_string(at("log")).unwrap();
        assert!(child.try_wait().unwrap().is_none() && began.elapsed() < PATIENCE, "{line}: the server is not there:\n{}", said());
        thread::sleep(Duration::from_millis(20));
    }
}

/// A stream of questions, each asked when the one before has its answer.
struct Stream {
    send: SendStream<Bytes>,
    answers: RecvStream,
    unread: BytesMut,
}

fn status(headers: &http::HeaderMap) -> Option<u32> {
    headers.get("grpc-status").map(|code| code.to_str().unwrap().parse().unwrap())
}

impl Stream {
    /// Opens a stream; without an answer's head that goes on, how it went.
    async fn open(port: u16, method: &str) -> Result<Self, Option<u32>> {
        let stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let (sender, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let head = Request::post(format!("http://localhost{method}")).header("content-type", "application/grpc").header("te", "trailers");
        let (answer, send) = sender.ready().await.unwrap().send_request(head.body(()).unwrap(), false).unwrap();
        let answer = tokio::time::timeout(PATIENCE, answer).await.unwrap().unwrap();
        assert_eq!(answer.status(), 200);
        match status(answer.headers()) {
            None => Ok(Self { send, answers: answer.into_body(), unread: BytesMut::new() }),
            ended => Err(ended),
        }
    }

    fn sends(&mut self, question: &[u8], last: bool) {
        let framed = [&[0], u32::try_from(question.len()).unwrap().to_be_bytes().as_slice(), question].concat();
        self.send.send_data(Bytes::from(framed), last).unwrap();
    }

    /// The next answer; none, where there is no more.
    async fn answer(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some([0, length @ ..]) = self.unread.first_chunk::<5>() {
                let length = u32::from_be_bytes(*length) as usize;
                if self.unread.len() >= 5 + length {
                    self.unread.advance(5);
                    return Some(self.unread.split_to(length).to_vec());
                }
            }
            let part = tokio::time::timeout(PATIENCE, self.answers.data()).await.unwrap()?.unwrap();
            self.answers.flow_control().release_capacity(part.len()).unwrap();
            self.unread.extend_from_slice(&part);
        }
    }

    async fn asks(&mut self, question: &[u8]) -> Vec<u8> {
        self.sends(question, false);
        let answer = self.answer().await.unwrap();
        // it says what it was asked
        assert_eq!(one(&answer, 2).unwrap(), question);
        answer
    }

    async fn ended(&mut self) -> Option<u32> {
        assert_eq!(self.answer().await, None);
        self.answers.trailers().await.unwrap().and_then(|trailers| status(&trailers))
    }
}

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}

fn text(bytes: Option<Vec<u8>>) -> String {
    String::from_utf8(bytes.unwrap_or_default()).unwrap()
}

/// The names of what stands in a field of a descriptor.
fn names(descriptor: &[u8], number: u64) -> Vec<String> {
    all(descriptor, number).iter().map(|inner| text(one(inner, 1))).collect()
}

/// What is refused, and not answered: `error_response { error_code }`.
fn refused(answer: &[u8]) -> u64 {
    let error = one(answer, 7).unwrap();
    crate::calls::fields(&error)
        .into_iter()
        .find_map(|(number, value)| match value {
            crate::calls::Value::Number(code) if number == 1 => Some(code),
            _ => None,
        })
        .unwrap()
}

#[test]
fn a_connection_carries_more_calls_than_may_be_given_up() {
    let server = serve("");
    run(async {
        let stream = tokio::net::TcpStream::connect(("127.0.0.1", server.port)).await.unwrap();
        let (mut sender, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        // `limits.h2_given_up` is 100, and a call that was answered is none of them
        for number in 0..300 {
            sender = sender.ready().await.unwrap_or_else(|error| panic!("call {number}: {error}"));
            let head = Request::post("http://localhost/grpc.health.v1.Health/Check").header("content-type", "application/grpc");
            let (answer, mut send) = sender.send_request(head.body(()).unwrap(), false).unwrap();
            send.send_data(Bytes::from_static(&[0; 5]), true).unwrap();
            let answer = answer.await.unwrap_or_else(|error| panic!("call {number}: {error}"));
            let mut stream = Stream { send, answers: answer.into_body(), unread: BytesMut::new() };
            assert!(stream.answer().await.is_some(), "call {number}");
            assert_eq!(stream.ended().await, Some(0), "call {number}");
        }
    });
}

#[test]
fn nothing_is_told_unless_the_listener_is_told_to() {
    for line in ["", "grpc_reflection = false"] {
        let server = serve(line);
        for method in [V1, V1_ALPHA] {
            run(async { assert_eq!(Stream::open(server.port, method).await.err(), Some(Some(12)), "{line} {method}") });
        }
    }
}

#[test]
fn a_client_learns_what_is_served_one_question_after_the_other() {
    let server = serve("grpc_reflection = true");
    for method in [V1, V1_ALPHA] {
        run(async {
            let mut stream = Stream::open(server.port, method).await.unwrap_or_else(|code| panic!("{code:?}"));
            let listed = stream.asks(&field(7, b"")).await;
            let services = [
                ("envoy.service.auth.v3.Authorization", "Check"),
                ("grpc.health.v1.Health", "Check"),
                ("grpc.reflection.v1.ServerReflection", "ServerReflectionInfo"),
                ("grpc.reflection.v1alpha.ServerReflection", "ServerReflectionInfo"),
            ];
            assert_eq!(names(&one(&listed, 6).unwrap(), 1), services.map(|(service, _)| service));
            for (service, called) in services {
                let told = stream.asks(&field(4, service.as_bytes())).await;
                let files = all(&one(&told, 4).unwrap(), 1);
                let described = one(&files[0], 6).unwrap();
                assert_eq!(format!("{}.{}", text(one(&files[0], 2)), text(one(&described, 1))), service);
                assert_eq!(names(&described, 2), [called], "{service}");
                // every file that one of them imports comes with it, and every type of a message is in one of them
                let there: Vec<String> = files.iter().map(|file| text(one(file, 1))).collect();
                let types: Vec<String> = files.iter().flat_map(|file| types(&format!(".{}", text(one(file, 2))), file, 4, 5)).collect();
                for file in &files {
                    assert!(all(file, 3).into_iter().all(|import| there.contains(&text(Some(import)))), "{service}: {there:?}");
                    let method = one(&described, 2).unwrap();
                    let named =
                        all(file, 4).into_iter().flat_map(|message| used(&message)).chain([text(one(&method, 2)), text(one(&method, 3))]);
                    named.for_each(|name| assert!(types.contains(&name), "{service}: {name} is not in {types:?}"));
                }
            }
            let rows: [(Vec<u8>, Option<&str>); 8] = [
                (field(3, b"google/rpc/status.proto"), Some("google/rpc/status.proto")),
                (field(4, b"envoy.service.auth.v3.Authorization.Check"), Some("envoy/service/auth/v3/external_auth.proto")),
                (field(4, b"envoy.service.auth.v3.AttributeContext.Peer"), Some("envoy/service/auth/v3/attribute_context.proto")),
                (field(4, b"grpc.health.v1.HealthCheckResponse.ServingStatus"), Some("grpc/health/v1/health.proto")),
                (field(3, b"elsewhere.proto"), None),
                (field(4, b"grpc.health.v1.Health.Watch"), None),
                (field(4, b""), None),
                (field(3, b""), None),
            ];
            for (question, file) in rows {
                let answer = stream.asks(&question).await;
                match file {
                    Some(file) => assert_eq!(text(one(&all(&one(&answer, 4).unwrap(), 1)[0], 1)), file),
                    None => assert_eq!(refused(&answer), 5, "{question:?}"),
                }
            }
            for unknown in [field(6, b"google.rpc.Status"), field(5, &field(1, b"google.rpc.Status"))] {
                assert_eq!(refused(&stream.asks(&unknown).await), 12);
            }
            stream.sends(&field(7, b"*"), true);
            assert!(one(&stream.answer().await.unwrap(), 6).is_some());
            assert_eq!(stream.ended().await, Some(0));
        });
    }
}

/// The types that a file or a message declares, in full: messages and enums, by the numbers of their fields.
fn types(around: &str, descriptor: &[u8], messages: u64, enums: u64) -> Vec<String> {
    let mut found: Vec<String> = names(descriptor, enums).into_iter().map(|name| format!("{around}.{name}")).collect();
    for message in all(descriptor, messages) {
        let own = format!("{around}.{}", text(one(&message, 1)));
        found.extend(types(&own, &message, 3, 4));
        found.push(own);
    }
    found
}

/// The types that the fields of a message have.
fn used(message: &[u8]) -> Vec<String> {
    let own = all(message, 2).into_iter().filter_map(|field| one(&field, 6)).map(|name| text(Some(name)));
    own.chain(all(message, 3).iter().flat_map(|inner| used(inner))).collect()
}

#[test]
fn a_stream_of_questions_has_its_bounds() {
    let server = serve("grpc_reflection = true");
    let about = field(4, b"google.rpc.Status");
    run(async {
        let mut stream = Stream::open(server.port, V1).await.unwrap_or_else(|code| panic!("{code:?}"));
        for _ in 0..64 {
            stream.asks(&about).await;
        }
        stream.sends(&about, false);
        assert_eq!(stream.ended().await, Some(8));
    });
    let framed = |length: u32| [[0].as_slice(), &length.to_be_bytes()].concat();
    // what is sent, whether it is all, and how the call ends
    let rows: [(&str, Vec<u8>, bool, u32); 4] = [
        ("too long", framed(1 << 20), false, 8),
        ("broken off", [framed(9), vec![7]].concat(), true, 3),
        ("no question", [framed(1), vec![0xff]].concat(), false, 3),
        ("compressed", [1, 0, 0, 0, 0].to_vec(), false, 12),
    ];
    for (name, sent, last, code) in rows {
        run(async {
            let mut stream = Stream::open(server.port, V1).await.unwrap_or_else(|code| panic!("{name}: {code:?}"));
            stream.send.send_data(Bytes::from(sent), last).unwrap();
            assert_eq!(stream.ended().await, Some(code), "{name}");
        });
    }
}
