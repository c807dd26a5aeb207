//! Rewriting a file of the record that is not written to any more: lines left out, or addresses cut.
//!
//! The new file is written beside the old one and takes its place in one step, so that whoever reads sees one or the other.
//! Its name while it is written is a lock: two that rewrite one file would each bring back what the other took out.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::net::IpAddr;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;

use super::write_address;
use crate::base::net::Prefix;
use crate::engine::order::Order;

/// What the name of a file ends with while it is written.
pub(super) const UNDER_WAY: &str = ".rewriting";

/// A file of that name that nobody has written to for so long was left by a process that was killed.
const LEFT_BEHIND_AFTER: Duration = Duration::from_secs(3_600);

/// No line of a record is longer by far: what is, is no record. It is passed through as it is: else it would keep everybody in
/// its file for ever.
const LINE_BYTES_MAX: u64 = 1 << 20;

/// What becomes of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edit {
    /// It stays as it is.
    Keep,
    /// It goes.
    Remove,
    /// What was written in its place takes it.
    Replace,
}

/// What a rewrite came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rewritten {
    /// Lines that stayed.
    pub kept: u64,
    /// Lines that went.
    pub removed: u64,
    /// Lines that were changed.
    pub changed: u64,
    /// Of those that stayed, lines that are longer than any record, and that nobody was asked about.
    pub too_long: u64,
    /// The first of them, counted from 1.
    pub first_too_long: Option<u64>,
}

/// Goes through the lines of a file, plain or packed, and puts what `edit` leaves of it in `to`, packed the same way; the file
/// itself is gone then. Where nothing changes and `to` is the file itself, it is not touched. `edit` gets a line without its
/// end, and writes what takes its place.
pub fn rewrite(
    path: &Path,
    to: &Path,
    edit: impl FnMut(&[u8], &mut Vec<u8>) -> Edit,
) -> io::Result<Rewritten> {
    let source = File::open(path)?;
    let before = source.metadata()?;
    let (reader, packing) = unpack(source)?;
    let aside = Aside::create(path, &before)?;
    let mut writer = Packer::new(packing, aside.file.try_clone()?)?;
    let done = edit_lines(reader, edit, |bytes| writer.write(bytes))?;
    writer.finish()?;
    if path == to && done.removed + done.changed == 0 {
        return Ok(done);
    }
    aside.file.sync_all()?;
    let now = fs::metadata(path)?;
    if (now.ino(), now.len(), now.mtime()) != (before.ino(), before.len(), before.mtime()) {
        return Err(io::Error::new(io::ErrorKind::ResourceBusy, "it changed while it was rewritten"));
    }
    fs::rename(&aside.path, to)?;
    if path != to {
        fs::remove_file(path)?;
    }
    sync_directory(to)?;
    Ok(done)
}

/// What [`rewrite`] would come to; nothing is written.
pub fn rehearse(path: &Path, edit: impl FnMut(&[u8], &mut Vec<u8>) -> Edit) -> io::Result<Rewritten> {
    let (reader, _) = unpack(File::open(path)?)?;
    edit_lines(reader, edit, |_| Ok(()))
}

fn edit_lines(
    mut reader: impl BufRead,
    mut edit: impl FnMut(&[u8], &mut Vec<u8>) -> Edit,
    mut write: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<Rewritten> {
    let mut done = Rewritten::default();
    let (mut line, mut new) = (Vec::new(), Vec::new());
    let mut number = 0;
    loop {
        line.clear();
        if (&mut reader).take(LINE_BYTES_MAX + 1).read_until(b'\n', &mut line)? == 0 {
            return Ok(done);
        }
        number += 1;
        if line.len() as u64 > LINE_BYTES_MAX {
            done.kept += 1;
            done.too_long += 1;
            done.first_too_long.get_or_insert(number);
            write(&line)?;
            // A part at a time: it may be as long as the file.
            while !line.ends_with(b"\n") {
                line.clear();
                if (&mut reader).take(LINE_BYTES_MAX).read_until(b'\n', &mut line)? == 0 {
                    break;
                }
                write(&line)?;
            }
            continue;
        }
        new.clear();
        match edit(line.strip_suffix(b"\n").unwrap_or(&line), &mut new) {
            Edit::Keep => {
                done.kept += 1;
                write(&line)?;
            }
            Edit::Remove => done.removed += 1,
            Edit::Replace => {
                done.changed += 1;
                new.push(b'\n');
                write(&new)?;
            }
        }
    }
}

/// The name's change itself survives a loss of power.
fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(super::rotation::directory_of(path))?.sync_all()
}

