//! Routes: from an HTTP request to an action and a resource, as data in the bundle (`routes.toml`).
//!
//! Which route a request takes is said in three steps, and none of them goes back to one before:
//!
//! 1. **Host.** The most specific pattern that is for the host decides: the name itself, then `*.domain` with the longest domain, then `*`.
//! 2. **Path.** Of the routes with that pattern, the path that matches and is the most specific decides: of two, at the first segment in which
//!    they differ, a text comes before `{one}`, and that before `{rest*}`.
//! 3. **Method.** Of the routes with that path, the one that names the method; else the one with `*`.
//!
//! Where a step finds nothing, there is no route, and the request is denied. Two routes that could never be told apart (the same host, the same
//! path up to the names in braces, and a method in common) are refused when the bundle is loaded. Lost: the order in the file, where a route
//! that was put in at the wrong place opens what a later one closes; and falling back to a less specific path for want of a method, where
//! leaving a method out would open it.

mod certificates;
mod file;
mod kubernetes;
mod pattern;
mod target;
mod tree;
mod trial;

#[cfg(test)]
mod tests;

use crate::domain::id::BadName;
use crate::domain::{Duration, Uid};

pub(super) use file::{FILE, read};
pub use kubernetes::Cluster;
pub use pattern::{HostPattern, PathPattern, ResourcePattern};
pub use target::{BadTarget, MAX_PATH_BYTES, Target};
use tree::{Found, Index, OTHER};
pub(super) use trial::{RouteTrial, read_request, read_trials};

use super::ask::Ask;

/// Most routes of a bundle.
pub const MAX_ROUTES: usize = 10_000;

/// How a request shows who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Identity {
    /// By the credential in its own `Authorization` header, which the gateway passes on and Elevon verifies.
    #[default]
    Token,
    /// By the certificate that the gateway verified. The gateway has to be allowed to vouch for whom it shows.
    Certificate,
    /// By a header that the gateway sets. The gateway has to be allowed to vouch for whom it names.
    Header,
}

impl Identity {
    /// Every way.
    pub const ALL: [Self; 3] = [Self::Token, Self::Certificate, Self::Header];

    /// The word in `routes.toml`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Certificate => "certificate",
            Self::Header => "header",
        }
    }
}

/// A route.
#[derive(Debug, Clone)]
pub struct Route {
    /// Which hosts it is for.
    pub host: HostPattern,
    /// Which paths.
    pub path: PathPattern,
    /// Which methods; `*`: those that no route with the same host and path names.
    pub methods: Vec<String>,
    /// The action that is asked for, as the schema has it.
    pub action: String,
    /// The resource that it is asked about. What is above it, the entities say.
    pub resource: ResourcePattern,
    /// For how long a gateway may keep an allow, where it may.
    pub max_stale: Option<Duration>,
    /// How requests show who asks.
    pub identity: Identity,
    /// The line in `routes.toml`, from 1.
    pub line: u32,
}

/// What a request asks for.
#[derive(Debug, Clone)]
pub struct Routed<'a> {
    /// The route.
    pub route: &'a Route,
    /// The resource.
    pub resource: Uid,
}

impl Routed<'_> {
    /// The question, for whoever asks it.
    #[must_use]
    pub fn ask(&self, subject: Uid) -> Ask {
        Ask::new(subject, &self.route.action, self.resource.clone())
    }
}

/// Why a request has no route.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoRoute {
    /// No route is for its host.
    #[error("no route is for the host `{host}`")]
    Host {
        /// The host.
        host: String,
    },
    /// None of those for its host is for its path.
    #[error("no route for the host `{host}` is for the path `{path}`")]
    Path {
        /// The host.
        host: String,
        /// The path.
        path: String,
    },
    /// None of those for its path is for its method.
    #[error("no route for the path `{path}` is for the method {method}; there are routes for {}", methods.join(", "))]
    Method {
        /// The path.
        path: String,
        /// The method.
        method: String,
        /// The methods that have a route.
        methods: Vec<String>,
    },
    /// What the path says cannot be the id of a resource.
    #[error("the path names no resource: {0}")]
    Resource(#[from] BadName),
}

