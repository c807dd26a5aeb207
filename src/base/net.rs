//! Addresses as policies see them: one canonical form, the proxy that an address stands for, and its parents.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address in its canonical form: IPv4-mapped IPv6 (`::ffff:192.0.2.1`, RFC 4291 section 2.5.5.2) becomes IPv4, so
/// that no list and no counter sees one client as two.
pub fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

/// Reads an address as the standard library does, in a third of its time: replay reads one for each line.
pub fn parse_address(text: &str) -> Option<IpAddr> {
    let bytes = text.as_bytes();
    let quick = parse_v4(bytes).map(IpAddr::V4).or_else(|| parse_v6(bytes).map(IpAddr::V6));
    quick.or_else(|| text.parse().ok())
}

/// Groups of up to four digits, of which one run of zeros may be left out; `None` also of addresses that end in an IPv4 one.
fn parse_v6(bytes: &[u8]) -> Option<Ipv6Addr> {
    const GROUPS: usize = 8;
    let mut groups = [0u16; GROUPS];
    let (mut count, mut gap) = (0, None);
    let mut at = 0;
    if bytes.starts_with(b"::") {
        gap = Some(0);
        at = 2;
    }
    while at < bytes.len() {
        let from = at;
        let mut value = 0u16;
        while let Some(digit) = bytes.get(at).and_then(|byte| char::from(*byte).to_digit(16)) {
            if at - from == 4 {
                return None;
            }
            value = value << 4 | digit as u16;
            at += 1;
        }
        if at == from {
            return None;
        }
        *groups.get_mut(count)? = value;
        count += 1;
        match bytes.get(at..)? {
            [] => break,
            [b':', b':', ..] if gap.is_none() => {
                gap = Some(count);
                at += 2;
            }
            [b':', _, ..] => at += 1,
            _ => return None,
        }
    }
    match gap {
        None if count == GROUPS => {}
        // A gap stands for at least one group.
        Some(gap) if count < GROUPS => {
            groups.copy_within(gap..count, GROUPS - (count - gap));
            groups[gap..GROUPS - (count - gap)].fill(0);
        }
        _ => return None,
    }
    Some(Ipv6Addr::from(groups))
}

fn parse_v4(bytes: &[u8]) -> Option<Ipv4Addr> {
    let mut octets = [0; 4];
    let (mut place, mut value, mut digits) = (0, 0u32, 0);
    for byte in bytes {
        let digit = u32::from(byte.wrapping_sub(b'0'));
        if digit <= 9 {
            // One spelling: no zero leads.
            if digits > 0 && value == 0 {
                return None;
            }
            value = value * 10 + digit;
            digits += 1;
            if value > 255 {
                return None;
            }
        } else if *byte == b'.' && digits > 0 && place < 3 {
            octets[place] = value as u8;
            (place, value, digits) = (place + 1, 0, 0);
        } else {
            return None;
        }
    }
    if place < 3 || digits == 0 {
        return None;
    }
    octets[3] = value as u8;
    Some(Ipv4Addr::from(octets))
}

/// A client's network address as one counts it: an IPv4 address, or an IPv6 prefix of at most 64 bits. Shorter prefixes
/// are subnets, and the parents that records are folded into.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    /// The first 64 bits of an IPv6 address, or an IPv4 address in the low 32; all below `length` zero.
    bits: u64,
    length: u8,
    v6: bool,
}

impl Prefix {
    /// The *proxy* of an address: the IPv4 address itself, or the IPv6 /64 (one subscriber holds at least that much).
    pub fn proxy(address: IpAddr) -> Self {
        match canonical(address) {
            IpAddr::V4(v4) => Self { bits: u64::from(v4.to_bits()), length: 32, v6: false },
            IpAddr::V6(v6) => Self { bits: (v6.to_bits() >> 64) as u64, length: 64, v6: true },
        }
    }

    /// The *subnet* of an address: /24 or /48.
    pub fn subnet(address: IpAddr) -> Self {
        let proxy = Self::proxy(address);
        proxy.shortened(if proxy.v6 { 48 } else { 24 })
    }

    /// The next wider prefix that records fold into: /24, then /16 of IPv4; /48, then /32 of IPv6; `None` above these.
    pub fn parent(self) -> Option<Self> {
        let length = match (self.v6, self.length) {
            (false, 25..) => 24,
            (false, 17..) => 16,
            (true, 49..) => 48,
            (true, 33..) => 32,
            _ => return None,
        };
        Some(self.shortened(length))
    }

