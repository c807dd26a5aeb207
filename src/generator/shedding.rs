//! Who is turned away at the door when there is more to do than the generators can.
//!
//! A queue alone keeps the generators busy with fresh work, but lets everybody else wait in vain. So once it has stood for
//! [`STANDS`], the surplus is refused at once: what arrives beyond a little more than what is served, taken from the cheapest
//! tier first, and from a dearer one only when all of a cheaper one is refused. The little more keeps the queue from running
//! empty. When it does, the door opens again within a second.
//!
//! Of the tier that is let in in part nobody is turned away who asks for less than an equal share: whoever asks for more is, as
//! much as is beyond it (approximate fair dropping: Pan, Breslau, Prabhakar, Shenker, 2003). Else one who asks without end would
//! have the generators for itself, as all others are refused as often. Who asks how much is counted in a table of hashes; who
//! shares a place in it by chance shares a share.
//!
//! What callers are told of it (`load_shedding`) is what happened in the last seconds: of so many requests of their tier, so
//! many were refused for want of capacity, at the door, in the queue, or because no generator works.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use super::queue::RANKS_MAX;
use crate::base::time::Timestamp;

/// A queue that has not been empty for so long is met at the door.
pub const STANDS: Duration = Duration::from_millis(300);

/// So much more is admitted than is served: the queue must not run empty between two looks.
const MORE: f64 = 1.1;

/// Rates are smoothed over about so long.
const MEMORY: Duration = Duration::from_secs(1);

/// What is told is smoothed over longer: callers ask now and then.
const TOLD_MEMORY: Duration = Duration::from_secs(2);

/// Places of the table in which it is counted who asks how much.
const SHARES: usize = 1024;

/// Who asks how much is looked at so often: it is more than a glance.
const SHARES_LOOK: Duration = Duration::from_millis(200);

/// Chances below this are none.
const CHANCE_MIN: f64 = 0.01;

/// What all threads share.
#[derive(Debug)]
pub struct Shedding {
    /// Whether any chance is above 0: most of the time this is all that is looked at.
    sheds: AtomicBool,
    /// By rank: of 2^32.
    chances: [AtomicU32; RANKS_MAX],
    arrived: [AtomicU32; RANKS_MAX],
    refused: [AtomicU32; RANKS_MAX],
    /// By rank, as callers are told it: of 2^32.
    told: [AtomicU32; RANKS_MAX],
    /// The rank that is let in in part, if there is one, and what is counted of those of it.
    partial: AtomicU32,
    shares: Box<[Share]>,
    /// How many exchanges end a second, and by rank how many of dearer ranks are let in: floats, by their bits.
    serving: AtomicU64,
    dearer: [AtomicU64; RANKS_MAX],
}

/// How much somebody asks for, and by what chance it is turned away: of 2^32.
#[derive(Debug, Default)]
struct Share {
    arrived: AtomicU32,
    chance: AtomicU32,
}

/// No rank is let in in part.
const NONE: u32 = u32::MAX;

impl Default for Shedding {
    fn default() -> Self {
        let zeros = || std::array::from_fn(|_| AtomicU32::new(0));
        Self {
            sheds: AtomicBool::new(false),
            chances: zeros(),
            arrived: zeros(),
            refused: zeros(),
            told: zeros(),
            partial: AtomicU32::new(NONE),
            shares: (0..SHARES).map(|_| Share::default()).collect(),
            serving: AtomicU64::new(0),
            dearer: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }
}

impl Shedding {
    /// A request of that rank comes; true where it is turned away. `payer` is a hash of whose it is, `random` are 32 random bits.
    pub fn turns_away(&self, rank: u8, payer: impl FnOnce() -> u64, random: impl FnOnce() -> u32) -> bool {
        let rank = place(rank);
        self.arrived[rank].fetch_add(1, Ordering::Relaxed);
        if !self.sheds.load(Ordering::Relaxed) {
            return false;
        }
        let chance = if self.partial.load(Ordering::Relaxed) == rank as u32 {
            let share = &self.shares[payer() as usize % SHARES];
            share.arrived.fetch_add(1, Ordering::Relaxed);
            &share.chance
        } else {
            &self.chances[rank]
        };
        random() < chance.load(Ordering::Relaxed)
    }

