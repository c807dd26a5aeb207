//! View-bot detection: its mode, and each of its numbers.
//!
//! What a number does is told by its direction, where it has one. It does something only where the mode that will be in force
//! acts; a change of the mode itself is for everybody, and so stands first among its weight.

use std::fmt::Display;

use super::{Changes, Weight};
use crate::base::rate::{LengthText, Rate};
use crate::policy::viewbot::{
    AddressRung, Evidence, Gate, Ladder, ProfileRung, Strangers, SubnetRung, ViewbotMode, ViewbotSettings,
};

pub(super) fn compare(changes: &mut Changes, was: &ViewbotSettings, is: &ViewbotSettings) {
    mode(changes, was.mode, is.mode);
    let mut numbers = Numbers { changes, acts: acts(is.mode) };
    // Taken apart, here and below, so that a new setting does not compile before it is compared.
    let ViewbotSettings { mode: _, min_excess, known_age, gate, evidence, strangers, ladder } = is;
    numbers.more_loosens("min-excess", was.min_excess, *min_excess);
    numbers.more_loosens("known-age", LengthText(was.known_age), LengthText(*known_age));
    numbers.gate(&was.gate, gate);
    numbers.evidence(&was.evidence, evidence);
    numbers.strangers(&was.strangers, strangers);
    numbers.ladder(&was.ladder, ladder);
}

fn acts(mode: ViewbotMode) -> bool {
    matches!(mode, ViewbotMode::Throttle | ViewbotMode::Enforce)
}

fn mode(changes: &mut Changes, was: ViewbotMode, is: ViewbotMode) {
    let weight = match (was, is) {
        _ if was == is => return,
        // It denies then, whole addresses among it.
        (_, ViewbotMode::Enforce) => Weight::LosesAccess,
        (ViewbotMode::Enforce, _) => Weight::LetsIn,
        (_, ViewbotMode::Throttle) => Weight::Tightens,
        (ViewbotMode::Throttle, _) => Weight::LetsIn,
        (ViewbotMode::Off | ViewbotMode::Shadow, ViewbotMode::Off | ViewbotMode::Shadow) => Weight::Other,
    };
    changes.add(weight, "viewbot", "", format!("its mode was `{}`, is `{}`", was.word(), is.word()));
}

/// Compares numbers, each by the name that it has below `[viewbot]`.
struct Numbers<'c> {
    changes: &'c mut Changes,
    acts: bool,
}

/// A value that can be said and compared.
trait Number: Display + Copy {
    /// More is more.
    fn much(&self) -> f64;
}

impl Number for u32 {
    fn much(&self) -> f64 {
        f64::from(*self)
    }
}

impl Number for f64 {
    fn much(&self) -> f64 {
        *self
    }
}

impl Number for LengthText {
    fn much(&self) -> f64 {
        self.0.as_secs_f64()
    }
}

impl Number for Rate {
    fn much(&self) -> f64 {
        1.0 / self.interval().as_secs_f64()
    }
}

