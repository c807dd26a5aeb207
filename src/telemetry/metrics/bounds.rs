//! How many series there can be: worked out from the table, so that it is true of what the table becomes.

use super::series::{Kind, Named, SERIES, Series, Values};

/// How many names of each sort an operator has given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Rules of the policy.
    pub rules: usize,
    /// Rules that have a feed.
    pub feeds: usize,
    /// Tiers.
    pub tiers: usize,
    /// Generators.
    pub generators: usize,
}

/// What refuses, or admits, without a rule: so many words at most stand where a rule's name would.
pub(super) const WORDS_WITHOUT_RULE_MAX: usize = 16;

impl Bounds {
    /// At most so many series, over all families: each line of the page that is no comment is one.
    pub fn series_max(self) -> usize {
        SERIES.iter().map(|series| self.of(series)).sum()
    }

    /// At most so many series of one family.
    pub fn of(self, series: &Series) -> usize {
        let children: usize = series.labels.iter().map(|label| self.values_max(label.values)).product();
        let lines = match series.kind {
            Kind::Counter | Kind::Gauge => 1,
            // One for each bound and for infinity; the sum and the count.
            Kind::Histogram(buckets) => buckets.len() + 3,
        };
        children * lines
    }

    fn values_max(self, values: Values) -> usize {
        match values {
            Values::Closed(words) => words.len(),
            Values::Words(_, count_max) => count_max,
            Values::Names(Named::RuleOrWord) => self.rules + WORDS_WITHOUT_RULE_MAX,
            Values::Names(Named::Rule) => self.rules,
            Values::Names(Named::Feed) => self.feeds,
            Values::Names(Named::Tier) => self.tiers,
            Values::Names(Named::Generator) => self.generators,
            Values::Names(Named::One) => 1,
        }
    }
}
