//! The deterministic core: facts in, a decision with its reasons out.
//!
//! Nothing here waits, reads a clock, logs, touches a disk or knows HTTP. Time is an argument of every entry point, and
//! randomness (a hash seed, on which nothing depends) of the constructor.
//!
//! ```text
//! assess   reads the policy: lists, key, target, session; says what would be charged
//! charge   books it, all or none; the only step that a shared ledger may make wait
//! conclude counts the viewer for view-bot detection, and puts the decision together
//! observe  ends the request: releases what was in flight, takes back what got no good answer, learns from what did
//! ```
//!
//! Read [`Engine`] first, then [`assess`](Engine::assess), [`Book::charge`](book::Book::charge) and [`viewbot`].

pub mod assess;
mod blur;
pub mod book;
pub mod decision;
pub mod explain;
pub mod facts;
pub mod foresight;
mod index;
pub mod operator;
pub mod order;
mod record;
mod row;
mod seen;
mod shard;
mod table;
pub mod usage;
pub mod viewbot;

#[cfg(test)]
mod tests;

use crate::base::room::Room;
use crate::base::time::Timestamp;
use crate::policy::PolicySet;
use crate::policy::viewbot::ViewbotMode;

use assess::Assessment;
use book::{Book, Charge, Plan, Receipt};
use decision::{Caller, Decision, Reason, Refusal, Shadow, Standing};
use facts::Facts;
use operator::OperatorBans;
use viewbot::Viewbot;

/// All state that decisions hang on, and the four steps.
#[derive(Debug)]
pub struct Engine {
    book: Book,
    viewbot: Viewbot,
    operator_bans: OperatorBans,
}

/// How a request that was admitted ended, as far as its counts are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// A good answer: charged, and view-bot detection may learn from it. With the room, as the answer named it.
    Good(Option<Room>),
    /// Charged, though there was no good answer: one that blames the request, or a caller that hung up after a generator was
    /// asked.
    Charged,
    /// Taken back: no attempt gave a good answer, and the generators are to blame. So much and no more in each window, for
    /// whoever can make a generator fail must not win unlimited tries by it.
    Refunded,
    /// As if it had never been: refused for want of capacity, before any generator was asked. A refused request consumes no
    /// quota, however often it comes.
    Refused,
}

impl Engine {
    /// With no counts. `strangers_max` caps the records that anybody can make at will; `seed` seeds the hash tables.
    pub fn new(strangers_max: usize, seed: u64) -> Self {
        Self::with_caps(strangers_max, viewbot::Caps::default(), seed)
    }

    /// The same with other caps for what view-bot detection remembers.
    pub fn with_caps(strangers_max: usize, caps: viewbot::Caps, seed: u64) -> Self {
        Self {
            book: Book::new(strangers_max, seed),
            viewbot: Viewbot::new(caps, seed),
            operator_bans: OperatorBans::default(),
        }
    }

    /// The first step. Writes nothing; called again when a body has told the room or the target.
    pub fn assess(&self, policy: &PolicySet, facts: &Facts<'_>, now: Timestamp) -> Assessment {
        let facts = &assess::resolved(&self.viewbot, facts, now);
        let who = assess::identify(policy, facts);
        let mut assessment = Assessment::default();
        assess::assess(&mut assessment, Some(self), policy, facts, &who, |_| None, now);
        assessment
    }

    /// The second step: books what the assessment planned, all or none. What was booked is written into `receipt`.
    pub fn charge(
        &self,
        policy: &PolicySet,
        assessment: &mut Assessment,
        receipt: &mut Receipt,
        now: Timestamp,
    ) -> Charge {
        self.charge_unless(policy, assessment, receipt, now, |_| false)
    }

    /// The same for a request that may be turned away although the policy admits it, because there is more to do than can be
    /// done: `is_turned_away` is asked of the caller once no rule has anything against it, and then nothing is booked. It
    /// must not wait.
    pub fn charge_unless(
        &self,
        policy: &PolicySet,
        assessment: &mut Assessment,
        receipt: &mut Receipt,
        now: Timestamp,
        is_turned_away: impl FnOnce(&Caller) -> bool,
    ) -> Charge {
        if let Some(refusal) = assessment.refusal.take() {
            receipt.clear();
            return Charge::Refused { refusal, shadow: Shadow::Same };
        }
        let is_turned_away = || is_turned_away(&assessment.caller);
        self.book.charge_unless(policy, &assessment.plan, receipt, now, is_turned_away)
    }

