//! How generators are asked, beside what each is: safe values for everybody, to be changed in `signgate.toml`.

use std::time::Duration;

use super::budget::Allowance;
use super::health::Rules;
use super::queue::Bounds;

/// What holds for all generators together. [`Default`] is what the deployment file's `[generators]` has where it says nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// How many may wait for a generator with room.
    pub queue: Bounds,
    /// And for how long, within the caller's own deadline.
    pub queue_time: Duration,
    /// When generators are ejected.
    pub ejection: Rules,
    /// After an ejection, and at its start, a generator takes so long to get its full share.
    pub slow_start: Duration,
    /// Retries and hedges.
    pub retries: Allowance,
    /// Whether a request that takes longer than is usual is asked of a second generator.
    pub hedge: bool,
    /// What is let through while all generators are out.
    pub trickle: Allowance,
    /// What is asked to see whether a generator works.
    pub probe: Probe,
}

/// What is asked to see whether a generator works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// A room to connect to. Left out: the one of the last good answer.
    pub room: Option<u64>,
    /// A URL to be signed, by generators that cannot connect, and where no room is known.
    pub url: String,
    /// A generator that got nothing for so long is probed.
    pub idle: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            queue: Bounds { length_max: 512, per_account_max: 128 },
            queue_time: Duration::from_secs(2),
            ejection: Rules {
                failures_in_a_row: 5,
                failure_share: 0.2,
                ejected_share_max: 0.7,
                eject_for: Duration::from_secs(1),
                eject_for_max: Duration::from_secs(60),
            },
            slow_start: Duration::from_secs(10),
            retries: Allowance { share: 0.2, per_second: 10 },
            hedge: true,
            trickle: Allowance { share: 0.02, per_second: 10 },
            probe: Probe::default(),
        }
    }
}

impl Default for Probe {
    fn default() -> Self {
        Self {
            room: None,
            url: "https://webcast.tiktok.com/webcast/im/fetch/?aid=1988".into(),
            idle: Duration::from_secs(30),
        }
    }
}
