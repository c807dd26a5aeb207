//! The listener's limits and deadlines, all in one place and all with a default that a small service can live with.

use std::{num::NonZeroU32, time::Duration};

use ipnet::IpNet;

/// How large a request may be. Checked by [`Framing`](super::Framing).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FramingLimits {
    /// Bytes of a head, request line and final empty line included; beyond it 431.
    pub head_bytes_max: usize,
    /// Header lines of a head; beyond it 431.
    pub headers_max: u16,
    /// Bytes of a request target; beyond it 414.
    pub target_bytes_max: usize,
    /// Bytes of a body, declared or counted without the chunk framing; beyond it 413.
    pub body_bytes_max: u32,
}

impl Default for FramingLimits {
    fn default() -> Self {
        Self {
            head_bytes_max: 16 << 10,
            headers_max: 64,
            target_bytes_max: 8 << 10,
            body_bytes_max: 64 << 10,
        }
    }
}

/// How long a client may take for what. Met to within [`TICK`](super::TICK) twice over, never early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// PROXY protocol line and first head together from accept; a later head from its first byte.
    pub head: Duration,
    /// A body, from when the gateway first waits for it.
    pub body: Duration,
    /// Between an answer and the first byte of the next head.
    pub idle: Duration,
    /// For a client to take an answer, from when its socket first refuses more of it.
    pub write: Duration,
    /// How long a request goes on for a client that has finished sending.
    ///
    /// A client that hung up and one that half-closed and waits look alike (a FIN). The first must not hold a
    /// generator's slot, the second must get its answer; so the answer has this long to come.
    pub half_closed: Duration,
    /// How long a closed connection is read on, so that the client can read our last answer.
    ///
    /// Closing a socket with unread bytes resets it, and a reset discards what the client had not read yet
    /// (RFC 9112 section 9.6).
    pub linger: Duration,
    /// How long a stopping listener goes on serving open connections as before, with `Connection: close`.
    pub lame_duck: Duration,
    /// How long after that requests in flight may take before they are cut.
    pub drain: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(10),
            body: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            write: Duration::from_secs(30),
            half_closed: Duration::from_secs(2),
            linger: Duration::from_secs(1),
            lame_duck: Duration::from_millis(400),
            drain: Duration::from_secs(30),
        }
    }
}

/// How many connections there may be. Checked by [`ConnectionCaps`](super::ConnectionCaps).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CapSettings {
    /// Open connections in all.
    pub connections_max: usize,
    /// Open connections of one source, an IPv4 address or an IPv6 /64.
    pub per_source_max: u32,
    /// Accepts per second of one source, smoothed.
    pub accepts_per_second: NonZeroU32,
    /// Accepts that a source may save up.
    pub accept_burst: NonZeroU32,
    /// Sources whose accepts are tracked; beyond it untracked ones are admitted under the other caps alone.
    pub sources_max: usize,
}

impl Default for CapSettings {
    fn default() -> Self {
        Self {
            connections_max: 10_000,
            per_source_max: 256,
            accepts_per_second: NonZeroU32::new(100).unwrap_or(NonZeroU32::MIN),
            accept_burst: NonZeroU32::new(500).unwrap_or(NonZeroU32::MIN),
            sources_max: 100_000,
        }
    }
}

/// Everything that the listener can be told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListenerSettings {
    /// Sizes of a request.
    pub framing: FramingLimits,
    /// Deadlines of a connection.
    pub deadlines: Deadlines,
    /// Counts of connections.
    pub caps: CapSettings,
    /// Whether connections begin with a PROXY protocol line (`client-address = "proxy-protocol"`).
    pub proxy_protocol: bool,
    /// The operator's own proxies: exempt from the caps per source, and the only peers of whom a PROXY protocol
    /// line is required and believed. Empty means every peer where `proxy_protocol` is set, and none otherwise.
    pub trusted_proxies: Vec<IpNet>,
}

impl ListenerSettings {
    /// Whether `peer` is one of the operator's own proxies.
    pub fn trusts(&self, peer: std::net::IpAddr) -> bool {
        if self.trusted_proxies.is_empty() {
            return self.proxy_protocol;
        }
        self.trusted_proxies.iter().any(|prefix| prefix.contains(&peer))
    }

    /// Whether a connection from `peer` has to begin with a PROXY protocol line.
    pub fn expects_preface(&self, peer: std::net::IpAddr) -> bool {
        self.proxy_protocol && self.trusts(peer)
    }
}
