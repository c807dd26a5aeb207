//! A feed: one address or prefix a line, comments after `#` or `;`, as the public lists of proxies come (`*.netset`, `drop.txt`).
//!
//! One whose name ends with `.gz` is unpacked (RFC 1952), up to the size that a plain one may have.
//!
//! Strict, because a feed is written by somebody else: a line that is not understood refuses the feed and leaves the
//! policy in force as it is, and no feed may list everybody.

use std::borrow::Cow;
use std::io::Read;
use std::ops::Range;
use std::sync::Arc;

use ipnet::IpNet;

use super::diagnostic::{Diagnostic, Span, line_span, quoted};
use super::file::prefix;
use super::reader::Report;
use super::sources::FEED_BYTES_MAX;

/// A feed may list at most so many prefixes.
pub const PREFIXES_MAX: usize = 2_000_000;

/// The bytes of a feed or a table, unpacked where its name says that it is packed: at most [`FEED_BYTES_MAX`].
///
/// # Errors
///
/// Too long, packed or unpacked; no gzip, or not all of it.
pub fn unpacked<'b>(name: &str, bytes: &'b [u8]) -> Result<Cow<'b, [u8]>, Diagnostic> {
    if bytes.len() > FEED_BYTES_MAX {
        // Whoever read it stopped soon after the limit, so that its true size is not known.
        return Err(Diagnostic::error(format!("the file has more than {FEED_BYTES_MAX} bytes")));
    }
    if name.strip_suffix(".gz").is_none() {
        return Ok(Cow::Borrowed(bytes));
    }
    let mut unpacked = Vec::new();
    // Several members are one text, as `cat a.gz b.gz` makes them.
    let limited =
        flate2::read::MultiGzDecoder::new(bytes).take(FEED_BYTES_MAX as u64 + 1).read_to_end(&mut unpacked);
    match limited {
        Err(error) => Err(Diagnostic::error("the file is not gzip, or not all of it is there")
            .help(format!("{error}; a file that is not packed has a name without `.gz`"))),
        Ok(_) if unpacked.len() > FEED_BYTES_MAX => Err(Diagnostic::error(format!(
            "the file has more than {FEED_BYTES_MAX} bytes when it is unpacked"
        ))),
        Ok(_) => Ok(Cow::Owned(unpacked)),
    }
}

/// Reads all prefixes of a feed; bad lines are in the report then.
pub fn read(file: &Arc<str>, bytes: &[u8], report: &Report<'_>) -> Vec<IpNet> {
    let mut prefixes = Vec::new();
    let mut bad = BadLines::new(report, file);
    for (number, line) in (1u32..).zip(bytes.split(|byte| *byte == b'\n')) {
        let entry = line.split(|byte| matches!(byte, b'#' | b';')).next().unwrap_or_default().trim_ascii();
        if entry.is_empty() {
            continue;
        }
        let mut wrong = |make: &dyn Fn() -> Diagnostic| {
            let start = line.len() - line.trim_ascii_start().len();
            bad.add(number, line, start..start + entry.len(), make);
        };
        let Ok(text) = std::str::from_utf8(entry) else {
            wrong(&|| Diagnostic::error("the line is not text").label("expected an address or a prefix"));
            continue;
        };
        match prefix(text) {
            Ok(everybody) if everybody.prefix_len() == 0 => wrong(&|| {
                Diagnostic::error(format!("{} lists every address", quoted(text)))
                    .label("no feed may list everybody")
                    .help("if it is meant, write it in `prefixes`")
            }),
            Ok(prefix) => prefixes.push(prefix),
            Err(error) => wrong(&|| error.diagnostic(text)),
        }
        if prefixes.len() > PREFIXES_MAX {
            report.push(
                Diagnostic::error(format!("the feed lists more than {PREFIXES_MAX} prefixes")).in_file(file),
            );
            break;
        }
    }
    bad.done();
    prefixes
}

/// Bad lines of one file: a handful is told, and the others are counted, for most have one cause.
pub(super) struct BadLines<'r, 's> {
    report: &'r Report<'s>,
    file: &'r Arc<str>,
    count: u32,
    first_untold: Option<Box<Span>>,
}

impl<'r, 's> BadLines<'r, 's> {
    const TOLD_MAX: u32 = 8;

    pub(super) fn new(report: &'r Report<'s>, file: &'r Arc<str>) -> Self {
        Self { report, file, count: 0, first_untold: None }
    }

    /// Complains of some bytes of a line, which is given without its newline.
    pub(super) fn add(
        &mut self,
        number: u32,
        line: &[u8],
        bytes: Range<usize>,
        make: impl FnOnce() -> Diagnostic,
    ) {
        self.count += 1;
        let span = || {
            let line = String::from_utf8_lossy(line);
            Some(Box::new(line_span(number, line.trim_end_matches('\r'), bytes)))
        };
        if self.count <= Self::TOLD_MAX {
            self.report.error_placed(|| Diagnostic { span: span(), ..make().in_file(self.file) });
        } else if self.first_untold.is_none() {
            self.first_untold = span();
        }
    }

    /// Says how many more there are, where the first of them stands.
    pub(super) fn done(self) {
        let Some(span) = self.first_untold else { return };
        let more = self.count - Self::TOLD_MAX;
        let message = match more {
            1 => "1 more line is wrong".to_owned(),
            more => format!("{more} more lines are wrong, from this one on"),
        };
        self.report.push(Diagnostic { span: Some(span), ..Diagnostic::error(message).in_file(self.file) });
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn packed_feeds_are_unpacked_within_bounds() {
        let text = b"203.0.113.0/24\n";
        assert_eq!(*unpacked("a.netset", text).unwrap(), *text);
        let two = [packed(b"203.0.113"), packed(b".0/24\n")].concat();
        assert_eq!(*unpacked("a.netset.gz", &two).unwrap(), *text);

        let cut = &two[..two.len() - 3];
        assert!(unpacked("a.gz", cut).unwrap_err().message.contains("not all of it"));
        assert!(unpacked("a.gz", text).unwrap_err().message.contains("not gzip"));
        assert!(unpacked("a.gz", b"").is_err());
        // 64 KiB that become more than 64 MiB.
        let bomb = packed(&vec![b'\n'; FEED_BYTES_MAX + 1]);
        assert!(bomb.len() < FEED_BYTES_MAX / 100);
        assert!(unpacked("a.gz", &bomb).unwrap_err().message.contains("when it is unpacked"));
    }
}
