//! Rows of what is told, and to whom: events and facts in, messages out.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use super::destination::{Destination, Shared};
use super::hearing::{Heard, heard, is_asked, stands};
use super::links::{Links, Shown, Verb};
use super::message::{Message, message};
use super::post::Roots;
use super::settings::{DestinationSettings, Kind, Url};
use crate::domain::activation::{ActivationState, Basis, TicketDigest, Vote};
use crate::domain::alert::{AlertEvent, AlertKind, AlertSubject, Finding, Incident, Severity};
use crate::domain::command::Everything;
use crate::domain::event::{Event, RECORD_VERSION};
use crate::domain::grant::{Cause, Under};
use crate::domain::id::{CommandId, ReviewDefinitionId, ReviewId, ReviewName};
use crate::domain::notice::Notice;
use crate::domain::review::{
    Covers, Decided, NoAnswer, Review, ReviewDecision, ReviewEntry, ReviewItem, ReviewOf, ReviewPlan, ReviewStage, ReviewState, Reviewers,
    Subject, Tally,
};
use crate::domain::settings::{EntityDef, JsonObject};
use crate::domain::text::Digest;
use crate::domain::{
    Activation, ActivationId, Actor, Caller, CredentialKind, Definitions, Duration, EligibilityId, Incarnation, MemoryRows, Overlay,
    Record, Revision, RoleName, Text, TextDigest, Timestamp, Uid, Window,
};
use crate::policy::Bundle;

const NOW: Timestamp = Timestamp::from_millis(1_896_080_400_000);

fn user(id: &str) -> Uid {
    Uid::new("User", id).unwrap()
}

fn by(id: &str) -> Actor {
    Actor::Caller(Caller {
        principal: user(id),
        credential: CredentialKind::Token,
        amr: vec!["otp".to_owned()],
        auth_time: Some(NOW),
        groups: vec!["claimed".to_owned()],
    })
}

fn role(name: &str) -> RoleName {
    RoleName::new(name).unwrap()
}

/// The sample bundle, with a `notify` of the role that needs an approval.
fn definitions(notify: &str) -> Arc<Definitions> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
    let mut files = BTreeMap::new();
    for folder in ["", "conditions", "tests"] {
        for entry in std::fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                let name = path.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
                files.insert(name, std::fs::read(&path).unwrap());
            }
        }
    }
    let text = String::from_utf8(files.remove("roles.toml").unwrap()).unwrap();
    let (head, rest) = text.split_once("[roles.\"db-admin\".notify]\n").unwrap();
    let (_, tail) = rest.split_once("\n\n").unwrap();
    files.insert("roles.toml".to_owned(), format!("{head}[roles.\"db-admin\".notify]\n{notify}\n\n{tail}").into_bytes());
    let bundle = Bundle::from_files(files).unwrap_or_else(|error| panic!("{error}"));
    Arc::clone(bundle.definitions())
}

fn text(value: &str) -> Text {
    Text { salt: [7; 16], value: value.to_owned() }
}

/// A request of alice's that waits.
fn request() -> Activation {
    Activation {
        id: ActivationId::new("act_1").unwrap(),
        principal: user("alice"),
        requester: by("dave"),
        role: role("db-admin"),
        scope: Some(Uid::new("Environment", "prod").unwrap()),
        requested_at: NOW,
        duration: Duration::from_hours(1),
        start: None,
        end: None,
        emergency: false,
        extends: None,
        asked: None,
        extensions: 0,
        extension: None,
        review_by: None,
        seq: 7,
        justification: Some(text("restore <b>orders</b>\r\nBcc: x").digest()),
        ticket: Some(TicketDigest { system: text("jira").digest(), number: text("OPS-1").digest() }),
        basis: Basis { eligibility: EligibilityId::new("elg_1").unwrap(), holder: user("alice") },
        under: Under { holder: Incarnation(0), role: Incarnation(0), scope: Some(Incarnation(0)) },
        basis_incarnation: Incarnation(0),
        votes: Vec::new(),
        state: ActivationState::Pending { stage: 0, timeout_at: NOW.plus(Duration::from_hours(8)), since: NOW },
    }
}

fn record(actor: Actor, events: Vec<Event>) -> Record {
    Record {
        v: RECORD_VERSION,
        seq: 7,
        prev: Digest([0; 32]),
        at: NOW,
        actor,
        revision: Revision::new("ab12").unwrap(),
        command_id: CommandId::new("cmd_1").unwrap(),
        command: "x".to_owned(),
        events,
        idempotency: None,
    }
}

