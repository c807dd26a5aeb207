//! H2, the ordinary-crowd test: more of one profile among a room's strangers than an ordinary crowd of that room has.
//!
//! **What it measures.** For each profile (library and user agent, class of key, device id or not) how many strangers came, `n`,
//! against `E`, how many an ordinary crowd would have brought: bits = `log2(n / E)`. T bits say that all but `2^-T` of the cohort
//! is excess.
//!
//! **Formula.** `E = max(B * p, (K - sqrt(K)) * (1 - rho) / rho * p / p_f)`. `p` is the profile's share among strangers first seen in calm
//! rooms, by network, mixed over the networks that this room's strangers came from; or among the last thousand strangers of
//! calm rooms, where that is more: a release that is being rolled out comes to all rooms at once, and an average over all
//! time knows nothing of it. To either are added three in as many as were learned from: what none of `n` had, up to 3 in `n`
//! may have (the rule of three, Hanley and Lippman-Hand, JAMA 1983). `B`, the size of the ordinary part of
//! the crowd, is the median of `n_f / p_f` over fingerprints, weighted by `p_f`: half of the fingerprints' weight would have
//! to be faked before it moves. `K` known viewers with the fingerprint, less one standard deviation, vouch for as many
//! strangers as usually come with them, up to eight times `B * p`: an audience that likes an odd tool brings known viewers with it, a rented pool does
//! not. The test counts where
//! `n >= max(6, E + 3.5 sqrt(E) + 2)` (a Poisson count does not get there by chance, one room in some thousands) and the
//! room's excess over all such profiles is at least `min-excess`.
//!
//! **Rare fingerprints** are a cohort as well: whoever invents a new user agent for each viewer has many profiles of one
//! each, and together far more rare ones than a crowd has. The most frequent of them is left out, so that one new app is
//! never a cohort of rarities. The two views share this slot: the stronger counts.
//!
//! **Why.** Tools have tastes: a bot farm runs one program. Volume cancels out in `n / B p`, so that a flash crowd is no
//! evidence.
//!
//! **Known false positives.** A new release of a tool, a game with an app of its own, a platform's favourite tool in a room
//! of that platform. Therefore it never denies alone, and a profile never seen before is put on a budget.
//!
//! **An example.** `profile: 212 seen, 6 expected of an ordinary crowd of 430 (+4.0)`.
//!
//! **Settings.** `[viewbot.evidence] profile`, the cap; `[viewbot] min-excess`.

use super::arith::{log2, weighted_quantile};
use super::cohort::Alarm;
use super::evidence::{Finding, Kind};
use super::ordinary::{Map, Mixture, Ordinary};
use super::sighting::{Fingerprint, Profile, SORTS, Wide};

/// Fewer of anything are chance.
pub(super) const SEEN_MIN: f64 = 6.0;

/// How many standard deviations of a Poisson count are no chance: 3.5 is one in four thousand.
const SIGMAS: f64 = 3.5;

/// Less is never expected: a share that was never seen is not a share of nothing.
const EXPECTED_MIN: f64 = 0.8;

/// A crowd is taken to have at least so many ordinary strangers.
const CROWD_MIN: f64 = 2.0;

/// The crowd's own networks are looked at, so many of them; the rest counts as everybody.
const NETWORKS_MAX: usize = 24;

/// Below this share of known viewers a cohort's known viewers vouch for nobody.
const VOUCHING_SHARE_MIN: f64 = 0.05;

/// Known viewers vouch for so many times what an ordinary crowd has: three bits. A tool can be a room's favourite by that
/// much; beyond it, it is more likely that whoever sent the rest has aged a few.
const VOUCHED_TIMES_MAX: f64 = 8.0;

/// Below so many strangers with a profile and with its fingerprint the profile is new.
const NOVEL: f64 = 12.0;

/// Bits by which `seen` exceeds what is expected; 0 where chance can do it.
pub(super) fn lift(seen: f64, expected: f64) -> f64 {
    let expected = expected.max(EXPECTED_MIN);
    if seen < SEEN_MIN.max(expected + SIGMAS * expected.sqrt() + 2.0) { 0.0 } else { log2(seen / expected) }
}

/// What the ordinary part of a room's crowd is estimated to be.
#[derive(Debug, Clone, Default)]
pub(super) struct Crowd {
    /// How many strangers.
    pub(super) size: f64,
    /// Which share of known viewers.
    known_share: f64,
    /// How many strangers too many there are.
    pub(super) excess: f64,
    /// Where the strangers came from.
    mixture: Mixture,
    /// The shares of the profiles that came often, and of their fingerprints, in order; and which state of the model said so.
    shares: Vec<(Profile, (f64, f64))>,
    of_model: u64,
    /// Of how many strangers the next estimate is made.
    next: f64,
    pub(super) is_stale: bool,
}

