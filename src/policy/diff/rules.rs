//! Rules, compared by name.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};

use super::contents::{Contents, Listed};
use super::{Changes, Weight, some_of};
use crate::base::operation::Operation;
use crate::base::rate::Rate;
use crate::base::time::Timestamp;
use crate::policy::PolicySet;
use crate::policy::counter::{Counter, Limit, Tiers, WindowLimit};
use crate::policy::diagnostic::quoted;
use crate::policy::set::{Exemptions, Mode, Rule, RuleKind};

type Of<'a> = (&'a PolicySet, &'a Contents);

pub(super) fn compare(changes: &mut Changes, before: Of<'_>, after: Of<'_>) {
    let by_name = |set: &'_ PolicySet| -> BTreeMap<String, Rule> {
        set.rules().iter().map(|rule| (rule.name.to_string(), rule.clone())).collect()
    };
    let (old, new) = (by_name(before.0), by_name(after.0));
    // One that says the same under another name was renamed, if only one does. Each is put in words once: a policy may
    // rename a thousand.
    let mut added: BTreeMap<&str, (&Rule, String)> = BTreeMap::new();
    let mut alike: BTreeMap<(&str, String), Vec<&str>> = BTreeMap::new();
    for (name, rule) in new.iter().filter(|(name, _)| !old.contains_key(*name)) {
        let shape = shape(rule, after);
        alike.entry((rule.kind.word(), shape.clone())).or_default().push(name);
        added.insert(name, (rule, shape));
    }
    for (_, rule) in old.iter().filter(|(name, _)| !new.contains_key(*name)) {
        let key = (rule.kind.word(), shape(rule, before));
        let lists = before.1.lists.get(rule.name.as_str());
        let same = alike
            .get(&key)
            .into_iter()
            .flatten()
            .filter(|name| added.contains_key(**name) && after.1.lists.get(**name) == lists);
        let same: Vec<&str> = same.copied().take(2).collect();
        if let [name] = same[..]
            && let Some((now, _)) = added.remove(name)
        {
            let counts = counters(before.0, rule).next().is_some() && rule.mode != Mode::Off;
            let (weight, so) =
                if counts { (Weight::CountsAnew, ": its counters start anew") } else { (Weight::Other, "") };
            note(changes, weight, now, format!("was named `{}`{so}", rule.name));
        } else {
            note(changes, weight_of((rule, before), false), rule, format!("is gone: it was {}", key.1));
        }
    }
    for (rule, shape) in added.into_values() {
        note(changes, weight_of((rule, after), true), rule, format!("is new: {shape}"));
    }
    for (name, rule) in &old {
        if let Some(now) = new.get(name) {
            changed(changes, (rule, before), (now, after));
        }
    }
}

fn note(changes: &mut Changes, weight: Weight, rule: &Rule, text: String) {
    changes.add(weight, rule.kind.word(), rule.name.as_str(), text);
    if let Some(change) = changes.0.last_mut() {
        change.place = Some((rule.file.clone(), rule.line));
    }
}

/// What it does that a rule comes or goes.
fn weight_of((rule, of): (&Rule, Of<'_>), comes: bool) -> Weight {
    match (&rule.kind, rule.mode) {
        (_, Mode::Off | Mode::Shadow) => Weight::Other,
        (RuleKind::Allowlist { .. }, Mode::Enforce) if comes => Weight::LetsIn,
        (RuleKind::Allowlist { .. }, Mode::Enforce) => Weight::LosesAccess,
        (_, Mode::Enforce) if comes => stricter(denies(rule, of)),
        (_, Mode::Enforce) => Weight::LetsIn,
    }
}

/// More is refused: for good by what denies, else for a while.
fn stricter(denies: bool) -> Weight {
    if denies { Weight::LosesAccess } else { Weight::Tightens }
}

/// Whether no waiting helps against the rule: a blocklist, or a limit of nothing.
fn denies(rule: &Rule, (set, _): Of<'_>) -> bool {
    matches!(rule.kind, RuleKind::Blocklist { .. })
        || counters(set, rule).any(|counter| limits(counter).iter().any(|(_, limit)| limit.is_nothing()))
}

/// The weight of what changes inside a rule: none that is not enforced before and after decides anything by it, and where
/// the mode changes, that is told with all that it does.
fn weighed(was: &Rule, is: &Rule, weight: Weight) -> Weight {
    if was.mode == Mode::Enforce && is.mode == Mode::Enforce { weight } else { Weight::Other }
}

fn counters<'s>(set: &'s PolicySet, rule: &Rule) -> impl Iterator<Item = &'s Counter> + use<'s> {
    let places = match &rule.kind {
        RuleKind::Quota { counters }
        | RuleKind::Distinct { counters }
        | RuleKind::Rate { counters }
        | RuleKind::Concurrency { counters } => counters.clone(),
        RuleKind::Blocklist { .. } | RuleKind::Allowlist { .. } => 0..0,
    };
    places.map(|place| set.counter(place))
}

