//! Reads a policy directory: its TOML files and the feeds that they name, bounded in number and size.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::policy::Sources;
use crate::policy::sources::{FEED_BYTES_MAX, FILES_MAX, TOML_BYTES_MAX, is_toml};

/// A directory as it was read.
#[derive(Debug)]
pub struct Directory {
    /// What it holds.
    pub sources: Sources,
    /// What it looked like from outside, so that a change can be seen without reading it again.
    pub look: Look,
}

/// What a directory looks like from outside: each file's length and times. A change of any of them is a reason to read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Look(Vec<FileLook>);

/// One file: all that changes when somebody writes, replaces or removes it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct FileLook {
    path: PathBuf,
    length: u64,
    modified: Option<SystemTime>,
    identity: Option<Identity>,
}

/// The time of the last change of status, in seconds and nanoseconds, and the inode: an edit that keeps length and
/// modification time still shows.
type Identity = (i64, i64, u64);

/// Why a directory could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The directory, or a file in it.
    #[error("cannot read `{}`", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// No policy in it.
    #[error("`{}` holds no `.toml` file: a policy needs at least a `[tier]` for requests without a key", path.display())]
    Empty {
        /// Which.
        path: PathBuf,
    },
    /// More files than are read.
    #[error("`{}` holds more than {FILES_MAX} policy files", path.display())]
    TooMany {
        /// Which.
        path: PathBuf,
    },
}

/// Reads every `*.toml` of `path` (hidden ones are left out: editors leave such behind), and the feeds that they name.
pub fn read_directory(path: &Path) -> Result<Directory, ReadError> {
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| ReadError::Io { path, source }
    };
    let mut sources = Sources::new(path.display().to_string());
    let mut look = Look::default();
    let mut names = Vec::new();
    for entry in fs::read_dir(path).map_err(io(path))? {
        let name = entry.map_err(io(path))?.file_name().to_string_lossy().into_owned();
        if is_policy(Path::new(&name)) {
            names.push(name);
        }
        if names.len() > FILES_MAX {
            return Err(ReadError::TooMany { path: path.to_owned() });
        }
    }
    if names.is_empty() {
        return Err(ReadError::Empty { path: path.to_owned() });
    }
    names.sort();
    for name in names {
        let file = path.join(&name);
        // Looked at before it is read: a change in between is then seen the next time.
        look.add(&file);
        sources.insert(name, read_bounded(&file, TOML_BYTES_MAX).map_err(io(&file))?);
    }
    for name in sources.feeds_named() {
        let file = path.join(&name);
        look.add(&file);
        match read_bounded(&file, FEED_BYTES_MAX) {
            Ok(bytes) => sources.insert(name, bytes),
            // Compiling complains of it, with the line that names it.
            Err(missing) if missing.kind() == std::io::ErrorKind::NotFound => {}
            Err(source) => return Err(ReadError::Io { path: file, source }),
        }
        if sources.len() > FILES_MAX {
            return Err(ReadError::TooMany { path: path.to_owned() });
        }
    }
    Ok(Directory { sources, look })
}

/// One byte more than is allowed is enough for the compiler to complain with the file's name.
fn read_bounded(path: &Path, bytes_max: usize) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(bytes_max as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

impl Look {
    /// What the same files, and the directory itself, look like now.
    #[must_use]
    pub fn again(&self, directory: &Path) -> Self {
        let mut now = Self::default();
        let listed = fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
        let mut tomls: Vec<PathBuf> = listed.filter(|path| is_policy(path)).collect();
        tomls.sort();
        // Feeds are known by the last reading only.
        let feeds = self.0.iter().map(|file| &file.path).filter(|path| !is_policy(path));
        for path in tomls.iter().chain(feeds) {
            now.add(path);
        }
        now
    }

    fn add(&mut self, path: &Path) {
        // Through symbolic links: swapping one is a change.
        let (length, modified, identity) = match fs::metadata(path) {
            Ok(found) => (found.len(), found.modified().ok(), identity(&found)),
            Err(_) => (0, None, None),
        };
        self.0.push(FileLook { path: path.to_owned(), length, modified, identity });
    }
}

fn is_policy(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    is_toml(&name) && !name.starts_with('.')
}

#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "elsewhere there is none")]
fn identity(found: &fs::Metadata) -> Option<Identity> {
    use std::os::unix::fs::MetadataExt;
    Some((found.ctime(), found.ctime_nsec(), found.ino()))
}

#[cfg(not(unix))]
fn identity(_: &fs::Metadata) -> Option<Identity> {
    None
}
