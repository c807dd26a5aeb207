//! Rules that count: those that can never apply, and limits that can never decide.

use std::cmp::Reverse;

use super::{class, known_tier};
use crate::base::id::TierName;
use crate::base::library::LibraryName;
use crate::base::subject::{Scope, Scopes};
use crate::policy::counter::window_name;
use crate::policy::diagnostic::{Diagnostic, quoted};
use crate::policy::file::{CountedForm, LimitForm, WindowForm};
use crate::policy::reader::{At, Report, Spot};
use crate::policy::set::{Mode, Tier, TierClass};

pub(super) fn check(rules: &[CountedForm], tiers: &[Tier], report: &Report<'_>) {
    for rule in rules {
        counted(rule, tiers, report);
        if let LimitForm::Distinct { count, windows } = &rule.limit {
            distinct(rule, *count, windows, report);
        }
    }
    beside_one_another(rules, report);
}

fn counted(rule: &CountedForm, tiers: &[Tier], report: &Report<'_>) {
    let never = |spot: Spot, label: &str, help: Option<&str>| {
        report.warn(spot, || {
            let wrong =
                Diagnostic::warning(format!("rule {} never applies", quoted(rule.head.name.value.as_str())));
            Diagnostic { help: help.map(Into::into), ..wrong.label(label) }
        });
    };
    if let Some(listed) = &rule.tiers {
        for tier in &listed.value {
            known_tier(tiers, tier, report);
        }
        let keyless = |tier: &At<TierName>| class(tiers, &tier.value) == Some(TierClass::None);
        if listed.value.is_empty() {
            never(
                listed.spot,
                "no tier is listed",
                Some("leave `tiers` out for all of them, or set `mode = \"off\"`"),
            );
        } else if let Some(spot) = needs_key(rule).filter(|_| listed.value.iter().all(keyless)) {
            never(
                spot,
                "a request without a key has no account and no key to count",
                Some("`proxy` counts per address"),
            );
        }
    }
    if let Some(operations) = &rule.operations {
        let free = operations.value.iter().find(|operation| !operation.value.costs_quota());
        if operations.value.iter().all(|operation| !operation.value.costs_quota()) {
            let label = if operations.value.is_empty() {
                "no operation is listed"
            } else {
                "asking for limits costs no quota"
            };
            never(operations.spot, label, Some("leave `operations` out for all that cost quota"));
        } else if let Some(free) = free {
            report.warn(free.spot, || {
                Diagnostic::warning(format!(
                    "rule {} does not count `{}`",
                    quoted(rule.head.name.value.as_str()),
                    free.value
                ))
                .label("asking for limits costs no quota")
                .help("take the word out")
            });
        }
    }
    if let LimitForm::Windows(windows) | LimitForm::Distinct { windows, .. } = &rule.limit {
        for pair in windows.windows(2).filter(|pair| pair[1].max.value < pair[0].max.value) {
            let (short, long) = (window_name(pair[0].length.value), window_name(pair[1].length.value));
            report.warn(pair[1].max.spot, || {
                Diagnostic::warning(format!("fewer are admitted per {long} than per {short}"))
                    .label(format!("so that the {} per {short} are never reached", pair[0].max.value))
            });
        }
    }
}

/// The place of what a request without a key has not.
fn needs_key(rule: &CountedForm) -> Option<Spot> {
    let of_key = |scope| matches!(scope, Scope::Account | Scope::Key);
    let Scopes { first, second } = rule.scopes.value;
    match &rule.limit {
        _ if of_key(first) || second.is_some_and(of_key) => Some(rule.scopes.spot),
        LimitForm::Distinct { count, .. } if of_key(count.value) => Some(count.spot),
        _ => None,
    }
}

