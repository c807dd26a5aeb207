//! Each kind of table: which fields it has, and how each is read. A field that is asked for here is a field that may be
//! written; all others are refused.

use std::ops::RangeInclusive;
use std::sync::Arc;

use super::docs;
use super::words;
use super::{
    AccountForm, CountedForm, Head, ITEMS_MAX, KeyForm, LimitForm, ListForm, ListKind, Matchers,
    NetworksForm, SheddingForm, TargetForm, TierForm, WindowForm,
};
use crate::base::operation::Operation;
use crate::base::rate::{LENGTH_MAX, Rate};
use crate::base::subject::Scopes;
use crate::base::time::Timestamp;
use crate::policy::counter::{DISTINCT_MAX, window_name};
use crate::policy::diagnostic::{Diagnostic, quoted_list};
use crate::policy::reader::{At, Table, Value};
use crate::policy::set::{Exemptions, Mode, SessionMode, TierClass};

/// A quota may have at most so many windows.
const WINDOWS_MAX: usize = 12;

/// A list of tiers or operations may have at most so many words.
const WORDS_MAX: usize = 64;

pub(super) fn tier(name: At<&str>, table: &mut Table<'_>) -> Option<TierForm> {
    const CLASSES: [(&str, TierClass); 3] =
        [("none", TierClass::None), ("free", TierClass::Free), ("paid", TierClass::Paid)];
    table.follow(&docs::TIER);
    let class = table.required("class", |value| value.word("class", &CLASSES));
    let Some(value) = crate::base::id::TierName::new(name.value) else {
        table.error(name.spot, || words::not_a_name("a tier", name.value));
        return None;
    };
    Some(TierForm { name: At { value, spot: name.spot }, class: class.map(|class| class.value) })
}

pub(super) fn account(table: &mut Table<'_>) -> Option<AccountForm> {
    table.follow(&docs::ACCOUNT);
    let id = table.required("id", words::account_id);
    let tier = table.required("tier", words::tier_name);
    Some(AccountForm { id: id?, tier })
}

pub(super) fn key(table: &mut Table<'_>) -> Option<KeyForm> {
    table.follow(&docs::KEY);
    table.hide_unknown();
    let id = table.required("id", words::key_id);
    let hash = table.required("hash", words::key_hash);
    let account = table.required("account", words::account_id);
    let expires = table.optional("expires", Value::time);
    let disabled = table.optional("disabled", Value::boolean);
    let proxies = table.optional("proxies", |value| value.list(ITEMS_MAX, words::prefix_value));
    let rooms = table.optional("rooms", |value| value.list(ITEMS_MAX, words::room));
    Some(KeyForm {
        id: id?,
        hash: hash?,
        account: account?,
        expires,
        disabled: disabled.is_some_and(|disabled| disabled.value),
        proxies: values(proxies),
        rooms: values(rooms),
    })
}

fn values<T>(list: Option<At<Vec<At<T>>>>) -> Vec<T> {
    list.into_iter().flat_map(|list| list.value).map(|item| item.value).collect()
}

fn head(table: &mut Table<'_>) -> Option<Head> {
    const MODES: [(&str, Mode); 3] =
        [("enforce", Mode::Enforce), ("shadow", Mode::Shadow), ("off", Mode::Off)];
    let name = table.required("name", words::rule_name);
    let mode = table.optional("mode", |value| value.word("mode", &MODES));
    Some(Head { name: name?, mode: mode.map_or(Mode::default(), |mode| mode.value), spot: table.spot() })
}

