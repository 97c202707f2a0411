//! Names and texts that the server makes out of what came in.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;
use uuid::Uuid;

use crate::domain::id::{BadName, CommandId};
use crate::domain::text::{MAX_TEXT_BYTES, misleads};
use crate::domain::{ActivationId, AssignmentId, EligibilityId, GrantRequestId, ReviewDefinitionId, Text};

use super::problem::{self, Problem};
use super::strict::{Members, malformed_member};

fn fresh<T>(prefix: &str, make: impl FnOnce(&str) -> Result<T, BadName>) -> Result<T, Problem> {
    make(&format!("{prefix}{}", Uuid::now_v7())).map_err(|error| {
        tracing::error!(%error, "an id could not be made");
        problem::internal()
    })
}

/// Ids for the requests of a connection that bring none: one UUIDv7 for the connection, and its last bits counted on for each request, as RFC 9562,
/// section 6.2, has it. Lost: one made anew for each, which asks the clock and the system's randomness on every check.
pub(super) struct RequestIds {
    /// The text of all of them, but for the last digits.
    text: [u8; 36],
    last: AtomicU64,
}

/// Hexadecimal digits of an id that are counted on.
const COUNTED: usize = 12;

impl RequestIds {
    pub(super) fn new() -> Self {
        let first = Uuid::now_v7();
        let mut text = [0; 36];
        first.hyphenated().encode_lower(&mut text);
        // the upper half of them is random, too, and leaves room to count
        let [.., a, b, c, d, e, f] = first.into_bytes();
        let last = u64::from_be_bytes([0, 0, a & 0x7f, b, c, d, e, f]);
        Self { text, last: AtomicU64::new(last) }
    }

    /// The id of the next request.
    pub(super) fn next(&self) -> [u8; 36] {
        let mut text = self.text;
        let mut left = self.last.fetch_add(1, Ordering::Relaxed);
        for digit in text.iter_mut().rev().take(COUNTED) {
            let value = u8::try_from(left & 0xf).unwrap_or(0);
            *digit = if value < 10 { b'0' + value } else { b'a' + value - 10 };
            left >>= 4;
        }
        text
    }
}

/// A new activation id.
pub(super) fn activation() -> Result<ActivationId, Problem> {
    fresh("act_", ActivationId::new)
}

/// A new eligibility id.
pub(super) fn eligibility() -> Result<EligibilityId, Problem> {
    fresh("elg_", EligibilityId::new)
}

/// A new assignment id.
pub(super) fn assignment() -> Result<AssignmentId, Problem> {
    fresh("asg_", AssignmentId::new)
}

/// A new id of a request to extend or renew a grant.
pub(super) fn grant_request() -> Result<GrantRequestId, Problem> {
    fresh("grq_", GrantRequestId::new)
}

/// A new id of a review definition.
pub(super) fn review_definition() -> Result<ReviewDefinitionId, Problem> {
    fresh("rvd_", ReviewDefinitionId::new)
}

/// A new command id.
pub(super) fn command() -> Result<CommandId, Problem> {
    fresh("", CommandId::new)
}

/// Free text under a member's name: blank text counts as none, and gets the salt that keeps its digest from being guessed.
pub(super) fn text(member: &'static str, given: Option<String>) -> Result<Option<Text>, Problem> {
    let Some(value) = given.filter(|value| !value.trim().is_empty()) else { return Ok(None) };
    let refuse = |why: String| {
        Problem::new(http::StatusCode::BAD_REQUEST, "malformed_member", "a member is not as it should be", format!("`{member}`: {why}"))
            .with("member", member)
    };
    if value.len() > MAX_TEXT_BYTES {
        return Err(refuse(format!("it is {} bytes long; at most {MAX_TEXT_BYTES} are kept", value.len())));
    }
    if value.chars().any(|letter| letter.is_control() && letter != '\n' && letter != '\t') {
        return Err(refuse("it holds a control character other than a line break or a tab; leave that out".to_owned()));
    }
    let mut salt = [0_u8; 16];
    getrandom::fill(&mut salt).map_err(|error| {
        tracing::error!(%error, "the system gives no random bytes");
        problem::internal()
    })?;
    Ok(Some(Text { salt, value }))
}

/// Takes a text of one line that names something of another system, such as a ticket. Approvers compare it with what they see there, so that
/// it holds nothing that is not seen.
pub(super) fn take_line(members: &mut Members, member: &'static str) -> Result<Option<Text>, Problem> {
    let line = take_text(members, member)?;
    let unseen = |letter: char| misleads(letter) || (letter.is_whitespace() && letter != ' ');
    match line.as_ref().and_then(|line| line.value.chars().find(|letter| unseen(*letter))) {
        None => Ok(line),
        Some(letter) => Err(malformed_member(
            member,
            format_args!("it holds U+{:04X}, which makes it look like another one; leave that out", u32::from(letter)),
        )),
    }
}

/// Takes a free text out of a command.
pub(super) fn take_text(members: &mut Members, member: &'static str) -> Result<Option<Text>, Problem> {
    text(member, members.optional::<Value>(member)?.map(|value| as_text(member, value)).transpose()?)
}

fn as_text(member: &'static str, value: Value) -> Result<String, Problem> {
    match value {
        Value::String(text) => Ok(text),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => Err(Problem::new(
            http::StatusCode::BAD_REQUEST,
            "malformed_member",
            "a member is not as it should be",
            format!("`{member}` is to be a text"),
        )
        .with("member", member)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_bounded_salted_and_plain() {
        let one = text("reason", Some("disk full".into())).unwrap().unwrap();
        let other = text("reason", Some("disk full".into())).unwrap().unwrap();
        assert_ne!(one.digest(), other.digest());
        assert_eq!(text("reason", Some("  \n".into())).unwrap(), None);
        assert!(text("reason", Some("line\nbreak\t".into())).unwrap().is_some());
        for bad in ["a\u{1b}[2J".to_owned(), "x".repeat(MAX_TEXT_BYTES + 1)] {
            let problem = text("reason", Some(bad)).unwrap_err();
            assert_eq!(problem.member("member").unwrap(), "reason");
        }
    }

    #[test]
    fn ids_carry_their_kind_and_sort_by_time() {
        let (one, other) = (activation().unwrap(), activation().unwrap());
        assert!(one.as_str().starts_with("act_") && one != other);
        assert!(eligibility().unwrap().as_str().starts_with("elg_"));
        assert!(assignment().unwrap().as_str().starts_with("asg_"));
    }
}
