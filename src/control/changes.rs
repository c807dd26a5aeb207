//! What a new set does differently, in words: what a person wants to read back after a reload.
//!
//! By names, not by places: rules, tiers, accounts and keys are found again by what the operator calls them. Bounded, for
//! a set may have a thousand rules and all of them may have changed.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::policy::PolicySet;
use crate::policy::counter::{Counter, Family, Limit};
use crate::policy::set::{Key, Rule};

/// More lines than a person reads; what is left out is counted.
const LINES_MAX: usize = 100;

/// What `after` does differently, a line each.
pub fn changes(before: &PolicySet, after: &PolicySet) -> Vec<String> {
    let mut lines = Vec::new();
    rules(before, after, &mut lines);
    compare("tier", &tiers(before), &tiers(after), &mut lines);
    compare("account", &accounts(before), &accounts(after), &mut lines);
    compare("key", &keys(before), &keys(after), &mut lines);
    if before.sessions() != after.sessions() {
        lines.push(format!("sessions: {} -> {}", before.sessions().word(), after.sessions().word()));
    }
    if format!("{:?}", before.targets()) != format!("{:?}", after.targets()) {
        lines.push("the targets changed".into());
    }
    bounded(lines)
}

/// At most as many lines as a person reads, and how many were left out.
pub fn bounded(mut lines: Vec<String>) -> Vec<String> {
    let more = lines.len().saturating_sub(LINES_MAX);
    if more > 0 {
        lines.truncate(LINES_MAX);
        lines.push(format!("… and {more} more"));
    }
    lines
}

/// Which rules' counters do not go on in the new set, in words: renamed or removed rules, changed scopes or windows.
pub fn counters_that_start_anew(before: &PolicySet, after: &PolicySet) -> Vec<String> {
    let families = |set: &PolicySet| {
        let mut families: BTreeMap<String, Vec<Family>> = BTreeMap::new();
        for counter in set.counters() {
            families.entry(set.rule(counter.rule).name.to_string()).or_default().push(counter.family);
        }
        families
    };
    let after = families(after);
    let lost = families(before).into_iter().filter_map(|(name, families)| match after.get(&name) {
        Some(same) if families.iter().all(|family| same.contains(family)) => None,
        Some(_) => Some(format!("rule `{name}`: its scope or windows changed, so its counters start anew")),
        None => Some(format!(
            "rule `{name}` is gone: what it counted is dropped (a renamed rule counts from zero)"
        )),
    });
    lost.collect()
}

/// Named things with what is told of each: those that came, went, or are told otherwise.
fn compare(
    what: &str,
    before: &BTreeMap<String, String>,
    after: &BTreeMap<String, String>,
    lines: &mut Vec<String>,
) {
    for (name, told) in before {
        match after.get(name) {
            None => lines.push(format!("{what} `{name}`: removed")),
            Some(now) if now != told => lines.push(format!("{what} `{name}`: {told} -> {now}")),
            Some(_) => {}
        }
    }
    for (name, told) in after.iter().filter(|(name, _)| !before.contains_key(*name)) {
        lines.push(format!("{what} `{name}`: new, {told}"));
    }
}

fn rules(before: &PolicySet, after: &PolicySet, lines: &mut Vec<String>) {
    let by_name = |set: &PolicySet| {
        let mut rules: BTreeMap<String, (String, BTreeMap<String, String>)> = BTreeMap::new();
        for rule in set.rules() {
            let told = format!("{} ({})", rule.kind.word(), rule.mode.word());
            rules.insert(rule.name.to_string(), (told, BTreeMap::new()));
        }
        for counter in set.counters() {
            let Rule { name, .. } = set.rule(counter.rule);
            if let Some((_, limits)) = rules.get_mut(name.as_str()) {
                limits_of(counter, limits);
            }
        }
        rules
    };
    let (before, after) = (by_name(before), by_name(after));
    for (name, (told, limits)) in &before {
        let Some((told_now, limits_now)) = after.get(name) else {
            lines.push(format!("rule `{name}`: removed, it was a {told}"));
            continue;
        };
        if told != told_now {
            lines.push(format!("rule `{name}`: {told} -> {told_now}"));
        }
        compare(&format!("rule `{name}`, limit"), limits, limits_now, lines);
    }
    for (name, (told, limits)) in after.iter().filter(|(name, _)| !before.contains_key(*name)) {
        let mut line = format!("rule `{name}`: new, {told}");
        for (window, max) in limits {
            let _ = write!(line, ", {window} {max}");
        }
        lines.push(line);
    }
}

