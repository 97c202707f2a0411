//! The credential of a server that was started with `--dev`: whoever sends it is believed.

use crate::domain::{Caller, CredentialKind, Timestamp, Uid};

use super::authorization;
use super::{Authenticator, BadCredential, Identified, MAX_METHODS, Presented};

/// How far an `auth_time` may lie ahead of this server's clock, in seconds: clocks of two machines differ a little.
const CLOCK_SKEW_SECONDS: u64 = 60;

/// Believes `Authorization: Dev User::"alice"; mfa=pwd,otp; auth_time=…`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Dev;

impl Authenticator for Dev {
    fn identify(&self, presented: &Presented<'_>, now: Timestamp) -> Result<Option<Identified>, BadCredential> {
        let Some(text) = authorization::text(presented)? else { return Ok(None) };
        Ok(Some(Identified { caller: parse(text, now)?, until: None }))
    }

    fn challenge(&self) -> &'static str {
        "Dev realm=\"elevon\""
    }

    fn loopback_only(&self) -> bool {
        true
    }
}

fn malformed(why: impl Into<String>) -> BadCredential {
    BadCredential::Malformed { why: why.into() }
}

fn parse(text: &str, now: Timestamp) -> Result<Caller, BadCredential> {
    let text = text.trim();
    let (scheme, rest) = text.split_once(' ').unwrap_or((text, ""));
    if !scheme.eq_ignore_ascii_case("dev") {
        return Err(authorization::other_scheme(text, "`Dev User::\"alice\"`"));
    }
    let (name, parameters) = split_name(rest.trim())?;
    let principal = Uid::parse(name).map_err(|bad| malformed(bad.to_string()))?;
    let mut caller = Caller { principal, credential: CredentialKind::Dev, amr: Vec::new(), auth_time: None, groups: Vec::new() };
    let (mut mfa_seen, mut time_seen) = (false, false);
    for parameter in parameters.split(';').map(str::trim).filter(|parameter| !parameter.is_empty()) {
        let (key, value) = parameter.split_once('=').ok_or_else(|| malformed(format!("`{parameter}` is not `name=value`")))?;
        match key.trim() {
            "mfa" if !mfa_seen => {
                mfa_seen = true;
                caller.amr = methods(value)?;
            }
            "auth_time" if !time_seen => {
                time_seen = true;
                caller.auth_time = Some(auth_time(value.trim(), now)?);
            }
            "mfa" | "auth_time" => return Err(malformed(format!("`{}` stands there twice", key.trim()))),
            other => return Err(malformed(format!("it has no parameter `{other}`; it takes `mfa` and `auth_time`"))),
        }
    }
    Ok(caller)
}

/// The name up to its closing quote (an id may hold `;`), and what follows it.
fn split_name(text: &str) -> Result<(&str, &str), BadCredential> {
    let open = text.find('"').ok_or_else(|| malformed("it names no principal"))?;
    let mut escaped = false;
    for (at, letter) in text.char_indices().skip_while(|(at, _)| *at <= open) {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => {
                let (name, rest) = text.split_at(at + 1);
                let rest = rest.trim_start();
                if rest.is_empty() || rest.starts_with(';') {
                    return Ok((name, rest));
                }
                return Err(malformed("after the principal comes `;` or nothing"));
            }
            _ => {}
        }
    }
    Err(malformed("the principal's closing quote is missing"))
}

fn methods(value: &str) -> Result<Vec<String>, BadCredential> {
    let mut found = Vec::new();
    for method in value.split(',').map(str::trim) {
        let in_order = !method.is_empty() && method.len() <= 32 && method.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !in_order {
            return Err(malformed(format!("`{method}` is not an authentication method; write `pwd`, `otp` or another of RFC 8176")));
        }
        found.push(method.to_owned());
    }
    found.sort();
    found.dedup();
    if found.len() > MAX_METHODS {
        return Err(malformed(format!("more than {MAX_METHODS} authentication methods")));
    }
    Ok(found)
}

