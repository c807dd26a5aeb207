//! What is being learned of ordinary crowds, and how it is published.
//!
//! Readers see an immutable [`Ordinary`]. A copy of all that is counted for each publication would be a pause of many
//! decisions' length for the one that makes it. So there are two models: one is published, the other takes lessons in; then
//! they change places, and the one that comes back takes in what it has missed, a few lessons for each new one (left-right:
//! Ramalhete, Correia, 2015). Both see the same lessons in the same order.

use std::sync::Arc;

use super::arith::{faded, mix};
use super::bounded::Bounded;
use super::ordinary::{Lesson, Ordinary, STRANGERS_MAX, Shares};
use super::sighting::{KeyNumber, Sighting};

/// So many keys are looked at for being an app's.
const KEYS_MAX: usize = 16_384;

/// A key is an app's that strangers used in so many calm rooms, from so many subnets: one key in every copy.
const APP_ROOMS: usize = 8;

/// What is usual of known viewers is forgotten in this time: an average over all time would be blind in the evening.
const USUAL_TAU_SECS: f64 = 300.0;

/// Below so many arrivals nothing is said of what is usual.
const USUAL_MIN: f64 = 200.0;

/// So many strangers are remembered of those who were asked whether their address has another viewer in the room.
const ASKED_MAX: f64 = 4_096.0;

/// So many lessons are taken in for each new one: two for one that is behind, so that it is never behind for long.
const CATCH_UP: usize = 3;

/// And that once in so many new ones, for all of them: what a lesson needs of code and tables is fetched once then. More would be felt
/// by the request that takes them in.
const TOGETHER: usize = 8;

/// Lessons between two publications at most.
const UNPUBLISHED_MAX: f64 = 512.0;

/// Where a key was used: rooms and subnets, up to so many that it is an app's.
#[derive(Debug, Clone, Copy, Default)]
struct KeyUse {
    rooms: [u32; APP_ROOMS],
    subnets: [u64; APP_ROOMS],
    room_count: u8,
    subnet_count: u8,
    /// After how many halvings it was used last: what it was before is forgotten.
    halvings: u32,
}

impl KeyUse {
    fn is_app(&self) -> bool {
        usize::from(self.room_count) >= APP_ROOMS && usize::from(self.subnet_count) >= APP_ROOMS
    }

    fn note(&mut self, room: u32, subnet: u64) {
        let (rooms, subnets) = (usize::from(self.room_count), usize::from(self.subnet_count));
        if rooms < APP_ROOMS && !self.rooms[..rooms].contains(&room) {
            self.rooms[rooms] = room;
            self.room_count += 1;
        }
        if subnets < APP_ROOMS && !self.subnets[..subnets].contains(&subnet) {
            self.subnets[subnets] = subnet;
            self.subnet_count += 1;
        }
    }

    fn worth(&self) -> u64 {
        if self.is_app() { u64::MAX } else { u64::from(self.room_count + self.subnet_count) }
    }
}

/// What is being learned.
pub(super) struct Learning {
    /// Takes lessons in. Nobody else holds it, but for readers who have not yet let go of what was published before.
    draft: Arc<Ordinary>,
    /// What readers see.
    published: Arc<Ordinary>,
    /// The lessons that the draft has not taken in yet are those from `missed` on; those from `unpublished` on are not
    /// published.
    lessons: std::collections::VecDeque<Lesson>,
    missed: usize,
    unpublished: usize,
    keys: Bounded<KeyNumber, KeyUse>,
    known: f64,
    arrivals: f64,
    at: u32,
    asked: f64,
    in_company: f64,
    strangers: f64,
    halvings: u32,
}

impl Learning {
    /// With nothing learned. `seed` seeds hash tables, on which nothing hangs.
    pub(super) fn new(seed: u64) -> Self {
        Self {
            draft: Arc::default(),
            published: Arc::default(),
            lessons: std::collections::VecDeque::new(),
            missed: 0,
            unpublished: 0,
            keys: Bounded::new(KEYS_MAX, seed),
            known: 0.0,
            arrivals: 0.0,
            at: 0,
            asked: 0.0,
            in_company: 0.0,
            strangers: 0.0,
            halvings: 0,
        }
    }

