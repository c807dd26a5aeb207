//! A compiled policy: plain, immutable, checked data. One request sees one set.
//!
//! Everything that could be worked out before a request comes is worked out here: which counters apply to a tier and an
//! operation, the families under which counters live, the labels that refusals print.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use ipnet::IpNet;

use crate::base::id::{AccountId, KeyId, RuleName, TierName};
use crate::base::net::canonical;
use crate::base::operation::Operation;
use crate::base::prefetch::prefetch_at;
use crate::base::room::Room;
use crate::base::secret::KeyHash;
use crate::base::subject::Subject;
use crate::base::time::Timestamp;

use super::counter::Counter;
use super::key_index::KeyIndex;
use super::lists::Lists;
use super::networks::Networks;
use super::target::Target;
use super::viewbot::ViewbotSettings;

/// Everything that decides, compiled from one directory of policy files.
///
/// Its fields are open to this room so that [`diff`](super::diff) can take it apart: what is added here is compared there.
#[derive(Debug)]
pub struct PolicySet {
    pub(super) digest: Digest,
    pub(super) tiers: Vec<Tier>,
    pub(super) anonymous: TierIndex,
    pub(super) accounts: Vec<Account>,
    /// By id.
    pub(super) keys: Vec<Key>,
    pub(super) key_index: KeyIndex,
    pub(super) rules: Vec<Rule>,
    pub(super) counters: Vec<Counter>,
    /// For each tier and operation, the places of the counters that apply.
    pub(super) applicable: Vec<Box<[u16]>>,
    pub(super) blocklists: Lists,
    pub(super) allowlists: Lists,
    pub(super) targets: Vec<Target>,
    pub(super) sessions: SessionMode,
    pub(super) networks: Networks,
    pub(super) shedding: Vec<TierIndex>,
    pub(super) viewbot: ViewbotSettings,
}

/// What a set is put together from. The indices in it must be consistent: `compile` is the only maker outside of tests.
#[derive(Debug, Default)]
pub struct Parts {
    /// Of the files' names and bytes.
    pub digest: Digest,
    /// At least the tier of requests without a key.
    pub tiers: Vec<Tier>,
    /// The tier of requests without a key.
    pub anonymous: TierIndex,
    /// By [`AccountIndex`], in the order of their ids.
    pub accounts: Vec<Account>,
    /// Each with its hash, in any order.
    pub keys: Vec<(KeyHash, Key)>,
    /// By [`RuleIndex`].
    pub rules: Vec<Rule>,
    /// In the order of their rules.
    pub counters: Vec<Counter>,
    /// What is refused outright; they name rules of kind [`RuleKind::Blocklist`].
    pub blocklists: Lists,
    /// What is exempt; they name rules of kind [`RuleKind::Allowlist`].
    pub allowlists: Lists,
    /// What may be signed.
    pub targets: Vec<Target>,
    /// What happens to session credentials.
    pub sessions: SessionMode,
    /// Which networks addresses are in; empty where the policy brings no table.
    pub networks: Networks,
    /// The tiers that go first when load is shed; the others go after them, by class.
    pub shedding: Vec<TierIndex>,
    /// View-bot detection.
    pub viewbot: ViewbotSettings,
}

