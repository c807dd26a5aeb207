//! How many connections there may be, in all and for one source, and how fast a source may open them.
//!
//! Shared by all threads. These caps protect the process, not the service: they are far above what an honest source
//! needs, come before anything is read, and no policy verdict hangs on them, so governor serves for the rate.

use std::{
    net::IpAddr,
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use dashmap::{DashMap, mapref::entry::Entry};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use super::{counts::CapReached, settings::CapSettings};

/// What shares one count: an IPv4 address or an IPv6 /64, the smallest that one customer is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Source(u64, bool);

impl Source {
    fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(u64::from(address.to_bits()), false),
            IpAddr::V6(address) => Self((address.to_bits() >> 64) as u64, true),
        }
    }
}

/// The caps of one listener, over all its threads.
#[derive(Debug)]
pub struct ConnectionCaps {
    settings: CapSettings,
    open: AtomicUsize,
    per_source: DashMap<Source, NonZeroU32, foldhash::fast::RandomState>,
    accepts: DefaultKeyedRateLimiter<Source>,
}

impl ConnectionCaps {
    /// Caps with no connection counted.
    pub fn new(settings: CapSettings) -> Arc<Self> {
        let quota = Quota::per_second(settings.accepts_per_second).allow_burst(settings.accept_burst);
        Arc::new(Self {
            settings,
            open: AtomicUsize::new(0),
            per_source: DashMap::default(),
            accepts: RateLimiter::keyed(quota),
        })
    }

    /// Takes a seat for a connection from `peer`, held until the value is dropped; or says which cap is reached.
    ///
    /// `exempt` peers, the operator's own proxies, are held to the cap on all connections only.
    pub fn admit(self: &Arc<Self>, peer: IpAddr, exempt: bool) -> Result<Seat, CapReached> {
        // Counted first and given back on refusal: of two threads at the cap one at most is turned away too many.
        if self.open.fetch_add(1, Relaxed) >= self.settings.connections_max {
            self.open.fetch_sub(1, Relaxed);
            return Err(CapReached::Connections);
        }
        let mut seat = Seat { caps: Arc::clone(self), source: None };
        if exempt {
            return Ok(seat);
        }
        let source = Source::of(peer);
        // At the cap on tracked sources a new one goes untracked: a spray of addresses must not shut everybody out,
        // and whoever sprays is not held by a limit per address anyway.
        let tracked = self.accepts.len() < self.settings.sources_max;
        if tracked && self.accepts.check_key(&source).is_err() {
            return Err(CapReached::AcceptRate);
        }
        match self.per_source.entry(source) {
            Entry::Vacant(entry) => {
                entry.insert(NonZeroU32::MIN);
            }
            Entry::Occupied(entry) if entry.get().get() >= self.settings.per_source_max => {
                return Err(CapReached::PerSource);
            }
            Entry::Occupied(mut entry) => {
                let raised = entry.get().saturating_add(1);
                entry.insert(raised);
            }
        }
        seat.source = Some(source);
        Ok(seat)
    }

    /// Connections open now, on all threads.
    pub fn open(&self) -> usize {
        self.open.load(Relaxed)
    }

    /// Forgets sources that have their whole burst again. Call it every few seconds.
    pub fn sweep(&self) {
        self.accepts.retain_recent();
        self.accepts.shrink_to_fit();
    }
}

/// A connection's share of the caps.
#[derive(Debug)]
pub struct Seat {
    caps: Arc<ConnectionCaps>,
    source: Option<Source>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.caps.open.fetch_sub(1, Relaxed);
        let Some(source) = self.source else {
            return;
        };
        if let Entry::Occupied(mut entry) = self.caps.per_source.entry(source) {
            match NonZeroU32::new(entry.get().get() - 1) {
                Some(lowered) => {
                    entry.insert(lowered);
                }
                None => {
                    entry.remove();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caps(connections_max: usize, per_source_max: u32, accept_burst: u32) -> Arc<ConnectionCaps> {
        ConnectionCaps::new(CapSettings {
            connections_max,
            per_source_max,
            accepts_per_second: NonZeroU32::MIN,
            accept_burst: NonZeroU32::new(accept_burst).unwrap(),
            sources_max: 1000,
        })
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn all_connections_share_one_cap_and_give_their_seat_back() {
        let caps = caps(2, 100, 100);
        let first = caps.admit(ip("192.0.2.1"), false).unwrap();
        let _second = caps.admit(ip("192.0.2.2"), true).unwrap();
        assert_eq!(caps.admit(ip("192.0.2.3"), false).unwrap_err(), CapReached::Connections);
        assert_eq!(caps.admit(ip("192.0.2.3"), true).unwrap_err(), CapReached::Connections);
        drop(first);
        assert!(caps.admit(ip("192.0.2.3"), false).is_ok());
        assert_eq!(caps.open(), 1);
    }

    #[test]
    fn a_source_is_an_address_or_an_ipv6_64() {
        let caps = caps(100, 1, 100);
        let _v4 = caps.admit(ip("192.0.2.1"), false).unwrap();
        let _v6 = caps.admit(ip("2001:db8::1"), false).unwrap();
        assert_eq!(caps.admit(ip("192.0.2.1"), false).unwrap_err(), CapReached::PerSource);
        assert_eq!(caps.admit(ip("::ffff:192.0.2.1"), false).unwrap_err(), CapReached::PerSource);
        assert_eq!(caps.admit(ip("2001:db8::ffff"), false).unwrap_err(), CapReached::PerSource);
        assert!(caps.admit(ip("2001:db8:0:1::1"), false).is_ok());
        assert!(caps.admit(ip("192.0.2.1"), true).is_ok());
    }

    #[test]
    fn nothing_is_kept_of_sources_without_connections() {
        let caps = caps(100, 2, 100);
        let seats: Vec<_> =
            (0..50u8).map(|n| caps.admit(IpAddr::from([192, 0, 2, n]), false).unwrap()).collect();
        assert_eq!(caps.per_source.len(), 50);
        drop(seats);
        assert_eq!((caps.per_source.len(), caps.open()), (0, 0));
    }

    #[test]
    fn a_source_may_not_connect_faster_than_its_rate() {
        let caps = caps(100, 100, 3);
        for _ in 0..3 {
            drop(caps.admit(ip("192.0.2.1"), false).unwrap());
        }
        assert_eq!(caps.admit(ip("192.0.2.1"), false).unwrap_err(), CapReached::AcceptRate);
        assert_eq!(caps.open(), 0, "a refused connection keeps no seat");
        assert!(caps.admit(ip("192.0.2.2"), false).is_ok());
    }

    #[test]
    fn the_sources_tracked_for_their_rate_are_capped() {
        let caps = caps(10_000, 100, 1);
        for n in 0..2000u16 {
            let [high, low] = n.to_be_bytes();
            drop(caps.admit(IpAddr::from([10, 0, high, low]), false).unwrap());
        }
        assert!(caps.accepts.len() <= 1000);
    }
}
