//! The client's address, from exactly one source.
//!
//! Which one the operator says (`client-address`); every other forwarding header is ignored and not forwarded. A header is
//! believed only from a trusted proxy, and of a list only the part that trusted proxies wrote: walking from the right,
//! the first entry that is no trusted proxy is the client, and an entry that cannot be read ends the walk. What stands
//! further left was written by the client.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use ipnet::IpNet;

use crate::base::net::canonical;

/// Where the client's address comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AddressSource {
    /// The other end of the socket.
    #[default]
    Peer,
    /// `X-Forwarded-For`.
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
    /// The PROXY protocol's line at the start of the connection.
    ProxyProtocol,
}

impl AddressSource {
    /// The name of the header that is read, where one is, in lower case.
    pub fn header(self) -> Option<&'static str> {
        match self {
            Self::XForwardedFor => Some("x-forwarded-for"),
            Self::Forwarded => Some("forwarded"),
            Self::Peer | Self::ProxyProtocol => None,
        }
    }
}

/// The client's address: canonical. `values` are the lines of the source's header, in the order in which they came.
pub fn client_address<'v>(
    source: AddressSource,
    trusted: &[IpNet],
    peer: IpAddr,
    proxied: Option<SocketAddr>,
    values: impl DoubleEndedIterator<Item = &'v [u8]>,
) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|prefix| prefix.contains(&address));
    let peer = canonical(peer);
    let read: fn(&str) -> Option<IpAddr> = match source {
        AddressSource::Peer => return peer,
        // The listener takes the line only from a trusted peer.
        AddressSource::ProxyProtocol => return proxied.map_or(peer, |proxied| canonical(proxied.ip())),
        AddressSource::XForwardedFor => plain_address,
        AddressSource::Forwarded => forwarded_for,
    };
    let mut client = peer;
    for value in values.rev() {
        // Quotation marks could hide a comma in `Forwarded`; an address has none, so such an entry cannot be read and
        // ends the walk.
        for entry in value.rsplit(|byte| *byte == b',') {
            if !is_trusted(client) {
                return client;
            }
            // Nearly all are this, and it is read for every request.
            let dotted = (source == AddressSource::XForwardedFor).then(|| dotted_quad(entry.trim_ascii()));
            let address = dotted.flatten().map(IpAddr::V4);
            match address.or_else(|| read(std::str::from_utf8(entry).ok()?.trim())) {
                Some(address) => client = canonical(address),
                None => return client,
            }
        }
    }
    client
}

/// An IPv4 address as the standard library reads it, from bytes: four numbers of one to three digits up to 255, without
/// leading zeros.
fn dotted_quad(text: &[u8]) -> Option<Ipv4Addr> {
    let mut octets = [0; 4];
    let mut place = 0;
    let (mut number, mut digits) = (0u32, 0);
    for byte in text {
        match byte {
            b'0'..=b'9' => {
                if digits == 3 || digits > 0 && number == 0 {
                    return None;
                }
                number = number * 10 + u32::from(byte - b'0');
                digits += 1;
            }
            b'.' if digits > 0 && place < 3 => {
                octets[place] = u8::try_from(number).ok()?;
                (place, number, digits) = (place + 1, 0, 0);
            }
            _ => return None,
        }
    }
    if place != 3 || digits == 0 {
        return None;
    }
    octets[3] = u8::try_from(number).ok()?;
    Some(octets.into())
}

/// `203.0.113.7`, `203.0.113.7:4711`, `2001:db8::7`, `[2001:db8::7]`, `[2001:db8::7]:4711`.
fn plain_address(entry: &str) -> Option<IpAddr> {
    if let Ok(address) = entry.parse::<IpAddr>() {
        return Some(address);
    }
    if let Ok(with_port) = entry.parse::<SocketAddr>() {
        return Some(with_port.ip());
    }
    entry.strip_prefix('[')?.strip_suffix(']')?.parse().ok().map(IpAddr::V6)
}

