//! Who asks: the client by its own credential, or somebody whom a gateway vouches for.
//!
//! Which of them counts the route says, and no other is looked at: a client cannot become somebody else by sending what another route goes by.

use http::HeaderMap;

use super::answer::Why;
use super::asked::{Asked, PRINCIPAL};
use crate::domain::facts::{Action, Object};
use crate::domain::{Uid, Unavailable};
use crate::http::Server;
use crate::http::access::Shown;
use crate::http::conn::Door;
use crate::http::problem::Problem;
use crate::policy::{Identity, Routes};

/// Why it is not known who asks.
pub(super) enum Unknown {
    /// For a reason that can be told.
    Denied(Why),
    /// Something went wrong inside.
    Fault,
}

impl From<Unavailable> for Unknown {
    fn from(unavailable: Unavailable) -> Self {
        tracing::error!(error = %unavailable, "a gateway's question could not be answered");
        Self::Fault
    }
}

/// Who asks, and whether more than one factor was shown, where that is known.
#[derive(Debug)]
pub(super) struct Asker {
    pub(super) principal: Uid,
    pub(super) mfa: Option<bool>,
}

impl Server {
    /// Who asks, in the way that the route says.
    pub(super) async fn who_asks(&self, door: &Door, asked: &Asked<'_>, identity: Identity, routes: &Routes) -> Result<Asker, Unknown> {
        let named = match identity {
            Identity::Token => {
                let caller = self.authenticate_by(door, asked.client, Shown::Header).await.map_err(of_credential)?;
                return Ok(Asker { mfa: Some(caller.has_mfa()), principal: caller.principal });
            }
            Identity::Certificate => self.by_certificate(asked, routes)?,
            Identity::Header => match asked.gateway.get(PRINCIPAL) {
                None => return Err(self.nobody(door)),
                Some(value) => read(value.as_bytes()).map_err(|why| Unknown::Denied(Why::Identity(why)))?,
            },
        };
        let principal = self.vouched(door, asked.gateway, named).await?;
        Ok(Asker { principal, mfa: None })
    }

    fn by_certificate(&self, asked: &Asked<'_>, routes: &Routes) -> Result<Uid, Unknown> {
        let unclear = |why: String| Unknown::Denied(Why::Identity(format!("of its client's certificate, {why}")));
        match asked.certificate.clone().map_err(unclear)? {
            None => Err(Unknown::Denied(Why::Identity("the gateway handed on no certificate".to_owned()))),
            Some(name) => routes.certificate(&name).map_err(|why| Unknown::Denied(Why::Identity(why))),
        }
    }

    fn nobody(&self, door: &Door) -> Unknown {
        of_credential(crate::http::problem::no_credential(door.challenge()))
    }

    /// Somebody whom a gateway names, where the gateway is known and may.
    pub(super) async fn vouched(&self, door: &Door, gateway: &HeaderMap, named: Uid) -> Result<Uid, Unknown> {
        let shown = if door.shows_a_caller() { Shown::Connection } else { Shown::Header };
        let caller = self.authenticate_by(door, gateway, shown).await.map_err(of_credential)?;
        let principal = self.known_spelling(named)?;
        match self.demand(&caller, Action::VouchIdentity, Object::Subject(principal.clone())) {
            Ok(()) => Ok(principal),
            Err(problem) if problem.status().is_server_error() => Err(Unknown::Fault),
            Err(problem) => {
                tracing::warn!(gateway = %caller.principal, %principal, "a gateway named somebody whom it may not vouch for");
                Err(Unknown::Denied(Why::MayNotVouch(problem)))
            }
        }
    }
}

/// What a problem of a credential is: one of the caller's, or one of ours.
fn of_credential(problem: Problem) -> Unknown {
    if problem.status().is_server_error() { Unknown::Fault } else { Unknown::Denied(Why::Credential(problem)) }
}

fn read(value: &[u8]) -> Result<Uid, String> {
    let text = std::str::from_utf8(value).map_err(|_| format!("`{PRINCIPAL}` is not text"))?;
    Uid::parse(text).map_err(|bad| format!("of `{PRINCIPAL}`, {bad}"))
}
