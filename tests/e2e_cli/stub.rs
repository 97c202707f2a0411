//! A server that answers what a test says, so that the command line meets answers of any shape.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::thread;

use serde_json::Value;

use crate::common::{ELEVON, Ran, run};

/// What a request was: its method, its path, and its query as it was sent.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
}

impl Asked {
    /// A parameter of the query, as it was sent.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.split('&').filter_map(|pair| pair.split_once('=')).find(|(found, _)| *found == name).map(|(_, value)| value)
    }
}

/// A server on a free port, which lives as long as the test's process.
pub(crate) struct Stub {
    url: String,
}

impl Stub {
    /// A server that answers each request as it is told to, with a status and a body.
    pub(crate) fn answering(answer: impl Fn(&Asked) -> (u16, Value) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                let asked = head(&stream);
                let (status, body) = answer(&asked);
                let body = body.to_string();
                let kind = "content-type: application/json\r\nconnection: close";
                // whoever asked may be gone
                let _ = write!(&stream, "HTTP/1.1 {status} As It Is\r\n{kind}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            }
        });
        Self { url }
    }

    /// Runs the command line against it.
    pub(crate) fn cli(&self, arguments: &[&str]) -> Ran {
        run(Command::new(ELEVON).args(arguments).env("ELEVON_URL", &self.url).env("ELEVON_TOKEN", "Dev User::\"alice\""))
    }
}

/// Reads a request up to where its body would begin.
fn head(stream: &TcpStream) -> Asked {
    let mut lines = BufReader::new(stream).lines().map(Result::unwrap).take_while(|line| !line.is_empty());
    let first = lines.next().unwrap();
    lines.for_each(drop);
    let mut words = first.split(' ').map(str::to_owned);
    let (method, target) = (words.next().unwrap(), words.next().unwrap());
    let (path, query) = target.split_once('?').map_or((target.as_str(), ""), |(path, query)| (path, query));
    Asked { method, path: path.to_owned(), query: query.to_owned() }
}
