//! How an argument's text becomes a value. What is wrong with it is said before anybody is asked.

use crate::domain::id::{ActivationId, BadName, RoleName, Uid};
use crate::domain::text::Digest;
use crate::domain::time::{BadTime, Duration, Timestamp};

pub(super) fn entity(text: &str) -> Result<Uid, BadName> {
    Uid::parse(text)
}

pub(super) fn role(text: &str) -> Result<RoleName, BadName> {
    RoleName::new(text)
}

pub(super) fn activation(text: &str) -> Result<ActivationId, BadName> {
    ActivationId::new(text)
}

pub(super) fn duration(text: &str) -> Result<Duration, BadTime> {
    Duration::parse(text)
}

pub(super) fn wait(text: &str) -> Result<Duration, String> {
    let most = Duration::from_mins(5);
    let asked = Duration::parse(text).map_err(|error| error.to_string())?;
    if asked <= most { Ok(asked) } else { Err(format!("{most} is the longest wait")) }
}

pub(super) fn instant(text: &str) -> Result<Timestamp, BadTime> {
    Timestamp::parse(text)
}

pub(super) fn digest(text: &str) -> Result<Digest, String> {
    Digest::parse(text).ok_or_else(|| "a request hash is 64 hexadecimal digits; `elevon approvals --output json` shows it".to_owned())
}

pub(super) fn ticket(text: &str) -> Result<(String, String), String> {
    match text.split_once(':') {
        Some((system, number)) if !system.is_empty() && !number.is_empty() => Ok((system.to_owned(), number.to_owned())),
        _ => Err("write it as SYSTEM:ID, such as `jira:OPS-7`".to_owned()),
    }
}

pub(super) fn object(text: &str) -> Result<serde_json::Map<String, serde_json::Value>, String> {
    serde_json::from_str(text).map_err(|error| format!("it is not a JSON object: {error}"))
}
