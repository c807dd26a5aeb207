//! What the files say that a set does not keep apart any more.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

use crate::base::secret::KeyHash;
use crate::policy::reader::Report;
use crate::policy::sources::Sources;
use crate::policy::{feed, file};

/// Of one policy.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// What each list holds, by the rule's name.
    pub(super) lists: BTreeMap<String, Listed>,
    /// By the keys' ids.
    pub(super) hashes: BTreeMap<String, KeyHash>,
}

/// What one list holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Listed {
    /// Of the table and of its feed.
    pub(super) prefixes: BTreeSet<IpNet>,
    /// `room 7300000000000000001`, `account overlay-suite`.
    pub(super) others: BTreeSet<String>,
}

impl Contents {
    /// Reads files that have been compiled already: complaints are not repeated.
    pub(super) fn read(sources: &Sources) -> Self {
        let report = Report::new(sources.texts().collect());
        let forms = file::read(&report);
        let mut contents = Self::default();
        for key in &forms.keys {
            contents.hashes.insert(key.id.value.to_string(), key.hash.value);
        }
        for form in &forms.lists {
            let listed = contents.lists.entry(form.head.name.value.to_string()).or_default();
            let matchers = &form.matchers;
            listed.prefixes.extend(matchers.prefixes.iter().map(|at| at.value));
            if let Some(name) = matchers.file.as_ref().map(|at| &at.value)
                && let Some(bytes) = sources.bytes(name)
            {
                listed.prefixes.extend(feed::read(&sources.display_name(name), bytes, &report));
            }
            let mut add = |kind: &str, text: String| listed.others.insert(format!("{kind} {text}"));
            for room in &matchers.rooms {
                add("room", room.value.to_string());
            }
            for account in &matchers.accounts {
                add("account", account.value.to_string());
            }
            for key in &matchers.keys {
                add("key", key.value.to_string());
            }
            for pattern in &matchers.user_agents {
                add("user agent", pattern.value.as_str().to_owned());
            }
            for range in &matchers.libraries {
                let range = range.value;
                let from = range.from.map(|from| format!(" >={from}")).unwrap_or_default();
                let before = range.before.map(|before| format!(" <{before}")).unwrap_or_default();
                add("library", format!("{}{from}{before}", range.name));
            }
        }
        contents
    }
}
