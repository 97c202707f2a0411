//! What a bundle defines: roles and their settings, types, and the entities that the bundle owns.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use foldhash::fast::RandomState;
use serde::{Deserialize, Serialize};

use super::alert::AlertRules;
use super::id::{Incarnation, Revision, RoleName, Uid};
use super::notice::Hearers;
use super::text::Digest;
use super::time::Duration;

/// Most stages that an approval can have.
pub const MAX_STAGES: usize = 8;

/// A requirement on a request to activate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Requirement {
    /// A reason in the requester's words.
    Justification,
    /// A ticket, matching the role's `ticket_pattern` where it has one.
    Ticket,
    /// More than one factor, as the caller's credential says, no older than `mfa_max_age`.
    Mfa,
}

impl fmt::Display for Requirement {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Justification => "justification",
            Self::Ticket => "ticket",
            Self::Mfa => "mfa",
        })
    }
}

/// One stage of an approval. Stages are asked in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// Principals and groups; any enabled member of a listed group may vote.
    pub approvers: Vec<Uid>,
    /// How many different persons have to approve. At least one.
    pub quorum: u32,
    /// How long the stage waits before the request times out.
    pub timeout: Duration,
    /// Who may vote, too, once the stage has waited for a while.
    pub fallback: Option<Fallback>,
}

/// Approvers who step in when a stage's own do not answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fallback {
    /// Principals and groups, as in the stage itself.
    pub approvers: Vec<Uid>,
    /// How long the stage has to have waited. Shorter than its timeout.
    pub after: Duration,
}

/// Break-glass: the role at once and without approval, for those who are eligible and permitted `activateInEmergency`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Emergency {
    /// The longest that one may last.
    pub max_duration: Duration,
    /// How many a principal may begin on one UTC day.
    pub max_per_day: u32,
    /// Within which time it has to be reviewed.
    pub review_within: Duration,
}

/// Limits on what an administrator may grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantLimits {
    /// The longest window.
    pub max_duration: Duration,
    /// Whether a window without an end may be granted.
    pub allow_permanent: bool,
}

/// A pattern that ticket numbers have to match as a whole.
#[derive(Clone)]
pub struct TicketPattern(regex::Regex);

impl TicketPattern {
    /// Compiles a pattern, anchored at both ends.
    ///
    /// # Errors
    /// It is no regular expression, or a too large one; the text says why.
    pub fn new(pattern: &str) -> Result<Self, String> {
        regex::RegexBuilder::new(&format!("^(?:{pattern})$")).size_limit(1 << 20).build().map(Self).map_err(|error| error.to_string())
    }

    /// Whether the whole text matches.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        self.0.is_match(text)
    }

    /// The pattern as it was anchored.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Debug for TicketPattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.0.as_str(), out)
    }
}

impl PartialEq for TicketPattern {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

/// How one role may be held, from `roles.toml`.
#[derive(Debug, Clone, PartialEq)]
pub struct RoleSettings {
    /// The role.
    pub name: RoleName,
    /// What it is for, in a sentence.
    pub description: String,
    /// Entity types that it can be scoped to; `None`: any.
    pub scopes: Option<BTreeSet<String>>,
    /// Whether every grant needs a scope.
    pub scope_required: bool,
    /// The longest that one activation may last.
    pub max_duration: Duration,
    /// How long an activation lasts when the request does not say.
    pub default_duration: Duration,
    /// What a request has to bring.
    pub require: BTreeSet<Requirement>,
    /// What the ticket number has to look like.
    pub ticket_pattern: Option<TicketPattern>,
    /// How old the second factor may be.
    pub mfa_max_age: Option<Duration>,
    /// The stages of approval, in order; none: a request is granted at once.
    pub stages: Vec<Stage>,
    /// How often one activation can be extended.
    pub max_extensions: u32,
    /// How much of its time an activation has to have run before it can be extended, in percent.
    pub extendable_after: u32,
    /// The most time that a principal can have the role on one UTC day, all its activations together.
    pub max_active_per_day: Option<Duration>,
    /// Within which time an approved activation with a future start has to begin; no request can start later than that from now.
    pub activate_within: Duration,
    /// Break-glass, where the role offers it.
    pub emergency: Option<Emergency>,
    /// Whether the role counts for a check only where `conditions/<role>.cedar` permits that very check.
    pub conditions: bool,
    /// Limits on eligibilities.
    pub eligibility: GrantLimits,
    /// Limits on assignments.
    pub assignment: GrantLimits,
    /// SHA-256 over all of the above; it is part of what an approver votes on.
    pub digest: Digest,
    /// Whether alerts look at it as one that can do much. It changes nothing of what is given, so that no vote rests on it.
    pub privileged: bool,
    /// Who hears of what. It is no part of the digest: whom a message goes to changes nothing of what is voted on.
    pub notify: Hearers,
}

/// What to do about an entity of a type that nobody stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownRule {
    /// Deny.
    #[default]
    Deny,
    /// Evaluate it as it stands: no groups, no roles but those on it alone.
    Evaluate,
}

/// What the bundle says of an entity type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TypeSettings {
    /// What to do about an unknown entity of this type.
    pub unknown: UnknownRule,
    /// Whether ids that differ by case only are refused and credentials map through the fold.
    pub case_insensitive: bool,
    /// Whether its entities can have parents (other than roles), by the schema.
    pub can_have_parents: bool,
}

