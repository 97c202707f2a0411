//! The process at the other end of a UNIX socket: the kernel says which user and group it runs as, and a table says who that is here.
//! Nobody is believed for being root.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::domain::{Caller, CredentialKind, Timestamp, Uid};

use super::bad::{BadCredential, BadPeer, BadSettings};
use super::{Authenticator, Identified, MAX_GROUP_BYTES, MAX_GROUPS, Presented, UnixPeer};

/// Most entries.
const MAX_ENTRIES: usize = 1000;

/// Which user or group, and whom it shows. An entry for a user and a group goes before one for the user, and that before one for the group.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeerEntry {
    /// The user that the process has to run as; any, unless said.
    pub uid: Option<u32>,
    /// The group that the process has to run as; any, unless said. All of the group's processes are then one caller.
    pub gid: Option<u32>,
    /// Whom that shows.
    #[serde(deserialize_with = "super::principal")]
    pub principal: Uid,
    /// Groups that it claims, none unless said.
    #[serde(default)]
    pub groups: Vec<String>,
}

/// The users and groups of this machine that a listener takes.
#[derive(Debug, Clone)]
pub struct Peers {
    entries: Vec<PeerEntry>,
}

impl Peers {
    /// Takes these entries.
    ///
    /// # Errors
    /// There are none or too many, one names neither user nor group, or two name the same.
    pub fn new(entries: Vec<PeerEntry>) -> Result<Self, BadSettings> {
        let bad = |why: String| Err(BadSettings::new("unix", why));
        if entries.is_empty() || entries.len() > MAX_ENTRIES {
            return bad(format!("{} entries are named; name at least one and at most {MAX_ENTRIES}", entries.len()));
        }
        let mut seen = BTreeSet::new();
        for entry in &entries {
            if entry.uid.is_none() && entry.gid.is_none() {
                return bad(format!("the entry for {} names neither `uid` nor `gid`, so it would be for everybody", entry.principal));
            }
            if !seen.insert((entry.uid, entry.gid)) {
                return bad(format!("the entry for {} names the same `uid` and `gid` as another; keep one", entry.principal));
            }
            if entry.groups.len() > MAX_GROUPS || entry.groups.iter().any(|group| group.is_empty() || group.len() > MAX_GROUP_BYTES) {
                return bad(format!("an entry claims at most {MAX_GROUPS} groups, each with a name of 1 to {MAX_GROUP_BYTES} bytes"));
            }
        }
        Ok(Self { entries })
    }

    fn find(&self, peer: UnixPeer) -> Option<&PeerEntry> {
        [(Some(peer.uid), Some(peer.gid)), (Some(peer.uid), None), (None, Some(peer.gid))]
            .into_iter()
            .find_map(|named| self.entries.iter().find(|entry| (entry.uid, entry.gid) == named))
    }
}

impl Authenticator for Peers {
    fn identify(&self, presented: &Presented<'_>, _now: Timestamp) -> Result<Option<Identified>, BadCredential> {
        let Some(peer) = presented.peer else { return Ok(None) };
        let unknown = BadCredential::Peer(BadPeer::Unknown { uid: peer.uid, gid: peer.gid });
        let entry = self.find(peer).ok_or(unknown)?;
        let caller = Caller {
            principal: entry.principal.clone(),
            credential: CredentialKind::Unix,
            amr: Vec::new(),
            auth_time: None,
            groups: entry.groups.clone(),
        };
        Ok(Some(Identified { caller, until: None }))
    }

    fn challenge(&self) -> &'static str {
        "Peer realm=\"elevon\""
    }

    fn loopback_only(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(uid: Option<u32>, gid: Option<u32>, id: &str) -> PeerEntry {
        PeerEntry { uid, gid, principal: Uid::new("Service", id).unwrap(), groups: Vec::new() }
    }

    #[test]
    fn the_nearest_entry_says_who_it_is() {
        let peers = Peers::new(vec![
            entry(None, Some(100), "group"),
            entry(Some(7), None, "user"),
            entry(Some(7), Some(100), "both"),
            entry(Some(0), Some(5), "root of five"),
        ])
        .unwrap();
        let rows = [
            (7, 100, Some("both")),
            (7, 9, Some("user")),
            (8, 100, Some("group")),
            (0, 5, Some("root of five")),
            (0, 0, None),
            (8, 9, None),
            (100, 7, None),
        ];
        for (uid, gid, id) in rows {
            let presented = Presented { peer: Some(UnixPeer { uid, gid }), ..Presented::default() };
            match (peers.identify(&presented, Timestamp::default()), id) {
                (Ok(Some(found)), Some(id)) => assert_eq!(found.caller.principal.id(), id),
                (Err(bad), None) => {
                    assert_eq!(bad.to_string(), "this user may not call here");
                    assert!(bad.for_log().contains(&format!("user {uid} and group {gid}")));
                }
                (other, _) => panic!("{uid} {gid}: {other:?}"),
            }
        }
        assert_eq!(peers.identify(&Presented::default(), Timestamp::default()), Ok(None));
    }

    #[test]
    fn entries_out_of_order_are_refused() {
        let rows = [
            (vec![], "at least one"),
            (vec![entry(None, None, "all")], "for everybody"),
            (vec![entry(Some(1), None, "a"), entry(Some(1), None, "b")], "the same `uid`"),
            (vec![PeerEntry { groups: vec!["g".repeat(MAX_GROUP_BYTES + 1)], ..entry(Some(1), None, "a") }], "groups"),
        ];
        for (entries, why) in rows {
            let bad = Peers::new(entries).unwrap_err().to_string();
            assert!(bad.contains(why), "{bad}");
        }
    }
}
