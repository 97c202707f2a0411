//! Reading `routes.toml`, and holding it against the schema.

use std::ops::Range;

use super::pattern::{HostPattern, PathPattern, ResourcePattern};
use super::target::read_method;
use super::{Identity, MAX_ROUTES, OTHER, Route, Routes, certificates, kubernetes};
use crate::domain::{Duration, Uid};
use crate::policy::catalog::Catalog;
use crate::policy::problem::{Problem, Problems, nearest};
use crate::policy::schema::Text;
use crate::policy::settings_file::{At, Reader, Section};

/// The file with the routes.
pub(in crate::policy) const FILE: &str = "routes.toml";

/// Shortest and longest time for which a gateway may be told to keep an allow. A cache counts whole seconds and keeps what it has through the
/// last of them, so that one second would be none.
const STALE: (Duration, Duration) = (Duration::from_secs(2), Duration::from_hours(1));

/// Reads the file. What is wrong is among the problems.
pub(in crate::policy) fn read(at: Text<'_>, catalog: &Catalog, problems: &mut Problems) -> Routes {
    let reader = Reader::new(at.file, at.text);
    let table = reader.parse();
    let root = reader.root(&table);
    root.only(&["identity", "route", "certificate", "kubernetes"], &[]);
    let identity = read_identity(&root).unwrap_or_default();
    let mut routes = Routes::default();
    let sections = root.sections("route");
    if sections.len() > MAX_ROUTES {
        reader.report(0..0, format!("there are {} routes; at most {MAX_ROUTES} are taken", sections.len()), None);
        problems.absorb(reader.into_problems());
        return routes;
    }
    for section in &sections {
        let Some(route) = read_route(section, identity, catalog) else { continue };
        let shown = format!("{}{}", route.host, route.path);
        if let Err((before, method)) = routes.push(route)
            && let Some(before) = routes.all().get(before)
        {
            let other = format!("{FILE}:{} (`{}{}`)", before.line, before.host, before.path);
            let method = if method == OTHER { "every other method".to_owned() } else { method };
            let message = format!("this route (`{shown}`) and the one at {other} are both for {method}, and nothing tells them apart");
            let help = "names in braces make no difference; leave one of the two out, or give them other methods, hosts or paths";
            reader.report(section.span_of("path"), message, Some(help.to_owned()));
        }
    }
    routes.certificates = certificates::read(&root, catalog);
    if let Some(section) = root.section("kubernetes") {
        routes.clusters = kubernetes::read(&section, catalog);
    }
    problems.absorb(reader.into_problems());
    routes
}

fn read_identity(section: &Section<'_>) -> Option<Identity> {
    let word = section.string("identity")?;
    let found = Identity::ALL.into_iter().find(|identity| identity.as_str() == word.value);
    if found.is_none() {
        let message = format!("`identity` is `{}`, and has to be `token`, `certificate` or `header`", word.value);
        section.reader.report(word.span, message, None);
    }
    found
}

fn read_route(section: &Section<'_>, identity: Identity, catalog: &Catalog) -> Option<Route> {
    section.only(&["host", "path", "methods", "action", "resource", "max_stale", "identity"], &[]);
    let identity = if section.has("identity") { read_identity(section)? } else { identity };
    let host = read_host(section)?;
    let path = section.needed("path")?;
    let path = match PathPattern::parse(path.value) {
        Ok(pattern) => pattern,
        Err(why) => {
            section.reader.report(path.span, format!("`{}` is no path of a route: {why}", path.value), None);
            return None;
        }
    };
    let methods = read_methods(section)?;
    let action = section.needed("action")?;
    let resource = read_resource(section, &path)?;
    asks_for(section, &action, &resource, catalog)?;
    let max_stale = if section.has("max_stale") { Some(read_stale(section)?) } else { None };
    let line = Problem::at(section.reader.file, section.reader.text, section.span_of("path"), "").line.unwrap_or(1);
    Some(Route { host, path, methods, action: action.value.to_owned(), resource, max_stale, identity, line })
}

fn read_host(section: &Section<'_>) -> Option<HostPattern> {
    let text = section.needed("host")?;
    let found = HostPattern::parse(text.value);
    if found.is_none() {
        let help = "write `db.example`, `*.example` for all below a domain, or `*` for every host: small letters, and no port";
        section.reader.report(text.span, format!("`{}` is no host of a route", text.value), Some(help.to_owned()));
    }
    found
}

fn read_methods(section: &Section<'_>) -> Option<Vec<String>> {
    if !section.has("methods") {
        let help = Some("write `methods = [\"GET\", \"HEAD\"]`, or `[\"*\"]` for all that no route with this path names".to_owned());
        section.reader.report(section.span.clone(), format!("`{}` has no `methods`", section.name), help);
        return None;
    }
    let mut methods: Vec<String> = Vec::new();
    for method in section.strings("methods")? {
        let in_order = method.value == OTHER || read_method(method.value.as_bytes()).is_ok();
        if !in_order {
            let help = Some("methods are words in capital letters, such as GET".to_owned());
            section.reader.report(method.span, format!("`{}` is no method", method.value), help);
            return None;
        }
        if methods.iter().any(|known| known == method.value) {
            section.reader.report(method.span, format!("`{}` is listed twice", method.value), None);
            return None;
        }
        methods.push(method.value.to_owned());
    }
    if methods.is_empty() {
        section.reader.report(section.span_of("methods"), "the route is for no method", None);
        return None;
    }
    Some(methods)
}

fn read_resource(section: &Section<'_>, path: &PathPattern) -> Option<ResourcePattern> {
    section.needed("resource")?;
    let shown: At<Uid> = section.uid("resource")?;
    let names: Vec<&str> = path.segments().iter().filter_map(super::pattern::Segment::name).collect();
    match ResourcePattern::parse(shown.value, &names) {
        Ok(pattern) => Some(pattern),
        Err(why) => {
            section.reader.report(shown.span, why, None);
            None
        }
    }
}

/// Whether the schema has the action, for resources of that type.
fn asks_for(section: &Section<'_>, action: &At<&str>, resource: &ResourcePattern, catalog: &Catalog) -> Option<()> {
    let Some(info) = catalog.action(action.value) else {
        let names = catalog.action_names();
        let help = nearest(action.value, names.iter().map(String::as_str)).map(|name| format!("did you mean `{name}`?"));
        section.reader.report(action.span.clone(), format!("the schema has no action `{}`", action.value), help);
        return None;
    };
    if Catalog::is_own(&info.uid.entity_type().to_string()) {
        section.reader.report(action.span.clone(), "a gateway does not ask for what is done to Elevon itself", None);
        return None;
    }
    if !info.resources.contains(resource.kind()) {
        let known = info.resources.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        let message = format!("the schema does not apply `{}` to a {}", action.value, resource.kind());
        section.reader.report(section.span_of("resource"), message, Some(format!("it applies it to {known}")));
        return None;
    }
    Some(())
}

fn read_stale(section: &Section<'_>) -> Option<Duration> {
    let stale = section.duration("max_stale")?;
    if (STALE.0..=STALE.1).contains(&stale) {
        return Some(stale);
    }
    let span: Range<usize> = section.span_of("max_stale");
    let help = "leave it out, and every request is asked about".to_owned();
    section.reader.report(span, format!("`max_stale` is {stale}, and has to be from {} to {}", STALE.0, STALE.1), Some(help));
    None
}
