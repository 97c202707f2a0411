//! Security Event Tokens: what they say, in which order, and that others can verify them.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::common::eventually;
use crate::receiver::{Mode, Receiver, Took};
use crate::world::{World, pem, python};

const REVOKED: &str = "https://schemas.openid.net/secevent/caep/event-type/session-revoked";
const CHANGED: &str = "https://schemas.openid.net/secevent/caep/event-type/token-claims-change";

fn key(world: &World, file: &str) {
    let der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
    world.write(file, &pem("PRIVATE KEY", der.as_ref()));
}

fn world(receiver: &Receiver) -> World {
    named(receiver, "subject = \"iss_sub\"\nsubject_issuer = \"https://id.example\"\nsubject_type = \"User\"\n")
}

/// A receiver that knows principals by such names.
fn named(receiver: &Receiver, subject: &str) -> World {
    let world = World::new();
    key(&world, "set.key");
    world.write("push.token", "push-secret\n");
    world.add(&format!(
        "[notify.destinations.idp]\nkind = \"set\"\nurl = \"{}\"\nissuer = \"https://elevon.example\"\naudience = \"https://id.example\"\n\
         key_file = \"set.key\"\nkid = \"one\"\nauthorization_file = \"push.token\"\n{subject}allow_private = true\nfirst_pause = \"PT1S\"\n",
        receiver.url()
    ));
    world
}

/// What a token claims, if one of the published keys signed it.
fn claims(world: &World, took: &Took) -> Value {
    let (signed, signature) = took.body.rsplit_once('.').unwrap();
    let decoded = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap();
    let part = |text: &str| -> Value { serde_json::from_slice(&decoded(text)).unwrap() };
    let (header, payload) = signed.split_once('.').unwrap();
    let header = part(header);
    assert_eq!((&header["typ"], &header["alg"]), (&json!("secevent+jwt"), &json!("ES256")));
    let keys = world.get("/.well-known/jwks.json");
    let key = keys["keys"].as_array().unwrap().iter().find(|key| key["kid"] == header["kid"]).unwrap();
    assert!(key.get("d").is_none(), "{key}");
    let point = [vec![4], decoded(key["x"].as_str().unwrap()), decoded(key["y"].as_str().unwrap())].concat();
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(signed.as_bytes(), &decoded(signature)).unwrap();
    part(payload)
}

/// An activation of the first administrator's, from its beginning to its end.
fn there_and_back(world: &World) {
    world.administer();
    let me = world.get("/v1/me");
    let id = me["active"][0]["id"].as_str().unwrap_or_else(|| panic!("{me}")).to_owned();
    world.done(&["deactivate", &id]);
}

#[test]
fn a_role_that_begins_changes_claims_and_one_that_ends_revokes_sessions() {
    let receiver = Receiver::start(Mode::Answers(202));
    let mut world = world(&receiver);
    world.start();
    there_and_back(&world);
    eventually("three tokens were pushed", || receiver.all().len() == 3);
    let told: Vec<Value> = receiver.all().iter().map(|took| claims(&world, took)).collect();
    let kinds: Vec<&str> = told.iter().map(|claims| claims["events"].as_object().unwrap().keys().next().unwrap().as_str()).collect();
    assert_eq!(kinds, [CHANGED, REVOKED, CHANGED]);
    for (claims, took) in told.iter().zip(receiver.all()) {
        assert_eq!((&claims["iss"], &claims["aud"]), (&json!("https://elevon.example"), &json!("https://id.example")));
        assert_eq!(claims["sub_id"], json!({ "format": "iss_sub", "iss": "https://id.example", "sub": "admin" }));
        assert_eq!((took.header("content-type"), took.header("authorization")), ("application/secevent+jwt", "Bearer push-secret"));
    }
    assert_eq!(told[1]["txn"], told[2]["txn"], "one change");
    assert_ne!(told[0]["txn"], told[1]["txn"]);
    let (begun, over) = (&told[0]["events"][CHANGED], &told[2]["events"][CHANGED]);
    assert_eq!(begun["claims"]["elevon_roles"][0]["role"], "elevon-admin", "{begun}");
    assert_eq!((&over["claims"]["elevon_roles"], &over["initiating_entity"]), (&json!([]), &json!("user")), "{over}");
    let Some(python) = python() else {
        println!("left out: `make test` installs another library that verifies tokens");
        return;
    };
    let tokens: Vec<String> = receiver.all().into_iter().map(|took| took.body).collect();
    let keys = format!("{}/.well-known/jwks.json", world.url());
    let printed = crate::world::run_python(&python, "sets.py", &[&keys, "https://elevon.example", "https://id.example"], &tokens);
    let jtis: Vec<Value> = printed.iter().map(|line| serde_json::from_str::<Value>(line).unwrap()["jti"].clone()).collect();
    assert_eq!(jtis, told.iter().map(|claims| claims["jti"].clone()).collect::<Vec<_>>());
}

