//! What many memberships and eligibilities cost a check: one principal in one group with one eligibility, beside others in two hundred groups
//! with fifty.
//!
//! All are asked about in turn in one run, so that the ratios hold whatever else the machine does. The question is the same for all: may this
//! user, who activated a role on an environment, do something to a database below it? Two shapes of two hundred memberships: *nested* is in
//! twenty groups, each at the foot of a chain of ten; *wide* is in two hundred groups directly. Half of the fifty eligibilities are the
//! principal's own and half its groups'.
//!
//! Run it with `make bench`. Times are of one thread, in process, in nanoseconds.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::panic,
    reason = "a bench that cannot go on has nothing else to do"
)]

mod kit;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use elevon::domain::grant::{ActivationGrant, Basis, EligibilityGrant, EntityRow, Under};
use elevon::domain::settings::{EdgeSource, JsonObject, ParentEdge};
use elevon::domain::{ActivationId, Changes, Duration, EligibilityId, EntityDef, Grants, Incarnation, RoleName, Timestamp, Uid, Window};
use elevon::engine::ports::Journal as _;
use elevon::policy::{Ask, Bundle};
use elevon::store::{Mode, Store};
use kit::{Dice, GUARD, commit, engine, quantile};

const SCHEMA: &str = "
entity Group in [Group];
entity User in [Group, Role];
entity Environment;
entity Database in [Environment];
action \"read\", \"write\" appliesTo { principal: [User], resource: [Database] };
";

/// Policies like those of a small company; two of them are about groups.
const POLICIES: &str = r#"
permit(principal == User::"root", action, resource);
permit(principal in Role::"db-admin", action in [Action::"read", Action::"write"], resource is Database);
permit(principal in Role::"db-reader", action == Action::"read", resource is Database);
permit(principal in Role::"db-operator", action == Action::"read", resource is Database);
permit(principal in Group::"nested-3-9", action == Action::"read", resource in Environment::"dev");
permit(principal in Group::"wide-17", action == Action::"read", resource in Environment::"dev");
permit(principal in Role::"global-admin", action, resource) when { resource in Environment::"prod" };
forbid(principal, action == Action::"write", resource in Environment::"frozen");
forbid(principal, action, resource in Environment::"closed") unless { principal in Role::"global-admin" };
forbid(principal in Group::"barred", action, resource);
"#;

