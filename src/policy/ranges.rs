//! Which value holds for an address, where prefixes lie within prefixes: a million of them, in two or three reads of memory
//! a look-up.
//!
//! Nested prefixes are flattened once into ranges that do not overlap, each with what holds in it. An index over the leading
//! bits, of about one place for every two ranges, says between which of them to search. A trie that follows bits takes
//! seven times as long to build, which is what a reload waits for, and reads memory at nearly every step.

use std::net::IpAddr;

use ipnet::IpNet;

/// Where no prefix holds.
const NONE: u32 = u32::MAX;

/// For every address at most one value. Laid out alike, whatever the order of the prefixes: equal ones hold the same.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Ranges {
    v4: Flat<u32>,
    v6: Flat<Wide>,
}

impl Ranges {
    /// Of prefixes without host bits, in any order, each with a value below `u32::MAX`. `combine` gives what holds where a
    /// prefix lies within another, or stands twice: from what holds around it, and its own.
    pub fn new(
        prefixes: impl IntoIterator<Item = (IpNet, u32)>,
        mut combine: impl FnMut(u32, u32) -> u32,
    ) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for (prefix, value) in prefixes {
            match prefix {
                IpNet::V4(prefix) => {
                    let (start, end) = (prefix.network().to_bits(), prefix.broadcast().to_bits());
                    v4.push(Entry { start, last: end, value });
                }
                IpNet::V6(prefix) => {
                    let (start, end) = (prefix.network().to_bits(), prefix.broadcast().to_bits());
                    v6.push(Entry { start: Wide::new(start), last: Wide::new(end), value });
                }
            }
        }
        Self { v4: Flat::new(v4, &mut combine), v6: Flat::new(v6, &mut combine) }
    }

    /// What holds for an address. IPv4-mapped ones are to be made canonical before.
    pub fn value(&self, address: IpAddr) -> Option<u32> {
        match address {
            IpAddr::V4(address) => self.v4.value(address.to_bits()),
            IpAddr::V6(address) => self.v6.value(Wide::new(address.to_bits())),
        }
    }
}

/// A prefix as the range that it is.
#[derive(Debug, Clone, Copy)]
struct Entry<K> {
    start: K,
    last: K,
    value: u32,
}

/// An address as a number.
trait Address: Copy + Ord {
    /// The next one; `None` after the last.
    fn next(self) -> Option<Self>;

    /// How far it lies above `other`, which is not above it, in steps of two to the power of `shift`.
    fn steps_above(self, other: Self, shift: u32) -> usize;

    /// How many bits it takes to say how far it lies above `other`.
    fn bits_above(self, other: Self) -> u32;
}

impl Address for u32 {
    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }

    fn steps_above(self, other: Self, shift: u32) -> usize {
        (self - other).checked_shr(shift).unwrap_or(0) as usize
    }

    fn bits_above(self, other: Self) -> u32 {
        Self::BITS - (self - other).leading_zeros()
    }
}

/// An IPv6 address: in halves, as a `u128` would be aligned to 16 bytes and take 32 beside a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Wide {
    high: u64,
    low: u64,
}

impl Wide {
    const fn new(bits: u128) -> Self {
        Self { high: (bits >> 64) as u64, low: bits as u64 }
    }

    const fn bits(self) -> u128 {
        (self.high as u128) << 64 | self.low as u128
    }
}

impl Address for Wide {
    fn next(self) -> Option<Self> {
        self.bits().checked_add(1).map(Self::new)
    }

    fn steps_above(self, other: Self, shift: u32) -> usize {
        let steps = (self.bits() - other.bits()).checked_shr(shift).unwrap_or(0);
        // An address far above the last range is as many steps away as there can be, not as the low bits say.
        usize::try_from(steps).unwrap_or(usize::MAX)
    }

    fn bits_above(self, other: Self) -> u32 {
        u128::BITS - (self.bits() - other.bits()).leading_zeros()
    }
}

/// The ranges of one family, in order. Each ends where the next begins.
#[derive(Debug, PartialEq, Eq)]
struct Flat<K> {
    ranges: Vec<(K, u32)>,
    /// For each step above the first range, how many ranges begin before that step does.
    index: Vec<u32>,
    shift: u32,
}

