//! What a client is told that was denied: a page for a person, or JSON for a program, by what it says it accepts.

use http::header::ACCEPT;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::answer::Denied;
use crate::policy::Offer;

/// A body, and what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Page {
    /// Its media type.
    pub(super) kind: &'static str,
    /// The text.
    pub(super) text: String,
}

/// Why a client was denied, and how to get what it asked for, where an eligible role would do.
pub(super) fn denied(denied: &Denied, client: Option<&HeaderMap>) -> Page {
    if client.is_some_and(prefers_html) { html(denied) } else { Page { kind: "application/json", text: to_json(denied).to_string() } }
}

/// That nobody knows.
pub(super) fn fault() -> Page {
    let body = json!({ "decision": false, "reason": "fault", "detail": "Elevon cannot answer at the moment; try again later." });
    Page { kind: "application/json", text: body.to_string() }
}

fn to_json(denied: &Denied) -> Value {
    let mut body = json!({ "decision": false, "reason": denied.reason(), "detail": denied.detail() });
    let Value::Object(members) = &mut body else { return body };
    if let Some(question) = &denied.question {
        members.insert("principal".to_owned(), json!(question.principal));
        members.insert("action".to_owned(), json!(question.action));
        members.insert("resource".to_owned(), json!(question.resource));
    }
    if !denied.offers.is_empty() {
        let offers = denied.offers.iter().map(|offer| {
            json!({
                "role": offer.role,
                "scope": offer.scope,
                "needs_approval": offer.needs_approval,
                "max_duration": offer.max_duration,
                "command": command(offer),
            })
        });
        members.insert("activate".to_owned(), offers.collect::<Vec<_>>().into());
    }
    body
}

/// The command that asks for a role.
fn command(offer: &Offer) -> String {
    let scope = offer.scope.as_ref().map(|scope| format!(" --scope {}", quoted(&scope.to_string()))).unwrap_or_default();
    format!("elevon activate {}{scope} --reason 'why you need it'", quoted(offer.role.as_str()))
}

/// As a shell takes it for one word.
fn quoted(text: &str) -> String {
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte)) && !text.starts_with('-');
    if plain { text.to_owned() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

fn html(denied: &Denied) -> Page {
    let title = if denied.status() == StatusCode::UNAUTHORIZED { "Sign in first" } else { "Access denied" };
    let mut text = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title></head><body>\n<h1>{title}</h1>\n<p>{}</p>\n",
        escaped(&denied.detail())
    );
    if !denied.offers.is_empty() {
        text.push_str("<p>You are eligible for a role with which you may. To activate it:</p>\n<ul>\n");
        for offer in &denied.offers {
            let approval = if offer.needs_approval { " (somebody has to approve it)" } else { "" };
            text.push_str(&format!("<li><code>{}</code>{approval}</li>\n", escaped(&command(offer))));
        }
        text.push_str("</ul>\n");
    }
    text.push_str(&format!("<p><small>Reason: {}</small></p>\n</body></html>\n", escaped(denied.reason())));
    Page { kind: "text/html; charset=utf-8", text }
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            plain => escaped.push(plain),
        }
    }
    escaped
}

/// Whether a client would rather have a page than JSON: only where it names HTML, for `*/*` is what programs send.
fn prefers_html(headers: &HeaderMap) -> bool {
    let mut best = (0, 0);
    for value in headers.get_all(ACCEPT) {
        for range in value.to_str().unwrap_or_default().split(',') {
            let mut parts = range.split(';').map(str::trim);
            let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
            let weight = parts.find_map(|part| part.strip_prefix("q=")).map_or(1000, weight);
            match kind.as_str() {
                "text/html" | "application/xhtml+xml" => best.0 = weight.max(best.0),
                "application/json" => best.1 = weight.max(best.1),
                _ => {}
            }
        }
    }
    best.0 > best.1
}

/// A weight in thousandths; what is none counts as nothing.
fn weight(text: &str) -> u32 {
    let number = text.parse::<f32>().ok().filter(|number| (0.0..=1.0).contains(number));
    // from 0 to 1000
    number.map_or(0, |number| format!("{:.0}", number * 1000.0).parse().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Duration, RoleName, Uid};
    use crate::http::gateway::answer::{Question, Why};
    use crate::policy::Reason;
    use http::HeaderValue;

    fn accept(text: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(text))])
    }

    #[test]
    fn a_page_is_for_those_who_ask_for_one() {
        let rows = [
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", true),
            ("application/json, text/html;q=0.9", false),
            ("text/html;q=0.5, application/json;q=0.4", true),
            ("*/*", false),
            ("", false),
            ("application/json", false),
            ("text/html;q=0", false),
            ("text/html;q=x", false),
        ];
        for (text, page) in rows {
            assert_eq!(prefers_html(&accept(text)), page, "{text}");
        }
    }

    #[test]
    fn names_cannot_break_out_of_a_page_nor_out_of_a_command() {
        let scope = Uid::new("Doc", "a'; rm <b>").unwrap();
        let offer =
            Offer { role: RoleName::new("r w").unwrap(), scope: Some(scope), needs_approval: true, max_duration: Duration::from_hours(1) };
        assert_eq!(command(&offer), "elevon activate 'r w' --scope 'Doc::\"a'\\''; rm <b>\"' --reason 'why you need it'");
        let question = Question {
            principal: Uid::new("User", "<script>").unwrap(),
            action: "read".to_owned(),
            resource: Uid::new("Doc", "&").unwrap(),
        };
        let told = Denied { why: Why::Policy(Reason::NoPermit), question: Some(question), offers: vec![offer] };
        let page = denied(&told, Some(&accept("text/html")));
        assert!(!page.text.contains("<script") && !page.text.contains("<b>"), "{}", page.text);
        assert!(page.text.contains("&lt;script&gt;") && page.text.contains("somebody has to approve it"), "{}", page.text);
        let json: Value = serde_json::from_str(&denied(&told, None).text).unwrap();
        assert_eq!((&json["reason"], &json["activate"][0]["role"]), (&json!("no_permit"), &json!("r w")));
    }
}
