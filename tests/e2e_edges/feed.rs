//! `GET /v1/events`: in order, once each, taken up again, and closed with the right.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::common::edges::{ERIN, Edges, FRANK, GRACE, id_of};
use crate::common::names::{ALICE, CAROL};
use crate::common::{ELEVON, Server};

/// Longest wait for an event that has to come.
const WAIT: Duration = Duration::from_secs(20);

/// What a feed brought.
#[derive(Debug, PartialEq)]
enum Came {
    Record(u64, Value),
    End,
}

/// A connection to the feed that is read to its end by a thread of its own.
struct Feed(Receiver<Came>);

impl Feed {
    fn open(server: &Server, who: &str, query: &str, last: Option<u64>) -> Result<Self, (u16, String)> {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build().into();
        let mut request = ureq::http::Request::builder()
            .uri(format!("{}/v1/events{query}", server.url()))
            .header("accept", "text/event-stream")
            .header("authorization", format!("Dev User::\"{who}\""));
        if let Some(last) = last {
            request = request.header("last-event-id", last.to_string());
        }
        let mut reply = agent.run(request.body(()).unwrap()).unwrap();
        if reply.status() != 200 {
            return Err((reply.status().as_u16(), reply.body_mut().read_to_string().unwrap()));
        }
        assert_eq!(reply.headers()["content-type"], "text/event-stream");
        let (sender, receiver) = channel();
        thread::spawn(move || {
            let mut id = 0;
            for line in BufReader::new(reply.into_body().into_reader()).lines().map_while(Result::ok) {
                if let Some(value) = line.strip_prefix("id:") {
                    id = value.trim().parse().unwrap();
                }
                if let Some(value) = line.strip_prefix("data:") {
                    let _ = sender.send(Came::Record(id, serde_json::from_str(value).unwrap()));
                }
            }
            let _ = sender.send(Came::End);
        });
        Ok(Self(receiver))
    }

    fn next(&self) -> Came {
        self.0.recv_timeout(WAIT).unwrap_or_else(|error| panic!("nothing came: {error}"))
    }

    /// Reads on until an event of a kind came; its place in the journal, and its record.
    fn until(&self, kind: &str) -> (u64, Value) {
        loop {
            match self.next() {
                Came::Record(seq, record) => {
                    assert_eq!(record["seq"], json!(seq), "{record}");
                    if record["events"].as_array().unwrap().iter().any(|event| event["kind"] == kind) {
                        return (seq, record);
                    }
                }
                Came::End => panic!("it ended before {kind}"),
            }
        }
    }

    fn ends(&self) {
        while self.next() != Came::End {}
    }
}

#[test]
fn events_come_in_order_and_are_taken_up_again() {
    let edges = Edges::start();
    let feed = Feed::open(&edges.server, CAROL, "", None).unwrap();
    edges.eligible(ALICE, "plain");
    let (granted, record) = feed.until("eligibility_created");
    assert_eq!(record["actor"]["caller"]["principal"]["id"], json!(CAROL), "{record}");
    let id = id_of(&edges.asked(ALICE, "plain", json!({})));
    let (started, record) = feed.until("activation_started");
    assert!(started > granted && record["texts"].to_string().contains("restore the orders table"), "{record}");
    // what time does comes, too
    edges.server.advance("PT1H");
    feed.until("activation_expired");

    // from a place in the journal, by either name, each exactly once
    let again = |query: &str, last: Option<u64>| -> Vec<u64> {
        let feed = Feed::open(&edges.server, CAROL, query, last).unwrap();
        let mut seqs = Vec::new();
        loop {
            let Came::Record(seq, record) = feed.next() else { panic!("it ended") };
            seqs.push(seq);
            if record["events"].to_string().contains("activation_expired") {
                return seqs;
            }
        }
    };
    let by_header = again("", Some(granted));
    assert_eq!(by_header, again(&format!("?after={granted}"), None));
    assert_eq!(by_header[0], started);
    assert!(by_header.windows(2).all(|pair| pair[0] < pair[1]), "{by_header:?}");
    assert_eq!(again("?after=0", None)[0], 1);
    assert_eq!(edges.status(&id), "expired");
    for query in ["?after=yesterday", "?after=-1", "?colour=red"] {
        assert_eq!(Feed::open(&edges.server, CAROL, query, None).err().map(|(status, _)| status), Some(400), "{query}");
    }
}

#[test]
fn it_goes_on_after_the_server_came_back() {
    let edges = Edges::start();
    let feed = Feed::open(&edges.server, CAROL, "", None).unwrap();
    edges.eligible(ALICE, "plain");
    let (last, _) = feed.until("eligibility_created");
    let edges = edges.restart();
    feed.ends();
    edges.asked(ALICE, "plain", json!({}));
    let feed = Feed::open(&edges.server, CAROL, "", Some(last)).unwrap();
    feed.until("activation_started");
}

