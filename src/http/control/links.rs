//! Answering a request from a message: the page that a link leads to, and what that page asks for.
//!
//! The link stands behind the `#` of the page's address, so that it reaches no server, no log and no program that looks at pages before people
//! do: opening the page does nothing. What the page then asks for needs the approver's own credential, and is refused to everybody else.

use std::sync::LazyLock;

use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::HeaderValue;
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::domain::Command;
use crate::domain::id::IdempotencyKey;
use crate::domain::text::Digest;
use crate::http::asker::{Asker, Params, Sent};
use crate::http::ids::take_text;
use crate::http::problem::{self, Problem};
use crate::http::reply::Answer;
use crate::http::strict::malformed_member;
use crate::http::views;
use crate::identity::Link;

use super::activations::{load, shown, view};

/// The page, whole: it loads nothing.
const PAGE: &str = include_str!("approve.html");

/// The page's own script and style, and nothing else, may run on it; it speaks to this server only, and nobody may show it in a frame.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let own = |tag: &str| {
        let inside = PAGE.split_once(&format!("<{tag}>")).and_then(|(_, rest)| rest.split_once(&format!("</{tag}>")));
        let inside = inside.map(|(inside, _)| inside).unwrap_or_default();
        BASE64.encode(Sha256::digest(inside.as_bytes()))
    };
    format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; connect-src 'self'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'",
        own("script"),
        own("style")
    )
});

/// `GET /approve`: the page.
pub(super) async fn page(params: Params) -> Result<Response, Problem> {
    params.finish()?;
    let mut response = PAGE.into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    let policy = HeaderValue::from_str(&POLICY).map_err(|_| problem::internal())?;
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    Ok(response)
}

/// `POST /v1/approval-links/open`: the request as it stands, and whether it is still what the link was made for.
pub(super) async fn open(asker: Asker, sent: Sent) -> Result<Answer, Problem> {
    let mut members = sent.members()?;
    let link = members.required::<String>("link")?;
    members.finish(&[])?;
    let link = read(&asker, &link)?;
    // whoever has voted may not read the request any more, and learns here that the vote was given
    if is_used(&asker, &used(&link.id)?.0)? {
        return Err(problem::link_used());
    }
    let seq = asker.seq;
    let body = asker
        .read(move |asker| {
            let activation = load(asker, &link.activation)?;
            if !asker.may_read(&activation)? {
                asker.demand(crate::domain::facts::Action::ReadActivation, crate::domain::decide::object(&activation))?;
            }
            let shown = view(asker, &activation)?;
            let unchanged = shown.get("request_hash") == Some(&json!(link.request_hash));
            let mut body = json!({ "approver": link.approver, "expires_at": link.expires_at, "unchanged": unchanged });
            views::put(&mut body, "activation", shown);
            Ok(body)
        })
        .await?;
    Ok(Answer::ok(seq, body))
}

/// `POST /v1/approval-links/use`: the approver's vote on what the link was made for. It counts once.
pub(super) async fn vote(asker: Asker, sent: Sent) -> Result<Answer, Problem> {
    let mut members = sent.members()?;
    let link = members.required::<String>("link")?;
    let approve = match members.required::<String>("decision")?.as_str() {
        "approve" => true,
        "deny" => false,
        _ => return Err(malformed_member("decision", "write `approve` or `deny`")),
    };
    let justification = take_text(&mut members, "justification")?;
    let dry_run = members.dry_run()?;
    members.finish(&[])?;
    let link = read(&asker, &link)?;
    let Link { id: link_id, activation: id, request_hash, .. } = link;
    let command = if approve {
        Command::Approve { id, request_hash, scope: None, duration: None, justification }
    } else {
        Command::Deny { id, request_hash, justification }
    };
    let key = used(&link_id)?;
    if is_used(&asker, &key.0)? {
        return Err(problem::link_used());
    }
    let tried = asker.submit_as(None, command.clone(), true).await;
    if dry_run {
        return shown(asker, tried?).await;
    }
    // What is refused does not use the link up: whoever has to show a second factor first comes back with it. It is journaled like every refusal.
    let key = tried.is_ok().then_some(key);
    let done = asker.submit_as(key, command, false).await.map_err(of_a_link)?;
    if done.reply.repeated { Err(problem::link_used()) } else { shown(asker, done).await }
}

/// Whether a vote was given by a link.
fn is_used(asker: &Asker, key: &IdempotencyKey) -> Result<bool, Problem> {
    Ok(asker.server.engine.reader().remembered(&asker.caller.principal, key)?.is_some())
}

/// What a link says, to the caller for whom it was made.
fn read(asker: &Asker, text: &str) -> Result<Link, Problem> {
    let link = asker.server.links.read(text, asker.server.engine.moment().now).map_err(|bad| problem::bad_link(&bad))?;
    if asker.is(&link.approver) { Ok(link) } else { Err(problem::link_of_another()) }
}

/// Under which key a vote by a link is remembered: longer than the link is good for, and the same whatever is decided by it.
fn used(link: &str) -> Result<(IdempotencyKey, Digest), Problem> {
    let key = format!("approval-link {link}");
    let digest = Digest::of_bytes(key.as_bytes());
    IdempotencyKey::new(&key).map(|key| (key, digest)).map_err(|_| problem::internal())
}

/// Whoever sent the same key beside a command of their own has used the link up.
fn of_a_link(problem: Problem) -> Problem {
    if problem.rule() == "idempotency_key_reused" { problem::link_used() } else { problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The page spells out what misleads by a list of its own, as it has no other: the same as everywhere else.
    #[test]
    fn the_page_shows_what_misleads_as_it_is_shown_elsewhere() {
        let (_, list) = PAGE.split_once("const MISLEADS = /[\\p{Cc}").unwrap();
        let (list, _) = list.split_once("]/gu").unwrap();
        let number = |text: &str| u32::from_str_radix(text.trim_start_matches('{').trim_end_matches('}'), 16).unwrap();
        let spans: Vec<(u32, u32)> = list.split("\\u").skip(1).fold(Vec::new(), |mut spans, part| {
            let (text, opens) = (part.trim_end_matches('-'), part.ends_with('-'));
            match spans.last_mut() {
                Some((_, end)) if *end == 0 => *end = number(text),
                Some(_) | None => spans.push((number(text), if opens { 0 } else { number(text) })),
            }
            spans
        });
        let listed = |letter: char| spans.iter().any(|(from, to)| (*from..=*to).contains(&u32::from(letter)));
        for letter in (0..=0x0010_ffff).filter_map(char::from_u32) {
            assert_eq!(listed(letter), crate::domain::text::misleads(letter), "{:x}", u32::from(letter));
        }
        assert!(PAGE.contains("= [name, plain(value)]") && PAGE.contains("textContent = plain(text)"));
    }

    #[test]
    fn the_page_may_run_what_is_on_it_and_nothing_else() {
        assert_eq!((PAGE.matches("<script").count(), PAGE.matches("<style").count()), (1, 1));
        assert!(POLICY.contains("script-src 'sha256-") && POLICY.contains("style-src 'sha256-"));
        let nothing = BASE64.encode(Sha256::digest(b""));
        assert!(!POLICY.contains(&nothing), "{}", *POLICY);
        // neither handlers nor styles in attributes, which no hash allows
        for forbidden in [" onclick", " onload", " onsubmit", " style=", "innerHTML", "document.write", "eval("] {
            assert!(!PAGE.contains(forbidden), "{forbidden}");
        }
    }
}
