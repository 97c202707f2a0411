//! The `Authorization` header (RFC 9110, RFC 6750): which kind of credential it carries, told by its form before anything is verified.

use super::token::TOKEN_PREFIX;
use super::{BadCredential, MAX_CREDENTIAL_BYTES, Presented};
use crate::domain::CredentialKind;

/// What the one `Authorization` header carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Carried<'a> {
    /// `Dev …`, with all of the header.
    Dev,
    /// `Bearer elv_…`: a static token, with its prefix.
    Token(&'a str),
    /// `Bearer` and anything else: an access token.
    Jwt(&'a str),
}

impl Carried<'_> {
    pub(super) fn kind(self) -> CredentialKind {
        match self {
            Self::Dev => CredentialKind::Dev,
            Self::Token(_) => CredentialKind::Token,
            Self::Jwt(_) => CredentialKind::Oidc,
        }
    }
}

/// The one header as text; nothing where none came.
pub(super) fn text<'a>(presented: &Presented<'a>) -> Result<Option<&'a str>, BadCredential> {
    let bytes = match presented.authorization {
        [] => return Ok(None),
        [one] => *one,
        more => return Err(BadCredential::Repeated { count: more.len() }),
    };
    if bytes.len() > MAX_CREDENTIAL_BYTES {
        return Err(BadCredential::TooLong { bytes: bytes.len() });
    }
    std::str::from_utf8(bytes).map(Some).map_err(|_| BadCredential::NotText)
}

/// What the one header carries; nothing where none came. `taken` says what is taken here, for the answer to anything else.
pub(super) fn carried<'a>(presented: &Presented<'a>, taken: &str) -> Result<Option<Carried<'a>>, BadCredential> {
    let Some(text) = text(presented)? else { return Ok(None) };
    let (scheme, rest) = text.split_once(' ').unwrap_or((text, ""));
    if scheme.eq_ignore_ascii_case("dev") {
        return Ok(Some(Carried::Dev));
    }
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(other_scheme(text, taken));
    }
    let token = rest.trim_start_matches(' ');
    if token.is_empty() {
        return Err(BadCredential::Bearer { why: "no token follows the word `Bearer`" });
    }
    // b64token of RFC 6750, section 2.1: a space, a comma or a quote within or after it is no part of a token
    let body = token.trim_end_matches('=');
    if !body.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte)) {
        return Err(BadCredential::Bearer { why: "it holds a character that no token has; send `Bearer`, one space, and the token" });
    }
    Ok(Some(if token.starts_with(TOKEN_PREFIX) { Carried::Token(token) } else { Carried::Jwt(token) }))
}

/// A scheme that is not taken. It is repeated only if it can be no secret: a token without `Bearer` before it stands where a scheme does.
pub(super) fn other_scheme(text: &str, taken: &str) -> BadCredential {
    let scheme = text.split_once(' ').map_or("", |(scheme, _)| scheme);
    let is_word = !scheme.is_empty() && scheme.len() <= 16 && scheme.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'-');
    BadCredential::Scheme { scheme: if is_word { scheme.to_owned() } else { "such".to_owned() }, taken: taken.to_owned() }
}
