//! SPIFFE IDs (SPIFFE-ID and X509-SVID): `spiffe://` trust domain, path; and the templates by which a path names a principal.
//!
//! A template never maps two paths to one id: what it takes from the path has no `/` in it, every part it takes is in the id, and
//! parts stand there with a `/` between them.

use serde::Deserialize;

use crate::domain::Uid;
use crate::domain::id::BadName;

use super::bad::{BadCertificate, BadSettings};

/// Longest SPIFFE ID, in bytes (SPIFFE-ID, section 2.3).
const MAX_ID_BYTES: usize = 2048;
/// Longest trust domain, in bytes.
const MAX_TRUST_DOMAIN_BYTES: usize = 255;

/// Which paths, and whom they show.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PathEntry {
    /// The path, such as `/ns/{namespace}/sa/{account}`: a part in braces stands for one segment.
    pub path: String,
    /// Whom it shows; the id may hold the parts in braces, such as `{namespace}/{account}`.
    #[serde(deserialize_with = "super::principal")]
    pub principal: Uid,
    /// Groups that it claims, none unless said.
    #[serde(default)]
    pub groups: Vec<String>,
}

/// A segment of a template, or a piece of an id.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// This very text.
    Text(String),
    /// What the path has in the place of the n-th part in braces.
    Taken(usize),
}

/// A template that was read.
#[derive(Debug, Clone)]
pub(super) struct Template {
    segments: Vec<Part>,
    kind: String,
    id: Vec<Part>,
    pub(super) groups: Vec<String>,
}

impl Template {
    pub(super) fn read(entry: PathEntry) -> Result<Self, BadSettings> {
        let bad = |why: String| BadSettings::new(format!("path `{}`", entry.path), why);
        let inner = entry.path.strip_prefix('/').ok_or_else(|| bad("a path begins with `/`".to_owned()))?;
        let mut names: Vec<&str> = Vec::new();
        let mut segments = Vec::new();
        for segment in inner.split('/') {
            let braced = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
            match braced {
                Some(name) if is_part_name(name) && !names.contains(&name) => {
                    segments.push(Part::Taken(names.len()));
                    names.push(name);
                }
                Some(name) => return Err(bad(format!("`{{{name}}}` is there twice or is not a name of letters, digits and `_`"))),
                None if is_segment(segment) => segments.push(Part::Text(segment.to_owned())),
                None => {
                    return Err(bad(format!("`{segment}` is not a segment: letters, digits, `.`, `-` and `_`, or one part in braces")));
                }
            }
        }
        let id = pieces(entry.principal.id(), &names).map_err(bad)?;
        Ok(Self { segments, kind: entry.principal.kind().to_owned(), id, groups: entry.groups })
    }

    /// Whom a path shows; nothing where the template is not for it.
    pub(super) fn principal(&self, path: &str) -> Option<Result<Uid, BadName>> {
        let found: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
        if found.len() != self.segments.len() {
            return None;
        }
        let mut taken = Vec::new();
        for (segment, part) in found.into_iter().zip(&self.segments) {
            match part {
                Part::Text(text) if text == segment => {}
                Part::Text(_) => return None,
                Part::Taken(_) => taken.push(segment),
            }
        }
        let pieces = self.id.iter().map(|part| match part {
            Part::Text(text) => text.as_str(),
            Part::Taken(at) => taken.get(*at).copied().unwrap_or_default(),
        });
        Some(Uid::new(&self.kind, &pieces.collect::<String>()))
    }
}

/// The pieces of an id: every name once, and a `/` between two of them.
fn pieces(id: &str, names: &[&str]) -> Result<Vec<Part>, String> {
    let mut found = Vec::new();
    let mut seen = Vec::new();
    let mut rest = id;
    let mut apart = true;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').ok_or("the id has `{` without `}`")?;
        let at = names.iter().position(|known| *known == name).ok_or(format!("the id holds `{{{name}}}`, which the path lacks"))?;
        apart |= before.contains('/');
        if !apart {
            return Err("two parts in braces stand in the id without `/` between them, so that two paths could make one id".to_owned());
        }
        if seen.contains(&at) || before.contains('}') {
            return Err("the id holds a part in braces twice, or a brace of its own".to_owned());
        }
        seen.push(at);
        found.extend((!before.is_empty()).then(|| Part::Text(before.to_owned())));
        found.push(Part::Taken(at));
        (rest, apart) = (after, false);
    }
    if rest.contains('}') {
        return Err("the id has `}` without `{`".to_owned());
    }
    if seen.len() != names.len() {
        return Err("the id leaves out a part in braces of the path, so that two paths would make one id".to_owned());
    }
    found.extend((!rest.is_empty()).then(|| Part::Text(rest.to_owned())));
    Ok(found)
}

fn is_part_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// A path segment (SPIFFE-ID, section 2.2): nothing is percent-encoded, and no segment is empty or leads elsewhere.
fn is_segment(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    !text.is_empty() && text != "." && text != ".." && text.bytes().all(plain)
}

/// Whether a text is the name of a trust domain: lower case, no port and no user.
pub(super) fn is_trust_domain(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_".contains(&byte);
    !text.is_empty() && text.len() <= MAX_TRUST_DOMAIN_BYTES && text.bytes().all(plain)
}

