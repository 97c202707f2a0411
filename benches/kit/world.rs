//! A data folder full of principals, and bundles of so many policies, for questions of one kind: may this user, who activated a role on an
//! environment, do something to a database below it?

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use elevon::domain::grant::{ActivationGrant, Basis, EligibilityGrant, EntityRow, Under};
use elevon::domain::settings::{EdgeSource, JsonObject, ParentEdge};
use elevon::domain::{ActivationId, Changes, Duration, EligibilityId, EntityDef, Grants, Incarnation, RoleName, Timestamp, Uid, Window};
use elevon::engine::ports::Journal as _;
use elevon::policy::{Ask, Bundle};
use elevon::store::{Mode, Store};

use super::{GUARD, commit};

/// Roles, environments and databases that the policies and principals are spread over.
pub const SPREAD: usize = 100;
/// Rows of one commit while principals are loaded.
const ROWS_PER_COMMIT: usize = 10_000;

const SCHEMA: &str = "
entity Group in [Group];
entity User in [Group, Role] tags Elevon::Holding;
entity Environment in [Environment];
entity Database in [Environment];
action \"read\", \"write\" appliesTo { principal: [User], resource: [Database], context: { now?: datetime } };
";

/// What a data folder and its bundle are like.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    pub policies: usize,
    /// Whether the policies have a condition, which looks at a tag and at the time.
    pub conditions: bool,
    pub principals: usize,
    /// Roles that each principal has active.
    pub roles: usize,
    /// How many groups stand above each other over each principal, and environments over each database.
    pub group_depth: usize,
    pub resource_depth: usize,
}

impl Default for Shape {
    fn default() -> Self {
        Self { policies: 10, conditions: false, principals: 1_000, roles: 1, group_depth: 1, resource_depth: 1 }
    }
}

pub fn user(number: usize) -> Uid {
    Uid::new("User", &format!("user-{number:07}")).unwrap()
}

pub fn role(number: usize) -> RoleName {
    RoleName::new(&format!("role-{number}")).unwrap()
}

fn database(number: usize) -> Uid {
    Uid::new("Database", &format!("db-{number}")).unwrap()
}

/// An environment, by how far it stands above a database.
fn environment(number: usize, level: usize) -> Uid {
    Uid::new("Environment", &format!("env-{number}-{level}")).unwrap()
}

fn team(number: usize, level: usize) -> Uid {
    Uid::new("Group", &format!("team-{number}-{level}")).unwrap()
}

impl Shape {
    /// The environment that roles are scoped to, and policies are about: the topmost.
    fn scope(&self, number: usize) -> Uid {
        environment(number, self.resource_depth - 1)
    }

    /// A question, by a number that says whose, about a database where the role holds, or about another one.
    pub fn ask(&self, number: usize, right_place: bool) -> Ask {
        // of few policies, not every role has one that lets it write: only users of roles that do are asked about
        let number = number - number % SPREAD + number % SPREAD % (self.policies - 1).min(SPREAD);
        let place = if right_place { number } else { number + SPREAD / 2 };
        Ask::new(user(number % self.principals), "write", database(place % SPREAD))
    }

    /// A bundle of so many policies: each lets one role do one thing in one environment. `name` makes it another one.
    pub fn bundle(&self, name: &str) -> Bundle {
        let mut cedar = format!("// {name}\npermit(principal == User::\"root\", action, resource);\n");
        for number in 0..self.policies - 1 {
            let place = number % SPREAD;
            let action = if number < SPREAD { "write" } else { "read" };
            let scope = self.scope(place);
            let condition = if self.conditions {
                format!(
                    " when {{ principal.hasTag(\"role-{place}\") && principal.getTag(\"role-{place}\").approvals >= 1 && \
                     context has now && context.now < datetime(\"2099-01-01\") }}"
                )
            } else {
                String::new()
            };
            writeln!(
                cedar,
                "@id(\"p{number}\")\npermit(principal in Role::\"role-{place}\", action == Action::\"{action}\", resource in {scope}){condition};"
            )
            .unwrap();
        }
        let mut roles = "[elevon]\nprincipal_types = [\"User\"]\ngroup_types = [\"Group\"]\n".to_owned();
        let mut entities = vec![serde_json::json!({"uid": {"type": "User", "id": "root"}, "attrs": {}, "parents": []})];
        let mut chain = |depth: usize, at: &dyn Fn(usize) -> Uid| {
            for level in 0..depth {
                let above: Vec<Uid> = (level + 1 < depth).then(|| at(level + 1)).into_iter().collect();
                entities.push(serde_json::json!({"uid": at(level), "attrs": {}, "parents": above}));
            }
        };
        for number in 0..SPREAD {
            writeln!(roles, "[roles.\"role-{number}\"]\nrequire = []").unwrap();
            chain(self.resource_depth, &|level| environment(number, level));
            chain(self.group_depth, &|level| team(number, level));
        }
        for number in 0..SPREAD {
            entities.push(serde_json::json!({"uid": database(number), "attrs": {}, "parents": [environment(number, 0)]}));
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

    /// Fills a data folder with principals through the store's own port, each in a group and with its activations.
    pub fn load(&self, folder: &Path) {
        let mut opened = Store::open(folder, Mode::Dev).unwrap();
        let now = Timestamp::from(chrono::Utc::now());
        let mut head = opened.journal.head();
        let mut next = 0;
        while next < self.principals {
            let seq = head.seq + 1;
            let mut changes = Changes::default();
            for number in next..self.principals.min(next + ROWS_PER_COMMIT) {
                changes.rows.insert(user(number), Arc::new(self.row(number, seq, now)));
            }
            next += ROWS_PER_COMMIT;
            head = commit(&mut opened.journal, &head, changes, now);
        }
    }

    fn row(&self, number: usize, changed: u64, now: Timestamp) -> EntityRow {
        let mut grants = Grants::default();
        for nth in 0..self.roles {
            // ids as long as those that Elevon makes
            let (place, id) = ((number + nth) % SPREAD, format!("00000000-0000-7000-8000-{number:010}{nth:02}"));
            let scope = self.scope(place);
            let under = Under { holder: Incarnation::default(), role: Incarnation::default(), scope: Some(Incarnation::default()) };
            let eligibility = EligibilityId::new(&format!("elg_{id}")).unwrap();
            let window = Window { start: now, end: Some(now.plus(Duration::from_hours(8))) };
            grants.eligibilities.push(EligibilityGrant {
                id: eligibility.clone(),
                role: role(place),
                scope: Some(scope.clone()),
                window: Window { start: now, end: None },
                under,
            });
            grants.activations.push(ActivationGrant {
                id: ActivationId::new(&format!("act_{id}")).unwrap(),
                role: role(place),
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
            });
        }
        let edge = ParentEdge { parent: team(number % SPREAD, 0), incarnation: Incarnation::default(), source: EdgeSource::Api };
        let stored = EntityDef { uid: user(number), parents: vec![edge], attrs: JsonObject::empty() };
        EntityRow { changed, stored: Some(Arc::new(stored)), grants, ..EntityRow::default() }
    }
}
