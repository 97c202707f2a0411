//! Receivers that fail, hang, hang up and come back; a server that is killed; letters that are tried again.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::common::eventually;
use crate::receiver::{Mode, Receiver, Took};
use crate::world::World;

/// Whether one of the signatures of a request is that of a key.
fn is_signed(took: &Took, secret: &str) -> bool {
    let key = hmac::Key::new(hmac::HMAC_SHA256, &STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap());
    let signed = format!("{}.{}.{}", took.header("webhook-id"), took.header("webhook-timestamp"), took.body);
    took.header("webhook-signature").split(' ').any(|signature| {
        let signature = signature.strip_prefix("v1,").unwrap();
        hmac::verify(&key, signed.as_bytes(), &STANDARD.decode(signature).unwrap()).is_ok()
    })
}

#[test]
fn every_event_comes_in_order_however_a_receiver_fares_and_others_do_not_wait() {
    let (steady, shaky) = (Receiver::start(Mode::Answers(200)), Receiver::start(Mode::Answers(500)));
    let mut world = World::new();
    let secrets = [world.secret("one"), world.secret("two")];
    world.webhook("steady", &steady, &["one"], "");
    world.webhook("shaky", &shaky, &["one", "two"], "timeout = \"PT1S\"\nfirst_pause = \"PT1S\"\nlongest_pause = \"PT1S\"\n");
    world.start();
    world.administer();
    let mut told = 0;
    for mode in [Mode::Answers(500), Mode::Hangs, Mode::Closes, Mode::Answers(429)] {
        shaky.set(mode);
        let before = shaky.connections();
        for _ in 0..2 {
            world.store(&format!("web-{told}"));
            told += 1;
        }
        let stored = format!("web-{}", told - 1);
        eventually("the steady one is told at once", || steady.all().iter().any(|took| took.body.contains(&stored)));
        eventually("the shaky one was tried", || shaky.connections() > before + 1);
    }
    assert!(shaky.ids().is_empty(), "{:?}", shaky.ids());
    // between two attempts
    eventually("it is said to fail", || world.destination("shaky")["state"] == "failing");
    let status = world.destination("shaky");
    assert_eq!(status["delivered"], json!(0), "{status}");
    assert!(status["attempts"].as_u64().unwrap() > 0 && status["lag"].as_u64().unwrap() > 0, "{status}");
    assert_eq!(world.destination("steady")["lag"], json!(0));
    // as a power cut would, in the middle of it
    world.kill();
    world.start();
    world.store("after-the-kill");
    shaky.set(Mode::Answers(204));
    eventually("both were told of everything", || {
        let (steady, shaky) = (steady.ids(), shaky.ids());
        steady.len() == shaky.len() && world.destination("shaky")["lag"] == json!(0) && world.destination("steady")["lag"] == json!(0)
    });
    assert_eq!(steady.ids(), shaky.ids(), "in the journal's order");
    let kinds: Vec<String> =
        shaky.all().iter().filter(|took| took.taken).map(|took| took.json()["type"].as_str().unwrap().to_owned()).collect();
    assert!(kinds.iter().filter(|kind| *kind == "entity_stored").count() >= 9, "{kinds:?}");
    for took in shaky.all() {
        assert!(secrets.iter().all(|secret| is_signed(&took, secret)), "{took:?}");
    }
    for took in steady.all() {
        assert!(is_signed(&took, &secrets[0]) && !is_signed(&took, &secrets[1]), "{took:?}");
        assert!(!took.body.contains(secrets[0].strip_prefix("whsec_").unwrap()));
    }
    let secret_in_log = secrets.iter().any(|secret| world.log().contains(secret.strip_prefix("whsec_").unwrap()));
    assert!(!secret_in_log, "a secret is in the log");
    let Some(python) = crate::world::python() else {
        println!("left out: `make test` installs another library that verifies webhooks");
        return;
    };
    let line = |took: &Took| {
        let headers = ["webhook-id", "webhook-timestamp", "webhook-signature"].map(|name| (name.to_owned(), json!(took.header(name))));
        json!({ "headers": headers.into_iter().collect::<serde_json::Map<_, _>>(), "body": took.body }).to_string()
    };
    let taken: Vec<Took> = shaky.all().into_iter().filter(|took| took.taken).collect();
    for secret in &secrets {
        let printed = crate::world::run_python(&python, "webhooks.py", &[secret], &taken.iter().map(line).collect::<Vec<_>>());
        assert_eq!(printed, taken.iter().map(|took| took.header("webhook-id").to_owned()).collect::<Vec<_>>());
    }
}