    /// A request of that rank was refused for want of capacity: here, in the queue, or while no generator works.
    pub fn refused(&self, rank: u8) {
        self.refused[place(rank)].fetch_add(1, Ordering::Relaxed);
    }

    /// How many exchanges end a second: while a queue stands, as many as can.
    pub fn serving(&self) -> f64 {
        f64::from_bits(self.serving.load(Ordering::Relaxed))
    }

    /// How many requests of dearer ranks are let in a second.
    pub fn dearer(&self, rank: u8) -> f64 {
        f64::from_bits(self.dearer[place(rank)].load(Ordering::Relaxed))
    }

    /// The chance that a request of that rank is refused for want of capacity, 0 to 1: as it was in the last seconds.
    pub fn chance(&self, rank: u8) -> f64 {
        f64::from(self.told[place(rank)].load(Ordering::Relaxed)) / f64::from(u32::MAX)
    }
}

fn place(rank: u8) -> usize {
    usize::from(rank).min(RANKS_MAX - 1)
}

#[expect(clippy::cast_sign_loss, reason = "a share is not negative; the cast saturates at both ends")]
fn bits(share: f64) -> u32 {
    // A share of 1 leaves out one draw of four billion.
    (share * f64::from(u32::MAX)) as u32
}

/// Sets the chances. Belongs to whoever looks.
#[derive(Debug)]
pub struct Door {
    looked: Timestamp,
    /// By rank: readings, and what they come to a second.
    read: [[u32; 2]; RANKS_MAX],
    arriving: [f64; RANKS_MAX],
    told: [[f64; 2]; RANKS_MAX],
    chances: [f64; RANKS_MAX],
    fair: Fair,
    served_read: u64,
    serving: f64,
}

impl Door {
    /// Open.
    pub fn new(now: Timestamp) -> Self {
        Self {
            looked: now,
            read: [[0; 2]; RANKS_MAX],
            arriving: [0.0; RANKS_MAX],
            told: [[0.0; 2]; RANKS_MAX],
            chances: [0.0; RANKS_MAX],
            fair: Fair { rank: None, asking: vec![0.0; SHARES], past: 0.0 },
            served_read: 0,
            serving: 0.0,
        }
    }

