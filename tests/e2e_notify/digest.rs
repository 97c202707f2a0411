//! A digest for each week, by a clock that the test moves: in this process, for a real server's clock is moved by nobody.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::sync::Arc;

use elevon::config::Settings;
use elevon::domain::id::CommandId;
use elevon::domain::text::Digest;
use elevon::domain::{Actor, Caller, Command, CredentialKind, Duration, Envelope, Tables, Timestamp, Uid};
use elevon::engine::ports::{Batch, Clock, Committed, Head, Journal};
use elevon::engine::{Engine, EngineConfig, NoObserver, Parts, TestClock};
use elevon::notify::{Office, Opened, Roots, Sources};
use elevon::policy::Bundle;
use elevon::store::{Mode as Folder, Opened as Stored, Store};

use crate::common::{Home, eventually};
use crate::receiver::{Mode, Receiver};

/// An engine and an office on a folder, until it is dropped.
pub(crate) struct Open {
    engine: Arc<Engine>,
    pub(crate) office: Arc<Office>,
    pub(crate) clock: Arc<TestClock>,
}

/// A journal in which something stands at one place that is no record.
struct Harmed {
    journal: Box<dyn Journal>,
    place: u64,
}

impl Journal for Harmed {
    fn head(&self) -> Head {
        self.journal.head()
    }

    fn tables(&self) -> &dyn Tables {
        self.journal.tables()
    }

    fn commit(&mut self, expected: &Head, mut batch: Batch) -> Committed {
        for record in batch.records.iter_mut().filter(|record| record.seq == self.place) {
            record.bytes = b"not a record".to_vec();
            record.hash = Digest::of_bytes(&record.bytes);
        }
        self.journal.commit(expected, batch)
    }
}

impl Open {
    pub(crate) fn on(folder: &Path, now: Timestamp) -> Self {
        Self::with(folder, now, 0, false)
    }

    /// The same, with one record harmed as it is written, or with somebody who looks for alerts.
    fn with(folder: &Path, now: Timestamp, harmed: u64, alerts: bool) -> Self {
        let Stored { store, journal } = Store::open(&folder.join("data"), Folder::Dev).unwrap();
        let clock = Arc::new(TestClock::new(now));
        let policies = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
        let parts = Parts {
            journal: Box::new(Harmed { journal: Box::new(journal), place: harmed }),
            reader: Arc::clone(&store) as _,
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            proposed: Some(Bundle::load(&policies).unwrap()),
            config: EngineConfig { observer: Arc::new(NoObserver), timers: alerts, alerts, clock_desk: None },
        };
        let engine = Engine::start(parts).unwrap();
        let office = Office::new(Sources { engine: Arc::clone(&engine), outbox: store });
        let settings = Settings::load(&folder.join("elevon.toml")).unwrap_or_else(|error| panic!("{error}"));
        let roots: Roots = Arc::new(|_| Err("nobody is called by TLS here".to_owned()));
        office.take(Opened::new(&settings.notify, None, &roots).unwrap()).unwrap();
        Self { engine, office, clock }
    }

