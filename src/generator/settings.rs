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

impl Settings {
    /// What is another in `to`, in the words of the deployment file: a line for each field.
    pub fn changes(&self, to: &Self) -> Vec<String> {
        let changed = self.words().into_iter().zip(to.words()).filter(|(before, after)| before != after);
        changed
            .map(|((field, before), (_, after))| format!("`{field}` is {after}, and was {before}"))
            .collect()
    }

    /// Its fields, as the deployment file names them.
    fn words(&self) -> [(&'static str, String); 17] {
        let Self { queue, queue_time, ejection, slow_start, retries, hedge, trickle, probe } = self;
        let Bounds { length_max, per_account_max } = queue;
        let Rules { failures_in_a_row, failure_share, ejected_share_max, eject_for, eject_for_max } =
            ejection;
        let Probe { room, url, idle } = probe;
        [
            ("queue-length", length_max.to_string()),
            ("queue-time", format!("{queue_time:?}")),
            ("account-share", format!("{per_account_max} in the queue")),
            ("failures-in-a-row", failures_in_a_row.to_string()),
            ("failure-share", failure_share.to_string()),
            ("ejected-share-max", ejected_share_max.to_string()),
            ("eject-for", format!("{eject_for:?}")),
            ("eject-for-max", format!("{eject_for_max:?}")),
            ("slow-start", format!("{slow_start:?}")),
            ("retry-share", retries.share.to_string()),
            ("retries-per-second", retries.per_second.to_string()),
            ("hedge", hedge.to_string()),
            ("trickle-share", trickle.share.to_string()),
            ("trickle-per-second", trickle.per_second.to_string()),
            ("probe-room", room.map_or("that of the last good answer".into(), |room| room.to_string())),
            ("probe-url", format!("`{url}`")),
            ("probe-idle", format!("{idle:?}")),
        ]
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changed_is_named_as_the_file_has_it() {
        let (before, mut after) = (Settings::default(), Settings::default());
        assert!(before.changes(&after).is_empty());
        after.hedge = false;
        after.queue_time = Duration::from_millis(500);
        after.probe.room = Some(7);
        assert_eq!(
            before.changes(&after),
            [
                "`queue-time` is 500ms, and was 2s",
                "`hedge` is false, and was true",
                "`probe-room` is 7, and was that of the last good answer",
            ]
        );
    }
}
