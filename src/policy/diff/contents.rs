//! What the files say that a set does not keep apart any more.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

use crate::base::secret::KeyHash;
use crate::policy::file::Matchers;
use crate::policy::lists::canonical_prefix;
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
    /// Of the table and of its feed, in order, each once: a feed may hold millions.
    pub(super) prefixes: Vec<IpNet>,
    /// `room 7300000000000000001`, `account overlay-suite`.
    pub(super) others: BTreeSet<String>,
}

impl Listed {
    /// How many things it lists.
    pub(super) fn len(&self) -> usize {
        self.prefixes.len() + self.others.len()
    }

    /// The prefixes that `other` lacks.
    pub(super) fn prefixes_beyond<'s>(&'s self, other: &'s Self) -> impl Iterator<Item = &'s IpNet> {
        let mut rest = other.prefixes.iter().peekable();
        self.prefixes.iter().filter(move |prefix| {
            while rest.next_if(|before| before < prefix).is_some() {}
            rest.peek() != Some(prefix)
        })
    }
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
            let Matchers { prefixes, asns, rooms, accounts, keys, user_agents, libraries, file } =
                &form.matchers;
            listed.prefixes.extend(prefixes.iter().map(|at| at.value));
            if let Some(name) = file.as_ref().map(|at| &at.value)
                && let Some(bytes) = sources.bytes(name)
            {
                listed.prefixes.extend(feed::read(&sources.display_name(name), bytes, &report));
            }
            listed.prefixes.iter_mut().for_each(|prefix| *prefix = canonical_prefix(*prefix));
            listed.prefixes.sort_unstable();
            listed.prefixes.dedup();
            let mut add = |kind: &str, text: String| listed.others.insert(format!("{kind} {text}"));
            for asn in asns {
                add("asn", asn.value.to_string());
            }
            for room in rooms {
                add("room", room.value.to_string());
            }
            for account in accounts {
                add("account", account.value.to_string());
            }
            for key in keys {
                add("key", key.value.to_string());
            }
            for pattern in user_agents {
                add("user agent", pattern.value.as_str().to_owned());
            }
            for range in libraries {
                let range = range.value;
                let from = range.from.map(|from| format!(" >={from}")).unwrap_or_default();
                let before = range.before.map(|before| format!(" <{before}")).unwrap_or_default();
                add("library", format!("{}{from}{before}", range.name));
            }
        }
        contents
    }
}