impl PolicySet {
    /// Works out what applies where. At most
    /// [`COUNTERS_PER_REQUEST_MAX`](super::counter::COUNTERS_PER_REQUEST_MAX) counters may apply to one tier and operation:
    /// [`busiest`](Self::busiest) tells, and `compile` refuses a policy beyond it.
    pub fn new(mut parts: Parts) -> Self {
        parts.blocklists.seal();
        parts.allowlists.seal();
        debug_assert!(
            parts.accounts.is_sorted_by_key(|account| &account.id),
            "accounts are found by their id"
        );
        parts.keys.sort_unstable_by(|(_, one), (_, other)| one.id.cmp(&other.id));
        let key_index = KeyIndex::new(parts.keys.iter().map(|(hash, key)| (*hash, key.account.0)));
        let keys = parts.keys.into_iter().map(|(_, key)| key).collect();
        let mut applicable = Vec::with_capacity(parts.tiers.len() * Operation::COUNT);
        for tier in 0..parts.tiers.len() {
            for operation in Operation::ALL {
                let applies = |counter: &Counter| {
                    counter.mode != Mode::Off
                        && counter.operations.contains(operation)
                        && counter.tiers.contains(TierIndex(tier as u16))
                };
                let places = (0u16..).zip(&parts.counters).filter(|(_, counter)| applies(counter));
                applicable.push(places.map(|(place, _)| place).collect());
            }
        }
        let shedding = shedding_order(&parts.tiers, parts.shedding);
        Self {
            digest: parts.digest,
            tiers: parts.tiers,
            anonymous: parts.anonymous,
            accounts: parts.accounts,
            keys,
            key_index,
            rules: parts.rules,
            counters: parts.counters,
            applicable,
            blocklists: parts.blocklists,
            allowlists: parts.allowlists,
            targets: parts.targets,
            sessions: parts.sessions,
            networks: parts.networks,
            shedding,
            viewbot: parts.viewbot,
        }
    }

    /// Names this set: the same files, the same digest.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// All tiers, by [`TierIndex`].
    pub fn tiers(&self) -> &[Tier] {
        &self.tiers
    }

    /// One tier.
    pub fn tier(&self, index: TierIndex) -> &Tier {
        &self.tiers[usize::from(index.0)]
    }

    /// The tier of that name.
    pub fn tier_named(&self, name: &str) -> Option<TierIndex> {
        self.tiers.iter().position(|tier| tier.name.as_str() == name).map(|place| TierIndex(place as u16))
    }

    /// The tier of requests without a key.
    pub fn anonymous(&self) -> TierIndex {
        self.anonymous
    }

    /// All accounts, by [`AccountIndex`].
    pub fn accounts(&self) -> &[Account] {
        &self.accounts
    }

    /// One account.
    pub fn account(&self, index: AccountIndex) -> &Account {
        &self.accounts[index.0 as usize]
    }

    /// The account of that id.
    pub fn account_named(&self, id: &str) -> Option<AccountIndex> {
        let place = self.accounts.binary_search_by(|account| account.id.as_str().cmp(id)).ok();
        place.map(|place| AccountIndex(place as u32))
    }

    /// The key of that hash.
    pub fn key(&self, hash: &KeyHash) -> Option<&Key> {
        self.key_index.find(hash).map(|place| &self.keys[place])
    }

    /// Asks for the memory that looking up a key begins with: once that has come, [`prefetch_caller`](Self::prefetch_caller) asks
    /// for what it leads to. Nothing has to be looked up afterwards.
    pub fn prefetch_key(&self, hash: &KeyHash) {
        self.key_index.prefetch(hash);
    }

    /// Asks for the key that likely has that hash, and its account.
    pub fn prefetch_caller(&self, hash: &KeyHash) {
        if let Some(likely) = self.key_index.likely(hash) {
            prefetch_at(&self.keys, likely.key);
            prefetch_at(&self.accounts, likely.account);
        }
    }

    /// The key of that public id.
    pub fn key_named(&self, id: &str) -> Option<&Key> {
        self.keys.binary_search_by(|key| key.id.as_str().cmp(id)).ok().map(|place| &self.keys[place])
    }

