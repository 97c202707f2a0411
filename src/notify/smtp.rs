//! Mail by SMTP (RFC 5321), over a connection that ends at an instant and of which only so much is read: a server, or whoever sits on the way to
//! one before the connection is secured, can neither keep an attempt going nor fill memory. Which command was refused tells whose fault it is:
//! that of the way there, of whom a mail is for, or of the mail.
//!
//! Lost: a library's transport, which knows a time-out for each read and none for a mail, and reads a line to its end however long it is.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use super::settings::MailTls;

/// Most bytes that are read for one mail, those of TLS among them.
const MAX_READ_BYTES: usize = 256 << 10;
/// How long saying good-bye may take.
const TO_CLOSE: Duration = Duration::from_secs(1);
/// Longest line of a reply, in bytes.
const MAX_LINE_BYTES: usize = 1000;
/// Most lines of a reply.
const MAX_LINES: usize = 100;

/// The way to a server.
pub(super) struct Way<'a> {
    /// Its name, by which its certificate is held against.
    pub(super) host: &'a str,
    pub(super) address: SocketAddr,
    pub(super) security: MailTls,
    pub(super) tls: Option<&'a Arc<ClientConfig>>,
    /// A name and a password.
    pub(super) credentials: Option<&'a (String, String)>,
}

/// A mail as it is handed over.
pub(super) struct Letter<'a> {
    pub(super) from: &'a str,
    pub(super) to: &'a str,
    pub(super) message: &'a [u8],
}

/// What a refusal is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum About {
    /// The way there, or whoever sends: it would be so for every mail.
    Way,
    /// Whom the mail is for.
    Recipient,
    /// The mail itself.
    Mail,
}

/// Why a mail was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) about: About,
    /// Whether it was said to be for ever.
    pub(super) for_ever: bool,
    pub(super) why: String,
}

impl Refused {
    fn way(why: impl ToString) -> Self {
        Self { about: About::Way, for_ever: false, why: why.to_string() }
    }

    /// By a reply.
    fn by(about: About, doing: &str, reply: &Reply) -> Self {
        let for_ever = (500..600).contains(&reply.code);
        Self { about, for_ever, why: format!("{doing}: it answered {} {}", reply.code, reply.lines.join(" ")) }
    }
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        Self::way(error)
    }
}

/// A connection that ends at an instant, and of which so much is read and no more.
struct Bounded {
    tcp: TcpStream,
    until: Instant,
    left: usize,
}

impl Bounded {
    /// Another mail goes over it.
    fn begin(&mut self, until: Instant) {
        (self.until, self.left) = (until, MAX_READ_BYTES);
    }

    fn remaining(&self) -> io::Result<Duration> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(late()) } else { Ok(left) }
    }
}

fn late() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "it took longer than `timeout`")
}

/// What the system says where a time-out is over.
fn in_time(error: io::Error) -> io::Error {
    if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) { late() } else { error }
}

impl Read for Bounded {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let room = into.len().min(self.left);
        if room == 0 && !into.is_empty() {
            return Err(io::Error::other(format!("it sent more than {MAX_READ_BYTES} bytes")));
        }
        self.tcp.set_read_timeout(Some(self.remaining()?))?;
        let read = self.tcp.read(into.get_mut(..room).unwrap_or_default()).map_err(in_time)?;
        self.left = self.left.saturating_sub(read);
        Ok(read)
    }
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.tcp.set_write_timeout(Some(self.remaining()?))?;
        self.tcp.write(bytes).map_err(in_time)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.tcp.flush()
    }
}

enum Stream {
    Plain(Bounded),
    Tls(Box<StreamOwned<ClientConnection, Bounded>>),
}

