//! One moment of everything that a check reads.
//!
//! A check pins one [`View`]: one bundle, the roles' incarnations, and the rows of inner names (groups, and whatever has
//! something below it) in memory, all as of one journal sequence. Rows that are not in memory, those of leaves, are read from the
//! store, one point read each. That is still one moment, without a snapshot of the store per check: every row carries the sequence
//! of the record that changed it last, no row is ever removed, and a row that has not changed since the view's sequence is the row
//! that stood there then. A row that *has* changed since says that the view is older than the store, which lasts from a commit
//! until the writer publishes, some microseconds: the read starts over with the newest view, and gives up after a bounded wait
//! with a deny. Lost: a RocksDB snapshot per view, which pins old versions through every compaction and costs a lock to take and
//! to drop.
//!
//! Every name that stands above another one is in the graph, whether or not anything is stored about it, and is replaced in the view of the
//! very commit that changes it; so is every group. Other names are read.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::hash::BuildHasher as _;
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::domain::grant::{EntityRow, RoleRow};
use crate::domain::standing::Memberships;
use crate::domain::{Changes, Definitions, Facts, RoleName, Rows, Text, TextDigest, Timestamp, Uid, Unavailable};
use crate::policy::Bundle;

use super::bounds::{KEPT_FROM, MEMO, SHARDS};
use super::kept::Kept;
use super::ports::Reader;

/// One bundle and what is stored, as of one journal sequence.
pub struct View {
    /// The journal sequence.
    pub seq: u64,
    /// The live bundle.
    pub bundle: Arc<Bundle>,
    /// When it went live.
    pub activated_at: Timestamp,
    graph: Graph,
    roles: Arc<HashMap<RoleName, RoleRow, RandomState>>,
    time_void_before: u64,
    kept: Arc<Kept>,
    /// Another one whenever the bundle or anything that is in memory is another.
    ground: Ground,
}

/// Stands for the bundle of a view and for everything of it that is in memory: the same as long as all of that is.
#[derive(Debug, Clone, Default)]
pub(super) struct Ground(Arc<()>);

impl PartialEq for Ground {
    fn eq(&self, other: &Self) -> bool {
        // both are held, so that a place in memory cannot have become another's
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl View {
    /// What is stored now. Nothing may be committed meanwhile.
    pub(super) fn load(reader: &dyn Reader, bundle: Arc<Bundle>, activated_at: Timestamp) -> Result<Self, Unavailable> {
        let mut graph = Graph::default();
        for (uid, row) in reader.inner_rows()? {
            graph.put(uid, row);
        }
        let mut view = Self {
            seq: reader.head().seq,
            bundle,
            activated_at,
            graph,
            roles: Arc::new(reader.role_rows()?.into_iter().collect()),
            time_void_before: reader.time_void_before()?,
            kept: Arc::default(),
            ground: Ground::default(),
        };
        view.keep_inner_of_bundle(&Changes::default(), reader)?;
        Ok(view)
    }

    /// This view after a commit. Made before the commit, from what it is about to write, so that publishing it is one store of a pointer.
    pub(super) fn after(
        &self,
        seq: u64,
        changes: &Changes,
        bundle: &Arc<Bundle>,
        activated_at: Timestamp,
        reader: &dyn Reader,
    ) -> Result<Self, Unavailable> {
        let swapped = !Arc::ptr_eq(bundle, &self.bundle);
        let mut view = Self {
            seq,
            bundle: Arc::clone(bundle),
            activated_at,
            graph: self.graph.clone(),
            roles: Arc::clone(&self.roles),
            time_void_before: changes.time_void_before.unwrap_or(self.time_void_before),
            kept: Arc::clone(&self.kept),
            ground: self.ground.clone(),
        };
        if !changes.roles.is_empty() {
            Arc::make_mut(&mut view.roles).extend(changes.roles.iter().map(|(role, row)| (role.clone(), *row)));
        }
        for (uid, row) in &changes.rows {
            if view.graph.get(uid).is_some() || is_inner(bundle.definitions(), uid) {
                view.graph.put(uid.clone(), Some(Arc::clone(row)));
            }
            for edge in row.stored.iter().flat_map(|def| &def.parents) {
                view.keep(&edge.parent, changes, reader)?;
            }
        }
        if swapped {
            view.keep_inner_of_bundle(changes, reader)?;
        }
        if swapped || view.graph.changed {
            view.kept = Arc::default();
        }
        if swapped || view.graph.changed || !changes.roles.is_empty() || changes.time_void_before.is_some() {
            view.ground = Ground::default();
        }
        view.graph.changed = false;
        Ok(view)
    }

    pub(super) fn ground(&self) -> &Ground {
        &self.ground
    }

    fn keep_inner_of_bundle(&mut self, changes: &Changes, reader: &dyn Reader) -> Result<(), Unavailable> {
        let bundle = Arc::clone(&self.bundle);
        let definitions = bundle.definitions();
        let groups = definitions.entities.keys().filter(|uid| definitions.is_group(uid));
        for uid in definitions.children.keys().chain(groups) {
            self.keep(uid, changes, reader)?;
        }
        Ok(())
    }

    /// Takes a name into the graph, as it stands after `changes`, with nothing where nothing is stored.
    fn keep(&mut self, uid: &Uid, changes: &Changes, reader: &dyn Reader) -> Result<(), Unavailable> {
        if self.graph.get(uid).is_none() {
            let row = match changes.rows.get(uid) {
                Some(row) => Some(Arc::clone(row)),
                None => reader.row(uid)?,
            };
            self.graph.put(uid.clone(), row);
        }
        Ok(())
    }

    /// The facts of this view.
    #[must_use]
    pub fn pin<'a>(&'a self, reader: &'a dyn Reader) -> Pinned<'a> {
        Pinned { view: self, reader, memo: RefCell::default(), stale: Cell::new(false), texts: Cell::new(false) }
    }
}

fn is_inner(definitions: &Definitions, uid: &Uid) -> bool {
    definitions.is_group(uid) || definitions.children.contains_key(uid)
}

/// A name's row, or that there is none.
type Known = Option<Arc<EntityRow>>;

/// The rows of inner names: an immutable map in parts, so that a commit copies the parts that it changes and shares the others.
#[derive(Clone)]
struct Graph {
    hasher: RandomState,
    shards: Vec<Arc<HashMap<Uid, Known, RandomState>>>,
    /// Whether anything was put since the view before.
    changed: bool,
}

impl Default for Graph {
    fn default() -> Self {
        Self { hasher: RandomState::default(), shards: vec![Arc::default(); SHARDS], changed: false }
    }
}

impl Graph {
    fn shard(&self, uid: &Uid) -> usize {
        usize::try_from(self.hasher.hash_one(uid) % SHARDS as u64).unwrap_or(0)
    }

    fn get(&self, uid: &Uid) -> Option<&Known> {
        self.shards.get(self.shard(uid))?.get(uid)
    }

    fn put(&mut self, uid: Uid, row: Known) {
        let shard = self.shard(&uid);
        if let Some(shard) = self.shards.get_mut(shard) {
            Arc::make_mut(shard).insert(uid, row);
            self.changed = true;
        }
    }
}

/// A view, read together with what is stored: the facts of one check.
pub struct Pinned<'a> {
    view: &'a View,
    reader: &'a dyn Reader,
    memo: RefCell<Vec<(Uid, Known)>>,
    stale: Cell<bool>,
    /// Whether a text was read.
    texts: Cell<bool>,
}

impl Pinned<'_> {
    /// Whether a row was met that changed after the view. Whatever was answered then, or failed, does not count.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.stale.get()
    }

    fn is_inner(&self, name: &Uid) -> bool {
        self.view.graph.get(name).is_some()
    }

    /// The rows that were read beside what the view has in memory, and at which sequence each changed last, 0 where nothing stands there;
    /// nothing, where more was read than that.
    pub(super) fn read_rows(&self) -> Option<Vec<(Uid, u64)>> {
        let memo = self.memo.borrow();
        let told = memo.len() < MEMO && !self.texts.get() && !self.is_stale();
        told.then(|| memo.iter().map(|(uid, row)| (uid.clone(), changed(row.as_ref()))).collect())
    }
}