/// All that a rule says but its name, as a person says it: `enforce, per proxy, minute 5, hour 30, tiers anonymous`.
fn shape(rule: &Rule, (set, contents): Of<'_>) -> String {
    let mut text = rule.mode.word().to_owned();
    let mut of_all: Option<&Counter> = None;
    for counter in counters(set, rule) {
        if of_all.is_none() {
            let _ = write!(text, ", per {}", counter.scopes);
        }
        of_all = Some(counter);
        for (name, limit) in limits(counter) {
            let _ = write!(text, ", {name} {limit}");
        }
    }
    if let Some(counter) = of_all {
        if let Some(tiers) = tiers(set, counter) {
            let _ = write!(text, ", tiers {}", tiers.into_iter().collect::<Vec<_>>().join(" "));
        }
        if operations(counter).len() < OPERATIONS {
            let _ = write!(
                text,
                ", operations {}",
                operations(counter).into_iter().collect::<Vec<_>>().join(" ")
            );
        }
    }
    if let Some(listed) = contents.lists.get(rule.name.as_str()) {
        let _ = write!(text, ", {}", entries(listed));
    }
    match &rule.kind {
        RuleKind::Allowlist { exempt, expires } => {
            let _ = write!(
                text,
                ", exempt from {}",
                exempt_words(*exempt).into_iter().collect::<Vec<_>>().join(" ")
            );
            if let Some(at) = expires {
                let _ = write!(text, ", until {at}");
            }
        }
        RuleKind::Blocklist { reason, expires } => {
            if let Some(reason) = reason {
                let _ = write!(text, ", saying {}", quoted(reason));
            }
            if let Some(at) = expires {
                let _ = write!(text, ", until {at}");
            }
        }
        RuleKind::Quota { .. }
        | RuleKind::Distinct { .. }
        | RuleKind::Rate { .. }
        | RuleKind::Concurrency { .. } => {}
    }
    text
}

/// Whether two rules say the same, all entries of their lists too.
fn is_same((one, before): (&Rule, Of<'_>), (other, after): (&Rule, Of<'_>)) -> bool {
    one.kind.word() == other.kind.word()
        && shape(one, before) == shape(other, after)
        && before.1.lists.get(one.name.as_str()) == after.1.lists.get(other.name.as_str())
}

fn entries(listed: &Listed) -> String {
    match listed.len() {
        0 => "lists nothing".into(),
        1..=4 => format!("lists {}", some_of(all_of(listed))),
        count => format!("lists {count} things"),
    }
}

fn all_of(listed: &Listed) -> impl Iterator<Item = String> + '_ {
    listed.others.iter().cloned().chain(listed.prefixes.iter().map(ToString::to_string))
}

/// So many operations can be counted.
const OPERATIONS: usize = Operation::COUNT - 1;

fn operations(counter: &Counter) -> BTreeSet<&'static str> {
    let counted = Operation::ALL.into_iter().filter(|operation| counter.operations.contains(*operation));
    counted.map(Operation::word).collect()
}

/// `None`: all, those added later too.
fn tiers(set: &PolicySet, counter: &Counter) -> Option<BTreeSet<String>> {
    match &counter.tiers {
        Tiers::All => None,
        Tiers::Some(tiers) => Some(tiers.iter().map(|tier| set.tier(*tier).name.to_string()).collect()),
    }
}

fn exempt_words(exempt: Exemptions) -> BTreeSet<&'static str> {
    let Exemptions { blocklist, quota, viewbot } = exempt;
    let words = [("blocklist", blocklist), ("quota", quota), ("viewbot", viewbot)];
    words.into_iter().filter(|(_, is)| *is).map(|(word, _)| word).collect()
}

/// How much a limit admits, and as it is said: more is more, whatever the words are.
#[derive(Debug, Clone, PartialEq)]
struct Amount {
    much: f64,
    said: String,
}