impl Stream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(into),
            Self::Tls(stream) => stream.read(into),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.write_all(bytes),
            Self::Tls(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
        }
    }

    fn bounded(&mut self) -> &mut Bounded {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => &mut stream.sock,
        }
    }

    /// The same connection, secured.
    fn secured(self, way: &Way<'_>) -> Result<Self, Refused> {
        let Self::Plain(stream) = self else { return Ok(self) };
        let config = way.tls.ok_or_else(|| Refused::way("there is nothing to secure the connection with"))?;
        let name = ServerName::try_from(way.host.to_owned()).map_err(|_| Refused::way("`host` is no name that a certificate can have"))?;
        let tls = ClientConnection::new(Arc::clone(config), name).map_err(Refused::way)?;
        let mut stream = StreamOwned::new(tls, stream);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(Self::Tls(Box::new(stream)))
    }
}

/// What a server says to a command.
struct Reply {
    code: u16,
    lines: Vec<String>,
}

impl Reply {
    fn is(&self, code: u16) -> bool {
        self.code == code
    }
}

/// A conversation with a server.
pub(super) struct Session {
    stream: Stream,
    unread: Vec<u8>,
    extensions: Vec<String>,
}

impl Session {
    /// Connects, secures the connection and signs in, as the way there says. A connection that is secured later says nothing before of which
    /// anything is believed afterwards.
    pub(super) fn open(way: &Way<'_>, connect: Duration, until: Instant) -> Result<Self, Refused> {
        let tcp = TcpStream::connect_timeout(&way.address, connect).map_err(in_time)?;
        let name = match tcp.local_addr()?.ip() {
            IpAddr::V4(ip) => format!("[{ip}]"),
            IpAddr::V6(ip) => format!("[IPv6:{ip}]"),
        };
        let mut stream = Stream::Plain(Bounded { tcp, until, left: MAX_READ_BYTES });
        if way.security == MailTls::Tls {
            stream = stream.secured(way)?;
        }
        let mut session = Self { stream, unread: Vec::new(), extensions: Vec::new() };
        session.wants(220, "greeting")?;
        session.hello(&name)?;
        if way.security == MailTls::Starttls {
            if session.extension("STARTTLS").is_none() {
                return Err(Refused::way("it does not offer STARTTLS"));
            }
            session.say("STARTTLS")?;
            session.wants(220, "STARTTLS")?;
            if !session.unread.is_empty() {
                return Err(Refused::way("it said more than it was asked before the connection was secured"));
            }
            session.stream = session.stream.secured(way)?;
            session.hello(&name)?;
        }
        if let Some((name, password)) = way.credentials {
            session.sign_in(name, password)?;
        }
        Ok(session)
    }

    /// Hands a mail over.
    pub(super) fn send(&mut self, letter: &Letter<'_>) -> Result<(), Refused> {
        let Letter { from, to, message } = *letter;
        let unfit = |about, why: &str| Err(Refused { about, for_ever: true, why: why.to_owned() });
        if to.chars().chain(from.chars()).any(char::is_control) {
            return unfit(About::Recipient, "the address has letters that no address has");
        }
        let mut options = String::new();
        if !(from.is_ascii() && to.is_ascii()) {
            if self.extension("SMTPUTF8").is_none() {
                return unfit(About::Recipient, "the server takes no address with letters beyond ASCII (SMTPUTF8)");
            }
            options.push_str(" SMTPUTF8");
        }
        if !message.is_ascii() {
            if self.extension("8BITMIME").is_none() {
                return unfit(About::Mail, "the server takes no letters beyond ASCII (8BITMIME)");
            }
            options.push_str(" BODY=8BITMIME");
        }
        self.say(&format!("MAIL FROM:<{from}>{options}"))?;
        self.wants(250, "MAIL FROM")?;
        self.say(&format!("RCPT TO:<{to}>"))?;
        let reply = self.reply()?;
        if !matches!(reply.code, 250 | 251) {
            return Err(Refused::by(about_recipient(&reply), "RCPT TO", &reply));
        }
        self.say("DATA")?;
        let reply = self.reply()?;
        if !reply.is(354) {
            return Err(Refused::by(about_mail(&reply), "DATA", &reply));
        }
        self.stream.write(&on_the_wire(message))?;
        let reply = self.reply()?;
        if reply.is(250) { Ok(()) } else { Err(Refused::by(about_mail(&reply), "the mail", &reply)) }
    }