impl Crowd {
    /// How many strangers usually come with one known viewer.
    pub(super) fn odds(&self, usual_known: f64) -> f64 {
        let share = self.known_share.max(0.5 * usual_known);
        if share >= VOUCHING_SHARE_MIN { (1.0 - share) / share } else { 0.0 }
    }
}

/// Estimates the crowd anew where enough strangers came since.
pub(super) fn measure(alarm: &mut Alarm, ordinary: &Ordinary, usual_known: f64) {
    alarm.rarities.catch_up(&mut alarm.profiles, ordinary);
    if !alarm.crowd.is_stale && alarm.strangers < alarm.crowd.next && alarm.crowd.size > 0.0 {
        return;
    }
    let mut crowd = Crowd { mixture: mixture_of(&alarm.wides, ordinary), ..Crowd::default() };

    let (here, known_here) =
        (of_common(&alarm.fingerprints, ordinary), of_common(&alarm.known_fingerprints, ordinary));
    // Fingerprints that nobody here has stand for a crowd of none: most of them, and as one.
    let (mut sizes, mut of_nobody) = (Vec::new(), 0.0);
    let mut known_shares = Vec::new();
    let (mut common, mut known_common) = (0.0, 0.0);
    let shares = ordinary.of_common_in(&crowd.mixture);
    for (((here, known), share), (fingerprint, strangers)) in
        here.iter().zip(&known_here).zip(&shares).zip(ordinary.common())
    {
        let share = share * ordinary.trend(fingerprint, strangers);
        (common, known_common) = (common + here, known_common + known);
        if *here > 0.0 {
            sizes.push((here / share, share));
        } else {
            of_nobody += share;
        }
        if known + here >= SEEN_MIN {
            known_shares.push((known / (known + here), strangers));
        }
    }
    // All rare fingerprints are one.
    let rare = ordinary.rare_fingerprints();
    let share = (rare + 0.5) / (ordinary.strangers() + 12.0);
    let (here, known) = ((alarm.strangers - common).max(0.0), (alarm.known - known_common).max(0.0));
    if here > 0.0 {
        sizes.push((here / share, share));
    } else {
        of_nobody += share;
    }
    if known + here >= SEEN_MIN {
        known_shares.push((known / (known + here), rare));
    }
    sizes.push((0.0, of_nobody));
    sizes.sort_by(|one, other| one.0.total_cmp(&other.0).then(one.1.total_cmp(&other.1)));
    known_shares.sort_by(|one, other| one.0.total_cmp(&other.0).then(one.1.total_cmp(&other.1)));
    crowd.size = weighted_quantile(&sizes, 0.5).max(CROWD_MIN);
    crowd.known_share = weighted_quantile(&known_shares, 0.5);
    crowd.next = alarm.strangers + (alarm.strangers / 16.0).max(4.0);

    alarm.crowd = crowd;
    let (mut excess, mut held, mut shares) = (0.0, Vec::new(), Vec::new());
    for (profile, seen) in alarm.rarities.frequent(&alarm.profiles) {
        let share = shares_in(&alarm.crowd, ordinary, profile);
        shares.push((profile, share));
        let (bits, expected) = held_against(alarm, profile, seen, share, usual_known);
        if bits > 0.0 {
            excess += seen - expected;
            held.push(profile);
        }
    }
    for sort in 0..SORTS as u8 {
        let rare = alarm.rarities.of_sort(sort, &held, &alarm.profiles);
        let expected = alarm.crowd.size * (ordinary.rare_share(sort) + ordinary.doubt());
        if lift(rare, expected) > 0.0 {
            excess += rare - expected;
        }
    }
    alarm.crowd.excess = excess;
    (alarm.crowd.shares, alarm.crowd.of_model) = (shares, ordinary.lessons());
}

/// The networks that so many came from.
pub(super) fn mixture_of(wides: &Map<Wide, f64>, ordinary: &Ordinary) -> Mixture {
    let mut networks: Vec<(Wide, f64)> = wides.iter().map(|(wide, count)| (*wide, *count)).collect();
    networks.sort_by(|one, other| other.1.total_cmp(&one.1).then(one.0.cmp(&other.0)));
    let all = networks.iter().map(|(_, count)| count).sum::<f64>().max(1.0);
    networks.truncate(NETWORKS_MAX);
    let shares = || networks.iter().map(|(wide, count)| (*wide, count / all));
    let elsewhere = (1.0 - shares().map(|(_, share)| share).sum::<f64>()).max(0.0);
    ordinary.mixture(shares(), elsewhere)
}

