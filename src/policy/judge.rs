//! Policies evaluated: what was satisfied, what failed, and what that comes to. All that is asked of Cedar at check time is asked here.
//!
//! It knows nothing of Elevon's roles and holdings: names, what stands above them, policies. So the very same can be held against what Cedar
//! itself says, over questions that nobody here wrote.

use cedar_policy_core::ast::Request;
use cedar_policy_core::authorizer::Decision;
use cedar_policy_core::entities::Entities;

use super::ask::{Effect, PolicyError, Reason};
use super::slice::{Failed, Sides, Slices};

/// What a policy that forbids and fails to evaluate comes to: the one place where Elevon is stricter than Cedar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ErringForbid {
    /// It denies: it might have been satisfied. So Elevon decides.
    Denies,
    /// It is skipped, which can turn a deny into an allow. So Cedar decides.
    #[cfg_attr(not(test), expect(dead_code, reason = "what Elevon is held against, and never is"))]
    IsSkipped,
}

/// What the policies said.
#[derive(Debug)]
pub(super) struct Decided {
    pub(super) reason: Reason,
    /// The policies that decided, by id, sorted.
    pub(super) policies: Vec<String>,
    /// What failed, by policy, sorted.
    pub(super) errors: Vec<PolicyError>,
}

/// Evaluates the policies that can match. `scene` is asked for when the first of them has a condition.
pub(super) fn evaluate(
    slices: &Slices,
    erring: ErringForbid,
    sides: &Sides<'_>,
    scene: impl Fn() -> Result<(Request, Entities), String>,
) -> Decided {
    let found = match slices.evaluate(sides, scene) {
        Ok(found) => found,
        Err(message) => {
            let errors = vec![PolicyError { policy: "the question".to_owned(), effect: Effect::Forbid, message }];
            return Decided { reason: Reason::PolicyError, policies: Vec::new(), errors };
        }
    };
    let error =
        |Failed { policy, effect, error }: Failed<'_>| PolicyError { policy: policy.to_owned(), effect, message: error.to_string() };
    let mut errors: Vec<PolicyError> = found.errors.into_iter().map(error).collect();
    errors.sort_by(|one, other| one.policy.cmp(&other.policy));
    let (decision, reasons) = decide(found.permits, found.forbids);
    let mut policies: Vec<String> = reasons.into_iter().map(str::to_owned).collect();
    policies.sort();
    let reason = combine(erring, decision, !policies.is_empty(), &errors);
    if reason == Reason::PolicyError {
        // a permit that was satisfied did not decide this
        policies.clear();
    }
    Decided { reason, policies, errors }
}

/// How satisfied policies combine: any `forbid` denies, and else any `permit` allows. The policies that decided come with it.
fn decide<'a>(permits: Vec<&'a str>, forbids: Vec<&'a str>) -> (Decision, Vec<&'a str>) {
    if !forbids.is_empty() {
        (Decision::Deny, forbids)
    } else if !permits.is_empty() {
        (Decision::Allow, permits)
    } else {
        (Decision::Deny, Vec::new())
    }
}

/// What Cedar's answer comes to.
fn combine(erring: ErringForbid, decision: Decision, any_decided: bool, errors: &[PolicyError]) -> Reason {
    let erring_forbid = erring == ErringForbid::Denies && errors.iter().any(|error| error.effect == Effect::Forbid);
    match (decision, any_decided, erring_forbid) {
        // a forbid was satisfied: that decides, whatever else failed
        (Decision::Deny, true, _) => Reason::Forbidden,
        // a forbid that could not be evaluated might have been satisfied
        (Decision::Allow, _, true) | (Decision::Deny, false, true) => Reason::PolicyError,
        // a permit was satisfied and no forbid was
        (Decision::Allow, _, false) => Reason::Permitted,
        // nothing was satisfied
        (Decision::Deny, false, false) => Reason::NoPermit,
    }
}
