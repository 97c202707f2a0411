//! `roles.toml`: which types are principals and groups, and how each role may be held.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::hearers;
use super::problem::Problems;
use super::settings_file::{At, Reader, Section};
use crate::domain::notice::Hearers;
use crate::domain::settings::{Emergency, Fallback, GrantLimits, MAX_STAGES, Requirement, RoleSettings, Stage, TicketPattern, UnknownRule};
use crate::domain::text::Digest;
use crate::domain::{Duration, RoleName, Uid};

/// Most roles of a bundle.
const MAX_ROLES: usize = 10_000;
/// Most approvers that a stage can list.
const MAX_APPROVERS: usize = 100;
/// The highest quorum.
const MAX_QUORUM: u32 = 100;
/// Most extensions that a role can offer.
const MAX_EXTENSIONS: u32 = 100;
/// Most emergency activations of a role on one day.
const MAX_EMERGENCIES: u32 = 1_000;

/// What `[elevon.types.X]` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct TypeRules {
    pub(super) unknown: Option<UnknownRule>,
    pub(super) case_insensitive: bool,
}

/// A role, and where its parts stand.
#[derive(Debug)]
pub(super) struct RoleDraft {
    pub(super) settings: RoleSettings,
    pub(super) scopes: Vec<At<String>>,
    pub(super) approvers: Vec<At<Uid>>,
    /// Whom `notify` names.
    pub(super) named: Vec<At<Uid>>,
    pub(super) quorums: Vec<Range<usize>>,
    /// Where `conditions` stands.
    pub(super) conditions: Range<usize>,
}

/// The file, read; what it says of types is held against the schema afterwards.
#[derive(Debug)]
pub(super) struct RolesFile {
    pub(super) role_type: At<String>,
    pub(super) principal_types: Option<Vec<At<String>>>,
    pub(super) group_types: Option<Vec<At<String>>>,
    pub(super) types: BTreeMap<String, At<TypeRules>>,
    pub(super) roles: BTreeMap<RoleName, RoleDraft>,
}

/// Reads the file.
pub(super) fn read(file: &str, text: &str, problems: &mut Problems) -> RolesFile {
    let reader = Reader::new(file, text);
    let table = reader.parse();
    let roles = read_root(&reader.root(&table));
    problems.absorb(reader.into_problems());
    roles
}

fn read_root(root: &Section<'_>) -> RolesFile {
    root.only(&["elevon", "roles"], &[]);
    let elevon = root.section("elevon");
    let mut file = RolesFile {
        role_type: At { value: "Role".to_owned(), span: 0..0 },
        principal_types: None,
        group_types: None,
        types: BTreeMap::new(),
        roles: BTreeMap::new(),
    };
    if let Some(elevon) = &elevon {
        read_elevon(elevon, &mut file);
    }
    let Some(roles) = root.section("roles") else { return file };
    for key in roles.keys() {
        if file.roles.len() >= MAX_ROLES {
            root.reader.report(key.span, format!("there are more than {MAX_ROLES} roles"), None);
            break;
        }
        match RoleName::new(key.value) {
            Err(error) => root.reader.report(key.span, error.to_string(), None),
            Ok(name) => {
                if let Some(section) = roles.section(key.value) {
                    let draft = read_role(&name, &section);
                    file.roles.insert(name, draft);
                }
            }
        }
    }
    file
}

fn owned(list: Vec<At<&str>>) -> Vec<At<String>> {
    list.into_iter().map(|at| At { value: at.value.to_owned(), span: at.span }).collect()
}

fn read_elevon(elevon: &Section<'_>, file: &mut RolesFile) {
    elevon.only(&["principal_types", "group_types", "role_type", "types"], &[]);
    if let Some(role_type) = elevon.string("role_type") {
        file.role_type = At { value: role_type.value.to_owned(), span: role_type.span };
    }
    file.principal_types = elevon.strings("principal_types").map(owned);
    file.group_types = elevon.strings("group_types").map(owned);
    let Some(types) = elevon.section("types") else { return };
    for key in types.keys() {
        let Some(section) = types.section(key.value) else { continue };
        section.only(&["unknown", "case_insensitive"], &[]);
        let unknown = section.string("unknown").and_then(|word| match word.value {
            "deny" => Some(UnknownRule::Deny),
            "evaluate" => Some(UnknownRule::Evaluate),
            other => {
                section.reader.report(word.span, format!("`unknown` is `{other}`, and has to be `deny` or `evaluate`"), None);
                None
            }
        });
        let rules = TypeRules { unknown, case_insensitive: section.bool("case_insensitive").unwrap_or(false) };
        file.types.insert(key.value.to_owned(), At { value: rules, span: key.span });
    }
}

