//! What became of a review, to be kept and shown: as JSON, as a table for spreadsheets, and as a page that prints well.
//!
//! Names and reasons are what people sent. In the table none of them is taken for a formula, and on the page none of them for markup; what would
//! make one text look like another is spelt out in both.

use std::fmt::Write as _;

use axum::extract::Path;
use axum::response::{IntoResponse as _, Response};
use http::header::{CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use http::{HeaderName, HeaderValue};
use serde_json::{Value, json};

use crate::domain::text::misleads;
use crate::http::asker::{Asker, Params};
use crate::http::problem::Problem;
use crate::http::reply::{Answer, SEQ};
use crate::http::views;

use super::reviews::whole;

/// The columns of a report: their heading, and where they stand in an item.
const COLUMNS: [(&str, &str); 16] = [
    ("kind", "/subject/kind"),
    ("id", "/subject/id"),
    ("holder", "/principal"),
    ("role", "/role"),
    ("scope", "/scope"),
    ("from", "/start"),
    ("until", "/end"),
    ("given", "/granted_at"),
    ("last activation", "/last_activation"),
    ("last check", "/last_check"),
    ("recommended", "/recommendation"),
    ("decided", "/decision"),
    ("decided by", "by"),
    ("why", "why"),
    ("outcome", "/outcome"),
    ("done", "/applied/result"),
];

/// `GET /v1/reviews/{id}/report`.
pub(super) async fn json(asker: Asker, Path(id): Path<String>, params: Params) -> Result<Answer, Problem> {
    params.finish()?;
    let seq = asker.seq;
    let body = asker
        .read(move |asker| {
            let (review, items) = whole(asker, &id)?;
            Ok(json!({ "review": views::review(&review), "items": items, "now": asker.server.engine.moment().now }))
        })
        .await?;
    Ok(Answer::ok(seq, body))
}

/// `GET /v1/reviews/{id}/report.csv` (RFC 4180).
pub(super) async fn csv(asker: Asker, Path(id): Path<String>, params: Params) -> Result<Response, Problem> {
    params.finish()?;
    let seq = asker.seq;
    let table = asker
        .read(move |asker| {
            let (_, items) = whole(asker, &id)?;
            let mut table = line(COLUMNS.iter().map(|(heading, _)| (*heading).to_owned()));
            for item in &items {
                table.push_str(&line(COLUMNS.iter().map(|(_, place)| cell(item, place))));
            }
            Ok(table)
        })
        .await?;
    let disposition = (CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"review.csv\""));
    Ok(text(seq, table, "text/csv; charset=utf-8", disposition))
}

/// `GET /v1/reviews/{id}/report.html`.
pub(super) async fn html(asker: Asker, Path(id): Path<String>, params: Params) -> Result<Response, Problem> {
    params.finish()?;
    let seq = asker.seq;
    let page = asker
        .read(move |asker| {
            let (review, items) = whole(asker, &id)?;
            Ok(page(&views::review(&review), &items, &asker.server.engine.moment().now.to_string()))
        })
        .await?;
    let policy = HeaderValue::from_static(
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    );
    Ok(text(seq, page, "text/html; charset=utf-8", (CONTENT_SECURITY_POLICY, policy)))
}

fn text(seq: u64, text: String, kind: &'static str, (name, value): (HeaderName, HeaderValue)) -> Response {
    let mut response = text.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(SEQ, HeaderValue::from(seq));
    headers.insert(name, value);
    response
}

/// What stands in a column of an item, as a text.
fn cell(item: &Value, place: &str) -> String {
    // the decision that stands is the last one in which somebody knew
    let decisions = item.get("decisions").and_then(Value::as_array).into_iter().flatten();
    let standing = || decisions.clone().rfind(|decision| decision.get("decision").and_then(Value::as_str) != Some("dont_know"));
    let found = match place {
        "by" => standing().and_then(|decision| decision.get("by")),
        "why" => standing().and_then(|decision| decision.get("reason")),
        pointer => item.pointer(pointer),
    };
    let shown = match found {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Object(entity)) => {
            let part = |name: &str| entity.get(name).and_then(Value::as_str).unwrap_or_default();
            format!("{}::\"{}\"", part("type"), part("id"))
        }
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    };
    spelt_out(&shown)
}

/// A text with everything that is not seen, or turns the reading direction, as its number.
fn spelt_out(text: &str) -> String {
    let mut spelt = String::with_capacity(text.len());
    for letter in text.chars() {
        if misleads(letter) || (letter.is_control() && letter != '\n' && letter != '\t') {
            spelt.extend(letter.escape_unicode());
        } else {
            spelt.push(letter);
        }
    }
    spelt
}

/// A line of a table. Every cell is quoted, and none begins as a formula does in some spreadsheet.
fn line(cells: impl Iterator<Item = String>) -> String {
    let quoted = cells.map(|cell| {
        let first = cell.trim_start().chars().next();
        let formula = first.is_some_and(|first| "=+-@|%＝＋－＠".contains(first)) || cell.starts_with(['\t', '\r', '\n']);
        format!("\"{}{}\"", if formula { "'" } else { "" }, cell.replace('"', "\"\""))
    });
    format!("{}\r\n", quoted.collect::<Vec<_>>().join(","))
}