impl<K> Default for Flat<K> {
    fn default() -> Self {
        Self { ranges: Vec::new(), index: Vec::new(), shift: 0 }
    }
}

impl<K: Address> Flat<K> {
    fn new(mut entries: Vec<Entry<K>>, combine: &mut impl FnMut(u32, u32) -> u32) -> Self {
        // A prefix after those that it lies in; of the same one, in the order of their values.
        entries.sort_unstable_by(|one, other| {
            (one.start, other.last, one.value).cmp(&(other.start, one.last, other.value))
        });
        let mut ranges = Vec::with_capacity(entries.len() * 2);
        // What is open at a point, the widest first, each with what holds in it.
        let mut open: Vec<(K, u32)> = Vec::new();
        for entry in entries {
            close(&mut ranges, &mut open, |last| last < entry.start);
            let value = open.last().map_or(entry.value, |(_, around)| combine(*around, entry.value));
            begin(&mut ranges, entry.start, value);
            open.push((entry.last, value));
        }
        close(&mut ranges, &mut open, |_| true);
        ranges.shrink_to_fit();
        Self::indexed(ranges)
    }

    fn indexed(ranges: Vec<(K, u32)>) -> Self {
        let [(first, _), .., (last, _)] = ranges[..] else {
            return Self { ranges, index: Vec::new(), shift: 0 };
        };
        // About one step for every two ranges, were they spread evenly.
        let steps_bits = (ranges.len() / 2).max(1).ilog2();
        let shift = last.bits_above(first).saturating_sub(steps_bits);
        let steps = last.steps_above(first, shift) + 1;
        let mut index = Vec::with_capacity(steps + 1);
        for (place, (start, _)) in (0u32..).zip(&ranges) {
            index.resize(index.len().max(start.steps_above(first, shift) + 1), place);
        }
        index.push(ranges.len() as u32);
        Self { ranges, index, shift }
    }

    fn value(&self, key: K) -> Option<u32> {
        let (first, _) = self.ranges.first().filter(|(first, _)| *first <= key)?;
        // The last range goes on to the end of the address space.
        let step = key.steps_above(*first, self.shift).min(self.index.len().saturating_sub(2));
        let (from, to) = match self.index.get(step..step + 2) {
            Some([from, to]) => (*from as usize, *to as usize),
            _ => (0, self.ranges.len()),
        };
        let within = self.ranges[from..to].partition_point(|(start, _)| *start <= key);
        // With none in this step, the last one before it holds.
        let (_, value) = self.ranges[(from + within).checked_sub(1)?];
        (value != NONE).then_some(value)
    }
}

/// Ends the open ranges that `is_over` says so of: what holds around them holds again.
fn close<K: Address>(ranges: &mut Vec<(K, u32)>, open: &mut Vec<(K, u32)>, is_over: impl Fn(K) -> bool) {
    while let Some((last, _)) = open.pop_if(|(last, _)| is_over(*last)) {
        if let Some(after) = last.next() {
            begin(ranges, after, open.last().map_or(NONE, |(_, around)| *around));
        }
    }
}

