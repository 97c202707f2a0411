//! Heads that can be read in two ways, and so hide one request in another from whoever stands in front (request smuggling).
//!
//! hyper takes a head with `Transfer-Encoding` and `Content-Length` and forgets the length, as RFC 9112 permits; and of two equal lengths it
//! keeps one. So none of it is to be seen later, and the lines are looked at as they come. Bodies pass here as well: one with such lines
//! in it is no JSON, and nobody wants it.

use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST, TRANSFER_ENCODING};
use http::uri::Authority;
use http::{HeaderMap, Uri, Version};

use super::problem::{self, Problem};

/// Longest name that is looked for.
const LONGEST: usize = 17;

/// Looks at lines, and counts those that say how long a body is, until the next empty line; and looks for a `#` in the first line of a request.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// The first letters of a line.
    begin: [u8; LONGEST],
    letters: usize,
    /// Past what could be a name that is looked for.
    past: bool,
    lengths: usize,
    encodings: usize,
    first: First,
}

/// What of a request's first line is being read. hyper cuts a target off at `#` and forgets the rest; whoever stands in front may have matched
/// all of it (CVE-2021-39156).
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum First {
    /// It is another line.
    #[default]
    None,
    Target {
        fragment: bool,
    },
    /// So many letters of the version, behind a target with a `#`.
    Version(usize),
}

/// What makes a line the first one of a request.
const VERSION: &[u8] = b"HTTP/1.";

impl First {
    /// Takes another byte; whether it is clear now that there was a `#`.
    fn take(&mut self, byte: u8) -> bool {
        *self = match *self {
            Self::Target { fragment: true } if byte == b' ' => Self::Version(0),
            Self::Target { fragment } if byte != b' ' => Self::Target { fragment: fragment || byte == b'#' },
            Self::Version(at) if VERSION.get(at) == Some(&byte) => Self::Version(at + 1),
            Self::None | Self::Target { .. } | Self::Version(_) => Self::None,
        };
        *self == Self::Version(VERSION.len())
    }
}

impl Lines {
    /// Takes more bytes; whether there is a head among them that can be read in two ways.
    pub(super) fn take(&mut self, bytes: &[u8]) -> bool {
        let mut found = false;
        for byte in bytes {
            match byte {
                b'\n' => {
                    if self.letters == 0 && !self.past {
                        (self.lengths, self.encodings) = (0, 0);
                    }
                    (self.letters, self.past, self.first) = (0, false, First::None);
                }
                b'\r' => {}
                _ if self.past => found |= self.first.take(*byte),
                b':' | b' ' | b'\t' => {
                    self.past = true;
                    if *byte == b' ' {
                        self.first = First::Target { fragment: false };
                    }
                    let name = self.begin.get(..self.letters).unwrap_or_default();
                    if name.eq_ignore_ascii_case(CONTENT_LENGTH.as_str().as_bytes()) {
                        self.lengths += 1;
                    } else if name.eq_ignore_ascii_case(TRANSFER_ENCODING.as_str().as_bytes()) {
                        self.encodings += 1;
                    }
                    found |= self.lengths + self.encodings > 1;
                }
                letter => match self.begin.get_mut(self.letters) {
                    Some(place) => {
                        *place = *letter;
                        self.letters += 1;
                    }
                    None => self.past = true,
                },
            }
        }
        found
    }
}

/// Headers of which one is to be there at most; others check their own.
const SINGLE: [http::HeaderName; 4] = [HOST, CONTENT_LENGTH, TRANSFER_ENCODING, CONTENT_TYPE];

