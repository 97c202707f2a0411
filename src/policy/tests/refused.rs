//! Bundles that are refused: what is wrong, where, and how the answer begins.

use super::{ROLES, SCHEMA, files, load};
use crate::policy::Bundle;

/// The file, what is replaced in it (nothing: what follows is added at its end), by what, and how the answer begins.
type Row = (&'static str, &'static str, &'static str);

fn refused(file: &str, rows: &[Row]) {
    for (old, new, expected) in rows {
        let mut all = files(&[]);
        let text = String::from_utf8(all.get(file).cloned().unwrap()).unwrap();
        assert!(text.contains(old), "{file} has no {old:?}");
        let text = if old.is_empty() { format!("{text}{new}") } else { text.replace(old, new) };
        all.insert(file.to_owned(), text.into_bytes());
        let Err(error) = Bundle::from_files(all) else { panic!("taken: {new:?}") };
        let said = error.summary();
        assert!(said.starts_with(expected), "{new:?}\nexpected {expected}\ngot      {said}\n\n{error}");
    }
}

#[test]
fn schemas() {
    refused(
        "schema.cedarschema",
        &[
            ("entity Gauge;", "entity Gauge", "schema.cedarschema:6:1: error parsing schema: unexpected token `action`"),
            ("in [Folder];", "in [Foldr];", "schema.cedarschema:3:19: failed to resolve type: Foldr"),
            ("[Doc, Gauge]", "[Doc, Gage]", "schema.cedarschema:6:60: failed to resolve type: Gage"),
            ("in [Group, Role]", "in [Group]", "schema.cedarschema:1:8: `User` is a principal type, and cannot hold roles as it stands"),
            ("tags Elevon::Holding", "tags String", "schema.cedarschema:1:8: the tags of principal type `User` show its roles"),
            ("entity Gauge;", "entity Gauge tags String;", "schema.cedarschema:5:8: tags of `Gauge` are not available yet"),
            ("entity Gauge;", "entity Gauge; entity Role;", "schema.cedarschema:5:22: `Role` is generated from roles.toml"),
            ("entity Gauge;", "entity Gauge; entity Sidecar;", "schema.cedarschema:5:22: `Sidecar` is also the name of a type"),
            ("action sign", "action readAudit", "schema.cedarschema:7:8: `readAudit` is also the name of an action of Elevon's"),
            ("", "namespace Elevon { entity X; }", "schema.cedarschema:8:11: the namespace `Elevon` is generated"),
            ("now: datetime", "now: String", "schema.cedarschema:6:8: the context of action `read` declares `now`"),
        ],
    );
    let error = load(&[("schema.cedarschema", Some(&SCHEMA.replace("in [Group, Role]", "in [Group]")))]).unwrap_err();
    assert_eq!(error.problems()[0].help.as_deref(), Some("write `entity User in [Group, Role]`"));
    for missing in ["schema.cedarschema", "roles.toml"] {
        assert_eq!(load(&[(missing, None)]).unwrap_err().summary(), format!("the bundle has no `{missing}`"));
    }
}

#[test]
fn roles() {
    refused(
        "roles.toml",
        &[
            ("", "max_duraton = \"PT1H\"", "roles.toml:7:1: unknown key `max_duraton` in `roles.admin`"),
            ("", "notify = true", "roles.toml:7:10: `notify` is a boolean, and has to be a table"),
            ("", "notify.activatd = [\"holder\"]", "roles.toml:7:8: unknown key `activatd` in `roles.admin.notify`"),
            ("", "notify.policies = []", "roles.toml:7:8: unknown key `policies` in `roles.admin.notify`"),
            ("", "notify.activated = [\"holdr\"]", "roles.toml:7:21: `holdr` names nobody"),
            ("", "notify.activated = [\"holder\", \"holder\"]", "roles.toml:7:31: it stands there twice"),
            ("", "notify.activated = [\"destination:Ops Room\"]", "roles.toml:7:21: `Ops Room` is no name of a destination"),
            ("", "notify.activated = ['Doc::\"plan\"']", "roles.toml:7:21: Doc::\"plan\" hears nothing"),
            ("", "notify.requested = [\"approvers\"]", "roles.toml:7:21: the role asks no approvers"),
            ("", "notify.emergency = [\"holder\"]", "roles.toml:7:20: the role cannot be taken in an emergency"),
            ("", "notify.eligibility = [\"requester\"]", "roles.toml:7:23: `eligibility` has no requester"),
            ("\"User\"", "\"Usr\"", "roles.toml:2:20: `principal_types` names `Usr`, which is no entity type of the schema"),
            ("[elevon]", "[elevon", "roles.toml:1:8: unclosed table"),
            ("[elevon]", "[elevon]\nrole_type = \"A::Role\"", "roles.toml:2:13: `role_type` is `A::Role`, and has to be"),
            ("[elevon]", "[elevon.types.Doc]\nunknown = \"allow\"\n[elevon]", "roles.toml:2:11: `unknown` is `allow`, and has to be"),
            ("[elevon]", "[elevon.types.Dog]\n[elevon]", "roles.toml:1:15: `[elevon.types]` names `Dog`"),
            ("\"Group\"", "\"User\"", "roles.toml: `User` is both a principal type and a group type"),
            ("", "max_duration = \"PT1H\"\ndefault_duration = \"PT2H\"", "roles.toml:8:20: `default_duration` is longer than"),
            ("", "max_duration = \"1h\"", "roles.toml:7:16: `1h` is not an ISO 8601 duration"),
            ("", "max_duration = 3600", "roles.toml:7:16: `max_duration` is an integer, and has to be a string"),
            ("", "max_duration = \"PT0S\"", "roles.toml:7:16: `max_duration` is no time at all"),
            ("", "scopes = [\"Dock\"]", "roles.toml:7:11: `scopes` names `Dock`"),
            ("", "require = [\"pin\"]", "roles.toml:7:12: unknown requirement `pin`"),
            ("", "mfa_max_age = \"PT1H\"", "roles.toml:7:15: `mfa_max_age` does nothing while `require` does not list mfa"),
            ("", "ticket_pattern = \"(\"", "roles.toml:7:18: `ticket_pattern` is no regular expression: unclosed group"),
            ("", "[roles.\"admin\"]", "roles.toml:7:8: duplicate key"),
            ("", "[roles.\"a\\u0000b\"]", "roles.toml:7:8: the role name `a\\0b` holds a control character"),
            ("", "approval.stages = []", "roles.toml:7:1: `approval` has no stages"),
            ("", "[[roles.admin.approval.stages]]\nquorum = 1", "roles.toml:7:1: the stage has no approvers"),
            ("", "[[roles.admin.approval.stages]]\napprovers = []", "roles.toml:8:13: the stage has no approvers"),
            ("", "[[roles.admin.approval.stages]]\napprovers = ['ann']", "roles.toml:8:14: `ann` is not an entity"),
            ("", "[[roles.admin.approval.stages]]\napprovers = ['Doc::\"plan\"']", "roles.toml:8:14: Doc::\"plan\" cannot approve"),
            (
                "",
                "[[roles.admin.approval.stages]]\napprovers = ['User::\"ann\"']\nquorum = 2",
                "roles.toml:9:10: the quorum of 2 can never be reached",
            ),
            (
                "",
                "[[roles.admin.approval.stages]]\napprovers = ['Group::\"staff\"']\nquorum = 0",
                "roles.toml:9:10: `quorum` is 0, and has to be from 1 to 100",
            ),
        ],
    );
}

#[test]
fn extensions_budgets_and_emergencies() {
    refused(
        "roles.toml",
        &[
            ("", "max_extensions = 101", "roles.toml:7:18: `max_extensions` is 101, and has to be from 0 to 100"),
            ("", "max_extensions = -1", "roles.toml:7:18: `max_extensions` is an integer, and has to be a whole number from 0"),
            ("", "extendable_after = \"half\"", "roles.toml:7:20: `extendable_after` has to be a share from 0 to 100"),
            ("", "extendable_after = \"101%\"", "roles.toml:7:20: `extendable_after` has to be a share from 0 to 100"),
            ("", "extendable_after = \"+5%\"", "roles.toml:7:20: `extendable_after` has to be a share"),
            ("", "extendable_after = \"%\"", "roles.toml:7:20: `extendable_after` has to be a share"),
            ("", "extendable_after = \"50\"", "roles.toml:7:20: `extendable_after` has to be a share"),
            ("", "extendable_after = 101", "roles.toml:7:20: `extendable_after` has to be a share"),
            ("", "extendable_after = 0.5", "roles.toml:7:20: `extendable_after` has to be a share"),
            (
                "",
                "max_extensions = 0\nextendable_after = 50",
                "roles.toml:8:20: `extendable_after` does nothing while `max_extensions` is 0",
            ),
            ("", "max_active_per_day = 0", "roles.toml:7:22: `max_active_per_day` is no time at all"),
            ("", "max_active_per_day = \"PT0S\"", "roles.toml:7:22: `max_active_per_day` is no time at all"),
            ("", "max_active_per_day = \"4h\"", "roles.toml:7:22: `4h` is not an ISO 8601 duration"),
            ("", "max_active_per_day = true", "roles.toml:7:22: `max_active_per_day` is a boolean, and has to be a duration"),
            ("", "max_active_per_day = -5", "roles.toml:7:22: `max_active_per_day` is an integer, and has to be a whole number"),
            ("", "activate_within = \"PT0S\"", "roles.toml:7:19: `activate_within` is no time at all"),
            ("", "emergency = true", "roles.toml:7:13: `emergency` is a boolean, and has to be a table"),
            ("", "[roles.admin.emergency]\nmax_duraton = \"PT1H\"", "roles.toml:8:1: unknown key `max_duraton` in `roles.admin.emergency`"),
            ("", "[roles.admin.emergency]\nmax_duration = \"PT0S\"", "roles.toml:8:16: `max_duration` is no time at all"),
            ("", "[roles.admin.emergency]\nmax_per_day = 0", "roles.toml:8:15: `max_per_day` is 0, and has to be from 1"),
            ("", "[roles.admin.emergency]\nreview_within = \"PT0S\"", "roles.toml:8:17: `review_within` is no time at all"),
            (
                "",
                "[roles.admin.emergency]\nmax_duration = \"PT9H\"",
                "roles.toml:8:16: `max_duration` of an emergency is longer than the role's",
            ),
            ("", "conditions = \"x\"", "roles.toml:7:14: `conditions` is a string, and has to be `true` or `false`"),
        ],
    );
}

#[test]
fn fallback_approvers() {
    let rows = [
        ("fallback = 2", "roles.toml:10:12: `fallback` is an integer, and has to be a table"),
        ("fallback = {}", "roles.toml:10:1: the fallback has no approvers"),
        ("fallback = { after = \"PT1H\" }", "roles.toml:10:1: the fallback has no approvers"),
        ("fallback = { approvers = [], after = \"PT1H\" }", "roles.toml:10:26: the fallback has no approvers"),
        ("fallback = { approvers = ['Group::\"ops\"'] }", "roles.toml:10:1: the fallback has no `after`"),
        ("fallback = { approvers = ['ops'], after = \"PT1H\" }", "roles.toml:10:27: `ops` is not an entity"),
        ("fallback = { approvers = ['Doc::\"plan\"'], after = \"PT1H\" }", "roles.toml:10:27: Doc::\"plan\" cannot approve"),
        (
            "fallback = { approvers = ['User::\"ann\"'], after = \"PT1H\" }",
            "roles.toml:10:27: User::\"ann\" is an approver of the stage already",
        ),
        ("fallback = { approvers = ['Group::\"ops\"'], after = \"PT0S\" }", "roles.toml:10:52: `after` is no time at all"),
        (
            "fallback = { approvers = ['Group::\"ops\"'], after = \"PT2H\" }",
            "roles.toml:10:52: the fallback would come when the stage is over",
        ),
        ("fallback = { approvers = ['Group::\"ops\"'], after = \"1h\" }", "roles.toml:10:52: `1h` is not an ISO 8601 duration"),
        ("fallback = { approvers = ['Group::\"ops\"'], afer = \"PT1H\" }", "roles.toml:10:1: the fallback has no `after`"),
        ("fallback_after = \"PT1H\"", "roles.toml:10:1: unknown key `fallback_after`"),
        (
            "quorum = 3\nfallback = { approvers = ['User::\"bea\"'], after = \"PT1H\" }",
            "roles.toml:10:10: the quorum of 3 can never be reached: only 2",
        ),
    ];
    for (more, expected) in rows {
        let stage = format!("{ROLES}[[roles.admin.approval.stages]]\napprovers = ['User::\"ann\"']\ntimeout = \"PT2H\"\n{more}\n");
        let said = load(&[("roles.toml", Some(&stage))]).map(drop).unwrap_err().summary();
        assert!(said.starts_with(expected), "{more}\nexpected {expected}\ngot      {said}");
    }
}

/// The roles, the files that are added, and how the answer begins.
type Conditioned<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str);

