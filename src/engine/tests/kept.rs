//! What a view keeps of memberships, and the store of rows, is never told from what is found anew.

use crate::domain::{AssignmentId, Command, MemoryRows, Uid};
use crate::policy::Ask;

use super::sample::{World, assign, group, put, user, write};

/// Numbers that look random and are the same in every run (xorshift).
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 1).unwrap() % limit
    }

    pub(super) fn some(&mut self, of: &[Uid]) -> Vec<Uid> {
        of.iter().filter(|_| self.below(2) == 0).cloned().collect()
    }
}

/// Assignments that stand, by holder.
pub(super) fn assignments(world: &World) -> Vec<(AssignmentId, Uid)> {
    let stored = world.memory.stored.read().unwrap();
    let all = stored.rows.all.assignments.values().filter(|assignment| assignment.ended.is_none());
    all.map(|assignment| (assignment.id.clone(), assignment.holder.clone())).collect()
}

/// The answer over a plain copy of what is stored, which keeps nothing.
fn found_anew(world: &World, ask: &Ask) -> (bool, Vec<Uid>) {
    let view = world.engine.view();
    let rows = MemoryRows { definitions: view.bundle.definitions().clone(), ..world.memory.stored.read().unwrap().rows.clone() };
    let verdict = view.bundle.check(&rows, ask, world.engine.moment()).unwrap();
    (verdict.allowed, verdict.memberships.groups.clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn memberships_that_are_kept_are_those_that_would_be_found() {
    let world = World::new();
    let (root, zoe) = (user("root"), user("zoe"));
    // whoever stands later in the list may be above whoever stands earlier
    let groups: Vec<Uid> = (0..9).map(|number| group(&format!("g{number}"))).collect();
    for uid in groups.iter().chain([&zoe]) {
        world.done(&root, put(uid, &[])).await;
    }
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    let (mut allowed, mut many) = (0, 0);
    for step in 0..600 {
        let place = dice.below(groups.len());
        let command = match dice.below(10) {
            0..=2 => put(&zoe, &dice.some(&groups)),
            3..=5 => put(&groups[place], &dice.some(&groups[place + 1..])),
            6..=7 => assign(&groups[place], "writer"),
            8 => {
                let Some((id, _)) = assignments(&world).get(place).cloned() else { continue };
                Command::RemoveAssignment { id, reason: None }
            }
            _ => Command::DeleteEntity { uid: groups[place].clone(), reason: None },
        };
        // some are refused (deleted twice, granted already), and change nothing
        let _ = world.submit(&root, command).await;
        for _ in 0..2 {
            let verdict = world.engine.check(&write(&zoe)).unwrap().verdict;
            assert_eq!((verdict.allowed, verdict.memberships.groups.clone()), found_anew(&world, &write(&zoe)), "step {step}");
            allowed += usize::from(verdict.allowed);
            many += usize::from(verdict.memberships.groups.len() >= 4);
        }
    }
    assert!((100..1100).contains(&allowed) && many > 200, "{allowed} allowed, {many} in many groups");
}
