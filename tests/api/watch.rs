//! `GET /v1/events`: what comes to whom, from where on, and when it ends.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use crate::help::{Api, call, id, user};

/// Longest wait for something that has to come.
const WAIT: Duration = Duration::from_secs(20);

/// A subscriber on a connection of its own.
struct Watching {
    reader: BufReader<TcpStream>,
    head: String,
}

/// One server-sent event: its id and its data.
type Told = (u64, Value);

impl Watching {
    fn open(api: &Api, who: &str, query: &str, headers: &str) -> Self {
        let mut stream = TcpStream::connect(("127.0.0.1", api.port())).unwrap();
        stream.set_read_timeout(Some(WAIT)).unwrap();
        let head = format!(
            "GET /v1/events{query} HTTP/1.1\r\nhost: localhost\r\nauthorization: Dev User::\"{who}\"\r\naccept: text/event-stream\r\n{headers}\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut watching = Self { reader: BufReader::new(stream), head: String::new() };
        loop {
            let line = watching.line().expect("a head");
            if line.is_empty() {
                return watching;
            }
            watching.head.push_str(&line.to_ascii_lowercase());
            watching.head.push('\n');
        }
    }

    /// The next line; nothing, where the connection was closed.
    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.reader.read_line(&mut line) {
            Ok(0) => None,
            Ok(_) => Some(line.trim_end_matches(['\r', '\n']).to_owned()),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => None,
            Err(error) => panic!("nothing came in time: {error}"),
        }
    }

    /// The next record; nothing, where the stream ended.
    fn next(&mut self) -> Option<Told> {
        let mut seq = None;
        loop {
            let line = self.line()?;
            if let Some(text) = line.strip_prefix("id: ") {
                seq = Some(text.parse().unwrap());
            } else if let Some(data) = line.strip_prefix("data: ") {
                let data: Value = serde_json::from_str(data).unwrap();
                assert_eq!(data["seq"], json!(seq), "{data}");
                return Some((seq.unwrap(), data));
            }
        }
    }

    /// The next one whose record has an event of a kind.
    fn until(&mut self, kind: &str) -> Told {
        loop {
            let told = self.next().unwrap_or_else(|| panic!("it ended before {kind}"));
            if kinds(&told.1).contains(&kind.to_owned()) {
                return told;
            }
        }
    }
}