    /// Begins anew, with another mail in view. Whether the server goes along.
    pub(super) fn again(&mut self, until: Instant) -> bool {
        self.stream.bounded().begin(until);
        self.unread.is_empty() && self.say("RSET").and_then(|()| self.wants(250, "RSET")).is_ok()
    }

    /// Says that it is over. What the server says to that changes nothing.
    pub(super) fn close(mut self) {
        self.stream.bounded().begin(Instant::now() + TO_CLOSE);
        let _ = self.say("QUIT");
    }

    fn say(&mut self, line: &str) -> Result<(), Refused> {
        Ok(self.stream.write(format!("{line}\r\n").as_bytes())?)
    }

    fn hello(&mut self, name: &str) -> Result<(), Refused> {
        self.say(&format!("EHLO {name}"))?;
        self.extensions = self.wants(250, "EHLO")?.lines.split_off(1);
        Ok(())
    }

    /// What follows the name of an extension, where it is offered.
    fn extension(&self, name: &str) -> Option<&str> {
        self.extensions.iter().find_map(|line| {
            let (offered, rest) = line.split_once([' ', '=']).unwrap_or((line, ""));
            offered.eq_ignore_ascii_case(name).then_some(rest)
        })
    }

    fn sign_in(&mut self, name: &str, password: &str) -> Result<(), Refused> {
        let offered = |session: &Self, mechanism: &str| {
            session.extension("AUTH").is_some_and(|all| all.split(' ').any(|one| one.eq_ignore_ascii_case(mechanism)))
        };
        if offered(self, "PLAIN") {
            self.say(&format!("AUTH PLAIN {}", STANDARD.encode(format!("\0{name}\0{password}"))))?;
        } else if offered(self, "LOGIN") {
            for line in ["AUTH LOGIN".to_owned(), STANDARD.encode(name)] {
                self.say(&line)?;
                self.taken(334)?;
            }
            self.say(&STANDARD.encode(password))?;
        } else {
            return Err(Refused::way("it offers neither PLAIN nor LOGIN to sign in"));
        }
        self.taken(235)
    }

    /// A reply to credentials. Its text is not repeated: it might hold them.
    fn taken(&mut self, code: u16) -> Result<(), Refused> {
        let reply = self.reply()?;
        if reply.is(code) { Ok(()) } else { Err(Refused::way(format!("signing in: it answered {}", reply.code))) }
    }

    /// A reply with this code, without which no mail goes this way.
    fn wants(&mut self, code: u16, doing: &str) -> Result<Reply, Refused> {
        let reply = self.reply()?;
        if reply.is(code) { Ok(reply) } else { Err(Refused::by(About::Way, doing, &reply)) }
    }

    fn reply(&mut self) -> Result<Reply, Refused> {
        let (mut code, mut lines) = (None, Vec::new());
        loop {
            let line = self.line()?;
            let said = line.get(..3).and_then(|digits| digits.parse::<u16>().ok()).filter(|code| (200..600).contains(code));
            let said = said.filter(|said| code.is_none_or(|code| code == *said));
            let said = said.ok_or_else(|| Refused::way(format!("it does not speak SMTP: `{line}`")))?;
            code = Some(said);
            let goes_on = line.get(3..4) == Some("-");
            lines.push(line.get(4..).unwrap_or_default().to_owned());
            if !goes_on {
                return Ok(Reply { code: said, lines });
            }
            if lines.len() >= MAX_LINES {
                return Err(Refused::way(format!("a reply of it has more than {MAX_LINES} lines")));
            }
        }
    }

