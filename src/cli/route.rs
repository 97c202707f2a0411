//! Says what an HTTP request asks for, by the routes of a policy folder, and why.

use serde_json::{Value, json};

use super::args::Route;
use super::client::Failure;
use super::local;
use super::output::{Look, Output, looking, plain};
use super::{Done, Outcome};
use crate::policy::{self, PassedOver, Target};

/// The file in a policy folder that has the routes.
const ROUTES: &str = "routes.toml";

/// No route, and a request that is refused, are exit code 1: it would be denied.
pub(super) fn route(out: &Output, asked: &Route) -> Outcome {
    let bundle = match local::load(out, &asked.policies)? {
        Ok(bundle) => bundle,
        Err(done) => return Ok(done),
    };
    let target = match Target::of_url(&asked.method, &asked.url) {
        Ok(target) => target,
        Err(policy::BadTarget::NotAUrl) => return Err(Failure::Usage(format!("`{}`: {}", asked.url, policy::BadTarget::NotAUrl))),
        Err(bad) => return none(out, "refused", &bad.to_string(), &[]),
    };
    let routes = bundle.routes();
    let others = routes.passed_over(&target);
    let found = match routes.find(&target) {
        Ok(found) => found,
        Err(_) if !bundle.files().iter().any(|file| file.path == ROUTES) => {
            return none(out, "no route", &format!("`{}` has no `{ROUTES}`", asked.policies.display()), &others);
        }
        Err(why) => return none(out, "no route", &why.to_string(), &others),
    };
    let route = found.route;
    let keep = route.max_stale.map_or_else(|| "no: every request is asked about".to_owned(), |stale| format!("{stale} at most"));
    if out.json {
        let mut shown = show(route);
        if let Value::Object(members) = &mut shown {
            members.insert("action".to_owned(), json!(route.action));
            members.insert("resource".to_owned(), json!(found.resource));
            members.insert("identity".to_owned(), json!(route.identity.as_str()));
            members.insert("max_stale".to_owned(), json!(route.max_stale));
        }
        out.value(&json!({"route": shown, "passed_over": passed_over(&others)}))?;
        return Ok(Done::Yes);
    }
    out.cells(&[looking(Look::Good, route.action.clone()), plain(format!("  {}", found.resource))])?;
    out.fields(&[
        ("route", plain(format!("routes.toml:{}", route.line))),
        ("host", plain(route.host.to_string())),
        ("path", plain(route.path.to_string())),
        ("methods", plain(route.methods.join(", "))),
        ("who asks", plain(format!("by {}", route.identity.as_str()))),
        ("kept", plain(keep)),
    ])?;
    tell_others(out, &others)?;
    Ok(Done::Yes)
}

fn show(route: &policy::Route) -> Value {
    json!({"line": route.line, "host": route.host.to_string(), "path": route.path.to_string(), "methods": route.methods})
}

fn passed_over(others: &[PassedOver<'_>]) -> Vec<Value> {
    others.iter().map(|other| json!({"route": show(other.route), "why": other.why})).collect()
}

fn none(out: &Output, word: &str, why: &str, others: &[PassedOver<'_>]) -> Outcome {
    if out.json {
        out.value(&json!({"route": null, "outcome": word, "why": why, "passed_over": passed_over(others)}))?;
    } else {
        out.cells(&[looking(Look::Bad, word), plain(format!(": {why}; it is denied"))])?;
        tell_others(out, others)?;
    }
    Ok(Done::No)
}

fn tell_others(out: &Output, others: &[PassedOver<'_>]) -> Result<(), Failure> {
    for PassedOver { route, why } in others {
        let shown = format!("not routes.toml:{}, {} {}{}: {why}", route.line, route.methods.join(","), route.host, route.path);
        out.cells(&[looking(Look::Quiet, shown)])?;
    }
    Ok(())
}