    /// Somebody whom nobody knows asks for what is refused, and that is journaled.
    pub(crate) fn refuses(&self, number: usize) {
        let principal = Uid::new("User", &format!("nobody-{number}")).unwrap();
        let caller = Caller { principal, credential: CredentialKind::Dev, amr: Vec::new(), auth_time: None, groups: Vec::new() };
        let envelope = Envelope {
            id: CommandId::new(&format!("c{number}")).unwrap(),
            actor: Actor::Caller(caller),
            idempotency: None,
            dry_run: false,
            command: Command::SetDisabled { uid: Uid::new("User", "nobody").unwrap(), disabled: true, reason: None },
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(self.engine.submit(envelope)).unwrap_err();
    }

    /// Closes it, and says what its clock showed.
    pub(crate) fn close(self) -> Timestamp {
        self.office.stop();
        self.engine.stop();
        self.clock.now()
    }
}

/// What every configuration begins with.
pub(crate) fn beginning() -> String {
    let digest = "0".repeat(64);
    format!(
        "policies = \"p\"\ndata = \"d\"\n\n[[listeners]]\nname = \"l\"\naddress = \"127.0.0.1:1\"\naccept = [\"token\"]\n\n[[tokens]]\nid = \"t\"\n\
         sha256 = \"{digest}\"\nprincipal = 'User::\"a\"'\n\n"
    )
}

/// A home with a configuration whose one destination hears of some kinds of events, and gets digests.
fn configured(receiver: &Receiver, events: &str) -> Home {
    let folder = Home::new();
    let config = format!(
        "{}[notify.destinations.ops]\nkind = \"webhook\"\nurl = \"{}\"\nsecret_files = [\"one\"]\n\
         events = [{events}]\nallow_private = true\nfirst_pause = \"PT1S\"\n\n[notify.digest]\nweekday = \"monday\"\nat = \"09:00\"\n\
         zone = \"Europe/Berlin\"\ndestinations = [\"ops\"]\n",
        beginning(),
        receiver.url()
    );
    std::fs::write(folder.path().join("elevon.toml"), config).unwrap();
    std::fs::write(folder.path().join("one"), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
    folder
}

#[test]
fn a_record_that_cannot_be_read_keeps_nothing_that_comes_after_it_from_anybody() {
    let receiver = Receiver::start(Mode::Answers(200));
    let folder = configured(&receiver, "\"refused\", \"alert\"");
    let told = || -> Vec<(String, u64)> {
        let of = |json: serde_json::Value| (json["type"].as_str().unwrap().to_owned(), json["data"]["seq"].as_u64().unwrap_or_default());
        receiver.all().iter().map(|request| of(request.json())).collect()
    };
    let refused = |seq: u64| ("command_refused".to_owned(), seq);
    // a Saturday; the first record is the bundle's
    let open = Open::with(folder.path(), Timestamp::parse("2030-01-26T12:00:00Z").unwrap(), 3, false);
    for number in 0..3 {
        open.clock.advance(Duration::from_mins(2));
        open.refuses(number);
    }
    eventually("what came before it and after it is told", || told() == [refused(2), refused(4)]);
    let error = open.office.destinations().unwrap()[0].last_error.clone();
    assert!(error.as_ref().is_some_and(|(_, why)| why.contains("record 3 cannot be read")), "{error:?}");
    let now = open.close();
    // whoever looks for alerts finds it, and that is told, too
    let open = Open::with(folder.path(), now, 0, true);
    eventually("the alert about it is told", || receiver.all().iter().any(|told| told.json().to_string().contains("journal_trouble")));
    assert_eq!(told()[..2], [refused(2), refused(4)]);
    // and the week is summed up without it
    open.clock.advance(Duration::from_hours(45));
    eventually("the digest", || told().iter().any(|(kind, _)| kind == "digest"));
    let digest = receiver.all().last().unwrap().json();
    assert_eq!((&digest["data"]["happened"]["refused"], &digest["data"]["happened"]["policies"]), (&2.into(), &1.into()), "{digest}");
    open.close();
}

#[test]
fn a_record_that_cannot_be_read_is_shown_to_be_missing() {
    let receiver = Receiver::start(Mode::Answers(200));
    let home = configured(&receiver, "");
    let open = Open::with(home.path(), Timestamp::parse("2025-01-04T12:00:00Z").unwrap(), 3, false);
    for number in 0..3 {
        open.clock.advance(Duration::from_mins(2));
        open.refuses(number);
    }
    open.close();
    let server = home.serve();
    for path in
        ["/v1/audit/events?limit=4", "/v1/audit/events?kind=command_refused&limit=3", "/v1/audit/events?from=2025-01-01T00:00:00Z&limit=4"]
    {
        let items = server.get("carol", path)["items"].as_array().unwrap().clone();
        let shown: Vec<(u64, bool)> = items.iter().map(|item| (item["seq"].as_u64().unwrap(), item["record"].is_null())).collect();
        assert!(shown.ends_with(&[(2, false), (3, true), (4, false)]), "{path}: {shown:?}");
    }
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    stream.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
    stream.write_all(b"GET /v1/events?after=1 HTTP/1.1\r\nhost: localhost\r\nauthorization: Dev User::\"carol\"\r\n\r\n").unwrap();
    let mut told = BufReader::new(stream).lines().map(Result::unwrap);
    let missing = told.by_ref().find(|line| line == ": record 3 cannot be read");
    assert_eq!((missing.is_some(), told.next().as_deref()), (true, Some("id: 3")));
}

#[test]
fn a_week_has_one_digest_however_often_a_server_is_started() {
    let receiver = Receiver::start(Mode::Answers(200));
    let folder = configured(&receiver, "");
    let digests = || -> Vec<String> { receiver.ids() };
    // a Saturday: nothing is due
    let open = Open::on(folder.path(), Timestamp::parse("2030-01-26T12:00:00Z").unwrap());
    open.clock.advance(Duration::from_days(1));
    assert_eq!(open.office.destinations().unwrap()[0].counts.delivered, 0);
    // Monday, nine o'clock in Berlin
    open.clock.advance(Duration::from_hours(20));
    eventually("the first digest", || digests().len() == 1);
    let first = receiver.all()[0].json();
    assert_eq!((&first["type"], &first["timestamp"]), (&"digest".into(), &"2030-01-28T08:00:00.000Z".into()), "{first}");
    assert_eq!(first["data"]["happened"]["policies"], 1, "the first bundle went live in that week: {first}");
    // started again and again in the same week
    let mut now = open.close();
    for _ in 0..3 {
        let open = Open::on(folder.path(), now);
        open.clock.advance(Duration::from_days(1));
        eventually("it is idle", || open.office.destinations().unwrap()[0].lag == 0);
        now = open.close();
    }
    assert_eq!(receiver.all().len(), 1);
    // in the next one it was down at the time, and its receiver is when it comes back
    receiver.set(Mode::Answers(500));
    let open = Open::on(folder.path(), now.plus(Duration::from_days(5)));
    eventually("the second was tried in vain", || receiver.all().len() == 2);
    let now = open.close();
    receiver.set(Mode::Answers(200));
    let open = Open::on(folder.path(), now);
    eventually("the second digest", || digests().len() == 2);
    // of weeks in which nobody looked there is the last one
    let now = open.close();
    let open = Open::on(folder.path(), now.plus(Duration::from_days(21)));
    eventually("one more", || digests().len() == 3);
    open.close();
    let last = receiver.all().last().unwrap().json();
    assert_eq!(last["timestamp"], "2030-02-25T08:00:00.000Z", "{last}");
    assert_eq!(digests().len(), 3);
}
