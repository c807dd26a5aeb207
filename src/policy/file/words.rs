//! The words that stand in tables: names, scopes, lengths, prefixes, rooms, libraries, hosts. Each reads one text, and says
//! what it expected where it cannot.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use crate::base::id::{AccountId, KeyId, NAME_BYTES_MAX, RuleName, TierName};
use crate::base::library::{LibraryName, Version};
use crate::base::rate::{LengthError, Rate, parse_length};
use crate::base::room::Room;
use crate::base::secret::{KEY_PREFIX, KeyHash};
use crate::base::subject::{Scope, Scopes};
use crate::policy::diagnostic::{Diagnostic, closest, quoted, quoted_list};
use crate::policy::lists::{LibraryRange, Pattern, canonical_prefix};
use crate::policy::networks::Format;
use crate::policy::reader::{Value, unknown_word};
use crate::policy::target::PathPattern;

/// A reason may have at most so many characters: clients show it in a banner.
const REASON_CHARS_MAX: usize = 200;

pub(super) fn not_a_name(what: &str, text: &str) -> Diagnostic {
    Diagnostic::error(format!("{} cannot name {what}", quoted(text)))
        .label(format!("expected 1 to {NAME_BYTES_MAX} letters, digits, `-`, `_`, `.`, `@`"))
}

fn name<T>(value: Value<'_>, what: &str, new: fn(&str) -> Option<T>) -> Option<T> {
    value.parsed(|text| new(text).ok_or_else(|| not_a_name(what, text)))
}

/// Names that no rule may have: metrics and records put these words where a rule's name stands, for what no rule decided.
/// The last three are kept for rows of the order of checks that have no rule either.
pub const RULE_NAMES_RESERVED: [&str; 13] = [
    "none",
    "key-unknown",
    "key-attempts",
    "key-expired",
    "key-disabled",
    "key-proxy",
    "key-room",
    "target-not-listed",
    "session-refused",
    "ban",
    "operator-ban",
    "viewbot",
    "shed",
];

pub(super) fn rule_name(value: Value<'_>) -> Option<RuleName> {
    let name = name(value, "a rule", RuleName::new)?;
    if RULE_NAMES_RESERVED.contains(&name.as_str()) {
        return value.refuse(|| {
            Diagnostic::error(format!("no rule can be named {}", quoted(name.as_str())))
                .label("stands in metrics and records for what no rule decides")
                .help(format!("another name will do, such as {}", quoted(&format!("{name}-rule"))))
        });
    }
    Some(name)
}

pub(super) fn tier_name(value: Value<'_>) -> Option<TierName> {
    name(value, "a tier", TierName::new)
}

pub(super) fn account_id(value: Value<'_>) -> Option<AccountId> {
    name(value, "an account", AccountId::new)
}

/// A key's public id. The key's own text in its place would be published with every refusal.
pub(super) fn key_id(value: Value<'_>) -> Option<KeyId> {
    value.parsed(|text| {
        if text.starts_with(KEY_PREFIX) {
            return Err(Diagnostic::error("a key stands where its public id belongs")
                .label(format!("expected an id such as `k_7f3a`, not a text that begins with `{KEY_PREFIX}`"))
                .help("ids appear in logs: take this key for leaked, and make a new one with `signgate keys new`"));
        }
        KeyId::new(text).ok_or_else(|| not_a_name("a key", text))
    })
}

/// A key's hash. What stands there is never shown: it may be the key itself.
pub(super) fn key_hash(value: Value<'_>) -> Option<KeyHash> {
    let text = value.secret_text()?;
    KeyHash::parse(text).or_else(|| {
        value.refuse_unquoted(|| {
            Diagnostic::error("`hash` is not the hash of a key")
                .label("expected `blake3:` and 64 hexadecimal digits")
                .help("`signgate keys new` writes it")
        })
    })
}

/// Of what a distinct quota counts different ones.
pub(super) fn counted_scope(value: Value<'_>) -> Option<Scope> {
    value.parsed(|text| {
        let words = Scope::ALL.into_iter().filter(|scope| *scope != Scope::Total).map(Scope::word);
        match Scope::from_word(text) {
            Some(Scope::Total) => Err(Diagnostic::error("there are no different ones of `total`")
                .label(format!("expected {}", quoted_list(words)))),
            Some(scope) => Ok(scope),
            None if text.contains('+') => {
                Err(Diagnostic::error("different ones of a pair cannot be counted")
                    .label(format!("expected one of {}", quoted_list(words)))
                    .help("`scope` can be a pair: what is counted is counted for each of them"))
            }
            None => Err(unknown_scope(text, words)),
        }
    })
}

