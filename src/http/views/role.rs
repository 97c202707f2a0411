//! The settings of a role.

use serde_json::{Value, json};

use crate::domain::RoleSettings;
use crate::domain::settings::{Emergency, Fallback, GrantLimits, Requirement, Stage};

fn fallback(fallback: &Fallback) -> Value {
    json!({ "approvers": fallback.approvers, "after": fallback.after })
}

fn stage(stage: &Stage) -> Value {
    json!({
        "quorum": stage.quorum,
        "approvers": stage.approvers,
        "timeout": stage.timeout,
        "fallback": stage.fallback.as_ref().map(fallback),
    })
}

fn emergency(limits: &Emergency) -> Value {
    json!({
        "max_duration": limits.max_duration,
        "max_per_day": limits.max_per_day,
        "review_within": limits.review_within,
    })
}

fn limits(limits: &GrantLimits) -> Value {
    json!({ "max_duration": limits.max_duration, "allow_permanent": limits.allow_permanent })
}

fn requirements(settings: &RoleSettings) -> Vec<String> {
    settings.require.iter().map(Requirement::to_string).collect()
}

/// The settings of a role.
pub(in crate::http) fn role(settings: &RoleSettings) -> Value {
    json!({
        "role": settings.name,
        "description": settings.description,
        "scopes": settings.scopes,
        "scope_required": settings.scope_required,
        "max_duration": settings.max_duration,
        "default_duration": settings.default_duration,
        "require": requirements(settings),
        "ticket_pattern": settings.ticket_pattern.as_ref().map(|pattern| pattern.as_str().to_owned()),
        "mfa_max_age": settings.mfa_max_age,
        "approval": { "stages": settings.stages.iter().map(stage).collect::<Vec<_>>() },
        "max_extensions": settings.max_extensions,
        "extendable_after": settings.extendable_after,
        "max_active_per_day": settings.max_active_per_day,
        "activate_within": settings.activate_within,
        "emergency": settings.emergency.as_ref().map(emergency),
        "conditions": settings.conditions,
        "privileged": settings.privileged,
        "eligibility": limits(&settings.eligibility),
        "assignment": limits(&settings.assignment),
        "digest": settings.digest,
    })
}

/// The settings of a role as somebody who is eligible for it needs them.
pub(in crate::http) fn role_summary(settings: &RoleSettings) -> Value {
    json!({
        "description": settings.description,
        "scopes": settings.scopes,
        "scope_required": settings.scope_required,
        "max_duration": settings.max_duration,
        "default_duration": settings.default_duration,
        "require": requirements(settings),
        "approval_stages": settings.stages.len(),
        "max_extensions": settings.max_extensions,
        "max_active_per_day": settings.max_active_per_day,
        "activate_within": settings.activate_within,
        "emergency": settings.emergency.as_ref().map(emergency),
        "conditions": settings.conditions,
    })
}
