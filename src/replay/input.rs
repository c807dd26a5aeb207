//! Lines from several files, packed or not, merged by the time of their records.
//!
//! Rotated files follow each other, and replicas write beside each other: both come out right where the next line is always
//! taken from the file that is furthest behind.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use flate2::read::MultiGzDecoder;
use serde_json::Number;

use crate::base::time::Timestamp;

/// The longest line that is read, in bytes: five times what ours have at most.
pub const LINE_BYTES_MAX: usize = 64 << 10;

/// At most so many files at a time: each is open. A record whose addresses are cut after an hour is set aside every quarter of
/// one, and kept for a week: 672 of them.
pub const FILES_MAX: usize = 768;

/// Of a file so much is held at a time; more than two lines.
const BUFFER_BYTES: usize = 256 << 10;

/// Why input cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// A file cannot be opened.
    #[error("cannot open `{}`", path.display())]
    Open {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file cannot be read on, or unpacked.
    #[error("cannot read `{}` beyond line {}", path.display(), lines)]
    Read {
        /// Which.
        path: PathBuf,
        /// How many lines were read.
        lines: u64,
        /// Why not.
        source: io::Error,
    },
    /// More files than are read at a time.
    #[error("{0} inputs are more than {FILES_MAX}")]
    TooMany(usize),
    /// Records of a later version.
    #[error(
        "{place}: this record has format {format}, and this signgate reads formats up to {}: replay it with the version that wrote it, or a newer one",
        crate::telemetry::access_log::RECORD_FORMAT
    )]
    Newer {
        /// File and line.
        place: String,
        /// Its format.
        format: Number,
    },
    /// A broken line, where none is allowed.
    #[error("{place}: {why}")]
    Broken {
        /// File and line.
        place: String,
        /// What is wrong with it.
        why: String,
    },
}

/// How far reading has come, in bytes of the files as they lie on disk.
#[derive(Debug, Clone, Default)]
pub struct BytesRead(Rc<Cell<u64>>);

impl BytesRead {
    /// So many.
    pub fn count(&self) -> u64 {
        self.0.get()
    }
}

struct Counted<R> {
    inner: R,
    count: BytesRead,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.count.0.set(self.count.0.get() + length as u64);
        Ok(length)
    }
}

/// One file, line by line.
pub(super) struct Source {
    /// Its name, as it was given.
    pub(super) path: PathBuf,
    reader: Box<dyn Read>,
    /// What was read of it; lines are looked at where they lie.
    buffer: Vec<u8>,
    /// The part of the buffer that holds what has not been looked at.
    unread: Range<usize>,
    /// The line that was read last.
    line: Range<usize>,
    /// How many lines were read.
    lines: u64,
    /// The latest time read so far: what decides which file is read next.
    pub(super) reached: Timestamp,
    /// The time of the last line, where it alone leaps ahead; else the start of time.
    leap: Timestamp,
}

/// What reading a line came to.
#[derive(Debug)]
pub(super) enum Read1 {
    /// A line, without its end.
    Line,
    /// A line that is longer than any record: passed over.
    TooLong,
    /// There are no more.
    End,
}

impl Source {
    /// Opens a file; `-` is stdin. What is packed is told by its first bytes, not by its name. Also its size, where it has one.
    pub(super) fn open(path: &Path, count: &BytesRead) -> Result<(Self, Option<u64>), InputError> {
        let failed = |source| InputError::Open { path: path.to_owned(), source };
        let (raw, size) = raw(path).map_err(failed)?;
        Ok((Self::of(path, raw, count)?, size))
    }

    /// What a reader gives, packed or not, under a name.
    pub(super) fn of(path: &Path, raw: impl Read + 'static, count: &BytesRead) -> Result<Self, InputError> {
        let reader = unpacked(Counted { inner: raw, count: count.clone() })
            .map_err(|source| InputError::Open { path: path.to_owned(), source })?;
        Ok(Self {
            path: path.to_owned(),
            reader,
            buffer: vec![0; BUFFER_BYTES],
            unread: 0..0,
            line: 0..0,
            lines: 0,
            reached: Timestamp::EPOCH,
            leap: Timestamp::EPOCH,
        })
    }

