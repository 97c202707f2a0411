//! Somebody who is told: takes requests on a free port, keeps what it took, and answers, hangs or hangs up as it is told.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::Value;

/// What a receiver does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Takes it, and answers with this status.
    Answers(u16),
    /// Answers 400 and says why, as RFC 8935 has it.
    Refuses(&'static str),
    /// Refuses so what has this in the payload of its token, and takes everything else.
    RefusesOf(&'static str),
    /// Reads it, and says nothing for long.
    Hangs,
    /// Closes the connection before anything is read.
    Closes,
}

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Took {
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
    /// Whether it was answered with 2xx.
    pub(crate) taken: bool,
}

impl Took {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

pub(crate) struct Receiver {
    address: SocketAddr,
    mode: Arc<Mutex<Mode>>,
    took: Arc<Mutex<Vec<Took>>>,
    connections: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
}

impl Receiver {
    pub(crate) fn start(mode: Mode) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let receiver = Self {
            address: listener.local_addr().unwrap(),
            mode: Arc::new(Mutex::new(mode)),
            took: Arc::default(),
            connections: Arc::default(),
            stop: Arc::default(),
        };
        let (mode, took, stop) = (Arc::clone(&receiver.mode), Arc::clone(&receiver.took), Arc::clone(&receiver.stop));
        let connections = Arc::clone(&receiver.connections);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                connections.fetch_add(1, Ordering::Relaxed);
                let (mode, took, stop) = (Arc::clone(&mode), Arc::clone(&took), Arc::clone(&stop));
                thread::spawn(move || drop(serve(stream.unwrap(), &mode, &took, &stop)));
            }
        });
        receiver
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/in", self.address)
    }

    pub(crate) fn set(&self, mode: Mode) {
        *self.mode.lock().unwrap() = mode;
    }

    /// How many came so far, whatever became of them.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Every request so far.
    pub(crate) fn all(&self) -> Vec<Took> {
        self.took.lock().unwrap().clone()
    }

    /// The ids that were taken, each once, in the order in which they were first taken.
    pub(crate) fn ids(&self) -> Vec<String> {
        let mut ids: Vec<String> = Vec::new();
        for took in self.all().iter().filter(|took| took.taken) {
            let id = took.header("webhook-id").to_owned();
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        ids
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(mut stream: TcpStream, mode: &Mutex<Mode>, took: &Mutex<Vec<Took>>, stop: &AtomicBool) -> std::io::Result<()> {
    let mode = *mode.lock().unwrap();
    if mode == Mode::Closes {
        return Ok(());
    }
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut headers, mut line) = (Vec::new(), String::new());
    reader.read_line(&mut line)?;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length").map_or(0, |(_, value)| value.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let mode = match mode {
        Mode::RefusesOf(what) if payload(&body).contains(what) => Mode::Refuses("invalid_request"),
        Mode::RefusesOf(_) => Mode::Answers(202),
        mode @ (Mode::Answers(_) | Mode::Refuses(_) | Mode::Hangs | Mode::Closes) => mode,
    };
    let taken = matches!(mode, Mode::Answers(status) if (200..300).contains(&status));
    took.lock().unwrap().push(Took { headers, body: String::from_utf8(body).unwrap(), taken });
    match mode {
        Mode::Answers(status) => write!(stream, "HTTP/1.1 {status} X\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok"),
        Mode::Refuses(err) => {
            let body = format!(r#"{{"err":"{err}","description":"not for me"}}"#);
            write!(stream, "HTTP/1.1 400 X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
        }
        Mode::Hangs => {
            for _ in 0..600 {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                thread::sleep(Duration::from_millis(100));
            }
            Ok(())
        }
        Mode::Closes | Mode::RefusesOf(_) => Ok(()),
    }
}

/// What a token claims, as text.
fn payload(token: &[u8]) -> String {
    use base64::Engine as _;
    let part = token.split(|byte| *byte == b'.').nth(1).unwrap_or_default();
    String::from_utf8(base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}
