//! The company: its departments, groups, systems and roles, and the bundle that says so.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::calendar::{DAY, HOUR, MINUTE};

pub const DEPARTMENTS: [&str; 10] = ["billing", "crm", "data", "erp", "fraud", "grid", "hr", "infra", "legal", "mail"];
/// Teams of a department.
pub const TEAMS: usize = 3;
/// Those who look after Elevon itself: they grant, review emergencies and confirm, and hold nothing.
pub const SECURITY: usize = 6;

// ---- scopes: the company, three environments, five systems in each -----------------------------------------------------------------

pub const ENVIRONMENTS: usize = 3;
pub const SYSTEMS: usize = 15;
pub const SCOPES: usize = 1 + ENVIRONMENTS + SYSTEMS;

pub fn scope_name(scope: usize) -> (&'static str, String) {
    match scope {
        0 => ("Company", "acme".to_owned()),
        1..=ENVIRONMENTS => ("Environment", format!("env-{scope}")),
        _ => ("System", format!("sys-{:02}", scope - ENVIRONMENTS)),
    }
}

pub fn scope_json(scope: usize) -> Value {
    let (kind, id) = scope_name(scope);
    json!({"type": kind, "id": id})
}

/// Whether a scope is another one or below it.
pub fn within(scope: usize, above: usize) -> bool {
    scope == above || above == 0 || (scope > ENVIRONMENTS && environment_of(scope) == above)
}

fn environment_of(system: usize) -> usize {
    1 + (system - ENVIRONMENTS - 1) / (SYSTEMS / ENVIRONMENTS)
}

/// The systems on or below a scope.
pub fn systems_below(scope: Option<usize>) -> Vec<usize> {
    (ENVIRONMENTS + 1..SCOPES).filter(|system| scope.is_none_or(|scope| within(*system, scope))).collect()
}

// ---- groups: departments, teams in them, those who lead them, and security ---------------------------------------------------------

pub const LEADS: usize = DEPARTMENTS.len() * (1 + TEAMS);
pub const SECURITY_GROUP: usize = LEADS + DEPARTMENTS.len();
/// Two who approve for one role.
pub const PAIR: usize = SECURITY_GROUP + 1;
pub const GROUPS: usize = PAIR + 1;

pub fn team(department: usize, number: usize) -> usize {
    DEPARTMENTS.len() + department * TEAMS + number
}

pub fn leads(department: usize) -> usize {
    LEADS + department
}

/// The group that a group is in.
pub fn group_above(group: usize) -> Option<usize> {
    match group {
        _ if group < DEPARTMENTS.len() || group >= SECURITY_GROUP => None,
        _ if group < LEADS => Some((group - DEPARTMENTS.len()) / TEAMS),
        _ => Some(group - LEADS),
    }
}

pub fn group_name(group: usize) -> String {
    match group {
        SECURITY_GROUP => "security".to_owned(),
        PAIR => "pair".to_owned(),
        _ if group < DEPARTMENTS.len() => DEPARTMENTS[group].to_owned(),
        _ if group < LEADS => {
            format!("{}-team-{}", DEPARTMENTS[(group - DEPARTMENTS.len()) / TEAMS], (group - DEPARTMENTS.len()) % TEAMS + 1)
        }
        _ => format!("{}-leads", DEPARTMENTS[group - LEADS]),
    }
}

// ---- roles -------------------------------------------------------------------------------------------------------------------------

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Look: nobody is asked.
    Use,
    /// Change: a ticket, extended at will, by the hours of a day.
    Operate,
    /// Administer: one who leads approves.
    Admin,
    /// Everything: two of those who lead approve, or the glass is broken.
    Rescue,
}

pub const KINDS: [Kind; 4] = [Kind::Use, Kind::Operate, Kind::Admin, Kind::Rescue];

#[derive(Debug)]
pub struct Role {
    pub name: String,
    pub kind: Kind,
    pub department: usize,
    pub most: i64,
    pub default: i64,
    pub quorum: usize,
    pub timeout: i64,
    pub extensions: u32,
    /// Seconds of a day.
    pub budget: Option<i64>,
    /// How long break-glass lasts at most, how often a day, and within which time it is reviewed.
    pub emergency: Option<(i64, usize, i64)>,
    pub permanent: bool,
    pub assignable: bool,
    pub scope_required: bool,
}

