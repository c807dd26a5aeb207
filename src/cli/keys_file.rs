//! What `signgate keys` does to policy files: pure functions from the files' text to one file's new text.
//!
//! Each edit puts in a few bytes at a place that the parser's spans name, and leaves every other byte as it is: comments,
//! order, indentation, line ends. (An editor that parses and prints again would not: toml_edit turns CRLF into LF.) The new
//! text is then read again, and handed back only if it says what was asked for. A key's own text never comes here: what is
//! written is its hash.
//!
//! Writing the file is the caller's: whole, under another name, renamed into place.

use std::fmt::Write as _;
use std::ops::Range;

use ipnet::IpNet;
use toml::de::{DeTable, DeValue};

use crate::base::id::{AccountId, KeyId};
use crate::base::room::Room;
use crate::base::secret::KeyHash;
use crate::base::time::Timestamp;
use crate::policy::diagnostic::{closest, render};
use crate::policy::file::{self, Forms, KeyForm};
use crate::policy::reader::Report;
use crate::policy::sources::{Sources, TOML_BYTES_MAX, is_toml};

/// Where new keys go when no file holds any.
const KEYS_FILE: &str = "keys.toml";

/// What a new keys file begins with.
const KEYS_FILE_HEAD: &str =
    "# Written by `signgate keys`. Only hashes stand here: a key itself is shown once, when it is made.\n";

/// A new key's table has at most about so many bytes, unless it lists many proxies or rooms.
const TABLE_BYTES: usize = 4_096;

/// A key to be written.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// Its public id; [`key_id`] makes one.
    pub id: KeyId,
    /// Of its text.
    pub hash: KeyHash,
    /// Whose it is: one that the policy defines.
    pub account: AccountId,
    /// When it stops being valid.
    pub expires: Option<Timestamp>,
    /// From where it may be used; empty: from everywhere.
    pub proxies: Vec<IpNet>,
    /// For which rooms; empty: for all.
    pub rooms: Vec<Room>,
}

/// A file to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// Its name below the policy directory. It may not exist yet.
    pub file: String,
    /// All of its new text.
    pub text: String,
}

/// A key as the files have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedKey {
    /// Its public id.
    pub id: KeyId,
    /// Whose it is.
    pub account: AccountId,
    /// When it stops being valid.
    pub expires: Option<Timestamp>,
    /// Whether it is switched off.
    pub disabled: bool,
    /// From where it may be used; empty: from everywhere.
    pub proxies: Vec<IpNet>,
    /// For which rooms; empty: for all.
    pub rooms: Vec<Room>,
    /// Where it stands: `policies/keys.toml:3`.
    pub place: String,
}

/// Why nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// No key has the id.
    #[error("no key has the id `{id}`{}", similar_words(.similar.as_deref()))]
    NoSuchKey {
        /// What was asked for.
        id: String,
        /// What may have been meant.
        similar: Option<String>,
    },
    /// No account has the id.
    #[error("no `[[account]]` defines `{id}`{}", similar_words(.similar.as_deref()))]
    NoSuchAccount {
        /// What was asked for.
        id: String,
        /// What may have been meant.
        similar: Option<String>,
    },
    /// It is switched off already.
    #[error("key `{0}` is disabled already")]
    AlreadyDisabled(KeyId),
    /// It is switched off, and so has no successor.
    #[error("key `{0}` is disabled: make a new one for its account instead")]
    Disabled(KeyId),
    /// It has expired, and so has no successor.
    #[error("key `{0}` has expired: make a new one for its account instead")]
    Expired(KeyId),
    /// The id is in use.
    #[error("a key has the id `{0}` already")]
    IdTaken(KeyId),
    /// The hash is in use.
    #[error("the key is known already, as `{0}`")]
    HashTaken(KeyId),
    /// The file would be too long to be read.
    #[error("`{0}` is full: move some of its keys to another file")]
    Full(String),
    /// A file is not TOML, or a table in it is wrong: these diagnostics, rendered.
    #[error("the policy cannot be read\n{0}")]
    Unreadable(String),
    /// The file is written in a way that cannot be edited safely.
    #[error("`{0}` is written in a way that cannot be edited safely: write its keys as `[[key]]` tables")]
    Layout(String),
}

