//! Routes as rows, and the index against a matcher that looks at every route.

use proptest::prelude::*;

use super::pattern::Segment;
use super::{HostPattern, Identity, NoRoute, PathPattern, ResourcePattern, Route, Routes, Target};
use crate::domain::Uid;

fn route(host: &str, path: &str, methods: &[&str]) -> Route {
    Route {
        host: HostPattern::parse(host).unwrap(),
        path: PathPattern::parse(path).unwrap_or_else(|why| panic!("{path}: {why}")),
        methods: methods.iter().map(|method| (*method).to_owned()).collect(),
        action: format!("{host}{path} {}", methods.join(",")),
        resource: ResourcePattern::parse(Uid::new("Doc", "x").unwrap(), &[]).unwrap(),
        max_stale: None,
        identity: Identity::Token,
        line: 1,
    }
}

fn routes(rows: &[(&str, &str, &[&str])]) -> Routes {
    let mut routes = Routes::default();
    for (host, path, methods) in rows {
        routes.push(route(host, path, methods)).unwrap_or_else(|(before, method)| panic!("{host}{path}: {method} as route {before}"));
    }
    routes
}

const ALL: &[(&str, &str, &[&str])] = &[
    ("db.example", "/", &["GET"]),
    ("db.example", "/databases/{db}", &["GET", "HEAD"]),
    ("db.example", "/databases/{db}", &["*"]),
    ("db.example", "/databases/orders", &["GET"]),
    ("db.example", "/databases/{db}/tables/{table}", &["GET"]),
    ("db.example", "/databases/orders/{rest*}", &["POST"]),
    ("db.example", "/{rest*}", &["GET"]),
    ("*.example", "/a", &["GET"]),
    ("*.b.example", "/b", &["GET"]),
    ("*", "/any", &["*"]),
];

#[test]
fn the_most_specific_host_decides_then_the_path_then_the_method() {
    let routes = routes(ALL);
    let rows = [
        ("GET", "http://db.example/", "db.example/ GET"),
        ("GET", "http://db.example/databases/orders", "db.example/databases/orders GET"),
        ("GET", "http://db.example/databases/other", "db.example/databases/{db} GET,HEAD"),
        ("PUT", "http://db.example/databases/other", "db.example/databases/{db} *"),
        // the more specific path is there, and goes on to nothing
        ("GET", "http://db.example/databases/other/x", "db.example/{rest*} GET"),
        ("GET", "http://db.example/databases/other/tables/t", "db.example/databases/{db}/tables/{table} GET"),
        ("GET", "http://db.example/databases/", "db.example/{rest*} GET"),
        ("GET", "http://db.example:8080/x/y/", "db.example/{rest*} GET"),
        ("GET", "http://a.b.example/b", "*.b.example/b GET"),
        ("GET", "http://b.example/a", "*.example/a GET"),
        ("GET", "http://x.y.b.example/b", "*.b.example/b GET"),
        ("PURGE", "http://elsewhere/any", "*/any *"),
    ];
    for (method, url, action) in rows {
        let target = Target::of_url(method, url).unwrap();
        assert_eq!(routes.find(&target).unwrap().route.action, action, "{method} {url}");
    }
}

#[test]
fn no_step_goes_back_to_one_before() {
    let routes = routes(ALL);
    let none = |method: &str, url: &str| routes.find(&Target::of_url(method, url).unwrap()).unwrap_err();
    let path = |host: &str, path: &str| NoRoute::Path { host: host.into(), path: path.into() };
    // `*` has a route for it, and a more specific pattern is for the host
    assert_eq!(none("GET", "http://a.example/any"), path("a.example", "/any"));
    assert_eq!(none("GET", "http://a.b.example/a"), path("a.b.example", "/a"));
    assert_eq!(none("GET", "http://example/a"), path("example", "/a"));
    // `{db}` has a route for the method, and a more specific path is for the request
    let method =
        |path: &str, method: &str, known: &str| NoRoute::Method { path: path.into(), method: method.into(), methods: vec![known.into()] };
    assert_eq!(none("PUT", "http://db.example/databases/orders"), method("/databases/orders", "PUT", "GET"));
    assert_eq!(none("GET", "http://db.example/databases/orders/x"), method("/databases/orders/x", "GET", "POST"));
    assert_eq!(Routes::default().find(&Target::of_url("GET", "http://x/").unwrap()).unwrap_err(), NoRoute::Host { host: "x".into() });
}

#[test]
fn routes_that_nothing_tells_apart_are_found() {
    let rows = [
        (("x", "/a/{b}", "GET"), ("x", "/a/{c}", "GET"), false),
        (("x", "/a/{b*}", "GET"), ("x", "/a/{c*}", "GET"), false),
        (("x", "/a", "*"), ("x", "/a", "*"), false),
        (("*.x", "/a", "*"), ("*.x", "/a", "*"), false),
        (("x", "/a%20b", "GET"), ("x", "/a%20b", "GET"), false),
        (("x", "/a", "GET"), ("x", "/a", "*"), true),
        (("x", "/a", "GET"), ("x", "/a/", "GET"), true),
        (("x", "/a/{b}", "GET"), ("x", "/a/{b*}", "GET"), true),
        (("x", "/a", "GET"), ("*", "/a", "GET"), true),
        (("x", "/a", "GET"), ("x", "/a", "POST"), true),
    ];
    for (one, other, apart) in rows {
        let mut routes = routes(&[(one.0, one.1, &[one.2])]);
        assert_eq!(routes.push(route(other.0, other.1, &["DELETE", other.2])).is_ok(), apart, "{one:?} {other:?}");
    }
}

