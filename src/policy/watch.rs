//! Watches the policy folder. What the operating system says only makes it look sooner; what it sees decides.
//!
//! A change is proposed after two equal digests some time apart: a checkout half written can be valid and lack the file that forbids.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use notify::{RecursiveMode, Watcher as _};

use super::files::digest_of;
use crate::domain::Revision;

/// How often the folder is looked at when nothing was heard: notifications do not arrive from every file system.
const POLL: Duration = Duration::from_secs(2);
/// How long a digest has to stay the same.
const SETTLE: Duration = Duration::from_millis(500);

/// Watches a folder until it is dropped.
pub struct Watcher {
    wake: Sender<Heard>,
    thread: Option<JoinHandle<()>>,
    /// Notifications come for as long as this lives; where there are none, the poll is enough.
    notifications: Option<notify::RecommendedWatcher>,
}

enum Heard {
    Something,
    Stop,
}

impl Watcher {
    /// Watches a folder, and calls back with each new digest that has settled. What the folder holds now is taken as known: start watching
    /// before you load it, and no change can slip in between.
    ///
    /// # Errors
    /// No thread could be started.
    pub fn spawn(dir: PathBuf, on_change: impl Fn(Revision) + Send + 'static) -> io::Result<Self> {
        let (wake, heard) = mpsc::channel();
        let notifications = listen(&dir, wake.clone());
        let known = digest_of(&dir).ok();
        let thread = thread::Builder::new().name("elevon-watch".to_owned()).spawn(move || watch(&dir, &heard, known, &on_change))?;
        Ok(Self { wake, thread: Some(thread), notifications })
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.notifications.take();
        // a thread that is gone already needs no message
        let _ = self.wake.send(Heard::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn listen(dir: &Path, wake: Sender<Heard>) -> Option<notify::RecommendedWatcher> {
    let started = notify::recommended_watcher(move |_: notify::Result<notify::Event>| {
        // nobody listens any more once the thread has stopped
        let _ = wake.send(Heard::Something);
    });
    let watched = started.and_then(|mut watcher| watcher.watch(dir, RecursiveMode::Recursive).map(|()| watcher));
    match watched {
        Ok(watcher) => Some(watcher),
        Err(error) => {
            tracing::warn!(%error, dir = %dir.display(), "no notifications of changes; the folder is looked at every two seconds");
            None
        }
    }
}

fn watch(dir: &Path, heard: &Receiver<Heard>, mut proposed: Option<Revision>, on_change: &dyn Fn(Revision)) {
    let mut settling: Option<(Revision, Instant)> = None;
    loop {
        let pause = if settling.is_some() { SETTLE } else { POLL };
        if !wait(heard, pause) {
            return;
        }
        let seen = match digest_of(dir) {
            Ok(seen) => seen,
            Err(error) => {
                tracing::debug!(error = %error.summary(), "the policy folder cannot be read at the moment");
                settling = None;
                continue;
            }
        };
        if proposed.as_ref() == Some(&seen) {
            settling = None;
            continue;
        }
        match settling.take() {
            Some((before, since)) if before == seen && since.elapsed() >= SETTLE => {
                proposed = Some(seen.clone());
                on_change(seen);
            }
            Some((before, since)) if before == seen => settling = Some((before, since)),
            Some(_) | None => settling = Some((seen, Instant::now())),
        }
    }
}

/// Waits until something was heard and has gone quiet for a moment, or the pause is over. False: stop.
fn wait(heard: &Receiver<Heard>, pause: Duration) -> bool {
    match heard.recv_timeout(pause) {
        Ok(Heard::Stop) | Err(RecvTimeoutError::Disconnected) => return false,
        Ok(Heard::Something) => {}
        Err(RecvTimeoutError::Timeout) => return true,
    }
    // a burst of notifications is one: looking at the folder again for each of them would only keep the disk busy
    let until = Instant::now() + Duration::from_millis(50);
    while let Some(left) = until.checked_duration_since(Instant::now()) {
        match heard.recv_timeout(left) {
            Ok(Heard::Something) => {}
            Ok(Heard::Stop) | Err(RecvTimeoutError::Disconnected) => return false,
            Err(RecvTimeoutError::Timeout) => break,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn watched(dir: &Path) -> (Watcher, Receiver<Revision>) {
        let (send, seen) = mpsc::channel();
        (Watcher::spawn(dir.to_owned(), move |revision| send.send(revision).unwrap()).unwrap(), seen)
    }

    #[test]
    fn a_change_is_proposed_once_it_has_settled_and_only_once() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.cedar");
        fs::write(&file, "one").unwrap();
        let (watcher, seen) = watched(dir.path());
        let began = Instant::now();
        for text in ["two", "three", "four"] {
            fs::write(&file, text).unwrap();
            thread::sleep(Duration::from_millis(150));
        }
        let proposed = seen.recv_timeout(Duration::from_secs(10)).unwrap();
        assert!(began.elapsed() >= SETTLE);
        assert_eq!(proposed, digest_of(dir.path()).unwrap());
        assert!(seen.recv_timeout(Duration::from_secs(1)).is_err());
        fs::write(dir.path().join("README.md"), "no part of it").unwrap();
        assert!(seen.recv_timeout(Duration::from_secs(1)).is_err());
        drop(watcher);
        assert!(seen.recv_timeout(Duration::from_millis(100)).is_err());
    }

    #[test]
    fn a_swap_of_the_data_link_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        for (version, text) in [("..v1", "one"), ("..v2", "two")] {
            fs::create_dir(dir.path().join(version)).unwrap();
            fs::write(dir.path().join(version).join("a.cedar"), text).unwrap();
        }
        symlink("..v1", dir.path().join("..data")).unwrap();
        symlink("..data/a.cedar", dir.path().join("a.cedar")).unwrap();
        let before = digest_of(dir.path()).unwrap();
        let (_watcher, seen) = watched(dir.path());
        symlink("..v2", dir.path().join("..data_tmp")).unwrap();
        fs::rename(dir.path().join("..data_tmp"), dir.path().join("..data")).unwrap();
        fs::remove_dir_all(dir.path().join("..v1")).unwrap();
        let proposed = seen.recv_timeout(Duration::from_secs(10)).unwrap();
        assert_ne!(proposed, before);
        assert_eq!(proposed, digest_of(dir.path()).unwrap());
    }

    #[test]
    fn a_folder_that_comes_back_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("policies");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("a.cedar"), "one").unwrap();
        let (_watcher, seen) = watched(&folder);
        fs::remove_dir_all(&folder).unwrap();
        thread::sleep(Duration::from_millis(100));
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("a.cedar"), "two").unwrap();
        assert_eq!(seen.recv_timeout(Duration::from_secs(10)).unwrap(), digest_of(&folder).unwrap());
    }
}
