//! The figures, and how they are counted.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use super::read::{Label, Labelled};
use super::verdicts::Said;
use crate::base::net::Prefix;

/// Stopped means that of all that follows this share is.
const STOPPED: f64 = 0.9;

/// The word of requests that are neither benign nor an attack's.
const PREPARING: &str = "preparing";

/// At most so many attacked rooms are told one by one.
const ROOMS_TOLD_MAX: usize = 64;

/// What a set of decisions is worth.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Score {
    /// What happened, as the labels say.
    pub scenario: String,
    /// In which population.
    pub population: u8,
    /// Labelled requests in all.
    pub records: u64,
    /// `None` where there was no attack.
    pub attack: Option<Attack>,
    /// What attackers did beforehand.
    pub preparing: Preparing,
    /// What it cost the others.
    pub benign: Benign,
    /// Whether the right ones were hit; `None` where nobody was.
    pub precision: Option<Precision>,
    /// The rooms that were attacked, by when they were first; at most 64.
    pub rooms: Vec<RoomScore>,
}

/// What became of an attack.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Attack {
    /// What it asked for.
    pub signatures: u64,
    /// What it got.
    pub leaked: u64,
    /// The share of it that it got, 0 to 1.
    pub leak: f64,
    /// What it got before it was stopped: before the first refusal from which on at least 90 % is refused. All that it got,
    /// where it never was.
    pub leaked_before_stop: u64,
    /// How long that took from its first request on; `None` where it was never stopped.
    pub seconds_to_stop: Option<f64>,
    /// What it got before anything of it was refused.
    pub leaked_before_noticed: u64,
    /// What it got a minute from then on; `None` where nothing was refused.
    pub leaked_a_minute_after: Option<f64>,
}

/// What attackers did beforehand.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Preparing {
    /// Requests.
    pub requests: u64,
    /// Those that were let through.
    pub allowed: u64,
}

/// What it cost the others.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Benign {
    /// Requests.
    pub requests: u64,
    /// Those that were denied.
    pub denied: u64,
    /// Those that were throttled.
    pub throttled: u64,
    /// Denied, for a million requests of the trace.
    pub denied_ppm: f64,
    /// Throttled, for a million requests of the trace.
    pub throttled_ppm: f64,
    /// Benign requests in rooms that were attacked, and those of them that were denied or throttled.
    pub bystanders: Share,
    /// By kind of person, the worst treated first: of whose own requests most were denied, then throttled.
    pub personas: Vec<Persona>,
}

/// So many of so many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Share {
    /// So many.
    pub count: u64,
    /// Of so many.
    pub of: u64,
}

impl Share {
    /// 0 to 1; `None` of nothing.
    pub fn value(self) -> Option<f64> {
        (self.of > 0).then(|| self.count as f64 / self.of as f64)
    }
}

/// What it cost one kind of person.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Persona {
    /// Which.
    pub persona: String,
    /// Requests.
    pub requests: u64,
    /// Those that were denied.
    pub denied: u64,
    /// Those that were throttled.
    pub throttled: u64,
    /// Denied, for a million of its own requests.
    pub denied_ppm: f64,
    /// Throttled, for a million of its own requests.
    pub throttled_ppm: f64,
}

/// Of what was denied: how much of it was an attacker's. Throttling is not looked at: it may meet anybody.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Precision {
    /// Denied requests that were an attack's.
    pub requests: Share,
    /// Rooms with a denied request that were attacked.
    pub rooms: Share,
    /// Proxies (IPv4 address or IPv6 /64) with a denied request that attacked.
    pub proxies: Share,
}

/// What became of one attacked room.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RoomScore {
    /// Which.
    pub room: String,
    /// What the attack asked for there.
    pub signatures: u64,
    /// What it got.
    pub leaked: u64,
    /// Benign requests there, and those of them that were denied or throttled.
    pub bystanders: Share,
}

#[derive(Debug, Default)]
struct Counts {
    requests: u64,
    denied: u64,
    throttled: u64,
}

impl Counts {
    fn add(&mut self, said: Said) {
        self.requests += 1;
        self.denied += u64::from(said == Said::Deny);
        self.throttled += u64::from(said == Said::Throttle);
    }
}

#[derive(Debug, Default)]
struct RoomCounts {
    /// When it was first attacked.
    attacked: Option<u64>,
    signatures: u64,
    leaked: u64,
    denied: bool,
    benign: Counts,
}

#[derive(Debug, Default)]
struct ProxyCounts {
    attacks: bool,
    denied: bool,
}

/// Counts one request after the other, in about the order of time, as records stand in a file.
#[derive(Debug, Default)]
pub struct Tally {
    scenario: String,
    population: u8,
    records: u64,
    /// Each signature of the attack: when, and whether it was stopped.
    attack: Vec<(u64, bool)>,
    attack_denied: u64,
    preparing: Preparing,
    benign: Counts,
    personas: BTreeMap<String, Counts>,
    rooms: HashMap<String, RoomCounts>,
    proxies: HashMap<Prefix, ProxyCounts>,
}

