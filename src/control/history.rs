//! The sets that were in force: their files, so that one of them can be brought back.
//!
//! Ordered by when each came into force last; going back moves along the order without changing it, so that going back
//! again goes further back. What is taken after that stands behind the set that it replaced: nothing is lost by having
//! gone back. Kept in memory, and in a directory where there is one ([`disk`]), so that a restart neither forgets the
//! sets nor ends a rollback. Files that two sets share are held once.

pub mod disk;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::desk::KeptSet;
use crate::base::time::Timestamp;
use crate::policy::Sources;
use crate::policy::set::Digest;
use crate::policy::sources::is_toml;

/// So many former sets are kept beside the one in force.
pub const KEPT_MAX: usize = 10;

/// All kept sets together hold no more, but for the one in force and the one before it: large feeds that change every
/// hour must not fill the memory.
const KEPT_BYTES_MAX: usize = 256 << 20;

/// One set that was in force.
#[derive(Debug, Clone)]
pub struct Kept {
    /// Which.
    pub digest: Digest,
    /// When it came into force last.
    pub since: Timestamp,
    files: BTreeMap<String, Arc<[u8]>>,
}

impl Kept {
    /// Its files; `directory` is what diagnostics print before their names.
    pub fn sources(&self, directory: String) -> Sources {
        let mut sources = Sources::new(directory);
        for (name, bytes) in &self.files {
            sources.insert(name.clone(), bytes.to_vec());
        }
        sources
    }
}

/// The policy files of `sources` without feeds: what a person writes. A rollback stands until one of these changes; a feed
/// that reloads by itself does not end it.
pub fn written_by_hand(sources: &Sources) -> Digest {
    let mut alone = Sources::default();
    for (name, bytes) in sources.iter().filter(|(name, _)| is_toml(name)) {
        alone.insert(name, bytes);
    }
    alone.digest()
}

/// The sets that were in force, the one that is, and whether the files on disk are passed over.
#[derive(Debug, Default)]
pub struct History {
    /// The oldest first.
    sets: Vec<Kept>,
    /// The place of the one in force.
    current: usize,
    passed_over: Option<Digest>,
    directory: Option<PathBuf>,
    /// One complaint about a directory that cannot be written is enough.
    complained: bool,
}

impl History {
    /// Nothing yet, and forgotten at the end.
    pub fn in_memory() -> Self {
        Self::default()
    }

    /// What `directory` holds of an earlier process, which may be nothing; changes are written there.
    pub fn open(directory: PathBuf) -> Self {
        let (sets, current, passed_over) = disk::read(&directory);
        Self { sets, current, passed_over, directory: Some(directory), complained: false }
    }

    /// The set in force.
    pub fn current(&self) -> Option<&Kept> {
        self.sets.get(self.current)
    }

    /// The policy files that are not taken, as [`written_by_hand`] names them, since a rollback.
    pub fn passed_over(&self) -> Option<Digest> {
        self.passed_over
    }

    /// The set to go back to: `to`, or the one before the set in force.
    pub fn earlier(&self, to: Option<Digest>) -> Option<&Kept> {
        match to {
            Some(digest) => self.sets.iter().find(|set| set.digest == digest),
            None => self.sets.get(self.current.checked_sub(1)?),
        }
    }

    /// A set came into force from the files on disk.
    pub fn taken(&mut self, sources: &Sources, digest: Digest, now: Timestamp) {
        if self.current + 1 < self.sets.len() {
            // The set before this one is the one that it replaces.
            let replaced = self.sets.remove(self.current);
            self.sets.push(replaced);
        }
        self.sets.retain(|set| set.digest != digest);
        let known = |name: &str, bytes: &[u8]| {
            self.sets.iter().rev().find_map(|set| set.files.get(name).filter(|known| &***known == bytes))
        };
        let files = sources.iter().map(|(name, bytes)| {
            (name.to_owned(), known(name, bytes).map_or_else(|| Arc::from(bytes), Arc::clone))
        });
        let files = files.collect();
        self.sets.push(Kept { digest, since: now, files });
        let too_many = self.sets.len().saturating_sub(KEPT_MAX + 1);
        self.sets.drain(..too_many);
        while self.sets.len() > 2 && self.bytes() > KEPT_BYTES_MAX {
            self.sets.remove(0);
        }
        self.current = self.sets.len() - 1;
        self.passed_over = None;
        self.save();
    }

    /// A kept set came into force again, in place of the files on disk, which are passed over from now on.
    pub fn went_back(&mut self, digest: Digest, passed_over: Digest, now: Timestamp) {
        if let Some(place) = self.sets.iter().position(|set| set.digest == digest) {
            self.current = place;
            self.sets[place].since = now;
            self.passed_over = Some(passed_over);
            self.save();
        }
    }

    /// The files on disk are the set in force again: nothing is passed over.
    pub fn agrees(&mut self) {
        if self.passed_over.take().is_some() {
            self.save();
        }
    }

    /// What is kept, the latest first.
    pub fn overview(&self) -> Vec<KeptSet> {
        let kept = self.sets.iter().enumerate().rev();
        kept.map(|(place, set)| KeptSet {
            digest: set.digest,
            since: set.since,
            in_force: place == self.current,
        })
        .collect()
    }

    /// Of all files, shared ones once.
    fn bytes(&self) -> usize {
        let files = self.sets.iter().flat_map(|set| set.files.values());
        let once: BTreeMap<*const u8, usize> = files.map(|file| (file.as_ptr(), file.len())).collect();
        once.values().sum()
    }

    fn save(&mut self) {
        let Some(directory) = &self.directory else { return };
        match disk::write(directory, &self.sets, self.current, self.passed_over) {
            Ok(()) => self.complained = false,
            Err(error) if !self.complained => {
                self.complained = true;
                tracing::warn!(
                    %error, directory = %directory.display(),
                    "former policies cannot be kept there: a restart forgets them, and ends a rollback"
                );
            }
            Err(_) => {}
        }
    }
}
