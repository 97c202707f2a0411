//! Reviews among what happens in any order, and what is asked about them of the store and of the plain picture.

use proptest::prelude::*;

use super::*;
use crate::domain::Tables as _;
use crate::domain::calendar::{Date, Every, Schedule, TimeOfDay, Zone};
use crate::domain::grant::GrantRef;
use crate::domain::id::{ReviewDefinitionId, ReviewId, ReviewName};
use crate::domain::review::{
    Applied, Covers, Decided, NoAnswer, Recommendation, Review, ReviewDefinition, ReviewItem, ReviewOf, ReviewPlan, ReviewState,
    ReviewStatus, Subject, Taken, Tally, Upcoming,
};
use crate::engine::ports::{Listing, ReviewFilter};
use crate::store::family::{At, GRANTS_BY_ROLE, LAST_ACTIVATIONS, META, raw_rows};
use crate::store::key::MetaKey;
use crate::store::value::Raw;

/// How many kinds of events [`event`] makes.
pub(super) const KINDS: u8 = 11;
const REVIEWS: usize = 3;

fn definition_id(number: usize) -> ReviewDefinitionId {
    ReviewDefinitionId::new(&format!("rvd_{}", number % REVIEWS)).unwrap()
}

fn review_id(number: usize) -> ReviewId {
    // one begins as another does
    ReviewId::new(["rev_1", "rev_1_1", "rev_2"][number % REVIEWS]).unwrap()
}

fn subject(number: usize) -> Subject {
    let id = number % 4;
    match number % 3 {
        0 => Subject::Eligibility(EligibilityId::new(&format!("elg_{id}")).unwrap()),
        1 => Subject::Assignment(AssignmentId::new(&format!("asg_{id}")).unwrap()),
        _ => Subject::Activation(ActivationId::new(&format!("act_{id}")).unwrap()),
    }
}

fn plan() -> ReviewPlan {
    ReviewPlan {
        name: ReviewName::new("n").unwrap(),
        roles: vec![role("admin")],
        scopes: Vec::new(),
        covers: Covers::Both,
        inactive_days: None,
        stages: Vec::new(),
        no_answer: NoAnswer::Remove,
        auto_apply: false,
        confirm_above: 20,
        reminders: true,
    }
}

fn item(number: usize, holder: &str, moment: i64) -> ReviewItem {
    ReviewItem {
        subject: subject(number),
        holder: uid(holder),
        role: role("admin"),
        scope: None,
        window: Window { start: at(moment), end: None },
        granted_at: at(moment),
        last_activation: None,
        last_check: Some(at(moment)),
        recommendation: number.is_multiple_of(2).then_some(Recommendation::Deny),
    }
}

/// An event about reviews, by its number.
pub(super) fn event(what: u8, (a, b, c): (usize, usize, usize), holders: [&str; 2], moment: i64) -> Event {
    let id = review_id(a);
    match what {
        0 => {
            let first = Date::try_from("2030-01-31".to_owned()).unwrap();
            let schedule = Schedule { every: Every::Monthly, first, at: TimeOfDay::MIDNIGHT, zone: Zone::utc() };
            let next = c.is_multiple_of(2).then_some(Upcoming { number: 1, at: at(moment) });
            let (defined_by, defined_at) = (caller(holders[0]), at(moment));
            let id = definition_id(a);
            let definition = ReviewDefinition { id, plan: plan(), schedule, defined_by, defined_at, opened: 0, next, ended: None };
            Event::ReviewDefined { definition: Box::new(definition) }
        }
        1 => Event::ReviewsEnded { id: definition_id(a), reason: None },
        2 => {
            let review = Review {
                id,
                of: ReviewOf::Definition(definition_id(b)),
                number: 1,
                plan: plan(),
                opened_at: at(moment),
                tally: Tally::default(),
                truncated: false,
                completed_at: None,
                state: ReviewState::NotStarted { after: None },
            };
            Event::ReviewOpened { review: Box::new(review), next: Some(Upcoming { number: 2, at: at(moment) }) }
        }
        3 | 4 => {
            let items = (0..c % 4).map(|more| item(b + more, holders[more % 2], moment)).collect();
            let after = Some(Taken { role: role("admin"), grant: GrantRef::Eligibility(EligibilityId::new("elg_1").unwrap()) });
            Event::ReviewItemsTaken { id, items, after, truncated: c.is_multiple_of(5) }
        }
        5 => Event::ReviewStageBegan { id, stage: 0, ends_at: at(moment + 5000), remind_at: b.is_multiple_of(2).then(|| at(moment)) },
        6 => Event::ReviewItemDecided { id, subject: subject(b), stage: 0, decided: Decided::ALL[c % 3], reason: text("r").digest() },
        7 => Event::ReviewCompleted { id, items: 1, undecided: 1, removals: 0, confirm: false, reason: None },
        8 => Event::ReviewApplying { id, confirmed: None },
        9 => Event::ReviewItemApplied { id, subject: subject(b), applied: Applied::Removed },
        _ => Event::ReviewApplied { id, items: 1, removed: 0 },
    }
}

fn whole<T>(listing: Listing<T>) -> Vec<T> {
    assert_eq!(listing.next, None);
    listing.items
}

