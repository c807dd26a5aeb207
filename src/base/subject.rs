//! Per what we count: scopes, pairs of them, and one thing counted.

use std::fmt;

use super::net::Prefix;
use super::room::Room;

/// Per what a rule counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// The owner of the key: several keys of one account share.
    Account,
    /// One key.
    Key,
    /// The client's IPv4 address or IPv6 /64.
    Proxy,
    /// The client's /24 or /48.
    Subnet,
    /// The autonomous system that announces the client's address.
    Asn,
    /// The live room asked for.
    Room,
    /// The client library.
    Library,
    /// Everything together.
    Total,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Account,
        Self::Key,
        Self::Proxy,
        Self::Subnet,
        Self::Asn,
        Self::Room,
        Self::Library,
        Self::Total,
    ];

    /// The word in policies.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Key => "key",
            Self::Proxy => "proxy",
            Self::Subnet => "subnet",
            Self::Asn => "asn",
            Self::Room => "room",
            Self::Library => "library",
            Self::Total => "total",
        }
    }

    /// The scope of that [`word`](Self::word).
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.word() == word)
    }

    /// The word in a `limit_label`: clients have seen `room_id` there for years.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Room => "room_id",
            other => other.word(),
        }
    }

    /// Whether anybody can make new subjects of it at will, so that its records need a cap. Accounts and keys come from
    /// the policy, autonomous systems from the networks table.
    pub const fn grows_by_strangers(self) -> bool {
        matches!(self, Self::Proxy | Self::Subnet | Self::Room)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// One scope, or two: `proxy+room` counts per room of each proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scopes {
    /// The first, in the order of [`Scope`]: `room+proxy` and `proxy+room` are one pair.
    pub first: Scope,
    /// The second of a pair.
    pub second: Option<Scope>,
}

impl Scopes {
    /// Of one scope.
    pub const fn one(first: Scope) -> Self {
        Self { first, second: None }
    }

    /// Of two different ones.
    pub fn pair(one: Scope, other: Scope) -> Option<Self> {
        (one != other).then(|| Self { first: one.min(other), second: Some(one.max(other)) })
    }

    /// Reads `proxy` or `proxy+room`.
    pub fn parse(text: &str) -> Option<Self> {
        match text.split_once('+') {
            None => Scope::from_word(text).map(Self::one),
            Some((one, other)) => Self::pair(Scope::from_word(one.trim())?, Scope::from_word(other.trim())?),
        }
    }

    /// Whether anybody can make new subjects of it at will.
    pub fn grows_by_strangers(self) -> bool {
        self.first.grows_by_strangers() || self.second.is_some_and(Scope::grows_by_strangers)
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.first.word())?;
        self.second.map_or(Ok(()), |second| write!(f, "+{second}"))
    }
}

/// One thing counted, in 16 bytes: exact for an address, a room's number and an autonomous system, a hash of 119 bits or
/// more for everything that is a text; a pair holds 64 bits of address beside 48 bits of hash, or a hash of each half.
///
/// A pair's short hash can be made to collide only by the caller whose own address stands beside it, and then two of
/// the caller's own subjects share a count: nothing is gained by it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject {
    high: u64,
    low: u64,
}

/// What `high` says in its top byte: how the rest is to be read.
const TAG_SHIFT: u32 = 56;
const TAG_ADDRESS: u64 = 1;
const TAG_PAIR_WITH_ADDRESS: u64 = 2;
const TAG_NUMBER: u64 = 3;
const TAG_TEXT: u64 = 4;
const TAG_PAIR: u64 = 5;
const TAG_TOTAL: u64 = 6;
const TAG_BUCKET: u64 = 7;
const TAG_ROOM: u64 = 8;

impl Subject {
    /// Everything together.
    pub const TOTAL: Self = Self { high: TAG_TOTAL << TAG_SHIFT, low: 0 };

    /// An address, or a wider prefix.
    pub fn prefix(prefix: Prefix) -> Self {
        Self { high: TAG_ADDRESS << TAG_SHIFT | prefix_bits(prefix), low: prefix.bits() }
    }

    /// A number: an autonomous system, a library.
    pub const fn number(number: u64) -> Self {
        Self { high: TAG_NUMBER << TAG_SHIFT, low: number }
    }

