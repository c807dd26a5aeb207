//! What the operator bans by hand: an account, a key, an autonomous system, a room or a prefix, for a reason and a while.
//!
//! Row 5 of the order of checks (design 3), whatever the mode of view-bot detection; what exempts from blocklists exempts
//! here, too. Kept in memory until there is a store: the process's end ends them, and [`OperatorBans::list`] gives them as
//! plain data. Deliberately absent: anything that loosens what a policy file says.
//!
//! Read far more often than written: a request looks at an immutable set, and where there is no ban at one number.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use ipnet::IpNet;

use super::decision::Matcher;
use crate::base::id::{AccountId, KeyId};
use crate::base::room::Room;
use crate::base::time::Timestamp;
use crate::policy::ranges::Ranges;

/// So many stand at a time. Lists that are longer are feeds.
pub const OPERATOR_BANS_MAX: usize = 10_000;

/// A reason holds at most so many bytes: it is told to the caller.
pub const REASON_BYTES_MAX: usize = 200;

/// Whom the operator bans.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BanTarget {
    /// Whoever comes from there.
    Prefix(IpNet),
    /// Whoever comes from that autonomous system; takes a table of networks in the policy.
    Asn(u32),
    /// Whoever shows a key of the account.
    Account(AccountId),
    /// Whoever shows the key, by its public id.
    Key(KeyId),
    /// Whoever asks for the room.
    Room(Room),
}

impl BanTarget {
    /// The word of the command line.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Prefix(_) => "prefix",
            Self::Asn(_) => "asn",
            Self::Account(_) => "account",
            Self::Key(_) => "key",
            Self::Room(_) => "room",
        }
    }

    /// Reads what stands behind a word. The error says what was expected.
    pub fn parse(word: &str, text: &str) -> Result<Self, String> {
        let target = match word {
            "prefix" => {
                return crate::policy::file::prefix(text).map(Self::Prefix).map_err(|error| match error {
                    crate::policy::file::PrefixError::NotAPrefix => format!(
                        "`{text}` is no prefix: expected an address such as `203.0.113.7`, or `203.0.113.0/24`"
                    ),
                    crate::policy::file::PrefixError::HostBits(meant) => format!(
                        "`{text}` has bits set behind its length: write `{meant}` for all of it, or the address alone"
                    ),
                });
            }
            "asn" => text.trim_start_matches("AS").parse().ok().filter(|asn| *asn > 0).map(Self::Asn),
            "account" => AccountId::new(text).map(Self::Account),
            "key" if text.starts_with(crate::base::secret::KEY_PREFIX) => {
                return Err("a key stands where its public id belongs: take this key for leaked".into());
            }
            "key" => KeyId::new(text).map(Self::Key),
            "room" => return Room::parse(text).map(Self::Room).map_err(|error| format!("`{text}`: {error}")),
            _ => return Err(format!("`{word}` is no kind of ban: prefix, asn, account, key, room")),
        };
        let expected = match word {
            "asn" => "a number such as `64500`, or `AS64500`",
            "account" => "the account's id",
            _ => "the key's public id, such as `k_7f3a`",
        };
        target.ok_or_else(|| format!("`{text}` is no {word}: expected {expected}"))
    }

    /// What of a request it matches.
    pub const fn matcher(&self) -> Matcher {
        match self {
            Self::Prefix(_) => Matcher::Address,
            Self::Asn(_) => Matcher::Asn,
            Self::Account(_) => Matcher::Account,
            Self::Key(_) => Matcher::Key,
            Self::Room(_) => Matcher::Room,
        }
    }
}

/// `203.0.113.0/24`, `AS64500`, `overlay-suite`, `@name`: what [`BanTarget::parse`] reads behind its word.
impl fmt::Display for BanTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prefix(prefix) if prefix.prefix_len() == prefix.max_prefix_len() => {
                write!(f, "{}", prefix.addr())
            }
            Self::Prefix(prefix) => write!(f, "{prefix}"),
            Self::Asn(asn) => write!(f, "AS{asn}"),
            Self::Account(account) => write!(f, "{account}"),
            Self::Key(key) => write!(f, "{key}"),
            Self::Room(room) => write!(f, "{room}"),
        }
    }
}

/// A ban that an operator made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorBan {
    /// By which it is named.
    pub id: u64,
    /// Whom it is about.
    pub target: BanTarget,
    /// Why, as the caller is told.
    pub reason: Arc<str>,
    /// When it was made.
    pub made: Timestamp,
    /// When it ends.
    pub until: Timestamp,
}

/// Why a ban was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Untaken {
    /// There are too many.
    #[error("there are {OPERATOR_BANS_MAX} bans already: put such long lists into a feed of a blocklist")]
    TooMany,
    /// The reason cannot be told to a caller.
    #[error("a reason is 1 to {REASON_BYTES_MAX} bytes of one line: the caller is told it")]
    Reason,
}

/// What one request is looked up by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asking<'a> {
    pub(super) client: IpAddr,
    pub(super) asn: Option<u32>,
    pub(super) account: Option<&'a str>,
    pub(super) key: Option<&'a str>,
    /// As the request named it, and in its one form.
    pub(super) rooms: [Option<Room>; 2],
}

