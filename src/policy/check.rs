//! What can only be seen across tables and files: names that nothing defines, names given twice, rules that contradict
//! themselves or can never apply.
//!
//! Errors are what has no meaning; warnings are what has one that is probably not meant. Both are judged on the forms as a
//! whole, so neither can hang on the order of files.

mod lists;
mod rules;

use std::collections::BTreeMap;

use super::diagnostic::{Diagnostic, closest, quoted, quoted_list};
use super::file::{Forms, LimitForm, ViewbotForm};
use super::reader::{At, Report, Spot};
use super::set::{Tier, TierClass, TierIndex};
use super::viewbot::ViewbotMode;
use crate::base::id::TierName;
use crate::base::subject::Scope;
use crate::base::time::Timestamp;

/// A policy may have at most so many tiers: what applies is laid out for each.
pub const TIERS_MAX: usize = 64;

/// A policy may have at most so many accounts.
pub const ACCOUNTS_MAX: usize = 1_000_000;

/// A policy may have at most so many keys.
pub const KEYS_MAX: usize = 1_000_000;

/// A policy may have at most so many rules.
pub const RULES_MAX: usize = 1_000;

/// All lists together may have at most so many patterns of user agents: each costs every request a little.
pub const USER_AGENTS_MAX: usize = 256;

/// Looks at everything. The tiers, sorted by name, are what the rest is resolved against.
pub fn check(forms: &Forms, now: Timestamp, report: &Report<'_>) -> Vec<Tier> {
    bounds(forms, report);
    names_are_unique(forms, report);
    let tiers = tiers(forms, report);
    let accounts = sorted(forms.accounts.iter().map(|account| account.id.value.as_str()));
    let keys = sorted(forms.keys.iter().map(|key| key.id.value.as_str()));
    accounts_and_keys(forms, &tiers, &accounts, now, report);
    rules::check(&forms.counted, &tiers, report);
    lists::check(&forms.lists, &accounts, &keys, now, report);
    needs_networks(forms, report);
    shedding(forms, &tiers, report);
    for form in &forms.viewbot {
        viewbot(form, !forms.networks.is_empty(), report);
    }
    single_tables(forms, report);
    tiers
}

fn bounds(forms: &Forms, report: &Report<'_>) {
    let patterns: usize = forms.lists.iter().map(|list| list.matchers.user_agents.len()).sum();
    for (what, count, max) in [
        ("tiers", forms.tiers.len(), TIERS_MAX),
        ("accounts", forms.accounts.len(), ACCOUNTS_MAX),
        ("keys", forms.keys.len(), KEYS_MAX),
        ("rules", forms.counted.len() + forms.lists.len(), RULES_MAX),
        ("patterns of user agents", patterns, USER_AGENTS_MAX),
    ] {
        if count > max {
            report
                .push(Diagnostic::error(format!("{count} {what} are too many: at most {max} are possible")));
        }
    }
}

fn names_are_unique(forms: &Forms, report: &Report<'_>) {
    let tiers = forms.tiers.iter().map(|tier| (tier.name.value.as_str(), tier.name.spot));
    unique("tiers are named", tiers, report);
    let accounts = forms.accounts.iter().map(|account| (account.id.value.as_str(), account.id.spot));
    unique("accounts have the id", accounts, report);
    unique("keys have the id", forms.keys.iter().map(|key| (key.id.value.as_str(), key.id.spot)), report);
    let heads = forms.counted.iter().map(|rule| &rule.head).chain(forms.lists.iter().map(|list| &list.head));
    unique("rules are named", heads.map(|head| (head.name.value.as_str(), head.name.spot)), report);

    let mut hashes = BTreeMap::new();
    for key in &forms.keys {
        if let Some((id, first)) = hashes.insert(key.hash.value, (&key.id.value, key.hash.spot)) {
            report.error(key.hash.spot, || {
                Diagnostic::error("two keys have the same hash")
                    .label("one key cannot have two ids")
                    .help(format!("the other is {} at {}", quoted(id.as_str()), report.place(first)))
            });
        }
    }
}

fn unique<'f>(what: &str, names: impl Iterator<Item = (&'f str, Spot)>, report: &Report<'_>) {
    // Sorted by place, so that the one complained of is the later one however the forms were gathered.
    let mut sorted: Vec<_> = names.collect();
    sorted.sort_unstable();
    for pair in sorted.windows(2).filter(|pair| pair[0].0 == pair[1].0) {
        report.error(pair[1].1, || {
            Diagnostic::error(format!("two {what} {}", quoted(pair[1].0)))
                .label("given a second time")
                .help(format!("the other stands at {}", report.place(pair[0].1)))
        });
    }
}