fn auth_time(value: &str, now: Timestamp) -> Result<Timestamp, BadCredential> {
    let at = Timestamp::parse(value).map_err(|bad| malformed(bad.to_string()))?;
    if at > now.plus(crate::domain::Duration::from_secs(CLOCK_SKEW_SECONDS)) {
        return Err(BadCredential::FromTheFuture { at });
    }
    Ok(at)
}

#[cfg(test)]
mod tests {
    use super::super::MAX_CREDENTIAL_BYTES;
    use super::*;

    const NOW: &str = "2030-01-31T09:00:00Z";

    fn read(headers: &[&str]) -> Result<Option<Caller>, BadCredential> {
        let bytes: Vec<&[u8]> = headers.iter().map(|header| header.as_bytes()).collect();
        Dev.authenticate(&Presented { authorization: &bytes, ..Presented::default() }, Timestamp::parse(NOW).unwrap())
    }

    #[test]
    fn nothing_is_not_a_bad_credential() {
        assert_eq!(read(&[]), Ok(None));
        assert!(read(&[""]).is_err());
    }

    #[test]
    fn good_credentials_name_the_caller() {
        let rows: [(&str, &str, &[&str], Option<&str>); 7] = [
            ("Dev User::\"alice\"", "User::\"alice\"", &[], None),
            ("dev  User::\"alice\" ", "User::\"alice\"", &[], None),
            ("Dev Acme::User::\"a;b\"", "Acme::User::\"a;b\"", &[], None),
            ("Dev User::\"quo\\\"te\"; mfa=pwd", "User::\"quo\\\"te\"", &["pwd"], None),
            ("Dev User::\"alice\"; mfa=pwd,otp", "User::\"alice\"", &["otp", "pwd"], None),
            ("Dev User::\"alice\";mfa=pwd,pwd;auth_time=2030-01-31T08:59:00Z", "User::\"alice\"", &["pwd"], Some("2030-01-31T08:59:00Z")),
            ("Dev User::\"Zoë\"; auth_time=2030-01-31T09:00:30Z", "User::\"Zoë\"", &[], Some("2030-01-31T09:00:30Z")),
        ];
        for (header, principal, amr, time) in rows {
            let caller = read(&[header]).unwrap().unwrap();
            assert_eq!(caller.principal.to_string(), principal, "{header}");
            assert_eq!(caller.amr, amr, "{header}");
            assert_eq!(caller.auth_time, time.map(|time| Timestamp::parse(time).unwrap()), "{header}");
        }
    }

    #[test]
    fn bad_credentials_are_refused_and_say_why() {
        let rows = [
            ("Bearer abc", "`Dev User"),
            ("Dev", "names no principal"),
            ("Dev alice", "names no principal"),
            ("Dev User::\"alice", "closing quote"),
            ("Dev User::\"alice\" mfa=pwd", "comes `;`"),
            ("Dev User::\"\"", "empty"),
            ("Dev User::\"alice\"; admin=true", "no parameter `admin`"),
            ("Dev User::\"alice\"; mfa=pwd; mfa=otp", "twice"),
            ("Dev User::\"alice\"; mfa=", "not an authentication method"),
            ("Dev User::\"alice\"; mfa", "name=value"),
            ("Dev User::\"alice\"; auth_time=yesterday", "RFC 3339"),
            ("Dev User::\"alice\"; auth_time=2030-01-31T10:00:00Z", "future"),
        ];
        for (header, says) in rows {
            let bad = read(&[header]).unwrap_err().to_string();
            assert!(bad.contains(says), "{header}: {bad}");
        }
        assert_eq!(read(&["Dev User::\"a\"", "Dev User::\"b\""]), Err(BadCredential::Repeated { count: 2 }));
        let long = format!("Dev User::\"{}\"", "a".repeat(MAX_CREDENTIAL_BYTES));
        assert!(matches!(read(&[&long]), Err(BadCredential::TooLong { .. })));
        let bytes: &[u8] = b"Dev User::\"\xff\"";
        let read = Dev.authenticate(&Presented { authorization: &[bytes], ..Presented::default() }, Timestamp::default());
        assert_eq!(read, Err(BadCredential::NotText));
    }
}
