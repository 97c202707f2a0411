//! The schema: the author's file, held against `roles.toml`, and composed with what Elevon generates.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use std::str::FromStr as _;

use cedar_policy::{EntityTypeName, Schema, SchemaFragment};
use serde_json::Value;

use super::catalog::{Catalog, is_datetime};
use super::generated::{self, Author, COMMON_TYPES, NAMESPACE, TYPES};
use super::problem::{Problem, Problems, nearest};
use super::roles::{RolesFile, TypeRules};
use super::settings_file::At;
use crate::domain::facts::Action;
use crate::domain::settings::{TypeSettings, UnknownRule};

/// A file of the bundle: its path and its text.
#[derive(Clone, Copy)]
pub(super) struct Text<'a> {
    pub(super) file: &'a str,
    pub(super) text: &'a str,
}

/// The composed schema and what follows from it.
pub(super) struct Composed {
    pub(super) schema: Schema,
    pub(super) generated: String,
    pub(super) catalog: Catalog,
    pub(super) principal_types: BTreeSet<String>,
    pub(super) group_types: BTreeSet<String>,
    pub(super) types: BTreeMap<String, TypeSettings>,
}

/// What the author's text says that Cedar's composed form does not keep.
#[derive(Default)]
struct Declared {
    member_of: BTreeMap<String, Vec<String>>,
    from_request: HashMap<String, BTreeSet<String>>,
    tags: HashMap<String, String>,
}

/// Composes the author's schema with the generated one. Nothing, where that cannot be done; why, is among the problems.
pub(super) fn compose(author: Text<'_>, roles_at: Text<'_>, roles: &RolesFile, problems: &mut Problems) -> Option<Composed> {
    let before = problems.len();
    if roles.role_type.value.contains("::") || EntityTypeName::from_str(&roles.role_type.value).is_err() {
        let message = format!("`role_type` is `{}`, and has to be a name without a namespace", roles.role_type.value);
        problems.push(Problem::at(roles_at.file, roles_at.text, roles.role_type.span.clone(), message));
        return None;
    }
    let fragment = match SchemaFragment::from_cedarschema_str(author.text) {
        Ok((fragment, _)) => fragment,
        Err(error) => {
            problems.push_cedar(author.file, author.text, &error);
            return None;
        }
    };
    let json = fragment.to_json_value().ok()?;
    refuse_clashes(author, &json, &roles.role_type.value, problems);
    if problems.len() > before {
        return None;
    }
    let names: Vec<&str> = roles.roles.keys().map(|role| role.as_str()).collect();
    let groundwork = generated::groundwork(&roles.role_type.value, &names);
    let ground = combine(author, &groundwork, problems)?;
    let declared = declared(&json);
    let types: BTreeSet<String> =
        ground.entity_types().map(ToString::to_string).filter(|name| *name != roles.role_type.value && !Catalog::is_own(name)).collect();
    let holders = descendants(&ground, &roles.role_type.value);
    let principal_types = principal_types(roles_at, roles, &types, &holders, problems);
    if problems.len() > before {
        return None;
    }
    let group_types = group_types(roles_at, roles, &types, &principal_types, &ground, problems);
    require_role_parents(author, &declared, roles, &principal_types, &holders, problems);
    require_holding_tags(author, &declared, &principal_types, problems);
    let settings = type_settings(roles_at, roles, &types, &principal_types, &ground, problems);
    check_roles(roles_at, roles, &types, &principal_types, &group_types, problems);
    if problems.len() > before {
        return None;
    }
    let generated =
        generated::schema(&Author { role_type: &roles.role_type.value, roles: names, types: &types, principal_types: &principal_types });
    let schema = combine(author, &generated, problems)?;
    let mut catalog = Catalog::new(&schema);
    for (kind, info) in &mut catalog.types {
        info.from_request = declared.from_request.get(kind).cloned().unwrap_or_default();
        info.tagged = declared.tags.contains_key(kind);
    }
    require_datetime_now(author, &mut catalog, problems);
    Some(Composed { schema, generated, catalog, principal_types, group_types, types: settings })
}

