//! Free text that people wrote, kept so that it can be erased: the journal holds its salted digest, the text lives beside it.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Longest free text, in bytes.
pub const MAX_TEXT_BYTES: usize = 4096;

/// Whether a character can make a text look like another one: it turns the reading direction, has no width, or breaks a line that a program
/// takes for one line. Control characters do so too, and are asked for apart.
///
/// Such a character has no place in an id, where two ids have to look like two (UAX #9 and UTS #55 call it source spoofing). In free text it
/// may be part of somebody's language; there it is kept as it is, and spelt out where people read it on a screen.
#[must_use]
pub fn misleads(letter: char) -> bool {
    const MARKS: [std::ops::RangeInclusive<char>; 13] = [
        '\u{ad}'..='\u{ad}',       // soft hyphen
        '\u{34f}'..='\u{34f}',     // grapheme joiner
        '\u{61c}'..='\u{61c}',     // Arabic letter mark
        '\u{115f}'..='\u{1160}',   // Hangul fillers
        '\u{17b4}'..='\u{17b5}',   // Khmer inherent vowels
        '\u{180b}'..='\u{180f}',   // Mongolian selectors
        '\u{200b}'..='\u{200f}',   // zero width, left-to-right and right-to-left marks
        '\u{2028}'..='\u{202e}',   // separators of lines and paragraphs, embeddings and overrides
        '\u{2060}'..='\u{206f}',   // joiners, isolates, deprecated formats
        '\u{3164}'..='\u{3164}',   // Hangul filler
        '\u{feff}'..='\u{feff}',   // byte order mark
        '\u{ffa0}'..='\u{ffa0}',   // Hangul filler of half width
        '\u{e0000}'..='\u{e0fff}', // tags and more selectors
    ];
    MARKS.iter().any(|marks| marks.contains(&letter))
}

/// A SHA-256 digest. Lower-case hexadecimal in JSON, its 32 bytes in the compact rows on disk.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// SHA-256 over the fields, each behind its length in eight bytes, so that no two lists of fields share a digest.
    #[must_use]
    pub fn of_fields<'a>(fields: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut hash = Sha256::new();
        for field in fields {
            hash.update((field.len() as u64).to_be_bytes());
            hash.update(field);
        }
        Self(hash.finalize().into())
    }

    /// SHA-256 over bytes.
    #[must_use]
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Reads 64 hexadecimal digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        if digits.len() != 64 {
            return None;
        }
        let mut bytes = [0_u8; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).ok()?;
            if pair.starts_with('+') {
                return None;
            }
            *byte = u8::from_str_radix(pair, 16).ok()?;
        }
        Some(Self(bytes))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { serializer.collect_str(self) } else { self.0.serialize(serializer) }
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return <[u8; 32]>::deserialize(deserializer).map(Self);
        }
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("a digest is 64 hexadecimal digits"))
    }
}

/// The salted digest by which the journal knows a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TextDigest(pub Digest);

/// A text and the salt that keeps its digest from being guessed once the text is erased.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Text {
    /// Random bytes, chosen by whoever received the text.
    pub salt: [u8; 16],
    /// What was written.
    pub value: String,
}

impl Text {
    /// Its salted digest.
    #[must_use]
    pub fn digest(&self) -> TextDigest {
        TextDigest(Digest::of_fields([self.salt.as_slice(), self.value.as_bytes()]))
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Text({} bytes)", self.value.len())
    }
}

/// A ticket of another system, as the requester names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    /// Which system, such as `jira`.
    pub system: Text,
    /// The number there, such as `OPS-123`.
    pub number: Text,
}
