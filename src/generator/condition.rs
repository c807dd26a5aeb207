//! Whether a generator works, since when, and why not: what is shown of it to whoever asks, written when that changes.

use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

use super::health::Why;
use crate::base::time::Timestamp;

/// How one generator is, as its last change had it. Shared by all threads; nothing on a request's path reads or writes it.
#[derive(Debug, Default)]
pub struct Condition(Mutex<Option<Known>>);

/// What is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Since when it is so.
    pub since: Timestamp,
    /// Why it is out of service; `None` where it works.
    pub trouble: Option<Trouble>,
}

/// Why a generator is out of service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What was found.
    pub why: Why,
    /// How its requests failed when it was ejected, the most frequent first, with how often.
    pub reasons: String,
    /// How its last probe failed since then; `None` where none did.
    pub last_probe: Option<&'static str>,
}

impl Condition {
    /// What is known of it; `None` before anybody looked after it.
    pub fn known(&self) -> Option<Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Somebody looks after it from now on: it works, until something else is known.
    pub(super) fn begins(&self, now: Timestamp) {
        self.change(|known| {
            known.get_or_insert(Known { since: now, trouble: None });
        });
    }

    /// It works again.
    pub(super) fn works(&self, now: Timestamp) {
        self.change(|known| *known = Some(Known { since: now, trouble: None }));
    }

    /// It is out of service.
    pub(super) fn is_out(&self, why: Why, reasons: &str, now: Timestamp) {
        let trouble = Trouble { why, reasons: reasons.to_owned(), last_probe: None };
        self.change(|known| *known = Some(Known { since: now, trouble: Some(trouble) }));
    }

    /// A probe of it failed while it was out.
    pub(super) fn still_fails(&self, how: &'static str) {
        self.change(|known| {
            if let Some(Known { trouble: Some(trouble), .. }) = known {
                trouble.last_probe = Some(how);
            }
        });
    }

    fn change(&self, change: impl FnOnce(&mut Option<Known>)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Trouble {
    /// In words: `it gives no good answers (fallback host 5); the last probe failed: connection refused`.
    pub fn words(&self) -> String {
        let mut text = self.why.text().to_owned();
        if !self.reasons.is_empty() {
            // Writing into a text does not fail.
            let _ = write!(text, " ({})", self.reasons);
        }
        if let Some(how) = self.last_probe {
            let _ = write!(text, "; the last probe failed: {how}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_known_last_is_told_in_words() {
        let at = Timestamp::from_secs;
        let condition = Condition::default();
        condition.still_fails("no cookie");
        assert_eq!(condition.known(), None);
        condition.begins(at(1));
        condition.begins(at(2));
        assert_eq!(condition.known(), Some(Known { since: at(1), trouble: None }));
        condition.is_out(Why::Dead, "no cookie 5", at(3));
        condition.begins(at(4));
        let known = condition.known().unwrap();
        assert_eq!(known.since, at(3));
        assert_eq!(known.trouble.unwrap().words(), "it gives no good answers (no cookie 5)");
        condition.still_fails("connection refused");
        assert_eq!(
            condition.known().unwrap().trouble.unwrap().words(),
            "it gives no good answers (no cookie 5); the last probe failed: connection refused"
        );
        condition.works(at(5));
        assert_eq!(condition.known(), Some(Known { since: at(5), trouble: None }));
    }
}