fn combine(author: Text<'_>, generated: &str, problems: &mut Problems) -> Option<Schema> {
    let mut fragments = Vec::new();
    for text in [author.text, generated] {
        match SchemaFragment::from_cedarschema_str(text) {
            Ok((fragment, _)) => fragments.push(fragment),
            Err(error) => {
                problems.push_cedar(author.file, author.text, &error);
                return None;
            }
        }
    }
    match Schema::from_schema_fragments(fragments) {
        Ok(schema) => Some(schema),
        Err(error) => {
            problems.push_cedar(author.file, author.text, &error);
            None
        }
    }
}

/// Types below a type, by the composed schema.
fn descendants(schema: &Schema, above: &str) -> BTreeSet<String> {
    let is_below = |name: &EntityTypeName| schema.ancestors(name).is_some_and(|mut all| all.any(|one| one.to_string() == above));
    schema.entity_types().filter(|name| is_below(name)).map(ToString::to_string).collect()
}

/// Names that Elevon generates may not be the author's, too; and names in a namespace may not shadow names outside of all (Cedar RFC 70).
fn refuse_clashes(author: Text<'_>, json: &Value, role_type: &str, problems: &mut Problems) {
    let Some(namespaces) = json.as_object() else { return };
    let mut clash = |span: Range<usize>, message: String, help: &str| {
        problems.push(Problem::at(author.file, author.text, span, message).help(help));
    };
    let elsewhere = "rename it, or put your schema into a namespace of your own";
    if namespaces.keys().any(|name| name == NAMESPACE || name.starts_with("Elevon::")) {
        let span = find(author.text, NAMESPACE, |before| before.trim_end().ends_with("namespace"));
        let message = "the namespace `Elevon` is generated; the bundle cannot add to it".to_owned();
        clash(span, message, "move what you need into a namespace of your own");
    }
    let Some(plain) = namespaces.get("").and_then(Value::as_object) else { return };
    let names = |section: &str| plain.get(section).and_then(Value::as_object).into_iter().flat_map(|all| all.keys());
    for name in names("entityTypes").chain(names("commonTypes")) {
        let span = find_entity(author.text, name);
        if name == role_type {
            let message = format!("`{name}` is generated from roles.toml; the bundle cannot define it");
            clash(span, message, "leave it out, or set another `role_type` in roles.toml");
        } else if TYPES.contains(&name.as_str()) || COMMON_TYPES.contains(&name.as_str()) {
            clash(span, format!("`{name}` is also the name of a type of Elevon's, which it would hide"), elsewhere);
        }
    }
    for name in names("actions") {
        if Action::ALL.iter().any(|action| action.as_str() == name) {
            let message = format!("`{name}` is also the name of an action of Elevon's, which it would hide");
            clash(find_word(author.text, name), message, elsewhere);
        }
    }
}

fn declared(json: &Value) -> Declared {
    let mut declared = Declared::default();
    for (namespace, content) in json.as_object().into_iter().flatten() {
        let common = content.get("commonTypes");
        for (name, entity) in content.get("entityTypes").and_then(Value::as_object).into_iter().flatten() {
            let whole = if namespace.is_empty() { name.clone() } else { format!("{namespace}::{name}") };
            let above = entity.get("memberOfTypes").and_then(Value::as_array).into_iter().flatten();
            declared.member_of.insert(whole.clone(), above.filter_map(Value::as_str).map(str::to_owned).collect());
            if let Some(tags) = entity.get("tags") {
                declared.tags.insert(whole.clone(), tags.get("name").and_then(Value::as_str).unwrap_or("?").to_owned());
            }
            let mut shape = entity.get("shape");
            let named = shape.and_then(|shape| shape.get("name")).and_then(Value::as_str);
            if let Some(found) = named.and_then(|name| common?.get(name)) {
                shape = Some(found);
            }
            let attrs = shape.and_then(|shape| shape.get("attributes")).and_then(Value::as_object).into_iter().flatten();
            let marked = attrs.filter(|(_, attr)| attr.get("annotations").is_some_and(|notes| notes.get("from_request").is_some()));
            declared.from_request.insert(whole, marked.map(|(attr, _)| attr.clone()).collect());
        }
    }
    declared
}

fn listed(roles_at: Text<'_>, list: &[At<String>], what: &str, types: &BTreeSet<String>, problems: &mut Problems) -> BTreeSet<String> {
    for name in list {
        refuse_unknown_type(roles_at, name, what, types, problems);
    }
    list.iter().map(|name| name.value.clone()).filter(|name| types.contains(name)).collect()
}