/// How many there are of each common fingerprint, in their order.
pub(super) fn of_common(counts: &Map<Fingerprint, f64>, ordinary: &Ordinary) -> Vec<f64> {
    let common = ordinary.common();
    // Of these or of those, whichever are fewer.
    if counts.len() >= common.len() {
        return common.map(|(fingerprint, _)| counts.get(&fingerprint).copied().unwrap_or(0.0)).collect();
    }
    let mut here = vec![0.0; common.len()];
    for (fingerprint, count) in counts {
        if let Some(position) = ordinary.position_of_common(*fingerprint) {
            here[position] = *count;
        }
    }
    here
}

/// For how many known viewers those that are here stand: one standard deviation less. A single one is chance, and vouches
/// for nobody; else the first acquaintance in a room would open it to dozens.
pub(super) fn vouching(known: f64) -> f64 {
    (known - known.sqrt()).max(0.0)
}

/// Bits by which a profile exceeds what is expected, and how many ordinary strangers with it there should be. With the share
/// of the profile, and of its fingerprint.
fn held_against(
    alarm: &Alarm,
    profile: Profile,
    seen: f64,
    (share, of_fingerprint): (f64, f64),
    usual_known: f64,
) -> (f64, f64) {
    let crowd = &alarm.crowd;
    let known = alarm.known_fingerprints.get(&profile.fingerprint).copied().unwrap_or(0.0);
    let vouched = vouching(known) * crowd.odds(usual_known) * (share / of_fingerprint).min(1.0);
    let ordinary = crowd.size * share;
    let expected = ordinary.max(vouched.min(VOUCHED_TIMES_MAX * ordinary.max(EXPECTED_MIN)));
    (lift(seen, expected), expected)
}

/// What speaks against a profile in a room that was [measured](measure).
pub(super) fn finding(
    alarm: &Alarm,
    ordinary: &Ordinary,
    profile: Profile,
    usual_known: f64,
    cap: f64,
    min_excess: f64,
) -> Option<Finding> {
    if alarm.crowd.excess < min_excess {
        return None;
    }
    let seen = alarm.of_profile(profile);
    // So few are chance whatever is expected, and shares are what costs.
    let own = if seen < SEEN_MIN {
        (0.0, seen, 0.0)
    } else {
        let share = shares(&alarm.crowd, ordinary, profile);
        let (bits, expected) = held_against(alarm, profile, seen, share, usual_known);
        (bits, seen, expected)
    };
    let rare = if ordinary.is_rare(profile.fingerprint) {
        rarities(alarm, ordinary, profile)
    } else {
        (0.0, 0.0, 0.0)
    };
    let (bits, seen, expected) = if rare.0 > own.0 { rare } else { own };
    (bits > 0.0).then(|| Finding::new(Kind::Profile, bits.min(cap), seen, expected))
}

/// The shares of a profile and of its fingerprint in a crowd, as they were measured where the model still says the same.
fn shares(crowd: &Crowd, ordinary: &Ordinary, profile: Profile) -> (f64, f64) {
    let measured = crowd.shares.binary_search_by_key(&profile, |(other, _)| *other).ok();
    match measured.filter(|_| crowd.of_model == ordinary.lessons()) {
        Some(at) => crowd.shares[at].1,
        None => shares_in(crowd, ordinary, profile),
    }
}

fn shares_in(crowd: &Crowd, ordinary: &Ordinary, profile: Profile) -> (f64, f64) {
    let (share, of_fingerprint) = ordinary.shares_in(profile, &crowd.mixture);
    ((share.max(ordinary.of_late(profile)) + ordinary.doubt()).min(1.0), of_fingerprint.max(1e-9))
}

/// All rare fingerprints of a sort, without the most frequent.
fn rarities(alarm: &Alarm, ordinary: &Ordinary, profile: Profile) -> (f64, f64, f64) {
    let seen = alarm.rarities.of_sort(profile.sort, &[], &alarm.profiles);
    let expected = alarm.crowd.size * (ordinary.rare_share(profile.sort) + ordinary.doubt());
    (lift(seen, expected), seen, expected)
}

/// Whether a profile was hardly ever seen before: a new release, a new app.
pub(super) fn is_novel(ordinary: &Ordinary, profile: Profile) -> bool {
    let (seen, of_fingerprint) = ordinary.counts(profile);
    seen < NOVEL && of_fingerprint < NOVEL
}