    fn line(&mut self) -> Result<String, Refused> {
        loop {
            if let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=end).collect();
                return Ok(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
            if self.unread.len() > MAX_LINE_BYTES {
                return Err(Refused::way(format!("a line of it has more than {MAX_LINE_BYTES} bytes")));
            }
            let mut some = [0; 512];
            match self.stream.read(&mut some)? {
                0 => return Err(Refused::way("it closed the connection")),
                read => self.unread.extend_from_slice(some.get(..read).unwrap_or_default()),
            }
        }
    }
}

/// Whether a reply says that the service is closing, or speaks of the server as a whole (RFC 3463: `X.3.…`) or of credentials (RFC 4954), which is
/// no matter of this mail's.
fn of_the_server(reply: &Reply) -> bool {
    let enhanced = reply.lines.first().map(String::as_str).unwrap_or_default();
    let too_big = enhanced.starts_with("5.3.4");
    reply.is(421) || (530..=538).contains(&reply.code) || enhanced.starts_with("4.3.") || (enhanced.starts_with("5.3.") && !too_big)
}

fn about_recipient(reply: &Reply) -> About {
    if of_the_server(reply) { About::Way } else { About::Recipient }
}

/// A mail that cannot be taken now is a matter of the server's; one that never will be, of the mail's.
fn about_mail(reply: &Reply) -> About {
    if reply.code >= 500 && !of_the_server(reply) { About::Mail } else { About::Way }
}