/// Asks both every question about reviews.
pub(super) fn compare(store: &Store, memory: &MemoryRows, holders: &[&str], roles: &[&str]) -> Result<(), TestCaseError> {
    let (all, page) = (&memory.all, Page::first(1000));
    for number in 0..REVIEWS {
        let (id, definition) = (review_id(number), definition_id(number));
        prop_assert_eq!(store.review(&id), memory.review(&id));
        prop_assert_eq!(store.review_definition(&definition), memory.review_definition(&definition));
        for after in [None, Some(subject(1)), Some(subject(5)), Some(subject(8))] {
            for limit in [0, 1, 3, 100] {
                let (ours, theirs) = (store.review_entries(&id, after.as_ref(), limit), memory.review_entries(&id, after.as_ref(), limit));
                prop_assert_eq!(ours, theirs);
            }
        }
        let entries = memory.review_entries(&id, None, 100).unwrap();
        prop_assert_eq!(&whole(store.review_items(&id, None, &page).unwrap()), &entries);
        for holder in holders.iter().map(|name| uid(name)) {
            let theirs: Vec<_> = entries.iter().filter(|entry| entry.item.holder == holder).cloned().collect();
            prop_assert_eq!(whole(store.review_items(&id, Some(&holder), &page).unwrap()), theirs.clone());
            let one_by_one = all_pages(1, |page| store.review_items(&id, Some(&holder), page).unwrap());
            prop_assert_eq!(one_by_one.concat(), theirs);
        }
        for subject in (0..12).map(subject) {
            prop_assert_eq!(store.review_entry(&id, &subject), memory.review_entry(&id, &subject));
        }
        let mut reviews: Vec<_> = all.reviews.values().cloned().map(Arc::new).collect();
        reviews.sort_by_key(|review| std::cmp::Reverse((review.opened_at, review.id.clone())));
        prop_assert_eq!(&whole(store.reviews(&ReviewFilter::default(), &page).unwrap()), &reviews);
        let of = ReviewFilter { definition: Some(definition.clone()), status: Some(ReviewStatus::InProgress) };
        let wanted =
            |review: &&Arc<Review>| review.of == ReviewOf::Definition(definition.clone()) && review.status() == ReviewStatus::InProgress;
        prop_assert_eq!(whole(store.reviews(&of, &page).unwrap()), reviews.iter().filter(wanted).cloned().collect::<Vec<_>>());
    }
    let definitions: Vec<_> = all.review_definitions.values().cloned().map(Arc::new).collect();
    prop_assert_eq!(whole(store.review_definitions(&page).unwrap()), definitions);
    for role in [None].into_iter().chain(roles.iter().map(|name| Some(role(name)))) {
        let every = memory.standing_grants(role.as_ref(), None, 100).unwrap();
        for after in [None].into_iter().chain(every.iter().map(Some)) {
            for limit in [1, 100] {
                let (ours, theirs) =
                    (store.standing_grants(role.as_ref(), after, limit), memory.standing_grants(role.as_ref(), after, limit));
                prop_assert_eq!(ours, theirs);
            }
        }
    }
    for number in 0..6 {
        let id = EligibilityId::new(&format!("elg_{number}")).unwrap();
        prop_assert_eq!(store.last_activation(&id), memory.last_activation(&id));
    }
    Ok(())
}

#[test]
fn marks_of_use_rise_and_are_no_part_of_what_the_journal_proves() {
    let mut desk = Desk::new();
    furnish(&mut desk);
    let grants = [GrantRef::Eligibility(EligibilityId::new("elg_1").unwrap()), GrantRef::Assignment(AssignmentId::new("asg_1").unwrap())];
    let save = |desk: &Desk, place: usize, when: i64| desk.store().save_checks(&[(grants[place].clone(), at(when))]).unwrap();
    save(&desk, 0, 5000);
    save(&desk, 0, 4000);
    save(&desk, 1, 3000);
    let last = |desk: &Desk| grants.clone().map(|grant| desk.store().last_check(&grant).unwrap());
    assert_eq!(last(&desk), [Some(at(5000)), Some(at(3000))]);
    desk.reopen();
    assert_eq!(last(&desk), [Some(at(5000)), Some(at(3000))]);
    desk.opened = None;
    let report = crate::store::rebuild(desk.path()).unwrap();
    assert!(report.equal && report.families.iter().all(|(name, ..)| *name != "last_checks"), "{:?}", report.differences);
}

#[test]
fn a_folder_of_format_2_gets_what_reviews_need_from_its_journal() {
    let mut desk = Desk::new();
    furnish(&mut desk);
    desk.tamper(|db, batch| {
        let at = At::latest(db);
        for family in [GRANTS_BY_ROLE.name, LAST_ACTIVATIONS.name] {
            for row in raw_rows(&at, family, &[]).unwrap() {
                batch.delete_cf(handle(db, family).unwrap(), row.unwrap().0);
            }
        }
        META.put(db, batch, &MetaKey::Format, &Raw(2_u32.to_be_bytes().to_vec())).unwrap();
    });
    desk.reopen();
    let id = EligibilityId::new("elg_1").unwrap();
    assert_eq!(desk.store().last_activation(&id).unwrap(), Some(at(START + 5000)));
    let standing = desk.store().standing_grants(None, None, 10).unwrap();
    assert_eq!(standing, desk.memory.standing_grants(None, None, 10).unwrap());
    assert_eq!(standing.len(), 2);
    desk.opened = None;
    assert!(crate::store::rebuild(desk.path()).unwrap().equal);
}
