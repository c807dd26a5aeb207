//! One request as view-bot detection sees it: who, from where, with what, for which room.

use crate::base::net::Prefix;
use crate::base::operation::Operation;
use crate::base::room::Room;
use crate::base::subject::Subject;
use crate::engine::assess::Who;
use crate::engine::facts::{Facts, TargetClaim};
use crate::policy::PolicySet;
use crate::policy::networks::Network;
use crate::policy::set::TierClass;

use super::arith::{mix, number_of};

/// An IPv4 address, or an IPv6 /64 (README: *proxy*). The two never meet: no /64 that is routed begins with 32 zero bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(u64);

impl Address {
    /// Of a client.
    pub fn of(prefix: Prefix) -> Self {
        Self(prefix.bits())
    }

    /// Its /24 or /48.
    pub fn subnet(self) -> Subnet {
        Subnet(if self.is_v6() { self.0 >> 16 << 16 } else { self.0 >> 8 << 8 | SUBNET_V4 })
    }

    /// What stands for all addresses of its subnet where they are one.
    pub(super) fn first_of_subnet(self) -> Self {
        Self(if self.is_v6() { self.0 >> 16 << 16 } else { self.0 >> 8 << 8 })
    }

    /// Its /16 or /32, for whoever has no table of networks.
    fn wide(self) -> Wide {
        Wide(if self.is_v6() { self.0 >> 32 << 32 } else { self.0 >> 16 << 16 })
    }

    fn is_v6(self) -> bool {
        self.0 >> 32 != 0
    }

    /// Nobody's.
    pub(super) const NONE: Self = Self(0);

    /// The number itself, to sort and to export by.
    pub const fn number(self) -> u64 {
        self.0
    }

    pub(super) fn prefix(self) -> Prefix {
        let is_v6 = self.is_v6();
        Prefix::from_parts(self.0, if is_v6 { 64 } else { 32 }, is_v6)
    }
}

/// The address, or the first address of the /64.
impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.is_v6() {
            write!(f, "{}/64", std::net::Ipv6Addr::from_bits(u128::from(self.0) << 64))
        } else {
            write!(f, "{}", std::net::Ipv4Addr::from_bits(self.0 as u32))
        }
    }
}

const SUBNET_V4: u64 = 1;

/// A /24 or /48.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subnet(u64);

impl Subnet {
    pub(super) const fn to_number(self) -> u64 {
        self.0
    }

    pub(super) fn prefix(self) -> Prefix {
        let is_v6 = self.0 >> 32 != 0;
        if is_v6 {
            Prefix::from_parts(self.0, 48, true)
        } else {
            Prefix::from_parts(self.0 & !SUBNET_V4, 24, false)
        }
    }
}

impl std::fmt::Display for Subnet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0 >> 32 != 0 {
            write!(f, "{}/48", std::net::Ipv6Addr::from_bits(u128::from(self.0) << 64))
        } else {
            write!(f, "{}/24", std::net::Ipv4Addr::from_bits((self.0 & !SUBNET_V4) as u32))
        }
    }
}

/// An autonomous system, or a /16 or /32 where no table says which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Wide(u64);

impl Wide {
    /// Whether a table names it: else it is a guess, which may hold one subnet alone.
    pub(super) fn is_named(self) -> bool {
        self.0 & AUTONOMOUS_SYSTEM != 0 && self.0 as u32 != 0
    }
}

#[cfg(test)]
impl Wide {
    /// One for tests of what is counted by network.
    pub(super) fn example(number: u64) -> Self {
        Self(AUTONOMOUS_SYSTEM | (number + 1))
    }
}

/// Above every IPv4 /16, and unlike an IPv6 /32, whose lower half is zero.
const AUTONOMOUS_SYSTEM: u64 = 1 << 40;

impl std::fmt::Display for Wide {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.is_named() {
            write!(f, "AS{}", self.0 as u32)
        } else if self.0 >> 32 != 0 {
            write!(f, "{}/32", std::net::Ipv6Addr::from_bits(u128::from(self.0) << 64))
        } else {
            write!(f, "{}/16", std::net::Ipv4Addr::from_bits(self.0 as u32))
        }
    }
}

/// Who seems to watch: an address, and the first of device id, session, key and user agent that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Viewer {
    /// Where.
    pub address: Address,
    /// Who, there.
    pub who: u64,
}

impl Viewer {
    /// Of a request, with the number of its key.
    pub(in crate::engine) fn of(facts: &Facts<'_>, who: &Who<'_>) -> (Self, Option<KeyNumber>) {
        let key = who.key_subject().map(|subject| {
            let (high, low) = subject.halves();
            KeyNumber(mix(high, low))
        });
        let who = match (facts.device, facts.session, key) {
            (Some(device), ..) => number_of(1, device.as_bytes()),
            (None, Some(session), _) => number_of(2, session.as_bytes()),
            (None, None, Some(key)) => mix(3, key.0),
            (None, None, None) => number_of(4, facts.user_agent.as_bytes()),
        };
        (Self { address: Address::of(Prefix::proxy(facts.client)), who }, key)
    }
}

/// A library with its user agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub(super) u64);

/// A fingerprint, the class of the key and whether there is a device id: counted, never trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Profile {
    /// The fingerprint.
    pub fingerprint: Fingerprint,
    /// Class and device: below [`SORTS`].
    pub(super) sort: u8,
}

/// Three classes of key, with and without a device id.
pub(super) const SORTS: usize = 6;

impl Profile {
    /// Nobody's.
    pub(super) const NONE: Self = Self { fingerprint: Fingerprint(0), sort: 0 };

