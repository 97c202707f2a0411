//! What the core answers, and the headers by which an upstream hears who it is.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::asked::Hostile;
use crate::domain::standing::{self, Holding, Via};
use crate::domain::{Revision, RoleName, Timestamp, Uid};
use crate::http::problem::Problem;
use crate::policy::{NoRoute, Offer, Reason};

/// Who it is.
const PRINCIPAL: HeaderName = HeaderName::from_static("x-elevon-principal");
/// The roles that count on what was asked about.
const ROLE: HeaderName = HeaderName::from_static("x-elevon-role");
/// The activation or assignment behind each of them.
const ACTIVATION: HeaderName = HeaderName::from_static("x-elevon-activation");
/// When each of those ends.
const UNTIL: HeaderName = HeaderName::from_static("x-elevon-until");

/// What stands in an identity header where there is nothing to say. It has to be there: some gateways let the client's own copy through where
/// the answer has none, or an empty one.
const NOTHING: &str = "-";

/// What became of a question.
#[derive(Debug)]
pub(super) enum Answer {
    /// It is allowed.
    Allowed(Box<Allowed>),
    /// It is not.
    Denied(Box<Denied>),
    /// Nobody knows: something went wrong inside.
    Fault,
}

/// An allow.
#[derive(Debug)]
pub(super) struct Allowed {
    /// Who it is.
    pub(super) principal: Uid,
    /// What counts on the resource, a holding for each role, by role.
    pub(super) held: Vec<Held>,
    /// For how many seconds a gateway may keep the answer, where it may.
    pub(super) keep: Option<u64>,
    /// As of when.
    pub(super) of: Of,
}

/// A role that counts, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Held {
    /// The role.
    pub(super) role: RoleName,
    /// The activation or assignment.
    pub(super) id: String,
    /// Until when.
    pub(super) end: Option<Timestamp>,
}

/// As of when something was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Of {
    /// The journal sequence.
    pub(super) seq: u64,
    /// The bundle.
    pub(super) revision: Revision,
}

/// A deny.
#[derive(Debug)]
pub(super) struct Denied {
    /// Why.
    pub(super) why: Why,
    /// What was asked, as far as that was clear.
    pub(super) question: Option<Question>,
    /// The roles that would do.
    pub(super) offers: Vec<Offer>,
}

/// What was asked.
#[derive(Debug, Clone)]
pub(super) struct Question {
    /// Who would act.
    pub(super) principal: Uid,
    /// The action.
    pub(super) action: String,
    /// The resource.
    pub(super) resource: Uid,
}

/// Why something is denied.
#[derive(Debug)]
pub(super) enum Why {
    /// The request can be read in two ways, or says too little.
    Hostile(Hostile),
    /// No route is for it.
    NoRoute(NoRoute),
    /// Nobody is shown, or nobody that is known.
    Credential(Problem),
    /// The gateway may not say who somebody is.
    MayNotVouch(Problem),
    /// What the gateway says of who it is makes no sense.
    Identity(String),
    /// The policies say so.
    Policy(Reason),
}

impl Denied {
    pub(super) fn because(why: Why) -> Answer {
        Answer::Denied(Box::new(Self { why, question: None, offers: Vec::new() }))
    }

    /// The word for why.
    pub(super) fn reason(&self) -> &str {
        match &self.why {
            Why::Hostile(_) => "malformed_request",
            Why::NoRoute(_) => "no_route",
            Why::Credential(problem) => problem.rule(),
            Why::MayNotVouch(_) => "may_not_vouch",
            Why::Identity(_) => "malformed_identity",
            Why::Policy(reason) => reason.as_str(),
        }
    }

    /// A sentence for a person.
    pub(super) fn detail(&self) -> String {
        match &self.why {
            Why::Hostile(hostile) => format!("The request is refused: {hostile}."),
            Why::NoRoute(none) => format!("Nobody may ask for this: {none}."),
            Why::Credential(problem) => problem.detail().to_owned(),
            Why::MayNotVouch(_) => "The gateway is not permitted to say who its clients are.".to_owned(),
            Why::Identity(why) => format!("Who asks is not clear: {why}."),
            Why::Policy(_) => match &self.question {
                Some(Question { principal, action, resource }) => format!("{principal} may not {action} {resource}."),
                None => "It is not permitted.".to_owned(),
            },
        }
    }

