//! What changes from one policy to another, in words, the most dangerous first.
//!
//! Rules are compared by their names, as their counters are. What a set does not keep apart any more (which entry a list
//! got from where, which hash a key has) is read again from its files.
//!
//! Read [`diff`], then [`Weight`].

mod contents;
mod rules;
mod viewbot;
mod whole;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::set::{Account, Key, KeyBounds, PolicySet, Tier};
use super::sources::Sources;
use super::target::Target;
use contents::Contents;

/// A policy, and the files that it was compiled from.
#[derive(Debug, Clone, Copy)]
pub struct Side<'a> {
    /// The compiled set.
    pub set: &'a PolicySet,
    /// Its files.
    pub sources: &'a Sources,
}

/// How much a change can hurt, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Weight {
    /// Somebody who is served now will be refused, and waiting will not help.
    LosesAccess,
    /// Something that is refused now will pass.
    LetsIn,
    /// What was spent is forgotten.
    CountsAnew,
    /// More is refused, for a while or in part.
    Tightens,
    /// More is admitted, still within a limit.
    Loosens,
    /// No verdict changes by it alone.
    Other,
}

impl Weight {
    /// The word in JSON.
    pub const fn word(self) -> &'static str {
        match self {
            Self::LosesAccess => "loses-access",
            Self::LetsIn => "lets-in",
            Self::CountsAnew => "counts-anew",
            Self::Tightens => "tightens",
            Self::Loosens => "loosens",
            Self::Other => "other",
        }
    }

    /// What stands above the changes of that weight.
    pub const fn title(self) -> &'static str {
        match self {
            Self::LosesAccess => "loses access: served until now, refused from then on",
            Self::LetsIn => "lets in: refused until now, not any more",
            Self::CountsAnew => "counts anew: what was spent is forgotten",
            Self::Tightens => "tightens",
            Self::Loosens => "loosens",
            Self::Other => "other",
        }
    }
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// How much it can hurt.
    pub weight: Weight,
    /// What kind of thing changes: `quota`, `key`, `target`, …
    pub kind: &'static str,
    /// Its name; empty where it has none, as it is for everybody.
    pub name: String,
    /// What changes: one line.
    pub text: String,
    /// Where it stands in the new files, or in the old ones where it is gone; rules alone have a place.
    pub place: Option<(Arc<str>, u32)>,
}

impl Change {
    /// In one line, without its weight: ``key `k_7f3a`: is switched off``.
    pub fn line(&self) -> String {
        let name = if self.name.is_empty() { String::new() } else { format!(" `{}`", self.name) };
        format!("{}{name}: {}", self.kind, self.text)
    }
}

/// Collects changes.
#[derive(Default)]
struct Changes(Vec<Change>);

impl Changes {
    fn add(&mut self, weight: Weight, kind: &'static str, name: &str, text: impl Into<String>) {
        self.0.push(Change { weight, kind, name: name.into(), text: text.into(), place: None });
    }
}

/// Everything that changes: by weight, what is for everybody first, then by kind and name. Empty for two sets that decide
/// alike, whatever their digests are: the order of tables, comments, spelling and the names of files decide nothing.
pub fn diff(before: Side<'_>, after: Side<'_>) -> Vec<Change> {
    // Taken apart, so that what a set has more one day does not compile before it is compared here.
    let PolicySet {
        // Of the text.
        digest: _,
        // The tier of class `none`: `tiers` compares the classes.
        anonymous: _,
        // Of the keys' files: `keys` compares the hashes.
        key_index: _,
        // `rules::compare`, the counters of each rule and what its list holds among it.
        rules: _,
        counters: _,
        applicable: _,
        blocklists: _,
        allowlists: _,
        tiers: _,
        accounts: _,
        keys: _,
        targets: _,
        sessions: is_sessions,
        networks: is_networks,
        shedding: _,
        viewbot: is_viewbot,
    } = after.set;
    let mut changes = Changes::default();
    let (old, new) = (Contents::read(before.sources), Contents::read(after.sources));
    tiers(&mut changes, before.set, after.set);
    accounts(&mut changes, before.set, after.set);
    keys(&mut changes, before.set, after.set, &old, &new);
    targets(&mut changes, before.set, after.set);
    whole::sessions(&mut changes, before.set.sessions(), *is_sessions);
    whole::networks(&mut changes, before.set.networks(), is_networks);
    whole::shedding(&mut changes, before.set, after.set);
    viewbot::compare(&mut changes, before.set.viewbot(), is_viewbot);
    rules::compare(&mut changes, (before.set, &old), (after.set, &new));
    changes.0.sort_by(|one, other| {
        let place = |change: &Change| (change.weight, !change.name.is_empty());
        place(one).cmp(&place(other)).then_with(|| one.cmp(other))
    });
    changes.0
}

