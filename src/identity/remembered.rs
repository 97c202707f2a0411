//! The last credential that a connection was believed for, so that a thousand requests with one token verify it once.
//!
//! What is remembered counts for exactly the same bytes, as long as the same settings and the same keys are in force, and until the credential
//! ends. A credential that was refused is never remembered. Lost: one table of all tokens for the whole server, which somebody can fill, and
//! which is one more place where secrets lie.

use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;

use super::{Accepts, Authenticator as _, BadCredential, Identified, KeySet, Presented, UnixPeer};
use crate::domain::Timestamp;

/// What a connection remembers.
#[derive(Default)]
pub struct Remembered(Option<Last>);

struct Last {
    accepts: Arc<Accepts>,
    keys: Vec<Arc<KeySet>>,
    /// The one header; a credential may lie in the connection alone.
    authorization: Option<Box<[u8]>>,
    certificate: Option<Box<[u8]>>,
    peer: Option<UnixPeer>,
    found: Identified,
}

impl Last {
    fn is(&self, accepts: &Arc<Accepts>, presented: &Presented<'_>, now: Timestamp) -> bool {
        let same_header = match (&self.authorization, presented.authorization) {
            (None, []) => true,
            (Some(header), [one]) => verify_slices_are_equal(header, one).is_ok(),
            (None | Some(_), _) => false,
        };
        same_header
            && self.found.until.is_none_or(|until| now < until)
            && Arc::ptr_eq(&self.accepts, accepts)
            && self.peer == presented.peer
            && self.certificate.as_deref() == presented.client_certificate
            && accepts.keys_are(&self.keys)
    }
}

impl Remembered {
    /// Whether these bytes are remembered. Nothing is verified.
    #[must_use]
    pub fn knows(&self, accepts: &Arc<Accepts>, presented: &Presented<'_>, now: Timestamp) -> bool {
        self.0.as_ref().is_some_and(|last| last.is(accepts, presented, now))
    }

    /// Who calls, as [`Authenticator::identify`](super::Authenticator::identify) says, and whether that was remembered.
    ///
    /// # Errors
    /// A credential came and it is not to be believed.
    pub fn identify(
        &mut self,
        accepts: &Arc<Accepts>,
        presented: &Presented<'_>,
        now: Timestamp,
    ) -> Result<Option<(&Identified, bool)>, BadCredential> {
        let known = self.knows(accepts, presented, now);
        if !known {
            self.0 = None;
            // before it is verified: keys that come meanwhile are others
            let keys = accepts.keys();
            let Some(found) = accepts.identify(presented, now)? else { return Ok(None) };
            self.0 = Some(Last {
                accepts: Arc::clone(accepts),
                keys,
                authorization: presented.authorization.first().map(|header| Box::from(*header)),
                certificate: presented.client_certificate.map(Box::from),
                peer: presented.peer,
                found,
            });
        }
        Ok(self.0.as_ref().map(|last| (&last.found, known)))
    }
}
