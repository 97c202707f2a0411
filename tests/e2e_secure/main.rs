//! A server that is started as for real: `elevon init`, a configuration file, tokens, and no `--dev`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking, in its helpers too"
)]

#[path = "../common/mod.rs"]
mod common;

mod ending;
mod first;
mod help;
mod issuers;
mod listeners;
mod pages;
mod provider;
mod tls;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use serde_json::{Value, json};

use common::{ELEVON, elevon, eventually, run};
use help::{Secure, done};

#[test]
fn from_nothing_to_an_allowed_check() {
    let mut secure = Secure::new();
    let alice = secure.add_token("alice", "User::\"alice\"");
    secure.start();
    let admin = secure.admin.clone();
    // being eligible is not being active, and nobody grants before
    let grant = ["eligibility", "add", "User::\"alice\"", "operator", "--scope", "Environment::\"prod\"", "--for", "P30D"];
    assert_eq!(secure.cli(&admin, &grant).code, 1);
    done(&secure.cli(&admin, &["activate", "elevon-admin", "--reason", "first start"]));
    let put = |entity: Value| assert!(secure.call(Some(&admin), "PUT", "/v1/entities", &entity).0 < 300);
    put(json!({"uid": {"type": "User", "id": "alice"}}));
    put(json!({"uid": {"type": "System", "id": "web"}, "parents": [{"type": "Environment", "id": "prod"}]}));
    done(&secure.cli(&admin, &grant));
    let check = ["check", "User::\"alice\"", "operate", "System::\"web\""];
    assert_eq!(secure.cli(&admin, &check).code, 1);
    done(&secure.cli(&alice, &["activate", "operator", "--scope", "Environment::\"prod\"", "--reason", "restart"]));
    done(&secure.cli(&admin, &check));
    // nobody grants oneself anything, the first administrator neither
    let oneself = ["eligibility", "add", "User::\"admin\"", "operator", "--scope", "Environment::\"prod\"", "--for", "P30D"];
    assert_eq!(secure.cli(&admin, &oneself).code, 1);
    let status = secure.cli(&alice, &["status"]);
    assert!(status.code == 0 && status.stdout.contains("operator"), "{status:?}");
    assert!(!secure.log().contains(&alice) && !secure.log().contains(&admin), "a token is in the log");
}

#[test]
fn no_credential_and_a_bad_one_are_different_answers_and_neither_says_more_than_it_must() {
    let mut secure = Secure::new();
    secure.start();
    let (status, challenge, none) = secure.call(None, "GET", "/v1/me", &Value::Null);
    assert_eq!((status, challenge.as_str(), &none["rule"]), (401, "Bearer realm=\"elevon\"", &json!("no_credential")));
    let other = format!("elv_{}", "A".repeat(43));
    let rows = [other.as_str(), "elv_short", &secure.admin[..secure.admin.len() - 1]];
    for token in rows {
        let (status, challenge, bad) = secure.call(Some(token), "GET", "/v1/me", &Value::Null);
        assert_eq!((status, &bad["rule"]), (401, &json!("bad_credential")), "{token}");
        assert_eq!(challenge, "Bearer realm=\"elevon\", error=\"invalid_token\"");
        assert_eq!(bad["detail"], json!("the token is not valid here"), "{token}");
    }
    let jwt = secure.call(Some("e30.e30.e30"), "GET", "/v1/me", &Value::Null);
    assert_eq!((jwt.0, &jwt.2["rule"]), (401, &json!("bad_credential")));
    assert_eq!(secure.cli("Dev User::\"admin\"", &["status"]).code, 1);
    assert!(!secure.log().contains(&secure.admin));
}

#[test]
fn tokens_rotate_without_a_restart_and_a_bad_file_changes_nothing() {
    let mut secure = Secure::new();
    secure.start();
    let old = secure.admin.clone();
    let new = secure.add_token("second", "User::\"admin\"");
    assert_eq!(secure.me(&new).0, 401);
    secure.hang_up();
    eventually("the new token counts", || secure.me(&new).0 == 200);
    assert_eq!(secure.me(&old).0, 200);
    let whole = fs::read_to_string(secure.config()).unwrap();
    secure.change("principal", "pricipal");
    secure.hang_up();
    eventually("a file that is wrong is shown", || secure.degraded());
    assert!(secure.log().contains("elevon.toml:"), "{}", secure.log());
    assert_eq!((secure.me(&old).0, secure.me(&new).0), (200, 200));
    // without the first entry
    let (head, rest) = whole.split_once("[[tokens]]").unwrap();
    let (_, second) = rest.split_once("[[tokens]]").unwrap();
    fs::write(secure.config(), format!("{head}[[tokens]]{second}")).unwrap();
    secure.hang_up();
    eventually("the old token does not count", || secure.me(&old).0 == 401);
    assert_eq!(secure.me(&new).0, 200);
    assert!(!secure.degraded());
}

