//! Former sets on the disk: an index, and each file under the hash of its bytes, so that sets share what they share.
//!
//! ```text
//! policies-history/index.json      which sets, which files each has, which is in force
//! policies-history/files/3f…e1     a file's bytes, named by their BLAKE3 hash
//! ```
//!
//! Files first and the index last, renamed into place: what is interrupted leaves the index of before. Read with as much
//! doubt as anything from outside: a set of which a file is missing or has changed is left out and named.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{KEPT_MAX, Kept};
use crate::base::time::Timestamp;
use crate::policy::Sources;
use crate::policy::set::Digest;
use crate::policy::sources::{FEED_BYTES_MAX, FILES_MAX};

const INDEX: &str = "index.json";
const FILES: &str = "files";

/// An index of eleven sets with a thousand files each is not longer.
const INDEX_BYTES_MAX: u64 = 4 << 20;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Index {
    format: u32,
    /// The oldest first.
    sets: Vec<IndexedSet>,
    in_force: String,
    passed_over: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct IndexedSet {
    digest: String,
    since: u64,
    /// Names and hashes.
    files: BTreeMap<String, String>,
}

/// The digest that [`Digest`]'s display prints.
pub fn parse_digest(text: &str) -> Option<Digest> {
    let mut bytes = [0; 8];
    if text.len() != 16 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(Digest(bytes))
}

/// The sets, the place of the one in force, and what is passed over.
pub(super) fn read(directory: &Path) -> (Vec<Kept>, usize, Option<Digest>) {
    let nothing = (Vec::new(), 0, None);
    let index = match read_bounded(&directory.join(INDEX), INDEX_BYTES_MAX) {
        Ok(bytes) => serde_json::from_slice::<Index>(&bytes).map_err(io::Error::other),
        Err(missing) if missing.kind() == io::ErrorKind::NotFound => return nothing,
        Err(error) => Err(error),
    };
    let index = match index {
        Ok(index) if index.format == 1 && index.sets.len() <= KEPT_MAX + 1 => index,
        Ok(_) => {
            tracing::warn!(directory = %directory.display(), "former policies are not in a known format: they are left out");
            return nothing;
        }
        Err(error) => {
            tracing::warn!(%error, directory = %directory.display(), "former policies cannot be read: they are left out");
            return nothing;
        }
    };
    let mut files = BTreeMap::new();
    let mut sets = Vec::new();
    for set in &index.sets {
        if let Some(kept) = read_set(directory, set, &mut files) {
            sets.push(kept);
        } else {
            tracing::warn!(
                policy = %set.digest.escape_debug(),
                "a former policy is left out: a file of it is missing or was changed"
            );
        }
    }
    let in_force = parse_digest(&index.in_force);
    if let Some(place) = sets.iter().position(|set| Some(set.digest) == in_force) {
        return (sets, place, index.passed_over.as_deref().and_then(parse_digest));
    }
    // Without the set that a rollback brought back, there is no rollback.
    let last = sets.len().saturating_sub(1);
    (sets, last, None)
}

fn read_set(directory: &Path, set: &IndexedSet, known: &mut BTreeMap<String, Arc<[u8]>>) -> Option<Kept> {
    let digest = parse_digest(&set.digest)?;
    if set.files.len() > FILES_MAX {
        return None;
    }
    let mut files = BTreeMap::new();
    let mut sources = Sources::default();
    for (name, hash) in &set.files {
        let bytes = if let Some(bytes) = known.get(hash) {
            Arc::clone(bytes)
        } else {
            // A hash and not a path: nothing else is looked for.
            let expected = blake3::Hash::from_hex(hash).ok()?;
            let path = directory.join(FILES).join(expected.to_hex().as_str());
            let bytes: Arc<[u8]> = read_bounded(&path, FEED_BYTES_MAX as u64).ok()?.into();
            if blake3::hash(&bytes) != expected {
                return None;
            }
            known.insert(hash.clone(), Arc::clone(&bytes));
            bytes
        };
        sources.insert(name.clone(), bytes.to_vec());
        files.insert(name.clone(), bytes);
    }
    (sources.digest() == digest).then(|| Kept { digest, since: Timestamp::from_millis(set.since), files })
}

/// Writes what is new, then the index, then removes files that no set has any more.
pub(super) fn write(
    directory: &Path,
    sets: &[Kept],
    current: usize,
    passed_over: Option<Digest>,
) -> io::Result<()> {
    let files = directory.join(FILES);
    // Policies name customers and hold hashes of keys: for nobody else to read.
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&files)?;
    let mut in_use = BTreeSet::new();
    let mut indexed = Vec::new();
    for set in sets {
        let mut names = BTreeMap::new();
        for (name, bytes) in &set.files {
            let hash = blake3::hash(bytes).to_hex().to_string();
            if in_use.insert(hash.clone()) && !files.join(&hash).exists() {
                write_whole(&files.join(&hash), bytes)?;
            }
            names.insert(name.clone(), hash);
        }
        let since = set.since.as_millis();
        indexed.push(IndexedSet { digest: set.digest.to_string(), since, files: names });
    }
    let index = Index {
        format: 1,
        sets: indexed,
        in_force: sets.get(current).map(|set| set.digest.to_string()).unwrap_or_default(),
        passed_over: passed_over.map(|digest| digest.to_string()),
    };
    write_whole(&directory.join(INDEX), &serde_json::to_vec_pretty(&index).map_err(io::Error::other)?)?;
    for entry in fs::read_dir(&files)?.flatten() {
        if !entry.file_name().to_str().is_some_and(|name| in_use.contains(name)) {
            let _ = fs::remove_file(entry.path());
        }
    }
    Ok(())
}

/// Whole or not at all: beside it first, on the disk, then renamed.
fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("tmp");
    let mut file =
        fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)
}

fn read_bounded(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(bytes_max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "the file is too large"));
    }
    Ok(bytes)
}
