//! Mail servers that are slow, that refuse, and that refuse one person: the others hear all the same.

use elevon::domain::{Duration, Timestamp};
use serde_json::{Value, json};

use crate::common::{Home, eventually};
use crate::digest::{Open, beginning};
use crate::mail_server::{DRIPS, Scripted};
use crate::world::World;

/// A destination for mail at a server of the test's own.
fn mail(world: &World, server: &Scripted, more: &str) {
    world.add(&format!(
        "[notify]\npublic_url = \"https://elevon.example\"\n\n[notify.destinations.mail]\nkind = \"email\"\nhost = \"127.0.0.1\"\nport = {}\n\
         tls = \"none\"\nallow_private = true\nfrom = \"elevon@example.com\"\nfirst_pause = \"PT1S\"\nlongest_pause = \"PT1S\"\n{more}",
        server.port()
    ));
}

#[test]
fn a_server_that_never_ends_its_greeting_is_left_and_another_one_told() {
    let (slow, good) = (Scripted::start(|line| line.is_empty().then_some(DRIPS)), Scripted::start(|_| None));
    let mut world = World::new();
    mail(&world, &slow, "to = [\"ops@example.com\"]\nevents = [\"activated\"]\ntimeout = \"PT1S\"\n");
    world.start();
    world.administer();
    eventually("it was left", || world.destination("mail")["last_error"]["message"].as_str().is_some_and(|why| why.contains("timeout")));
    assert_eq!(world.destination("mail")["given_up"], json!(0));
    world.change(&format!("port = {}", slow.port()), &format!("port = {}", good.port()));
    world.hang_up();
    eventually("the other one was told", || good.to() == ["ops@example.com"]);
    assert!(!world.destination("mail")["last_error"].is_null(), "what came of it before is not forgotten");
}

#[test]
fn what_is_refused_for_one_keeps_nothing_from_others() {
    let server = Scripted::start(|line| match line {
        "RCPT TO:<gone@example.com>" => Some("550 5.1.1 nobody of that name\r\n"),
        "RCPT TO:<full@example.com>" => Some("452 4.2.2 the mailbox is full\r\n"),
        _ => None,
    });
    let mut world = World::new();
    world.change_policy("roles.toml", |roles| {
        format!("{roles}\n[roles.\"operator\".notify]\nassignment = [\"holder\", \"destination:mail\"]\n")
    });
    mail(&world, &server, "to = [\"gone@example.com\", \"ops@example.com\"]\n");
    world.start();
    world.administer();
    // one whose address the server cannot take, one whose mailbox is full, and one who can be told
    for (name, address) in [("alice", "alicé@example.com"), ("bob", "full@example.com"), ("carol", "carol@example.com")] {
        world.user(name, &json!({ "email": address }));
        let uid = format!("User::\"{name}\"");
        world.done(&["assignment", "add", &uid, "operator", "--scope", "Environment::\"prod\"", "--for", "PT1H"]);
    }
    eventually("everybody was told who can be", || world.destination("mail")["lag"] == json!(0));
    assert_eq!(server.to(), ["ops@example.com", "ops@example.com", "carol@example.com", "ops@example.com"]);
    let letters = world.get("/v1/notifications/dead-letters")["items"].clone();
    let letters: Vec<(Value, Value)> =
        letters.as_array().unwrap().iter().map(|letter| (letter["person"]["id"].clone(), letter["attempts"].clone())).collect();
    let (alice, bob, boxes) = ((json!("alice"), json!(1)), (json!("bob"), json!(3)), (Value::Null, json!(1)));
    assert_eq!(letters, [alice, boxes.clone(), bob, boxes.clone(), boxes]);
}