fn similar_words(similar: Option<&str>) -> String {
    similar.map_or(String::new(), |similar| format!("; a similar one exists: `{similar}`"))
}

/// Makes a public id from 5 random bytes: `k_` and 8 characters of base 32 (40 bits).
pub fn key_id(random: [u8; 5]) -> KeyId {
    // As in a key's text: RFC 4648 section 6 in lower case.
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let bits = random.iter().fold(0u64, |bits, byte| bits << 8 | u64::from(*byte));
    let mut text = String::from("k_");
    text.extend((0..8).rev().map(|place| char::from(ALPHABET[(bits >> (place * 5) & 31) as usize])));
    KeyId::new(&text).unwrap_or_else(|| unreachable!("letters and digits make a name"))
}

/// Adds a key, to the [`home`] of new keys.
pub fn add(sources: &Sources, key: &NewKey) -> Result<Edit, KeysError> {
    let forms = read(sources)?;
    if !forms.accounts.iter().any(|account| account.id.value == key.account) {
        let known = forms.accounts.iter().map(|account| account.id.value.as_str());
        let similar = closest(key.account.as_str(), known).map(Into::into);
        return Err(KeysError::NoSuchAccount { id: key.account.to_string(), similar });
    }
    is_new(&forms, &key.id, key.hash)?;
    let file = home(sources);
    let mut text = text_of(sources, &file).unwrap_or(KEYS_FILE_HEAD).to_owned();
    append(&mut text, key);
    finished(sources, file, text, |after| {
        after.iter().any(|form| form.id.value == key.id && form.hash.value == key.hash)
    })
}

/// Gives a key a successor with the same account, proxies and rooms, and lets the old one end at `until`, or when it would
/// have ended anyway. The successor stands in the same file and has no end.
pub fn rotate(
    sources: &Sources,
    id: &str,
    successor: &KeyId,
    hash: KeyHash,
    now: Timestamp,
    until: Timestamp,
) -> Result<Edit, KeysError> {
    let forms = read(sources)?;
    let old = find(&forms, id)?;
    if old.disabled {
        return Err(KeysError::Disabled(old.id.value.clone()));
    }
    let ends = old.expires.map(|expires| expires.value);
    if ends.is_some_and(|ends| ends <= now) {
        return Err(KeysError::Expired(old.id.value.clone()));
    }
    is_new(&forms, successor, hash)?;
    let file = file_of(sources, id)?;
    let until = until.min(ends.unwrap_or(until));
    let mut text = set_field(sources, &file, id, "expires", &time_text(until))?;
    let account = old.account.value.clone();
    let (proxies, rooms) = (old.proxies.clone(), old.rooms.clone());
    append(&mut text, &NewKey { id: successor.clone(), hash, account, expires: None, proxies, rooms });
    finished(sources, file, text, |after| {
        let ended = |form: &KeyForm| form.expires.is_some_and(|at| at.value <= until);
        after.iter().any(|form| form.id.value.as_str() == id && ended(form))
            && after.iter().any(|form| form.id.value == *successor && form.hash.value == hash)
    })
}

/// Switches a key off.
pub fn disable(sources: &Sources, id: &str) -> Result<Edit, KeysError> {
    let forms = read(sources)?;
    let key = find(&forms, id)?;
    if key.disabled {
        return Err(KeysError::AlreadyDisabled(key.id.value.clone()));
    }
    let file = file_of(sources, id)?;
    let text = set_field(sources, &file, id, "disabled", "true")?;
    finished(sources, file, text, |after| {
        after.iter().any(|form| form.id.value.as_str() == id && form.disabled)
    })
}

/// All keys, by id.
pub fn list(sources: &Sources) -> Result<Vec<ListedKey>, KeysError> {
    let report = Report::new(sources.texts().collect());
    let forms = file::read(&report);
    let listed = forms.keys.into_iter().map(|form| ListedKey {
        place: report.place(form.id.spot),
        id: form.id.value,
        account: form.account.value,
        expires: form.expires.map(|expires| expires.value),
        disabled: form.disabled,
        proxies: form.proxies,
        rooms: form.rooms,
    });
    let mut listed: Vec<_> = listed.collect();
    listed.sort_by(|one, other| one.id.cmp(&other.id));
    if report.has_errors() { Err(KeysError::Unreadable(render(&report.into_sorted()))) } else { Ok(listed) }
}