fn kinds(record: &Value) -> Vec<String> {
    record["events"].as_array().unwrap().iter().map(|event| event["kind"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_whole_journal_comes_to_who_may_watch_and_audit() {
    let api = Api::start();
    api.alice_is_eligible();
    let mut whole = Watching::open(&api, "carol", "?after=0", "");
    assert!(whole.head.starts_with("http/1.1 200") && whole.head.contains("content-type: text/event-stream"), "{}", whole.head);
    assert!(whole.head.contains("cache-control: no-store"), "{}", whole.head);
    // each piece comes after its length, for the length of the whole is not known
    assert_eq!((whole.line().as_deref(), whole.line().as_deref()), (Some("D"), Some("retry: 2000")));
    let mut seen = Vec::new();
    for expected in 1..=api.seq() {
        let (seq, record) = whole.next().unwrap();
        assert_eq!(seq, expected);
        seen.push(record);
    }
    let audited = api.get("carol", "/v1/audit/events")["items"].as_array().unwrap().clone();
    for (record, item) in seen.iter().zip(&audited) {
        assert_eq!(
            (&record["events"], &record["actor"], &record["texts"], &record["at"], &record["command"]),
            (&item["record"]["events"], &item["record"]["actor"], &item["texts"], &item["record"]["at"], &item["record"]["command"])
        );
        assert!(record.get("hash").is_none() && record.get("prev").is_none());
    }
    let asked = api.alice_asks();
    let (seq, record) = whole.next().unwrap();
    assert_eq!((seq, kinds(&record)), (api.seq(), vec!["activation_requested".to_owned()]), "{record}");
    assert!(record["texts"].as_object().unwrap().values().any(|text| text == "restore the orders table"), "{record}");
    assert_eq!(record["events"][0]["activation"]["id"], asked["id"]);
}

#[test]
fn a_stream_begins_where_it_was_left_or_with_what_comes_next() {
    let api = Api::start();
    api.alice_is_eligible();
    let middle = api.seq();
    let asked = api.alice_asks();
    let mut fresh = Watching::open(&api, "carol", "", "");
    let mut resumed = Watching::open(&api, "carol", "?after=0", &format!("last-event-id: {middle}\r\n"));
    let (seq, record) = resumed.next().unwrap();
    assert_eq!((seq, &record["events"][0]["activation"]["id"]), (middle + 1, &asked["id"]));
    api.post("alice", &format!("/v1/activations/{}/cancel", id(&asked)), &json!({}), 200);
    assert_eq!(fresh.next().unwrap().0, middle + 2);
    assert_eq!(resumed.next().unwrap().0, middle + 2);
    for bad in ["x", "-1", "99999"] {
        let refused = api.send(&call("GET", "/v1/events").by("carol").header("last-event-id", bad));
        assert_eq!((refused.status, refused.json()["parameter"].clone()), (400, json!("Last-Event-ID")), "{bad}: {}", refused.text);
    }
}

#[test]
fn others_see_what_is_theirs_and_nothing_else() {
    let api = Api::start();
    api.alice_is_eligible();
    let grant = json!({ "principal": { "type": "Group", "id": "sre" }, "role": "reader", "justification": "x" });
    let of_group = api.post("carol", "/v1/eligibilities", &grant, 201);
    let asked = api.alice_asks();
    api.bob_approves(&asked, json!({ "justification": "go on" }));
    let body = json!({ "uid": user("zoe"), "attrs": { "name": "Zoe" } });
    assert_eq!(api.send(&call("PUT", "/v1/entities").by("carol").json(&body)).status, 201);
    // each stream is known to have come to its end by a grant that is made while it is read
    let all = |who: &str| {
        let mut watching = Watching::open(&api, who, "?after=0", "");
        let grant = json!({ "principal": user(who), "role": "db-operator", "justification": "x" });
        let made = api.post("carol", "/v1/eligibilities", &grant, 201);
        let mut found = Vec::new();
        loop {
            let (_, record) = watching.next().unwrap();
            let last = record.to_string().contains(id(&made));
            found.push(record);
            if last {
                return found;
            }
        }
    };
    let flat = |records: &[Value]| records.iter().flat_map(kinds).collect::<Vec<_>>();
    // zoe is in no group, and may read nothing of others
    let zoes = all("zoe");
    assert_eq!(flat(&zoes), ["entity_stored", "eligibility_created"]);
    for record in &zoes {
        let text = record.to_string();
        assert!(!text.contains("alice") && !text.contains("amr") && !text.contains("hash"), "{text}");
        assert_eq!(record["actor"], json!({ "caller": { "principal": user("carol") } }), "{record}");
    }
    // dave is in the group that got an eligibility, and may read activations, for engineering may; alice's eligibility is hers
    let daves = all("dave");
    assert_eq!(
        flat(&daves),
        ["eligibility_created", "activation_requested", "approval_given", "activation_started", "eligibility_created"]
    );
    assert_eq!(daves[0]["events"][0]["eligibility"]["id"], of_group["id"]);
    assert!(daves.iter().all(|record| record.pointer("/events/0/vote/person").is_none()));
    let alices = all("alice");
    assert_eq!(
        flat(&alices),
        ["eligibility_created", "activation_requested", "approval_given", "activation_started", "eligibility_created"]
    );
    assert!(alices[2]["texts"].as_object().unwrap().values().any(|text| text == "go on"), "{}", alices[2]);
}

#[test]
fn a_right_that_is_taken_away_ends_what_is_seen() {
    let api = Api::start();
    let body = json!({ "uid": user("zoe"), "attrs": { "name": "Zoe" } });
    assert_eq!(api.send(&call("PUT", "/v1/entities").by("carol").json(&body)).status, 201);
    let mut zoe = Watching::open(&api, "zoe", "", "");
    let mut alice = Watching::open(&api, "alice", "", "");
    let grant = json!({ "principal": user("zoe"), "role": "reader", "justification": "x" });
    let first = api.post("carol", "/v1/eligibilities", &grant, 201);
    assert_eq!(zoe.until("eligibility_created").1["events"][0]["eligibility"]["id"], first["id"]);
    api.post("carol", "/v1/entities/disable", &json!({ "type": "User", "id": "zoe" }), 200);
    assert_eq!(zoe.next(), None);
    let refused = api.send(&call("GET", "/v1/events").by("zoe"));
    assert_eq!((refused.status, refused.rule().as_str()), (403, "principal_disabled"), "{}", refused.text);
    api.alice_is_eligible();
    assert_eq!(kinds(&alice.next().unwrap().1), ["eligibility_created"]);
}

#[test]
fn subscribers_are_counted_bounded_and_let_go() {
    let api = Api::start();
    let many: Vec<Watching> = (0..64).map(|_| Watching::open(&api, "alice", "", "")).collect();
    let gauge = || {
        let told = api.send(&call("GET", "/metrics")).text;
        told.lines().find_map(|line| line.strip_prefix("elevon_event_subscribers ")).unwrap().to_owned()
    };
    assert_eq!(gauge(), "64");
    let refused = api.send(&call("GET", "/v1/events").by("alice"));
    assert_eq!((refused.status, refused.rule().as_str(), refused.header("retry-after")), (503, "busy", "1"), "{}", refused.text);
    assert_eq!(api.send(&call("HEAD", "/v1/events").by("alice")).status, 200);
    drop(many);
    let began = std::time::Instant::now();
    while gauge() != "0" {
        assert!(began.elapsed() < WAIT, "{} are still there", gauge());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(Watching::open(&api, "alice", "", "").head.starts_with("http/1.1 200"));
}

#[test]
fn a_server_that_stops_waits_for_no_subscriber() {
    let api = Api::start();
    let mut reads = Watching::open(&api, "carol", "?after=0", "");
    let _never_reads = Watching::open(&api, "carol", "?after=0", "");
    reads.next().unwrap();
    let api = api.again();
    while reads.next().is_some() {}
    assert!(api.seq() > 0);
}
