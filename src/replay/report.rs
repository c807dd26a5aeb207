//! What a replay came to, for a person and for a program. The largest first.

use std::fmt::{self, Write as _};

use serde_json::{Value, json};

use super::run::Outcome;
use super::tally::{Change, Difference, Ranking, Row, Tally, Words};
use crate::policy::PolicySet;

/// What requests without a known key are called.
const NO_KEY: &str = "(no key)";

/// So many rules are named in one row.
const WHY_MAX: usize = 4;

/// What a replay came to, ready to be printed.
#[derive(Debug)]
pub struct Report<'a> {
    /// What it came to.
    pub outcome: &'a Outcome,
    /// The policy that was asked.
    pub policy: &'a PolicySet,
    /// So many rows of a kind.
    pub rows_max: usize,
}

type Measure = fn(&Change) -> u64;
type Why = fn(&Change) -> &[(u16, u64)];

/// `1,204,311`.
#[derive(Debug, Clone, Copy)]
pub struct Count(pub u64);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        let mut text = String::new();
        for (place, digit) in digits.chars().enumerate() {
            if place > 0 && (digits.len() - place).is_multiple_of(3) {
                text.push(',');
            }
            text.push(digit);
        }
        f.pad_integral(true, "", &text)
    }
}

/// `1.7 %`; what is there is never `0 %`.
struct Share(u64, u64);

impl Share {
    fn of_hundred(&self) -> f64 {
        if self.1 == 0 { 0.0 } else { 100.0 * self.0 as f64 / self.1 as f64 }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let share = self.of_hundred();
        if self.0 > 0 && share < 0.01 { f.pad("<0.01 %") } else { f.pad(&format!("{share:.2} %")) }
    }
}

