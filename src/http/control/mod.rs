//! The control plane: who may hold what, and the record of it.
//!
//! Every endpoint is a row of [`endpoints`] with what is asked before it answers; the router is built from those rows and from
//! nothing else, so that the list is whole.

mod activations;
mod alerts;
mod approvals;
mod audit;
mod bulk;
mod decoded;
mod endings;
mod entities;
mod events;
mod explain;
mod grant_requests;
mod grants;
mod links;
mod me;
mod notifications;
mod ops;
mod paging;
mod policies;
mod review_reports;
mod reviews;
mod seen;
mod visible;

use std::sync::Arc;

use axum::Router;
use axum::middleware::map_response;
use axum::response::Response;
use axum::routing::{MethodRouter, delete, get, post, put};
use http::Method;

use super::{Server, data, openapi};

#[doc(hidden)]
pub use decoded::decoded;

/// One endpoint.
pub struct Endpoint {
    /// Its method.
    pub method: Method,
    /// Its path, with `{…}` for what varies.
    pub path: &'static str,
    /// What is asked before it answers, in words.
    pub asks: &'static str,
    handler: Option<MethodRouter<Arc<Server>>>,
}

/// The template of the path that a request met, for metrics and logs: never the path itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Route(pub(super) &'static str);

fn row(method: Method, path: &'static str, asks: &'static str, handler: MethodRouter<Arc<Server>>) -> Endpoint {
    Endpoint { method, path, asks, handler: Some(handler) }
}

/// A credential and nothing more; what is shown is the caller's own.
const OWN: &str = "a credential; own things only";
/// The domain asks for permission when it decides the command.
const VOTE: &str = "in the stage's list, never requester or beneficiary, and approveActivation or denyActivation on the activation";
const GRANTS: &str = "own and own groups' free; others: readAudit on Sidecar, or assignRole on the grant";
const ASSIGN: &str = "assignRole on the grant, never for oneself";
const BUNDLE: &str = "manageBundle on Sidecar";

/// Every endpoint of this server, data plane first.
#[must_use]
pub fn endpoints() -> Vec<Endpoint> {
    let data = data::ENDPOINTS.iter().map(|(method, path, asks)| Endpoint { method: method.clone(), path, asks, handler: None });
    let mut all: Vec<Endpoint> = data.collect();
    all.extend(activation_endpoints());
    all.extend(grant_endpoints());
    all.extend(review_endpoints());
    all.extend(alert_endpoints());
    all.extend(notification_endpoints());
    all.extend(other_endpoints());
    all
}

fn activation_endpoints() -> Vec<Endpoint> {
    let read = "own or waiting for the caller's vote: free; others: readActivation on the activation";
    let ask = "activateRole on the grant; activateRoleFor for somebody else; activateInEmergency for break-glass";
    vec![
        row(Method::POST, "/v1/activations", ask, post(activations::create)),
        row(Method::POST, "/v1/activations/bulk", "the same of each item; each item is answered for itself", post(bulk::create)),
        row(Method::GET, "/v1/activations", read, get(activations::list)),
        row(Method::GET, "/v1/activations/{id}", read, get(activations::one)),
        row(Method::POST, "/v1/activations/{id}/extend", "extendActivation on the activation", post(activations::extend)),
        row(Method::POST, "/v1/activations/{id}/approve", VOTE, post(approvals::approve)),
        row(Method::POST, "/v1/activations/{id}/deny", VOTE, post(approvals::deny)),
        row(
            Method::POST,
            "/v1/activations/{id}/cancel",
            "requester or beneficiary: free; others: cancelActivation on the activation",
            post(endings::cancel),
        ),
        row(Method::POST, "/v1/activations/{id}/deactivate", "its holder", post(endings::deactivate)),
        row(Method::POST, "/v1/activations/{id}/revoke", "revokeActivation on the activation", post(endings::revoke)),
        row(
            Method::POST,
            "/v1/activations/revoke",
            "of a principal: revokePrincipal on the principal; of a role: revokeRole on the role",
            post(endings::revoke_all),
        ),
        row(Method::GET, "/v1/approvals", OWN, get(approvals::list)),
        row(Method::GET, "/approve", "nothing; what the page asks for needs a credential", get(links::page)),
        row(Method::POST, "/v1/approval-links/open", "the approver of the link, and what reading the activation asks", post(links::open)),
        row(Method::POST, "/v1/approval-links/use", "the approver of the link, and what a vote asks", post(links::vote)),
        row(Method::GET, "/v1/me", OWN, get(me::me)),
        row(Method::GET, "/v1/roles", "a credential", get(me::roles)),
        row(Method::GET, "/v1/roles/{role}", "a credential", get(me::role)),
    ]
}

