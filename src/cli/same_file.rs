//! Whether two paths lead to one file: what is read is not written over, and not read twice.

use std::path::{Path, PathBuf};

use anyhow::bail;

/// A file, whatever path leads to it: links have the device and the inode of what they point at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    /// `None` where there is none yet, or no file but a device or a pipe: reading or writing these destroys nothing.
    fn of(path: &Path) -> Option<Self> {
        use std::os::unix::fs::MetadataExt;

        let found = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file)?;
        Some(Self { device: found.dev(), inode: found.ino() })
    }
}

/// Whether two paths lead to one file, which need not be there yet. Never so for `-`.
pub(super) fn is_same_file(one: &Path, other: &Path) -> bool {
    if [one, other].contains(&Path::new("-")) {
        return false;
    }
    match (FileId::of(one), FileId::of(other)) {
        (Some(one), Some(other)) => one == other,
        (None, None) => !one.exists() && place(one).is_some_and(|place| Some(place) == self::place(other)),
        _ => false,
    }
}

/// Where a file would be made.
fn place(path: &Path) -> Option<PathBuf> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Some(folder.canonicalize().ok()?.join(path.file_name()?))
}

/// Refuses decisions that would be written over the traffic that they are about, before anything is opened for writing.
pub(super) fn refuse_to_write_over(inputs: &[PathBuf], decisions: &Path) -> anyhow::Result<()> {
    // Of a file that is stdin only what was read is left.
    let of_stdin = Path::new("/dev/stdin");
    let looked_at = |input: &Path| if input == Path::new("-") { of_stdin } else { input }.to_owned();
    match inputs.iter().find(|input| is_same_file(&looked_at(input), decisions)) {
        None => Ok(()),
        Some(input) => bail!(
            "`--decisions {}` is the same file as `--input {}`, which would be lost: name another file for the decisions; nothing \
             was written",
            decisions.display(),
            input.display()
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_file_is_one_by_whatever_path() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::create_dir(at("d")).unwrap();
        fs::write(at("one"), "x").unwrap();
        fs::write(at("other"), "x").unwrap();
        symlink("one", at("soft")).unwrap();
        symlink(".", at("here")).unwrap();
        fs::hard_link(at("one"), at("hard")).unwrap();
        for (name, same) in [
            ("one", true),
            ("./one", true),
            ("d/../one", true),
            ("soft", true),
            ("hard", true),
            ("here/hard", true),
            ("other", false),
            ("d", false),
            ("none", false),
        ] {
            assert_eq!(is_same_file(&at("one"), &at(name)), same, "{name}");
            assert_eq!(is_same_file(&at(name), &at("one")), same, "{name}");
        }
        assert!(is_same_file(&at("none"), &at("d/../here/none")), "neither is there yet");
        assert!(!is_same_file(&at("none"), &at("d/none")) && !is_same_file(&at("no/x"), &at("no/x/y")));
        for device in ["/dev/null", "-"] {
            assert!(!is_same_file(Path::new(device), Path::new(device)), "{device}");
        }
    }
}