fn read_role(name: &RoleName, section: &Section<'_>) -> RoleDraft {
    let known = [
        "description",
        "scopes",
        "scope_required",
        "max_duration",
        "default_duration",
        "require",
        "ticket_pattern",
        "mfa_max_age",
        "approval",
        "max_extensions",
        "extendable_after",
        "max_active_per_day",
        "activate_within",
        "emergency",
        "conditions",
        "privileged",
        "eligibility",
        "assignment",
        "notify",
    ];
    section.only(&known, &[]);
    let (max_duration, default_duration) = read_durations(section);
    let (max_extensions, extendable_after) = read_extensions(section);
    let scopes = section.strings("scopes");
    let require = read_require(section);
    let mfa_max_age = section.duration("mfa_max_age");
    if mfa_max_age.is_some() && !require.contains(&Requirement::Mfa) {
        let help = Some("add \"mfa\" to `require`, or leave `mfa_max_age` out".to_owned());
        section.reader.report(section.span_of("mfa_max_age"), "`mfa_max_age` does nothing while `require` does not list mfa", help);
    }
    let mut draft = RoleDraft {
        scopes: scopes.clone().map(owned).unwrap_or_default(),
        approvers: Vec::new(),
        named: Vec::new(),
        quorums: Vec::new(),
        conditions: section.span_of("conditions"),
        settings: RoleSettings {
            name: name.clone(),
            description: section.string("description").map(|text| text.value.to_owned()).unwrap_or_default(),
            scopes: scopes.map(|scopes| scopes.into_iter().map(|scope| scope.value.to_owned()).collect()),
            scope_required: section.bool("scope_required").unwrap_or(false),
            max_duration,
            default_duration,
            require,
            ticket_pattern: read_pattern(section),
            mfa_max_age,
            stages: Vec::new(),
            max_extensions,
            extendable_after,
            max_active_per_day: read_per_day(section),
            activate_within: some_time(section, "activate_within", Duration::from_hours(24)),
            emergency: read_emergency(section, max_duration),
            conditions: section.bool("conditions").unwrap_or(false),
            eligibility: read_limits(section, "eligibility", GrantLimits { max_duration: Duration::from_days(365), allow_permanent: true }),
            assignment: read_limits(section, "assignment", GrantLimits { max_duration: Duration::from_days(180), allow_permanent: false }),
            digest: Digest::of_bytes(b""),
            privileged: section.bool("privileged").unwrap_or(false),
            notify: Hearers::new(),
        },
    };
    read_stages(section, &mut draft);
    draft.settings.notify = hearers::read(section, &draft.settings, &mut draft.named);
    draft.settings.digest = settings_digest(&draft.settings);
    draft
}

fn read_durations(section: &Section<'_>) -> (Duration, Duration) {
    let max = some_time(section, "max_duration", Duration::from_hours(8));
    let asked = section.has("default_duration").then(|| some_time(section, "default_duration", Duration::from_hours(1).min(max)));
    if asked.is_some_and(|asked| asked > max) {
        let help = Some(format!("`max_duration` is {max}; raise it, or lower `default_duration`"));
        section.reader.report(section.span_of("default_duration"), "`default_duration` is longer than `max_duration`", help);
    }
    (max, asked.unwrap_or(Duration::from_hours(1).min(max)))
}

/// A duration that has to be longer than nothing.
fn some_time(section: &Section<'_>, key: &str, default: Duration) -> Duration {
    match section.duration(key) {
        None => default,
        Some(duration) => {
            if duration == Duration::from_secs(0) {
                section.reader.report(section.span_of(key), format!("`{key}` is no time at all"), None);
            }
            duration
        }
    }
}

/// A number within bounds.
fn number_within(section: &Section<'_>, key: &str, (least, most): (u32, u32), default: u32) -> u32 {
    let Some(number) = section.number(key) else { return default };
    if !(least..=most).contains(&number.value) {
        let message = format!("`{key}` is {}, and has to be from {least} to {most}", number.value);
        section.reader.report(number.span, message, None);
    }
    number.value
}

fn read_extensions(section: &Section<'_>) -> (u32, u32) {
    let most = number_within(section, "max_extensions", (0, MAX_EXTENSIONS), 1);
    if most == 0 && section.has("extendable_after") {
        let help = Some("raise `max_extensions`, or leave `extendable_after` out".to_owned());
        section.reader.report(section.span_of("extendable_after"), "`extendable_after` does nothing while `max_extensions` is 0", help);
    }
    (most, section.percent("extendable_after").unwrap_or(50))
}