#[test]
fn a_token_that_is_never_taken_is_given_up_at_once_and_one_that_may_be_is_sent_again() {
    // what speaks of the transmitter is mended there, and the token is taken then
    let receiver = Receiver::start(Mode::Refuses("invalid_key"));
    let mut world = world(&receiver);
    world.start();
    world.administer();
    eventually("it was tried more than once", || world.destination("idp")["attempts"].as_u64().unwrap() >= 2);
    let status = world.destination("idp");
    assert!(status["last_error"]["message"].as_str().unwrap_or_else(|| panic!("{status}")).contains("`invalid_key`"), "{status}");
    let tried = receiver.all().len();
    receiver.set(Mode::Refuses("invalid_request"));
    eventually("it was given up", || world.destination("idp")["given_up"] == json!(1));
    let letter = world.get("/v1/notifications/dead-letters")["items"][0].clone();
    assert!(letter["error"].as_str().unwrap().contains("invalid_request"), "{letter}");
    let before = receiver.all().len();
    assert!(before > tried, "{before}");
    // 200 is not 202: it may have been read by something that is no receiver
    receiver.set(Mode::Answers(200));
    world.user("alice", &json!({}));
    world.send("POST", "/v1/entities/disable", &json!({ "type": "User", "id": "alice", "reason": "left" }));
    eventually("it was tried in vain", || world.destination("idp")["attempts"].as_u64().unwrap() >= 1);
    receiver.set(Mode::Answers(202));
    eventually("it was taken", || world.destination("idp")["lag"] == json!(0));
    let again: Vec<Value> = receiver.all().iter().rev().take(2).rev().map(|took| claims(&world, took)).collect();
    assert_eq!(claims(&world, &receiver.all()[before])["jti"], again[0]["jti"], "the same each time that it is sent");
    assert_eq!((&again[0]["sub_id"]["sub"], again[0]["events"].get(REVOKED).is_some()), (&json!("alice"), true));
    assert_eq!(again[1]["events"][CHANGED]["claims"]["elevon_roles"], json!([]));
    // a key is rotated: the old one is still published
    key(&world, "next.key");
    let rotated = |kid: &str| format!("key_file = \"next.key\"\nkid = \"{kid}\"\nretired_keys = [{{ file = \"set.key\", kid = \"one\" }}]");
    world.change("key_file = \"set.key\"\nkid = \"one\"", &rotated("one"));
    let checked = crate::common::elevon(&["config", "check", world.config().to_str().unwrap()]);
    assert!(checked.code == 2 && checked.stderr.contains("two keys have the `kid` `one`"), "{checked:?}");
    world.change(&rotated("one"), &rotated("two"));
    world.hang_up();
    eventually("two keys are published", || world.get("/.well-known/jwks.json")["keys"].as_array().unwrap().len() == 2);
    // what was signed before is verified by the key that signed it
    claims(&world, receiver.all().last().unwrap());
    assert!(!world.log().contains("push-secret"));
}

/// The kind of each token that was taken, and whom it speaks of.
fn taken(world: &World, receiver: &Receiver) -> Vec<(String, Value)> {
    let all = receiver.all();
    let taken = all.iter().filter(|took| took.taken).map(|took| claims(world, took));
    taken.map(|claims| (claims["events"].as_object().unwrap().keys().next().unwrap().clone(), claims["sub_id"].clone())).collect()
}

/// Somebody holds a role from now on.
fn assign(world: &World, uid: &str) -> String {
    let assigned =
        world.cli(&["assignment", "add", uid, "operator", "--scope", "Environment::\"prod\"", "--for", "PT1H", "--output", "json"]);
    let assigned: Value = serde_json::from_str(&assigned.stdout).unwrap_or_else(|error| panic!("{error}: {assigned:?}"));
    assigned["id"].as_str().unwrap_or_else(|| panic!("{assigned}")).to_owned()
}

#[test]
fn a_receiver_that_takes_one_kind_only_hears_of_every_end() {
    let receiver = Receiver::start(Mode::RefusesOf("session-revoked"));
    let mut world = world(&receiver);
    world.start();
    world.administer();
    world.user("alice", &json!({}));
    let assigned = assign(&world, "User::\"alice\"");
    world.done(&["assignment", "remove", &assigned, "--reason", "not needed"]);
    eventually("one was given up", || world.destination("idp")["given_up"] == json!(1));
    let kinds: Vec<String> = taken(&world, &receiver).into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, [CHANGED, CHANGED, CHANGED]);
    let last = claims(&world, receiver.all().iter().rfind(|took| took.taken).unwrap());
    assert_eq!(last["events"][CHANGED]["claims"]["elevon_roles"], json!([]));
    // what waits in the list is tried again whole, and taken once the receiver has learnt it
    receiver.set(Mode::Answers(202));
    let letter = world.get("/v1/notifications/dead-letters")["items"][0]["id"].as_str().unwrap().to_owned();
    world.done(&["notifications", "retry", &letter]);
    eventually("the other one came", || taken(&world, &receiver).iter().any(|(kind, _)| kind == REVOKED));
}

