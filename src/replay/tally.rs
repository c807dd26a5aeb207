//! Who was refused and why, counted by name. Names are capped: of very many, those that count most are kept, and the others
//! are counted together, without their names.

use std::cell::Cell;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};

use indexmap::{Equivalent, IndexMap};
use smallvec::SmallVec;

use super::course::Said;
use super::record::Record;
use crate::base::net::Prefix;
use crate::base::prefetch::prefetch;
use crate::base::room::Room;
use crate::engine::decision::Verdict;
use crate::policy::PolicySet;

/// So many names of a kind are kept; up to twice as many until the least are dropped: as many as a table of 32,768 places
/// holds before it doubles.
const NAMES_MAX: usize = 14_336;

/// Requests by the rule that decided, by its number in [`Words`]. Mostly of one rule: that one needs no memory of its own.
pub type Why = SmallVec<[(u16, u64); 1]>;

/// What is counted under one name.
#[derive(Debug, Clone, Default)]
pub struct Row {
    /// Requests.
    pub asked: u64,
    /// Refused for now.
    pub throttled: u64,
    /// Refused.
    pub denied: u64,
    /// Admitted, and refused if every shadow rule were in force.
    pub in_shadow: u64,
    /// Refusals by the rule that decided.
    pub why: Why,
}

/// What two policies say otherwise of one name.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// Requests.
    pub asked: u64,
    /// Refused by the policy in question and admitted by the other one.
    pub newly_refused: u64,
    /// The other way round.
    pub newly_freed: u64,
    /// What is newly refused, by the rule that decided.
    pub why: Why,
    /// What is no longer refused, by the rule that did.
    pub why_freed: Why,
}

/// What can be counted under a name.
pub trait Counts: Default {
    /// Takes in what was counted under a name that is dropped.
    fn absorb(&mut self, dropped: &Self);

    /// What makes a name worth keeping.
    fn weight(&self) -> (u64, u64);
}

impl Row {
    /// All refusals.
    pub fn refused(&self) -> u64 {
        self.throttled + self.denied
    }

    fn count(&mut self, verdict: Verdict, in_shadow: bool) {
        match verdict {
            Verdict::Allow => self.in_shadow += u64::from(in_shadow),
            Verdict::Throttle => self.throttled += 1,
            Verdict::Deny => self.denied += 1,
        }
    }
}

impl Counts for Row {
    fn absorb(&mut self, dropped: &Self) {
        self.asked += dropped.asked;
        self.throttled += dropped.throttled;
        self.denied += dropped.denied;
        self.in_shadow += dropped.in_shadow;
    }

    fn weight(&self) -> (u64, u64) {
        (self.refused() + self.in_shadow, self.asked)
    }
}

impl Counts for Change {
    fn absorb(&mut self, dropped: &Self) {
        self.asked += dropped.asked;
        self.newly_refused += dropped.newly_refused;
        self.newly_freed += dropped.newly_freed;
    }

    fn weight(&self) -> (u64, u64) {
        (self.newly_refused + self.newly_freed, self.asked)
    }
}

/// Counts a rule.
fn because(why: &mut Why, rule: u16) {
    match why.iter_mut().find(|(known, _)| *known == rule) {
        Some((_, count)) => *count += 1,
        None => why.push((rule, 1)),
    }
}

/// Rows by name.
#[derive(Debug)]
pub struct Ranking<K, C = Row> {
    rows: IndexMap<K, C, foldhash::fast::RandomState>,
    /// What [seats](Seat) in it begin with: of this ranking alone, and another one whenever names are dropped.
    edition: u64,
    /// What was counted under names that were dropped, all together: a name that is kept may have a part of it, if it was
    /// dropped and came again.
    pub others: C,
}

/// Where the row of one name stands in one ranking, until names are dropped there: whoever keeps it need not look the name up
/// again. At first nowhere.
#[derive(Debug, Default)]
pub struct Seat(Cell<(u64, usize)>);

/// An edition that no ranking had before.
fn new_edition() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Ordering::Relaxed) + 1
}

impl<K, C: Counts> Default for Ranking<K, C> {
    fn default() -> Self {
        Self { rows: IndexMap::default(), edition: new_edition(), others: C::default() }
    }
}

impl<K: Ord + Hash, C: Counts> Ranking<K, C> {
    /// The row of a name.
    pub fn row<Q>(&mut self, name: &Q) -> &mut C
    where
        Q: Hash + Equivalent<K> + ToOwned<Owned = K> + ?Sized,
    {
        let at = self.place(name);
        &mut self.rows[at]
    }

    /// The row of a name that has a seat of its own.
    pub fn row_at<Q>(&mut self, seat: &Seat, name: &Q) -> &mut C
    where
        Q: Hash + Equivalent<K> + ToOwned<Owned = K> + ?Sized,
    {
        let (edition, at) = seat.0.get();
        if edition != self.edition {
            let at = self.place(name);
            seat.0.set((self.edition, at));
            return &mut self.rows[at];
        }
        &mut self.rows[at]
    }