    fn new(fingerprint: Fingerprint, class: TierClass, has_device: bool) -> Self {
        let class = match class {
            TierClass::None => 0,
            TierClass::Free => 1,
            TierClass::Paid => 2,
        };
        Self { fingerprint, sort: class * 2 + u8::from(has_device) }
    }

    /// The class of the key.
    pub(super) fn class(self) -> usize {
        usize::from(self.sort / 2)
    }

    /// Whether the key is one that is paid for.
    pub(super) fn is_paid(self) -> bool {
        self.class() == TierClass::Paid as usize
    }

    /// 1 where there is a device id.
    pub(super) fn device(self) -> usize {
        usize::from(self.sort % 2)
    }

    /// One number for it.
    pub(super) fn number(self) -> u64 {
        mix(self.fingerprint.0, self.sort.into())
    }
}

/// A key, by its public id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyNumber(pub(super) u64);

/// The start of a user agent, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Label {
    bytes: [u8; 47],
    length: u8,
}

impl Label {
    pub(super) fn new(text: &str) -> Self {
        let mut bytes = [0; 47];
        let mut length = text.len().min(bytes.len());
        while !text.is_char_boundary(length) {
            length -= 1;
        }
        bytes[..length].copy_from_slice(&text.as_bytes()[..length]);
        Self { bytes, length: length as u8 }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.length)]).unwrap_or_default()
    }
}

/// A room as it is counted, in 16 bytes; and short, where a table of moves remembers it.
pub(super) fn short_room(room: Subject) -> u32 {
    let (high, low) = room.halves();
    (mix(high, low) as u32).max(1)
}

/// One request for a room's live stream.
#[derive(Debug, Clone, Copy)]
pub struct Sighting {
    /// The room, in its one form.
    pub room: Room,
    pub(super) subject: Subject,
    pub(super) short: u32,
    /// Who.
    pub viewer: Viewer,
    pub(super) has_device: bool,
    pub(super) subnet: Subnet,
    pub(super) wide: Wide,
    pub(super) is_hosting: bool,
    /// The table of networks says that many people share its address.
    pub(super) is_shared: bool,
    /// The table of networks says that it is a telephone: its address was another's a minute ago, and will be.
    pub(super) is_mobile: bool,
    /// With what.
    pub profile: Profile,
    pub(super) key: Option<KeyNumber>,
    pub(super) is_free: bool,
    /// Only its address and its program tell who it is.
    pub(super) is_nameless: bool,
    pub(super) label: Label,
}

impl Sighting {
    /// What there is to count of a request; `None` where it adds no viewer to a room's live stream. `room` is the room in its
    /// one form.
    pub(in crate::engine) fn of(
        policy: &PolicySet,
        facts: &Facts<'_>,
        who: &Who<'_>,
        room: Option<Room>,
    ) -> Option<Self> {
        let room = room?;
        if !adds_a_viewer(facts) {
            return None;
        }
        let (viewer, key) = Viewer::of(facts, who);
        let address = viewer.address;
        let class = policy.tier(who.tier).class;
        let fingerprint = Fingerprint(number_of(16 + facts.library.name as u8, facts.user_agent.as_bytes()));
        let subject = Subject::room(&room);
        let network = policy.networks().lookup(facts.client);
        Some(Self {
            room,
            subject,
            short: short_room(subject),
            viewer,
            has_device: facts.device.is_some(),
            subnet: address.subnet(),
            wide: facts.asn.map_or(address.wide(), |asn| Wide(AUTONOMOUS_SYSTEM | u64::from(asn))),
            is_hosting: network.is_some_and(Network::is_hosting),
            // A telephone has a /64 of its own where it has IPv6.
            is_shared: facts.client.is_ipv4() && network.is_some_and(Network::is_shared),
            is_mobile: network.is_some_and(Network::is_mobile),
            profile: Profile::new(fingerprint, class, facts.device.is_some()),
            key,
            is_free: class == TierClass::Free,
            is_nameless: facts.device.is_none() && facts.session.is_none() && key.is_none(),
            label: Label::new(facts.user_agent),
        })
    }
}

impl Sighting {
    /// Whether somebody pays for its key.
    pub(super) fn is_paid(&self) -> bool {
        self.key.is_some() && self.profile.is_paid()
    }
}

/// Whether a request adds a viewer: it connects, or has the URL signed with which a client fetches the live stream. Looking
/// a room up, sending a chat message and asking for limits add none.
fn adds_a_viewer(facts: &Facts<'_>) -> bool {
    match (facts.operation, facts.target) {
        (Operation::Connect, _) => true,
        (Operation::SignUrl, TargetClaim::Url { path, .. }) => {
            let path = path.trim_end_matches('/');
            path.ends_with("/im/fetch") || path.ends_with("/room/enter")
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        Address::of(Prefix::proxy(text.parse().unwrap()))
    }

    #[test]
    fn an_address_prints_and_has_its_parents() {
        let (v4, v6) = (address("192.0.2.7"), address("2001:db8:1:2::9"));
        assert_eq!(v4.to_string(), "192.0.2.7");
        assert_eq!(v6.to_string(), "2001:db8:1:2::/64");
        assert_eq!(v4.subnet().to_string(), "192.0.2.0/24");
        assert_eq!(v6.subnet().to_string(), "2001:db8:1::/48");
        assert_eq!(v4.wide().to_string(), "192.0.0.0/16");
        assert_eq!(v6.wide().to_string(), "2001:db8::/32");
        assert_eq!(Wide(AUTONOMOUS_SYSTEM + 64_500).to_string(), "AS64500");
        assert_eq!(address("::ffff:192.0.2.7"), v4);
    }

    #[test]
    fn a_label_is_cut_between_characters() {
        let text = format!("{}ä", "x".repeat(46));
        assert_eq!(Label::new(&text).as_str(), "x".repeat(46));
    }
}