#[test]
fn a_mailbox_that_takes_nothing_for_now_is_tried_again_by_itself() {
    let server = Scripted::start(|line| line.starts_with("RCPT").then_some("450 4.2.0 greylisted, come back later\r\n"));
    let home = Home::new();
    let config = format!(
        "{}[notify.destinations.mail]\nkind = \"email\"\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"\nallow_private = true\n\
         from = \"elevon@example.com\"\nfirst_pause = \"PT1S\"\nlongest_pause = \"PT1S\"\nto = [\"ops@example.com\"]\nevents = [\"refused\"]\n\n[notify.digest]\ndestinations = [\"mail\"]\n",
        beginning(),
        server.port()
    );
    std::fs::write(home.path().join("elevon.toml"), config).unwrap();
    let open = Open::on(home.path(), Timestamp::parse("2030-01-26T12:00:00Z").unwrap());
    let status = || open.office.destinations().unwrap().remove(0);
    open.refuses(0);
    eventually("it is a dead letter", || status().dead_letters == 1);
    // too early, and still refused, and then taken
    for (minutes, number) in [(4, 1), (2, 2)] {
        open.clock.advance(Duration::from_mins(minutes));
        open.refuses(number);
        eventually("the next one is a dead letter, too", || status().dead_letters == 1 + number as u64);
    }
    server.set(|_| None);
    open.clock.advance(Duration::from_mins(16));
    open.refuses(3);
    eventually("all of them were taken", || server.to().len() == 4 && status().dead_letters == 0);
    open.close();
}

#[test]
fn a_server_that_refuses_everybody_loses_nothing() {
    let server = Scripted::start(|line| line.is_empty().then_some("554 no service here\r\n"));
    let mut world = World::new();
    mail(&world, &server, "to = [\"ops@example.com\"]\nevents = [\"activated\"]\n");
    world.start();
    world.administer();
    let tried = |times: u64| eventually("it was tried again", || world.destination("mail")["attempts"].as_u64().unwrap() >= times);
    tried(2);
    server.set(|line| line.starts_with("MAIL FROM").then_some("550 not from you\r\n"));
    tried(4);
    let status = world.destination("mail");
    assert_eq!((&status["given_up"], &status["last_error"]["message"]), (&json!(0), &json!("MAIL FROM: it answered 550 not from you")));
    server.set(|_| None);
    eventually("it was told", || server.to() == ["ops@example.com"]);
}

#[test]
fn who_is_disabled_meanwhile_is_not_told() {
    let server = Scripted::start(|line| line.is_empty().then_some("421 later\r\n"));
    let mut world = World::new();
    world.change_policy("roles.toml", |roles| {
        format!("{roles}\n[roles.\"operator\".notify]\nassignment = ['User::\"bob\"', 'User::\"carol\"']\n")
    });
    mail(&world, &server, "");
    world.start();
    world.administer();
    for name in ["alice", "bob", "carol"] {
        world.user(name, &json!({ "email": format!("{name}@example.com") }));
    }
    world.done(&["assignment", "add", "User::\"alice\"", "operator", "--scope", "Environment::\"prod\"", "--for", "PT1H"]);
    eventually("it was tried in vain", || world.destination("mail")["attempts"].as_u64().unwrap() >= 1);
    world.send("POST", "/v1/entities/disable", &json!({ "type": "User", "id": "bob", "reason": "left" }));
    server.set(|_| None);
    eventually("the other one was told", || server.to() == ["carol@example.com"]);
}

#[test]
fn nobody_is_asked_for_a_vote_on_what_was_taken_back() {
    let server = Scripted::start(|line| line.is_empty().then_some("421 later\r\n"));
    let mut world = World::new();
    let alice = world.add_token("alice");
    world.change_policy("roles.toml", |roles| {
        let (head, tail) = roles.split_once("\n\n# Elevon's own administrator").unwrap();
        let asks = "[[roles.\"operator\".approval.stages]]\napprovers = ['User::\"bob\"']\n\n[roles.\"operator\".notify]\n\
                    requested = [\"approvers\", \"requester\"]\ncancelled = [\"approvers\"]\n";
        format!("{head}\n{asks}\n\n# Elevon's own administrator{tail}")
    });
    mail(&world, &server, "");
    world.start();
    world.administer();
    for name in ["alice", "bob"] {
        world.user(name, &json!({ "email": format!("{name}@example.com") }));
    }
    world.done(&["eligibility", "add", "User::\"alice\"", "operator", "--scope", "Environment::\"prod\"", "--for", "P30D"]);
    let ask = |scope: &str| -> String {
        let asked = world.cli_as(&alice, &["activate", "operator", "--scope", scope, "--reason", "x", "--output", "json"]);
        let asked: Value = serde_json::from_str(&asked.stdout).unwrap_or_else(|error| panic!("{error}: {asked:?}"));
        asked["id"].as_str().unwrap_or_else(|| panic!("{asked}")).to_owned()
    };
    for _ in 0..3 {
        let id = ask("Environment::\"prod\"");
        let cancelled = world.cli_as(&alice, &["cancel", &id]);
        assert_eq!(cancelled.code, 0, "{cancelled:?}");
    }
    ask("Environment::\"prod\"");
    server.set(|_| None);
    eventually("everything was told", || world.destination("mail")["lag"] == json!(0));
    let subject = |mail: &str| mail.lines().find_map(|line| line.strip_prefix("Subject: ")).unwrap().to_owned();
    let told: Vec<(String, String)> = server.took().iter().map(|(to, mail)| (to.clone(), subject(mail))).collect();
    let to_bob = |what: &str| told.iter().filter(|(to, subject)| to == "bob@example.com" && subject.contains(what)).count();
    assert_eq!((to_bob("taken back"), to_bob("asks")), (3, 1), "{told:?}");
    // whoever asked hears of it, and has no vote to give
    let mails = server.took();
    let asked = |name: &str| mails.iter().find(|(to, mail)| to == name && subject(mail).contains("asks")).unwrap().1.contains("/approve#");
    assert_eq!((asked("bob@example.com"), asked("alice@example.com")), (true, false));
}

