//! A server in this process with listeners of a test's own, and clients that do exactly what they are told to.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use elevon::domain::{Actor, Unavailable};
use elevon::engine::outbox::{DestinationStatus, Letter, LetterId};
use elevon::engine::ports::{Listing, Page};
use elevon::engine::{Engine, EngineConfig, Observer, Parts, SystemClock};
use elevon::http::{self, Bind, EdgeLimits, Fetching, Listen, Metrics, Notifications, Planes, PolicyFolder, Reloading, Server, Upkeep};
use elevon::identity::{Accepted, Accepts, Dev};
use elevon::policy::Bundle;
use elevon::store::{Mode, Opened, Store};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinHandle;

/// Longest wait for something that is to happen; where it passes, it did not.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// What the tests add to the sample: carol gets as far as the folder that is never read again.
const MORE: &str = "@id(\"edge-carol\")\npermit(principal == User::\"carol\", action == Elevon::Action::\"manageBundle\", resource == Elevon::Sidecar::\"self\");\n";

/// Nothing to keep up: no issuer, no configuration.
struct NothingToKeep;

impl Upkeep for NothingToKeep {
    fn fetch_keys<'a>(&'a self, _: &'a str) -> Fetching<'a> {
        Box::pin(async { false })
    }

    fn degraded(&self) -> bool {
        false
    }
}

/// Nobody is told of anything.
impl Notifications for NothingToKeep {
    fn destinations(&self) -> Result<Vec<DestinationStatus>, Unavailable> {
        Ok(Vec::new())
    }

    fn test(&self, _: &str) -> Option<Result<(), String>> {
        None
    }

    fn letters(&self, _: Option<&str>, _: &Page) -> Result<Listing<(LetterId, Letter)>, Unavailable> {
        Ok(Listing { items: Vec::new(), next: None })
    }

    fn retry(&self, _: &LetterId) -> Result<Option<Letter>, Unavailable> {
        Ok(None)
    }

    fn discard(&self, _: &LetterId) -> Result<bool, Unavailable> {
        Ok(false)
    }

    fn public_keys(&self) -> Vec<serde_json::Value> {
        Vec::new()
    }
}

/// A folder that is never read again.
struct NoFolder(PathBuf);

impl PolicyFolder for NoFolder {
    fn reload(&self, _: Actor) -> Reloading<'_> {
        Box::pin(async { panic!("the edge reloads nothing") })
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

/// A server with its listeners.
pub(crate) struct Edge {
    pub(crate) runtime: Runtime,
    pub(crate) checkers: Runtime,
    pub(crate) engine: Arc<Engine>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) addresses: Vec<SocketAddr>,
    stop: Arc<Notify>,
    serving: Option<JoinHandle<()>>,
    _home: TempDir,
}

/// A listener on a free port that takes whoever says to be somebody.
pub(crate) fn listen() -> Listen {
    Listen {
        name: "test".to_owned(),
        at: Bind::Tcp(TcpListener::bind("127.0.0.1:0").unwrap()),
        tls: None,
        accepts: accepting(Accepted::Dev(Dev)),
        planes: Planes::ALL,
        grpc_reflection: false,
        limits: EdgeLimits::default(),
    }
}

pub(crate) fn accepting(one: Accepted) -> Arc<ArcSwap<Accepts>> {
    Arc::new(ArcSwap::from_pointee(Accepts::new(vec![one]).unwrap()))
}

