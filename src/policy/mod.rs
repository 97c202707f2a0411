//! The policies: files in, verdicts out. The only room that names Cedar.
//!
//! A [`Bundle`] is a folder's content, parsed, strictly validated and tested, and never changed afterwards; its [`Revision`] is the digest of
//! that content. [`Bundle::check`] is the one evaluator: for the data plane, for Elevon's own actions ([`Authority`]) and for policy tests, so
//! that the three cannot differ. A [`Watcher`] says when the folder has become something else.
//!
//! [`Revision`]: crate::domain::Revision
//! [`Authority`]: crate::domain::Authority

mod alerts;
mod ask;
mod authority;
mod bundle;
mod catalog;
mod conditions;
mod entities;
mod evaluate;
mod files;
mod generated;
mod hearers;
mod instant;
mod judge;
mod policies;
mod prepared;
mod problem;
mod roles;
mod routes;
mod schema;
mod settings_file;
mod slice;
mod suggest;
mod trial;
mod value;
mod watch;

pub use ask::{Ask, Effect, PolicyError, Reason, Verdict};
pub use bundle::Bundle;
pub use files::{FileInfo, MAX_BUNDLE_BYTES, MAX_DEPTH, MAX_FILE_BYTES, MAX_FILES, digest_of};
pub(crate) use hearers::is_destination_name;
pub(crate) use problem::nearest;
pub use problem::{BundleError, MAX_PROBLEMS, Problem};
pub use routes::{
    BadTarget, Cluster, HostPattern, Identity, MAX_PATH_BYTES, MAX_ROUTES, NoRoute, PassedOver, PathPattern, ResourcePattern, Route,
    Routed, Routes, Target,
};
pub(crate) use settings_file::{At, Reader, Section};
pub use suggest::{MAX_TRIED, Offer};
pub use trial::{MAX_TESTS, TestOutcome};
pub use watch::Watcher;

#[cfg(test)]
mod tests;
