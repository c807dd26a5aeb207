//! `[viewbot]` and the tables in it. What is left out, or wrong and complained of, has its default.

use std::ops::RangeInclusive;

use super::{docs, words};
use crate::policy::diagnostic::Diagnostic;
use crate::policy::reader::{At, Spot, Table, Value};
use crate::policy::viewbot::{Evidence, Gate, Ladder, Strangers, ViewbotMode, ViewbotSettings};

/// As it was written.
#[derive(Debug)]
pub struct ViewbotForm {
    /// Where the header stands.
    pub spot: Spot,
    /// `None` where it was wrong.
    pub mode: Option<At<ViewbotMode>>,
    /// All of it.
    pub settings: ViewbotSettings,
    /// Where `throttle-bits` stands, or the header in its place.
    pub throttle_bits_spot: Spot,
}

/// No evidence weighs more bits.
const BITS: RangeInclusive<f64> = 0.0..=16.0;

/// No threshold lies higher: all evidence together hardly does.
const THRESHOLD: RangeInclusive<f64> = 0.1..=64.0;

const SHARE: RangeInclusive<f64> = 0.0..=1.0;

pub(super) fn viewbot(table: &mut Table<'_>) -> ViewbotForm {
    let mut form = ViewbotForm {
        spot: table.spot(),
        mode: table.required("mode", |value| value.word("mode", &ViewbotMode::WORDS)),
        settings: ViewbotSettings::default(),
        throttle_bits_spot: table.spot(),
    };
    let settings = &mut form.settings;
    settings.mode = form.mode.map_or(ViewbotMode::Off, |mode| mode.value);
    set(table, "min-excess", &mut settings.min_excess, |value| value.whole(1..=1_000_000));
    set(table, "known-age", &mut settings.known_age, words::length);
    table.single("gate", &docs::VIEWBOT_GATE, |table| gate(table, &mut settings.gate));
    table.single("evidence", &docs::VIEWBOT_EVIDENCE, |table| evidence(table, &mut settings.evidence));
    table.single("strangers", &docs::VIEWBOT_STRANGERS, |table| strangers(table, &mut settings.strangers));
    table.single("ladder", &docs::VIEWBOT_LADDER, |table| {
        if let Some(spot) = ladder(table, &mut settings.ladder) {
            form.throttle_bits_spot = spot;
        }
    });
    form
}

/// Reads a field into its place, and tells where it stood.
fn set<'r, T: Copy>(
    table: &mut Table<'r>,
    field: &'static str,
    place: &mut T,
    read: impl FnOnce(Value<'r>) -> Option<T>,
) -> Option<Spot> {
    let found = table.optional(field, read)?;
    *place = found.value;
    Some(found.spot)
}

fn number(
    table: &mut Table<'_>,
    field: &'static str,
    place: &mut f64,
    range: RangeInclusive<f64>,
) -> Option<Spot> {
    set(table, field, place, |value| value.number(range))
}

fn gate(table: &mut Table<'_>, gate: &mut Gate) {
    set(table, "burst", &mut gate.burst, |value| value.whole(1..=100_000));
    set(table, "floor", &mut gate.floor, words::rate);
    number(table, "factor", &mut gate.factor, 1.0..=100.0);
    set(table, "baseline", &mut gate.baseline, words::length);
}

fn evidence(table: &mut Table<'_>, evidence: &mut Evidence) {
    number(table, "profile", &mut evidence.profile, BITS);
    number(table, "network", &mut evidence.network, BITS);
    number(table, "identity-churn", &mut evidence.identity_churn, BITS);
    number(table, "key-fan-in", &mut evidence.key_fan_in, BITS);
    number(table, "shared-free-key", &mut evidence.shared_free_key, BITS);
    set(table, "pool-chain", &mut evidence.pool_chain, pool_chain);
    number(table, "carried", &mut evidence.carried, BITS);
    number(table, "known-viewer", &mut evidence.known_viewer, -16.0..=0.0);
}

fn pool_chain(value: Value<'_>) -> Option<[f64; 2]> {
    const COUNT_MAX: usize = 16;
    let bits = value.list(COUNT_MAX, |value| value.number(BITS))?;
    match bits[..] {
        [once, twice] if once.value <= twice.value => Some([once.value, twice.value]),
        [_, _] => value.refuse(|| {
            Diagnostic::error("the same move twice weighs less than once")
                .label("expected the second number not to be below the first")
        }),
        _ => value.refuse(|| {
            Diagnostic::error(format!("`pool-chain` holds {} numbers", bits.len()))
                .label("expected two: for the same move once, and twice")
        }),
    }
}

fn strangers(table: &mut Table<'_>, strangers: &mut Strangers) {
    number(table, "fraction-of-usual", &mut strangers.fraction_of_usual, SHARE);
    set(table, "budget", &mut strangers.budget, words::rate);
    set(table, "burst", &mut strangers.burst, |value| value.whole(1..=100_000));
}

/// Tells where `throttle-bits` stood.
fn ladder(table: &mut Table<'_>, ladder: &mut Ladder) -> Option<Spot> {
    let throttle = number(table, "throttle-bits", &mut ladder.throttle_bits, THRESHOLD);
    let deny = number(table, "deny-bits", &mut ladder.deny_bits, THRESHOLD);
    if let Some(spot) = deny.or(throttle).filter(|_| ladder.deny_bits < ladder.throttle_bits) {
        table.error(spot, || {
            Diagnostic::error("requests would be denied before they are throttled")
                .label(format!(
                    "`deny-bits` is {}, `throttle-bits` is {}",
                    ladder.deny_bits, ladder.throttle_bits
                ))
                .help("what denies needs at least as many bits as what throttles")
        });
    }
    set(table, "viewer-in-room", &mut ladder.viewer_in_room, words::length);
    table.single("address", &docs::VIEWBOT_ADDRESS, |table| {
        let rung = &mut ladder.address;
        let ttl = set(table, "ttl", &mut rung.ttl, words::length);
        number(table, "factor", &mut rung.factor, 1.0..=16.0);
        let max = set(table, "max", &mut rung.max, words::length);
        if let Some(spot) = max.or(ttl).filter(|_| rung.max < rung.ttl) {
            table.error(spot, || {
                Diagnostic::error("an address would be denied for longer than `max`")
                    .label("expected `ttl` not to be longer than `max`")
            });
        }
        number(table, "min-bad-share", &mut rung.min_bad_share, SHARE);
    });
    table.single("address-profile", &docs::VIEWBOT_ADDRESS_PROFILE, |table| {
        set(table, "ttl", &mut ladder.address_profile.ttl, words::length);
        number(table, "min-bad-share", &mut ladder.address_profile.min_bad_share, SHARE);
    });
    table.single("subnet-in-room", &docs::VIEWBOT_SUBNET, |table| {
        let rung = &mut ladder.subnet_in_room;
        set(table, "addresses", &mut rung.addresses, |value| value.whole(2..=256));
        number(table, "min-bad-share", &mut rung.min_bad_share, SHARE);
        set(table, "ttl", &mut rung.ttl, words::length);
    });
    table.single("key-in-room", &docs::VIEWBOT_KEY, |table| {
        set(table, "ttl", &mut ladder.key_in_room, words::length);
    });
    throttle
}
