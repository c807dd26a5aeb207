//! What is for everybody: session credentials, the table of networks, who is shed first.

use super::{Changes, Weight};
use crate::policy::PolicySet;
use crate::policy::networks::Networks;
use crate::policy::set::SessionMode;

pub(super) fn sessions(changes: &mut Changes, was: SessionMode, is: SessionMode) {
    let weight = match (was, is) {
        _ if was == is => return,
        (_, SessionMode::Refuse) => Weight::LosesAccess,
        (SessionMode::Refuse, _) => Weight::LetsIn,
        _ => Weight::Other,
    };
    changes.add(weight, "sessions", "", format!("their mode was `{}`, is `{}`", was.word(), is.word()));
}

/// Which addresses are in which network decides whom a list of networks meets, what is counted together, and what a crowd
/// of rented machines weighs: a table that goes takes all that away.
pub(super) fn networks(changes: &mut Changes, was: &Networks, is: &Networks) {
    let (weight, text) = match (was.is_empty(), is.is_empty()) {
        _ if was == is => return,
        (true, _) => (Weight::Tightens, format!("the table is new, and knows {} networks", is.len())),
        (false, true) => {
            (Weight::LetsIn, format!("the table is gone: it knew {} networks, now none is known", was.len()))
        }
        (false, false) => {
            let text = format!(
                "the table holds other addresses, or other kinds: it knew {} networks, knows {}",
                was.len(),
                is.len()
            );
            (Weight::Tightens, text)
        }
    };
    changes.add(weight, "networks", "", text);
}

/// Tiers that come or go are told as such: here it is the order of those that stay.
pub(super) fn shedding(changes: &mut Changes, before: &PolicySet, after: &PolicySet) {
    let order = |set: &PolicySet, other: &PolicySet| -> Vec<String> {
        let names = set.shedding_order().iter().map(|tier| set.tier(*tier).name.as_str());
        names.filter(|name| other.tier_named(name).is_some()).map(|name| format!("`{name}`")).collect()
    };
    let (was, is) = (order(before, after), order(after, before));
    if was != is {
        let text = format!("its order was {}, is {}", was.join(", "), is.join(", "));
        changes.add(Weight::Tightens, "shedding", "", text);
    }
}
