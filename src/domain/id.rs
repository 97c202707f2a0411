//! Names of things. Parsed once at the edge; whoever holds one of these holds a well-formed name.
//!
//! Ids compare byte for byte. Text that is not in Unicode normalisation form C is refused, so that two spellings of one
//! visible name cannot stand beside each other (UAX #15). For the same reason an id holds nothing that is not seen: no control characters, none
//! that turn the reading direction or have no width, and no white space but single blanks inside. Letters of two scripts that look alike are
//! two letters; whether a directory should mix scripts is not for Elevon to say.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize};
use unicode_normalization::{UnicodeNormalization as _, is_nfc};

use super::text::misleads;

/// Longest entity id, role name or grant id, in bytes.
pub const MAX_ID_BYTES: usize = 512;
/// Longest entity type name, in bytes.
pub const MAX_TYPE_BYTES: usize = 128;

/// Why a name was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    /// Nothing was given.
    #[error("{what} is empty; give it at least one character")]
    Empty {
        /// Which name it was to be.
        what: &'static str,
    },
    /// Longer than Elevon keeps.
    #[error("{what} is {bytes} bytes long; at most {max} are kept")]
    TooLong {
        /// Which name it was to be.
        what: &'static str,
        /// Its length in bytes.
        bytes: usize,
        /// The most that is kept, in bytes.
        max: usize,
    },
    /// Not in normalisation form C.
    #[error("{what} `{text}` is not in Unicode normalisation form C; normalise it before you send it")]
    NotNormalised {
        /// Which name it was to be.
        what: &'static str,
        /// The text as given.
        text: String,
    },
    /// Holds a control character.
    #[error("{what} `{}` holds a control character", text.escape_debug())]
    Control {
        /// Which name it was to be.
        what: &'static str,
        /// The text as given.
        text: String,
    },
    /// Holds a character that makes it look like another name.
    #[error("{what} `{}` holds U+{letter:04X}, which makes it look like another name; leave that out", spelt_out(text))]
    Misleading {
        /// Which name it was to be.
        what: &'static str,
        /// The text as given.
        text: String,
        /// The character, by its number.
        letter: u32,
    },
    /// Has white space that is not seen, or not told from a blank.
    #[error("{what} `{}` has white space that is not seen; only blanks between other letters are taken", spelt_out(text))]
    Blank {
        /// Which name it was to be.
        what: &'static str,
        /// The text as given.
        text: String,
    },
    /// Not a Cedar type name.
    #[error("`{text}` is not an entity type; write a name such as `User` or `Acme::User`")]
    NotAType {
        /// The text as given.
        text: String,
    },
    /// Not of the form `Type::"id"`.
    #[error("`{text}` is not an entity; write it as `User::\"alice\"`")]
    NotAnEntity {
        /// The text as given.
        text: String,
    },
}

/// A text with everything but visible letters and blanks as escapes.
fn spelt_out(text: &str) -> String {
    let mut spelt = String::with_capacity(text.len());
    for letter in text.chars() {
        if misleads(letter) || letter.is_control() || (letter.is_whitespace() && letter != ' ') {
            spelt.extend(letter.escape_unicode());
        } else {
            spelt.push(letter);
        }
    }
    spelt
}

fn text_in_order(what: &'static str, text: &str, max: usize) -> Result<(), BadName> {
    if text.is_empty() {
        return Err(BadName::Empty { what });
    }
    if text.len() > max {
        return Err(BadName::TooLong { what, bytes: text.len(), max });
    }
    if is_plain(text) {
        return Ok(());
    }
    // first, for the other messages repeat the text as it is, and they go to logs
    if text.chars().any(char::is_control) {
        return Err(BadName::Control { what, text: text.to_owned() });
    }
    if let Some(letter) = text.chars().find(|letter| misleads(*letter)) {
        return Err(BadName::Misleading { what, text: text.to_owned(), letter: u32::from(letter) });
    }
    if text.chars().any(|letter| letter.is_whitespace() && letter != ' ') || text.starts_with(' ') || text.ends_with(' ') {
        return Err(BadName::Blank { what, text: text.to_owned() });
    }
    if !is_nfc(text) {
        return Err(BadName::NotNormalised { what, text: text.to_owned() });
    }
    Ok(())
}

/// Whether a text is of visible ASCII letters, with blanks only between them: then nothing else is to be asked.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~')) && !text.starts_with(' ') && !text.ends_with(' ')
}

