//! Looking ahead: what a request will need is fetched from memory while something else is done.
//!
//! Most of what a decision takes is waiting for memory. Nothing is written here: looking ahead, at any request or none, changes
//! no decision. Whoever knows the next requests, as a replay does, looks at them while others are decided
//! ([`foresee`](Engine::foresee)), and does not work out again what it found then of what they say. A gateway knows one at a
//! time, and looks ahead within it ([`assess_ahead`](Engine::assess_ahead)): with a million rooms in turn a decision takes 900
//! ns and not 1,300 at the median; with a million keys behind a gateway a request takes 0.98 of the time, and with ten
//! thousand, which the processor's caches hold, as much as before, for the locks that have to be taken cost what they gain.

use super::Engine;
use super::assess::{Assessment, assess, identify, is_free, resolved};
use super::facts::Facts;
use super::viewbot::sighting::Sighting;
use crate::base::net::Prefix;
use crate::base::operation::Operation;
use crate::base::room::Room;
use crate::base::subject::Subject;
use crate::base::time::Timestamp;
use crate::policy::PolicySet;

/// A request that is to come: its assessment as far as it can be made by now, with where it will look. Of nothing at first, and to be
/// used again for the next: it is long.
#[derive(Debug, Default)]
pub struct Foresight {
    operation: Option<Operation>,
    /// The room in its one form, where the request itself says it.
    resolved: Option<Room>,
    /// The moment that this is of.
    at: Timestamp,
    /// Without any ban.
    assessment: Assessment,
}

impl Foresight {
    /// What is asked for; `None` where it is of nothing, as it is from then on.
    pub fn take_operation(&mut self) -> Option<Operation> {
        self.operation.take()
    }

    /// Makes it one of nothing.
    pub fn forget(&mut self) {
        self.operation = None;
        self.assessment.plan.clear();
        self.assessment.foreseen = None;
    }
}

impl Engine {
    /// Looks ahead to one request, and writes what it sees over `foresight`: asks for the places where it is said where its counts
    /// lie. Once these have come, [`foresee_entries`](Self::foresee_entries) asks for what they lead to,
    /// [`foresee_behind`](Self::foresee_behind) and [`foresee_beyond`](Self::foresee_beyond) for what stands behind that, and its
    /// turn is [`assess_foreseen`](Self::assess_foreseen), at `now`.
    pub fn foresee(
        &mut self,
        foresight: &mut Foresight,
        policy: &PolicySet,
        facts: &Facts<'_>,
        now: Timestamp,
    ) {
        (foresight.operation, foresight.resolved, foresight.at) =
            (Some(facts.operation), facts.resolved, now);
        let facts = &resolved(&self.viewbot, facts, now);
        let who = identify(policy, facts);
        let viewbot = &mut self.viewbot;
        let look_ahead = |sighting: &Sighting| Some(viewbot.foresee(sighting));
        assess(&mut foresight.assessment, None, policy, facts, &who, look_ahead, now);
        self.book.foresee(policy, &mut foresight.assessment.plan);
    }

    /// The second look.
    pub fn foresee_entries(&mut self, foresight: &mut Foresight) {
        let Assessment { plan, sighting, foreseen, .. } = &mut foresight.assessment;
        self.book.foresee_records(plan);
        if let (Some(sighting), Some(foreseen)) = (sighting, foreseen) {
            self.viewbot.foresee_entries(sighting, foreseen);
        }
    }

    /// The third look: at what those entries lead to.
    pub fn foresee_behind(&mut self, foresight: &mut Foresight) {
        self.book.foresee_behind(&foresight.assessment.plan);
        if let Some(foreseen) = &mut foresight.assessment.foreseen {
            self.viewbot.foresee_behind(foreseen);
        }
    }

    /// The fourth look: at what stands behind that.
    pub fn foresee_beyond(&mut self, foresight: &Foresight) {
        self.book.foresee_beyond(&foresight.assessment.plan);
    }

    /// [`assess`](Self::assess) for a request that was foreseen, under the same policy: `facts` are the same, and asked for where
    /// something has happened since that may change what is said of it. While a ban of the operator's stands that is each.
    pub fn assess_foreseen<'a, 'f>(
        &self,
        policy: &PolicySet,
        foresight: &'a mut Foresight,
        facts: impl FnOnce() -> Facts<'f>,
        now: Timestamp,
    ) -> &'a mut Assessment {
        let Foresight { assessment, .. } = foresight;
        let taught = || assessment.named.map(|room| self.viewbot.canonical(room, now));
        // An answer may have taught what the room's one form is.
        let is_same_room = foresight.resolved.or_else(taught) == assessment.room;
        if !is_same_room || now != foresight.at || !is_free(self, policy, assessment, now) {
            *assessment = self.assess(policy, &facts(), now);
        }
        assessment
    }

    /// [`assess`](Self::assess) for a request that is charged and concluded right after, and that nobody foresaw: what these steps
    /// will look at is asked for before. Of view-bot detection that is the index; the entries, when the request is concluded.
    pub fn assess_ahead(&self, policy: &PolicySet, facts: &Facts<'_>, now: Timestamp) -> Assessment {
        let facts = &resolved(&self.viewbot, facts, now);
        let who = identify(policy, facts);
        let proxy = Subject::prefix(Prefix::proxy(facts.client));
        self.book.look_ahead(who.account_subject().into_iter().chain([proxy]));
        let look_ahead = |sighting: &Sighting| Some(self.viewbot.look_ahead(sighting));
        let mut assessment = Assessment::default();
        assess(&mut assessment, Some(self), policy, facts, &who, look_ahead, now);
        assessment
    }
}