/// What is told of an event, and to whom: persons, then destinations.
fn told(notify: &str, actor: Actor, event: Event, texts: bool) -> (Message, Vec<String>) {
    let definitions = definitions(notify);
    let rows = MemoryRows::new(Arc::clone(&definitions));
    let mut facts = Overlay::new(&rows, definitions);
    let request = request();
    facts.changes.activations.insert(request.id.clone(), request);
    for value in ["restore <b>orders</b>\r\nBcc: x", "jira", "OPS-1", "no\u{202e} way"] {
        facts.changes.texts.insert(text(value).digest(), text(value));
    }
    let record = record(actor, vec![event]);
    let message = message(&facts, (&record, &Digest([0xab; 32])), 0, texts).unwrap().unwrap();
    let heard = heard(&facts, &record, &message).unwrap();
    let names = heard.persons.iter().map(ToString::to_string).chain(heard.destinations.iter().cloned()).collect();
    (message, names)
}

fn id() -> ActivationId {
    request().id
}

fn started() -> Event {
    Event::ActivationStarted { id: id(), window: Window::lasting(NOW, Duration::from_hours(1)), clamped: false }
}

#[test]
fn who_hears_of_what() {
    let requested = || Event::ActivationRequested { activation: Box::new(request()) };
    let vote = Vote {
        voter: by("bob"),
        person: "bob.baker".to_owned(),
        stage: 0,
        at: NOW,
        waited: Duration::default(),
        narrowed: crate::domain::activation::Narrowed::default(),
        justification: None,
    };
    let rows: Vec<(&str, Event, &[&str])> = vec![
        // both accounts of one person, and who steps in later; never who asked or who benefits
        ("requested = [\"approvers\"]", requested(), &["User::\"bob\"", "User::\"bob-admin\"", "User::\"frank\""]),
        ("requested = [\"requester\", \"holder\"]", requested(), &["User::\"alice\"", "User::\"dave\""]),
        ("approved = [\"requester\"]", Event::ApprovalGiven { id: id(), vote }, &["User::\"dave\""]),
        ("approved = [\"requester\"]", requested(), &[]),
        ("activated = [\"holder\", 'Group::\"security\"']", started(), &["User::\"alice\"", "User::\"carol\"", "User::\"erin\""]),
        ("activated = ['Group::\"none\"', 'User::\"nobody\"']", started(), &[]),
        ("activated = [\"destination:ops\", \"holder\"]", started(), &["User::\"alice\"", "ops"]),
        ("expired = [\"holder\"]", Event::ActivationExpired { id: id() }, &["User::\"alice\""]),
        (
            "denied = [\"approvers\"]",
            Event::ActivationDenied { id: id(), reason: None },
            &["User::\"bob\"", "User::\"bob-admin\"", "User::\"frank\""],
        ),
        (
            "quorum_unreachable = [\"approvers\"]",
            Event::QuorumUnreachable { id: id(), stage: 0, needed: 2, available: 1 },
            &["User::\"bob\"", "User::\"bob-admin\"", "User::\"frank\""],
        ),
        ("revoked = [\"destination:ops\"]", Event::ActivationsVoided { of: Everything::Role(role("db-admin")), reason: None }, &["ops"]),
        ("revoked = [\"destination:ops\"]", Event::ActivationsVoided { of: Everything::Principal(user("alice")), reason: None }, &[]),
        // what is of no role goes by the destinations' own settings
        ("activated = [\"destination:ops\"]", Event::ClockAccepted {}, &[]),
    ];
    for (notify, event, expected) in rows {
        let kind = event.kind();
        let (_, names) = told(notify, by("dave"), event, false);
        assert_eq!(names, expected, "{notify} {kind}");
    }
}

#[test]
fn a_request_that_waits_says_what_a_vote_has_to_carry() {
    let (waits, _) = told("requested = []", by("dave"), Event::ActivationRequested { activation: Box::new(request()) }, false);
    let asks = waits.asks.unwrap();
    let digest = definitions("requested = []").roles[&role("db-admin")].digest;
    assert_eq!(asks.request_hash, request().request_hash(0, &digest).to_string());
    assert!(told("requested = []", by("dave"), started(), false).0.asks.is_none());
}

