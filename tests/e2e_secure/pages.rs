//! What the pages for operators say is so: how a scraper gets in, and how an administrator who was lost is found again.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::common::eventually;
use crate::help::{Secure, done};

/// The policy that stands on a page.
fn policy(page: &str) -> String {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(page)).unwrap();
    let (_, rest) = text.split_once("```cedar\n").unwrap();
    // it may stand in a list
    rest.split("```").next().unwrap().lines().map(|line| format!("{}\n", line.trim_start())).collect()
}

impl Secure {
    fn live(&self) -> Value {
        self.call(None, "GET", "/readyz", &Value::Null).2["revision"].clone()
    }

    /// Changes the policy folder, and waits until that is live.
    fn put(&self, file: &str, text: &str) {
        let before = self.live();
        fs::write(self.dir().join("policies").join(file), text).unwrap();
        eventually("the folder was taken", || self.live() != before);
    }

    fn let_there_be(&self, more: &[(&str, &str)]) {
        let file = self.dir().join("policies/entities.json");
        let mut entities: Vec<Value> = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
        entities.extend(more.iter().map(|(kind, id)| json!({"uid": {"type": kind, "id": id}})));
        self.put("entities.json", &json!(entities).to_string());
    }
}

#[test]
fn a_scraper_reads_metrics_by_a_policy_and_nobody_else_does() {
    let mut secure = Secure::new();
    let [prometheus, other] = ["prometheus", "other"].map(|id| secure.add_token(id, &format!("Service::\"{id}\"")));
    secure.start();
    secure.let_there_be(&[("Service", "prometheus"), ("Service", "other")]);
    let scrape = |token: Option<&str>| secure.call(token, "GET", "/metrics", &Value::Null);
    assert_eq!((scrape(None).0, scrape(Some(&prometheus)).0), (401, 403));
    secure.put("metrics.cedar", &policy("metrics.md"));
    assert_eq!((scrape(None).0, scrape(Some(&other)).0), (401, 403));
    let (status, _, told) = scrape(Some(&prometheus));
    assert!(status == 200 && told.as_str().unwrap().contains("\nelevon_ready 1\n"), "{told}");
}

#[test]
fn an_administrator_who_is_lost_is_found_again_by_two_and_on_record() {
    let mut secure = Secure::new();
    let [ben, cleo] = ["ben", "cleo"].map(|id| secure.add_token(id, &format!("User::\"{id}\"")));
    secure.start();
    secure.let_there_be(&[("User", "ben"), ("User", "cleo")]);
    let grant = |to: &str| {
        let to = format!("User::\"{to}\"");
        secure.cli(&cleo, &["eligibility", "add", &to, "elevon-admin", "--for", "P1D", "--reason", "recovery, ticket OPS-7"])
    };
    assert_eq!(grant("ben").code, 1);
    secure.put("recovery.cedar", &policy("operations.md"));
    let oneself = grant("cleo");
    assert!(oneself.code == 1 && oneself.stderr.contains("self_grant"), "{oneself:?}");
    done(&grant("ben"));
    done(&secure.cli(&ben, &["activate", "elevon-admin", "--reason", "recovery"]));
    // ben administers: makes another one, and has the folder put back as it was
    done(&secure.cli(&ben, &["eligibility", "add", "User::\"cleo\"", "elevon-admin", "--reason", "a successor"]));
    let before = secure.live();
    fs::remove_file(secure.dir().join("policies/recovery.cedar")).unwrap();
    eventually("the folder was taken", || secure.live() != before);
    assert_eq!(grant("admin").code, 1);
    let listed = secure.cli(&ben, &["audit", "list", "--output", "json"]);
    let told: Value = serde_json::from_str(&listed.stdout).unwrap();
    let kinds: Vec<&str> = told["items"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|item| item["record"]["events"].as_array().unwrap())
        .filter_map(|event| event["kind"].as_str().filter(|kind| ["bundle_activated", "eligibility_created"].contains(kind)))
        .collect();
    let bundles = kinds.iter().filter(|kind| **kind == "bundle_activated").count();
    // the first one, two people, the recovery and its end; admin's, ben's and cleo's eligibilities
    assert_eq!((bundles, kinds.len() - bundles), (4, 3), "{kinds:?}");
}