/// All bans of the operator.
#[derive(Debug, Default)]
pub struct OperatorBans {
    set: ArcSwap<Set>,
    count: AtomicUsize,
    /// The last id; held while the set is changed.
    last: Mutex<u64>,
}

/// What stands, immutable.
#[derive(Debug, Default)]
struct Set {
    /// By id.
    bans: Vec<Arc<OperatorBan>>,
    /// Places in `bans`; where prefixes lie within others, of the one that stands longest.
    prefixes: Ranges,
    asns: HashMap<u32, u32>,
    accounts: HashMap<AccountId, u32>,
    keys: HashMap<KeyId, u32>,
    rooms: HashMap<Room, u32>,
}

impl Set {
    fn new(bans: Vec<Arc<OperatorBan>>) -> Self {
        let mut set = Self::default();
        let mut prefixes = Vec::new();
        for (place, ban) in (0u32..).zip(&bans) {
            match &ban.target {
                BanTarget::Prefix(prefix) => prefixes.push((*prefix, place)),
                BanTarget::Asn(asn) => _ = set.asns.insert(*asn, place),
                BanTarget::Account(account) => _ = set.accounts.insert(account.clone(), place),
                BanTarget::Key(key) => _ = set.keys.insert(key.clone(), place),
                BanTarget::Room(room) => _ = set.rooms.insert(*room, place),
            }
        }
        let until = |place: u32| bans[place as usize].until;
        // A narrow ban that ends must not hide a wide one that stands.
        set.prefixes =
            Ranges::new(prefixes, |around, own| if until(own) >= until(around) { own } else { around });
        set.bans = bans;
        set
    }
}

impl OperatorBans {
    /// Whether there is none to look for.
    pub(super) fn is_empty(&self) -> bool {
        self.count.load(Ordering::Relaxed) == 0
    }

    /// Every ban that stands against a request, by id.
    pub(super) fn each(&self, asking: &Asking<'_>, now: Timestamp, mut each: impl FnMut(&Arc<OperatorBan>)) {
        if self.is_empty() {
            return;
        }
        let set = self.set.load();
        let [named, canonical] = asking.rooms;
        let mut places = [
            set.prefixes.value(asking.client),
            asking.asn.and_then(|asn| set.asns.get(&asn).copied()),
            asking.account.and_then(|account| set.accounts.get(account).copied()),
            asking.key.and_then(|key| set.keys.get(key).copied()),
            named.and_then(|room| set.rooms.get(&room).copied()),
            canonical.filter(|_| canonical != named).and_then(|room| set.rooms.get(&room).copied()),
        ];
        places.sort_unstable();
        for place in places.into_iter().flatten() {
            if let Some(ban) = set.bans.get(place as usize).filter(|ban| ban.until > now) {
                each(ban);
            }
        }
    }

    /// Bans. One of the same target is replaced, and given.
    pub fn add(
        &self,
        target: BanTarget,
        reason: &str,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<(Arc<OperatorBan>, Option<Arc<OperatorBan>>), Untaken> {
        if reason.trim().is_empty()
            || reason.len() > REASON_BYTES_MAX
            || reason.chars().any(|letter| letter.is_control() || is_unprintable(letter))
        {
            return Err(Untaken::Reason);
        }
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bans = self.standing(now);
        let replaced = bans.iter().position(|ban| ban.target == target).map(|place| bans.remove(place));
        if bans.len() >= OPERATOR_BANS_MAX {
            return Err(Untaken::TooMany);
        }
        *last += 1;
        let ban = Arc::new(OperatorBan { id: *last, target, reason: reason.into(), made: now, until });
        bans.push(Arc::clone(&ban));
        self.put(bans);
        Ok((ban, replaced))
    }

    /// Lifts one. Gives what was lifted.
    pub fn lift(&self, id: u64, now: Timestamp) -> Option<Arc<OperatorBan>> {
        let _last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bans = self.standing(now);
        let place = bans.iter().position(|ban| ban.id == id)?;
        let lifted = bans.remove(place);
        self.put(bans);
        Some(lifted)
    }

    /// All that stand, by id: what a store would keep.
    pub fn list(&self, now: Timestamp) -> Vec<Arc<OperatorBan>> {
        self.standing(now)
    }

    fn standing(&self, now: Timestamp) -> Vec<Arc<OperatorBan>> {
        self.set.load().bans.iter().filter(|ban| ban.until > now).cloned().collect()
    }

    /// To be called with `last` locked.
    fn put(&self, bans: Vec<Arc<OperatorBan>>) {
        let count = bans.len();
        self.set.store(Arc::new(Set::new(bans)));
        self.count.store(count, Ordering::Relaxed);
    }
}

/// What turns a terminal's or a page's text around.
fn is_unprintable(letter: char) -> bool {
    matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn target(word: &str, text: &str) -> BanTarget {
        BanTarget::parse(word, text).unwrap()
    }

    fn later(secs: u64) -> Timestamp {
        NOW + Duration::from_secs(secs)
    }

    fn asking(client: &str) -> Asking<'_> {
        Asking { client: client.parse().unwrap(), asn: None, account: None, key: None, rooms: [None; 2] }
    }