/// The fields of every rule that counts, and those of its kind.
fn counted(
    table: &mut Table<'_>,
    limit: impl FnOnce(&mut Table<'_>, Option<Scopes>) -> Option<LimitForm>,
) -> Option<CountedForm> {
    let head = head(table);
    let scopes = table.required("scope", words::scopes);
    let tiers = table.optional("tiers", |value| value.list(WORDS_MAX, words::tier_name));
    let operations = table.optional("operations", |value| value.list(WORDS_MAX, operation));
    let limit = limit(table, scopes.map(|scopes| scopes.value));
    table.unsupported("shared", "shared");
    Some(CountedForm { head: head?, scopes: scopes?, tiers, operations, limit: limit? })
}

fn operation(value: Value<'_>) -> Option<Operation> {
    // `limits` is one that may be written, and never counts: the check says so, and nobody is led to it here.
    let counted = Operation::ALL.into_iter().filter(|operation| operation.costs_quota()).map(Operation::word);
    let known = Operation::ALL.map(|operation| (operation.word(), operation));
    value.word_of("operation", &known, counted)
}

pub(super) fn quota(table: &mut Table<'_>) -> Option<CountedForm> {
    table.follow(&docs::QUOTA);
    counted(table, |table, _| limits(table, 0..=u32::MAX).map(LimitForm::Windows))
}

pub(super) fn distinct(table: &mut Table<'_>) -> Option<CountedForm> {
    table.follow(&docs::DISTINCT);
    let count = table.required("count", words::counted_scope);
    counted(table, |table, scopes| {
        // More of them are not remembered; none at all would refuse everybody, which a quota of 0 says plainly.
        let windows = limits(table, 1..=DISTINCT_MAX);
        let count = count?;
        if scopes.is_some_and(|scopes| scopes.first == count.value || scopes.second == Some(count.value)) {
            table.error(count.spot, || {
                Diagnostic::error(format!(
                    "the scope counts per `{0}`, so there is never a second `{0}`",
                    count.value
                ))
                .label("expected something that is not in `scope`")
            });
            return None;
        }
        Some(LimitForm::Distinct { count, windows: windows? })
    })
}

fn limits(table: &mut Table<'_>, range: RangeInclusive<u32>) -> Option<Vec<WindowForm>> {
    let read = |value: Value<'_>| match value.as_text() {
        Some(text) => value.refuse(|| no_table(text)),
        None => value.map("a table such as `{ minute = 5, hour = 30 }`", |table| windows(table, range)),
    };
    table.required("limits", read).map(|windows| windows.value)
}

/// `limits = "3/minute"`: as a rate is written, and as other programs write a limit.
fn no_table(text: &str) -> Diagnostic {
    let wrong = Diagnostic::error("`limits` is a text in quotes")
        .label("expected a table such as `{ minute = 5, hour = 30 }`");
    let said = text.split_once('/').or_else(|| text.split_once(" per "));
    let said = said.and_then(|(max, window)| Some((max.trim().parse::<u32>().ok()?, window.trim())));
    match said.and_then(|(max, window)| Some((max, words::window(window).ok()?))) {
        Some((max, length)) => {
            let name = window_name(length);
            let name = if name.starts_with(|first: char| first.is_ascii_digit()) {
                format!("\"{name}\"")
            } else {
                name
            };
            wrong.help(format!("write `limits = {{ {name} = {max} }}`"))
        }
        None => wrong,
    }
}

fn windows(table: &Table<'_>, range: RangeInclusive<u32>) -> Option<Vec<WindowForm>> {
    let mut complete = true;
    let mut windows: Vec<WindowForm> = Vec::new();
    for (name, value) in table.entries() {
        let length = words::window(name.value).map_err(|wrong| table.error(name.spot, || wrong));
        match (length, value.whole(range.clone())) {
            (Ok(length), Some(max)) => windows.push(WindowForm {
                length: At { value: length, spot: name.spot },
                max: At { value: max, spot: value.spot() },
            }),
            _ => complete = false,
        }
    }
    if windows.is_empty() && complete || windows.len() > WINDOWS_MAX {
        table.error(table.spot(), || {
            Diagnostic::error(format!("`limits` holds {} windows", windows.len()))
                .label(format!("expected 1 to {WINDOWS_MAX}, such as `{{ minute = 5, hour = 30 }}`"))
        });
        return None;
    }
    windows.sort_by_key(|window| (window.length.value, window.length.spot));
    for pair in windows.windows(2) {
        if pair[0].length.value == pair[1].length.value {
            complete = false;
            table.error(pair[1].length.spot, || {
                Diagnostic::error("one window has two limits")
                    .label(format!("`{}` is limited a second time", window_name(pair[1].length.value)))
            });
        }
    }
    complete.then_some(windows)
}

pub(super) fn rate(table: &mut Table<'_>) -> Option<CountedForm> {
    table.follow(&docs::RATE);
    counted(table, |table, _| {
        let rate = table.required("rate", words::limiting_rate);
        // 1 is what "2/s" says: two a second, evenly. A burst lets more through after a pause, and is the operator's to grant.
        let burst = table.optional("burst", |value| value.whole(1..=u32::MAX));
        let (rate, count) = (rate?.value, burst.map_or(1, |burst| burst.value));
        if let Some(burst) = burst.filter(|burst| !earned_in_time(rate, burst.value)) {
            table.error(burst.spot, || {
                Diagnostic::error(format!("a burst of {} is too much for `{rate}`", burst.value))
                    .label("would take more than 366 days to build up")
            });
        }
        Some(LimitForm::Rate { rate, burst: count })
    })
}

/// Whether a whole burst is earned within the longest time that rules know; beyond it the cell's arithmetic would end.
fn earned_in_time(rate: Rate, burst: u32) -> bool {
    rate.interval().as_nanos() * u128::from(burst) <= LENGTH_MAX.as_nanos()
}

