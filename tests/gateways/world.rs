//! The bundle of the examples, with a few people in it who hold something.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::common::{Home, Server, copy, uid};

pub(crate) const ALICE: &str = "alice";
pub(crate) const BOB: &str = "bob";
pub(crate) const CAROL: &str = "carol";
pub(crate) const PROD: (&str, &str) = ("Environment", "prod");

/// The examples of gateways.
pub(crate) fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/gateways")
}

/// A home with the policies of the examples.
pub(crate) fn home() -> Home {
    let home = Home::new();
    fs::remove_dir_all(home.policies()).unwrap();
    copy(&examples().join("policies"), &home.policies());
    home
}

/// Lets somebody activate a role on prod.
pub(crate) fn eligible(server: &Server, who: &str, role: &str) {
    let body = json!({"principal": uid(("User", who)), "role": role, "scope": uid(PROD), "justification": "test"});
    server.post(CAROL, "/v1/eligibilities", body, 201);
}

/// Asks for a role on prod; its id.
pub(crate) fn asks(server: &Server, who: &str, role: &str) -> Value {
    let body = json!({"role": role, "scope": uid(PROD), "duration": "PT1H", "justification": "test"});
    server.post(who, "/v1/activations", body, 201)
}

/// Activates `db-admin` on prod, with bob's approval; the activation.
pub(crate) fn activates(server: &Server, who: &str) -> Value {
    let asked = asks(server, who, "db-admin");
    let path = format!("/v1/activations/{}", asked["id"].as_str().unwrap());
    server.post(BOB, &format!("{path}/approve"), json!({"request_hash": asked["request_hash"], "justification": "test"}), 200);
    server.get(who, &path)
}

pub(crate) fn revokes(server: &Server, activation: &Value) {
    let path = format!("/v1/activations/{}/revoke", activation["id"].as_str().unwrap());
    server.post(CAROL, &path, json!({"reason": "test"}), 200);
}