fn grant_endpoints() -> Vec<Endpoint> {
    let prolong = "own and own groups': free; others: assignRole on the grant";
    let decide = "assignRole on the grant, never for oneself nor on one's own request";
    let requests = "own and own groups': free; others: readAudit on Sidecar, or assignRole on the grant";
    vec![
        row(Method::POST, "/v1/eligibilities", ASSIGN, post(grants::create_eligibility)),
        row(Method::GET, "/v1/eligibilities", GRANTS, get(grants::eligibilities)),
        row(Method::GET, "/v1/eligibilities/{id}", GRANTS, get(grants::eligibility)),
        row(Method::DELETE, "/v1/eligibilities/{id}", ASSIGN, delete(grants::remove_eligibility)),
        row(Method::POST, "/v1/eligibilities/{id}/extend", prolong, post(grant_requests::extend_eligibility)),
        row(Method::POST, "/v1/eligibilities/{id}/renew", prolong, post(grant_requests::renew_eligibility)),
        row(Method::POST, "/v1/assignments", ASSIGN, post(grants::create_assignment)),
        row(Method::GET, "/v1/assignments", GRANTS, get(grants::assignments)),
        row(Method::GET, "/v1/assignments/{id}", GRANTS, get(grants::assignment)),
        row(Method::DELETE, "/v1/assignments/{id}", ASSIGN, delete(grants::remove_assignment)),
        row(Method::POST, "/v1/assignments/{id}/extend", prolong, post(grant_requests::extend_assignment)),
        row(Method::POST, "/v1/assignments/{id}/renew", prolong, post(grant_requests::renew_assignment)),
        row(Method::GET, "/v1/grant-requests", requests, get(grant_requests::list)),
        row(Method::GET, "/v1/grant-requests/{id}", requests, get(grant_requests::one)),
        row(Method::POST, "/v1/grant-requests/{id}/approve", decide, post(grant_requests::approve)),
        row(Method::POST, "/v1/grant-requests/{id}/deny", decide, post(grant_requests::deny)),
        row(
            Method::POST,
            "/v1/grant-requests/{id}/cancel",
            "requester or holder: free; others: assignRole on the grant",
            post(grant_requests::cancel),
        ),
    ]
}

fn review_endpoints() -> Vec<Endpoint> {
    let manage = "manageReviews on Sidecar";
    let see = "readAudit or manageReviews on Sidecar";
    let part = "reviewers: what waits for their decision; all: readAudit or manageReviews on Sidecar";
    let decide =
        "a reviewer of the stage that is asked now, never on one's own access unless holders decide, and reviewAccess on the grant";
    vec![
        row(Method::POST, "/v1/reviews/definitions", manage, post(reviews::define)),
        row(Method::GET, "/v1/reviews/definitions", see, get(reviews::definitions)),
        row(Method::GET, "/v1/reviews/definitions/{id}", see, get(reviews::one_definition)),
        row(Method::PUT, "/v1/reviews/definitions/{id}", manage, put(reviews::change)),
        row(Method::DELETE, "/v1/reviews/definitions/{id}", manage, delete(reviews::end)),
        row(Method::POST, "/v1/reviews/definitions/{id}/start", manage, post(reviews::start)),
        row(Method::GET, "/v1/reviews", part, get(reviews::list)),
        row(Method::GET, "/v1/reviews/{id}", part, get(reviews::one)),
        row(Method::GET, "/v1/reviews/{id}/items", part, get(reviews::items)),
        row(Method::POST, "/v1/reviews/{id}/decide", decide, post(reviews::decide)),
        row(Method::POST, "/v1/reviews/{id}/complete", manage, post(reviews::complete)),
        row(Method::POST, "/v1/reviews/{id}/apply", manage, post(reviews::apply)),
        row(Method::GET, "/v1/reviews/{id}/report", see, get(review_reports::json)),
        row(Method::GET, "/v1/reviews/{id}/report.csv", see, get(review_reports::csv)),
        row(Method::GET, "/v1/reviews/{id}/report.html", see, get(review_reports::html)),
    ]
}

fn alert_endpoints() -> Vec<Endpoint> {
    let see = "readAudit or manageAlerts on Sidecar";
    let manage = "manageAlerts on Sidecar";
    let remedy = "manageAlerts on Sidecar, and the right that the remedy itself needs";
    vec![
        row(Method::GET, "/v1/alerts", see, get(alerts::kinds)),
        row(Method::GET, "/v1/alerts/incidents", see, get(alerts::list)),
        row(Method::GET, "/v1/alerts/incidents/{id}", see, get(alerts::one)),
        row(Method::POST, "/v1/alerts/incidents/{id}/dismiss", manage, post(alerts::dismiss)),
        row(Method::POST, "/v1/alerts/incidents/{id}/rearm", manage, post(alerts::rearm)),
        row(Method::POST, "/v1/alerts/incidents/{id}/remedy", remedy, post(alerts::remedy)),
    ]
}

