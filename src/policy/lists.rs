//! What block- and allowlists match: prefixes, autonomous systems, rooms, accounts, keys, user agents, libraries.
//!
//! One structure holds all lists of a kind, so that a request costs one look-up per matcher however many lists there are.
//! A match names the rule; modes, expiry and exemptions are the engine's to weigh.

use std::net::IpAddr;

use hashbrown::HashMap;
use ipnet::IpNet;

use super::ranges::Ranges;
use super::set::{AccountIndex, RuleIndex};
use crate::base::id::KeyId;
use crate::base::library::{Library, LibraryName, Version};
use crate::base::net::canonical;
use crate::base::room::Room;

type Map<K> = HashMap<K, Vec<RuleIndex>, foldhash::fast::RandomState>;

/// All lists of one kind.
#[derive(Default)]
pub struct Lists {
    /// What was listed since it was sealed.
    unsealed: Vec<(IpNet, RuleIndex)>,
    prefix_count: usize,
    /// For each address the place in `rule_sets` of all rules that list it.
    prefixes: Ranges,
    rule_sets: Vec<Box<[RuleIndex]>>,
    asns: Map<u32>,
    rooms: Map<Room>,
    accounts: Map<AccountIndex>,
    keys: Map<KeyId>,
    user_agents: Vec<(Pattern, RuleIndex)>,
    libraries: Vec<(LibraryRange, RuleIndex)>,
}

impl Lists {
    /// Lists a prefix, to be found once the lists are sealed. Host bits are cut; an IPv4-mapped prefix is listed as the IPv4 one.
    pub fn add_prefix(&mut self, prefix: IpNet, rule: RuleIndex) {
        self.prefix_count += 1;
        self.unsealed.push((canonical_prefix(prefix), rule));
    }

    /// Lays the prefixes out so that one look-up finds every rule that covers an address. `PolicySet::new` does it.
    pub(super) fn seal(&mut self) {
        debug_assert!(self.rule_sets.is_empty() || self.unsealed.is_empty(), "lists are sealed once");
        if self.unsealed.is_empty() {
            return;
        }
        let mut sets = RuleSets::default();
        let unsealed = std::mem::take(&mut self.unsealed);
        // A feed's prefixes come one after the other, all of one rule.
        let mut last: Option<(RuleIndex, u32)> = None;
        let own = unsealed.into_iter().map(|(prefix, rule)| {
            let place = match last {
                Some((before, place)) if before == rule => place,
                _ => sets.place([rule].into()),
            };
            last = Some((rule, place));
            (prefix, place)
        });
        let own: Vec<(IpNet, u32)> = own.collect();
        self.prefixes = Ranges::new(own, |around, own| sets.union(around, own));
        self.rule_sets = sets.sets;
    }

    /// Lists an autonomous system.
    pub fn add_asn(&mut self, asn: u32, rule: RuleIndex) {
        push_new(self.asns.entry(asn).or_default(), rule);
    }

    /// Lists a room.
    pub fn add_room(&mut self, room: Room, rule: RuleIndex) {
        push_new(self.rooms.entry(room).or_default(), rule);
    }

    /// Lists an account.
    pub fn add_account(&mut self, account: AccountIndex, rule: RuleIndex) {
        push_new(self.accounts.entry(account).or_default(), rule);
    }

    /// Lists a key.
    pub fn add_key(&mut self, key: KeyId, rule: RuleIndex) {
        push_new(self.keys.entry(key).or_default(), rule);
    }

    /// Lists user agents.
    pub fn add_user_agent(&mut self, pattern: Pattern, rule: RuleIndex) {
        self.user_agents.push((pattern, rule));
    }

    /// Lists a library.
    pub fn add_library(&mut self, range: LibraryRange, rule: RuleIndex) {
        self.libraries.push((range, rule));
    }

    /// Whether nothing at all is listed.
    pub fn is_empty(&self) -> bool {
        let Self { prefix_count, asns, rooms, accounts, keys, user_agents, libraries, .. } = self;
        *prefix_count == 0
            && asns.is_empty()
            && rooms.is_empty()
            && accounts.is_empty()
            && keys.is_empty()
            && user_agents.is_empty()
            && libraries.is_empty()
    }

