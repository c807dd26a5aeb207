//! The generators in force and how they are asked, and how a reload changes that while requests are under way.
//!
//! A [`Roster`] does not change. A reload makes another and puts it in its place; each thread goes over to it before its next
//! request. A generator that stands as it stood is the same in both: what is known of it, its work in flight and its duty go on,
//! and one that was ejected stays so until a probe finds it well.
//! One that was taken out finishes what it has: whoever asked it holds the roster that it is in, and those who wait in that
//! roster's queue are served from it (`Retired`). So nothing is lost. Where one stands for an instance that was there before under other
//! settings, and can only do so much at a time, both count their work together.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;

use super::member::Generator;
use super::roster::Roster;
use super::settings::Settings;
use crate::base::time::Timestamp;

/// After so long nobody waits in a roster that was replaced: no client waits longer for an answer.
const RETIRED_FOR: Duration = Duration::from_secs(20);

/// A generator as the deployment file wants it.
#[derive(Debug)]
pub struct Wanted {
    /// As new.
    pub generator: Generator,
    /// A hash of all that makes it what it is: its settings, its key, its certificates. Two with the same are one.
    pub fingerprint: [u8; 32],
}

/// What a reload changed, by names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changes {
    /// Those that were not there.
    pub added: Vec<Arc<str>>,
    /// Those that are there no longer.
    pub removed: Vec<Arc<str>>,
    /// Those of the same name that are not what they were.
    pub replaced: Vec<Arc<str>>,
    /// How they are asked, by the fields that are not what they were: a line for each.
    pub asked: Vec<String>,
    /// Those that had been taken off duty, and without which nobody would be left that can do what they can.
    pub back_on_duty: Vec<Arc<str>>,
}

impl Changes {
    /// A line for each.
    pub fn lines(&self) -> Vec<String> {
        let line = |what: &'static str| move |name: &Arc<str>| format!("generator `{name}` {what}");
        let added = self.added.iter().map(line("is added"));
        let replaced = self.replaced.iter().map(line("is replaced by its new settings"));
        let removed = self.removed.iter().map(line("is taken out: what it works on is finished"));
        let asked = self.asked.iter().map(|line| format!("of how generators are asked, {line}"));
        let back =
            self.back_on_duty.iter().map(line("is on duty again: nobody else is left that can do its work"));
        added.chain(replaced).chain(removed).chain(asked).chain(back).collect()
    }
}

/// One that is in force.
#[derive(Debug)]
struct Known {
    generator: Arc<Generator>,
    fingerprint: [u8; 32],
}

/// The generators in force.
#[derive(Debug)]
pub struct Stage {
    current: ArcSwap<Roster>,
    generation: AtomicU64,
    /// Those of the current roster, in its order; held while it is replaced.
    known: Mutex<Vec<Known>>,
    retired: Mutex<Vec<Retired>>,
}

/// A roster that was replaced, and when.
#[derive(Debug)]
struct Retired(Arc<Roster>, Timestamp);

impl Stage {
    /// With the first of them.
    pub fn new(wanted: Vec<Wanted>, settings: Settings, now: Timestamp) -> Self {
        let mut known = Vec::with_capacity(wanted.len());
        for wanted in wanted {
            known.push(Known::among(&known, wanted));
        }
        let roster = Roster::of(known.iter().map(|one| Arc::clone(&one.generator)).collect(), settings, now);
        Self {
            current: ArcSwap::from_pointee(roster),
            generation: AtomicU64::new(1),
            known: Mutex::new(known),
            retired: Mutex::default(),
        }
    }

    /// The roster in force.
    pub fn roster(&self) -> Arc<Roster> {
        self.current.load_full()
    }

    /// The how-manieth it is, from 1.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Puts others in force, at once; `None` where they are what they were, and asked as they were.
    pub fn set(&self, wanted: Vec<Wanted>, settings: Settings, now: Timestamp) -> Option<Changes> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut changes, mut next) = (Changes::default(), Vec::with_capacity(wanted.len()));
        for wanted in wanted {
            let before = known.iter().find(|one| one.generator.name == wanted.generator.name);
            match before {
                Some(before) if before.fingerprint == wanted.fingerprint => next.push(before.again()),
                _ => {
                    let one = Known::among(known.iter().chain(&next), wanted);
                    let kind = if before.is_some() { &mut changes.replaced } else { &mut changes.added };
                    kind.push(Arc::clone(&one.generator.name));
                    // Its first answers may be slow, and nobody knows yet whether they are any good.
                    one.generator.start_slowly(now);
                    next.push(one);
                }
            }
        }
        let stays = |one: &Known| next.iter().any(|next| next.generator.name == one.generator.name);
        changes.removed =
            known.iter().filter(|one| !stays(one)).map(|one| Arc::clone(&one.generator.name)).collect();
        let old = self.roster();
        changes.asked = old.settings().changes(&settings);
        if changes == Changes::default() {
            return None;
        }
        let roster = Roster::of(next.iter().map(|one| Arc::clone(&one.generator)).collect(), settings, now);
        changes.back_on_duty = roster.leave_nobody_out();
        roster.succeed(&old, now);
        let old = self.current.swap(Arc::new(roster));
        *known = next;
        self.generation.fetch_add(1, Ordering::Release);
        drop(known);
        self.retired.lock().unwrap_or_else(PoisonError::into_inner).push(Retired(old, now));
        Some(changes)
    }

    /// Serves those who still wait in rosters that were replaced. To be called many times a second.
    pub fn tend_retired(&self, now: Timestamp) {
        let mut retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
        retired.retain(|Retired(roster, since)| {
            roster.serve_waiting();
            now.since(*since) < RETIRED_FOR
        });
    }
}

