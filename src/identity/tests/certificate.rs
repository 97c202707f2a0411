//! Client certificates: one name of one kind, or nobody.

use rcgen::{BasicConstraints, CertificateParams, DnType, DnValue, IsCa, KeyUsagePurpose};

use super::kit::{NOW, Names, SPIFFE, certificate, certificates, second_alternative_names, time};
use crate::domain::Timestamp;
use crate::identity::{Authenticator as _, BadCredential, CertificateSettings, Certificates, Identified, Presented};

const CN: &str = "names = \"cn\"\n[[subjects]]\nname = \"db-proxy\"\nprincipal = 'Service::\"db\"'\n";
const DNS: &str = "names = \"dns\"\n[[subjects]]\nname = \"db.example\"\nprincipal = 'Service::\"db\"'\ngroups = [\"g\"]\n";

/// URIs, DNS names; who it is, or why not.
type Spiffe<'a> = (&'a [&'a str], &'a [&'a str], Result<&'a str, &'a str>);
/// Settings, DNS names, common names; why not.
type Subject<'a> = (&'a str, &'a [&'a str], &'a [&'a str], Option<&'a str>);

fn read(certificates: &Certificates, der: &[u8], at: Timestamp) -> Result<Identified, BadCredential> {
    let presented = Presented { client_certificate: Some(der), ..Presented::default() };
    certificates.identify(&presented, at).map(Option::unwrap)
}

fn made(uris: &[&str], dns: &[&str], cns: &[&str]) -> Vec<u8> {
    certificate(&Names { uris, dns, cns }, |_| ())
}

fn changed(change: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
    certificate(&Names { uris: &["spiffe://prod.example/ns/web/sa/api"], ..Names::default() }, change)
}

#[test]
fn a_spiffe_id_shows_a_workload() {
    let kind = certificates(SPIFFE);
    let rows: [Spiffe; 8] = [
        (&["spiffe://prod.example/ns/web/sa/api"], &[], Ok("Workload::\"web/api\"")),
        (&["spiffe://prod.example/ns/web/sa/api"], &["api.web.example", "other.example"], Ok("Workload::\"web/api\"")),
        (&["spiffe://prod.example/ns/system/job/backup"], &[], Ok("System::\"job/backup\"")),
        (&[], &["spiffe.example"], Err("has 0 URIs")),
        (&[], &[], Err("has 0 URIs")),
        (&["spiffe://test.example/ns/web/sa/api"], &[], Err("another trust domain")),
        (&["spiffe://prod.example/other"], &[], Err("of 0 entries")),
        (&["spiffe://prod.example/ns/system/sa/api"], &[], Err("of 2 entries")),
    ];
    for (uris, dns, want) in rows {
        match (read(&kind, &made(uris, dns, &["admin"]), time(NOW)), want) {
            (Ok(found), Ok(name)) => {
                assert_eq!(found.caller.principal.to_string(), name);
                assert_eq!(found.caller.credential.as_str(), "mtls");
                assert_eq!(found.until, Some(time("2030-02-01T00:00:01Z")), "its last second counts in full");
            }
            (Err(bad), Err(why)) => {
                assert!(bad.for_log().contains(why), "{uris:?}: {}", bad.for_log());
                assert_eq!(bad.to_string(), "the client certificate names nobody who may call here");
            }
            (found, _) => panic!("{uris:?}: {found:?}"),
        }
    }
    let groups = read(&kind, &made(&["spiffe://prod.example/ns/web/sa/api"], &[], &[]), time(NOW)).unwrap().caller.groups;
    assert_eq!(groups, ["mesh"]);
    assert_eq!(kind.identify(&Presented::default(), time(NOW)), Ok(None));
}

/// CVE-2025-6037: which of two names shows who it is must not be a matter of order.
#[test]
fn a_certificate_with_two_uri_names_shows_nobody() {
    let (api, admin, web) = ("spiffe://prod.example/ns/web/sa/api", "spiffe://prod.example/ns/web/sa/admin", "https://web.example");
    assert!(read(&certificates(SPIFFE), &made(&[api], &[], &[]), time(NOW)).is_ok());
    for uris in [[api, admin], [admin, api], [api, web], [web, api], [api, api]] {
        let bad = read(&certificates(SPIFFE), &made(&uris, &[], &[]), time(NOW)).unwrap_err();
        assert!(bad.for_log().contains("has 2 URIs among its alternative names"), "{uris:?}: {}", bad.for_log());
    }
}

