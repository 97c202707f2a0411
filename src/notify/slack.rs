//! A message as Slack's incoming webhooks take it, and those of others that are compatible.
//!
//! All of it is plain text: Slack reads no markup and makes no mentions there. The line that stands in a notification is read as markup by some
//! clients whatever it is said to be, so that the three signs that begin something are escaped in it.

use serde_json::{Value, json};

use super::links::Shown;

/// Longest text of a block that Slack takes, in characters; there is room for its end.
const MAX_BLOCK: usize = 2900;
/// Longest line of a notification.
const MAX_LINE: usize = 150;

/// A message of a subject, a text, and where it can be answered.
pub(super) fn body(subject: &str, text: &str, shown: &Shown) -> Value {
    let plain = |text: &str| json!({ "type": "plain_text", "text": text, "emoji": false });
    let mut blocks = vec![
        json!({ "type": "header", "text": plain(&cut(subject, MAX_LINE)) }),
        json!({ "type": "section", "text": plain(&cut(text, MAX_BLOCK)) }),
    ];
    let button = |label: &str, action: &str, url: &str, style: Option<&str>| {
        let mut button = json!({ "type": "button", "text": plain(label), "action_id": action, "url": url });
        if let (Some(style), Some(members)) = (style, button.as_object_mut()) {
            members.insert("style".to_owned(), style.into());
        }
        button
    };
    let buttons: Vec<Value> = [
        shown.approve.as_ref().map(|url| button("Approve", "elevon_approve", url, Some("primary"))),
        shown.deny.as_ref().map(|url| button("Deny", "elevon_deny", url, Some("danger"))),
        shown.open.as_ref().map(|url| button("Open", "elevon_open", url, None)),
    ]
    .into_iter()
    .flatten()
    .collect();
    if !buttons.is_empty() {
        blocks.push(json!({ "type": "actions", "elements": buttons }));
    }
    json!({ "text": escaped(&cut(subject, MAX_LINE)), "mrkdwn": false, "unfurl_links": false, "unfurl_media": false, "blocks": blocks })
}

/// A text in which nothing begins a mention or a link (Slack, *Formatting text*: `&`, `<` and `>`).
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// A text of at most so many characters, and never none: Slack takes no empty one.
fn cut(text: &str, most: usize) -> String {
    let text = text.trim();
    if text.is_empty() {
        return "-".to_owned();
    }
    let short: String = text.chars().take(most).collect();
    if short.len() < text.len() { format!("{short}…") } else { short }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_somebody_wrote_mentions_nobody_and_links_nowhere() {
        let shown = Shown { approve: Some("https://e/a".to_owned()), deny: Some("https://e/d".to_owned()), open: None };
        let body = body("<!channel> & <https://evil|x>", "reason: <!here> *b*", &shown);
        assert_eq!(body["text"], "&lt;!channel&gt; &amp; &lt;https://evil|x&gt;");
        assert_eq!(body["blocks"][1]["text"], json!({ "type": "plain_text", "text": "reason: <!here> *b*", "emoji": false }));
        let buttons = body["blocks"][2]["elements"].as_array().unwrap();
        let urls: Vec<_> = buttons.iter().map(|button| (button["action_id"].as_str().unwrap(), button["url"].as_str().unwrap())).collect();
        assert_eq!(urls, [("elevon_approve", "https://e/a"), ("elevon_deny", "https://e/d")]);
    }

    #[test]
    fn a_message_is_as_long_as_is_taken_and_never_empty() {
        let long = body(&"s".repeat(1000), &"ä".repeat(9000), &Shown::default());
        assert!(long["blocks"][0]["text"]["text"].as_str().unwrap().chars().count() <= MAX_LINE + 1);
        assert!(long["blocks"][1]["text"]["text"].as_str().unwrap().chars().count() <= MAX_BLOCK + 1);
        assert_eq!(long["blocks"].as_array().unwrap().len(), 2);
        assert_eq!(body(" ", "", &Shown::default())["blocks"][1]["text"]["text"], "-");
    }
}
