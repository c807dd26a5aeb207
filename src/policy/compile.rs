//! From files to a [`PolicySet`]: reads, checks, and lays out. All or nothing, with every diagnostic at once.
//!
//! Tiers, accounts, rules and counters are sorted by name before they get their places, so that neither the order of files
//! nor that of tables can show in a verdict. Nothing is added that the operator did not write.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use super::check::{check, tier_index};
use super::counter::{
    COUNTERS_PER_REQUEST_MAX, Counter, Family, Limit, Operations, Tiers, WINDOWS_PER_COUNTER_MAX,
    WindowLimit, distinct_label, limit_label, window_name,
};
use super::diagnostic::{Diagnostic, not_utf8, quoted};
use super::feed;
use super::file::{self, CountedForm, Forms, Head, KeyForm, LimitForm, ListForm, ListKind, WindowForm};
use super::lists::Lists;
use super::networks::{self, Networks};
use super::reader::{At, Report};
use super::set::{
    Account, AccountIndex, Key, KeyBounds, Parts, PolicySet, Rule, RuleIndex, RuleKind, Tier, TierClass,
    TierIndex,
};
use super::sources::{FILES_MAX, Sources, TOML_BYTES_MAX, is_toml};
use super::target::Target;
use super::viewbot::ViewbotSettings;
use crate::base::operation::Operation;
use crate::base::subject::{Scope, Subject};
use crate::base::time::Timestamp;

/// A policy that can be used.
#[derive(Debug)]
pub struct Compiled {
    /// What decides.
    pub set: PolicySet,
    /// What is probably not meant.
    pub warnings: Vec<Diagnostic>,
}

/// Compiles a policy. `now` is for telling what has expired; no verdict hangs on it.
///
/// # Errors
///
/// Everything that is wrong, warnings included, by file and line; at most
/// [`Diagnostics::KEPT_MAX`](super::diagnostic::Diagnostics::KEPT_MAX) of each severity.
pub fn compile(sources: &Sources, now: Timestamp) -> Result<Compiled, Vec<Diagnostic>> {
    let report = Report::new(sources.texts().collect());
    let unread = files(sources, &report);
    let mut forms = file::read(&report);
    forms.incomplete |= unread;
    // What a file that could not be read would have defined is not missing.
    if forms.incomplete {
        return Err(report.into_sorted());
    }
    let tiers = check(&forms, now, &report);
    let feeds = feeds(sources, &forms, &report);
    let networks = networks(sources, &forms, &report);
    if report.has_errors() {
        return Err(report.into_sorted());
    }
    let set = PolicySet::new(lay_out(sources, &forms, tiers, &feeds, networks, &report));
    too_many_counters(&set, &forms, &report);
    if report.has_errors() {
        return Err(report.into_sorted());
    }
    Ok(Compiled { set, warnings: report.into_sorted() })
}

/// What is wrong with files as such. Whether one could not be read.
fn files(sources: &Sources, report: &Report<'_>) -> bool {
    if sources.len() > FILES_MAX {
        report.push(Diagnostic::error(format!(
            "{} files are too many: at most {FILES_MAX} are possible",
            sources.len()
        )));
    }
    let mut policy_files = 0;
    for (name, bytes) in sources.iter().filter(|(name, _)| is_toml(name)) {
        policy_files += 1;
        let file = sources.display_name(name);
        if bytes.len() > TOML_BYTES_MAX {
            // Whoever read it stopped soon after the limit, so that its true size is not known.
            let message = format!("the file has more than {TOML_BYTES_MAX} bytes");
            report
                .push(Diagnostic::error(message).in_file(&file).help("spread its tables over several files"));
        } else if let Err(error) = std::str::from_utf8(bytes) {
            report.push(not_utf8(bytes, error).in_file(&file));
        }
    }
    if policy_files == 0 {
        report.push(
            Diagnostic::error("there is no policy file").help("write one whose name ends with `.toml`"),
        );
    }
    policy_files != report.texts().len() || policy_files == 0 || sources.len() > FILES_MAX
}

type Feeds<'f> = BTreeMap<&'f str, Vec<IpNet>>;