fn tiers(changes: &mut Changes, before: &PolicySet, after: &PolicySet) {
    let classes = |set: &PolicySet| -> BTreeMap<String, _> {
        set.tiers().iter().map(|Tier { name, class }| (name.to_string(), *class)).collect()
    };
    let (old, new) = (classes(before), classes(after));
    for (name, class) in &old {
        match new.get(name) {
            None => changes.add(Weight::Other, "tier", name, "is gone"),
            // View-bot detection weighs its callers by it, and it is shed by it.
            Some(now) if now != class => changes.add(
                if now < class { Weight::Tightens } else { Weight::Loosens },
                "tier",
                name,
                format!("its class was `{}`, is `{}`", class.word(), now.word()),
            ),
            Some(_) => {}
        }
    }
    for (name, class) in new.iter().filter(|(name, _)| !old.contains_key(*name)) {
        changes.add(Weight::Other, "tier", name, format!("is new, of class `{}`", class.word()));
    }
}

fn accounts(changes: &mut Changes, before: &PolicySet, after: &PolicySet) {
    let tiers = |set: &PolicySet| -> BTreeMap<String, _> {
        let tier = |Account { id, tier, subject: _ }: &Account| {
            let tier = set.tier(*tier);
            (id.to_string(), (tier.name.to_string(), tier.class))
        };
        set.accounts().iter().map(tier).collect()
    };
    let (old, new) = (tiers(before), tiers(after));
    for (name, (tier, class)) in &old {
        match new.get(name) {
            None => changes.add(Weight::LosesAccess, "account", name, "is gone, and its keys with it"),
            Some((now, now_class)) if now != tier => {
                let weight = if now_class < class { Weight::Tightens } else { Weight::Loosens };
                changes.add(weight, "account", name, format!("its tier was `{tier}`, is `{now}`"));
            }
            Some(_) => {}
        }
    }
    for (name, (tier, _)) in new.iter().filter(|(name, _)| !old.contains_key(*name)) {
        changes.add(Weight::Other, "account", name, format!("is new, of tier `{tier}`"));
    }
}