    /// How many prefixes are listed, each as often as it was added.
    pub fn prefix_count(&self) -> usize {
        self.prefix_count
    }

    /// The rules whose prefixes hold the address.
    pub fn of_address(&self, address: IpAddr) -> &[RuleIndex] {
        debug_assert!(self.unsealed.is_empty(), "looked up before it was sealed");
        self.prefixes.value(canonical(address)).map_or(&[], |place| &self.rule_sets[place as usize])
    }

    /// The rules that list the autonomous system.
    pub fn of_asn(&self, asn: u32) -> &[RuleIndex] {
        found(&self.asns, &asn)
    }

    /// The rules that list the room.
    pub fn of_room(&self, room: &Room) -> &[RuleIndex] {
        found(&self.rooms, room)
    }

    /// The rules that list the account.
    pub fn of_account(&self, account: AccountIndex) -> &[RuleIndex] {
        found(&self.accounts, &account)
    }

    /// The rules that list the key.
    pub fn of_key(&self, key: &KeyId) -> &[RuleIndex] {
        found(&self.keys, key)
    }

    /// The rules whose patterns match the user agent.
    pub fn of_user_agent(&self, user_agent: &str) -> impl Iterator<Item = RuleIndex> {
        self.user_agents.iter().filter(move |(pattern, _)| pattern.matches(user_agent)).map(|(_, rule)| *rule)
    }

    /// The rules that list the library in its version.
    pub fn of_library(&self, library: Library) -> impl Iterator<Item = RuleIndex> {
        self.libraries.iter().filter(move |(range, _)| range.contains(library)).map(|(_, rule)| *rule)
    }
}

impl std::fmt::Debug for Lists {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lists").field("prefixes", &self.prefix_count).finish_non_exhaustive()
    }
}

fn found<'m, K: std::hash::Hash + Eq>(map: &'m Map<K>, key: &K) -> &'m [RuleIndex] {
    if map.is_empty() { &[] } else { map.get(key).map_or(&[], Vec::as_slice) }
}

/// Each set of rules once: a million prefixes belong to a handful.
#[derive(Default)]
struct RuleSets {
    sets: Vec<Box<[RuleIndex]>>,
    places: HashMap<Box<[RuleIndex]>, u32, foldhash::fast::RandomState>,
    unions: HashMap<(u32, u32), u32, foldhash::fast::RandomState>,
}

impl RuleSets {
    fn place(&mut self, rules: Box<[RuleIndex]>) -> u32 {
        let Self { sets, places, .. } = self;
        *places.entry(rules).or_insert_with_key(|rules| {
            sets.push(rules.clone());
            sets.len() as u32 - 1
        })
    }

    /// Both together, in the order of the rules.
    fn union(&mut self, one: u32, other: u32) -> u32 {
        if let Some(known) = self.unions.get(&(one, other)) {
            return *known;
        }
        let both = self.sets[one as usize].iter().chain(&self.sets[other as usize]);
        let mut both: Vec<RuleIndex> = both.copied().collect();
        both.sort_unstable();
        both.dedup();
        let union = self.place(both.into());
        self.unions.insert((one, other), union);
        union
    }
}

fn push_new(rules: &mut Vec<RuleIndex>, rule: RuleIndex) {
    if !rules.contains(&rule) {
        rules.push(rule);
    }
}

/// A prefix without host bits; an IPv4-mapped one (RFC 4291 section 2.5.5.2) as IPv4.
pub(super) fn canonical_prefix(prefix: IpNet) -> IpNet {
    let prefix = prefix.trunc();
    match (prefix, prefix.addr().to_canonical()) {
        (IpNet::V6(v6), IpAddr::V4(v4)) if v6.prefix_len() >= 96 => {
            IpNet::new(IpAddr::V4(v4), v6.prefix_len() - 96).unwrap_or(prefix)
        }
        _ => prefix,
    }
}

/// A pattern over a text: `*` stands for any run of characters, letters match in either case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(Box<str>);

impl Pattern {
    /// A pattern may hold at most so many bytes.
    pub const BYTES_MAX: usize = 256;

    /// `None` where it is empty or too long.
    pub fn new(text: &str) -> Option<Self> {
        (1..=Self::BYTES_MAX).contains(&text.len()).then(|| Self(text.to_ascii_lowercase().into()))
    }