/// The `for` of one element of `Forwarded` (RFC 7239 section 4): `for=203.0.113.7;proto=https`, `for="[2001:db8::7]:4711"`.
/// `None` for `unknown`, for obfuscated names, and where there are two.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let mut found = None;
    for pair in element.split(';') {
        let (name, value) = pair.split_once('=')?;
        if !name.trim().eq_ignore_ascii_case("for") {
            continue;
        }
        let value = value.trim();
        let value = match value.strip_prefix('"') {
            Some(quoted) => quoted.strip_suffix('"')?,
            None => value,
        };
        if found.replace(plain_address(value)?).is_some() {
            return None;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(source: AddressSource, peer: &str, lines: &[&str]) -> String {
        let trusted: Vec<IpNet> =
            ["10.0.0.0/8", "2001:db8:aaaa::/48"].map(|prefix| prefix.parse().unwrap()).into();
        let lines = lines.iter().map(|line| line.as_bytes());
        client_address(source, &trusted, peer.parse().unwrap(), None, lines).to_string()
    }

    #[test]
    fn headers_of_a_stranger_are_not_believed() {
        for source in [AddressSource::Peer, AddressSource::XForwardedFor, AddressSource::Forwarded] {
            assert_eq!(address(source, "198.51.100.9", &["203.0.113.7", "for=203.0.113.7"]), "198.51.100.9");
        }
        assert_eq!(address(AddressSource::Peer, "10.0.0.1", &["203.0.113.7"]), "10.0.0.1");
    }

    #[test]
    fn the_rightmost_entry_that_is_no_trusted_proxy_is_the_client() {
        let via = |lines: &[&str]| address(AddressSource::XForwardedFor, "10.0.0.1", lines);
        assert_eq!(via(&["203.0.113.7"]), "203.0.113.7");
        assert_eq!(via(&["203.0.113.7, 10.0.0.2"]), "203.0.113.7");
        assert_eq!(
            via(&["1.2.3.4, 203.0.113.7, 10.0.0.2"]),
            "203.0.113.7",
            "what the client wrote is ignored"
        );
        assert_eq!(via(&["1.2.3.4", "203.0.113.7,10.0.0.2"]), "203.0.113.7", "several lines are one list");
        assert_eq!(via(&["::ffff:203.0.113.7"]), "203.0.113.7");
        assert_eq!(via(&["203.0.113.7:4711"]), "203.0.113.7");
        assert_eq!(via(&["[2001:db8::7]:4711"]), "2001:db8::7");
        assert_eq!(via(&["2001:db8::7, 2001:db8:aaaa::1"]), "2001:db8::7");
        assert_eq!(via(&[]), "10.0.0.1");
        assert_eq!(via(&["10.0.0.3, 10.0.0.2"]), "10.0.0.3", "all are trusted: the furthest");
    }

    #[test]
    fn an_entry_that_cannot_be_read_ends_the_walk() {
        let via = |lines: &[&str]| address(AddressSource::XForwardedFor, "10.0.0.1", lines);
        for line in
            ["203.0.113.7, unknown", "203.0.113.7,", "203.0.113.7, 203.0.113.999", "203.0.113.7, 010.0.0.1x"]
        {
            assert_eq!(via(&[line]), "10.0.0.1", "{line}");
        }
        assert_eq!(via(&["203.0.113.7, junk, 10.0.0.2"]), "10.0.0.2");
    }

    #[test]
    fn forwarded_is_read_as_rfc_7239_says() {
        let via = |lines: &[&str]| address(AddressSource::Forwarded, "10.0.0.1", lines);
        assert_eq!(via(&["for=203.0.113.7"]), "203.0.113.7");
        assert_eq!(via(&["For=\"[2001:db8::7]:4711\";proto=https;by=10.0.0.1"]), "2001:db8::7");
        assert_eq!(via(&["for=1.2.3.4, for=203.0.113.7;proto=http, for=10.0.0.2"]), "203.0.113.7");
        for line in [
            "for=unknown",
            "for=_hidden",
            "proto=https",
            "for=203.0.113.7;for=1.2.3.4",
            "for=\"203.0.113.7",
            "203.0.113.7",
        ] {
            assert_eq!(via(&[line]), "10.0.0.1", "{line}");
        }
    }

    #[test]
    fn the_proxy_line_is_the_only_source_where_it_is_configured() {
        let proxied = Some("203.0.113.7:4711".parse().unwrap());
        let none = std::iter::empty::<&[u8]>();
        let peer: IpAddr = "10.0.0.1".parse().unwrap();
        let of = |source, proxied| client_address(source, &[], peer, proxied, none.clone()).to_string();
        assert_eq!(of(AddressSource::ProxyProtocol, proxied), "203.0.113.7");
        assert_eq!(of(AddressSource::ProxyProtocol, None), "10.0.0.1", "LOCAL: the proxy itself asks");
        assert_eq!(of(AddressSource::Peer, proxied), "10.0.0.1");
    }

    #[test]
    fn dotted_quads_are_read_as_the_standard_library_reads_them() {
        let texts = [
            "0.0.0.0",
            "255.255.255.255",
            "203.0.113.7",
            "256.1.1.1",
            "1.2.3",
            "1.2.3.4.5",
            "01.2.3.4",
            "1.2.3.04",
            "1..2.3",
            ".1.2.3",
            "1.2.3.",
            "1.2.3.4 ",
            "1.2.3.4:80",
            "1.2.3.x",
            "",
            "1000.1.1.1",
            "0.0.0.00",
            "10.20.30.40",
        ];
        for text in texts {
            assert_eq!(dotted_quad(text.as_bytes()), text.parse().ok(), "{text}");
        }
    }
}
