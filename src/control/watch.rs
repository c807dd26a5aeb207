//! Events of the file system: a change is seen at once instead of at the next look.
//!
//! Only a hint. Events are lost on network file systems, when their queue runs over and where a link in the middle of a
//! chain is swapped, and they may come before a file is whole: what they lead to is a look at the files, which decides.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use notify::Event;
use notify::event::{AccessKind, AccessMode, EventKind, ModifyKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};

use super::desk::Asked;

/// What of a directory is of interest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Interest {
    /// That something in it comes, goes, or is called otherwise. What is written there is somebody else's: the access record may
    /// be, many times a second.
    Names,
    /// What its files hold, too.
    Contents,
}

/// Watches directories, and says so when something in them changes.
pub struct Watch {
    watcher: RecommendedWatcher,
    /// Where only names are of interest. The watcher tells of all that happens there, and what does not matter is passed over.
    names_only: Arc<Mutex<BTreeSet<PathBuf>>>,
    /// By path: which directory it was when the watch was set. Another one of that name needs a watch of its own.
    watched: BTreeMap<PathBuf, Option<Identity>>,
    told: Arc<AtomicBool>,
    complained: bool,
}

impl Watch {
    /// Watches nothing yet. Sends one [`Asked::Changed`] however much changes, until [`heard`](Self::heard).
    pub fn new(changed: Sender<Asked>) -> notify::Result<Self> {
        let told = Arc::new(AtomicBool::new(false));
        let tell = Arc::clone(&told);
        let names_only = Arc::new(Mutex::new(BTreeSet::<PathBuf>::new()));
        let passed_over = Arc::clone(&names_only);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // An error (a queue that ran over) may stand for events that are lost: reason enough to look.
            let matters = event.map_or(true, |event| {
                matters(&event, &passed_over.lock().unwrap_or_else(PoisonError::into_inner))
            });
            if !matters || tell.swap(true, Ordering::AcqRel) {
                return;
            }
            let _ = changed.send(Asked::Changed);
        })?;
        Ok(Self { watcher, names_only, watched: BTreeMap::new(), told, complained: false })
    }

    /// What was told has been heard: the next change is told again. Call it before looking.
    pub fn heard(&self) {
        self.told.store(false, Ordering::Release);
    }

    /// Watches these and nothing else. A directory that cannot be watched is looked at every two seconds all the same.
    pub fn set(&mut self, wanted: &BTreeMap<PathBuf, Interest>) {
        let Self { watcher, watched, .. } = self;
        let names = wanted.iter().filter(|(_, interest)| **interest == Interest::Names);
        *self.names_only.lock().unwrap_or_else(PoisonError::into_inner) =
            names.map(|(path, _)| path.clone()).collect();
        watched.retain(|path, which| {
            let keep = wanted.contains_key(path) && which.is_some() && *which == identity(path);
            if !keep {
                // Fails where the directory is gone, and its watch with it.
                let _ = watcher.unwatch(path);
            }
            keep
        });
        for path in wanted.keys() {
            if watched.contains_key(path) {
                continue;
            }
            let which = identity(path);
            match watcher.watch(path, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    watched.insert(path.clone(), which);
                }
                Err(error) if !self.complained => {
                    self.complained = true;
                    tracing::warn!(
                        %error, directory = %path.display(),
                        "changes of policies cannot be watched there, they are seen within two seconds instead"
                    );
                }
                Err(_) => {}
            }
        }
    }
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").field("watched", &self.watched).finish_non_exhaustive()
    }
}

/// Whether an event is a reason to look.
fn matters(event: &Event, names_only: &BTreeSet<PathBuf>) -> bool {
    let is_beside = |path: &PathBuf| path.parent().is_some_and(|path| names_only.contains(path));
    is_change(event.kind) && !(is_writing(event.kind) && event.paths.iter().all(is_beside))
}

/// Whether an event can stand for other bytes. Reading makes events too: ours would make us read for ever.
fn is_change(kind: EventKind) -> bool {
    !matches!(kind, EventKind::Access(access) if access != AccessKind::Close(AccessMode::Write))
}

/// Whether an event says that a file was written to.
fn is_writing(kind: EventKind) -> bool {
    matches!(kind, EventKind::Access(_) | EventKind::Modify(ModifyKind::Data(_) | ModifyKind::Metadata(_)))
}

/// Device, inode and birth: a directory that is made anew often gets the inode of the one before.
type Identity = (u64, u64, Option<SystemTime>);

fn identity(path: &Path) -> Option<Identity> {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(path).ok().map(|found| (found.dev(), found.ino(), found.created().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::time::Duration;

    const PATIENCE: Duration = Duration::from_secs(20);

    #[test]
    fn one_word_for_many_changes_and_none_for_reading() {
        let directory = tempfile::tempdir().unwrap();
        let path = fs::canonicalize(directory.path()).unwrap();
        let (sender, changes) = mpsc::channel();
        let mut watch = Watch::new(sender).unwrap();
        watch.set(&BTreeMap::from([(path.clone(), Interest::Contents)]));
        for n in 0..50 {
            fs::write(path.join("file"), n.to_string()).unwrap();
        }
        assert!(matches!(changes.recv_timeout(PATIENCE), Ok(Asked::Changed)));
        assert!(changes.try_recv().is_err(), "told once until it is heard");
        fs::rename(path.join("file"), path.join("other")).unwrap();
        watch.heard();
        fs::read(path.join("other")).unwrap();
        fs::write(path.join("other"), "x").unwrap();
        assert!(changes.recv_timeout(PATIENCE).is_ok(), "and again then");
    }

    #[test]
    fn what_is_written_beside_the_policies_is_no_reason_to_look() {
        use notify::event::{CreateKind, DataChange, ModifyKind, RenameMode};
        let names_only = BTreeSet::from([PathBuf::from("/srv")]);
        let of = |kind, path: &str| matters(&Event::new(kind).add_path(path.into()), &names_only);
        let written = EventKind::Modify(ModifyKind::Data(DataChange::Any));
        let closed = EventKind::Access(AccessKind::Close(AccessMode::Write));
        assert!(!of(written, "/srv/access.jsonl") && !of(closed, "/srv/access.jsonl"));
        assert!(of(written, "/srv/policies/tiers.toml") && of(closed, "/srv/policies/tiers.toml"));
        assert!(of(EventKind::Modify(ModifyKind::Name(RenameMode::To)), "/srv/policies"));
        assert!(of(EventKind::Create(CreateKind::Folder), "/srv/policies"));
        assert!(!of(EventKind::Access(AccessKind::Read), "/srv/policies/tiers.toml"));
    }

    #[test]
    fn a_directory_that_comes_back_is_watched_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = fs::canonicalize(directory.path()).unwrap().join("policies");
        let wanted = BTreeMap::from([(path.clone(), Interest::Contents)]);
        fs::create_dir(&path).unwrap();
        let (sender, changes) = mpsc::channel();
        let mut watch = Watch::new(sender).unwrap();
        watch.set(&wanted);
        fs::remove_dir(&path).unwrap();
        assert!(changes.recv_timeout(PATIENCE).is_ok());
        watch.set(&wanted);
        fs::create_dir(&path).unwrap();
        watch.set(&wanted);
        // What is left of the first directory's events.
        while changes.recv_timeout(Duration::from_millis(200)).is_ok() {
            watch.heard();
        }
        watch.heard();
        fs::write(path.join("file"), "x").unwrap();
        assert!(changes.recv_timeout(PATIENCE).is_ok());
    }
}