#[test]
fn mails_in_a_row_go_over_one_connection() {
    let server = Scripted::start(|_| None);
    let mut world = World::new();
    let boxes: Vec<String> = (0..10).map(|number| format!("box-{number}@example.com")).collect();
    mail(&world, &server, &format!("to = {boxes:?}\nevents = [\"activated\"]\n"));
    world.start();
    world.administer();
    eventually("all were told", || server.to() == boxes);
    assert_eq!(server.connections(), 1);
    // one that takes so many and no more is connected to again
    eventually("it is idle", || world.destination("mail")["state"] == "idle");
    server.set(|line| (line == "RSET").then_some("421 that will do\r\n"));
    world.done(&["notifications", "test", "mail"]);
    assert_eq!((server.connections(), server.took().len()), (11, 20));
}

#[test]
fn whoever_asks_and_takes_back_in_a_loop_buries_nobody() {
    let server = Scripted::start(|_| None);
    let mut world = World::new();
    let alice = world.add_token("alice");
    world.change_policy("roles.toml", |roles| {
        let (head, tail) = roles.split_once("\n\n# Elevon's own administrator").unwrap();
        let asks = "[[roles.\"operator\".approval.stages]]\napprovers = ['User::\"bob\"']\n\n[roles.\"operator\".notify]\n\
                    requested = [\"approvers\"]\ncancelled = [\"approvers\"]\n";
        format!("{head}\n{asks}\n\n# Elevon's own administrator{tail}")
    });
    mail(&world, &server, "to = [\"ops@example.com\"]\nevents = [\"entity\"]\n");
    world.start();
    world.administer();
    for name in ["alice", "bob"] {
        world.user(name, &json!({ "email": format!("{name}@example.com") }));
    }
    world.done(&["eligibility", "add", "User::\"alice\"", "operator", "--scope", "Environment::\"prod\"", "--for", "P30D"]);
    // more than is told in two hours, should a new one begin meanwhile
    for _ in 0..63 {
        let asked =
            world.cli_as(&alice, &["activate", "operator", "--scope", "Environment::\"prod\"", "--reason", "x", "--output", "json"]);
        let asked: Value = serde_json::from_str(&asked.stdout).unwrap_or_else(|error| panic!("{error}: {asked:?}"));
        let cancelled = world.cli_as(&alice, &["cancel", asked["id"].as_str().unwrap()]);
        assert_eq!(cancelled.code, 0, "{cancelled:?}");
    }
    world.user("carol", &json!({}));
    eventually("everything was told", || world.destination("mail")["lag"] == json!(0));
    let told = server.to();
    assert_eq!(told.last().map(String::as_str), Some("ops@example.com"), "{told:?}");
    assert!(told.iter().filter(|to| *to == "bob@example.com").count() <= 120, "{told:?}");
    let metrics = world.metrics();
    let line = metrics.lines().find_map(|line| line.strip_prefix("elevon_notifications_held_back_total{destination=\"mail\"} "));
    assert!(line.is_some_and(|count| count.parse::<u64>().unwrap() >= 6), "{metrics}");
    assert!(world.log().contains("the rest of this hour is held back"));
}
