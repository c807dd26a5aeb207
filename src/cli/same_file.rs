//! Whether two paths lead to one file: what is read is not written over, and not read twice.

use std::collections::BTreeMap;
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

/// What is looked at of an input: `-` may be a file, too.
fn input(path: &Path) -> &Path {
    if path == Path::new("-") { Path::new("/dev/stdin") } else { path }
}

/// Refuses an input that is named twice: its records would count twice, or be split between two readers of stdin.
pub(super) fn refuse_twice(inputs: &[PathBuf]) -> anyhow::Result<()> {
    let mut files = BTreeMap::new();
    let mut has_stdin = false;
    for path in inputs {
        let is_stdin = path == Path::new("-");
        if is_stdin && std::mem::replace(&mut has_stdin, true) {
            bail!("`--input -` is there twice, and stdin can be read only once: name it once");
        }
        let Some(file) = FileId::of(input(path)) else { continue };
        if let Some(first) = files.insert(file, path) {
            bail!(
                "`--input {}` is the same file as `--input {}`, and its records would count twice: name it once",
                path.display(),
                first.display()
            );
        }
    }
    Ok(())
}

/// Refuses decisions that would be written over the traffic that they are about, before anything is opened for writing.
pub(super) fn refuse_to_write_over(inputs: &[PathBuf], decisions: &Path) -> anyhow::Result<()> {
    match inputs.iter().find(|path| is_same_file(input(path), decisions)) {
        None => Ok(()),
        Some(path) => bail!(
            "`--decisions {}` is the same file as `--input {}`, which would be lost: name another file for the decisions; nothing \
             was written",
            decisions.display(),
            path.display()
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
        let twice = |names: &[&str]| {
            let paths: Vec<PathBuf> =
                names.iter().map(|name| if *name == "-" { "-".into() } else { at(name) }).collect();
            refuse_twice(&paths).err().map(|error| error.to_string()).unwrap_or_default()
        };
        assert_eq!(twice(&["one", "other", "-", "none", "none"]), "");
        assert!(twice(&["-", "one", "-"]).starts_with("`--input -` is there twice"));
        for name in ["one", "soft", "hard", "here/one"] {
            let told = twice(&["one", "other", name]);
            assert!(told.contains(&format!("{}` is the same file as", at(name).display())), "{told}");
        }
        for device in ["/dev/null", "-"] {
            assert!(!is_same_file(Path::new(device), Path::new(device)), "{device}");
        }
    }
}
