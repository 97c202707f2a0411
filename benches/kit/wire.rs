//! Load over HTTP, as cheap as it can be.

#![allow(dead_code, unreachable_pub, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "of the benches")]

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use bytes::Bytes;

/// Longest wait for an answer.
const WAIT: Duration = Duration::from_secs(10);

pub enum Place {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// What is sent, and how an answer's body has to begin.
pub struct Load<'a> {
    pub place: Place,
    /// The first line and the host; where it is empty, those of a check.
    pub head: &'a str,
    pub authorization: &'a str,
    pub body: &'a str,
    pub expected: &'a str,
}

/// How many were answered, in which time, and how long each took.
pub struct Took {
    answered: usize,
    whole: Duration,
    each: Vec<u64>,
}

impl Took {
    pub fn per_second(&self) -> f64 {
        self.answered as f64 / self.whole.as_secs_f64()
    }

    /// A time that so many of a thousand do not exceed, in microseconds.
    pub fn quantile(&self, of_thousand: usize) -> f64 {
        let at = (self.each.len() * of_thousand / 1000).min(self.each.len().saturating_sub(1));
        self.each.get(at).copied().unwrap_or_default() as f64 / 1e3
    }
}

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

/// A connection that was written to, and what was read of its answers.
struct Open {
    stream: Box<dyn Stream>,
    read: Vec<u8>,
    filled: usize,
    asked: Instant,
}

