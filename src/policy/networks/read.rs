//! Reads a table of networks from its bytes.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use ipnet::IpNet;
use maxminddb::{MaxMindDbError, PathElement, Reader, WithinOptions};

use super::{Network, NetworkKind, Networks, PREFIXES_MAX};
use crate::policy::diagnostic::{Diagnostic, escaped, quoted, quoted_list};
use crate::policy::feed::BadLines;
use crate::policy::file::prefix;
use crate::policy::reader::{Report, unknown_word};

/// How a table is written; its name says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The MaxMind DB file format 2.0.
    Mmdb,
    /// Lines `prefix,asn,kind`.
    Csv,
}

impl Format {
    /// By the end of the name, `.gz` set aside.
    pub fn of_name(name: &str) -> Option<Self> {
        let (_, ending) = name.strip_suffix(".gz").unwrap_or(name).rsplit_once('.')?;
        match ending {
            "mmdb" => Some(Self::Mmdb),
            "csv" => Some(Self::Csv),
            _ => None,
        }
    }
}

/// Reads a whole table; what is wrong with it is in the report then. `file` is its name as the operator knows it.
pub fn read(file: &Arc<str>, format: Format, bytes: &[u8], report: &Report<'_>) -> Networks {
    let prefixes = match format {
        Format::Csv => csv(file, bytes, report),
        Format::Mmdb => mmdb(bytes).unwrap_or_else(|wrong| {
            report.push(wrong.in_file(file));
            Vec::new()
        }),
    };
    if prefixes.is_empty() && !report.has_errors() {
        report.push(Diagnostic::warning("the table holds no network").in_file(file));
    }
    Networks::new(&prefixes)
}

fn too_many() -> Diagnostic {
    Diagnostic::error(format!("the table holds more than {PREFIXES_MAX} prefixes"))
}

type Found<'b> = maxminddb::LookupResult<'b, &'b [u8]>;

/// Every prefix of an MMDB that has an autonomous system. A record holds `autonomous_system_number` or `asn` (a number, or a
/// text such as `AS64496`), and may hold a `kind` of ours.
fn mmdb(bytes: &[u8]) -> Result<Vec<(IpNet, Network)>, Diagnostic> {
    let damaged = |error: MaxMindDbError| {
        Diagnostic::error("the table is no whole MMDB").help(escaped(&error.to_string(), 200))
    };
    let reader = Reader::from_source(bytes).map_err(damaged)?;
    // Those without data are asked for too, and counted: else a hostile tree could be walked without an end.
    let all = reader.networks(WithinOptions::default().include_networks_without_data()).map_err(damaged)?;
    // Many prefixes share a record: each is read once.
    let mut records: HashMap<usize, Option<Network>> = HashMap::new();
    let (mut prefixes, mut holds_data) = (Vec::new(), false);
    for (count, found) in all.enumerate() {
        if count > PREFIXES_MAX * 2 || prefixes.len() > PREFIXES_MAX {
            return Err(too_many());
        }
        let found = found.map_err(damaged)?;
        let Some(offset) = found.offset() else { continue };
        holds_data = true;
        let network = if let Some(known) = records.get(&offset) {
            *known
        } else {
            let read = network(&found).map_err(damaged)?;
            records.insert(offset, read);
            read
        };
        if let Some(network) = network {
            let prefix = found.network().map_err(damaged)?;
            let prefix = IpNet::new(prefix.ip(), prefix.prefix()).map_err(|_| too_many())?;
            prefixes.push((prefix.trunc(), network));
        }
    }
    if holds_data && prefixes.is_empty() {
        return Err(Diagnostic::error("no record of the table names an autonomous system")
            .help("a record holds `autonomous_system_number` or `asn`: a table of places or of carriers will not do"));
    }
    Ok(prefixes)
}