#[test]
fn it_shows_what_the_caller_may_see_and_closes_with_the_caller() {
    let edges = Edges::start();
    // grace audits and watches; frank does for now
    let franks = "@id(\"frank\")\npermit(principal == User::\"frank\", \
                  action in [Elevon::Action::\"subscribeEvents\", Elevon::Action::\"readAudit\"], resource);\n";
    edges.home.edit("edges.cedar", |text| format!("{text}{franks}"));
    edges.reload();
    assert_eq!(edges.store(CAROL, "zoe", &[], json!({})).0, 201);
    let open = |who: &str| Feed::open(&edges.server, who, "", None);
    let (grace, frank, zoe) = (open(GRACE).unwrap(), open(FRANK).unwrap(), open("zoe").unwrap());
    edges.eligible(ALICE, "plain");
    for feed in [&grace, &frank] {
        let (_, record) = feed.until("eligibility_created");
        assert_eq!(record["events"][0]["eligibility"]["holder"]["id"], json!(ALICE), "{record}");
    }

    // everybody else sees what is one's own, and nothing of others
    edges.asked(ALICE, "plain", json!({}));
    edges.eligible("zoe", "plain");
    edges.asked("zoe", "plain", json!({}));
    for kind in ["eligibility_created", "activation_started"] {
        let Came::Record(_, record) = zoe.next() else { panic!("it ended") };
        assert!(record["events"].to_string().contains(kind) && record.to_string().contains("zoe"), "{record}");
        assert!(!record.to_string().contains(ALICE), "{record}");
    }

    // a right that ends is asked about when an event is sent, and not when the feed was opened
    edges.home.edit("edges.cedar", |text| text.replace(franks, ""));
    edges.reload();
    edges.eligible(FRANK, "plain");
    grace.until("bundle_activated");
    loop {
        let Came::Record(_, record) = frank.next() else { panic!("it ended") };
        let events = record["events"].to_string();
        assert!(!events.contains("bundle_activated"), "{record}");
        if events.contains("eligibility_created") && events.contains(FRANK) {
            break;
        }
    }

    // whoever is disabled or gone hears no more, and does not come back
    edges.set_disabled(GRACE, true);
    grace.ends();
    assert_eq!(open(GRACE).err().map(|(status, _)| status), Some(403));
    let (status, gone) = edges.server.call(CAROL, "DELETE", "/v1/entities?type=User&id=zoe", Value::Null);
    assert_eq!(status, 200, "{gone}");
    zoe.ends();
    assert_eq!(open("zoe").err().map(|(status, _)| status), Some(403));
    let none = edges.server.send("GET", "/v1/events", &[], None);
    assert_eq!(none.0, 401, "{}", none.1);
}

/// A command that runs on, and the lines it prints.
struct Watching {
    child: Child,
    lines: Receiver<String>,
}

impl Watching {
    fn start(server: &Server, who: &str, arguments: &[&str]) -> Self {
        let mut child = Command::new(ELEVON)
            .args(arguments)
            .env("ELEVON_URL", server.url())
            .env("ELEVON_TOKEN", format!("Dev User::\"{who}\""))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let out = child.stdout.take().unwrap();
        let (sender, lines) = channel();
        thread::spawn(move || BufReader::new(out).lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { child, lines }
    }

    /// The first line that fits.
    fn until(&self, what: &str, fits: impl Fn(&str) -> bool) -> String {
        let began = Instant::now();
        loop {
            match self.lines.recv_timeout(WAIT.saturating_sub(began.elapsed())) {
                Ok(line) if fits(&line) => return line,
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => panic!("no line came for: {what}"),
            }
        }
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_command_line_looks_on() {
    let edges = Edges::start();
    let events = Watching::start(&edges.server, CAROL, &["events", "--after", "0"]);
    let status = Watching::start(&edges.server, CAROL, &["status", "--watch", "--output", "json"]);
    events.until("the first record", |line| line.contains("bundle activated"));
    status.until("the status at first", |line| serde_json::from_str::<Value>(line).unwrap()["active"] == json!([]));

    let body = json!({"principal": {"type": "User", "id": CAROL}, "role": "plain", "justification": "on call"});
    edges.server.post(ERIN, "/v1/eligibilities", body, 201);
    edges.asked(CAROL, "plain", json!({"duration": "PT10M"}));
    events.until("it began", |line| line.contains("activation started"));
    let active = |line: &str| serde_json::from_str::<Value>(line).unwrap()["active"].as_array().unwrap().len();
    status.until("it is active", |line| active(line) == 1);
    edges.server.advance("PT10M");
    events.until("it ended", |line| line.contains("activation expired"));
    status.until("it is over", |line| active(line) == 0);
    // whoever is not known is told so
    for arguments in [&["events"][..], &["status", "--watch"]] {
        let refused = edges.server.cli("nobody", arguments);
        assert!(refused.code == 1 && refused.stderr.contains("unknown_principal"), "{refused:?}");
    }
}