    /// Asks for the memory of a seat's row.
    pub fn prefetch(&self, seat: &Seat) {
        let (edition, at) = seat.0.get();
        if let Some((_, row)) = self.rows.get_index(at).filter(|_| edition == self.edition) {
            prefetch(row);
        }
    }

    /// Where the row of a name stands, for which room is made where it has none.
    fn place<Q>(&mut self, name: &Q) -> usize
    where
        Q: Hash + Equivalent<K> + ToOwned<Owned = K> + ?Sized,
    {
        if let Some(at) = self.rows.get_index_of(name) {
            return at;
        }
        if self.rows.len() >= 2 * NAMES_MAX {
            self.drop_least();
        }
        self.rows.insert_full(name.to_owned(), C::default()).0
    }

    fn drop_least(&mut self) {
        // By weight and then by name: what is dropped must not hang on the order of a map. Which those are is found without
        // moving any of them.
        let Self { rows, others, .. } = self;
        let mut places: Vec<usize> = (0..rows.len()).collect();
        let by_weight = |a: &usize, b: &usize| match (rows.get_index(*a), rows.get_index(*b)) {
            (Some(a), Some(b)) => b.1.weight().cmp(&a.1.weight()).then_with(|| a.0.cmp(b.0)),
            (a, b) => a.is_none().cmp(&b.is_none()),
        };
        places.select_nth_unstable_by(NAMES_MAX, by_weight);
        let mut is_kept = vec![false; rows.len()];
        places[..NAMES_MAX].iter().for_each(|place| is_kept[*place] = true);
        let mut kept = is_kept.into_iter();
        rows.retain(|_, row| {
            let keeps = kept.next().unwrap_or(true);
            if !keeps {
                others.absorb(row);
            }
            keeps
        });
        self.edition = new_edition();
    }

    /// The names that `measure` finds something in, the largest first, then by name.
    pub fn largest(&self, measure: impl Fn(&C) -> u64) -> Vec<(&K, &C)> {
        let mut rows: Vec<_> = self.rows.iter().filter(|(_, row)| measure(row) > 0).collect();
        rows.sort_unstable_by(|a, b| measure(b.1).cmp(&measure(a.1)).then_with(|| a.0.cmp(b.0)));
        rows
    }
}

/// As many as a policy may have rules, and the words of the gateway's own. Lines of others may hold any: those beyond are
/// counted together.
const WORDS_MAX: usize = 1_024 + 64;

/// Names of rules, numbered as they come.
#[derive(Debug, Default)]
pub struct Words(Vec<Box<str>>);

impl Words {
    /// The number of a name.
    pub fn number(&mut self, word: &str) -> u16 {
        match self.0.iter().position(|known| &**known == word) {
            Some(place) => place as u16,
            None if self.0.len() < WORDS_MAX => {
                self.0.push(word.into());
                (self.0.len() - 1) as u16
            }
            None => u16::MAX,
        }
    }

    /// The name.
    pub fn word(&self, number: u16) -> &str {
        self.0.get(usize::from(number)).map_or("…", |word| word)
    }
}

/// What one policy said of all records.
#[derive(Debug, Default)]
pub struct Tally {
    /// All together.
    pub total: Row,
    /// Names of the rules that refused.
    pub words: Words,
    /// By rule: refusals, and what a rule in shadow would have refused.
    pub rules: Ranking<String>,
    /// By account; the empty name is requests without a known key.
    pub accounts: Ranking<String>,
    without_account: Seat,
    /// By room; only refusals.
    pub rooms: Ranking<Room>,
    /// By address, of requests without a known key; only refusals.
    pub proxies: Ranking<Prefix>,
}

/// The name of the rule that decides against a request; `None` where it is admitted.
pub fn rule_of<'s>(said: &'s Said<'_>, policy: &'s PolicySet) -> Option<&'s str> {
    match said {
        Said::Decision(decision) => {
            decision.refusal.as_ref().map(|refusal| refusal.first().rule_name(policy))
        }
        Said::Fault(fault) => Some(fault.label()),
        Said::ByGateway(reason) => Some(reason),
    }
}

impl Tally {
    /// Asks for the memory that counting a record will need.
    pub fn prefetch(&self, record: &Record) {
        if let Some((seat, _)) = record.account_seat() {
            self.accounts.prefetch(seat);
        }
        if let Some((seat, _)) = record.room_seat() {
            self.rooms.prefetch(seat);
        }
    }

    /// Counts one record. `room` is the one that was decided about.
    pub fn count(&mut self, record: &Record, room: Option<Room>, said: &Said<'_>, policy: &PolicySet) {
        let verdict = said.verdict();
        let in_shadow = verdict == Verdict::Allow && said.shadow_verdict() != Verdict::Allow;
        self.total.asked += 1;
        self.total.count(verdict, in_shadow);
        let (seat, account) = record.account_seat().unwrap_or((&self.without_account, ""));
        let account = self.accounts.row_at(seat, account);
        account.asked += 1;
        account.count(verdict, in_shadow);
        if let (true, Said::Decision(decision)) = (in_shadow, said)
            && let Some(refusal) = decision.shadow.refusal()
        {
            self.rules.row(refusal.first().rule_name(policy)).in_shadow += 1;
        }
        let Some(rule) = rule_of(said, policy) else { return };
        let number = self.words.number(rule);
        because(&mut account.why, number);
        let by_rule = self.rules.row(rule);
        by_rule.asked += 1;
        by_rule.count(verdict, false);
        if let Some(room) = room {
            let row = match record.room_seat() {
                Some((seat, named)) if named == room => self.rooms.row_at(seat, &room),
                _ => self.rooms.row(&room),
            };
            row.count(verdict, false);
            because(&mut row.why, number);
        }
        if let (true, Some(client)) = (record.account().is_empty(), record.client()) {
            let row = self.proxies.row(&Prefix::proxy(client));
            row.count(verdict, false);
            because(&mut row.why, number);
        }
    }
}

