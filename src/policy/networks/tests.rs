use std::net::Ipv6Addr;

use super::*;
use crate::policy::diagnostic::{Severity, render};
use crate::policy::reader::Report;

/// A table as some bytes say it, and what is wrong with them.
fn table(format: Format, bytes: &[u8]) -> (Networks, String) {
    let report = Report::new(Vec::new());
    let networks = read(&"policies/networks".into(), format, bytes, &report);
    (networks, render(&report.into_sorted()))
}

fn csv(text: &str) -> (Networks, String) {
    table(Format::Csv, text.as_bytes())
}

fn lookup(networks: &Networks, address: &str) -> Option<(u32, Option<NetworkKind>)> {
    networks.lookup(address.parse().unwrap()).map(|network| (network.asn, network.kind))
}

#[test]
fn csv_is_read_and_the_narrowest_prefix_wins() {
    let text = "prefix,asn,kind\r\n\
        203.0.113.0/24,64496,isp\r\n\
        203.0.113.128/25, AS64497 , hosting # a comment\r\n\
        # nothing\r\n\r\n\
        2001:db8::/32,64498\r\n\
        198.51.100.7,4294967295,\r\n";
    let (networks, wrong) = csv(text);
    assert_eq!(wrong, "");
    assert_eq!(lookup(&networks, "203.0.113.7"), Some((64496, Some(NetworkKind::Isp))));
    assert_eq!(lookup(&networks, "203.0.113.200"), Some((64497, Some(NetworkKind::Hosting))));
    assert_eq!(lookup(&networks, "::ffff:203.0.113.200"), Some((64497, Some(NetworkKind::Hosting))));
    assert_eq!(lookup(&networks, "2001:db8:ffff::1"), Some((64498, None)));
    assert_eq!(lookup(&networks, "198.51.100.7"), Some((u32::MAX, None)));
    assert_eq!(lookup(&networks, "198.51.100.8"), None);
    assert!(networks.has_asn(64498) && !networks.has_asn(1));
}

#[test]
fn what_is_wrong_with_csv_is_said_line_by_line() {
    let text = "203.0.113.0/24,64496,isp\n\
        203.0.113.7/24,64496\n\
        203.0.113.0/24\n\
        203.0.113.0/24,0\n\
        203.0.113.0/24,AS\n\
        203.0.113.0/24,64496,hostin\n\
        203.0.113.0/24,64496,isp,DE\n";
    insta::assert_snapshot!(csv(text).1);
}

#[test]
fn of_many_bad_lines_a_handful_is_told() {
    let (_, wrong) = csv(&"nonsense,1,isp\n".repeat(50));
    assert_eq!(wrong.matches("error: ").count(), 9, "{wrong}");
    assert!(wrong.contains("error: 42 more lines are wrong, from this one on"), "{wrong}");
}

#[test]
fn the_order_of_lines_does_not_show() {
    let (one, _) = csv("203.0.113.0/24,64496\n203.0.113.0/24,64497\n");
    let (other, _) = csv("203.0.113.0/24,64497\n203.0.113.0/24,64496\n");
    assert_eq!(lookup(&one, "203.0.113.7"), Some((64497, None)));
    assert_eq!(lookup(&one, "203.0.113.7"), lookup(&other, "203.0.113.7"));
}

#[test]
fn an_empty_table_is_doubtful() {
    let (networks, wrong) = csv("prefix,asn,kind\n");
    assert!(networks.is_empty());
    assert!(wrong.starts_with("warning: the table holds no network"), "{wrong}");
}

/// Writes the MaxMind DB file format 2.0, as far as a table of networks needs it.
#[derive(Default)]
struct Writer {
    /// Left and right of each node.
    nodes: Vec<[Record; 2]>,
    data: Vec<u8>,
}

#[derive(Clone, Copy, Default)]
enum Record {
    #[default]
    Empty,
    Node(usize),
    Data(usize),
}

enum Field<'a> {
    Number(u32),
    Text(&'a str),
}

fn text(out: &mut Vec<u8>, text: &str) {
    match text.len() {
        length @ ..0x1d => out.push(2 << 5 | length as u8),
        length => out.extend_from_slice(&[2 << 5 | 0x1d, length as u8 - 0x1d]),
    }
    out.extend_from_slice(text.as_bytes());
}

fn number(out: &mut Vec<u8>, number: u32) {
    out.push(6 << 5 | 4);
    out.extend_from_slice(&number.to_be_bytes());
}

impl Writer {
    /// An IPv6 tree; IPv4 lies at `::/96` in it.
    fn new() -> Self {
        Self { nodes: vec![<_>::default()], data: Vec::new() }
    }