/// With what other programs call it, where that is what was written.
fn unknown_scope(text: &str, words: impl Iterator<Item = &'static str> + Clone) -> Diagnostic {
    const ELSEWHERE: [(&str, Scope); 12] = [
        ("ip", Scope::Proxy),
        ("address", Scope::Proxy),
        ("client", Scope::Proxy),
        ("host", Scope::Proxy),
        ("user", Scope::Account),
        ("customer", Scope::Account),
        ("api-key", Scope::Key),
        ("network", Scope::Subnet),
        ("streamer", Scope::Room),
        ("room_id", Scope::Room),
        ("global", Scope::Total),
        ("all", Scope::Total),
    ];
    let wrong = unknown_word("scope", text, words);
    let known = |part: &str| Scope::from_word(part.trim()).is_some();
    let mut parts = text.split([',', '/', '&', ' ']).filter(|part| !part.is_empty());
    match (parts.next(), parts.next(), parts.next()) {
        (Some(one), Some(other), None) if known(one) && known(other) => {
            wrong.help(format!("a pair is written with a `+`: `{}+{}`", one.trim(), other.trim()))
        }
        _ => match ELSEWHERE.iter().find(|(word, _)| text.eq_ignore_ascii_case(word)) {
            Some((_, scope)) => wrong.help(format!("here it is called `{scope}`")),
            None => wrong,
        },
    }
}

pub(super) fn scopes(value: Value<'_>) -> Option<Scopes> {
    value.parsed(|text| {
        let parts: Vec<_> = text.split('+').map(str::trim).collect();
        let words = Scope::ALL.into_iter().map(Scope::word);
        if let Some(unknown) = parts.iter().find(|part| Scope::from_word(part).is_none()) {
            let wrong = unknown_scope(unknown, words.clone());
            return Err(
                wrong.label(format!("expected {}, or a pair such as `proxy+room`", quoted_list(words)))
            );
        }
        if parts.len() > 1 && parts.contains(&Scope::Total.word()) {
            return Err(Diagnostic::error("`total` cannot be one of a pair")
                .label("expected the other scope alone, which counts the same"));
        }
        Scopes::parse(text).ok_or_else(|| {
            Diagnostic::error(format!("{} is not a pair of scopes", quoted(text)))
                .label("expected two different ones, such as `proxy+room`")
        })
    })
}

/// A window's length, from the field's name in `limits`.
pub(super) fn window(text: &str) -> Result<Duration, Diagnostic> {
    parse_length(text).map_err(|error| {
        let wrong = Diagnostic::error(format!("{} is not a window", quoted(text))).label(error.to_string());
        let similar =
            closest(text, ["second", "minute", "hour", "day", "week"]).filter(|_| error == LengthError::Unit);
        match similar {
            _ if text.starts_with("month") => {
                wrong.help("months differ in length: write the days, `\"30d\"`")
            }
            _ if text.starts_with("year") => wrong.help("years differ in length: write the days, `\"365d\"`"),
            Some(similar) => wrong.help(format!("a word with a similar name exists: `{similar}`")),
            None => wrong,
        }
    })
}

pub(super) fn length(value: Value<'_>) -> Option<Duration> {
    value.parsed_such_as("6h", |text| {
        parse_length(text).map_err(|error| {
            Diagnostic::error(format!("{} is not a length of time", quoted(text))).label(error.to_string())
        })
    })
}

pub(super) fn rate(value: Value<'_>) -> Option<Rate> {
    rate_or_help(value, None)
}

/// A rate that limits something. Nobody who writes 0 there wants a smooth flow.
pub(super) fn limiting_rate(value: Value<'_>) -> Option<Rate> {
    rate_or_help(value, Some("to admit nothing, write a quota whose limit is 0"))
}

fn rate_or_help(value: Value<'_>, zero_help: Option<&str>) -> Option<Rate> {
    value.parsed_such_as("10/s", |text| {
        let error = match Rate::parse(text) {
            Ok(rate) => return Ok(rate),
            Err(error) => error,
        };
        // A count of zero is told by the same error as a length that is out of range.
        let zero = text.split_once('/').is_some_and(|(count, _)| count.trim().parse() == Ok(0u32));
        let label = if zero { LengthError::Count.to_string() } else { error.to_string() };
        let wrong = Diagnostic::error(format!("{} is not a rate", quoted(text))).label(label);
        Err(match zero_help {
            Some(help) if zero => wrong.help(help),
            _ => wrong,
        })
    })
}