#[test]
fn paths_that_no_request_can_have_are_no_paths_of_routes() {
    for (path, why) in [
        ("a", "begins with `/`"),
        ("/a//b", "`//`"),
        ("/a/../b", "`..` for a segment"),
        ("/a%2fb", "percent-encoded"),
        ("/{a*}/b", "has to come last"),
        ("/{a}/{a}", "twice"),
        ("/{A}", "small letters"),
        ("/{}", "small letters"),
        ("/a{b}", "a whole segment"),
        ("/a?b", "does not stand in a path"),
    ] {
        let said = PathPattern::parse(path).unwrap_err();
        assert!(said.contains(why), "{path}: {said}");
    }
}

#[test]
fn ids_are_built_of_parts_that_stay_apart() {
    let filled = |path: &str, id: &str, url: &str| {
        let path = PathPattern::parse(path).unwrap();
        let names: Vec<&str> = path.segments().iter().filter_map(Segment::name).collect();
        let pattern = ResourcePattern::parse(Uid::new("Doc", id).unwrap(), &names)?;
        Ok(pattern.filled(&path.taken(&Target::of_url("GET", url).unwrap()).unwrap()).map_err(|bad| bad.to_string())?.id().to_owned())
    };
    let good = [
        ("/a/{b}", "{b}", "http://x/a/caf%C3%A9", "café"),
        ("/a/{b}/{c}", "{c}/in/{b}!", "http://x/a/1/2", "2/in/1!"),
        ("/a/{b*}", "f:{b}", "http://x/a/1/2/", "f:1/2/"),
        ("/a/{b}", "fixed", "http://x/a/1", "fixed"),
    ];
    for (path, id, url, expected) in good {
        assert_eq!(filled(path, id, url), Ok(expected.to_owned()), "{path} {id}");
    }
    let bad: [(&str, &str, &str, &str); 7] = [
        ("/a/{b}/{c}", "{b}{c}", "http://x/a/1/2", "without a `/`"),
        ("/a/{b}/{c}", "{b}-{c}", "http://x/a/1/2", "without a `/`"),
        ("/a/{b}", "{c}", "http://x/a/1", "is no part of the path"),
        ("/a", "{c}", "http://x/a", "none in braces"),
        ("/a/{b}", "{b", "http://x/a/1", "is not closed"),
        ("/a/{b}", "b}", "http://x/a/1", "has no `{`"),
        // not in normalisation form C: another spelling of `é`
        ("/a/{b}", "{b}", "http://x/a/e%CC%81", "normalisation form C"),
    ];
    for (path, id, url, why) in bad {
        let said: Result<String, String> = filled(path, id, url);
        assert!(said.as_ref().is_err_and(|said| said.contains(why)), "{path} {id}: {said:?}");
    }
}

/// The same in another way: every route is looked at, and the best of those that match is taken.
fn naive(routes: &Routes, target: &Target) -> Option<String> {
    let nearest = routes.all().iter().filter_map(|route| route.host.rank(target.host())).min()?;
    let of_host = routes.all().iter().filter(|route| route.host.rank(target.host()) == Some(nearest));
    let matching: Vec<&Route> = of_host.filter(|route| route.path.taken(target).is_some()).collect();
    let ranks = |route: &Route| route.path.segments().iter().map(Segment::rank).collect::<Vec<_>>();
    let closest = matching.iter().map(|route| ranks(route)).min()?;
    let of_path: Vec<&&Route> = matching.iter().filter(|route| ranks(route) == closest).collect();
    let named = |name: &str| of_path.iter().find(|route| route.methods.iter().any(|method| method == name));
    named(target.method()).or_else(|| named("*")).map(|route| route.action.clone())
}

fn a_pattern() -> impl Strategy<Value = (String, String, String)> {
    let host = prop::sample::select(vec!["a.b", "b", "*.b", "*.a.b", "*"]);
    let part = prop::sample::select(vec!["x", "y", "{one}"]);
    let end = prop::sample::select(vec!["", "/", "/{rest*}"]);
    let method = prop::sample::select(vec!["GET", "PUT", "*"]);
    (host, prop::collection::vec(part, 0..4), end, method).prop_map(|(host, parts, end, method)| {
        let path: String = parts.iter().enumerate().map(|(nth, part)| format!("/{}", part.replace("one", &format!("p{nth}")))).collect();
        let path = if path.is_empty() && end.is_empty() { "/".to_owned() } else { path + end };
        (host.to_owned(), path, method.to_owned())
    })
}

fn a_request() -> impl Strategy<Value = (String, String)> {
    let host = prop::sample::select(vec!["a.b", "b", "c.a.b", "c.b", "d"]);
    let part = prop::sample::select(vec!["x", "y", "z"]);
    let method = prop::sample::select(vec!["GET", "PUT", "POST"]);
    (method, host, prop::collection::vec(part, 0..5), any::<bool>()).prop_map(|(method, host, parts, slash)| {
        let path: String = parts.iter().map(|part| format!("/{part}")).collect();
        (method.to_owned(), format!("http://{host}{path}{}", if slash || parts.is_empty() { "/" } else { "" }))
    })
}

proptest! {
    #[test]
    fn the_index_finds_what_looking_at_every_route_finds(
        patterns in prop::collection::vec(a_pattern(), 1..24),
        requests in prop::collection::vec(a_request(), 1..24),
    ) {
        let mut routes = Routes::default();
        for (host, path, method) in &patterns {
            // one that nothing tells from one before is left out, as the bundle would be
            let before = routes.clone();
            if routes.push(route(host, path, &[method])).is_err() {
                routes = before;
            }
        }
        for (method, url) in &requests {
            let target = Target::of_url(method, url).unwrap();
            let found = routes.find(&target).ok().map(|found| found.route.action.clone());
            prop_assert_eq!(found, naive(&routes, &target), "{} {}", method, url);
        }
    }
}