/// Reads each feed that is named once, however many rules use it.
fn feeds<'f>(sources: &Sources, forms: &'f Forms, report: &Report<'_>) -> Feeds<'f> {
    let mut feeds = Feeds::new();
    for name in forms.lists.iter().filter_map(|list| list.matchers.file.as_ref()) {
        let file = sources.display_name(&name.value);
        match sources.bytes(&name.value) {
            None => report.error(name.spot, || {
                Diagnostic::error(format!("there is no feed {}", quoted(&file)))
                    .label("expected a file below the policy directory")
            }),
            Some(_) if feeds.contains_key(name.value.as_str()) => {}
            Some(bytes) => match feed::unpacked(&name.value, bytes) {
                Ok(bytes) => {
                    feeds.insert(&name.value, feed::read(&file, &bytes, report));
                }
                Err(wrong) => report.push(wrong.in_file(&file)),
            },
        }
    }
    feeds
}

/// Reads the table of networks, where one is named.
fn networks(sources: &Sources, forms: &Forms, report: &Report<'_>) -> Networks {
    let Some(name) = forms.networks.iter().find_map(|form| form.table.as_ref()) else {
        return Networks::default();
    };
    let file = sources.display_name(&name.value);
    let (Some(bytes), Some(format)) = (sources.bytes(&name.value), networks::Format::of_name(&name.value))
    else {
        report.error(name.spot, || {
            Diagnostic::error(format!("there is no table {}", quoted(&file)))
                .label("expected a file below the policy directory")
        });
        return Networks::default();
    };
    let networks = match feed::unpacked(&name.value, bytes) {
        Ok(bytes) => networks::read(&file, format, &bytes, report),
        Err(wrong) => {
            report.push(wrong.in_file(&file));
            return Networks::default();
        }
    };
    for list in &forms.lists {
        for asn in list.matchers.asns.iter().filter(|asn| !networks.has_asn(asn.value)) {
            report.warn(asn.spot, || {
                Diagnostic::warning(format!("no network of the table is of autonomous system {}", asn.value))
                    .label("matches no request")
            });
        }
    }
    networks
}

/// A rule of either sort, to be sorted by name.
enum AnyRule<'f> {
    Counted(&'f CountedForm),
    List(&'f ListForm),
}

impl AnyRule<'_> {
    fn head(&self) -> &Head {
        match self {
            Self::Counted(rule) => &rule.head,
            Self::List(list) => &list.head,
        }
    }
}

/// Puts the set together from forms that have passed every check.
fn lay_out(
    sources: &Sources,
    forms: &Forms,
    tiers: Vec<Tier>,
    feeds: &Feeds<'_>,
    networks: Networks,
    report: &Report<'_>,
) -> Parts {
    let anonymous = tiers.iter().position(|tier| tier.class == TierClass::None).unwrap_or_default();
    let accounts = accounts(forms, &tiers);
    let mut parts = Parts {
        digest: sources.digest(),
        anonymous: TierIndex(anonymous as u16),
        keys: forms.keys.iter().filter_map(|key| self::key(key, &accounts)).collect(),
        targets: targets(forms),
        sessions: forms.sessions.first().map(|mode| mode.value).unwrap_or_default(),
        accounts,
        networks,
        shedding: shedding(forms, &tiers),
        viewbot: viewbot(forms),
        tiers,
        ..Parts::default()
    };
    let counted = forms.counted.iter().map(AnyRule::Counted);
    let mut rules: Vec<_> = counted.chain(forms.lists.iter().map(AnyRule::List)).collect();
    rules.sort_by(|one, other| one.head().name.value.cmp(&other.head().name.value));
    for (index, rule) in (0u16..).map(RuleIndex).zip(&rules) {
        let head = rule.head();
        let kind = match rule {
            AnyRule::Counted(form) => counters(&mut parts, index, form),
            AnyRule::List(form) => list(&mut parts, index, form, feeds),
        };
        let text = report.text(head.spot);
        parts.rules.push(Rule {
            name: head.name.value.clone(),
            mode: head.mode,
            kind,
            file: Arc::clone(text.name()),
            line: text.line(head.spot.start as usize),
        });
    }
    parts
}

