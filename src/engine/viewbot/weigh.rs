//! The score: all evidence about one request to an alarmed room, and what it comes to.
//!
//! Evidence is added up in bits, each kind up to its cap; kinds that see the same thing share one slot. Not naive Bayes, which
//! counts the same thing twice; not points without units, which nobody can argue about or test.

use std::sync::Arc;
use std::time::Duration;

use crate::policy::viewbot::ViewbotSettings;

use super::cohort::{Alarm, HALF_LIFE_SECS, Member};
use super::evidence::{Beside, Evidence, Finding, Kind};
use super::network::Comers;
use super::ordinary::Ordinary;
use super::people::{Met, Surroundings};
use super::repeats::{LOOP, LOOP_WAIT};
use super::rooms::Booked;
use super::sighting::{Sighting, Viewer};
use super::{
    Rung, acquaintances, carried, chain, churn, fan_in, free_key, known, network, profile, strangers,
};

/// A whole cohort is convicted with one of it where its profile alone weighs as much as denies, and the room's excess is
/// this many times `min-excess`.
const RETRO_EXCESS: f64 = 1.5;

/// What is denied elsewhere waits so long in the mode that only throttles.
pub(super) const DENIED_WAIT: Duration = Duration::from_secs(900);

/// What a request is weighed against.
pub(super) struct Scene<'s> {
    pub(super) sighting: &'s Sighting,
    pub(super) met: &'s Met,
    pub(super) around: &'s Surroundings,
    pub(super) booked: &'s Booked,
    pub(super) ordinary: &'s Ordinary,
    pub(super) usual_known: f64,
    pub(super) usual_company: f64,
    pub(super) onset: u32,
    /// Throttle at most.
    pub(super) is_lenient: bool,
    /// The shares of ordinary crowds are guesses still: throttle only where it would deny.
    pub(super) is_untaught: bool,
    pub(super) settings: &'s ViewbotSettings,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Admit,
    Throttle(Rung, Duration),
    Deny,
}

pub(super) struct Weighed {
    pub(super) verdict: Verdict,
    pub(super) evidence: Arc<Evidence>,
    /// To be convicted as well; false where only what they carry from other rooms can tell.
    pub(super) cohort: Vec<(Viewer, bool)>,
    /// At how many addresses of the room its key was seen, where the key is nobody's app.
    pub(super) key_addresses: Option<f64>,
    /// Admitted without suspicion.
    pub(super) is_clean: bool,
}

