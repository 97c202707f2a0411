//! The outside of a token: three parts in base64url, and a header of which little is followed (RFC 7515, compact form).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::json::Object;
use super::keys::MAX_KID_BYTES;
use crate::identity::BadJwt;

/// Header members that would let a token bring its own key, say how it is to be read, or be something other than a signed JWT.
const REFUSED: [&str; 10] = ["crit", "jku", "jwk", "x5u", "x5c", "b64", "zip", "enc", "cty", "epk"];

/// A token that was taken apart. Nothing about it is verified.
#[derive(Debug)]
pub(super) struct Jws<'a> {
    pub(super) header: Header,
    pub(super) payload: Object,
    /// What the signature is over: the first two parts as they came.
    pub(super) signed: &'a [u8],
    pub(super) signature: Vec<u8>,
}

#[derive(Debug)]
pub(super) struct Header {
    pub(super) alg: String,
    pub(super) typ: Option<String>,
    pub(super) kid: Option<String>,
}

impl<'a> Jws<'a> {
    pub(super) fn read(token: &'a str) -> Result<Self, BadJwt> {
        let form = |why: &str| BadJwt::Form { why: why.to_owned() };
        let (signed, signature) = token.rsplit_once('.').ok_or_else(|| form("it has not three parts"))?;
        let (header, payload) = signed.split_once('.').ok_or_else(|| form("it has not three parts"))?;
        if payload.contains('.') {
            return Err(form("it has more than three parts"));
        }
        let part = |text: &str, what: &str| {
            URL_SAFE_NO_PAD.decode(text).map_err(|_| form(&format!("its {what} is not base64url without padding")))
        };
        let signature = part(signature, "signature")?;
        if signature.is_empty() {
            return Err(form("it has no signature"));
        }
        let header = Object::read(&part(header, "header")?).map_err(|why| BadJwt::Header { why })?;
        let header = Header::read(&header).map_err(|why| BadJwt::Header { why })?;
        let payload = Object::read(&part(payload, "payload")?).map_err(|why| form(&format!("its payload: {why}")))?;
        Ok(Self { header, payload, signed: signed.as_bytes(), signature })
    }
}

impl Header {
    fn read(header: &Object) -> Result<Self, String> {
        if let Some(name) = REFUSED.iter().find(|name| header.get(name).is_some()) {
            return Err(format!("it holds `{name}`"));
        }
        let text = |name: &str| match header.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(format!("its `{name}` is not a string")),
        };
        let alg = text("alg")?.ok_or("it lacks `alg`")?;
        let (typ, kid) = (text("typ")?, text("kid")?);
        if kid.as_ref().is_some_and(|kid| kid.is_empty() || kid.len() > MAX_KID_BYTES) {
            return Err(format!("its `kid` has not 1 to {MAX_KID_BYTES} bytes"));
        }
        Ok(Self { alg, typ, kid })
    }

    /// Whether `typ` is one of these media types, with or without `application/` before it, in any case (RFC 7515, section 4.1.9).
    pub(super) fn is_of(&self, types: &[String]) -> bool {
        let bare = |text: &str| {
            let lower = text.to_ascii_lowercase();
            lower.strip_prefix("application/").map_or(lower.clone(), str::to_owned)
        };
        self.typ.as_deref().is_some_and(|typ| types.iter().any(|known| bare(known) == bare(typ)))
    }
}