    /// A stranger was admitted to a calm room. Gives what to publish, when it is time.
    pub(super) fn stranger(&mut self, sighting: &Sighting) -> Option<Arc<Ordinary>> {
        let lesson = Lesson::of(sighting, self.new_app(sighting));
        self.lessons.push_back(lesson);
        self.strangers += 1.0;
        if self.strangers >= STRANGERS_MAX {
            self.strangers *= 0.5;
            self.halvings += 1;
        }
        if self.lessons.len().is_multiple_of(TOGETHER) {
            self.catch_up(CATCH_UP * TOGETHER);
        }
        // Often while little is known, and then whenever a thirty-second of it is new.
        let unpublished = (self.lessons.len() - self.unpublished) as f64;
        if unpublished < (self.strangers / 32.0).clamp(16.0, UNPUBLISHED_MAX) {
            return None;
        }
        Some(self.publish())
    }

    /// Takes a few of the missed lessons in, where all readers have let go of the draft.
    fn catch_up(&mut self, most: usize) {
        if let Some(draft) = Arc::get_mut(&mut self.draft) {
            for lesson in self.lessons.iter().skip(self.missed).take(most) {
                draft.learn(lesson);
                self.missed += 1;
            }
        }
    }

    fn publish(&mut self) -> Arc<Ordinary> {
        if Arc::get_mut(&mut self.draft).is_none() {
            // A reader has held on to it for as long as it took to learn all this: rather a copy than waiting for it.
            self.draft = Arc::new(Ordinary::clone(&self.published));
            self.missed = self.unpublished;
        }
        self.catch_up(usize::MAX);
        // What the one that comes back has not seen is what was not published, and no more.
        self.lessons.drain(..self.unpublished);
        std::mem::swap(&mut self.draft, &mut self.published);
        (self.missed, self.unpublished) = (0, self.lessons.len());
        Arc::clone(&self.published)
    }

    /// The key of a stranger, if it is now seen to be an app's.
    fn new_app(&mut self, sighting: &Sighting) -> Option<KeyNumber> {
        let (key, halvings) = (sighting.key?, self.halvings);
        let subnet = mix(sighting.subnet.to_number(), 0);
        // With its first use, so that it is worth as much as another that was used once: else all in a full table would be worth
        // more, and dozens be looked at for each new key.
        let first = || {
            let mut uses = KeyUse { halvings, ..KeyUse::default() };
            uses.note(sighting.short, subnet);
            uses
        };
        let (uses, _) = self.keys.entry(key, first, |_, uses| uses.worth());
        if uses.is_app() {
            return None;
        }
        if uses.halvings != halvings {
            *uses = KeyUse { halvings, ..KeyUse::default() };
        }
        uses.note(sighting.short, subnet);
        uses.is_app().then_some(key)
    }

    /// Somebody new came to a calm room that has an audience.
    pub(super) fn arrival(&mut self, is_known: bool, now: u32) {
        let fade = faded(f64::from(now.saturating_sub(self.at)), USUAL_TAU_SECS);
        self.at = self.at.max(now);
        self.known = self.known * fade + f64::from(u8::from(is_known));
        self.arrivals = self.arrivals * fade + 1.0;
    }

    /// The share of known viewers among those who come to calm rooms these minutes; 0 while too few came to say.
    pub(super) fn usual_known(&self) -> f64 {
        if self.arrivals >= USUAL_MIN { self.known / self.arrivals } else { 0.0 }
    }

    /// A stranger came to a calm room, and its address has another viewer there or not.
    pub(super) fn asked(&mut self, has_company: bool) {
        self.asked += 1.0;
        self.in_company += f64::from(u8::from(has_company));
        if self.asked >= ASKED_MAX {
            (self.asked, self.in_company) = (self.asked * 0.5, self.in_company * 0.5);
        }
    }

    /// The share of strangers in calm rooms whose address has another viewer there: three more, as many as may have been
    /// missed (the rule of three, as in [`Ordinary::doubt`]). All of them before any was asked.
    pub(super) fn usual_company(&self) -> f64 {
        (self.in_company + 3.0) / (self.asked + 3.0)
    }

