//! Points in time, and the only clock of the program.
//!
//! A [`Timestamp`] is nanoseconds since 1970 in 64 bits, enough until the year 2554 and fine enough for rate cells. The
//! engine never reads a clock: `now` is an argument of its every entry point, so that tests and replay choose it.

use std::fmt;
use std::ops::{Add, Sub};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A point in time: nanoseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The earliest point: 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(0);

    /// From nanoseconds since 1970.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// From milliseconds since 1970; saturates at the end of the range.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// From seconds since 1970; saturates at the end of the range.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1_000_000_000))
    }

    /// Nanoseconds since 1970.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Whole milliseconds since 1970, rounded down.
    pub const fn as_millis(self) -> u64 {
        self.0 / 1_000_000
    }

    /// Whole seconds since 1970, rounded down.
    pub const fn as_secs(self) -> u64 {
        self.0 / 1_000_000_000
    }

    /// How long after `earlier` this is; zero where it is not after it.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// Parses RFC 3339, for example `2027-01-01T00:00:00Z`. `None` outside 1970 to 2554 or where it is not RFC 3339.
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        if let Some(nanos) = plain_rfc3339(text.as_bytes()) {
            return Some(Self(nanos));
        }
        let parsed: jiff::Timestamp = text.parse().ok()?;
        u64::try_from(parsed.as_nanosecond()).ok().map(Self)
    }

    /// As `Date` and its kin tell it, in whole seconds: `Sun, 22 Nov 2026 10:00:00 GMT` (RFC 9110 section 5.6.7).
    pub fn to_http_date(self) -> String {
        // Beyond what a calendar has: the last second that it does have.
        let at = jiff::Timestamp::from_nanosecond(i128::from(self.0)).unwrap_or(jiff::Timestamp::MAX);
        jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&at).unwrap_or_default()
    }
}

/// The spelling that nearly everybody writes: `2027-01-01T00:00:00Z`, with or without a fraction of up to nine places. `None`
/// of all others, and of years before 1970 and after 2553: whoever asks has another way.
fn plain_rfc3339(bytes: &[u8]) -> Option<u64> {
    /// How many days have gone by in a year when a month begins.
    const DAYS_BEFORE: [u16; 13] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365];
    let number = |from: usize, to: usize| {
        bytes.get(from..to)?.iter().try_fold(0u32, |number, byte| {
            let digit = byte.wrapping_sub(b'0');
            (digit <= 9).then_some(number * 10 + u32::from(digit))
        })
    };
    let separators = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if !separators.iter().all(|(at, byte)| bytes.get(*at) == Some(byte)) {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)? as usize, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    if !(1970..=2553).contains(&year) || !(1..=12).contains(&month) || hour > 23 || minute > 59 || second > 59
    {
        return None;
    }
    let month_days = DAYS_BEFORE[month] - DAYS_BEFORE[month - 1] + u16::from(is_leap && month == 2);
    if !(1..=u32::from(month_days)).contains(&day) {
        return None;
    }
    let fraction = match bytes.get(19..)? {
        b"Z" => 0,
        [b'.', places @ .., b'Z'] if (1..=9).contains(&places.len()) => {
            number(20, 20 + places.len())? * 10u32.pow(9 - places.len() as u32)
        }
        _ => return None,
    };
    // Leap days of the years before this one, since 1970.
    let before = year - 1;
    let leap_days = before / 4 - before / 100 + before / 400 - (1969 / 4 - 1969 / 100 + 1969 / 400);
    let days = (year - 1970) * 365
        + leap_days
        + u32::from(DAYS_BEFORE[month - 1])
        + u32::from(is_leap && month > 2)
        + day
        - 1;
    let secs = u64::from(days) * 86_400 + u64::from(hour * 3_600 + minute * 60 + second);
    Some(secs * 1_000_000_000 + u64::from(fraction))
}

