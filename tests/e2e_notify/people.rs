//! What people get: messages in a channel, and e-mail through a real mail server.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::common::eventually;
use crate::receiver::{Mode, Receiver};
use crate::world::{World, pem, python, script};

/// The role that alice asks for, and bob approves; and whom that is told.
const ROLE: &str = "\n[[roles.\"operator\".approval.stages]]\napprovers = ['User::\"bob\"', 'User::\"eve\"']\n\n[roles.\"operator\".notify]\n\
    requested = [\"approvers\", \"destination:ops\"]\ndenied = [\"requester\"]\n";
/// What alice writes.
const REASON: &str = "<script>alert(1)</script> <!channel> see https://evil.example";
/// How that is shown to people: what would be made a link is spelt out.
const SHOWN: &str = "<script>alert(1)</script> <!channel> see https\\u{3a}//evil.example";

/// alice may ask, bob and eve may approve.
fn people(world: &World) -> String {
    world.administer();
    world.user("alice", &json!({ "email": "alice@example.com" }));
    world.user("bob", &json!({ "email": "bob@example.com" }));
    world.user("eve", &json!({ "email": "nobody@example.com" }));
    world.done(&["eligibility", "add", "User::\"alice\"", "operator", "--scope", "Environment::\"prod\"", "--for", "P30D"]);
    let alice = std::fs::read_to_string(world.dir().join("alice.token")).unwrap();
    let asked = world.cli_as(&alice, &["activate", "operator", "--scope", "Environment::\"prod\"", "--reason", REASON, "--output", "json"]);
    let asked: Value = serde_json::from_str(&asked.stdout).unwrap_or_else(|error| panic!("{error}: {asked:?}"));
    asked["id"].as_str().unwrap_or_else(|| panic!("{asked}")).to_owned()
}

fn world() -> World {
    let world = World::new();
    let alice = world.add_token("alice");
    world.write("alice.token", &alice);
    let bob = world.add_token("bob");
    world.write("bob.token", &bob);
    world.change_policy("roles.toml", |roles| {
        let (head, tail) = roles.split_once("\n\n# Elevon's own administrator").unwrap();
        format!("{head}\n{ROLE}\n\n# Elevon's own administrator{tail}")
    });
    world
}

#[test]
fn a_channel_gets_what_is_asked_in_plain_text_with_a_way_to_answer() {
    let receiver = Receiver::start(Mode::Answers(200));
    let mut world = world();
    world.write("ops.url", &receiver.url());
    world.add(
        "[notify]\npublic_url = \"https://elevon.example/ui/\"\n\n[notify.destinations.ops]\nkind = \"slack\"\nurl_file = \"ops.url\"\nallow_private = true\n",
    );
    world.start();
    let id = people(&world);
    eventually("the channel was told", || receiver.all().len() == 1);
    let message = receiver.all()[0].json();
    let text = message["blocks"][1]["text"].clone();
    assert_eq!(text["type"], "plain_text");
    assert!(text["text"].as_str().unwrap().contains(SHOWN), "{message}");
    assert!(!message["text"].as_str().unwrap().contains('<'), "{message}");
    let buttons: Vec<&str> =
        message["blocks"][2]["elements"].as_array().unwrap().iter().map(|button| button["url"].as_str().unwrap()).collect();
    assert_eq!(buttons, [format!("https://elevon.example/ui/v1/activations/{id}")]);
    assert!(!world.log().contains(&receiver.url()), "the address is a secret");
}

#[test]
fn an_approver_answers_from_the_message_and_nobody_else_does() {
    let receiver = Receiver::start(Mode::Answers(200));
    let mut world = world();
    let eve = world.add_token("eve");
    let bob = std::fs::read_to_string(world.dir().join("bob.token")).unwrap();
    world.write("ops.url", &receiver.url());
    world.add(
        "[notify]\npublic_url = \"https://elevon.example/ui/\"\nlink_good_for = \"PT5M\"\n\n[notify.destinations.ops]\nkind = \"slack\"\n\
         url_file = \"ops.url\"\nprincipal = 'User::\"bob\"'\nallow_private = true\n",
    );
    world.start();
    let id = people(&world);
    eventually("the channel was told", || receiver.all().len() == 1);
    let message = receiver.all()[0].json();
    let buttons: Vec<(&str, &str)> = message["blocks"][2]["elements"]
        .as_array()
        .unwrap()
        .iter()
        .map(|button| (button["text"]["text"].as_str().unwrap(), button["url"].as_str().unwrap()))
        .collect();
    let [("Approve", approve), ("Deny", deny)] = buttons[..] else { panic!("{buttons:?}") };
    assert!(approve.starts_with("https://elevon.example/ui/approve#") && approve.ends_with("&approve"), "{approve}");
    assert!(deny.ends_with("&deny"), "{deny}");

    // eve may approve, and not by what was made for bob
    let stolen = world.cli_as(&eve, &["approve", "--link", approve, "--reason", "it was in the channel"]);
    assert!(stolen.code == 1 && stolen.stderr.contains("link_of_another"), "{stolen:?}");
    let voted = world.cli_as(&bob, &["approve", "--link", approve, "--reason", "spoke to alice"]);
    assert!(voted.code == 0 && voted.stdout.contains("active"), "{voted:?}");
    assert_eq!(world.get(&format!("/v1/activations/{id}"))["status"], "active");
    let again = world.cli_as(&bob, &["deny", "--link", approve]);
    assert!(again.code == 1 && again.stderr.contains("link_used"), "{again:?}");
    let other = world.cli_as(&bob, &["deny", "--link", deny]);
    assert!(other.code == 1 && other.stderr.contains("not_permitted"), "{other:?}");
    let link = approve.split_once('#').unwrap().1.split_once('&').unwrap().0;
    assert!(!world.log().contains(link), "a link is nobody's but the approver's");
}

