//! The deterministic core: facts in, a decision with its reasons out.
//!
//! Nothing here waits, reads a clock, logs, touches a disk or knows HTTP. Time is an argument of every entry point, and
//! randomness (a hash seed, on which nothing depends) of the constructor.
//!
//! ```text
//! assess   reads the policy: lists, key, target, session; says what would be charged
//! charge   books it, all or none; the only step that a shared ledger may make wait
//! conclude puts the decision together
//! observe  ends the request: releases what was in flight, takes back what got no good answer
//! ```
//!
//! Read [`Engine`] first, then [`assess`](assess::assess) and [`Book::charge`](book::Book::charge).

pub mod assess;
mod blur;
pub mod book;
pub mod decision;
pub mod explain;
pub mod facts;
mod record;
mod seen;
mod shard;
pub mod usage;

#[cfg(test)]
mod tests;

use crate::base::time::Timestamp;
use crate::policy::PolicySet;

use assess::Assessment;
use book::{Book, Charge, Plan, Receipt};
use decision::{Decision, Shadow, Standing};
use facts::Facts;

/// All state that decisions hang on, and the four steps.
#[derive(Debug)]
pub struct Engine {
    book: Book,
}

/// How a request that was admitted ended, as far as its counts are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Charged: a good answer, one that blames the request, or a caller that hung up after a generator was asked.
    Charged,
    /// Taken back: no attempt gave a good answer, and the generators are to blame.
    Refunded,
}

impl Engine {
    /// With no counts. `strangers_max` caps the records that anybody can make at will; `seed` seeds the hash tables.
    pub fn new(strangers_max: usize, seed: u64) -> Self {
        Self { book: Book::new(strangers_max, seed) }
    }

    /// The first step. Writes nothing; called again when a body has told the room or the target.
    pub fn assess(&self, policy: &PolicySet, facts: &Facts<'_>, now: Timestamp) -> Assessment {
        assess::assess(policy, facts, now)
    }

    /// The second step: books what the assessment planned, all or none.
    pub fn charge(&self, policy: &PolicySet, assessment: &Assessment, now: Timestamp) -> Charge {
        match &assessment.refusal {
            Some(refusal) => Charge::Refused { refusal: refusal.clone(), shadow: Shadow::Same },
            None => self.book.charge(policy, &assessment.plan, now),
        }
    }

    /// The third step: the decision, and the receipt where it admits.
    pub fn conclude(&self, assessment: Assessment, charge: Charge) -> (Decision, Option<Receipt>) {
        let Assessment { caller, shadow: found, shadow_exempts, .. } = assessment;
        match charge {
            // A lower row answers first: what the lists say in shadow goes before what the quotas say.
            Charge::Refused { refusal, shadow } => {
                let shadow = found.or(if shadow_exempts { Shadow::Admits } else { shadow });
                (Decision { caller, refusal: Some(refusal), shadow }, None)
            }
            Charge::Booked { receipt, shadow } => {
                (Decision { caller, refusal: None, shadow: found.or(shadow) }, Some(receipt))
            }
        }
    }

    /// The last step: ends an admitted request. Tells whether anything was given back.
    pub fn observe(&self, policy: &PolicySet, receipt: &Receipt, ending: Ending, now: Timestamp) -> bool {
        self.book.settle(policy, receipt, ending == Ending::Refunded, now)
    }

    /// How the caller's quotas stand, for the limits answer. Books nothing.
    pub fn standings(&self, policy: &PolicySet, facts: &Facts<'_>, now: Timestamp) -> Vec<Standing> {
        self.book.standings(policy, &assess::quotas_of(policy, facts, now), now)
    }

    /// How the quotas of a refused request stand, for the headers of the refusal.
    pub fn standings_of(&self, policy: &PolicySet, plan: &Plan, now: Timestamp) -> Vec<Standing> {
        self.book.standings(policy, plan, now)
    }

    /// The book of counts: for the sweeper and for metrics.
    pub fn book(&self) -> &Book {
        &self.book
    }
}