    /// The widest prefix that records fold into: the /16 or /32.
    #[must_use]
    pub fn widest_parent(self) -> Self {
        self.shortened(if self.v6 { 32 } else { 16 })
    }

    /// This prefix cut to `length` bits; itself where it is shorter already.
    #[must_use]
    pub fn shortened(self, length: u8) -> Self {
        if length >= self.length {
            return self;
        }
        let width = if self.v6 { 64 } else { 32 };
        let below = u32::from(width - length);
        let bits = if below >= 64 { 0 } else { self.bits >> below << below };
        Self { bits, length, v6: self.v6 }
    }

    /// Its first address.
    pub fn first(self) -> IpAddr {
        if self.v6 {
            IpAddr::V6(Ipv6Addr::from_bits(u128::from(self.bits) << 64))
        } else {
            IpAddr::V4(Ipv4Addr::from_bits(self.bits as u32))
        }
    }

    /// The bits, left as they stand: the first 64 of an IPv6 address, or an IPv4 address in the low 32.
    pub const fn bits(self) -> u64 {
        self.bits
    }

    /// The length in bits: at most 32 for IPv4, 64 for IPv6.
    pub const fn length(self) -> u8 {
        self.length
    }

    /// Whether this is an IPv6 prefix.
    pub const fn is_v6(self) -> bool {
        self.v6
    }

    /// Puts a prefix together again from what [`bits`](Self::bits), [`length`](Self::length), [`is_v6`](Self::is_v6) gave.
    pub(crate) const fn from_parts(bits: u64, length: u8, v6: bool) -> Self {
        Self { bits, length, v6 }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.v6, self.length) {
            (false, 32) => write!(f, "{}", Ipv4Addr::from_bits(self.bits as u32)),
            (false, length) => write!(f, "{}/{length}", Ipv4Addr::from_bits(self.bits as u32)),
            (true, length) => write!(f, "{}/{length}", Ipv6Addr::from_bits(u128::from(self.bits) << 64)),
        }
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(address: &str) -> Vec<String> {
        let mut next = Some(Prefix::proxy(address.parse().unwrap()));
        std::iter::from_fn(|| {
            let this = next?;
            next = this.parent();
            Some(this.to_string())
        })
        .collect()
    }

    #[test]
    fn parents_of_both_families() {
        assert_eq!(chain("203.0.113.7"), ["203.0.113.7", "203.0.113.0/24", "203.0.0.0/16"]);
        assert_eq!(chain("2001:db8:1:2:3::4"), ["2001:db8:1:2::/64", "2001:db8:1::/48", "2001:db8::/32"]);
    }

    proptest::proptest! {
        #[test]
        fn addresses_are_read_as_the_standard_library_reads_them(text in "[0-9a-fA-F:. ]{0,20}|[0-9a-f:]{0,12}(::)?([0-9a-f]{0,5}:){0,7}[0-9a-f]{0,4}|([0-9]{0,4}\\.){3,4}[0-9]{0,3}") {
            proptest::prop_assert_eq!(parse_address(&text), text.parse().ok());
        }

        #[test]
        fn every_address_is_read(bits: u32) {
            let address = Ipv4Addr::from_bits(bits);
            proptest::prop_assert_eq!(parse_v4(address.to_string().as_bytes()), Some(address));
        }

        #[test]
        fn every_address_of_the_sixth_version_is_read(groups in proptest::array::uniform8(proptest::prop_oneof![proptest::strategy::Just(0u16), proptest::prelude::any::<u16>()])) {
            let address = Ipv6Addr::from(groups);
            let text = address.to_string();
            proptest::prop_assert!(text.contains('.') || parse_v6(text.as_bytes()) == Some(address), "{}", text);
        }
    }

    #[test]
    fn a_mapped_address_is_the_ipv4_one() {
        assert_eq!(
            Prefix::proxy("::ffff:203.0.113.7".parse().unwrap()),
            Prefix::proxy("203.0.113.7".parse().unwrap())
        );
        assert_eq!(Prefix::subnet("::ffff:203.0.113.7".parse().unwrap()).to_string(), "203.0.113.0/24");
        assert_eq!(Prefix::subnet("2001:db8:1:2::9".parse().unwrap()).to_string(), "2001:db8:1::/48");
    }
}
