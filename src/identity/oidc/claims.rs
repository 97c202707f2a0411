//! The inside of a token whose signature verified: every claim that is read is of its right type or the token is refused. A claim of the
//! wrong type is never an absent one (CVE-2026-25537).

use serde_json::Value;

use super::IssuerSettings;
use super::json::Object;
use crate::domain::{Caller, CredentialKind, Timestamp, Uid};
use crate::identity::{BadJwt, Identified, MAX_GROUP_BYTES, MAX_GROUPS, MAX_METHODS};

/// The last second of the year 9999: what lies after it is no time but a mistake or an attack.
const LAST_SECOND: u64 = 253_402_300_799;
/// Longest authentication method, in bytes.
const MAX_METHOD_BYTES: usize = 128;

fn bad(claim: &str, why: impl Into<String>) -> BadJwt {
    BadJwt::Claim { claim: claim.to_owned(), why: why.into() }
}

/// A NumericDate (RFC 7519, section 2), as a whole number of seconds.
fn instant(claims: &Object, name: &str) -> Result<Option<Timestamp>, BadJwt> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let seconds = value.as_u64().filter(|seconds| *seconds <= LAST_SECOND);
    let seconds = seconds.and_then(|seconds| i64::try_from(seconds).ok());
    let seconds = seconds.ok_or_else(|| bad(name, "it is not a whole number of seconds since 1970, up to the year 9999"))?;
    Ok(Some(Timestamp::from_millis(seconds.saturating_mul(1000))))
}

fn needed(claims: &Object, name: &str) -> Result<Timestamp, BadJwt> {
    instant(claims, name)?.ok_or_else(|| bad(name, "it is missing"))
}

fn text<'a>(claims: &'a Object, name: &str) -> Result<Option<&'a str>, BadJwt> {
    match claims.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(bad(name, "it is not a string")),
    }
}

/// A list of strings; nothing where the claim is absent.
fn texts<'a>(claims: &'a Object, name: &str) -> Result<Vec<&'a str>, BadJwt> {
    match claims.get(name) {
        None => Ok(Vec::new()),
        Some(Value::Array(items)) => {
            items.iter().map(|item| item.as_str().ok_or_else(|| bad(name, "it is not a list of strings"))).collect()
        }
        Some(_) => Err(bad(name, "it is not a list of strings")),
    }
}

/// The caller that verified claims show.
pub(super) fn caller(claims: &Object, settings: &IssuerSettings, now: Timestamp) -> Result<Identified, BadJwt> {
    audience(claims, settings)?;
    let until = in_force(claims, settings, now)?;
    let principal = principal(claims, settings)?;
    let auth_time = instant(claims, "auth_time")?;
    if auth_time.is_some_and(|at| at > now.plus(settings.leeway)) {
        return Err(bad("auth_time", "it lies in the future"));
    }
    let (amr, groups) = (methods(claims, settings)?, groups(claims, settings)?);
    let caller = Caller { principal, credential: CredentialKind::Oidc, amr, auth_time, groups };
    Ok(Identified { caller, until: Some(until) })
}

/// `aud` is a string or a list of strings (RFC 7519, section 4.1.3), and one of the configured ones is in it.
fn audience(claims: &Object, settings: &IssuerSettings) -> Result<(), BadJwt> {
    let named = match claims.get("aud") {
        None => return Err(bad("aud", "it is missing")),
        Some(Value::String(one)) => vec![one.as_str()],
        Some(_) => texts(claims, "aud")?,
    };
    if named.iter().any(|name| settings.audiences.iter().any(|known| known == name)) {
        return Ok(());
    }
    Err(bad("aud", "the token is for others"))
}

/// Until when the token counts: its `exp` and the leeway.
fn in_force(claims: &Object, settings: &IssuerSettings, now: Timestamp) -> Result<Timestamp, BadJwt> {
    let (exp, iat) = (needed(claims, "exp")?, needed(claims, "iat")?);
    let nbf = if settings.require_nbf { Some(needed(claims, "nbf")?) } else { instant(claims, "nbf")? };
    if exp <= iat || nbf.is_some_and(|nbf| exp <= nbf) {
        return Err(bad("exp", "it is not after `iat` and `nbf`"));
    }
    if exp.since(iat) > settings.max_lifetime {
        return Err(bad("exp", format!("the token lasts longer than {} from its `iat`", settings.max_lifetime)));
    }
    let latest = now.plus(settings.leeway);
    if let Some(at) = [Some(iat), nbf].into_iter().flatten().find(|at| *at > latest) {
        return Err(BadJwt::NotYet { at });
    }
    let until = exp.plus(settings.leeway);
    if now >= until { Err(BadJwt::Expired { at: exp }) } else { Ok(until) }
}

fn principal(claims: &Object, settings: &IssuerSettings) -> Result<Uid, BadJwt> {
    let claim = settings.principal_claim.as_str();
    let named = text(claims, claim)?.ok_or_else(|| bad(claim, "it is missing"))?;
    // anybody can write down somebody else's address; the provider says whether it was shown to be theirs
    if claim == "email" && claims.get("email_verified") != Some(&Value::Bool(true)) {
        return Err(bad("email_verified", "it is not `true`, and `email` says who it is"));
    }
    let id = match &settings.strip_prefix {
        None => named,
        // one without the prefix would share its id with one that has it
        Some(prefix) => named.strip_prefix(prefix.as_str()).ok_or_else(|| bad(claim, "it lacks the configured prefix"))?,
    };
    Uid::new(&settings.principal_type, id).map_err(|why| bad(claim, why.to_string()))
}

/// `amr` (RFC 8176), sorted and each once, and `mfa` where `acr` is configured to mean it.
fn methods(claims: &Object, settings: &IssuerSettings) -> Result<Vec<String>, BadJwt> {
    let named = texts(claims, "amr")?;
    if named.len() > MAX_METHODS {
        return Err(bad("amr", format!("it has more than {MAX_METHODS} methods")));
    }
    let in_order =
        |method: &str| !method.is_empty() && method.len() <= MAX_METHOD_BYTES && method.bytes().all(|byte| byte.is_ascii_graphic());
    if !named.iter().all(|method| in_order(method)) {
        return Err(bad("amr", format!("a method has not 1 to {MAX_METHOD_BYTES} letters of ASCII")));
    }
    let mut found: Vec<String> = named.into_iter().map(str::to_owned).collect();
    if text(claims, "acr")?.is_some_and(|acr| settings.mfa_acr.iter().any(|known| known == acr)) {
        found.push("mfa".to_owned());
    }
    found.sort();
    found.dedup();
    Ok(found)
}

/// The claimed groups, sorted and each once. One too many refuses the token: a list that was cut in silence could lose what a policy forbids.
fn groups(claims: &Object, settings: &IssuerSettings) -> Result<Vec<String>, BadJwt> {
    let Some(claim) = &settings.groups_claim else { return Ok(Vec::new()) };
    let named = texts(claims, claim)?;
    if named.len() > MAX_GROUPS {
        return Err(bad(claim, format!("it has more than {MAX_GROUPS} groups")));
    }
    let in_order = |group: &str| !group.is_empty() && group.len() <= MAX_GROUP_BYTES && !group.chars().any(char::is_control);
    if !named.iter().all(|group| in_order(group)) {
        return Err(bad(claim, format!("a group has not 1 to {MAX_GROUP_BYTES} bytes, or holds a control character")));
    }
    let mut found: Vec<String> = named.into_iter().map(str::to_owned).collect();
    found.sort();
    found.dedup();
    Ok(found)
}