    fn found(bans: &OperatorBans, asking: &Asking<'_>, now: Timestamp) -> Vec<u64> {
        let mut ids = Vec::new();
        bans.each(asking, now, |ban| ids.push(ban.id));
        ids
    }

    #[test]
    fn each_target_is_found_by_what_a_request_is() {
        let bans = OperatorBans::default();
        let room = Room::parse("@streamer").unwrap();
        for (word, text) in [
            ("prefix", "203.0.113.0/24"),
            ("asn", "AS64500"),
            ("account", "overlay-suite"),
            ("key", "k_7f3a"),
            ("room", "@streamer"),
        ] {
            let ban = bans.add(target(word, text), "spam", later(60), NOW).unwrap().0;
            assert_eq!((ban.target.word(), ban.target.to_string().as_str()), (word, text));
        }
        let elsewhere = asking("192.0.2.1");
        assert_eq!(found(&bans, &elsewhere, NOW), [] as [u64; 0]);
        assert_eq!(found(&bans, &asking("203.0.113.9"), NOW), [1]);
        assert_eq!(found(&bans, &Asking { asn: Some(64_500), ..elsewhere }, NOW), [2]);
        assert_eq!(found(&bans, &Asking { account: Some("overlay-suite"), ..elsewhere }, NOW), [3]);
        assert_eq!(found(&bans, &Asking { key: Some("k_7f3a"), ..elsewhere }, NOW), [4]);
        assert_eq!(found(&bans, &Asking { rooms: [Some(room), Some(Room::Id(7))], ..elsewhere }, NOW), [5]);
        assert_eq!(found(&bans, &Asking { rooms: [Some(room); 2], ..elsewhere }, NOW), [5], "once");
        assert_eq!(found(&bans, &asking("203.0.113.9"), later(60)), [] as [u64; 0], "it ends");
    }

    #[test]
    fn a_narrow_ban_that_ends_does_not_hide_a_wide_one() {
        let bans = OperatorBans::default();
        bans.add(target("prefix", "203.0.0.0/16"), "all", later(100), NOW).unwrap();
        bans.add(target("prefix", "203.0.113.7"), "one", later(10), NOW).unwrap();
        assert_eq!(found(&bans, &asking("203.0.113.7"), later(50)), [1]);
        bans.add(target("prefix", "203.0.113.0/24"), "some", later(500), NOW).unwrap();
        assert_eq!(found(&bans, &asking("203.0.113.7"), later(200)), [3]);
    }

    #[test]
    fn the_same_target_is_banned_once_and_can_be_lifted() {
        let bans = OperatorBans::default();
        let (first, none) = bans.add(target("asn", "1"), "a", later(60), NOW).unwrap();
        assert!(none.is_none());
        let (second, replaced) = bans.add(target("asn", "1"), "b", later(90), NOW).unwrap();
        assert_eq!((replaced.unwrap().id, bans.list(NOW).len()), (first.id, 1));
        assert!(bans.lift(first.id, NOW).is_none());
        assert_eq!(bans.lift(second.id, NOW).unwrap().id, second.id);
        assert_eq!(found(&bans, &Asking { asn: Some(1), ..asking("192.0.2.1") }, NOW), [] as [u64; 0]);
    }

    #[test]
    fn there_is_a_cap_and_what_has_ended_is_not_in_the_way() {
        let bans = OperatorBans::default();
        let set = (1..=OPERATOR_BANS_MAX as u32).map(|asn| OperatorBan {
            id: asn.into(),
            target: BanTarget::Asn(asn),
            reason: "x".into(),
            made: NOW,
            until: later(10),
        });
        bans.put(set.map(Arc::new).collect());
        assert_eq!(bans.add(target("room", "7"), "x", later(60), NOW), Err(Untaken::TooMany));
        assert!(bans.add(target("asn", "9"), "x", later(60), NOW).is_ok(), "one of them again");
        assert!(bans.add(target("room", "7"), "x", later(60), later(11)).is_ok());
    }

    #[test]
    fn reasons_and_targets_that_cannot_be_are_refused() {
        let bans = OperatorBans::default();
        let long = "x".repeat(REASON_BYTES_MAX + 1);
        for reason in ["", " ", "two\nlines", "\u{1b}[31m", "\u{202e}x", &long] {
            assert_eq!(
                bans.add(target("asn", "1"), reason, later(1), NOW),
                Err(Untaken::Reason),
                "{reason:?}"
            );
        }
        for (word, text, why) in [
            ("prefix", "203.0.113.9/24", "203.0.113.0/24"),
            ("prefix", "x", "expected an address"),
            ("asn", "0", "number"),
            ("asn", "-1", "number"),
            ("account", "a b", "account's id"),
            ("key", "sg_secret", "leaked"),
            ("room", "streamer", "decimal"),
            ("planet", "mars", "prefix, asn, account, key, room"),
        ] {
            let error = BanTarget::parse(word, text).unwrap_err();
            assert!(error.contains(why), "{word} {text}: {error}");
        }
    }
}
