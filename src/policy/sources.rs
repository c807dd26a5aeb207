//! The files that a policy is compiled from: their names and bytes, handed in by whoever read them.
//!
//! Sorted by name, so that the order in which a directory is listed can show in nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::file;
use super::reader::Report;
use super::set::Digest;

/// A policy may have at most so many files, feeds included.
pub const FILES_MAX: usize = 1_024;

/// A TOML file may have at most so many bytes.
pub const TOML_BYTES_MAX: usize = 1 << 20;

/// A feed or a table of networks may have at most so many bytes, unpacked too.
pub const FEED_BYTES_MAX: usize = 64 << 20;

/// What a policy is compiled from: every `*.toml` of a directory (not of the directories in it), and the feeds that they name.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    directory: String,
    files: BTreeMap<String, Vec<u8>>,
}

impl Sources {
    /// No files yet. `directory` is what diagnostics print before each name; it may be empty.
    pub fn new(directory: impl Into<String>) -> Self {
        Self { directory: directory.into(), files: BTreeMap::new() }
    }

    /// Adds a file by its name below the directory, with `/` between its parts. A name that is there already is replaced.
    pub fn insert(&mut self, name: impl Into<String>, bytes: impl Into<Vec<u8>>) {
        self.files.insert(name.into(), bytes.into());
    }

    /// All files by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice()))
    }

    /// One file's bytes.
    pub fn bytes(&self, name: &str) -> Option<&[u8]> {
        self.files.get(name).map(Vec::as_slice)
    }

    /// How many files there are.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// The name as the operator knows it: with the directory.
    pub fn display_name(&self, name: &str) -> Arc<str> {
        match self.directory.trim_end_matches('/') {
            "" if self.directory.is_empty() => name.into(),
            directory => format!("{directory}/{name}").into(),
        }
    }

    /// The feeds and the table of networks that the TOML files name, whether they are here or not: what is to be read and
    /// inserted beside them.
    /// Each lies below the directory: names that lead out of it are left for [`compile`](super::compile::compile) to refuse.
    pub fn feeds_named(&self) -> BTreeSet<String> {
        let report = Report::new(self.texts().collect());
        let forms = file::read(&report);
        let feeds = forms.lists.into_iter().filter_map(|list| list.matchers.file);
        let tables = forms.networks.into_iter().filter_map(|networks| networks.table);
        feeds.chain(tables).map(|file| file.value).collect()
    }

    /// Names these files: the same names and bytes, the same digest.
    pub fn digest(&self) -> Digest {
        let mut hasher = blake3::Hasher::new();
        for (name, bytes) in &self.files {
            // Lengths first, so that no bytes can move from one file to the next unseen.
            for part in [name.as_bytes(), bytes] {
                hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
            }
        }
        let mut short = [0; 8];
        short.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
        Digest(short)
    }

    /// The TOML files that are text and not too long.
    pub(crate) fn texts(&self) -> impl Iterator<Item = super::diagnostic::SourceText<'_>> {
        let toml = self.files.iter().filter(|(name, bytes)| is_toml(name) && bytes.len() <= TOML_BYTES_MAX);
        toml.take(FILES_MAX).filter_map(|(name, bytes)| {
            let text = std::str::from_utf8(bytes).ok()?;
            Some(super::diagnostic::SourceText::new(self.display_name(name), text))
        })
    }
}

/// Whether a file of that name is read as a policy.
pub fn is_toml(name: &str) -> bool {
    name.strip_suffix(".toml").is_some_and(|stem| !stem.is_empty())
}
