//! A feed: one address or prefix a line, comments after `#` or `;`, as the public lists of proxies come (`*.netset`, `drop.txt`).
//!
//! Strict, because a feed is written by somebody else: a line that is not understood refuses the feed and leaves the
//! policy in force as it is, and no feed may list everybody.

use std::sync::Arc;

use ipnet::IpNet;

use super::diagnostic::{Diagnostic, line_span, quoted};
use super::file::prefix;
use super::reader::Report;

/// A feed may list at most so many prefixes.
pub const PREFIXES_MAX: usize = 2_000_000;

/// Reads all prefixes of a feed; bad lines are in the report then.
pub fn read(file: &Arc<str>, bytes: &[u8], report: &Report<'_>) -> Vec<IpNet> {
    let mut prefixes = Vec::new();
    for (number, line) in (1u32..).zip(bytes.split(|byte| *byte == b'\n')) {
        let entry = line.split(|byte| matches!(byte, b'#' | b';')).next().unwrap_or_default().trim_ascii();
        if entry.is_empty() {
            continue;
        }
        let wrong = |make: &dyn Fn() -> Diagnostic| {
            report.error_placed(|| {
                let start = line.len() - line.trim_ascii_start().len();
                let (line, entry_end) = (String::from_utf8_lossy(line), start + entry.len());
                let span = line_span(number, line.trim_end_matches('\r'), start..entry_end);
                Diagnostic { span: Some(Box::new(span)), ..make().in_file(file) }
            });
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
    prefixes
}
