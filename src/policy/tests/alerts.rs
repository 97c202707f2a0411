//! `alerts.toml` of a bundle: what is taken, and what is refused and where.

use super::load;
use crate::domain::alert::{AlertKind, AlertRule, AlertRules, Limit, Severity};
use crate::policy::BundleError;

fn rules(text: &str) -> Result<AlertRules, BundleError> {
    load(&[("alerts.toml", Some(text))]).map(|bundle| bundle.definitions().alerts.clone())
}

#[test]
fn what_is_left_out_is_as_it_is_anyway() {
    assert_eq!(load(&[]).unwrap().definitions().alerts, AlertRules::default());
    assert_eq!(rules("").unwrap(), AlertRules::default());
    let rules = rules("[never_used]\ndays = 7\nseverity = \"high\"\n[unusual_hour]\nenabled = false\nshare = \"9%\"\n[activated_often]\nwithin = \"PT1H\"\n").unwrap();
    let never = rules.of(AlertKind::NeverUsed);
    assert_eq!((never.enabled, never.severity, never.of(Limit::Days)), (true, Severity::High, 7));
    let hour = rules.of(AlertKind::UnusualHour);
    assert_eq!((hour.enabled, hour.of(Limit::Share), hour.of(Limit::Known)), (false, 9, 20));
    assert_eq!(rules.of(AlertKind::ActivatedOften).of(Limit::Within), 3600);
    assert_eq!(rules.of(AlertKind::EmergencyUsed), AlertRule::standard(AlertKind::EmergencyUsed));
}

#[test]
fn what_is_no_rule_is_refused_where_it_stands() {
    let rows = [
        ("[never_usd]", "alerts.toml:1:2: unknown key `never_usd` in the file", Some("did you mean `never_used`?")),
        ("[never_used]\ndais = 3", "alerts.toml:2:1: unknown key `dais` in `never_used`", Some("did you mean `days`?")),
        ("[never_used]\ntimes = 3", "alerts.toml:2:1: unknown key `times` in `never_used`", None),
        ("[never_used]\ndays = 0", "alerts.toml:2:8: `days` is 0, and has to be from 1 to 3650", None),
        ("[never_used]\ndays = \"P3D\"", "alerts.toml:2:8: `days` is a string, and has to be a whole number", None),
        ("[never_used]\nenabled = 1", "alerts.toml:2:11: `enabled` is an integer, and has to be `true` or `false`", None),
        ("[never_used]\nseverity = \"hihg\"", "alerts.toml:2:12: unknown severity `hihg`", Some("did you mean `high`?")),
        ("[activated_often]\nwithin = \"1h\"", "alerts.toml:2:10: `1h` is not an ISO 8601 duration", None),
        ("[activated_often]\nwithin = \"PT0S\"", "alerts.toml:2:10: `within` is PT0S, and has to be from PT1S to P3650D", None),
        ("[activated_often]\ntimes = 1001", "alerts.toml:2:9: `times` is 1001, and has to be from 1 to 1000", None),
        ("[too_many_holders]\nshare = 101", "alerts.toml:2:9: `share` has to be a share from 0 to 100", None),
        ("[weak_settings]\nmfa = 1", "alerts.toml:2:7: `mfa` is an integer, and has to be `true` or `false`", None),
        ("never_used = 3", "alerts.toml:1:14: `never_used` is an integer, and has to be a table", None),
    ];
    for (text, said, help) in rows {
        let error = rules(text).unwrap_err();
        assert!(error.summary().starts_with(said), "{text:?}\nexpected {said}\ngot      {}", error.summary());
        if help.is_some() {
            assert_eq!(error.problems()[0].help.as_deref(), help, "{text:?}");
        }
    }
    let lower = load(&[("Alerts.toml", Some(""))]).unwrap_err();
    assert!(lower.problems()[0].help.as_deref().unwrap().contains("alerts in `alerts.toml`"), "{lower}");
}

#[test]
fn a_role_is_privileged_where_it_says_so_and_no_vote_hangs_on_it() {
    let with = |more: &str| {
        let roles = format!("{}{more}", super::ROLES);
        let bundle = load(&[("roles.toml", Some(&roles))]).unwrap();
        bundle.definitions().roles.values().next().unwrap().clone()
    };
    let (plain, marked) = (with(""), with("privileged = true\n"));
    assert!(!plain.privileged && marked.privileged);
    assert_eq!(plain.digest, marked.digest);
}