fn limits_of(counter: &Counter, limits: &mut BTreeMap<String, String>) {
    match &counter.limit {
        Limit::Windows(windows) | Limit::Distinct { windows, .. } => {
            limits.extend(windows.iter().map(|window| (window.name.to_string(), window.max.to_string())));
        }
        Limit::Rate { rate, burst, .. } => {
            limits.insert("rate".into(), format!("{rate}, burst {burst}"));
        }
        Limit::Concurrency { max, .. } => {
            limits.insert("at a time".into(), max.to_string());
        }
    }
}

fn tiers(set: &PolicySet) -> BTreeMap<String, String> {
    set.tiers().iter().map(|tier| (tier.name.to_string(), format!("class {}", tier.class.word()))).collect()
}

fn accounts(set: &PolicySet) -> BTreeMap<String, String> {
    let tier = |account: &crate::policy::set::Account| format!("tier {}", set.tier(account.tier).name);
    set.accounts().iter().map(|account| (account.id.to_string(), tier(account))).collect()
}

fn keys(set: &PolicySet) -> BTreeMap<String, String> {
    let told = |key: &Key| {
        let mut told = format!("account {}", set.account(key.account).id);
        if key.disabled {
            told.push_str(", disabled");
        }
        if let Some(expires) = key.expires() {
            let _ = write!(told, ", until {expires}");
        }
        if !key.proxies().is_empty() || !key.rooms().is_empty() {
            let _ =
                write!(told, ", bound to {} prefixes and {} rooms", key.proxies().len(), key.rooms().len());
        }
        told
    };
    set.keys().map(|key| (key.id.to_string(), told(key))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::Timestamp;
    use crate::policy::{Sources, compile};

    fn set(text: &str) -> PolicySet {
        let mut sources = Sources::new("policies");
        let head = "format = 1\n[tier.anonymous]\nclass = \"none\"\n[tier.community]\nclass = \"free\"\n";
        sources.insert("10.toml", format!("{head}{text}"));
        match compile(&sources, Timestamp::from_secs(1_800_000_000)) {
            Ok(compiled) => compiled.set,
            Err(wrong) => panic!("{}", crate::policy::diagnostic::render(&wrong)),
        }
    }

    const BEFORE: &str = r#"
        [[account]]
        id = "suite"
        tier = "community"
        [[quota]]
        name = "anonymous"
        scope = "proxy"
        limits = { minute = 5, hour = 30 }
        [[rate]]
        name = "burst"
        scope = "proxy"
        rate = "2/s"
        burst = 5
        [[concurrency]]
        name = "in-flight"
        scope = "account"
        max = 50
        [[target]]
        hosts = ["webcast.tiktok.com"]
        paths = ["/webcast/*"]
    "#;

    #[test]
    fn a_set_does_what_it_did_before() {
        assert_eq!(changes(&set(BEFORE), &set(BEFORE)), [] as [String; 0]);
        assert_eq!(counters_that_start_anew(&set(BEFORE), &set(BEFORE)), [] as [String; 0]);
    }

    #[test]
    fn what_changed_is_told_by_name() {
        let after = BEFORE
            .replace("minute = 5, hour = 30", "minute = 8, hour = 30")
            .replace("burst = 5", "burst = 9\nmode = \"shadow\"")
            .replace("in-flight", "at-once")
            .replace("id = \"suite\"", "id = \"overlay\"")
            .replace("/webcast/*", "/api/*");
        let (before, after) = (set(BEFORE), set(&after));
        assert_eq!(
            changes(&before, &after),
            [
                "rule `anonymous`, limit `minute`: 5 -> 8",
                "rule `burst`: rate (enforce) -> rate (shadow)",
                "rule `burst`, limit `rate`: 2/1s, burst 5 -> 2/1s, burst 9",
                "rule `in-flight`: removed, it was a concurrency (enforce)",
                "rule `at-once`: new, concurrency (enforce), at a time 50",
                "account `suite`: removed",
                "account `overlay`: new, tier community",
                "the targets changed",
            ]
        );
        let anew = counters_that_start_anew(&before, &after);
        assert!(anew.len() == 1 && anew[0].contains("`in-flight` is gone"), "{anew:?}");
    }

    #[test]
    fn a_thousand_changes_are_counted() {
        let lines = bounded((0..1_000).map(|n| n.to_string()).collect());
        assert_eq!((lines.len(), lines.last().unwrap().as_str()), (LINES_MAX + 1, "… and 900 more"));
    }
}
