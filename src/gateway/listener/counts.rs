//! What a listener thread counts, for telemetry to read at any time.
//!
//! One [`ListenerCounts`] a thread: only that thread writes, so a write is a plain load and store, and nobody waits.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::violation::Violation;

/// A number with one writer and any number of readers.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// The number as of now, or of a moment ago.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    /// Adds `n`. Only ever called by the thread that owns the count; of two writers one would be lost.
    pub(super) fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }
}

/// Why the listener ended a connection, or a wait, by its clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Deadline {
    /// Not one byte arrived.
    Silent,
    /// A head was not whole in time (answered with 408).
    Head,
    /// A body was not whole in time (answered with 408).
    Body,
    /// Nothing was asked after an answer.
    Idle,
    /// The client did not take an answer.
    Write,
    /// The client had finished sending and its answer did not come in time: taken for hung up.
    HalfClosed,
    /// A stopping listener's last deadline.
    Drain,
}

impl Deadline {
    /// All of them, in the order of their counters.
    pub const ALL: [Deadline; 7] = [
        Deadline::Silent,
        Deadline::Head,
        Deadline::Body,
        Deadline::Idle,
        Deadline::Write,
        Deadline::HalfClosed,
        Deadline::Drain,
    ];

    /// A metric label.
    pub const fn label(self) -> &'static str {
        match self {
            Deadline::Silent => "silent",
            Deadline::Head => "head",
            Deadline::Body => "body",
            Deadline::Idle => "idle",
            Deadline::Write => "write",
            Deadline::HalfClosed => "half_closed",
            Deadline::Drain => "drain",
        }
    }
}

/// Why a connection was turned away at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CapReached {
    /// There are as many connections as there may be.
    Connections,
    /// The source has as many connections as it may have.
    PerSource,
    /// The source connects faster than it may.
    AcceptRate,
}

impl CapReached {
    /// All of them, in the order of their counters.
    pub const ALL: [CapReached; 3] = [CapReached::Connections, CapReached::PerSource, CapReached::AcceptRate];

    /// A metric label, and the `limit_label` of the answer.
    pub const fn label(self) -> &'static str {
        match self {
            CapReached::Connections => "connections",
            CapReached::PerSource => "connections_per_source",
            CapReached::AcceptRate => "accepts_per_source",
        }
    }
}

/// A count for each word of a closed set.
#[derive(Debug)]
struct Counts<const N: usize>([Count; N]);

impl<const N: usize> Default for Counts<N> {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Count::default()))
    }
}

/// One listener thread's numbers, all since its start.
#[derive(Debug, Default)]
pub struct ListenerCounts {
    /// Connections taken on.
    pub accepted: Count,
    /// Connections that have ended; those open are [`ListenerCounts::open`].
    pub closed: Count,
    /// Requests handed on, rejections included.
    pub requests: Count,
    /// Bytes read from clients.
    pub bytes_in: Count,
    /// Bytes written to clients.
    pub bytes_out: Count,
    /// Failures of accept itself, such as a lack of file descriptors.
    pub accept_errors: Count,
    violations: Counts<{ Violation::ALL.len() }>,
    deadlines: Counts<{ Deadline::ALL.len() }>,
    capped: Counts<{ CapReached::ALL.len() }>,
}

impl ListenerCounts {
    /// Connections open now.
    pub fn open(&self) -> u64 {
        // Closed first: read the other way round, a connection that ends in between could make it negative.
        let closed = self.closed.get();
        self.accepted.get().saturating_sub(closed)
    }

    /// Requests rejected for this violation.
    pub fn violations(&self, violation: Violation) -> u64 {
        self.violations.0[violation as usize].get()
    }

    /// Times that this deadline was hit.
    pub fn deadlines(&self, deadline: Deadline) -> u64 {
        self.deadlines.0[deadline as usize].get()
    }

    /// Connections turned away for this cap.
    pub fn capped(&self, cap: CapReached) -> u64 {
        self.capped.0[cap as usize].get()
    }

    pub(super) fn count_violation(&self, violation: Violation) {
        self.violations.0[violation as usize].add(1);
    }

    pub(super) fn count_deadline(&self, deadline: Deadline) {
        self.deadlines.0[deadline as usize].add(1);
    }

    pub(super) fn count_capped(&self, cap: CapReached) {
        self.capped.0[cap as usize].add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::metrics::reference;

    /// Telemetry does not know this room, and names its words all the same.
    #[test]
    fn the_reference_of_metrics_has_every_word() {
        let (deadlines, caps) = (Deadline::ALL.map(Deadline::label), CapReached::ALL.map(CapReached::label));
        for word in deadlines.into_iter().chain(caps) {
            assert!(reference().contains(&format!("`{word}`")), "{word}");
        }
    }
}
