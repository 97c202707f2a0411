//! What an HTTP request is for, as far as routes go: its method, its host and the segments of its path.
//!
//! A path that a gateway, Elevon and the upstream could each read in another way is refused, and never repaired: whatever were made of
//! it here, one of the others might make something else of it. So there is one spelling of each path, up to characters that no server
//! takes for a separator.

use std::fmt;

/// Longest path, with its query, in bytes.
pub const MAX_PATH_BYTES: usize = 16 << 10;
/// Most segments of a path.
pub(super) const MAX_SEGMENTS: usize = 128;
/// Longest host, in bytes.
const MAX_HOST_BYTES: usize = 255;
/// Longest method, in bytes.
const MAX_METHOD_BYTES: usize = 32;

/// A request as routes see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    method: String,
    host: String,
    segments: Vec<String>,
}

/// Why a request cannot be matched with routes at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadTarget {
    /// The method is no word in capital letters.
    #[error("the method is not a word in capital letters")]
    Method,
    /// The host is no host.
    #[error("the host is not a name of letters, digits, `-`, `_` and `.`, nor an address")]
    Host,
    /// The path is not one from the root.
    #[error("the path does not begin with `/`")]
    NotAbsolute,
    /// The path is longer than is looked at.
    #[error("the path is longer than {MAX_PATH_BYTES} bytes, or has more than 128 segments")]
    TooLong,
    /// The path goes up, or stays where it is.
    #[error("the path has a `.` or `..` for a segment")]
    Dots,
    /// Two slashes follow each other.
    #[error("the path has `//` in it")]
    EmptySegment,
    /// A byte that does not stand in a path.
    #[error("the path holds {0}, which does not stand in a path")]
    Foreign(Letter),
    /// A percent sign without two hexadecimal digits.
    #[error("the path has a `%` without two hexadecimal digits")]
    HalfEncoded,
    /// Something is percent-encoded that servers disagree about, or that has another spelling.
    #[error("the path has {0} percent-encoded, which servers read in different ways")]
    Encoded(Letter),
    /// What is percent-encoded is not UTF-8.
    #[error("the path is not UTF-8")]
    NotUtf8,
    /// A text that is no URL.
    #[error("the URL is not one such as `https://db.example/databases/orders`")]
    NotAUrl,
}

/// A byte as messages show it: visible ones as they are, others by their number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Letter(pub u8);

impl fmt::Display for Letter {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_ascii_graphic() { write!(out, "`{}`", char::from(self.0)) } else { write!(out, "the byte {:#04x}", self.0) }
    }
}

impl Target {
    /// Reads a method, a host (with a port or without) and a path (with a query or without) as they came over the wire.
    ///
    /// # Errors
    /// One of them can be read in more than one way, or in none.
    pub fn new(method: &[u8], host: &[u8], path: &[u8]) -> Result<Self, BadTarget> {
        Ok(Self { method: read_method(method)?, host: read_host(host)?, segments: read_path(path)? })
    }

    /// The same, of a URL.
    ///
    /// # Errors
    /// The same, or it is none of the web's.
    pub fn of_url(method: &str, url: &str) -> Result<Self, BadTarget> {
        let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")).ok_or(BadTarget::NotAUrl)?;
        let at = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (host, path) = rest.split_at_checked(at).ok_or(BadTarget::NotAUrl)?;
        let path = if path.is_empty() { "/" } else { path };
        Self::new(method.as_bytes(), host.as_bytes(), path.as_bytes())
    }

    /// The method.
    #[must_use]
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The host in lower case, without a port.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The segments of the path, decoded. The last one is empty where the path ends with a slash.
    #[must_use]
    pub fn segments(&self) -> &[String] {
        &self.segments
    }

    /// The path, decoded and without its query.
    #[must_use]
    pub fn path(&self) -> String {
        self.segments.iter().fold(String::new(), |path, segment| path + "/" + segment)
    }
}

/// A method: RFC 9110 tells upper from lower case, and so would an upstream that takes `get` for something else than `GET`.
pub(super) fn read_method(method: &[u8]) -> Result<String, BadTarget> {
    let taken = method.iter().all(|byte| byte.is_ascii_uppercase() || *byte == b'-');
    let text = String::from_utf8(method.to_vec()).ok().filter(|_| taken);
    text.filter(|text| !text.is_empty() && text.len() <= MAX_METHOD_BYTES).ok_or(BadTarget::Method)
}