/// The file that new keys go into: the last one that holds `[[key]]` tables and has room, else `keys.toml`, `keys-2.toml`, …
pub fn home(sources: &Sources) -> String {
    let room = |bytes: &[u8]| bytes.len() + TABLE_BYTES <= TOML_BYTES_MAX;
    let holds = |bytes: &[u8]| {
        let text = std::str::from_utf8(bytes).unwrap_or_default();
        tables(&DeTable::parse_recoverable(text).0.into_inner()).any(|(_, span)| text[span].starts_with("[["))
    };
    let tomls = || sources.iter().filter(|(name, bytes)| is_toml(name) && room(bytes));
    if let Some((name, _)) = tomls().filter(|(_, bytes)| holds(bytes)).last() {
        return name.to_owned();
    }
    let names = std::iter::once(KEYS_FILE.to_owned()).chain((2..).map(|n| format!("keys-{n}.toml")));
    let mut free = names.filter(|name| sources.bytes(name).is_none_or(room));
    free.next().unwrap_or_else(|| KEYS_FILE.to_owned())
}

/// Everything that the files define. An error elsewhere in the policy hinders nothing here, except that a file which is
/// not TOML might hold the very key or account that is asked for.
fn read(sources: &Sources) -> Result<Forms, KeysError> {
    let report = Report::new(sources.texts().collect());
    let forms = file::read(&report);
    if forms.incomplete { Err(KeysError::Unreadable(render(&report.into_sorted()))) } else { Ok(forms) }
}

fn find<'f>(forms: &'f Forms, id: &str) -> Result<&'f KeyForm, KeysError> {
    forms.keys.iter().find(|key| key.id.value.as_str() == id).ok_or_else(|| {
        let similar = closest(id, forms.keys.iter().map(|key| key.id.value.as_str()));
        KeysError::NoSuchKey { id: id.into(), similar: similar.map(Into::into) }
    })
}

fn is_new(forms: &Forms, id: &KeyId, hash: KeyHash) -> Result<(), KeysError> {
    for key in &forms.keys {
        if key.id.value == *id {
            return Err(KeysError::IdTaken(id.clone()));
        }
        if key.hash.value == hash {
            return Err(KeysError::HashTaken(key.id.value.clone()));
        }
    }
    Ok(())
}

fn text_of<'s>(sources: &'s Sources, file: &str) -> Option<&'s str> {
    std::str::from_utf8(sources.bytes(file)?).ok()
}

/// The `[[key]]` tables of a document, with the places of their headers (or of the whole table where it is inline).
fn tables<'t, 'i>(document: &'t DeTable<'i>) -> impl Iterator<Item = (&'t DeTable<'i>, Range<usize>)> {
    let keys = document.get("key").and_then(|keys| keys.get_ref().as_array());
    keys.into_iter().flat_map(|keys| keys.iter()).filter_map(|key| match key.get_ref() {
        DeValue::Table(table) => Some((table, key.span())),
        _ => None,
    })
}

fn has_id(table: &DeTable<'_>, id: &str) -> bool {
    table.get("id").and_then(|value| value.get_ref().as_str()) == Some(id)
}

fn file_of(sources: &Sources, id: &str) -> Result<String, KeysError> {
    let holds = |name: &str| {
        let document = text_of(sources, name).map(|text| DeTable::parse_recoverable(text).0.into_inner());
        document.is_some_and(|document| tables(&document).any(|(table, _)| has_id(table, id)))
    };
    let file = sources.iter().map(|(name, _)| name).filter(|name| is_toml(name)).find(|name| holds(name));
    file.map(Into::into).ok_or_else(|| KeysError::NoSuchKey { id: id.into(), similar: None })
}

