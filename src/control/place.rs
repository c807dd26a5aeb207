//! Where policies come from, and reading and compiling them whole.

use std::path::PathBuf;

use super::policies::{Directory, ReadError, read_directory};
use super::shipped;
use crate::base::time::Timestamp;
use crate::policy::diagnostic::render;
use crate::policy::{Diagnostic, PolicySet, Sources, compile};

/// Where policies come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PolicyPlace {
    /// A directory.
    Directory(PathBuf),
    /// What is compiled in.
    Shipped,
}

/// Why a policy set did not come about.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Its files could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// They say what cannot be.
    #[error("{}", render(.0).trim_end())]
    Wrong(Vec<Diagnostic>),
}

/// A set that was read and compiled.
#[derive(Debug)]
pub struct Loaded {
    /// The set.
    pub policy: PolicySet,
    /// What was probably not meant.
    pub warnings: Vec<Diagnostic>,
    /// Its files as they were read.
    pub read: Directory,
}

impl PolicyPlace {
    /// Reads and compiles.
    pub fn load(&self, now: Timestamp) -> Result<Loaded, LoadError> {
        let read = self.read()?;
        let compiled = compile(&read.sources, now).map_err(LoadError::Wrong)?;
        Ok(Loaded { policy: compiled.set, warnings: compiled.warnings, read })
    }

    /// Reads, as it stands now.
    pub fn read(&self) -> Result<Directory, ReadError> {
        match self {
            Self::Directory(path) => read_directory(path),
            Self::Shipped => Ok(Directory::unchanging(shipped::sources())),
        }
    }

    /// The files alone, to look at or to edit.
    pub fn sources(&self) -> Result<Sources, ReadError> {
        self.read().map(|directory| directory.sources)
    }

    /// What diagnostics print before each file's name.
    pub fn name(&self) -> String {
        match self {
            Self::Directory(path) => path.display().to_string(),
            Self::Shipped => shipped::NAME.to_owned(),
        }
    }
}
