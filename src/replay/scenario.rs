//! A scenario: a small stretch of traffic, and what is expected to be decided of it.
//!
//! `traffic.jsonl` is what `replay` reads. `expected.jsonl` holds one object for each of its lines that matters: `line` (from 0), and any
//! of `verdict`, `shadow`, `rule` (`null` where it is admitted), one at least; other fields are for the reader, and are not called
//! nearly as these. A line that is not named
//! must be admitted, so that nothing is refused by the way.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use super::course::{Course, Said};
use super::feed::{Feed, OnBroken};
use super::input::InputError;
use super::line::worded;
use super::record::Record;
use super::tally::rule_of;
use crate::engine::decision::Verdict;
use crate::policy::PolicySet;
use crate::policy::diagnostic::{closest, quoted};

/// What is expected is read up to so many bytes.
const EXPECTED_BYTES_MAX: u64 = 64 << 20;

/// The names of the two files.
pub const TRAFFIC: &str = "traffic.jsonl";
/// What is expected.
pub const EXPECTED: &str = "expected.jsonl";

/// What is expected of one line.
#[derive(Debug, Clone, Deserialize)]
#[serde(expecting = "what is expected: one JSON object")]
struct Expected {
    line: u64,
    verdict: Option<String>,
    shadow: Option<String>,
    #[serde(default)]
    rule: Rule,
    #[serde(flatten)]
    other: BTreeMap<String, Value>,
}

const FIELDS: [&str; 4] = ["line", "verdict", "shadow", "rule"];

impl Expected {
    /// Why it is not taken: what is misspelled would expect nothing.
    fn misspelled(&self) -> Option<String> {
        for name in self.other.keys() {
            if let Some(meant) = closest(name, FIELDS) {
                return Some(format!("unknown field {}; a similar one is `{meant}`", quoted(name)));
            }
        }
        if self.verdict.is_some() || self.shadow.is_some() || self.rule != Rule::Any {
            return None;
        }
        let names: Vec<_> = self.other.keys().map(|name| quoted(name)).collect();
        let unknown = if names.is_empty() {
            String::new()
        } else {
            format!(", and of {} nothing is known", names.join(", "))
        };
        Some(format!("it expects nothing: one of `verdict`, `shadow` and `rule` must be there{unknown}"))
    }
}

/// Which rule is expected to decide.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum Rule {
    /// Any, or none: the line does not say.
    #[default]
    Any,
    /// None: `null`.
    None,
    /// This one.
    Named(String),
}

impl<'de> Deserialize<'de> for Rule {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::<String>::deserialize(deserializer)?.map_or(Self::None, Self::Named))
    }
}

/// Why a scenario cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// Its traffic cannot be read.
    #[error(transparent)]
    Traffic(#[from] InputError),
    /// What is expected cannot be read.
    #[error("cannot read `{}`", path.display())]
    Expected {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A line of it is wrong.
    #[error("{}:{line}: {why}", path.display())]
    Wrong {
        /// Which file.
        path: PathBuf,
        /// Its line, from 1.
        line: usize,
        /// What is wrong.
        why: String,
    },
}

/// One decision that is not as expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Miss {
    /// The line of the traffic, from 0.
    pub line: u64,
    /// The request, in words.
    pub request: String,
    /// What was expected.
    pub expected: String,
    /// What was decided.
    pub decided: String,
}

impl fmt::Display for Miss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, request, expected, decided } = self;
        write!(
            f,
            "line {} of {TRAFFIC} (\"line\": {line} in {EXPECTED}): {request}\n    expected: {expected}\n    decided:  {decided}",
            line + 1
        )
    }
}

/// How a scenario went.
#[derive(Debug)]
pub struct Played {
    /// How many requests there were.
    pub requests: u64,
    /// How many of them were refused.
    pub refused: u64,
    /// What was not as expected, in the order of the decisions.
    pub misses: Vec<Miss>,
}

