//! Bundles as a whole: defaults, digests, archives, the schema that is handed out.

use std::collections::HashSet;

use super::{ENTITIES, POLICIES, ROLES, SCHEMA, TESTS, load};
use crate::domain::settings::{Emergency, Fallback, Requirement, UnknownRule};
use crate::domain::{Duration, RoleName};
use crate::policy::Bundle;

#[test]
fn settings_have_the_documented_defaults() {
    let bundle = load(&[]).unwrap();
    let definitions = bundle.definitions();
    let role = &definitions.roles[&RoleName::new("editor").unwrap()];
    assert_eq!((role.max_duration, role.default_duration), (Duration::from_hours(8), Duration::from_hours(1)));
    assert_eq!(role.require.iter().copied().collect::<Vec<_>>(), [Requirement::Justification]);
    assert_eq!((role.eligibility.max_duration, role.eligibility.allow_permanent), (Duration::from_days(365), true));
    assert_eq!((role.assignment.max_duration, role.assignment.allow_permanent), (Duration::from_days(180), false));
    assert!(role.scopes.is_none() && role.stages.is_empty() && !role.scope_required);
    assert_eq!((role.max_extensions, role.extendable_after, role.max_active_per_day), (1, 50, None));
    assert_eq!((role.activate_within, role.emergency, role.conditions), (Duration::from_hours(24), None, false));
    // what can lie below something else might lie below a scope
    let settings = ["User", "Group", "Folder", "Doc", "Gauge"].map(|kind| definitions.type_settings(kind));
    let (deny, evaluate) = (UnknownRule::Deny, UnknownRule::Evaluate);
    assert_eq!(settings.map(|settings| settings.unknown), [deny, deny, deny, deny, evaluate]);
    assert_eq!(settings.map(|settings| settings.can_have_parents), [true, true, true, true, false]);
    assert!(!definitions.types.contains_key("Role"));
    // without `[elevon]`, principals and groups are found in the schema
    let bare = load(&[("roles.toml", Some("[roles.admin]\n[roles.editor]\n"))]).unwrap();
    assert_eq!(bare.definitions().principal_types, definitions.principal_types);
    assert_eq!(bare.definitions().group_types, definitions.group_types);
}

#[test]
fn settings_are_read_as_they_are_written() {
    let admin = |more: &str| {
        let bundle = load(&[("roles.toml", Some(&format!("{ROLES}{more}")))]).unwrap_or_else(|error| panic!("{more}\n{error}"));
        std::sync::Arc::clone(&bundle.definitions().roles[&RoleName::new("admin").unwrap()])
    };
    for (written, percent) in [("\"50%\"", 50), ("\"75 %\"", 75), ("0", 0), ("\"0%\"", 0), ("100", 100), ("\"100%\"", 100)] {
        assert_eq!(admin(&format!("extendable_after = {written}")).extendable_after, percent, "{written}");
    }
    for (written, most) in [("\"PT4H\"", Duration::from_hours(4)), ("90", Duration::from_mins(90)), ("\"P1D\"", Duration::from_days(1))] {
        assert_eq!(admin(&format!("max_active_per_day = {written}")).max_active_per_day, Some(most), "{written}");
    }
    let hour = Duration::from_hours(1);
    for (written, max_duration, max_per_day, review_within) in [
        ("[roles.admin.emergency]", hour, 2, Duration::from_hours(72)),
        ("max_duration = \"PT20M\"\ndefault_duration = \"PT20M\"\nemergency = {}", Duration::from_mins(20), 2, Duration::from_hours(72)),
        (
            "emergency = { max_duration = \"PT2H\", max_per_day = 1, review_within = \"P1D\" }",
            Duration::from_hours(2),
            1,
            Duration::from_days(1),
        ),
    ] {
        assert_eq!(admin(written).emergency, Some(Emergency { max_duration, max_per_day, review_within }), "{written}");
    }
    let both = "[[roles.admin.approval.stages]]\napprovers = ['User::\"ann\"']\nquorum = 2\n";
    let stage =
        admin(&format!("{both}[roles.admin.approval.stages.fallback]\napprovers = ['User::\"bea\"']\nafter = \"PT1H\"")).stages[0].clone();
    assert_eq!(stage.fallback, Some(Fallback { approvers: vec![super::story::uid("User::\"bea\"")], after: hour }));
    assert_eq!((admin("max_extensions = 0").max_extensions, admin("max_extensions = 100").max_extensions), (0, 100));
    assert_eq!(admin("activate_within = \"PT1H\"").activate_within, hour);
}

