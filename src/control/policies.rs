//! Reads a policy directory: its TOML files and the feeds that they name, bounded in number and size.
//!
//! Beside the bytes it takes two likenesses, by which a later change is seen: [`Look`], lengths and times, which costs
//! one `stat` a file, and [`Contents`], hashes, for what times do not show (two edits within one tick of the file
//! system's clock, file systems that keep no time of a change).

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::watch::Interest;
use crate::base::time::Timestamp;
use crate::policy::Sources;
use crate::policy::sources::{FEED_BYTES_MAX, FILES_MAX, TOML_BYTES_MAX, is_toml};

/// A directory as it was read.
#[derive(Debug)]
pub struct Directory {
    /// What it holds.
    pub sources: Sources,
    /// What it looked like from outside, so that a change can be seen without reading it again.
    pub look: Look,
    /// Hashes of what was read.
    pub contents: Contents,
    /// When each feed was last written, by its name below the directory.
    pub written: BTreeMap<String, Timestamp>,
}

impl Directory {
    /// Sources that stand in no directory: nothing of them can change.
    pub fn unchanging(sources: Sources) -> Self {
        Self { sources, look: Look::default(), contents: Contents::default(), written: BTreeMap::new() }
    }
}

/// Hashes of files as they were read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Contents {
    files: BTreeMap<PathBuf, blake3::Hash>,
    bytes: u64,
}

impl Contents {
    fn add(&mut self, path: PathBuf, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.files.insert(path, blake3::hash(bytes));
    }

    /// How much has to be read to compare again.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether the files still hold these bytes. Reads them all.
    pub fn still(&self) -> bool {
        let same = |(path, hash): (&PathBuf, &blake3::Hash)| {
            let file = File::open(path).ok()?.take(FEED_BYTES_MAX as u64 + 1);
            let mut hasher = blake3::Hasher::new();
            hasher.update_reader(file).ok()?;
            (hasher.finalize() == *hash).then_some(())
        };
        self.files.iter().all(|file| same(file).is_some())
    }
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
    let (mut look, mut contents, mut written) = (Look::default(), Contents::default(), BTreeMap::new());
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
        let bytes = read_bounded(&file, TOML_BYTES_MAX).map_err(io(&file))?;
        contents.add(file, &bytes);
        sources.insert(name, bytes);
    }
    for name in sources.feeds_named() {
        let file = path.join(&name);
        look.add(&file);
        match read_bounded(&file, FEED_BYTES_MAX) {
            Ok(bytes) => {
                written.extend(look.last_modified().map(|at| (name.clone(), at)));
                contents.add(file, &bytes);
                sources.insert(name, bytes);
            }
            // Compiling complains of it, with the line that names it.
            Err(missing) if missing.kind() == std::io::ErrorKind::NotFound => {}
            Err(source) => return Err(ReadError::Io { path: file, source }),
        }
        if sources.len() > FILES_MAX {
            return Err(ReadError::TooMany { path: path.to_owned() });
        }
    }
    Ok(Directory { sources, look, contents, written })
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

    /// The directories in which a change of these files shows as an event: those that hold them, and the real ones where
    /// a link leads elsewhere; of the policy directory also the one above, in which it is replaced as a whole, and where
    /// nothing else concerns us. Links in the middle of a chain are left to [`again`](Self::again).
    pub fn directories(&self, directory: &Path) -> BTreeMap<PathBuf, Interest> {
        const DIRECTORIES_MAX: usize = 64;
        let mut found = BTreeSet::new();
        let real = |path: &Path| fs::canonicalize(path).ok();
        let above = |path: &Path| match path.parent() {
            Some(parent) if parent.as_os_str().is_empty() => Some(PathBuf::from(".")),
            parent => parent.map(Path::to_owned),
        };
        let directory_real = real(directory);
        let around = [above(directory), directory_real.as_deref().and_then(above)];
        found.extend([Some(directory.to_owned()), directory_real].into_iter().flatten());
        for file in &self.0 {
            found.extend(above(&file.path));
            found.extend(real(&file.path).as_deref().and_then(above));
            if found.len() >= DIRECTORIES_MAX {
                break;
            }
        }
        // Two names of one directory would tell each event twice.
        let mut interests = BTreeMap::new();
        for (paths, interest) in
            [(around.into_iter().flatten().collect(), Interest::Names), (found, Interest::Contents)]
        {
            let paths: BTreeSet<PathBuf> = paths;
            interests.extend(paths.iter().filter_map(|path| real(path)).map(|path| (path, interest)));
        }
        interests
    }

    fn last_modified(&self) -> Option<Timestamp> {
        let since = self.0.last()?.modified?.duration_since(UNIX_EPOCH).ok()?;
        Some(Timestamp::EPOCH + since)
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