const ROLES: &str = "
[elevon]
principal_types = [\"User\"]
group_types = [\"Group\"]
[roles.\"db-admin\"]
[roles.\"db-reader\"]
[roles.\"db-operator\"]
[roles.\"global-admin\"]
";

const CHAINS: usize = 20;
const DEPTH: usize = 10;
const WIDE: usize = CHAINS * DEPTH;
const ELIGIBILITIES: usize = 50;
const ROUNDS: usize = 20_000;
const WARM_UP: usize = 500;
/// Principals of each shape, asked about at random.
const EACH: usize = 50;

fn main() {
    // `cargo test --benches` starts it as a test: that it builds is enough then.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    load(folder.path());
    let engine = engine(folder.path(), bundle());
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    let shapes = ["one", "nested", "wide"];
    let mut taken: [Vec<u128>; 3] = Default::default();
    for round in 0..WARM_UP + ROUNDS {
        for (shape, taken) in shapes.into_iter().zip(&mut taken) {
            let ask = Ask::new(user(shape, dice.below(EACH)), "write", Uid::new("Database", "orders").unwrap());
            let began = Instant::now();
            let checked = engine.check(&ask).unwrap();
            let elapsed = began.elapsed().as_nanos();
            assert!(checked.verdict.allowed, "{:?}", checked.verdict.reason);
            if round >= WARM_UP {
                taken.push(elapsed);
            }
        }
    }
    taken.iter_mut().for_each(|taken| taken.sort_unstable());
    let base = quantile(&taken[0], 50);
    println!("{:>10}  {:>12}  {:>12}  {:>8}", "principal", "p50 ns", "p99 ns", "ratio");
    for (shape, taken) in shapes.into_iter().zip(&taken) {
        let p50 = quantile(taken, 50);
        println!("{shape:>10}  {p50:>12}  {:>12}  {:>8.2}", quantile(taken, 99), p50 as f64 / base as f64);
    }
    engine.stop();
}

fn bundle() -> Bundle {
    let entity = |kind: &str, id: &str, parents: serde_json::Value| serde_json::json!({"uid": {"type": kind, "id": id}, "attrs": {}, "parents": parents});
    let prod = serde_json::json!([{"type": "Environment", "id": "prod"}]);
    let none = || serde_json::json!([]);
    let entities = serde_json::json!([
        entity("User", "root", none()),
        entity("Environment", "prod", none()),
        entity("Environment", "dev", none()),
        entity("Database", "orders", prod),
    ]);
    let entities = entities.to_string();
    let files = [
        ("schema.cedarschema", SCHEMA),
        ("main.cedar", POLICIES),
        ("roles.toml", ROLES),
        ("entities.json", &entities),
        ("tests/guard.toml", GUARD),
    ];
    let files: BTreeMap<_, _> = files.into_iter().map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec())).collect();
    Bundle::from_files(files).unwrap_or_else(|error| panic!("{error}"))
}

fn user(shape: &str, number: usize) -> Uid {
    Uid::new("User", &format!("{shape}-{number}")).unwrap()
}

fn group(name: &str) -> Uid {
    Uid::new("Group", name).unwrap()
}

fn stored(uid: &Uid, parents: &[Uid], changed: u64) -> EntityRow {
    let edge = |parent: &Uid| ParentEdge { parent: parent.clone(), incarnation: Incarnation::default(), source: EdgeSource::Api };
    let def = EntityDef { uid: uid.clone(), parents: parents.iter().map(edge).collect(), attrs: JsonObject::empty() };
    EntityRow { changed, stored: Some(Arc::new(def)), ..EntityRow::default() }
}

/// Groups and principals, written through the store's own port.
fn load(folder: &Path) {
    let mut opened = Store::open(folder, Mode::Dev).unwrap();
    let now = Timestamp::from(chrono::Utc::now());
    let head = opened.journal.head();
    let changed = head.seq + 1;
    let mut changes = Changes::default();
    let mut put = |uid: Uid, row: EntityRow| drop(changes.rows.insert(uid, Arc::new(row)));
    let mut feet = Vec::new();
    for chain in 0..CHAINS {
        for step in 0..DEPTH {
            let uid = group(&format!("nested-{chain}-{step}"));
            let above: Vec<Uid> = (step + 1 < DEPTH).then(|| group(&format!("nested-{chain}-{}", step + 1))).into_iter().collect();
            let mut row = stored(&uid, &above, changed);
            row.grants = eligible(&uid, usize::from(step == 5 && chain < ELIGIBILITIES / 2), now);
            if step == 0 {
                feet.push(uid.clone());
            }
            put(uid, row);
        }
    }
    let wide: Vec<Uid> = (0..WIDE).map(|number| group(&format!("wide-{number}"))).collect();
    for (number, uid) in wide.iter().enumerate() {
        let mut row = stored(uid, &[], changed);
        row.grants = eligible(uid, usize::from(number < ELIGIBILITIES / 2), now);
        put(uid.clone(), row);
    }
    put(group("team"), stored(&group("team"), &[], changed));
    for number in 0..EACH {
        for (shape, parents, count) in
            [("one", vec![group("team")], 1), ("nested", feet.clone(), ELIGIBILITIES / 2), ("wide", wide.clone(), ELIGIBILITIES / 2)]
        {
            let uid = user(shape, number);
            let mut row = stored(&uid, &parents, changed);
            row.grants = eligible(&uid, count, now);
            row.grants.activations = vec![active(&uid, &row.grants, changed, now)];
            put(uid, row);
        }
    }
    let _ = commit(&mut opened.journal, &head, changes, now);
}

fn under() -> Under {
    Under { holder: Incarnation::default(), role: Incarnation::default(), scope: Some(Incarnation::default()) }
}

fn eligible(holder: &Uid, count: usize, now: Timestamp) -> Grants {
    let roles = ["db-admin", "db-reader", "db-operator", "global-admin"];
    let one = |number: usize| EligibilityGrant {
        id: EligibilityId::new(&format!("elg_{}_{number:03}", holder.id())).unwrap(),
        role: RoleName::new(roles[number % roles.len()]).unwrap(),
        scope: Some(Uid::new("Environment", if number < roles.len() { "prod" } else { "dev" }).unwrap()),
        window: Window { start: now, end: None },
        under: under(),
    };
    Grants { eligibilities: (0..count).map(one).collect(), ..Grants::default() }
}

fn active(holder: &Uid, grants: &Grants, seq: u64, now: Timestamp) -> ActivationGrant {
    let eligibility = grants.eligibilities.first().unwrap();
    ActivationGrant {
        id: ActivationId::new(&format!("act_{}", holder.id())).unwrap(),
        role: eligibility.role.clone(),
        scope: eligibility.scope.clone(),
        window: Window { start: now, end: Some(now.plus(Duration::from_hours(8))) },
        under: under(),
        basis: Basis { eligibility: eligibility.id.clone(), holder: holder.clone() },
        basis_incarnation: Incarnation::default(),
        approvals: 1,
        extensions: 0,
        emergency: false,
        ticket: None,
        seq,
    }
}