/// The path of a SPIFFE ID of this trust domain.
pub(super) fn path<'a>(uri: &'a str, trust_domain: &str) -> Result<&'a str, BadCertificate> {
    let bad = |why| BadCertificate::SpiffeId { uri: uri.chars().take(256).collect(), why };
    if uri.len() > MAX_ID_BYTES {
        return Err(bad("it is longer than 2048 bytes"));
    }
    let rest = uri.strip_prefix("spiffe://").ok_or_else(|| bad("its scheme is not `spiffe`, in lower case"))?;
    let slash = rest.find('/').ok_or_else(|| bad("it has no path, so it is of a trust domain and not of a caller"))?;
    let (domain, path) = rest.split_at(slash);
    if domain != trust_domain {
        return Err(bad("it is of another trust domain"));
    }
    let inner = path.strip_prefix('/').unwrap_or_default();
    if !inner.split('/').all(is_segment) {
        return Err(bad("its path is not segments of letters, digits, `.`, `-` and `_`"));
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(path: &str, id: &str) -> Result<Template, BadSettings> {
        Template::read(PathEntry { path: path.to_owned(), principal: Uid::new("Workload", id).unwrap(), groups: Vec::new() })
    }

    #[test]
    fn a_spiffe_id_is_of_the_trust_domain_and_plain() {
        let long = format!("spiffe://prod.example/{}", "a".repeat(2048));
        let rows = [
            ("spiffe://prod.example/ns/web/sa/api", Ok("/ns/web/sa/api")),
            ("spiffe://prod.example/a.b-c_D9", Ok("/a.b-c_D9")),
            ("SPIFFE://prod.example/a", Err("scheme")),
            ("https://prod.example/a", Err("scheme")),
            ("spiffe:/prod.example/a", Err("scheme")),
            ("spiffe://prod.example", Err("no path")),
            ("spiffe://prod.example/", Err("segments")),
            ("spiffe://PROD.example/a", Err("another trust domain")),
            ("spiffe://prod.example.evil.example/a", Err("another trust domain")),
            ("spiffe://prod.example:443/a", Err("another trust domain")),
            ("spiffe://user@prod.example/a", Err("another trust domain")),
            ("spiffe:///a", Err("another trust domain")),
            ("spiffe://prod.example/a/", Err("segments")),
            ("spiffe://prod.example//a", Err("segments")),
            ("spiffe://prod.example/a/../b", Err("segments")),
            ("spiffe://prod.example/./b", Err("segments")),
            ("spiffe://prod.example/a%2fb", Err("segments")),
            ("spiffe://prod.example/a?b=c", Err("segments")),
            ("spiffe://prod.example/a#b", Err("segments")),
            ("spiffe://prod.example/a b", Err("segments")),
            ("spiffe://prod.example/ä", Err("segments")),
            (long.as_str(), Err("2048")),
        ];
        for (uri, want) in rows {
            match (path(uri, "prod.example"), want) {
                (Ok(found), Ok(want)) => assert_eq!(found, want),
                (Err(bad), Err(why)) => assert!(bad.to_string().contains(why), "{uri}: {bad}"),
                (found, _) => panic!("{uri}: {found:?}"),
            }
        }
    }

    #[test]
    fn a_template_names_a_principal() {
        let rows = [
            ("/ns/{n}/sa/{a}", "{n}/{a}", "/ns/web/sa/api", Some("web/api")),
            ("/ns/{n}/sa/{a}", "{a}@x/{n}", "/ns/web/sa/api", Some("api@x/web")),
            ("/ns/{n}/sa/{a}", "{n}/{a}", "/ns/web/sa", None),
            ("/ns/{n}/sa/{a}", "{n}/{a}", "/ns/web/sa/api/more", None),
            ("/ns/{n}/sa/{a}", "{n}/{a}", "/NS/web/sa/api", None),
            ("/gateway", "the-gateway", "/gateway", Some("the-gateway")),
            ("/gateway", "the-gateway", "/gateway2", None),
            ("/{all}", "w-{all}", "/x", Some("w-x")),
        ];
        for (path, id, asked, want) in rows {
            let found = template(path, id).unwrap().principal(asked).map(|uid| uid.unwrap().id().to_owned());
            assert_eq!(found.as_deref(), want, "{path} {asked}");
        }
        let long = "a".repeat(600);
        assert!(template("/{all}", "{all}").unwrap().principal(&format!("/{long}")).unwrap().is_err(), "longer than an id");
    }

    #[test]
    fn templates_that_could_mix_two_up_are_refused() {
        let rows = [
            ("ns/{n}", "{n}", "begins with `/`"),
            ("/ns/", "x", "is not a segment"),
            ("/", "x", "is not a segment"),
            ("/a/../b", "x", "is not a segment"),
            ("/a{n}", "x", "is not a segment"),
            ("/{n}/{n}", "{n}", "is there twice"),
            ("/{}", "x", "is there twice or is not a name"),
            ("/{n}/{a}", "{n}-{a}", "without `/` between"),
            ("/{n}/{a}", "{n}{a}", "without `/` between"),
            ("/{n}/{a}", "{n}", "leaves out"),
            ("/{n}", "x", "leaves out"),
            ("/{n}", "{m}", "which the path lacks"),
            ("/{n}", "{n", "`{` without `}`"),
            ("/{n}", "n}", "`}` without `{`"),
            ("/{n}", "{n}/{n}", "twice"),
        ];
        for (path, id, why) in rows {
            let bad = template(path, id).unwrap_err().to_string();
            assert!(bad.contains(why), "{path} {id}: {bad}");
        }
    }
}