/// A text that is nothing but text in a page.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            letter => safe.push(letter),
        }
    }
    safe
}

const STYLE: &str = "body{font:14px/1.4 system-ui,sans-serif;margin:2em;color:#111}h1{font-size:1.5em;margin:0 0 .2em}\
p{margin:.2em 0 1em;color:#444}dl{display:grid;grid-template-columns:max-content auto;gap:.2em 1.5em;margin:0 0 1.5em}\
dt{color:#555}dd{margin:0}table{border-collapse:collapse;width:100%;font-size:12px}\
th,td{border-bottom:1px solid #ccc;padding:.3em .5em;text-align:left;vertical-align:top;overflow-wrap:anywhere}\
th{background:#f2f2f2}tr.remove td{background:#fdecea}\
@page{size:A4 landscape;margin:12mm}@media print{body{margin:0;font-size:10pt}table{font-size:8pt}thead{display:table-header-group}\
tr{break-inside:avoid}th,tr.remove td{print-color-adjust:exact}}";

fn page(review: &Value, items: &[Value], now: &str) -> String {
    let told = |place: &str| escaped(&cell(review, place));
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>Access review {id}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
         <h1><bdi>{name}</bdi></h1>\n<p>Access review {id}, as it stood at {now}</p>\n<dl>\n",
        id = told("/id"),
        name = told("/name"),
        now = escaped(now),
    );
    let rows = [
        ("Status", "/status"),
        ("Opened", "/opened_at"),
        ("Asked until", "/ends_at"),
        ("Completed", "/completed_at"),
        ("Carried out", "/applied_at"),
        ("Items", "/items/total"),
        ("Approved", "/items/approved"),
        ("Denied", "/items/denied"),
        ("Undecided", "/items/undecided"),
        ("Where nobody answers", "/no_answer"),
        ("To be removed", "/items/removals"),
        ("Removed", "/items/removed"),
    ];
    // writing to a String cannot fail
    for (heading, place) in rows {
        let shown = told(place);
        if !shown.is_empty() {
            let _ = writeln!(page, "<dt>{heading}</dt><dd>{shown}</dd>");
        }
    }
    page.push_str("</dl>\n<table>\n<thead><tr>");
    COLUMNS.iter().for_each(|(heading, _)| {
        let _ = write!(page, "<th scope=\"col\">{heading}</th>");
    });
    page.push_str("</tr></thead>\n<tbody>\n");
    for item in items {
        let class = if item.get("outcome").and_then(Value::as_str) == Some("remove") { " class=\"remove\"" } else { "" };
        let _ = write!(page, "<tr{class}>");
        for (_, place) in COLUMNS {
            let _ = write!(page, "<td><bdi>{}</bdi></td>", escaped(&cell(item, place)));
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</tbody>\n</table>\n</body>\n</html>\n");
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(holder: &str, why: &str) -> Value {
        json!({
            "subject": { "kind": "eligibility", "id": "elg_1" }, "principal": { "type": "User", "id": holder }, "role": "db-admin", "scope": null,
            "start": "2030-01-31T09:00:00.000Z", "end": null, "outcome": "remove", "decision": "deny", "applied": null,
            "decisions": [{ "decision": "deny", "by": { "type": "User", "id": "bob" }, "reason": why },
                          { "decision": "dont_know", "by": { "type": "User", "id": "eve" }, "reason": "who is that?" }],
        })
    }

    #[test]
    fn no_cell_is_a_formula_and_none_breaks_out() {
        let rows = [
            ("=HYPERLINK(\"x\")", "\"'=HYPERLINK(\"\"x\"\")\""),
            ("+1", "\"'+1\""),
            ("-1", "\"'-1\""),
            ("@SUM(A1)", "\"'@SUM(A1)\""),
            ("  =1", "\"'  =1\""),
            ("＝1", "\"'＝1\""),
            ("\t=1", "\"'\t=1\""),
            ("\n=1", "\"'\n=1\""),
            ("a,b\n\"c\"", "\"a,b\n\"\"c\"\"\""),
            ("1-1", "\"1-1\""),
        ];
        for (why, expected) in rows {
            assert_eq!(line([cell(&item("alice", why), "why")].into_iter()), format!("{expected}\r\n"), "{why}");
        }
    }

    #[test]
    fn nothing_that_was_sent_is_markup_or_hides() {
        let bad = "</bdi><script>alert('x')</script>&\u{202e}evil";
        let mut review = json!({ "id": bad, "name": bad, "status": "applied", "items": { "total": 1 } });
        let shown = page(&review, &[item(bad, bad)], "now");
        assert!(!shown.contains("<script") && !shown.contains('\u{202e}') && !shown.contains("alert('"), "{shown}");
        assert!(shown.contains("&lt;script&gt;alert(&#39;x&#39;)") && shown.contains("\\u{202e}evil"));
        assert_eq!(shown.matches("<td>").count(), COLUMNS.len());
        // what stands is what bob said, for eve did not know
        assert_eq!(cell(&item("alice", "left"), "by"), "User::\"bob\"");
        review = json!({});
        assert!(page(&review, &[], "now").contains("<tbody>\n</tbody>"));
    }
}
