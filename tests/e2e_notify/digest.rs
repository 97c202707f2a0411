//! A digest for each week, by a clock that the test moves: in this process, for a real server's clock is moved by nobody.

use std::path::Path;
use std::sync::Arc;

use elevon::config::Settings;
use elevon::domain::{Duration, Timestamp};
use elevon::engine::ports::Clock;
use elevon::engine::{Engine, EngineConfig, NoObserver, Parts, TestClock};
use elevon::notify::{Office, Opened, Roots, Sources};
use elevon::policy::Bundle;
use elevon::store::{Mode as Folder, Opened as Stored, Store};

use crate::common::eventually;
use crate::receiver::{Mode, Receiver};

/// An engine and an office on a folder, until it is dropped.
struct Open {
    engine: Arc<Engine>,
    office: Arc<Office>,
    clock: Arc<TestClock>,
}

impl Open {
    fn on(folder: &Path, now: Timestamp) -> Self {
        let Stored { store, journal } = Store::open(&folder.join("data"), Folder::Dev).unwrap();
        let clock = Arc::new(TestClock::new(now));
        let policies = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
        let parts = Parts {
            journal: Box::new(journal),
            reader: Arc::clone(&store) as _,
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            proposed: Some(Bundle::load(&policies).unwrap()),
            config: EngineConfig { observer: Arc::new(NoObserver), timers: false, alerts: false, clock_desk: None },
        };
        let engine = Engine::start(parts).unwrap();
        let office = Office::new(Sources { engine: Arc::clone(&engine), outbox: store });
        let settings = Settings::load(&folder.join("elevon.toml")).unwrap_or_else(|error| panic!("{error}"));
        let roots: Roots = Arc::new(|_| Err("nobody is called by TLS here".to_owned()));
        office.take(Opened::new(&settings.notify, None, &roots).unwrap()).unwrap();
        Self { engine, office, clock }
    }

    /// Closes it, and says what its clock showed.
    fn close(self) -> Timestamp {
        self.office.stop();
        self.engine.stop();
        self.clock.now()
    }
}

#[test]
fn a_week_has_one_digest_however_often_a_server_is_started() {
    let (folder, receiver) = (tempfile::tempdir().unwrap(), Receiver::start(Mode::Answers(200)));
    let config = format!(
        "policies = \"p\"\ndata = \"d\"\n\n[[listeners]]\nname = \"l\"\naddress = \"127.0.0.1:1\"\naccept = [\"token\"]\n\n[[tokens]]\nid = \"t\"\n\
         sha256 = \"{}\"\nprincipal = 'User::\"a\"'\n\n[notify.destinations.ops]\nkind = \"webhook\"\nurl = \"{}\"\nsecret_files = [\"one\"]\n\
         events = []\nallow_private = true\nfirst_pause = \"PT1S\"\n\n[notify.digest]\nweekday = \"monday\"\nat = \"09:00\"\n\
         zone = \"Europe/Berlin\"\ndestinations = [\"ops\"]\n",
        "0".repeat(64),
        receiver.url()
    );
    std::fs::write(folder.path().join("elevon.toml"), config).unwrap();
    std::fs::write(folder.path().join("one"), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
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
