//! Whom a certificate shows that a gateway has verified: `[[certificate]]` in `routes.toml`, by the one name that the gateway hands on.

use super::pattern::{PathPattern, ResourcePattern, Segment};
use super::target::Target;
use crate::domain::Uid;
use crate::policy::catalog::Catalog;
use crate::policy::settings_file::Section;

const SPIFFE: &str = "spiffe://";
/// Most entries.
const MAX_ENTRIES: usize = 1000;

/// A name, or a pattern of names, and whom it shows.
#[derive(Debug, Clone)]
enum Entry {
    /// This very name.
    Name(String, Uid),
    /// SPIFFE IDs of a trust domain.
    Spiffe { domain: String, path: PathPattern, principal: ResourcePattern },
}

/// Whom certificates show.
#[derive(Debug, Clone, Default)]
pub(super) struct Certificates {
    entries: Vec<Entry>,
}

pub(super) fn read(root: &Section<'_>, catalog: &Catalog) -> Certificates {
    let sections = root.sections("certificate");
    if sections.len() > MAX_ENTRIES {
        root.reader.report(0..0, format!("there are {} certificates; at most {MAX_ENTRIES} are taken", sections.len()), None);
    }
    Certificates { entries: sections.iter().take(MAX_ENTRIES).filter_map(|section| read_entry(section, catalog)).collect() }
}

fn read_entry(section: &Section<'_>, catalog: &Catalog) -> Option<Entry> {
    section.only(&["name", "principal"], &[]);
    let name = section.needed("name")?;
    section.needed("principal")?;
    let principal = section.uid("principal")?;
    if !catalog.types.contains_key(principal.value.kind()) {
        section.reader.report(principal.span, format!("the schema has no entity type `{}`", principal.value.kind()), None);
        return None;
    }
    let Some(rest) = name.value.strip_prefix(SPIFFE) else {
        if name.value.is_empty() || principal.value.id().contains(['{', '}']) {
            let message = "a name that is no SPIFFE ID is taken as it is, and so is its principal: without braces";
            section.reader.report(name.span, message, None);
            return None;
        }
        return Some(Entry::Name(name.value.to_owned(), principal.value));
    };
    let read = rest.find('/').and_then(|at| rest.split_at_checked(at)).ok_or_else(|| "it has no path".to_owned());
    let read = read.and_then(|(domain, path)| {
        let path = PathPattern::parse(path)?;
        if path.segments().iter().any(|segment| matches!(segment, Segment::Rest(_))) {
            return Err("a part in braces is one segment of it".to_owned());
        }
        let names: Vec<&str> = path.segments().iter().filter_map(Segment::name).collect();
        let principal = ResourcePattern::parse(principal.value, &names)?;
        Ok(Entry::Spiffe { domain: domain.to_owned(), path, principal })
    });
    read.map_err(|why| section.reader.report(name.span, format!("`{}` is no pattern of SPIFFE IDs: {why}", name.value), None)).ok()
}

impl Certificates {
    /// Whom a name shows. It has to be exactly one principal.
    pub(super) fn principal(&self, name: &str) -> Result<Uid, String> {
        let spiffe = name.strip_prefix(SPIFFE).and_then(|rest| {
            // what a query would be to a URL does not stand in a SPIFFE ID
            let (domain, path) = rest.split_at_checked(rest.find('/')?).filter(|_| !rest.contains('?'))?;
            Some((domain, Target::new(b"GET", domain.as_bytes(), path.as_bytes()).ok()?))
        });
        let found = self.entries.iter().filter_map(|entry| match (entry, &spiffe) {
            (Entry::Name(known, principal), _) => (known == name).then(|| Ok(principal.clone())),
            (Entry::Spiffe { domain, path, principal }, Some((of, target))) if domain == of => {
                path.taken(target).map(|taken| principal.filled(&taken).map_err(|bad| bad.to_string()))
            }
            (Entry::Spiffe { .. }, _) => None,
        });
        let mut found: Vec<Result<Uid, String>> = found.collect();
        let count = found.len();
        match found.pop().filter(|_| count == 1) {
            Some(found) => found,
            None => Err(format!("{count} entries in `routes.toml` are for the certificate's name, and it has to be one")),
        }
    }
}