fn notification_endpoints() -> Vec<Endpoint> {
    let manage = "manageNotifications on Sidecar";
    vec![
        row(Method::GET, "/v1/notifications/destinations", manage, get(notifications::destinations)),
        row(Method::POST, "/v1/notifications/destinations/{name}/test", manage, post(notifications::test)),
        row(Method::GET, "/v1/notifications/dead-letters", manage, get(notifications::letters)),
        row(Method::POST, "/v1/notifications/dead-letters/{id}/retry", manage, post(notifications::retry)),
        row(Method::DELETE, "/v1/notifications/dead-letters/{id}", manage, delete(notifications::discard)),
        row(Method::GET, "/.well-known/jwks.json", "nothing", get(notifications::keys)),
    ]
}

fn other_endpoints() -> Vec<Endpoint> {
    let manage = "manageEntity on the entity; manageMembership on each parent added or removed";
    let mut rows = vec![
        row(Method::GET, "/v1/entities", "oneself: free; others: readAudit on Sidecar, or manageEntity on the entity", get(entities::get)),
        row(Method::PUT, "/v1/entities", manage, put(entities::put)),
        row(Method::DELETE, "/v1/entities", manage, delete(entities::delete)),
        row(Method::POST, "/v1/entities/disable", "manageEntity on the entity", post(entities::disable)),
        row(Method::POST, "/v1/entities/enable", "manageEntity on the entity", post(entities::enable)),
        row(Method::GET, "/v1/policies", BUNDLE, get(policies::get)),
        row(Method::POST, "/v1/policies/reload", BUNDLE, post(policies::reload)),
        row(Method::POST, "/v1/policies/validate", BUNDLE, post(policies::validate)),
        row(Method::POST, "/v1/explain", "explainAccess on SubjectKind of the subject", post(explain::explain)),
        row(Method::GET, "/v1/audit/events", "readAudit on Sidecar", get(audit::events)),
        row(Method::GET, "/v1/audit/tip", "readAudit on Sidecar", get(audit::tip)),
        row(
            Method::GET,
            "/v1/events",
            "known and enabled; own things and readActivation's: free; all: subscribeEvents and readAudit on Sidecar",
            get(events::events),
        ),
        row(Method::GET, "/healthz", "nothing", get(ops::healthz)),
        row(Method::GET, "/readyz", "nothing", get(ops::readyz)),
        row(Method::GET, "/metrics", "nothing on loopback in development; else readMetrics on Sidecar", get(ops::metrics)),
        row(Method::GET, "/openapi.json", "nothing", get(openapi::openapi)),
    ];
    #[cfg(feature = "test-clock")]
    rows.push(row(Method::POST, "/dev/clock", "nothing; only in a server started with a clock that tests can move", post(ops::clock)));
    rows.shrink_to_fit();
    rows
}

/// The router of the control plane.
pub(super) fn router(server: Arc<Server>) -> Router {
    let mut router = Router::new();
    for endpoint in endpoints() {
        let path = endpoint.path;
        let Some(handler) = endpoint.handler else { continue };
        let noted = handler.layer(map_response(move |mut response: Response| async move {
            response.extensions_mut().insert(Route(path));
            response
        }));
        router = router.route(path, noted);
    }
    router.with_state(server)
}

/// The methods of a path, as `Allow` lists them.
pub(super) fn allowed(path: &str) -> Option<String> {
    let mut methods: Vec<&str> = Vec::new();
    let all = endpoints();
    // A path that is spelt out stands before one that varies, as for the router.
    let exact = all.iter().any(|endpoint| endpoint.path == path);
    for endpoint in all.iter().filter(|endpoint| if exact { endpoint.path == path } else { matches(endpoint.path, path) }) {
        methods.push(match endpoint.method {
            Method::GET => "GET, HEAD",
            Method::POST => "POST",
            Method::PUT => "PUT",
            Method::DELETE => "DELETE",
            _ => continue,
        });
    }
    (!methods.is_empty()).then(|| methods.join(", "))
}

fn matches(template: &str, path: &str) -> bool {
    let (mut wanted, mut given) = (template.split('/'), path.split('/'));
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return true,
            (Some(wanted), Some(given)) if wanted == given || (wanted.starts_with('{') && !given.is_empty()) => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allow_lists_what_a_path_takes() {
        let rows = [
            ("/v1/activations", Some("POST, GET, HEAD")),
            ("/v1/activations/act_1", Some("GET, HEAD")),
            ("/v1/activations/revoke", Some("POST")),
            ("/v1/activations/", None),
            ("/access/v1/evaluation", Some("POST")),
            ("/v1/nothing", None),
        ];
        for (path, methods) in rows {
            assert_eq!(allowed(path).as_deref(), methods, "{path}");
        }
    }

    #[test]
    fn no_endpoint_stands_twice_or_asks_nothing_by_omission() {
        let all = endpoints();
        let mut names: Vec<String> = all.iter().map(|endpoint| format!("{} {}", endpoint.method, endpoint.path)).collect();
        names.sort();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
        assert!(all.iter().all(|endpoint| !endpoint.asks.is_empty()));
    }
}
