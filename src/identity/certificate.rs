//! Client certificates: from the DER that TLS has verified to a principal, by one kind of name and no other.
//!
//! A certificate with two names of the kind that is looked at is refused, whichever of them an entry is for: which one TLS, a gateway and
//! Elevon each go by must not be a matter of order (CVE-2025-6037). The window is compared again at each request, for connections live long.

use std::collections::BTreeSet;

use serde::Deserialize;
use x509_cert::Certificate;
use x509_cert::der::Decode as _;
use x509_cert::der::asn1::{Any, ObjectIdentifier, PrintableStringRef, Utf8StringRef};
use x509_cert::der::{Tag, Tagged as _};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, KeyUsage, SubjectAltName};

use crate::domain::{Caller, CredentialKind, Duration, Timestamp, Uid};

use super::bad::{BadCertificate, BadCredential, BadSettings};
use super::spiffe::{self, PathEntry, Template};
use super::{Authenticator, Identified, MAX_CERTIFICATE_BYTES, MAX_GROUP_BYTES, MAX_GROUPS, Presented};

/// Most entries.
const MAX_ENTRIES: usize = 1000;
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");

/// Which name of a certificate says who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NameKind {
    /// The one URI among its alternative names, a SPIFFE ID.
    Spiffe,
    /// The one common name of its subject.
    Cn,
    /// The one DNS name among its alternative names.
    Dns,
}

/// Which certificates show whom.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateSettings {
    /// Which name is looked at.
    pub names: NameKind,
    /// The trust domain, for `spiffe`. Exactly this one, in lower case.
    pub trust_domain: Option<String>,
    /// Which paths show whom, for `spiffe`.
    #[serde(default)]
    pub paths: Vec<PathEntry>,
    /// Which names show whom, for `cn` and `dns`.
    #[serde(default)]
    pub subjects: Vec<SubjectEntry>,
}

/// A common name or DNS name, and whom it shows.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubjectEntry {
    /// The name, byte for byte.
    pub name: String,
    /// Whom it shows.
    #[serde(deserialize_with = "super::principal")]
    pub principal: Uid,
    /// Groups that it claims, none unless said.
    #[serde(default)]
    pub groups: Vec<String>,
}

#[derive(Debug, Clone)]
enum Names {
    Spiffe { trust_domain: String, templates: Vec<Template> },
    Cn(Vec<SubjectEntry>),
    Dns(Vec<SubjectEntry>),
}

/// The client certificates that a listener takes.
#[derive(Debug, Clone)]
pub struct Certificates {
    names: Names,
}

impl Certificates {
    /// Takes these settings.
    ///
    /// # Errors
    /// Entries are missing, of the other kind, there twice, or could mix two callers up.
    pub fn new(settings: CertificateSettings) -> Result<Self, BadSettings> {
        let bad = |why: &str| BadSettings::new("client certificates", why);
        let CertificateSettings { names, trust_domain, paths, subjects } = settings;
        let groups = paths.iter().map(|entry| &entry.groups).chain(subjects.iter().map(|entry| &entry.groups));
        let in_order = |groups: &Vec<String>| {
            groups.len() <= MAX_GROUPS && groups.iter().all(|group| !group.is_empty() && group.len() <= MAX_GROUP_BYTES)
        };
        if !groups.into_iter().all(in_order) {
            return Err(bad(&format!("an entry claims at most {MAX_GROUPS} groups, each with a name of 1 to {MAX_GROUP_BYTES} bytes")));
        }
        if paths.len() + subjects.len() > MAX_ENTRIES {
            return Err(bad(&format!("more than {MAX_ENTRIES} entries")));
        }
        if names == NameKind::Spiffe {
            let trust_domain = trust_domain.filter(|domain| spiffe::is_trust_domain(domain));
            let trust_domain = trust_domain.ok_or_else(|| bad("`spiffe` needs a `trust_domain` such as `prod.example`, in lower case"))?;
            if paths.is_empty() || !subjects.is_empty() {
                return Err(bad("`spiffe` needs at least one entry in `paths`, and takes none in `subjects`"));
            }
            let templates = paths.into_iter().map(Template::read).collect::<Result<_, _>>()?;
            return Ok(Self { names: Names::Spiffe { trust_domain, templates } });
        }
        if subjects.is_empty() || !paths.is_empty() || trust_domain.is_some() {
            return Err(bad("`cn` and `dns` need at least one entry in `subjects`, and take neither `paths` nor `trust_domain`"));
        }
        let mut seen = BTreeSet::new();
        if let Some(entry) = subjects.iter().find(|entry| entry.name.is_empty() || !seen.insert(entry.name.as_str())) {
            return Err(bad(&format!("the name `{}` is empty or there twice", entry.name)));
        }
        Ok(Self { names: if names == NameKind::Cn { Names::Cn(subjects) } else { Names::Dns(subjects) } })
    }

    fn read(&self, der: &[u8], now: Timestamp) -> Result<Identified, BadCertificate> {
        if der.len() > MAX_CERTIFICATE_BYTES {
            return Err(form(format!("it is longer than {MAX_CERTIFICATE_BYTES} bytes")));
        }
        let certificate = Certificate::from_der(der).map_err(form)?;
        let until = in_force(&certificate, now)?;
        shows_a_caller(&certificate)?;
        let (principal, groups) = match &self.names {
            Names::Spiffe { trust_domain, templates } => {
                let uri = only("URIs among its alternative names", alternative_names(&certificate, Alternative::Uri)?)?;
                by_path(&uri, spiffe::path(&uri, trust_domain)?, templates)?
            }
            Names::Cn(entries) => by_name(&only("common names", common_names(&certificate)?)?, entries)?,
            Names::Dns(entries) => {
                let name = only("DNS names among its alternative names", alternative_names(&certificate, Alternative::Dns)?)?;
                by_name(&name, entries)?
            }
        };
        let caller = Caller { principal, credential: CredentialKind::Mtls, amr: Vec::new(), auth_time: None, groups };
        Ok(Identified { caller, until: Some(until) })
    }
}