fn is_type_name(text: &str) -> bool {
    let is_name = |part: &[u8]| {
        part.first().is_some_and(|first| first.is_ascii_alphabetic() || *first == b'_')
            && part.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
    };
    // rows repeat types, nearly all of them without a namespace
    text.len() <= MAX_TYPE_BYTES && (is_name(text.as_bytes()) || text.split("::").all(|part| is_name(part.as_bytes())))
}

/// An entity: a principal, a group, a resource or a scope. On the wire `{"type", "id"}` as in AuthZEN, in text `Type::"id"` as in Cedar.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Uid {
    kind: Arc<str>,
    id: Arc<str>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawUid<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    id: Cow<'a, str>,
}

impl Serialize for Uid {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        RawUid { kind: Cow::Borrowed(&self.kind), id: Cow::Borrowed(&self.id) }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Uid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = RawUid::deserialize(deserializer)?;
        Self::new(&raw.kind, &raw.id).map_err(de::Error::custom)
    }
}

/// Reads a text as a name, without a copy of it where the text can be borrowed.
struct Named<F>(F);

impl<T, F: FnOnce(&str) -> Result<T, BadName>> de::Visitor<'_> for Named<F> {
    type Value = T;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a string")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        (self.0)(text).map_err(E::custom)
    }
}

impl Uid {
    /// An entity of a type with an id.
    ///
    /// # Errors
    /// The type is not a Cedar type name, or the id is empty, too long, not normalised, or holds a character that is not seen.
    pub fn new(kind: &str, id: &str) -> Result<Self, BadName> {
        if !is_type_name(kind) {
            return Err(BadName::NotAType { text: kind.to_owned() });
        }
        text_in_order("the entity id", id, MAX_ID_BYTES)?;
        Ok(Self { kind: kind.into(), id: id.into() })
    }

    /// Reads `Type::"id"`, with `\"` and `\\` as the only escapes.
    ///
    /// # Errors
    /// The text is not of that form, or one of its halves is refused by [`Uid::new`].
    pub fn parse(text: &str) -> Result<Self, BadName> {
        let not = || BadName::NotAnEntity { text: text.to_owned() };
        let (kind, rest) = text.split_once("::\"").ok_or_else(not)?;
        let quoted = rest.strip_suffix('"').ok_or_else(not)?;
        let mut id = String::with_capacity(quoted.len());
        let mut letters = quoted.chars();
        while let Some(letter) = letters.next() {
            match letter {
                '\\' => match letters.next() {
                    Some(escaped @ ('"' | '\\')) => id.push(escaped),
                    _ => return Err(not()),
                },
                '"' => return Err(not()),
                plain => id.push(plain),
            }
        }
        Self::new(kind, &id)
    }

    /// The type name, such as `User` or `Acme::User`.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The type name, for whoever keeps it.
    #[must_use]
    pub fn shared_kind(&self) -> Arc<str> {
        Arc::clone(&self.kind)
    }

    /// The id without its type.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The id under full case folding (Unicode 3.13, rule R4), for types whose ids may not differ by case only.
    #[must_use]
    pub fn fold(&self) -> String {
        fold(&self.id)
    }
}

/// A text under full case folding, in normalisation form C.
#[must_use]
pub fn fold(text: &str) -> String {
    icu_casemap::CaseMapper::new().fold_string(text).nfc().collect()
}

impl fmt::Display for Uid {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}::\"{}\"", self.kind, self.id.replace('\\', "\\\\").replace('"', "\\\""))
    }
}

impl fmt::Debug for Uid {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

macro_rules! text_newtype {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str(Named(Self::new))
            }
        }

        impl $name {
            #[doc = concat!("Takes a text as ", $what, ".")]
            ///
            /// # Errors
            /// The text is empty, too long, not normalised, or holds a character that is not seen.
            pub fn new(text: &str) -> Result<Self, BadName> {
                text_in_order($what, text, MAX_ID_BYTES)?;
                Ok(Self(text.into()))
            }

            /// The text itself.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadName;
            fn try_from(text: String) -> Result<Self, BadName> {
                Self::new(&text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.as_ref().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(out, "{:?}", &*self.0)
            }
        }
    };
}

