//! Votes by a link from a message.

use elevon::domain::Duration;
use serde_json::{Value, json};

use crate::help::{Answer, Api, call, id};

fn opens(api: &Api, who: &str, link: &str) -> Answer {
    api.send(&call("POST", "/v1/approval-links/open").by(who).json(&json!({ "link": link })))
}

fn votes(api: &Api, who: &str, link: &str, decision: &str) -> Answer {
    let body = json!({ "link": link, "decision": decision, "justification": "agreed" });
    api.send(&call("POST", "/v1/approval-links/use").by(who).json(&body))
}

fn status(api: &Api, asked: &Value) -> Value {
    api.get("alice", &format!("/v1/activations/{}", id(asked)))["status"].clone()
}

fn told(answer: &Answer) -> (u16, String) {
    (answer.status, answer.rule())
}

fn rule(status: u16, rule: &str) -> (u16, String) {
    (status, rule.to_owned())
}

/// A server on which alice may ask, her request, and bob's link to it.
fn begun() -> (Api, Value, String) {
    let api = Api::start();
    api.alice_is_eligible();
    let asked = api.alice_asks();
    let link = api.link("bob", &asked, Duration::from_mins(15));
    (api, asked, link)
}

#[test]
fn the_approver_opens_a_link_and_votes_by_it_once() {
    let (api, asked, link) = begun();
    let opened = opens(&api, "bob", &link);
    assert_eq!(opened.status, 200, "{opened:?}");
    let opened = opened.json();
    assert_eq!((&opened["unchanged"], &opened["approver"]["id"]), (&json!(true), &json!("bob")));
    assert_eq!((&opened["activation"]["id"], &opened["activation"]["status"]), (&asked["id"], &json!("pending")));
    // looking changes nothing, nor does trying
    let tried =
        api.send(&call("POST", "/v1/approval-links/use").by("bob").json(&json!({ "link": link, "decision": "approve", "dry_run": true })));
    assert_eq!((tried.status, &tried.json()["status"]), (200, &json!("active")), "{tried:?}");
    assert_eq!(status(&api, &asked), "pending");

    let voted = votes(&api, "bob", &link, "approve");
    assert_eq!((voted.status, &voted.json()["status"]), (200, &json!("active")), "{voted:?}");
    let approval = &voted.json()["approval"]["stages"][0]["votes"][0];
    assert_eq!((&approval["principal"]["id"], &approval["justification"]), (&json!("bob"), &json!("agreed")));
    assert_eq!(told(&opens(&api, "bob", &link)), rule(409, "link_used"));
    for decision in ["approve", "deny"] {
        assert_eq!(told(&votes(&api, "bob", &link, decision)), rule(409, "link_used"), "{decision}");
    }
    // it was used, and stays so over a restart
    let api = api.again();
    assert_eq!(told(&votes(&api, "bob", &link, "deny")), rule(409, "link_used"));
    assert_eq!(status(&api, &asked), "active");
}

#[test]
fn a_link_is_good_for_the_approver_it_was_made_for_and_nobody_else() {
    let (api, asked, link) = begun();
    // carol may approve as well, and has to use a link of her own
    for who in ["carol", "alice", "dave"] {
        assert_eq!(told(&opens(&api, who, &link)), rule(403, "link_of_another"), "{who}");
        assert_eq!(told(&votes(&api, who, &link, "approve")), rule(403, "link_of_another"), "{who}");
    }
    // without a credential it opens nothing at all
    for path in ["/v1/approval-links/open", "/v1/approval-links/use"] {
        let nobody = api.send(&call("POST", path).json(&json!({ "link": link, "decision": "approve" })));
        assert_eq!(told(&nobody), rule(401, "no_credential"), "{path}");
    }
    // and it lends nobody a right: who may not vote may not vote by a link either
    let lent = api.link("dave", &asked, Duration::from_mins(15));
    assert_eq!(told(&votes(&api, "dave", &lent, "approve")), rule(403, "not_an_approver"));
    let own = api.link("alice", &asked, Duration::from_mins(15));
    assert_eq!(told(&votes(&api, "alice", &own, "approve")), rule(403, "separation_of_duties"));
    assert_eq!(status(&api, &asked), "pending");
    assert_eq!(votes(&api, "bob", &link, "deny").json()["status"], "denied");
}

#[test]
fn a_link_is_good_for_a_short_time_and_for_what_was_shown() {
    let (api, asked, link) = begun();
    let short = api.link("bob", &asked, Duration::from_mins(1));
    let changed = api.link("bob", &json!({ "id": asked["id"], "request_hash": "0".repeat(64) }), Duration::from_mins(15));
    assert_eq!(opens(&api, "bob", &changed).json()["unchanged"], false);
    assert_eq!(told(&votes(&api, "bob", &changed, "approve")), rule(409, "request_changed"));
    api.later(Duration::from_mins(1));
    assert_eq!(told(&opens(&api, "bob", &short)), rule(410, "link_expired"));
    let late = votes(&api, "bob", &short, "approve");
    assert_eq!((told(&late), late.json()["expired_at"].is_string()), (rule(410, "link_expired"), true));
    // a request that is over is not opened again by a link
    api.post("alice", &format!("/v1/activations/{}/cancel", id(&asked)), &json!({}), 200);
    assert_eq!(told(&votes(&api, "bob", &link, "approve")), rule(409, "not_in_state"));
    let elsewhere = Api::start();
    elsewhere.alice_is_eligible();
    elsewhere.alice_asks();
    for text in [link.as_str(), "", "x", "x.y", &"x".repeat(5000)] {
        assert_eq!(told(&opens(&elsewhere, "bob", text)), rule(422, "bad_link"), "{text}");
        assert_eq!(told(&votes(&elsewhere, "bob", text, "approve")), rule(422, "bad_link"), "{text}");
    }
}

/// What is refused uses no link up: bob comes back when he may.
#[test]
fn a_vote_that_is_refused_leaves_the_link_as_it_was() {
    let (api, asked, link) = begun();
    api.post("carol", "/v1/entities/disable", &json!({ "type": "User", "id": "bob" }), 200);
    assert_ne!(votes(&api, "bob", &link, "approve").status, 200);
    assert_eq!(status(&api, &asked), "pending");
    api.post("carol", "/v1/entities/enable", &json!({ "type": "User", "id": "bob" }), 200);
    let wrong = call("POST", "/v1/approval-links/use").by("bob").json(&json!({ "link": link, "decision": "perhaps" }));
    assert_eq!(told(&api.send(&wrong)), rule(400, "malformed_member"));
    assert_eq!(votes(&api, "bob", &link, "approve").json()["status"], "active");
}

#[test]
fn the_page_comes_without_a_credential_and_runs_nothing_but_its_own() {
    let api = Api::start();
    let page = api.send(&call("GET", "/approve"));
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    let policy = page.header("content-security-policy");
    for part in ["default-src 'none'", "script-src 'sha256-", "connect-src 'self'", "frame-ancestors 'none'", "form-action 'none'"] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!((page.header("cache-control"), page.header("referrer-policy")), ("no-store", "no-referrer"));
    // a link in the query would be logged on its way
    assert_eq!(api.send(&call("GET", "/approve?link=x")).status, 400);
}