    /// Looks at what has arrived. `served` exchanges have ended since the start; the queue has stood for `stood`. Returns how
    /// many requests have arrived since the last look.
    pub fn look(&mut self, shedding: &Shedding, served: u64, stood: Duration, now: Timestamp) -> u64 {
        let past = now.since(self.looked).as_secs_f64();
        if past == 0.0 {
            return 0;
        }
        self.looked = now;
        let weight = past / (past + MEMORY.as_secs_f64());
        let told_weight = past / (past + TOLD_MEMORY.as_secs_f64());
        let mut arrived_all = 0;
        for rank in 0..RANKS_MAX {
            let now =
                [&shedding.arrived[rank], &shedding.refused[rank]].map(|count| count.load(Ordering::Relaxed));
            let [arrived, refused] = [0, 1].map(|what| now[what].wrapping_sub(self.read[rank][what]));
            self.read[rank] = now;
            arrived_all += u64::from(arrived);
            let [arrived, refused] = [arrived, refused].map(f64::from);
            self.arriving[rank] += (arrived / past - self.arriving[rank]) * weight;
            for (sum, new) in self.told[rank].iter_mut().zip([arrived, refused]) {
                *sum += (new / past - *sum) * told_weight;
            }
        }
        self.serving += ((served - self.served_read) as f64 / past - self.serving) * weight;
        self.served_read = served;

        let stands = stood >= STANDS;
        let arriving: f64 = self.arriving.iter().sum();
        let mut surplus = if stands { (arriving - self.serving * MORE - 1.0).max(0.0) } else { 0.0 };
        // Slowly up and slowly down, against overshooting.
        let follow = (past / 0.3).min(1.0);
        for rank in 0..RANKS_MAX {
            let goes = surplus.min(self.arriving[rank]);
            surplus -= goes;
            let target = if goes > 0.0 { goes / self.arriving[rank] } else { 0.0 };
            let chance = &mut self.chances[rank];
            *chance += (target - *chance) * follow;
            if *chance < CHANCE_MIN {
                *chance = 0.0;
            }
            shedding.chances[rank].store(bits(*chance), Ordering::Relaxed);
            let [arrived, refused] = self.told[rank];
            let told = if arrived > 0.0 { (refused / arrived).min(1.0) } else { *chance };
            shedding.told[rank].store(bits(if told < CHANCE_MIN { 0.0 } else { told }), Ordering::Relaxed);
        }
        // Of cheaper ones all are turned away, of dearer ones nobody.
        let partial = self.chances.iter().rposition(|chance| *chance > 0.0);
        self.fair.look(shedding, partial.map(|rank| (rank, self.chances[rank])), past);
        let mut dearer = 0.0;
        for rank in (0..RANKS_MAX).rev() {
            shedding.dearer[rank].store(f64::to_bits(dearer), Ordering::Relaxed);
            dearer += self.arriving[rank] * (1.0 - self.chances[rank]);
        }
        shedding.serving.store(self.serving.to_bits(), Ordering::Relaxed);
        shedding.sheds.store(self.chances.iter().any(|chance| *chance > 0.0), Ordering::Relaxed);
        arrived_all
    }
}

/// Who of one rank asks for how much.
#[derive(Debug)]
struct Fair {
    rank: Option<usize>,
    /// By place in the table: requests a second.
    asking: Vec<f64>,
    /// Seconds since it was looked at.
    past: f64,
}

impl Fair {
    /// Sets everybody's chance, where `partial` is the rank that is let in in part, and the share of it that is not.
    fn look(&mut self, shedding: &Shedding, partial: Option<(usize, f64)>, past: f64) {
        let Some((rank, chance)) = partial else {
            self.rank = None;
            shedding.partial.store(NONE, Ordering::Relaxed);
            return;
        };
        let is_new = self.rank != Some(rank);
        self.past += past;
        if !is_new && self.past < SHARES_LOOK.as_secs_f64() {
            return;
        }
        let past = std::mem::take(&mut self.past);
        let weight = past / (past + MEMORY.as_secs_f64());
        for (asking, share) in self.asking.iter_mut().zip(&shedding.shares) {
            let arrived = f64::from(share.arrived.swap(0, Ordering::Relaxed));
            *asking = if is_new { 0.0 } else { *asking + (arrived / past - *asking) * weight };
        }
        let all: f64 = self.asking.iter().sum();
        let equal = equal_share(&self.asking, (1.0 - chance) * all);
        for (asking, share) in self.asking.iter().zip(&shedding.shares) {
            let chance = match equal {
                Some(equal) if *asking > equal => 1.0 - equal / asking,
                Some(_) => 0.0,
                // Nothing is known yet.
                None => chance,
            };
            share.chance.store(bits(chance), Ordering::Relaxed);
        }
        self.rank = Some(rank);
        shedding.partial.store(rank as u32, Ordering::Relaxed);
    }
}

/// What everybody may have of `in_all`, who asks for so much, where nobody has more than it asks for (max-min fairness); `None`
/// where nobody asks.
fn equal_share(asking: &[f64], in_all: f64) -> Option<f64> {
    let mut asking: Vec<f64> = asking.iter().copied().filter(|asking| *asking > 0.0).collect();
    asking.sort_unstable_by(f64::total_cmp);
    let (mut left, mut equal) = (in_all, None);
    for (place, asks) in asking.iter().enumerate() {
        let share = left / (asking.len() - place) as f64;
        equal = Some(share);
        if *asks > share {
            break;
        }
        left -= asks;
    }
    equal
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generator::balance::Draws;

    const LOOK: Duration = Duration::from_millis(50);

    struct World {
        shedding: Shedding,
        door: Door,
        draws: Draws,
        now: Timestamp,
        served: u64,
    }

    impl World {
        fn new() -> Self {
            let now = Timestamp::from_secs(5);
            Self { shedding: Shedding::default(), door: Door::new(now), draws: Draws::new(3), now, served: 0 }
        }

        /// Lets so many a look of each rank arrive; returns for each rank the share that was turned away.
        fn run(&mut self, secs: u64, arriving: &[u32], served: u64, stood: Duration) -> Vec<f64> {
            let mut away = vec![0; arriving.len()];
            for _ in 0..secs * 20 {
                self.now = self.now + LOOK;
                for (rank, count) in arriving.iter().enumerate() {
                    for n in 0..*count {
                        let payer = || u64::from(n);
                        if self.shedding.turns_away(rank as u8, payer, || self.draws.bits()) {
                            self.shedding.refused(rank as u8);
                            away[rank] += 1;
                        }
                    }
                }
                self.served += served;
                self.door.look(&self.shedding, self.served, stood, self.now);
            }
            let all = |rank: usize| f64::from(arriving[rank]) * (secs * 20) as f64;
            away.iter().enumerate().map(|(rank, away)| f64::from(*away) / all(rank)).collect()
        }
    }

    #[test]
    fn while_no_queue_stands_nobody_is_turned_away() {
        let mut world = World::new();
        assert_eq!(world.run(10, &[50, 50], 40, Duration::from_millis(250)), [0.0, 0.0]);
        assert!(world.shedding.chance(0) <= 0.0);
    }

    #[test]
    fn the_cheapest_tier_goes_first_and_only_as_much_as_is_too_much() {
        let mut world = World::new();
        world.run(5, &[20, 20, 20], 50, STANDS);
        let away = world.run(10, &[20, 20, 20], 50, STANDS);
        assert!((0.15..0.3).contains(&away[0]), "{away:?}: 60 arrive, 50 are served, 55 let in");
        assert_eq!(away[1..], [0.0, 0.0], "no other");
        let told = world.shedding.chance(0);
        assert!((told - away[0]).abs() < 0.1, "{told}: what is told is what happens");
        world.run(5, &[20, 20, 20], 20, STANDS);
        let away = world.run(10, &[20, 20, 20], 20, STANDS);
        assert!(away[0] > 0.99 && (0.8..1.0).contains(&away[1]) && away[2] == 0.0, "{away:?}");
    }

    #[test]
    fn an_equal_share_is_what_is_left_by_those_who_ask_for_less() {
        for (asking, in_all, share) in [
            (&[][..], 10.0, None),
            (&[0.0, 5.0], 10.0, Some(10.0)),
            (&[1_000.0, 1.0, 2.0, 0.0], 13.0, Some(10.0)),
            (&[30.0, 30.0, 30.0], 30.0, Some(10.0)),
            (&[7.0, 1.0, 9.0], 11.0, Some(5.0)),
        ] {
            assert_eq!(equal_share(asking, in_all), share, "{asking:?}");
        }
    }

    /// One asks without end, two now and then: they are hardly ever turned away, and all together get as much as before.
    #[test]
    fn who_asks_for_little_is_not_turned_away_for_one_who_asks_for_all() {
        let mut world = World::new();
        let (mut flood, mut polite, mut away) = (0, 0, [0, 0]);
        for look in 0..30 * 20_u32 {
            world.now = world.now + LOOK;
            let settled = look >= 10 * 20;
            let asked = std::iter::repeat_n(9, 25)
                .chain((look % 16 == 3).then_some(1))
                .chain((look % 16 == 9).then_some(2));
            for payer in asked {
                let turned = world.shedding.turns_away(0, || payer, || world.draws.bits());
                let which = usize::from(payer == 9);
                away[which] += u32::from(turned && settled);
                *(if payer == 9 { &mut flood } else { &mut polite }) += u32::from(settled);
            }
            world.served += u64::from(look % 2 == 0);
            world.door.look(&world.shedding, world.served, STANDS, world.now);
        }
        assert_eq!((flood, polite), (20 * 20 * 25, 50));
        assert!(away[0] <= 2, "{away:?} of {polite}");
        let let_in = (flood - away[1]) / 20;
        assert!((8..14).contains(&let_in), "{let_in} a second of the flood: ten are served");
    }

    #[test]
    fn the_door_opens_again_when_the_queue_is_gone() {
        let mut world = World::new();
        world.run(10, &[60], 20, STANDS);
        assert!(world.shedding.chance(0) > 0.5);
        world.run(2, &[10], 10, Duration::ZERO);
        assert_eq!(world.run(1, &[10], 10, Duration::ZERO), [0.0]);
        world.run(20, &[10], 10, Duration::ZERO);
        assert!(world.shedding.chance(0) <= 0.0);
    }
}
