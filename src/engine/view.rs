//! One moment of everything that a check reads.

use std::collections::HashMap;
use std::sync::Arc;

use crate::domain::{Incarnation, RoleName, Timestamp};
use crate::policy::Bundle;

/// One bundle and what is stored, as of one journal sequence.
pub struct View {
    /// The journal sequence.
    pub seq: u64,
    /// The live bundle.
    pub bundle: Arc<Bundle>,
    /// When it went live.
    pub activated_at: Timestamp,
    graph: Graph,
    roles: Arc<HashMap<RoleName, Incarnation>>,
}

/// A view, read together with what is stored: the facts of one check.
pub struct Pinned<'a>;
