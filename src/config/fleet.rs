//! `[generators]`: how generators are asked, beside what each is.

use std::time::Duration;

use url::Url;

use super::file::length;
use crate::policy::diagnostic::{Diagnostic, quoted};
use crate::policy::reader::{Table, Value};

/// How generators are asked. [`Default`] is what holds where nobody says anything.
#[derive(Debug, Clone, PartialEq)]
pub struct Asking {
    /// So many requests wait at most for a generator with room.
    pub queue_length: u32,
    /// And so long at most.
    pub queue_time: Duration,
    /// Of the queue's length, one account (without a key, one address) has at most this share.
    pub account_share: f64,
    /// So many failures in a row eject a generator.
    pub failures_in_a_row: u32,
    /// So does such a share of failures, where the others do better.
    pub failure_share: f64,
    /// At most such a share of the generators is ejected, while any of the others works.
    pub ejected_share_max: f64,
    /// After an ejection the first probe comes so much later; after each further one twice as long.
    pub eject_for: Duration,
    /// But no longer than this.
    pub eject_for_max: Duration,
    /// A generator that comes back gets its share within so long.
    pub slow_start: Duration,
    /// Retries and hedges are at most such a share of the requests.
    pub retry_share: f64,
    /// Or so many a second, if that is more.
    pub retries_per_second: u32,
    /// Whether a request that takes longer than is usual is asked of a second generator.
    pub hedge: bool,
    /// While no generator works, such a share of the requests is tried all the same.
    pub trickle_share: f64,
    /// Or so many a second, if that is more.
    pub trickle_per_second: u32,
    /// The room that probes connect to; that of the last good answer where left out.
    pub probe_room: Option<u64>,
    /// The URL that probes have signed where they cannot connect.
    pub probe_url: String,
    /// A generator that got no request for so long is probed.
    pub probe_idle: Duration,
}

impl Default for Asking {
    fn default() -> Self {
        Self {
            queue_length: 512,
            queue_time: Duration::from_secs(2),
            account_share: 0.25,
            failures_in_a_row: 5,
            failure_share: 0.2,
            ejected_share_max: 0.7,
            eject_for: Duration::from_secs(1),
            eject_for_max: Duration::from_secs(60),
            slow_start: Duration::from_secs(10),
            retry_share: 0.2,
            retries_per_second: 10,
            hedge: true,
            trickle_share: 0.02,
            trickle_per_second: 10,
            probe_room: None,
            probe_url: "https://webcast.tiktok.com/webcast/im/fetch/?aid=1988".into(),
            probe_idle: Duration::from_secs(30),
        }
    }
}

/// Reads the table; what it does not say stays as it is by default.
pub(super) fn asking(table: &mut Table<'_>) -> Asking {
    let mut asking = Asking::default();
    let whole = |range| move |value: Value<'_>| value.whole(range);
    let time = |value: Value<'_>| value.parsed_such_as("2s", length);
    set(&mut asking.queue_length, table.optional("queue-length", whole(1..=65_536)));
    set(&mut asking.queue_time, table.optional("queue-time", time));
    set(&mut asking.account_share, table.optional("account-share", Value::share));
    set(&mut asking.failures_in_a_row, table.optional("failures-in-a-row", whole(1..=1_000)));
    set(&mut asking.failure_share, table.optional("failure-share", Value::share));
    set(&mut asking.ejected_share_max, table.optional("ejected-share-max", Value::share));
    set(&mut asking.eject_for, table.optional("eject-for", time));
    let first = asking.eject_for;
    let longest =
        table.optional("eject-for-max", |value| value.parsed_such_as("60s", |text| not_below(text, first)));
    set(&mut asking.eject_for_max, longest);
    asking.eject_for_max = asking.eject_for_max.max(first);
    set(&mut asking.slow_start, table.optional("slow-start", time));
    set(&mut asking.retry_share, table.optional("retry-share", Value::share));
    set(&mut asking.retries_per_second, table.optional("retries-per-second", whole(0..=10_000)));
    set(&mut asking.hedge, table.optional("hedge", Value::boolean));
    set(&mut asking.trickle_share, table.optional("trickle-share", Value::share));
    set(&mut asking.trickle_per_second, table.optional("trickle-per-second", whole(1..=10_000)));
    asking.probe_room = table.optional("probe-room", |value| value.parsed(room)).map(|at| at.value);
    set(&mut asking.probe_url, table.optional("probe-url", |value| value.parsed(signed_url)));
    set(&mut asking.probe_idle, table.optional("probe-idle", time));
    asking
}

fn set<T>(place: &mut T, said: Option<crate::policy::reader::At<T>>) {
    if let Some(at) = said {
        *place = at.value;
    }
}

fn not_below(text: &str, first: Duration) -> Result<Duration, Diagnostic> {
    let longest = length(text)?;
    if longest >= first {
        return Ok(longest);
    }
    Err(Diagnostic::error("`eject-for-max` is shorter than `eject-for`")
        .help("the first probe comes after `eject-for`, and later ones not after more than `eject-for-max`"))
}

fn room(text: &str) -> Result<u64, Diagnostic> {
    text.parse().ok().filter(|room| *room > 0).ok_or_else(|| {
        Diagnostic::error(format!("{} is no room id", quoted(text)))
            .label("expected digits in quotes, such as `\"7300000000000000001\"`")
    })
}

fn signed_url(text: &str) -> Result<String, Diagnostic> {
    let url = Url::parse(text).ok().filter(|url| url.scheme() == "https" && url.has_host());
    url.map(|_| text.to_owned()).ok_or_else(|| {
        Diagnostic::error(format!("{} is no URL to be signed", quoted(text)))
            .label("expected one such as `https://webcast.tiktok.com/webcast/im/fetch/?aid=1988`")
    })
}
