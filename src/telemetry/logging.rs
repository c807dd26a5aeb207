//! Log lines, for people: to stderr, filtered by `SIGNGATE_LOG`, and rate-limited where an attacker can cause them.
//!
//! `error` only if somebody should act; a failure once, where it is handled. Texts of strangers go in as fields
//! (`?` or `%`), which the formatter escapes, never into the message. Requests are not logged here: they have a record of
//! their own.

use std::io::IsTerminal;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};

use governor::clock::{Clock, DefaultClock};
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tracing_subscriber::EnvFilter;

/// The variable that filters: `debug`, or `signgate::generator=debug,info`.
pub const FILTER_VARIABLE: &str = "SIGNGATE_LOG";

/// Why nothing is logged.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The filter cannot be read.
    #[error(
        "`{FILTER_VARIABLE}` is no log filter: `{filter}` (write a level such as `debug`, or `signgate::generator=debug,info`)"
    )]
    Filter {
        /// As it was given.
        filter: String,
        /// Why not.
        source: tracing_subscriber::filter::ParseError,
    },
    /// Something else in the process logs already.
    #[error("logging is set up already")]
    Twice,
}

/// Sends log lines to stderr; `filter` is the value of [`FILTER_VARIABLE`], `info` without one. Once per process.
pub fn init(filter: Option<&str>) -> Result<(), LoggingError> {
    tracing_subscriber::fmt()
        .with_env_filter(parse_filter(filter)?)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .try_init()
        .map_err(|_| LoggingError::Twice)
}

fn parse_filter(filter: Option<&str>) -> Result<EnvFilter, LoggingError> {
    let filter = filter.map(str::trim).filter(|filter| !filter.is_empty()).unwrap_or("info");
    EnvFilter::builder().parse(filter).map_err(|source| LoggingError::Filter {
        filter: filter.escape_default().take(100).collect(),
        source,
    })
}

/// Lets so many log lines a minute through, and counts the others. One for each kind of line: a flood of one must not hide
/// another.
///
/// ```
/// # let limit = signgate::telemetry::logging::LineLimit::per_minute(6);
/// if let Some(left_out) = limit.pass() {
///     tracing::warn!(left_out, "connections are turned away");
/// }
/// ```
#[derive(Debug)]
pub struct LineLimit<C: Clock = DefaultClock> {
    limiter: RateLimiter<NotKeyed, InMemoryState, C, NoOpMiddleware<C::Instant>>,
    left_out: AtomicU64,
}

impl LineLimit {
    /// So many lines a minute, at least 1; as many at once after a pause.
    pub fn per_minute(lines: u32) -> Self {
        Self::with_clock(lines, DefaultClock::default())
    }
}

impl<C: Clock> LineLimit<C> {
    fn with_clock(lines: u32, clock: C) -> Self {
        let quota = Quota::per_minute(NonZeroU32::new(lines).unwrap_or(NonZeroU32::MIN));
        Self { limiter: RateLimiter::direct_with_clock(quota, clock), left_out: AtomicU64::new(0) }
    }

    /// Whether to write a line now: how many like it were left out since the last one.
    pub fn pass(&self) -> Option<u64> {
        if self.limiter.check().is_ok() {
            Some(self.left_out.swap(0, Ordering::Relaxed))
        } else {
            self.left_out.fetch_add(1, Ordering::Relaxed);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use governor::clock::FakeRelativeClock;

    use super::*;

    #[test]
    fn a_flood_is_cut_and_counted() {
        let clock = FakeRelativeClock::default();
        let limit = LineLimit::with_clock(6, clock.clone());
        let passed = (0..1000).filter_map(|_| limit.pass()).count();
        assert_eq!(passed, 6);
        clock.advance(Duration::from_secs(10));
        assert_eq!(limit.pass(), Some(994));
        assert_eq!(limit.pass(), None);
    }

    #[test]
    fn filters() {
        for good in [None, Some(""), Some(" debug "), Some("signgate::generator=debug,info")] {
            assert!(parse_filter(good).is_ok(), "{good:?}");
        }
        let error = parse_filter(Some("signgate=\u{1b}loud")).unwrap_err();
        assert!(
            error.to_string().starts_with(r"`SIGNGATE_LOG` is no log filter: `signgate=\u{1b}loud`"),
            "{error}"
        );
    }
}
