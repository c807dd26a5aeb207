//! What a new set does differently, in words: what a person wants to read back after a reload.
//!
//! What changes is found by [`diff`], as `signgate check --against` finds it. Bounded, for a set may have a thousand rules
//! and all of them may have changed.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::policy::PolicySet;
use crate::policy::counter::Family;
use crate::policy::diff::{Change, Side, diff};

/// More lines than a person reads; what is left out is counted.
const LINES_MAX: usize = 100;

/// So many stand in a line of the log.
const LOGGED_MAX: usize = 5;

/// What is said where the files differ and no verdict does.
const TEXT_ALONE: &str =
    "nothing that decides changes: only order, comments, spelling or the names of files differ";

/// What `after` does differently, a line each, the most dangerous first; that nothing does, where only the text differs.
pub fn changes(before: Side<'_>, after: Side<'_>) -> Vec<String> {
    let changes = diff(before, after);
    if changes.is_empty() && before.set.digest() != after.set.digest() {
        return vec![TEXT_ALONE.into()];
    }
    bounded(changes.iter().map(Change::line).collect())
}

/// The first of the changes, for one line of the log.
pub fn in_short(changes: &[String]) -> String {
    let more = changes.len().saturating_sub(LOGGED_MAX);
    let mut text = changes[..changes.len() - more].join("; ");
    if more > 0 {
        // Writing into a text does not fail.
        let _ = write!(text, "; and more: {more}");
    }
    text
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::Timestamp;
    use crate::policy::{Sources, compile};

    fn read(text: &str) -> (Sources, PolicySet) {
        let mut sources = Sources::new("policies");
        let head = "format = 1\n[tier.anonymous]\nclass = \"none\"\n[tier.community]\nclass = \"free\"\n";
        sources.insert("10.toml", format!("{head}{text}"));
        match compile(&sources, Timestamp::from_secs(1_800_000_000)) {
            Ok(compiled) => (sources, compiled.set),
            Err(wrong) => panic!("{}", crate::policy::diagnostic::render(&wrong)),
        }
    }

    fn side((sources, set): &(Sources, PolicySet)) -> Side<'_> {
        Side { set, sources }
    }

    const BEFORE: &str = r#"
        [[account]]
        id = "suite"
        tier = "community"
        [[quota]]
        name = "anonymous"
        scope = "proxy"
        limits = { minute = 5, hour = 30 }
        [[concurrency]]
        name = "in-flight"
        scope = "account"
        max = 50
        [viewbot]
        mode = "shadow"
    "#;

    #[test]
    fn a_set_does_what_it_did_before() {
        let (one, same) = (read(BEFORE), read(BEFORE));
        assert_eq!(changes(side(&one), side(&same)), [] as [String; 0]);
        assert_eq!(counters_that_start_anew(&one.1, &same.1), [] as [String; 0]);
        let commented = read(&format!("# why\n{BEFORE}"));
        assert_eq!(changes(side(&one), side(&commented)), [TEXT_ALONE]);
    }

    #[test]
    fn what_changed_is_told_the_most_dangerous_first() {
        let after = BEFORE
            .replace("minute = 5, hour = 30", "minute = 8, hour = 30")
            .replace("in-flight", "at-once")
            .replace("shadow", "enforce")
            .replace("id = \"suite\"", "id = \"overlay\"");
        let (before, after) = (read(BEFORE), read(&after));
        assert_eq!(
            changes(side(&before), side(&after)),
            [
                "viewbot: its mode was `shadow`, is `enforce`",
                "account `suite`: is gone, and its keys with it",
                "concurrency `at-once`: was named `in-flight`: its counters start anew",
                "quota `anonymous`: minute: raised from 5 to 8",
                "account `overlay`: is new, of tier `community`",
            ]
        );
        let anew = counters_that_start_anew(&before.1, &after.1);
        assert!(anew.len() == 1 && anew[0].contains("`in-flight` is gone"), "{anew:?}");
    }

    #[test]
    fn a_thousand_changes_are_counted() {
        let lines = bounded((0..1_000).map(|n| n.to_string()).collect());
        assert_eq!((lines.len(), lines.last().unwrap().as_str()), (LINES_MAX + 1, "… and 900 more"));
        let all: Vec<String> = (0..7).map(|n| n.to_string()).collect();
        assert_eq!(in_short(&all), "0; 1; 2; 3; 4; and more: 2");
        assert_eq!(in_short(&all[..2]), "0; 1");
    }
}