impl Load<'_> {
    fn open(&self, sleeps: bool) -> Open {
        let stream: Box<dyn Stream> = match &self.place {
            Place::Tcp(address) => {
                let stream = TcpStream::connect(address).unwrap();
                stream.set_nodelay(true).unwrap();
                stream.set_read_timeout(Some(WAIT)).unwrap();
                stream.set_nonblocking(!sleeps).unwrap();
                Box::new(stream)
            }
            Place::Unix(path) => {
                let stream = UnixStream::connect(path).unwrap();
                stream.set_read_timeout(Some(WAIT)).unwrap();
                stream.set_nonblocking(!sleeps).unwrap();
                Box::new(stream)
            }
        };
        Open { stream, read: vec![0; 64 * 1024], filled: 0, asked: Instant::now() }
    }

    fn request(&self) -> String {
        let authorization =
            if self.authorization.is_empty() { String::new() } else { format!("Authorization: {}\r\n", self.authorization) };
        if !self.head.is_empty() {
            return format!("{}\r\n{authorization}User-Agent: bench\r\n\r\n", self.head);
        }
        format!(
            "POST /access/v1/evaluation HTTP/1.1\r\nHost: localhost\r\n{authorization}Content-Type: application/json\r\n\
             Accept: application/json\r\nUser-Agent: bench\r\nContent-Length: {}\r\n\r\n{}",
            self.body.len(),
            self.body
        )
    }

    /// Over HTTP/1.1: each connection is asked for so many answers at once, and again when it has given them. All but one are being answered
    /// while that one is read, so that the server is never idle where there are several. Then the load never sleeps either: it is for many
    /// clients on other machines, and to wake them is nothing that the server does. One that asks one thing at a time sleeps as clients do.
    pub fn one(&self, connections: usize, depth: usize, round: Duration) -> Took {
        self.paced(connections, depth, round, connections * depth == 1)
    }

    /// The same, and whether the load sleeps while it waits: it has to where it shares its core.
    pub fn paced(&self, connections: usize, depth: usize, round: Duration, sleeps: bool) -> Took {
        let request = self.request().repeat(depth);
        let mut all: Vec<Open> = (0..connections).map(|_| self.open(sleeps)).collect();
        let mut each = Vec::with_capacity(1 << 18);
        let began = Instant::now();
        for open in &mut all {
            open.asked = Instant::now();
            open.stream.write_all(request.as_bytes()).unwrap();
        }
        let mut answered = 0;
        while began.elapsed() < round {
            for open in &mut all {
                self.answers(open, depth);
                let now = Instant::now();
                each.push(u64::try_from((now - open.asked).as_nanos()).unwrap());
                answered += depth;
                open.asked = now;
                open.stream.write_all(request.as_bytes()).unwrap();
            }
        }
        let whole = began.elapsed();
        for open in &mut all {
            self.answers(open, depth);
        }
        each.sort_unstable();
        Took { answered, whole, each }
    }

    /// Reads so many answers, and looks at each.
    fn answers(&self, open: &mut Open, count: usize) {
        let (mut from, mut left) = (0, count);
        while left > 0 {
            if let Some(length) = self.answer(&open.read[from..open.filled]) {
                from += length;
                left -= 1;
                continue;
            }
            let read = match open.stream.read(&mut open.read[open.filled..]) {
                Err(error) if error.kind() == ErrorKind::WouldBlock && open.asked.elapsed() < WAIT => {
                    std::hint::spin_loop();
                    continue;
                }
                read => read.unwrap(),
            };
            assert!(read > 0, "the server hung up");
            open.filled += read;
        }
        assert!(from == open.filled, "more answers than requests");
        open.filled = 0;
    }

    /// How long the first answer is, where all of it is there.
    fn answer(&self, bytes: &[u8]) -> Option<usize> {
        let head = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
        let shown = || String::from_utf8_lossy(bytes).into_owned();
        assert!(bytes.starts_with(b"HTTP/1.1 200"), "{}", shown());
        let name = b"content-length: ";
        let at = bytes[..head].windows(name.len()).position(|part| part.eq_ignore_ascii_case(name)).unwrap() + name.len();
        let digits = bytes[at..].iter().take_while(|byte| byte.is_ascii_digit());
        let length = digits.fold(0, |number, digit| number * 10 + usize::from(digit - b'0'));
        let body = bytes.get(head..head + length)?;
        assert!(body.starts_with(self.expected.as_bytes()), "{}", shown());
        Some(head + length)
    }

    /// Over one HTTP/2 connection, so many requests at once.
    pub fn two(&self, streams: usize, round: Duration) -> Took {
        let Place::Tcp(address) = &self.place else { panic!("only over TCP") };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let local = tokio::task::LocalSet::new();
        local.block_on(&runtime, async {
            let stream = tokio::net::TcpStream::connect(address).await.unwrap();
            stream.set_nodelay(true).unwrap();
            let (send, connection) = h2::client::handshake(stream).await.unwrap();
            let driving = tokio::task::spawn_local(connection);
            let began = Instant::now();
            let asking = (0..streams).map(|_| self.stream(send.clone(), began, round));
            let mut each: Vec<u64> = join(asking).await.into_iter().flatten().collect();
            let whole = began.elapsed();
            driving.abort();
            each.sort_unstable();
            Took { answered: each.len(), whole, each }
        })
    }

    async fn stream(&self, mut send: h2::client::SendRequest<Bytes>, began: Instant, round: Duration) -> Vec<u64> {
        let mut each = Vec::new();
        while began.elapsed() < round {
            let asked = Instant::now();
            let request = http::Request::post("http://localhost/access/v1/evaluation")
                .header("authorization", self.authorization)
                .header("content-type", "application/json")
                .body(())
                .unwrap();
            send = send.ready().await.unwrap();
            let (answer, mut body) = send.send_request(request, false).unwrap();
            body.send_data(Bytes::copy_from_slice(self.body.as_bytes()), true).unwrap();
            let answer = answer.await.unwrap();
            assert!(answer.status() == 200, "{answer:?}");
            let (mut body, mut text) = (answer.into_body(), Vec::new());
            while let Some(part) = body.data().await {
                let part = part.unwrap();
                body.flow_control().release_capacity(part.len()).unwrap();
                text.extend_from_slice(&part);
            }
            assert!(text.starts_with(self.expected.as_bytes()), "{}", String::from_utf8_lossy(&text));
            each.push(u64::try_from(asked.elapsed().as_nanos()).unwrap());
        }
        each
    }
}

/// Waits for all, on one task: nothing is spawned that could outlive what it borrows.
async fn join<T>(futures: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut waiting: Vec<_> = futures.map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        let mut ready = true;
        for (future, done) in &mut waiting {
            if done.is_none() {
                match future.as_mut().poll(context) {
                    std::task::Poll::Ready(value) => *done = Some(value),
                    std::task::Poll::Pending => ready = false,
                }
            }
        }
        if ready { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    waiting.into_iter().filter_map(|(_, done)| done).collect()
}