    /// A text: an account's or a key's name. Hashed once, when the policy is compiled.
    pub fn text(kind: Scope, text: &str) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(kind.word().as_bytes()).update(b"\0").update(text.as_bytes());
        let (high, low) = halves(&hasher.finalize());
        Self { high: TAG_TEXT << TAG_SHIFT | high >> 8, low }
    }

    /// A room.
    pub fn room(room: &Room) -> Self {
        match room {
            Room::Id(id) => Self { high: TAG_ROOM << TAG_SHIFT, low: *id },
            Room::Anchor(name) => {
                let text = Self::text(Scope::Room, name.as_str());
                Self { high: TAG_ROOM << TAG_SHIFT | text.high & REST_MASK | 1, low: text.low }
            }
        }
    }

    /// Two subjects together, in the order of [`Scope`]. An address stays legible, and the first half of any other pair
    /// stays apart from the second, so that records can be folded without mixing one account's with another's.
    pub fn pair(first: Self, second: Self) -> Self {
        let (address, other) = match (first.tag(), second.tag()) {
            (TAG_ADDRESS, _) => (first, second),
            (_, TAG_ADDRESS) => (second, first),
            _ => {
                let first_is_open = u64::from(first.tag() == TAG_ROOM);
                let high =
                    TAG_PAIR << TAG_SHIFT | mix(first.high, first.low) & REST_MASK & !1 | first_is_open;
                return Self { high, low: mix(second.high, second.low).max(1) };
            }
        };
        let hash = mix(other.high, other.low) & OTHER_MASK;
        let family_and_length = (address.high & 0xff) << OTHER_BITS;
        Self { high: TAG_PAIR_WITH_ADDRESS << TAG_SHIFT | family_and_length | hash, low: address.low }
    }

    /// The prefix in it, where there is one.
    pub fn as_prefix(self) -> Option<Prefix> {
        let coded = match self.tag() {
            TAG_ADDRESS => self.high & 0xff,
            TAG_PAIR_WITH_ADDRESS => self.high >> OTHER_BITS & 0xff,
            _ => return None,
        };
        Some(Prefix::from_parts(self.low, (coded & 0x7f) as u8, coded & 0x80 != 0))
    }

    /// The wider subject that this one's record is folded into when there are too many: for an address (alone or in a
    /// pair) the next wider prefix; for a pair of others its first half; above these one of 256 buckets. `None` for a
    /// bucket itself, and for an account's or a key's half of a pair: strangers cannot make these.
    pub fn parent(self) -> Option<Self> {
        match (self.tag(), self.as_prefix().and_then(Prefix::parent)) {
            (TAG_BUCKET | TAG_TOTAL, _) => None,
            // The pair's other half is dropped: one record for all of the prefix's pairs.
            (TAG_PAIR_WITH_ADDRESS, Some(wider)) => Some(Self {
                high: TAG_PAIR_WITH_ADDRESS << TAG_SHIFT | prefix_bits(wider) << OTHER_BITS,
                low: wider.bits(),
            }),
            (_, Some(wider)) => Some(Self::prefix(wider)),
            (TAG_PAIR, None) if self.low != 0 => Some(Self { high: self.high, low: 0 }),
            (TAG_PAIR, None) if self.high & 1 == 0 => None,
            (_, None) => Some(Self { high: TAG_BUCKET << TAG_SHIFT, low: self.bucket() }),
        }
    }

    /// How wide it is on the way of its [`parent`](Self::parent)s: 0 as requests bring it, 1 a /24, a /48 or half of a pair, 2
    /// a /16 or a /32, 3 a bucket.
    pub fn width(self) -> u8 {
        match (self.tag(), self.as_prefix()) {
            (TAG_BUCKET, _) => 3,
            (TAG_PAIR, _) => u8::from(self.low == 0),
            (_, Some(prefix)) => match (prefix.is_v6(), prefix.length()) {
                (false, 25..) | (true, 49..) => 0,
                (false, 17..) | (true, 33..) => 1,
                _ => 2,
            },
            _ => 0,
        }
    }

    /// Which of 256 buckets this is in: the same for a subject and for all that it folds into, so that whatever is
    /// placed by it (a shard) keeps the whole family together, and folding never needs two locks.
    pub fn bucket(self) -> u64 {
        match (self.tag(), self.as_prefix()) {
            (TAG_BUCKET, _) => self.low,
            (_, Some(prefix)) => mix(prefix.widest_parent().bits(), u64::from(prefix.is_v6())) & 0xff,
            (TAG_PAIR, None) => mix(self.high, 0) & 0xff,
            (_, None) => mix(self.high, self.low) & 0xff,
        }
    }

    /// The two halves, as they are stored.
    pub const fn halves(self) -> (u64, u64) {
        (self.high, self.low)
    }

    /// Puts a subject together again from its [`halves`](Self::halves).
    pub const fn from_halves(high: u64, low: u64) -> Self {
        Self { high, low }
    }

    const fn tag(self) -> u64 {
        self.high >> TAG_SHIFT
    }
}

