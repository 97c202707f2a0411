//! The links in messages by which approvers answer, and the key that they are signed with: made at the first start, kept in the data folder, read
//! by nobody but the server.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::Arc;

use crate::config::Settings;
use crate::domain::text::Digest;
use crate::domain::{ActivationId, Duration, Uid};
use crate::engine::Engine;
use crate::identity::{LINK_ID_BYTES, LINK_KEY_BYTES, Link, LinkKey};
use crate::notify::{Links, Verb};

/// Its name in the data folder. Whoever takes it away makes every link that is out useless, and nothing else.
const FILE: &str = "link.key";

/// What links are made with.
pub(super) struct Maker {
    pub(super) key: Arc<LinkKey>,
    pub(super) engine: Arc<Engine>,
}

impl Maker {
    /// Makes links as settings say; nobody does where they do not say where people's browsers reach this server.
    pub(super) fn links(self: &Arc<Self>, settings: &Settings) -> Option<Arc<dyn Links>> {
        let public_url = settings.notify.public_url.clone()?;
        Some(Arc::new(Made { maker: Arc::clone(self), public_url, good_for: settings.notify.link_good_for }))
    }
}

struct Made {
    maker: Arc<Maker>,
    public_url: String,
    good_for: Duration,
}

impl Links for Made {
    fn approval(&self, approver: &Uid, activation: &ActivationId, request_hash: &str, verb: Verb) -> Option<String> {
        let mut random = [0; LINK_ID_BYTES];
        getrandom::fill(&mut random).ok()?;
        let link = Link {
            id: LinkKey::id(&random),
            approver: approver.clone(),
            activation: activation.clone(),
            request_hash: Digest::parse(request_hash)?,
            expires_at: self.maker.engine.moment().now.plus(self.good_for),
        };
        let word = match verb {
            Verb::Approve => "approve",
            Verb::Deny => "deny",
        };
        let link = self.maker.key.sign(&link).ok()?;
        Some(format!("{}/approve#{link}&{word}", self.public_url))
    }
}

/// The key of a data folder.
///
/// # Errors
/// It cannot be read or written, is not one, or others may read it.
pub(super) fn key(data: &Path) -> io::Result<LinkKey> {
    let path = data.join(FILE);
    let shown = path.display();
    let wrong = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
    match fs::read(&path) {
        Ok(bytes) => {
            if fs::metadata(&path)?.permissions().mode() & 0o077 != 0 {
                return Err(wrong(format!(
                    "`{shown}` may be read by others; take that away (`chmod 600`), or the file, to have a new one made"
                )));
            }
            let secret = <&[u8; LINK_KEY_BYTES]>::try_from(bytes.as_slice());
            secret.map(LinkKey::new).map_err(|_| wrong(format!("`{shown}` is not a key; take it away to have a new one made")))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut secret = [0; LINK_KEY_BYTES];
            getrandom::fill(&mut secret).map_err(|error| io::Error::other(error.to_string()))?;
            write(&path, &secret)?;
            Ok(LinkKey::new(&secret))
        }
        Err(error) => Err(error),
    }
}

/// Written whole and then named, so that a start that breaks off leaves no half of a key.
fn write(path: &Path, secret: &[u8]) -> io::Result<()> {
    let unfinished = path.with_extension("new");
    let _ = fs::remove_file(&unfinished);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
    file.write_all(secret)?;
    file.sync_all()?;
    fs::rename(&unfinished, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_read_by_nobody_else() {
        let data = tempfile::tempdir().unwrap();
        key(data.path()).unwrap();
        let path = data.path().join(FILE);
        let made = fs::read(&path).unwrap();
        assert_eq!((made.len(), fs::metadata(&path).unwrap().permissions().mode() & 0o777), (LINK_KEY_BYTES, 0o600));
        key(data.path()).unwrap();
        assert_eq!(fs::read(&path).unwrap(), made);
        let elsewhere = tempfile::tempdir().unwrap();
        key(elsewhere.path()).unwrap();
        assert_ne!(fs::read(elsewhere.path().join(FILE)).unwrap(), made);
    }

    #[test]
    fn what_is_no_key_or_no_secret_is_refused() {
        let data = tempfile::tempdir().unwrap();
        let path = data.path().join(FILE);
        key(data.path()).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(key(data.path()).unwrap_err().to_string().contains("chmod 600"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "short").unwrap();
        assert!(key(data.path()).unwrap_err().to_string().contains("is not a key"));
    }
}
