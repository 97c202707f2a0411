//! A mail server that does as it is told: for what no real one does on demand.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// What it says to a command, instead of what servers say.
type Says = fn(&str) -> Option<&'static str>;

pub(crate) struct Scripted {
    address: SocketAddr,
    says: Arc<Mutex<Says>>,
    took: Arc<Mutex<Vec<(String, String)>>>,
    connections: Arc<AtomicUsize>,
}

impl Scripted {
    /// One that says this, where it says something, and what servers say otherwise. To a connection that is new it says what it says to nothing.
    pub(crate) fn start(says: Says) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            says: Arc::new(Mutex::new(says)),
            took: Arc::default(),
            connections: Arc::default(),
        };
        let (says, took, connections) = (Arc::clone(&server.says), Arc::clone(&server.took), Arc::clone(&server.connections));
        thread::spawn(move || {
            for stream in listener.incoming() {
                connections.fetch_add(1, Ordering::Relaxed);
                let (says, took) = (Arc::clone(&says), Arc::clone(&took));
                thread::spawn(move || drop(serve(stream.unwrap(), &says, &took)));
            }
        });
        server
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(crate) fn set(&self, says: Says) {
        *self.says.lock().unwrap() = says;
    }

    /// How many connections were made to it.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// The mails that it took: to whom, and the whole.
    pub(crate) fn took(&self) -> Vec<(String, String)> {
        self.took.lock().unwrap().clone()
    }

    /// To whom they were, in order.
    pub(crate) fn to(&self) -> Vec<String> {
        self.took().into_iter().map(|(to, _)| to).collect()
    }
}

/// A word with which it says a byte now and then, for as long as somebody listens.
pub(crate) const DRIPS: &str = "drips";

fn serve(mut stream: TcpStream, says: &Mutex<Says>, took: &Mutex<Vec<(String, String)>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut line, mut to) = (String::new(), String::new());
    loop {
        let said = (*says.lock().unwrap())(line.trim_end());
        if said == Some(DRIPS) {
            loop {
                stream.write_all(b"2")?;
                thread::sleep(Duration::from_millis(200));
            }
        }
        let usual = match line.trim_end() {
            "" => "220 here\r\n",
            "DATA" => "354 go on\r\n",
            hello if hello.starts_with("EHLO") => "250-here\r\n250 8BITMIME\r\n",
            _ => "250 ok\r\n",
        };
        if let Some(rest) = line.trim_end().strip_prefix("RCPT TO:<") {
            to = rest.trim_end_matches('>').to_owned();
        }
        let reply = said.unwrap_or(usual);
        stream.write_all(reply.as_bytes())?;
        if reply.starts_with("354") {
            let mut mail = String::new();
            while !mail.ends_with("\r\n.\r\n") {
                if reader.read_line(&mut mail)? == 0 {
                    return Ok(());
                }
            }
            took.lock().unwrap().push((to.clone(), mail));
            stream.write_all(b"250 ok\r\n")?;
        }
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
    }
}
