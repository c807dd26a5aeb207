//! How often each heuristic spoke, each rung was reached, and each width of ban was made, by mode.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Rung;
use super::bans::RUNGS;
use super::evidence::{Evidence, Kind};
use crate::policy::viewbot::ViewbotMode;

const MODES: usize = ViewbotMode::WORDS.len();

/// Counters since the start.
#[derive(Debug, Default)]
pub struct Counts {
    evidence: [[AtomicU64; Kind::ALL.len()]; MODES],
    rungs: [[AtomicU64; Rung::ALL.len()]; MODES],
    bans: [[AtomicU64; RUNGS.len()]; MODES],
}

fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Counts {
    /// What spoke against a request that was stopped, or would have been.
    pub(super) fn evidence(&self, mode: ViewbotMode, evidence: &Evidence) {
        for finding in evidence.findings() {
            if let Some(place) = Kind::ALL.iter().position(|kind| *kind == finding.kind) {
                add(&self.evidence[mode as usize][place]);
            }
        }
    }

    pub(super) fn rung(&self, mode: ViewbotMode, rung: Rung) {
        add(&self.rungs[mode as usize][rung as usize]);
    }

    pub(super) fn bans(&self, mode: ViewbotMode, reached: [bool; RUNGS.len()]) {
        for (counter, reached) in self.bans[mode as usize].iter().zip(reached) {
            if reached {
                add(counter);
            }
        }
    }

    /// Requests that were stopped, or would have been, with this kind of evidence, while that was the mode.
    pub fn of_evidence(&self, mode: ViewbotMode, kind: Kind) -> u64 {
        let place = Kind::ALL.iter().position(|other| *other == kind).unwrap_or(0);
        self.evidence[mode as usize][place].load(Ordering::Relaxed)
    }

    /// Requests that were stopped for this, or would have been.
    pub fn of_rung(&self, mode: ViewbotMode, rung: Rung) -> u64 {
        self.rungs[mode as usize][rung as usize].load(Ordering::Relaxed)
    }

    /// Bans of this width ([`RUNGS`]) that were made.
    pub fn of_bans(&self, mode: ViewbotMode, rung: usize) -> u64 {
        self.bans[mode as usize].get(rung).map_or(0, |counter| counter.load(Ordering::Relaxed))
    }
}
