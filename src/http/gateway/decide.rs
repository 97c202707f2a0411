//! The one core: a question of any gateway in, an answer for any gateway out.

use serde_json::{Map, Value, json};

use super::answer::{Allowed, Answer, Denied, Of, Question, Why, held};
use super::asked::{Asked, Hostile};
use super::who::{Asker, Unknown};
use crate::domain::Timestamp;
use crate::engine::Checked;
use crate::http::Server;
use crate::http::conn::Door;
use crate::policy::{Ask, Offer, Reason, Route, Target};

/// Answers for a request that has or has not been read.
pub(super) async fn decide(server: &Server, door: &Door, asked: Result<Asked<'_>, Hostile>) -> Answer {
    let asked = match asked {
        Ok(asked) => asked,
        Err(hostile) => {
            tracing::info!(why = %hostile, "a request through a gateway was refused");
            return Denied::because(Why::Hostile(hostile));
        }
    };
    // one bundle for the route and for whom its certificates show; the check takes the live one, as any check does
    let view = server.engine.view();
    let routes = view.bundle.routes();
    let found = match routes.find(&asked.target) {
        Ok(found) => found,
        Err(none) => return Denied::because(Why::NoRoute(none)),
    };
    let asker = match server.who_asks(door, &asked, found.route.identity, routes).await {
        Ok(asker) => asker,
        Err(Unknown::Denied(why)) => return Denied::because(why),
        Err(Unknown::Fault) => return Answer::Fault,
    };
    let context = circumstances(&asked.target, &asker);
    let ask = Ask { context, ..found.ask(asker.principal) };
    ask_core(server, ask, Some(found.route))
}

/// Asks the engine, and on a deny what would do.
pub(super) fn ask_core(server: &Server, ask: Ask, route: Option<&Route>) -> Answer {
    let Checked { verdict, seq } = match server.engine.check(&ask) {
        Ok(checked) => checked,
        Err(unavailable) => {
            tracing::error!(error = %unavailable, "a gateway's question could not read its facts");
            return Answer::Fault;
        }
    };
    if verdict.allowed {
        let now = server.engine.moment().now;
        let keep = route.and_then(|route| keep(route, verdict.valid_until, now));
        let of = Of { seq, revision: verdict.revision };
        return Answer::Allowed(Box::new(Allowed { principal: ask.subject, held: held(&verdict.holdings), keep, of }));
    }
    let offers = offers(server, &ask, verdict.reason);
    let question = Question { principal: ask.subject, action: ask.action, resource: ask.resource };
    Answer::Denied(Box::new(Denied { why: Why::Policy(verdict.reason), question: Some(question), offers }))
}

/// What a route's policies may read of a request, where the schema declares it.
fn circumstances(target: &Target, asker: &Asker) -> Map<String, Value> {
    let mut context = Map::new();
    let http = json!({ "method": target.method(), "host": target.host(), "path": target.path() });
    context.insert("http".to_owned(), http);
    if let Some(mfa) = asker.mfa {
        context.insert("mfa".to_owned(), mfa.into());
    }
    context
}

/// For how many whole seconds an allow may be kept: no longer than the route says, and not to the moment at which time alone could change it.
/// One is taken off, for a cache that counts whole seconds keeps what it has through the last of them.
fn keep(route: &Route, valid_until: Option<Timestamp>, now: Timestamp) -> Option<u64> {
    let most = route.max_stale?.secs();
    let left = valid_until.map_or(most, |until| u64::try_from(until.millis().saturating_sub(now.millis())).unwrap_or(0) / 1000);
    most.min(left).checked_sub(1).filter(|seconds| *seconds > 0)
}

fn offers(server: &Server, ask: &Ask, reason: Reason) -> Vec<Offer> {
    match reason {
        Reason::NoPermit | Reason::Forbidden => {}
        Reason::Permitted
        | Reason::PolicyError
        | Reason::UnknownPrincipal
        | Reason::PrincipalDisabled
        | Reason::UnknownResource
        | Reason::UnknownAction
        | Reason::NotApplicable
        | Reason::ContextMissing
        | Reason::ContextInvalid
        | Reason::TimeUntrusted
        | Reason::Stale => return Vec::new(),
    }
    // what would do is a courtesy: the deny stands without it
    server.engine.facts(|facts, view, moment| view.bundle.suggest(facts, ask, moment)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Duration;
    use crate::policy::Bundle;

    #[test]
    fn an_allow_is_kept_no_longer_than_the_route_and_time_say() {
        let bundle = Bundle::load(std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/gateways/policies"))).unwrap();
        let mut route = bundle.routes().all()[0].clone();
        let now = Timestamp::from_millis(10_500);
        let rows = [
            (None, None, None),
            (None, Some(100_000), None),
            (Some(30), None, Some(29)),
            (Some(30), Some(100_000), Some(29)),
            (Some(30), Some(20_499), Some(8)),
            (Some(30), Some(12_500), Some(1)),
            (Some(30), Some(12_499), None),
            (Some(30), Some(10_500), None),
            (Some(30), Some(1), None),
            (Some(2), None, Some(1)),
        ];
        for (stale, until, kept) in rows {
            route.max_stale = stale.map(Duration::from_secs);
            assert_eq!(keep(&route, until.map(Timestamp::from_millis), now), kept, "{stale:?} {until:?}");
        }
    }
}