/// A host in lower case, without its port.
pub(super) fn read_host(host: &[u8]) -> Result<String, BadTarget> {
    let text = std::str::from_utf8(host).map_err(|_| BadTarget::Host)?;
    let (name, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, rest)) => {
            let known = address.parse::<std::net::Ipv6Addr>().map_err(|_| BadTarget::Host)?;
            (format!("[{known}]"), rest.strip_prefix(':').or(rest.is_empty().then_some("0")))
        }
        None => match text.split_once(':') {
            Some((name, port)) => (name.to_ascii_lowercase(), Some(port)),
            None => (text.to_ascii_lowercase(), Some("0")),
        },
    };
    let port = port.filter(|port| !port.is_empty() && port.len() <= 5 && port.bytes().all(|byte| byte.is_ascii_digit()));
    let in_order = name.starts_with('[') || is_host_name(&name);
    if port.is_some() && in_order { Ok(name) } else { Err(BadTarget::Host) }
}

pub(super) fn is_host_name(name: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_')
    };
    name.len() <= MAX_HOST_BYTES && name.split('.').all(label)
}

/// The segments of a path, decoded; its query, which has no part in routes, is left out.
fn read_path(path: &[u8]) -> Result<Vec<String>, BadTarget> {
    if path.len() > MAX_PATH_BYTES {
        return Err(BadTarget::TooLong);
    }
    let end = path.iter().position(|byte| *byte == b'?').unwrap_or(path.len());
    let path = path.get(..end).unwrap_or_default();
    let inner = path.strip_prefix(b"/").ok_or(BadTarget::NotAbsolute)?;
    let mut segments = Vec::new();
    for segment in inner.split(|byte| *byte == b'/') {
        if segments.len() == MAX_SEGMENTS {
            return Err(BadTarget::TooLong);
        }
        segments.push(read_segment(segment)?);
    }
    // one that ends with a slash has nothing behind it, and that is all that may be nothing
    let before_last = segments.split_last().map(|(_, before)| before).unwrap_or_default();
    if before_last.iter().any(String::is_empty) { Err(BadTarget::EmptySegment) } else { Ok(segments) }
}

/// Decodes a segment.
pub(super) fn read_segment(segment: &[u8]) -> Result<String, BadTarget> {
    let mut decoded = Vec::with_capacity(segment.len());
    let mut letters = segment.iter().copied();
    while let Some(letter) = letters.next() {
        if letter != b'%' {
            if !stands_in_a_segment(letter) {
                return Err(BadTarget::Foreign(Letter(letter)));
            }
            decoded.push(letter);
            continue;
        }
        let digit =
            |letter: Option<u8>| letter.and_then(|letter| char::from(letter).to_digit(16)).and_then(|digit| u8::try_from(digit).ok());
        let (Some(high), Some(low)) = (digit(letters.next()), digit(letters.next())) else { return Err(BadTarget::HalfEncoded) };
        let byte = high << 4 | low;
        if is_never_encoded(byte) {
            return Err(BadTarget::Encoded(Letter(byte)));
        }
        decoded.push(byte);
    }
    let text = String::from_utf8(decoded).map_err(|_| BadTarget::NotUtf8)?;
    if text == "." || text == ".." { Err(BadTarget::Dots) } else { Ok(text) }
}

/// What RFC 3986 lets stand in a segment as it is, without `;`: some servers cut a segment off there, and `..;` is `..` to them.
fn stands_in_a_segment(letter: u8) -> bool {
    letter.is_ascii_alphanumeric() || b"-._~!$&'()*+,=:@".contains(&letter)
}