#[test]
fn programs_are_sent_ids_names_and_times_and_no_more() {
    let (message, _) = told("requested = []", by("bob"), started(), false);
    let payload = message.payload();
    assert_eq!(
        payload,
        json!({
            "version": 1,
            "type": "activation_started",
            "timestamp": NOW,
            "data": {
                "id": "msg_7_0_abababababab", "seq": 7, "notice": "activated", "severity": "info", "actor": { "type": "User", "id": "bob" },
                "event": {
                    "activation": {
                        "id": "act_1", "principal": { "type": "User", "id": "alice" }, "requester": { "type": "User", "id": "dave" },
                        "role": "db-admin", "scope": { "type": "Environment", "id": "prod" }, "requested_at": NOW, "duration": "PT1H",
                        "emergency": false, "extends": null,
                    },
                    "start": NOW, "end": NOW.plus(Duration::from_hours(1)), "clamped": false,
                },
            },
        })
    );
    // neither how somebody signed in, nor what is stored of them, nor a text that was not asked for
    for event in [
        Event::ActivationRequested { activation: Box::new(request()) },
        Event::EntityStored { entity: entity() },
        Event::CommandRefused { rule: "x".to_owned(), count: 1, detail: Some("as it was sent".to_owned()) },
    ] {
        let sent = told("requested = []", by("bob"), event, false).0.payload().to_string();
        for secret in ["otp", "claimed", "auth_time", "orders", "OPS-1", "secret-attribute", "as it was sent"] {
            assert!(!sent.contains(secret), "{secret} is in {sent}");
        }
    }
}

fn entity() -> EntityDef {
    let attrs = json!({ "email": "secret-attribute" });
    EntityDef { uid: user("new"), parents: Vec::new(), attrs: JsonObject::new(attrs.as_object().unwrap()).unwrap() }
}

#[test]
fn what_people_wrote_goes_where_it_may_in_one_line_that_does_not_mislead() {
    let (message, _) = told("requested = []", by("dave"), Event::ActivationRequested { activation: Box::new(request()) }, true);
    assert_eq!(message.values["reason"], "restore <b>orders</b>\\u{d}\\u{a}Bcc: x");
    assert_eq!(message.values["ticket"], "jira OPS-1");
    assert_eq!(message.data["reason"], "restore <b>orders</b>\r\nBcc: x");
    let no = Event::ActivationDenied { id: id(), reason: Some(text("no\u{202e} way").digest()) };
    let (denied, _) = told("requested = []", by("bob"), no, true);
    assert_eq!((denied.values["reason"].as_str(), denied.values.get("ticket")), ("no\\u{202e} way", None));
    // one that was erased is not there
    let gone = Event::ActivationDenied { id: id(), reason: Some(TextDigest(Digest([9; 32]))) };
    assert_eq!(told("requested = []", by("bob"), gone, true).0.values.get("reason"), None);
}

#[test]
fn every_kind_of_event_is_told_in_words() {
    let rows: Vec<(Event, &str, Value)> = vec![
        (
            Event::ActivationRevoked { id: id(), reason: None, cause: Some(Cause::RoleRemoved(role("db-admin"))) },
            "because: role removed",
            json!("activation_revoked"),
        ),
        (Event::ActivationFailed { id: id(), cause: Cause::StartMissed(NOW) }, "because: start missed", json!("activation_failed")),
        (Event::EmergencyUsed { id: id(), review_by: NOW }, "to be reviewed by", json!("emergency_used")),
        (
            Event::QuorumUnreachable { id: id(), stage: 0, needed: 2, available: 1 },
            "stage 1 needs 2, and 1 could vote",
            json!("quorum_unreachable"),
        ),
        (
            Event::CommandRefused { rule: "not_permitted".to_owned(), count: 3, detail: None },
            "rule not_permitted, 3 times",
            json!("command_refused"),
        ),
    ];
    let templates = super::template::Templates::default();
    for (event, says, kind) in rows {
        let (message, _) = told("requested = []", by("bob"), event, true);
        let written = templates.wording(message.notice).text.fill(&message.values);
        assert!(written.contains(says), "{says} is not in {written}");
        assert_eq!(message.payload()["type"], kind);
    }
}

/// Links that say what they were made of.
struct Made;

impl Links for Made {
    fn approval(&self, approver: &Uid, activation: &ActivationId, request_hash: &str, verb: Verb) -> Option<String> {
        Some(format!("https://e/{}/{activation}/{}/{verb:?}", approver.id(), request_hash.get(..8)?))
    }
}