#[test]
fn the_digest_of_settings_changes_with_any_of_them() {
    let digest = |more: &str| {
        let roles = format!("{ROLES}{more}");
        let conditions = ("conditions/admin.cedar", more.contains("conditions").then_some("permit (principal, action, resource);"));
        let bundle = load(&[("roles.toml", Some(&roles)), conditions]).unwrap_or_else(|error| panic!("{error}"));
        bundle.definitions().roles[&RoleName::new("admin").unwrap()].digest
    };
    let rows = [
        "",
        "description = \"d\"",
        "scopes = []",
        "scopes = [\"Doc\"]",
        "scope_required = true",
        "max_duration = \"PT9H\"",
        "default_duration = \"PT2H\"",
        "require = []",
        "require = [\"mfa\"]\nmfa_max_age = \"PT1H\"",
        "ticket_pattern = \"x\"",
        "eligibility.allow_permanent = false",
        "assignment.max_duration = \"P1D\"",
        "[[roles.admin.approval.stages]]\napprovers = ['User::\"ann\"']",
        "[[roles.admin.approval.stages]]\napprovers = ['Group::\"staff\"']",
        "[[roles.admin.approval.stages]]\napprovers = ['Group::\"staff\"']\nquorum = 2",
        "[[roles.admin.approval.stages]]\napprovers = ['Group::\"staff\"']\ntimeout = \"PT1H\"",
        "[[roles.admin.approval.stages]]\napprovers = ['Group::\"staff\"']\nfallback = { approvers = ['User::\"ann\"'], after = \"PT1H\" }",
        "[[roles.admin.approval.stages]]\napprovers = ['Group::\"staff\"']\nfallback = { approvers = ['User::\"ann\"'], after = \"PT2H\" }",
        "[[roles.admin.approval.stages]]\napprovers = ['Group::\"staff\"']\nfallback = { approvers = ['User::\"bea\"'], after = \"PT2H\" }",
        "max_extensions = 2",
        "extendable_after = 40",
        "max_active_per_day = 30",
        "max_active_per_day = \"PT1H\"",
        "activate_within = \"PT1H\"",
        "emergency = {}",
        "emergency.max_duration = \"PT30M\"",
        "emergency.max_per_day = 3",
        "emergency.review_within = \"PT24H\"",
        "conditions = true",
    ];
    let digests: HashSet<_> = rows.map(digest).into_iter().collect();
    assert_eq!(digests.len(), rows.len());
}

#[test]
fn an_archive_is_the_same_bundle() {
    let bundle = load(&[]).unwrap();
    let again = Bundle::from_archive(&bundle.to_archive()).unwrap();
    assert_eq!(again.revision(), bundle.revision());
    assert_eq!(again.definitions(), bundle.definitions());
    assert_eq!(again.to_archive(), bundle.to_archive());
    assert_eq!((bundle.files().len(), bundle.policy_count()), (5, 2));
    assert!(bundle.run_tests().iter().all(|test| test.result.is_ok() && test.guard && test.line == 2));
}

#[test]
fn stock_cedar_reads_the_whole_schema() {
    let bundle = load(&[]).unwrap();
    let schema = cedar_policy::Schema::from_cedarschema_str(&bundle.schema_text()).unwrap().0;
    assert!(schema.actions().any(|action| action.to_string() == "Elevon::Action::\"manageBundle\""));
}

#[test]
fn a_schema_may_have_a_namespace_of_its_own() {
    let schema = format!("namespace Acme {{ {SCHEMA} }}");
    let acme = |text: &str| {
        let mut text = text.replace("Action::\"read\"", "Acme::Action::\"read\"");
        for kind in ["User", "Group", "Folder", "Doc"] {
            text = text
                .replace(&format!("\"{kind}\""), &format!("\"Acme::{kind}\""))
                .replace(&format!("'{kind}::"), &format!("'Acme::{kind}::"));
        }
        text
    };
    let bundle = load(&[
        ("schema.cedarschema", Some(&schema)),
        ("roles.toml", Some(&acme(ROLES))),
        ("main.cedar", Some(&acme(POLICIES))),
        ("entities.json", Some(&acme(ENTITIES))),
        ("tests/guard.toml", Some(&acme(TESTS))),
    ])
    .unwrap_or_else(|error| panic!("{error}"));
    assert!(cedar_policy::Schema::from_cedarschema_str(&bundle.schema_text()).is_ok());
}

#[test]
fn a_bundle_without_roles_or_entities_is_one() {
    let test = "[[test]]\nname = \"guard\"\nguard = true\nexpect = \"allow\"
stored = [{ uid = 'User::\"ann\"' }]
ask = { principal = 'User::\"ann\"', action = \"manageBundle\" }\n";
    let bundle = load(&[
        ("roles.toml", Some("[elevon]\nprincipal_types = [\"User\"]")),
        ("main.cedar", Some("permit (principal == User::\"ann\", action, resource);")),
        ("entities.json", None),
        ("tests/guard.toml", Some(test)),
    ]);
    assert!(bundle.is_ok(), "{}", bundle.unwrap_err());
}

#[test]
fn a_bundle_is_shared_by_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Bundle>();
}
