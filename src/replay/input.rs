//! Lines from several files, packed or not, merged by the time of their records.
//!
//! Rotated files follow each other, and replicas write beside each other: both come out right where the next line is always
//! taken from the file that is furthest behind.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use flate2::read::MultiGzDecoder;

use crate::base::time::Timestamp;

/// The longest line that is read, in bytes: five times what ours have at most.
pub const LINE_BYTES_MAX: usize = 64 << 10;

/// At most so many files at a time: each is open.
pub const FILES_MAX: usize = 256;

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
        format: u64,
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
    reader: Box<dyn BufRead>,
    line: Vec<u8>,
    /// How many lines were read.
    lines: u64,
    /// The latest time read so far: what decides which file is read next.
    pub(super) reached: Timestamp,
}

/// What reading a line came to.
pub(super) enum Read1 {
    /// A line, without its end; look it up with [`Source::line`].
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
        let (raw, size): (Box<dyn Read>, _) = if path == Path::new("-") {
            (Box::new(io::stdin()), None)
        } else {
            let file = File::open(path).map_err(failed)?;
            let metadata = file.metadata().map_err(failed)?;
            if metadata.is_dir() {
                return Err(failed(io::ErrorKind::IsADirectory.into()));
            }
            (Box::new(file), metadata.is_file().then_some(metadata.len()))
        };
        let counted = Counted { inner: raw, count: count.clone() };
        let reader = unpacked(BufReader::with_capacity(BUFFER_BYTES, counted)).map_err(failed)?;
        let source =
            Self { path: path.to_owned(), reader, line: Vec::new(), lines: 0, reached: Timestamp::EPOCH };
        Ok((source, size))
    }

    /// Reads the next line.
    pub(super) fn read(&mut self) -> Result<Read1, InputError> {
        self.line.clear();
        let read = Self::read_bounded(&mut self.reader, &mut self.line);
        let read =
            read.map_err(|source| InputError::Read { path: self.path.clone(), lines: self.lines, source })?;
        if !matches!(read, Read1::End) {
            self.lines += 1;
        }
        Ok(read)
    }

    fn read_bounded(reader: &mut dyn BufRead, line: &mut Vec<u8>) -> io::Result<Read1> {
        let mut limited = reader.take(LINE_BYTES_MAX as u64 + 1);
        if limited.read_until(b'\n', line)? == 0 {
            return Ok(Read1::End);
        }
        if line.last() == Some(&b'\n') {
            line.pop();
            return Ok(Read1::Line);
        }
        if line.len() <= LINE_BYTES_MAX {
            // The last line of a file may have no end.
            return Ok(Read1::Line);
        }
        line.clear();
        reader.skip_until(b'\n')?;
        Ok(Read1::TooLong)
    }

    /// The line that was read last.
    pub(super) fn line(&self) -> &[u8] {
        &self.line
    }

    /// The number of the line that was read last, from 0.
    pub(super) fn number(&self) -> u64 {
        self.lines.saturating_sub(1)
    }
}

/// Visits each line of a file, plain or packed; one that is longer than any record as an empty one.
pub fn each_line(path: &Path, mut visit: impl FnMut(&[u8])) -> Result<(), InputError> {
    let (mut source, _) = Source::open(path, &BytesRead::default())?;
    loop {
        match source.read()? {
            Read1::End => return Ok(()),
            Read1::Line | Read1::TooLong => visit(source.line()),
        }
    }
}

fn unpacked(mut reader: impl BufRead + 'static) -> io::Result<Box<dyn BufRead>> {
    const GZIP: &[u8] = &[0x1f, 0x8b];
    const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
    let start = reader.fill_buf()?;
    if start.starts_with(GZIP) {
        return Ok(Box::new(BufReader::with_capacity(BUFFER_BYTES, MultiGzDecoder::new(reader))));
    }
    if start.starts_with(ZSTD) {
        let decoder = zstd::stream::read::Decoder::with_buffer(reader)?;
        return Ok(Box::new(BufReader::with_capacity(BUFFER_BYTES, decoder)));
    }
    Ok(Box::new(reader))
}