fn form(why: impl ToString) -> BadCertificate {
    BadCertificate::Form { why: why.to_string() }
}

fn instant(time: x509_cert::time::Time) -> Timestamp {
    Timestamp::from_millis(i64::try_from(time.to_unix_duration().as_millis()).unwrap_or(i64::MAX))
}

/// Until when the certificate counts. Its last second counts in full (RFC 5280, section 4.1.2.5).
fn in_force(certificate: &Certificate, now: Timestamp) -> Result<Timestamp, BadCertificate> {
    let validity = certificate.tbs_certificate().validity();
    let (start, end) = (instant(validity.not_before), instant(validity.not_after).plus(Duration::from_secs(1)));
    if now < start {
        return Err(BadCertificate::NotYet { at: start });
    }
    if now >= end {
        return Err(BadCertificate::Expired { at: end });
    }
    Ok(end)
}

/// A certificate that may sign others is an authority's (X509-SVID, section 5.2).
fn shows_a_caller(certificate: &Certificate) -> Result<(), BadCertificate> {
    let tbs = certificate.tbs_certificate();
    let authority = tbs.get_extension::<BasicConstraints>().map_err(form)?.is_some_and(|(_, constraints)| constraints.ca);
    let usage = tbs.get_extension::<KeyUsage>().map_err(form)?;
    let signs = usage.is_some_and(|(_, usage)| usage.key_cert_sign() || usage.crl_sign());
    if authority || signs { Err(BadCertificate::Authority) } else { Ok(()) }
}

#[derive(Clone, Copy)]
enum Alternative {
    Uri,
    Dns,
}

fn alternative_names(certificate: &Certificate, wanted: Alternative) -> Result<Vec<String>, BadCertificate> {
    let Some((_, SubjectAltName(names))) = certificate.tbs_certificate().get_extension::<SubjectAltName>().map_err(form)? else {
        return Ok(Vec::new());
    };
    let text = |name: &GeneralName| match (wanted, name) {
        (Alternative::Uri, GeneralName::UniformResourceIdentifier(text)) | (Alternative::Dns, GeneralName::DnsName(text)) => {
            Some(text.to_string())
        }
        (
            Alternative::Uri | Alternative::Dns,
            GeneralName::UniformResourceIdentifier(_)
            | GeneralName::DnsName(_)
            | GeneralName::OtherName(_)
            | GeneralName::Rfc822Name(_)
            | GeneralName::DirectoryName(_)
            | GeneralName::EdiPartyName(_)
            | GeneralName::IpAddress(_)
            | GeneralName::RegisteredId(_),
        ) => None,
    };
    Ok(names.iter().filter_map(text).collect())
}

/// Common names, as UTF-8 or printable strings. One in an encoding of old is refused and not passed over.
fn common_names(certificate: &Certificate) -> Result<Vec<String>, BadCertificate> {
    let attributes = certificate.tbs_certificate().subject().iter().filter(|attribute| attribute.oid == COMMON_NAME);
    let text = |value: &Any| {
        let tag = value.tag();
        if tag == Tag::Utf8String {
            value.decode_as::<Utf8StringRef<'_>>().map(|text| text.as_str().to_owned()).map_err(form)
        } else if tag == Tag::PrintableString {
            value.decode_as::<PrintableStringRef<'_>>().map(|text| text.as_str().to_owned()).map_err(form)
        } else {
            Err(form(format!("its common name is of the type {tag}; UTF-8 and printable strings are read")))
        }
    };
    attributes.map(|attribute| text(&attribute.value)).collect()
}

fn only(what: &'static str, names: Vec<String>) -> Result<String, BadCertificate> {
    match <[String; 1]>::try_from(names) {
        Ok([name]) => Ok(name),
        Err(names) => Err(BadCertificate::Names { what, count: names.len() }),
    }
}

fn by_name(name: &str, entries: &[SubjectEntry]) -> Result<(Uid, Vec<String>), BadCertificate> {
    let entry = entries.iter().find(|entry| entry.name == name);
    let entry = entry.ok_or_else(|| BadCertificate::Entries { name: name.chars().take(256).collect(), count: 0 })?;
    Ok((entry.principal.clone(), entry.groups.clone()))
}

fn by_path(uri: &str, path: &str, templates: &[Template]) -> Result<(Uid, Vec<String>), BadCertificate> {
    let mut found: Vec<_> =
        templates.iter().filter_map(|template| template.principal(path).map(|uid| (uid, template.groups.clone()))).collect();
    let count = found.len();
    match found.pop().filter(|_| count == 1) {
        Some((principal, groups)) => Ok((principal.map_err(BadCertificate::Principal)?, groups)),
        None => Err(BadCertificate::Entries { name: uri.chars().take(256).collect(), count }),
    }
}

impl Authenticator for Certificates {
    fn identify(&self, presented: &Presented<'_>, now: Timestamp) -> Result<Option<Identified>, BadCredential> {
        let Some(der) = presented.client_certificate else { return Ok(None) };
        self.read(der, now).map(Some).map_err(BadCredential::Certificate)
    }

    fn challenge(&self) -> &'static str {
        "Certificate realm=\"elevon\""
    }

    fn loopback_only(&self) -> bool {
        false
    }
}
