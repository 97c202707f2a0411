//! Server-sent events: read as they come, taken up again where they were when the connection is lost.

use std::io::{self, BufRead, BufReader};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::client::{Client, Failure};

/// Longest line that is read, in bytes: a record with as many events as one can have.
const MAX_LINE: u64 = 16 << 20;
/// First pause before a lost connection is taken up again.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// Longest pause.
const LAST_PAUSE: Duration = Duration::from_secs(30);

/// One message.
#[derive(Debug, PartialEq)]
pub(super) struct Message {
    /// Where it stands in the journal.
    pub(super) seq: Option<u64>,
    /// What happened.
    pub(super) data: Value,
}

/// What a connection brought.
#[derive(Debug, PartialEq)]
enum Line {
    Message(Message),
    /// The server says that it is still there.
    Alive,
}

/// One connection.
struct Stream<R> {
    reader: R,
    id: Option<u64>,
    data: String,
}

impl<R: BufRead> Stream<R> {
    fn new(reader: R) -> Self {
        Self { reader, id: None, data: String::new() }
    }

    /// The next message, or word that the server is there; nothing at the end.
    fn next(&mut self) -> io::Result<Option<Line>> {
        loop {
            let mut line = Vec::new();
            let read = io::Read::take(&mut self.reader, MAX_LINE).read_until(b'\n', &mut line)?;
            if read == 0 || line.pop() != Some(b'\n') {
                return Ok(None);
            }
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end_matches('\r');
            if line.is_empty() {
                if let Some(message) = self.complete()? {
                    return Ok(Some(Line::Message(message)));
                }
                continue;
            }
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "" => return Ok(Some(Line::Alive)),
                "id" => self.id = value.parse().ok(),
                "data" => {
                    if self.data.len() as u64 + value.len() as u64 > MAX_LINE {
                        return Err(io::Error::other("a message is too long"));
                    }
                    self.data.push_str(value);
                    self.data.push('\n');
                }
                _ => {}
            }
        }
    }

    fn complete(&mut self) -> io::Result<Option<Message>> {
        if self.data.is_empty() {
            return Ok(None);
        }
        let data = serde_json::from_str(&std::mem::take(&mut self.data)).map_err(io::Error::other)?;
        Ok(Some(Message { seq: self.id, data }))
    }
}

/// What a feed has to say.
#[derive(Debug)]
pub(super) enum News {
    /// Something happened.
    Message(Message),
    /// The connection was lost and is taken up again after a pause.
    Lost {
        /// What happened to it.
        why: String,
        /// How long it waits before it tries again.
        pause: Duration,
    },
    /// The connection stands again.
    Back,
}

/// Everything that happens after a place in the journal.
pub(super) struct Feed {
    client: Client,
    after: u64,
    stream: Option<Stream<BufReader<ureq::BodyReader<'static>>>>,
    pause: Duration,
    waits: bool,
}

impl Feed {
    /// Connects. What refuses the first connection is final.
    pub(super) fn open(client: Client, after: u64) -> Result<Self, Failure> {
        let stream = Stream::new(client.stream("/v1/events", after)?);
        Ok(Self { client, after, stream: Some(stream), pause: FIRST_PAUSE, waits: false })
    }

    /// What comes next, however long that takes. A lost connection is said once, and then taken up again.
    pub(super) fn next(&mut self) -> Result<News, Failure> {
        if self.waits {
            self.waits = false;
            thread::sleep(self.pause);
            self.pause = (self.pause * 2).min(LAST_PAUSE);
        }
        let Some(stream) = &mut self.stream else { return self.again() };
        loop {
            match stream.next() {
                Ok(Some(Line::Alive)) => self.pause = FIRST_PAUSE,
                Ok(Some(Line::Message(message))) => {
                    self.pause = FIRST_PAUSE;
                    self.after = message.seq.unwrap_or(self.after);
                    return Ok(News::Message(message));
                }
                Ok(None) => return Ok(self.lost("the server ended it".to_owned())),
                Err(error) => return Ok(self.lost(error.to_string())),
            }
        }
    }