fn read_per_day(section: &Section<'_>) -> Option<Duration> {
    let most = section.duration_or_minutes("max_active_per_day")?;
    if most == Duration::from_secs(0) {
        let help = Some("leave it out for no limit".to_owned());
        section.reader.report(section.span_of("max_active_per_day"), "`max_active_per_day` is no time at all", help);
    }
    Some(most)
}

fn read_emergency(section: &Section<'_>, role_max: Duration) -> Option<Emergency> {
    let emergency = section.section("emergency")?;
    emergency.only(&["max_duration", "max_per_day", "review_within"], &[]);
    let limits = Emergency {
        max_duration: some_time(&emergency, "max_duration", Duration::from_hours(1).min(role_max)),
        max_per_day: number_within(&emergency, "max_per_day", (1, MAX_EMERGENCIES), 2),
        review_within: some_time(&emergency, "review_within", Duration::from_hours(72)),
    };
    if limits.max_duration > role_max {
        let help = Some(format!("the role's own `max_duration` is {role_max}; an emergency may not last longer"));
        let message = "`max_duration` of an emergency is longer than the role's";
        emergency.reader.report(emergency.span_of("max_duration"), message, help);
    }
    Some(limits)
}

fn read_require(section: &Section<'_>) -> BTreeSet<Requirement> {
    let Some(list) = section.strings("require") else { return BTreeSet::from([Requirement::Justification]) };
    let mut require = BTreeSet::new();
    for word in list {
        match word.value {
            "justification" => drop(require.insert(Requirement::Justification)),
            "ticket" => drop(require.insert(Requirement::Ticket)),
            "mfa" => drop(require.insert(Requirement::Mfa)),
            other => {
                let help = Some("known here: justification, ticket, mfa".to_owned());
                section.reader.report(word.span, format!("unknown requirement `{other}`"), help);
            }
        }
    }
    require
}

fn read_pattern(section: &Section<'_>) -> Option<TicketPattern> {
    let text = section.string("ticket_pattern")?;
    match TicketPattern::new(text.value) {
        Ok(pattern) => Some(pattern),
        Err(error) => {
            let line = error.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            section.reader.report(text.span, format!("`ticket_pattern` is no regular expression: {line}"), None);
            None
        }
    }
}

fn read_limits(section: &Section<'_>, key: &str, defaults: GrantLimits) -> GrantLimits {
    let Some(limits) = section.section(key) else { return defaults };
    limits.only(&["max_duration", "allow_permanent"], &[]);
    GrantLimits {
        max_duration: limits.duration("max_duration").unwrap_or(defaults.max_duration),
        allow_permanent: limits.bool("allow_permanent").unwrap_or(defaults.allow_permanent),
    }
}

fn read_stages(section: &Section<'_>, draft: &mut RoleDraft) {
    let Some(approval) = section.section("approval") else { return };
    approval.only(&["stages"], &[]);
    let stages = approval.sections("stages");
    if stages.is_empty() {
        let help = Some("write `[[roles.\"…\".approval.stages]]`, or leave `approval` out".to_owned());
        section.reader.report(approval.span.clone(), "`approval` has no stages", help);
    }
    if stages.len() > MAX_STAGES {
        section.reader.report(approval.span.clone(), format!("there are {} stages; at most {MAX_STAGES} are taken", stages.len()), None);
    }
    for stage in stages {
        read_stage(&stage, draft);
    }
}

fn read_stage(stage: &Section<'_>, draft: &mut RoleDraft) {
    stage.only(&["approvers", "quorum", "timeout", "fallback"], &[]);
    let approvers = read_approvers(stage, &[], draft);
    let quorum = number_within(stage, "quorum", (1, MAX_QUORUM), 1);
    let timeout = some_time(stage, "timeout", Duration::from_hours(24));
    let fallback = stage.section("fallback").map(|fallback| read_fallback(&fallback, &approvers, timeout, draft));
    draft.quorums.push(stage.span_of("quorum"));
    draft.settings.stages.push(Stage { approvers, quorum, timeout, fallback });
}

