//! The record's file: appended to by whole lines, set aside when it is large or old, removed when it has been kept long
//! enough.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::RecordSettings;
use super::rewrite::{UNDER_WAY, cut_addresses, rewrite, unpack};
use crate::base::time::Timestamp;

/// A file is rotated at this age, whatever its size: otherwise a quiet gateway would keep addresses for ever.
const AGE_MAX: Duration = Duration::from_secs(86_400);

/// What the name of a file ends with once the addresses in it are cut.
const CUT: &str = ".cut";

/// Addresses are cut so long before they have to be: requests of a file's first seconds began a little before it, and it
/// takes a minute until somebody looks.
const CUT_MARGIN: Duration = Duration::from_secs(180);

/// What a write goes to. A file, and in tests one that fails.
pub(super) trait Medium: Write {
    /// Shortens it to `length` bytes.
    fn cut(&mut self, length: u64) -> io::Result<()>;
}

impl Medium for File {
    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }
}

/// Appends whole lines, or nothing: of a write that failed half-way (a full disk) the begun part is cut off again.
/// `length` is what the medium holds.
pub(super) fn append_whole(medium: &mut impl Medium, length: &mut u64, lines: &[u8]) -> io::Result<()> {
    match medium.write_all(lines) {
        Ok(()) => {
            *length += lines.len() as u64;
            Ok(())
        }
        Err(error) => {
            // Where even this fails, the caller opens the file anew before it writes again, which cuts a torn line off.
            medium.cut(*length)?;
            Err(error)
        }
    }
}

/// The file that is being written, and those set aside.
pub(super) struct RotatingFile {
    path: PathBuf,
    rotate_bytes: u64,
    keep: Duration,
    /// No whole address is kept longer than this.
    cut_after: Option<Duration>,
    cutting: Arc<AtomicBool>,
    open: Option<Open>,
    /// Not to be rotated again before: a directory that refuses is not asked for every chunk.
    rotate_after: Timestamp,
    prune_after: Timestamp,
}

struct Open {
    file: File,
    length: u64,
    since: Timestamp,
}

impl RotatingFile {
    pub(super) fn open(path: PathBuf, settings: &RecordSettings, now: Timestamp) -> io::Result<Self> {
        let (rotate_after, prune_after) = (Timestamp::EPOCH, Timestamp::EPOCH);
        let mut file = Self {
            path,
            rotate_bytes: settings.rotate_bytes,
            keep: settings.keep,
            cut_after: settings.cut_addresses_after,
            cutting: Arc::default(),
            open: None,
            rotate_after,
            prune_after,
        };
        file.reopen(now)?;
        Ok(file)
    }