/// The tiers by name, each once; one that was wrong counts as free, for it has been complained of.
fn tiers(forms: &Forms, report: &Report<'_>) -> Vec<Tier> {
    let mut without_key = forms.tiers.iter().filter(|tier| tier.class == Some(TierClass::None));
    match (without_key.next(), without_key.next()) {
        (None, _) if forms.incomplete || forms.tiers.iter().any(|tier| tier.class.is_none()) => {}
        (None, _) => report.push(
            Diagnostic::error("no tier has the class `none`")
                .help("requests without a key need one: write `[tier.anonymous]` with `class = \"none\"`"),
        ),
        (Some(first), Some(second)) => report.error(second.name.spot, || {
            Diagnostic::error("two tiers have the class `none`")
                .label("requests without a key can be in one tier only")
                .help(format!(
                    "the other is {} at {}",
                    quoted(first.name.value.as_str()),
                    report.place(first.name.spot)
                ))
        }),
        (Some(_), None) => {}
    }
    let by_name: BTreeMap<&TierName, TierClass> =
        forms.tiers.iter().map(|tier| (&tier.name.value, tier.class.unwrap_or(TierClass::Free))).collect();
    by_name.into_iter().map(|(name, class)| Tier { name: name.clone(), class }).collect()
}

/// The place of a tier in the sorted tiers.
pub fn tier_index(tiers: &[Tier], name: &TierName) -> Option<TierIndex> {
    tiers.binary_search_by(|tier| tier.name.cmp(name)).ok().map(|place| TierIndex(place as u16))
}

fn known_tier(tiers: &[Tier], name: &At<TierName>, report: &Report<'_>) {
    if tier_index(tiers, &name.value).is_none() {
        let known = tiers.iter().map(|tier| tier.name.as_str());
        report.error(name.spot, || undefined("tier", name.value.as_str(), known, "[tier.NAME]"));
    }
}

/// "no table defines the tier `x`".
fn undefined<'k>(
    what: &str,
    name: &str,
    known: impl IntoIterator<Item = &'k str, IntoIter: Clone>,
    table: &str,
) -> Diagnostic {
    let known = known.into_iter();
    let label = match quoted_list(known.clone()).as_str() {
        "" => format!("expected the name of a `{table}`, and there is none"),
        all => format!("expected {all}"),
    };
    let wrong = Diagnostic::error(format!("no `{table}` defines the {what} {}", quoted(name))).label(label);
    match closest(name, known) {
        Some(similar) => wrong.help(format!("a similar one is defined: {}", quoted(similar))),
        None => wrong,
    }
}

fn accounts_and_keys(forms: &Forms, tiers: &[Tier], accounts: &[&str], now: Timestamp, report: &Report<'_>) {
    for account in &forms.accounts {
        let Some(tier) = &account.tier else { continue };
        known_tier(tiers, tier, report);
        if class(tiers, &tier.value) == Some(TierClass::None) {
            report.warn(tier.spot, || {
                Diagnostic::warning(format!(
                    "account {} is in the tier of requests without a key",
                    quoted(account.id.value.as_str())
                ))
                .label("its keys are worth no more than none")
            });
        }
    }
    for key in &forms.keys {
        known_account(accounts, key.account.value.as_str(), key.account.spot, report);
        if let Some(expires) = key.expires.filter(|expires| !key.disabled && expires.value <= now) {
            report.warn(expires.spot, || {
                Diagnostic::warning(format!("key {} has expired", quoted(key.id.value.as_str())))
                    .label("requests with it are refused")
                    .help("take the key out, or move the date")
            });
        }
    }
}

fn sorted<'f>(names: impl Iterator<Item = &'f str>) -> Vec<&'f str> {
    let mut names: Vec<_> = names.collect();
    names.sort_unstable();
    names
}

fn known_account(accounts: &[&str], id: &str, spot: Spot, report: &Report<'_>) {
    if accounts.binary_search(&id).is_err() {
        report.error(spot, || undefined("account", id, accounts.iter().copied(), "[[account]]"));
    }
}

fn class(tiers: &[Tier], name: &TierName) -> Option<TierClass> {
    tier_index(tiers, name).map(|tier| tiers[usize::from(tier.0)].class)
}

