//! Looking ahead: whoever knows the next requests has what they will need fetched from memory while others are decided.
//!
//! A third of the time that a replay takes was waiting for memory. Nothing is written here: looking ahead, at any request or
//! none, changes no decision. A gateway does not do it: it knows one request at a time, and the locks that it would have to
//! take for it cost as much as it gains (measured over 31 rounds, and once more over 25 with an index of records that could be
//! asked for: nothing; nor did it help to let other requests go first meanwhile). What needs no lock, the caller's key and account,
//! it does ask for: [`PolicySet::prefetch_key`].

use super::Engine;
use super::assess::{identify, plan, resolved};
use super::book;
use super::facts::Facts;
use super::viewbot;
use super::viewbot::sighting::Viewer;
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
}