#[test]
fn sessions_of_a_principal_that_is_deleted_end_by_the_last_address_that_is_known() {
    let receiver = Receiver::start(Mode::Answers(202));
    let mut world = named(&receiver, "subject = \"email\"\nsubject_type = \"User\"\n");
    world.start();
    world.administer();
    let kinds = |world: &World| -> Vec<String> {
        let alice = json!({ "format": "email", "email": "alice@example.com" });
        taken(world, &receiver).into_iter().filter(|(_, sub)| *sub == alice).map(|(kind, _)| kind).collect()
    };
    world.user("alice", &json!({ "email": "alice@example.com" }));
    assign(&world, "User::\"alice\"");
    eventually("it was told that she holds it", || kinds(&world) == [CHANGED]);
    // the server is started again, so that nothing is remembered, and the attribute goes before the principal does
    world.kill();
    world.start();
    world.user("alice", &json!({}));
    assert_eq!(world.call("DELETE", "/v1/entities?type=User&id=alice").0, 200);
    eventually("it was told that she does not", || kinds(&world) == [CHANGED, REVOKED, CHANGED]);
    // one that never had an address is not passed over in silence
    world.user("eve", &json!({}));
    assign(&world, "User::\"eve\"");
    eventually("it was given up", || {
        let letters = world.get("/v1/notifications/dead-letters");
        letters["items"].as_array().unwrap().iter().any(|letter| letter["error"].as_str().unwrap().contains("eve"))
    });
    // two with one address cannot be told apart, which is said
    world.user("mallory", &json!({ "email": "alice@example.com" }));
    assign(&world, "User::\"mallory\"");
    eventually("it is warned of", || world.log().contains("two principals have one address"));
}

#[test]
fn a_service_does_not_speak_for_the_user_of_the_same_id() {
    let receiver = Receiver::start(Mode::Answers(202));
    let mut world = world(&receiver);
    world.start();
    world.administer();
    world.send("PUT", "/v1/entities", &json!({ "uid": { "type": "Service", "id": "alice" } }));
    let service = assign(&world, "Service::\"alice\"");
    world.user("alice", &json!({}));
    assign(&world, "User::\"alice\"");
    world.done(&["assignment", "remove", &service, "--reason", "not needed"]);
    eventually("everything was told", || world.destination("idp")["lag"] == json!(0));
    let of_alice: Vec<(String, Value)> = taken(&world, &receiver).into_iter().filter(|(_, sub)| sub["sub"] == "alice").collect();
    assert_eq!(of_alice.iter().map(|(kind, _)| kind.as_str()).collect::<Vec<_>>(), [CHANGED], "{of_alice:?}");
}

#[test]
fn a_claim_says_what_a_principal_holds_itself_and_comes_back_with_it() {
    let receiver = Receiver::start(Mode::Answers(202));
    let mut world = world(&receiver);
    world.start();
    world.administer();
    world.send("PUT", "/v1/entities", &json!({ "uid": { "type": "Group", "id": "crew" } }));
    let alice = json!({ "uid": { "type": "User", "id": "alice" }, "parents": [{ "type": "Group", "id": "crew" }] });
    world.send("PUT", "/v1/entities", &alice);
    assign(&world, "Group::\"crew\"");
    assign(&world, "User::\"alice\"");
    for verb in ["disable", "enable"] {
        world.send("POST", &format!("/v1/entities/{verb}"), &json!({ "type": "User", "id": "alice", "reason": "a leave" }));
        // a claim says what is held when it is made
        eventually("everything was told", || world.destination("idp")["lag"] == json!(0));
    }
    let all = receiver.all();
    let about = all.iter().map(|took| claims(&world, took)).filter(|claims| claims["sub_id"]["sub"] == "alice");
    let told: Vec<(String, usize)> = about
        .map(|claims| {
            let (kind, said) = claims["events"].as_object().unwrap().iter().next().unwrap();
            (kind.clone(), said["claims"]["elevon_roles"].as_array().map_or(0, Vec::len))
        })
        .collect();
    let rows = [(CHANGED, 1), (REVOKED, 0), (CHANGED, 0), (CHANGED, 1)];
    assert_eq!(told, rows.map(|(kind, roles)| (kind.to_owned(), roles)));
}

#[test]
fn a_principal_that_leaves_with_a_bundle_is_told_of() {
    let receiver = Receiver::start(Mode::Answers(202));
    let mut world = world(&receiver);
    let zoe = |attrs: &str| format!(r#"{{ "uid": {{ "type": "User", "id": "zoe" }}, "attrs": {attrs}, "parents": [] }}"#);
    world.change_policy("entities.json", |all| all.replacen('[', &format!("[\n  {},", zoe("{}")), 1));
    world.start();
    world.administer();
    assign(&world, "User::\"zoe\"");
    let zoes =
        || -> Vec<String> { taken(&world, &receiver).into_iter().filter(|(_, sub)| sub["sub"] == "zoe").map(|(kind, _)| kind).collect() };
    eventually("it was told that she holds it", || zoes() == [CHANGED]);
    world.change_policy("entities.json", |all| all.replacen(&format!("\n  {},", zoe("{}")), "", 1));
    world.hang_up();
    eventually("it was told that she does not", || zoes() == [CHANGED, REVOKED, CHANGED]);
}