/// How many bits of a pair's `high` hold the hash of what stands beside the address.
const OTHER_BITS: u32 = 48;
const OTHER_MASK: u64 = (1 << OTHER_BITS) - 1;
const REST_MASK: u64 = (1 << TAG_SHIFT) - 1;

fn prefix_bits(prefix: Prefix) -> u64 {
    u64::from(prefix.length()) | u64::from(prefix.is_v6()) << 7
}

fn halves(hash: &blake3::Hash) -> (u64, u64) {
    let bytes = hash.as_bytes();
    let number = |from: usize| bytes[from..from + 8].iter().fold(0, |all, byte| all << 8 | u64::from(*byte));
    (number(0), number(8))
}

/// Mixes two words into one: the finisher of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014) over their combination. Fixed,
/// not seeded: counters are stored under it, and a decision must not hang on a seed.
const fn mix(a: u64, b: u64) -> u64 {
    let mut x = a.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ b;
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.tag(), self.as_prefix()) {
            (TAG_ADDRESS, Some(prefix)) => write!(f, "{prefix}"),
            (TAG_PAIR_WITH_ADDRESS, Some(prefix)) => write!(f, "{prefix}+{:x}", self.high & OTHER_MASK),
            _ => write!(f, "{:016x}{:016x}", self.high, self.low),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Subject {
        Subject::prefix(Prefix::proxy(text.parse().unwrap()))
    }

    #[test]
    fn scopes_parse_in_either_order() {
        assert_eq!(Scopes::parse("room+proxy"), Scopes::parse("proxy + room"));
        assert_eq!(Scopes::parse("proxy+room").unwrap().to_string(), "proxy+room");
        for bad in ["proxies", "proxy+proxy", "proxy+", "a+b", "proxy+room+key", ""] {
            assert_eq!(Scopes::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn an_address_stays_legible_in_a_pair() {
        let room = Subject::room(&Room::Id(7));
        let pair = Subject::pair(room, address("2001:db8:1:2::1"));
        assert_eq!(pair, Subject::pair(address("2001:db8:1:2::1"), room));
        assert_eq!(pair.as_prefix().unwrap().to_string(), "2001:db8:1:2::/64");
        assert_eq!(pair.parent().unwrap().as_prefix().unwrap().to_string(), "2001:db8:1::/48");
        assert_ne!(pair, Subject::pair(address("2001:db8:1:2::1"), Subject::room(&Room::Id(8))));
        assert_ne!(Subject::room(&Room::Id(7)), Subject::number(7));
    }

    #[test]
    fn all_that_folds_together_is_placed_together() {
        for (subject, parents) in [
            (address("203.0.113.7"), 3),
            (Subject::pair(address("203.0.113.7"), Subject::room(&Room::Id(7))), 3),
            (address("2001:db8::1"), 3),
            (Subject::room(&Room::Id(7)), 1),
            (Subject::text(Scope::Account, "a"), 1),
            (Subject::pair(Subject::text(Scope::Account, "a"), Subject::room(&Room::Id(7))), 1),
            (Subject::pair(Subject::room(&Room::Id(7)), Subject::number(1)), 2),
        ] {
            let chain: Vec<_> = std::iter::successors(subject.parent(), |parent| parent.parent()).collect();
            assert_eq!(chain.len(), parents, "{chain:?}");
            assert!(chain.iter().all(|parent| parent.bucket() == subject.bucket()), "{chain:?}");
            assert!(chain.is_sorted_by_key(|parent| parent.width()) && subject.width() == 0, "{chain:?}");
        }
    }
}