    fn again(&mut self) -> Result<News, Failure> {
        match self.client.stream("/v1/events", self.after) {
            Ok(reader) => {
                self.stream = Some(Stream::new(reader));
                Ok(News::Back)
            }
            Err(Failure::Unreachable { why, .. }) => Ok(self.lost(why)),
            Err(Failure::Refused(problem)) if problem.status >= 500 || problem.status == 429 => Ok(self.lost(problem.status.to_string())),
            Err(failure) => Err(failure),
        }
    }

    fn lost(&mut self, why: String) -> News {
        self.stream = None;
        self.waits = true;
        News::Lost { why, pause: self.pause }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::TcpListener;

    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Vec<Line> {
        let mut stream = Stream::new(text.as_bytes());
        std::iter::from_fn(|| stream.next().unwrap()).collect()
    }

    #[test]
    fn messages_are_read_as_the_standard_has_them() {
        let message = |seq, data| Line::Message(Message { seq, data });
        let rows = [
            ("id: 7\nevent: record\ndata: {\"a\":1}\n\n", vec![message(Some(7), json!({"a": 1}))]),
            (": ping\n\n: ping\n\n", vec![Line::Alive, Line::Alive]),
            ("id:7\r\ndata:{\"a\":\r\ndata:1}\r\n\r\n", vec![message(Some(7), json!({"a": 1}))]),
            ("id: 7\ndata: 1\n\ndata: 2\n\n", vec![message(Some(7), json!(1)), message(Some(7), json!(2))]),
            ("retry: 10\nunknown\n\n", vec![]),
            ("id: 7\ndata: {\"a\":1}\n", vec![]),
            ("id: 7\ndata: {\"a\"", vec![]),
        ];
        for (text, expected) in rows {
            assert_eq!(read(text), expected, "{text:?}");
        }
    }

    /// Answers one connection with a piece of a stream, and ends it; what the caller said it saw last.
    fn answer(listener: &TcpListener, stream: &str) -> Option<String> {
        let (mut connection, _) = listener.accept().unwrap();
        let mut lines = BufReader::new(connection.try_clone().unwrap()).lines().map_while(Result::ok).take_while(|line| !line.is_empty());
        let last = lines.by_ref().find_map(|line| line.to_lowercase().strip_prefix("last-event-id: ").map(str::to_owned));
        lines.for_each(drop);
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
        connection.write_all(format!("{head}{stream}").as_bytes()).unwrap();
        last
    }

    #[test]
    fn a_lost_connection_is_taken_up_where_it_was() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = thread::spawn(move || {
            let first = answer(&listener, "id: 8\ndata: 1\n\n: ping\n\nid: 9\ndata: 2\n\nid: 10\ndata: cut of");
            (first, answer(&listener, "id: 10\ndata: 3\n\n"))
        });
        let mut feed = Feed::open(Client::new(&url, None, None).unwrap(), 7).unwrap();
        let mut seen = Vec::new();
        while seen.len() < 3 {
            match feed.next().unwrap() {
                News::Message(message) => seen.push((message.seq, message.data)),
                News::Lost { pause, .. } => assert_eq!((seen.len(), pause), (2, FIRST_PAUSE)),
                News::Back => assert_eq!(seen.len(), 2),
            }
        }
        assert_eq!(seen, [(Some(8), json!(1)), (Some(9), json!(2)), (Some(10), json!(3))]);
        assert_eq!(server.join().unwrap(), (Some("7".to_owned()), Some("9".to_owned())));
        // nobody is there any more: each pause is longer than the one before
        let mut pauses = Vec::new();
        while pauses.len() < 2 {
            if let News::Lost { pause, .. } = feed.next().unwrap() {
                pauses.push(pause);
            }
        }
        assert_eq!(pauses, [FIRST_PAUSE, FIRST_PAUSE * 2]);
    }

    #[test]
    fn what_is_no_json_is_an_error() {
        assert!(Stream::new(&b"data: {\n\n"[..]).next().is_err());
    }
}