    /// The third step: the decision, which takes what it says from `assessment`. Counts what every other check admits for
    /// view-bot detection, and gives back what was charged where that stops it: `receipt` is of nothing then. Whoever was
    /// turned away is not counted: what gets no good answer would be taken back.
    pub fn conclude(
        &self,
        policy: &PolicySet,
        assessment: &mut Assessment,
        charge: Charge,
        receipt: &mut Receipt,
        now: Timestamp,
    ) -> Decision {
        let settings = policy.viewbot();
        if let Some((ban, mode)) = &assessment.banned {
            self.viewbot.count_banned(*mode, ban);
        }
        let mut against = None;
        if let Charge::Booked { .. } = charge {
            receipt.named = assessment.named;
            if let Some(sighting) = &assessment.sighting {
                if let Some(foreseen) = &mut assessment.foreseen {
                    self.viewbot.look_at_entries(sighting, foreseen);
                }
                let foreseen = assessment.foreseen.as_ref();
                against = self.viewbot.weigh(settings, sighting, foreseen, &mut receipt.counted, now);
            }
        }
        let shadow_exempts = assessment.shadow_exempts_viewbot;
        let mut decision = Self::concluded(assessment, charge);
        let Some(against) = against else { return decision };
        // A lower row answers first: what lists and bans say in shadow stays as it is, what quotas say does not.
        let row = decision.shadow.refusal().map_or(0, |refusal| refusal.first().row());
        let shadow_is_free = decision.shadow == Shadow::Same || row > 6;
        let enforced = match settings.mode {
            ViewbotMode::Off | ViewbotMode::Shadow => None,
            ViewbotMode::Throttle => Some(against.clone().throttled()),
            ViewbotMode::Enforce => Some(against.clone()),
        };
        if shadow_is_free {
            decision.shadow = if shadow_exempts {
                if enforced.is_some() { Shadow::Admits } else { Shadow::Same }
            } else if enforced.as_ref() == Some(&against) {
                Shadow::Same
            } else {
                Shadow::Refuses(Refusal::new(Reason::Viewbot(against)))
            };
        }
        if let Some(against) = enforced {
            self.book.undo(policy, receipt, now);
            receipt.clear();
            decision.refusal = Some(Refusal::new(Reason::Viewbot(against)));
        }
        decision
    }

    /// Puts a decision together from what was found and booked.
    fn concluded(assessment: &mut Assessment, charge: Charge) -> Decision {
        let caller = assessment.caller.take();
        let found = std::mem::take(&mut assessment.shadow);
        // A lower row answers first: what the lists say in shadow goes before what the quotas say.
        match charge {
            Charge::Refused { refusal, shadow } => {
                let shadow = found.or(if assessment.shadow_exempts { Shadow::Admits } else { shadow });
                Decision { caller, refusal: Some(refusal), shadow }
            }
            Charge::Booked { shadow } | Charge::TurnedAway { shadow } => {
                Decision { caller, refusal: None, shadow: found.or(shadow) }
            }
        }
    }

    /// The second step and the third in one, where nothing has to come between; with the receipt where it admits.
    pub fn decide(
        &self,
        policy: &PolicySet,
        mut assessment: Assessment,
        now: Timestamp,
    ) -> (Decision, Option<Receipt>) {
        let mut receipt = Receipt::default();
        let charge = self.charge(policy, &mut assessment, &mut receipt, now);
        let decision = self.conclude(policy, &mut assessment, charge, &mut receipt, now);
        let admitted = decision.refusal.is_none();
        (decision, admitted.then_some(receipt))
    }

    /// The last step: ends an admitted request. Tells whether anything was refunded.
    pub fn observe(&self, policy: &PolicySet, receipt: &Receipt, ending: Ending, now: Timestamp) -> bool {
        if let Some(counted) = &receipt.counted {
            self.viewbot.settle(policy.viewbot(), counted, matches!(ending, Ending::Good(_)), now);
        }
        if let (Some(named), Ending::Good(Some(answered))) = (receipt.named, ending) {
            self.viewbot.learn_pair(named, answered, now);
        }
        if ending == Ending::Refused {
            self.book.undo(policy, receipt, now);
            return false;
        }
        self.book.settle(policy, receipt, ending == Ending::Refunded, now)
    }

    /// How the caller's quotas stand, for the limits answer. Books nothing.
    pub fn standings(&self, policy: &PolicySet, facts: &Facts<'_>, now: Timestamp) -> Vec<Standing> {
        self.book.standings(policy, &assess::quotas_of(policy, &self.viewbot, facts, now), now)
    }

    /// How the quotas of a refused request stand, for the headers of the refusal.
    pub fn standings_of(&self, policy: &PolicySet, plan: &Plan, now: Timestamp) -> Vec<Standing> {
        self.book.standings(policy, plan, now)
    }

    /// View-bot detection: for the operator and for metrics.
    pub fn viewbot(&self) -> &Viewbot {
        &self.viewbot
    }

    /// What the operator bans by hand.
    pub fn operator_bans(&self) -> &OperatorBans {
        &self.operator_bans
    }

    /// The book of counts: for the sweeper and for metrics.
    pub fn book(&self) -> &Book {
        &self.book
    }
}
