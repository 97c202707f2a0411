//! What a gateway asks about, as every dialect reads it; and the headers that nobody may send twice, or in disguise.

use std::fmt;

use http::{HeaderMap, HeaderName};

use crate::policy::{BadTarget, Target};

/// Who asks, as a gateway names it that may vouch for it: `User::"alice"`.
pub(super) const PRINCIPAL: HeaderName = HeaderName::from_static("elevon-principal");
/// The certificate that a gateway verified, as Envoy writes it.
const CLIENT_CERT: HeaderName = HeaderName::from_static("x-forwarded-client-cert");

/// What headers begin with that gateways and upstreams believe. A client that sends one of these in another spelling, which an upstream may
/// take for the same, is up to something.
const BELIEVED: [&str; 10] = [
    "elevon-",
    "x-elevon-",
    "x-forwarded-",
    "x-original-",
    "x-envoy-",
    "x-authenticated-",
    "x-auth-",
    "x-remote-",
    "remote-",
    "authorization",
];
/// What headers begin with of which one is to be there at most.
const SINGLE: [&str; 4] = ["elevon-", "x-elevon-", "x-forwarded-", "x-original-"];
/// Headers that hold one value, so that a comma in it is two, made one by somebody on the way.
const ONE_VALUE: [&str; 4] = ["x-forwarded-method", "x-forwarded-proto", "x-forwarded-host", "x-original-host"];

/// Why a request is not looked at any further.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Hostile {
    /// Its method, host or path can be read in two ways.
    Target(BadTarget),
    /// A header stands there in a spelling that is nearly another's.
    Alias(String),
    /// A header stands there twice.
    Twice(String),
    /// A header is not text.
    NotText(String),
    /// There are more headers than are looked at.
    TooMany,
    /// What the gateway is to send is not there.
    Missing(&'static str),
}

impl fmt::Display for Hostile {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Target(bad) => fmt::Display::fmt(bad, out),
            Self::Alias(name) => write!(out, "the header `{name}` could be taken for one that gateways set"),
            Self::Twice(name) => write!(out, "the header `{name}` stands there twice"),
            Self::TooMany => out.write_str("there are too many headers"),
            Self::NotText(name) => write!(out, "the header `{name}` is not text"),
            Self::Missing(name) => write!(out, "the gateway sent no `{name}`; its configuration is to say what was asked for"),
        }
    }
}

impl From<BadTarget> for Hostile {
    fn from(bad: BadTarget) -> Self {
        Self::Target(bad)
    }
}

/// A request that a gateway holds, and asks about.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    /// What it is for.
    pub(super) target: Target,
    /// What the client sent.
    pub(super) client: &'a HeaderMap,
    /// What the gateway shows itself with, and says of its own. In HTTP the two came in one head.
    pub(super) gateway: &'a HeaderMap,
    /// The one name of a certificate that the gateway verified, where it hands that on.
    pub(super) certificate: Result<Option<String>, String>,
}

impl<'a> Asked<'a> {
    /// Of a head in which the client's headers and the gateway's came together.
    pub(super) fn of_head(headers: &'a HeaderMap, method: &[u8], host: &[u8], path: &[u8]) -> Result<Self, Hostile> {
        in_order(headers)?;
        let target = Target::new(method, host, path)?;
        Ok(Self { target, client: headers, gateway: headers, certificate: forwarded_certificate(headers) })
    }
}

/// Refuses headers in disguise, twice, or not text.
pub(super) fn in_order(headers: &HeaderMap) -> Result<(), Hostile> {
    for name in headers.keys() {
        let text = name.as_str();
        let plain = text.replace(['_', '.'], "-");
        if plain != text && BELIEVED.iter().any(|known| plain.starts_with(known)) {
            return Err(Hostile::Alias(text.to_owned()));
        }
        let values = || headers.get_all(name).iter();
        if SINGLE.iter().any(|known| text.starts_with(known)) && values().nth(1).is_some() {
            return Err(Hostile::Twice(text.to_owned()));
        }
        if values().any(|value| std::str::from_utf8(value.as_bytes()).is_err()) {
            return Err(Hostile::NotText(text.to_owned()));
        }
        if ONE_VALUE.contains(&text) && values().any(|value| value.as_bytes().contains(&b',')) {
            return Err(Hostile::Twice(text.to_owned()));
        }
    }
    Ok(())
}

/// A header that has to be there.
pub(super) fn needed<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<&'a [u8], Hostile> {
    headers.get(name).map(http::HeaderValue::as_bytes).filter(|value| !value.is_empty()).ok_or(Hostile::Missing(name))
}

/// The one name in an `X-Forwarded-Client-Cert`: its URI, or else its DNS name. More than one certificate is more than one hop, and which of
/// them the gateway itself verified is not said.
fn forwarded_certificate(headers: &HeaderMap) -> Result<Option<String>, String> {
    let Some(value) = headers.get(CLIENT_CERT).filter(|value| !value.is_empty()) else { return Ok(None) };
    let text = std::str::from_utf8(value.as_bytes()).map_err(|_| "it is not text".to_owned())?;
    let (mut uris, mut names) = (Vec::new(), Vec::new());
    for (key, value) in pairs(text)? {
        match key.to_ascii_lowercase().as_str() {
            "uri" => uris.push(value),
            "dns" => names.push(value),
            _ => {}
        }
    }
    match (uris.as_slice(), names.as_slice()) {
        ([uri], _) => Ok(Some(uri.clone())),
        ([], [name]) => Ok(Some(name.clone())),
        ([], []) => Err("it has neither a URI nor a DNS name".to_owned()),
        _ => Err("it has more than one name, and which of them counts is not said".to_owned()),
    }
}