    /// Closes it, and opens what has its name now.
    pub(super) fn reopen(&mut self, now: Timestamp) -> io::Result<()> {
        self.open = None;
        if let Some(directory) = self.path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
            fs::create_dir_all(directory)?;
        }
        self.open = Some(open(&self.path, now)?);
        Ok(())
    }

    /// Appends whole lines.
    pub(super) fn append(&mut self, lines: &[u8], now: Timestamp) -> io::Result<()> {
        if self.open.is_none() {
            self.reopen(now)?;
        }
        let Some(open) = &mut self.open else { return Ok(()) };
        if open.length == 0 {
            open.since = now;
        }
        let before = open.length;
        let appended = append_whole(&mut open.file, &mut open.length, lines);
        if appended.is_err() && open.file.metadata().is_ok_and(|metadata| metadata.len() != before) {
            self.open = None;
        }
        appended
    }

    /// Rotates and removes what is due.
    pub(super) fn housekeep(&mut self, now: Timestamp) -> io::Result<()> {
        const PAUSE: Duration = Duration::from_secs(60);
        let due = self.open.as_ref().is_some_and(|open| {
            open.length >= self.rotate_bytes || (open.length > 0 && now.since(open.since) >= self.age_max())
        });
        if due && now >= self.rotate_after {
            self.rotate_after = now + PAUSE;
            self.rotate(now)?;
            self.rotate_after = now;
            self.prune_after = now;
        }
        if now >= self.prune_after {
            self.prune_after = now + PAUSE;
            self.prune(now)?;
            self.cut_old_addresses(now)?;
        }
        Ok(())
    }

    /// A file is set aside at this age. Where addresses are cut, early enough that the youngest line of a file keeps its
    /// own for three quarters of the time: all of a file is cut when its oldest line has to be.
    fn age_max(&self) -> Duration {
        AGE_MAX.min(self.keep).min(self.cut_after.map_or(AGE_MAX, |after| after / 4))
    }

    /// Sets the file aside now, whatever its size and age; an empty one stays.
    pub(super) fn rotate_now(&mut self, now: Timestamp) -> io::Result<()> {
        if self.open.as_ref().is_some_and(|open| open.length > 0) { self.rotate(now) } else { Ok(()) }
    }

    /// Cuts the addresses of files that were set aside, where their first line is old enough. On a thread of its own: it
    /// takes as long as the disk takes for a whole file, and lines must not wait for it.
    fn cut_old_addresses(&self, now: Timestamp) -> io::Result<()> {
        let Some(after) = self.cut_after else { return Ok(()) };
        let mut due = Vec::new();
        for path in record_files(&self.path)? {
            if path == self.path || path.to_string_lossy().ends_with(CUT) {
                continue;
            }
            // Another tool may have packed it.
            let first = File::open(&path).and_then(unpack).ok().and_then(|(reader, _)| first_time(reader));
            let since = first.or_else(|| set_aside_at(&self.path, &path)).unwrap_or(Timestamp::EPOCH);
            if now.since(since) + CUT_MARGIN >= after {
                due.push(path);
            }
        }
        if due.is_empty() || self.cutting.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let cutting = Arc::clone(&self.cutting);
        let thread = std::thread::Builder::new().name("record-cut".into()).spawn(move || {
            for path in due {
                cut_file(&path);
            }
            cutting.store(false, Ordering::Release);
        });
        thread.map(drop).inspect_err(|_| self.cutting.store(false, Ordering::Release))
    }

    /// Renames the file, which is atomic: whoever reads it sees all of it under one name or the other.
    fn rotate(&mut self, now: Timestamp) -> io::Result<()> {
        let mut place = 0;
        let aside = loop {
            let aside = aside_name(&self.path, now, place);
            if !aside.try_exists()? {
                break aside;
            }
            place += 1;
        };
        fs::rename(&self.path, aside)?;
        self.reopen(now)
    }

    fn prune(&self, now: Timestamp) -> io::Result<()> {
        for entry in fs::read_dir(directory_of(&self.path))? {
            let path = entry?.path();
            if set_aside_at(&self.path, &path).is_some_and(|at| now.since(at) > self.keep) {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }
}

/// Cuts the addresses of one file, and tells what stood in the way.
fn cut_file(path: &Path) {
    let mut to = path.as_os_str().to_owned();
    to.push(CUT);
    match rewrite(path, Path::new(&to), cut_addresses) {
        Ok(done) => {
            if let Some(line) = done.first_too_long {
                tracing::warn!(
                    lines = done.too_long,
                    first = line,
                    file = %path.display(),
                    "some lines of the access record are longer than any record: they stay as they are, whatever addresses they hold"
                );
            }
        }
        Err(error) => {
            tracing::error!(%error, file = %path.display(), "the addresses in a file of the access record cannot be cut");
        }
    }
}

/// The files of a record that lie on disk: those set aside, the oldest first, then `path` itself.
pub fn record_files(path: &Path) -> io::Result<Vec<PathBuf>> {
    let mut aside: Vec<(Timestamp, PathBuf)> = Vec::new();
    for entry in fs::read_dir(directory_of(path))? {
        let file = entry?.path();
        if file.to_string_lossy().ends_with(UNDER_WAY) {
            continue;
        }
        if let Some(at) = set_aside_at(path, &file) {
            aside.push((at, file));
        }
    }
    aside.sort();
    let mut files: Vec<PathBuf> = aside.into_iter().map(|(_, file)| file).collect();
    if path.try_exists()? {
        files.push(path.to_owned());
    }
    Ok(files)
}

pub(super) fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn open(path: &Path, now: Timestamp) -> io::Result<Open> {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true);
    #[cfg(unix)]
    {
        // Addresses of people: for the operator and her group.
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o640);
    }
    let mut file = options.open(path)?;
    let length = cut_torn_line(&file)?;
    file.seek(SeekFrom::Start(0))?;
    let since = first_time(&mut file).filter(|_| length > 0).unwrap_or(now);
    Ok(Open { file, length, since })
}

/// Cuts off what stands after the last newline: a process that was killed may have left half a line.
fn cut_torn_line(mut file: &File) -> io::Result<u64> {
    const TAIL: u64 = 64 << 10;
    let length = file.metadata()?.len();
    let from = length.saturating_sub(TAIL);
    file.seek(SeekFrom::Start(from))?;
    let mut tail = Vec::new();
    Read::by_ref(&mut file).take(TAIL).read_to_end(&mut tail)?;
    let whole = match tail.iter().rposition(|byte| *byte == b'\n') {
        Some(place) => from + place as u64 + 1,
        None if from == 0 => 0,
        // No line of ours is that long: not our file's end, so nothing of it is taken away.
        None => length,
    };
    if whole < length {
        file.set_len(whole)?;
    }
    Ok(whole)
}

