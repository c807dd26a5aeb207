//! Lists: what they name that is not there, whom they hit by mistake, and blocklists that an allowlist undoes.

use std::collections::HashMap;
use std::fmt::Display;
use std::hash::Hash;

use ipnet::IpNet;

use super::known_account;
use crate::base::time::Timestamp;
use crate::policy::diagnostic::{Diagnostic, quoted};
use crate::policy::file::{ListForm, ListKind, Matchers};
use crate::policy::reader::{At, Report, Spot};
use crate::policy::set::Mode;

pub(super) fn check(
    lists: &[ListForm],
    accounts: &[&str],
    keys: &[&str],
    now: Timestamp,
    report: &Report<'_>,
) {
    for form in lists {
        list(form, accounts, keys, now, report);
        twice(form, report);
    }
    undone(lists, now, report);
}

fn list(list: &ListForm, accounts: &[&str], keys: &[&str], now: Timestamp, report: &Report<'_>) {
    let name = || quoted(list.head.name.value.as_str());
    let matchers = &list.matchers;
    for account in &matchers.accounts {
        known_account(accounts, account.value.as_str(), account.spot, report);
    }
    for key in &matchers.keys {
        if keys.binary_search(&key.value.as_str()).is_err() {
            report.warn(key.spot, || {
                Diagnostic::warning(format!("no `[[key]]` has the id {}", quoted(key.value.as_str())))
                    .label("matches no request until there is such a key")
            });
        }
    }
    if let Some(expires) = list.expires.filter(|expires| expires.value <= now) {
        report.warn(expires.spot, || {
            Diagnostic::warning(format!("rule {} has expired", name()))
                .label("is no longer in force")
                .help("take the rule out, or move the date")
        });
    }
    // Where something in it was wrong, that it seems empty is no news.
    if matchers.count() == 0 && matchers.file.is_none() && !report.has_errors() {
        report.warn(list.head.spot, || {
            Diagnostic::warning(format!("rule {} never applies", name())).label("it lists nothing")
        });
    }
    match list.kind {
        ListKind::Block(_) if list.head.mode == Mode::Enforce => {
            let everybody = matchers.prefixes.iter().filter(|prefix| prefix.value.prefix_len() == 0);
            let everybody = everybody.map(|at| (at.spot, "matches every address of its family"));
            let agents =
                matchers.user_agents.iter().filter(|at| at.value.as_str().bytes().all(|byte| byte == b'*'));
            let agents = agents.map(|at| (at.spot, "matches every user agent"));
            for (spot, label) in everybody.chain(agents) {
                report.warn(spot, || {
                    Diagnostic::warning(format!("rule {} refuses everybody", name())).label(label)
                });
            }
        }
        ListKind::Block(_) => {}
        ListKind::Allow(_) => {
            if list.head.mode == Mode::Shadow {
                report.warn(list.head.spot, || {
                    Diagnostic::warning(format!("rule {} exempts nobody", name()))
                        .label("in shadow, and nothing records whom it would exempt")
                        .help("an allowlist is in force or off: `mode = \"enforce\"`, `mode = \"off\"`")
                });
            }
            for everybody in matchers.prefixes.iter().filter(|prefix| prefix.value.prefix_len() == 0) {
                report.warn(everybody.spot, || {
                    Diagnostic::warning(format!("rule {} exempts everybody", name()))
                        .label("matches every address of its family")
                });
            }
            let agents = matchers.user_agents.first().map(|at| at.spot);
            let libraries = matchers.libraries.first().map(|at| at.spot);
            for spot in agents.into_iter().chain(libraries) {
                report.warn(spot, || {
                    Diagnostic::warning(format!("anybody can be exempt by rule {}", name()))
                        .label("is what the caller says of itself")
                        .help("exempt accounts, keys or prefixes")
                });
            }
        }
    }
}

/// What stands twice in one list: mostly one of the two was meant to be something else.
fn twice(list: &ListForm, report: &Report<'_>) {
    fn each<T: Eq + Hash>(items: &[At<T>], report: &Report<'_>) {
        let mut first: HashMap<&T, Spot> = HashMap::new();
        for item in items {
            if let Some(first) = first.insert(&item.value, item.spot) {
                report.warn(item.spot, || {
                    let place = report.place(first);
                    Diagnostic::warning("an item of the list stands twice")
                        .label("given a second time")
                        .help(format!("the other stands at {place}"))
                });
            }
        }
    }
    let matchers = &list.matchers;
    each(&matchers.prefixes, report);
    each(&matchers.asns, report);
    each(&matchers.rooms, report);
    each(&matchers.accounts, report);
    each(&matchers.keys, report);
}

/// What blocklists list and an allowlist exempts whole. That part of a blocked prefix is exempt is what allowlists are for,
/// and so is an exempt address in a feed; what stands in a file and can never refuse anybody was not meant.
fn undone(lists: &[ListForm], now: Timestamp, report: &Report<'_>) {
    let in_force = |list: &&ListForm| {
        list.head.mode == Mode::Enforce && list.expires.is_none_or(|expires| expires.value > now)
    };
    let exempting: Vec<&ListForm> = lists
        .iter()
        .filter(in_force)
        .filter(|list| matches!(&list.kind, ListKind::Allow(exempt) if exempt.blocklist))
        .collect();
    if exempting.is_empty() {
        return;
    }
    let prefixes = listed(&exempting, |matchers| &matchers.prefixes);
    let asns = listed(&exempting, |matchers| &matchers.asns);
    let rooms = listed(&exempting, |matchers| &matchers.rooms);
    let accounts = listed(&exempting, |matchers| &matchers.accounts);
    let keys = listed(&exempting, |matchers| &matchers.keys);
    let blocking = lists.iter().filter(in_force).filter(|list| matches!(list.kind, ListKind::Block(_)));
    for list in blocking {
        let warn = |spot: Spot, what: &dyn Display, by: Option<&&ListForm>| {
            if let Some(by) = by {
                report.warn(spot, || exempt(&what.to_string(), list, by, report));
            }
        };
        let matchers = &list.matchers;
        for prefix in &matchers.prefixes {
            let mut wider = std::iter::successors(Some(prefix.value), IpNet::supernet);
            warn(prefix.spot, &prefix.value, wider.find_map(|net| prefixes.get(&net)));
        }
        matchers.asns.iter().for_each(|at| warn(at.spot, &at.value, asns.get(&at.value)));
        matchers.rooms.iter().for_each(|at| warn(at.spot, &at.value, rooms.get(&at.value)));
        matchers.accounts.iter().for_each(|at| warn(at.spot, &at.value, accounts.get(&at.value)));
        matchers.keys.iter().for_each(|at| warn(at.spot, &at.value, keys.get(&at.value)));
    }
}

/// Everything of one kind that some lists hold, each with the first list that does.
fn listed<'f, T: Eq + Hash>(
    lists: &[&'f ListForm],
    of: impl Fn(&'f Matchers) -> &'f Vec<At<T>>,
) -> HashMap<&'f T, &'f ListForm> {
    let mut listed = HashMap::new();
    for list in lists {
        for item in of(&list.matchers) {
            listed.entry(&item.value).or_insert(*list);
        }
    }
    listed
}

fn exempt(what: &str, list: &ListForm, by: &ListForm, report: &Report<'_>) -> Diagnostic {
    let name = |list: &ListForm| quoted(list.head.name.value.as_str());
    Diagnostic::warning(format!("rule {} undoes what rule {} says of {}", name(by), name(list), quoted(what)))
        .label("is never refused: allowlists come first")
        .help(format!("the allowlist stands at {}", report.place(by.head.spot)))
}