#[test]
fn a_unix_socket_knows_its_caller_by_its_user() {
    let mut secure = Secure::new();
    let socket = secure.dir().join("elevon.sock");
    let uid = fs::metadata(secure.home.path()).map(|meta| std::os::unix::fs::MetadataExt::uid(&meta)).unwrap();
    secure.add(&format!(
        "[[listeners]]\nname = \"socket\"\nunix = \"elevon.sock\"\nmode = \"0600\"\naccept = [\"unix\"]\n\n[[unix]]\nuid = {uid}\nprincipal = 'User::\"admin\"'\n"
    ));
    secure.start();
    let url = format!("unix:{}", socket.display());
    let status = secure.cli_at(&url, "", &["status"]);
    assert!(status.code == 0 && status.stdout.contains("User::\"admin\""), "{status:?}");
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    secure.change(&format!("uid = {uid}"), &format!("uid = {}", uid + 1));
    secure.hang_up();
    eventually("the user is somebody else's", || secure.cli_at(&url, "", &["status"]).code == 1);
    // what was left behind is taken away, and what is served is not
    let ran = elevon(&["serve", "--config", secure.config().to_str().unwrap()]);
    assert!(ran.code == 2 && ran.stderr.contains("elevon.sock"), "{ran:?}");
}

#[test]
fn a_token_can_come_from_a_file() {
    let mut secure = Secure::new();
    secure.start();
    let file = secure.home.path().join("token");
    fs::write(&file, format!("{}\n", secure.admin)).unwrap();
    let status = |token: &str| {
        run(Command::new(ELEVON).arg("status").env("ELEVON_URL", secure.url()).env("ELEVON_TOKEN", token).env("ELEVON_TOKEN_FILE", &file))
    };
    assert_eq!(status("").code, 0);
    assert_eq!(status(&secure.admin).code, 2);
    fs::write(&file, "\n").unwrap();
    assert_eq!(status("").code, 2);
}

#[test]
fn init_wants_an_empty_folder_and_keeps_the_digest_only() {
    let secure = Secure::new();
    let again = elevon(&["init", secure.dir().to_str().unwrap()]);
    assert!(again.code == 2 && again.stderr.contains("is not empty"), "{again:?}");
    assert_eq!(fs::metadata(secure.config()).unwrap().permissions().mode() & 0o777, 0o600);
    let text = fs::read_to_string(secure.config()).unwrap();
    assert!(!text.contains(&secure.admin) && text.contains("sha256"));
    let tested = elevon(&["policy", "test", secure.dir().join("policies").to_str().unwrap()]);
    assert_eq!(tested.code, 0, "{tested:?}");
    let checked = elevon(&["config", "check", secure.config().to_str().unwrap()]);
    assert!(checked.code == 0 && checked.stdout.contains("token"), "{checked:?}");
}

#[test]
fn what_could_not_be_served_does_not_start() {
    let secure = Secure::new();
    let whole = fs::read_to_string(secure.config()).unwrap();
    let rows = [
        (whole.replace("accept = [\"token\"]", "accept = []"), "accepts nothing"),
        (whole.replace("127.0.0.1:0", "0.0.0.0:0"), "clear text"),
        (whole.replace("127.0.0.1:0\"", "0.0.0.0:0\"\ntls = { certificate = \"none.pem\", key = \"none.key\" }"), "none.pem"),
        (format!("{whole}\n[[oidc]]\nissuer = \"x\"\n"), "no listener accepts `oidc`"),
        (
            whole.replace("accept = [\"token\"]", "accept = [\"token\", \"oidc\"]")
                + "\n[[oidc]]\nissuer = \"https://id.example\"\nkeys = { url = \"https://id.example/jwks\" }\nca = \"missing.pem\"\n\
                   audiences = [\"elevon\"]\nprincipal_type = \"User\"\n",
            "missing.pem",
        ),
    ];
    for (text, says) in rows {
        fs::write(secure.config(), text).unwrap();
        for command in [["config", "check"].as_slice(), ["serve", "--config"].as_slice()] {
            let mut arguments = command.to_vec();
            let file = secure.config();
            arguments.push(file.to_str().unwrap());
            let ran = elevon(&arguments);
            assert!(ran.code == 2 && ran.stderr.contains(says), "{command:?} {says}: {ran:?}");
        }
    }
    // neither folder is taken for the other kind
    let dev = elevon(&[
        "serve",
        "--dev",
        "--policies",
        secure.dir().join("policies").to_str().unwrap(),
        "--listen",
        "127.0.0.1:0",
        "--data",
        secure.dir().join("data").to_str().unwrap(),
    ]);
    assert_eq!(dev.code, 2, "{dev:?}");
    let both = elevon(&["serve", "--dev", "--config", secure.config().to_str().unwrap()]);
    assert_eq!(both.code, 2, "{both:?}");
}
