//! Looking ahead: what a request will need is fetched from memory while something else is done.
//!
//! Most of what a decision takes is waiting for memory. Nothing is written here: looking ahead, at any request or none, changes
//! no decision. Whoever knows the next requests, as a replay does, looks at them while others are decided
//! ([`foresee`](Engine::foresee)), and does not work out again what it found then of what they say. A gateway knows one at a
//! time, and looks ahead within it ([`assess_ahead`](Engine::assess_ahead)): with a million rooms in turn a decision takes 900
//! ns and not 1,300 at the median; with a million keys behind a gateway a request takes 0.98 of the time, and with ten
//! thousand, which the processor's caches hold, as much as before, for the locks that have to be taken cost what they gain.

use super::Engine;
use super::assess::{Assessment, Prepared, Who, assess, identify, resolved};
use super::book;
use super::facts::Facts;
use super::viewbot::foresight::Foreseen;
use super::viewbot::sighting::Sighting;
use crate::base::net::Prefix;
use crate::base::operation::Operation;
use crate::base::room::Room;
use crate::base::subject::Subject;
use crate::base::time::Timestamp;
use crate::policy::PolicySet;

/// A request that is to come: what of its assessment can be said by now, and where it will look.
#[derive(Debug)]
pub struct Foresight<'p, 'f> {
    /// With the room in its one form, as far as that is known by now.
    facts: Facts<'f>,
    /// The same where the request itself says it.
    resolved: Option<Room>,
    who: Who<'p>,
    prepared: Prepared,
    counts: book::Foreseen,
    viewbot: Option<Foreseen>,
}

impl Foresight<'_, '_> {
    /// What is asked for.
    pub fn operation(&self) -> Operation {
        self.facts.operation
    }
}

impl Engine {
    /// Looks ahead to one request: asks for the places where it is said where its counts lie. Once these have come,
    /// [`foresee_entries`](Self::foresee_entries) asks for what they lead to, [`foresee_behind`](Self::foresee_behind) for what
    /// stands behind that, and its turn is [`assess_foreseen`](Self::assess_foreseen).
    pub fn foresee<'p, 'f>(
        &mut self,
        policy: &'p PolicySet,
        facts: &Facts<'f>,
        now: Timestamp,
    ) -> Foresight<'p, 'f> {
        let said = facts.resolved;
        let facts = resolved(&self.viewbot, facts, now);
        let who = identify(policy, &facts);
        let prepared = Prepared::of(policy, &facts, &who);
        Foresight {
            counts: self.book.foresee(policy, &prepared.plan),
            viewbot: prepared.sighting.as_ref().map(|sighting| self.viewbot.foresee(sighting)),
            resolved: said,
            facts,
            who,
            prepared,
        }
    }

    /// The second look.
    pub fn foresee_entries(&mut self, foresight: &mut Foresight<'_, '_>) {
        self.book.foresee_records(&mut foresight.counts);
        if let Some(foreseen) = &mut foresight.viewbot {
            self.viewbot.foresee_entries(foreseen);
        }
    }

    /// The third look: at what those entries lead to.
    pub fn foresee_behind(&mut self, foresight: &Foresight<'_, '_>) {
        self.book.foresee_behind(&foresight.counts);
        if let Some(foreseen) = &foresight.viewbot {
            self.viewbot.foresee_behind(foreseen);
        }
    }

    /// [`assess`](Self::assess) for a request that was foreseen, under the same policy. What has happened since counts.
    pub fn assess_foreseen(
        &self,
        policy: &PolicySet,
        foresight: &mut Foresight<'_, '_>,
        now: Timestamp,
    ) -> Assessment {
        let Foresight { facts, who, prepared, .. } = foresight;
        let taught = || facts.room.map(|room| self.viewbot.canonical(room, now));
        let resolved = foresight.resolved.or_else(taught);
        if resolved == facts.resolved {
            return assess(self, policy, facts, who, Some(prepared), |_| None, now);
        }
        // An answer has taught in between what the room's one form is, and what was prepared is of the other.
        assess(self, policy, &Facts { resolved, ..*facts }, who, None, |_| None, now)
    }

    /// [`assess`](Self::assess) for a request that is charged and concluded right after, and that nobody foresaw: what these steps
    /// will look at is asked for before. Of view-bot detection that is the index; the entries, when the request is concluded.
    pub fn assess_ahead(&self, policy: &PolicySet, facts: &Facts<'_>, now: Timestamp) -> Assessment {
        let facts = &resolved(&self.viewbot, facts, now);
        let who = identify(policy, facts);
        let proxy = Subject::prefix(Prefix::proxy(facts.client));
        self.book.look_ahead(who.account_subject().into_iter().chain([proxy]));
        let look_ahead = |sighting: &Sighting| Some(self.viewbot.look_ahead(sighting));
        assess(self, policy, facts, &who, None, look_ahead, now)
    }
}
