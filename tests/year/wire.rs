//! Many commands at once over HTTP/1.1, as cheaply as it can be done: one thread, a connection for each command that is under way.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::Value;

/// Commands under way at a time: fewer than a server lets in.
const CONNECTIONS: usize = 48;

/// After so long a connection is not used any more.
const IDLE: Duration = Duration::from_secs(30);

/// What is asked, and by whom: the text of a `Dev` credential.
pub struct Ask {
    pub who: String,
    pub method: &'static str,
    pub path: String,
    pub body: Value,
}

#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub body: Value,
}

impl Reply {
    pub fn rule(&self) -> &str {
        self.body["rule"].as_str().unwrap_or_default()
    }
}

struct Open {
    stream: TcpStream,
    read: Vec<u8>,
    filled: usize,
    asked: Instant,
}

pub struct Wire {
    port: u16,
    open: Vec<Open>,
    /// Commands that were sent, and reads.
    pub commands: usize,
    pub reads: usize,
    /// How often was waited for answers.
    pub rounds: usize,
    /// How long was waited for answers.
    pub waited: Duration,
}

impl Wire {
    pub fn new(port: u16) -> Self {
        Self { port, open: Vec::new(), commands: 0, reads: 0, rounds: 0, waited: Duration::ZERO }
    }

    /// Sends all of them, and gives what was answered, in their order. In which order they are done is the server's affair.
    pub fn all(&mut self, asks: &[Ask]) -> Vec<Reply> {
        let began = Instant::now();
        let mut replies = Vec::with_capacity(asks.len());
        for some in asks.chunks(CONNECTIONS) {
            // a connection on which nothing was asked for long is closed by the server
            self.open.retain(|open| open.asked.elapsed() < IDLE);
            while self.open.len() < some.len() {
                let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
                stream.set_nodelay(true).unwrap();
                stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
                self.open.push(Open { stream, read: vec![0; 64 * 1024], filled: 0, asked: Instant::now() });
            }
            for (open, ask) in self.open.iter_mut().zip(some) {
                *(if ask.method == "GET" { &mut self.reads } else { &mut self.commands }) += 1;
                open.send(ask);
            }
            replies.extend(self.open.iter_mut().zip(some).map(|(open, _)| open.receive()));
        }
        self.waited += began.elapsed();
        self.rounds += asks.len().div_ceil(CONNECTIONS);
        replies
    }

    pub fn one(&mut self, ask: Ask) -> Reply {
        self.all(&[ask]).pop().unwrap()
    }
}

impl Open {
    fn send(&mut self, ask: &Ask) {
        let body = if ask.body.is_null() { String::new() } else { ask.body.to_string() };
        let kind = if ask.body.is_null() { "" } else { "Content-Type: application/json\r\n" };
        let text = format!(
            "{} {} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Dev {}\r\n{kind}Content-Length: {}\r\n\r\n{body}",
            ask.method,
            ask.path,
            ask.who,
            body.len()
        );
        self.asked = Instant::now();
        self.stream.write_all(text.as_bytes()).unwrap();
    }

    fn more(&mut self) {
        if self.filled == self.read.len() {
            self.read.resize(self.read.len() * 2, 0);
        }
        let got = self.stream.read(&mut self.read[self.filled..]).unwrap();
        assert!(got > 0, "the server hung up");
        self.filled += got;
    }

    fn receive(&mut self) -> Reply {
        let head = loop {
            if let Some(at) = self.read[..self.filled].windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            self.more();
        };
        let text = std::str::from_utf8(&self.read[..head]).unwrap().to_ascii_lowercase();
        let status = text[9..12].parse().unwrap();
        let length = text.lines().find_map(|line| line.strip_prefix("content-length:")).unwrap();
        let end = head + length.trim().parse::<usize>().unwrap();
        while self.filled < end {
            self.more();
        }
        let raw = &self.read[head..end];
        let body = serde_json::from_slice(raw).unwrap_or_else(|_| Value::String(String::from_utf8_lossy(raw).into_owned()));
        self.filled = 0;
        Reply { status, body }
    }
}
