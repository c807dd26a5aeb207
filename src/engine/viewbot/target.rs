//! Whom a ban is about, as text: what the record keeps of an operator's order, so that replay finds the same ban again.
//!
//! Addresses and rooms as people write them; viewers, programs and keys as the numbers that they are counted by, which are
//! the same in every run.

use std::fmt;
use std::net::IpAddr;

use super::bans::{Place, RUNGS, Target};
use super::sighting::{Address, Fingerprint, KeyNumber, Profile, SORTS, Subnet, Viewer};
use crate::base::net::Prefix;
use crate::base::room::Room;
use crate::base::subject::Subject;

impl KeyNumber {
    /// Of the key that is counted under this.
    pub fn of(key: Subject) -> Self {
        let (high, low) = key.halves();
        Self(super::arith::mix(high, low))
    }
}

impl Target {
    /// The room that it is bound to, where it is.
    pub const fn room(&self) -> Option<Room> {
        match self {
            Self::ViewerInRoom(_, room)
            | Self::ProfileInRoom(_, _, room)
            | Self::SubnetInRoom(_, room)
            | Self::KeyInRoom(_, room) => Some(*room),
            Self::Profile(..) | Self::Address(_) => None,
        }
    }

    /// The network that it is about, where it is about one: an address, or a subnet.
    pub fn network(&self) -> Option<Prefix> {
        match self {
            Self::SubnetInRoom(subnet, _) => Some(subnet.prefix()),
            _ => self.address().map(Address::prefix),
        }
    }

    /// The same with its address cut to the first of its subnet, as the access record cuts those of requests after a while.
    #[must_use]
    pub fn cut(self) -> Self {
        let cut = |address: Address| Address::of(Prefix::proxy(address.subnet().prefix().first()));
        match self {
            Self::ViewerInRoom(Viewer { address, who }, room) => {
                Self::ViewerInRoom(Viewer { address: cut(address), who }, room)
            }
            Self::ProfileInRoom(address, profile, room) => Self::ProfileInRoom(cut(address), profile, room),
            Self::Profile(address, profile) => Self::Profile(cut(address), profile),
            Self::Address(address) => Self::Address(cut(address)),
            Self::SubnetInRoom(..) | Self::KeyInRoom(..) => self,
        }
    }

    /// Whether it is about an address: it, or the subnet that it lies in.
    pub fn holds(&self, address: Address) -> bool {
        match self {
            Self::SubnetInRoom(subnet, _) => *subnet == address.subnet(),
            _ => self.address() == Some(address),
        }
    }

    /// Its file of a room, where it is kept by one.
    pub(super) fn room_file(&self) -> Option<(Room, Place)> {
        match self {
            Self::SubnetInRoom(subnet, room) => Some((*room, Place::Subnet(*subnet))),
            Self::KeyInRoom(key, room) => Some((*room, Place::Key(*key))),
            _ => None,
        }
    }

    /// Reads what its display prints.
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let rung = words.next()?;
        let mut next = || words.next();
        let target = match RUNGS.iter().position(|known| *known == rung)? {
            0 => {
                let (address, who) = (address(next()?)?, number(next()?)?);
                Self::ViewerInRoom(Viewer { address, who }, room(next()?)?)
            }
            1 => Self::ProfileInRoom(address(next()?)?, profile(next()?, next()?)?, room(next()?)?),
            2 => Self::Profile(address(next()?)?, profile(next()?, next()?)?),
            3 => Self::Address(address(next()?)?),
            4 => Self::SubnetInRoom(subnet(next()?)?, room(next()?)?),
            _ => Self::KeyInRoom(KeyNumber(number(next()?)?), room(next()?)?),
        };
        words.next().is_none().then_some(target)
    }
}

fn address(text: &str) -> Option<Address> {
    let address: IpAddr = text.trim_end_matches("/64").parse().ok()?;
    Some(Address::of(Prefix::proxy(address)))
}

fn subnet(text: &str) -> Option<Subnet> {
    Some(address(text.split('/').next()?)?.subnet())
}

fn number(text: &str) -> Option<u64> {
    u64::from_str_radix(text, 16).ok()
}

fn profile(fingerprint: &str, sort: &str) -> Option<Profile> {
    let sort: u8 = sort.parse().ok().filter(|sort| usize::from(*sort) < SORTS)?;
    Some(Profile { fingerprint: Fingerprint(number(fingerprint)?), sort })
}

fn room(text: &str) -> Option<Room> {
    Room::parse(text).ok()
}

/// `viewer-in-room 192.0.2.7 4f00a1 7300000000000000001`.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())?;
        match self {
            Self::ViewerInRoom(viewer, room) => write!(f, " {} {:x} {room}", viewer.address, viewer.who),
            Self::ProfileInRoom(address, Profile { fingerprint, sort }, room) => {
                write!(f, " {address} {:x} {sort} {room}", fingerprint.0)
            }
            Self::Profile(address, Profile { fingerprint, sort }) => {
                write!(f, " {address} {:x} {sort}", fingerprint.0)
            }
            Self::Address(address) => write!(f, " {address}"),
            Self::SubnetInRoom(subnet, room) => write!(f, " {subnet} {room}"),
            Self::KeyInRoom(key, room) => write!(f, " {:x} {room}", key.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_prints_it_reads() {
        let (v4, v6) = (address("192.0.2.7").unwrap(), address("2001:db8:1:2::").unwrap());
        let (id, name) = (Room::Id(7), Room::parse("@streamer").unwrap());
        let profile = Profile { fingerprint: Fingerprint(u64::MAX), sort: 5 };
        let targets = [
            Target::ViewerInRoom(Viewer { address: v4, who: 0xabc }, id),
            Target::ProfileInRoom(v6, profile, name),
            Target::Profile(v4, profile),
            Target::Address(v6),
            Target::SubnetInRoom(v4.subnet(), name),
            Target::SubnetInRoom(v6.subnet(), id),
            Target::KeyInRoom(KeyNumber(1), id),
        ];
        for target in targets {
            assert_eq!(Target::parse(&target.to_string()), Some(target), "{target}");
        }
        for bad in [
            "",
            "address",
            "address x",
            "address 192.0.2.7 more",
            "planet mars",
            "address-profile 192.0.2.7 1 6",
        ] {
            assert_eq!(Target::parse(bad), None, "{bad}");
        }
        let networks = targets.each_ref().map(|target| target.network().map(|network| network.to_string()));
        let networks = networks.each_ref().map(|network| network.as_deref().unwrap_or("-"));
        let (six, sixes) = ("2001:db8:1:2::/64", "2001:db8:1::/48");
        assert_eq!(networks, ["192.0.2.7", six, "192.0.2.7", six, "192.0.2.0/24", sixes, "-"]);
        let cut = targets.each_ref().map(|target| target.cut().to_string());
        assert_eq!(cut[0], "viewer-in-room 192.0.2.0 abc 7");
        assert_eq!(cut[3], "address 2001:db8:1::/64");
        assert_eq!([&cut[4], &cut[6]], [&targets[4].to_string(), &targets[6].to_string()]);
        assert!(targets[4].holds(v4) && !targets[4].holds(v6) && targets[3].holds(v6));
    }
}