/// Sets one field of a key's table, and leaves every other byte.
fn set_field(sources: &Sources, file: &str, id: &str, field: &str, value: &str) -> Result<String, KeysError> {
    let layout = || KeysError::Layout(file.to_owned());
    let mut text = text_of(sources, file).ok_or_else(layout)?.to_owned();
    let document = DeTable::parse_recoverable(&text).0.into_inner();
    let (table, header) = tables(&document).find(|(table, _)| has_id(table, id)).ok_or_else(layout)?;
    let (at, insertion) = if let Some(old) = table.get(field) {
        (old.span(), value.to_owned())
    } else if text[header.clone()].starts_with('{') {
        (header.start + 1..header.start + 1, format!(" {field} = {value},"))
    } else {
        let (name, last) = table.iter().max_by_key(|(_, last)| last.span().end).ok_or_else(layout)?;
        let line_start = text[..name.span().start].rfind('\n').map_or(0, |at| at + 1);
        let indent: String = text[line_start..].chars().take_while(|c| matches!(c, ' ' | '\t')).collect();
        let newline = newline(&text);
        match text[last.span().end..].find('\n') {
            Some(rest) => {
                let next = last.span().end + rest + 1;
                (next..next, format!("{indent}{field} = {value}{newline}"))
            }
            None => (text.len()..text.len(), format!("{newline}{indent}{field} = {value}{newline}")),
        }
    };
    text.replace_range(at, &insertion);
    Ok(text)
}

/// How the file ends its lines.
fn newline(text: &str) -> &'static str {
    match text.find('\n') {
        Some(at) if text[..at].ends_with('\r') => "\r\n",
        _ => "\n",
    }
}

/// Writes a key's table at the end. Everything in it is of a form that needs no escape in TOML.
fn append(text: &mut String, key: &NewKey) {
    let newline = newline(text);
    if !text.is_empty() && !text.ends_with('\n') {
        text.push_str(newline);
    }
    let mut lines = vec![
        String::new(),
        "[[key]]".into(),
        format!("id = \"{}\"", key.id),
        format!("hash = \"{}\"", key.hash),
        format!("account = \"{}\"", key.account),
    ];
    lines.extend(key.expires.map(|expires| format!("expires = {}", time_text(expires))));
    lines.extend(array("proxies", &key.proxies));
    lines.extend(array("rooms", &key.rooms));
    for line in lines {
        text.push_str(&line);
        text.push_str(newline);
    }
}

fn array<T: std::fmt::Display>(field: &str, items: &[T]) -> Option<String> {
    let (first, rest) = items.split_first()?;
    let mut line = format!("{field} = [\"{first}\"");
    for item in rest {
        let _ = write!(line, ", \"{item}\"");
    }
    Some(line + "]")
}

/// `2027-01-01T00:00:00Z`: in whole seconds, rounded down.
fn time_text(at: Timestamp) -> String {
    Timestamp::from_secs(at.as_secs()).to_string().replace(".000Z", "Z")
}

/// Reads the new text again, and hands it back if it is TOML whose every key of before is still there and `says` agrees.
fn finished(
    sources: &Sources,
    file: String,
    text: String,
    says: impl FnOnce(&[KeyForm]) -> bool,
) -> Result<Edit, KeysError> {
    if text.len() > TOML_BYTES_MAX {
        return Err(KeysError::Full(file));
    }
    let keys = |text: &str| {
        let mut alone = Sources::default();
        alone.insert(file.as_str(), text);
        read(&alone).map(|forms| forms.keys)
    };
    let before = text_of(sources, &file).map_or(Ok(Vec::new()), keys);
    let (Ok(before), Ok(after)) = (before, keys(&text)) else { return Err(KeysError::Layout(file)) };
    let same = |(one, other): (&KeyForm, &KeyForm)| {
        one.id.value == other.id.value
            && one.hash.value == other.hash.value
            && one.account.value == other.account.value
    };
    let kept = before.iter().zip(&after).all(same);
    if before.len() <= after.len() && kept && says(&after) {
        Ok(Edit { file, text })
    } else {
        Err(KeysError::Layout(file))
    }
}

#[cfg(test)]
mod tests;
