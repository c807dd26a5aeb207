//! Looking ahead: what a request will need is fetched from memory while something else is done.
//!
//! Most of what a decision takes is waiting for memory. Nothing is written here: looking ahead, at any request or none, changes
//! no decision. Whoever knows the next requests, as a replay does, looks at them while others are decided
//! ([`foresee`](Engine::foresee)). A gateway knows one at a time, and looks ahead within it ([`assess_ahead`](Engine::assess_ahead)):
//! with a million rooms in turn a decision takes 900 ns and not 1,300 at the median; with a million keys behind a gateway a
//! request takes 0.98 of the time, and with ten thousand, which the processor's caches hold, as much as before, for the locks
//! that have to be taken cost what they gain.

use super::Engine;
use super::assess::{Assessment, assess, identify, plan, resolved};
use super::book;
use super::facts::Facts;
use super::viewbot;
use super::viewbot::sighting::{Sighting, Viewer};
use crate::base::net::Prefix;
use crate::base::subject::Subject;
use crate::base::time::Timestamp;
use crate::policy::PolicySet;
use crate::policy::viewbot::ViewbotMode;

/// Where a request that is to come will look.
#[derive(Debug)]
pub struct Foresight {
    counts: book::Foreseen,
    viewbot: Option<viewbot::Foreseen>,
}

impl Engine {
    /// Looks ahead to one request: asks for the places where it is said where its counts lie. Once these have come,
    /// [`foresee_entries`](Self::foresee_entries) asks for what they lead to.
    pub fn foresee(&mut self, policy: &PolicySet, facts: &Facts<'_>, now: Timestamp) -> Foresight {
        let facts = &resolved(&self.viewbot, facts, now);
        let who = identify(policy, facts);
        let plan = plan(policy, facts, &who, facts.resolved, facts.operation, |_| true);
        let room = facts.resolved.filter(|_| policy.viewbot().mode != ViewbotMode::Off);
        Foresight {
            counts: self.book.foresee(policy, &plan),
            viewbot: room.map(|room| self.viewbot.foresee(Viewer::of(facts, &who).0, Subject::room(&room))),
        }
    }

    /// The second look.
    pub fn foresee_entries(&mut self, foresight: &Foresight) {
        self.book.foresee_records(&foresight.counts);
        if let Some(foreseen) = &foresight.viewbot {
            self.viewbot.foresee_entries(foreseen);
        }
    }

    /// [`assess`](Self::assess) for a request that is charged and concluded right after, and that nobody foresaw: what these steps
    /// will look at is asked for before. Of view-bot detection that is the index; the entries, when the request is concluded.
    pub fn assess_ahead(&self, policy: &PolicySet, facts: &Facts<'_>, now: Timestamp) -> Assessment {
        let facts = &resolved(&self.viewbot, facts, now);
        let who = identify(policy, facts);
        let proxy = Subject::prefix(Prefix::proxy(facts.client));
        self.book.look_ahead(who.account_subject().into_iter().chain([proxy]));
        let look_ahead = |sighting: &Sighting| Some(self.viewbot.look_ahead(sighting));
        assess(policy, &self.viewbot, &self.operator_bans, facts, &who, look_ahead, now)
    }
}