    /// All keys, in the order of their ids.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &Key> {
        self.keys.iter()
    }

    /// All rules, by [`RuleIndex`].
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// One rule.
    pub fn rule(&self, index: RuleIndex) -> &Rule {
        &self.rules[usize::from(index.0)]
    }

    /// All counters.
    pub fn counters(&self) -> &[Counter] {
        &self.counters
    }

    /// One counter, by its place.
    pub fn counter(&self, place: u16) -> &Counter {
        &self.counters[usize::from(place)]
    }

    /// The places of the counters that apply to a tier and an operation.
    pub fn applicable(&self, tier: TierIndex, operation: Operation) -> &[u16] {
        &self.applicable[usize::from(tier.0) * Operation::COUNT + operation.index()]
    }

    /// How many counters a request can meet at most.
    pub fn busiest(&self) -> usize {
        self.applicable.iter().map(|places| places.len()).max().unwrap_or(0)
    }

    /// What is refused outright.
    pub fn blocklists(&self) -> &Lists {
        &self.blocklists
    }

    /// What is exempt.
    pub fn allowlists(&self) -> &Lists {
        &self.allowlists
    }

    /// What may be signed.
    pub fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// Which networks addresses are in.
    pub fn networks(&self) -> &Networks {
        &self.networks
    }

    /// All tiers, in the order in which their requests are refused when there is too much to do.
    pub fn shedding_order(&self) -> &[TierIndex] {
        &self.shedding
    }

    /// The place of a tier in that order: 0 is refused first.
    pub fn shedding_rank(&self, tier: TierIndex) -> u8 {
        self.shedding.iter().position(|shed| *shed == tier).unwrap_or_default() as u8
    }

    /// View-bot detection.
    pub fn viewbot(&self) -> &ViewbotSettings {
        &self.viewbot
    }

    /// What happens to session credentials.
    pub fn sessions(&self) -> SessionMode {
        self.sessions
    }
}

/// Those that come first as they stand, then the others by class.
fn shedding_order(tiers: &[Tier], first: Vec<TierIndex>) -> Vec<TierIndex> {
    let mut others: Vec<TierIndex> =
        (0..tiers.len()).map(|place| TierIndex(place as u16)).filter(|tier| !first.contains(tier)).collect();
    // Stable: within a class by name, as tiers are sorted.
    others.sort_by_key(|tier| tiers[usize::from(tier.0)].class);
    first.into_iter().chain(others).collect()
}

/// Names a set: the first 8 bytes of a BLAKE3 hash over its files, printed as 16 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Digest(pub [u8; 8]);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The place of a tier in its set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TierIndex(pub u16);

/// The place of an account in its set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountIndex(pub u32);

/// The place of a rule in its set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleIndex(pub u16);

/// A named set of limits.
#[derive(Debug, Clone)]
pub struct Tier {
    /// Its name.
    pub name: TierName,
    /// What kind of customer it is for.
    pub class: TierClass,
}

/// What kind of customer a tier is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TierClass {
    /// No key.
    None,
    /// A key that costs nothing.
    Free,
    /// A key that is paid for.
    Paid,
}

impl TierClass {
    /// The word in policies.
    pub const fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Free => "free",
            Self::Paid => "paid",
        }
    }
}

/// The owner of keys. On one cache line, as a key: of what a request has to know first, nothing is waited for twice.
#[derive(Debug, Clone)]
#[repr(align(64))]
pub struct Account {
    /// Its name.
    pub id: AccountId,
    /// Its tier.
    pub tier: TierIndex,
    /// What its counters are kept under.
    pub subject: Subject,
}

/// A credential.
#[derive(Debug, Clone)]
#[repr(align(64))]
pub struct Key {
    /// Its public id.
    pub id: KeyId,
    /// Whose it is.
    pub account: AccountIndex,
    /// What its counters are kept under.
    pub subject: Subject,
    /// Whether the operator switched it off.
    pub disabled: bool,
    /// Most keys are good for ever, from everywhere, for all rooms.
    pub(super) bounds: Option<Box<KeyBounds>>,
}

const _: () = assert!(size_of::<Key>() == 64 && size_of::<Account>() == 64, "one cache line each");

/// How a key's use is bounded. The default bounds nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyBounds {
    /// When it stops being valid; a rotated key has one, so that its owner's tools have time to change over.
    pub expires: Option<Timestamp>,
    /// From where it may be used; empty: from everywhere.
    pub proxies: Vec<IpNet>,
    /// For which rooms it may be used; empty: for all.
    pub rooms: Vec<Room>,
}