#[test]
fn a_subject_is_one_name_and_exact() {
    let rows: [Subject; 13] = [
        (CN, &[], &["db-proxy"], None),
        (CN, &["db.example"], &["db-proxy"], None),
        (CN, &[], &["DB-proxy"], Some("of 0 entries")),
        (CN, &[], &["db-proxy "], Some("of 0 entries")),
        (CN, &[], &["db-proxy", "admin"], Some("has 2 common names")),
        (CN, &[], &["admin", "db-proxy"], Some("has 2 common names")),
        (CN, &["db-proxy"], &[], Some("has 0 common names")),
        (DNS, &["db.example"], &["anybody"], None),
        (DNS, &["DB.example"], &[], Some("of 0 entries")),
        (DNS, &["db.example", "web.example"], &[], Some("has 2 DNS names")),
        (DNS, &["*.example"], &[], Some("of 0 entries")),
        (DNS, &[], &["db.example"], Some("has 0 DNS names")),
        (DNS, &["db.example.evil.example"], &[], Some("of 0 entries")),
    ];
    for (settings, dns, cns, why) in rows {
        match (read(&certificates(settings), &made(&[], dns, cns), time(NOW)), why) {
            (Ok(found), None) => assert_eq!(found.caller.principal.to_string(), "Service::\"db\""),
            (Err(bad), Some(why)) => assert!(bad.for_log().contains(why), "{dns:?} {cns:?}: {}", bad.for_log()),
            (found, _) => panic!("{dns:?} {cns:?}: {found:?}"),
        }
    }
    let old = certificate(&Names::default(), |params| {
        params.distinguished_name.push(DnType::CommonName, DnValue::TeletexString("db-proxy".try_into().unwrap()));
    });
    let bad = read(&certificates(CN), &old, time(NOW)).unwrap_err().for_log();
    assert!(bad.contains("UTF-8 and printable strings"), "{bad}");
}

#[test]
fn authorities_and_doubled_extensions_show_nobody() {
    let kind = certificates(SPIFFE);
    let rows = [
        (changed(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)), "may sign certificates"),
        (
            changed(|params| params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign]),
            "may sign certificates",
        ),
        (changed(|params| params.key_usages = vec![KeyUsagePurpose::CrlSign]), "may sign certificates"),
        (changed(|params| params.custom_extensions = vec![second_alternative_names()]), "does not read"),
    ];
    for (der, why) in rows {
        let bad = read(&kind, &der, time(NOW)).unwrap_err().for_log();
        assert!(bad.contains(why), "{bad}");
    }
    let leaf = changed(|params| {
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyAgreement];
    });
    assert!(read(&kind, &leaf, time(NOW)).is_ok());
}

#[test]
fn a_certificate_counts_within_its_window_only() {
    let der = changed(|_| ());
    let rows = [
        ("2029-12-31T23:59:59.999Z", Some("counts from")),
        ("2030-01-01T00:00:00Z", None),
        ("2030-02-01T00:00:00.999Z", None),
        ("2030-02-01T00:00:01Z", Some("ended at")),
    ];
    for (at, why) in rows {
        match (read(&certificates(SPIFFE), &der, time(at)), why) {
            (Ok(_), None) => {}
            (Err(bad), Some(why)) => assert!(bad.for_log().contains(why), "{at}: {}", bad.for_log()),
            (found, _) => panic!("{at}: {found:?}"),
        }
    }
}

#[test]
fn what_is_no_certificate_is_refused() {
    let good = changed(|_| ());
    let trailing: Vec<u8> = good.iter().copied().chain([0]).collect();
    let cut = &good[..good.len() - 1];
    let rows: [&[u8]; 7] = [&[], &[0x30], &[0x30, 0x80, 0, 0], b"-----BEGIN CERTIFICATE-----", &trailing, cut, &[0xff; 64 * 1024 + 1]];
    for der in rows {
        let bad = read(&certificates(SPIFFE), der, time(NOW)).unwrap_err().for_log();
        assert!(bad.contains("does not read"), "{bad}");
    }
}

#[test]
fn settings_out_of_order_are_refused() {
    let subject = "[[subjects]]\nname = \"a\"\nprincipal = 'S::\"a\"'\n";
    let path = "[[paths]]\npath = \"/a\"\nprincipal = 'S::\"a\"'\n";
    let rows = [
        (format!("names = \"spiffe\"\n{path}"), "needs a `trust_domain`"),
        (format!("names = \"spiffe\"\ntrust_domain = \"Prod.example\"\n{path}"), "needs a `trust_domain`"),
        (format!("names = \"spiffe\"\ntrust_domain = \"spiffe://prod\"\n{path}"), "needs a `trust_domain`"),
        ("names = \"spiffe\"\ntrust_domain = \"p\"\n".to_owned(), "at least one entry in `paths`"),
        (format!("names = \"spiffe\"\ntrust_domain = \"p\"\n{path}{subject}"), "takes none in `subjects`"),
        ("names = \"cn\"\n".to_owned(), "at least one entry in `subjects`"),
        (format!("names = \"dns\"\n{subject}{path}"), "neither `paths`"),
        (format!("names = \"cn\"\ntrust_domain = \"p\"\n{subject}"), "nor `trust_domain`"),
        (format!("names = \"cn\"\n{subject}{subject}"), "there twice"),
        (format!("names = \"cn\"\n{subject}groups = [\"\"]\n"), "groups"),
    ];
    for (text, why) in rows {
        let bad = Certificates::new(toml::from_str::<CertificateSettings>(&text).unwrap()).unwrap_err().to_string();
        assert!(bad.contains(why), "{text}: {bad}");
    }
}
