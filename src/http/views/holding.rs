//! What a principal holds, and why it does not count where it does not.

use serde_json::{Value, json};

use crate::domain::standing::{self, Holding, Moment, Via};
use crate::domain::{Facts, Uid, Unavailable};

/// A holding of a principal as it stands for its own scope, so that the scope is not what it is judged by.
pub(in crate::http) fn holding_at_home(
    facts: &dyn Facts,
    principal: &Uid,
    scope: Option<&Uid>,
    via: &Via,
    moment: Moment,
) -> Result<Option<Holding>, Unavailable> {
    let path = scope.map(|scope| standing::path(facts, scope)).transpose()?;
    let standing = standing::standing(facts, principal, path.as_deref(), moment)?;
    Ok(standing.holdings.into_iter().find(|holding| holding.via == *via))
}

/// Why a holding does not count: nothing where it does.
pub(super) fn why_not(holding: &Holding) -> Value {
    match &holding.counts {
        Ok(()) => Value::Null,
        Err(why) => {
            let mut shown = serde_json::to_value(why).unwrap_or_default();
            super::put(&mut shown, "detail", why.to_string().into());
            shown
        }
    }
}

/// A holding, and why it does not count.
pub(in crate::http) fn holding(holding: &Holding) -> Value {
    let (via, id) = match &holding.via {
        Via::Activation(id) => ("activation", id.as_str()),
        Via::Assignment(id) => ("assignment", id.as_str()),
    };
    json!({
        "id": id,
        "via": via,
        "principal": holding.holder,
        "role": holding.role,
        "scope": holding.scope,
        "start": holding.start,
        "end": holding.end,
        "approvals": holding.approvals,
        "counts": holding.counts.is_ok(),
        "why_not": why_not(holding),
    })
}