/// Why a text is no prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PrefixError {
    /// Neither an address nor a prefix.
    NotAPrefix,
    /// Bits are set behind the prefix's length: this would be the prefix, and it is a guess.
    HostBits(IpNet),
}

/// Reads `203.0.113.0/24`, `2001:db8::/32`, or an address alone; IPv4-mapped IPv6 becomes IPv4.
pub fn prefix(text: &str) -> Result<IpNet, PrefixError> {
    let parsed =
        if text.contains('/') { text.parse().ok() } else { text.parse::<IpAddr>().ok().map(IpNet::from) };
    let prefix: IpNet = parsed.ok_or(PrefixError::NotAPrefix)?;
    if prefix.trunc() == prefix {
        Ok(canonical_prefix(prefix))
    } else {
        Err(PrefixError::HostBits(prefix.trunc()))
    }
}

impl PrefixError {
    /// In words, about that text.
    pub fn diagnostic(&self, text: &str) -> Diagnostic {
        match self {
            Self::NotAPrefix => {
                let wrong = Diagnostic::error(format!("{} is not a prefix", quoted(text)));
                match too_long(text) {
                    Some(most) => wrong.label(format!("expected a length of at most {most}")),
                    None => wrong.label(
                        "expected an address such as `203.0.113.7` or a prefix such as `203.0.113.0/24`",
                    ),
                }
            }
            Self::HostBits(meant) => {
                Diagnostic::error(format!("{} has bits set behind its length", quoted(text)))
                    .label("expected the first address of the prefix")
                    .help(format!("write `{meant}` for all of it, or the address alone"))
            }
        }
    }
}

/// The longest length that the address may have, where the length is what is wrong.
fn too_long(text: &str) -> Option<u8> {
    let (address, length) = text.split_once('/')?;
    let most = if address.parse::<IpAddr>().ok()?.is_ipv4() { 32 } else { 128 };
    length.parse::<u32>().ok().filter(|length| *length > u32::from(most)).map(|_| most)
}

pub(super) fn prefix_value(value: Value<'_>) -> Option<IpNet> {
    value.parsed(|text| prefix(text).map_err(|error| error.diagnostic(text)))
}

pub(super) fn room(value: Value<'_>) -> Option<Room> {
    value.parsed(|text| {
        Room::parse(text).map_err(|error| {
            let wrong = Diagnostic::error(format!("{} is not a room", quoted(text))).label(error.to_string());
            match Room::parse_anchor(text) {
                Ok(anchor) => {
                    wrong.help(format!("a streamer's unique id is written with its `@`: `{anchor}`"))
                }
                Err(_) => wrong,
            }
        })
    })
}

pub(super) fn user_agent(value: Value<'_>) -> Option<Pattern> {
    value.parsed(|text| {
        Pattern::new(text).ok_or_else(|| {
            Diagnostic::error("the pattern is empty or too long")
                .label(format!("expected 1 to {} bytes, `*` for any text", Pattern::BYTES_MAX))
        })
    })
}

/// `ttlive-python`, or with versions: `ttlive-python >=6.0 <7`.
pub(super) fn library(value: Value<'_>) -> Option<LibraryRange> {
    value.parsed(|text| {
        let mut words = text.split_whitespace();
        let word = words.next().unwrap_or_default();
        let name = LibraryName::from_word(word).ok_or_else(|| {
            unknown_word("library", word, LibraryName::ALL.into_iter().map(LibraryName::word))
        })?;
        let mut range = LibraryRange { name, from: None, before: None };
        for bound in words {
            let (place, version) = match (bound.strip_prefix(">="), bound.strip_prefix('<')) {
                (Some(version), _) => (&mut range.from, version),
                (None, Some(version)) => (&mut range.before, version),
                (None, None) => (&mut range.from, ""),
            };
            match whole_version(version) {
                Some(version) if place.is_none() => *place = Some(version),
                _ => {
                    return Err(Diagnostic::error(format!("{} is not a bound of versions", quoted(bound)))
                        .label(
                            "expected `>=` or `<` and a version, each once, such as `ttlive-python >=6.0 <7`",
                        ));
                }
            }
        }
        if range.from.zip(range.before).is_some_and(|(from, before)| from >= before) {
            return Err(Diagnostic::error(format!("{} holds no version", quoted(text)))
                .label("expected the lower bound to be below the upper one"));
        }
        Ok(range)
    })
}