/// A mail server in Python. Killed when it is dropped.
struct MailServer {
    child: Child,
    port: u16,
}

impl MailServer {
    fn start(python: &std::path::Path, world: &World) -> Self {
        let authority = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        world.write("mail.pem", &pem("CERTIFICATE", authority.cert.der()));
        world.write("mail.key", &pem("PRIVATE KEY", &authority.signing_key.serialize_der()));
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let path = |name: &str| world.dir().join(name);
        let mut child = Command::new(python)
            .arg(script("mail.py"))
            .arg(port.to_string())
            .args([path("mail.pem"), path("mail.key"), path("mails")])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        Self { child, port }
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_real_mail_server_takes_what_is_written_to_those_whom_a_role_names() {
    let Some(python) = python() else {
        println!("left out: `make test` installs the mail server");
        return;
    };
    let mut world = world();
    let server = MailServer::start(&python, &world);
    world.write("mail.password", "mail-secret\n");
    world.add(&format!(
        "[notify]\npublic_url = \"https://elevon.example\"\n\n[notify.destinations.ops]\nkind = \"email\"\nhost = \"localhost\"\nport = {}\n\
         username = \"elevon\"\npassword_file = \"mail.password\"\nca = \"mail.pem\"\nfrom = \"Elevon <elevon@example.com>\"\n\
         to = [\"security@example.com\"]\nallow_private = true\nfirst_pause = \"PT1S\"\n",
        server.port
    ));
    world.start();
    let id = people(&world);
    let mails = || -> Vec<Value> {
        let text = std::fs::read_to_string(world.dir().join("mails")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    // bob, and the mailbox that the role names by its destination; what cannot be delivered to eve keeps nobody waiting
    eventually("two mails were taken", || mails().len() == 2);
    eventually("one was given up", || world.destination("ops")["given_up"] == json!(1));
    let letter = world.get("/v1/notifications/dead-letters")["items"][0].clone();
    assert_eq!((&letter["person"]["id"], &letter["attempts"]), (&json!("eve"), &json!(1)), "{letter}");
    let mails = mails();
    assert_eq!((&mails[0]["to"], &mails[1]["to"]), (&json!(["bob@example.com"]), &json!(["security@example.com"])));
    let html = |mail: &Value| mail["html"].as_str().unwrap().to_owned();
    assert!(html(&mails[1]).contains(&format!("href=\"https://elevon.example/v1/activations/{id}\"")), "{}", html(&mails[1]));
    // bob's own link, with which nobody else can do anything
    let link = mails[0]["text"].as_str().unwrap().lines().find_map(|line| line.strip_prefix("approve: ")).unwrap().to_owned();
    assert!(link.starts_with("https://elevon.example/approve#") && html(&mails[0]).contains("Deny"), "{link}");
    let bob = std::fs::read_to_string(world.dir().join("bob.token")).unwrap();
    let alice = std::fs::read_to_string(world.dir().join("alice.token")).unwrap();
    let refused = world.cli_as(&alice, &["approve", "--link", &link]);
    assert_eq!(refused.code, 1, "{refused:?}");
    let approved = world.cli_as(&bob, &["approve", "--link", &link]);
    assert_eq!(approved.code, 0, "{approved:?}");
    for mail in &mails {
        assert_eq!((&mail["tls"], &mail["from"]), (&json!(true), &json!("elevon@example.com")));
        assert!(mail["text"].as_str().unwrap().contains(SHOWN), "{mail}");
        let html = mail["html"].as_str().unwrap();
        assert!(!html.contains("<script>") && html.contains("&lt;script&gt;"), "{html}");
        let header =
            |name: &str| mail["headers"].as_array().unwrap().iter().find(|header| header[0] == name).map(|header| header[1].clone());
        assert_eq!(header("Auto-Submitted"), Some(json!("auto-generated")));
        assert!(header("Subject").unwrap().as_str().unwrap().contains("operator"), "{mail}");
    }
    assert!(!world.log().contains("mail-secret"));
}