impl Key {
    /// A key that is switched on.
    pub fn new(id: KeyId, account: AccountIndex, subject: Subject, bounds: KeyBounds) -> Self {
        let bounds = (bounds != KeyBounds::default()).then(|| Box::new(bounds));
        Self { id, account, subject, disabled: false, bounds }
    }

    /// When it stops being valid.
    pub fn expires(&self) -> Option<Timestamp> {
        self.bounds.as_ref()?.expires
    }

    /// From where it may be used; empty: from everywhere.
    pub fn proxies(&self) -> &[IpNet] {
        self.bounds.as_ref().map_or(&[], |bounds| &bounds.proxies)
    }

    /// For which rooms it may be used; empty: for all.
    pub fn rooms(&self) -> &[Room] {
        self.bounds.as_ref().map_or(&[], |bounds| &bounds.rooms)
    }

    /// Whether it may be used from that address.
    pub fn allows_address(&self, address: std::net::IpAddr) -> bool {
        let address = canonical(address);
        self.proxies().is_empty() || self.proxies().iter().any(|prefix| prefix.contains(&address))
    }

    /// Whether it may be used for that room; a request without a room passes.
    pub fn allows_room(&self, room: Option<&Room>) -> bool {
        self.rooms().is_empty() || room.is_none_or(|room| self.rooms().contains(room))
    }
}

/// A rule: what an operator wrote, with its name and where it stands.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Its name, unique in the set.
    pub name: RuleName,
    /// Whether it acts.
    pub mode: Mode,
    /// What it does.
    pub kind: RuleKind,
    /// The file it stands in, as the operator knows it.
    pub file: Arc<str>,
    /// The line, from 1.
    pub line: u32,
}

/// Whether a rule acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Mode {
    /// Decides, counts and acts.
    #[default]
    Enforce,
    /// Decides, counts and is recorded as if in force; does not act.
    Shadow,
    /// Is not looked at.
    Off,
}

impl Mode {
    /// The word in policies, metrics and records.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Shadow => "shadow",
            Self::Off => "off",
        }
    }
}

/// What a rule does.
#[derive(Debug, Clone)]
pub enum RuleKind {
    /// Refuses outright.
    Blocklist {
        /// What the caller is told.
        reason: Option<Arc<str>>,
        /// When it ends by itself.
        expires: Option<Timestamp>,
    },
    /// Exempts from others.
    Allowlist {
        /// From which.
        exempt: Exemptions,
        /// When it ends by itself.
        expires: Option<Timestamp>,
    },
    /// So many in each window: the places of its counters in the set.
    Quota {
        /// One counter for every three windows.
        counters: Range<u16>,
    },
    /// So many different ones in each window.
    Distinct {
        /// One counter for every three windows.
        counters: Range<u16>,
    },
    /// Smoothing, with a burst.
    Rate {
        /// One counter.
        counters: Range<u16>,
    },
    /// So many at a time.
    Concurrency {
        /// One counter.
        counters: Range<u16>,
    },
}

impl RuleKind {
    /// The table's name in policies.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Blocklist { .. } => "blocklist",
            Self::Allowlist { .. } => "allowlist",
            Self::Quota { .. } => "quota",
            Self::Distinct { .. } => "distinct",
            Self::Rate { .. } => "rate",
            Self::Concurrency { .. } => "concurrency",
        }
    }
}

/// What an allowlist exempts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Exemptions {
    /// From blocklists.
    pub blocklist: bool,
    /// From quotas, distinct quotas, rates and concurrency.
    pub quota: bool,
    /// From the view-bot rules.
    pub viewbot: bool,
}

impl Exemptions {
    /// Both together.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self {
            blocklist: self.blocklist || other.blocklist,
            quota: self.quota || other.quota,
            viewbot: self.viewbot || other.viewbot,
        }
    }
}

/// What happens to session credentials that a client sends along (`contract.md` section 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SessionMode {
    /// They go on to the generator.
    #[default]
    Pass,
    /// The request goes on without them.
    Strip,
    /// The request is refused.
    Refuse,
}

impl SessionMode {
    /// The word in policies.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Strip => "strip",
            Self::Refuse => "refuse",
        }
    }
}