fn refuse_unknown_type(roles_at: Text<'_>, name: &At<String>, what: &str, types: &BTreeSet<String>, problems: &mut Problems) {
    if types.contains(&name.value) {
        return;
    }
    let message = format!("{what} names `{}`, which is no entity type of the schema", name.value);
    let problem = Problem::at(roles_at.file, roles_at.text, name.span.clone(), message);
    problems.push(match nearest(&name.value, types.iter().map(String::as_str)) {
        Some(nearest) => problem.help(format!("did you mean `{nearest}`?")),
        None => problem.help(format!("the schema has {}", types.iter().cloned().collect::<Vec<_>>().join(", "))),
    });
}

fn principal_types(
    roles_at: Text<'_>,
    roles: &RolesFile,
    types: &BTreeSet<String>,
    holders: &BTreeSet<String>,
    problems: &mut Problems,
) -> BTreeSet<String> {
    let found = match &roles.principal_types {
        Some(list) => listed(roles_at, list, "`principal_types`", types, problems),
        None => holders.clone(),
    };
    if found.is_empty() && roles.principal_types.as_ref().is_none_or(Vec::is_empty) {
        let problem = Problem::in_file(roles_at.file, "there is no principal type, so nobody could hold a role");
        problems.push(problem.help("write `principal_types = [\"User\"]` in `[elevon]`, and `entity User in [Role]` in the schema"));
    }
    found
}

/// As listed; or else what a principal can be a member of, which is no role.
fn group_types(
    roles_at: Text<'_>,
    roles: &RolesFile,
    types: &BTreeSet<String>,
    principals: &BTreeSet<String>,
    schema: &Schema,
    problems: &mut Problems,
) -> BTreeSet<String> {
    let found = match &roles.group_types {
        Some(list) => listed(roles_at, list, "`group_types`", types, problems),
        None => {
            let above = schema.entity_types().filter(|name| principals.contains(&name.to_string()));
            let above = above.filter_map(|name| schema.ancestors(name)).flatten().map(ToString::to_string);
            above.filter(|name| types.contains(name) && !principals.contains(name)).collect()
        }
    };
    for both in found.intersection(principals) {
        problems.push(Problem::in_file(roles_at.file, format!("`{both}` is both a principal type and a group type")));
    }
    found
}

fn require_role_parents(
    author: Text<'_>,
    declared: &Declared,
    roles: &RolesFile,
    principals: &BTreeSet<String>,
    holders: &BTreeSet<String>,
    problems: &mut Problems,
) {
    let role_type = &roles.role_type.value;
    for kind in principals.difference(holders) {
        let mut parents = declared.member_of.get(kind).cloned().unwrap_or_default();
        parents.push(role_type.clone());
        let bare = kind.rsplit("::").next().unwrap_or(kind);
        let message = format!("`{kind}` is a principal type, and cannot hold roles as it stands");
        let problem = Problem::at(author.file, author.text, find_entity(author.text, bare), message);
        problems.push(problem.help(format!("write `entity {bare} in [{}]`", parents.join(", "))));
    }
}

fn require_holding_tags(author: Text<'_>, declared: &Declared, principals: &BTreeSet<String>, problems: &mut Problems) {
    let mut tagged: Vec<_> = declared.tags.iter().collect();
    tagged.sort();
    for (kind, tags) in tagged {
        let bare = kind.rsplit("::").next().unwrap_or(kind);
        let at = |message: String| Problem::at(author.file, author.text, find_entity(author.text, bare), message);
        if !principals.contains(kind) {
            problems.push(at(format!("tags of `{kind}` are not available yet: only principals have tags")).help("use attributes instead"));
        } else if tags != "Elevon::Holding" {
            let problem = at(format!("the tags of principal type `{kind}` show its roles, and have to be of type `Elevon::Holding`"));
            problems.push(problem.help("write `tags Elevon::Holding`"));
        }
    }
}