/// Weighs a request to an alarmed room.
pub(super) fn weigh(alarm: &mut Alarm, scene: &Scene<'_>, now_ms: u64) -> Weighed {
    let Scene { sighting, met, around, booked, ordinary, usual_known, settings, .. } = *scene;
    let caps = &settings.evidence;
    if let Some(cohort) = alarm.profiles.get_mut(&sighting.profile)
        && cohort.label.is_none()
        && cohort.strangers > 1.0
    {
        cohort.label = Some(Box::new(sighting.label));
    }
    profile::measure(alarm, ordinary, usual_known);
    acquaintances::measure(alarm, ordinary);
    let alarm_now = &*alarm;

    let speaks = |finding: &Option<Finding>| finding.is_some_and(|finding| finding.centibits > 0);
    let mut evidence = Evidence::of_crowd(alarm.crowd.size, alarm.known + alarm.strangers, alarm.known);
    let min_excess = f64::from(settings.min_excess);
    let mut of_profile =
        profile::finding(alarm_now, ordinary, sighting.profile, usual_known, caps.profile, min_excess);
    // That a program brought so many is one fact. That they come from somewhere, as everybody does, is none beside it: where
    // they come from is asked of the ordinary crowd and of them together.
    let excess = if speaks(&of_profile) { alarm_now.of_profile(sighting.profile) } else { 0.0 };
    let comers = Comers::new(alarm_now.crowd.size, excess, ordinary, sighting);
    let of_network =
        network::finding(alarm_now, ordinary, sighting, around, usual_known, (&comers, caps.network));
    let usual_company = if scene.is_untaught { f64::INFINITY } else { scene.usual_company };
    let of_churn =
        churn::finding(alarm_now, ordinary, sighting, around, usual_company, (&comers, caps.identity_churn));
    let mut of_key = fan_in::finding(alarm_now, ordinary, sighting, caps.key_fan_in);
    let mut of_free_key = free_key::finding(alarm_now, ordinary, sighting, caps.shared_free_key);
    // Where hardly anything is known, everything is new, and that says nothing.
    let is_novel = !scene.is_untaught
        && profile::is_novel(ordinary, sighting.profile)
        && speaks(&of_profile)
        && !speaks(&of_network)
        && !speaks(&of_churn);
    if is_novel {
        // It weighs nothing, but whoever is asked to wait for it can be told why.
        if let Some(finding) = of_profile {
            evidence.note(Finding { centibits: 0, ..finding });
        }
        // The key that a new program has in it is the same news once more.
        (of_profile, of_key, of_free_key) = (None, None, None);
    }
    let mut of_chain = chain::in_lockstep(met, booked, caps.pool_chain)
        .or_else(|| chain::finding(alarm_now, met.chain, caps.pool_chain));
    let mut of_others = carried::finding(around, met.is_known, caps.carried);
    let moves = speaks(&of_chain);
    let mut is_known = met.is_known && !moves && booked.repeats < LOOP;
    let acquainted = if is_known && !scene.is_untaught {
        acquaintances::finding(alarm_now, sighting, caps.profile, min_excess)
    } else {
        None
    };
    if let Some((finding, size)) = acquainted {
        (of_profile, is_known) = (Some(finding), false);
        evidence.of_known(size);
    }
    // Having come from a room that was under attack is one fact, whether it is seen as a move or as what is carried from
    // there: the stronger counts. The same two moves are more than that.
    if let (Some(once), Some(others)) = (of_chain, of_others)
        && once.bits() < caps.pool_chain[1]
    {
        if others.bits() >= once.bits() { of_chain = None } else { of_others = None }
    }
    for finding in [
        of_profile,
        of_network,
        of_churn,
        of_key,
        of_free_key,
        of_chain,
        of_others,
        known::finding(is_known, moves, around.address_first, scene.onset, caps.known_viewer),
    ] {
        evidence.add(finding);
    }
    let of_strangers = strangers::finding(alarm_now, &settings.strangers);
    let is_strange = of_strangers.is_some();
    if let Some(finding) = of_strangers {
        evidence.note(finding);
    }

    let score = evidence.score();
    let ladder = &settings.ladder;
    let wait = patience(score - ladder.throttle_bits);
    let (mut cohort, mut key_addresses) = (Vec::new(), None);
    let verdict = if score >= ladder.deny_bits {
        let has_second = || {
            let beside = Beside {
                twice: caps.pool_chain[1],
                carried: around.carried_kinds,
                company_is_everybodys: churn::is_everybodys(alarm, sighting.profile, usual_company),
            };
            evidence.has_second(&beside, |kind| is_of_its_own(alarm, scene, kind))
        };
        if acquainted.is_some() || !has_second() {
            Verdict::Throttle(Rung::OneKind, wait)
        } else if scene.is_lenient {
            Verdict::Throttle(Rung::Lenient, wait)
        } else {
            if evidence.bits_of(Kind::Profile) >= ladder.deny_bits
                && alarm.crowd.excess >= RETRO_EXCESS * min_excess
                && let Some(convicted) = alarm.profiles.get_mut(&sighting.profile)
            {
                let members = std::mem::take(&mut convicted.members);
                cohort = members
                    .iter()
                    .map(|member| (member.viewer, shares_a_second(alarm, scene, &evidence, member)))
                    .collect();
            }
            key_addresses = sighting
                .key
                .filter(|key| !ordinary.is_app(*key) && !free_key::is_the_program(alarm, ordinary, sighting))
                .and_then(|key| alarm.keys.get(&key))
                .map(|key| key.addresses);
            Verdict::Deny
        }
    } else if score >= ladder.throttle_bits && !scene.is_untaught {
        Verdict::Throttle(Rung::Suspicion, wait)
    } else if (is_strange || is_novel) && booked.is_stranger {
        // The budget is for those against whom nothing else speaks.
        if score >= 0.5 * ladder.throttle_bits && !scene.is_untaught {
            return Weighed {
                verdict: Verdict::Throttle(Rung::Suspicion, wait),
                evidence: Arc::new(evidence),
                cohort,
                key_addresses,
                is_clean: false,
            };
        }
        match strangers::take(alarm, &settings.strangers, now_ms) {
            Ok(()) => Verdict::Admit,
            Err(wait) => Verdict::Throttle(if is_novel { Rung::Novel } else { Rung::Strangers }, wait),
        }
    } else {
        Verdict::Admit
    };
    let verdict = if verdict == Verdict::Admit && booked.is_loop {
        evidence.note(Finding::new(Kind::Repeats, 0.0, f64::from(booked.repeats) + 1.0, 0.0));
        Verdict::Throttle(Rung::Repeats, LOOP_WAIT)
    } else {
        verdict
    };
    let is_clean =
        verdict == Verdict::Admit && !is_strange && !is_novel && score < 0.5 * ladder.throttle_bits;
    Weighed { verdict, evidence: Arc::new(evidence), cohort, key_addresses, is_clean }
}