/// The same, with other bounds.
pub(crate) fn bounded(change: impl FnOnce(&mut EdgeLimits)) -> Listen {
    let mut listen = listen();
    change(&mut listen.limits);
    listen
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

impl Edge {
    pub(crate) fn start(listen: Listen) -> Self {
        Self::on(vec![listen])
    }

    pub(crate) fn on(listens: Vec<Listen>) -> Self {
        Self::within(tempfile::tempdir().unwrap(), listens)
    }

    pub(crate) fn within(home: TempDir, listens: Vec<Listen>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let checkers = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let policies = home.path().join("policies");
        copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("policies"), &policies);
        fs::write(policies.join("edge.cedar"), MORE).unwrap();
        let Opened { store, journal } = Store::open(&home.path().join("data"), Mode::Dev).unwrap();
        let metrics = Arc::new(Metrics::new());
        let config = EngineConfig { observer: Arc::clone(&metrics) as Arc<dyn Observer>, timers: false, alerts: false, clock_desk: None };
        let proposed = Some(Bundle::load(&policies).unwrap());
        let parts = Parts { journal: Box::new(journal), reader: store, clock: Arc::new(SystemClock::new()), proposed, config };
        let engine = Engine::start(parts).unwrap();
        let server = Arc::new(Server {
            engine: Arc::clone(&engine),
            upkeep: Arc::new(NothingToKeep),
            metrics: Arc::clone(&metrics),
            checkers: checkers.handle().clone(),
            links: Arc::new(elevon::identity::LinkKey::new(&[0; elevon::identity::LINK_KEY_BYTES])),
            policies: Arc::new(NoFolder(policies)),
            notifications: Arc::new(NothingToKeep),
            open_metrics: true,
            #[cfg(feature = "test-clock")]
            clock: None,
            bundle_jobs: Semaphore::new(1),
            subscribers: Arc::new(Semaphore::new(8)),
        });
        let addresses = listens
            .iter()
            .filter_map(|listen| match &listen.at {
                Bind::Tcp(listener) => Some(listener.local_addr().unwrap()),
                Bind::Unix(_) => None,
            })
            .collect();
        let stop = Arc::new(Notify::new());
        let told = Arc::clone(&stop);
        let serving = runtime.spawn(async move { http::serve(listens, server, async move { told.notified().await }).await.unwrap() });
        Self { runtime, checkers, engine, metrics, addresses, stop, serving: Some(serving), _home: home }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// Whether so many connections wait on the threads of those that have settled, soon.
    pub(crate) fn settled(&self, count: usize) {
        let there = || self.checkers.metrics().num_alive_tasks();
        until(|| (there() == count).then_some(()), || format!("{} connections have settled, not {count}", there()));
    }

    /// Tells it to stop, and does not wait.
    pub(crate) fn tell_to_stop(&self) {
        self.stop.notify_one();
    }

    /// Waits until it has stopped.
    pub(crate) fn stopped(&mut self) {
        self.tell_to_stop();
        if let Some(serving) = self.serving.take() {
            self.runtime.block_on(serving).unwrap();
        }
    }

    pub(crate) fn connect(&self) -> Client<TcpStream> {
        Client::new(TcpStream::connect(self.address()).unwrap())
    }

    /// A connection from another address of this machine.
    pub(crate) fn connect_from(&self, source: &str) -> Client<TcpStream> {
        let connecting = async {
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            socket.bind(SocketAddr::new(source.parse().unwrap(), 0)).unwrap();
            socket.connect(self.address()).await.unwrap().into_std().unwrap()
        };
        let stream = self.runtime.block_on(connecting);
        stream.set_nonblocking(false).unwrap();
        Client::new(stream)
    }

    /// A check whose body has not come. It is being answered when this returns, and there is no other.
    pub(crate) fn holds(&self, length: usize) -> Client<TcpStream> {
        let mut held = self.connect();
        assert!(held.send(post("/access/v1/evaluation", "Service::\"gateway\"", &format!("Content-Length: {length}\r\n"))));
        self.counts("elevon_http_requests_in_flight{plane=\"check\"}", 1);
        held
    }

    /// What is counted under a name, with its labels.
    pub(crate) fn counted(&self, line: &str) -> u64 {
        let text = self.metrics.text(&self.engine);
        text.lines().find_map(|told| told.strip_prefix(line)?.trim().parse().ok()).unwrap_or(0)
    }

    /// Waits until something was counted.
    pub(crate) fn counts(&self, line: &str, at_least: u64) {
        until(|| (self.counted(line) >= at_least).then_some(()), || format!("{line} is {}", self.counted(line)));
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        self.stopped();
        self.engine.stop();
    }
}

/// Tries until there is something.
pub(crate) fn until<T>(mut found: impl FnMut() -> Option<T>, otherwise: impl Fn() -> String) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "{}", otherwise());
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub(crate) fn unix(home: &TempDir) -> (PathBuf, Bind) {
    let path = home.path().join("elevon.sock");
    let bind = Bind::Unix(UnixListener::bind(&path).unwrap());
    (path, bind)
}