#[test]
fn what_is_given_up_waits_in_a_list_and_the_next_goes_on() {
    let receiver = Receiver::start(Mode::Answers(500));
    let mut world = World::new();
    world.secret("one");
    let bounds = "first_pause = \"PT1S\"\nlongest_pause = \"PT1S\"\nmax_attempts = 1\ndead_letters = 2\nevents = [\"entity\"]\n";
    world.webhook("ops", &receiver, &["one"], bounds);
    world.start();
    world.administer();
    for name in ["web-1", "web-2", "web-3"] {
        world.store(name);
    }
    eventually("three were given up, and two are kept", || {
        let status = world.destination("ops");
        (status["given_up"].clone(), status["dead_letters"].clone(), status["dropped"].clone()) == (json!(3), json!(2), json!(1))
    });
    let metrics = world.metrics();
    for line in
        ["elevon_notifications_given_up_total{destination=\"ops\"} 3", "elevon_notifications_forgotten_total{destination=\"ops\"} 1"]
    {
        assert!(metrics.lines().any(|told| told == line), "{line} is not in\n{metrics}");
    }
    let letters = world.get("/v1/notifications/dead-letters?destination=ops");
    let ids: Vec<String> = letters["items"].as_array().unwrap().iter().map(|letter| letter["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!((ids.len(), &letters["items"][0]["error"]), (2, &json!("it answered 500")), "{letters}");
    // in vain at first: it stays, with what came of it
    let attempts = |world: &World, id: &str| -> Value {
        let letters = world.get("/v1/notifications/dead-letters");
        letters["items"]
            .as_array()
            .unwrap()
            .iter()
            .find(|letter| letter["id"] == id)
            .map_or(Value::Null, |letter| letter["attempts"].clone())
    };
    world.done(&["notifications", "retry", &ids[0]]);
    eventually("it was tried again", || attempts(&world, &ids[0]) == json!(2));
    receiver.set(Mode::Answers(200));
    // over a kill, too
    world.done(&["notifications", "retry", &ids[0]]);
    world.kill();
    world.start();
    eventually("it was taken, and is gone", || attempts(&world, &ids[0]) == Value::Null);
    assert_eq!(receiver.all().last().unwrap().json()["data"]["event"]["entity"]["id"], "web-2");
    world.done(&["notifications", "discard", &ids[1]]);
    assert_eq!(world.get("/v1/notifications/dead-letters")["items"], json!([]));
    assert_eq!(world.call("DELETE", &format!("/v1/notifications/dead-letters/{}", ids[1])).0, 404);
    assert_eq!(world.call("POST", "/v1/notifications/dead-letters/nothing/retry").0, 404);
    // and a test of it says what comes of it
    world.done(&["notifications", "test", "ops"]);
    receiver.set(Mode::Closes);
    let failed = world.cli(&["notifications", "test", "ops"]);
    assert!(failed.code == 1 && failed.stdout.contains("did not accept the test message"), "{failed:?}");
    assert_eq!(world.cli(&["notifications", "test", "none"]).code, 1);
}

#[test]
fn a_configuration_that_is_read_again_goes_on_where_it_was() {
    let receiver = Receiver::start(Mode::Answers(200));
    let mut world = World::new();
    let (one, two) = (world.secret("one"), world.secret("two"));
    world.webhook("ops", &receiver, &["one"], "");
    world.start();
    world.administer();
    world.store("web-1");
    eventually("it was told", || receiver.all().iter().any(|took| took.body.contains("web-1")));
    world.change("secret_files = [\"one\"]", "secret_files = [\"two\", \"one\"]");
    world.hang_up();
    world.store("web-2");
    eventually("the configuration is the new one", || world.log().contains("the configuration was read again"));
    world.store("web-3");
    eventually("it was told by the new configuration", || receiver.all().iter().any(|took| took.body.contains("web-3")));
    let last = receiver.all().last().unwrap().clone();
    assert!(is_signed(&last, &one) && is_signed(&last, &two));
    assert_eq!(receiver.ids().len(), receiver.all().len(), "nothing came twice");
    // a secret that is not there changes nothing
    world.change("secret_files = [\"two\", \"one\"]", "secret_files = [\"three\"]");
    world.hang_up();
    eventually("a file that is wrong is said", || world.log().contains("notify destination `ops`"));
    world.store("web-4");
    eventually("the old one is told on", || receiver.all().iter().any(|took| took.body.contains("web-4")));
    let checked = crate::common::elevon(&["config", "check", world.config().to_str().unwrap()]);
    assert!(checked.code == 2 && checked.stderr.contains("three"), "{checked:?}");
    assert!(!checked.stderr.contains("whsec_"), "{checked:?}");
}

#[test]
fn a_destination_that_is_not_public_is_told_nothing_unless_that_is_allowed() {
    let receiver = Receiver::start(Mode::Answers(200));
    let mut world = World::new();
    world.secret("one");
    world.webhook("ops", &receiver, &["one"], "");
    world.change("allow_private = true", "allow_private = false");
    let checked = crate::common::elevon(&["config", "check", world.config().to_str().unwrap()]);
    assert!(checked.code == 2 && checked.stderr.contains("allow_private"), "{checked:?}");
    // by TLS it is looked at when it is called
    world.change("http://127.0.0.1", "https://127.0.0.1");
    world.start();
    world.administer();
    let tested = world.cli(&["notifications", "test", "ops"]);
    assert!(tested.code == 1 && tested.stdout.contains("this machine"), "{tested:?}");
    assert!(receiver.all().is_empty());
}

#[test]
fn a_letter_that_is_tried_again_spends_nothing_of_what_waits() {
    let receiver = Receiver::start(Mode::Answers(500));
    let mut world = World::new();
    world.secret("one");
    world.webhook("ops", &receiver, &["one"], "first_pause = \"PT1S\"\nmax_attempts = 1\nevents = [\"entity\"]\n");
    world.start();
    world.administer();
    world.store("web-1");
    eventually("it was given up", || world.destination("ops")["dead_letters"] == json!(1));
    let id = world.get("/v1/notifications/dead-letters")["items"][0]["id"].as_str().unwrap().to_owned();
    world.change("first_pause = \"PT1S\"\nmax_attempts = 1", "first_pause = \"PT1H\"\nmax_attempts = 2");
    world.change("events = [\"entity\"]", "events = [\"entity\"]\nlongest_pause = \"PT1H\"");
    world.hang_up();
    eventually("the configuration is the new one", || world.log().contains("the configuration was read again"));
    world.store("web-2");
    eventually("it was tried in vain", || world.destination("ops")["attempts"] == json!(1));
    for tries in 2..5 {
        world.done(&["notifications", "retry", &id]);
        let tried = || world.get("/v1/notifications/dead-letters")["items"][0]["attempts"].clone();
        eventually("the letter was tried", || tried() == json!(tries));
    }
    let status = world.destination("ops");
    assert_eq!((&status["attempts"], &status["dead_letters"], &status["state"]), (&json!(1), &json!(1), &json!("failing")), "{status}");
    assert!(world.log().contains("a secret may be read by others"), "the file with the secret is open to others");
}