    /// The status that a client is told.
    pub(super) fn status(&self) -> StatusCode {
        match &self.why {
            Why::Hostile(_) => StatusCode::BAD_REQUEST,
            Why::Credential(_) => StatusCode::UNAUTHORIZED,
            Why::NoRoute(_) | Why::MayNotVouch(_) | Why::Identity(_) | Why::Policy(_) => StatusCode::FORBIDDEN,
        }
    }

    /// Headers that go with it: how to authenticate.
    pub(super) fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        match &self.why {
            Why::Credential(problem) => problem.headers(),
            Why::Hostile(_) | Why::NoRoute(_) | Why::MayNotVouch(_) | Why::Identity(_) | Why::Policy(_) => &[],
        }
    }
}

/// Of the holdings that count, the one that stands for each role: the latest end, then the lowest id.
pub(super) fn held(holdings: &[Holding]) -> Vec<Held> {
    let mut roles: Vec<&RoleName> = holdings.iter().filter(|holding| holding.counts.is_ok()).map(|holding| &holding.role).collect();
    roles.sort();
    roles.dedup();
    let shown = |role: &RoleName| {
        let holding = standing::shown(holdings, role)?;
        let id = match &holding.via {
            Via::Activation(id) => id.to_string(),
            Via::Assignment(id) => id.to_string(),
        };
        Some(Held { role: role.clone(), id, end: holding.end })
    };
    roles.into_iter().filter_map(shown).collect()
}

impl Allowed {
    /// Each identity header, always all of them.
    pub(super) fn identity(&self) -> [(HeaderName, String); 4] {
        let list = |told: &dyn Fn(&Held) -> String| match self.held.as_slice() {
            [] => NOTHING.to_owned(),
            held => held.iter().map(told).collect::<Vec<_>>().join(", "),
        };
        let end = |held: &Held| held.end.map_or_else(|| NOTHING.to_owned(), |end| end.to_string());
        [
            (PRINCIPAL, visible(&self.principal.to_string())),
            (ROLE, list(&|held| visible(held.role.as_str()))),
            (ACTIVATION, list(&|held| visible(&held.id))),
            (UNTIL, list(&end)),
        ]
    }

    /// The same, as headers.
    pub(super) fn identity_headers(&self) -> HeaderMap {
        // what is visible can stand in a header
        self.identity().into_iter().filter_map(|(name, value)| Some((name, HeaderValue::try_from(value).ok()?))).collect()
    }
}

/// A text in visible ASCII: everything else, and what separates or marks, percent-encoded. Never empty, and never [`NOTHING`].
fn visible(text: &str) -> String {
    if text == NOTHING {
        return "%2D".to_owned();
    }
    let mut visible = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && byte != b'%' && byte != b',' {
            visible.push(char::from(byte));
        } else {
            visible.push_str(&format!("%{byte:02X}"));
        }
    }
    visible
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identity_headers_are_all_there_and_can_be_told_apart() {
        let of = Of { seq: 1, revision: Revision::new("r").unwrap() };
        let held = |role: &str, end| Held { role: RoleName::new(role).unwrap(), id: format!("act_{}", role.len()), end };
        let allowed = |held: Vec<Held>| Allowed { principal: Uid::new("User", "zoë").unwrap(), held, keep: None, of: of.clone() };
        let values = |allowed: &Allowed| allowed.identity().map(|(_, value)| value);
        assert_eq!(values(&allowed(Vec::new())), ["User::\"zo%C3%AB\"", "-", "-", "-"]);
        let two = allowed(vec![held("a, b%", Some(Timestamp::from_millis(0))), held("-", None)]);
        assert_eq!(values(&two)[1..], ["a%2C%20b%25, %2D", "act_5, act_1", "1970-01-01T00:00:00.000Z, -"]);
        assert_eq!(two.identity_headers().len(), 4);
    }
}