impl Role {
    /// The group of those who approve.
    pub fn approvers(&self) -> usize {
        if self.kind == Kind::Rescue && self.department == 7 { PAIR } else { leads(self.department) }
    }
}

pub fn roles() -> Vec<Role> {
    let all = DEPARTMENTS.iter().enumerate().flat_map(|(department, name)| KINDS.map(|kind| (department, name, kind)));
    all.map(|(department, name, kind)| {
        let even = department % 2 == 0;
        let (word, most, default, quorum, extensions) = match kind {
            Kind::Use => ("use", 8 * HOUR, 2 * HOUR, 0, 1),
            Kind::Operate => ("operate", 4 * HOUR, HOUR, 0, 2),
            Kind::Admin => ("admin", 2 * HOUR, HOUR, 1, 1),
            Kind::Rescue => ("rescue", HOUR, 30 * MINUTE, 2, 0),
        };
        Role {
            name: format!("{name}-{word}"),
            kind,
            department,
            most,
            default,
            quorum,
            timeout: if even { 8 * HOUR } else { 4 * HOUR },
            extensions,
            budget: (kind == Kind::Operate && even).then_some(3 * HOUR),
            emergency: (kind == Kind::Rescue).then_some((30 * MINUTE, 2, if even { 72 * HOUR } else { 24 * HOUR })),
            permanent: kind != Kind::Admin || even,
            assignable: kind == Kind::Use || (kind == Kind::Rescue && department == 8),
            scope_required: matches!(kind, Kind::Admin | Kind::Rescue),
        }
    })
    .collect()
}

fn duration(seconds: i64) -> String {
    if seconds % DAY == 0 { format!("P{}D", seconds / DAY) } else { format!("PT{}M", seconds / MINUTE) }
}

fn role_text(role: &Role, weak: bool) -> String {
    let mut text = format!("[roles.\"{}\"]\nscopes = [\"Company\", \"Environment\", \"System\"]\n", role.name);
    let _ = writeln!(text, "max_duration = \"{}\"\ndefault_duration = \"{}\"", duration(role.most), duration(role.default));
    let _ = writeln!(text, "scope_required = {}", role.scope_required);
    if role.extensions > 0 {
        let _ = writeln!(
            text,
            "max_extensions = {}
extendable_after = 50",
            role.extensions
        );
    }
    let require = match role.kind {
        _ if weak => r#"["justification"]"#,
        Kind::Operate => r#"["justification", "ticket", "mfa"]"#,
        Kind::Use | Kind::Admin | Kind::Rescue => r#"["justification", "mfa"]"#,
    };
    let _ = writeln!(text, "require = {require}");
    if !weak {
        text.push_str("mfa_max_age = \"PT12H\"\n");
    }
    if matches!(role.kind, Kind::Admin | Kind::Rescue) {
        text.push_str("privileged = true\n");
    }
    if role.kind == Kind::Operate {
        let _ = writeln!(text, "ticket_pattern = \"CHG-[0-9]+\"");
    }
    if let Some(budget) = role.budget {
        let _ = writeln!(text, "max_active_per_day = \"{}\"", duration(budget));
    }
    let _ = writeln!(text, "eligibility.max_duration = \"P365D\"\neligibility.allow_permanent = {}", role.permanent);
    if role.assignable {
        let _ = writeln!(text, "assignment.max_duration = \"P365D\"\nassignment.allow_permanent = true");
    }
    if let Some((most, times, within)) = role.emergency {
        let (most, within) = (duration(most), duration(within));
        let _ = writeln!(text, "emergency = {{ max_duration = \"{most}\", max_per_day = {times}, review_within = \"{within}\" }}");
    }
    if role.quorum > 0 {
        let approvers = group_name(role.approvers());
        let _ = writeln!(text, "[[roles.\"{}\".approval.stages]]\napprovers = ['Group::\"{approvers}\"']", role.name);
        let _ = writeln!(text, "quorum = {}\ntimeout = \"{}\"", role.quorum, duration(role.timeout));
    }
    text
}

// ---- the bundle --------------------------------------------------------------------------------------------------------------------