/// The file that is being written; removed where it did not take its place.
struct Aside {
    path: PathBuf,
    file: File,
}

impl Aside {
    fn create(path: &Path, like: &fs::Metadata) -> io::Result<Self> {
        let mut name = path.as_os_str().to_owned();
        name.push(UNDER_WAY);
        let aside = PathBuf::from(name);
        let left_behind = fs::metadata(&aside)
            .and_then(|found| found.modified())
            .is_ok_and(|modified| modified.elapsed().is_ok_and(|age| age > LEFT_BEHIND_AFTER));
        if left_behind {
            fs::remove_file(&aside)?;
        }
        let mode = like.mode() & 0o777;
        let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&aside)?;
        // Of the gateway's user also where root rewrites: it has to read and remove it. Others cannot give files away, and
        // need not.
        let _ = std::os::unix::fs::chown(&aside, Some(like.uid()), Some(like.gid()));
        Ok(Self { path: aside, file })
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        // Gone already where it took its place.
        let _ = fs::remove_file(&self.path);
    }
}

#[derive(Clone, Copy)]
pub(super) enum Packing {
    Plain,
    Gzip,
    Zstd,
}

pub(super) fn unpack(file: File) -> io::Result<(Box<dyn BufRead>, Packing)> {
    let mut reader = BufReader::with_capacity(256 << 10, file);
    let start = reader.fill_buf()?;
    if start.starts_with(&[0x1f, 0x8b]) {
        return Ok((Box::new(BufReader::new(MultiGzDecoder::new(reader))), Packing::Gzip));
    }
    if start.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        let decoder = zstd::stream::read::Decoder::with_buffer(reader)?;
        return Ok((Box::new(BufReader::new(decoder)), Packing::Zstd));
    }
    Ok((Box::new(reader), Packing::Plain))
}

enum Packer {
    Plain(BufWriter<File>),
    Gzip(BufWriter<GzEncoder<File>>),
    Zstd(BufWriter<zstd::stream::write::Encoder<'static, File>>),
}

impl Packer {
    fn new(packing: Packing, file: File) -> io::Result<Self> {
        Ok(match packing {
            Packing::Plain => Self::Plain(BufWriter::with_capacity(256 << 10, file)),
            Packing::Gzip => Self::Gzip(BufWriter::new(GzEncoder::new(file, Compression::default()))),
            Packing::Zstd => Self::Zstd(BufWriter::new(zstd::stream::write::Encoder::new(file, 3)?)),
        })
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(writer) => writer.write_all(bytes),
            Self::Gzip(writer) => writer.write_all(bytes),
            Self::Zstd(writer) => writer.write_all(bytes),
        }
    }

    fn finish(self) -> io::Result<()> {
        match self {
            Self::Plain(mut writer) => writer.flush(),
            Self::Gzip(writer) => {
                writer.into_inner().map_err(io::IntoInnerError::into_error)?.finish().map(drop)
            }
            Self::Zstd(writer) => {
                writer.into_inner().map_err(io::IntoInnerError::into_error)?.finish().map(drop)
            }
        }
    }
}

/// Cuts the addresses of one line: the client's to its subnet (/24, /48), which is said beside it, and those that an
/// operator's order is about to the first of theirs.
pub(super) fn cut_addresses(line: &[u8], out: &mut Vec<u8>) -> Edit {
    // Everything that stands before these fields in a line of ours is our own: no text of a stranger's can look like them.
    if let Some((from, address)) = text_behind(line, b",\"client\":\"") {
        return cut_client(line, from, address, out);
    }
    let event = text_behind(line, b",\"event\":\"").map(|(_, word)| word);
    match (event, text_behind(line, b",\"order\":\"")) {
        (Some(event), Some((from, order))) => cut_order(line, event, from, order, out),
        _ => Edit::Keep,
    }
}