/// An answer over HTTP/1.1.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    pub(crate) fn rule(&self) -> String {
        let body = self.json();
        body["type"].as_str().unwrap_or_default().strip_prefix("urn:elevon:problem:").unwrap_or_default().to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<String> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    }
}

/// One connection, over which exactly what is given is sent.
pub(crate) struct Client<S> {
    pub(crate) stream: S,
    read: Vec<u8>,
}

impl Client<TcpStream> {
    fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self::over(stream)
    }
}

impl<S: Read + Write> Client<S> {
    pub(crate) fn over(stream: S) -> Self {
        Self { stream, read: Vec::new() }
    }

    /// Sends bytes; whether they could be.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).and_then(|()| self.stream.flush()).is_ok()
    }

    /// The next answer, or nothing where the connection ends before it.
    pub(crate) fn answer(&mut self) -> Option<Answer> {
        loop {
            if let Some(end) = self.read.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = String::from_utf8(self.read[..end].to_vec()).unwrap();
                let status = head.split(' ').nth(1)?.parse().unwrap();
                let answer = Answer { status, head, body: String::new() };
                let length: usize = answer.header("content-length").map_or(0, |text| text.parse().unwrap());
                if self.read.len() >= end + 4 + length {
                    let body = String::from_utf8(self.read[end + 4..end + 4 + length].to_vec()).unwrap();
                    self.read.drain(..end + 4 + length);
                    return Some(Answer { body, ..answer });
                }
            }
            self.more()?;
        }
    }

    fn more(&mut self) -> Option<()> {
        let mut part = [0; 4096];
        match self.stream.read(&mut part) {
            Ok(0) => None,
            Ok(count) => {
                self.read.extend_from_slice(&part[..count]);
                Some(())
            }
            Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
                panic!("neither an answer nor an end within {PATIENCE:?}")
            }
            Err(_) => None,
        }
    }

    /// Reads until the connection ends.
    pub(crate) fn ends(&mut self) {
        while self.more().is_some() {}
    }

    pub(crate) fn ask(&mut self, request: impl AsRef<[u8]>) -> Answer {
        assert!(self.send(request), "the connection has ended");
        self.answer().expect("an answer")
    }

    /// Asks for a check, and expects an answer to it.
    pub(crate) fn checks(&mut self) {
        let answer = self.ask(check());
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(answer.json()["decision"].is_boolean(), "{answer:?}");
    }
}

/// What a check asks.
pub(crate) fn question() -> Value {
    json!({
        "subject": { "type": "User", "id": "alice" },
        "action": { "name": "write" },
        "resource": { "type": "Database", "id": "orders" },
    })
}

/// A request for a check.
pub(crate) fn check() -> String {
    let body = question().to_string();
    post("/access/v1/evaluation", "Service::\"gateway\"", &format!("Content-Length: {}\r\n", body.len())) + &body
}

/// The head of a request with a body, up to its end.
pub(crate) fn post(path: &str, who: &str, more: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Dev {who}\r\nContent-Type: application/json\r\n{more}\r\n")
}

pub(crate) fn get(path: &str, who: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Dev {who}\r\n\r\n")
}

/// A command of alice's for a role that she may not have: refused by the engine, unless the edge refuses it before.
pub(crate) fn command(who: &str, more: &str) -> String {
    let body = json!({ "role": "reader", "justification": "looking around" }).to_string();
    post("/v1/activations", who, &format!("Content-Length: {}\r\n{more}", body.len())) + &body
}
