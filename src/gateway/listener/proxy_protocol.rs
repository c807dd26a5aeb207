//! The line with which a load balancer says whose connection it passes on: PROXY protocol, versions 1 and 2.
//!
//! Source: the PROXY protocol specification of HAProxy, sections 2.1 and 2.2. The addresses are read by `ppp`, which is
//! given whole prefaces only: on a beginning it takes `… 80 ` for a bad port where the port is yet to come, and for an
//! `UNKNOWN` line of many words it asks for more bytes for ever.

use std::net::SocketAddr;

use super::violation::Violation;

/// Longest version 1 line, CRLF included (specification, section 2.1).
const V1_BYTES_MAX: usize = 107;
/// Longest version 2 preface taken: the 16 fixed bytes and 520 of addresses and extensions.
const V2_BYTES_MAX: usize = 536;
const V1_START: &[u8] = b"PROXY ";
const V2_HEAD_BYTES: usize = 16;
/// Version 2, command LOCAL: the balancer's own connection, a health check mostly.
const V2_LOCAL: u8 = 0x20;

/// What came of looking at the start of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preface {
    /// It is not whole yet.
    More,
    /// It has so many bytes, and names the client; or `None` where the peer itself is the client.
    Whole(usize, Option<SocketAddr>),
    /// It is missing or malformed.
    Refused(Violation),
}

/// Reads the preface at the start of `bytes`, which hold all that arrived so far. Looks at no more than 536 bytes.
pub fn read_preface(bytes: &[u8]) -> Preface {
    if begins_like(bytes, V1_START) {
        read_v1(bytes)
    } else if begins_like(bytes, ppp::v2::PROTOCOL_PREFIX) {
        read_v2(bytes)
    } else {
        Preface::Refused(Violation::PrefaceMissing)
    }
}

fn begins_like(bytes: &[u8], start: &[u8]) -> bool {
    let length = bytes.len().min(start.len());
    bytes[..length] == start[..length]
}

fn read_v1(bytes: &[u8]) -> Preface {
    let window = &bytes[..bytes.len().min(V1_BYTES_MAX)];
    let Some(end) = window.iter().position(|&byte| byte == b'\n') else {
        return if window.len() == V1_BYTES_MAX {
            Preface::Refused(Violation::PrefaceInvalid)
        } else {
            Preface::More
        };
    };
    let line = &window[..=end];
    if let Some(rest) = line.strip_prefix(b"PROXY UNKNOWN") {
        // What else stands there is to be ignored (section 2.1).
        return if rest == b"\r\n" || (rest.starts_with(b" ") && rest.ends_with(b"\r\n")) {
            Preface::Whole(line.len(), None)
        } else {
            Preface::Refused(Violation::PrefaceInvalid)
        };
    }
    let source = match ppp::v1::Header::try_from(line) {
        // A CR inside would end ppp's line early; a sign before a port is Rust's idea of a number.
        Ok(header) if header.header.len() == line.len() && !line.contains(&b'+') => match header.addresses {
            ppp::v1::Addresses::Tcp4(ip) => SocketAddr::from((ip.source_address, ip.source_port)),
            ppp::v1::Addresses::Tcp6(ip) => SocketAddr::from((ip.source_address, ip.source_port)),
            ppp::v1::Addresses::Unknown => return Preface::Refused(Violation::PrefaceInvalid),
        },
        _ => return Preface::Refused(Violation::PrefaceInvalid),
    };
    Preface::Whole(line.len(), Some(canonical(source)))
}

fn read_v2(bytes: &[u8]) -> Preface {
    let Some(head) = bytes.first_chunk::<V2_HEAD_BYTES>() else {
        return Preface::More;
    };
    let length = V2_HEAD_BYTES + usize::from(u16::from_be_bytes([head[14], head[15]]));
    if length > V2_BYTES_MAX || head[12] & 0xf0 != 0x20 || head[12] & 0x0f > 1 {
        return Preface::Refused(Violation::PrefaceInvalid);
    }
    let Some(whole) = bytes.get(..length) else {
        return Preface::More;
    };
    if head[12] == V2_LOCAL {
        return Preface::Whole(length, None);
    }
    let Ok(header) = ppp::v2::Header::try_from(whole) else {
        return Preface::Refused(Violation::PrefaceInvalid);
    };
    if header.protocol == ppp::v2::Protocol::Datagram {
        return Preface::Refused(Violation::PrefaceInvalid);
    }
    let source = match header.addresses {
        ppp::v2::Addresses::IPv4(ip) => SocketAddr::from((ip.source_address, ip.source_port)),
        ppp::v2::Addresses::IPv6(ip) => SocketAddr::from((ip.source_address, ip.source_port)),
        ppp::v2::Addresses::Unspecified | ppp::v2::Addresses::Unix(_) => return Preface::Whole(length, None),
    };
    Preface::Whole(length, Some(canonical(source)))
}