    /// Follows the time of the next line. One that leaps ahead by more than the window is followed once the line after it is
    /// about as late, or later: a single line of a wrong clock would have all that come after it taken for late ones.
    #[inline]
    pub(super) fn follow(&mut self, time: Timestamp, window: Duration) {
        if time.since(self.reached) <= window {
            self.reached = self.reached.max(time);
            self.leap = Timestamp::EPOCH;
        } else {
            self.follow_leap(time, window);
        }
    }

    #[cold]
    fn follow_leap(&mut self, time: Timestamp, window: Duration) {
        let leap = std::mem::replace(&mut self.leap, time);
        if leap > Timestamp::EPOCH && leap.since(time) <= window {
            self.reached = leap;
            // It leaps from there, or does not.
            if time.since(leap) <= window {
                (self.reached, self.leap) = (leap.max(time), Timestamp::EPOCH);
            }
        }
    }

    /// Reads the next line.
    pub(super) fn read(&mut self) -> Result<Read1, InputError> {
        let read = self.next_line().map_err(|source| InputError::Read {
            path: self.path.clone(),
            lines: self.lines,
            source,
        })?;
        self.lines += u64::from(!matches!(read, Read1::End));
        Ok(read)
    }

    fn next_line(&mut self) -> io::Result<Read1> {
        self.line = 0..0;
        let mut searched = 0;
        // Of a line that is too long, all but its end is let go of.
        let mut too_long = false;
        loop {
            let unread = &self.buffer[self.unread.clone()];
            let end = memchr::memchr(b'\n', &unread[searched..]).map(|found| searched + found);
            let length = end.unwrap_or(unread.len());
            too_long |= length > LINE_BYTES_MAX;
            let from = self.unread.start;
            if let Some(end) = end {
                self.unread.start += end + 1;
                return Ok(self.found(from..from + end, too_long));
            }
            if too_long {
                self.unread.start = self.unread.end;
            }
            searched = self.unread.len();
            if !self.fill()? {
                let rest = self.unread.clone();
                self.unread.start = rest.end;
                // The last line of a file may have no end.
                return Ok(if rest.is_empty() && !too_long {
                    Read1::End
                } else {
                    self.found(rest, too_long)
                });
            }
        }
    }

    fn found(&mut self, line: Range<usize>, too_long: bool) -> Read1 {
        if too_long {
            self.line = 0..0;
            return Read1::TooLong;
        }
        self.line = line;
        Read1::Line
    }

