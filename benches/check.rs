//! How long one check takes inside the process, by the number of policies and of principals.
//!
//! A check goes the whole way: engine, view, one point read in the store, standing, slice, evaluation. The question is always the same
//! kind: may this user, who activated a role on an environment, do something to a database below it? Every check asks for another
//! user, at random among all, so that a large set of principals is read from the store and not from a warm row.
//!
//! Run it with `make bench`. Times are of one thread, in nanoseconds; the folder is on the disk of `TMPDIR`.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::panic, reason = "a bench that cannot go on has nothing else to do")]

mod kit;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use elevon::domain::grant::{ActivationGrant, Basis, EligibilityGrant, EntityRow, Under};
use elevon::domain::settings::{EdgeSource, JsonObject, ParentEdge};
use elevon::domain::{ActivationId, Changes, EligibilityId, EntityDef, Grants, Incarnation, RoleName, Timestamp, Uid, Window};
use elevon::engine::ports::Journal as _;
use elevon::policy::{Ask, Bundle};
use elevon::store::{Mode, Store};
use kit::{Dice, GUARD, commit, engine, quantile};

const POLICIES: [usize; 4] = [10, 100, 1_000, 10_000];
const PRINCIPALS: [usize; 2] = [1_000, 1_000_000];
/// Rows of one commit while principals are loaded.
const ROWS_PER_COMMIT: usize = 10_000;
/// Most checks of one figure, and how long one figure may take: the slowest are over after fewer checks.
const CHECKS: usize = 20_000;
const BUDGET: Duration = Duration::from_secs(4);
/// Checks of one figure that are not counted, before it begins.
const WARM_UP: usize = 50;
/// Roles, environments and databases that the policies and principals are spread over.
const SPREAD: usize = 100;

const SCHEMA: &str = "
entity Group in [Group];
entity User in [Group, Role];
entity Environment;
entity Database in [Environment];
action \"read\", \"write\" appliesTo { principal: [User], resource: [Database] };
";

fn main() {
    // `cargo test --benches` starts it as a test: that it builds is enough then.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    println!(
        "{:>10}  {:>10}  {:>12}  {:>12}  {:>12}  {:>10}",
        "policies", "principals", "allow p50 ns", "allow p99 ns", "deny p50 ns", "start ms"
    );
    for principals in numbers("BENCH_PRINCIPALS", &PRINCIPALS) {
        let folder = tempfile::tempdir().unwrap();
        load(folder.path(), principals);
        for policies in numbers("BENCH_POLICIES", &POLICIES) {
            measure(folder.path(), policies, principals);
        }
    }
}

fn numbers(name: &str, usual: &[usize]) -> Vec<usize> {
    std::env::var(name).map_or_else(|_| usual.to_vec(), |text| text.split(',').map(|number| number.parse().unwrap()).collect())
}

fn measure(folder: &Path, policies: usize, principals: usize) {
    let bundle = bundle(policies);
    let began = Instant::now();
    let engine = engine(folder, bundle);
    let started = began.elapsed();
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    let mut ask = |right_place: bool| {
        // of few policies, not every role has one that lets it write: only users of roles that do are asked about
        let number = dice.below(principals);
        let number = number - number % SPREAD + number % SPREAD % (policies - 1);
        let place = if right_place { number } else { number + 1 };
        Ask::new(user(number), "write", database(place % SPREAD))
    };
    let mut times = |right_place: bool| {
        let mut taken = Vec::with_capacity(CHECKS);
        let figure = Instant::now();
        for round in 0..WARM_UP + numbers("BENCH_CHECKS", &[CHECKS])[0] {
            if figure.elapsed() > BUDGET {
                break;
            }
            let ask = ask(right_place);
            let began = Instant::now();
            let checked = engine.check(&ask).unwrap();
            let elapsed = began.elapsed().as_nanos();
            assert_eq!(checked.verdict.allowed, right_place, "{:?}", checked.verdict);
            if round >= WARM_UP {
                taken.push(elapsed);
            }
        }
        taken.sort_unstable();
        taken
    };
    let (allow, deny) = (times(true), times(false));
    println!(
        "{policies:>10}  {principals:>10}  {:>12}  {:>12}  {:>12}  {:>10}",
        quantile(&allow, 50),
        quantile(&allow, 99),
        quantile(&deny, 50),
        started.as_millis()
    );
    engine.stop();
}