fn type_settings(
    roles_at: Text<'_>,
    roles: &RolesFile,
    types: &BTreeSet<String>,
    principals: &BTreeSet<String>,
    schema: &Schema,
    problems: &mut Problems,
) -> BTreeMap<String, TypeSettings> {
    for (name, at) in &roles.types {
        let name = At { value: name.clone(), span: at.span.clone() };
        refuse_unknown_type(roles_at, &name, "`[elevon.types]`", types, problems);
    }
    let mut settings = BTreeMap::new();
    for name in schema.entity_types().filter(|name| types.contains(&name.to_string())) {
        let mut above = schema.ancestors(name).into_iter().flatten();
        let can_have_parents = above.any(|above| above.to_string() != roles.role_type.value);
        let kind = name.to_string();
        let rules = roles.types.get(&kind).map_or_else(TypeRules::default, |at| at.value);
        // something that can lie below something else might lie below a scope, so it has to be stored to be judged
        let unknown = rules.unknown.unwrap_or(match can_have_parents || principals.contains(&kind) {
            true => UnknownRule::Deny,
            false => UnknownRule::Evaluate,
        });
        settings.insert(kind, TypeSettings { unknown, case_insensitive: rules.case_insensitive, can_have_parents });
    }
    settings
}

fn check_roles(
    roles_at: Text<'_>,
    roles: &RolesFile,
    types: &BTreeSet<String>,
    principals: &BTreeSet<String>,
    groups: &BTreeSet<String>,
    problems: &mut Problems,
) {
    for draft in roles.roles.values() {
        for scope in &draft.scopes {
            refuse_unknown_type(roles_at, scope, "`scopes`", types, problems);
        }
        for approver in &draft.approvers {
            let kind = approver.value.kind();
            if !principals.contains(kind) && !groups.contains(kind) {
                let message = format!("{} cannot approve: `{kind}` is neither a principal type nor a group type", approver.value);
                problems.push(Problem::at(roles_at.file, roles_at.text, approver.span.clone(), message));
            }
        }
        for named in draft.named.iter().filter(|named| !principals.contains(named.value.kind()) && !groups.contains(named.value.kind())) {
            let message = format!("{} hears nothing: `{}` is neither a principal type nor a group type", named.value, named.value.kind());
            problems.push(Problem::at(roles_at.file, roles_at.text, named.span.clone(), message));
        }
        for (stage, at) in draft.settings.stages.iter().zip(&draft.quorums) {
            let stand_in = stage.fallback.as_ref().map(|fallback| fallback.approvers.as_slice()).unwrap_or_default();
            let mut voters = stage.approvers.iter().chain(stand_in);
            let most = stage.approvers.len() + stand_in.len();
            let only_principals = most > 0 && voters.all(|uid| principals.contains(uid.kind()));
            if only_principals && usize::try_from(stage.quorum).is_ok_and(|quorum| quorum > most) {
                let message = format!("the quorum of {} can never be reached: only {most} can vote", stage.quorum);
                problems.push(Problem::at(roles_at.file, roles_at.text, at.clone(), message));
            }
        }
    }
}

/// `context.now` is made by Elevon, so an action that declares it has to declare an instant.
fn require_datetime_now(author: Text<'_>, catalog: &mut Catalog, problems: &mut Problems) {
    catalog.map_actions(|action| {
        if action.context.get("now").is_some_and(|slot| !is_datetime(&slot.ty)) {
            let id: &str = action.uid.eid().as_ref();
            let message = format!("the context of action `{id}` declares `now`, which Elevon makes and which is a datetime");
            problems.push(
                Problem::at(author.file, author.text, find_word(author.text, id), message).help("write `now: datetime`, or rename it"),
            );
        }
    });
}

/// Where a word stands first, outside of comments; the start of the text, where it does not.
fn find_word(text: &str, word: &str) -> Range<usize> {
    find(text, word, |_| true)
}

/// Where an entity type is declared.
fn find_entity(text: &str, name: &str) -> Range<usize> {
    let declares = |before: &str| {
        let head = before.rsplit([';', '{', '}']).next().unwrap_or_default();
        head.split_whitespace().any(|word| word == "entity") && !head.split_whitespace().any(|word| word == "in")
    };
    let span = find(text, name, declares);
    if span.is_empty() { find_word(text, name) } else { span }
}

fn find(text: &str, word: &str, accept: impl Fn(&str) -> bool) -> Range<usize> {
    let is_part = |letter: char| letter.is_alphanumeric() || letter == '_';
    for (at, _) in text.match_indices(word) {
        let (before, rest) = text.split_at(at);
        let after = rest.get(word.len()..).unwrap_or_default();
        let line = before.rsplit('\n').next().unwrap_or_default();
        let whole = !before.ends_with(is_part) && !after.starts_with(is_part);
        if whole && !line.contains("//") && accept(before) {
            return at..at + word.len();
        }
    }
    0..0
}
