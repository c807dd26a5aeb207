//! How full quotas are, by rule and not for whom: what an operator tunes limits by.
//!
//! Filled by the sweeper from records that lie in memory anyway, so that no request pays for it.

use hashbrown::HashMap;

use super::record::{Record, RecordKey};
use crate::base::time::Timestamp;
use crate::policy::PolicySet;
use crate::policy::counter::Limit;
use crate::policy::set::{Mode, RuleIndex};

/// How much of a limit a subject has used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FillBand {
    /// Below a half.
    Low,
    /// Below four fifths.
    Half,
    /// Below all of it.
    High,
    /// All of it.
    Full,
}

impl FillBand {
    /// All of them, the emptiest first.
    pub const ALL: [Self; 4] = [Self::Low, Self::Half, Self::High, Self::Full];

    /// The word in metrics.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Half => "half",
            Self::High => "high",
            Self::Full => "full",
        }
    }

    fn of(share: f64) -> Self {
        match share {
            ..0.5 => Self::Low,
            ..0.8 => Self::Half,
            ..1.0 => Self::High,
            _ => Self::Full,
        }
    }
}

/// What is counted under one rule.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct RuleUsage {
    /// How many have used how much of it, by [`FillBand`]. A quota of more than three windows counts each subject once
    /// for every three of them.
    pub subjects: [u64; FillBand::ALL.len()],
    /// How much whoever used most of it has used: from 0 to 1.
    pub fullest: f64,
}

/// One round over all records, for the rules of one policy set. It holds no set: those are freed elsewhere.
#[derive(Debug)]
pub struct Usage {
    /// By the family of a counter.
    counters: HashMap<u64, (RuleIndex, Limit), foldhash::fast::RandomState>,
    rules: Box<[Option<RuleUsage>]>,
}

impl Usage {
    /// Nothing seen yet.
    pub fn new(policy: &PolicySet) -> Self {
        let mut rules = vec![None; policy.rules().len()];
        let mut counters = HashMap::default();
        for counter in policy.counters().iter().filter(|counter| counter.mode != Mode::Off) {
            rules[usize::from(counter.rule.0)] = Some(RuleUsage::default());
            counters.insert(RecordKey::family_of(counter), (counter.rule, counter.limit.clone()));
        }
        Self { counters, rules: rules.into() }
    }

    /// Takes in a record. Those of rules that the set lacks are passed over, as are buckets, which are nobody's.
    pub(super) fn add(&mut self, key: RecordKey, record: &Record, now: Timestamp) {
        let Some((rule, limit)) = self.counters.get(&key.family()).filter(|_| !key.is_bucket()) else {
            return;
        };
        let share = record.share(limit, now);
        if let Some(Some(usage)) = self.rules.get_mut(usize::from(rule.0))
            && !record.is_over(now)
        {
            usage.subjects[FillBand::of(share) as usize] += 1;
            usage.fullest = usage.fullest.max(share.min(1.0));
        }
    }

    /// Each rule that counts, with what was seen.
    pub fn rules(&self) -> impl Iterator<Item = (RuleIndex, RuleUsage)> {
        (0u16..).zip(&self.rules).filter_map(|(place, usage)| Some((RuleIndex(place), (*usage)?)))
    }
}