    /// The pattern in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether all of `text` matches. At most |pattern| x |text| steps: one star is remembered at a time.
    pub fn matches(&self, text: &str) -> bool {
        let (pattern, text) = (self.0.as_bytes(), text.as_bytes());
        let (mut p, mut t) = (0, 0);
        let mut star: Option<(usize, usize)> = None;
        while t < text.len() {
            if p < pattern.len() && pattern[p] == b'*' {
                star = Some((p, t));
                p += 1;
            } else if p < pattern.len() && pattern[p] == text[t].to_ascii_lowercase() {
                (p, t) = (p + 1, t + 1);
            } else if let Some((star_at, from)) = star {
                star = Some((star_at, from + 1));
                (p, t) = (star_at + 1, from + 1);
            } else {
                return false;
            }
        }
        pattern[p..].iter().all(|byte| *byte == b'*')
    }
}

/// A library in a range of versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LibraryRange {
    /// Which library.
    pub name: LibraryName,
    /// The oldest version in it.
    pub from: Option<Version>,
    /// The first version that is not in it any more.
    pub before: Option<Version>,
}

impl LibraryRange {
    /// Whether a library is in it. One that does not say its version is in a range without bounds only.
    pub fn contains(&self, library: Library) -> bool {
        self.name == library.name
            && match library.version {
                Some(version) => {
                    self.from.is_none_or(|from| version >= from)
                        && self.before.is_none_or(|before| version < before)
                }
                None => self.from.is_none() && self.before.is_none(),
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(lists: &Lists, address: &str) -> Vec<u16> {
        lists.of_address(address.parse().unwrap()).iter().map(|rule| rule.0).collect()
    }

    #[test]
    fn every_list_that_covers_an_address_is_found() {
        let mut lists = Lists::default();
        for (prefix, rule) in
            [("203.0.113.0/24", 1), ("203.0.0.0/16", 2), ("203.0.113.7/32", 3), ("2001:db8::/32", 4)]
        {
            lists.add_prefix(prefix.parse().unwrap(), RuleIndex(rule));
        }
        lists.add_prefix("::ffff:198.51.100.0/120".parse().unwrap(), RuleIndex(5));
        lists.add_prefix("203.0.113.0/24".parse().unwrap(), RuleIndex(6));
        lists.seal();
        assert_eq!(rules(&lists, "203.0.113.7"), [1, 2, 3, 6]);
        assert_eq!(rules(&lists, "203.0.113.8"), [1, 2, 6]);
        assert_eq!(rules(&lists, "203.0.114.8"), [2]);
        assert_eq!(rules(&lists, "::ffff:203.0.113.8"), [1, 2, 6]);
        assert_eq!(rules(&lists, "2001:db8:ffff::1"), [4]);
        assert_eq!(rules(&lists, "198.51.100.9"), [5]);
        assert_eq!(rules(&lists, "192.0.2.1"), [] as [u16; 0]);
    }

    #[test]
    fn patterns() {
        let matches = |pattern: &str, text: &str| Pattern::new(pattern).unwrap().matches(text);
        assert!(matches("*curl/*", "Mozilla CURL/8.1"));
        assert!(matches("python-requests/*", "python-requests/2.31"));
        assert!(!matches("python-requests/*", "x python-requests/2.31"));
        assert!(matches("*a*b*c*", "xxaxxbxxc"));
        assert!(!matches("*a*b*c", "xxaxxbxxcx"));
        assert!(matches("exact", "EXACT"));
        assert_eq!(Pattern::new(""), None);
    }

    #[test]
    fn version_ranges() {
        let range = |from, before| LibraryRange {
            name: LibraryName::Python,
            from: Version::parse(from),
            before: Version::parse(before),
        };
        let python = |version| Library { name: LibraryName::Python, version: Version::parse(version) };
        assert!(range("6.0", "7.0").contains(python("6.6.5")));
        assert!(!range("6.0", "7.0").contains(python("7.0.0")));
        assert!(!range("6.0", "").contains(python("")));
        assert!(range("", "").contains(python("")));
        assert!(!range("", "").contains(Library::UNKNOWN));
    }
}
