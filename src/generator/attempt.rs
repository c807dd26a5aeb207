//! What one generator did for one request, in words that records and metrics use.

use std::sync::LazyLock;
use std::time::Duration;

use super::judge::{Fault, Judgement};
use super::wire::WireError;

/// Why a generator was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// It was chosen for the request.
    First,
    /// Another had failed.
    Retry,
    /// Another took longer than is usual for it.
    Hedge,
    /// To see whether it works; for no request.
    Probe,
}

impl Cause {
    /// How many there are.
    pub const COUNT: usize = 4;

    /// The words, in the order of their places.
    pub const WORDS: [&'static str; Self::COUNT] = ["first", "retry", "hedge", "probe"];
}

/// What came of an attempt: a place in the closed set of all that can. The metrics' labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark(u8);

/// Every mark's word.
static WORDS: LazyLock<Box<[&'static str]>> = LazyLock::new(|| {
    let faults = Fault::ALL.iter().map(|fault| fault.text());
    ["good", "blames the request", "overtaken"]
        .into_iter()
        .chain(faults)
        .chain(WireError::reasons())
        .collect()
});

impl Mark {
    /// A good answer.
    pub const GOOD: Self = Self(0);
    /// The request is at fault.
    pub const BLAMES: Self = Self(1);
    /// Another generator's good answer came first.
    pub const OVERTAKEN: Self = Self(2);

    /// All words, by their marks' places.
    pub fn words() -> &'static [&'static str] {
        &WORDS
    }

    /// Of what came back.
    pub fn of(judged: &Result<Judgement, WireError>) -> Self {
        match judged {
            Ok(Judgement::Good(_)) => Self::GOOD,
            Ok(Judgement::BlamesRequest(_)) => Self::BLAMES,
            Ok(Judgement::Bad(fault)) => Self::named(fault.text()),
            Err(error) => Self::named(error.reason()),
        }
    }

    /// Failures are few: they may be looked for.
    fn named(word: &str) -> Self {
        let place = WORDS.iter().position(|known| *known == word);
        debug_assert!(place.is_some(), "`{word}` is among the words");
        Self(place.unwrap_or_default() as u8)
    }

    /// Whether it is one of those that make a request fail.
    pub const fn is_failure(self) -> bool {
        self.0 > Self::OVERTAKEN.0
    }

    /// Its place among [`words`](Self::words).
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// Its word.
    pub fn word(self) -> &'static str {
        WORDS[self.index()]
    }
}

/// What one generator did for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// The place of the generator in [`Roster::all`](super::roster::Roster::all).
    pub generator: usize,
    /// Why it was asked.
    pub cause: Cause,
    /// What came of it.
    pub mark: Mark,
    /// From asking to judging, or to giving up.
    pub took: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_result_has_a_word_of_its_own() {
        for fault in Fault::ALL {
            let mark = Mark::of(&Ok(Judgement::Bad(*fault)));
            assert_eq!((mark.word(), mark.is_failure()), (fault.text(), true));
        }
        for reason in WireError::reasons() {
            assert_eq!(Mark::named(reason).word(), reason);
        }
        assert!(u8::try_from(Mark::words().len()).is_ok());
        assert_eq!(Mark::OVERTAKEN.word(), "overtaken");
        assert!([Mark::GOOD, Mark::BLAMES, Mark::OVERTAKEN].iter().all(|mark| !mark.is_failure()));
    }

    /// Whoever looks a reason up finds it, and no reason that there is none.
    #[test]
    fn the_page_for_operators_has_each_reason_once() {
        let page = include_str!("../../deploy/GENERATORS.md");
        let reasons = page.split_once("\n## Reasons\n").expect("a chapter of reasons").1;
        let cell = |line: &'static str| line.strip_prefix("| `")?.split_once("` | ").map(|(word, _)| word);
        let mut told: Vec<&str> = reasons.lines().filter_map(cell).collect();
        let lacks = super::super::Lack::ALL.map(super::super::Lack::text);
        let none = super::super::Failure::NoneConfigured.reason();
        let mut all: Vec<&str> = Mark::words().iter().copied().chain(lacks).chain([none]).collect();
        told.sort_unstable();
        all.sort_unstable();
        assert_eq!(told, all);
    }
}