/// A message as it goes over the wire: lines end in CR LF and nowhere else, a dot at the beginning of one is doubled, and a dot ends it.
fn on_the_wire(message: &[u8]) -> Vec<u8> {
    let mut wire = Vec::with_capacity(message.len().saturating_add(64));
    for line in message.strip_suffix(b"\n").unwrap_or(message).split(|byte| *byte == b'\n') {
        if line.first() == Some(&b'.') {
            wire.push(b'.');
        }
        wire.extend(line.iter().filter(|byte| **byte != b'\r'));
        wire.extend_from_slice(b"\r\n");
    }
    wire.extend_from_slice(b".\r\n");
    wire
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// What a server says when it is called, and to each command that begins so; `250 ok` where nothing is said here. `-` closes the connection.
    type Script = &'static [(&'static str, &'static str)];

    /// A server for one connection: where it is, and the lines that it was sent, once that is over.
    fn server(script: Script) -> (SocketAddr, thread::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let said = |line: &str| {
            let means = |command: &str| if command.is_empty() { line.is_empty() } else { line.starts_with(command) };
            let found = script.iter().find(|(command, _)| means(command)).map(|(_, reply)| *reply);
            let usual = match line {
                "" => "220 here\r\n",
                "DATA" => "354 go on\r\n",
                line if line.starts_with("EHLO") => "250-here\r\n250 8BITMIME\r\n",
                _ => "250 ok\r\n",
            };
            found.unwrap_or(usual)
        };
        let took = thread::spawn(move || {
            let mut stream = listener.accept().unwrap().0;
            let (mut reader, mut lines, mut in_mail) = (BufReader::new(stream.try_clone().unwrap()), vec![String::new()], false);
            loop {
                let last = lines.last().unwrap().clone();
                if !in_mail || last == "." {
                    let reply = said(&last);
                    if reply == "-" || stream.write_all(reply.as_bytes()).is_err() {
                        return lines;
                    }
                    in_mail = last == "DATA" && reply.starts_with('3');
                }
                let mut line = String::new();
                if reader.read_line(&mut line).unwrap_or(0) == 0 {
                    return lines;
                }
                lines.push(line.trim_end_matches("\r\n").to_owned());
            }
        });
        (address, took)
    }

    fn way(address: SocketAddr) -> Way<'static> {
        Way { host: "localhost", address, security: MailTls::None, tls: None, credentials: None }
    }

    fn soon(seconds: u64) -> Instant {
        Instant::now() + Duration::from_secs(seconds)
    }

    /// Hands a mail over to a server that follows a script.
    fn handed(script: Script, to: &str, message: &str) -> (Result<(), Refused>, Vec<String>) {
        let (address, took) = server(script);
        let sent = Session::open(&way(address), Duration::from_secs(10), soon(60)).and_then(|mut session| {
            let sent = session.send(&Letter { from: "elevon@example.com", to, message: message.as_bytes() });
            session.close();
            sent
        });
        (sent, took.join().unwrap())
    }

    #[test]
    fn a_refusal_is_put_to_whom_it_is_about() {
        /// What a server says, and what that is about, and whether it is for ever.
        type Row = (Script, Option<(About, bool)>);
        let rows: &[Row] = &[
            (&[], None),
            (&[("", "554 no service here\r\n")], Some((About::Way, true))),
            (&[("", "220-a\r\n220 b\r\n")], None),
            (&[("", "220-a\r\n250 b\r\n")], Some((About::Way, false))),
            (&[("", "hello\r\n")], Some((About::Way, false))),
            (&[("", "-")], Some((About::Way, false))),
            (&[("EHLO", "502 what\r\n")], Some((About::Way, true))),
            (&[("MAIL", "550 not from you\r\n")], Some((About::Way, true))),
            (&[("RCPT", "550 5.1.1 nobody of that name\r\n")], Some((About::Recipient, true))),
            (&[("RCPT", "251 goes on\r\n")], None),
            (&[("RCPT", "452 4.2.2 full\r\n")], Some((About::Recipient, false))),
            (&[("RCPT", "450\r\n")], Some((About::Recipient, false))),
            (&[("RCPT", "451 4.3.0 no look-up\r\n")], Some((About::Way, false))),
            (&[("RCPT", "421 closing\r\n")], Some((About::Way, false))),
            (&[("RCPT", "530 5.7.0 sign in first\r\n")], Some((About::Way, true))),
            (&[("DATA", "554 no valid recipients\r\n")], Some((About::Mail, true))),
            (&[("DATA", "451 later\r\n")], Some((About::Way, false))),
            (&[(".", "554 looks like spam\r\n")], Some((About::Mail, true))),
            (&[(".", "552 5.3.4 too big\r\n")], Some((About::Mail, true))),
            (&[(".", "452 no room\r\n")], Some((About::Way, false))),
            (&[(".", "-")], Some((About::Way, false))),
        ];
        for (script, expected) in rows {
            let sent = handed(script, "alice@example.com", "x\r\n").0;
            assert_eq!(sent.as_ref().err().map(|refused| (refused.about, refused.for_ever)), *expected, "{script:?} {sent:?}");
        }
    }

    #[test]
    fn a_mail_goes_over_the_wire_as_it_is_and_says_no_more() {
        let (sent, lines) = handed(&[], "alice@example.com", "a: b\r\n\r\n.\r\nx\ny\rQUIT\n..\n");
        assert_eq!(sent, Ok(()));
        let [_, hello, from, to, data, mail @ .., quit] = lines.as_slice() else { panic!("{lines:?}") };
        assert_eq!((hello.as_str(), quit.as_str()), ("EHLO [127.0.0.1]", "QUIT"));
        assert_eq!((from.as_str(), to.as_str(), data.as_str()), ("MAIL FROM:<elevon@example.com>", "RCPT TO:<alice@example.com>", "DATA"));
        assert_eq!(mail, ["a: b", "", "..", "x", "yQUIT", "...", "."]);
    }

    #[test]
    fn what_a_server_does_not_take_is_not_tried_on_it() {
        let rows: &[(&str, &str, Option<About>)] = &[
            ("alicé@example.com", "x", Some(About::Recipient)),
            ("a@example.com\r\nDATA", "x", Some(About::Recipient)),
            ("alice@example.com", "ä", None),
        ];
        for (to, message, expected) in rows {
            let (sent, lines) = handed(&[], to, message);
            assert_eq!(sent.as_ref().err().map(|refused| refused.about), *expected, "{to}");
            assert!(expected.is_none() || !lines.iter().any(|line| line.starts_with("MAIL")), "{lines:?}");
        }
        let utf8: Script = &[("EHLO", "250-here\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n")];
        let (sent, lines) = handed(utf8, "alicé@example.com", "ä");
        assert_eq!((sent, lines[2].as_str()), (Ok(()), "MAIL FROM:<elevon@example.com> SMTPUTF8 BODY=8BITMIME"));
        let (sent, _) = handed(&[("EHLO", "250 here\r\n")], "alice@example.com", "ä");
        assert_eq!(sent.unwrap_err().about, About::Mail);
    }

    #[test]
    fn credentials_are_shown_by_what_is_offered_and_are_in_no_reason() {
        /// What is offered, what is said to it, the command that shows it, and whether that is taken.
        type Row = (Script, &'static str, bool);
        let rows: &[Row] = &[
            (&[("EHLO", "250-here\r\n250 AUTH LOGIN PLAIN\r\n"), ("AUTH", "235 ok\r\n")], "AUTH PLAIN AGVsZXZvbgBzZWNyZXQ=", true),
            (&[("EHLO", "250 here\r\n250 x\r\n")], "", false),
            (
                &[("EHLO", "250-here\r\n250 auth=login\r\n"), ("AUTH", "334 x\r\n"), ("ZWxldm9u", "334 x\r\n"), ("c2Vj", "235 ok\r\n")],
                "c2VjcmV0",
                true,
            ),
            (
                &[("EHLO", "250-here\r\n250 AUTH PLAIN\r\n"), ("AUTH", "535 not secret AGVsZXZvbgBzZWNyZXQ=\r\n")],
                "AUTH PLAIN AGVsZXZvbgBzZWNyZXQ=",
                false,
            ),
        ];
        let credentials = ("elevon".to_owned(), "secret".to_owned());
        for (script, shown, taken) in rows {
            let (address, took) = server(script);
            let way = Way { credentials: Some(&credentials), ..way(address) };
            let opened = Session::open(&way, Duration::from_secs(10), soon(60));
            assert_eq!(opened.is_ok(), *taken, "{script:?}");
            match opened {
                Ok(session) => session.close(),
                Err(refused) => {
                    assert!(refused.about == About::Way && !refused.why.contains("secret") && !refused.why.contains("AGVs"), "{refused:?}");
                }
            }
            let lines = took.join().unwrap();
            assert!(shown.is_empty() || lines.iter().any(|line| line == shown), "{lines:?}");
        }
    }

    #[test]
    fn a_connection_that_cannot_be_secured_is_none() {
        let refused = |script: Script| {
            let (address, took) = server(script);
            let roots = rustls::RootCertStore::empty();
            let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
            let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
            let config = Arc::new(config.with_root_certificates(roots).with_no_client_auth());
            let way = Way { security: MailTls::Starttls, tls: Some(&config), ..way(address) };
            let opened = Session::open(&way, Duration::from_secs(10), soon(60));
            let why = opened.err().unwrap().why;
            took.join().unwrap();
            why
        };
        assert_eq!(refused(&[]), "it does not offer STARTTLS");
        // what is said in the clear behind the word that begins TLS would be taken for said by whom it proves
        let ahead = refused(&[("EHLO", "250-here\r\n250 STARTTLS\r\n"), ("STARTTLS", "220 go\r\n250-here\r\n250 AUTH PLAIN\r\n")]);
        assert!(ahead.contains("more than it was asked"), "{ahead}");
    }

    #[test]
    fn a_server_that_never_ends_is_left() {
        let rows: [(&'static [u8], usize, &str); 3] = [
            (b"2", 8 << 20, "has more than 1000 bytes"),
            (b"220-x\r\n", 1 << 20, "has more than 100 lines"),
            // a byte now and then would keep a time-out for each read from ever being over
            (b"2", 0, "longer than `timeout`"),
        ];
        for (bytes, count, expected) in rows {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let serving = thread::spawn(move || {
                let mut stream = listener.accept().unwrap().0;
                let all = bytes.repeat(count.max(1));
                while stream.write_all(&all).is_ok() {
                    thread::sleep(Duration::from_millis(20));
                }
            });
            let until = if count == 0 { Instant::now() + Duration::from_millis(500) } else { soon(60) };
            let refused = Session::open(&way(address), Duration::from_secs(10), until).err().unwrap();
            assert!(refused.about == About::Way && refused.why.contains(expected), "{refused:?}");
            serving.join().unwrap();
        }
        // and of many lines that are in order so much is read and no more
        let (address, took) = server(&[]);
        let tcp = TcpStream::connect(address).unwrap();
        let mut bounded = Bounded { tcp, until: soon(60), left: 4 };
        let (mut some, mut read) = ([0; 3], Vec::new());
        let error = loop {
            match bounded.read(&mut some) {
                Ok(count) => read.extend_from_slice(&some[..count]),
                Err(error) => break error,
            }
        };
        assert!(read == b"220 " && error.to_string().contains("more than"), "{error}");
        drop(bounded);
        took.join().unwrap();
    }

    /// A server that proves itself to be `localhost` by a certificate of its own, after `ahead` was said in the clear; and that certificate.
    fn secured(ahead: &'static [(&'static str, &'static str)]) -> (SocketAddr, rustls::RootCertStore, thread::JoinHandle<Vec<String>>) {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = Arc::new(config.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let took = thread::spawn(move || {
            let mut stream = listener.accept().unwrap().0;
            let mut lines = Vec::new();
            for (wanted, reply) in ahead {
                if !wanted.is_empty() {
                    let mut line = String::new();
                    BufReader::new(stream.try_clone().unwrap()).read_line(&mut line).unwrap();
                    assert!(line.starts_with(wanted), "{line}");
                }
                stream.write_all(reply.as_bytes()).unwrap();
            }
            let mut stream = BufReader::new(StreamOwned::new(rustls::ServerConnection::new(config).unwrap(), stream));
            let mut replies = vec!["250 ok\r\n", "354 go on\r\n", "250 ok\r\n", "250 ok\r\n", "250-here\r\n250 8BITMIME\r\n"];
            if ahead.is_empty() && stream.get_mut().write_all(b"220 here\r\n").is_err() {
                return lines;
            }
            loop {
                let mut line = String::new();
                if stream.read_line(&mut line).unwrap_or(0) == 0 {
                    return lines;
                }
                let line = line.trim_end().to_owned();
                let answers = !lines.contains(&"DATA".to_owned()) || line == ".";
                lines.push(line);
                if answers && let Some(reply) = replies.pop() {
                    stream.get_mut().write_all(reply.as_bytes()).unwrap();
                }
            }
        });
        (address, roots, took)
    }

    #[test]
    fn a_mail_goes_by_tls_to_the_server_that_proves_its_name_and_to_no_other() {
        let starttls: &[(&str, &str)] = &[("", "220 here\r\n"), ("EHLO", "250-here\r\n250 STARTTLS\r\n"), ("STARTTLS", "220 go\r\n")];
        for (security, ahead) in [(MailTls::Tls, &[][..]), (MailTls::Starttls, starttls)] {
            for (host, trusted, taken) in [("localhost", true, true), ("mail.example", true, false), ("localhost", false, false)] {
                let (address, roots, took) = secured(ahead);
                let roots = if trusted { roots } else { rustls::RootCertStore::empty() };
                let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
                let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
                let config = Arc::new(config.with_root_certificates(roots).with_no_client_auth());
                let way = Way { host, security, tls: Some(&config), ..way(address) };
                let sent = Session::open(&way, Duration::from_secs(10), soon(60)).and_then(|mut session| {
                    let sent = session.send(&Letter { from: "elevon@example.com", to: "alice@example.com", message: b"x\r\n" });
                    session.close();
                    sent
                });
                assert_eq!(sent.is_ok(), taken, "{security:?} {host} {sent:?}");
                let lines = took.join().unwrap();
                assert_eq!(lines.iter().any(|line| line == "RCPT TO:<alice@example.com>"), taken, "{lines:?}");
            }
        }
    }
}
