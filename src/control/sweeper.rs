//! Frees what is over: ended records, forgotten failures. A few shards at a time, so that no lock is held for long. As it
//! sees every record anyway, it also tells how full quotas are.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use crate::engine::usage::Usage;
use crate::gateway::Shared;

/// How often a part is swept.
const SWEEP_EVERY: Duration = Duration::from_millis(250);

/// So many parts make the whole: everything is swept every five seconds.
const PARTS: usize = 20;

/// Sweeps until the sender is gone.
pub fn run(shared: &Arc<Shared>, stop: &Receiver<()>) {
    let mut part = 0;
    let mut round = Round::begin(shared);
    while stop.recv_timeout(SWEEP_EVERY) == Err(RecvTimeoutError::Timeout) {
        let book = shared.engine.book();
        let now = shared.clock.now();
        for shard in (part..book.shard_count()).step_by(PARTS) {
            book.sweep(shard, now);
            book.tally(shard, &mut round.usage, now);
            round.records += book.len_of(shard);
        }
        part = (part + 1) % PARTS;
        if part == 0 {
            shared.key_attempts.sweep(now);
            std::mem::replace(&mut round, Round::begin(shared)).tell(shared);
        }
    }
}

/// What one round over all records has seen.
struct Round {
    /// Of which policy set: when another has come, what was seen says nothing of its rules.
    generation: u64,
    usage: Usage,
    records: usize,
}

impl Round {
    fn begin(shared: &Shared) -> Self {
        let live = shared.live.load();
        Self { generation: live.generation, usage: Usage::new(&live.policy), records: 0 }
    }

    fn tell(self, shared: &Shared) {
        let (strangers, strangers_max) = shared.engine.book().strangers();
        shared.metrics.counted(self.records, strangers, strangers_max);
        let live = shared.live.load();
        if live.generation == self.generation {
            live.rules.used(&self.usage);
        }
    }
}