/// Who steps in for a stage's own approvers. It has to be before the stage is over, and to be somebody else.
fn read_fallback(fallback: &Section<'_>, own: &[Uid], timeout: Duration, draft: &mut RoleDraft) -> Fallback {
    fallback.only(&["approvers", "after"], &[]);
    let approvers = read_approvers(fallback, own, draft);
    if !fallback.has("after") {
        let help = Some("write `after = \"PT1H\"`: how long the stage waits for its own approvers".to_owned());
        fallback.reader.report(fallback.span.clone(), "the fallback has no `after`", help);
    }
    let after = fallback.duration("after");
    if after == Some(Duration::from_secs(0)) {
        let help = Some("list these approvers in the stage itself".to_owned());
        fallback.reader.report(fallback.span_of("after"), "`after` is no time at all", help);
    }
    if after.is_some_and(|after| after >= timeout) {
        let help = Some(format!("the stage's `timeout` is {timeout}; raise it, or lower `after`"));
        fallback.reader.report(fallback.span_of("after"), "the fallback would come when the stage is over", help);
    }
    Fallback { approvers, after: after.unwrap_or(timeout) }
}

/// The approvers of a stage, or of its fallback: then without those that the stage lists itself.
fn read_approvers(section: &Section<'_>, own: &[Uid], draft: &mut RoleDraft) -> Vec<Uid> {
    let what = if section.name.ends_with("fallback") { "fallback" } else { "stage" };
    let mut approvers: Vec<Uid> = Vec::new();
    for text in section.strings("approvers").unwrap_or_default() {
        let Some(uid) = section.as_uid(text) else { continue };
        if approvers.contains(&uid.value) {
            section.reader.report(uid.span, format!("{} is listed twice", uid.value), None);
        } else if own.contains(&uid.value) {
            section.reader.report(uid.span, format!("{} is an approver of the stage already", uid.value), None);
        } else {
            approvers.push(uid.value.clone());
            draft.approvers.push(uid);
        }
    }
    if approvers.is_empty() && !section.has("approvers") {
        let help = Some("write `approvers = ['Group::\"…\"']`".to_owned());
        section.reader.report(section.span.clone(), format!("the {what} has no approvers"), help);
    } else if section.strings("approvers").is_some_and(|list| list.is_empty()) {
        section.reader.report(section.span_of("approvers"), format!("the {what} has no approvers"), None);
    }
    if approvers.len() > MAX_APPROVERS {
        let message = format!("the {what} lists {} approvers; at most {MAX_APPROVERS} are taken", approvers.len());
        section.reader.report(section.span_of("approvers"), message, Some("put them into a group".to_owned()));
    }
    approvers
}

/// SHA-256 over everything that a role's settings say, each part behind its name.
fn settings_digest(settings: &RoleSettings) -> Digest {
    let list = |items: &mut dyn Iterator<Item = String>| items.collect::<Vec<_>>().join("\n");
    let limits = |limits: &GrantLimits| format!("{} {}", limits.max_duration, limits.allow_permanent);
    let emergency = |limits: &Emergency| format!("{} {} {}", limits.max_duration, limits.max_per_day, limits.review_within);
    let duration = |duration: Option<Duration>| duration.map_or_else(String::new, |duration| duration.to_string());
    let mut fields = vec![
        "elevon-role-settings-2".to_owned(),
        settings.name.to_string(),
        settings.description.clone(),
        settings.scopes.as_ref().map_or_else(|| "any".to_owned(), |scopes| format!("of {}", list(&mut scopes.iter().cloned()))),
        settings.scope_required.to_string(),
        settings.max_duration.to_string(),
        settings.default_duration.to_string(),
        list(&mut settings.require.iter().map(ToString::to_string)),
        settings.ticket_pattern.as_ref().map_or_else(String::new, |pattern| pattern.as_str().to_owned()),
        duration(settings.mfa_max_age),
        settings.max_extensions.to_string(),
        settings.extendable_after.to_string(),
        duration(settings.max_active_per_day),
        settings.activate_within.to_string(),
        settings.emergency.as_ref().map_or_else(String::new, emergency),
        settings.conditions.to_string(),
        limits(&settings.eligibility),
        limits(&settings.assignment),
    ];
    for stage in &settings.stages {
        fields.push(list(&mut stage.approvers.iter().map(ToString::to_string)));
        fields.push(stage.quorum.to_string());
        fields.push(stage.timeout.to_string());
        let fallback = stage.fallback.as_ref();
        fields.push(fallback.map_or_else(String::new, |fallback| list(&mut fallback.approvers.iter().map(ToString::to_string))));
        fields.push(duration(fallback.map(|fallback| fallback.after)));
    }
    Digest::of_fields(fields.iter().map(String::as_bytes))
}