impl Add<Duration> for Timestamp {
    type Output = Self;
    fn add(self, length: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(length.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;
    fn sub(self, length: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(length.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// RFC 3339 in UTC with milliseconds: `2026-11-22T10:00:00.000Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_nanosecond(i128::from(self.0)) {
            Ok(at) => write!(f, "{at:.3}"),
            Err(_) => f.write_str("9999-12-31T23:59:59.999Z"),
        }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A wait as a client is told it: whole seconds, rounded up, at least 1 (RFC 9110 section 10.2.3, `delay-seconds`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Wait(u64);

impl Wait {
    /// The wait that `left` rounds up to.
    pub const fn of(left: Duration) -> Self {
        let whole = left.as_secs() + if left.subsec_nanos() > 0 { 1 } else { 0 };
        Self(if whole == 0 { 1 } else { whole })
    }

    /// The number that goes into every header and into the text.
    pub const fn secs(self) -> u64 {
        self.0
    }
}

/// `41 seconds`, and from two minutes on `182 seconds (about 3 minutes)`: the number in the text is the one in the headers.
impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secs = self.0;
        // Not by `write!`: every refusal tells a wait, and the machinery of formatting costs more than its digits.
        f.write_str(itoa::Buffer::new().format(secs))?;
        f.write_str(if secs == 1 { " second" } else { " seconds" })?;
        match secs {
            0..120 => Ok(()),
            120..7_200 => write!(f, " (about {} minutes)", (secs + 30) / 60),
            7_200..172_800 => write!(f, " (about {} hours)", (secs + 1_800) / 3_600),
            _ => write!(f, " (about {} days)", (secs + 43_200) / 86_400),
        }
    }
}

/// Where `now` comes from: the system, or a test's own hand.
#[derive(Debug, Clone)]
pub struct Clock(Source);

#[derive(Debug, Clone)]
enum Source {
    System { started: Timestamp, anchor: Instant },
    Manual(Arc<AtomicU64>),
}

impl Clock {
    /// The system's clock, read once and carried on by the monotonic one: a step of the wall clock (an operator's, or
    /// that of a resumed machine) must neither free nor freeze a quota.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    pub fn system() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(Source::System { started: Timestamp::EPOCH + since_epoch, anchor: Instant::now() })
    }

    /// A clock that stands at `start` until it is [advanced](Self::advance). Clones share the hand.
    pub fn manual(start: Timestamp) -> Self {
        Self(Source::Manual(Arc::new(AtomicU64::new(start.0))))
    }

    /// The time now. Never goes back.
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Source::System { started, anchor } => *started + anchor.elapsed(),
            Source::Manual(nanos) => Timestamp(nanos.load(Ordering::Acquire)),
        }
    }

    /// Moves a manual clock on; a system clock does not let itself be moved.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual(nanos) = &self.0 {
            nanos.fetch_add(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX), Ordering::AcqRel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_rounded_up_and_never_zero() {
        assert_eq!(Wait::of(Duration::ZERO).secs(), 1);
        assert_eq!(Wait::of(Duration::from_nanos(1)).secs(), 1);
        assert_eq!(Wait::of(Duration::from_secs(41)).secs(), 41);
        assert_eq!(Wait::of(Duration::from_millis(41_001)).secs(), 42);
    }

    #[test]
    fn a_wait_reads_as_a_person_says_it() {
        assert_eq!(Wait::of(Duration::from_secs(1)).to_string(), "1 second");
        assert_eq!(Wait::of(Duration::from_secs(61)).to_string(), "61 seconds");
        assert_eq!(Wait::of(Duration::from_secs(182)).to_string(), "182 seconds (about 3 minutes)");
        assert_eq!(
            Wait::of(Duration::from_secs(3 * 3600 + 120)).to_string(),
            "10920 seconds (about 3 hours)"
        );
    }

    #[test]
    fn rfc_3339_both_ways() {
        let at = Timestamp::parse_rfc3339("2027-01-01T00:00:00Z").unwrap();
        assert_eq!(at.as_secs(), 1_798_761_600);
        assert_eq!(at.to_string(), "2027-01-01T00:00:00.000Z");
        assert_eq!(Timestamp::parse_rfc3339("1969-01-01T00:00:00Z"), None);
        assert_eq!(Timestamp::parse_rfc3339("soon"), None);
    }

    proptest::proptest! {
        #[test]
        fn the_plain_spelling_is_read_as_the_calendar_says(
            nanos in 0..18_429_000_000_000_000_000u64, places in 0usize..10,
        ) {
            let at = jiff::Timestamp::from_nanosecond(nanos.into()).unwrap();
            let text = format!("{at:.places$}");
            let read: jiff::Timestamp = text.parse().unwrap();
            proptest::prop_assert_eq!(plain_rfc3339(text.as_bytes()).map(i128::from), Some(read.as_nanosecond()));
        }

        #[test]
        fn what_is_no_time_is_none_either_way(text in "(19[67]|20[0-2])[0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{0,10})?Z?") {
            if let Some(nanos) = plain_rfc3339(text.as_bytes()) {
                let read: jiff::Timestamp = text.parse().unwrap();
                proptest::prop_assert_eq!(i128::from(nanos), read.as_nanosecond());
            }
        }
    }

    #[test]
    fn a_manual_clock_moves_only_by_hand() {
        let clock = Clock::manual(Timestamp::from_secs(5));
        let other = clock.clone();
        clock.advance(Duration::from_secs(2));
        assert_eq!(other.now(), Timestamp::from_secs(7));
    }
}