const SCHEMA: &str = r#"
entity User in [Group, Role] = { person?: String } tags Elevon::Holding;
entity Group in [Group];
entity Company;
entity Environment in [Company];
entity System in [Environment];
"#;

const ELEVON: &str = r#"
@id("ask-for-oneself")
permit (principal, action in [Elevon::Action::"activateRole", Elevon::Action::"activateInEmergency"], resource);

@id("extend-ones-own")
permit (principal, action == Elevon::Action::"extendActivation", resource)
when { context has beneficiary && context.beneficiary.self };

@id("vote-and-review")
permit (
  principal,
  action in [Elevon::Action::"approveActivation", Elevon::Action::"denyActivation"],
  resource
);

@id("review")
permit (principal, action == Elevon::Action::"reviewAccess", resource is Elevon::RoleGrant);

@id("security")
permit (
  principal in Group::"security",
  action in
    [Elevon::Action::"assignRole",
     Elevon::Action::"manageEntity",
     Elevon::Action::"manageMembership",
     Elevon::Action::"manageReviews",
     Elevon::Action::"reviewAccess",
     Elevon::Action::"readActivation",
     Elevon::Action::"revokeActivation",
     Elevon::Action::"readAudit",
     Elevon::Action::"checkAccess",
     Elevon::Action::"manageAlerts",
     Elevon::Action::"manageBundle"],
  resource
);
"#;

const GUARD: &str = r#"
[[test]]
name = "security manages the bundle"
guard = true
ask = { principal = 'User::"security-1"', action = "manageBundle" }
expect = "allow"
"#;

pub fn security_name(number: usize) -> String {
    format!("security-{}", number + 1)
}

/// Writes the roles, one of them without a second factor where that is said.
pub fn write_roles(folder: &Path, roles: &[Role], weak: Option<usize>) {
    let mut settings = "[elevon]\nprincipal_types = [\"User\"]\ngroup_types = [\"Group\"]\nrole_type = \"Role\"\n\n".to_owned();
    for (number, role) in roles.iter().enumerate() {
        settings.push_str(&role_text(role, weak == Some(number)));
        settings.push('\n');
    }
    fs::write(folder.join("roles.toml.new"), settings).unwrap();
    fs::rename(folder.join("roles.toml.new"), folder.join("roles.toml")).unwrap();
}

/// Writes the bundle.
pub fn write(folder: &Path, roles: &[Role], alerts: &str) {
    let _ = fs::remove_dir_all(folder);
    fs::create_dir_all(folder.join("tests")).unwrap();
    write_roles(folder, roles, None);
    let (mut schema, mut policies) = (SCHEMA.to_owned(), String::new());
    for role in roles {
        let name = &role.name;
        let _ = writeln!(schema, "action \"{name}\" appliesTo {{ principal: [User], resource: [System], context: {{}} }};");
        let _ = writeln!(
            policies,
            "@id(\"{name}\")\npermit (principal in Role::\"{name}\", action == Action::\"{name}\", resource is System);\n"
        );
    }
    let group = |group: usize| json!({"type": "Group", "id": group_name(group)});
    let mut entities: Vec<Value> = (0..GROUPS)
        .map(|number| json!({"uid": group(number), "parents": group_above(number).map(group).into_iter().collect::<Vec<_>>()}))
        .collect();
    entities.extend((0..SCOPES).map(|scope| {
        let parents = match scope {
            0 => Vec::new(),
            1..=ENVIRONMENTS => vec![scope_json(0)],
            _ => vec![scope_json(environment_of(scope))],
        };
        json!({"uid": scope_json(scope), "parents": parents})
    }));
    entities.extend(
        (0..SECURITY).map(|number| json!({"uid": {"type": "User", "id": security_name(number)}, "parents": [group(SECURITY_GROUP)]})),
    );
    for (name, text) in [
        ("alerts.toml", alerts),
        ("schema.cedarschema", schema.as_str()),
        ("access.cedar", policies.as_str()),
        ("elevon.cedar", ELEVON),
        ("entities.json", serde_json::to_string_pretty(&entities).unwrap().as_str()),
        ("tests/guard.toml", GUARD),
    ] {
        fs::write(folder.join(name), text).unwrap();
    }
}