impl Report<'_> {
    /// For a person.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let Outcome { tally, difference, span, .. } = self.outcome;
        let total = &tally.total;
        // Writing into a text does not fail.
        let _ = match span {
            None => writeln!(text, "no records"),
            Some((first, last)) => {
                writeln!(text, "{} records, from {first} to {last}", Count(total.asked))
            }
        };
        for (word, count) in
            [("allow", total.asked - total.refused()), ("throttle", total.throttled), ("deny", total.denied)]
        {
            let _ = writeln!(text, "  {word:8} {:>12}  {:>8}", Count(count), Share(count, total.asked));
        }
        if total.in_shadow > 0 {
            let _ = writeln!(
                text,
                "  with every shadow rule in force {} more would be refused ({})",
                Count(total.in_shadow),
                Share(total.in_shadow, total.asked)
            );
        }
        self.rules(&mut text, tally);
        let names = |name: &String| if name.is_empty() { NO_KEY.to_owned() } else { format!("`{name}`") };
        self.table(&mut text, "refused, by account", &tally.accounts, &tally.words, names);
        self.table(&mut text, "refused, by room", &tally.rooms, &tally.words, |room| format!("room {room}"));
        let address = |prefix: &crate::base::net::Prefix| prefix.to_string();
        self.table(
            &mut text,
            "refused without a known key, by address",
            &tally.proxies,
            &tally.words,
            address,
        );
        if let Some(difference) = difference {
            self.difference(&mut text, difference);
        }
        text
    }

    fn rules(&self, text: &mut String, tally: &Tally) {
        for (title, measure) in [
            ("refused, by rule", Row::refused as fn(&Row) -> u64),
            ("would be refused if it were in force, by rule", |row| row.in_shadow),
        ] {
            let rows = tally.rules.largest(measure);
            if rows.is_empty() {
                continue;
            }
            let _ = writeln!(text, "\n{title}");
            for (name, row) in rows.iter().take(self.rows_max) {
                let count = measure(row);
                let share = Share(count, tally.total.asked);
                let _ = writeln!(text, "  {:>12}  {share:>8}  {}", Count(count), self.rule(name));
            }
            more(text, rows.len(), self.rows_max, 0);
        }
    }

    /// With its kind and where it stands; a check that is no rule of a file has only its name.
    fn rule(&self, name: &str) -> String {
        match self.policy.rules().iter().find(|rule| rule.name.as_str() == name) {
            Some(rule) => format!("{} `{name}` ({}:{})", rule.kind.word(), rule.file, rule.line),
            None => name.to_owned(),
        }
    }

    fn table<K: Ord + std::hash::Hash>(
        &self,
        text: &mut String,
        title: &str,
        ranking: &Ranking<K>,
        words: &Words,
        name: impl Fn(&K) -> String,
    ) {
        let rows = ranking.largest(Row::refused);
        if rows.is_empty() {
            return;
        }
        let _ = writeln!(text, "\n{title}");
        for (key, row) in rows.iter().take(self.rows_max) {
            let of = match row.asked {
                0 => String::new(),
                asked => format!(" of {}, {}", Count(asked), Share(row.refused(), asked)),
            };
            let _ = writeln!(
                text,
                "  {:>12}  {}{of}: {}",
                Count(row.refused()),
                name(key),
                because(&row.why, words)
            );
        }
        more(text, rows.len(), self.rows_max, ranking.others.refused());
    }

    fn difference(&self, text: &mut String, difference: &Difference) {
        let total = &difference.total;
        let _ = writeln!(
            text,
            "\n{} newly refused ({}), {} newly freed ({}), {} refused otherwise",
            Count(total.newly_refused),
            Share(total.newly_refused, total.asked),
            Count(total.newly_freed),
            Share(total.newly_freed, total.asked),
            Count(difference.refused_otherwise),
        );
        let kinds: [(&str, Measure, Why); 2] = [
            ("newly refused, by account", |row| row.newly_refused, |row| &row.why),
            ("newly freed, by account", |row| row.newly_freed, |row| &row.why_freed),
        ];
        for (title, measure, why) in kinds {
            let rows = difference.accounts.largest(measure);
            if rows.is_empty() {
                continue;
            }
            let _ = writeln!(text, "\n{title}");
            for (account, row) in rows.iter().take(self.rows_max) {
                let count = measure(row);
                let name = if account.is_empty() { NO_KEY.to_owned() } else { format!("`{account}`") };
                let (share, why) = (Share(count, row.asked), because(why(row), &difference.words));
                let _ =
                    writeln!(text, "  {:>12}  {name} of {}, {share}: {why}", Count(count), Count(row.asked));
            }
            more(text, rows.len(), self.rows_max, measure(&difference.accounts.others));
        }
    }

    /// For a program: one object. Lists hold the largest `rows_max`; `in_all` says how many there are of each, and `others` what
    /// was counted under names that there were too many of.
    pub fn json(&self) -> Value {
        let Outcome {
            tally, difference, span, unknown_tiers, unknown_tiers_against, unlike_recorded, ..
        } = self.outcome;
        let total = &tally.total;
        let rules = |measure: fn(&Row) -> u64| -> Vec<Value> {
            let rows = tally.rules.largest(measure).into_iter().take(self.rows_max);
            rows.map(|(name, row)| json!({ "rule": name, "requests": measure(row) })).collect()
        };
        json!({
            "type": "replay",
            "policy": self.policy.digest().to_string(),
            "records": total.asked,
            "from": span.map(|(first, _)| first.to_string()),
            "to": span.map(|(_, last)| last.to_string()),
            "allow": total.asked - total.refused(),
            "throttle": total.throttled,
            "deny": total.denied,
            "shadow_would_refuse": total.in_shadow,
            "unlike_recorded": unlike_recorded,
            "unknown_tiers": unknown_tiers,
            "unknown_tiers_against": difference.is_some().then_some(unknown_tiers_against),
            "rules": rules(Row::refused),
            "shadow_rules": rules(|row| row.in_shadow),
            "accounts": self.rows(&tally.accounts, &tally.words, "account", |name| name_or_null(name)),
            "rooms": self.rows(&tally.rooms, &tally.words, "room", |room| room.to_string().into()),
            "addresses": self.rows(&tally.proxies, &tally.words, "address", |prefix| prefix.to_string().into()),
            "in_all": {
                "rules": tally.rules.largest(Row::refused).len(),
                "shadow_rules": tally.rules.largest(|row| row.in_shadow).len(),
                "accounts": tally.accounts.largest(Row::refused).len(),
                "rooms": tally.rooms.largest(Row::refused).len(),
                "addresses": tally.proxies.largest(Row::refused).len(),
            },
            "others": {
                "accounts": tally.accounts.others.refused(),
                "rooms": tally.rooms.others.refused(),
                "addresses": tally.proxies.others.refused(),
            },
            "difference": difference.as_ref().map(|difference| self.difference_json(difference)),
        })
    }

    fn rows<K: Ord + std::hash::Hash>(
        &self,
        ranking: &Ranking<K>,
        words: &Words,
        kind: &str,
        name: impl Fn(&K) -> Value,
    ) -> Value {
        let rows = ranking.largest(Row::refused).into_iter().take(self.rows_max);
        let rows = rows.map(|(key, row)| {
            let mut object =
                json!({ "throttle": row.throttled, "deny": row.denied, "rules": by_rule(&row.why, words) });
            object[kind] = name(key);
            if row.asked > 0 {
                object["requests"] = row.asked.into();
            }
            object
        });
        rows.collect::<Vec<_>>().into()
    }

    fn difference_json(&self, difference: &Difference) -> Value {
        let total = &difference.total;
        let accounts = difference.accounts.largest(|row| row.newly_refused + row.newly_freed);
        let in_all = accounts.len();
        let accounts = accounts.into_iter().take(self.rows_max).map(|(account, row)| {
            json!({
                "account": name_or_null(account),
                "requests": row.asked,
                "newly_refused": row.newly_refused,
                "newly_freed": row.newly_freed,
                "newly_refused_share": Share(row.newly_refused, row.asked).of_hundred() / 100.0,
                "newly_freed_share": Share(row.newly_freed, row.asked).of_hundred() / 100.0,
                "refused_by": by_rule(&row.why, &difference.words),
                "freed_from": by_rule(&row.why_freed, &difference.words),
            })
        });
        json!({
            "newly_refused": total.newly_refused,
            "newly_freed": total.newly_freed,
            "newly_refused_share": Share(total.newly_refused, total.asked).of_hundred() / 100.0,
            "newly_freed_share": Share(total.newly_freed, total.asked).of_hundred() / 100.0,
            "refused_otherwise": difference.refused_otherwise,
            "accounts": accounts.collect::<Vec<_>>(),
            "in_all": { "accounts": in_all },
            "others": {
                "newly_refused": difference.accounts.others.newly_refused,
                "newly_freed": difference.accounts.others.newly_freed,
            },
        })
    }
}

fn name_or_null(name: &str) -> Value {
    if name.is_empty() { Value::Null } else { name.into() }
}

fn by_rule(why: &[(u16, u64)], words: &Words) -> Value {
    Value::Object(why.iter().map(|(rule, count)| (words.word(*rule).to_owned(), (*count).into())).collect())
}

/// `anonymous 20,000, anonymous-pace 4,000`.
fn because(why: &[(u16, u64)], words: &Words) -> String {
    let mut why: Vec<_> = why.iter().map(|(rule, count)| (words.word(*rule), *count)).collect();
    why.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    let mut named: Vec<String> =
        why.iter().take(WHY_MAX).map(|(rule, count)| format!("{rule} {}", Count(*count))).collect();
    if why.len() > WHY_MAX {
        named.push(format!("{} more rules", why.len() - WHY_MAX));
    }
    named.join(", ")
}

/// How many rows are not shown, and what was counted under names that there were too many of.
fn more(text: &mut String, rows: usize, shown: usize, others: u64) {
    if rows > shown {
        let _ = writeln!(text, "  and {} more (`--rows` shows more)", Count((rows - shown) as u64));
    }
    if others > 0 {
        let _ = writeln!(text, "  {:>12}  others, of too many names to keep each", Count(others));
    }
}
