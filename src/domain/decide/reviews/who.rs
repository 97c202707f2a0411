//! Who decides on an item. The policies are asked besides, when the command is decided.

use std::collections::HashSet;

use crate::domain::decide::people::{Members, is_among, person, reaches};
use crate::domain::facts::{Object, Records, Unavailable};
use crate::domain::id::Uid;
use crate::domain::review::{ReviewItem, ReviewStage, Reviewers, Subject};
use crate::domain::standing::{Presence, presence};

/// What part somebody has in an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// May decide on it, where the policies permit it.
    Reviewer,
    /// Would, if it were not their own access.
    Own,
    /// None.
    None,
}

/// What the authority is asked about an item.
#[must_use]
pub fn object(item: &ReviewItem) -> Object {
    let (role, scope, beneficiary) = (item.role.clone(), item.scope.clone(), item.holder.clone());
    match &item.subject {
        Subject::Eligibility(_) | Subject::Assignment(_) => Object::RoleGrant { role, scope, beneficiary, duration: None },
        // an emergency is for oneself
        Subject::Activation(id) => {
            let requester = Some(beneficiary.clone());
            Object::RoleActivation { id: id.clone(), role, scope, beneficiary, requester }
        }
    }
}

/// What part somebody has in an item in a stage.
///
/// # Errors
/// The store cannot be read.
pub fn part_in(facts: &dyn Records, stage: &ReviewStage, item: &ReviewItem, who: &Uid) -> Result<Part, Unavailable> {
    let part = |reviewer: bool| {
        Ok(match reviewer {
            false => Part::None,
            true if reaches(facts, who, &item.holder)? => Part::Own,
            true => Part::Reviewer,
        })
    };
    let first = match &stage.reviewers {
        Reviewers::Holder if *who == item.holder => Part::Reviewer,
        Reviewers::Holder => Part::None,
        Reviewers::Selected(list) => part(is_among(facts, who, list)?)?,
        Reviewers::Permitted => part(true)?,
    };
    if first != Part::None || !is_among(facts, who, &stage.fallback)? || somebody_could(facts, &stage.reviewers, item)? {
        return Ok(first);
    }
    part(true)
}

/// Whether somebody of a stage's own reviewers could decide on an item.
fn somebody_could(facts: &dyn Records, reviewers: &Reviewers, item: &ReviewItem) -> Result<bool, Unavailable> {
    let list = match reviewers {
        Reviewers::Permitted => return Ok(true),
        Reviewers::Holder => {
            return Ok(facts.definitions().is_principal(&item.holder) && presence(facts, &item.holder)? == Presence::Known);
        }
        Reviewers::Selected(list) => list,
    };
    // one walk over those behind the holder, and not one for each reviewer
    let mut persons = HashSet::from([person(facts, &item.holder)?]);
    let mut holders = Members::of(facts, std::slice::from_ref(&item.holder));
    while let Some(holder) = holders.next()? {
        persons.insert(person(facts, &holder)?);
    }
    let mut members = Members::of(facts, list);
    while let Some(member) = members.next()? {
        let own = persons.contains(&person(facts, &member)?) || is_among(facts, &member, std::slice::from_ref(&item.holder))?;
        if !own && presence(facts, &member)? == Presence::Known {
            return Ok(true);
        }
    }
    // past the bound of the walk there is somebody, for all that is known
    Ok(members.cut)
}