/// A distinct quota that has room for all that there can be.
fn distinct(rule: &CountedForm, count: At<Scope>, windows: &[WindowForm], report: &Report<'_>) {
    let never = |spot: Spot, label: String| {
        report.warn(spot, || {
            let name = quoted(rule.head.name.value.as_str());
            Diagnostic::warning(format!("rule {name} never refuses anything")).label(label)
        });
    };
    let Scopes { first, second } = rule.scopes.value;
    let per = |scope| first == scope || second == Some(scope);
    // What holds the subject holds it alone: a key is one account's, an address in one subnet.
    let holder = match count.value {
        Scope::Account if per(Scope::Key) => Some(Scope::Key),
        Scope::Subnet | Scope::Asn if per(Scope::Proxy) => Some(Scope::Proxy),
        _ => None,
    };
    if let Some(holder) = holder {
        never(count.spot, format!("one {holder} has one {} only", count.value));
    }
    let libraries = LibraryName::ALL.len() as u32;
    let enough = windows.iter().find(|window| count.value == Scope::Library && window.max.value >= libraries);
    if let Some(window) = enough {
        never(
            window.max.spot,
            format!("there are {libraries} libraries in all, `{}` among them", LibraryName::Other),
        );
    }
}

/// Windows of rules that count the same: one that another leaves no chance to decide.
fn beside_one_another(rules: &[CountedForm], report: &Report<'_>) {
    let mut windows: Vec<(String, &WindowForm, &CountedForm)> = Vec::new();
    for rule in rules.iter().filter(|rule| rule.head.mode == Mode::Enforce) {
        let (LimitForm::Windows(of_rule) | LimitForm::Distinct { windows: of_rule, .. }) = &rule.limit else {
            continue;
        };
        let counted = counts(rule);
        windows.extend(of_rule.iter().map(|window| (counted.clone(), window, rule)));
    }
    // The longer one after the shorter, of the same length the stricter last; names settle the rest, never the files.
    windows.sort_by(|(one_counts, one, one_rule), (other_counts, other, other_rule)| {
        let key = |window: &WindowForm| (window.length.value, Reverse(window.max.value));
        one_counts
            .cmp(other_counts)
            .then(key(one).cmp(&key(other)))
            .then(one_rule.head.name.value.cmp(&other_rule.head.name.value))
    });
    for of_same in windows.chunk_by(|one, other| one.0 == other.0) {
        // From the longest down: the strictest that is at least as long decides first.
        let mut strictest: Option<(&WindowForm, &CountedForm)> = None;
        for (_, window, rule) in of_same.iter().rev() {
            if let Some((stricter, by)) = strictest.filter(|(other, _)| other.max.value <= window.max.value)
                // Within one rule it is told of already.
                && by.head.name.value != rule.head.name.value
            {
                report.warn(window.max.spot, || never_reached(window, rule, stricter, by, report));
            }
            if strictest.is_none_or(|(other, _)| window.max.value <= other.max.value) {
                strictest = Some((window, rule));
            }
        }
    }
}

/// What a rule counts, as a text: two that print alike count alike.
fn counts(rule: &CountedForm) -> String {
    let words = |list: Option<Vec<String>>| {
        list.map(|mut words| {
            words.sort_unstable();
            words.dedup();
            words
        })
    };
    let tiers = rule.tiers.as_ref().map(|tiers| tiers.value.iter().map(|at| at.value.to_string()).collect());
    let operations =
        rule.operations.as_ref().map(|all| all.value.iter().map(|at| at.value.to_string()).collect());
    let different = match &rule.limit {
        LimitForm::Distinct { count, .. } => Some(count.value),
        _ => None,
    };
    format!("{} {different:?} {:?} {:?}", rule.scopes.value, words(tiers), words(operations))
}

fn never_reached(
    window: &WindowForm,
    rule: &CountedForm,
    stricter: &WindowForm,
    by: &CountedForm,
    report: &Report<'_>,
) -> Diagnostic {
    let per = |form: &WindowForm| format!("{} per {}", form.max.value, window_name(form.length.value));
    Diagnostic::warning(format!(
        "rule {} never decides with its {}",
        quoted(rule.head.name.value.as_str()),
        per(window)
    ))
    .label("another rule that counts the same refuses before")
    .help(format!(
        "rule {} admits {} at {}",
        quoted(by.head.name.value.as_str()),
        per(stricter),
        report.place(stricter.max.spot)
    ))
}
