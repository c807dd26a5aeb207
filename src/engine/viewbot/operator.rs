//! Bans by the operator's own word: of an account, a key, an autonomous system, a room, a prefix.
//!
//! Unlike what detection convicts, they stand in every mode and for every operation. They are few, and read for every
//! request: an immutable set that is put together anew whenever one changes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use crate::base::id::{AccountId, KeyId};
use crate::base::net::Prefix;
use crate::base::room::Room;
use crate::base::time::Timestamp;

/// At most so many: lists of thousands are what blocklists with feeds are for.
pub const OPERATOR_BANS_MAX: usize = 10_000;

/// Whom an operator bans.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Banned {
    /// An account, with all its keys.
    Account(AccountId),
    /// A key.
    Key(KeyId),
    /// An autonomous system.
    Asn(u32),
    /// A room, in its one form.
    Room(Room),
    /// Addresses.
    Prefix(Prefix),
}

/// A ban by the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorBan {
    /// By which it is lifted.
    pub id: u64,
    /// Whom.
    pub whom: Banned,
    /// Why, as the caller is told.
    pub reason: Arc<str>,
    /// When it was made.
    pub made: Timestamp,
    /// When it ends; `None` for when it is lifted.
    pub until: Option<Timestamp>,
}

/// Why a ban could not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BanError {
    /// There are too many.
    #[error("there are {OPERATOR_BANS_MAX} bans already; use a blocklist with a feed")]
    TooMany,
}

/// All of them.
#[derive(Debug, Default)]
pub struct OperatorBans {
    set: ArcSwap<Set>,
    /// Held by whoever puts the next set together; the last id.
    changing: Mutex<u64>,
}

#[derive(Debug, Default)]
struct Set {
    by_whom: HashMap<Banned, Arc<OperatorBan>>,
    /// Family and length of every prefix that is banned: few different ones.
    lengths: Vec<(bool, u8)>,
}

impl Set {
    fn of(bans: impl Iterator<Item = Arc<OperatorBan>>) -> Self {
        let by_whom: HashMap<Banned, Arc<OperatorBan>> = bans.map(|ban| (ban.whom.clone(), ban)).collect();
        let mut lengths: Vec<(bool, u8)> = by_whom
            .keys()
            .filter_map(|whom| match whom {
                Banned::Prefix(prefix) => Some((prefix.is_v6(), prefix.length())),
                _ => None,
            })
            .collect();
        lengths.sort_unstable();
        lengths.dedup();
        Self { by_whom, lengths }
    }
}

/// What of a request may be banned.
#[derive(Debug, Clone, Copy)]
pub struct Whom<'w> {
    /// The account.
    pub account: Option<&'w AccountId>,
    /// The key.
    pub key: Option<&'w KeyId>,
    /// The autonomous system.
    pub asn: Option<u32>,
    /// The room, in its one form.
    pub room: Option<Room>,
    /// The address.
    pub proxy: Prefix,
}

impl OperatorBans {
    /// The ban that stands against a request; of several the one that was made first.
    pub fn standing(&self, whom: Whom<'_>, now: Timestamp) -> Option<Arc<OperatorBan>> {
        let set = self.set.load();
        if set.by_whom.is_empty() {
            return None;
        }
        let prefixes = set.lengths.iter().filter(|(v6, _)| *v6 == whom.proxy.is_v6());
        let named = [
            whom.account.map(|account| Banned::Account(account.clone())),
            whom.key.map(|key| Banned::Key(key.clone())),
            whom.asn.map(Banned::Asn),
            whom.room.map(Banned::Room),
        ];
        let named = named.into_iter().flatten();
        let all = named.chain(prefixes.map(|(_, length)| Banned::Prefix(whom.proxy.shortened(*length))));
        all.filter_map(|whom| set.by_whom.get(&whom))
            .filter(|ban| ban.until.is_none_or(|until| until > now))
            .min_by_key(|ban| ban.id)
            .cloned()
    }

    /// Bans somebody, or changes why and how long.
    ///
    /// # Errors
    ///
    /// There are too many.
    pub fn add(
        &self,
        whom: Banned,
        reason: &str,
        until: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Arc<OperatorBan>, BanError> {
        let mut last = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bans = self.list(now);
        bans.retain(|ban| ban.whom != whom);
        if bans.len() >= OPERATOR_BANS_MAX {
            return Err(BanError::TooMany);
        }
        *last += 1;
        let ban = Arc::new(OperatorBan { id: *last, whom, reason: reason.into(), made: now, until });
        bans.push(Arc::clone(&ban));
        self.set.store(Arc::new(Set::of(bans.into_iter())));
        Ok(ban)
    }

    /// Lifts a ban; gives it.
    pub fn lift(&self, id: u64, now: Timestamp) -> Option<Arc<OperatorBan>> {
        let _held = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bans = self.list(now);
        let place = bans.iter().position(|ban| ban.id == id)?;
        let lifted = bans.remove(place);
        self.set.store(Arc::new(Set::of(bans.into_iter())));
        Some(lifted)
    }

    /// All that stand, in the order in which they were made.
    pub fn list(&self, now: Timestamp) -> Vec<Arc<OperatorBan>> {
        let set = self.set.load();
        let stands = |ban: &&Arc<OperatorBan>| ban.until.is_none_or(|until| until > now);
        let mut bans: Vec<Arc<OperatorBan>> = set.by_whom.values().filter(stands).cloned().collect();
        bans.sort_by_key(|ban| ban.id);
        bans
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn each_kind_stands_until_it_ends_or_is_lifted() {
        let (bans, now) = (OperatorBans::default(), Timestamp::from_secs(1_800_000_000));
        let account = AccountId::new("a").unwrap();
        let key = KeyId::new("k").unwrap();
        let proxy = Prefix::proxy("192.0.2.7".parse().unwrap());
        let room = Room::Id(7);
        let everything =
            Whom { account: Some(&account), key: Some(&key), asn: Some(64_500), room: Some(room), proxy };
        assert_eq!(bans.standing(everything, now), None);
        let kinds = [
            Banned::Account(account.clone()),
            Banned::Key(key.clone()),
            Banned::Asn(64_500),
            Banned::Room(room),
            Banned::Prefix(proxy.shortened(24)),
        ];
        for whom in kinds {
            let until = Some(now + Duration::from_secs(60));
            let ban = bans.add(whom.clone(), "abuse", until, now).unwrap();
            assert_eq!(bans.standing(everything, now).map(|ban| ban.whom.clone()), Some(whom.clone()));
            assert_eq!(bans.standing(everything, now + Duration::from_secs(60)), None, "{whom:?} ends");
            let others = Whom {
                account: None,
                key: None,
                asn: Some(1),
                room: Some(Room::Id(8)),
                proxy: Prefix::proxy("198.51.100.1".parse().unwrap()),
            };
            assert_eq!(bans.standing(others, now), None, "{whom:?}");
            assert_eq!(bans.lift(ban.id, now), Some(ban));
        }
        assert_eq!(bans.list(now), []);
    }
}