/// From `start` on, `value` holds.
fn begin<K: Address>(ranges: &mut Vec<(K, u32)>, start: K, value: u32) {
    // Two that begin at one address: the later is the narrower one, or what follows the wider one.
    if ranges.last().is_some_and(|(last, _)| *last == start) {
        ranges.pop();
    }
    if ranges.last().is_none_or(|(_, before)| *before != value) {
        ranges.push((start, value));
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use ipnet::{Ipv4Net, Ipv6Net};
    use proptest::prelude::*;

    use super::*;

    /// The narrower one wins.
    fn narrowest(prefixes: &[(IpNet, u32)]) -> Ranges {
        Ranges::new(prefixes.iter().copied(), |_, own| own)
    }

    fn net(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    #[test]
    fn the_ends_of_the_address_space_are_in_it() {
        let ranges = narrowest(&[(net("0.0.0.0/0"), 1), (net("255.255.255.255/32"), 2), (net("::/0"), 3)]);
        let value = |text: &str| ranges.value(text.parse().unwrap());
        assert_eq!(value("0.0.0.0"), Some(1));
        assert_eq!(value("255.255.255.254"), Some(1));
        assert_eq!(value("255.255.255.255"), Some(2));
        assert_eq!(value("::"), Some(3));
        assert_eq!(value("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), Some(3));
        // All ranges close together, the address far above them.
        let close = narrowest(&[
            (net("2001:db8::1/128"), 1),
            (net("2001:db8::3/128"), 2),
            (net("2001:db8::5/128"), 3),
        ]);
        for (address, value) in
            [("2001:db8::3", Some(2)), ("2001:db8:0:1::3", None), ("ffff::3", None), ("::3", None)]
        {
            assert_eq!(close.value(address.parse().unwrap()), value, "{address}");
        }
        assert_eq!(Ranges::default().value("192.0.2.1".parse().unwrap()), None);
    }

    #[test]
    fn what_holds_around_a_prefix_is_told_beside_its_own() {
        let prefixes = [
            (net("10.0.0.0/8"), 1),
            (net("10.1.0.0/16"), 2),
            (net("10.1.0.0/16"), 4),
            (net("10.1.2.0/24"), 8),
        ];
        let ranges = Ranges::new(prefixes, |around, own| around | own);
        let value = |text: &str| ranges.value(text.parse().unwrap());
        assert_eq!(value("10.1.2.3"), Some(15));
        assert_eq!(value("10.1.3.0"), Some(7));
        assert_eq!(value("10.2.0.0"), Some(1));
        assert_eq!(value("11.0.0.0"), None);
        assert_eq!(value("9.255.255.255"), None);
    }

    fn any_prefix() -> impl Strategy<Value = (IpNet, u32)> {
        // Few addresses, so that prefixes nest and meet.
        let v4 = (0u32..64, 0u8..=32).prop_map(|(bits, length)| {
            IpNet::V4(Ipv4Net::new(Ipv4Addr::from_bits(bits << 26 | bits), length).unwrap().trunc())
        });
        let v6 = (0u128..64, 0u8..=128).prop_map(|(bits, length)| {
            IpNet::V6(Ipv6Net::new(Ipv6Addr::from_bits(bits << 122 | bits), length).unwrap().trunc())
        });
        (prop_oneof![3 => v4, 1 => v6], 0u32..1000)
    }

    proptest! {
        /// The same as looking through all of them.
        #[test]
        fn as_a_scan_says(prefixes in prop::collection::vec(any_prefix(), 0..300), asked in any::<u32>(), near in any::<prop::sample::Index>()) {
            // One value a prefix: of two the order of values would decide.
            let prefixes: std::collections::BTreeMap<IpNet, u32> = prefixes.into_iter().collect();
            let prefixes: Vec<(IpNet, u32)> = prefixes.into_iter().collect();
            let ranges = narrowest(&prefixes);
            let mut addresses = vec![IpAddr::V4(Ipv4Addr::from_bits(asked)), IpAddr::V6(Ipv6Addr::from_bits(u128::from(asked) << 96))];
            if !prefixes.is_empty() {
                let prefix = prefixes[near.index(prefixes.len())].0;
                addresses.extend([prefix.network(), prefix.broadcast()]);
                match prefix {
                    IpNet::V4(prefix) => addresses.push(IpAddr::V4(Ipv4Addr::from_bits(prefix.broadcast().to_bits().wrapping_add(1)))),
                    IpNet::V6(prefix) => addresses.push(IpAddr::V6(Ipv6Addr::from_bits(prefix.network().to_bits().wrapping_sub(1)))),
                }
            }
            for address in addresses {
                let holding = prefixes.iter().filter(|(prefix, _)| prefix.contains(&address));
                let expected = holding.max_by_key(|(prefix, _)| prefix.prefix_len()).map(|(_, value)| *value);
                prop_assert_eq!(ranges.value(address), expected, "{}", address);
            }
        }
    }
}
