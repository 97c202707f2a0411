//! The patterns of a route: its host, its path and the resource that it asks about.

use std::fmt;

use super::target::{BadTarget, MAX_SEGMENTS, Target, is_host_name, read_segment};
use crate::domain::Uid;
use crate::domain::id::BadName;

/// Which hosts a route is for. A more specific one comes first, and then decides alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostPattern {
    /// This one.
    Exact(String),
    /// All below a domain: `*.example` is kept as `.example`.
    Below(String),
    /// Every host.
    Any,
}

impl HostPattern {
    /// Reads `db.example`, `*.example` or `*`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self::Any);
        }
        if let Some(domain) = text.strip_prefix("*.") {
            return is_host_name(domain).then(|| Self::Below(format!(".{domain}")));
        }
        let address =
            text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).and_then(|text| text.parse::<std::net::Ipv6Addr>().ok());
        match address {
            Some(address) => Some(Self::Exact(format!("[{address}]"))),
            None => is_host_name(text).then(|| Self::Exact(text.to_owned())),
        }
    }

    /// How specific it is for a host: the less, the more; nothing where it is not for it.
    pub(super) fn rank(&self, host: &str) -> Option<usize> {
        match self {
            Self::Exact(name) => (name == host).then_some(0),
            // a longer domain is shorter from what the host has more
            Self::Below(domain) => host.strip_suffix(domain.as_str()).filter(|rest| !rest.is_empty()).map(|rest| 1 + rest.len()),
            Self::Any => Some(usize::MAX),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => out.write_str(name),
            Self::Below(domain) => write!(out, "*{domain}"),
            Self::Any => out.write_str("*"),
        }
    }
}

/// A segment of a path's pattern, the more specific kind first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// This very text, decoded.
    Text(String),
    /// Any one segment, by its name.
    One(String),
    /// Everything from here on, at least one segment, by its name. Only at the end.
    Rest(String),
}

impl Segment {
    /// Its name, where it takes something.
    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Self::Text(_) => None,
            Self::One(name) | Self::Rest(name) => Some(name),
        }
    }

    pub(super) fn rank(&self) -> u8 {
        match self {
            Self::Text(_) => 0,
            Self::One(_) => 1,
            Self::Rest(_) => 2,
        }
    }
}

/// Which paths a route is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathPattern {
    text: String,
    segments: Vec<Segment>,
}

impl PathPattern {
    /// Reads `/databases/{db}/{rest*}`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let inner = text.strip_prefix('/').ok_or("a path begins with `/`")?;
        let mut segments: Vec<Segment> = Vec::new();
        let parts: Vec<&str> = inner.split('/').collect();
        if parts.len() > MAX_SEGMENTS {
            return Err(format!("a path has at most {MAX_SEGMENTS} segments"));
        }
        for (nth, part) in parts.iter().enumerate() {
            let last = nth + 1 == parts.len();
            let segment = read_part(part)?;
            if matches!(segment, Segment::Rest(_)) && !last {
                return Err(format!("`{part}` takes all that follows, and has to come last"));
            }
            if matches!(&segment, Segment::Text(text) if text.is_empty()) && !last {
                return Err("it has `//` in it, and a request with that is refused".to_owned());
            }
            if let Some(name) = segment.name().filter(|name| segments.iter().any(|other| other.name() == Some(name))) {
                return Err(format!("`{{{name}}}` stands there twice"));
            }
            segments.push(segment);
        }
        Ok(Self { text: text.to_owned(), segments })
    }

    /// Its segments.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// What the parts in braces take of a path, in order; nothing where the pattern is not for it.
    pub(super) fn taken(&self, target: &Target) -> Option<Vec<String>> {
        let mut taken = Vec::new();
        let mut left = target.segments();
        for segment in &self.segments {
            let (first, rest) = left.split_first()?;
            match segment {
                Segment::Text(text) if text == first => {}
                Segment::Text(_) => return None,
                Segment::One(_) if first.is_empty() => return None,
                Segment::One(_) => taken.push(first.clone()),
                Segment::Rest(_) if first.is_empty() => return None,
                Segment::Rest(_) => {
                    taken.push(left.join("/"));
                    return Some(taken);
                }
            }
            left = rest;
        }
        left.is_empty().then_some(taken)
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

fn read_part(part: &str) -> Result<Segment, String> {
    if let Some(inner) = part.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        let (name, rest) = match inner.strip_suffix('*') {
            Some(name) => (name, true),
            None => (inner, false),
        };
        if !is_part_name(name) {
            return Err(format!("`{part}` is not a name of small letters, digits and `_` in braces"));
        }
        return Ok(if rest { Segment::Rest(name.to_owned()) } else { Segment::One(name.to_owned()) });
    }
    if part.contains(['{', '}']) {
        return Err(format!("`{part}`: what stands in braces is a whole segment"));
    }
    let said = |why: BadTarget| format!("no request can match `{part}`: {why}");
    read_segment(part.as_bytes()).map(Segment::Text).map_err(said)
}

fn is_part_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// A piece of an id.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// What the n-th part in braces took.
    Taken(usize),
}

/// The resource that a route asks about: a type, and an id with parts of the path in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourcePattern {
    shown: Uid,
    pieces: Vec<Piece>,
}

impl ResourcePattern {
    /// Reads `Database::"{group}/{db}"`, of a path with these parts. Between two parts there is a `/`, which no segment holds: so that two
    /// paths whose parts differ are two resources.
    pub(super) fn parse(shown: Uid, names: &[&str]) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = shown.id();
        let mut apart = true;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, behind) = after.split_once('}').ok_or("a `{` is not closed")?;
            let known = || names.iter().map(|name| format!("`{{{name}}}`")).collect::<Vec<_>>().join(", ");
            let Some(at) = names.iter().position(|known| *known == name) else {
                return Err(match names {
                    [] => format!("`{{{name}}}` is no part of the path, which has none in braces"),
                    [..] => format!("`{{{name}}}` is no part of the path; it has {}", known()),
                });
            };
            if !apart && !before.contains('/') {
                return Err(format!("`{{{name}}}` follows another part without a `/` between them, and two paths could give one id"));
            }
            pieces.extend((!before.is_empty()).then(|| Piece::Text(before.to_owned())));
            pieces.push(Piece::Taken(at));
            (rest, apart) = (behind, false);
        }
        if rest.contains('}') {
            return Err("a `}` has no `{`".to_owned());
        }
        pieces.extend((!rest.is_empty()).then(|| Piece::Text(rest.to_owned())));
        Ok(Self { shown, pieces })
    }

    /// Its type.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.shown.kind()
    }

    /// The resource, with what was taken of the path.
    pub(super) fn filled(&self, taken: &[String]) -> Result<Uid, BadName> {
        let pieces = self.pieces.iter().map(|piece| match piece {
            Piece::Text(text) => text.as_str(),
            Piece::Taken(at) => taken.get(*at).map(String::as_str).unwrap_or_default(),
        });
        Uid::new(self.shown.kind(), &pieces.collect::<String>())
    }
}

impl fmt::Display for ResourcePattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.shown, out)
    }
}