text_newtype!(
    /// The name of a role, case-sensitive, as in `roles.toml` and in `Role::"…"`.
    RoleName,
    "the role name"
);
text_newtype!(
    /// The id of an activation, request or active; `act_` and a UUID (RFC 9562, version 7) when Elevon makes it.
    ActivationId,
    "the activation id"
);
text_newtype!(
    /// The id of an eligibility; `elg_` and a UUID when Elevon makes it.
    EligibilityId,
    "the eligibility id"
);
text_newtype!(
    /// The id of an assignment; `asg_` and a UUID when Elevon makes it.
    AssignmentId,
    "the assignment id"
);
text_newtype!(
    /// The id of a request to extend or renew a grant; `grq_` and a UUID when Elevon makes it.
    GrantRequestId,
    "the grant request id"
);
text_newtype!(
    /// The id of a review definition; `rvd_` and a UUID when Elevon makes it.
    ReviewDefinitionId,
    "the review definition id"
);
text_newtype!(
    /// The id of a review; `rev_`, and the UUID and number of what it was opened for.
    ReviewId,
    "the review id"
);
text_newtype!(
    /// The id of an incident of an alert; `inc_`, and a digest of what it is about and since when.
    IncidentId,
    "the incident id"
);
text_newtype!(
    /// What people call a review.
    ReviewName,
    "the review's name"
);
text_newtype!(
    /// The id of one command as it was submitted; a UUID. It settles what became of a commit whose answer was lost.
    CommandId,
    "the command id"
);
text_newtype!(
    /// What a caller chose to make a command safe to repeat (`Idempotency-Key`).
    IdempotencyKey,
    "the idempotency key"
);
text_newtype!(
    /// The content address of a bundle: SHA-256 in lower-case hexadecimal over its files.
    Revision,
    "the revision"
);

/// How often a name has been deleted. A grant keeps those it was given under and counts only while all of them match,
/// so that a name that comes back revives nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Incarnation(pub u32);

impl Incarnation {
    /// The one after a deletion.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entity_reads_back_as_it_was_printed() {
        for id in ["alice", "a b", "quo\"te", "back\\slash", "Zoë", "::\"x"] {
            let uid = Uid::new("Acme::User", id).unwrap();
            assert_eq!(Uid::parse(&uid.to_string()).unwrap(), uid);
        }
    }

    #[test]
    fn plain_letters_need_no_other_question() {
        for letter in '\0'..='\u{ff}' {
            for text in [format!("{letter}a"), format!("a{letter}a"), format!("a{letter}")] {
                let misled = text.chars().any(|letter| misleads(letter) || letter.is_control());
                let blank = text.starts_with(' ') || text.ends_with(' ');
                assert_eq!(is_plain(&text), text.is_ascii() && !misled && !blank, "{text:?}");
            }
        }
    }

    #[test]
    fn what_is_not_a_name_is_refused() {
        for text in ["alice", "User::alice", "User::\"\"", "User::\"a", "9User::\"a\"", "Us er::\"a\"", "User::\"a\nb\"", "User::\"a\"b\""]
        {
            assert!(Uid::parse(text).is_err(), "{text}");
        }
        let decomposed = "Zoe\u{308}";
        assert!(matches!(Uid::new("User", decomposed), Err(BadName::NotNormalised { .. })));
        for (letter, why) in
            [('\u{202e}', "U+202E"), ('\u{2066}', "U+2066"), ('\u{200b}', "U+200B"), ('\u{feff}', "U+FEFF"), ('\u{e0041}', "U+E0041")]
        {
            for text in [format!("ali{letter}ce"), format!("{letter}alice"), format!("alice{letter}")] {
                let error = Uid::new("User", &text).unwrap_err().to_string();
                assert!(error.contains(why) && !error.contains(letter), "{error}");
            }
        }
        for text in [" alice", "alice ", "al\u{a0}ice", "al\u{2003}ice", "al\u{3000}ice"] {
            assert!(matches!(Uid::new("User", text), Err(BadName::Blank { .. })), "{text:?}");
        }
        assert!(Uid::new("User", "Ann of Green Gables").is_ok());
        let two_lines = Uid::new("User", "Zoe\u{308}\nINFO all is well").unwrap_err().to_string();
        assert!(!two_lines.contains('\n'), "{two_lines}");
        assert!(matches!(RoleName::new(&"x".repeat(513)), Err(BadName::TooLong { .. })));
    }
}
