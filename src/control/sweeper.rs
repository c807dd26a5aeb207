//! Frees what is over: ended records, forgotten failures. A few shards at a time, so that no lock is held for long.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use crate::gateway::Shared;
use crate::policy::viewbot::ViewbotMode;
use crate::telemetry::readiness::Readiness;

/// How often a part is swept.
const SWEEP_EVERY: Duration = Duration::from_millis(500);

/// So many parts make the whole: everything is swept every ten seconds.
const PARTS: usize = 20;

/// Sweeps until the sender is gone.
pub fn run(shared: &Arc<Shared>, readiness: &Readiness, stop: &Receiver<()>) {
    let mut part = 0;
    tell(shared, readiness);
    while stop.recv_timeout(SWEEP_EVERY) == Err(RecvTimeoutError::Timeout) {
        let book = shared.engine.book();
        let now = shared.clock.now();
        (part..book.shard_count()).step_by(PARTS).for_each(|shard| book.sweep(shard, now));
        part = (part + 1) % PARTS;
        if part == 0 {
            shared.key_attempts.sweep(now);
            tell(shared, readiness);
        }
    }
}

/// Tells whether view-bot detection has seen enough to convict anybody.
fn tell(shared: &Shared, readiness: &Readiness) {
    let is_on = shared.live.load().policy.viewbot().mode != ViewbotMode::Off;
    readiness.viewbot(is_on.then(|| shared.engine.viewbot().warmth(shared.clock.now())));
}