fn shedding(forms: &Forms, tiers: &[Tier], report: &Report<'_>) {
    let mut before: Vec<(&TierName, TierClass)> = Vec::new();
    for tier in forms.shedding.iter().flat_map(|form| &form.order) {
        known_tier(tiers, tier, report);
        let Some(own) = class(tiers, &tier.value) else { continue };
        if before.iter().any(|(other, _)| *other == &tier.value) {
            report.error(tier.spot, || {
                Diagnostic::error(format!("tier {} stands twice in the order", quoted(tier.value.as_str())))
                    .label("given a second time")
            });
            continue;
        }
        if let Some((dearer, _)) = before.iter().find(|(_, class)| *class > own) {
            report.warn(tier.spot, || {
                let (name, dearer) = (quoted(tier.value.as_str()), quoted(dearer.as_str()));
                Diagnostic::warning(format!("tier {dearer} is shed before {name}, whose class is cheaper"))
                    .label("the first in the order is the first to be refused")
            });
        }
        before.push((&tier.value, own));
    }
}

fn viewbot(form: &ViewbotForm, knows_networks: bool, report: &Report<'_>) {
    let Some(mode) = form.mode else { return };
    if mode.value > ViewbotMode::Shadow && !knows_networks {
        report.warn(mode.spot, || {
            Diagnostic::warning("view-bots are stopped without knowing networks")
                .label("rented machines cannot be told from providers, nor one country's audience from another's")
                .help("write `[networks]` with a table of `prefix,asn,kind`, or leave it at `shadow`")
        });
    }
    let settings = &form.settings;
    let (most, throttle) = (settings.evidence.most(), settings.ladder.throttle_bits);
    if mode.value != ViewbotMode::Off && most < throttle {
        report.warn(form.throttle_bits_spot, || {
            Diagnostic::warning("no evidence can ever throttle anybody")
                .label(format!("all of it together weighs {most} bits, {throttle} are needed"))
        });
    }
}

/// What needs to know the network of an address, and would be silent without a table.
fn needs_networks(forms: &Forms, report: &Report<'_>) {
    if !forms.networks.is_empty() {
        return;
    }
    let help =
        "write `[networks]` with `table = \"networks.mmdb\"`: an MMDB with ASNs, or CSV of `prefix,asn,kind`";
    for list in &forms.lists {
        if let Some(asn) = list.matchers.asns.first() {
            report.error(asn.spot, || {
                Diagnostic::error("`asns` needs a table of networks, and there is no `[networks]`")
                    .label("nothing says which addresses are of this autonomous system")
                    .help(help)
            });
        }
    }
    for rule in &forms.counted {
        let counted = match &rule.limit {
            LimitForm::Distinct { count, .. } if count.value == Scope::Asn => Some(count.spot),
            _ => None,
        };
        let scopes = rule.scopes.value;
        let per = scopes.first == Scope::Asn || scopes.second == Some(Scope::Asn);
        if let Some(spot) = counted.or(per.then_some(rule.scopes.spot)) {
            report.error(spot, || {
                Diagnostic::error("the scope `asn` needs a table of networks, and there is no `[networks]`")
                    .label("nothing says which autonomous system an address is of")
                    .help(help)
            });
        }
    }
}

fn single_tables(forms: &Forms, report: &Report<'_>) {
    let sessions: Vec<Spot> = forms.sessions.iter().map(|mode| mode.spot).collect();
    let networks: Vec<Spot> = forms.networks.iter().map(|networks| networks.spot).collect();
    let shedding: Vec<Spot> = forms.shedding.iter().map(|shedding| shedding.spot).collect();
    let viewbot: Vec<Spot> = forms.viewbot.iter().map(|viewbot| viewbot.spot).collect();
    for (table, spots) in
        [("[sessions]", sessions), ("[networks]", networks), ("[shedding]", shedding), ("[viewbot]", viewbot)]
    {
        if let [first, second, ..] = spots[..] {
            report.error(second, || {
                Diagnostic::error(format!("`{table}` stands twice"))
                    .label("given a second time")
                    .help(format!("the other stands at {}", report.place(first)))
            });
        }
    }
    if forms.incomplete {
        return;
    }
    if forms.formats.is_empty() && !forms.names_format {
        report.push(
            Diagnostic::error("no file says in which format it is written")
                .help("write `format = 1` at the top of one"),
        );
    }
    if forms.targets.is_empty() && !forms.names_targets {
        report.push(
            Diagnostic::warning("no URL may be signed, as there is no `[[target]]`")
                .help("list the hosts and paths that may be: `hosts = [\"webcast.tiktok.com\"]`, `paths = [\"/webcast/*\"]`"),
        );
    }
}