/// Where the text of a field begins, which `field` ends before, and the text as it stands.
fn text_behind<'l>(line: &'l [u8], field: &[u8]) -> Option<(usize, &'l [u8])> {
    let from = line.windows(field.len()).position(|window| window == field)? + field.len();
    let mut escaped = false;
    let length = line[from..].iter().position(|byte| {
        let ends = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        ends
    })?;
    Some((from, &line[from..from + length]))
}

fn cut_client(line: &[u8], from: usize, address: &[u8], out: &mut Vec<u8>) -> Edit {
    let rest = &line[from + address.len() + 1..];
    let address: Option<IpAddr> = std::str::from_utf8(address).ok().and_then(|text| text.parse().ok());
    let Some(address) = address.filter(|_| !rest.starts_with(b",\"client_prefix\"")) else {
        return Edit::Keep;
    };
    let subnet = Prefix::subnet(address);
    out.extend_from_slice(&line[..from - 1]);
    write_address(out, subnet.first());
    out.extend_from_slice(b",\"client_prefix\":");
    super::json::integer(out, subnet.length().into());
    out.extend_from_slice(rest);
    Edit::Replace
}

fn cut_order(line: &[u8], event: &[u8], from: usize, text: &[u8], out: &mut Vec<u8>) -> Edit {
    let event = std::str::from_utf8(event).unwrap_or_default();
    let quoted = &line[from - 1..=from + text.len()];
    let order = serde_json::from_slice::<String>(quoted).ok().and_then(|text| Order::parse(event, &text));
    let cut = order.and_then(|order| Some(order.cut()).filter(|cut| *cut != order));
    let Some(cut) = cut else { return Edit::Keep };
    out.extend_from_slice(&line[..from - 1]);
    super::json::string(out, &cut.to_string());
    out.extend_from_slice(&line[from + text.len() + 1..]);
    Edit::Replace
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(line: &str) -> String {
        let mut out = Vec::new();
        match cut_addresses(line.as_bytes(), &mut out) {
            Edit::Replace => String::from_utf8(out).unwrap(),
            Edit::Keep | Edit::Remove => line.to_owned(),
        }
    }

    #[test]
    fn addresses_are_cut_once_and_nothing_else() {
        for (line, expected) in [
            (
                r#"{"time":1,"client":"203.0.113.77","key":null,"user_agent":",\"client\":\"1.2.3.4\""}"#,
                r#"{"time":1,"client":"203.0.113.0","client_prefix":24,"key":null,"user_agent":",\"client\":\"1.2.3.4\""}"#,
            ),
            (
                r#"{"time":1,"client":"2001:db8:1:2:3::4","key":null}"#,
                r#"{"time":1,"client":"2001:db8:1::","client_prefix":48,"key":null}"#,
            ),
            (r#"{"time":1,"event":"reload"}"#, r#"{"time":1,"event":"reload"}"#),
            (
                r#"{"time":1,"event":"ban","order":"prefix 203.0.113.77 1800000000000 they said \"203.0.113.77\"","detail":"x"}"#,
                r#"{"time":1,"event":"ban","order":"prefix 203.0.113.0 1800000000000 they said \"203.0.113.77\"","detail":"x"}"#,
            ),
            (
                r#"{"time":1,"event":"lift","order":"enforced address 2001:db8:1:2::/64","detail":"x"}"#,
                r#"{"time":1,"event":"lift","order":"enforced address 2001:db8:1::/64","detail":"x"}"#,
            ),
            (
                r#"{"time":1,"event":"pardon","order":"@streamer 1h","detail":",\"order\":\"x"}"#,
                r#"{"time":1,"event":"pardon","order":"@streamer 1h","detail":",\"order\":\"x"}"#,
            ),
        ] {
            assert_eq!(cut(line), expected);
            assert_eq!(cut(expected), expected, "a second time changes nothing");
        }
    }

    #[test]
    fn what_is_left_takes_the_place_of_the_file_packed_as_it_was() {
        let directory = tempfile::tempdir().unwrap();
        let lines = b"one\ntwo\nthree\n";
        let gzip = {
            let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
            packer.write_all(lines).unwrap();
            packer.finish().unwrap()
        };
        let zstd = zstd::encode_all(&lines[..], 1).unwrap();
        for bytes in [lines.to_vec(), gzip, zstd] {
            let path = directory.path().join("file");
            fs::write(&path, &bytes).unwrap();
            let start = bytes[..2].to_vec();
            let done = rewrite(&path, &path, |line, out| match line {
                b"two" => Edit::Remove,
                b"three" => {
                    out.extend_from_slice(b"3");
                    Edit::Replace
                }
                _ => Edit::Keep,
            })
            .unwrap();
            assert_eq!(done, Rewritten { kept: 1, removed: 1, changed: 1, ..Rewritten::default() });
            let mut text = String::new();
            unpack(File::open(&path).unwrap()).unwrap().0.read_to_string(&mut text).unwrap();
            assert_eq!(text, "one\n3\n");
            assert_eq!(fs::read(&path).unwrap()[..2], start[..], "packed as it was");
            assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing is left beside it");
        }
    }

    /// Also the last one, without an end; in between others are taken out as ever.
    #[test]
    fn a_line_longer_than_any_record_is_passed_through_and_told() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let long = |bytes: u64| vec![b'x'; bytes as usize];
        // With their ends: of just the size that is held, one byte more, and some times as much.
        let longs = [long(LINE_BYTES_MAX), long(2 * LINE_BYTES_MAX), long(5 * LINE_BYTES_MAX / 2)];
        let longest_held = long(LINE_BYTES_MAX - 1);
        let whole =
            [&b"one"[..], &longs[0], b"two", &longest_held, &longs[1], b"one", &longs[2]].join(&b'\n');
        let left = [&longs[0][..], b"two", &longest_held, &longs[1], &longs[2]].join(&b'\n');
        let take_one = |line: &[u8], _: &mut Vec<u8>| {
            assert!(line.len() < LINE_BYTES_MAX as usize);
            if line == b"one" { Edit::Remove } else { Edit::Keep }
        };
        for bytes in [whole.clone(), zstd::encode_all(&whole[..], 1).unwrap()] {
            fs::write(&path, &bytes).unwrap();
            let rehearsed = rehearse(&path, take_one).unwrap();
            assert_eq!(fs::read(&path).unwrap(), bytes);
            let done = rewrite(&path, &path, take_one).unwrap();
            let expected =
                Rewritten { kept: 5, removed: 2, changed: 0, too_long: 3, first_too_long: Some(2) };
            assert_eq!((rehearsed, done), (expected, expected));
            let mut text = Vec::new();
            unpack(File::open(&path).unwrap()).unwrap().0.read_to_end(&mut text).unwrap();
            assert!(text == left, "{} bytes instead of {}", text.len(), left.len());
        }
    }

    #[test]
    fn a_line_that_never_ends_is_not_held() {
        let endless = BufReader::new(io::repeat(b'x').take(64 << 20));
        let (mut written, mut most) = (0, 0);
        let done = edit_lines(
            endless,
            |_, _| Edit::Remove,
            |part| {
                written += part.len();
                most = most.max(part.len());
                Ok(())
            },
        );
        assert_eq!((done.unwrap().too_long, written), (1, 64 << 20));
        assert!(most as u64 <= LINE_BYTES_MAX + 1, "{most}");
    }

    #[test]
    fn two_do_not_rewrite_one_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, "one\n").unwrap();
        let mut second = None;
        let first = rewrite(&path, &path, |_, _| {
            second = Some(rewrite(&path, &path, |_, _| Edit::Remove));
            Edit::Remove
        });
        assert_eq!(first.unwrap().removed, 1);
        assert_eq!(second.unwrap().unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        fs::write(&path, "one\n").unwrap();
        let changed = rewrite(&path, &path, |_, _| {
            fs::write(&path, "one\ntwo\n").unwrap();
            Edit::Remove
        });
        assert_eq!(changed.unwrap_err().kind(), io::ErrorKind::ResourceBusy);
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntwo\n");
    }
}