impl Known {
    /// A new one; what is under way at its place counts for it as well.
    fn among<'k>(known: impl IntoIterator<Item = &'k Self>, wanted: Wanted) -> Self {
        let Wanted { mut generator, fingerprint } = wanted;
        if let Some(same) = known.into_iter().find(|known| known.generator.is_one_with(&generator)) {
            generator.share_work_with(&same.generator);
        }
        Self { generator: Arc::new(generator), fingerprint }
    }

    fn again(&self) -> Self {
        Self { generator: Arc::clone(&self.generator), fingerprint: self.fingerprint }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::base::net::Prefix;
    use crate::generator::adapters::{Carcabot, Kind};
    use crate::generator::balance::Places;
    use crate::generator::judge::Judge;
    use crate::generator::roster::{Asker, Payer};
    use crate::generator::trial::{Duty, Trial, Unchanged};
    use crate::generator::wire::{Origin, Roots};

    fn wanted(name: &str, version: u8) -> Wanted {
        let generator = Generator::new(name, name, Kind::StandIn, Judge::of_stand_in(), 4, 1);
        Wanted { generator, fingerprint: [version; 32] }
    }

    fn names(names: &[&str]) -> Vec<Arc<str>> {
        names.iter().map(|name| Arc::from(*name)).collect()
    }

    #[test]
    fn what_stays_is_the_same_and_what_changed_is_new() {
        let now = Timestamp::from_secs(9);
        let stage =
            Stage::new(vec![wanted("a", 1), wanted("b", 1), wanted("c", 1)], Settings::default(), now);
        let before = stage.roster();
        before.assign(0, Duty::Drained).unwrap();
        let settings = Settings::default();
        let same = vec![wanted("a", 1), wanted("b", 1), wanted("c", 1)];
        assert_eq!(stage.set(same, settings.clone(), now), None);
        assert_eq!(stage.generation(), 1);
        let others = vec![wanted("d", 1), wanted("b", 2), wanted("a", 1)];
        let changes = stage.set(others, settings, now).unwrap();
        assert_eq!((stage.generation(), changes.lines().len()), (2, 3));
        assert_eq!(
            changes,
            Changes {
                added: names(&["d"]),
                removed: names(&["c"]),
                replaced: names(&["b"]),
                ..Changes::default()
            }
        );
        let after = stage.roster();
        assert!(Arc::ptr_eq(&before.all()[0], &after.all()[2]), "the same, with what it works on");
        assert_eq!(after.all()[2].post.duty(), Duty::Drained, "and its duty");
        assert!(!Arc::ptr_eq(&before.all()[1], &after.all()[1]));
        assert!(before.all()[2].has_room(), "one that was taken out finishes what it has");
        stage.tend_retired(now);
    }

    /// A thread that has not gone over yet waits in the roster before, and those that have give back what they took in the new one.
    #[tokio::test(start_paused = true)]
    async fn who_waits_in_a_roster_that_was_replaced_is_served() {
        let now = Timestamp::from_secs(9);
        let one = || {
            let generator = Generator::new("a", "a", Kind::StandIn, Judge::of_stand_in(), 1, 1);
            Wanted { generator, fingerprint: [1; 32] }
        };
        let stage = Stage::new(vec![one()], Settings::default(), now);
        let before = stage.roster();
        stage.set(vec![one(), wanted("b", 1)], Settings::default(), now).unwrap();
        let after = stage.roster();
        let held = after.permit_of(0).unwrap();
        let payer = Payer::Proxy(Prefix::proxy(std::net::IpAddr::from([203, 0, 113, 7])));
        let soon = Instant::now() + Duration::from_secs(1);
        let waits = before.wait(Asker { payer, rank: 0 }, Places::first(1), soon);
        let tended = async {
            tokio::task::yield_now().await;
            drop(held);
            assert_eq!((before.waiting(), after.all()[0].in_flight()), (1, 0), "nobody has told who waits");
            stage.tend_retired(now);
            assert_eq!(before.waiting(), 0);
        };
        let (permit, ()) = tokio::join!(waits, tended);
        assert_eq!(permit.unwrap().place, 0);
    }

    /// Nobody would see it in the file, and every request would be refused.
    #[test]
    fn a_drained_one_that_is_left_alone_is_on_duty_again() {
        let now = Timestamp::from_secs(9);
        let stage = Stage::new(vec![wanted("a", 1), wanted("b", 1)], Settings::default(), now);
        stage.roster().assign(0, Duty::Drained).unwrap();
        let changes = stage.set(vec![wanted("a", 1)], Settings::default(), now).unwrap();
        assert_eq!((changes.removed.clone(), changes.back_on_duty.clone()), (names(&["b"]), names(&["a"])));
        assert_eq!(changes.lines().len(), 2);
        let after = stage.roster();
        assert_eq!((after.all()[0].post.duty(), after.on_duty()), (Duty::Full, Places::first(1)));
        assert_eq!(after.assign(0, Duty::Drained), Err(Unchanged::LastOne));
    }

    /// It serves everybody, as nobody else is on duty.
    #[test]
    fn the_last_canary_stays_on_duty() {
        let now = Timestamp::from_secs(9);
        let new = |version| {
            let Wanted { generator, fingerprint } = wanted("new", version);
            Wanted { generator: generator.on_trial(Trial::new("old", 0.1)), fingerprint }
        };
        let stage = Stage::new(vec![wanted("old", 1), new(1)], Settings::default(), now);
        stage.roster().assign(1, Duty::Full).unwrap();
        stage.roster().assign(0, Duty::Drained).unwrap();
        let changes = stage.set(vec![wanted("old", 1), new(2)], Settings::default(), now).unwrap();
        assert_eq!((changes.replaced.clone(), changes.back_on_duty.len()), (names(&["new"]), 0));
        let after = stage.roster();
        assert_eq!((after.all()[1].post.duty(), after.on_duty()), (Duty::Canary, Places::NONE.with(1)));
        for duty in [Duty::RolledBack, Duty::Drained] {
            assert_eq!(after.assign(1, duty), Err(Unchanged::LastOne));
        }
        after.assign(0, Duty::Full).unwrap();
        after.assign(1, Duty::RolledBack).unwrap();
    }

    #[test]
    fn what_one_that_takes_one_at_a_time_works_on_counts_for_its_new_settings_too() {
        let at = |name: &str, url: &str, weight: u32| {
            let kind = Kind::Carcabot(Carcabot::new(Origin::parse(url, Roots::Native).unwrap(), None));
            let generator = Generator::new(name, name, kind, Judge::default(), 1, weight);
            Wanted { generator, fingerprint: [weight as u8; 32] }
        };
        let now = Timestamp::from_secs(9);
        let settings = Settings::default();
        let stage = Stage::new(vec![at("a", "http://127.0.0.1:9", 1)], settings.clone(), now);
        let before = stage.roster();
        let working = before.permit_of(0).unwrap();
        let renamed = vec![
            at("a", "http://127.0.0.1:9/", 2),
            at("b", "http://127.0.0.1:9", 1),
            at("c", "http://127.0.0.1:9/signer", 1),
            at("d", "http://127.0.0.1:8", 1),
        ];
        stage.set(renamed, settings, now).unwrap();
        let after = stage.roster();
        let room = |after: &Roster| after.all().iter().map(|one| one.has_room()).collect::<Vec<_>>();
        assert_eq!(room(&after), [false, false, true, true]);
        drop(working);
        assert_eq!(room(&after), [true; 4]);
    }

    #[test]
    fn how_they_are_asked_changes_too_and_who_is_out_stays_out() {
        let now = Timestamp::from_secs(9);
        let three = || vec![wanted("a", 1), wanted("b", 1), wanted("c", 1)];
        let stage = Stage::new(three(), Settings::default(), now);
        let before = stage.roster();
        before.serve(Places::first(3).without(1), now);
        before.note_good_room(7);
        let settings = Settings { hedge: false, ..Settings::default() };
        let changes = stage.set(three(), settings.clone(), now).unwrap();
        assert_eq!(changes.lines(), ["of how generators are asked, `hedge` is false, and was true"]);
        let after = stage.roster();
        assert!(!after.settings().hedge && Arc::ptr_eq(&before.all()[0], &after.all()[0]));
        assert_eq!((after.serving(), after.good_room()), (Places::first(3).without(1), Some(7)));
        // A new version of it has not failed anybody yet.
        stage.set(vec![wanted("a", 1), wanted("b", 2), wanted("c", 1)], settings, now).unwrap();
        assert_eq!(stage.roster().serving(), Places::first(3));
    }
}