impl Numbers<'_> {
    fn more_tightens<N: Number>(&mut self, name: &str, was: N, is: N) {
        self.number(name, was, is, (Weight::Tightens, Weight::Loosens));
    }

    fn more_loosens<N: Number>(&mut self, name: &str, was: N, is: N) {
        self.number(name, was, is, (Weight::Loosens, Weight::Tightens));
    }

    /// `weights`: where it is more, and where it is less.
    fn number<N: Number>(&mut self, name: &str, was: N, is: N, weights: (Weight, Weight)) {
        let weight = match was.much().total_cmp(&is.much()) {
            std::cmp::Ordering::Equal => return,
            _ if !self.acts => Weight::Other,
            std::cmp::Ordering::Less => weights.0,
            std::cmp::Ordering::Greater => weights.1,
        };
        self.changes.add(weight, "viewbot", name, format!("was {was}, is {is}"));
    }

    fn gate(&mut self, was: &Gate, is: &Gate) {
        let Gate { burst, floor, factor, baseline } = is;
        self.more_loosens("gate.burst", was.burst, *burst);
        self.more_loosens("gate.floor", was.floor, *floor);
        self.more_loosens("gate.factor", was.factor, *factor);
        // Either way it may stop a crowd that it let pass: that is told as what is worse.
        let lengths = (LengthText(was.baseline), LengthText(*baseline));
        self.number("gate.baseline", lengths.0, lengths.1, (Weight::Tightens, Weight::Tightens));
    }

    fn evidence(&mut self, was: &Evidence, is: &Evidence) {
        let Evidence {
            profile,
            network,
            identity_churn,
            key_fan_in,
            shared_free_key,
            pool_chain,
            carried,
            known_viewer,
        } = is;
        self.more_tightens("evidence.profile", was.profile, *profile);
        self.more_tightens("evidence.network", was.network, *network);
        self.more_tightens("evidence.identity-churn", was.identity_churn, *identity_churn);
        self.more_tightens("evidence.key-fan-in", was.key_fan_in, *key_fan_in);
        self.more_tightens("evidence.shared-free-key", was.shared_free_key, *shared_free_key);
        self.more_tightens("evidence.pool-chain, once", was.pool_chain[0], pool_chain[0]);
        self.more_tightens("evidence.pool-chain, twice", was.pool_chain[1], pool_chain[1]);
        self.more_tightens("evidence.carried", was.carried, *carried);
        self.more_tightens("evidence.known-viewer", was.known_viewer, *known_viewer);
    }

    fn strangers(&mut self, was: &Strangers, is: &Strangers) {
        let Strangers { fraction_of_usual, budget, burst } = is;
        self.more_tightens("strangers.fraction-of-usual", was.fraction_of_usual, *fraction_of_usual);
        self.more_loosens("strangers.budget", was.budget, *budget);
        self.more_loosens("strangers.burst", was.burst, *burst);
    }

    fn ladder(&mut self, was: &Ladder, is: &Ladder) {
        let Ladder {
            throttle_bits,
            deny_bits,
            viewer_in_room,
            address,
            address_profile,
            subnet_in_room,
            key_in_room,
        } = is;
        self.more_loosens("ladder.throttle-bits", was.throttle_bits, *throttle_bits);
        self.more_loosens("ladder.deny-bits", was.deny_bits, *deny_bits);
        self.ttl("ladder.viewer-in-room", was.viewer_in_room, *viewer_in_room);
        let AddressRung { ttl, factor, max, min_bad_share } = address;
        self.ttl("ladder.address.ttl", was.address.ttl, *ttl);
        self.more_tightens("ladder.address.factor", was.address.factor, *factor);
        self.ttl("ladder.address.max", was.address.max, *max);
        self.more_loosens("ladder.address.min-bad-share", was.address.min_bad_share, *min_bad_share);
        let ProfileRung { ttl, min_bad_share } = address_profile;
        self.ttl("ladder.address-profile.ttl", was.address_profile.ttl, *ttl);
        self.more_loosens(
            "ladder.address-profile.min-bad-share",
            was.address_profile.min_bad_share,
            *min_bad_share,
        );
        let SubnetRung { addresses, min_bad_share, ttl } = subnet_in_room;
        self.more_loosens("ladder.subnet-in-room.addresses", was.subnet_in_room.addresses, *addresses);
        self.more_loosens(
            "ladder.subnet-in-room.min-bad-share",
            was.subnet_in_room.min_bad_share,
            *min_bad_share,
        );
        self.ttl("ladder.subnet-in-room.ttl", was.subnet_in_room.ttl, *ttl);
        self.ttl("ladder.key-in-room.ttl", was.key_in_room, *key_in_room);
    }

    fn ttl(&mut self, name: &str, was: std::time::Duration, is: std::time::Duration) {
        self.more_tightens(name, LengthText(was), LengthText(is));
    }
}