fn network(found: &Found<'_>) -> Result<Option<Network>, MaxMindDbError> {
    let asn = match number(found, "autonomous_system_number")? {
        Some(asn) => Some(asn),
        None => number(found, "asn")?,
    };
    // One of another type is another provider's field of that name.
    let kind: Option<&str> = found.decode_path(&[PathElement::Key("kind")]).ok().flatten();
    let kind = kind.and_then(NetworkKind::from_word);
    Ok(asn.filter(|asn| *asn > 0).map(|asn| Network { asn, kind }))
}

/// A number, or a text such as `AS64496`.
fn number(found: &maxminddb::LookupResult<'_, &[u8]>, field: &str) -> Result<Option<u32>, MaxMindDbError> {
    let path = [PathElement::Key(field)];
    match found.decode_path::<u32>(&path) {
        Ok(number) => Ok(number),
        Err(error) => match found.decode_path::<&str>(&path) {
            Ok(text) => Ok(text.and_then(asn)),
            Err(_) => Err(error),
        },
    }
}

/// Reads `64496` or `AS64496`; 0 is reserved (RFC 7607).
fn asn(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("AS").or_else(|| text.strip_prefix("as")).unwrap_or(text);
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|asn| plain && *asn > 0)
}

/// Lines `prefix,asn,kind`, the kind left out where it is not known; comments after `#`. A first line of words is a header.
fn csv(file: &Arc<str>, bytes: &[u8], report: &Report<'_>) -> Vec<(IpNet, Network)> {
    let mut prefixes = Vec::new();
    let mut bad = BadLines::new(report, file);
    for (number, line) in (1u32..).zip(bytes.split(|byte| *byte == b'\n')) {
        let entry = line.split(|byte| *byte == b'#').next().unwrap_or_default();
        if entry.trim_ascii().is_empty() || number == 1 && entry.starts_with(b"prefix,") {
            continue;
        }
        match row(entry) {
            Ok(row) => prefixes.push(row),
            Err((bytes, wrong)) => bad.add(number, line, bytes, || wrong),
        }
        if prefixes.len() > PREFIXES_MAX {
            report.push(too_many().in_file(file));
            break;
        }
    }
    bad.done();
    prefixes
}

/// One row, or which bytes of it are wrong and why.
fn row(entry: &[u8]) -> Result<(IpNet, Network), (Range<usize>, Diagnostic)> {
    let example = "expected `prefix,asn,kind`, such as `203.0.113.0/24,64496,hosting`";
    let text = std::str::from_utf8(entry)
        .map_err(|_| (0..entry.len(), Diagnostic::error("the line is not text").label(example)))?;
    // Each field with where it stands.
    let mut next = 0;
    let mut fields = text.split(',').map(|field| {
        let start = next + field.len() - field.trim_start().len();
        next += field.len() + 1;
        (start..start + field.trim().len(), field.trim())
    });
    let whole = 0..text.trim_end().len();
    let (Some((prefix_at, prefix_text)), Some((asn_at, asn_text))) = (fields.next(), fields.next()) else {
        return Err((whole, Diagnostic::error("the line has one field alone").label(example)));
    };
    let prefix = prefix(prefix_text).map_err(|error| (prefix_at, error.diagnostic(prefix_text)))?;
    let asn = asn(asn_text).ok_or_else(|| {
        let wrong =
            Diagnostic::error(format!("{} is not the number of an autonomous system", quoted(asn_text)))
                .label("expected a whole number from 1 to 4294967295");
        (asn_at, wrong)
    })?;
    let kind = match fields.next() {
        None | Some((_, "")) => None,
        Some((at, word)) => Some(NetworkKind::from_word(word).ok_or_else(|| {
            let words = NetworkKind::ALL.into_iter().map(NetworkKind::word);
            let wrong = unknown_word("kind of network", word, words.clone())
                .label(format!("expected {}, or nothing", quoted_list(words)));
            (at, wrong)
        })?),
    };
    match fields.next() {
        None => Ok((prefix, Network { asn, kind })),
        Some((at, _)) => Err((at, Diagnostic::error("the line has more than three fields").label(example))),
    }
}
