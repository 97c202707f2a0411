//! What is kept, and every way it can change. Pure: no clock, no I/O, no async, no Cedar.
//!
//! [`decide()`] looks at the facts, asks for permission and either refuses a command or says what happens;
//! [`apply()`] carries out what was said and cannot refuse. `now` and every id are arguments.

pub mod activation;
pub mod alert;
pub mod apply;
pub mod calendar;
pub mod command;
pub mod decide;
pub mod detect;
pub mod event;
pub mod facts;
pub mod grant;
pub mod id;
pub mod notice;
pub mod overlay;
pub mod rejection;
pub mod review;
pub mod settings;
pub mod standing;
pub mod text;
pub mod time;
pub mod topic;

pub use alert::{AlertEvent, AlertKind, Incident};
pub use apply::apply;
pub use command::{Actor, Caller, Command, CredentialKind, Envelope};
pub use decide::{Decision, Outcome, decide};
pub use detect::Detectors;
pub use event::{Event, Record};
pub use facts::{Authority, Facts, Records, Rows, Tables, Unavailable};
pub use grant::{Activation, ActivationState, Assignment, Eligibility, GrantRequest, Grants};
pub use id::{
    ActivationId, AssignmentId, EligibilityId, GrantRequestId, Incarnation, IncidentId, ReviewDefinitionId, ReviewId, Revision, RoleName,
    Uid,
};
pub use overlay::{Changes, MemoryRows, Overlay};
pub use rejection::Rejection;
pub use review::{Review, ReviewDefinition, ReviewEntry};
pub use settings::{Definitions, EntityDef, RoleSettings};
pub use text::{Text, TextDigest, Ticket};
pub use time::{Day, Duration, Timestamp, Window};
pub use topic::Topic;