/// The pairs of one element: `By=…;URI=…;Subject="…"`.
fn pairs(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut pairs = Vec::new();
    let mut letters = text.chars().peekable();
    while letters.peek().is_some() {
        let mut key = String::new();
        loop {
            match letters.next() {
                Some('=') => break,
                Some(letter) if letter.is_ascii_alphabetic() => key.push(letter),
                _ => return Err("it is not `Key=value` pairs with `;` between them".to_owned()),
            }
        }
        let mut value = String::new();
        let quoted = letters.next_if_eq(&'"').is_some();
        let mut closed = !quoted;
        while let Some(letter) = letters.next() {
            match letter {
                '\\' if quoted => value.extend(letters.next()),
                '"' if quoted => {
                    closed = true;
                    match letters.next() {
                        None | Some(';') => break,
                        Some(',') => return Err("it holds more than one certificate".to_owned()),
                        Some(_) => return Err("something follows a quoted value".to_owned()),
                    }
                }
                ';' if !quoted => break,
                ',' if !quoted => return Err("it holds more than one certificate".to_owned()),
                '"' => return Err("a quote stands within a value".to_owned()),
                letter => value.push(letter),
            }
        }
        if !closed {
            return Err("a quote is not closed".to_owned());
        }
        pairs.push((key, value));
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    type Rows<'a> = &'a [(&'a str, &'a [u8])];

    fn headers(rows: Rows<'_>) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in rows {
            map.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_bytes(value).unwrap());
        }
        map
    }

    #[test]
    fn headers_in_disguise_or_twice_are_refused() {
        let good: [Rows<'_>; 4] = [
            &[("x-forwarded-for", b"10.0.0.1, 10.0.0.2"), ("x-elevon-role", b"forged")],
            &[("my_header", b"1"), ("my.header", b"2"), ("accept", b"a"), ("accept", b"b")],
            &[("x-forwarded-uri", b"/a,b")],
            &[("cookie", "é".as_bytes())],
        ];
        for rows in good {
            assert_eq!(in_order(&headers(rows)), Ok(()), "{rows:?}");
        }
        let alias = |name: &str| Hostile::Alias(name.to_owned());
        let twice = |name: &str| Hostile::Twice(name.to_owned());
        let bad: [(Rows<'_>, Hostile); 11] = [
            (&[("x_forwarded_host", b"x")], alias("x_forwarded_host")),
            (&[("x-forwarded_uri", b"x")], alias("x-forwarded_uri")),
            (&[("x.authenticated.user", b"x")], alias("x.authenticated.user")),
            (&[("x_elevon_role", b"x")], alias("x_elevon_role")),
            (&[("elevon_principal", b"x")], alias("elevon_principal")),
            (&[("x.elevon-role", b"x")], alias("x.elevon-role")),
            (&[("x-forwarded-host", b"a"), ("x-forwarded-host", b"a")], twice("x-forwarded-host")),
            (&[("x-forwarded-for", b"a"), ("x-forwarded-for", b"b")], twice("x-forwarded-for")),
            (&[("x-forwarded-host", b"a, b")], twice("x-forwarded-host")),
            (&[("elevon-principal", b"a"), ("elevon-principal", b"b")], twice("elevon-principal")),
            (&[("x-anything", b"\xff")], Hostile::NotText("x-anything".to_owned())),
        ];
        for (rows, why) in bad {
            assert_eq!(in_order(&headers(rows)), Err(why), "{rows:?}");
        }
    }

    #[test]
    fn a_forwarded_certificate_has_one_name() {
        let name = |text: &str| forwarded_certificate(&headers(&[("x-forwarded-client-cert", text.as_bytes())]));
        assert_eq!(forwarded_certificate(&HeaderMap::new()), Ok(None));
        assert_eq!(name(""), Ok(None));
        let good = [
            ("By=spiffe://a/b;Hash=1f;Subject=\"CN=x;URI=spiffe://forged/y,O=z\";URI=spiffe://a/c", "spiffe://a/c"),
            ("Hash=1f;DNS=web.example", "web.example"),
            ("URI=spiffe://a/c;DNS=web.example", "spiffe://a/c"),
            ("Subject=\"a\\\"b\";uri=spiffe://a/c", "spiffe://a/c"),
        ];
        for (text, expected) in good {
            assert_eq!(name(text), Ok(Some(expected.to_owned())), "{text}");
        }
        for text in [
            "URI=spiffe://a/c,URI=spiffe://a/d",
            "URI=spiffe://a/c;URI=spiffe://a/d",
            "DNS=a;DNS=b",
            "Hash=1f",
            "URI",
            "URI=\"spiffe://a/c",
            "URI=\"spiffe://a/c\"x",
            "Subject=\"a\",URI=spiffe://a/c",
            "URI=a\"b",
            ";URI=a",
        ] {
            assert!(name(text).is_err(), "{text}");
        }
    }
}