/// A route that is for a request's host and path, and was not taken.
#[derive(Debug, Clone)]
pub struct PassedOver<'a> {
    /// The route.
    pub route: &'a Route,
    /// Why another was taken, or none.
    pub why: &'static str,
}

/// The routes of a bundle, and how clusters are mapped.
#[derive(Debug, Clone, Default)]
pub struct Routes {
    routes: Vec<Route>,
    index: Index,
    certificates: certificates::Certificates,
    pub(super) clusters: std::collections::BTreeMap<String, Cluster>,
}

impl Routes {
    /// What a request asks for.
    ///
    /// # Errors
    /// There is no route for it.
    pub fn find(&self, target: &Target) -> Result<Routed<'_>, NoRoute> {
        let (host, path) = (target.host().to_owned(), target.path());
        let at = match self.index.find(target) {
            Found::Route(at) => at,
            Found::NoHost => return Err(NoRoute::Host { host }),
            Found::NoPath => return Err(NoRoute::Path { host, path }),
            Found::NoMethod(methods) => return Err(NoRoute::Method { path, method: target.method().to_owned(), methods }),
        };
        let matched = self.routes.get(at).and_then(|route| Some((route, route.path.taken(target)?)));
        // the index says that it matches
        let Some((route, taken)) = matched else { return Err(NoRoute::Path { host, path }) };
        Ok(Routed { route, resource: route.resource.filled(&taken)? })
    }

    /// The routes whose host and path are for a request and that it did not take, with the reason. For people: it looks at each route.
    #[must_use]
    pub fn passed_over(&self, target: &Target) -> Vec<PassedOver<'_>> {
        let matching = || self.routes.iter().filter(|route| route.path.taken(target).is_some());
        let host = |route: &Route| route.host.rank(target.host());
        let Some(nearest) = self.routes.iter().filter_map(host).min() else { return Vec::new() };
        let shape = |route: &Route| route.path.segments().iter().map(pattern::Segment::rank).collect::<Vec<_>>();
        let closest = matching().filter(|route| host(route) == Some(nearest)).map(shape).min();
        let taken = match self.index.find(target) {
            Found::Route(at) => self.routes.get(at),
            Found::NoHost | Found::NoPath | Found::NoMethod(_) => None,
        };
        let others = matching().filter(|route| host(route).is_some() && !taken.is_some_and(|taken| std::ptr::eq(taken, *route)));
        let why = |route: &Route| match host(route) {
            Some(rank) if rank > nearest => "another host pattern is more specific",
            _ if Some(shape(route)) != closest => "another path is more specific",
            _ if route.methods.iter().any(|method| method == OTHER) => "another route names the method",
            _ => "it is for other methods",
        };
        others.map(|route| PassedOver { route, why: why(route) }).collect()
    }

    /// Every route, in the order of the file.
    #[must_use]
    pub fn all(&self) -> &[Route] {
        &self.routes
    }

    /// How a cluster's requests are mapped, by its name.
    #[must_use]
    pub fn cluster(&self, name: &str) -> Option<&Cluster> {
        self.clusters.get(name)
    }

    /// Whom a certificate shows, by the name that a gateway read off it: a SPIFFE ID, a DNS name, or its subject.
    ///
    /// # Errors
    /// Nobody, or it is not clear whom; the text says why.
    pub fn certificate(&self, name: &str) -> Result<Uid, String> {
        self.certificates.principal(name)
    }

    /// Puts a route in; the number of the one that it cannot be told apart from, and the method, where there is such a one.
    fn push(&mut self, route: Route) -> Result<(), (usize, String)> {
        let at = self.routes.len();
        let inserted = route.methods.iter().map(|method| {
            let before = self.index.insert(&route.host, route.path.segments(), method, at);
            before.map_err(|before| (before, method.clone()))
        });
        let outcome = inserted.fold(Ok(()), Result::and);
        self.routes.push(route);
        outcome
    }
}
