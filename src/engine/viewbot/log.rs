//! Who came to the rooms of a shard lately: a ring that all of them share, so that a calm room costs nothing of its own.
//!
//! Each entry names the one before it in the same room. What is asked on the way from one to the next lies together in 32
//! bytes, apart from the rest of what is known of a newcomer: a room's entries are far from each other, and each is another
//! place in memory to wait for.

use super::cohort::{HALF_LIFE, Newcomer};
use super::lockstep;
use super::sighting::Viewer;
use crate::base::prefetch::prefetch;
use crate::engine::row::Row;

/// An alarm takes in at most so many who came before it.
const LOGGED_MAX: usize = 1_024;

/// What is asked of an entry first.
#[derive(Debug, Clone, Copy)]
struct Link {
    /// The room's entry before this one; 0 for none.
    before: u64,
    viewer: Viewer,
    at: u32,
    /// It got no good answer, and was taken back.
    is_void: bool,
}

/// The log of a shard. Its entries are numbered from 1; 0 is none.
pub(super) struct Log {
    links: Row<Link>,
    newcomers: Row<Newcomer>,
    most: usize,
    /// The next entry's number.
    next: u64,
}

impl Log {
    /// Of at most so many entries; then the oldest are overwritten.
    pub(super) fn new(most: usize) -> Self {
        Self { links: Row::default(), newcomers: Row::default(), most, next: 1 }
    }

    fn place(&self, number: u64) -> usize {
        (number % self.most as u64) as usize
    }

    /// Notes who came to a room after the entry `before`. Gives the number of the new one.
    pub(super) fn note(&mut self, newcomer: Newcomer, before: u64) -> u64 {
        let Newcomer { viewer, at, .. } = newcomer;
        let link = Link { before, viewer, at, is_void: false };
        let (number, place) = (self.next, self.place(self.next));
        self.next += 1;
        // The ring fills from 1 on: what lies before is never read.
        while self.links.len() <= place {
            self.links.push(link);
            self.newcomers.push(newcomer);
        }
        self.links[place] = link;
        self.newcomers[place] = newcomer;
        number
    }

    fn is_kept(&self, number: u64) -> bool {
        number != 0 && number + self.most as u64 > self.next
    }

    fn link(&self, number: u64) -> Option<&Link> {
        if self.is_kept(number) { self.links.get(self.place(number)) } else { None }
    }

    /// Asks for the memory of an entry.
    pub(super) fn prefetch(&self, number: u64) {
        if let Some(link) = self.link(number) {
            prefetch(link);
        }
    }

    /// What one entry says counts no more.
    pub(super) fn void(&mut self, number: u64) {
        let place = self.place(number);
        if self.is_kept(number)
            && let Some(link) = self.links.get_mut(place)
        {
            link.is_void = true;
        }
    }

    /// Whether one of the room's latest, from the entry `number` back, is another viewer at the address of `newcomer`.
    pub(super) fn has_company(&self, mut number: u64, newcomer: &Newcomer) -> bool {
        for _ in 0..lockstep::LOOKED_AT {
            let Some(other) = self.link(number) else { break };
            if newcomer.at.saturating_sub(other.at) > HALF_LIFE {
                break;
            }
            number = other.before;
            if !other.is_void
                && other.viewer.address == newcomer.viewer.address
                && other.viewer != newcomer.viewer
            {
                return true;
            }
        }
        false
    }

    /// How many of the room's latest were, each, where this one was: one for each subnet.
    pub(super) fn companions(&self, mut number: u64, newcomer: &Newcomer) -> u8 {
        let mut subnets = [newcomer.viewer.address.subnet(); lockstep::COMPANIONS_MIN as usize + 1];
        let mut found = 0;
        for _ in 0..lockstep::LOOKED_AT {
            let Some(other) = self.link(number) else { break };
            if newcomer.at.saturating_sub(other.at) > lockstep::LOOKS_BACK_SECS {
                break;
            }
            let meetings = &self.newcomers[self.place(number)].meetings;
            number = other.before;
            let subnet = other.viewer.address.subnet();
            if other.is_void
                || subnets.contains(&subnet)
                || meetings.shared(&newcomer.meetings) < lockstep::MEETINGS_MIN
            {
                continue;
            }
            found += 1;
            if let Some(place) = subnets.get_mut(found) {
                *place = subnet;
            }
        }
        found.min(usize::from(u8::MAX)) as u8
    }

    /// The room's latest from `since` on, the last one first: as many as an alarm takes in.
    pub(super) fn newcomers_since(&self, mut number: u64, since: u32) -> Vec<Newcomer> {
        let mut newcomers = Vec::new();
        while let Some(link) = self.link(number).filter(|_| newcomers.len() < LOGGED_MAX) {
            if link.at < since {
                break;
            }
            if !link.is_void {
                newcomers.push(self.newcomers[self.place(number)]);
            }
            number = link.before;
        }
        newcomers
    }
}

const _: () = assert!(size_of::<Link>() == 32, "two of them on a cache line");