/// Conditions stand with the role that wants them, or nowhere: whatever else is there was meant for something.
#[test]
fn conditions() {
    let wanted = format!("{ROLES}conditions = true\n");
    let fair = "permit (principal, action, resource);";
    let path = "conditions/admin.cedar";
    let rows: [Conditioned<'_>; 18] = [
        (&wanted, &[], "roles.toml:7:14: the role `admin` has conditions, and there is no file `conditions/admin.cedar`"),
        (&wanted, &[("conditions/Admin.cedar", fair)], "conditions/Admin.cedar: there is no role `Admin`"),
        (&wanted, &[("admin.cedar", fair)], "roles.toml:7:14: the role `admin` has conditions, and there is no file"),
        (ROLES, &[(path, fair)], "conditions/admin.cedar: the role `admin` does not say that it has conditions"),
        (ROLES, &[("conditions/amin.cedar", fair)], "conditions/amin.cedar: there is no role `amin`"),
        (ROLES, &[("conditions/a/b.cedar", fair)], "conditions/a/b.cedar: a bundle has no use for this file"),
        (ROLES, &[("Conditions/admin.cedar", fair)], "Conditions/admin.cedar: a bundle has no use for this file"),
        (&wanted, &[(path, "")], "conditions/admin.cedar: the conditions permit nothing, so the role `admin` would never count"),
        (&wanted, &[(path, "forbid (principal, action, resource);")], "conditions/admin.cedar: the conditions permit nothing"),
        (&wanted, &[(path, "permit (principal, action resource);")], "conditions/admin.cedar:1:27: unexpected token `resource`"),
        (&wanted, &[(path, "permit (principal == ?principal, action, resource);")], "conditions/admin.cedar:1:1: templates are not taken"),
        (
            &wanted,
            &[(path, "permit (principal, action, resource) when { resource.secrt };")],
            "conditions/admin.cedar:1:45: for policy `conditions/admin.cedar#1`, attribute `secrt`",
        ),
        (
            &wanted,
            &[(path, "@id(\"a\") permit (principal, action, resource);\n@id(\"a\") forbid (principal, action, resource is Doc);")],
            "conditions/admin.cedar:2:1: there are two policies with the id `a`",
        ),
        (&wanted, &[(path, "permit (principal is Doc, action, resource);")], "conditions/admin.cedar:1:1: the policy can never apply"),
        (
            &wanted,
            &[(path, "permit (principal in Role::\"editor\", action, resource);")],
            "conditions/admin.cedar:1:22: conditions are asked as if no role were held, so they cannot ask for roles",
        ),
        (
            &wanted,
            &[(path, "permit (principal, action, resource)\nunless { principal in [Role::\"editor\"] };")],
            "conditions/admin.cedar:2:24: conditions are asked as if no role were held, so they cannot ask for roles",
        ),
        (
            &wanted,
            &[(path, "permit (principal, action, resource is Role);")],
            "conditions/admin.cedar:1:1: conditions are asked as if no role were held, so they cannot ask for roles",
        ),
        (
            &wanted,
            &[(path, "permit (principal, action, resource) when { principal.hasTag(\"editor\") };")],
            "conditions/admin.cedar:1:45: conditions are asked as if no role were held, so they cannot ask for tags",
        ),
    ];
    for (roles, more, expected) in rows {
        let mut changes: Vec<(&str, Option<&str>)> = vec![("roles.toml", Some(roles))];
        changes.extend(more.iter().map(|(path, text)| (*path, Some(*text))));
        let Err(error) = load(&changes) else { panic!("taken: {more:?}") };
        let said = error.summary();
        assert!(said.starts_with(expected), "{more:?}\nexpected {expected}\ngot      {said}\n\n{error}");
    }
    let error = load(&[("roles.toml", Some(&wanted))]).unwrap_err();
    let help = "write that file, with at least one `permit`; or leave `conditions` out";
    assert_eq!(error.problems()[0].help.as_deref(), Some(help));
    for name in ["a/b", "../up", ".hidden", "README", "a\\\\b", &"x".repeat(250)] {
        let roles = format!("{ROLES}[roles.\"{name}\"]\nconditions = true\n");
        let said = load(&[("roles.toml", Some(&roles))]).map(drop).unwrap_err().summary();
        assert!(said.starts_with("roles.toml:8:14: the role `") && said.contains("its name is not that of a file"), "{said}");
        assert!(load(&[("roles.toml", Some(&roles.replace("conditions = true", "")))]).is_ok());
    }
}