pub(super) fn concurrency(table: &mut Table<'_>) -> Option<CountedForm> {
    table.follow(&docs::CONCURRENCY);
    counted(table, |table, _| {
        let max = table.required("max", |value| value.whole(1..=u32::MAX));
        max.map(|max| LimitForm::Concurrency { max: max.value })
    })
}

pub(super) fn blocklist(table: &mut Table<'_>) -> Option<ListForm> {
    table.follow(&docs::BLOCKLIST);
    list(table, |table| {
        let reason = table.optional("reason", words::reason);
        Some(ListKind::Block(reason.map(|reason| Arc::from(reason.value))))
    })
}

pub(super) fn allowlist(table: &mut Table<'_>) -> Option<ListForm> {
    table.follow(&docs::ALLOWLIST);
    list(table, |table| table.required("exempt", exemptions).map(|exempt| ListKind::Allow(exempt.value)))
}

fn exemptions(value: Value<'_>) -> Option<Exemptions> {
    const NONE: Exemptions = Exemptions { blocklist: false, quota: false, viewbot: false };
    const WORDS: [(&str, Exemptions); 3] = [
        ("blocklist", Exemptions { blocklist: true, ..NONE }),
        ("quota", Exemptions { quota: true, ..NONE }),
        ("viewbot", Exemptions { viewbot: true, ..NONE }),
    ];
    let words = value.list(WORDS_MAX, |value| value.word("exemption", &WORDS))?;
    if words.is_empty() {
        return value.refuse(|| {
            Diagnostic::error("`exempt` is empty").label("expected some of `blocklist`, `quota`, `viewbot`")
        });
    }
    Some(words.into_iter().fold(NONE, |all, word| all.or(word.value)))
}

/// What a list can match.
const MATCHERS: [&str; 8] =
    ["prefixes", "asns", "rooms", "accounts", "keys", "user-agents", "libraries", "file"];

fn list(table: &mut Table<'_>, kind: impl FnOnce(&mut Table<'_>) -> Option<ListKind>) -> Option<ListForm> {
    let head = head(table);
    let kind = kind(table);
    let expires: Option<At<Timestamp>> = table.optional("expires", Value::time);
    let written = MATCHERS.iter().any(|field| table.has(field));
    let matchers = matchers(table);
    // An unknown field is told by itself, and is what was meant to be listed.
    if !written && !table.has_unknown() {
        table.error(table.spot(), || {
            Diagnostic::error(format!("{} lists nothing", table.what()))
                .label(format!("expected some of {}", quoted_list(MATCHERS)))
        });
    }
    Some(ListForm { head: head?, kind: kind?, expires, matchers })
}

fn matchers(table: &mut Table<'_>) -> Matchers {
    fn all<T>(table: &mut Table<'_>, field: &'static str, read: fn(Value<'_>) -> Option<T>) -> Vec<At<T>> {
        table.optional(field, |value| value.list(ITEMS_MAX, read)).map(|list| list.value).unwrap_or_default()
    }
    Matchers {
        prefixes: all(table, "prefixes", words::prefix_value),
        asns: all(table, "asns", words::asn),
        rooms: all(table, "rooms", words::room),
        accounts: all(table, "accounts", words::account_id),
        keys: all(table, "keys", words::key_id),
        user_agents: all(table, "user-agents", words::user_agent),
        libraries: all(table, "libraries", words::library),
        file: table.optional("file", words::feed_name),
    }
}

pub(super) fn target(table: &mut Table<'_>) -> Option<TargetForm> {
    table.follow(&docs::TARGET);
    let hosts = table.required("hosts", |value| filled(value, words::host));
    let paths = table.required("paths", |value| filled(value, words::path));
    Some(TargetForm { hosts: values(Some(hosts?)), paths: values(Some(paths?)) })
}

fn filled<T>(value: Value<'_>, read: fn(Value<'_>) -> Option<T>) -> Option<Vec<At<T>>> {
    let items = value.list(ITEMS_MAX, read)?;
    if items.is_empty() {
        return value.refuse(|| Diagnostic::error("the list is empty").label("expected at least one"));
    }
    Some(items)
}

pub(super) fn networks(table: &mut Table<'_>) -> NetworksForm {
    NetworksForm { table: table.required("table", words::networks_name), spot: table.spot() }
}

pub(super) fn shedding(table: &mut Table<'_>) -> SheddingForm {
    let order = table.required("order", |value| value.list(WORDS_MAX, words::tier_name));
    SheddingForm { order: order.map(|order| order.value).unwrap_or_default(), spot: table.spot() }
}

pub(super) fn sessions(table: &mut Table<'_>) -> Option<SessionMode> {
    const MODES: [(&str, SessionMode); 3] =
        [("pass", SessionMode::Pass), ("strip", SessionMode::Strip), ("refuse", SessionMode::Refuse)];
    table.required("mode", |value| value.word("mode", &MODES)).map(|mode| mode.value)
}