impl Amount {
    fn count(count: u32) -> Self {
        Self { much: f64::from(count), said: count.to_string() }
    }

    /// Whether nothing at all is admitted.
    fn is_nothing(&self) -> bool {
        self.much <= 0.0
    }

    /// By its spacing, so that `2/s` and `100/m` can be compared, and `60/m` is `1/s`.
    fn rate(rate: Rate) -> Self {
        Self { much: 1.0 / rate.interval().as_secs_f64(), said: rate.to_string() }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.said)
    }
}

/// Each limit of a counter, by a name that stays the same when its number changes.
fn limits(counter: &Counter) -> Vec<(String, Amount)> {
    let windows = |windows: &[WindowLimit], of: &str| {
        windows.iter().map(|window| (format!("{of}{}", window.name), Amount::count(window.max))).collect()
    };
    match &counter.limit {
        Limit::Windows(limits) => windows(limits, ""),
        Limit::Distinct { count, windows: limits } => windows(limits, &format!("different {count} in ")),
        Limit::Rate { rate, burst, label: _ } => {
            vec![("rate".into(), Amount::rate(*rate)), ("burst".into(), Amount::count(*burst))]
        }
        Limit::Concurrency { max, label: _ } => vec![("at a time".into(), Amount::count(*max))],
    }
}

fn changed(changes: &mut Changes, (was, before): (&Rule, Of<'_>), (is, after): (&Rule, Of<'_>)) {
    // Taken apart, so that what a rule has more one day is compared here too; where it stands decides nothing.
    let Rule { name: _, mode: _, kind: _, file: _, line: _ } = is;
    if was.kind.word() != is.kind.word() {
        let text = format!("was a {}; its counters start anew: {}", was.kind.word(), shape(is, after));
        note(changes, Weight::CountsAnew, is, text);
        return;
    }
    mode(changes, was, (is, after));
    if was.mode == Mode::Off && is.mode == Mode::Off {
        if !is_same((was, before), (is, after)) {
            note(changes, Weight::Other, is, "says something else, and stays off".into());
        }
        return;
    }
    match (&was.kind, &is.kind) {
        (
            RuleKind::Allowlist { exempt: was_exempt, expires: was_ends },
            RuleKind::Allowlist { exempt, expires },
        ) => {
            let (old, new) = (exempt_words(*was_exempt), exempt_words(*exempt));
            for word in new.difference(&old) {
                note(changes, weighed(was, is, Weight::LetsIn), is, format!("exempts from `{word}` too"));
            }
            for word in old.difference(&new) {
                let weight = weighed(was, is, Weight::LosesAccess);
                note(changes, weight, is, format!("does not exempt from `{word}` any more"));
            }
            listed(changes, (was, *was_ends, before.1), (is, *expires, after.1));
        }
        (
            RuleKind::Blocklist { reason: was_reason, expires: was_ends },
            RuleKind::Blocklist { reason, expires },
        ) => {
            if was_reason != reason {
                note(changes, Weight::Other, is, "its reason has other words".into());
            }
            listed(changes, (was, *was_ends, before.1), (is, *expires, after.1));
        }
        _ => counted(changes, (was, before), (is, after)),
    }
}

