//! Tests of routes, `[[route]]` in `tests/*.toml`: what does a request ask for?

use std::ops::Range;

use super::{NoRoute, Target};
use crate::domain::Uid;
use crate::policy::bundle::Bundle;
use crate::policy::problem::Problem;
use crate::policy::settings_file::{At, Section};
use crate::policy::trial::TestOutcome;

/// What a request is to ask for.
enum Expected {
    Nothing,
    Refused,
    Asked { action: String, resource: Uid },
}

/// A test of a route.
pub(in crate::policy) struct RouteTrial {
    pub(in crate::policy) name: String,
    pub(in crate::policy) file: String,
    pub(in crate::policy) span: Range<usize>,
    line: u32,
    method: String,
    url: String,
    expected: Expected,
}

/// Reads the tests of routes in a file of tests.
pub(in crate::policy) fn read_trials(root: &Section<'_>) -> Vec<RouteTrial> {
    root.sections("route").iter().filter_map(read_trial).collect()
}

/// A method and a URL: `GET https://db.example/databases/orders`.
pub(in crate::policy) fn read_request<'a>(section: &Section<'a>) -> Option<(&'a str, &'a str)> {
    let request = section.needed("request")?;
    let parts = request.value.split_once(' ');
    if parts.is_none() {
        let help = Some("write a method and a URL: `GET https://db.example/databases/orders`".to_owned());
        section.reader.report(request.span, format!("`{}` is no request", request.value), help);
    }
    parts
}

fn read_trial(section: &Section<'_>) -> Option<RouteTrial> {
    section.only(&["name", "request", "expect", "action", "resource"], &[]);
    let (method, url) = read_request(section)?;
    let name = section.string("name");
    let (shown, span) = match &name {
        Some(At { value, span }) => ((*value).to_owned(), span.clone()),
        None => (format!("{method} {url}"), section.span_of("request")),
    };
    let expected = match section.string("expect") {
        None => {
            let action = section.needed("action")?;
            section.needed("resource")?;
            Expected::Asked { action: action.value.to_owned(), resource: section.uid("resource")?.value }
        }
        Some(word) => {
            if section.has("action") || section.has("resource") {
                section.reader.report(word.span, "a test of a route has `expect`, or `action` and `resource`", None);
                return None;
            }
            match word.value {
                "no route" => Expected::Nothing,
                "refused" => Expected::Refused,
                other => {
                    section.reader.report(word.span, format!("`expect` is `{other}`, and has to be `no route` or `refused`"), None);
                    return None;
                }
            }
        }
    };
    Some(RouteTrial {
        name: shown,
        file: section.reader.file.to_owned(),
        line: Problem::at(section.reader.file, section.reader.text, span.clone(), "").line.unwrap_or(1),
        span,
        method: method.to_owned(),
        url: url.to_owned(),
        expected,
    })
}

impl RouteTrial {
    /// Runs it, and says how it went.
    pub(in crate::policy) fn outcome(&self, bundle: &Bundle) -> TestOutcome {
        TestOutcome { name: self.name.clone(), file: self.file.clone(), line: self.line, guard: false, result: self.run(bundle) }
    }

    /// Runs it; why it failed, where it did.
    pub(in crate::policy) fn run(&self, bundle: &Bundle) -> Result<(), String> {
        let target = match Target::of_url(&self.method, &self.url) {
            Ok(target) => target,
            Err(why) => {
                return if matches!(self.expected, Expected::Refused) { Ok(()) } else { Err(format!("the request is refused: {why}")) };
            }
        };
        match (bundle.routes().find(&target), &self.expected) {
            (Ok(found), Expected::Asked { action, resource }) if found.route.action == *action && found.resource == *resource => Ok(()),
            (Ok(found), _) => Err(format!("it asks for `{}` on {}, by line {}", found.route.action, found.resource, found.route.line)),
            (Err(NoRoute::Resource(_)), Expected::Refused) | (Err(_), Expected::Nothing) => Ok(()),
            (Err(none), _) => Err(none.to_string()),
        }
    }
}
