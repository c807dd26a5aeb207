//! What an operator orders a running gateway: to ban, to lift, to promote, to pardon.
//!
//! An order is plain data with a text form, which stands in the access record, so that replay follows it, too. It names a ban
//! by whom it is about and not by its number: numbers are another run's.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use super::Engine;
use super::operator::{BanTarget, OperatorBan, Untaken};
use super::viewbot::Shelf;
use super::viewbot::bans::{Ban, Target};
use crate::base::id::AccountId;
use crate::base::net::Prefix;
use crate::base::rate::{LengthText, parse_length};
use crate::base::room::Room;
use crate::base::time::Timestamp;

/// One order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// To ban.
    Ban {
        /// Whom.
        target: BanTarget,
        /// Until when.
        until: Timestamp,
        /// Why, as the caller is told.
        reason: String,
    },
    /// To lift a ban of the operator's.
    Lift(BanTarget),
    /// To lift what view-bot detection convicted.
    Free(Shelf, Target),
    /// To make a conviction in shadow real.
    Promote(Target),
    /// To drop a room's excess and all that was derived from it, and to look away for a while.
    Pardon {
        /// Which.
        room: Room,
        /// For how long.
        length: Duration,
    },
}

/// What came of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Obeyed {
    /// A ban stands, perhaps in place of another.
    Banned(Arc<OperatorBan>, Option<Arc<OperatorBan>>),
    /// A ban of the operator's is lifted.
    Lifted(Arc<OperatorBan>),
    /// A conviction is.
    Freed(Arc<Ban>),
    /// A conviction is real, as this ban.
    Promoted(Arc<Ban>),
    /// A room is pardoned, and with it went so many bans.
    Pardoned(usize),
}

/// Why an order was not obeyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Disobeyed {
    /// The ban cannot be taken.
    #[error(transparent)]
    Untaken(#[from] Untaken),
    /// There is no such ban.
    #[error("there is no such ban: it has ended, or was lifted")]
    NoSuchBan,
}

impl Order {
    /// The word of its event.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Ban { .. } => "ban",
            Self::Lift(_) | Self::Free(..) => "lift",
            Self::Promote(_) => "promote",
            Self::Pardon { .. } => "pardon",
        }
    }

    /// Reads what the display of an order prints, behind the word of its event.
    pub fn parse(word: &str, text: &str) -> Option<Self> {
        let (first, rest) = text.split_once(' ')?;
        Some(match word {
            "ban" => {
                let mut words = rest.splitn(3, ' ');
                let target = BanTarget::parse(first, words.next()?).ok()?;
                let until = Timestamp::from_millis(words.next()?.parse().ok().filter(|at| *at < MILLIS_MAX)?);
                Self::Ban { target, until, reason: words.next()?.to_owned() }
            }
            "lift" => match SHELVES.iter().find(|(known, _)| *known == first) {
                Some((_, shelf)) => Self::Free(*shelf, Target::parse(rest)?),
                None => Self::Lift(BanTarget::parse(first, rest).ok()?),
            },
            "promote" if first == "shadow" => Self::Promote(Target::parse(rest)?),
            "pardon" => Self::Pardon { room: Room::parse(first).ok()?, length: parse_length(rest).ok()? },
            _ => return None,
        })
    }
}

/// What an order is about, as far as it names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct About<'o> {
    /// A network: an address, or a prefix.
    pub network: Option<IpNet>,
    /// A room.
    pub room: Option<Room>,
    /// An account.
    pub account: Option<&'o AccountId>,
}

impl Order {
    /// What it is about.
    pub fn about(&self) -> About<'_> {
        let nothing = About::default();
        match self {
            Self::Ban { target, .. } | Self::Lift(target) => match target {
                BanTarget::Prefix(prefix) => About { network: Some(*prefix), ..nothing },
                BanTarget::Account(account) => About { account: Some(account), ..nothing },
                BanTarget::Room(room) => About { room: Some(*room), ..nothing },
                BanTarget::Asn(_) | BanTarget::Key(_) => nothing,
            },
            Self::Free(_, target) | Self::Promote(target) => {
                let network =
                    target.network().and_then(|prefix| IpNet::new(prefix.first(), prefix.length()).ok());
                About { network, room: target.room(), ..nothing }
            }
            Self::Pardon { room, .. } => About { room: Some(*room), ..nothing },
        }
    }

    /// The same with each address cut as the access record cuts those of its requests after a while: to the first of its
    /// subnet. So it is about the same requests of a record that is cut.
    #[must_use]
    pub fn cut(&self) -> Self {
        let cut = |target: &BanTarget| match target {
            BanTarget::Prefix(prefix) => {
                let subnet = Prefix::subnet(prefix.addr());
                let length = prefix.prefix_len();
                let first = IpNet::new(subnet.first(), length).map_or(*prefix, |cut| cut.trunc());
                BanTarget::Prefix(if length > subnet.length() { first } else { *prefix })
            }
            other => other.clone(),
        };
        match self {
            Self::Ban { target, until, reason } => {
                Self::Ban { target: cut(target), until: *until, reason: reason.clone() }
            }
            Self::Lift(target) => Self::Lift(cut(target)),
            Self::Free(shelf, target) => Self::Free(*shelf, target.cut()),
            Self::Promote(target) => Self::Promote(target.cut()),
            Self::Pardon { .. } => self.clone(),
        }
    }
}

/// The words of events that are orders.
pub const WORDS: [&str; 4] = ["ban", "lift", "promote", "pardon"];

/// The year 2554, where nanoseconds in 64 bits end.
const MILLIS_MAX: u64 = u64::MAX / 1_000_000;

