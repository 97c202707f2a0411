//! Ending what was asked for: one request or activation, or everything of a principal or of a role at once.

use axum::extract::Path;
use serde_json::json;

use crate::domain::command::Everything;
use crate::domain::{ActivationId, Command, Outcome, RoleName, Text};
use crate::http::asker::{Asker, Params, Sent};
use crate::http::ids::take_text;
use crate::http::problem::{self, Problem};
use crate::http::reply::Answer;
use crate::http::strict::{conflicting, missing};
use crate::http::views;

use super::activations::{id_of, shown};

/// The reason, and whether it is only tried.
pub(super) fn ending(sent: &Sent) -> Result<(Option<Text>, bool), Problem> {
    let mut members = sent.members_or_none()?;
    let (reason, dry_run) = (take_text(&mut members, "reason")?, members.dry_run()?);
    members.finish(&[])?;
    Ok((reason, dry_run))
}

async fn end(asker: Asker, id: &str, sent: Sent, command: impl FnOnce(ActivationId, Option<Text>) -> Command) -> Result<Answer, Problem> {
    let (id, (reason, dry_run)) = (id_of(id)?, ending(&sent)?);
    let done = asker.submit(&sent, command(id, reason), dry_run).await?;
    shown(asker, done).await
}

/// `POST /v1/activations/{id}/cancel`.
pub(super) async fn cancel(asker: Asker, Path(id): Path<String>, sent: Sent) -> Result<Answer, Problem> {
    end(asker, &id, sent, |id, reason| Command::Cancel { id, reason }).await
}

/// `POST /v1/activations/{id}/deactivate`.
pub(super) async fn deactivate(asker: Asker, Path(id): Path<String>, sent: Sent) -> Result<Answer, Problem> {
    end(asker, &id, sent, |id, reason| Command::Deactivate { id, reason }).await
}

/// `POST /v1/activations/{id}/revoke`.
pub(super) async fn revoke(asker: Asker, Path(id): Path<String>, sent: Sent) -> Result<Answer, Problem> {
    end(asker, &id, sent, |id, reason| Command::Revoke { id, reason }).await
}

/// `POST /v1/activations/revoke`: everything of a principal, or of a role.
pub(super) async fn revoke_all(asker: Asker, params: Params, sent: Sent) -> Result<Answer, Problem> {
    params.finish()?;
    let mut members = sent.members()?;
    let (principal, role) = (members.optional_entity("principal")?, members.optional::<RoleName>("role")?);
    let (reason, dry_run) = (take_text(&mut members, "reason")?, members.dry_run()?);
    members.finish(&[])?;
    let (of, mut body) = match (principal, role) {
        (Some(principal), None) => (Everything::Principal(principal.clone()), json!({ "principal": principal })),
        (None, Some(role)) => (Everything::Role(role.clone()), json!({ "role": role })),
        (Some(_), Some(_)) => {
            return Err(conflicting(&["principal", "role"], "one command revokes everything of one of them; send two commands"));
        }
        (None, None) => return Err(missing("principal", "`principal` or `role` is missing; say of which of them everything is revoked")),
    };
    let done = asker.submit(&sent, Command::RevokeAll { of, reason }, dry_run).await?;
    let outcome = &done.reply.outcome;
    let revoked = matches!(outcome, Outcome::AllRevoked(_));
    if !revoked && *outcome != Outcome::Unchanged {
        return Err(problem::unforeseen(outcome));
    }
    views::put(&mut body, "outcome", if revoked { "revoked" } else { "unchanged" }.into());
    Ok(done.answer(body))
}