fn mode(changes: &mut Changes, was: &Rule, (is, after): (&Rule, Of<'_>)) {
    if was.mode == is.mode {
        return;
    }
    let weight = match (&is.kind, was.mode, is.mode) {
        (RuleKind::Allowlist { .. }, _, Mode::Enforce) => Weight::LetsIn,
        (RuleKind::Allowlist { .. }, Mode::Enforce, _) => Weight::LosesAccess,
        (_, _, Mode::Enforce) => stricter(denies(is, after)),
        (_, Mode::Enforce, _) => Weight::LetsIn,
        _ => Weight::Other,
    };
    note(changes, weight, is, format!("its mode was `{}`, is `{}`", was.mode.word(), is.mode.word()));
}

fn counted(changes: &mut Changes, (was, before): (&Rule, Of<'_>), (is, after): (&Rule, Of<'_>)) {
    let (old, new): (Vec<_>, Vec<_>) = (counters(before.0, was).collect(), counters(after.0, is).collect());
    let (Some(first_old), Some(first_new)) = (old.first(), new.first()) else { return };
    // All of it is compared below, by `limits`, `tiers` and `operations`; the mode is the rule's.
    let Counter { rule: _, mode: _, scopes: _, limit: _, tiers: _, operations: _, family: _ } = first_new;
    if old.iter().any(|counter| new.iter().all(|other| other.family != counter.family)) {
        let text = if first_old.scopes == first_new.scopes {
            "its windows changed, so its counters start anew".into()
        } else {
            format!(
                "it counted per {}, and counts per {}: its counters start anew",
                first_old.scopes, first_new.scopes
            )
        };
        note(changes, Weight::CountsAnew, is, text);
    }
    let weighed = |weight| weighed(was, is, weight);
    let all = |counters: &[&Counter]| -> BTreeMap<String, Amount> {
        counters.iter().flat_map(|counter| limits(counter)).collect()
    };
    let (old_limits, new_limits) = (all(&old), all(&new));
    for (name, old) in &old_limits {
        match new_limits.get(name) {
            None => {
                note(changes, weighed(Weight::LetsIn), is, format!("{name}: the limit of {old} is gone"));
            }
            Some(new) if new.much > old.much => {
                note(changes, weighed(Weight::Loosens), is, format!("{name}: raised from {old} to {new}"));
            }
            Some(new) if new.much < old.much => {
                let weight = weighed(stricter(new.is_nothing()));
                note(changes, weight, is, format!("{name}: lowered from {old} to {new}"));
            }
            Some(_) => {}
        }
    }
    for (name, new) in new_limits.iter().filter(|(name, _)| !old_limits.contains_key(*name)) {
        let weight = weighed(stricter(new.is_nothing()));
        note(changes, weight, is, format!("{name}: a new limit of {new}"));
    }
    let (old_tiers, new_tiers) = (tiers(before.0, first_old), tiers(after.0, first_new));
    let words = |tiers: &Option<BTreeSet<String>>| {
        tiers.as_ref().map_or("all tiers".into(), |tiers| some_of(tiers.iter().cloned()))
    };
    if old_tiers != new_tiers {
        let lets_go = match (&old_tiers, &new_tiers) {
            (None, Some(_)) => true,
            (Some(old), Some(new)) => old.difference(new).next().is_some(),
            (_, None) => false,
        };
        let weight = if lets_go { Weight::LetsIn } else { stricter(denies(is, after)) };
        note(
            changes,
            weighed(weight),
            is,
            format!("was for {}, is for {}", words(&old_tiers), words(&new_tiers)),
        );
    }
    let (old, new) = (operations(first_old), operations(first_new));
    for word in old.difference(&new) {
        note(changes, weighed(Weight::LetsIn), is, format!("does not count `{word}` any more"));
    }
    for word in new.difference(&old) {
        let weight = weighed(stricter(denies(is, after)));
        note(changes, weight, is, format!("counts `{word}` too"));
    }
}

/// A list, when it ends, and what it holds.
type List<'a> = (&'a Rule, Option<Timestamp>, &'a Contents);

fn listed(changes: &mut Changes, (was, was_ends, before): List<'_>, (is, is_ends, after): List<'_>) {
    let (grows, shrinks) = if matches!(is.kind, RuleKind::Allowlist { .. }) {
        (Weight::LetsIn, Weight::LosesAccess)
    } else {
        (Weight::LosesAccess, Weight::LetsIn)
    };
    let (grows, shrinks) = (weighed(was, is, grows), weighed(was, is, shrinks));
    if was_ends != is_ends {
        let never = "never".to_owned();
        let words = |at: Option<Timestamp>| at.map_or(never.clone(), |at| at.to_string());
        let later = is_ends.is_none() || was_ends.is_some_and(|was| is_ends > Some(was));
        let weight = if later { grows } else { shrinks };
        note(changes, weight, is, format!("its end was {}, is {}", words(was_ends), words(is_ends)));
    }
    let nothing = Listed::default();
    let old = before.lists.get(was.name.as_str()).unwrap_or(&nothing);
    let new = after.lists.get(is.name.as_str()).unwrap_or(&nothing);
    for (from, to, weight, word) in [(old, new, grows, "more"), (new, old, shrinks, "fewer")] {
        let prefixes = || to.prefixes_beyond(from);
        let others = || to.others.difference(&from.others);
        let count = prefixes().count() + others().count();
        if count > 0 {
            let shown = some_of(others().cloned().chain(prefixes().map(ToString::to_string)));
            note(changes, weight, is, format!("lists {count} {word}, {} now: {shown}", new.len()));
        }
    }
}