const SHELVES: [(&str, Shelf); 3] =
    [("enforced", Shelf::Enforced), ("shadow", Shelf::Shadow), ("promoted", Shelf::Promoted)];

/// `prefix 203.0.113.0/24 1800007200000 spam`, `enforced address 192.0.2.7`, `@streamer 1h`.
impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ban { target, until, reason } => {
                write!(f, "{} {target} {} {reason}", target.word(), until.as_millis())
            }
            Self::Lift(target) => write!(f, "{} {target}", target.word()),
            Self::Free(shelf, target) => write!(f, "{} {target}", shelf.word()),
            Self::Promote(target) => write!(f, "shadow {target}"),
            Self::Pardon { room, length } => write!(f, "{room} {}", LengthText(*length)),
        }
    }
}

impl Shelf {
    /// The word in lists and records.
    pub fn word(self) -> &'static str {
        SHELVES[self as usize].0
    }
}

impl Engine {
    /// Does what an operator orders.
    pub fn obey(&self, order: &Order, now: Timestamp) -> Result<Obeyed, Disobeyed> {
        let find = |shelf: Shelf, target: &Target| {
            let bans = self.viewbot.shelf(shelf).list(now);
            bans.into_iter().find(|ban| ban.target == *target).ok_or(Disobeyed::NoSuchBan)
        };
        Ok(match order {
            Order::Ban { target, until, reason } => {
                // A room that is known by its number is banned by it, whatever it is called.
                let target = match target {
                    BanTarget::Room(room) => BanTarget::Room(self.viewbot.canonical(*room, now)),
                    other => other.clone(),
                };
                let (ban, replaced) = self.operator_bans.add(target, reason, *until, now)?;
                Obeyed::Banned(ban, replaced)
            }
            Order::Lift(target) => {
                let bans = self.operator_bans.list(now);
                let id = bans.iter().find(|ban| ban.target == *target).map(|ban| ban.id);
                let lifted = id.and_then(|id| self.operator_bans.lift(id, now));
                Obeyed::Lifted(lifted.ok_or(Disobeyed::NoSuchBan)?)
            }
            Order::Free(shelf, target) => {
                let id = find(*shelf, target)?.id;
                Obeyed::Freed(self.viewbot.lift_from(*shelf, id, now).ok_or(Disobeyed::NoSuchBan)?)
            }
            Order::Promote(target) => {
                let id = find(Shelf::Shadow, target)?.id;
                Obeyed::Promoted(self.viewbot.promote(id, now).ok_or(Disobeyed::NoSuchBan)?)
            }
            Order::Pardon { room, length } => Obeyed::Pardoned(self.viewbot.pardon(*room, *length, now)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_order_prints_it_reads() {
        let orders = [
            Order::Ban {
                target: BanTarget::parse("prefix", "203.0.113.0/24").unwrap(),
                until: Timestamp::from_secs(1_800_000_000),
                reason: "rented machines, view-bots".into(),
            },
            Order::Lift(BanTarget::parse("account", "overlay-suite").unwrap()),
            Order::Free(Shelf::Promoted, Target::parse("address 192.0.2.7").unwrap()),
            Order::Promote(Target::parse("subnet-in-room 192.0.2.0/24 7").unwrap()),
            Order::Pardon { room: Room::parse("@streamer").unwrap(), length: Duration::from_secs(5400) },
        ];
        for order in &orders {
            assert_eq!(Order::parse(order.word(), &order.to_string()).as_ref(), Some(order), "{order}");
            assert!(WORDS.contains(&order.word()));
        }
        let about = orders.each_ref().map(Order::about);
        assert_eq!(about[0].network.map(|network| network.to_string()).as_deref(), Some("203.0.113.0/24"));
        assert_eq!(about[1].account.map(AccountId::as_str), Some("overlay-suite"));
        assert_eq!(about[2].network.map(|network| network.to_string()).as_deref(), Some("192.0.2.7/32"));
        assert_eq!(about[3].room, Some(Room::Id(7)));
        assert_eq!(about[4], About { room: Some(Room::parse("@streamer").unwrap()), ..About::default() });
        for (word, text, cut) in [
            ("ban", "prefix 203.0.113.7 1800000000000 x", "prefix 203.0.113.0 1800000000000 x"),
            ("ban", "prefix 203.0.112.0/22 1800000000000 x", "prefix 203.0.112.0/22 1800000000000 x"),
            ("ban", "prefix 203.0.113.8/30 1800000000000 x", "prefix 203.0.113.0/30 1800000000000 x"),
            ("lift", "prefix 2001:db8:1:2::/64", "prefix 2001:db8:1::/64"),
            ("lift", "enforced address 192.0.2.7", "enforced address 192.0.2.0"),
            ("promote", "shadow viewer-in-room 192.0.2.7 abc 7", "shadow viewer-in-room 192.0.2.0 abc 7"),
            ("pardon", "@streamer 1h", "@streamer 1h"),
        ] {
            let order = Order::parse(word, text).unwrap();
            assert_eq!(order.cut().to_string(), cut);
            assert_eq!(order.cut().cut(), order.cut(), "a second time changes nothing");
        }
        for (word, bad) in [
            ("ban", "prefix x 1 y"),
            ("ban", "asn 1"),
            ("ban", "asn 1 99999999999999999999 x"),
            ("lift", "shadow planet"),
            ("promote", "enforced address 192.0.2.7"),
            ("pardon", "7"),
            ("reload", "a b"),
        ] {
            assert_eq!(Order::parse(word, bad), None, "{word} {bad}");
        }
        assert!(Shelf::ALL.iter().zip(SHELVES).all(|(shelf, (_, other))| *shelf == other));
    }
}