#[test]
fn policies() {
    refused(
        "main.cedar",
        &[
            ("\"admin\"", "\"admn\"", "main.cedar:4:22: for policy `admins`: entity `Role::\"admn\"` is of an enumerated entity type"),
            ("in Role::\"editor\"", "on Role::\"editor\"", "main.cedar:1:19: unexpected token `on`"),
            ("", "permit (principal, action, resource) when { resource.secrt };", "main.cedar:5:45: for policy `main.cedar#3`, attribute"),
            ("", "@id(\"admins\")\nforbid (principal, action, resource);", "main.cedar:5:1: there are two policies with the id `admins`"),
            ("", "@id(\"\")\nforbid (principal, action, resource);", "main.cedar:5:1: the policy's `@id` is empty"),
            ("", "permit (principal == ?principal, action, resource);", "main.cedar:5:1: templates are not taken"),
            ("", "permit (principal is Doc, action, resource);", "main.cedar:5:1: the policy can never apply"),
            ("", "permit (principal, action == Action::\"raed\", resource);", "main.cedar:5:30: for policy `main.cedar#3`, unrecognized"),
            (
                "",
                "permit (principal is User, action == Action::\"read\", resource is Doc) when { principal.level > 1 };",
                "main.cedar:5:78: for policy `main.cedar#3`, unable to guarantee safety of access to optional attribute `level`",
            ),
        ],
    );
    let twice = load(&[("a.cedar", Some("\n@id(\"admins\") forbid (principal, action, resource);"))]).unwrap_err();
    assert_eq!(twice.problems()[0].help.as_deref(), Some("the other one is at a.cedar:2:1; rename one of them"));
}

