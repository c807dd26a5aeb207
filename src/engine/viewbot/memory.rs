//! What is worth remembering across a restart, as plain data for whoever stores it.
//!
//! A gateway that starts with none of it is cold: it knows nobody, and what it does not know looks like an attack. Bans are
//! listed by their [book](super::bans::Book::list) and adopted by it again.

use super::ordinary::Shares;
use super::people::Person;
use super::sighting::Viewer;
use super::{Viewbot, locked};
use crate::base::subject::Subject;
use crate::base::time::Timestamp;

/// Everything that makes a gateway warm. In an order that hangs on no hash seed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Memory {
    /// Who was admitted more than once.
    pub viewers: Vec<(Viewer, Person)>,
    /// What ordinary crowds are made of.
    pub shares: Shares,
    /// What is usual for rooms: when they were first seen, viewers learned, and when.
    pub rooms: Vec<(Subject, [u32; 2], f64)>,
    /// Since when it has been learning, in milliseconds since 1970; 0 for never.
    pub learning_since_ms: u64,
}

impl Viewbot {
    /// All that is worth remembering. Takes each lock in turn, for as long as copying a shard takes.
    pub fn memory(&self) -> Memory {
        let mut memory = Memory {
            shares: self.learning().shares(),
            learning_since_ms: self.started.load(std::sync::atomic::Ordering::Relaxed),
            ..Memory::default()
        };
        for shard in &self.people {
            memory.viewers.extend(locked(shard).long().map(|(viewer, person)| (*viewer, *person)));
        }
        for shard in &self.rooms {
            memory.rooms.extend(locked(shard).baselines());
        }
        memory.viewers.sort_by_key(|(viewer, _)| *viewer);
        memory.rooms.sort_by_key(|(room, ..)| *room);
        memory
    }

    /// Puts back what was remembered, into a gateway that has just started.
    pub fn recall(&self, memory: &Memory, now: Timestamp) {
        for (viewer, person) in &memory.viewers {
            self.people(*viewer).remember(*viewer, *person);
        }
        for (room, [born, at], learned) in &memory.rooms {
            self.room(*room).recall(*room, *born, *at, *learned, now.as_millis());
        }
        let published = self.learning().recall(&memory.shares);
        self.publish(published);
        if memory.learning_since_ms > 0 {
            self.started.store(memory.learning_since_ms, std::sync::atomic::Ordering::Relaxed);
        }
    }
}