    fn add(&mut self, prefix: &str, fields: &[(&str, Field<'_>)]) {
        let record = self.data.len();
        self.data.push(7 << 5 | fields.len() as u8);
        for (name, field) in fields {
            text(&mut self.data, name);
            match field {
                Field::Number(value) => number(&mut self.data, *value),
                Field::Text(value) => text(&mut self.data, value),
            }
        }
        let (bits, length) = match prefix.parse().unwrap() {
            IpNet::V4(prefix) => (u128::from(prefix.addr().to_bits()), prefix.prefix_len() + 96),
            IpNet::V6(prefix) => (prefix.addr().to_bits(), prefix.prefix_len()),
        };
        let mut node = 0;
        for depth in 0..length {
            let side = (bits >> (127 - depth) & 1) as usize;
            if depth + 1 == length {
                self.nodes[node][side] = Record::Data(record);
            } else if let Record::Node(next) = self.nodes[node][side] {
                node = next;
            } else {
                self.nodes.push(<_>::default());
                self.nodes[node][side] = Record::Node(self.nodes.len() - 1);
                node = self.nodes.len() - 1;
            }
        }
    }

    fn finish(self) -> Vec<u8> {
        let count = self.nodes.len();
        let mut out = Vec::new();
        for record in self.nodes.into_iter().flatten() {
            let value = match record {
                Record::Empty => count,
                Record::Node(node) => node,
                Record::Data(offset) => count + 16 + offset,
            };
            out.extend_from_slice(&(value as u32).to_be_bytes()[1..]);
        }
        out.extend_from_slice(&[0; 16]);
        out.extend_from_slice(&self.data);
        out.extend_from_slice(b"\xab\xcd\xefMaxMind.com");
        out.push(7 << 5 | 9);
        for (name, value) in [
            ("binary_format_major_version", 2u16),
            ("binary_format_minor_version", 0),
            ("ip_version", 6),
            ("record_size", 24),
        ] {
            text(&mut out, name);
            out.push(5 << 5 | 2);
            out.extend_from_slice(&value.to_be_bytes());
        }
        text(&mut out, "node_count");
        number(&mut out, count as u32);
        text(&mut out, "build_epoch");
        out.extend_from_slice(&[8, 2]);
        out.extend_from_slice(&1_795_000_000u64.to_be_bytes());
        text(&mut out, "database_type");
        text(&mut out, "Test-ASN");
        text(&mut out, "description");
        out.push(7 << 5);
        text(&mut out, "languages");
        out.extend_from_slice(&[0, 4]);
        out
    }
}

fn mmdb() -> Vec<u8> {
    let mut writer = Writer::new();
    let asn = |number| ("autonomous_system_number", Field::Number(number));
    writer.add("203.0.113.0/24", &[asn(64496), ("autonomous_system_organization", Field::Text("Example"))]);
    writer.add("198.51.100.0/24", &[("asn", Field::Text("AS64497")), ("kind", Field::Text("hosting"))]);
    writer.add("192.0.2.0/24", &[("country", Field::Text("DE"))]);
    writer.add("2001:db8::/32", &[asn(64498), ("kind", Field::Text("business"))]);
    writer.finish()
}

#[test]
fn an_mmdb_is_read() {
    let (networks, wrong) = table(Format::Mmdb, &mmdb());
    assert_eq!(wrong, "");
    assert_eq!(lookup(&networks, "203.0.113.7"), Some((64496, None)));
    assert_eq!(lookup(&networks, "::ffff:203.0.113.7"), Some((64496, None)));
    assert_eq!(lookup(&networks, "198.51.100.255"), Some((64497, Some(NetworkKind::Hosting))));
    assert_eq!(lookup(&networks, "2001:db8::1"), Some((64498, None)));
    assert_eq!(lookup(&networks, "192.0.2.1"), None, "its record names no autonomous system");
    assert_eq!(lookup(&networks, "203.0.114.0"), None);
    assert_eq!(networks.lookup(IpAddr::V6(Ipv6Addr::LOCALHOST)), None);
}

#[test]
fn a_table_of_something_else_is_refused() {
    let mut writer = Writer::new();
    writer.add("203.0.113.0/24", &[("country", Field::Text("DE"))]);
    let (_, wrong) = table(Format::Mmdb, &writer.finish());
    assert!(wrong.contains("no record of the table names an autonomous system"), "{wrong}");
    let (_, wrong) = table(Format::Mmdb, b"prefix,asn,kind\n");
    assert!(wrong.starts_with("error: the table is no whole MMDB"), "{wrong}");
}

/// Cut anywhere, a bit turned anywhere: read or refused, and never a panic.
#[test]
fn a_damaged_mmdb_is_no_danger() {
    let whole = mmdb();
    for length in 0..whole.len() {
        let (_, wrong) = table(Format::Mmdb, &whole[..length]);
        assert!(wrong.contains(Severity::Error.word()), "{length}");
    }
    for at in 0..whole.len() {
        for bit in [0, 3, 7] {
            let mut damaged = whole.clone();
            damaged[at] ^= 1 << bit;
            let (networks, _) = table(Format::Mmdb, &damaged);
            networks.lookup("203.0.113.7".parse().unwrap());
        }
    }
}

#[test]
fn the_name_says_how_it_is_written() {
    assert_eq!(Format::of_name("networks.mmdb"), Some(Format::Mmdb));
    assert_eq!(Format::of_name("tables/n.csv.gz"), Some(Format::Csv));
    assert_eq!(Format::of_name("mmdb"), None);
    assert_eq!(Format::of_name("networks.txt"), None);
}