/// How two policies differ.
#[derive(Debug, Default)]
pub struct Difference {
    /// All together.
    pub total: Change,
    /// Refused by both, and by another rule or in another way.
    pub refused_otherwise: u64,
    /// Names of rules.
    pub words: Words,
    /// By account; the empty name is requests without a known key.
    pub accounts: Ranking<String, Change>,
    /// By the rule that newly refuses, or that no longer does.
    pub rules: Ranking<String, Change>,
}

impl Difference {
    /// Counts one record: what is said of it, and what the other policy says.
    pub fn count(&mut self, record: &Record, now: (&Said<'_>, &PolicySet), before: (&Said<'_>, &PolicySet)) {
        let account = self.accounts.row(record.account());
        account.asked += 1;
        self.total.asked += 1;
        match (rule_of(now.0, now.1), rule_of(before.0, before.1)) {
            (Some(rule), None) => {
                let number = self.words.number(rule);
                account.newly_refused += 1;
                because(&mut account.why, number);
                self.total.newly_refused += 1;
                self.rules.row(rule).newly_refused += 1;
            }
            (None, Some(rule)) => {
                let number = self.words.number(rule);
                account.newly_freed += 1;
                because(&mut account.why_freed, number);
                self.total.newly_freed += 1;
                self.rules.row(rule).newly_freed += 1;
            }
            (Some(rule), Some(other)) => {
                let same = rule == other && now.0.verdict() == before.0.verdict();
                self.refused_otherwise += u64::from(!same);
            }
            (None, None) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_words_have_numbers_of_their_own() {
        let mut words = Words::default();
        let numbers: Vec<u16> = (0..2 * WORDS_MAX).map(|n| words.number(&format!("rule {n}"))).collect();
        assert_eq!((numbers[0], usize::from(numbers[WORDS_MAX - 1])), (0, WORDS_MAX - 1));
        assert!(numbers[WORDS_MAX..].iter().all(|number| words.word(*number) == "…"));
    }

    /// In another ranking it says nothing, nor where names were dropped since.
    #[test]
    fn a_seat_says_where_its_own_row_stands_and_no_other() {
        let (mut one, mut other) = (Ranking::<String>::default(), Ranking::<String>::default());
        let (seat, later) = (Seat::default(), Seat::default());
        let asked = |ranking: &mut Ranking<String>, seat: &Seat, name: &str| {
            ranking.prefetch(seat);
            ranking.row_at(seat, name).asked += 1;
        };
        other.row("first").asked += 10;
        for _ in 0..3 {
            asked(&mut one, &seat, "often");
            asked(&mut other, &later, "often");
        }
        // The seat of one in the other: it is looked up, and sits there from then on.
        asked(&mut other, &seat, "often");
        asked(&mut one, &seat, "often");
        assert_eq!((one.row("often").asked, other.row("often").asked, other.row("first").asked), (4, 4, 10));
        asked(&mut one, &later, "seldom");
        for n in 0..2 * NAMES_MAX {
            one.row(&format!("stranger {n}")).throttled += 1;
        }
        assert!(one.rows.get("often").is_none(), "the least are dropped");
        asked(&mut one, &later, "seldom");
        asked(&mut one, &seat, "often");
        assert_eq!((one.row("often").asked, one.row("seldom").asked, one.others.asked), (1, 1, 5));
    }

    #[test]
    fn of_very_many_names_those_that_count_most_are_kept_and_none_goes_uncounted() {
        let mut ranking = Ranking::<String>::default();
        let (few, many) = (10, 20 * NAMES_MAX as u64);
        for n in 0..many {
            ranking.row(&format!("stranger {n}")).count(Verdict::Throttle, false);
            let regular = ranking.row(&format!("regular {}", n % few));
            regular.count(Verdict::Deny, false);
            because(&mut regular.why, 0);
        }
        assert!(ranking.rows.len() <= 2 * NAMES_MAX && ranking.rows.capacity() <= 2 * NAMES_MAX);
        let largest = ranking.largest(Row::refused);
        for (place, (name, row)) in largest.iter().take(few as usize).enumerate() {
            assert_eq!((*name, row.denied), (&format!("regular {place}"), many / few));
            assert_eq!(row.why[..], [(0, many / few)]);
        }
        let named: u64 = largest.iter().map(|(_, row)| row.refused()).sum();
        assert_eq!(named + ranking.others.refused(), 2 * many);
    }
}
