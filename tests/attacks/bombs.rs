//! JSON that is small to send and large to read.

use serde_json::json;

use crate::help::{Api, PROD, call};

/// JSON bombs: depth, size, repetition, numbers and texts without end are refused in bounded work, at commands and at checks, and the server answers
/// the next request as if nothing had been.
#[test]
fn a_body_that_explodes_is_refused_and_changes_nothing() {
    let api = Api::start();
    let nested = |open: &str, close: &str, levels: usize| format!("{{\"role\": {}1{}}}", open.repeat(levels), close.repeat(levels));
    let mut flat = String::from("{\"role\": [");
    flat.push_str(&"[],".repeat(80_000));
    flat.push_str("1]}");
    let members: String = (0..20_000).map(|number| format!("\"m{number}\": 1, ")).collect();
    let bodies: Vec<(&str, String, &[u16])> = vec![
        ("deep lists", nested("[", "]", 33), &[400]),
        ("very deep lists", nested("[", "]", 100_000), &[400]),
        ("deep objects", nested("{\"a\":", "}", 40_000), &[400]),
        ("lists that never close", "[".repeat(200_000), &[400]),
        ("objects that never close", "{\"a\":".repeat(50_000), &[400]),
        ("a text that never closes", format!("{{\"role\": \"{}", "a".repeat(200_000)), &[400]),
        ("a long text", json!({ "role": "x".repeat(200_000) }).to_string(), &[400]),
        ("a long escaped text", format!("{{\"role\": \"{}\"}}", "\\u0061".repeat(40_000)), &[400]),
        ("too large", json!({ "role": "x".repeat(300_000) }).to_string(), &[413]),
        ("many small lists", flat, &[400, 413]),
        ("many members", format!("{{{members}\"role\": \"reader\"}}"), &[400, 413]),
        ("a member twice", r#"{"role": "reader", "role": "db-admin"}"#.to_owned(), &[400]),
        ("a member twice, one escaped", r#"{"role": "reader", "\u0072ole": "db-admin"}"#.to_owned(), &[400]),
        ("a member twice, deep", r#"{"role": "reader", "scope": {"type": "A", "id": "x", "id": "y"}}"#.to_owned(), &[400]),
        ("a huge number", format!("{{\"role\": 1{}}}", "0".repeat(100_000)), &[400]),
        ("a huge exponent", r#"{"role": 1e999999999}"#.to_owned(), &[400]),
        ("a number of many digits", format!("{{\"role\": 0.{}}}", "1".repeat(100_000)), &[400]),
        ("half a surrogate", r#"{"role": "\ud800"}"#.to_owned(), &[400]),
        ("not a number", r#"{"role": NaN}"#.to_owned(), &[400]),
        ("two documents", r#"{"role": "reader"} {"role": "db-admin"}"#.to_owned(), &[400]),
    ];
    let before = api.seq();
    for (what, body, statuses) in &bodies {
        for (method, path) in
            [("POST", "/v1/activations"), ("POST", "/v1/eligibilities"), ("PUT", "/v1/entities"), ("POST", "/access/v1/evaluation")]
        {
            let post = call(method, path).by("carol").header("content-type", "application/json").raw(body.as_bytes());
            let answer = api.send(&post);
            assert!(
                statuses.contains(&answer.status),
                "{what} at {path}: {} {}",
                answer.status,
                answer.text.chars().take(300).collect::<String>()
            );
            assert!(answer.text.len() < 8 * 1024, "{what} at {path}: what is refused is not repeated at length");
        }
    }
    assert_eq!(api.seq(), before);
    assert_eq!(api.send(&call("GET", "/v1/me").by("alice")).status, 200);
}

/// JSON bombs: what the schema takes as a number is exact, or refused; a number never wraps or is rounded into another one.
#[test]
fn numbers_are_exact_or_refused() {
    let api = Api::start();
    for attrs in [r#"{"person": 1e400}"#, r#"{"person": -0}"#, r#"{"person": 9223372036854775808}"#, r#"{"person": 1.5}"#] {
        let body = format!("{{\"uid\": {{\"type\": \"User\", \"id\": \"zoe\"}}, \"attrs\": {attrs}}}");
        let put = call("PUT", "/v1/entities").by("carol").header("content-type", "application/json").raw(body.as_bytes());
        let answer = api.send(&put);
        assert!([400, 422].contains(&answer.status), "{attrs}: {} {}", answer.status, answer.text);
    }
    api.alice_is_eligible();
    for duration in ["PT99999999999999999999H", "PT9223372036854775807S", "P18446744073709551615D", "PT-1H", "PT1e3S"] {
        let ask = json!({ "role": "db-admin", "scope": PROD(), "duration": duration, "justification": "x" });
        let answer = api.send(&call("POST", "/v1/activations").by("alice").json(&ask));
        assert!([400, 422].contains(&answer.status), "{duration}: {} {}", answer.status, answer.text);
    }
    for seq in ["18446744073709551616", "-1", "1e3", "0x10"] {
        let answer = api.send(&call("GET", "/v1/me").by("alice").header("elevon-min-seq", seq));
        assert_eq!(answer.status, 400, "{seq}: {}", answer.text);
    }
}
