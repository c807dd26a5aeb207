//! Who came to the rooms of a shard lately: a log that all of them share, so that a calm room costs nothing of its own.
//!
//! Each entry names the one before it in the same room. What is asked on the way from one to the next lies together in 32
//! bytes, apart from the rest of what is known of a newcomer: a room's entries are far from each other, and each is another
//! place in memory to wait for.
//!
//! The log grows by a block at a time; once the oldest block holds nobody who came [lately](KEPT_SECS), or there are as many as there
//! may be, it becomes the newest.

use std::collections::VecDeque;

use super::cohort::{HALF_LIFE, Newcomer};
use super::lockstep;
use super::sighting::Viewer;
use crate::base::prefetch::prefetch;

/// An alarm takes in at most so many who came before it.
const LOGGED_MAX: usize = 1_024;

/// An alarm counts who came so long ago for a sixty-fourth.
const KEPT_SECS: u32 = 6 * HALF_LIFE;

/// So many entries a block.
const BLOCK: usize = 256;

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

/// Entries that follow each other.
struct Block {
    links: Vec<Link>,
    newcomers: Vec<Newcomer>,
}

impl Block {
    fn new() -> Self {
        Self { links: Vec::with_capacity(BLOCK), newcomers: Vec::with_capacity(BLOCK) }
    }

    fn emptied(mut self) -> Self {
        self.links.clear();
        self.newcomers.clear();
        self
    }
}

/// The log of a shard. Its entries are numbered from 1; 0 is none.
pub(super) struct Log {
    /// Never none.
    blocks: VecDeque<Block>,
    /// How many blocks there may be.
    most: usize,
    /// The number of the first entry there is, less one.
    gone: u64,
}

impl Log {
    /// Of at least so many entries, and a block more; then the oldest are overwritten.
    pub(super) fn new(most: usize) -> Self {
        Self { blocks: VecDeque::from([Block::new()]), most: most.div_ceil(BLOCK) + 1, gone: 0 }
    }

    /// Notes who came to a room after the entry `before`. Gives the number of the new one.
    pub(super) fn note(&mut self, newcomer: Newcomer, before: u64) -> u64 {
        let Newcomer { viewer, at, .. } = newcomer;
        if self.blocks.back().is_none_or(|last| last.links.len() == BLOCK) {
            let block = self.block_for(at);
            self.blocks.push_back(block);
        }
        let blocks = self.blocks.len() - 1;
        let last = &mut self.blocks[blocks];
        last.links.push(Link { before, viewer, at, is_void: false });
        last.newcomers.push(newcomer);
        self.gone + (blocks * BLOCK + last.links.len()) as u64
    }

    /// An empty block: an oldest one, where nobody will ask for what it holds.
    fn block_for(&mut self, now: u32) -> Block {
        let is_over =
            |oldest: &Block| oldest.links.last().is_none_or(|link| now.saturating_sub(link.at) > KEPT_SECS);
        let mut emptied = None;
        while self.blocks.front().is_some_and(is_over) || self.blocks.len() >= self.most {
            self.gone += BLOCK as u64;
            emptied = self.blocks.pop_front().map(Block::emptied);
        }
        emptied.unwrap_or_else(Block::new)
    }

    /// Where an entry lies, if it is kept.
    fn place(&self, number: u64) -> Option<(usize, usize)> {
        let at = number.checked_sub(self.gone + 1)? as usize;
        Some((at / BLOCK, at % BLOCK))
    }

    fn link(&self, number: u64) -> Option<&Link> {
        let (block, at) = self.place(number)?;
        self.blocks.get(block)?.links.get(at)
    }

    fn newcomer(&self, number: u64) -> Option<&Newcomer> {
        let (block, at) = self.place(number)?;
        self.blocks.get(block)?.newcomers.get(at)
    }

    /// Asks for the memory of an entry.
    pub(super) fn prefetch(&self, number: u64) {
        if let Some(link) = self.link(number) {
            prefetch(link);
        }
    }

    /// What one entry says counts no more.
    pub(super) fn void(&mut self, number: u64) {
        let link = self.place(number).and_then(|(block, at)| self.blocks.get_mut(block)?.links.get_mut(at));
        if let Some(link) = link {
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
            let Some(Newcomer { meetings, .. }) = self.newcomer(number) else { break };
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
                newcomers.extend(self.newcomer(number));
            }
            number = link.before;
        }
        newcomers
    }
}

const _: () = assert!(size_of::<Link>() == 32, "two of them on a cache line");

#[cfg(test)]
mod tests {
    use super::*;

    /// One room's entries, one a second: the number of the last one.
    fn filled(log: &mut Log, seconds: std::ops::Range<u32>, before: u64) -> u64 {
        seconds.fold(before, |before, at| log.note(Newcomer::example(at as u8, at), before))
    }

    fn times(log: &Log, number: u64, since: u32) -> Vec<u32> {
        log.newcomers_since(number, since).iter().map(|newcomer| newcomer.at).collect()
    }

    /// Beyond a block, and beyond those that were used again.
    #[test]
    fn who_came_lately_is_found_and_the_memory_of_others_is_used_again() {
        let mut log = Log::new(1_000_000);
        let mut last = filled(&mut log, 0..3_000, 0);
        assert_eq!(times(&log, last, 2_300), (2_300..3_000).rev().collect::<Vec<_>>());
        last = filled(&mut log, 3_000..KEPT_SECS, last);
        let of_an_hour = log.blocks.len();
        last = filled(&mut log, KEPT_SECS..10 * KEPT_SECS, last);
        assert!(log.blocks.len() <= of_an_hour + 1, "{} of {of_an_hour}", log.blocks.len());
        let now = 10 * KEPT_SECS;
        assert_eq!(times(&log, last, now - 700), (now - 700..now).rev().collect::<Vec<_>>());
        assert!(times(&log, 1, 0).is_empty(), "the first entry is gone, and no other is taken for it");

        log.void(last);
        log.void(1);
        assert_eq!(times(&log, last, now - 3), [now - 2, now - 3]);
        last = filled(&mut log, 20 * KEPT_SECS..20 * KEPT_SECS + BLOCK as u32, last);
        assert_eq!(log.blocks.len(), 2, "a pause gives memory back");
        assert_eq!(times(&log, last, 20 * KEPT_SECS).len(), BLOCK);
    }

    #[test]
    fn there_are_never_more_than_so_many() {
        let mut log = Log::new(1_024);
        let mut last = 0;
        for host in 0..5_000_u32 {
            last = log.note(Newcomer::example(host as u8, 7), last);
        }
        assert_eq!(log.blocks.len(), 5);
        assert_eq!(times(&log, last, 0).len(), LOGGED_MAX);
        log = Log::new(1);
        last = filled(&mut log, 0..700, 0);
        assert_eq!(times(&log, last, 0).len(), 700 - 512 + 256);
    }
}