/// What has no business to be percent-encoded: letters that need it nowhere and so would have two spellings, what separates parts of a URL,
/// the percent sign that another decoding would begin with, and control characters.
fn is_never_encoded(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte.is_ascii_control() || b"-._~/\\?#;%".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(path: &[u8]) -> Result<Vec<String>, BadTarget> {
        Target::new(b"GET", b"x", path).map(|target| target.segments)
    }

    #[test]
    fn paths_are_read_as_they_are_written() {
        let rows: [(&str, &[&str]); 8] = [
            ("/", &[""]),
            ("/a", &["a"]),
            ("/a/", &["a", ""]),
            ("/a/b?c=/../d//e%00", &["a", "b"]),
            ("/a%20b/caf%C3%A9", &["a b", "café"]),
            ("/a@b/a%40b", &["a@b", "a@b"]),
            ("/...", &["..."]),
            ("/~a/b:c,d", &["~a", "b:c,d"]),
        ];
        for (text, segments) in rows {
            assert_eq!(path(text.as_bytes()).unwrap(), segments, "{text}");
        }
    }

    #[test]
    fn paths_that_can_be_read_in_two_ways_are_refused() {
        let encoded = |byte: u8| BadTarget::Encoded(Letter(byte));
        let foreign = |byte: u8| BadTarget::Foreign(Letter(byte));
        let rows: [(&[u8], BadTarget); 31] = [
            (b"", BadTarget::NotAbsolute),
            (b"a", BadTarget::NotAbsolute),
            (b"*", BadTarget::NotAbsolute),
            (b"http://x/a", BadTarget::NotAbsolute),
            (b"//a", BadTarget::EmptySegment),
            (b"/a//b", BadTarget::EmptySegment),
            (b"/a//", BadTarget::EmptySegment),
            (b"/.", BadTarget::Dots),
            (b"/..", BadTarget::Dots),
            (b"/a/../b", BadTarget::Dots),
            (b"/a/./b", BadTarget::Dots),
            (b"/a/..;/b", foreign(b';')),
            (b"/a;x=1/b", foreign(b';')),
            (b"/a/%2e%2e/b", encoded(b'.')),
            (b"/a/.%2E/b", encoded(b'.')),
            (b"/a%2fb", encoded(b'/')),
            (b"/a%2Fb", encoded(b'/')),
            (b"/a%5cb", encoded(b'\\')),
            (b"/a\\b", foreign(b'\\')),
            (b"/a%00", encoded(0)),
            (b"/a%0d%0ab", encoded(b'\r')),
            (b"/a%252fb", encoded(b'%')),
            (b"/%61", encoded(b'a')),
            (b"/a%3fb", encoded(b'?')),
            (b"/a%3Bb", encoded(b';')),
            (b"/a%", BadTarget::HalfEncoded),
            (b"/a%2", BadTarget::HalfEncoded),
            (b"/a%zz", BadTarget::HalfEncoded),
            (b"/a%ff", BadTarget::NotUtf8),
            (b"/caf\xc3\xa9", foreign(0xc3)),
            (b"/a#b", foreign(b'#')),
        ];
        for (text, why) in rows {
            assert_eq!(path(text), Err(why), "{}", text.escape_ascii());
        }
        assert_eq!(path(&[b"/".as_slice(), &[b'a'; MAX_PATH_BYTES]].concat()), Err(BadTarget::TooLong));
        assert_eq!(path("/a".repeat(MAX_SEGMENTS + 1).as_bytes()), Err(BadTarget::TooLong));
    }

    #[test]
    fn hosts_lose_their_port_and_their_case() {
        let host = |host: &str| Target::new(b"GET", host.as_bytes(), b"/").map(|target| target.host);
        for (text, name) in [
            ("db.example", "db.example"),
            ("DB.Example:8443", "db.example"),
            ("127.0.0.1:80", "127.0.0.1"),
            ("[::1]:80", "[::1]"),
            ("[0:0::1]", "[::1]"),
        ] {
            assert_eq!(host(text).unwrap(), name);
        }
        let bad =
            ["", ".", "db.example.", "a..b", "a b", "a@b", "a:", "a:b", "a:80:80", "a,b", "bücher.example", "[::1", "[x]", "[::1]x", "a/b"];
        for text in bad {
            assert_eq!(host(text), Err(BadTarget::Host), "{text}");
        }
    }

    #[test]
    fn methods_are_words_in_capital_letters() {
        for method in ["GET", "M-SEARCH"] {
            assert_eq!(Target::new(method.as_bytes(), b"x", b"/").unwrap().method(), method);
        }
        for method in ["", "get", "GET ", "G\u{e9}T", "GET,POST", &"X".repeat(33)] {
            assert_eq!(Target::new(method.as_bytes(), b"x", b"/"), Err(BadTarget::Method), "{method}");
        }
    }

    #[test]
    fn urls_are_taken_apart() {
        let target = Target::of_url("GET", "https://DB.example:444/a/b?c").unwrap();
        assert_eq!((target.host(), target.path().as_str()), ("db.example", "/a/b"));
        assert_eq!(Target::of_url("GET", "http://x").unwrap().path(), "/");
        for (url, why) in [
            ("db.example/a", BadTarget::NotAUrl),
            ("ftp://db.example/a", BadTarget::NotAUrl),
            ("http://x?a", BadTarget::NotAbsolute),
            ("http://u@x/a", BadTarget::Host),
            ("http://x/a#b", BadTarget::Foreign(Letter(b'#'))),
        ] {
            assert_eq!(Target::of_url("GET", url), Err(why), "{url}");
        }
    }
}