impl Tally {
    /// Counts one.
    pub fn add(&mut self, line: &Labelled<'_>, label: &Label<'_>, said: Said) {
        if self.records == 0 {
            label.scenario.clone_into(&mut self.scenario);
            self.population = label.population;
        }
        self.records += 1;
        let denied = said == Said::Deny;
        let proxy = self.proxies.entry(Prefix::proxy(line.client)).or_default();
        if !self.rooms.contains_key(label.room) {
            self.rooms.insert(label.room.to_owned(), RoomCounts::default());
        }
        let Some(room) = self.rooms.get_mut(label.room) else { return };
        proxy.denied |= denied;
        if label.persona == PREPARING {
            // Where bots prepare themselves there are bots: to hit them is no mistake.
            proxy.attacks = true;
            self.preparing.requests += 1;
            self.preparing.allowed += u64::from(said == Said::Allow);
            return;
        }
        room.denied |= denied;
        if label.attack {
            proxy.attacks = true;
            self.attack.push((line.time, said != Said::Allow));
            self.attack_denied += u64::from(denied);
            room.attacked = Some(room.attacked.map_or(line.time, |first| first.min(line.time)));
            room.signatures += 1;
            room.leaked += u64::from(said == Said::Allow);
            return;
        }
        self.benign.add(said);
        room.benign.add(said);
        match self.personas.get_mut(label.persona) {
            Some(counts) => counts.add(said),
            None => self.personas.entry(label.persona.to_owned()).or_default().add(said),
        }
    }

    /// The score; `None` where nothing was counted.
    pub fn finish(mut self) -> Option<Score> {
        if self.records == 0 {
            return None;
        }
        self.attack.sort_by_key(|(time, _)| *time);
        let (records, attack_denied) = (self.records, self.attack_denied);
        let ppm = |count: u64| count as f64 * 1e6 / records as f64;
        let mut attacked: Vec<(u64, String, &RoomCounts)> =
            self.rooms.iter().filter_map(|(name, room)| Some((room.attacked?, name.clone(), room))).collect();
        attacked.sort_by(|one, other| (one.0, &one.1).cmp(&(other.0, &other.1)));
        let hit = |room: &RoomCounts| Share {
            count: room.benign.denied + room.benign.throttled,
            of: room.benign.requests,
        };
        let bystanders = attacked.iter().map(|(_, _, room)| hit(room));
        let bystanders = bystanders
            .fold(Share::default(), |sum, hit| Share { count: sum.count + hit.count, of: sum.of + hit.of });
        let rooms = attacked.iter().take(ROOMS_TOLD_MAX).map(|(_, name, room)| RoomScore {
            room: name.clone(),
            signatures: room.signatures,
            leaked: room.leaked,
            bystanders: hit(room),
        });
        let denied = attack_denied + self.benign.denied;
        let precision = (denied > 0).then(|| Precision {
            requests: Share { count: attack_denied, of: denied },
            rooms: share(self.rooms.values().filter(|room| room.denied), |room| room.attacked.is_some()),
            proxies: share(self.proxies.values().filter(|proxy| proxy.denied), |proxy| proxy.attacks),
        });
        let benign = Benign {
            requests: self.benign.requests,
            denied: self.benign.denied,
            throttled: self.benign.throttled,
            denied_ppm: ppm(self.benign.denied),
            throttled_ppm: ppm(self.benign.throttled),
            bystanders,
            personas: personas(&self.personas),
        };
        let rooms = rooms.collect();
        Some(Score {
            scenario: self.scenario,
            population: self.population,
            records,
            attack: attack(&self.attack),
            preparing: self.preparing,
            benign,
            precision,
            rooms,
        })
    }
}

fn share<T>(of: impl Iterator<Item = T>, is: impl Fn(&T) -> bool) -> Share {
    of.fold(Share::default(), |sum, one| Share { count: sum.count + u64::from(is(&one)), of: sum.of + 1 })
}

fn personas(counts: &BTreeMap<String, Counts>) -> Vec<Persona> {
    let own_ppm = |count: u64, of: u64| count as f64 * 1e6 / of as f64;
    let mut personas: Vec<Persona> = counts
        .iter()
        .map(|(persona, counts)| Persona {
            persona: persona.clone(),
            requests: counts.requests,
            denied: counts.denied,
            throttled: counts.throttled,
            denied_ppm: own_ppm(counts.denied, counts.requests),
            throttled_ppm: own_ppm(counts.throttled, counts.requests),
        })
        .collect();
    personas.sort_by(|one, other| {
        let worse = other.denied_ppm.total_cmp(&one.denied_ppm);
        worse.then(other.throttled_ppm.total_cmp(&one.throttled_ppm)).then(one.persona.cmp(&other.persona))
    });
    personas
}

/// What became of an attack whose signatures came at these times, each stopped or not.
fn attack(signatures: &[(u64, bool)]) -> Option<Attack> {
    let (first, last) = (signatures.first()?.0, signatures.last()?.0);
    let leaked_of = |part: &[(u64, bool)]| part.iter().filter(|(_, stopped)| !stopped).count() as u64;
    let leaked = leaked_of(signatures);
    // From the end: the earliest refusal from which on enough is refused.
    let (mut stop, mut refused) = (None, 0u64);
    for (place, (_, stopped)) in signatures.iter().enumerate().rev() {
        refused += u64::from(*stopped);
        if *stopped && refused as f64 >= STOPPED * (signatures.len() - place) as f64 {
            stop = Some(place);
        }
    }
    let noticed = signatures.iter().position(|(_, stopped)| *stopped);
    let before = noticed.unwrap_or(signatures.len());
    Some(Attack {
        signatures: signatures.len() as u64,
        leaked,
        leak: leaked as f64 / signatures.len() as f64,
        leaked_before_stop: leaked_of(&signatures[..stop.unwrap_or(signatures.len())]),
        seconds_to_stop: stop.map(|place| seconds(first, signatures[place].0)),
        leaked_before_noticed: before as u64,
        leaked_a_minute_after: noticed.map(|place| {
            let minutes = seconds(signatures[place].0, last) / 60.0;
            // Of a shorter time no pace can be told.
            (leaked - before as u64) as f64 / minutes.max(1.0)
        }),
    })
}

fn seconds(from: u64, to: u64) -> f64 {
    to.saturating_sub(from) as f64 / 1e3
}