#[test]
fn an_approver_answers_by_a_link_of_ones_own_and_others_look_at_it() {
    let (waits, _) = told("requested = []", by("dave"), Event::ActivationRequested { activation: Box::new(request()) }, false);
    let (begun, _) = told("requested = []", by("dave"), started(), false);
    let hash = waits.asks.as_ref().unwrap().request_hash.get(..8).unwrap().to_owned();
    let (bob, url) = (user("bob"), Some("https://e/ui"));
    let own = format!("approve: https://e/bob/act_1/{hash}/Approve\ndeny: https://e/bob/act_1/{hash}/Deny");
    let open = "open: https://e/ui/v1/activations/act_1";
    /// A message, for whom, who makes links, the public address, and the lines.
    type Row<'a> = (&'a Message, Option<&'a Uid>, Option<&'a dyn Links>, Option<&'a str>, &'a str);
    let rows: [Row<'_>; 6] = [
        (&waits, Some(&bob), Some(&Made), url, &own),
        (&waits, None, Some(&Made), url, open),
        (&waits, Some(&bob), None, url, open),
        (&waits, Some(&bob), None, None, ""),
        (&begun, Some(&bob), Some(&Made), url, open),
        (&begun, None, None, None, ""),
    ];
    for (message, person, links, url, lines) in rows {
        assert_eq!(Shown::of(message, person, links, url).lines(), lines, "{} {person:?}", message.kind);
    }
}

#[test]
fn who_has_a_vote_gets_a_link_to_give_it_and_nobody_else() {
    let rows: [(&str, bool); 7] =
        [("bob", true), ("bob-admin", true), ("frank", true), ("carol", false), ("alice", false), ("dave", false), ("nobody", false)];
    let definitions = definitions("requested = [\"approvers\", \"requester\", \"holder\"]");
    let memory = MemoryRows::new(Arc::clone(&definitions));
    let mut facts = Overlay::new(&memory, definitions);
    facts.changes.activations.insert(id(), request());
    let record = record(by("dave"), vec![Event::ActivationRequested { activation: Box::new(request()) }]);
    let message = message(&facts, (&record, &Digest([0xab; 32])), 0, false).unwrap().unwrap();
    assert!(stands(&facts, &record, &message).unwrap());
    for (name, asked) in rows {
        assert_eq!(is_asked(&facts, &message, &user(name)).unwrap(), asked, "{name}");
    }
    // once it is decided, or another stage is asked, there is nothing to ask for
    for state in [ActivationState::Pending { stage: 1, timeout_at: NOW, since: NOW }, ActivationState::TimedOut { at: NOW }] {
        facts.changes.activations.insert(id(), Activation { state, ..request() });
        assert!(!stands(&facts, &record, &message).unwrap());
    }
}

/// A review of two grants, in its first stage.
fn review(reviewers: Reviewers) -> Review {
    let stage = ReviewStage { reviewers, fallback: vec![user("grace")], days: 7 };
    let plan = ReviewPlan {
        name: ReviewName::new("Who may").unwrap(),
        roles: Vec::new(),
        scopes: Vec::new(),
        covers: Covers::Both,
        inactive_days: None,
        stages: vec![stage],
        no_answer: NoAnswer::NoChange,
        auto_apply: false,
        confirm_above: 20,
        reminders: true,
    };
    Review {
        id: ReviewId::new("rev_1_1").unwrap(),
        of: ReviewOf::Definition(ReviewDefinitionId::new("rvd_1").unwrap()),
        number: 1,
        plan,
        opened_at: NOW,
        tally: Tally::default(),
        truncated: false,
        completed_at: None,
        state: ReviewState::InProgress { stage: 0, ends_at: NOW.plus(Duration::from_days(7)), remind_at: None },
    }
}

fn entry(id: &str, holder: Uid, answered: bool) -> ReviewEntry {
    let item = ReviewItem {
        subject: Subject::Eligibility(EligibilityId::new(id).unwrap()),
        holder,
        role: role("db-admin"),
        scope: None,
        window: Window { start: NOW, end: None },
        granted_at: NOW,
        last_activation: None,
        last_check: None,
        recommendation: None,
    };
    let decision = ReviewDecision { stage: 0, by: by("bob"), at: NOW, decided: Decided::Approve, reason: TextDigest(Digest([1; 32])) };
    let decisions = if answered { vec![decision] } else { Vec::new() };
    ReviewEntry { review: ReviewId::new("rev_1_1").unwrap(), item, decisions, applied: None }
}