/// The sequence at which a row changed last; 0 where nothing stands there.
pub(super) fn changed(row: Option<&Arc<EntityRow>>) -> u64 {
    row.map_or(0, |row| row.changed)
}

impl Rows for Pinned<'_> {
    fn row(&self, uid: &Uid) -> Result<Option<Arc<EntityRow>>, Unavailable> {
        // who asks and what is asked about come again and again, and are hardly ever inner names
        if let Some((_, known)) = self.memo.borrow().iter().find(|(name, _)| name == uid) {
            return Ok(known.clone());
        }
        if let Some(known) = self.view.graph.get(uid) {
            return Ok(known.clone());
        }
        let row = self.reader.row(uid)?;
        if row.as_ref().is_some_and(|row| row.changed > self.view.seq) {
            self.stale.set(true);
            return Err(Unavailable("what is stored is newer than what was published".to_owned()));
        }
        let mut memo = self.memo.borrow_mut();
        if memo.len() < MEMO {
            memo.push((uid.clone(), row.clone()));
        }
        Ok(row)
    }

    fn role_row(&self, role: &RoleName) -> Result<RoleRow, Unavailable> {
        Ok(self.view.roles.get(role).copied().unwrap_or_default())
    }

    fn time_void_before(&self) -> Result<u64, Unavailable> {
        Ok(self.view.time_void_before)
    }

    fn text(&self, digest: &TextDigest) -> Result<Option<Text>, Unavailable> {
        self.texts.set(true);
        self.reader.text(digest)
    }
}

impl Facts for Pinned<'_> {
    fn definitions(&self) -> &Definitions {
        self.view.bundle.definitions()
    }

    fn kept_memberships(&self, name: &Uid) -> Result<Option<Arc<Memberships>>, Unavailable> {
        let row = self.row(name)?;
        let own = self.definitions().entities.get(name).or_else(|| row.as_ref().and_then(|row| row.stored.as_ref()));
        Ok(match own.map(|def| &*def.parents) {
            None | Some([]) => Some(Arc::clone(self.view.kept.nothing())),
            Some(edges) if edges.len() < KEPT_FROM => self.view.kept.below(edges),
            Some(_) => self.view.kept.get(name, row.map_or(0, |row| row.changed)),
        })
    }

    fn keep_memberships(&self, name: &Uid, memberships: &Arc<Memberships>) -> Result<(), Unavailable> {
        let row = self.row(name)?;
        let own = self.definitions().entities.get(name).or_else(|| row.as_ref().and_then(|row| row.stored.as_ref()));
        if self.is_stale() {
            return Ok(());
        }
        match own.map(|def| &*def.parents) {
            None | Some([]) => {}
            // what is kept is thrown away when an inner name changes, so it has to follow from inner names alone
            Some(edges) if !edges.iter().map(|edge| &edge.parent).chain(&memberships.groups).all(|name| self.is_inner(name)) => {}
            Some(edges) if edges.len() < KEPT_FROM => self.view.kept.put_below(edges, memberships),
            Some(_) => self.view.kept.put(name, row.as_ref().map_or(0, |row| row.changed), memberships),
        }
        Ok(())
    }
}