    /// Puts back what was learned; gives what to publish.
    pub(super) fn recall(&mut self, shares: &Shares) -> Arc<Ordinary> {
        let model = Ordinary::of_shares(shares);
        self.strangers = model.strangers();
        for key in &shares.apps {
            let mut uses = KeyUse { halvings: self.halvings, ..KeyUse::default() };
            (uses.room_count, uses.subnet_count) = (APP_ROOMS as u8, APP_ROOMS as u8);
            self.keys.entry(*key, || uses, |_, uses| uses.worth());
        }
        self.lessons.clear();
        (self.missed, self.unpublished) = (0, 0);
        (self.draft, self.published) = (Arc::new(model.clone()), Arc::new(model));
        Arc::clone(&self.published)
    }

    /// What has been learned, to be exported.
    pub(super) fn shares(&mut self) -> Shares {
        self.catch_up(usize::MAX);
        let missed = self.lessons.iter().skip(self.missed);
        let mut model = Ordinary::clone(&self.draft);
        missed.for_each(|lesson| model.learn(lesson));
        model.shares()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::net::Prefix;
    use crate::base::room::Room;
    use crate::base::subject::Subject;
    use crate::engine::viewbot::sighting::{Address, Fingerprint, Label, Profile, Viewer, Wide};

    fn sighting(n: u64) -> Sighting {
        let random = mix(n, 7);
        let address = Address::of(Prefix::proxy(std::net::Ipv4Addr::from_bits(random as u32).into()));
        let room = Room::Id(n % 50);
        // A few tools that many have, and many that few have.
        let tool = if random.is_multiple_of(3) { n / 5 % 4_000 } else { random % 40 };
        Sighting {
            room,
            subject: Subject::room(&room),
            short: n as u32 % 50 + 1,
            viewer: Viewer { address, who: n },
            has_device: false,
            subnet: address.subnet(),
            wide: Wide::example(random >> 32 & 63),
            is_hosting: n.is_multiple_of(9),
            is_shared: false,
            is_mobile: false,
            profile: Profile { fingerprint: Fingerprint(mix(tool, 1)), sort: (random >> 50 & 3) as u8 },
            key: n.is_multiple_of(2).then_some(KeyNumber(random >> 40 & 255)),
            is_free: true,
            is_nameless: true,
            label: Label::new(""),
        }
    }

    /// Whatever readers hold on to, and however often everything is halved.
    #[test]
    fn what_is_published_is_what_was_learned() {
        let (mut learning, mut model, mut apps) = (Learning::new(1), Ordinary::default(), Learning::new(2));
        let mut held = Vec::new();
        for n in 0..120_000u64 {
            let sighting = sighting(n);
            model.learn(&Lesson::of(&sighting, apps.new_app(&sighting)));
            apps.strangers += 1.0;
            if apps.strangers >= STRANGERS_MAX {
                (apps.strangers, apps.halvings) = (apps.strangers * 0.5, apps.halvings + 1);
            }
            if let Some(published) = learning.stranger(&sighting) {
                assert!((published.strangers() - model.strangers()).abs() < 1e-9, "{n}");
                if n % 5 == 0 {
                    assert_eq!(published.shares(), model.shares(), "{n}");
                    assert_eq!(published.common().collect::<Vec<_>>(), model.common().collect::<Vec<_>>());
                }
                // A reader keeps some of them for longer than one publication.
                held.push(published);
                if n % 3 > 0 {
                    held.clear();
                }
            }
            assert!(learning.lessons.len() <= 1_024, "two publications' at most");
        }
        assert!(model.shares().apps.len() > 100);
        assert_eq!(learning.shares(), model.shares());
    }

    /// The common fingerprints and the sums of the others, as going through everything would find them.
    #[test]
    fn the_commonest_are_kept_as_they_come() {
        let mut model = Ordinary::default();
        for n in 0..120_000u64 {
            model.learn(&Lesson::of(&sighting(n), None));
            if n % 10_007 == 0 {
                model.check();
            }
        }
    }
}