/// Policies look one step far: what lies behind an attribute would not be there when they are evaluated.
#[test]
fn policies_that_look_too_far() {
    let schema = SCHEMA.replace("{ level?: Long }", "{ level?: Long, boss?: User }");
    let far = "permit (principal, action == Action::\"read\", resource) when { principal has boss && principal.boss has level };";
    let error = load(&[("schema.cedarschema", Some(&schema)), ("far.cedar", Some(far))]).unwrap_err();
    assert!(error.summary().starts_with("far.cedar:1:"), "{error}");
    assert!(error.to_string().contains("level"), "{error}");
}

#[test]
fn entities() {
    let staff = "{\"type\": \"Group\", \"id\": \"staff\"}]}";
    let top = "\"Folder\", \"id\": \"top\"}}";
    let level = "{\"level\": 3}";
    refused(
        "entities.json",
        &[
            ("\"top\"}}", "\"top\"}", "entities.json:5:3: key must be a string"),
            (level, "{\"level\": \"3\"}", "entities.json:3:3: entity does not conform to the schema: in attribute `level`"),
            (level, "{\"lvl\": 3}", "entities.json:3:3: error during entity deserialization: attribute `lvl`"),
            (level, "3", "entities.json:3:3: the attributes of User::\"ann\" are not an object"),
            (level, "{}, \"color\": 1", "entities.json:3:3: unknown member `color` of an entity"),
            (level, "{}, \"tags\": {\"a\": 1}", "entities.json:3:3: User::\"ann\" has tags"),
            (level, "{\"level\": {\"__extn\": {\"fn\": \"unknown\", \"arg\": \"x\"}}}", "entities.json:3:3:"),
            (staff, "{\"type\": \"Role\", \"id\": \"admin\"}]}", "entities.json:3:3: User::\"ann\" has Role::\"admin\" as a parent"),
            (staff, "{\"type\": \"Group\", \"id\": \"x\"}]}", "entities.json:3:3: User::\"ann\" has Group::\"x\" as a parent, which"),
            (staff, "{\"type\": \"Folder\", \"id\": \"top\"}]}", "entities.json:3:3: entity does not conform to the schema"),
            (
                top,
                "\"Folder\", \"id\": \"top\"}, \"parents\": [{\"type\": \"Folder\", \"id\": \"top\"}]}",
                "entities.json:4:3: Folder::\"top\" is below Folder::\"top\" and above it",
            ),
            (
                top,
                "\"Folder\", \"id\": \"top\"}, \"parents\": [{\"type\": \"Folder\", \"id\": \"mid\"}]},
                {\"uid\": {\"type\": \"Folder\", \"id\": \"mid\"}, \"parents\": [{\"type\": \"Folder\", \"id\": \"top\"}]}",
                "entities.json:5:17: Folder::\"mid\" is below Folder::\"top\" and above it",
            ),
            (top, "\"Group\", \"id\": \"staff\"}}", "entities.json:4:3: Group::\"staff\" is defined twice"),
            (top, "\"Foldr\", \"id\": \"top\"}}", "entities.json:4:3: Foldr::\"top\" is of type `Foldr`, which is not in the schema"),
            (top, "\"Role\", \"id\": \"admin\"}}", "entities.json:4:3: Role::\"admin\" is a role; roles are defined in roles.toml"),
            (top, "\"Folder\", \"id\": \"\"}}", "entities.json:4:3: an entity is named by"),
        ],
    );
    let twins = super::ENTITIES.replace("\"id\": \"ann\"}", "\"id\": \"ann\"}}, {\"uid\": {\"type\": \"User\", \"id\": \"ANN\"}");
    let folding = ROLES.replace("[elevon]", "[elevon.types.User]\ncase_insensitive = true\n[elevon]");
    let guarded = super::TESTS.replace("\"ann\"", "\"ANN\"");
    assert!(load(&[("entities.json", Some(&twins)), ("tests/guard.toml", Some(&guarded))]).is_ok());
    let error = load(&[("entities.json", Some(&twins)), ("roles.toml", Some(&folding))]).unwrap_err();
    assert!(error.summary().contains("differ by case only"), "{error}");
}

#[test]
fn policy_tests() {
    refused(
        "tests/guard.toml",
        &[
            ("guard = true\n", "", "no policy test is a guard, so this bundle could lock everybody out"),
            (
                "\"admin\"",
                "\"editor\"",
                "tests/guard.toml:2:8: the guard test `guard` failed: expected allow, got deny (reason `no_permit`",
            ),
            ("\"admin\"", "\"admn\"", "tests/guard.toml:4:47: there is no role `admn`"),
            ("'User::\"ann\"', role", "'User::\"bea\"', role", "tests/guard.toml:4:25: User::\"bea\" is not known in this test"),
            ("\"allow\"", "\"yes\"", "tests/guard.toml:6:10: `expect` is `yes`"),
            ("\"allow\"", "\"deny\"", "tests/guard.toml:2:8: a guard shows that somebody may still manage the bundle; this test does not"),
            ("manageBundle", "readAudit", "tests/guard.toml:2:8: a guard shows that somebody may still manage the bundle"),
            ("manageBundle", "read", "tests/guard.toml:5:1: `test.ask` has no `resource`"),
            ("", "by = [\"admin\"]", "tests/guard.toml:7:7: there is no policy `admin`"),
            ("", "by = [\"main.cedar#1\"]", "tests/guard.toml:2:8: the guard test `guard` failed: expected to be decided by"),
            ("", "reason = \"ok\"", "tests/guard.toml:7:10: unknown reason `ok`"),
            ("", "reason = \"forbidden\"", "tests/guard.toml:2:8: the guard test `guard` failed: expected the reason `forbidden`"),
            ("\"admin\" }", "\"admin\", emergency = true }", "tests/guard.toml:4:68: the role `admin` cannot be taken in an emergency"),
            ("", "because = 3", "tests/guard.toml:7:1: unknown key `because` in `test`"),
            ("", "at = \"noon\"", "tests/guard.toml:7:6: `noon` is not an RFC 3339 time"),
            ("", "stored = [{ uid = 'Dog::\"rex\"' }]", "tests/guard.toml:7:19: the schema has no entity type `Dog`"),
        ],
    );
}

#[test]
fn every_problem_is_shown_at_once() {
    let policies = "permit (principal, action == Action::\"raed\", resource);\npermit (principal, action == Action::\"rad\", resource);";
    let error =
        load(&[("main.cedar", Some(policies)), ("entities.json", Some("[{\"uid\": {\"type\": \"Dog\", \"id\": \"rex\"}}]"))]).unwrap_err();
    let places: Vec<_> = error.problems().iter().map(|problem| (problem.file.as_deref().unwrap(), problem.line.unwrap())).collect();
    assert_eq!(places, [("entities.json", 1), ("main.cedar", 1), ("main.cedar", 2)]);
    assert!(error.summary().ends_with("(and 2 more problems)"));
    let shown = "error: for policy `main.cedar#1`, unrecognized action `Action::\"raed\"`
  --> main.cedar:1:30
  |
1 | permit (principal, action == Action::\"raed\", resource);
  |                              ^^^^^^^^^^^^^^
  = help: did you mean `Action::\"read\"`?";
    assert!(error.to_string().contains(shown), "{error}");
}
