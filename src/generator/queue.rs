//! Who waits for a generator with room, and who is next. No I/O, no clock: [`Roster`](super::roster::Roster) has it behind a
//! lock that is taken only while permits are out.
//!
//! - **Dear before cheap.** Tiers that are shed last are served first. Where the queue is full a cheap one goes out for a dear
//!   one.
//! - **Fair.** Within a tier accounts take turns (callers without a key: addresses), and none has more than its share of the
//!   places: one that asks a thousand times waits behind itself.
//! - **Nobody in vain.** Whoever enters is likely to be served in time: how many are [ahead](Line::ahead) over the rate at which
//!   they are served is how long it takes (Little's law), and who would wait too long is refused when they come.
//! - **Oldest first, and newest first when overloaded.** As long as that holds they are served in order. Where somebody has waited
//!   for [`OVERLOADED_AFTER`] it did not: generators became slower, or it is a burst that is only just worked off. In order,
//!   everybody would wait for as long as the queue is, and be answered when they have given up. So the newest is served, and
//!   the oldest makes room or runs out of time (the "adaptive LIFO" of Maurer, "Fail at Scale", ACM Queue 13(8), 2015).

use std::collections::VecDeque;
use std::task::Waker;
use std::time::Duration;

use hashbrown::HashMap;

use super::balance::Places;
use crate::base::time::Timestamp;

/// Where somebody has waited for so long it is overload: well beyond what a [standing](Line::stands_for) queue is held at.
pub const OVERLOADED_AFTER: Duration = Duration::from_millis(500);

/// Tiers, by when they are shed: 0 goes first.
pub const RANKS_MAX: usize = 64;

/// Of the dearest tier, for what has been let in already and was failed by a generator.
pub const DEAREST: u8 = RANKS_MAX as u8 - 1;

/// How much may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// At most so many.
    pub length_max: usize,
    /// Of one account at most so many, at least 1.
    pub per_account_max: usize,
}

/// One who waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Whose it is: a keyed hash of the account, or of the address of a caller without a key.
    pub account: u64,
    /// When its tier is shed: 0 goes first.
    pub rank: u8,
    /// Who may serve it.
    pub places: Places,
}

/// A place in the queue.
#[derive(Debug, PartialEq, Eq)]
pub struct Ticket {
    slot: u32,
    number: u64,
}

/// How it stands with a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Not yet.
    Waits,
    /// This generator has room for it: a permit is held for it.
    Has(usize),
    /// It had to make room for another.
    Displaced,
    /// There is nobody left to wait for.
    Hopeless,
}

/// Who is next.
#[derive(Debug)]
pub enum Next {
    /// Nobody who could be served there.
    Nobody,
    /// Somebody, who is to be woken by this; without one, they have not begun to wait yet, and will see.
    Served(Option<Waker>),
}

/// There is no room to wait in.
#[derive(Debug, PartialEq, Eq)]
pub struct Full;

/// All who wait.
#[derive(Debug)]
pub struct Line {
    bounds: Bounds,
    slots: Vec<Option<Slot>>,
    free: Vec<u32>,
    ranks: Vec<Rank>,
    length: usize,
    number: u64,
    not_empty_since: Option<Timestamp>,
    /// All as they came, with who has gone since: to know the oldest.
    came: VecDeque<(Ticket, Timestamp)>,
    /// How many wait for the same generators.
    alike: Vec<(Places, usize)>,
}

#[derive(Debug)]
struct Slot {
    number: u64,
    entry: Entry,
    turn: Turn,
    waker: Option<Waker>,
}

/// Those of one tier: their accounts in turn, and of each account its slots, the oldest first.
#[derive(Debug, Default)]
struct Rank {
    length: usize,
    turns: VecDeque<u64>,
    accounts: HashMap<u64, VecDeque<u32>, foldhash::fast::RandomState>,
}

impl Line {
    /// Nobody waits.
    pub fn new(bounds: Bounds) -> Self {
        let per_account_max = bounds.per_account_max.clamp(1, bounds.length_max.max(1));
        Self {
            bounds: Bounds { per_account_max, ..bounds },
            slots: Vec::new(),
            free: Vec::new(),
            ranks: Vec::new(),
            length: 0,
            number: 0,
            not_empty_since: None,
            came: VecDeque::new(),
            alike: Vec::new(),
        }
    }

    /// So many wait.
    pub const fn len(&self) -> usize {
        self.length
    }