fn user(number: usize) -> Uid {
    Uid::new("User", &format!("user-{number:07}")).unwrap()
}

fn database(number: usize) -> Uid {
    Uid::new("Database", &format!("db-{number}")).unwrap()
}

fn environment(number: usize) -> Uid {
    Uid::new("Environment", &format!("env-{number}")).unwrap()
}

fn role(number: usize) -> RoleName {
    RoleName::new(&format!("role-{number}")).unwrap()
}

/// A bundle of so many policies: each lets one role do one thing in one environment.
fn bundle(policies: usize) -> Bundle {
    let mut cedar = "permit(principal == User::\"root\", action, resource);\n".to_owned();
    for number in 0..policies - 1 {
        let (role, environment) = (number % SPREAD, number % SPREAD);
        let action = if number < SPREAD { "write" } else { "read" };
        writeln!(
            cedar,
            "@id(\"p{number}\")\npermit(principal in Role::\"role-{role}\", action == Action::\"{action}\", resource in Environment::\"env-{environment}\");"
        )
        .unwrap();
    }
    let mut roles = "[elevon]\nprincipal_types = [\"User\"]\ngroup_types = [\"Group\"]\n".to_owned();
    let mut entities = vec![serde_json::json!({"uid": {"type": "User", "id": "root"}, "attrs": {}, "parents": []})];
    for number in 0..SPREAD {
        writeln!(roles, "[roles.\"role-{number}\"]").unwrap();
        let above = environment(number);
        entities.push(serde_json::json!({"uid": above, "attrs": {}, "parents": []}));
        entities.push(serde_json::json!({"uid": database(number), "attrs": {}, "parents": [above]}));
    }
    let entities = serde_json::Value::Array(entities).to_string();
    let files = [
        ("schema.cedarschema", SCHEMA),
        ("main.cedar", &cedar),
        ("roles.toml", &roles),
        ("entities.json", &entities),
        ("tests/guard.toml", GUARD),
    ];
    let files: BTreeMap<_, _> = files.into_iter().map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec())).collect();
    Bundle::from_files(files).unwrap_or_else(|error| panic!("{error}"))
}

/// Fills a data folder with principals, each in a group and with one activation on one environment, through the store's own port.
fn load(folder: &Path, principals: usize) {
    let mut opened = Store::open(folder, Mode::Dev).unwrap();
    let now = Timestamp::from(chrono::Utc::now());
    let mut head = opened.journal.head();
    let mut next = 0;
    while next < principals {
        let seq = head.seq + 1;
        let mut changes = Changes::default();
        for number in next..principals.min(next + ROWS_PER_COMMIT) {
            changes.rows.insert(user(number), Arc::new(row(number, seq, now)));
        }
        next += ROWS_PER_COMMIT;
        head = commit(&mut opened.journal, &head, changes, now);
    }
}

fn definition(number: usize) -> EntityDef {
    let group = Uid::new("Group", &format!("team-{}", number % SPREAD)).unwrap();
    let edge = ParentEdge { parent: group, incarnation: Incarnation::default(), source: EdgeSource::Api };
    EntityDef { uid: user(number), parents: vec![edge], attrs: JsonObject::empty() }
}

fn row(number: usize, changed: u64, now: Timestamp) -> EntityRow {
    let scope = environment(number % SPREAD);
    let under = Under { holder: Incarnation::default(), role: Incarnation::default(), scope: Some(Incarnation::default()) };
    let eligibility = EligibilityId::new(&format!("elg_{number}")).unwrap();
    let window = Window { start: now, end: Some(now.plus(elevon::domain::Duration::from_hours(8))) };
    let role = role(number % SPREAD);
    let eligible = EligibilityGrant {
        id: eligibility.clone(),
        role: role.clone(),
        scope: Some(scope.clone()),
        window: Window { start: now, end: None },
        under,
    };
    let active = ActivationGrant {
        id: ActivationId::new(&format!("act_{number}")).unwrap(),
        role,
        scope: Some(scope),
        window,
        under,
        basis: Basis { eligibility, holder: user(number) },
        basis_incarnation: Incarnation::default(),
        approvals: 1,
        extensions: 0,
        emergency: false,
        ticket: None,
        seq: changed,
    };
    let grants = Grants { eligibilities: vec![eligible], activations: vec![active], ..Grants::default() };
    EntityRow { changed, stored: Some(Arc::new(definition(number))), grants, ..EntityRow::default() }
}