#[test]
fn reviewers_hear_when_they_are_asked_and_when_it_is_over() {
    let id = || ReviewId::new("rev_1_1").unwrap();
    let (ends_at, remind_at) = (NOW.plus(Duration::from_days(7)), None);
    let began = || Event::ReviewStageBegan { id: id(), stage: 0, ends_at, remind_at };
    let reminded = || Event::ReviewReminded { id: id(), stage: 0, open: 1, ends_at, remind_at };
    let over = || Event::ReviewApplied { id: id(), items: 2, removed: 1 };
    let leads = || Reviewers::Selected(vec![Uid::new("Group", "dba-leads").unwrap()]);
    let rows: Vec<(Reviewers, Event, &[&str])> = vec![
        (leads(), began(), &["bob", "bob-admin", "grace"]),
        (leads(), reminded(), &["bob", "bob-admin", "grace"]),
        // where everything is answered nobody is reminded
        (leads(), Event::ReviewReminded { id: id(), stage: 0, open: 0, ends_at, remind_at }, &[]),
        (leads(), over(), &["bob", "bob-admin"]),
        (Reviewers::Holder, began(), &["alice", "dave", "grace"]),
        // who has answered is not asked again
        (Reviewers::Holder, reminded(), &["dave", "grace"]),
        (Reviewers::Holder, over(), &[]),
        (Reviewers::Permitted, began(), &["grace"]),
    ];
    for (reviewers, event, expected) in rows {
        let definitions = definitions("requested = []");
        let memory = MemoryRows::new(Arc::clone(&definitions));
        let mut facts = Overlay::new(&memory, definitions);
        facts.changes.reviews.insert(id(), review(reviewers.clone()));
        let entries = [entry("elg_1", user("alice"), true), entry("elg_2", user("dave"), false)];
        let entries = entries.into_iter().map(|entry| (entry.item.subject.clone(), entry));
        facts.changes.review_entries.insert(id(), entries.collect());
        let record = record(Actor::System, vec![event]);
        let message = message(&facts, (&record, &Digest([0xab; 32])), 0, false).unwrap().unwrap();
        let heard = heard(&facts, &record, &message).unwrap();
        let names: Vec<&str> = heard.persons.iter().map(Uid::id).collect();
        assert_eq!(names, expected, "{reviewers:?} {}", message.kind);
    }
}

#[test]
fn alerts_go_by_severity() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
    let open = |alerts: Option<Severity>, events: &[Notice]| {
        let settings = DestinationSettings {
            name: "ops".to_owned(),
            kind: Kind::Webhook { url: Url::parse("http://127.0.0.1:9/", true).unwrap(), secrets: vec![secret.clone()] },
            events: events.iter().copied().collect(),
            alerts,
            texts: false,
            allow_private: true,
            ca: None,
            timeout: Duration::from_secs(1),
            max_attempts: 1,
            give_up_after: Duration::from_secs(1),
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(1),
            dead_letters: 1,
        };
        let shared = Shared { templates: Arc::default(), public_url: None, links: None };
        let roots: Roots = Arc::new(|_| Err(String::new()));
        Destination::open(settings, shared, &roots).unwrap()
    };
    let raised = |severity| {
        let finding = Finding {
            kind: AlertKind::DenialBurst,
            severity,
            subject: AlertSubject::Principal(user("alice")),
            principal: Some(user("alice")),
            role: None,
            scope: None,
            numbers: BTreeMap::from([("denials".to_owned(), 12)]),
            began_at: NOW,
            record: 1,
            remedy: None,
        };
        let id = finding.incident_id().unwrap();
        let incident = Incident { id, finding, raised_at: NOW, dismissed: None, cleared: None };
        Event::Alert(AlertEvent::Raised { incident: Box::new(incident) })
    };
    let rows: [(Option<Severity>, &[Notice], [bool; 3]); 5] = [
        (None, &[], [false, false, false]),
        (None, &[Notice::Alert], [true, true, true]),
        (Some(Severity::Low), &[], [true, true, true]),
        (Some(Severity::Medium), &[Notice::Alert], [false, true, true]),
        (Some(Severity::High), &[], [false, false, true]),
    ];
    for (alerts, events, expected) in rows {
        let destination = open(alerts, events);
        let hears = Severity::ALL.map(|severity| {
            let definitions = definitions("requested = []");
            let memory = MemoryRows::new(Arc::clone(&definitions));
            let facts = Overlay::new(&memory, definitions);
            let record = record(Actor::System, vec![raised(severity)]);
            let message = message(&facts, (&record, &Digest([0xab; 32])), 0, false).unwrap().unwrap();
            assert_eq!(message.payload()["data"]["event"]["incident"]["numbers"]["denials"], 12);
            !destination.told(&facts, &record, &message, &Heard::default()).unwrap().is_empty()
        });
        assert_eq!(hears, expected, "{alerts:?} {events:?}");
    }
}
