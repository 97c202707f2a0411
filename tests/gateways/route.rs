//! `elevon route`: what a request asks for, and why.

use serde_json::{Value, json};

use crate::common::{Ran, elevon};
use crate::world::examples;

fn route(method: &str, url: &str, more: &[&str]) -> Ran {
    let policies = examples().join("policies");
    elevon(&[&["route", method, url, "--policies", policies.to_str().unwrap()], more].concat())
}

#[test]
fn a_request_is_told_what_it_asks_for_and_why() {
    let told = route("GET", "https://db.example/databases/orders?x=1", &[]);
    assert_eq!(told.code, 0, "{told:?}");
    for part in ["read", "Database::\"orders\"", "routes.toml:11", "/databases/{db}", "by token", "every request is asked about"] {
        assert!(told.stdout.contains(part), "{part}: {told:?}");
    }
    assert!(told.stdout.contains("PUT,DELETE db.example/databases/{db}: it is for other methods"), "{told:?}");
    let told = route("GET", "https://db.example/reports/orders", &["--output", "json"]);
    let value: Value = serde_json::from_str(&told.stdout).unwrap();
    assert_eq!(value.pointer("/route/max_stale"), Some(&json!("PT10S")), "{value}");
    assert_eq!(value.pointer("/route/resource"), Some(&json!({"type": "Database", "id": "orders"})), "{value}");
}

#[test]
fn a_request_without_a_route_is_told_so() {
    let rows = [
        ("POST", "https://db.example/databases/orders", 1, "no route"),
        ("GET", "https://other.example/databases/orders", 1, "no route is for the host `other.example`"),
        ("GET", "https://db.example/databases/..", 1, "refused"),
        ("get", "https://db.example/databases/orders", 1, "capital letters"),
        ("GET", "db.example/databases/orders", 2, "is not one such as"),
    ];
    for (method, url, code, part) in rows {
        let told = route(method, url, &[]);
        assert_eq!(told.code, code, "{told:?}");
        assert!((told.stdout.clone() + &told.stderr).contains(part), "{part}: {told:?}");
    }
}