fn shedding(forms: &Forms, tiers: &[Tier]) -> Vec<TierIndex> {
    let listed = forms.shedding.iter().flat_map(|form| &form.order);
    listed.filter_map(|tier| tier_index(tiers, &tier.value)).collect()
}

fn viewbot(forms: &Forms) -> ViewbotSettings {
    forms.viewbot.first().map(|form| form.settings.clone()).unwrap_or_default()
}

/// By id.
fn accounts(forms: &Forms, tiers: &[Tier]) -> Vec<Account> {
    let resolved = forms.accounts.iter().filter_map(|form| {
        let tier = tier_index(tiers, &form.tier.as_ref()?.value)?;
        let id = form.id.value.clone();
        Some(Account { subject: Subject::text(Scope::Account, id.as_str()), id, tier })
    });
    let mut accounts: Vec<_> = resolved.collect();
    accounts.sort_by(|one, other| one.id.cmp(&other.id));
    accounts
}

fn account_index(accounts: &[Account], id: &str) -> Option<AccountIndex> {
    accounts
        .binary_search_by(|account| account.id.as_str().cmp(id))
        .ok()
        .map(|place| AccountIndex(place as u32))
}

fn key(form: &KeyForm, accounts: &[Account]) -> Option<(crate::base::secret::KeyHash, Key)> {
    let bounds = KeyBounds {
        expires: form.expires.map(|expires| expires.value),
        proxies: form.proxies.clone(),
        rooms: form.rooms.clone(),
    };
    let account = account_index(accounts, form.account.value.as_str())?;
    let subject = Subject::text(Scope::Key, form.id.value.as_str());
    let mut key = Key::new(form.id.value.clone(), account, subject, bounds);
    key.disabled = form.disabled;
    Some((form.hash.value, key))
}

/// In one order, whatever that of the files was.
fn targets(forms: &Forms) -> Vec<Target> {
    let targets =
        forms.targets.iter().map(|form| Target { hosts: form.hosts.clone(), paths: form.paths.clone() });
    let mut targets: Vec<_> = targets.collect();
    targets.sort_by_cached_key(|target| format!("{target:?}"));
    targets
}

/// The counters of a rule: one for every three windows of a quota, the shortest first; one of the others.
fn counters(parts: &mut Parts, rule: RuleIndex, form: &CountedForm) -> RuleKind {
    let (name, scopes) = (&form.head.name.value, form.scopes.value);
    let tiers = form.tiers.as_ref().map_or(Tiers::All, |listed| {
        let mut places: Vec<_> =
            listed.value.iter().filter_map(|tier| tier_index(&parts.tiers, &tier.value)).collect();
        places.sort_unstable();
        places.dedup();
        Tiers::Some(places)
    });
    // Asking for limits is free, whatever the rule says.
    let operations: Operations = match &form.operations {
        None => Operations::all(),
        Some(listed) => {
            listed.value.iter().map(|at| at.value).filter(|operation| operation.costs_quota()).collect()
        }
    };
    let label = |window: &str| -> Arc<str> { Arc::from(limit_label(scopes, window)) };
    let from = parts.counters.len() as u16;
    let mut add = |table: &str, lengths: &[Duration], limit: Limit| {
        let family = Family::of(name, table, scopes, lengths);
        let tiers = tiers.clone();
        parts.counters.push(Counter { rule, mode: form.head.mode, scopes, limit, tiers, operations, family });
    };
    match &form.limit {
        LimitForm::Windows(windows) => {
            for some in windows.chunks(WINDOWS_PER_COUNTER_MAX) {
                add("quota", &lengths(some), Limit::Windows(window_limits(some, label)));
            }
        }
        LimitForm::Distinct { count: At { value: count, .. }, windows } => {
            // What is counted is part of the table's name here: other ones were seen than those that are counted now.
            let table = format!("distinct:{count}");
            let label = |window: &str| Arc::from(distinct_label(scopes, *count, window));
            for some in windows.chunks(WINDOWS_PER_COUNTER_MAX) {
                let windows = window_limits(some, label);
                add(&table, &lengths(some), Limit::Distinct { count: *count, windows });
            }
        }
        LimitForm::Rate { rate, burst } => {
            add("rate", &[], Limit::Rate { rate: *rate, burst: *burst, label: label("rate") });
        }
        LimitForm::Concurrency { max } => {
            add("concurrency", &[], Limit::Concurrency { max: *max, label: label("concurrency") });
        }
    }
    let counters: Range<u16> = from..parts.counters.len() as u16;
    match form.limit {
        LimitForm::Windows(_) => RuleKind::Quota { counters },
        LimitForm::Distinct { .. } => RuleKind::Distinct { counters },
        LimitForm::Rate { .. } => RuleKind::Rate { counters },
        LimitForm::Concurrency { .. } => RuleKind::Concurrency { counters },
    }
}