    /// Whether nobody does.
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// How long it has not been empty.
    pub fn stands_for(&self, now: Timestamp) -> Duration {
        self.not_empty_since.map_or(Duration::ZERO, |since| now.since(since))
    }

    /// How many are served before it, at most, if it enters: dear tiers, and in its own each account's as often as its own turn
    /// comes. Of those who wait for other generators nothing is held against it.
    pub fn ahead(&self, entry: &Entry) -> usize {
        let rank = usize::from(entry.rank).min(RANKS_MAX - 1);
        let dearer: usize = self.ranks.iter().skip(rank + 1).map(|rank| rank.length).sum();
        let own = self.ranks.get(rank).map_or(0, |rank| {
            let turns = 1 + rank.accounts.get(&entry.account).map_or(0, VecDeque::len);
            rank.length.min(rank.turns.len() * turns)
        });
        let alike = self.alike.iter().find(|(places, _)| *places == entry.places);
        (dearer + own).min(alike.map_or(0, |(_, count)| *count))
    }

    fn overloaded(&mut self, now: Timestamp) -> bool {
        while let Some((ticket, came)) = self.came.front() {
            let slot = self.slots[ticket.slot as usize].as_ref();
            if slot.is_some_and(|slot| slot.number == ticket.number && slot.turn == Turn::Waits) {
                return now.since(*came) >= OVERLOADED_AFTER;
            }
            self.came.pop_front();
        }
        false
    }

    /// Takes a place. With it comes who has to be woken because they lost theirs.
    pub fn enter(&mut self, entry: Entry, now: Timestamp) -> Result<(Ticket, Option<Waker>), Full> {
        let mut displaced = None;
        let overloaded = self.overloaded(now);
        let rank = usize::from(entry.rank).min(RANKS_MAX - 1);
        let own = self.ranks.get(rank).and_then(|rank| rank.accounts.get(&entry.account));
        if own.is_some_and(|own| own.len() >= self.bounds.per_account_max) {
            // The newest is worth more than the oldest of the same caller, once it is overload.
            let oldest = own.and_then(|own| own.front().copied()).filter(|_| overloaded);
            displaced = self.displace(oldest.ok_or(Full)?);
        } else if self.length >= self.bounds.length_max {
            let victim = self.victim(rank, entry.account, overloaded).ok_or(Full)?;
            displaced = self.displace(victim);
        }
        let slot = Slot { number: self.number, entry, turn: Turn::Waits, waker: None };
        let ticket_number = self.number;
        self.number += 1;
        let place = if let Some(free) = self.free.pop() {
            self.slots[free as usize] = Some(slot);
            free
        } else {
            self.slots.push(Some(slot));
            (self.slots.len() - 1) as u32
        };
        if self.ranks.len() <= rank {
            self.ranks.resize_with(rank + 1, Rank::default);
        }
        let tier = &mut self.ranks[rank];
        let waiting = tier.accounts.entry(entry.account).or_insert_with(|| {
            tier.turns.push_back(entry.account);
            VecDeque::new()
        });
        waiting.push_back(place);
        tier.length += 1;
        self.length += 1;
        match self.alike.iter_mut().find(|(places, _)| *places == entry.places) {
            Some((_, count)) => *count += 1,
            None => self.alike.push((entry.places, 1)),
        }
        self.not_empty_since.get_or_insert(now);
        if self.came.len() > 2 * self.bounds.length_max + 16 {
            let slots = &self.slots;
            self.came.retain(|(ticket, _)| {
                let slot = slots[ticket.slot as usize].as_ref();
                slot.is_some_and(|slot| slot.number == ticket.number && slot.turn == Turn::Waits)
            });
        }
        self.came.push_back((Ticket { slot: place, number: ticket_number }, now));
        Ok((Ticket { slot: place, number: ticket_number }, displaced))
    }

    /// Who makes room for one of `rank`: the oldest of the account that has most in the cheapest tier. In the same tier only
    /// an account that has more than the newcomer's, or, when it is overload, the newcomer's own oldest.
    fn victim(&self, rank: usize, account: u64, overloaded: bool) -> Option<u32> {
        let (cheapest, tier) = self.ranks.iter().enumerate().find(|(_, rank)| !rank.turns.is_empty())?;
        if cheapest > rank {
            return None;
        }
        // In the order of turns, so that it hangs on no map's order.
        let most = tier.turns.iter().max_by_key(|account| tier.accounts[*account].len())?;
        let own = tier.accounts.get(&account).map_or(0, VecDeque::len);
        let more = tier.accounts[most].len() > own + 1;
        (cheapest < rank || more || overloaded).then(|| tier.accounts[most].front().copied())?
    }