/// Refuses heads that can be read in two ways. Repeated `Authorization` headers are a bad credential, and are refused as one.
pub(super) fn check(headers: &HeaderMap, seen_ambiguous: bool) -> Result<(), Problem> {
    if seen_ambiguous {
        let why = "it says how long its body is twice, by `Content-Length` or `Transfer-Encoding`, or its path goes on behind a `#`; send one length, once, and no `#`";
        return Err(problem::ambiguous(why));
    }
    for name in &SINGLE {
        if headers.get_all(name).iter().nth(1).is_some() {
            return Err(problem::ambiguous(format!("`{name}` stands there twice; send it once")));
        }
    }
    // What is not text is one thing to one reader and another to the next (CVE-2024-23324). An `Authorization` is left to be refused as a
    // bad credential.
    let not_text = headers.iter().find(|(name, value)| *name != AUTHORIZATION && std::str::from_utf8(value.as_bytes()).is_err());
    match not_text {
        Some((name, _)) => Err(problem::bad_parameter(name.as_str(), "the header's value is not UTF-8 text")),
        None => Ok(()),
    }
}

/// Refuses a request of which it is unclear whom it asks: over HTTP/1.1 there is a `Host` (RFC 9112, section 3.2), over HTTP/2 that or
/// `:authority`; where both are there, or a whole URL was asked for, they say the same (RFC 9113, section 8.3.1); and a name is a name and
/// a port, without a user.
pub(super) fn check_names(version: Version, headers: &HeaderMap, uri: &Uri) -> Result<(), Problem> {
    let named = match headers.get(HOST) {
        None if version == Version::HTTP_11 => return Err(problem::ambiguous("it has no `Host`; send one")),
        None => None,
        Some(host) => {
            let host = host.to_str().ok().and_then(|host| host.parse::<Authority>().ok());
            Some(host.ok_or_else(|| problem::ambiguous("its `Host` is no name with or without a port; send one"))?)
        }
    };
    let both = [named.as_ref(), uri.authority()];
    if both.iter().flatten().any(|name| name.as_str().contains('@')) {
        return Err(problem::ambiguous("the host that it asks has a user before it; leave that out"));
    }
    match both {
        [Some(named), Some(asked)] if !named.as_str().eq_ignore_ascii_case(asked.as_str()) => Err(problem::ambiguous(
            "its `Host` and the host of its address or `:authority` are not the same; send the same, or one of them",
        )),
        [None, None] if version >= Version::HTTP_2 => Err(problem::ambiguous("it has neither `:authority` nor `Host`; send one")),
        [_, _] => Ok(()),
    }
}

/// Whether a `Host` is a name with or without a port, and without a user.
pub(super) fn is_host(host: &[u8]) -> bool {
    !host.contains(&b'@') && std::str::from_utf8(host).is_ok_and(|host| host.parse::<Authority>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_that_says_its_length_twice_is_seen_however_it_is_cut() {
        let post = "POST / HTTP/1.1\r\nHost: x\r\n";
        let rows = [
            ("Content-Length: 3\r\n\r\nabc", false),
            ("Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", false),
            ("Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", true),
            ("content-length:3\r\nX: y\r\nTRANSFER-ENCODING: chunked\r\n\r\n", true),
            ("Transfer-Encoding: chunked\nContent-Length: 3\n\n", true),
            ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n", true),
            ("Transfer-Encoding: chunked\r\ncontent-length : 3\r\n\r\n", true),
            ("Content-Length-Of: 3\r\nContent-Length: 3\r\n\r\n", false),
            ("X: Content-Length: 3\r\nContent-Length: 3\r\n\r\n", false),
            // a `#` is one in the first line only, and there only in the target
            ("Referer: /a#b HTTP/1.1\r\n\r\n", false),
            ("Content-Length: 25\r\n\r\n{\n\"a\": \"GET /#x HTTP/1.1\"}", false),
            ("Content-Length: 0\r\n\r\nGET /healthz#/v1/me HTTP/1.1\r\n\r\n", true),
            ("Content-Length: 0\r\n\r\nGET /healthz HTTP/1.1#\r\n\r\n", false),
            // one request after the other, each with a length of its own
            ("Content-Length: 0\r\n\r\nPOST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n", false),
        ];
        for (rest, ambiguous) in rows {
            let text = format!("{post}{rest}");
            for cut in [1, 2, 7, text.len()] {
                let mut lines = Lines::default();
                let found = text.as_bytes().chunks(cut).fold(false, |found, part| lines.take(part) | found);
                assert_eq!(found, ambiguous, "{rest:?} in parts of {cut}");
            }
        }
    }
}