/// The same address with IPv4-mapped IPv6 written as IPv4, so that one client is one subject everywhere.
pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v2(command: u8, family: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = ppp::v2::PROTOCOL_PREFIX.to_vec();
        bytes.extend([command, family]);
        bytes.extend((payload.len() as u16).to_be_bytes());
        bytes.extend(payload);
        bytes
    }

    fn whole(bytes: &[u8]) -> Option<SocketAddr> {
        match read_preface(bytes) {
            Preface::Whole(taken, source) if taken == bytes.len() => source,
            other => panic!("{other:?} for {}", bytes.escape_ascii()),
        }
    }

    fn good() -> Vec<(Vec<u8>, Option<&'static str>)> {
        let mut mapped = vec![0; 10];
        mapped.extend([0xff, 0xff, 203, 0, 113, 7]);
        mapped.extend([0; 16]);
        mapped.extend([0x1f, 0x90, 0, 80]);
        let mut with_extension = vec![203, 0, 113, 7, 10, 0, 0, 1, 0x1f, 0x90, 0, 80];
        with_extension.extend([4, 0, 1, 0]);
        vec![
            (b"PROXY TCP4 203.0.113.7 10.0.0.1 8080 80\r\n".to_vec(), Some("203.0.113.7:8080")),
            (b"PROXY TCP6 2001:db8::7 ::1 8080 80\r\n".to_vec(), Some("[2001:db8::7]:8080")),
            (b"PROXY TCP6 ::ffff:203.0.113.7 ::1 8080 80\r\n".to_vec(), Some("203.0.113.7:8080")),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (b"PROXY UNKNOWN a b c d e f g h\r\n".to_vec(), None),
            (v2(0x21, 0x11, &[203, 0, 113, 7, 10, 0, 0, 1, 0x1f, 0x90, 0, 80]), Some("203.0.113.7:8080")),
            (v2(0x21, 0x11, &with_extension), Some("203.0.113.7:8080")),
            (v2(0x21, 0x21, &mapped), Some("203.0.113.7:8080")),
            (v2(0x21, 0x00, &[]), None),
            (v2(0x20, 0x00, &[]), None),
            (v2(0x20, 0xff, &[1, 2, 3]), None),
            (v2(0x21, 0x31, &[0; 216]), None),
        ]
    }

    #[test]
    fn good_prefaces_name_the_client() {
        for (bytes, source) in good() {
            assert_eq!(whole(&bytes), source.map(|text| text.parse().unwrap()), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn a_preface_may_arrive_in_any_pieces_and_never_takes_what_follows() {
        for (mut bytes, source) in good() {
            for end in 0..bytes.len() {
                assert_eq!(read_preface(&bytes[..end]), Preface::More, "{}", bytes[..end].escape_ascii());
            }
            let length = bytes.len();
            bytes.extend(b"GET / HTTP/1.1\r\n");
            assert_eq!(
                read_preface(&bytes),
                Preface::Whole(length, source.map(|text| text.parse().unwrap()))
            );
        }
    }

    #[test]
    fn bad_prefaces_are_refused_and_not_waited_for() {
        let mut long_line = b"PROXY UNKNOWN ".to_vec();
        long_line.resize(V1_BYTES_MAX, b'a');
        let bad: Vec<(Vec<u8>, Violation)> = vec![
            (b"GET / HTTP/1.1\r\n".to_vec(), Violation::PrefaceMissing),
            (b"PROXY_".to_vec(), Violation::PrefaceMissing),
            (b"\r\n\r\n\0\r\nQUIX".to_vec(), Violation::PrefaceMissing),
            (b"PROXY TCP4 203.0.113.7 10.0.0.1 8080 80\n".to_vec(), Violation::PrefaceInvalid),
            (b"PROXY TCP4 203.0.113.7 10.0.0.1 8080 80 \r\n".to_vec(), Violation::PrefaceInvalid),
            (b"PROXY TCP4 203.0.113.7 10.0.0.1 +808 80\r\n".to_vec(), Violation::PrefaceInvalid),
            (b"PROXY TCP4 203.0.113.7 10.0.0.1 08080 80\r\n".to_vec(), Violation::PrefaceInvalid),
            (b"PROXY TCP4 203.0.113.7 10.0.0.1 70000 80\r\n".to_vec(), Violation::PrefaceInvalid),
            (b"PROXY TCP4 203.0.113.777 10.0.0.1 80 80\r\n".to_vec(), Violation::PrefaceInvalid),
            (b"PROXY TCP4 2001:db8::7 ::1 80 80\r\n".to_vec(), Violation::PrefaceInvalid),
            (b"PROXY TCP4\r203.0.113.7 10.0.0.1 80 80\r\n".to_vec(), Violation::PrefaceInvalid),
            (b"PROXY UDP4 203.0.113.7 10.0.0.1 80 80\r\n".to_vec(), Violation::PrefaceInvalid),
            (b"PROXY UNKNOWNED\r\n".to_vec(), Violation::PrefaceInvalid),
            (b"PROXY \xff\r\n".to_vec(), Violation::PrefaceInvalid),
            (b"PROXY \r\n".to_vec(), Violation::PrefaceInvalid),
            (long_line, Violation::PrefaceInvalid),
            (v2(0x11, 0x11, &[0; 12]), Violation::PrefaceInvalid),
            (v2(0x22, 0x11, &[0; 12]), Violation::PrefaceInvalid),
            (v2(0x21, 0x11, &[0; 11]), Violation::PrefaceInvalid),
            (v2(0x21, 0x12, &[0; 12]), Violation::PrefaceInvalid),
            (v2(0x21, 0x41, &[0; 12]), Violation::PrefaceInvalid),
            (v2(0x21, 0x11, &[0; 521])[..16].to_vec(), Violation::PrefaceInvalid),
        ];
        for (bytes, violation) in bad {
            assert_eq!(read_preface(&bytes), Preface::Refused(violation), "{}", bytes.escape_ascii());
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic_or_are_waited_for_beyond_the_bound(tail: Vec<u8>, start in 0..3usize) {
            let mut bytes = [V1_START, ppp::v2::PROTOCOL_PREFIX, b""][start].to_vec();
            bytes.extend(tail);
            bytes.resize(bytes.len().max(V2_BYTES_MAX), 0);
            proptest::prop_assert_ne!(read_preface(&bytes), Preface::More);
        }
    }
}