fn keys(changes: &mut Changes, before: &PolicySet, after: &PolicySet, old: &Contents, new: &Contents) {
    let by_id = |set: &'_ PolicySet| -> BTreeMap<String, Key> {
        set.keys().map(|key| (key.id.to_string(), key.clone())).collect()
    };
    let (were, are) = (by_id(before), by_id(after));
    let unbound = KeyBounds::default();
    for (id, key) in &were {
        let Some(now) = are.get(id) else {
            // Off or unknown: its caller is refused before and after, in other words and by another count.
            let (weight, text) = if key.disabled {
                (Weight::Other, "is gone; it was switched off")
            } else {
                (Weight::LosesAccess, "is gone: it will be unknown")
            };
            changes.add(weight, "key", id, text);
            continue;
        };
        let mut add = |weight, text: String| changes.add(weight, "key", id, text);
        if old.hashes.get(id) != new.hashes.get(id) {
            let (weight, so) = if key.disabled {
                (Weight::Other, "; it was switched off")
            } else {
                (Weight::LosesAccess, ": the key that its owner holds will be unknown")
            };
            add(weight, format!("its hash changed{so}"));
        }
        match (key.disabled, now.disabled) {
            (false, true) => add(Weight::LosesAccess, "is switched off".into()),
            (true, false) => add(Weight::LetsIn, "is switched on again".into()),
            _ => {}
        }
        let Key { id: _, account: _, subject: _, disabled: _, bounds } = now;
        // What a key that is off may do is no matter.
        if now.disabled {
            if key.disabled && (key.bounds != *bounds || owner(before, key) != owner(after, now)) {
                add(Weight::Other, "says something else, and stays off".into());
            }
            continue;
        }
        let KeyBounds { expires, proxies, rooms } = bounds.as_deref().unwrap_or(&unbound);
        match (key.expires(), *expires) {
            (was, is) if was == is => {}
            (was, Some(is)) if was.is_none_or(|was| is < was) => {
                add(Weight::LosesAccess, format!("ends at {is}{}", before_that(was)));
            }
            (was, is) => {
                let ends = is.map_or("does not end any more".into(), |is| format!("ends at {is}"));
                add(Weight::LetsIn, format!("{ends}{}", before_that(was)));
            }
        }
        let texts = |items: &mut dyn Iterator<Item = String>| items.collect::<BTreeSet<_>>();
        restricted(
            &mut add,
            "proxies",
            &texts(&mut key.proxies().iter().map(ToString::to_string)),
            &texts(&mut proxies.iter().map(ToString::to_string)),
        );
        restricted(
            &mut add,
            "rooms",
            &texts(&mut key.rooms().iter().map(ToString::to_string)),
            &texts(&mut rooms.iter().map(ToString::to_string)),
        );
        let (was, is) = (owner(before, key), owner(after, now));
        if was != is {
            add(Weight::CountsAnew, format!("its account was `{was}`, is `{is}`"));
        }
    }
    for (id, key) in are.iter().filter(|(id, _)| !were.contains_key(*id)) {
        let account = &after.account(key.account).id;
        let (weight, so) =
            if key.disabled { (Weight::Other, ", and switched off") } else { (Weight::LetsIn, "") };
        changes.add(weight, "key", id, format!("is new, of account `{account}`{so}"));
    }
}

fn owner<'s>(set: &'s PolicySet, key: &Key) -> &'s str {
    set.account(key.account).id.as_str()
}

fn before_that(was: Option<crate::base::time::Timestamp>) -> String {
    was.map_or(" (it had no end)".into(), |was| format!(" (before: {was})"))
}

/// A key's own list of where it may be used; empty: everywhere.
fn restricted(
    add: &mut impl FnMut(Weight, String),
    what: &str,
    was: &BTreeSet<String>,
    is: &BTreeSet<String>,
) {
    match (was.is_empty(), is.is_empty()) {
        _ if was == is => {}
        (true, false) => {
            add(
                Weight::LosesAccess,
                format!("may be used for the {what} {} alone", some_of(is.iter().cloned())),
            );
        }
        (false, true) => add(Weight::LetsIn, format!("may be used for all {what}")),
        _ => {
            if was.difference(is).next().is_some() {
                let gone = some_of(was.difference(is).cloned());
                add(Weight::LosesAccess, format!("may not be used any more for the {what} {gone}"));
            }
            if is.difference(was).next().is_some() {
                let more = some_of(is.difference(was).cloned());
                add(Weight::LetsIn, format!("may be used for the {what} {more} too"));
            }
        }
    }
}

fn targets(changes: &mut Changes, before: &PolicySet, after: &PolicySet) {
    let urls = |set: &PolicySet| -> BTreeSet<String> {
        let urls = set.targets().iter().flat_map(|Target { hosts, paths }| {
            hosts.iter().flat_map(move |host| paths.iter().map(move |path| (host, path)))
        });
        urls.map(|(host, path)| format!("{host}{}", path.text())).collect()
    };
    let (old, new) = (urls(before), urls(after));
    for gone in old.difference(&new) {
        changes.add(Weight::LosesAccess, "target", gone, "is not signed any more");
    }
    for added in new.difference(&old) {
        changes.add(Weight::LetsIn, "target", added, "may be signed");
    }
}

/// A few of many, in backticks.
fn some_of(mut items: impl Iterator<Item = String>) -> String {
    const SHOWN_MAX: usize = 4;
    let shown: Vec<String> = items.by_ref().take(SHOWN_MAX).map(|item| format!("`{item}`")).collect();
    let more = items.count();
    let shown = shown.join(", ");
    if more == 0 { shown } else { format!("{shown} and {more} more") }
}