/// Plays the scenario in `directory` with a policy.
pub fn play(policy: &PolicySet, directory: &Path) -> Result<Played, ScenarioError> {
    let mut expected = read(&directory.join(EXPECTED))?;
    let mut feed = Feed::open(&[directory.join(TRAFFIC)], OnBroken::Stop)?;
    feed.sort_all();
    let mut course = Course::new(policy, 0);
    let mut played = Played { requests: 0, refused: 0, misses: Vec::new() };
    while let Some(record) = feed.next_record()? {
        if course.follow(&record) {
            feed.give_back(record);
            continue;
        }
        let said = course.decide(&record);
        played.requests += 1;
        played.refused += u64::from(said.verdict() != Verdict::Allow);
        let line = record.place.line;
        let wanted = expected.remove(&line);
        if !agrees(wanted.as_ref(), &said, policy) {
            played.misses.push(Miss {
                line,
                request: in_words(&record),
                expected: wanted.map_or_else(|| "allow".into(), |wanted| wanted.to_string()),
                decided: decided(&said, policy),
            });
        }
        drop(said);
        feed.give_back(record);
    }
    for (line, wanted) in expected {
        played.misses.push(Miss {
            line,
            request: "there is no such request".into(),
            expected: wanted.to_string(),
            decided: "nothing".into(),
        });
    }
    Ok(played)
}

fn read(path: &Path) -> Result<BTreeMap<u64, Expected>, ScenarioError> {
    let failed = |source| ScenarioError::Expected { path: path.to_owned(), source };
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(EXPECTED_BYTES_MAX).read_to_string(&mut text).map_err(failed)?;
    let mut expected = BTreeMap::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let wrong = |why: String| ScenarioError::Wrong { path: path.to_owned(), line: number + 1, why };
        let one: Expected = serde_json::from_str(line).map_err(|error| wrong(worded(&error)))?;
        if let Some(why) = one.misspelled() {
            return Err(wrong(why));
        }
        for word in [&one.verdict, &one.shadow].into_iter().flatten() {
            if !Verdict::ALL.iter().any(|verdict| verdict.word() == word) {
                return Err(wrong("a verdict is `allow`, `throttle` or `deny`".into()));
            }
        }
        if let Some(before) = expected.insert(one.line, one) {
            return Err(wrong(format!("line {} of the traffic is named a second time", before.line)));
        }
    }
    Ok(expected)
}

fn agrees(wanted: Option<&Expected>, said: &Said<'_>, policy: &PolicySet) -> bool {
    let Some(wanted) = wanted else { return said.verdict() == Verdict::Allow };
    let same =
        |word: &Option<String>, verdict: Verdict| word.as_ref().is_none_or(|word| word == verdict.word());
    let rule = match &wanted.rule {
        Rule::Any => true,
        Rule::None => rule_of(said, policy).is_none(),
        Rule::Named(rule) => rule_of(said, policy) == Some(rule),
    };
    rule && same(&wanted.verdict, said.verdict()) && same(&wanted.shadow, said.shadow_verdict())
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.verdict.as_deref().unwrap_or("any verdict"))?;
        match &self.rule {
            Rule::Named(rule) => write!(f, " by `{rule}`")?,
            Rule::None => f.write_str(" by no rule")?,
            Rule::Any => {}
        }
        match &self.shadow {
            Some(shadow) => write!(f, ", with every shadow rule {shadow}"),
            None => Ok(()),
        }
    }
}

fn decided(said: &Said<'_>, policy: &PolicySet) -> String {
    // Writing into a text does not fail.
    let mut text = said.verdict().word().to_owned();
    if let Some(rule) = rule_of(said, policy) {
        let _ = write!(text, " by `{rule}`");
    }
    if said.shadow_verdict() != said.verdict() {
        let _ = write!(text, ", with every shadow rule {}", said.shadow_verdict().word());
    }
    if let Said::Decision(decision) = said
        && let Some(refusal) = &decision.refusal
    {
        let _ = write!(text, ": {}", refusal.first().describe(policy));
    }
    text
}

fn in_words(record: &Record) -> String {
    let client = record.client().map_or("nowhere".into(), |client| client.to_string());
    let who = match record.account() {
        "" => String::new(),
        account => format!(" with a key of `{account}`"),
    };
    format!("{} {} from {client}{who} at {}", record.method(), record.target(), record.time)
}
