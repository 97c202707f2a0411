//! Finding a route: a map for the host, and for the path a tree with a level for each segment. No regular expression, and each node of the
//! tree is looked at once at most, whatever the request.

use std::collections::HashMap;

use super::pattern::{HostPattern, Segment};
use super::target::Target;

/// Routes by their numbers.
#[derive(Debug, Clone, Default)]
pub(super) struct Index {
    exact: HashMap<String, Node>,
    /// By domain, with the dot in front.
    below: HashMap<String, Node>,
    any: Option<Node>,
}

/// How far a request came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// To this route.
    Route(usize),
    /// No route is for its host.
    NoHost,
    /// None is for its path, of those for its host.
    NoPath,
    /// None is for its method, of those for its path: these are.
    NoMethod(Vec<String>),
}

#[derive(Debug, Clone, Default)]
struct Node {
    text: HashMap<String, Node>,
    one: Option<Box<Node>>,
    rest: Option<Methods>,
    end: Option<Methods>,
}

#[derive(Debug, Clone, Default)]
struct Methods {
    named: HashMap<String, usize>,
    other: Option<usize>,
}

/// The method that stands for all that no other route of the same path names.
pub(super) const OTHER: &str = "*";

impl Index {
    /// Puts a route in for one of its methods; the route that is there already, where there is one.
    pub(super) fn insert(&mut self, host: &HostPattern, path: &[Segment], method: &str, route: usize) -> Result<(), usize> {
        let mut node = match host {
            HostPattern::Exact(name) => self.exact.entry(name.clone()).or_default(),
            HostPattern::Below(domain) => self.below.entry(domain.clone()).or_default(),
            HostPattern::Any => self.any.get_or_insert_default(),
        };
        let mut methods = None;
        for segment in path {
            match segment {
                Segment::Text(text) => node = node.text.entry(text.clone()).or_default(),
                Segment::One(_) => node = node.one.get_or_insert_default(),
                Segment::Rest(_) => {
                    methods = Some(node.rest.get_or_insert_default());
                    break;
                }
            }
        }
        let methods = match methods {
            Some(methods) => methods,
            None => node.end.get_or_insert_default(),
        };
        let before = match method {
            OTHER => methods.other.replace(route),
            named => methods.named.insert(named.to_owned(), route),
        };
        before.map_or(Ok(()), Err)
    }

    /// The route for a request.
    pub(super) fn find(&self, target: &Target) -> Found {
        let Some(root) = self.of_host(target.host()) else { return Found::NoHost };
        let Some(methods) = root.find(target.segments()) else { return Found::NoPath };
        match methods.named.get(target.method()).copied().or(methods.other) {
            Some(route) => Found::Route(route),
            None => {
                let mut known: Vec<String> = methods.named.keys().cloned().collect();
                known.sort();
                Found::NoMethod(known)
            }
        }
    }

    fn of_host(&self, host: &str) -> Option<&Node> {
        if let Some(node) = self.exact.get(host) {
            return Some(node);
        }
        // from the longest domain to the shortest; the host itself is not below itself
        let mut domain = host;
        while let Some(at) = domain.char_indices().skip(1).find(|(_, letter)| *letter == '.').map(|(at, _)| at) {
            domain = domain.get(at..).unwrap_or_default();
            if let Some(node) = self.below.get(domain) {
                return Some(node);
            }
        }
        self.any.as_ref()
    }
}

impl Node {
    /// What is at a path. It goes back where a more specific segment led to nothing; how deep it goes, the routes say.
    fn find(&self, segments: &[String]) -> Option<&Methods> {
        let Some((first, left)) = segments.split_first() else { return self.end.as_ref() };
        if let Some(found) = self.text.get(first).and_then(|node| node.find(left)) {
            return Some(found);
        }
        if first.is_empty() {
            return None;
        }
        self.one.as_ref().and_then(|node| node.find(left)).or(self.rest.as_ref())
    }
}