fn lengths(windows: &[WindowForm]) -> Vec<Duration> {
    windows.iter().map(|window| window.length.value).collect()
}

fn window_limits(windows: &[WindowForm], label: impl Fn(&str) -> Arc<str>) -> Vec<WindowLimit> {
    let limit = |form: &WindowForm| {
        let name = window_name(form.length.value);
        let label = label(&name);
        WindowLimit::new(form.length.value, form.max.value, name.into(), label)
    };
    windows.iter().map(limit).collect()
}

fn list(parts: &mut Parts, rule: RuleIndex, form: &ListForm, feeds: &Feeds<'_>) -> RuleKind {
    let expires = form.expires.map(|expires| expires.value);
    let (lists, kind): (&mut Lists, _) = match &form.kind {
        ListKind::Block(reason) => {
            (&mut parts.blocklists, RuleKind::Blocklist { reason: reason.clone(), expires })
        }
        ListKind::Allow(exempt) => (&mut parts.allowlists, RuleKind::Allowlist { exempt: *exempt, expires }),
    };
    let matchers = &form.matchers;
    let feed = matchers.file.as_ref().and_then(|file| feeds.get(file.value.as_str()));
    for prefix in matchers.prefixes.iter().map(|at| at.value).chain(feed.into_iter().flatten().copied()) {
        lists.add_prefix(prefix, rule);
    }
    for asn in &matchers.asns {
        lists.add_asn(asn.value, rule);
    }
    for room in &matchers.rooms {
        lists.add_room(room.value, rule);
    }
    for account in &matchers.accounts {
        if let Some(account) = account_index(&parts.accounts, account.value.as_str()) {
            lists.add_account(account, rule);
        }
    }
    for key in &matchers.keys {
        lists.add_key(key.value.clone(), rule);
    }
    for pattern in &matchers.user_agents {
        lists.add_user_agent(pattern.value.clone(), rule);
    }
    for range in &matchers.libraries {
        lists.add_library(range.value, rule);
    }
    kind
}

/// A request books its counters in one step of bounded size, so a policy may not need more of them.
fn too_many_counters(set: &PolicySet, forms: &Forms, report: &Report<'_>) {
    for (place, tier) in (0u16..).zip(set.tiers()) {
        // Of several, the first: `max_by_key` keeps the last.
        let busiest = Operation::ALL
            .into_iter()
            .rev()
            .max_by_key(|operation| set.applicable(TierIndex(place), *operation).len());
        let Some(operation) = busiest else { continue };
        let counters = set.applicable(TierIndex(place), operation);
        if counters.len() <= COUNTERS_PER_REQUEST_MAX {
            continue;
        }
        let mut rules: Vec<_> =
            counters.iter().map(|counter| set.rule(set.counter(*counter).rule).name.as_str()).collect();
        rules.dedup();
        let message = format!(
            "{} counters apply to `{operation}` in tier {}",
            counters.len(),
            quoted(tier.name.as_str())
        );
        let wrong = Diagnostic::error(message)
            .label(format!(
                "expected at most {COUNTERS_PER_REQUEST_MAX}; a quota has one for every three windows"
            ))
            .help(format!("they belong to the rules {}", super::diagnostic::quoted_list(rules)));
        match forms.tiers.iter().find(|form| form.name.value == tier.name) {
            Some(form) => report.error(form.name.spot, || wrong),
            None => report.push(wrong),
        }
    }
}

#[cfg(test)]
mod tests;