    /// Reads on, into the free part of the buffer, which is at least half of it: a line is much shorter. `false`: there
    /// is no more.
    fn fill(&mut self) -> io::Result<bool> {
        if self.unread.end > BUFFER_BYTES / 2 {
            self.buffer.copy_within(self.unread.clone(), 0);
            self.unread = 0..self.unread.len();
        }
        loop {
            match self.reader.read(&mut self.buffer[self.unread.end..]) {
                Ok(length) => {
                    self.unread.end += length;
                    return Ok(length > 0);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads the next line, and of those that lie behind it so many that there are `most`, as far as they are at hand: what
    /// became of each, and the line, where it is one, as a part of [`at_hand`](Self::at_hand).
    pub(super) fn read_some(
        &mut self,
        most: usize,
        into: &mut Vec<(Read1, Range<usize>)>,
    ) -> Result<(), InputError> {
        into.clear();
        let first = self.read()?;
        into.push((first, self.line.clone()));
        // Whatever is read on would move what is at hand.
        while into.len() < most
            && let Some(length) = memchr::memchr(b'\n', &self.buffer[self.unread.clone()])
        {
            let from = self.unread.start;
            self.unread.start += length + 1;
            self.lines += 1;
            let read = self.found(from..from + length, length > LINE_BYTES_MAX);
            into.push((read, self.line.clone()));
        }
        Ok(())
    }

    /// What has been read of the file, as far as it is kept.
    pub(super) fn at_hand(&self) -> &[u8] {
        &self.buffer
    }

    /// The number of the line that was read last, from 0.
    pub(super) fn number(&self) -> u64 {
        self.lines.saturating_sub(1)
    }
}

/// What a file holds, plain or packed, for those who read it in another way than line by line.
pub fn open(path: &Path) -> Result<Box<dyn Read>, InputError> {
    let opened = raw(path).and_then(|(raw, _)| unpacked(raw));
    opened.map_err(|source| InputError::Open { path: path.to_owned(), source })
}

/// What lies on disk; also its size, where it has one.
fn raw(path: &Path) -> io::Result<(Box<dyn Read>, Option<u64>)> {
    if path == Path::new("-") {
        return Ok((Box::new(io::stdin()), None));
    }
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    Ok((Box::new(file), metadata.is_file().then_some(metadata.len())))
}

fn unpacked(mut reader: impl Read + 'static) -> io::Result<Box<dyn Read>> {
    const GZIP: &[u8] = &[0x1f, 0x8b];
    const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
    let mut start = Vec::with_capacity(ZSTD.len());
    (&mut reader).take(ZSTD.len() as u64).read_to_end(&mut start)?;
    let packing = [GZIP, ZSTD].into_iter().find(|magic| start.starts_with(magic));
    let whole = io::Cursor::new(start).chain(reader);
    Ok(match packing {
        None => Box::new(whole),
        Some(GZIP) => Box::new(MultiGzDecoder::new(BufReader::with_capacity(BUFFER_BYTES, whole))),
        Some(_) => {
            let buffered = BufReader::with_capacity(BUFFER_BYTES, whole);
            Box::new(zstd::stream::read::Decoder::with_buffer(buffered)?)
        }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Gives a few bytes at a time.
    struct Trickle(io::Cursor<Vec<u8>>, usize);

    impl Read for Trickle {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let length = buffer.len().min(self.1);
            self.0.read(&mut buffer[..length])
        }
    }

    fn source(bytes: &[u8], at_a_time: usize) -> Source {
        let reader = Trickle(io::Cursor::new(bytes.to_vec()), at_a_time);
        Source::of(Path::new("x"), reader, &BytesRead::default()).unwrap()
    }

    fn lines(bytes: &[u8], at_a_time: usize) -> Vec<Option<Vec<u8>>> {
        let mut one_by_one = source(bytes, at_a_time);
        let mut lines = Vec::new();
        loop {
            match one_by_one.read().unwrap() {
                Read1::Line => lines.push(Some(one_by_one.buffer[one_by_one.line.clone()].to_vec())),
                Read1::TooLong => {
                    assert!(one_by_one.line.is_empty());
                    lines.push(None);
                }
                Read1::End => break,
            }
        }
        let (mut some, mut found, mut together) = (source(bytes, at_a_time), Vec::new(), Vec::new());
        loop {
            some.read_some(3, &mut found).unwrap();
            assert!((1..=3).contains(&found.len()));
            for (read, part) in &found {
                match read {
                    Read1::Line => together.push(Some(some.at_hand()[part.clone()].to_vec())),
                    Read1::TooLong => together.push(None),
                    Read1::End => {
                        assert!(together == lines && some.number() + 1 == lines.len().max(1) as u64);
                        return lines;
                    }
                }
            }
        }
    }

    #[test]
    fn lines_of_any_length_whatever_is_read_at_a_time() {
        let line = |length: usize| vec![b'x'; length];
        let mut bytes = Vec::new();
        let lengths = [
            0,
            5,
            LINE_BYTES_MAX,
            LINE_BYTES_MAX + 1,
            1,
            3 * BUFFER_BYTES + 17,
            0,
            LINE_BYTES_MAX,
            2 * BUFFER_BYTES,
            7,
        ];
        for length in lengths {
            bytes.extend(line(length));
            bytes.push(b'\n');
        }
        let expected: Vec<_> =
            lengths.iter().map(|length| (*length <= LINE_BYTES_MAX).then(|| line(*length))).collect();
        for at_a_time in [1, 1000, LINE_BYTES_MAX, usize::MAX] {
            assert!(lines(&bytes, at_a_time) == expected, "{at_a_time} bytes at a time");
        }
        assert!(lines(&line(LINE_BYTES_MAX + 1), 4096) == [None], "the last one needs no end");
        assert!(lines(b"", 1).is_empty());
    }

    const WINDOW: Duration = Duration::from_secs(120);

    /// How far each line lets a source have come, in seconds.
    fn reached(seconds: &[u64]) -> Vec<u64> {
        let mut source = source(b"", 1);
        let mut follow = |second: &u64| {
            source.follow(Timestamp::from_secs(*second), WINDOW);
            source.reached.as_millis() / 1000
        };
        seconds.iter().map(&mut follow).collect()
    }

    #[test]
    fn one_line_that_leaps_ahead_is_not_followed_until_the_next_confirms_it() {
        const DAY: u64 = 86_400;
        assert_eq!(reached(&[DAY, DAY + 1, DAY + 2]), [0, DAY + 1, DAY + 2], "a first line leaps, too");
        // A wrong clock: before the others, among them, twice but not in a row.
        let far = 100 * DAY;
        assert_eq!(reached(&[far, DAY, DAY + 1, DAY + 2]), [0, 0, DAY + 1, DAY + 2]);
        assert_eq!(reached(&[10, 11, far, 12, far, 13]), [10, 11, 11, 12, 12, 13]);
        // An ordinary gap, also where the lines behind it are not in order.
        assert_eq!(reached(&[10, DAY, DAY + 50, DAY + 60]), [10, 10, DAY + 50, DAY + 60]);
        assert_eq!(reached(&[10, DAY, DAY - 50, DAY + 60]), [10, 10, DAY, DAY + 60]);
        assert_eq!(reached(&[10, far, DAY, DAY + 1]), [10, 10, 10, DAY + 1], "a gap behind a wrong clock");
        // Less than a line in two minutes.
        assert_eq!(reached(&[500, 1_000, 1_500, 2_000, 2_001]), [0, 500, 1_000, 1_500, 2_001]);
    }

    proptest! {
        /// Whoever is in order but for single lines of wrong clocks is followed up to the line before at least.
        #[test]
        fn wrong_clocks_lead_nobody_astray(
            steps in proptest::collection::vec((1u64..1_000, any::<bool>()), 1..60),
        ) {
            let (mut source, mut now, mut before) = (source(b"", 1), 1_000_000, 0);
            for (step, wrong) in steps {
                if wrong {
                    source.follow(Timestamp::from_secs(now + 1_000_000_000), WINDOW);
                    // What stands between two wrong ones confirms neither.
                    prop_assert!(source.reached <= Timestamp::from_secs(now));
                }
                now += step;
                source.follow(Timestamp::from_secs(now), WINDOW);
                prop_assert!(source.reached <= Timestamp::from_secs(now));
                if wrong {
                    before = 0;
                } else {
                    prop_assert!(source.reached >= Timestamp::from_secs(before));
                    before = now;
                }
            }
        }

        #[test]
        fn packed_or_not_the_lines_are_the_same(
            text in proptest::collection::vec("[a-z]{0,9}", 0..40), end in any::<bool>(), at_a_time in 1usize..50,
        ) {
            let mut bytes = text.join("\n").into_bytes();
            if end {
                bytes.push(b'\n');
            }
            let expected: Vec<_> = bytes.split_inclusive(|byte| *byte == b'\n')
                .map(|line| Some(line.strip_suffix(b"\n").unwrap_or(line).to_vec()))
                .collect();
            prop_assert_eq!(&lines(&bytes, at_a_time), &expected);
            let zstd = zstd::encode_all(&bytes[..], 1).unwrap();
            prop_assert_eq!(&lines(&zstd, at_a_time), &expected);
            let mut gzip = flate2::read::GzEncoder::new(&bytes[..], flate2::Compression::fast());
            let mut packed = Vec::new();
            gzip.read_to_end(&mut packed).unwrap();
            prop_assert_eq!(&lines(&packed, at_a_time), &expected);
        }
    }
}
