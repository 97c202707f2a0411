//! How the requests to a Kubernetes cluster are mapped: `[kubernetes.NAME]` in `routes.toml`.
//!
//! What is asked about is the namespace, or the cluster for what is in none: roles are held on those, and neither pods nor secrets are stored
//! as entities. What exactly is asked for, policies read from the context.

use std::collections::BTreeMap;

use crate::domain::Uid;
use crate::domain::id::BadName;
use crate::policy::catalog::Catalog;
use crate::policy::settings_file::Section;

/// What stands in an id for the namespace.
const NAMESPACE: &str = "{namespace}";
/// How Kubernetes names the accounts of software.
const SERVICE_ACCOUNT: &str = "system:serviceaccount:";
/// Most clusters.
const MAX_CLUSTERS: usize = 1000;

/// How a cluster's requests are mapped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// What is asked about for everything that is in no namespace.
    pub cluster: Uid,
    /// What is asked about for everything in a namespace; its id has `{namespace}` in it.
    pub namespace: Uid,
    /// The namespace of the schema in which each verb is an action.
    pub actions: String,
    /// The type of users.
    pub users: String,
    /// The type of service accounts, whose ids are then `namespace/name`; they are users like others where it is not said.
    pub service_accounts: Option<String>,
    /// Whether every deny is final. Else only what a policy forbids is, and for the rest the cluster asks whom it asks next, such as RBAC.
    pub authoritative: bool,
}

impl Cluster {
    /// The resource for a namespace, or for none.
    ///
    /// # Errors
    /// The namespace cannot be part of an id.
    pub fn resource(&self, namespace: &str) -> Result<Uid, BadName> {
        if namespace.is_empty() {
            return Ok(self.cluster.clone());
        }
        Uid::new(self.namespace.kind(), &self.namespace.id().replace(NAMESPACE, namespace))
    }

    /// The action for a verb.
    #[must_use]
    pub fn action(&self, verb: &str) -> String {
        format!("{}::Action::\"{}\"", self.actions, verb.replace('\\', "\\\\").replace('"', "\\\""))
    }

    /// The principal for a user.
    ///
    /// # Errors
    /// The name cannot be an id.
    pub fn principal(&self, user: &str) -> Result<Uid, BadName> {
        let account = self.service_accounts.as_ref().and_then(|kind| {
            let (namespace, name) = user.strip_prefix(SERVICE_ACCOUNT)?.split_once(':')?;
            Some((kind, format!("{namespace}/{name}")))
        });
        match account {
            Some((kind, id)) => Uid::new(kind, &id),
            None => Uid::new(&self.users, user),
        }
    }
}

pub(super) fn read(section: &Section<'_>, catalog: &Catalog) -> BTreeMap<String, Cluster> {
    let mut clusters = BTreeMap::new();
    for key in section.keys().take(MAX_CLUSTERS) {
        let named = key.value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_' || byte == b'.');
        if !named || key.value.is_empty() {
            let help = Some("it stands in the webhook's URL: letters, digits, `-`, `_` and `.`".to_owned());
            section.reader.report(key.span, format!("`{}` is no name of a cluster", key.value), help);
            continue;
        }
        let read = section.section(key.value).and_then(|cluster| read_cluster(&cluster, catalog));
        clusters.extend(read.map(|cluster| (key.value.to_owned(), cluster)));
    }
    clusters
}

fn read_cluster(section: &Section<'_>, catalog: &Catalog) -> Option<Cluster> {
    section.only(&["cluster", "namespace", "actions", "users", "service_accounts", "authoritative"], &[]);
    for key in ["cluster", "namespace", "actions", "users"] {
        section.needed(key)?;
    }
    let (cluster, namespace) = (section.uid("cluster")?, section.uid("namespace")?);
    if namespace.value.id().matches(NAMESPACE).count() != 1 {
        let message = format!("`namespace` has to have `{NAMESPACE}` in its id, once");
        section.reader.report(namespace.span, message, None);
        return None;
    }
    let (actions, users) = (section.string("actions")?, section.string("users")?);
    let service_accounts = section.string("service_accounts");
    let has_type = |kind: &str| catalog.types.contains_key(kind);
    let types = [
        (cluster.value.kind(), section.span_of("cluster")),
        (namespace.value.kind(), section.span_of("namespace")),
        (users.value, users.span.clone()),
    ];
    let accounts = service_accounts.as_ref().map(|kind| (kind.value, kind.span.clone()));
    if let Some((kind, span)) = types.into_iter().chain(accounts).find(|(kind, _)| !has_type(kind)) {
        section.reader.report(span, format!("the schema has no entity type `{kind}`"), None);
        return None;
    }
    let prefix = format!("{}::Action::\"", actions.value);
    if !catalog.action_names().iter().any(|name| name.starts_with(&prefix)) {
        let help = Some(format!("write `namespace {} {{ action get, list, … }}` in the schema", actions.value));
        section.reader.report(actions.span, format!("the schema has no action in the namespace `{}`", actions.value), help);
        return None;
    }
    Some(Cluster {
        cluster: cluster.value,
        namespace: namespace.value,
        actions: actions.value.to_owned(),
        users: users.value.to_owned(),
        service_accounts: service_accounts.map(|kind| kind.value.to_owned()),
        authoritative: section.bool("authoritative").unwrap_or(false),
    })
}