/// A version with nothing after it: [`Version::parse`] alone would take `6.x` for 6.
fn whole_version(text: &str) -> Option<Version> {
    let parts = text.split('.');
    let plain =
        (1..=3).contains(&parts.clone().count()) && parts.clone().all(|part| part.parse::<u16>().is_ok());
    plain.then(|| Version::parse(text)).flatten()
}

/// Shown to callers, so nothing in it that a terminal obeys.
pub(super) fn reason(value: Value<'_>) -> Option<String> {
    value.parsed(|text| {
        let fits =
            (1..=REASON_CHARS_MAX).contains(&text.chars().count()) && !text.chars().any(char::is_control);
        if fits {
            return Ok(text.to_owned());
        }
        Err(Diagnostic::error("the reason is empty, too long, or not a single line")
            .label(format!("expected 1 to {REASON_CHARS_MAX} characters on one line")))
    })
}

pub(super) fn feed_name(value: Value<'_>) -> Option<String> {
    below_directory(value, "a feed", "feeds/datacentre.netset")
}

/// A file's name below the policy directory, in `/`-separated parts that are no way out of it.
fn below_directory(value: Value<'_>, what: &str, example: &str) -> Option<String> {
    value.parsed(|text| {
        let inside = !text.is_empty()
            && text.len() <= 255
            && !text.contains(['\\', '\0'])
            && text.split('/').all(|part| !matches!(part, "" | "." | ".."));
        if inside && !crate::policy::sources::is_toml(text) {
            return Ok(text.to_owned());
        }
        Err(Diagnostic::error(format!("{} is not the name of {what}", quoted(text))).label(format!(
            "expected a file below the policy directory that is no `.toml`, such as `{example}`"
        )))
    })
}

/// The number of an autonomous system (RFC 6793); 0 is reserved (RFC 7607).
pub(super) fn asn(value: Value<'_>) -> Option<u32> {
    let digits = value.as_text().map(|text| text.strip_prefix("AS").unwrap_or(text));
    if let Some(digits) = digits.filter(|digits| digits.parse::<u32>().is_ok()) {
        return value.refuse(|| {
            Diagnostic::error("the number of an autonomous system is a text in quotes")
                .label("expected a whole number")
                .help(format!("write the number alone: `{digits}`"))
        });
    }
    value.whole(1..=u32::MAX)
}

/// A table's name: as a feed's, with an ending that says how it is written.
pub(super) fn networks_name(value: Value<'_>) -> Option<String> {
    let name = below_directory(value, "a table", "networks.mmdb")?;
    if Format::of_name(&name).is_some() {
        return Some(name);
    }
    value.refuse(|| {
        Diagnostic::error(format!("{} does not say how it is written", quoted(&name)))
            .label("expected a name that ends with `.mmdb` or `.csv`, or with `.gz` behind it")
    })
}

/// A host name in lower case (RFC 1123 section 2.1), alone.
pub(super) fn host(value: Value<'_>) -> Option<Box<str>> {
    value.parsed(|text| {
        let host = text.to_ascii_lowercase();
        let good_label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        if host.len() <= 253 && host.split('.').all(good_label) {
            return Ok(host.into());
        }
        let wrong = Diagnostic::error(format!("{} is not a host", quoted(text)))
            .label("expected a host name alone, matched whole, such as `webcast.tiktok.com`");
        let bare = host.split_once("://").map_or(host.as_str(), |(_, rest)| rest);
        let bare = bare.split(['/', ':', '?']).next().unwrap_or_default();
        Err(if bare != host && bare.split('.').all(good_label) {
            wrong.help(format!("the host in it is {}; its path belongs into `paths`", quoted(bare)))
        } else {
            wrong
        })
    })
}

pub(super) fn path(value: Value<'_>) -> Option<PathPattern> {
    value.parsed(|text| {
        PathPattern::new(text).ok_or_else(|| {
            Diagnostic::error(format!("{} is not a path", quoted(text)))
                .label("expected a path from `/` on, with at most one `*`, at its end, such as `/webcast/*`")
        })
    })
}