/// The time of the file's first line: `{"time":1795342463123,`.
fn first_time(file: impl Read) -> Option<Timestamp> {
    let mut head = Vec::new();
    file.take(32).read_to_end(&mut head).ok()?;
    let text = std::str::from_utf8(&head).ok()?;
    let digits = text.strip_prefix("{\"time\":")?.split(',').next()?;
    digits.parse().ok().map(Timestamp::from_millis)
}

/// `access.jsonl.2026-11-22T10:14:23.123Z`, without the colons, which some file systems refuse, and with `-1` and so on
/// where that is taken.
fn aside_name(path: &Path, now: Timestamp, place: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}", now.to_string().replace(':', "")));
    if place > 0 {
        name.push(format!("-{place}"));
    }
    name.into()
}

/// When a file was set aside, where its name says that it is one of `path`'s.
fn set_aside_at(path: &Path, candidate: &Path) -> Option<Timestamp> {
    let name = candidate.file_name()?.to_str()?;
    let stamp = name.strip_prefix(path.file_name()?.to_str()?)?.strip_prefix('.')?;
    let stamp = stamp.get(..22)?;
    let (date, time) = stamp.split_once('T')?;
    let time = format!("{date}T{}:{}:{}", time.get(..2)?, time.get(2..4)?, time.get(4..)?);
    Timestamp::parse_rfc3339(&time)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Takes so many bytes and then fails, as a full disk does.
    struct Full {
        held: Vec<u8>,
        room: usize,
    }

    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = bytes.len().min(self.room - self.held.len());
            self.held.extend_from_slice(&bytes[..taken]);
            if taken == 0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(taken) }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Medium for Full {
        fn cut(&mut self, length: u64) -> io::Result<()> {
            self.held.truncate(length as usize);
            Ok(())
        }
    }

    #[test]
    fn a_full_disk_tears_no_line() {
        let mut disk = Full { held: Vec::new(), room: 10 };
        let mut length = 0;
        append_whole(&mut disk, &mut length, b"1234\n").unwrap();
        assert!(append_whole(&mut disk, &mut length, b"567890\n").is_err());
        assert_eq!(disk.held, b"1234\n");
        append_whole(&mut disk, &mut length, b"567\n").unwrap();
        assert_eq!((disk.held.as_slice(), length), (&b"1234\n567\n"[..], 9));
    }

    /// The addresses of all others are cut; the log tells what was not looked at, once for a file.
    #[test]
    fn a_line_longer_than_any_record_keeps_nobody_s_address_in_its_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("access.jsonl.2026-11-22T101423.123Z");
        let line = "{\"time\":1,\"client\":\"203.0.113.7\",\"key\":null}\n";
        fs::write(&path, format!("{line}{}\n{line}", "x".repeat(3 << 20))).unwrap();
        let log = Log::default();
        let writer = log.clone();
        let subscriber =
            tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false).finish();
        tracing::subscriber::with_default(subscriber, || cut_file(&path));
        let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        assert_eq!(log.lines().count(), 1, "{log}");
        for part in [" WARN ", "are longer than any record", "lines=1 first=2", "access.jsonl.2026"] {
            assert!(log.contains(part), "no `{part}` in {log}");
        }
        assert!(!path.exists());
        let mut cut = path.into_os_string();
        cut.push(CUT);
        let text = fs::read_to_string(cut).unwrap();
        assert_eq!(text.matches("\"203.0.113.0\",\"client_prefix\":24").count(), 2);
        assert_eq!((text.lines().count(), text.contains("203.0.113.7")), (3, false));
    }

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn names_say_when_a_file_was_set_aside() {
        let path = Path::new("data/access.jsonl");
        let now = Timestamp::parse_rfc3339("2026-11-22T10:14:23.123Z").unwrap();
        let name = aside_name(path, now, 0);
        assert_eq!(name, Path::new("data/access.jsonl.2026-11-22T101423.123Z"));
        assert_eq!(set_aside_at(path, &name), Some(now));
        assert_eq!(set_aside_at(path, &aside_name(path, now, 2)), Some(now));
        for other in ["data/access.jsonl", "data/access.jsonl.gz", "data/access.jsonl.2026-11-22", "data/x"] {
            assert_eq!(set_aside_at(path, Path::new(other)), None, "{other}");
        }
    }
}