/// Whether what a kind of evidence found may be the second that a denial needs.
///
/// - Many viewers at an address that many had before, or that is a telephone's, are an office, a campus, a carrier. So are those of
///   the only address of a room that is many: a class, a café. None of it tells a farm, which has more than one address.
/// - A platform has its addresses and its program. Where strangers with the program came from the address to calm rooms, that they
///   come from there is the same fact.
/// - A customer's rented machines stand side by side: that they do, and that they run one program, is one fact, in each room
///   that they go to. And fewer than are an excess at all are a firm's, wherever they stand.
/// - So is a key that nearly all have who have the program: it is in every copy of it, or it is one client's that comes from
///   many addresses. A farm deals out a few keys, or many; or it has stolen one, and has the program of others.
///
/// Whoever it is waits. A farm behind such an address gets no more signatures for that, only a shorter refusal.
fn is_of_its_own(alarm: &Alarm, scene: &Scene<'_>, kind: Kind) -> bool {
    let Scene { sighting, around, ordinary, .. } = *scene;
    let address = sighting.viewer.address;
    match kind {
        Kind::Network | Kind::IdentityChurn if around.is_at_home => false,
        Kind::IdentityChurn => {
            !sighting.is_mobile
                && !alarm.shared.contains_key(&address)
                && alarm.in_company_elsewhere(address) >= profile::SEEN_MIN
        }
        Kind::KeyFanIn | Kind::SharedFreeKey if free_key::is_the_program(alarm, ordinary, sighting) => false,
        Kind::Network | Kind::Carried | Kind::KeyFanIn if sighting.is_paid() => {
            let is_passed_round = !fan_in::is_one_owners(alarm, sighting);
            is_passed_round && !fan_in::is_few(alarm, sighting, f64::from(scene.settings.min_excess))
        }
        _ => true,
    }
}

/// Whether what speaks against a viewer beside its profile speaks against another member of the profile, too: a denial needs
/// two kinds of evidence, and what a viewer brought along from elsewhere is no evidence against whoever has the same tool. Nor
/// is what could not have been the second against the viewer.
fn shares_a_second(alarm: &Alarm, scene: &Scene<'_>, evidence: &Evidence, member: &Member) -> bool {
    let sighting = scene.sighting;
    let speaks = |kind| evidence.may_be_second(kind) && is_of_its_own(alarm, scene, kind);
    let Viewer { address, who } = member.viewer;
    let count = |counts: Option<&f64>| counts.copied().unwrap_or(0.0);
    speaks(Kind::Network)
        && (sighting.is_hosting && member.is_hosting
            || count(alarm.subnets.get(&address.subnet())) >= profile::SEEN_MIN)
        || speaks(Kind::IdentityChurn)
            && count(alarm.addresses.get(&address)) > churn::HOUSEHOLD
            && !alarm.shared.contains_key(&address)
        || (speaks(Kind::KeyFanIn) || speaks(Kind::SharedFreeKey)) && who == sighting.viewer.who
}

/// How long until so many bits are forgotten if nobody else comes: a half-life each. Told in round numbers: the exact one would
/// tell where the thresholds lie.
fn patience(bits: f64) -> Duration {
    const TOLD_SECS: [u64; 4] = [60, 120, 300, 600];
    let secs = bits.max(0.0) * HALF_LIFE_SECS;
    Duration::from_secs(TOLD_SECS.into_iter().find(|told| *told as f64 >= secs).unwrap_or(900))
}
