//! Lengths of time and rates as an operator writes them: `30m`, `minute`, `2/s`, `20/5m`.

use std::fmt;
use std::time::Duration;

/// So many per length of time, smoothed: `2/s`, `6/min`, `20/5m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rate {
    count: u32,
    per: Duration,
}

impl Rate {
    /// `None` where the count is 0, the length is 0 or over 366 days, or the spacing is finer than a nanosecond.
    pub fn new(count: u32, per: Duration) -> Option<Self> {
        let fits = count > 0 && !per.is_zero() && per <= LENGTH_MAX && per.as_nanos() >= u128::from(count);
        fits.then_some(Self { count, per })
    }

    /// How many in each [`per`](Self::per).
    pub const fn count(self) -> u32 {
        self.count
    }

    /// The length of time that the count is for.
    pub const fn per(self) -> Duration {
        self.per
    }

    /// The time between two requests at exactly this rate (the emission interval of GCRA), rounded up to a nanosecond:
    /// rounding down would admit more than was asked for.
    pub fn interval(self) -> Duration {
        Duration::from_nanos((self.per.as_nanos() as u64).div_ceil(u64::from(self.count)))
    }

    /// Parses `COUNT/LENGTH`, where the length is one that [`parse_length`] knows, its count optional.
    pub fn parse(text: &str) -> Result<Self, LengthError> {
        let (count, per) = text.split_once('/').ok_or(LengthError::NotARate)?;
        let count: u32 = count.trim().parse().ok().filter(|count| *count > 0).ok_or(LengthError::Count)?;
        Self::new(count, parse_length(per.trim())?).ok_or(LengthError::Range)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.count, LengthText(self.per))
    }
}

/// The longest length of time that a rule may name: 366 days.
pub const LENGTH_MAX: Duration = Duration::from_secs(366 * 86_400);

/// Why a length of time or a rate could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LengthError {
    /// No slash in a rate.
    #[error("a rate is written as a count, a slash and a length of time, such as `2/s` or `20/5m`")]
    NotARate,
    /// The count of a rate is no positive whole number.
    #[error("the count must be a whole number from 1 to 4294967295")]
    Count,
    /// The unit is unknown.
    #[error(
        "a length of time is a number with `s`, `m`, `h` or `d`, such as `30m` or `1h30m`, or a word such as `minute`"
    )]
    Unit,
    /// Zero, or too long.
    #[error("a length of time must be more than 0 and at most 366 days")]
    Range,
}

/// Parses a length of time: `second`, `minute`, `hour`, `day`, `week`, or numbers with `ms s sec m min h d w` (`90s`, `1h30m`).
pub fn parse_length(text: &str) -> Result<Duration, LengthError> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(LengthError::Unit);
    }
    if !rest.starts_with(|c: char| c.is_ascii_digit()) {
        return unit_millis(rest).map(Duration::from_millis).ok_or(LengthError::Unit);
    }
    let mut millis: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or(LengthError::Unit)?;
        if digits == 0 {
            return Err(LengthError::Unit);
        }
        let count: u64 = rest[..digits].parse().map_err(|_| LengthError::Range)?;
        let after = &rest[digits..];
        let letters = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let unit = unit_millis(after[..letters].trim()).ok_or(LengthError::Unit)?;
        millis =
            count.checked_mul(unit).and_then(|part| millis.checked_add(part)).ok_or(LengthError::Range)?;
        rest = &after[letters..];
    }
    let length = Duration::from_millis(millis);
    if length.is_zero() || length > LENGTH_MAX { Err(LengthError::Range) } else { Ok(length) }
}

fn unit_millis(unit: &str) -> Option<u64> {
    Some(match unit {
        "ms" => 1,
        "s" | "sec" | "second" | "seconds" => 1_000,
        "m" | "min" | "minute" | "minutes" => 60_000,
        "h" | "hour" | "hours" => 3_600_000,
        "d" | "day" | "days" => 86_400_000,
        "w" | "week" | "weeks" => 604_800_000,
        _ => return None,
    })
}

/// Prints a length of time the short way: `30m`, `1h30m`, `1d`. What it prints, [`parse_length`] reads back.
#[derive(Debug, Clone, Copy)]
pub struct LengthText(pub Duration);

impl fmt::Display for LengthText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut millis = self.0.as_millis() as u64;
        if millis == 0 {
            return f.write_str("0s");
        }
        for (unit, length) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)] {
            if millis >= length {
                write!(f, "{}{unit}", millis / length)?;
                millis %= length;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lengths() {
        assert_eq!(parse_length("minute"), Ok(Duration::from_secs(60)));
        assert_eq!(parse_length("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(parse_length("90s"), Ok(Duration::from_secs(90)));
        for bad in ["", "m5", "5", "5x", "h h", "-5m", "5m-"] {
            assert_eq!(parse_length(bad), Err(LengthError::Unit), "{bad}");
        }
        for bad in ["0s", "400d", "99999999999999999999d"] {
            assert_eq!(parse_length(bad), Err(LengthError::Range), "{bad}");
        }
    }

    #[test]
    fn rates() {
        assert_eq!(Rate::parse("2/s").unwrap().interval(), Duration::from_millis(500));
        assert_eq!(Rate::parse("20/5m").unwrap().interval(), Duration::from_secs(15));
        assert_eq!(Rate::parse("3/s").unwrap().interval().as_nanos(), 333_333_334);
        assert_eq!(Rate::parse("2"), Err(LengthError::NotARate));
        assert_eq!(Rate::parse("0/s"), Err(LengthError::Count));
        assert_eq!(Rate::parse("x/s"), Err(LengthError::Count));
    }

    proptest! {
        #[test]
        fn printing_and_parsing_are_inverse(millis in 1u64..=LENGTH_MAX.as_millis() as u64) {
            let length = Duration::from_millis(millis);
            prop_assert_eq!(parse_length(&LengthText(length).to_string()), Ok(length));
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,40}") {
            let _ = parse_length(&text);
            let _ = Rate::parse(&text);
        }
    }
}