    /// The next who can be served at `place`: from now on a permit there is theirs.
    pub fn next(&mut self, place: usize, now: Timestamp) -> Next {
        let newest_first = self.overloaded(now);
        let next = self.ranks.iter().rev().find_map(|rank| {
            rank.turns.iter().find_map(|account| {
                let fits = |slot: &&u32| self.entry(**slot).places.contains(place);
                let waiting = &rank.accounts[account];
                let found =
                    if newest_first { waiting.iter().rev().find(fits) } else { waiting.iter().find(fits) };
                found.copied()
            })
        });
        let Some(slot) = next else { return Next::Nobody };
        self.unlink(slot, true);
        Next::Served(self.turn(slot, Turn::Has(place)))
    }

    /// These alone are in service: whoever waits for others has nobody left to wait for, and is told.
    pub fn give_up(&mut self, serving: Places) -> Vec<Waker> {
        let in_vain = |slot: &Slot| slot.turn == Turn::Waits && slot.entry.places.and(serving).is_empty();
        let mut wakers = Vec::new();
        for slot in 0..self.slots.len() as u32 {
            if self.slots[slot as usize].as_ref().is_some_and(in_vain) {
                self.unlink(slot, false);
                wakers.extend(self.turn(slot, Turn::Hopeless));
            }
        }
        wakers
    }

    /// How it stands; who still waits is woken by `waker`, and otherwise the ticket is used up.
    pub fn poll(&mut self, ticket: &Ticket, waker: &Waker) -> Turn {
        let Some(slot) = self.slot_of(ticket) else { return Turn::Displaced };
        let turn = slot.turn;
        if turn == Turn::Waits {
            if !slot.waker.as_ref().is_some_and(|known| known.will_wake(waker)) {
                slot.waker = Some(waker.clone());
            }
        } else {
            self.release(ticket.slot);
        }
        turn
    }

    /// Whoever held the ticket has gone. Where a permit was held for it, the caller has to pass it on.
    pub fn leave(&mut self, ticket: &Ticket) -> Turn {
        let Some(slot) = self.slot_of(ticket) else { return Turn::Displaced };
        let turn = slot.turn;
        if turn == Turn::Waits {
            self.unlink(ticket.slot, false);
        }
        self.release(ticket.slot);
        turn
    }

    fn slot_of(&mut self, ticket: &Ticket) -> Option<&mut Slot> {
        let slot = self.slots.get_mut(ticket.slot as usize)?.as_mut()?;
        (slot.number == ticket.number).then_some(slot)
    }

    fn entry(&self, slot: u32) -> Entry {
        const NOBODY: Entry = Entry { account: 0, rank: 0, places: Places::NONE };
        self.slots[slot as usize].as_ref().map_or(NOBODY, |slot| slot.entry)
    }

    fn displace(&mut self, slot: u32) -> Option<Waker> {
        self.unlink(slot, false);
        self.turn(slot, Turn::Displaced)
    }

    fn turn(&mut self, slot: u32, turn: Turn) -> Option<Waker> {
        let slot = self.slots[slot as usize].as_mut()?;
        slot.turn = turn;
        slot.waker.take()
    }

    fn release(&mut self, slot: u32) {
        self.slots[slot as usize] = None;
        self.free.push(slot);
    }

    /// Takes a slot out of its account's; one that was served has its turn again after the others.
    fn unlink(&mut self, slot: u32, served: bool) {
        let entry = self.entry(slot);
        let Some(rank) = self.ranks.get_mut(usize::from(entry.rank).min(RANKS_MAX - 1)) else { return };
        let Some(waiting) = rank.accounts.get_mut(&entry.account) else { return };
        let before = waiting.len();
        waiting.retain(|other| *other != slot);
        let gone = before - waiting.len();
        self.length -= gone;
        rank.length -= gone;
        if let Some(at) = self.alike.iter().position(|(places, _)| *places == entry.places) {
            self.alike[at].1 -= gone;
            if self.alike[at].1 == 0 {
                self.alike.swap_remove(at);
            }
        }
        let was_last = waiting.is_empty();
        if was_last {
            rank.accounts.remove(&entry.account);
        }
        if was_last || served {
            rank.turns.retain(|account| *account != entry.account);
            if !was_last {
                rank.turns.push_back(entry.account);
            }
        }
        if self.length == 0 {
            self.not_empty_since = None;
            self.came.clear();
        }
    }
}

#[cfg(test)]
mod tests;