/// A JSON object in canonical form (RFC 8785): the attributes or tags of an entity.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JsonObject(Arc<str>);

impl JsonObject {
    /// The object in canonical form.
    ///
    /// # Errors
    /// A number in it has no canonical form (it is not finite or not exact as a double).
    pub fn new(object: &serde_json::Map<String, serde_json::Value>) -> Result<Self, String> {
        serde_json_canonicalizer::to_string(object).map(|text| Self(text.into())).map_err(|error| error.to_string())
    }

    /// No members at all.
    #[must_use]
    pub fn empty() -> Self {
        Self("{}".into())
    }

    /// Whether it has no members.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        &*self.0 == "{}"
    }

    /// Its canonical text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its members.
    #[must_use]
    pub fn to_map(&self) -> serde_json::Map<String, serde_json::Value> {
        serde_json::from_str(&self.0).unwrap_or_default()
    }
}

impl Default for JsonObject {
    fn default() -> Self {
        Self::empty()
    }
}

impl fmt::Debug for JsonObject {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl Serialize for JsonObject {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { self.to_map().serialize(serializer) } else { serializer.serialize_str(&self.0) }
    }
}

impl<'de> Deserialize<'de> for JsonObject {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let map = serde_json::Map::deserialize(deserializer)?;
            Self::new(&map).map_err(serde::de::Error::custom)
        } else {
            <std::borrow::Cow<'_, str>>::deserialize(deserializer).map(|text| Self(text.into()))
        }
    }
}

/// Who wrote an edge to a parent; a sync removes only its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EdgeSource {
    /// `entities.json` of the bundle.
    Bundle,
    /// `PUT /v1/entities`.
    Api,
    /// A directory that is synchronised, likewise by `PUT /v1/entities`.
    Scim,
}

/// An edge from an entity to one of its parents. It counts while the parent's incarnation is the one it was written under.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ParentEdge {
    /// The parent.
    pub parent: Uid,
    /// The parent's incarnation when the edge was written. For edges of the bundle it is not asked: both ends come and go together.
    pub incarnation: Incarnation,
    /// Who wrote it.
    pub source: EdgeSource,
}

/// An entity as its owner defines it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntityDef {
    /// The entity.
    pub uid: Uid,
    /// Direct parents: groups of a principal, containers of a resource. Never a role.
    pub parents: Vec<ParentEdge>,
    /// Attributes, as in Cedar's entity JSON.
    pub attrs: JsonObject,
}

impl EntityDef {
    /// The human being behind a principal, by its attribute `person` (a string): several accounts of one person vote as one.
    #[must_use]
    pub fn person(&self) -> Option<String> {
        if self.attrs.is_empty() {
            return None;
        }
        self.attrs.to_map().get("person").and_then(|person| person.as_str()).map(str::to_owned)
    }
}

/// Everything that a bundle defines and the domain has to know; the policies themselves stay in the policy room.
#[derive(Debug, Clone, PartialEq)]
pub struct Definitions {
    /// The bundle's content address.
    pub revision: Revision,
    /// The entity type of roles.
    pub role_type: String,
    /// Types that can hold roles.
    pub principal_types: BTreeSet<String>,
    /// Types whose entities are groups of principals.
    pub group_types: BTreeSet<String>,
    /// Every entity type of the composed schema except roles and Elevon's own.
    pub types: BTreeMap<String, TypeSettings>,
    /// The roles.
    pub roles: BTreeMap<RoleName, Arc<RoleSettings>>,
    /// What alerts are about.
    pub alerts: AlertRules,
    /// The entities that the bundle owns.
    pub entities: HashMap<Uid, Arc<EntityDef>, RandomState>,
    /// For each parent, the bundle's entities right below it, sorted.
    pub children: HashMap<Uid, Vec<Uid>>,
}

impl Definitions {
    /// Nothing at all: what stands before the first bundle.
    #[must_use]
    pub fn none(revision: Revision) -> Self {
        Self {
            revision,
            role_type: "Role".to_owned(),
            principal_types: BTreeSet::new(),
            group_types: BTreeSet::new(),
            types: BTreeMap::new(),
            roles: BTreeMap::new(),
            alerts: AlertRules::default(),
            entities: HashMap::default(),
            children: HashMap::new(),
        }
    }

    /// Takes the bundle's entities and derives what lies below each parent.
    #[must_use]
    pub fn with_entities(mut self, entities: impl IntoIterator<Item = EntityDef>) -> Self {
        self.entities = entities.into_iter().map(|def| (def.uid.clone(), Arc::new(def))).collect();
        self.children = HashMap::new();
        for def in self.entities.values() {
            for edge in &def.parents {
                self.children.entry(edge.parent.clone()).or_default().push(def.uid.clone());
            }
        }
        self.children.values_mut().for_each(|below| below.sort());
        self
    }

    /// What is said of a type; the defaults, where nothing is.
    #[must_use]
    pub fn type_settings(&self, kind: &str) -> TypeSettings {
        self.types.get(kind).copied().unwrap_or_default()
    }

    /// Whether entities of this type can hold roles.
    #[must_use]
    pub fn is_principal(&self, uid: &Uid) -> bool {
        self.principal_types.contains(uid.kind())
    }

    /// Whether it is a group of principals.
    #[must_use]
    pub fn is_group(&self, uid: &Uid) -> bool {
        self.group_types.contains(uid.kind())
    }
}
