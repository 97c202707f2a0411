//! The first start: a configuration, policies and data to begin with, and a first administrator.
//!
//! Nobody grants for oneself, so somebody has to be first. It is done here, offline, by whoever owns the folder: the journal's first records
//! are the bundle and one eligibility, both by Elevon itself, for an auditor to see. Lost: a key in the configuration that makes somebody an
//! administrator at a start, because it would go on doing so for whoever can write that file; and an assignment instead of an eligibility,
//! because then the first administrator would be one all the time.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use uuid::Uuid;

use crate::domain::command::GrantRequest;
use crate::domain::id::CommandId;
use crate::domain::{Actor, Command, EligibilityId, Envelope, RoleName, Text, Uid};
use crate::engine::{Engine, EngineConfig, Parts, SystemClock};
use crate::identity::{token_sha256, token_text};
use crate::policy::Bundle;
use crate::store::{Mode, Opened, Store};

/// The bundle to begin with.
const POLICIES: [(&str, &str); 7] = [
    ("README.md", include_str!("../../starter/policies/README.md")),
    ("access.cedar", include_str!("../../starter/policies/access.cedar")),
    ("elevon.cedar", include_str!("../../starter/policies/elevon.cedar")),
    ("entities.json", include_str!("../../starter/policies/entities.json")),
    ("roles.toml", include_str!("../../starter/policies/roles.toml")),
    ("schema.cedarschema", include_str!("../../starter/policies/schema.cedarschema")),
    ("tests/elevon.toml", include_str!("../../starter/policies/tests/elevon.toml")),
];
/// The configuration to begin with.
const CONFIG: &str = include_str!("../../starter/elevon.toml");
/// What stands there for the digest of the first token.
const DIGEST: &str = "@SHA256@";
/// Who is first, and in what role.
const ADMINISTRATOR: (&str, &str) = ("User", "admin");
const ROLE: &str = "elevon-admin";

/// The group and all others may write.
const OTHERS_WRITE: u32 = 0o022;

/// Why a folder was not made ready.
#[derive(Debug, thiserror::Error)]
pub enum FirstError {
    /// There is something in it.
    #[error("`{}` is not empty; name a new folder", dir.display())]
    NotEmpty {
        /// The folder.
        dir: PathBuf,
    },
    /// Others could put policies and data of their own in the place of these.
    #[error("others may write to `{}`; take that away (`chmod go-w`), or name a new folder", dir.display())]
    Open {
        /// The folder.
        dir: PathBuf,
    },
    /// A file cannot be written.
    #[error("cannot write `{}`: {error}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The data folder or the journal's first records.
    #[error("{what}: {why}; what was written so far is of no use and can be deleted")]
    Seed {
        /// What failed.
        what: &'static str,
        /// Why.
        why: String,
    },
}

/// A folder that was made ready.
pub struct Made {
    /// The configuration in it.
    pub config: PathBuf,
    /// The first administrator's token. It is nowhere else.
    pub token: String,
    /// The first administrator.
    pub administrator: Uid,
    /// The role that it may activate.
    pub role: &'static str,
}

fn seed(what: &'static str) -> impl Fn(&dyn std::fmt::Display) -> FirstError {
    move |why| FirstError::Seed { what, why: why.to_string() }
}

/// Makes a folder ready to serve from: it is made if it is not there, and has to be empty and nobody else's to write to, whatever the umask.
///
/// # Errors
/// It is not empty, others may write to it, or something cannot be written.
pub fn init(dir: &Path) -> Result<Made, FirstError> {
    let written = |path: &Path| {
        let path = path.to_owned();
        move |error| FirstError::Write { path, error }
    };
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(written(dir))?;
    if fs::read_dir(dir).map_err(written(dir))?.next().is_some() {
        return Err(FirstError::NotEmpty { dir: dir.to_owned() });
    }
    if fs::metadata(dir).map_err(written(dir))?.permissions().mode() & OTHERS_WRITE != 0 {
        return Err(FirstError::Open { dir: dir.to_owned() });
    }
    let policies = dir.join("policies");
    for (name, text) in POLICIES {
        let path = policies.join(name);
        let folder = path.parent().unwrap_or(&policies);
        fs::DirBuilder::new().recursive(true).mode(0o755).create(folder).map_err(written(folder))?;
        write(&path, text, 0o644).map_err(written(&path))?;
    }
    let administrator = Uid::new(ADMINISTRATOR.0, ADMINISTRATOR.1).map_err(|bad| seed("the first administrator")(&bad))?;
    first_records(&policies, &dir.join("data"), &administrator)?;
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(|error| seed("the system gives no random bytes")(&error))?;
    let token = token_text(random);
    // last, so that a folder with a configuration is a whole one
    let config = dir.join("elevon.toml");
    write(&config, &CONFIG.replace(DIGEST, &token_sha256(&token).to_string()), 0o600).map_err(written(&config))?;
    Ok(Made { config, token, administrator, role: ROLE })
}

fn write(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// The bundle, and the first administrator's eligibility.
fn first_records(policies: &Path, data: &Path, administrator: &Uid) -> Result<(), FirstError> {
    let failed = seed("the first records cannot be written");
    let bundle = Bundle::load(policies).map_err(|error| failed(&error))?;
    let Opened { store, journal } = Store::open(data, Mode::Normal).map_err(|error| failed(&error))?;
    let config = EngineConfig { timers: false, ..EngineConfig::default() };
    let clock = Arc::new(SystemClock::new());
    let parts = Parts { journal: Box::new(journal), reader: store, clock, proposed: Some(bundle), config };
    let engine = Engine::start(parts).map_err(|error| failed(&error))?;
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).map_err(|error| failed(&error))?;
    let grant = GrantRequest {
        holder: administrator.clone(),
        role: RoleName::new(ROLE).map_err(|bad| failed(&bad))?,
        scope: None,
        start: None,
        end: None,
        justification: Some(Text { salt, value: "the first administrator, by `elevon init`".to_owned() }),
    };
    let id = EligibilityId::new(&format!("elg_{}", Uuid::now_v7())).map_err(|bad| failed(&bad))?;
    let command = Command::CreateEligibility { id, grant };
    let id = CommandId::new(&Uuid::now_v7().to_string()).map_err(|bad| failed(&bad))?;
    let envelope = Envelope { id, actor: Actor::System, idempotency: None, dry_run: false, command };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(|error| failed(&error))?;
    runtime.block_on(engine.submit(envelope)).map_err(|error| failed(&error))?;
    engine.stop();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::facts::Action;

    /// What the bundle to begin with lets nobody do, for want of what it would be done with.
    const LEFT_OUT: [(Action, &str); 3] = [
        (Action::ActivateRoleFor, "everybody asks for oneself"),
        (Action::ActivateInEmergency, "no role of it can be taken in an emergency"),
        (Action::VouchIdentity, "no gateway of it says who its clients are"),
    ];

    #[test]
    fn the_first_policies_let_somebody_do_each_thing_that_there_is_to_do() {
        let text = POLICIES.iter().find(|(name, _)| *name == "elevon.cedar").unwrap().1;
        let said: String = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        for action in Action::ALL {
            let named = said.contains(&format!("Elevon::Action::\"{}\"", action.as_str()));
            let left_out = LEFT_OUT.iter().any(|(out, _)| *out == action);
            assert!(named != left_out, "{}", action.as_str());
        }
    }
}
